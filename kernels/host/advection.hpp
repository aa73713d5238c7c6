// A pass of advection on a host, in whole vectors along a row: what passes a face is found once for both voxels where they
// are in one row, or in rows of one block.
#pragma once

// A row with two more entries before it and two after it.
struct PaddedRow {
    float values[longest_row + 4];
    inline float* from() { return values + 2; }
    inline const float* from() const { return values + 2; }
    inline void close(int32 nx, bool wraps) {
        float* row = from();
        for (int32 i = 1; i <= 2; ++i) {
            row[-i] = row[wraps ? (nx - i % nx) % nx : 0];
            row[nx - 1 + i] = row[wraps ? (i - 1) % nx : nx - 1];
        }
    }
};

LOOP_FUNCTION void find_rates(const FlowRow& row, int32 step, float* __restrict__ out, int32 first, int32 end) {
    const float *p = row.p, *table = row.k.table;
    const uint8* tissue = row.k.tissue;
    const int32 states = row.k.states;
    if (row.k.same)
        for (int32 x = first; x < end; ++x) out[x] = *table * (p[x] - p[x + step]);
    else
        for (int32 x = first; x < end; ++x) out[x] = table[tissue[x] * states + tissue[x + step]] * (p[x] - p[x + step]);
}

LOOP_FUNCTION void turn(const float* __restrict__ from, float* __restrict__ to, int32 n) {
    for (int32 x = 0; x < n; ++x) to[x] = -from[x];
}

// Faces above the rows that a thread has taken last in this launch, of as many as a plane and a block have: for each row the
// rates, and what of each field passes, out of its voxels.
class FacesAbove {
  public:
    inline FacesAbove(std::vector<float>& room, const Stack& shape, int32 advected, int32 first_row)
        : ny(shape.ny), nx(shape.nx), rows(shape.ny + most_together), of_rates(advected), first(first_row) {
        room.resize(static_cast<std::size_t>(advected + 1) * rows * nx);
        values = room.data();
    }
    // Row `number` of [R, z, y]; of the rates, or of the i-th field.
    inline float* rates(int32 number) const { return passed(number, of_rates); }
    inline float* passed(int32 number, int32 i) const {
        return values + (static_cast<int64>(i) * rows + number % rows) * nx;
    }
    // Below a row that is not in the lowest plane.
    inline bool knows_below(int32 number) const { return number - ny >= first; }
    inline int32 below(int32 number) const { return number - ny; }

  private:
    float* values;
    int32 ny, nx, rows, of_rates, first;
};

// What the fields share in a row: the rates of its faces, out of its voxels, `east` from the voxel before the first on.
struct RateRow {
    RowLots lots;
    PaddedRow east, outflow;
    float south[longest_row], north[longest_row], below[longest_row];
    float* above;

    // `before`: the row to the south, where it is known; `number`: of the row.
    inline void find(const FlowRow& row, const float* outflow_there, const RateRow* before, const FacesAbove& faces,
                     int32 number) {
        const int32 nx = row.shape.nx;
        if (before != nullptr)
            turn(before->north, south, nx);
        else
            find_rates(row, row.in_y.low, south, 0, nx);
        find_rates(row, row.in_y.high, north, 0, nx);
        above = faces.rates(number);
        if (row.z > 0 && faces.knows_below(number))
            turn(faces.rates(faces.below(number)), below, nx);
        else
            find_rates(row, row.in_z.low, below, 0, nx);
        find_rates(row, row.in_z.high, above, 0, nx);
        find_rates(row, 1, east.from(), 0, nx - 1);
        east.from()[nx - 1] = row.rate(nx - 1, row.in_x(nx - 1).high);
        east.from()[-1] = -row.rate(0, row.in_x(0).low);
        memcpy(outflow.from(), outflow_there, nx * sizeof(float));
        outflow.close(nx, row.boundary & PERIODIC_X);
    }
};

// What passes the faces of a row, out of its voxels; `east` from the voxel before the first on.
struct PassedFaces {
    PaddedRow east;
    float south[longest_row], north[longest_row], below[longest_row], sum[longest_row];
};

// What passes the faces towards voxels that are `step` away, out of voxels first to end.
LOOP_FUNCTION void through_faces(const float* __restrict__ c, const float* __restrict__ rate, float scale,
                                 const float* __restrict__ outflow, int32 step, int32 behind, int32 beyond,
                                 float* __restrict__ out, int32 first, int32 end) {
    for (int32 x = first; x < end; ++x)
        out[x] = carried(scale * rate[x], c[x], c[x + step], c[x + behind], c[x + beyond], 1.0f - scale * outflow[x],
                         1.0f - scale * outflow[x + step]);
}

LOOP_FUNCTION void add_faces(const float* __restrict__ east, const float* __restrict__ south,
                             const float* __restrict__ north, const float* __restrict__ below,
                             const float* __restrict__ above, float* __restrict__ sum, int32 n) {
    for (int32 x = 0; x < n; ++x)
        sum[x] = ((east[x] - east[x - 1]) + (south[x] + north[x])) + (below[x] + above[x]);
}

LOOP_FUNCTION void give(const Carried& given, const float* __restrict__ sum, float* __restrict__ out, int32 n) {
    const Carried field = given;
    for (int32 x = 0; x < n; ++x) out[x] = field.without(x, sum[x]);
}

inline void add_side(const FlowRow& row, const Carried& field, int32 side, const FieldSides& sides, float* sum, int32 first,
                     int32 end) {
    const int32 behind = row.behind(side, first);
    for (int32 x = first; x < end; ++x) sum[x] = sum[x] + through_side(row, field, side, x, behind, sides);
}

LOOP_FUNCTION void add_through(const float* __restrict__ permeable, float factor, float* __restrict__ sum, int32 n) {
    for (int32 x = 0; x < n; ++x) sum[x] = sum[x] + permeable[x] * factor;
}

LOOP_FUNCTION void subtract_brought(const float* __restrict__ added, const float* __restrict__ rate,
                                    const float* __restrict__ lost, const float* __restrict__ c, float minutes,
                                    float* __restrict__ sum, int32 n) {
    for (int32 x = 0; x < n; ++x) {
        const float out = sum[x], rest = out - brought_by(added[x], rate[x], c[x], out, minutes);
        sum[x] = lost[x] > fastest_loss ? out : rest;
    }
}

inline void add_fluid(const OfFluid& fluid, const float* c, float minutes, float* sum, int32 n) {
    static thread_local float added[longest_row], rate[longest_row];
    const float *gained = fluid.gained, *taken = fluid.lost;
    for (int32 w = 0; w < fluid.wall_count; ++w) {
        if (fluid.walls[w].field != fluid.field) continue;
        if (gained == fluid.gained) {
            memcpy(added, fluid.gained, n * sizeof(float));
            memcpy(rate, fluid.lost, n * sizeof(float));
            gained = added;
            taken = rate;
        }
        add_through(fluid.permeable + w * fluid.size, fluid.blood(w), added, n);
        add_through(fluid.permeable + w * fluid.size, fluid.walls[w].returns, rate, n);
    }
    subtract_brought(gained, taken, fluid.lost, c, minutes, sum, n);
}

// Row `number` of the i-th field; `follows`: what passed last is of the row before.
inline void advect_row(const FlowRow& row, const Carried& field, const RateRow& rates, const FieldSides& sides,
                       PassedFaces& passed, bool follows, const FacesAbove& faces, int32 number, int32 i,
                       const OfFluid& fluid, float minutes, float* out) {
    static thread_local PaddedRow padded;
    const int32 nx = row.shape.nx;
    const AxisSteps &y = row.in_y, &z = row.in_z;
    const float scale = field.scale;
    memcpy(padded.from(), field.c, nx * sizeof(float));
    padded.close(nx, row.boundary & PERIODIC_X);
    through_faces(padded.from(), rates.east.from(), scale, rates.outflow.from(), 1, -1, 2, passed.east.from(), -1, nx);
    const auto through = [&](const float* rate, int32 step, int32 behind, int32 beyond, float* passed_there) INLINED {
        through_faces(field.c, rate, scale, field.outflow, step, behind, beyond, passed_there, 0, nx);
    };
    if (follows)
        turn(passed.north, passed.south, nx);
    else
        through(rates.south, y.low, y.high, y.second_low, passed.south);
    through(rates.north, y.high, y.low, y.second_high, passed.north);
    float* above = faces.passed(number, i);
    if (row.z > 0 && faces.knows_below(number))
        turn(faces.passed(faces.below(number), i), passed.below, nx);
    else
        through(rates.below, z.low, z.high, z.second_low, passed.below);
    through(rates.above, z.high, z.low, z.second_high, above);
    add_faces(passed.east.from(), passed.south, passed.north, passed.below, above, passed.sum, nx);
    for (int32 side = 0; side < 6 && row.boundary & OPEN; ++side) {
        const int32 first = side == 5 ? nx - 1 : 0, end = side == 4 ? 1 : nx;
        if (row.at_side(side, first)) add_side(row, field, side, sides, passed.sum, first, end);
    }
    if (fluid.lost != nullptr) add_fluid(fluid, field.c, minutes, passed.sum, nx);
    give(field, passed.sum, out, nx);
}
