// Diffusion, decay and exchange with cells in one explicit pass.
//
//   e  = (c + sum over faces coupling * (c_neighbour - c)) * keep + gain
//   c' = e + momentum * (e - c'')
//
// With no momentum that is a step of forward Euler; else, where c'' is what the target holds from the
// pass before the last, a stage of a Runge-Kutta method (gpusim/engine/transport/explicit.py). As a
// difference, rounding takes no side and mass stays. Held at 0, below which only rounding can lead.
//
// coupling = D dt / dx^2. Exchange is implicit in the voxel's own concentration: with production p
// and loss k of the cells there, keep = 1 / (1 + k dt) and gain = p dt keep, tabulated on the host
// in double precision. So the steady state does not depend on dt, and concentrations stay positive
// for any k as long as coupling <= 1/6. What passes an open side of the lattice joins p and k.
//
// Bytes per voxel: 8, 4 more with momentum, and 1 more for each cell layer that exchanges the field or
// hinders it.
#include "stencil.cuh"

template <int32 by, typename Coupling>
__device__ inline float stepped(const Row<Coupling>& row, const Cells& cells, const float* keep,
                                const float* gain, const Weights& x_weights, int32 x, int32 left,
                                int32 right) {
    const int32 i = exchange_index<by>(cells, x);
    const float diffused = row.here[x] + row.inflow(x_weights, x, left, right);
    return diffused * keep[i] + gain[i];
}

template <int32 by, bool first, typename Coupling>
LOOP_FUNCTION void explicit_row(const Row<Coupling>& given, float* __restrict__ out, const Cells& cells,
                                const float* __restrict__ keep, const float* __restrict__ gain,
                                const float* __restrict__ far, float momentum) {
    const Weights one{1.0f, 1.0f};
    Row<Coupling> row = given;  // one's own copy, whose weights of 1 need no multiplication
    row.in_z = row.in_y = one;
    const auto put = [&](int32 x, float euler) INLINED {
        const float value = first ? euler : euler + momentum * (euler - out[x]);
        out[x] = value < 0.0f ? 0.0f : value;
    };
    along(
        row.shape.nx, row.at_border(),
        [&](int32 x) INLINED { put(x, stepped<by>(row, cells, keep, gain, one, x, x - 1, x + 1)); },
        [&](int32 x) INLINED {
            const float value = stepped<by>(row, cells, keep, gain, one, x, row.left(x), row.right(x));
            if (!(row.boundary & OPEN)) return put(x, value);
            const Border border = row.border(x, far);
            const float kept = keep[exchange_index<by>(cells, x)];
            put(x, (value + kept * border.inflow) / (1.0f + kept * border.rate));
        });
}

template <int32 by, typename Coupling>
__device__ inline void explicit_row(const Row<Coupling>& row, float* out, const Cells& cells,
                                    const float* keep, const float* gain, const float* far, float momentum) {
    if (momentum == 0.0f)
        explicit_row<by, true>(row, out, cells, keep, gain, far, momentum);
    else
        explicit_row<by, false>(row, out, cells, keep, gain, far, momentum);
}

template <typename Coupling>
__device__ inline void explicit_row(const Row<Coupling>& row, float* out, const Cells& cells,
                                    const float* keep, const float* gain, const float* far, float momentum,
                                    int32 exchange_by) {
    if (exchange_by == UNIFORM)
        explicit_row<UNIFORM>(row, out, cells, keep, gain, far, momentum);
    else if (exchange_by == TISSUE)
        explicit_row<TISSUE>(row, out, cells, keep, gain, far, momentum);
    else
        explicit_row<TISSUE_AND_IMMUNE>(row, out, cells, keep, gain, far, momentum);
}

// Blocks: (active fields) x nz x ny rows.
extern "C" __global__ void explicit_step(
    const float* __restrict__ source,       // [F, z, y, x]
    float* __restrict__ target,             // [F, z, y, x]
    const uint8* __restrict__ tissue,       // [z, y, x]
    const uint8* __restrict__ immune,       // [z, y, x]
    const int32* __restrict__ active,       // the fields of this launch
    const float* __restrict__ coupling,     // [F, tissue_states, tissue_states]
    const int32* __restrict__ coupling_by,  // [F]
    const int32* __restrict__ boundary,     // [F]
    const float* __restrict__ resistance,   // [F, 6]
    const float* __restrict__ far,          // [F, 6]
    const float* __restrict__ keep,         // [F, tissue_states, immune_states]
    const float* __restrict__ gain,         // [F, tissue_states, immune_states]
    const int32* __restrict__ exchange_by,  // [F]
    float momentum, int32 nz, int32 ny, int32 nx, int32 tissue_states, int32 immune_states) {
    const Shape3 shape{nz, ny, nx};
    const Place at = place_of(active, shape);
    const Cells cells{tissue + at.row, immune + at.row, tissue_states, immune_states};
    const int64 table = static_cast<int64>(at.field) * tissue_states * immune_states;
    const float* field = source + (at.start - at.row);
    const float* faces = coupling + static_cast<int64>(at.field) * tissue_states * tissue_states;
    const auto step = [&](const auto& by_face) INLINED {
        explicit_row(finest_row(field, by_face, shape, boundary[at.field], resistance + 6 * at.field, at.z, at.y),
                     target + at.start, cells, keep + table, gain + table, far + 6 * at.field, momentum,
                     exchange_by[at.field]);
    };
    if (coupling_by[at.field] == UNIFORM)
        step(SameCoupling{*faces});
    else
        step(StateCoupling{cells.tissue, faces, tissue_states});
}
ENTRY(explicit_step)
