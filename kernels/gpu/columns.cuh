// Columns of voxels, which a GPU's threads take upwards.
//
// A block has a tile of the lattice, `width` voxels along x and `rows` along y; each of its threads has one voxel of
// it in each of `planes` planes. Whatever depends on x and y alone a thread finds once for all planes. Of what lies
// above, it reads each value once, and ahead of its use; rows beside its own are in the cache of the block.
#pragma once
#include "stencil.cuh"

struct Tile {
    int32 width, rows, planes;
};

#ifndef GPUSIM_HOST
struct Column {
    bool exists;  // a tile at a high side of the lattice may stand out
    int32 nth, replicate;
    int32 z, end, y, x;  // planes from z to `end`
    __device__ inline int64 start(const Stack& shape) const { return row_start(shape, replicate, z, y) + x; }
    // Whether all its voxels stand apart, at an open or periodic side, or else that in plane z. The loop over a column
    // is not made for them.
    __device__ inline bool apart(const Stack& shape, int32 boundary) const {
        return at_sides(boundary, PERIODIC_X, 4, x, shape.nx) || at_sides(boundary, PERIODIC_Y, 2, y, shape.ny);
    }
    __device__ inline bool apart(const Stack& shape, int32 boundary, int32 z) const {
        return at_sides(boundary, PERIODIC_Z, 0, z, shape.nz);
    }
    // What is left without these.
    __device__ inline Column inside(const Stack& shape, int32 boundary) const {
        Column rest = *this;
        if (apart(shape, boundary, z)) ++rest.z;
        if (apart(shape, boundary, end - 1)) --rest.end;
        if (apart(shape, boundary)) rest.end = rest.z;
        return rest;
    }
    static __device__ inline bool at_sides(int32 boundary, int32 periodic, int32 side, int32 i, int32 n) {
        return i == 0 && boundary & (periodic | FIRST_OPEN << side) ||
               i == n - 1 && boundary & (periodic | FIRST_OPEN << (side + 1));
    }
};

// Blocks: fields x replicates x chunks of planes x tiles along y x tiles along x.
__device__ inline Column column_of(const Stack& shape, const Tile& tile) {
    int32 block = blockIdx.x;
    const auto next = [&](int32 n) {
        const int32 rest = block / n, found = block - rest * n;
        block = rest;
        return found;
    };
    const int32 in_x = next(parts(shape.nx, tile.width)), in_y = next(parts(shape.ny, tile.rows));
    const int32 z = next(parts(shape.nz, tile.planes)) * tile.planes, replicate = next(shape.replicates);
    const int32 row = threadIdx.x / tile.width;
    const int32 y = in_y * tile.rows + row, x = in_x * tile.width + (threadIdx.x - row * tile.width);
    const int32 end = z + tile.planes < shape.nz ? z + tile.planes : shape.nz;
    return Column{row < tile.rows && y < shape.ny && x < shape.nx, block, replicate, z, end, y, x};
}

// The voxel of a column and the six beside it, in an array [R, z, y, x] that nobody writes meanwhile. At a side of the
// lattice the voxel itself stands in.
template <typename T>
class Neighbours {
  public:
    T here, below, above;

    __device__ inline Neighbours(const T* __restrict__ array, const Stack& shape, const Column& column)
        : at(array + column.start(shape)),
          plane(shape.ny * shape.nx),
          to_west(before(column.x, shape.nx, false)),
          to_east(after(column.x, shape.nx, false)),
          to_south(before(column.y, shape.ny, false) * shape.nx),
          to_north(after(column.y, shape.ny, false) * shape.nx) {
        here = *at;
        below = at[before(column.z, shape.nz, false) * plane];
        above = at[after(column.z, shape.nz, false) * plane];
    }

    __device__ inline T west() const { return at[to_west]; }
    __device__ inline T east() const { return at[to_east]; }
    __device__ inline T south() const { return at[to_south]; }
    __device__ inline T north() const { return at[to_north]; }
    // What is above the voxel above, where that has one above itself.
    __device__ inline T ahead(bool has) const { return has ? at[2 * static_cast<int64>(plane)] : above; }

    // To the voxel above.
    __device__ inline void rise(T ahead) {
        below = here;
        here = above;
        above = ahead;
        at += plane;
    }

  private:
    const T* __restrict__ at;
    const int32 plane, to_west, to_east, to_south, to_north;
};

// Weights of the faces between a voxel and its neighbours on the finest level, see SameCoupling and StateCoupling.
struct SameFaces {
    float value;
    __device__ inline float common() const { return value; }
    __device__ inline float own() const { return value; }
    __device__ inline float west() const { return 1.0f; }
    __device__ inline float east() const { return 1.0f; }
    __device__ inline float south() const { return 1.0f; }
    __device__ inline float north() const { return 1.0f; }
    __device__ inline float below() const { return 1.0f; }
    __device__ inline float above() const { return 1.0f; }
    __device__ inline SameFaces ahead(bool) const { return *this; }
    __device__ inline void rise(const SameFaces&) {}
};

struct StateFaces {
    Neighbours<uint8> tissue;
    const float* __restrict__ table;
    int32 states;
    __device__ inline float common() const { return 1.0f; }
    __device__ inline float own() const { return table[tissue.here * (states + 1)]; }
    __device__ inline float west() const { return to(tissue.west()); }
    __device__ inline float east() const { return to(tissue.east()); }
    __device__ inline float south() const { return to(tissue.south()); }
    __device__ inline float north() const { return to(tissue.north()); }
    __device__ inline float below() const { return to(tissue.below); }
    __device__ inline float above() const { return to(tissue.above); }
    __device__ inline float to(uint8 state) const { return table[tissue.here * states + state]; }
    __device__ inline uint8 ahead(bool has) const { return tissue.ahead(has); }
    __device__ inline void rise(uint8 ahead) { tissue.rise(ahead); }
};

// What diffuses into a voxel over a step, in the order of Row::inflow.
template <typename Faces>
__device__ inline float inflow(const Neighbours<float>& c, const Faces& faces) {
    const float from_x = (c.west() - c.here) * faces.west() + (c.east() - c.here) * faces.east();
    const float from_y = (c.south() - c.here) * faces.south() + (c.north() - c.here) * faces.north();
    const float from_z = (c.below - c.here) * faces.below() + (c.above - c.here) * faces.above();
    return faces.common() * ((from_x + from_y) + from_z);
}
#endif
