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
#include "stencil.cuh"

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

template <bool first, bool implicit, typename Coupling, typename Table>
__device__ inline void explicit_run(const Explicit& field, const Runs& runs, const Row<Coupling>& row, int32 n,
                                    const Table& kept, const Table& gained, float* __restrict__ out) {
    const Weights one{1.0f, 1.0f};
    const Table keep = kept, gain = gained;
    const float momentum = field.momentum;
    const auto euler = [&](int32 x, float inflow) INLINED {
        const float c = row.here[x];
        return (implicit ? (c + inflow) * keep.at(x) : c * keep.at(x) + inflow) + gain.at(x);
    };
    const auto stage = [&](int32 x, float euler) INLINED {
        const float value = first ? euler : euler + momentum * (euler - out[x]);
        return value < trace ? 0.0f : value;
    };
    const auto anywhere = [&](int32 x) INLINED {
        const float value = euler(x, row.inflow(one, x, row.left(x), row.right(x)));
        if (!(row.boundary & OPEN)) return stage(x, value);
        const Border border = row.border(x, field.far);
        const float kept = keep.at(x);
        return stage(x, (value + kept * border.inflow) / (1.0f + kept * border.rate));
    };
    const auto put = [&](int32 x, float value) INLINED { out[x] = value; };
    if (runs.closed()) {
        const Sides sides = runs.sides(row.y);
        along_run(n, row.span(n), [&](int32 x) INLINED { return stage(x, euler(x, row.inflow(sides, x))); },
                  anywhere, put);
    } else
        along(n, row.span(n), [&](int32 x) INLINED { return stage(x, euler(x, row.inflow(one, x, x - 1, x + 1))); },
              anywhere, put);
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
    float* buffers[2];     // [R, z, y, x]; an odd pass reads the first
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
            field.source = passes.buffers[1 - pass % 2];
            field.target = passes.buffers[pass % 2];
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
#ifdef GPUSIM_HOST
    if constexpr (std::is_same_v<Coupling, SameCoupling>)
        if (exchange_by == UNIFORM && keep_map == nullptr) return with(TableAt<UNIFORM>{cells, keep}, TableAt<UNIFORM>{cells, gain});
    const int32 longest = runs.longest_of(fixed.shape.nx);
    RowOfTable kept(cells, keep, keep_map, exchange_by, longest), gained(cells, gain, gain_map, exchange_by, longest);
    if (passes.end - passes.first > 1) {
        static thread_local std::vector<float> room[2];
        kept.look_up(rows.first, rows.end, fixed.shape.nx, room[0]);
        gained.look_up(rows.first, rows.end, fixed.shape.nx, room[1]);
    }
    with(kept, gained);
#else
    if (keep_map != nullptr)
        with(MapAt{keep_map}, MapAt{gain_map});
    else if (exchange_by == UNIFORM)
        with(TableAt<UNIFORM>{cells, keep}, TableAt<UNIFORM>{cells, gain});
    else if (exchange_by == TISSUE)
        with(TableAt<TISSUE>{cells, keep}, TableAt<TISSUE>{cells, gain});
    else
        with(TableAt<TISSUE_AND_IMMUNE>{cells, keep}, TableAt<TISSUE_AND_IMMUNE>{cells, gain});
#endif
}

// Blocks: (active fields) x replicates x nz x ny rows for one pass; on a host, (active fields) x replicates for
// several.
extern "C" __global__ void explicit_step(
    float* __restrict__ fields,             // [F, R, z, y, x]
    float* __restrict__ spare,              // [F, R, z, y, x]
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
    int32 replicates, int32 nz, int32 ny, int32 nx, int32 tissue_states, int32 immune_states) {
    const Stack shape{replicates, nz, ny, nx};
    const Cells cells{tissue, immune, tissue_states, immune_states};
    for_rows(active, shape, end - first > 1, [&](int32 f, const Rows& rows) INLINED {
        const int64 table = static_cast<int64>(f) * tissue_states * immune_states;
        const float* faces = coupling + static_cast<int64>(f) * tissue_states * tissue_states;
        const int64 start = f * volume(shape);
        const Explicit field{nullptr, nullptr, shape, boundary[f], resistance + 6 * f,
                             far + 6 * f, 0.0f, implicit_exchange[f] != 0};
        const Passes taken{{fields + start, spare + start}, momenta + f * most_passes, first,
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
}
ENTRY_OF_ROWS(explicit_step)
