// Implicit diffusion: geometric multigrid for
//
//   mass * c - sum over faces coupling * (c_neighbour - c) = rhs,
//
// mass = 1 + dt * loss by the cells of the voxel and through open sides, coupling = dt D / dx^2 (a
// quarter of it a level further; where D varies, the mean of the children, harmonic across faces).
// Smoothing goes by colours in place: a voxel of one colour reads only others, so the order can't
// matter. Coarse voxels take the mean of their (up to 8) children; corrections come back by weights 3/4
// and 1/4 along each axis. The exact solution of a step is never negative, so neither is what a
// correction leaves.
//
// On the finest level mass and coupling come from tables by cell state, on coarser ones from arrays. Arrays of coarse
// levels have a slot for each field that is solved by cycles, [slots, R, z, y, x]; those whose D varies come first.
#include "stencil.cuh"

// A sink stronger than what diffusion brings to it takes no more than that: without the limit, one
// such voxel would clamp its whole coarse voxel. (And 1, so that a field which does not move keeps its mass.)
template <typename Mass, typename Coupling>
struct LimitedMass {
    Mass mass;
    Coupling coupling;
    __device__ inline float at(int32 x) const {
        const float m = mass.at(x), supply = 6.0f * coupling.own(x) + 1.0f;
        return m * supply / (m + supply);
    }
};

struct OwnCoupling {
    StateCoupling coupling;
    __device__ inline float at(int32 x) const { return coupling.own(x); }
};

// Concentrations are never negative; corrections may be.
constexpr float any_value = -3.0e38f;

template <typename Coupling>
__device__ inline float residual(const Row<Coupling>& row, float rhs, float mass, const Weights& x_weights,
                                 int32 x, int32 left, int32 right) {
    return (rhs - mass * row.here[x]) + row.inflow(x_weights, x, left, right);
}

template <typename Coupling>
__device__ inline float smoothed(const Row<Coupling>& row, float rhs, float mass, const Weights& x_weights,
                                 float lowest, int32 x, int32 left, int32 right) {
    const float diagonal = mass + row.outflow(x_weights, x, left, right);
    const float value = row.here[x] + residual(row, rhs, mass, x_weights, x, left, right) / diagonal;
    return value > lowest ? value : lowest;
}

// Colours along an axis differ between neighbours. Around an odd periodic axis two are not enough.
__device__ inline bool third_colour(int32 n, bool wraps) { return wraps && n > 1 && (n & 1); }

__device__ inline int32 colour_along(int32 i, int32 n, bool wraps) {
    return third_colour(n, wraps) && i == n - 1 ? 2 : i & 1;
}

// The colour along x that makes a voxel of this row one of `colour`: the sum over the axes.
template <typename Coupling>
__device__ inline int32 colour_in(const Row<Coupling>& row, int32 colour) {
    const bool wraps_z = row.boundary & PERIODIC_Z, wraps_y = row.boundary & PERIODIC_Y;
    const Stack& n = row.shape;
    const int32 colours =
        third_colour(n.nz, wraps_z) || third_colour(n.ny, wraps_y) || third_colour(n.nx, row.wraps()) ? 3 : 2;
    const int32 of_row = colour_along(row.z, n.nz, wraps_z) + colour_along(row.y, n.ny, wraps_y);
    return (colour + 2 * colours - of_row) % colours;
}

// A row that no other thread reads or writes meanwhile: it goes in whole vectors, and the voxels of other
// colours are written back as they were.
template <typename Coupling, typename Mass>
LOOP_FUNCTION void smooth_whole_row(const Row<Coupling>& row, float* c, const float* __restrict__ rhs,
                                    const Mass& mass, float lowest, int32 mine) {
    const Weights one{1.0f, 1.0f};
    along(
        row.shape.nx, row.span(),
        [&](int32 x) INLINED {
            const float value = smoothed(row, rhs[x], mass.at(x), one, lowest, x, x - 1, x + 1);
            return (x & 1) == mine ? value : c[x];
        },
        [&](int32 x) INLINED {
            if (colour_along(x, row.shape.nx, row.wraps()) != mine) return c[x];
            return smoothed(row, rhs[x], mass.at(x) + row.border_rate(x), row.in_x(x), lowest, x, row.left(x),
                            row.right(x));
        },
        [&](int32 x, float value) INLINED { c[x] = value; });
}

// A row among others that change at the same time: what is not of the colour is only read, and only what
// lies beside a voxel of the colour.
template <typename Coupling, typename Mass>
LOOP_FUNCTION void smooth_colour(const Row<Coupling>& row, float* c, const float* __restrict__ rhs,
                                 const Mass& mass, float lowest, int32 mine) {
    const int32 nx = row.shape.nx;
    const auto anywhere = [&](int32 x) INLINED {
        if (colour_along(x, nx, row.wraps()) != mine) return;
        c[x] = smoothed(row, rhs[x], mass.at(x) + row.border_rate(x), row.in_x(x), lowest, x, row.left(x),
                        row.right(x));
    };
#ifdef GPUSIM_HOST
    const Span span = row.span();
    if (nx > 3 && !span.one_by_one) {
        const Weights one{1.0f, 1.0f};
        const int32 end = nx - 1 - int32(span.narrow), first = mine == 0 ? 2 : 1;
        const int32 count = mine < 2 ? (end - first + 1) / 2 : 0;
        INDEPENDENT_ITERATIONS
        for (int32 i = 0; i < count; ++i) {
            const int32 x = first + 2 * i;
            c[x] = smoothed(row, rhs[x], mass.at(x), one, lowest, x, x - 1, x + 1);
        }
        anywhere(0);
        if (span.narrow) anywhere(nx - 2);
        anywhere(nx - 1);
        return;
    }
#endif
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) anywhere(x);
}

template <typename Coupling, typename Mass>
__device__ inline void smooth_row(const Row<Coupling>& row, float* c, const float* __restrict__ rhs,
                                  const Mass& mass, float lowest, int32 colour) {
    const int32 mine = colour_in(row, colour);
#ifdef GPUSIM_HOST
    if (alone_with_neighbours(row)) return smooth_whole_row(row, c, rhs, mass, lowest, mine);
#endif
    smooth_colour(row, c, rhs, mass, lowest, mine);
}

// Two children along x, by their widths.
__device__ inline float pair(float first, float second, int32 x, int32 nx, float last_width) {
    return x + 1 == nx - 1 ? first + second * last_width : first + second;
}

// Adds the residuals of one fine row, by its weight, into the coarse row.
template <typename Coupling, typename Mass>
LOOP_FUNCTION void add_residuals(const Row<Coupling>& row, const float* __restrict__ rhs,
                                     const Mass& mass, float weight, float* __restrict__ coarse) {
    const Weights one{1.0f, 1.0f};
    const int32 nx = row.shape.nx;
    const int32 coarse_nx = (nx + 1) / 2;
    along(
        coarse_nx, Span{1, coarse_nx - 1, row.widths.x != 1.0f, row.at_border()},
        [&](int32 i) INLINED {
            const int32 x = 2 * i;
            const float first = residual(row, rhs[x], mass.at(x), one, x, x - 1, x + 1);
            const float second = residual(row, rhs[x + 1], mass.at(x + 1), one, x + 1, x, x + 2);
            return coarse[i] + weight * (first + second);
        },
        [&](int32 i) INLINED {
            const auto at = [&](int32 x) INLINED {
                return residual(row, rhs[x], mass.at(x) + row.border_rate(x), row.in_x(x), x, row.left(x),
                                row.right(x));
            };
            const int32 x = 2 * i;
            float sum = at(x);
            if (x < nx - 1) sum = pair(sum, at(x + 1), x, nx, row.widths.x);
            return coarse[i] + weight * sum;
        },
        [&](int32 i, float value) INLINED { coarse[i] = value; });
}

// Adds the values of one fine row, by its weight, into the coarse row.
template <typename Values>
__device__ inline void add_values(const Values& values, float weight, float* __restrict__ coarse, int32 nx,
                                  float last_width) {
    for (int32 i = threadIdx.x; i < (nx + 1) / 2; i += blockDim.x) {
        const int32 x = 2 * i;
        float sum = values.at(x);
        if (x < nx - 1) sum = pair(sum, values.at(x + 1), x, nx, last_width);
        coarse[i] = coarse[i] + weight * sum;
    }
}

// Sums over children become their mean by volume; an only child of the last voxel weighs 1.
__device__ inline void divide_by_weight(float* coarse, float rows_weight, int32 nx, float last_width) {
#ifdef GPUSIM_HOST
    if (last_width == 1.0f) {  // whole vectors
        const float of_pair = rows_weight * 2.0f;
        for (int32 i = 0; i < nx / 2; ++i) coarse[i] = coarse[i] / of_pair;
        if (nx & 1) coarse[nx / 2] = coarse[nx / 2] / rows_weight;
        return;
    }
#endif
    for (int32 i = threadIdx.x; i < (nx + 1) / 2; i += blockDim.x) {
        const int32 x = 2 * i;
        const float along = x < nx - 1 ? pair(1.0f, 1.0f, x, nx, last_width) : 1.0f;
        coarse[i] = coarse[i] / (rows_weight * along);
    }
}

// Weight of child 2 i or 2 i + 1 along an axis among its siblings.
__device__ inline float child_weight(int32 child, int32 n, float last_width) {
    return (child & 1) && child == n - 1 ? last_width : 1.0f;
}

__device__ inline void clear_row(float* row, int32 nx) {
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) row[x] = 0.0f;
}

// Where the block's row starts in an array of a coarse level.
__device__ inline int64 start_in_slot(const int32* slots, const Place& at, const Stack& shape) {
    return slots[at.field] * volume(shape) + at.row;
}

__device__ inline Stack coarse_shape(const Stack& fine) {
    return Stack{fine.replicates, (fine.nz + 1) / 2, (fine.ny + 1) / 2, (fine.nx + 1) / 2};
}

// The mean over the children of a coarse row: add(start, z, y, weight) adds one fine row of them into `out`.
template <typename Add>
__device__ inline void mean_of_children(const Stack& fine, const Widths& widths, const Place& at,
                                        float* out, const Add& add) {
    clear_row(out, (fine.nx + 1) / 2);
    float weights = 0.0f;
    for (int32 z = 2 * at.z; z < 2 * at.z + 2 && z < fine.nz; ++z)
        for (int32 y = 2 * at.y; y < 2 * at.y + 2 && y < fine.ny; ++y) {
            const float weight = child_weight(z, fine.nz, widths.z) * child_weight(y, fine.ny, widths.y);
            __syncthreads();
            add(row_start(fine, at.replicate, z, y), z, y, weight);
            weights = weights + weight;
        }
    __syncthreads();
    divide_by_weight(out, weights, fine.nx, widths.x);
}

// A row of a level with the weights of its faces, those at a side included: the smoother adds them up.
template <typename Coupling>
__device__ inline Row<Coupling> weighted_row(const float* here, const Coupling& coupling,
                                             const Stack& shape, const Widths& widths, float edge,
                                             int32 boundary, const float* resistance, int32 z, int32 y) {
    Row<Coupling> row = finest_row(here, coupling, shape, boundary, resistance, z, y);
    row.widths = widths;
    row.edge = edge;
    row.in_z = weights_at(z, shape.nz, widths.z, boundary & PERIODIC_Z);
    row.in_y = weights_at(y, shape.ny, widths.y, boundary & PERIODIC_Y);
    return row;
}

// Passes on the row with the coupling that it has on the finest level.
template <typename Use>
__device__ inline void with_states(const float* here, const float* faces, int32 coupling_by,
                                   const Cells& cells, const Stack& shape, int32 boundary,
                                   const float* resistance, int32 z, int32 y, const Use& use) {
    if (coupling_by == UNIFORM)
        use(weighted_row(here, SameCoupling{*faces}, shape, even(), 1.0f, boundary, resistance, z, y));
    else
        use(weighted_row(here, StateCoupling{cells.tissue, faces, cells.tissue_states}, shape, even(), 1.0f,
                         boundary, resistance, z, y));
}

// The same on a coarser level.
template <typename Use>
__device__ inline void with_means(const float* here, const float* faces, int32 coupling_by,
                                  const float* means, const Stack& shape, const Widths& widths, float edge,
                                  int32 boundary, const float* resistance, int32 z, int32 y, const Use& use) {
    const float scale = 1.0f / (edge * edge);
    if (coupling_by == UNIFORM)
        use(weighted_row(here, SameCoupling{*faces * scale}, shape, widths, edge, boundary, resistance, z,
                         y));
    else
        use(weighted_row(here, MeanCoupling{means, scale}, shape, widths, edge,
                         boundary, resistance, z, y));
}

// Passes on what a row, which begins at `start` of the lattice, finds in a map, or else in a table.
template <typename Use>
__device__ inline void with_mass(const Cells& cells, const float* table, const float* map, int64 start,
                                 int32 exchange_by, const Use& use) {
    if (map != nullptr)
        use(MapAt{map + start});
    else if (exchange_by == UNIFORM)
        use(TableAt<UNIFORM>{cells, table});
    else if (exchange_by == TISSUE)
        use(TableAt<TISSUE>{cells, table});
    else
        use(TableAt<TISSUE_AND_IMMUNE>{cells, table});
}

// rhs = from_c * c + from_rhs * rhs + from_gain * (gain by cells, and inflow through open sides), not below zero. Where
// from_rhs is not 0, it is 1 - from_c and from_gain is from_c: then as what is added to rhs, so that no digits are lost
// of what two stages differ by. Blocks: (active fields) x replicates x nz x ny rows.
extern "C" __global__ void combine(
    // model:
    const int32* __restrict__ active,      // [active]
    const float* __restrict__ gain,        // [F, tissue_states, immune_states]
    const int32* __restrict__ map_slots,   // [F]
    const float* __restrict__ coupling,    // [F, tissue_states, tissue_states]
    const int32* __restrict__ boundary,    // [F]
    const float* __restrict__ resistance,  // [F, 6]
    const float* __restrict__ far,         // [F, 6]
    // state in:
    const float* __restrict__ c,           // [F, R, z, y, x]
    const uint8* __restrict__ tissue,      // [R, z, y, x]
    const uint8* __restrict__ immune,      // [R, z, y, x]
    const float* __restrict__ second_map,  // [maps, R, z, y, x] of gain
    // state out:
    float* __restrict__ rhs,  // [F, R, z, y, x]
    // numbers:
    float from_c, float from_rhs, float from_gain,
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx, int32 tissue_states, int32 immune_states) {
    const Stack shape{replicates, nz, ny, nx};
    const Place at = place_of(active, shape);
    const Cells cells{tissue + at.row, immune + at.row, tissue_states, immune_states};
    const float* table = gain + static_cast<int64>(at.field) * tissue_states * immune_states;
    const float* here = c + at.start;
    float* out = rhs + at.start;
    const float* map = map_of(second_map, map_slots[at.field], shape);
    const auto sum = [&](int32 x, float inflow) INLINED {
        const float made = map != nullptr ? map[at.row + x] : table[exchange_index<TISSUE_AND_IMMUNE>(cells, x)];
        const float gained = made + inflow;
        const float value = from_rhs == 0.0f ? from_c * here[x] + from_gain * gained
                                             : out[x] + from_c * ((here[x] - out[x]) + gained);
        return value > 0.0f ? value : 0.0f;
    };
    const float* faces = coupling + static_cast<int64>(at.field) * tissue_states * tissue_states;
    // The own coupling of a voxel is all that is needed here: the table has it whether D varies or not.
    const auto row = finest_row(here, StateCoupling{cells.tissue, faces, tissue_states}, shape,
                                boundary[at.field], resistance + 6 * at.field, at.z, at.y);
    along(
        nx, Span{0, nx, false, row.at_border()}, [&](int32 x) INLINED { return sum(x, 0.0f); },
        [&](int32 x) INLINED { return sum(x, row.border(x, far + 6 * at.field).inflow); },
        [&](int32 x, float value) INLINED { out[x] = value; });
}
ENTRY(combine)

// One colour of a smoothing sweep on the finest level. Blocks: (active fields) x replicates x nz x ny rows.
extern "C" __global__ void smooth_finest(
    // model:
    const int32* __restrict__ active,       // [active]
    const float* __restrict__ mass,         // [F, tissue_states, immune_states]
    const int32* __restrict__ exchange_by,  // [F]
    const int32* __restrict__ map_slots,    // [F] of the maps, which go before the table
    const float* __restrict__ coupling,     // [F, tissue_states, tissue_states]
    const int32* __restrict__ coupling_by,  // [F]
    const int32* __restrict__ boundary,     // [F]
    const float* __restrict__ resistance,   // [F, 6]
    // state in:
    const float* __restrict__ rhs,        // [F, R, z, y, x]
    const uint8* __restrict__ tissue,     // [R, z, y, x]
    const uint8* __restrict__ immune,     // [R, z, y, x]
    const float* __restrict__ first_map,  // [maps, R, z, y, x] of mass
    // state out:
    float* c,  // [F, R, z, y, x]
    // numbers:
    float lowest,  // of a solution
    int32 colour,
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx, int32 tissue_states, int32 immune_states) {
    const Stack shape{replicates, nz, ny, nx};
    const Place at = place_of(active, shape);
    const Cells cells{tissue + at.row, immune + at.row, tissue_states, immune_states};
    const float* table = mass + static_cast<int64>(at.field) * tissue_states * immune_states;
    const float* map = map_of(first_map, map_slots[at.field], shape);
    const float* faces = coupling + static_cast<int64>(at.field) * tissue_states * tissue_states;
    with_states(c + at.start, faces, coupling_by[at.field], cells, shape, boundary[at.field],
               resistance + 6 * at.field, at.z, at.y, [&](const auto& row) INLINED {
                   with_mass(cells, table, map, at.row, exchange_by[at.field], [&](const auto& by_cells) INLINED {
                       smooth_row(row, c + at.start, rhs + at.start, by_cells, lowest, colour);
                   });
               });
}
ENTRY(smooth_finest)

// The same on a coarser level, whose voxels are `edge` times as long and the last of them wz, wy, wx wide.
extern "C" __global__ void smooth_coarse(
    // model:
    const int32* __restrict__ active,       // [active]
    const int32* __restrict__ slots,        // [F]
    const float* __restrict__ coupling,     // [F, tissue_states, tissue_states] of the finest level
    const int32* __restrict__ coupling_by,  // [F]
    const int32* __restrict__ boundary,     // [F]
    const float* __restrict__ resistance,   // [F, 6]
    // state in:
    const float* __restrict__ rhs,        // [slots, R, z, y, x]
    const float* __restrict__ mass,       // [slots, R, z, y, x]
    const float* __restrict__ couplings,  // [coupled, R, z, y, x] of fields whose D varies
    // state out:
    float* c,  // [slots, R, z, y, x]
    // numbers:
    int32 colour, float edge, float wz, float wy, float wx,
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx, int32 tissue_states) {
    const Stack shape{replicates, nz, ny, nx};
    const Place at = place_of(active, shape);
    const float* faces = coupling + static_cast<int64>(at.field) * tissue_states * tissue_states;
    const int64 start = start_in_slot(slots, at, shape);
    with_means(c + start, faces, coupling_by[at.field], couplings + start, shape, Widths{wz, wy, wx}, edge,
               boundary[at.field], resistance + 6 * at.field, at.z, at.y, [&](const auto& row) INLINED {
                   smooth_row(row, c + start, rhs + start, MapAt{mass + start}, any_value, colour);
               });
}
ENTRY(smooth_coarse)

// Mean residual of the children becomes the coarse right-hand side, with a zero start for the coarse
// correction. Blocks: (active fields) x coarse rows.
extern "C" __global__ void restrict_finest(
    // model:
    const int32* __restrict__ active,       // [active]
    const int32* __restrict__ slots,        // [F]
    const float* __restrict__ mass,         // [F, tissue_states, immune_states]
    const int32* __restrict__ exchange_by,  // [F]
    const int32* __restrict__ map_slots,    // [F]
    const float* __restrict__ coupling,     // [F, tissue_states, tissue_states]
    const int32* __restrict__ coupling_by,  // [F]
    const int32* __restrict__ boundary,     // [F]
    const float* __restrict__ resistance,   // [F, 6]
    // state in:
    const float* __restrict__ c,          // [F, R, z, y, x]
    const float* __restrict__ rhs,        // [F, R, z, y, x]
    const uint8* __restrict__ tissue,     // [R, z, y, x]
    const uint8* __restrict__ immune,     // [R, z, y, x]
    const float* __restrict__ first_map,  // [maps, R, z, y, x] of mass
    // state out:
    float* __restrict__ coarse_c,    // [slots, R, cz, cy, cx]
    float* __restrict__ coarse_rhs,  // [slots, R, cz, cy, cx]
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx, int32 tissue_states, int32 immune_states) {
    const Stack fine{replicates, nz, ny, nx};
    const Place at = place_of(active, coarse_shape(fine));
    const int64 above = start_in_slot(slots, at, coarse_shape(fine));
    const int64 field = at.field * volume(fine);
    const float* table = mass + static_cast<int64>(at.field) * tissue_states * immune_states;
    const float* map = map_of(first_map, map_slots[at.field], fine);
    const float* faces = coupling + static_cast<int64>(at.field) * tissue_states * tissue_states;
    float* out = coarse_rhs + above;
    clear_row(coarse_c + above, (nx + 1) / 2);
    mean_of_children(fine, even(), at, out, [&](int64 start, int32 z, int32 y, float weight) INLINED {
        const Cells cells{tissue + start, immune + start, tissue_states, immune_states};
        with_states(c + field + start, faces, coupling_by[at.field], cells, fine, boundary[at.field],
                   resistance + 6 * at.field, z, y,
                   [&](const auto& row) INLINED {
                       with_mass(cells, table, map, start, exchange_by[at.field], [&](const auto& by_cells) INLINED {
                           add_residuals(row, rhs + field + start, by_cells, weight, out);
                       });
                   });
    });
}
ENTRY(restrict_finest)

// The same between coarser levels.
extern "C" __global__ void restrict_coarse(
    // model:
    const int32* __restrict__ active,       // [active]
    const int32* __restrict__ slots,        // [F]
    const float* __restrict__ coupling,     // [F, tissue_states, tissue_states] of the finest level
    const int32* __restrict__ coupling_by,  // [F]
    const int32* __restrict__ boundary,     // [F]
    const float* __restrict__ resistance,   // [F, 6]
    // state in:
    const float* __restrict__ c,          // [slots, R, z, y, x]
    const float* __restrict__ rhs,        // [slots, R, z, y, x]
    const float* __restrict__ mass,       // [slots, R, z, y, x]
    const float* __restrict__ couplings,  // [coupled, R, z, y, x]
    // state out:
    float* __restrict__ coarse_c,    // [slots, R, cz, cy, cx]
    float* __restrict__ coarse_rhs,  // [slots, R, cz, cy, cx]
    // numbers:
    float edge, float wz, float wy, float wx,
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx, int32 tissue_states) {
    const Stack fine{replicates, nz, ny, nx};
    const Widths widths{wz, wy, wx};
    const Place at = place_of(active, coarse_shape(fine));
    const int64 slot = slots[at.field] * volume(fine), above = start_in_slot(slots, at, coarse_shape(fine));
    const float* faces = coupling + static_cast<int64>(at.field) * tissue_states * tissue_states;
    float* out = coarse_rhs + above;
    clear_row(coarse_c + above, (nx + 1) / 2);
    mean_of_children(fine, widths, at, out, [&](int64 row, int32 z, int32 y, float weight) INLINED {
        const int64 start = slot + row;
        with_means(c + start, faces, coupling_by[at.field], couplings + start, fine, widths, edge,
                   boundary[at.field], resistance + 6 * at.field, z, y, [&](const auto& row) INLINED {
                       add_residuals(row, rhs + start, MapAt{mass + start}, weight, out);
                   });
    });
}
ENTRY(restrict_coarse)

#ifdef GPUSIM_HOST
// As `add_values`, for voxels of one width.
LOOP_FUNCTION void add_pairs(const float* __restrict__ values, float weight, float* __restrict__ coarse, int32 nx) {
    for (int32 i = 0; i < nx / 2; ++i) coarse[i] = coarse[i] + weight * (values[2 * i] + values[2 * i + 1]);
    if (nx & 1) coarse[nx / 2] = coarse[nx / 2] + weight * values[nx - 1];
}

// All coarse rows of a share that belong to the field of the first one: means of what a table gives to their children.
static inline void means_of_rows(const Stack& fine, const int32* active, const int32* slots, Place at, float* coarse,
                                 RowOfTable& values) {
    const Stack shape = coarse_shape(fine);
    const int32 field = at.field;
    for (;;) {
        float* out = coarse + start_in_slot(slots, at, shape);
        mean_of_children(fine, even(), at, out, [&](int64 start, int32, int32, float weight) INLINED {
            add_pairs(values.from(start, fine.nx).values, weight, out, fine.nx);
        });
        if (++blockIdx.x == blockEnd) return;
        at = place_of(active, shape);
        if (at.field != field) break;
    }
    blockEnd = blockIdx.x;  // the next call begins there
}
#endif

// Mean mass of the children. Blocks: (active fields) x coarse rows.
extern "C" __global__ void restrict_mass(
    // model:
    const int32* __restrict__ active,     // [active]
    const int32* __restrict__ slots,      // [F]
    const float* __restrict__ mass,       // [F, tissue_states, immune_states]
    const int32* __restrict__ map_slots,  // [F]
    const float* __restrict__ coupling,   // [F, tissue_states, tissue_states]
    // state in:
    const uint8* __restrict__ tissue,     // [R, z, y, x]
    const uint8* __restrict__ immune,     // [R, z, y, x]
    const float* __restrict__ first_map,  // [maps, R, z, y, x] of mass
    // state out:
    float* __restrict__ coarse,  // [slots, R, cz, cy, cx]
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx, int32 tissue_states, int32 immune_states) {
    const Stack fine{replicates, nz, ny, nx};
    const Place at = place_of(active, coarse_shape(fine));
    const float* table = mass + static_cast<int64>(at.field) * tissue_states * immune_states;
    const float* map = map_of(first_map, map_slots[at.field], fine);
    const float* faces = coupling + static_cast<int64>(at.field) * tissue_states * tissue_states;
    float* out = coarse + start_in_slot(slots, at, coarse_shape(fine));
#ifdef GPUSIM_HOST
    if (map == nullptr) {  // limited by states, once for all rows of the field
        std::vector<float> limited(static_cast<std::size_t>(tissue_states) * immune_states);
        for (int32 i = 0; i < tissue_states * immune_states; ++i) {
            const uint8 state = static_cast<uint8>(i / immune_states);
            limited[i] = LimitedMass<MapAt, StateCoupling>{{table + i}, {&state, faces, tissue_states}}.at(0);
        }
        RowOfTable values({tissue, immune, tissue_states, immune_states}, limited.data(), nullptr, TISSUE_AND_IMMUNE, nx);
        means_of_rows(fine, active, slots, at, coarse, values);
        return;
    }
    blockEnd = blockIdx.x + 1;
#endif
    mean_of_children(fine, even(), at, out, [&](int64 start, int32, int32, float weight) INLINED {
        const Cells cells{tissue + start, immune + start, tissue_states, immune_states};
        const StateCoupling by_state{cells.tissue, faces, tissue_states};
        if (map != nullptr)
            add_values(LimitedMass<MapAt, StateCoupling>{{map + start}, by_state}, weight, out, nx, 1.0f);
        else
            add_values(LimitedMass<TableAt<TISSUE_AND_IMMUNE>, StateCoupling>{{cells, table}, by_state}, weight, out, nx,
                       1.0f);
    });
}
ENTRY_OF_ROWS(restrict_mass)

// Mean of the children's own couplings, for fields whose D varies.
extern "C" __global__ void restrict_coupling(
    // model:
    const int32* __restrict__ active,    // [active]
    const int32* __restrict__ slots,     // [F]
    const float* __restrict__ coupling,  // [F, tissue_states, tissue_states]
    // state in:
    const uint8* __restrict__ tissue,  // [R, z, y, x]
    // state out:
    float* __restrict__ coarse,  // [coupled, R, cz, cy, cx]
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx, int32 tissue_states) {
    const Stack fine{replicates, nz, ny, nx};
    const Place at = place_of(active, coarse_shape(fine));
    const float* faces = coupling + static_cast<int64>(at.field) * tissue_states * tissue_states;
#ifdef GPUSIM_HOST
    std::vector<float> own(tissue_states);
    for (int32 i = 0; i < tissue_states; ++i) {
        const uint8 state = static_cast<uint8>(i);
        own[i] = OwnCoupling{{&state, faces, tissue_states}}.at(0);
    }
    RowOfTable values({tissue, tissue, tissue_states, 1}, own.data(), nullptr, TISSUE, nx);
    means_of_rows(fine, active, slots, at, coarse, values);
#else
    float* out = coarse + start_in_slot(slots, at, coarse_shape(fine));
    mean_of_children(fine, even(), at, out, [&](int64 start, int32, int32, float weight) INLINED {
        add_values(OwnCoupling{{tissue + start, faces, tissue_states}}, weight, out, nx, 1.0f);
    });
#endif
}
ENTRY_OF_ROWS(restrict_coupling)

// Mean of the children between coarser levels, of either.
extern "C" __global__ void restrict_mean(
    // model:
    const int32* __restrict__ active,  // [active]
    const int32* __restrict__ slots,   // [F]
    // state in:
    const float* __restrict__ values,  // [slots, R, z, y, x]
    // state out:
    float* __restrict__ coarse,  // [slots, R, cz, cy, cx]
    // numbers:
    float wz, float wy, float wx,
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack fine{replicates, nz, ny, nx};
    const Place at = place_of(active, coarse_shape(fine));
    const float* slot = values + slots[at.field] * volume(fine);
    float* out = coarse + start_in_slot(slots, at, coarse_shape(fine));
    mean_of_children(fine, Widths{wz, wy, wx}, at, out, [&](int64 start, int32, int32, float weight) INLINED {
        add_values(MapAt{slot + start}, weight, out, nx, wx);
    });
}
ENTRY(restrict_mean)

// A neighbour on the coarse level: the parent's, on the side of the child.
__device__ inline int32 beside(int32 child, int32 coarse, bool wraps) {
    const int32 parent = child / 2;
    return parent + ((child & 1) ? after(parent, coarse, wraps) : before(parent, coarse, wraps));
}

// Weight of that neighbour, 1/4. Beyond a side stands a mirror image: as it is where the side is closed,
// with its sign turned where the value is fixed.
struct Beyond {
    int32 boundary;
    const float* resistance;
    float coupling, edge;  // on the coarse level
    __device__ inline float weight(int32 child, int32 coarse, int32 axis) const {
        const int32 side = 2 * axis + (child & 1);
        const bool outside = (child & 1) ? child / 2 == coarse - 1 : child == 0;
        if (!outside || !(boundary & FIRST_OPEN << side)) return 0.25f;
        const float wall = coupling * (resistance[side] * edge);
        return 0.25f * ((wall - 1.0f) / (wall + 1.0f));
    }
};

struct CoarseRows {
    const float *nn, *nf, *fn, *ff;  // near or far in z, then in y
    float far_z, far_y;              // their weights
    __device__ inline float at(int32 i) const {
        return 0.75f * (0.75f * nn[i] + far_y * nf[i]) + far_z * (0.75f * fn[i] + far_y * ff[i]);
    }
};

// c = c + correction interpolated from the coarse level, not below `lowest`. On the finest level, where edge is 1, c has an
// entry for each field.
// Blocks: (active fields) x replicates x nz x ny fine rows.
extern "C" __global__ void prolong(
    // model:
    const int32* __restrict__ active,      // [active]
    const int32* __restrict__ slots,       // [F]
    const float* __restrict__ coupling,    // [F, tissue_states, tissue_states]
    const int32* __restrict__ boundary,    // [F]
    const float* __restrict__ resistance,  // [F, 6]
    // state in:
    const float* __restrict__ coarse,  // [slots, R, cz, cy, cx]
    // state out:
    float* __restrict__ c,  // [entries, R, z, y, x]
    // numbers:
    float edge, float lowest,
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx, int32 tissue_states) {
    const Stack fine{replicates, nz, ny, nx};
    const Place at = place_of(active, fine);
    const Stack above = coarse_shape(fine);
    const int32 cz = above.nz, cy = above.ny, cx = above.nx;
    const float* lattice = coarse + slots[at.field] * volume(above) + row_start(above, at.replicate, 0, 0);
    const bool wraps_z = boundary[at.field] & PERIODIC_Z, wraps_y = boundary[at.field] & PERIODIC_Y;
    const bool wraps_x = boundary[at.field] & PERIODIC_X;
    const float a = coupling[static_cast<int64>(at.field) * tissue_states * tissue_states];
    const float coarse_edge = 2.0f * edge;
    const Beyond beyond{boundary[at.field], resistance + 6 * at.field, a / (coarse_edge * coarse_edge),
                        coarse_edge};
    const int64 near_z = static_cast<int64>(at.z / 2) * cy;
    const int64 far_z = static_cast<int64>(beside(at.z, cz, wraps_z)) * cy;
    const int64 near_y = at.y / 2, far_y = beside(at.y, cy, wraps_y);
    const CoarseRows rows{lattice + (near_z + near_y) * cx,    lattice + (near_z + far_y) * cx,
                          lattice + (far_z + near_y) * cx,     lattice + (far_z + far_y) * cx,
                          beyond.weight(at.z, cz, 0), beyond.weight(at.y, cy, 1)};
    const bool finest = edge == 1.0f;
    float* out = c + (finest ? at.start : start_in_slot(slots, at, fine));
    for (int32 i = threadIdx.x; i < cx; i += blockDim.x) {
        const float middle = 0.75f * rows.at(i);
        const float even = out[2 * i] + (middle + beyond.weight(2 * i, cx, 2) * rows.at(i + before(i, cx, wraps_x)));
        out[2 * i] = even > lowest ? even : lowest;
        if (2 * i + 1 >= nx) continue;
        const float odd =
            out[2 * i + 1] + (middle + beyond.weight(2 * i + 1, cx, 2) * rows.at(i + after(i, cx, wraps_x)));
        out[2 * i + 1] = odd > lowest ? odd : lowest;
    }
}
ENTRY(prolong)
