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
#include "lots.cuh"

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

// A pass over fields that exchange with the body. What it adds to a concentration is found by itself, as a difference, and
// rounded by lot with the sum: what crosses a wall, which is counted from the same concentrations (count_exchange), is
// then what the voxels lose, on average over some steps, however little it is. In numbers rounded to nearest, a flow of
// less than half of the last digit in a pass would be counted and never lost.

// What is the same for all voxels of a row.
struct Walled {
    const float *c, *lost, *gained;  // dt * loss and dt * production by all but walls
    const float* out;                // what the target holds from the pass before the last
    RowLots lots;
};

enum WalledPass { SUBSTEP, FIRST_OF_HEUN, SECOND_OF_HEUN };

// What a pass adds to a concentration.
template <WalledPass pass>
__device__ inline float walled_change(const Walled& row, const Across& across, float inflow, const Border& border,
                                      int32 x) {
    const float c = row.c[x], lost = row.lost[x];
    const float exchanged = (row.gained[x] - lost * c) + across.net;
    const float net = exchanged + (inflow + (border.inflow - border.rate * c));
    if (pass == SUBSTEP) return net / (1.0f + ((lost + across.rate) + border.rate));  // exchange is implicit
    return pass == SECOND_OF_HEUN ? 0.5f * ((row.out[x] - c) + net) : net;
}

// Where nearly all is lost, the difference has no digits left.
__device__ inline bool is_lost(const Walled& row, float change, int32 x) {
    return change < -0.5f * row.c[x] || row.lost[x] > fastest_loss;
}

// What is left then of a substep; or what the voxel holds.
__device__ inline float walled_rest(const Walled& row, const Across& across, float inflow, const Border& border,
                                    int32 x) {
    const float lost = row.lost[x], gained = row.gained[x];
    const float whole = 1.0f + ((lost + across.rate) + border.rate);
    const float rest = ((row.c[x] + (gained + across.brought)) + (inflow + border.inflow)) / whole;
    return lost > fastest_loss ? gained : held(rest);
}

#ifdef GPUSIM_HOST
#include "host/walls.hpp"
#endif

// Blocks: (active fields) x replicates x nz x ny rows.
extern "C" __global__ void walled_step(
    // model:
    const int32* __restrict__ active,             // [active], the fields of this launch
    const float* __restrict__ coupling,           // [F, tissue_states, tissue_states]
    const int32* __restrict__ coupling_by,        // [F]
    const int32* __restrict__ boundary,           // [F]
    const float* __restrict__ resistance,         // [F, 6]
    const float* __restrict__ far,                // [F, 6]
    const int32* __restrict__ implicit_exchange,  // [F]
    const float* __restrict__ times,              // [F] dt, min
    const Wall* __restrict__ walls,               // [wall_count]
    const int32* __restrict__ map_slots,          // [F] of the maps
    const uint64* __restrict__ seeds,             // [R]
    // state in:
    const uint8* __restrict__ tissue,      // [R, z, y, x]
    const float* __restrict__ body,        // [quantities, R]
    const float* __restrict__ first_map,   // [maps, R, z, y, x] of dt * loss by all but walls
    const float* __restrict__ second_map,  // [maps, R, z, y, x] of dt * production by all but walls
    const float* __restrict__ permeable,   // [wall_count, R, z, y, x], 1/min
    const float* __restrict__ source,      // [F, R, z, y, x]
    // state out:
    float* __restrict__ target,  // [F, R, z, y, x]
    // numbers:
    int32 first,  // of the passes of this launch, from 1
    uint32 step, uint32 purpose,
    // sizes:
    uint64 origin,  // index of the first voxel here in the whole lattice
    int32 wall_count, int32 replicates, int32 nz, int32 ny, int32 nx, int32 tissue_states) {
    const Stack shape{replicates, nz, ny, nx};
    const Place at = place_of(active, shape);
    const int32 f = at.field;
    const int64 size = volume(shape), map = map_slots[f] * size + at.row;
    const float dt = times[f];
    const Draw draw{seeds[at.replicate], origin - row_start(shape, at.replicate, 0, 0), static_cast<uint32>(first),
                    purpose + 256u * static_cast<uint32>(f)};
    float* out = target + at.start;
    const Walled walled{source + at.start, first_map + map, second_map + map, out, RowLots(draw, at.row, step, first)};
    const WalledPass pass = implicit_exchange[f] ? SUBSTEP : first % 2 ? FIRST_OF_HEUN : SECOND_OF_HEUN;
    const float* faces = coupling + static_cast<int64>(f) * tissue_states * tissue_states;
    const auto blood_of = [&](int32 w) INLINED {
        return body[walls[w].quantity * replicates + at.replicate] * walls[w].dilution;
    };
#ifdef GPUSIM_HOST
    float rate[longest_row], brought[longest_row], net[longest_row];
    for (int32 x = 0; x < nx; ++x) rate[x] = brought[x] = net[x] = 0.0f;
    for (int32 w = 0; w < wall_count; ++w)
        if (walls[w].field == f)
            add_wall(permeable + w * size + at.row, walled.c, dt, blood_of(w), walls[w].returns, rate, brought, net, nx);
    float change[longest_row];
    const auto take = [&](const auto& row) INLINED {
        const float* sides = far + 6 * f;
        if (pass == SUBSTEP)
            walled_changes<SUBSTEP>(walled, row, sides, rate, brought, net, change);
        else if (pass == FIRST_OF_HEUN)
            walled_changes<FIRST_OF_HEUN>(walled, row, sides, rate, brought, net, change);
        else
            walled_changes<SECOND_OF_HEUN>(walled, row, sides, rate, brought, net, change);
        if (!add_by_lot(walled, change, walled.c, walled.lost, out, pass == SUBSTEP, nx)) return;
        const Weights one{1.0f, 1.0f};
        for (int32 x = 0; x < nx; ++x) {
            if (!is_lost(walled, change[x], x)) continue;
            const Border border = row.boundary & OPEN ? row.border(x, sides) : Border{0.0f, 0.0f};
            const Across across{rate[x], brought[x], net[x]};
            out[x] = walled_rest(walled, across, row.inflow(one, x, row.left(x), row.right(x)), border, x);
        }
    };
#else
    const auto take = [&](const auto& row) INLINED {
        const Weights one{1.0f, 1.0f};
        for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
            Across across{0.0f, 0.0f, 0.0f};
            for (int32 w = 0; w < wall_count; ++w)
                if (walls[w].field == f)
                    across.add(dt * permeable[w * size + at.row + x], blood_of(w), walls[w].returns, walled.c[x]);
            const Border border = row.boundary & OPEN ? row.border(x, far + 6 * f) : Border{0.0f, 0.0f};
            const float inflow = row.inflow(one, x, row.left(x), row.right(x));
            const float change = pass == SUBSTEP         ? walled_change<SUBSTEP>(walled, across, inflow, border, x)
                                 : pass == FIRST_OF_HEUN ? walled_change<FIRST_OF_HEUN>(walled, across, inflow, border, x)
                                                         : walled_change<SECOND_OF_HEUN>(walled, across, inflow, border, x);
            out[x] = pass == SUBSTEP && is_lost(walled, change, x)
                         ? walled_rest(walled, across, inflow, border, x)
                         : held(sum_by_lot(walled.c[x], change, walled.lots.at(x)));
        }
    };
#endif
    if (coupling_by[f] == UNIFORM)
        take(finest_row(source + at.start, SameCoupling{*faces}, shape, boundary[f], resistance + 6 * f, at.z, at.y));
    else
        take(finest_row(source + at.start, StateCoupling{tissue + at.row, faces, tissue_states}, shape, boundary[f],
                        resistance + 6 * f, at.z, at.y));
}
ENTRY(walled_step)
