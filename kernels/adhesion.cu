// Adhesion: neighbouring voxels swap their cells, by the energies of the contacts that this changes.
//
// A cell has contacts with all 26 neighbours. Two voxels beside each other share 16 of them, whose contacts a swap does
// not change in sum, nor that between the two: there remain the nine behind each. So pairs along one axis that begin in
// every third voxel read what none of them writes, in all rows at once; and as those side by side are each other's
// common neighbours, the energies of their swaps add up. Each pass is thus a heat bath of independent pairs.
#include "cells.cuh"
#include "modulators.cuh"

constexpr int32 along_z = 0, along_y = 1, along_x = 2;
constexpr int32 between_pairs = 3;  // voxels from the first of one to the first of the next

// The pairs of one pass.
struct Pairs {
    Stack shape;
    int32 boundary, axis;
    int32 first;  // place along the axis where a pair begins, in the whole lattice

    __device__ inline int32 size() const { return axis == along_z ? shape.nz : axis == along_y ? shape.ny : shape.nx; }
    __device__ inline bool periodic() const { return boundary & PERIODIC_Z << axis; }
    // Whether place i begins a pair, where the first that is held here is number `origin` of the whole lattice.
    __device__ inline bool begin_at(int32 i, int32 origin) const {
        const int32 from_first = i + origin - first, n = size();
        if (!periodic()) return from_first >= 0 && from_first % between_pairs == 0 && i + 1 < n;
        const int32 round = from_first < 0 ? from_first + n : from_first;
        return round % between_pairs == 0 && round + between_pairs <= n;
    }
    __device__ inline int32 in_row_along_x() const {
        return periodic() ? shape.nx / between_pairs : parts(shape.nx - 1 - first, between_pairs);
    }
    __device__ inline int32 begin_along_x(int32 number) const {
        const int32 x = first + between_pairs * number;
        return x < shape.nx ? x : x - shape.nx;
    }
    __device__ inline Voxel second(const Voxel& voxel) const {
        const int32 z = axis == along_z ? along(voxel.z + 1, shape.nz, true) : voxel.z;
        const int32 y = axis == along_y ? along(voxel.y + 1, shape.ny, true) : voxel.y;
        const int32 x = axis == along_x ? along(voxel.x + 1, shape.nx, true) : voxel.x;
        return Voxel{row_start(shape, voxel.replicate, z, y) + x, voxel.replicate, z, y, x};
    }
};

// The contacts of cells.
struct Contacts {
    const int32* energies;
    const uint8* cells;
    Stack shape;
    int32 states, boundary, background;

    __device__ inline bool opens(int32 i, int32 low) const { return boundary & FIRST_OPEN << (i < 0 ? low : low + 1); }
    // State of a place up to one beyond the lattice; -1 where there is nothing.
    __device__ inline int32 state(int32 replicate, int32 z, int32 y, int32 x) const {
        const int32 in_z = along(z, shape.nz, boundary & PERIODIC_Z), in_y = along(y, shape.ny, boundary & PERIODIC_Y);
        const int32 in_x = along(x, shape.nx, boundary & PERIODIC_X);
        if (in_z >= 0 && in_y >= 0 && in_x >= 0) return cells[row_start(shape, replicate, in_z, in_y) + in_x];
        const bool open = (in_z >= 0 || opens(z, 0)) && (in_y >= 0 || opens(y, 2)) && (in_x >= 0 || opens(x, 4));
        return open ? background : -1;
    }
    // By how much a swap of two voxels along an axis changes the energy, kT/1000.
    __device__ inline int32 change(const Voxel& a, const Voxel& b, int32 axis) const {
        const int32 *of_a = energies + cells[a.index] * states, *of_b = energies + cells[b.index] * states;
        int32 sum = 0;
        for (int32 number = 0; number < 9; ++number) {
            const int32 u = number / 3 - 1, v = number % 3 - 1;
            const int32 y = axis == along_z ? u : v, z = axis == along_z ? 0 : u, x = axis == along_x ? 0 : v;
            const int32 across_y = axis == along_y ? 0 : y;
            const int32 dz = axis == along_z, dy = axis == along_y, dx = axis == along_x;
            const int32 behind_a = state(a.replicate, a.z + z - dz, a.y + across_y - dy, a.x + x - dx);
            const int32 behind_b = state(b.replicate, b.z + z + dz, b.y + across_y + dy, b.x + x + dx);
            if (behind_a >= 0) sum += of_b[behind_a] - of_a[behind_a];
            if (behind_b >= 0) sum += of_a[behind_b] - of_b[behind_b];
        }
        return sum;
    }
};

// Blocks: replicates x nz x ny rows. The pairs that begin in a row are its own; each voxel is in one pair at most.
extern "C" BLOCKS_AT_ONCE(5) __global__ void swap_cells(
    // model:
    const int32* __restrict__ energies,     // [states, states], kT/1000 for each contact
    const uint8* __restrict__ swaps,        // [states], whether voxels of the state swap
    const uint32* __restrict__ acceptance,  // [changes], of a rise of the energy by so much, in 2^-32; ends with 0
    const uint64* __restrict__ seeds,       // [R]
    // state out:
    uint8* __restrict__ cells,    // [R, z, y, x]
    uint16* __restrict__ clock,   // [R, z, y, x]
    uint8* __restrict__ heading,  // [R, z, y, x]
    uint8* __restrict__ claim,    // [R, z, y, x]
    uint64* __restrict__ clone,   // [R, z, y, x]
    float* __restrict__ traits,   // [traits, R, z, y, x]
    // numbers:
    uint32 step, uint32 purpose, int32 boundary, int32 background, int32 axis, int32 first,
    uint32 attempt,  // probability that a pair is tried, in 2^-32
    int32 first_trait, int32 end_trait,
    // sizes:
    uint64 origin,  // index of the first voxel here in the whole lattice
    int32 states, int32 changes, int32 has_heading, int32 has_claim, int32 has_clone, int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
    const Voxel row = first_of_row(shape);
    const Pairs pairs{shape, boundary, axis, first};
    const int32 plane = static_cast<int32>(origin / (static_cast<uint64>(ny) * nx));
    const bool in_row = axis == along_x;
    if (!in_row && !(axis == along_z ? pairs.begin_at(row.z, plane) : pairs.begin_at(row.y, 0))) return;
    const auto first_of = [&](int32 i) INLINED {
        const int32 x = in_row ? pairs.begin_along_x(i) : i;
        return Voxel{row.index + x, row.replicate, row.z, row.y, x};
    };
    const auto may_swap = [&](int32 i) INLINED {
        const Voxel a = first_of(i);
        const uint8 of_a = cells[a.index], of_b = cells[pairs.second(a).index];
        return of_a != of_b && swaps[of_a] && swaps[of_b];
    };
    const auto swap = [&](int32 i) INLINED {
        const Voxel a = first_of(i), b = pairs.second(a);
        const Draw draw{seeds[a.replicate], origin - row_start(shape, a.replicate, 0, 0), step, purpose};
        const Random random = draw.at(a.index);
        if (random.word[0] >= attempt) return;
        const int32 change = Contacts{energies, cells, shape, states, boundary, background}.change(a, b, axis);
        const int32 size = change < 0 ? -change : change;
        const uint32 rise = acceptance[size < changes ? size : changes - 1];
        if ((random.word[1] < rise) == (change < 0)) return;  // a fall is accepted where the rise would not be
        const Traits of_layer{nullptr, nullptr, traits, volume(shape), first_trait, end_trait};
        CellLayer{cells, clock, heading, claim, clone, has_heading != 0, has_claim != 0, has_clone != 0, of_layer}.swap(a.index, b.index);
    };
    for_wanted(in_row ? pairs.in_row_along_x() : nx, may_swap, swap);
}
ENTRY(swap_cells)
