// Rows of a plane that a host takes as one, so that short rows fill its vectors too: where x and y are closed.
// Those of a plane but for its first and its last have the same rows around. A small plane is taken whole, but
// for the first and the last of the lattice, around which the memory may end. A GPU has a thread for each voxel.
#pragma once

class Runs {
  public:
    Runs(const Stack& shape, int32 boundary) : shape(shape) {
        const int32 nx = shape.nx, ny = shape.ny;
        if (boundary & (PERIODIC_X | PERIODIC_Y | OPEN) || nx < 2 || nx > longest / 2) return;
        planes = ny * nx <= longest;  // of a larger one half as much: its tables' rows stay in the nearest cache
        most = planes ? ny : longest / 2 / nx;
        std::memset(bits, 0, most * nx);
        for (int32 row = 0; row < most; ++row) {
            bits[row * nx] |= Sides::LOW_X;
            bits[row * nx + nx - 1] |= Sides::HIGH_X;
        }
        for (int32 x = 0; planes && x < nx; ++x) {
            bits[x] |= Sides::LOW_Y;
            bits[(ny - 1) * nx + x] |= Sides::HIGH_Y;
        }
    }
    // Whether it knows which voxels stand at a side.
    bool closed() const { return most > 0; }
    int32 longest_of(int32 nx) const { return most > 0 ? most * nx : nx; }
    // Rows of the run that begins at (z, y), of `left` that may be taken.
    int32 rows_from(int32 z, int32 y, int32 left) const {
        const int32 ny = shape.ny;
        if (planes && y == 0 && z > 0 && z < shape.nz - 1 && left >= ny) return ny;
        if (most < 2 || y == 0 || y >= ny - 1) return 1;
        const int32 rows = most < left ? most : left;
        return rows < ny - 1 - y ? rows : ny - 1 - y;
    }
    __device__ inline Sides sides(int32 y) const { return Sides{planes ? bits + y * shape.nx : bits}; }

  private:
    static constexpr int32 longest = 1024;
    const Stack shape;
    int32 most = 0;
    bool planes = false;
    alignas(64) uint8 bits[longest];
};
