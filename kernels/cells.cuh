// A layer of cells, and what a cell takes along when it leaves its voxel: all that stands here, and nothing else.
#pragma once
#include "clones.cuh"

constexpr uint16 rigid_room = 65535;  // of a voxel that takes no cell and lets none through, and of what is outside
constexpr int32 in_place = 13;     // of the 27 voxels around and including one, in the order z, y, x

struct Cell {
    uint8 state;
    uint16 clock;
    uint8 heading, claim;
    uint64 clone;
};

struct CellLayer {
    uint8* cells;
    uint16* clock;
    uint8 *heading, *claim;
    uint64* clone;
    bool has_heading, has_claim, has_clone;  // whether the arrays have entries
    Traits traits;

    __device__ inline Cell at(int64 voxel) const {
        return Cell{cells[voxel], clock[voxel], has_heading ? heading[voxel] : uint8(0),
                    has_claim ? claim[voxel] : uint8(0), has_clone ? clone[voxel] : uint64(0)};
    }
    __device__ inline void put(int64 voxel, const Cell& cell) const {
        cells[voxel] = cell.state;
        clock[voxel] = cell.clock;
        if (has_heading) heading[voxel] = cell.heading;
        if (has_claim) claim[voxel] = cell.claim;
        if (has_clone) clone[voxel] = cell.clone;
    }
    __device__ inline void copy(int64 to, int64 from) const {
        put(to, at(from));
        traits.copy(to, from);
    }
    __device__ inline void swap(int64 a, int64 b) const {
        const Cell of_a = at(a);
        put(a, at(b));
        put(b, of_a);
        if (traits.first < traits.end) swap_traits(traits, a, b);
    }
    __device__ inline void clear(int64 voxel, int32 vacant) const {
        put(voxel, Cell{static_cast<uint8>(vacant), 0, 0, 0, 0});
        traits.clear(voxel);
    }
};

// A cell that has just come, or none, where `state` is vacant.
__device__ inline Cell fresh(int32 state) { return Cell{static_cast<uint8>(state), 0, 0, 0, 0}; }
