// A row of voxels with the four rows beside it, and what its voxels hold of the exchange tables.
#pragma once
#include "common.cuh"

// In-place updates of one colour read only the other: a compiler may take the iterations together.
#if defined(GPUSIM_HOST) && defined(__clang__)
#define INDEPENDENT_ITERATIONS _Pragma("clang loop vectorize(assume_safety)")
#elif defined(GPUSIM_HOST)
#define INDEPENDENT_ITERATIONS _Pragma("GCC ivdep")
#else
#define INDEPENDENT_ITERATIONS
#endif

struct Shape3 {
    int32 nz, ny, nx;
};

// Pointers to a row and its neighbours; at a face of the grid the row itself stands in, so that the
// difference across a no-flux face is zero.
struct Rows {
    const float *here, *south, *north, *below, *above;
};

__device__ inline Rows rows_at(const float* field, const Shape3& shape, int32 z, int32 y) {
    const int64 plane = static_cast<int64>(shape.ny) * shape.nx;
    const float* here = field + z * plane + static_cast<int64>(y) * shape.nx;
    return Rows{here, y > 0 ? here - shape.nx : here, y < shape.ny - 1 ? here + shape.nx : here,
                z > 0 ? here - plane : here, z < shape.nz - 1 ? here + plane : here};
}

// Sum over the six faces of (neighbour - c); left and right are the neighbours' x.
__device__ inline float difference_sum(const Rows& rows, int32 x, int32 left, int32 right) {
    const float c = rows.here[x];
    const float xy = ((rows.here[left] - c) + (rows.here[right] - c)) +
                     ((rows.south[x] - c) + (rows.north[x] - c));
    return xy + ((rows.below[x] - c) + (rows.above[x] - c));
}

enum ExchangeBy { UNIFORM = 0, TISSUE = 1, TISSUE_AND_IMMUNE = 2 };

// Which cells stand in a row, and how to find their entry in a table [tissue states, immune states].
struct Cells {
    const uint8 *tissue, *immune;
    int32 tissue_states, immune_states;
};

template <int32 by>
__device__ inline int32 exchange_index(const Cells& cells, int32 x) {
    if (by == UNIFORM) return 0;
    const int32 first = cells.tissue[x] * cells.immune_states;
    return by == TISSUE ? first : first + cells.immune[x] - cells.tissue_states;
}
