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

LOOP_FUNCTION void find_courant(const FlowRow& row, float scale, int32 step, float* __restrict__ out, int32 first,
                                int32 end) {
    const Conductance k = row.k;
    const float* p = row.p;
    for (int32 x = first; x < end; ++x) out[x] = scale * (k.face(x, x + step) * (p[x] - p[x + step]));
}

LOOP_FUNCTION void find_stays(const float* __restrict__ outflow, float scale, float* __restrict__ out, int32 n) {
    for (int32 x = 0; x < n; ++x) out[x] = 1.0f - scale * outflow[x];
}

// One of the rows beside a row: Courant numbers of the faces between, out of the row, and 1 - N of its voxels.
struct RowBeside {
    float courant[longest_row], stays[longest_row];
    inline void find(const FlowRow& row, const float* outflow, float scale, int32 step) {
        find_courant(row, scale, step, courant, 0, row.shape.nx);
        find_stays(outflow + step, scale, stays, row.shape.nx);
    }
};

// What fields with one scale share in a row.
struct CourantRow {
    float scale;
    RowLots lots;
    PaddedRow east, stays;
    RowBeside south, north, below, above;

    inline void find(const FlowRow& row, const float* outflow, float new_scale) {
        const int32 nx = row.shape.nx;
        const bool wraps = row.boundary & PERIODIC_X;
        scale = new_scale;
        south.find(row, outflow, scale, row.in_y.low);
        north.find(row, outflow, scale, row.in_y.high);
        below.find(row, outflow, scale, row.in_z.low);
        above.find(row, outflow, scale, row.in_z.high);
        find_courant(row, scale, 1, east.from(), 0, nx - 1);
        east.from()[nx - 1] = scale * row.rate(nx - 1, row.in_x(nx - 1).high);
        east.from()[-1] = -(scale * row.rate(0, row.in_x(0).low));
        find_stays(outflow, scale, stays.from(), nx);
        stays.close(nx, wraps);
    }
};

// What passes the faces of a row, out of its voxels; `east` from the voxel before the first on.
struct PassedFaces {
    PaddedRow east;
    float south[longest_row], north[longest_row], below[longest_row], above[longest_row], sum[longest_row];
};

// What passes the faces towards voxels that are `step` away, out of voxels first to end.
LOOP_FUNCTION void through_faces(const float* __restrict__ c, const float* __restrict__ courant,
                                 const float* __restrict__ stays, const float* __restrict__ stays_beside, int32 step,
                                 int32 behind, int32 beyond, float* __restrict__ out, int32 first, int32 end) {
    for (int32 x = first; x < end; ++x)
        out[x] = carried(courant[x], c[x], c[x + step], c[x + behind], c[x + beyond], stays[x], stays_beside[x]);
}

LOOP_FUNCTION void turn(const float* __restrict__ from, float* __restrict__ to, int32 n) {
    for (int32 x = 0; x < n; ++x) to[x] = -from[x];
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

// A row of a field; `follows`: what passed last is of the row before.
inline void advect_row(const FlowRow& row, const Carried& field, const CourantRow& courant, const FieldSides& sides,
                       PassedFaces& passed, bool follows, float* out) {
    static thread_local PaddedRow padded;
    const int32 nx = row.shape.nx;
    const AxisSteps &y = row.in_y, &z = row.in_z;
    const float *c = field.c, *stays = courant.stays.from();
    memcpy(padded.from(), c, nx * sizeof(float));
    padded.close(nx, row.boundary & PERIODIC_X);
    through_faces(padded.from(), courant.east.from(), stays, stays + 1, 1, -1, 2, passed.east.from(), -1, nx);
    const auto through = [&](const RowBeside& beside, int32 step, int32 behind, int32 beyond, float* passed_there) INLINED {
        through_faces(c, beside.courant, stays, beside.stays, step, behind, beyond, passed_there, 0, nx);
    };
    if (follows)
        turn(passed.north, passed.south, nx);
    else
        through(courant.south, y.low, y.high, y.second_low, passed.south);
    through(courant.north, y.high, y.low, y.second_high, passed.north);
    through(courant.below, z.low, z.high, z.second_low, passed.below);
    through(courant.above, z.high, z.low, z.second_high, passed.above);
    add_faces(passed.east.from(), passed.south, passed.north, passed.below, passed.above, passed.sum, nx);
    if (row.boundary & OPEN) {
        const bool all = at_open_side(row.boundary, 0, row.z, row.shape.nz) ||
                         at_open_side(row.boundary, 2, row.y, row.shape.ny);
        const int32 step = all || nx == 1 ? 1 : nx - 1;
        for (int32 x = 0; x < nx; x += step) passed.sum[x] = through_sides(row, field, x, sides, passed.sum[x]);
    }
    give(field, passed.sum, out, nx);
}
