// Regions of voxels that are joined to each other.
#pragma once
#include "cells.cuh"
#include "modulators.cuh"

// A label is the number of a voxel of the same region, from 1 on, or 0 where the region is joined to what is looked for.
constexpr uint32 no_region = 0xFFFFFFFFu;

// The voxels around one of a row.
struct Surroundings {
    const Stack& shape;
    int32 boundary;
    const Voxel& row;
    // Of the 27 in the order z, y, x; -1 beyond a side.
    __device__ inline int64 at(int32 number, int32 x) const {
        const int32 z = along(row.z + number / 9 - 1, shape.nz, boundary & PERIODIC_Z);
        const int32 y = along(row.y + number / 3 % 3 - 1, shape.ny, boundary & PERIODIC_Y);
        const int32 there = along(x + number % 3 - 1, shape.nx, boundary & PERIODIC_X);
        return z < 0 || y < 0 || there < 0 ? -1 : row_start(shape, row.replicate, z, y) + there;
    }
};
