// Regions of voxels that are joined to each other.
#pragma once
#include "cells.cuh"
#include "modulators.cuh"

// A label is the number of a voxel of the same region, from 1 on, or 0 where the region is joined to what is looked for:
// parents in a tree whose root is the least of them (union by the least number).
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

// The labels of one replicate, while threads change them.
struct Regions {
    uint32* labels;
    __device__ inline uint32 parent(uint32 number) const { return atomicMin(&labels[number - 1], no_region); }
    __device__ inline uint32 root(uint32 number) const {
        for (uint32 above; number != 0 && (above = parent(number)) != number;) number = above;
        return number;
    }
    __device__ inline void join(uint32 a, uint32 b) const {
        while ((a = root(a)) != (b = root(b))) {
            const uint32 less = a < b ? a : b, more = a < b ? b : a;
            const uint32 before = atomicMin(&labels[more - 1], less);
            if (before == more) return;
            a = less;  // another thread has joined it first
            b = before;
        }
    }
};

// Whether a label leads to 0; `labels` are those of the replicate, and no longer change.
__device__ inline bool leads_to_0(const uint32* labels, uint32 label) {
    while (label != 0 && label != no_region && labels[label - 1] != label) label = labels[label - 1];
    return label == 0;
}
