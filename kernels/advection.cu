// Advection of fields by the flow of fluid, v = -K grad p.
//
// A face has the rate K / dx^2 (p - p of the voxel beside), 1/min, with the K of the face that p is a solution for: the
// sum over the faces of a voxel is the fluid that it makes. A pass of dt carries the Courant number u = rate * dt out of
// a voxel, or into it, times the concentration at the face,
//
//   c_face = c + (1 - N) least(a, b, ((2 - N) b + (1 + N) a) / 6),
//
// with c of the voxel that the fluid comes from, b the rise from there to the other voxel, a the rise to c from the voxel
// behind, N the sum of the Courant numbers out of the voxel that the fluid comes from, and least() 0 where signs differ.
// Along an axis this is a direct space-time scheme of third order with a limiter like
// Koren's: a shift by one voxel at u = 1. With N instead of u, what is left of the cross derivatives of an oblique flow
// smooths. As c_face is at most (2 - N) c, a voxel gives at most N (2 - N) c, so that nothing becomes negative up to
// N = 1. What passes a face is one number for the voxels on both sides, and sums are rounded by lot, so that nothing gets
// lost. What fluid brings through the walls of vessels, and what these and the lymph take, belongs to a pass, and what they
// take to N.
#include "lots.cuh"
#include "stencil.cuh"

// K / dx^2 of faces, by the tissue states on both sides.
struct Conductance {
    const uint8* tissue;
    const float* table;
    int32 states;
    bool same;
    __device__ inline float face(int32 x, int32 beside) const {
        return same ? *table : table[tissue[x] * states + tissue[beside]];
    }
    __device__ inline float own(int32 x) const { return table[tissue[x] * (states + 1)]; }
};

// Steps from a voxel to those beside it along an axis, and from these to the next; 0 at a closed side.
struct AxisSteps {
    int32 low, high, second_low, second_high;
};

__device__ inline AxisSteps steps_along(int32 i, int32 n, bool wraps, int32 stride) {
    const int32 low = before(i, n, wraps), high = after(i, n, wraps);
    return AxisSteps{low * stride, high * stride, (low + before(i + low, n, wraps)) * stride,
                 (high + after(i + high, n, wraps)) * stride};
}

// A row of the pressure and what lies around it.
struct FlowRow {
    const float* p;
    Conductance k;
    Stack shape;
    int32 boundary, z, y;
    const float *resistance, *far;  // [6], of the sides
    AxisSteps in_z, in_y;

    __device__ inline AxisSteps in_x(int32 x) const { return steps_along(x, shape.nx, boundary & PERIODIC_X, 1); }
    // Out of voxel x, 1/min.
    __device__ inline float rate(int32 x, int32 step) const { return k.face(x, x + step) * (p[x] - p[x + step]); }

    __device__ inline bool at_side(int32 side, int32 x) const {
        const int32 i = side < 2 ? z : side < 4 ? y : x, n = side < 2 ? shape.nz : side < 4 ? shape.ny : shape.nx;
        return i == (side & 1 ? n - 1 : 0) && boundary & FIRST_OPEN << side;
    }
    // Out of voxel x through a side, 1/min.
    __device__ inline float side_rate(int32 side, int32 x) const {
        const float own = k.own(x);
        return 2.0f * own / (1.0f + own * resistance[side]) * (p[x] - far[side]);
    }
    // Calls add(side) for each open side that a voxel touches.
    template <typename Add>
    __device__ inline void at_sides(int32 x, const Add& add) const {
        if (!(boundary & OPEN)) return;
#ifndef GPUSIM_HOST
#pragma unroll 1
#endif
        for (int32 side = 0; side < 6; ++side)
            if (at_side(side, x)) add(side);
    }
    // From a voxel at a side to the one behind it.
    __device__ inline int32 behind(int32 side, int32 x) const {
        const AxisSteps along = side < 2 ? in_z : side < 4 ? in_y : in_x(x);
        return side & 1 ? along.low : along.high;
    }
};

__device__ inline FlowRow flow_row(const float* pressure, const uint8* tissue, const float* coupling,
                                   const int32* coupling_by, const int32* boundary, const float* resistance,
                                   const float* far, int32 field, int32 states, const Stack& shape, int32 number) {
    const int32 plane = number / shape.ny, z = plane % shape.nz, y = number - plane * shape.ny;
    const int64 start = static_cast<int64>(number) * shape.nx;
    const int32 bits = boundary[field];
    const Conductance k{tissue + start, coupling + static_cast<int64>(field) * states * states, states,
                        coupling_by[field] == UNIFORM};
    return FlowRow{pressure + field * volume(shape) + start,
                   k,
                   shape,
                   bits,
                   z,
                   y,
                   resistance + 6 * field,
                   far + 6 * field,
                   steps_along(z, shape.nz, bits & PERIODIC_Z, shape.ny * shape.nx),
                   steps_along(y, shape.ny, bits & PERIODIC_Y, shape.nx)};
}

// Through the six faces of a voxel, out of it.
struct Rates {
    float west, east, south, north, below, above;
};

__device__ inline Rates rates_of(const FlowRow& row, int32 x) {
    const AxisSteps in_x = row.in_x(x);
    return Rates{row.rate(x, in_x.low),      row.rate(x, in_x.high),     row.rate(x, row.in_y.low),
                 row.rate(x, row.in_y.high), row.rate(x, row.in_z.low), row.rate(x, row.in_z.high)};
}

__device__ inline float outward(float rate) { return rate > 0.0f ? rate : 0.0f; }

// What fluid brings in a pass and takes at a rate, net: at the mean of the concentrations before and after the pass.
__device__ inline float brought_by(float added, float rate, float c, float out, float minutes) {
    return minutes * (added - rate * (c - 0.5f * out)) / (1.0f + 0.5f * (minutes * rate));
}

// What fluid brings a field from the vessels of a row, and what it takes.
struct OfFluid {
    const float *lost, *gained;  // 1/min, unit/min by all but walls to the body; null where there is nothing
    const Wall* walls;
    const float* permeable;  // of the row, by wall, 1/min
    const float* body;
    int64 size;
    int32 field, wall_count, replicates, replicate;

    __device__ inline bool any(int32 x) const { return lost != nullptr && !(lost[x] > fastest_loss); }
    // Net, in a pass in which `out` passes the faces.
    __device__ inline float brought(int32 x, float c, float out, float minutes) const {
        float added = gained[x];
        for (int32 w = 0; w < wall_count; ++w)
            if (walls[w].field == field) added = added + permeable[w * size + x] * blood(w);
        return brought_by(added, taken(x), c, out, minutes);
    }
    __device__ inline float blood(int32 w) const {
        return body[walls[w].quantity * replicates + replicate] * walls[w].dilution;
    }
    // 1/min, of a concentration.
    __device__ inline float taken(int32 x) const {
        float sum = lost[x];
        for (int32 w = 0; w < wall_count; ++w)
            if (walls[w].field == field) sum = sum + permeable[w * size + x] * walls[w].returns;
        return sum;
    }
};

__device__ inline OfFluid of_fluid(const int32* map_slots, const float* first_map, const float* second_map,
                                   const Wall* walls, const float* permeable, const float* body, int32 field,
                                   int32 wall_count, const Stack& shape, int64 row) {
    const int64 size = volume(shape), map = map_slots[field] * size + row;
    const bool any = map_slots[field] >= 0;
    const int32 replicate = static_cast<int32>(row / (static_cast<int64>(shape.nz) * shape.ny * shape.nx));
    return OfFluid{any ? first_map + map : nullptr, any ? second_map + map : nullptr, walls, permeable + row, body, size,
                   field, wall_count, shape.replicates, replicate};
}

// The sum of the rates out of each voxel, with what fluid takes of the field of which it takes most, and the largest of each
// row. Blocks: replicates x nz x ny rows.
extern "C" __global__ void measure_outflow(
    // model:
    const int32* __restrict__ active,       // [advected], the fields that are
    const float* __restrict__ speeds,       // [F], relative to that of the fluid
    const Wall* __restrict__ walls,         // [wall_count]
    const int32* __restrict__ map_slots,    // [F]
    const float* __restrict__ coupling,    // [F, tissue_states, tissue_states], K / dx^2 for the pressure
    const int32* __restrict__ coupling_by, // [F]
    const int32* __restrict__ boundary,    // [F]
    const float* __restrict__ resistance,  // [F, 6]
    const float* __restrict__ far,         // [F, 6]
    // state in:
    const float* __restrict__ fields,  // [F, R, z, y, x]
    const uint8* __restrict__ tissue,  // [R, z, y, x], that the pressure was solved for
    const float* __restrict__ first_map,  // [maps, R, z, y, x], what fluid takes, 1/min, but through walls to the body
    const float* __restrict__ permeable,  // [wall_count, R, z, y, x], 1/min
    // state out:
    float* __restrict__ outflow,  // [R, z, y, x], 1/min
    float* __restrict__ fastest,  // [R, z, y, 1]
    // numbers:
    int32 pressure,  // number of the field
    // sizes:
    int32 advected, int32 wall_count, int32 replicates, int32 nz, int32 ny, int32 nx, int32 tissue_states) {
    const Stack shape{replicates, nz, ny, nx};
    const FlowRow row = flow_row(fields, tissue, coupling, coupling_by, boundary, resistance, far, pressure,
                                 tissue_states, shape, blockIdx.x);
    float* out = outflow + static_cast<int64>(blockIdx.x) * nx;
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
        const Rates r = rates_of(row, x);
        float sum = ((outward(r.west) + outward(r.east)) + (outward(r.south) + outward(r.north))) +
                    (outward(r.below) + outward(r.above));
        row.at_sides(x, [&](int32 side) INLINED { sum = sum + outward(row.side_rate(side, x)); });
        float most = 0.0f;
        for (int32 i = 0; i < advected; ++i) {
            const int32 f = active[i];
            const OfFluid fluid = of_fluid(map_slots, first_map, first_map, walls, permeable, nullptr, f, wall_count, shape,
                                           static_cast<int64>(blockIdx.x) * nx);
            const float taken = fluid.any(x) ? fluid.taken(x) / speeds[f] : 0.0f;
            most = taken > most ? taken : most;
        }
        out[x] = sum + most;
    }
    __syncthreads();
    if (threadIdx.x > 0) return;
    float most = 0.0f;
    for (int32 x = 0; x < nx; ++x) most = out[x] > most ? out[x] : most;
    fastest[blockIdx.x] = most;
}
ENTRY(measure_outflow)

constexpr int32 most_together = 8;  // rows of a block
constexpr float sixth = 0.16666667f;

__device__ inline float nearer_to_0(float one, float other) { return fabsf(one) < fabsf(other) ? one : other; }

// The nearer to 0 of two numbers of one sign, else 0. A product of small ones would fall short of normal numbers, with which
// processors are slow.
__device__ inline float least(float one, float other) {
    return (one > 0.0f) == (other > 0.0f) ? nearer_to_0(one, other) : 0.0f;
}

// What a face carries out of a voxel: `u` is its Courant number, `behind` the voxel on the other side, `beyond` the next
// after the one beside; of each the concentration. `stays`: 1 - N, of the voxel and of the one beside.
__device__ inline float carried(float u, float here, float beside, float behind, float beyond, float stays,
                                float stays_beside) {
    const bool out = u > 0.0f;
    const float from = out ? here : beside, to = out ? beside : here, last = out ? behind : beyond;
    const float rise = to - from, before = from - last, left = out ? stays : stays_beside;
    const float third_order = sixth * ((1.0f + left) * rise + (2.0f - left) * before);
    const bool one_sign = (rise > 0.0f) == (before > 0.0f);  // which is then that of third_order
    return u * (from + left * (one_sign ? nearer_to_0(nearer_to_0(rise, before), third_order) : 0.0f));
}

// A field in a row: concentrations, the outflow of its voxels, and by how much rates become Courant numbers.
struct Carried {
    const float *c, *outflow;
    float scale;
    RowLots lots;
    // What a voxel holds after it has given `out`.
    __device__ inline float without(int32 x, float out) const { return held(sum_by_lot(c[x], -out, lots.at(x))); }
    // What passes the face towards a voxel that is `step` away, out of voxel x.
    __device__ inline float through(int32 x, float rate, int32 step, int32 behind, int32 beyond) const {
        return carried(scale * rate, c[x], c[x + step], c[x + behind], c[x + beyond], 1.0f - scale * outflow[x],
                       1.0f - scale * outflow[x + step]);
    }
    __device__ inline float along(int32 x, float low, float high, const AxisSteps& steps) const {
        return through(x, low, steps.low, steps.high, steps.second_low) +
               through(x, high, steps.high, steps.low, steps.second_high);
    }
    __device__ inline float out_of(int32 x, const Rates& r, const AxisSteps& in_x, const AxisSteps& in_y,
                                   const AxisSteps& in_z) const {
        const float by_x = along(x, r.west, r.east, in_x), by_y = along(x, r.south, r.north, in_y);
        return (by_x + by_y) + along(x, r.below, r.above, in_z);
    }
};

// The sides as a field meets them.
struct FieldSides {
    int32 boundary;
    const float *resistance, *far;  // [6]
    // The rise to as far beyond a side as a voxel lies before it, where the concentration at the side is fixed.
    __device__ inline float rise(int32 side, float here) const {
        const bool fixed = boundary & FIRST_OPEN << side && resistance[side] == 0.0f;
        return fixed ? 2.0f * (far[side] - here) : 0.0f;
    }
};

// What passes a side, out of voxel x; `behind` is a step, as of FlowRow.
__device__ inline float through_side(const FlowRow& row, const Carried& field, int32 side, int32 x, int32 behind,
                                     const FieldSides& sides) {
    const float here = field.c[x], rate = row.side_rate(side, x);
    const float stays = 1.0f - field.scale * field.outflow[x];
    const float at_side = here + stays * (0.5f * least(sides.rise(side, here), here - field.c[x + behind]));
    return field.scale * rate * (rate > 0.0f ? at_side : sides.far[side]);
}

#ifdef GPUSIM_HOST
#include "host/advection.hpp"
#endif

// A pass over all advected fields. Blocks: replicates x nz x ny / block_rows.
extern "C" __global__ void advect(
    // model:
    const int32* __restrict__ active,       // [advected], the fields that are
    const float* __restrict__ scales,      // [F, R], Courant number of a pass for each 1/min of a rate
    const int32* __restrict__ passes,      // [R], of a step
    const float* __restrict__ minutes,     // [R], of a pass
    const Wall* __restrict__ walls,        // [wall_count]
    const int32* __restrict__ map_slots,   // [F]
    const float* __restrict__ coupling,    // [F, tissue_states, tissue_states], K / dx^2 for the pressure
    const int32* __restrict__ coupling_by, // [F]
    const int32* __restrict__ boundary,    // [F]
    const float* __restrict__ resistance,  // [F, 6]
    const float* __restrict__ far,         // [F, 6]
    const uint64* __restrict__ seeds,      // [R]
    // state in:
    const float* fields,                // [F, R, z, y, x], of which the pressure is read
    const uint8* __restrict__ tissue,   // [R, z, y, x], that the pressure was solved for
    const float* __restrict__ outflow,  // [R, z, y, x], 1/min
    const float* __restrict__ body,        // [quantities, R]
    const float* __restrict__ first_map,   // [maps, R, z, y, x], what fluid takes, 1/min, but through walls to the body
    const float* __restrict__ second_map,  // [maps, R, z, y, x], what it brings, unit/min, likewise
    const float* __restrict__ permeable,   // [wall_count, R, z, y, x], 1/min
    const float* source,                // [F, R, z, y, x]
    // state out:
    float* target,  // [F, R, z, y, x]
    // numbers:
    int32 pressure,  // number of the field
    int32 number,    // of the pass, from 1
    uint32 step, uint32 purpose,
    // sizes:
    uint64 origin,  // index of the first voxel here in the whole lattice
    int32 advected, int32 wall_count, int32 block_rows, int32 replicates, int32 nz, int32 ny, int32 nx,
    int32 tissue_states) {
    const Stack shape{replicates, nz, ny, nx};
    const int32 first = blockIdx.x * block_rows, all = replicates * nz * ny;
    const int32 rows = first + block_rows < all ? block_rows : all - first;
    const auto row_of = [&](int32 r) INLINED {
        return flow_row(fields, tissue, coupling, coupling_by, boundary, resistance, far, pressure, tissue_states, shape,
                        first + r);
    };
    const auto lots_of = [&](int32 r) INLINED {
        const int32 replicate = (first + r) / (nz * ny);
        const uint64 offset = origin - row_start(shape, replicate, 0, 0);
        const Draw draw{seeds[replicate], offset, static_cast<uint32>(number), purpose};
        return RowLots(draw, static_cast<int64>(first + r) * nx, step, number);
    };
    const auto field_of = [&](int32 f, int32 r, const RowLots& lots) INLINED {
        const int64 start = static_cast<int64>(first + r) * nx;
        const float scale = scales[f * replicates + (first + r) / (nz * ny)];
        return Carried{source + f * volume(shape) + start, outflow + start, scale, lots};
    };
    const auto sides_of = [&](int32 f) INLINED { return FieldSides{boundary[f], resistance + 6 * f, far + 6 * f}; };
    const auto fluid_of = [&](int32 f, int32 r) INLINED {
        return of_fluid(map_slots, first_map, second_map, walls, permeable, body, f, wall_count, shape,
                        static_cast<int64>(first + r) * nx);
    };
    const auto minutes_of = [&](int32 r) INLINED { return minutes[(first + r) / (nz * ny)]; };
    const auto passes_now = [&](int32 r) INLINED { return number <= passes[(first + r) / (nz * ny)]; };
    const auto out_of = [&](int32 f, int32 r) INLINED {
        return target + f * volume(shape) + static_cast<int64>(first + r) * nx;
    };
#ifdef GPUSIM_HOST
    static thread_local RateRow rates[most_together];
    static thread_local PassedFaces passed;
    static thread_local std::vector<float> room;
    const FacesAbove faces(room, shape, advected, share.first * block_rows);
    for (int32 i = 0; i < advected; ++i)
        for (int32 r = 0, before = -2; r < rows; ++r) {
            if (!passes_now(r)) continue;
            const FlowRow row = row_of(r);
            const bool follows = before == r - 1 && row.y > 0;
            if (i == 0) {
                rates[r].lots = lots_of(r);
                rates[r].find(row, outflow + static_cast<int64>(first + r) * nx, follows ? &rates[r - 1] : nullptr, faces,
                              first + r);
            }
            const Carried field = field_of(active[i], r, rates[r].lots);
            advect_row(row, field, rates[r], sides_of(active[i]), passed, follows, faces, first + r, i,
                       fluid_of(active[i], r), minutes_of(r), out_of(active[i], r));
            before = r;
        }
#else
    for (int32 r = 0; r < rows; ++r) {
        if (!passes_now(r)) continue;
        const FlowRow row = row_of(r);
        const RowLots lots = lots_of(r);
        for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
            const Rates of_voxel = rates_of(row, x);
            for (int32 i = 0; i < advected; ++i) {
                const int32 f = active[i];
                const Carried field = field_of(f, r, lots);
                const FieldSides sides = sides_of(f);
                float out = field.out_of(x, of_voxel, row.in_x(x), row.in_y, row.in_z);
                row.at_sides(x, [&](int32 side) INLINED {
                    out = out + through_side(row, field, side, x, row.behind(side, x), sides);
                });
                const OfFluid fluid = fluid_of(f, r);
                if (fluid.any(x)) out = out - fluid.brought(x, field.c[x], out, minutes_of(r));
                out_of(f, r)[x] = field.without(x, out);
            }
        }
    }
#endif
}
ENTRY(advect)
