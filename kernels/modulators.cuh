// What the rate of a rule, a secretion, a loss or a move depends on: fields, cells around, the body.
#pragma once
#include "common.cuh"

// The structs are laid out as gpusim/model/tables.py has them: members of 4 bytes, no padding.
enum Source { FIELD = 0, NEIGHBOURS = 1, CONTACT = 2, BODY = 3 };
enum Shape { HILL = 0, LINEAR = 1, STEP = 2 };

struct Modulator {
    int32 source;  // what is looked at
    int32 index;   // FIELD, BODY: which; NEIGHBOURS: 6, 18 or 26 voxels
    int32 shape;   // how the value becomes a factor
    int32 power;   // of a Hill function
    float scale;   // HILL: 1 / half; LINEAR: 1 / per; STEP: threshold
    float low;     // factor at value 0
    float span;    // factor at saturation, less `low`
    uint32 states[8];  // a set of states, one bit each
};

struct Lattice {
    const uint8* own;
    const uint8* other;
    const float* fields;
    const float* body;  // quantities of the body
    int32 nz, ny, nx;
};

struct Voxel {
    int64 index;
    int32 z, y, x;
};

__device__ inline int32 in_set(const uint32* states, uint8 state) {
    return static_cast<int32>((states[state >> 5] >> (state & 31)) & 1u);
}

// Cells of either layer, in the set, among the 6, 18 or 26 nearest voxels; none stands outside.
__device__ inline int32 count_neighbours(const Modulator& modulator, const Lattice& lattice,
                                         const Voxel& place) {
    const int32 reach = modulator.index == 6 ? 1 : modulator.index == 18 ? 2 : 3;
    int32 count = 0;
    for (int32 dz = -1; dz <= 1; ++dz)
        for (int32 dy = -1; dy <= 1; ++dy)
            for (int32 dx = -1; dx <= 1; ++dx) {
                const int32 distance = dz * dz + dy * dy + dx * dx;
                if (distance == 0 || distance > reach) continue;
                const int32 k = place.z + dz, j = place.y + dy, i = place.x + dx;
                if (k < 0 || k >= lattice.nz || j < 0 || j >= lattice.ny || i < 0 || i >= lattice.nx)
                    continue;
                const int64 n = (static_cast<int64>(k) * lattice.ny + j) * lattice.nx + i;
                count += in_set(modulator.states, lattice.own[n]);
                count += in_set(modulator.states, lattice.other[n]);
            }
    return count;
}

__device__ inline float factor(const Modulator& modulator, const Lattice& lattice, const Voxel& place) {
    float value;
    if (modulator.source == FIELD)
        value = lattice.fields[modulator.index * (static_cast<int64>(lattice.nz) * lattice.ny *
                                                  lattice.nx) + place.index];
    else if (modulator.source == BODY)
        value = lattice.body[modulator.index];
    else if (modulator.source == NEIGHBOURS)
        value = static_cast<float>(count_neighbours(modulator, lattice, place));
    else
        value = static_cast<float>(in_set(modulator.states, lattice.other[place.index]));

    if (modulator.shape == STEP)
        return value >= modulator.scale ? modulator.low + modulator.span : modulator.low;
    const float ratio = value * modulator.scale;
    if (modulator.shape == LINEAR) return ratio;
    const float r = ratio < 1.0e9f ? ratio : 1.0e9f;  // r^4 stays finite
    float raised = r;
    for (int32 n = 1; n < modulator.power; ++n) raised = raised * r;
    return modulator.low + modulator.span * (raised / (1.0f + raised));
}

// A rate times its modulators; 0 where it is not above 0. Nothing that follows a 0 can raise it.
__device__ inline float modulated(float rate, const Modulator* modulators, int32 first, int32 end,
                                  const Lattice& lattice, const Voxel& place) {
    float value = rate;
    for (int32 m = first; m < end && value > 0.0f; ++m)
        value = value * factor(modulators[m], lattice, place);
    return value > 0.0f ? value : 0.0f;
}
