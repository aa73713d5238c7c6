// Exact sums of fields, and the first voxel where a field has gone wrong.
//
// A concentration is split into its whole part and its fraction in units of 2^-32; both are summed
// as integers, so that the order of the sum can't matter.
#include "common.cuh"

constexpr float runaway = 1.0e15f;

// One replicate's. Blocks: F x nz x ny rows.
extern "C" __global__ void sum_fields(const float* __restrict__ fields,  // [F, R, z, y, x]
                                      uint64* __restrict__ whole,        // [F]
                                      uint64* __restrict__ fraction,     // [F], 2^-32
                                      uint64* __restrict__ fault,  // [F] lowest bad voxel, or ~0
                                      int32 replicate, int32 replicates, int32 nz, int32 ny, int32 nx) {
    const int32 rows = nz * ny;
    const int32 field = blockIdx.x / rows;
    const int64 first = static_cast<int64>(blockIdx.x % rows) * nx;
    const Stack shape{replicates, nz, ny, nx};
    const float* c = fields + field * volume(shape) + row_start(shape, replicate, 0, 0) + first;
    uint64 units = 0, parts = 0;
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
        const float value = c[x];
        if (!(value >= 0.0f && value < runaway)) {
            atomicMin(&fault[field], static_cast<uint64>(first + x));
            continue;
        }
        const uint64 unit = static_cast<uint64>(value);
        units += unit;
        parts += static_cast<uint64>((value - static_cast<float>(unit)) * two_to_32);
    }
    if (units) atomicAdd(&whole[field], units);
    if (parts) atomicAdd(&fraction[field], parts);
}
ENTRY(sum_fields)
