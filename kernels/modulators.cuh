// What the rate of a rule, a secretion, a loss or a move depends on: fields, cells around, the body.
#pragma once
#include "common.cuh"

// The structs are laid out as gpusim/model/tables.py has them: members of 4 bytes, no padding.
enum Source { FIELD = 0, NEIGHBOURS = 1, CONTACT = 2, BODY = 3, ROOM = 4, TRAIT = 5, NOTHING = 6 };
enum Shape { HILL = 0, LINEAR = 1, STEP = 2, RAMP = 3, POWER = 4, INCREASES = 5, DECREASES = 6, JOINT = 7 };

struct Modulator {
    int32 source;  // what is looked at
    int32 index;   // FIELD, BODY, NEIGHBOURS, TRAIT: which
    int32 shape;   // how the value becomes a factor
    int32 power;   // of a Hill function: HILL: 1 to 4; POWER, INCREASES, DECREASES: in 2^-20
    float scale;   // HILL, POWER and signals: 1 / half; LINEAR: 1 / per; STEP: threshold; RAMP: 1 / width
    float low;     // factor at value 0
    float high;    // factor at saturation
    float offset;  // RAMP: its beginning; JOINT: factor at saturation of what decreases it
    uint32 states[8];  // a set of states, one bit each
};

struct Lattice {
    const uint8* own;      // [R, z, y, x]
    const uint8* other;    // [R, z, y, x]
    const float* fields;   // [F, R, z, y, x]
    const uint8* counts;   // of neighbours, [counts, R, z, y, x]
    const float* body;     // [quantities, R]
    Stack shape;
    const float* traits;   // [traits, R, z, y, x], of the cells of both layers
    const uint16* room = nullptr;  // [R, z, y, x] tenths of a voxel, see kernels/division.cu; rules alone look at it
};

struct Voxel {
    int64 index;  // in [R, z, y, x]
    int32 replicate, z, y, x;
};

// The first voxel of a block's row. Blocks: replicates x nz x ny rows.
__device__ inline Voxel first_of_row(const Stack& shape) {
    const int32 plane = blockIdx.x / shape.ny, replicate = plane / shape.nz;
    return Voxel{static_cast<int64>(blockIdx.x) * shape.nx, replicate, plane - replicate * shape.nz,
                 static_cast<int32>(blockIdx.x) - plane * shape.ny, 0};
}

// The rows of a block, which follow each other: on a host, one.
struct BlockRows {
    Voxel first;
    int32 count;
    __device__ inline BlockRows(const Stack& shape, int32 block_rows) {
#ifdef GPUSIM_HOST
        first = first_of_row(shape);
        count = 1;
#else
        const int32 rows = shape.replicates * shape.nz * shape.ny, row = blockIdx.x * block_rows;
        first = Voxel{static_cast<int64>(row) * shape.nx, 0, 0, row, 0};
        count = block_rows < rows - row ? block_rows : rows - row;
#endif
    }
    // The i-th of their voxels.
    __device__ inline Voxel voxel(const Stack& shape, int32 i) const {
#ifdef GPUSIM_HOST
        return Voxel{first.index + i, first.replicate, first.z, first.y, i};
#else
        const int32 in_block = i / shape.nx, row = first.y + in_block, plane = row / shape.ny, replicate = plane / shape.nz;
        return Voxel{first.index + i, replicate, plane - replicate * shape.nz, row - plane * shape.ny, i - in_block * shape.nx};
#endif
    }
};

OUT_OF_LINE float room_of(const uint16* room, int64 voxel) { return static_cast<float>(room[voxel]); }

// What a modulator looks at.
__device__ inline float looked_at(const Modulator& modulator, const Lattice& lattice, const Voxel& place) {
    switch (static_cast<Source>(modulator.source)) {
        case FIELD:
            return lattice.fields[modulator.index * volume(lattice.shape) + place.index];
        case BODY:
            return lattice.body[modulator.index * lattice.shape.replicates + place.replicate];
        case NEIGHBOURS:
            return static_cast<float>(lattice.counts[modulator.index * volume(lattice.shape) + place.index]);
        case TRAIT:
            return lattice.traits[modulator.index * volume(lattice.shape) + place.index];
        case ROOM:  // where it is known that there is none, nothing of this is left
            return lattice.room == nullptr ? 0.0f : room_of(lattice.room, place.index);
        case NOTHING:
            return 0.0f;
        case CONTACT:
            break;
    }
    return static_cast<float>(in_set(modulator.states, lattice.other[place.index]));
}

__device__ inline float root(float value) { return sqrtf(value); }
__device__ inline double root(double value) { return sqrt(value); }

constexpr int32 power_bits = 20;
constexpr double least_raised = 1.0e-18;

// A ratio to a power in 2^-20, by squares and square roots. Above 1, that of the reciprocal, which does not overflow.
template <typename Number>
OUT_OF_LINE Number raised_to(Number ratio, int32 power) {
    const Number one = Number(1);
    const bool large = ratio > one;
    const Number base = large ? one / ratio : ratio > Number(0) ? ratio : Number(0);
    const int32 fraction = (1 << power_bits) - 1;
    Number found = one, factor = base;
    for (int32 whole = power >> power_bits; whole > 0; whole >>= 1) {
        if (whole & 1) found = found * factor;
        factor = factor * factor;
    }
    factor = base;
    for (int32 part = power & fraction; part != 0; part &= fraction) {
        factor = root(factor);
        part <<= 1;
        if (part >> power_bits) found = found * factor;
    }
    const Number least = Number(least_raised);
    return large ? one / (found > least ? found : least) : found;
}

// What the signals of a joint response add up to, until its last row.
template <typename Number>
struct Sums {
    Number increases = Number(0), decreases = Number(0);
};

// The factor of a row of a joint response: 1 of all but its last.
template <typename Number>
OUT_OF_LINE Number joint(const Modulator& row, Number value, Sums<Number>& sums) {
    const Number one = Number(1);
    if (row.shape != JOINT) {
        Number& sum = row.shape == INCREASES ? sums.increases : sums.decreases;
        sum = sum + raised_to(value * Number(row.scale), row.power);
        return one;
    }
    const Number up = sums.increases, down = sums.decreases;
    sums = Sums<Number>();
    const Number rest_of_up = one / (one + up), rest_of_down = one / (one + down);
    const Number above = Number(row.low) * rest_of_up + Number(row.high) * (up * rest_of_up);
    return above * rest_of_down + Number(row.offset) * (down * rest_of_down);
}

// The factor that a modulator, no joint response, makes of what it finds, in float; in double for the body.
template <typename Number>
__device__ inline Number response(const Modulator& modulator, Number value) {
    switch (static_cast<Shape>(modulator.shape)) {
        case STEP:
            return value >= Number(modulator.scale) ? modulator.high : modulator.low;
        case RAMP: {
            const Number along = (value - Number(modulator.offset)) * Number(modulator.scale);
            const Number held = along > Number(0) ? along < Number(1) ? along : Number(1) : Number(0);
            return Number(modulator.low) + (Number(modulator.high) - Number(modulator.low)) * held;
        }
        case LINEAR:
            return value * Number(modulator.scale);
        case HILL:
        case POWER:
        case INCREASES:
        case DECREASES:
        case JOINT:
            break;
    }
    const Number ratio = value * Number(modulator.scale);
    Number raised;
    if (modulator.shape == HILL) {
        const Number r = ratio < Number(1.0e9) ? ratio : Number(1.0e9);  // r^4 stays finite
        raised = r;
        for (int32 n = 1; n < modulator.power; ++n) raised = raised * r;
    } else {
        raised = raised_to(ratio, modulator.power);
    }
    // Not low + (high - low) * ..., which has no digits left of what r far above 1 lets through.
    const Number rest = Number(1) / (Number(1) + raised);
    return Number(modulator.low) * rest + Number(modulator.high) * (raised * rest);
}

// The factor of any row.
template <typename Number>
__device__ inline Number factor_of(const Modulator& row, Number value, Sums<Number>& sums) {
    return row.shape < INCREASES ? response(row, value) : joint(row, value, sums);
}

// A rate times its modulators; 0 where it is not above 0. Nothing that follows a 0 can raise it.
__device__ inline float modulated(float rate, const Modulator* modulators, int32 first, int32 end,
                                  const Lattice& lattice, const Voxel& place) {
    float value = rate;
    Sums<float> sums;
    for (int32 m = first; m < end && value > 0.0f; ++m)
        value = value * factor_of(modulators[m], looked_at(modulators[m], lattice, place), sums);
    return value > 0.0f ? value : 0.0f;
}
