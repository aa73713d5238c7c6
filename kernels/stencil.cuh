// A row of voxels with the rows beside it, the coupling across its faces, and the sides of the lattice
// that it touches.
#pragma once
#include "lookup.cuh"

// In-place updates of one colour read only the other: a compiler may take the iterations together.
#if defined(GPUSIM_HOST) && defined(__clang__)
#define INDEPENDENT_ITERATIONS _Pragma("clang loop vectorize(assume_safety)")
#elif defined(GPUSIM_HOST)
#define INDEPENDENT_ITERATIONS _Pragma("GCC ivdep")
#else
#define INDEPENDENT_ITERATIONS
#endif

// Of a row, the voxels that may be taken alike.
struct Span {
    int32 first, end;
    bool narrow;      // whether the last voxel is
    bool one_by_one;  // none may
};

// At which sides of its plane each voxel of a run stands.
struct Sides {
    static constexpr int32 LOW_X = 1, HIGH_X = 2, LOW_Y = 4, HIGH_Y = 8;
    const uint8* bits;
    __device__ inline bool low_x(int32 x) const { return bits[x] & LOW_X; }
    __device__ inline bool high_x(int32 x) const { return bits[x] & HIGH_X; }
};

#ifdef GPUSIM_HOST
#include "host/rows.hpp"
#else
// A GPU has a thread for each voxel, and takes no rows as one.
class Runs {
  public:
    __device__ inline Runs(const Stack&, int32) {}
    __device__ inline bool closed() const { return false; }
    __device__ inline int32 rows_from(int32, int32, int32) const { return 1; }
    __device__ inline Sides sides(int32) const { return Sides{nullptr}; }
};
#endif

// Where a block stands: which field, and which row of it.
struct Place {
    int32 field, replicate, z, y;
    int64 row;    // start of the row in [R, z, y, x]
    int64 start;  // and in [F, R, z, y, x]
};

__device__ inline Place place_of(const int32* active, const Stack& stack) {
    const int32 rows = stack.replicates * stack.nz * stack.ny;
    const int32 nth = blockIdx.x / rows, row = blockIdx.x - nth * rows;
    const int32 field = active[nth], plane = row / stack.ny, replicate = plane / stack.nz;
    const int64 start = static_cast<int64>(row) * stack.nx;
    return Place{field,
                 replicate,
                 plane - replicate * stack.nz,
                 row - plane * stack.ny,
                 start,
                 field * volume(stack) + start};
}

// Some rows of a field. On a GPU a block has one; a host takes its share of a launch in one call, or where blocks
// are `whole` lattices, one of them.
struct Rows {
    int32 first, end;
};

template <typename Use>
__device__ inline void for_rows(const int32* active, const Stack& stack, bool whole, const Use& use) {
    const int32 lattice = stack.nz * stack.ny, rows = stack.replicates * lattice;
#ifdef GPUSIM_HOST
    const int32 block_rows = whole ? lattice : 1;
    for (int32 block = blockIdx.x; block < blockEnd;) {
        const int32 nth = block * block_rows / rows, first = block * block_rows - nth * rows;
        const int32 taken = whole ? 1 : rows - first < blockEnd - block ? rows - first : blockEnd - block;
        use(active[nth], Rows{first, first + taken * block_rows});
        block += taken;
    }
#else
    const int32 nth = blockIdx.x / rows, row = blockIdx.x - nth * rows;
    use(active[nth], Rows{row, row + 1});
#endif
}

// Steps to the neighbours along an axis. At a side of the lattice the voxel itself stands in, so that
// the difference is zero; on a periodic axis, the voxel at the other side.
__device__ inline int32 before(int32 i, int32 n, bool wraps) { return i > 0 ? -1 : wraps ? n - 1 : 0; }
__device__ inline int32 after(int32 i, int32 n, bool wraps) { return i < n - 1 ? 1 : wraps ? 1 - n : 0; }

// From a row to those beside it: within a plane, to the next, or around a periodic axis.
struct Around {
    int32 south, north, below, above;
};

__device__ inline Around around(const Stack& shape, int32 boundary, int32 z, int32 y) {
    const int32 plane = shape.ny * shape.nx;
    const bool wraps_z = boundary & PERIODIC_Z, wraps_y = boundary & PERIODIC_Y;
    return Around{before(y, shape.ny, wraps_y) * shape.nx, after(y, shape.ny, wraps_y) * shape.nx,
                  before(z, shape.nz, wraps_z) * plane, after(z, shape.nz, wraps_z) * plane};
}

// The same from a run of rows. In one that is a plane, each voxel knows whether there is a row beside it.
__device__ inline Around around_run(const Stack& shape, int32 boundary, int32 z, int32 y, int32 rows) {
    const Around beside = around(shape, boundary, z, y);
    const bool plane = rows > 1 && rows == shape.ny;
    return plane ? Around{-shape.nx, shape.nx, beside.below, beside.above} : beside;
}

// Coupling across a face is dt D / dx^2 times the weight of the face; D of a face is the harmonic mean
// of its two voxels. Three kinds: the same everywhere; by the tissue states on both sides, from a table
// [tissue states, tissue states]; from an array of the voxels' own, on the coarse levels of multigrid.
struct SameCoupling {
    float value;
    __device__ inline SameCoupling from(int64) const { return *this; }
    __device__ inline float common() const { return value; }
    __device__ inline float face(int32, int64) const { return 1.0f; }
    __device__ inline float own(int32) const { return value; }
};

struct StateCoupling {
    const uint8* tissue;
    const float* table;
    int32 states;
    __device__ inline StateCoupling from(int64 start) const {
        return StateCoupling{tissue + start, table, states};
    }
    __device__ inline float common() const { return 1.0f; }
    __device__ inline float face(int32 x, int64 beside) const {
        return table[tissue[x] * states + tissue[beside]];
    }
    __device__ inline float own(int32 x) const { return table[tissue[x] * (states + 1)]; }
};

struct MeanCoupling {
    const float* values;
    float scale;
    __device__ inline float common() const { return scale; }
    __device__ inline float face(int32 x, int64 beside) const {
        const float a = values[x], b = values[beside];
        return a + b > 0.0f ? 2.0f * a * b / (a + b) : 0.0f;
    }
    __device__ inline float own(int32 x) const { return values[x] * scale; }
};

// Weight of the faces of one voxel. The last voxel of a coarse axis may be narrower (its width is 1
// or less); a face counts 1 / (width of the voxel * distance of the centres), and none at a side.
struct Weights {
    float low, high;
};

__device__ inline Weights weights_at(int32 i, int32 n, float last_width, bool wraps) {
    if (i > 0 && i < n - 2) return Weights{1.0f, 1.0f};
    const float distance = 0.5f * (1.0f + last_width);
    const float first = 1.0f / distance, last = 1.0f / (last_width * distance);
    const bool around = wraps && n > 1;
    const float low = i == 0 ? (around ? first : 0.0f) : i == n - 1 ? last : 1.0f;
    const float high = i == n - 1 ? (around ? last : 0.0f) : i == n - 2 ? first : 1.0f;
    return Weights{low, high};
}

struct Widths {
    float z, y, x;  // of the last voxel along each axis
};

__device__ inline Widths even() { return Widths{1.0f, 1.0f, 1.0f}; }  // on the finest level

// What a voxel exchanges with outside over a step: rate * (far - c), summed over its open sides.
struct Border {
    float rate, inflow;
};

// What is the same for a whole row.
template <typename Coupling>
struct Row {
    const float* here;
    Around around;
    Coupling coupling;
    Stack shape;
    Widths widths;
    int32 z, y, boundary;
    const float* resistance;  // [6], of the sides: 2 dx / (dt permeability), 0 for a fixed value
    float edge;               // of a voxel, against the finest level
    Weights in_z, in_y;

    __device__ inline bool wraps() const { return boundary & PERIODIC_X; }
    __device__ inline int32 left(int32 x) const { return x + before(x, shape.nx, wraps()); }
    __device__ inline int32 right(int32 x) const { return x + after(x, shape.nx, wraps()); }
    __device__ inline Weights in_x(int32 x) const { return weights_at(x, shape.nx, widths.x, wraps()); }

    // The voxels whose neighbours along x are somewhere in the field's memory, if in another row.
    __device__ inline Span span() const { return span(shape.nx); }

    // The same of a run of n voxels that begins with this row.
    __device__ inline Span span(int32 n) const {
        // A sum: GCC makes one load of two comparisons side by side, which then waits for both to be stored.
        const int32 first = z + y == 0 ? 1 : 0;
        const int32 end = z == shape.nz - 1 && y == shape.ny - 1 ? n - 1 : n;
        return Span{first, end, widths.x != 1.0f, at_border()};
    }

    // Whether all its voxels lie at an open side.
    __device__ inline bool at_border() const {
        const int32 sides = int32(z == 0) + 2 * int32(z == shape.nz - 1) + 4 * int32(y == 0) +
                            8 * int32(y == shape.ny - 1);
        return boundary & FIRST_OPEN * sides;
    }

    // Half a voxel of diffusion, then the wall; both against the far concentration.
    __device__ inline float through(int32 side, float a, float width) const {
        if (!(boundary & FIRST_OPEN << side)) return 0.0f;
        return 2.0f * a / (width * (width + a * (resistance[side] * edge)));
    }

    // Calls add(side, rate) for each side of the lattice that a voxel touches.
    template <typename Add>
    __device__ inline void at_sides(int32 x, const Add& add) const {
        const float a = coupling.own(x);
#ifndef GPUSIM_HOST
        // One after the other: a side is rare, and all at once would take the registers of other threads.
#pragma unroll 1
        for (int32 side = 0; side < 6; ++side) {
            const int32 i = side < 2 ? z : side < 4 ? y : x, n = side < 2 ? shape.nz : side < 4 ? shape.ny : shape.nx;
            const float last_width = side < 2 ? widths.z : side < 4 ? widths.y : widths.x;
            if (i == (side & 1 ? n - 1 : 0)) add(side, through(side, a, i == n - 1 ? last_width : 1.0f));
        }
        return;
#endif
        const float width_z = z == shape.nz - 1 ? widths.z : 1.0f;
        const float width_y = y == shape.ny - 1 ? widths.y : 1.0f;
        const float width_x = x == shape.nx - 1 ? widths.x : 1.0f;
        if (z == 0) add(0, through(0, a, width_z));
        if (z == shape.nz - 1) add(1, through(1, a, width_z));
        if (y == 0) add(2, through(2, a, width_y));
        if (y == shape.ny - 1) add(3, through(3, a, width_y));
        if (x == 0) add(4, through(4, a, width_x));
        if (x == shape.nx - 1) add(5, through(5, a, width_x));
    }

    __device__ inline float border_rate(int32 x) const {
        float sum = 0.0f;
        if (boundary & OPEN) at_sides(x, [&](int32, float rate) INLINED { sum = sum + rate; });
        return sum;
    }

    __device__ inline Border border(int32 x, const float* far) const {
        Border sum{0.0f, 0.0f};
        at_sides(x, [&](int32 side, float rate) INLINED {
            sum.rate = sum.rate + rate;
            sum.inflow = sum.inflow + rate * far[side];
        });
        return sum;
    }

    // What diffuses in over a step: coupling * sum over faces (neighbour - c), as differences, face by
    // face, so that what leaves one voxel enters the next.
    __device__ inline float inflow(const Weights& x_weights, int32 x, int32 left, int32 right) const {
        const float c = here[x];
        const float from_x = (here[left] - c) * x_weights.low * coupling.face(x, left) +
                             (here[right] - c) * x_weights.high * coupling.face(x, right);
        const float from_y = (here[x + around.south] - c) * in_y.low * coupling.face(x, x + around.south) +
                             (here[x + around.north] - c) * in_y.high * coupling.face(x, x + around.north);
        return inflow(x, c, from_x, from_y);
    }

    // In a run, whatever stands in memory beyond a side.
    __device__ inline float inflow(const Sides& sides, int32 x) const {
        const float c = here[x];
        const float west = (here[x - 1] - c) * coupling.face(x, x - 1);
        const float east = (here[x + 1] - c) * coupling.face(x, x + 1);
        const float south = (here[x + around.south] - c) * coupling.face(x, x + around.south);
        const float north = (here[x + around.north] - c) * coupling.face(x, x + around.north);
        const int32 at = sides.bits[x];
        const float from_x = (at & Sides::LOW_X ? 0.0f : west) + (at & Sides::HIGH_X ? 0.0f : east);
        const float from_y = (at & Sides::LOW_Y ? 0.0f : south) + (at & Sides::HIGH_Y ? 0.0f : north);
        return inflow(x, c, from_x, from_y);
    }

    __device__ inline float inflow(int32 x, float c, float from_x, float from_y) const {
        const float from_z = (here[x + around.below] - c) * in_z.low * coupling.face(x, x + around.below) +
                             (here[x + around.above] - c) * in_z.high * coupling.face(x, x + around.above);
        return coupling.common() * ((from_x + from_y) + from_z);
    }

    // Sum of the couplings across all faces.
    __device__ inline float outflow(const Weights& x_weights, int32 x, int32 left, int32 right) const {
        const float to_x = x_weights.low * coupling.face(x, left) + x_weights.high * coupling.face(x, right);
        const float to_y = in_y.low * coupling.face(x, x + around.south) +
                           in_y.high * coupling.face(x, x + around.north);
        const float to_z = in_z.low * coupling.face(x, x + around.below) +
                           in_z.high * coupling.face(x, x + around.above);
        return coupling.common() * ((to_x + to_y) + to_z);
    }
};

#ifdef GPUSIM_HOST
#include "host/sharing.hpp"
#endif

// On the finest level, where at a closed side the difference is zero and needs no weight.
template <typename Coupling>
__device__ inline Row<Coupling> finest_row(const float* here, const Around& around, const Coupling& coupling,
                                           const Stack& shape, int32 boundary, const float* resistance, int32 z,
                                           int32 y) {
    return Row<Coupling>{here,
                         around,
                         coupling,
                         shape,
                         even(),
                         z,
                         y,
                         boundary,
                         resistance,
                         1.0f,
                         Weights{1.0f, 1.0f},
                         Weights{1.0f, 1.0f}};
}

template <typename Coupling>
__device__ inline Row<Coupling> finest_row(const float* here, const Coupling& coupling, const Stack& shape,
                                           int32 boundary, const float* resistance, int32 z, int32 y) {
    return finest_row(here, around(shape, boundary, z, y), coupling, shape, boundary, resistance, z, y);
}

// A row of n voxels: put(i, anywhere(i)) for each. On a host nearly all by `inside`, which takes a voxel as
// one with a neighbour in memory on either side and weights of 1: that holds but for the first, the last
// and, where the last is narrower, the one before it. These are found before the others change, and put
// after them.
template <typename Inside, typename Anywhere, typename Put>
__device__ inline void along(int32 n, const Span& span, const Inside& inside, const Anywhere& anywhere,
                             const Put& put) {
#ifdef GPUSIM_HOST
    if (n > 3 && !span.one_by_one) {
        const float low = anywhere(0), high = anywhere(n - 1);
        const float next_to_high = span.narrow ? anywhere(n - 2) : 0.0f;
        INDEPENDENT_ITERATIONS
        for (int32 i = span.first; i < span.end; ++i) put(i, inside(i));
        put(0, low);
        put(n - 1, high);
        if (span.narrow) put(n - 2, next_to_high);
        return;
    }
#endif
    for (int32 i = threadIdx.x; i < n; i += blockDim.x) put(i, anywhere(i));
}

// The same of a run on a host, where `inside` minds the sides itself.
template <typename Inside, typename Anywhere, typename Put>
__device__ inline void along_run(int32 n, const Span& span, const Inside& inside, const Anywhere& anywhere,
                                 const Put& put) {
    const bool low = span.first > 0, high = span.end < n;
    const float at_low = low ? anywhere(0) : 0.0f, at_high = high ? anywhere(n - 1) : 0.0f;
    INDEPENDENT_ITERATIONS
    for (int32 i = span.first; i < span.end; ++i) put(i, inside(i));
    if (low) put(0, at_low);
    if (high) put(n - 1, at_high);
}
