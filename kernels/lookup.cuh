// What the cells of a voxel exchange: entries of tables [tissue states, immune states].
#pragma once
#include "common.cuh"

enum VariesBy { UNIFORM = 0, TISSUE = 1, TISSUE_AND_IMMUNE = 2 };

// A wall between voxels and the body.
struct Wall {
    int32 field;
    int32 quantity;  // of the body, on the other side
    float dilution;  // concentration there, for one unit of the quantity; 0 where nothing enters the voxel
    float returns;   // 1, or 0 where nothing leaves the voxel
};

// Through the walls of a voxel in dt, for each unit of its concentration; what comes in by itself; and both together.
struct Across {
    float rate, brought, net;
    __device__ inline void add(float through, float blood, float returns, float c) {
        rate = rate + through * returns;
        brought = brought + through * blood;
        net = net + through * (blood - returns * c);
    }
};

// Concentrations below a trace, in the field's unit, are 0 (kernels/transport.cu).
constexpr float trace = 1.0e-34f;

__device__ inline float held(float value) { return value < trace ? 0.0f : value; }

// Of voxels that hold a concentration, as gpusim/model/tables.py has it.
constexpr float fastest_loss = 1.0e37f, held_mass = 18446744073709551616.0f;

// Which cells stand in a row, and how to find their entry. Immune states are numbered after those of the
// tissue; the first of them is nobody.
struct Cells {
    const uint8 *tissue, *immune;
    int32 tissue_states, immune_states;
    __device__ inline Cells from(int64 start) const {
        return Cells{tissue + start, immune + start, tissue_states, immune_states};
    }
};

template <int32 by>
__device__ inline int32 exchange_index(const Cells& cells, int32 x) {
    if (by == UNIFORM) return 0;
    const int32 first = cells.tissue[x] * cells.immune_states;
    return by == TISSUE ? first : first + cells.immune[x] - cells.tissue_states;
}

// A table read where it is needed.
template <int32 by>
struct TableAt {
    Cells cells;
    const float* table;
    __device__ inline TableAt from(int64 start, int32) const { return TableAt{cells.from(start), table}; }
    __device__ inline float at(int32 x) const { return table[exchange_index<by>(cells, x)]; }
};

// The map [R, z, y, x] of a field among maps by slot; null where the field has none.
__device__ inline const float* map_of(const float* maps, int32 slot, const Stack& shape) {
    return slot < 0 ? nullptr : maps + slot * volume(shape);
}

// A map, which has an entry for each voxel.
struct MapAt {
    const float* values;
    __device__ inline MapAt from(int64 start, int32) const { return MapAt{values + start}; }
    __device__ inline float at(int32 x) const { return values[x]; }
};

// Either, chosen at each voxel: for the few that stand apart.
struct MapOrTable {
    Cells cells;
    const float *map, *table;
    int32 by;
    int64 start = 0;
    __device__ inline MapOrTable from(int64 first) const { return MapOrTable{cells, map, table, by, start + first}; }
    __device__ inline float at(int32 x) const {
        if (map != nullptr) return map[start + x];
        const Cells here = cells.from(start);
        return table[by == UNIFORM  ? 0
                     : by == TISSUE ? exchange_index<TISSUE>(here, x)
                                    : exchange_index<TISSUE_AND_IMMUNE>(here, x)];
    }
};

// Which fields the cells of a row hold.
struct Held {
    const float* values;  // [F, states], below 0 where none is held
    const uint8* tissue;
    int32 states;  // of the tissue; 0 where no field is held anywhere
    __device__ inline bool at(int32 field, int32 x) const {
        return states > 0 && values[field * states + tissue[x]] >= 0.0f;
    }
    __device__ inline bool ever(int32 field) const {
        bool any = false;
        for (int32 s = 0; s < states; ++s) any |= values[field * states + s] >= 0.0f;
        return any;
    }
};

#ifdef GPUSIM_HOST
#include "host/lookup.hpp"
#endif
