// Diffusion, decay and exchange with cells in one explicit pass.
//
//   e  = (c + courant * sum over faces (c_neighbour - c)) * keep + gain
//   c' = e + momentum * (e - c'')
//
// With no momentum that is a step of forward Euler; else, where c'' is what the target holds from the
// pass before the last, a stage of a Runge-Kutta method (gpusim/engine/transport/explicit.py). As a
// difference, rounding takes no side and mass stays. Held at 0, below which only rounding can lead.
//
// courant = D dt / dx^2. Exchange is implicit in the voxel's own concentration: with production p
// and loss k of the cells there, keep = 1 / (1 + k dt) and gain = p dt keep, tabulated on the host
// in double precision. So the steady state does not depend on dt, and concentrations stay positive
// for any k as long as courant <= 1/6.
//
// The sum is taken as differences, face by face, so that what leaves one voxel enters the next; a
// no-flux face has a difference of zero.
//
// Bytes per voxel: 8, 4 more with momentum, and 1 more for each cell layer that exchanges the
// field.
#include "stencil.cuh"

template <int32 by>
__device__ inline float stepped(const Rows& rows, const Cells& cells, const float* keep,
                                const float* gain, float courant, int32 x, int32 left, int32 right) {
    const int32 i = exchange_index<by>(cells, x);
    const float diffused = rows.here[x] + courant * difference_sum(rows, x, left, right);
    return diffused * keep[i] + gain[i];
}

template <int32 by, bool first>
__device__ inline void explicit_row(const Rows& rows, float* __restrict__ out, const Cells& cells,
                                    const float* __restrict__ keep, const float* __restrict__ gain,
                                    float courant, float momentum, int32 nx) {
    const auto put = [&](int32 x, float euler) {
        const float value = first ? euler : euler + momentum * (euler - out[x]);
        out[x] = value < 0.0f ? 0.0f : value;
    };
    INDEPENDENT_ITERATIONS
    for (int32 x = 1 + threadIdx.x; x < nx - 1; x += blockDim.x)
        put(x, stepped<by>(rows, cells, keep, gain, courant, x, x - 1, x + 1));
    if (threadIdx.x != 0) return;
    const int32 last = nx - 1;
    put(0, stepped<by>(rows, cells, keep, gain, courant, 0, 0, last > 0 ? 1 : 0));
    if (last > 0) put(last, stepped<by>(rows, cells, keep, gain, courant, last, last - 1, last));
}

template <int32 by>
__device__ inline void explicit_row(const Rows& rows, float* out, const Cells& cells, const float* keep,
                                    const float* gain, float courant, float momentum, int32 nx) {
    if (momentum == 0.0f)
        explicit_row<by, true>(rows, out, cells, keep, gain, courant, momentum, nx);
    else
        explicit_row<by, false>(rows, out, cells, keep, gain, courant, momentum, nx);
}

// Blocks: (active fields) x nz x ny rows.
extern "C" __global__ void explicit_step(
    const float* __restrict__ source,       // [F, z, y, x]
    float* __restrict__ target,             // [F, z, y, x]
    const uint8* __restrict__ tissue,       // [z, y, x]
    const uint8* __restrict__ immune,       // [z, y, x]
    const int32* __restrict__ active,       // the fields of this launch
    const float* __restrict__ courant,      // [F]
    const float* __restrict__ keep,         // [F, tissue_states, immune_states]
    const float* __restrict__ gain,         // [F, tissue_states, immune_states]
    const int32* __restrict__ exchange_by,  // [F]
    float momentum, int32 nz, int32 ny, int32 nx, int32 tissue_states, int32 immune_states) {
    const Shape3 shape{nz, ny, nx};
    const int32 row = blockIdx.x % (nz * ny);
    const int64 start = static_cast<int64>(row) * nx;
    const int32 field = active[blockIdx.x / (nz * ny)];
    const int64 volume = static_cast<int64>(nz) * ny * nx;
    const Rows rows = rows_at(source + field * volume, shape, row / ny, row % ny);
    float* out = target + field * volume + start;
    const Cells cells{tissue + start, immune + start, tissue_states, immune_states};
    const int64 table = static_cast<int64>(field) * tissue_states * immune_states;
    const float* k = keep + table;
    const float* g = gain + table;
    const float a = courant[field];
    const int32 by = exchange_by[field];
    if (by == UNIFORM)
        explicit_row<UNIFORM>(rows, out, cells, k, g, a, momentum, nx);
    else if (by == TISSUE)
        explicit_row<TISSUE>(rows, out, cells, k, g, a, momentum, nx);
    else
        explicit_row<TISSUE_AND_IMMUNE>(rows, out, cells, k, g, a, momentum, nx);
}
ENTRY(explicit_step)
