// Diffusion, decay and exchange with cells in one explicit pass.
//
//   e  = (c + inflow) * keep + gain  or  (c * keep + inflow) + gain,
//   c' = e + momentum * (e - c''),    inflow = sum over faces coupling * (c_neighbour - c)
//
// With no momentum that is a step of Euler; else, where c'' is what the target holds from the pass before
// the last, a stage of a Runge-Kutta method (gpusim/engine/transport/explicit.py). As a difference,
// rounding takes no side and mass stays. Held at 0, below which only rounding can lead.
//
// coupling = D dt / dx^2. In the first form exchange is implicit in the voxel's own concentration: with
// production p and loss k of the cells there, keep = 1 / (1 + k dt) and gain = p dt keep, tabulated on
// the host in double precision. So concentrations stay positive for any k as long as coupling <= 1/6.
// In the second it is explicit: keep = 1 - k dt, gain = p dt. In both the steady state does not depend on
// dt. What passes an open side of the lattice joins p and k, in the first form only.
//
// Bytes per voxel: 8, 4 more with momentum, and 1 more for each cell layer that exchanges the field or
// hinders it.
#include "stencil.cuh"

template <int32 by, typename Coupling>
__device__ inline float stepped(const Row<Coupling>& row, const Cells& cells, const float* keep,
                                const float* gain, bool implicit, const Weights& x_weights, int32 x,
                                int32 left, int32 right) {
    const int32 i = exchange_index<by>(cells, x);
    const float c = row.here[x], inflow = row.inflow(x_weights, x, left, right);
    return (implicit ? (c + inflow) * keep[i] : c * keep[i] + inflow) + gain[i];
}

// What is the same for all rows of a field.
struct Explicit {
    const float* source;  // [z, y, x]
    float* target;
    Cells cells;  // [z, y, x]
    Shape3 shape;
    int32 boundary;
    const float *resistance, *far;  // [6]
    const float *keep, *gain;       // [tissue_states, immune_states]
    float momentum;
    bool implicit;  // exchange
};

template <int32 by, bool first, typename Coupling>
__device__ inline void explicit_row(const Explicit& field, const Row<Coupling>& row, int64 start,
                                    float* __restrict__ out) {
    const Weights one{1.0f, 1.0f};
    const Cells cells = field.cells.from(start);
    const float *keep = field.keep, *gain = field.gain;
    const float momentum = field.momentum;
    const bool implicit = field.implicit;
    const auto stage = [&](int32 x, float euler) INLINED {
        const float value = first ? euler : euler + momentum * (euler - out[x]);
        return value < 0.0f ? 0.0f : value;
    };
    along(
        row.shape.nx, row.span(),
        [&](int32 x) INLINED {
            return stage(x, stepped<by>(row, cells, keep, gain, implicit, one, x, x - 1, x + 1));
        },
        [&](int32 x) INLINED {
            const float value =
                stepped<by>(row, cells, keep, gain, implicit, one, x, row.left(x), row.right(x));
            if (!(row.boundary & OPEN)) return stage(x, value);
            const Border border = row.border(x, field.far);
            const float kept = keep[exchange_index<by>(cells, x)];
            return stage(x, (value + kept * border.inflow) / (1.0f + kept * border.rate));
        },
        [&](int32 x, float value) INLINED { out[x] = value; });
}

template <int32 by, bool first, typename Coupling>
LOOP_FUNCTION void explicit_rows(const Explicit& given, const Coupling& coupling, const Rows& rows) {
    const Explicit field = given;  // one's own copy, which nothing written can change
    const int32 nx = field.shape.nx;
    RowWriter writer(nx);
    for (int32 i = rows.first, z = i / field.shape.ny, y = i - z * field.shape.ny; i < rows.end; ++i) {
        const int64 start = static_cast<int64>(i) * nx;
        const auto row = finest_row(field.source, coupling.from(start), field.shape, field.boundary,
                                    field.resistance, z, y);
        read_ahead(row.here + row.around.above, nx);
        if (first)
            writer.write(field.target + start, nx,
                         [&](float* out) INLINED { explicit_row<by, first>(field, row, start, out); });
        else {
            read_ahead(field.target + start, nx);
            explicit_row<by, first>(field, row, start, field.target + start);
        }
        if (++y == field.shape.ny) {
            y = 0;
            ++z;
        }
    }
}

template <int32 by, typename Coupling>
__device__ inline void explicit_rows(const Explicit& field, const Coupling& coupling, const Rows& rows) {
    if (field.momentum == 0.0f)
        explicit_rows<by, true>(field, coupling, rows);
    else
        explicit_rows<by, false>(field, coupling, rows);
}

template <typename Coupling>
__device__ inline void explicit_rows(const Explicit& field, const Coupling& coupling, const Rows& rows, int32 exchange_by) {
    if (exchange_by == UNIFORM)
        explicit_rows<UNIFORM>(field, coupling, rows);
    else if (exchange_by == TISSUE)
        explicit_rows<TISSUE>(field, coupling, rows);
    else
        explicit_rows<TISSUE_AND_IMMUNE>(field, coupling, rows);
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
    float momentum, int32 implicit_exchange, int32 nz, int32 ny, int32 nx, int32 tissue_states,
    int32 immune_states) {
    const Shape3 shape{nz, ny, nx};
    const Cells cells{tissue, immune, tissue_states, immune_states};
    for_rows(active, nz * ny, [&](int32 f, const Rows& rows) INLINED {
        const int64 table = static_cast<int64>(f) * tissue_states * immune_states;
        const float* faces = coupling + static_cast<int64>(f) * tissue_states * tissue_states;
        const int64 start = f * volume(shape);
        const Explicit field{source + start,     target + start, cells,        shape,       boundary[f],
                             resistance + 6 * f, far + 6 * f,    keep + table, gain + table, momentum,
                             implicit_exchange != 0};
        if (coupling_by[f] == UNIFORM)
            explicit_rows(field, SameCoupling{*faces}, rows, exchange_by[f]);
        else
            explicit_rows(field, StateCoupling{tissue, faces, tissue_states}, rows, exchange_by[f]);
    });
}
ENTRY_OF_ROWS(explicit_step)
