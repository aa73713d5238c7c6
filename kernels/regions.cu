// Regions: voxels with a label that share a face, or an edge or a corner too, and whether any of them has label 0.
//
// While they are joined, labels are parents in a tree whose root is the least of them (union by the least number).
#include "regions.cuh"

// The labels of one replicate, while threads change them.
struct Regions {
    uint32* labels;
    __device__ inline uint32 parent(uint32 number) const { return atomicMin(&labels[number - 1], no_region); }
    __device__ inline uint32 root(uint32 number) const {
        for (uint32 above; number != 0 && (above = parent(number)) != number;) number = above;
        return number;
    }
    __device__ inline void join(uint32 a, uint32 b) const {
        while ((a = root(a)) != (b = root(b))) {
            const uint32 less = a < b ? a : b, more = a < b ? b : a;
            const uint32 before = atomicMin(&labels[more - 1], less);
            if (before == more) return;
            a = less;  // another thread has joined it first
            b = before;
        }
    }
};

// Blocks: replicates x nz x ny rows.
extern "C" __global__ void join_regions(
    // state out:
    uint32* labels,  // [R, z, y, x]
    // numbers:
    int32 boundary,
    int32 corners,  // whether voxels that share an edge or a corner are joined too
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
    const Voxel row = first_of_row(shape);
    const int64 first = row_start(shape, row.replicate, 0, 0);
    const Regions regions{labels + first};
    const Surroundings around{shape, boundary, row};
    const auto number = [&](int64 voxel) INLINED { return static_cast<uint32>(voxel - first + 1); };
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
        const uint32 here = number(row.index + x);
        if (regions.parent(here) == no_region) continue;
        for (int32 n = 1; n <= in_place; ++n) {  // each pair once
            if (!corners && n != 1 && n != 3 && n != 9) continue;
            const int64 there = around.at(in_place + n, x);
            if (there >= 0 && regions.parent(number(there)) != no_region) regions.join(here, number(there));
        }
        atomicMin(&labels[row.index + x], regions.root(here));  // shortens the way of those that come after
    }
}
ENTRY(join_regions)

// Blocks: replicates x nz x ny rows.
extern "C" __global__ void settle_regions(
    // state out:
    uint32* labels,  // [R, z, y, x], 0 in all voxels of a region where one has it
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
    const Voxel row = first_of_row(shape);
    const int64 first = row_start(shape, row.replicate, 0, 0);
    const Regions regions{labels + first};
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
        const uint32 here = static_cast<uint32>(row.index + x - first + 1), above = regions.parent(here);
        if (above != no_region && above != 0 && regions.root(above) == 0) atomicMin(&labels[row.index + x], 0u);
    }
}
ENTRY(settle_regions)
