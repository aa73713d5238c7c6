// Exact sums of fields, and the first voxel where a field has gone wrong.
//
// A concentration is split into its whole part and its fraction in units of 2^-32; both are summed
// as integers, so that the order of the sum can't matter.
#include "stencil.cuh"

constexpr float runaway = 1.0e15f;

// No branch: a loop with it becomes vectors.
__device__ inline bool sound(float value) { return (value >= 0.0f) & (value < runaway); }

// Adds up n values of a field, of which the first has index `first`.
LOOP_FUNCTION void sum_run(const float* __restrict__ c, int64 first, int32 n, uint64* whole, uint64* fraction,
                           uint64* fault) {
    uint64 units = 0, parts = 0;
    int32 faults = 0;
    for (int32 x = threadIdx.x; x < n; x += blockDim.x) {
        const bool good = sound(c[x]);
        const float value = good ? c[x] : 0.0f;
        const int64 unit = static_cast<int64>(value);
        units += static_cast<uint64>(unit);
        parts += static_cast<uint64>(static_cast<int64>((value - static_cast<float>(unit)) * two_to_32));
        faults += !good;
    }
    for (int32 x = threadIdx.x; faults > 0; x += blockDim.x)
        if (!sound(c[x])) {
            atomicMin(fault, static_cast<uint64>(first + x));
            break;
        }
    units = block_sum(units);
    parts = block_sum(parts);
    if (threadIdx.x > 0) return;
    if (units) atomicAdd(whole, units);
    if (parts) atomicAdd(fraction, parts);
}

// One replicate's. Blocks: F x nz x ny rows.
extern "C" __global__ void sum_fields(const float* __restrict__ fields,  // [F, R, z, y, x]
                                      uint64* __restrict__ whole,        // [F]
                                      uint64* __restrict__ fraction,     // [F], 2^-32
                                      uint64* __restrict__ fault,  // [F] lowest bad voxel, or ~0
                                      int32 replicate, int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
    const int32 plane = ny * nx;
    const auto sum = [&](int32 z, int32 y, int32 field, int32 rows) INLINED {
        const int64 first = static_cast<int64>(z) * plane + static_cast<int64>(y) * nx;
        const float* c = fields + field * volume(shape) + row_start(shape, replicate, z, y);
        sum_run(c, first, rows * nx, whole + field, fraction + field, fault + field);
    };
#ifdef GPUSIM_HOST
    for (int32 block = blockIdx.x; block < blockEnd;) {
        const int32 at = block / ny, y = block - at * ny, left = blockEnd - block;
        const int32 rows = ny - y < left ? ny - y : left;
        sum(at % nz, y, at / nz, rows);
        block += rows;
    }
#else
    const int32 at = blockIdx.x / ny;
    sum(at % nz, blockIdx.x - at * ny, at / nz, 1);
#endif
}
ENTRY_OF_ROWS(sum_fields)
