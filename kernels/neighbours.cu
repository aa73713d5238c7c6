// How many of a voxel's neighbours hold cells of a set: counted once, for all rules that ask.
#include "gpu/columns.cuh"
#include "modulators.cuh"

#ifdef GPUSIM_HOST
#include "host/members.hpp"
#endif

// Blocks: replicates x nz x ny rows.
extern "C" __global__ void mark_members(
    // model:
    const uint32* __restrict__ states,  // [8], bit set
    // state in:
    const uint8* __restrict__ cells,  // [R, z, y, x]
    const uint8* __restrict__ other,  // [R, z, y, x]
    // state out:
    uint8* __restrict__ members,  // [R, z, y, x], cells in the set: 0, 1, 2
    // sizes:
    int32 nx) {
    const int64 start = static_cast<int64>(blockIdx.x) * nx;
#ifdef GPUSIM_HOST
    mark_run(states, cells + start, other + start, members + start, static_cast<int64>(blockEnd - blockIdx.x) * nx);
#else
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x)
        members[start + x] =
            static_cast<uint8>(in_set(states, cells[start + x]) + in_set(states, other[start + x]));
#endif
}
ENTRY_OF_ROWS(mark_members)

// Calls add(offset, distance, dy) for the row at (z, y) and each that its neighbours stand in, squared distance
// and all. Nothing stands outside the grid along z.
template <typename Add>
__device__ inline void rows_around(const Stack& shape, int32 reach, int32 z, const Add& add) {
    for (int32 dz = -1; dz <= 1; ++dz)
        for (int32 dy = -1; dy <= 1; ++dy) {
            const int32 distance = dz * dz + dy * dy;
            if (distance > reach || z + dz < 0 || z + dz >= shape.nz) continue;
            add((dz * shape.ny + dy) * shape.nx, distance, dy);
        }
}

// How many neighbours there are up to a squared distance.
constexpr int32 neighbourhood(int32 reach) {
    int32 count = 0;
    for (int32 at = 0; at < 27; ++at) {
        const int32 dz = at / 9 - 1, dy = at / 3 % 3 - 1, dx = at % 3 - 1, distance = dz * dz + dy * dy + dx * dx;
        if (distance > 0 && distance <= reach) ++count;
    }
    return count;
}
static_assert(2 * neighbourhood(3) < 256, "a voxel has two cells, and counts are bytes");

#ifdef GPUSIM_HOST
#include "host/neighbours.hpp"
#else
#include "gpu/neighbours.cuh"
#endif

// The same of one voxel where sides are periodic or open; `beyond` is what stands in a voxel beyond an open one.
__device__ inline uint8 count_by_sides(const uint8* __restrict__ members, const Stack& shape, int32 boundary,
                                       int32 beyond, int32 reach, int32 replicate, int32 z, int32 y, int32 x) {
    uint8 count = 0;
    for (int32 n = 0; n < 27; ++n) {
        const int32 dz = n / 9 - 1, dy = n / 3 % 3 - 1, dx = n % 3 - 1, distance = dz * dz + dy * dy + dx * dx;
        if (distance == 0 || distance > reach) continue;
        const int32 at_z = along(z + dz, shape.nz, boundary & PERIODIC_Z);
        const int32 at_y = along(y + dy, shape.ny, boundary & PERIODIC_Y);
        const int32 at_x = along(x + dx, shape.nx, boundary & PERIODIC_X);
        if (at_z >= 0 && at_y >= 0 && at_x >= 0) {
            count += members[row_start(shape, replicate, at_z, at_y) + at_x];
        } else {
            const bool closed = (at_z < 0 && !(boundary & FIRST_OPEN << (dz > 0))) ||
                                (at_y < 0 && !(boundary & FIRST_OPEN << (2 + (dy > 0)))) ||
                                (at_x < 0 && !(boundary & FIRST_OPEN << (4 + (dx > 0))));
            if (!closed) count += static_cast<uint8>(beyond);
        }
    }
    return count;
}

// On a GPU each thread takes columns of four voxels side by side (gpu/columns.cuh). On a host blocks are replicates x nz x
// ny rows. `reach` is the largest squared distance: 1, 2 or 3 for 6, 18 or 26 neighbours.
extern "C" BLOCKS_AT_ONCE(5) __global__ void count_members(
    // state in:
    const uint8* __restrict__ members,  // [R, z, y, x]
    // state out:
    uint8* __restrict__ counts,  // [R, z, y, x]
    // numbers:
    int32 reach, int32 boundary, int32 beyond,
    // sizes:
    int32 tile_width, int32 tile_rows, int32 tile_planes, int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
#ifdef GPUSIM_HOST
    const Runs runs(shape, 0);
    for (int32 row = blockIdx.x; row < blockEnd;) {
        const int32 plane = row / ny, z = plane % nz, y = row - plane * ny;
        if (boundary) {
            for (int32 x = 0; x < nx; ++x)
                counts[static_cast<int64>(row) * nx + x] =
                    count_by_sides(members, shape, boundary, beyond, reach, plane / nz, z, y, x);
            ++row;
            continue;
        }
        const int32 taken = runs.rows_from(z, y, blockEnd - row);
        const int64 start = static_cast<int64>(row) * nx;
        count_run(members + start, counts + start, shape, reach, z, y, runs, taken * nx);
        row += taken;
    }
#else
    const Stack fours{replicates, nz, ny, parts(nx, 4)};
    const Column at = column_of(fours, Tile{tile_width, tile_rows, tile_planes});
    if (!at.exists) return;
    for (int32 z = at.z; z < at.end; ++z) {
        const int64 start = row_start(shape, at.replicate, z, at.y);
        if (boundary)
            for (int32 x = 4 * at.x; x < 4 * at.x + 4 && x < nx; ++x)
                counts[start + x] = count_by_sides(members, shape, boundary, beyond, reach, at.replicate, z, at.y, x);
        else if (nx % 4 == 0)
            *reinterpret_cast<uint32*>(counts + start + 4 * at.x) =
                count_four(members + start, shape, reach, z, at.y, 4 * at.x);
        else
            for (int32 x = 4 * at.x; x < 4 * at.x + 4 && x < nx; ++x)
                counts[start + x] = count_one(members + start, shape, reach, z, at.y, x);
    }
#endif
}
ENTRY_OF_ROWS(count_members)
