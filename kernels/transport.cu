// Diffusion, decay and exchange with cells in one explicit step.
//
//   c' = (c + courant * sum over faces (c_neighbour - c)) * keep + gain
//
// courant = D dt / dx^2. Exchange is implicit in the voxel's own concentration: with production p
// and loss k of the cells there, keep = 1 / (1 + k dt) and gain = p dt keep, tabulated on the host
// in double precision. So the steady state does not depend on dt, and concentrations stay positive
// for any k as long as courant <= 1/6.
//
// The sum is taken as differences, face by face, so that what leaves one voxel enters the next; a
// no-flux face has a difference of zero.
//
// Bytes per voxel: 8, and 1 more for each cell layer that exchanges the field.
#include "common.cuh"

enum ExchangeBy { UNIFORM = 0, TISSUE = 1, TISSUE_AND_IMMUNE = 2 };

__device__ inline float diffused(float c, float x0, float x1, float y0, float y1, float z0, float z1,
                                 float courant) {
    const float xy = ((x0 - c) + (x1 - c)) + ((y0 - c) + (y1 - c));
    return c + courant * (xy + ((z0 - c) + (z1 - c)));
}

template <int32 by>
__device__ inline int32 exchange_index(const uint8* tissue, const uint8* immune, int32 x,
                                       int32 tissue_states, int32 immune_states) {
    if (by == UNIFORM) return 0;
    const int32 first = tissue[x] * immune_states;
    return by == TISSUE ? first : first + immune[x] - tissue_states;
}

template <int32 by>
__device__ inline void explicit_row(const float* __restrict__ c, const float* __restrict__ south,
                                    const float* __restrict__ north, const float* __restrict__ below,
                                    const float* __restrict__ above, float* __restrict__ out,
                                    const uint8* __restrict__ tissue,
                                    const uint8* __restrict__ immune,
                                    const float* __restrict__ keep, const float* __restrict__ gain,
                                    float courant, int32 nx, int32 tissue_states,
                                    int32 immune_states) {
    for (int32 x = 1 + threadIdx.x; x < nx - 1; x += blockDim.x) {
        const int32 i = exchange_index<by>(tissue, immune, x, tissue_states, immune_states);
        out[x] = diffused(c[x], c[x - 1], c[x + 1], south[x], north[x], below[x], above[x], courant) *
                     keep[i] + gain[i];
    }
    if (threadIdx.x != 0) return;
    const int32 last = nx - 1;
    for (int32 x = 0; x < nx; x += last > 0 ? last : 1) {
        const int32 i = exchange_index<by>(tissue, immune, x, tissue_states, immune_states);
        out[x] = diffused(c[x], c[x > 0 ? x - 1 : x], c[x < last ? x + 1 : x], south[x], north[x],
                          below[x], above[x], courant) *
                     keep[i] + gain[i];
    }
}

// Blocks: (active fields) x nz x ny rows.
extern "C" __global__ void explicit_step(
    const float* __restrict__ source,     // [F, z, y, x]
    float* __restrict__ target,           // [F, z, y, x]
    const uint8* __restrict__ tissue,     // [z, y, x]
    const uint8* __restrict__ immune,     // [z, y, x]
    const int32* __restrict__ active,     // the fields of this launch
    const float* __restrict__ courant,    // [F]
    const float* __restrict__ keep,       // [F, tissue_states, immune_states]
    const float* __restrict__ gain,       // [F, tissue_states, immune_states]
    const int32* __restrict__ exchange_by,  // [F]
    int32 nz, int32 ny, int32 nx, int32 tissue_states, int32 immune_states) {
    const int32 rows = nz * ny;
    const int32 field = active[blockIdx.x / rows];
    const int32 row = blockIdx.x % rows;
    const int32 z = row / ny;
    const int32 y = row % ny;
    const int64 start = static_cast<int64>(row) * nx;
    const int64 plane = static_cast<int64>(ny) * nx;
    const float* c = source + field * plane * nz + start;
    const float* south = y > 0 ? c - nx : c;
    const float* north = y < ny - 1 ? c + nx : c;
    const float* below = z > 0 ? c - plane : c;
    const float* above = z < nz - 1 ? c + plane : c;
    float* out = target + field * plane * nz + start;
    const int64 table = static_cast<int64>(field) * tissue_states * immune_states;
    const float* k = keep + table;
    const float* g = gain + table;
    const float a = courant[field];
    const int32 by = exchange_by[field];
    if (by == UNIFORM)
        explicit_row<UNIFORM>(c, south, north, below, above, out, tissue + start, immune + start, k,
                              g, a, nx, tissue_states, immune_states);
    else if (by == TISSUE)
        explicit_row<TISSUE>(c, south, north, below, above, out, tissue + start, immune + start, k, g,
                             a, nx, tissue_states, immune_states);
    else
        explicit_row<TISSUE_AND_IMMUNE>(c, south, north, below, above, out, tissue + start,
                                        immune + start, k, g, a, nx, tissue_states, immune_states);
}
ENTRY(explicit_step)
