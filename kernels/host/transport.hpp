// Explicit passes on a host: rows after rows, and several passes over a lattice that stays in the cache.
#pragma once

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
