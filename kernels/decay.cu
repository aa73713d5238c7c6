// A decay that differs from voxel to voxel, after the transport of a step.
#include "stencil.cuh"

// Blocks: (active fields) x replicates x nz x ny rows.
extern "C" __global__ void decay_by_map(
    // model:
    const int32* __restrict__ active,  // [active]
    const float* __restrict__ kept,    // [F, z, y, x], exp(-rate * dt)
    // state out:
    float* __restrict__ fields,  // [F, R, z, y, x]
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Place at = place_of(active, Stack{replicates, nz, ny, nx});
    const float* row = kept + (static_cast<int64>(at.field * nz + at.z) * ny + at.y) * nx;
    float* c = fields + at.start;
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) c[x] = c[x] * row[x];
}
ENTRY(decay_by_map)
