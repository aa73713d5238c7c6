// Which voxels are joined to some states or sides through voxels in some states, over faces, edges or corners.
#include "regions.cuh"

enum Link { APART = 0, LINK = 1, END = 2 };  // of a state: END is joined by itself

// Blocks: replicates x nz x ny rows.
extern "C" __global__ void begin_connections(
    // model:
    const uint8* __restrict__ links,  // [states], of Link
    // state in:
    const uint8* __restrict__ cells,  // [R, z, y, x]
    // state out:
    uint32* __restrict__ labels,  // [R, z, y, x]
    // numbers:
    int32 sides,  // to which voxels are joined, as open ones of a boundary
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
    const Voxel row = first_of_row(shape);
    const bool at_side = at_open_side(sides, 0, row.z, nz) || at_open_side(sides, 2, row.y, ny);
    const int64 start = row.index - row_start(shape, row.replicate, 0, 0);
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
        const int32 link = links[cells[row.index + x]];
        const bool ends = link == END || at_side || at_open_side(sides, 4, x, nx);
        labels[row.index + x] = link == APART ? no_region : ends ? 0u : static_cast<uint32>(start + x + 1);
    }
}
ENTRY(begin_connections)

// Blocks: replicates x nz x ny rows.
extern "C" __global__ void mark_connections(
    // state in:
    const uint32* __restrict__ labels,  // [R, z, y, x]
    // state out:
    uint8* __restrict__ joined,  // [R, z, y, x], 1 or 0
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
    const Voxel row = first_of_row(shape);
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) joined[row.index + x] = labels[row.index + x] == 0;
}
ENTRY(mark_connections)
