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
#include "columns.cuh"
#include "lots.cuh"

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
template <bool first, bool implicit, typename Coupling, typename Table>
__device__ inline void explicit_run(const Explicit& field, const Runs& runs, const Row<Coupling>& row, int32 n,
                                    const Table& kept, const Table& gained, float* __restrict__ out) {
    const Weights one{1.0f, 1.0f};
    const Table keep = kept, gain = gained;
    const float momentum = field.momentum;
    const auto exchanged = [&](int32 x, float inflow) INLINED {
        return euler(implicit, row.here[x], inflow, keep.at(x), gain.at(x));
    };
    const auto after = [&](int32 x, float euler) INLINED {
        return held(first ? euler : stage(euler, momentum, out[x]));
    };
    const auto anywhere = [&](int32 x) INLINED {
        return explicit_voxel(field, first, implicit, row, keep, gain, out, x);
    };
    const auto put = [&](int32 x, float value) INLINED { out[x] = value; };
    if (runs.closed()) {
        const Sides sides = runs.sides(row.y);
        along_run(n, row.span(n), [&](int32 x) INLINED { return after(x, exchanged(x, row.inflow(sides, x))); },
                  anywhere, put);
    } else
        along(n, row.span(n),
              [&](int32 x) INLINED { return after(x, exchanged(x, row.inflow(one, x, x - 1, x + 1))); }, anywhere, put);
}

template <bool first, bool implicit, typename Coupling, typename Table>
LOOP_FUNCTION void explicit_rows(const Explicit& given, const Coupling& coupling, Table& keep, Table& gain,
                                 const Runs& runs, const Rows& rows) {
    const Explicit field = given;  // one's own copy, which nothing written can change
    RowWriter writer(field.shape.nx);
    const int32 plane = rows.first / field.shape.ny;
    for (int32 i = rows.first, z = plane % field.shape.nz, y = i - plane * field.shape.ny; i < rows.end;) {
        const int32 taken = runs.rows_from(z, y, rows.end - i), n = taken * field.shape.nx;
        const int64 start = static_cast<int64>(i) * field.shape.nx;
        const Around beside = around_run(field.shape, field.boundary, z, y, taken);
        const auto row = finest_row(field.source + start, beside, coupling.from(start), field.shape,
                                    field.boundary, field.resistance, z, y);
        const auto kept = keep.from(start, n), gained = gain.from(start, n);
        read_ahead(row.here + row.around.above, n);
        if (first)
            writer.write(field.target + start, n, [&](float* out) INLINED {
                explicit_run<first, implicit>(field, runs, row, n, kept, gained, out);
            });
        else {
            read_ahead(field.target + start, n);
            explicit_run<first, implicit>(field, runs, row, n, kept, gained, field.target + start);
        }
        i += taken;
        y += taken;
        if (y == field.shape.ny) {
            y = 0;
            if (++z == field.shape.nz) z = 0;  // of the next replicate
        }
    }
}

// Passes over some rows of a field, from one buffer to the other and back. The rows of a pass need those beside
// them of the pass before: only a thread that has all rows of a lattice may take more than one.
struct Passes {
    float* buffers[2];     // [R, z, y, x]; the first pass reads the first
    const float* momenta;  // from pass 1
    int32 first, end;
};

template <typename Coupling>
__device__ inline void explicit_passes(const Explicit& fixed, const Coupling& coupling, const Cells& cells,
                                       const float* keep, const float* gain, int32 exchange_by,
                                       const float* keep_map, const float* gain_map, const Passes& passes,
                                       const Rows& rows) {
    const Runs runs(fixed.shape, fixed.boundary);
    const auto with = [&](auto&& kept, auto&& gained) INLINED {
        for (int32 pass = passes.first; pass < passes.end; ++pass) {
            Explicit field = fixed;
            field.source = passes.buffers[(pass - passes.first) % 2];
            field.target = passes.buffers[1 - (pass - passes.first) % 2];
            field.momentum = passes.momenta[pass - 1];
            if (field.momentum == 0.0f && field.implicit)
                explicit_rows<true, true>(field, coupling, kept, gained, runs, rows);
            else if (field.momentum == 0.0f)
                explicit_rows<true, false>(field, coupling, kept, gained, runs, rows);
            else if (field.implicit)
                explicit_rows<false, true>(field, coupling, kept, gained, runs, rows);
            else
                explicit_rows<false, false>(field, coupling, kept, gained, runs, rows);
        }
    };
    if constexpr (std::is_same_v<Coupling, SameCoupling>)
        if (exchange_by == UNIFORM && keep_map == nullptr)
            return with(TableAt<UNIFORM>{cells, keep}, TableAt<UNIFORM>{cells, gain});
    const int32 longest = runs.longest_of(fixed.shape.nx);
    RowOfTable kept(cells, keep, keep_map, exchange_by, longest), gained(cells, gain, gain_map, exchange_by, longest);
    if (passes.end - passes.first > 1) {
        static thread_local std::vector<float> room[2];
        kept.look_up(rows.first, rows.end, fixed.shape.nx, room[0]);
        gained.look_up(rows.first, rows.end, fixed.shape.nx, room[1]);
    }
    with(kept, gained);
}
#else
// Of a column the voxels that do not stand apart.
template <typename Faces, typename Table>
__device__ inline void explicit_column(const Explicit& field, const Column& at, Faces faces, Table keep, Table gain) {
    const Stack& shape = field.shape;
    const int32 plane = shape.ny * shape.nx;
    const bool first = field.momentum == 0.0f;
    Neighbours<float> c(field.source, shape, at);
    float* __restrict__ out = field.target + at.start(shape);
    float before = first ? 0.0f : *out;
#pragma unroll 1  // more at once would take the registers of other threads
    for (int32 z = at.z; z < at.end; ++z) {
        const bool goes_on = z + 2 < shape.nz;
        const auto ahead = c.ahead(goes_on);
        const auto faces_ahead = faces.ahead(goes_on);
        const float before_ahead = first || z + 1 >= at.end ? 0.0f : out[plane];
        const float value = euler(field.implicit, c.here, inflow(c, faces), keep.at(0), gain.at(0));
        *out = held(first ? value : stage(value, field.momentum, before));
        c.rise(ahead);
        faces.rise(faces_ahead);
        keep = keep.from(plane, 0);
        gain = gain.from(plane, 0);
        before = before_ahead;
        out += plane;
    }
}

// The voxels of a column that stand apart: all, or the lowest and the highest.
template <typename Coupling>
__device__ inline void explicit_apart(const Explicit& field, const Column& at, const Coupling& coupling,
                                      const MapOrTable& keep, const MapOrTable& gain) {
    const bool all = at.apart(field.shape, field.boundary);
    const int32 step = all || at.z == at.end - 1 ? 1 : at.end - 1 - at.z;
    for (int32 z = at.z; z < at.end; z += step) {
        if (!all && !at.apart(field.shape, field.boundary, z)) continue;
        const int64 start = row_start(field.shape, at.replicate, z, at.y);
        const auto row = finest_row(field.source + start, coupling.from(start), field.shape, field.boundary,
                                    field.resistance, z, at.y);
        float* out = field.target + start;
        out[at.x] = explicit_voxel(field, field.momentum == 0.0f, field.implicit, row, keep.from(start),
                                   gain.from(start), out, at.x);
    }
}
#endif

// 48 registers are enough on capability 9.0; elsewhere the compiler would spill.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 900
#define EXPLICIT_BOUNDS __launch_bounds__(256, 5)
#else
#define EXPLICIT_BOUNDS
#endif

// A GPU takes one pass, with blocks of columns (columns.cuh). On a host blocks are (active fields) x replicates x nz x ny
// rows for one pass, (active fields) x replicates for several.
extern "C" EXPLICIT_BOUNDS __global__ void explicit_step(
    float* __restrict__ source,             // [F, R, z, y, x] of the first pass
    float* __restrict__ target,             // [F, R, z, y, x]; several passes go to and fro
    const uint8* __restrict__ tissue,       // [R, z, y, x]
    const uint8* __restrict__ immune,       // [R, z, y, x]
    const int32* __restrict__ active,       // the fields of this launch
    const float* __restrict__ coupling,     // [F, tissue_states, tissue_states]
    const int32* __restrict__ coupling_by,  // [F]
    const int32* __restrict__ boundary,     // [F]
    const float* __restrict__ resistance,   // [F, 6]
    const float* __restrict__ far,          // [F, 6]
    const float* __restrict__ keep,         // [F, tissue_states, immune_states]
    const float* __restrict__ gain,         // [F, tissue_states, immune_states]
    const int32* __restrict__ exchange_by,  // [F]
    const int32* __restrict__ slots,        // [F] of the maps, which go before the tables; -1 for none
    const float* __restrict__ keep_maps,    // [slots, R, z, y, x]
    const float* __restrict__ gain_maps,    // [slots, R, z, y, x]
    const int32* __restrict__ implicit_exchange,  // [F]
    const int32* __restrict__ passes,             // [F] that each field takes
    const float* __restrict__ momenta,            // [F, most_passes]
    int32 most_passes, int32 first, int32 end,    // passes of this launch, from 1
    int32 tile_width, int32 tile_rows, int32 tile_planes,  // of a block of a GPU
    int32 replicates, int32 nz, int32 ny, int32 nx, int32 tissue_states, int32 immune_states) {
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
                            map_of(keep_maps, slots[f], shape), map_of(gain_maps, slots[f], shape), taken, rows);
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
    const MapOrTable kept{cells, map_of(keep_maps, slots[f], shape), keep + table, exchange_by[f]};
    const MapOrTable gained{cells, map_of(gain_maps, slots[f], shape), gain + table, exchange_by[f]};
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

// Through the walls of a voxel in dt, for each unit of its concentration; what comes in by itself; and both together.
struct Across {
    float rate, brought, net;
    __device__ inline void add(float through, float blood, float c) {
        rate = rate + through;
        brought = brought + through * blood;
        net = net + through * (blood - c);
    }
};

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
LOOP_FUNCTION void add_wall(const float* __restrict__ permeable, const float* __restrict__ c, float dt, float blood,
                            float* __restrict__ rate, float* __restrict__ brought, float* __restrict__ net, int32 n) {
    for (int32 x = 0; x < n; ++x) {
        Across across{rate[x], brought[x], net[x]};
        across.add(dt * permeable[x], blood, c[x]);
        rate[x] = across.rate;
        brought[x] = across.brought;
        net[x] = across.net;
    }
}

template <WalledPass pass, typename Coupling>
LOOP_FUNCTION void walled_changes(const Walled& given, const Row<Coupling>& row, const float* far,
                                  const float* __restrict__ rate, const float* __restrict__ brought,
                                  const float* __restrict__ net, float* __restrict__ change) {
    const Walled walled = given;
    const Weights one{1.0f, 1.0f};
    along(
        row.shape.nx, row.span(),
        [&](int32 x) INLINED {
            const Across across{rate[x], brought[x], net[x]};
            return walled_change<pass>(walled, across, row.inflow(one, x, x - 1, x + 1), Border{0.0f, 0.0f}, x);
        },
        [&](int32 x) INLINED {
            const Border border = row.boundary & OPEN ? row.border(x, far) : Border{0.0f, 0.0f};
            const Across across{rate[x], brought[x], net[x]};
            return walled_change<pass>(walled, across, row.inflow(one, x, row.left(x), row.right(x)), border, x);
        },
        [&](int32 x, float value) INLINED { change[x] = value; });
}

// Whether any voxel of the row is one of those that stand apart.
LOOP_FUNCTION bool add_by_lot(const Walled& given, const float* __restrict__ change, const float* __restrict__ c,
                              const float* __restrict__ lost, float* __restrict__ out, bool substep, int32 n) {
    const RowLots lots = given.lots;
    int32 apart = 0;
    if (substep)
        for (int32 x = 0; x < n; ++x) apart |= int32(change[x] < -0.5f * c[x]) | int32(lost[x] > fastest_loss);
    for (int32 x = 0; x < n; ++x) out[x] = held(sum_by_lot(c[x], change[x], lots.at(x)));
    return apart != 0;
}
#endif

// Blocks: (active fields) x replicates x nz x ny rows.
extern "C" __global__ void walled_step(
    const int32* __restrict__ active,
    const float* __restrict__ coupling,     // [F, tissue_states, tissue_states]
    const int32* __restrict__ coupling_by,  // [F]
    const int32* __restrict__ boundary,     // [F]
    const float* __restrict__ resistance,   // [F, 6]
    const float* __restrict__ far,          // [F, 6]
    const int32* __restrict__ implicit_exchange,  // [F]
    const float* __restrict__ times,              // [F] dt, min
    const Wall* __restrict__ walls,
    const uint64* __restrict__ seeds,     // [R]
    const uint8* __restrict__ tissue,     // [R, z, y, x]
    const float* __restrict__ body,       // [quantities, R]
    const int32* __restrict__ slots,      // [F] of the maps
    const float* __restrict__ lost_maps,  // [slots, R, z, y, x]
    const float* __restrict__ gained_maps,
    const float* __restrict__ permeable,  // [walls, R, z, y, x], 1/min
    const float* __restrict__ source,     // [F, R, z, y, x]
    float* __restrict__ target,           // [F, R, z, y, x]
    uint64 origin,                        // index of the first voxel here in the whole lattice
    uint32 step, uint32 purpose,
    int32 number,  // of the pass, from 1
    int32 wall_count, int32 replicates, int32 nz, int32 ny, int32 nx, int32 tissue_states) {
    const Stack shape{replicates, nz, ny, nx};
    const Place at = place_of(active, shape);
    const int32 f = at.field;
    const int64 size = volume(shape), map = slots[f] * size + at.row;
    const float dt = times[f];
    const Draw draw{seeds[at.replicate], origin - row_start(shape, at.replicate, 0, 0), static_cast<uint32>(number),
                    purpose + 256u * static_cast<uint32>(f)};
    float* out = target + at.start;
    const Walled walled{source + at.start, lost_maps + map, gained_maps + map, out, RowLots(draw, at.row, step, number)};
    const WalledPass pass = implicit_exchange[f] ? SUBSTEP : number % 2 ? FIRST_OF_HEUN : SECOND_OF_HEUN;
    const float* faces = coupling + static_cast<int64>(f) * tissue_states * tissue_states;
    const auto blood_of = [&](int32 w) INLINED {
        return body[walls[w].quantity * replicates + at.replicate] * walls[w].dilution;
    };
#ifdef GPUSIM_HOST
    float rate[longest_row], brought[longest_row], net[longest_row];
    for (int32 x = 0; x < nx; ++x) rate[x] = brought[x] = net[x] = 0.0f;
    for (int32 w = 0; w < wall_count; ++w)
        if (walls[w].field == f)
            add_wall(permeable + w * size + at.row, walled.c, dt, blood_of(w), rate, brought, net, nx);
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
                if (walls[w].field == f) across.add(dt * permeable[w * size + at.row + x], blood_of(w), walled.c[x]);
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
