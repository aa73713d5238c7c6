// Diffusion, decay and exchange with cells in one explicit pass.
//
//   e  = (c + inflow) * keep + gain  or  (c * keep + inflow) + gain,
//   c' = e + momentum * (e - c''),    inflow = sum over faces coupling * (c_neighbour - c)
//
// With no momentum that is a step of Euler; else, where c'' is what the target holds from the pass before
// the last, a stage of a Runge-Kutta method (gpusim/engine/transport/explicit.py). As a difference,
// rounding takes no side and mass stays. Held at 0, below which only rounding can lead, and so are traces: what
// decays for ever would end among numbers that a processor takes many times as long for.
//
// coupling = D dt / dx^2. In the first form exchange is implicit in the voxel's own concentration: with
// production p and loss k of the cells there, keep = 1 / (1 + k dt) and gain = p dt keep, tabulated on
// the host in double precision. So concentrations stay positive for any k as long as coupling <= 1/6.
// In the second it is explicit: keep = 1 - k dt, gain = p dt. In both the steady state does not depend on
// dt. What passes an open side of the lattice joins p and k, in the first form only. Where rates depend on something,
// maps by voxel stand in for the tables (kernels/exchange.cu).
#include "gpu/columns.cuh"

constexpr float trace = 1.0e-34f;  // of the field's unit

// What is the same for all rows of a field.
struct Explicit {
    const float* source;  // [R, z, y, x]
    float* target;
    Stack shape;
    int32 boundary;
    const float *resistance, *far;  // [6]
    float momentum;
    bool implicit;  // exchange
};

// A step of Euler.
__device__ inline float euler(bool implicit, float c, float inflow, float keep, float gain) {
    return (implicit ? (c + inflow) * keep : c * keep + inflow) + gain;
}

// What passes open sides joins it.
__device__ inline float through_sides(float euler, float keep, const Border& border) {
    return (euler + keep * border.inflow) / (1.0f + keep * border.rate);
}

__device__ inline float stage(float euler, float momentum, float before) {
    return euler + momentum * (euler - before);
}

__device__ inline float held(float value) { return value < trace ? 0.0f : value; }

// What a voxel anywhere in a row, also at an open side, holds after a pass; `before` is in the target.
template <typename Coupling, typename Table>
__device__ inline float explicit_voxel(const Explicit& field, bool first, bool implicit, const Row<Coupling>& row,
                                       const Table& keep, const Table& gain, const float* before, int32 x) {
    const Weights one{1.0f, 1.0f};
    const bool open = row.boundary & OPEN;
    const Border border = open ? row.border(x, field.far) : Border{0.0f, 0.0f};
    const float inflow = row.inflow(one, x, row.left(x), row.right(x));
    float value = euler(implicit, row.here[x], inflow, keep.at(x), gain.at(x));
    if (open) value = through_sides(value, keep.at(x), border);
    return held(first ? value : stage(value, field.momentum, before[x]));
}

#ifdef GPUSIM_HOST
#include "host/transport.hpp"
#else
#include "gpu/transport.cuh"
#endif

// A GPU takes one pass, with blocks of columns (gpu/columns.cuh). On a host blocks are (active fields) x replicates x nz x ny
// rows for one pass, (active fields) x replicates for several.
extern "C" BLOCKS_AT_ONCE(5) __global__ void explicit_step(
    // model:
    const int32* __restrict__ active,             // [active], the fields of this launch
    const float* __restrict__ coupling,           // [F, tissue_states, tissue_states]
    const int32* __restrict__ coupling_by,        // [F]
    const int32* __restrict__ boundary,           // [F]
    const float* __restrict__ resistance,         // [F, 6]
    const float* __restrict__ far,                // [F, 6]
    const float* __restrict__ keep,               // [F, tissue_states, immune_states]
    const float* __restrict__ gain,               // [F, tissue_states, immune_states]
    const int32* __restrict__ exchange_by,        // [F]
    const int32* __restrict__ map_slots,          // [F] of the maps, which go before the tables; -1 for none
    const int32* __restrict__ implicit_exchange,  // [F]
    const int32* __restrict__ passes,             // [F] that each field takes
    const float* __restrict__ momenta,            // [F, most_passes]
    // state in:
    const uint8* __restrict__ tissue,      // [R, z, y, x]
    const uint8* __restrict__ immune,      // [R, z, y, x]
    const float* __restrict__ first_map,   // [maps, R, z, y, x] of keep
    const float* __restrict__ second_map,  // [maps, R, z, y, x] of gain
    // state out:
    float* __restrict__ source,  // [F, R, z, y, x] of the first pass
    float* __restrict__ target,  // [F, R, z, y, x]; several passes go to and fro
    // numbers:
    int32 first, int32 end,  // passes of this launch, from 1
    // sizes:
    int32 most_passes, int32 tile_width, int32 tile_rows, int32 tile_planes, int32 replicates, int32 nz, int32 ny,
    int32 nx, int32 tissue_states, int32 immune_states) {
    const Stack shape{replicates, nz, ny, nx};
#ifdef GPUSIM_HOST
    const Cells cells{tissue, immune, tissue_states, immune_states};
    for_rows(active, shape, end - first > 1, [&](int32 f, const Rows& rows) INLINED {
        const int64 table = static_cast<int64>(f) * tissue_states * immune_states;
        const float* faces = coupling + static_cast<int64>(f) * tissue_states * tissue_states;
        const int64 start = f * volume(shape);
        const Explicit field{nullptr, nullptr, shape, boundary[f], resistance + 6 * f,
                             far + 6 * f, 0.0f, implicit_exchange[f] != 0};
        const Passes taken{{source + start, target + start}, momenta + f * most_passes, first,
                           end <= passes[f] ? end : passes[f] + 1};
        const auto with = [&](const auto& across) INLINED {
            explicit_passes(field, across, cells, keep + table, gain + table, exchange_by[f],
                            map_of(first_map, map_slots[f], shape), map_of(second_map, map_slots[f], shape), taken, rows);
        };
        if (coupling_by[f] == UNIFORM)
            with(SameCoupling{*faces});
        else
            with(StateCoupling{tissue, faces, tissue_states});
    });
#else
    const Column all = column_of(shape, Tile{tile_width, tile_rows, tile_planes});
    if (!all.exists) return;
    const int32 f = active[all.nth];
    const Column at = all.inside(shape, boundary[f]);
    const Explicit field{source + f * volume(shape), target + f * volume(shape), shape, boundary[f],
                         resistance + 6 * f, far + 6 * f, momenta[f * most_passes + first - 1],
                         implicit_exchange[f] != 0};
    const Cells cells{tissue, immune, tissue_states, immune_states};
    const int64 table = static_cast<int64>(f) * tissue_states * immune_states;
    const MapOrTable kept{cells, map_of(first_map, map_slots[f], shape), keep + table, exchange_by[f]};
    const MapOrTable gained{cells, map_of(second_map, map_slots[f], shape), gain + table, exchange_by[f]};
    const float* faces = coupling + static_cast<int64>(f) * tissue_states * tissue_states;
    const int64 voxel = at.start(shape);
    const auto with = [&](const auto& faces) {
        const auto column = [&](const auto& keep, const auto& gain) { explicit_column(field, at, faces, keep, gain); };
        const Cells here = cells.from(voxel);
        if (kept.map != nullptr)
            column(MapAt{kept.map + voxel}, MapAt{gained.map + voxel});
        else if (kept.by == UNIFORM)
            column(TableAt<UNIFORM>{here, kept.table}, TableAt<UNIFORM>{here, gained.table});
        else if (kept.by == TISSUE)
            column(TableAt<TISSUE>{here, kept.table}, TableAt<TISSUE>{here, gained.table});
        else
            column(TableAt<TISSUE_AND_IMMUNE>{here, kept.table}, TableAt<TISSUE_AND_IMMUNE>{here, gained.table});
    };
    const bool same = coupling_by[f] == UNIFORM;
    if (at.z < at.end) {
        if (same)
            with(SameFaces{*faces});
        else
            with(StateFaces{Neighbours<uint8>(tissue, shape, at), faces, tissue_states});
    }
    if (!(boundary[f] & (OPEN | PERIODIC_Z | PERIODIC_Y | PERIODIC_X))) return;
    if (same)
        explicit_apart(field, all, SameCoupling{*faces}, kept, gained);
    else
        explicit_apart(field, all, StateCoupling{tissue, faces, tissue_states}, kept, gained);
#endif
}
ENTRY_OF_ROWS(explicit_step)
