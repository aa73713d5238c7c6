// Exact sums of fields, and the first voxel where a field has gone wrong.
//
// A concentration is split into its whole part and its fraction in units of 2^-32; both are summed
// as integers, so that the order of the sum can't matter.
#include "stencil.cuh"

// No branch: a loop with it becomes vectors.
__device__ inline bool sound(float value) { return (value >= 0.0f) & (value < runaway); }

// Adds up n values of a field, of which the first has index `first`.
LOOP_FUNCTION void sum_run(const float* __restrict__ c, int64 first, int32 n, uint64* whole, uint64* fraction,
                           uint64* fault) {
    uint64 units = 0, parts = 0;
    int32 faults = 0;
    const auto add = [&](float found) INLINED {
        const bool good = sound(found);
        const float value = good ? found : 0.0f;
        const int64 unit = static_cast<int64>(value);
        units += static_cast<uint64>(unit);
        parts += static_cast<uint64>(static_cast<int64>((value - static_cast<float>(unit)) * two_to_32));
        faults += !good;
    };
#ifdef GPUSIM_HOST
    for (int32 x = 0; x < n; ++x) add(c[x]);
#else
    constexpr int32 at_once = 4;  // values on their way from memory
    for (int32 x = threadIdx.x; x < n; x += at_once * blockDim.x) {
        float found[at_once];
        for (int32 i = 0; i < at_once; ++i) found[i] = x + i * blockDim.x < n ? c[x + i * blockDim.x] : 0.0f;
        for (int32 i = 0; i < at_once; ++i) add(found[i]);
    }
#endif
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

// One replicate's. Blocks: F x nz x ny / block_rows, each of so many rows that follow each other. On a host, of one.
extern "C" __global__ void sum_fields(
    // state in:
    const float* __restrict__ fields,  // [F, R, z, y, x]
    // state out:
    uint64* __restrict__ whole,     // [F]
    uint64* __restrict__ fraction,  // [F], 2^-32
    uint64* __restrict__ fault,     // [F], lowest bad voxel, or ~0
    // numbers:
    int32 replicate,
    // sizes:
    int32 block_rows, int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
    const auto sum = [&](int32 field, int32 row, int32 rows) INLINED {
        const int64 first = static_cast<int64>(row) * nx;
        const float* c = fields + field * volume(shape) + row_start(shape, replicate, 0, 0) + first;
        sum_run(c, first, rows * nx, whole + field, fraction + field, fault + field);
    };
    const int32 lattice = nz * ny;
#ifdef GPUSIM_HOST
    for (int32 block = blockIdx.x; block < blockEnd;) {
        const int32 field = block / lattice, row = block - field * lattice, left = blockEnd - block;
        const int32 in_plane = ny - row % ny, rows = in_plane < left ? in_plane : left;
        sum(field, row, rows);
        block += rows;
    }
#else
    const int32 blocks = parts(lattice, block_rows);
    const int32 field = blockIdx.x / blocks, row = (blockIdx.x - field * blocks) * block_rows;
    sum(field, row, block_rows < lattice - row ? block_rows : lattice - row);
#endif
}
ENTRY_OF_ROWS(sum_fields)

// What has been counted since the start, in one array in the order of the arguments, and what bodies hold.
//
// Blocks: one.
extern "C" __global__ void note_tally(
    // state in:
    const uint64* __restrict__ fired,    // [rules, R]
    const uint64* __restrict__ barred,   // [rules, R]
    const uint64* __restrict__ taken,    // [states, R]
    const uint64* __restrict__ left,     // [3, states, R]
    const uint64* __restrict__ flowed,   // [2, wall_count, R]
    const uint64* __restrict__ carried,  // [3, egress_count, R]
    const double* __restrict__ values,   // [quantities, R]
    // state out:
    uint64* __restrict__ noted,         // [noted, R]
    double* __restrict__ noted_values,  // [quantities, R]
    // sizes:
    int32 rules, int32 states, int32 wall_count, int32 egress_count, int32 quantities, int32 replicates) {
    int32 first = 0;
    const auto note = [&](const uint64* from, int32 rows) INLINED {
        for (int32 i = threadIdx.x; i < rows * replicates; i += blockDim.x) noted[first + i] = from[i];
        first += rows * replicates;
    };
    note(fired, rules);
    note(barred, rules);
    note(taken, states);
    note(left, 3 * states);
    note(flowed, 2 * wall_count);
    note(carried, 3 * egress_count);
    for (int32 i = threadIdx.x; i < quantities * replicates; i += blockDim.x) noted_values[i] = values[i];
}
ENTRY(note_tally)
