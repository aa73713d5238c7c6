// How many of a voxel's neighbours hold cells of a set: counted once, for all rules that ask.
#include "modulators.cuh"

// Blocks: replicates x nz x ny rows.
extern "C" __global__ void mark_members(const uint8* __restrict__ own,    // [R, z, y, x]
                                        const uint8* __restrict__ other,  // [R, z, y, x]
                                        uint8* __restrict__ members,  // [R, z, y, x] cells in the set: 0, 1, 2
                                        const uint32* __restrict__ states,  // [8] bit set
                                        int32 nx) {
    const int64 start = static_cast<int64>(blockIdx.x) * nx;
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x)
        members[start + x] =
            static_cast<uint8>(in_set(states, own[start + x]) + in_set(states, other[start + x]));
}
ENTRY(mark_members)

// Blocks: replicates x nz x ny rows. `reach` is the largest squared distance: 1, 2 or 3 for 6, 18 or 26 neighbours.
// Nothing stands outside the grid.
extern "C" __global__ void count_members(const uint8* __restrict__ members,  // [R, z, y, x]
                                         uint8* __restrict__ counts,         // [R, z, y, x]
                                         int32 reach, int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Voxel first = first_of_row(Stack{replicates, nz, ny, nx});
    const int32 z = first.z, y = first.y;
    const int64 start = first.index;
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) counts[start + x] = 0;
    for (int32 dz = -1; dz <= 1; ++dz)
        for (int32 dy = -1; dy <= 1; ++dy) {
            const int32 distance = dz * dz + dy * dy;
            if (distance > reach || z + dz < 0 || z + dz >= nz || y + dy < 0 || y + dy >= ny) continue;
            const uint8* row = members + start + (static_cast<int64>(dz) * ny + dy) * nx;
            const uint8 ahead = distance > 0, beside = distance < reach;
            for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
                uint8 count = counts[start + x];
                if (ahead) count += row[x];
                if (beside && x > 0) count += row[x - 1];
                if (beside && x < nx - 1) count += row[x + 1];
                counts[start + x] = count;
            }
        }
}
ENTRY(count_members)
