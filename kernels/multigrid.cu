// Implicit diffusion: geometric multigrid for
//
//   mass * c - coupling * sum over faces (c_neighbour - c) = rhs,
//
// mass = 1 + dt * loss by the cells of the voxel, coupling = dt D / dx^2 (a quarter of it a level
// further). Smoothing goes by two colours in place: a voxel of one colour reads only the other, so
// the order can't matter. Coarse voxels take the mean of their (up to 8) children; corrections come
// back by weights 3/4 and 1/4 along each axis. The exact solution of a step is never negative, so
// neither is what a correction leaves.
//
// On the finest level mass comes from a table by cell state, on coarser ones from an array. Bytes per
// voxel: smooth 2 x (12 + cells), restrict_residual 8 + cells, prolong 8.
#include "stencil.cuh"

template <int32 by>
struct TableMass {
    const Cells& cells;
    const float* table;
    __device__ inline float at(int32 x) const { return table[exchange_index<by>(cells, x)]; }
};

// A sink stronger than what diffusion brings to it takes no more than that: without the limit, one
// such voxel would clamp its whole coarse voxel. (And 1, so that a field which does not move keeps its mass.)
struct LimitedMass {
    TableMass<TISSUE_AND_IMMUNE> mass;
    float supply;
    __device__ inline float at(int32 x) const {
        const float m = mass.at(x);
        return m * supply / (m + supply);
    }
};

struct ArrayMass {
    const float* values;
    __device__ inline float at(int32 x) const { return values[x]; }
};

// Weight of the faces of one voxel. The last voxel of a coarse axis may be narrower (its width is 1
// or less); a face counts 1 / (width of the voxel * distance of the centres), and none at the border.
struct Weights {
    float low, high;
};

__device__ inline Weights weights_at(int32 i, int32 n, float last_width) {
    const float distance = 0.5f * (1.0f + last_width);
    const float low = i == 0 ? 0.0f : i == n - 1 ? 1.0f / (last_width * distance) : 1.0f;
    const float high = i == n - 1 ? 0.0f : i == n - 2 ? 1.0f / distance : 1.0f;
    return Weights{low, high};
}

struct Widths {
    float z, y, x;  // of the last voxel along each axis
};

// What is the same for a whole row: the rows around it and the weights of their faces.
struct Row {
    Rows rows;
    Weights z, y;
    float coupling, last_width, lowest;
    int32 nx;
};

// Concentrations are never negative; corrections may be.
constexpr float any_value = -3.0e38f;

__device__ inline Row row_at(const float* field, const Shape3& shape, const Widths& widths, float coupling,
                             float lowest, int32 z, int32 y) {
    return Row{rows_at(field, shape, z, y), weights_at(z, shape.nz, widths.z),
               weights_at(y, shape.ny, widths.y), coupling, widths.x, lowest, shape.nx};
}

template <typename Mass>
__device__ inline float residual(const Row& row, const float* rhs, const Mass& mass, const Weights& wx,
                                 int32 x, int32 left, int32 right) {
    const Rows& rows = row.rows;
    const float c = rows.here[x];
    const float in_x = (rows.here[left] - c) * wx.low + (rows.here[right] - c) * wx.high;
    const float in_y = (rows.south[x] - c) * row.y.low + (rows.north[x] - c) * row.y.high;
    const float in_z = (rows.below[x] - c) * row.z.low + (rows.above[x] - c) * row.z.high;
    return (rhs[x] - mass.at(x) * c) + row.coupling * ((in_x + in_y) + in_z);
}

template <typename Mass>
__device__ inline float smoothed(const Row& row, const float* rhs, const Mass& mass, const Weights& wx,
                                 int32 x, int32 left, int32 right) {
    const float faces = ((wx.low + wx.high) + (row.y.low + row.y.high)) + (row.z.low + row.z.high);
    const float diagonal = mass.at(x) + row.coupling * faces;
    const float value = row.rows.here[x] + residual(row, rhs, mass, wx, x, left, right) / diagonal;
    return value > row.lowest ? value : row.lowest;
}

// Away from the ends of a row every weight along it is 1; the ends are the first and the last two.
__device__ inline int32 next_end(int32 i, int32 n) { return i == 0 && n > 3 ? n - 2 : i + 1; }

template <typename Mass>
__device__ inline void smooth_row(const Row& row, float* c, const float* __restrict__ rhs,
                                  const Mass& mass, int32 colour) {
    const Weights one{1.0f, 1.0f};
    INDEPENDENT_ITERATIONS
    for (int32 x = 1 + threadIdx.x; x < row.nx - 2; x += blockDim.x) {
        const float value = smoothed(row, rhs, mass, one, x, x - 1, x + 1);
        c[x] = (x & 1) == colour ? value : c[x];
    }
    if (threadIdx.x != 0) return;
    for (int32 x = 0; x < row.nx; x = next_end(x, row.nx)) {
        const Weights wx = weights_at(x, row.nx, row.last_width);
        if ((x & 1) == colour)
            c[x] = smoothed(row, rhs, mass, wx, x, x > 0 ? x - 1 : x, x < row.nx - 1 ? x + 1 : x);
    }
}

template <typename Mass>
__device__ inline float residual_anywhere(const Row& row, const float* rhs, const Mass& mass, int32 x) {
    return residual(row, rhs, mass, weights_at(x, row.nx, row.last_width), x, x > 0 ? x - 1 : x,
                    x < row.nx - 1 ? x + 1 : x);
}

// Two children along x, by their widths.
__device__ inline float pair(float first, float second, int32 x, int32 nx, float last_width) {
    return x + 1 == nx - 1 ? first + second * last_width : first + second;
}

// Adds the residuals of one fine row, by its weight, into the coarse row.
template <typename Mass>
__device__ inline void add_residuals(const Row& row, const float* __restrict__ rhs, const Mass& mass,
                                     float weight, float* __restrict__ coarse) {
    const int32 coarse_nx = (row.nx + 1) / 2;
    const Weights one{1.0f, 1.0f};
    INDEPENDENT_ITERATIONS
    for (int32 i = 1 + threadIdx.x; i < coarse_nx - 2; i += blockDim.x) {
        const int32 x = 2 * i;
        const float first = residual(row, rhs, mass, one, x, x - 1, x + 1);
        coarse[i] = coarse[i] + weight * (first + residual(row, rhs, mass, one, x + 1, x, x + 2));
    }
    if (threadIdx.x != 0) return;
    for (int32 i = 0; i < coarse_nx; i = next_end(i, coarse_nx)) {
        const int32 x = 2 * i;
        float sum = residual_anywhere(row, rhs, mass, x);
        if (x < row.nx - 1)
            sum = pair(sum, residual_anywhere(row, rhs, mass, x + 1), x, row.nx, row.last_width);
        coarse[i] = coarse[i] + weight * sum;
    }
}

template <typename Mass>
__device__ inline void add_masses(const Mass& mass, float weight, float* __restrict__ coarse, int32 nx,
                                  float last_width) {
    for (int32 i = threadIdx.x; i < (nx + 1) / 2; i += blockDim.x) {
        const int32 x = 2 * i;
        float sum = mass.at(x);
        if (x < nx - 1) sum = pair(sum, mass.at(x + 1), x, nx, last_width);
        coarse[i] = coarse[i] + weight * sum;
    }
}

// Sums over children become their mean by volume; an only child of the last voxel weighs 1.
__device__ inline void divide_by_weight(float* coarse, float rows_weight, int32 nx, float last_width) {
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

// Where a block stands: which field, and which row of it.
struct Place {
    int32 field, z, y;
    int64 start;  // of the row in [F, z, y, x]
};

__device__ inline Place place_of(const int32* active, const Shape3& shape) {
    const int32 rows = shape.nz * shape.ny;
    const int32 field = active[blockIdx.x / rows];
    const int32 row = blockIdx.x % rows;
    return Place{field, row / shape.ny, row % shape.ny, (static_cast<int64>(field) * rows + row) * shape.nx};
}

__device__ inline Cells cells_at(const uint8* tissue, const uint8* immune, int64 row_start,
                                 int32 tissue_states, int32 immune_states) {
    return Cells{tissue + row_start, immune + row_start, tissue_states, immune_states};
}

// rhs = from_c * c + from_rhs * rhs + gain, not below zero. Blocks: (active fields) x nz x ny rows.
extern "C" __global__ void combine(const float* __restrict__ c,       // [F, z, y, x]
                                   float* __restrict__ rhs,           // [F, z, y, x]
                                   const uint8* __restrict__ tissue,  // [z, y, x]
                                   const uint8* __restrict__ immune,  // [z, y, x]
                                   const int32* __restrict__ active,
                                   const float* __restrict__ gain,  // [F, tissue_states, immune_states]
                                   float from_c, float from_rhs, int32 nz, int32 ny, int32 nx,
                                   int32 tissue_states, int32 immune_states) {
    const Shape3 shape{nz, ny, nx};
    const Place at = place_of(active, shape);
    const int64 row = (static_cast<int64>(at.z) * ny + at.y) * nx;
    const Cells cells = cells_at(tissue, immune, row, tissue_states, immune_states);
    const float* table = gain + static_cast<int64>(at.field) * tissue_states * immune_states;
    const float* here = c + at.start;
    float* out = rhs + at.start;
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
        const float old = from_rhs == 0.0f ? 0.0f : from_rhs * out[x];
        const float value = (from_c * here[x] + old) + table[exchange_index<TISSUE_AND_IMMUNE>(cells, x)];
        out[x] = value > 0.0f ? value : 0.0f;
    }
}
ENTRY(combine)

// One colour of a smoothing sweep on the finest level. Blocks: (active fields) x nz x ny rows.
extern "C" __global__ void smooth_finest(
    float* c,                          // [F, z, y, x]
    const float* __restrict__ rhs,     // [F, z, y, x]
    const uint8* __restrict__ tissue,  // [z, y, x]
    const uint8* __restrict__ immune,  // [z, y, x]
    const int32* __restrict__ active,
    const float* __restrict__ mass,         // [F, tissue_states, immune_states]
    const float* __restrict__ coupling,     // [F]
    const int32* __restrict__ exchange_by,  // [F]
    int32 colour, int32 nz, int32 ny, int32 nx, int32 tissue_states, int32 immune_states) {
    const Shape3 shape{nz, ny, nx};
    const Place at = place_of(active, shape);
    const int64 in_field = (static_cast<int64>(at.z) * ny + at.y) * nx;
    const Row row = row_at(c + at.start - in_field, shape, Widths{1.0f, 1.0f, 1.0f}, coupling[at.field],
                           0.0f, at.z, at.y);
    const Cells cells = cells_at(tissue, immune, in_field, tissue_states, immune_states);
    const float* table = mass + static_cast<int64>(at.field) * tissue_states * immune_states;
    float* here = c + at.start;
    const float* r = rhs + at.start;
    const int32 parity = (at.z + at.y + colour) & 1;
    const int32 by = exchange_by[at.field];
    if (by == UNIFORM)
        smooth_row(row, here, r, TableMass<UNIFORM>{cells, table}, parity);
    else if (by == TISSUE)
        smooth_row(row, here, r, TableMass<TISSUE>{cells, table}, parity);
    else
        smooth_row(row, here, r, TableMass<TISSUE_AND_IMMUNE>{cells, table}, parity);
}
ENTRY(smooth_finest)

// The same on a coarser level, whose last voxels have the widths wz, wy, wx.
extern "C" __global__ void smooth_coarse(float* c, const float* __restrict__ rhs,
                                         const float* __restrict__ mass,  // [F, z, y, x]
                                         const int32* __restrict__ active,
                                         const float* __restrict__ coupling, float scale, int32 colour,
                                         float wz, float wy, float wx, int32 nz, int32 ny, int32 nx) {
    const Shape3 shape{nz, ny, nx};
    const Place at = place_of(active, shape);
    const int64 in_field = (static_cast<int64>(at.z) * ny + at.y) * nx;
    const Row row = row_at(c + at.start - in_field, shape, Widths{wz, wy, wx}, coupling[at.field] * scale,
                           any_value, at.z, at.y);
    smooth_row(row, c + at.start, rhs + at.start, ArrayMass{mass + at.start}, (at.z + at.y + colour) & 1);
}
ENTRY(smooth_coarse)

// Mean residual of the children becomes the coarse right-hand side, with a zero start for the coarse
// correction. Blocks: (active fields) x coarse rows.
extern "C" __global__ void restrict_finest(
    const float* __restrict__ c, const float* __restrict__ rhs, const uint8* __restrict__ tissue,
    const uint8* __restrict__ immune, float* __restrict__ coarse_c, float* __restrict__ coarse_rhs,
    const int32* __restrict__ active, const float* __restrict__ mass, const float* __restrict__ coupling,
    const int32* __restrict__ exchange_by, int32 nz, int32 ny, int32 nx, int32 tissue_states,
    int32 immune_states) {
    const Shape3 fine{nz, ny, nx};
    const Place at = place_of(active, Shape3{(nz + 1) / 2, (ny + 1) / 2, (nx + 1) / 2});
    const int64 volume = static_cast<int64>(nz) * ny * nx;
    const float* table = mass + static_cast<int64>(at.field) * tissue_states * immune_states;
    const int32 by = exchange_by[at.field];
    float* out = coarse_rhs + at.start;
    clear_row(out, (nx + 1) / 2);
    clear_row(coarse_c + at.start, (nx + 1) / 2);
    __syncthreads();
    float children = 0.0f;
    for (int32 z = 2 * at.z; z < 2 * at.z + 2 && z < nz; ++z)
        for (int32 y = 2 * at.y; y < 2 * at.y + 2 && y < ny; ++y) {
            const int64 start = (static_cast<int64>(z) * ny + y) * nx;
            const Row row = row_at(c + at.field * volume, fine, Widths{1.0f, 1.0f, 1.0f},
                                   coupling[at.field], 0.0f, z, y);
            const Cells cells = cells_at(tissue, immune, start, tissue_states, immune_states);
            const float* r = rhs + at.field * volume + start;
            if (by == UNIFORM)
                add_residuals(row, r, TableMass<UNIFORM>{cells, table}, 1.0f, out);
            else if (by == TISSUE)
                add_residuals(row, r, TableMass<TISSUE>{cells, table}, 1.0f, out);
            else
                add_residuals(row, r, TableMass<TISSUE_AND_IMMUNE>{cells, table}, 1.0f, out);
            children = children + 1.0f;
            __syncthreads();
        }
    divide_by_weight(out, children, nx, 1.0f);
}
ENTRY(restrict_finest)

// The same between coarser levels.
extern "C" __global__ void restrict_coarse(const float* __restrict__ c, const float* __restrict__ rhs,
                                           const float* __restrict__ mass, float* __restrict__ coarse_c,
                                           float* __restrict__ coarse_rhs, const int32* __restrict__ active,
                                           const float* __restrict__ coupling, float scale, float wz,
                                           float wy, float wx, int32 nz, int32 ny, int32 nx) {
    const Shape3 fine{nz, ny, nx};
    const Place at = place_of(active, Shape3{(nz + 1) / 2, (ny + 1) / 2, (nx + 1) / 2});
    const int64 volume = static_cast<int64>(nz) * ny * nx;
    float* out = coarse_rhs + at.start;
    clear_row(out, (nx + 1) / 2);
    clear_row(coarse_c + at.start, (nx + 1) / 2);
    __syncthreads();
    float children = 0.0f;
    for (int32 z = 2 * at.z; z < 2 * at.z + 2 && z < nz; ++z)
        for (int32 y = 2 * at.y; y < 2 * at.y + 2 && y < ny; ++y) {
            const int64 start = at.field * volume + (static_cast<int64>(z) * ny + y) * nx;
            const float weight = child_weight(z, nz, wz) * child_weight(y, ny, wy);
            const Row row = row_at(c + at.field * volume, fine, Widths{wz, wy, wx},
                                   coupling[at.field] * scale, any_value, z, y);
            add_residuals(row, rhs + start, ArrayMass{mass + start}, weight, out);
            children = children + weight;
            __syncthreads();
        }
    divide_by_weight(out, children, nx, wx);
}
ENTRY(restrict_coarse)

// Mean mass of the children. Blocks: (active fields) x coarse rows.
extern "C" __global__ void restrict_mass_finest(const uint8* __restrict__ tissue,
                                                const uint8* __restrict__ immune,
                                                float* __restrict__ coarse,
                                                const int32* __restrict__ active,
                                                const float* __restrict__ mass,
                                                const float* __restrict__ coupling, int32 nz, int32 ny,
                                                int32 nx, int32 tissue_states, int32 immune_states) {
    const Place at = place_of(active, Shape3{(nz + 1) / 2, (ny + 1) / 2, (nx + 1) / 2});
    const float* table = mass + static_cast<int64>(at.field) * tissue_states * immune_states;
    const float supply = 6.0f * coupling[at.field] + 1.0f;
    float* out = coarse + at.start;
    clear_row(out, (nx + 1) / 2);
    float children = 0.0f;
    for (int32 z = 2 * at.z; z < 2 * at.z + 2 && z < nz; ++z)
        for (int32 y = 2 * at.y; y < 2 * at.y + 2 && y < ny; ++y) {
            const Cells cells = cells_at(tissue, immune, (static_cast<int64>(z) * ny + y) * nx,
                                         tissue_states, immune_states);
            add_masses(LimitedMass{{cells, table}, supply}, 1.0f, out, nx, 1.0f);
            children = children + 1.0f;
        }
    divide_by_weight(out, children, nx, 1.0f);
}
ENTRY(restrict_mass_finest)

// The same between coarser levels.
extern "C" __global__ void restrict_mass_coarse(const float* __restrict__ mass, float* __restrict__ coarse,
                                                const int32* __restrict__ active,
                                                float wz, float wy, float wx, int32 nz, int32 ny,
                                                int32 nx) {
    const Place at = place_of(active, Shape3{(nz + 1) / 2, (ny + 1) / 2, (nx + 1) / 2});
    const float* fine = mass + static_cast<int64>(at.field) * nz * ny * nx;
    float* out = coarse + at.start;
    clear_row(out, (nx + 1) / 2);
    float children = 0.0f;
    for (int32 z = 2 * at.z; z < 2 * at.z + 2 && z < nz; ++z)
        for (int32 y = 2 * at.y; y < 2 * at.y + 2 && y < ny; ++y) {
            const float weight = child_weight(z, nz, wz) * child_weight(y, ny, wy);
            add_masses(ArrayMass{fine + (static_cast<int64>(z) * ny + y) * nx}, weight, out, nx, wx);
            children = children + weight;
        }
    divide_by_weight(out, children, nx, wx);
}
ENTRY(restrict_mass_coarse)

// A neighbour on the coarse level: the parent's, on the side of the child.
__device__ inline int32 beside(int32 child, int32 coarse) {
    const int32 n = (child & 1) ? child / 2 + 1 : child / 2 - 1;
    return n < 0 ? 0 : n >= coarse ? coarse - 1 : n;
}

__device__ inline float near_and_far(float near, float far) { return 0.75f * near + 0.25f * far; }

struct CoarseRows {
    const float *nn, *nf, *fn, *ff;  // near or far in z, then in y
    __device__ inline float at(int32 i) const {
        return near_and_far(near_and_far(nn[i], nf[i]), near_and_far(fn[i], ff[i]));
    }
};

// c = c + correction interpolated from the coarse level, on the finest level not below zero.
// Blocks: (active fields) x nz x ny fine rows.
extern "C" __global__ void prolong(float* __restrict__ c, const float* __restrict__ coarse,
                                   const int32* __restrict__ active, int32 floor_at_zero, int32 nz,
                                   int32 ny, int32 nx) {
    const Shape3 fine{nz, ny, nx};
    const Place at = place_of(active, fine);
    const int32 cz = (nz + 1) / 2, cy = (ny + 1) / 2, cx = (nx + 1) / 2;
    const float* field = coarse + static_cast<int64>(at.field) * cz * cy * cx;
    const int64 near_z = static_cast<int64>(at.z / 2) * cy, far_z = static_cast<int64>(beside(at.z, cz)) * cy;
    const int64 near_y = at.y / 2, far_y = beside(at.y, cy);
    const CoarseRows rows{field + (near_z + near_y) * cx, field + (near_z + far_y) * cx,
                          field + (far_z + near_y) * cx, field + (far_z + far_y) * cx};
    const float lowest = floor_at_zero ? 0.0f : any_value;
    float* out = c + at.start;
    for (int32 i = threadIdx.x; i < cx; i += blockDim.x) {
        const float middle = rows.at(i);
        const float even = out[2 * i] + near_and_far(middle, rows.at(i > 0 ? i - 1 : 0));
        out[2 * i] = even > lowest ? even : lowest;
        if (2 * i + 1 >= nx) continue;
        const float odd = out[2 * i + 1] + near_and_far(middle, rows.at(i < cx - 1 ? i + 1 : i));
        out[2 * i + 1] = odd > lowest ? odd : lowest;
    }
}
ENTRY(prolong)
