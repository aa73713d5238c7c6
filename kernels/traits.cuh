// Traits: numbers that cells carry, each of the states of one layer.
//
// A cell that enters one of these states from another begins with an initial value, and one that leaves them has 0.
// Initial values and mutations come out of tables of quantiles.
#pragma once
#include "transition.cuh"

enum AtDivision { COPY = 0, SHARE = 1, RESET = 2 };
enum Mutation { ADDED = 0, MULTIPLIED = 1, REPLACED = 2 };  // what is drawn: a sum, a factor, or the value itself
enum Adjusted { ADD = 0, SET = 1 };

struct Trait {
    float most;
    int32 at_division;
    int32 mutation;
    uint32 mutates;    // probability that the daughter's value does, in 2^-32
    int32 founds;      // whether it then founds a clone
    uint32 states[8];  // that have it
};

struct Adjustment {
    int32 trait, kind;
    float amount;
};

constexpr int32 quantile_steps = 1024;  // between two quantiles of a table, of equal probability

// The traits of the cells of one layer, from `first` to `end` among those of both.
struct Traits {
    const Trait* rows;
    const float* quantiles;  // [traits, 2, quantile_steps + 1], of initial values and of mutations
    float* values;           // [traits, R, z, y, x]
    int64 size;              // voxels of all replicates
    int32 first, end;

    __device__ inline float& of(int32 trait, int64 voxel) const { return values[trait * size + voxel]; }
    __device__ inline float held(int32 trait, float value) const {
        const float most = rows[trait].most;
        return value > 0.0f ? value < most ? value : most : 0.0f;
    }
    __device__ inline bool has(int32 trait, int32 state) const {
        return in_set(rows[trait].states, static_cast<uint8>(state)) != 0;
    }
    __device__ inline float quantile(int32 trait, int32 mutation, uint32 word) const {
        const float* table = quantiles + (2 * trait + mutation) * (quantile_steps + 1) + (word >> 22);
        const float along = static_cast<float>(word & 0x3FFFFFu) * two_to_minus_22;
        return table[0] + (table[1] - table[0]) * along;
    }
    __device__ inline float initial(int32 trait, uint32 word) const { return held(trait, quantile(trait, 0, word)); }
    __device__ inline float mutated(int32 trait, float value, uint32 word) const {
        const float drawn = quantile(trait, 1, word);
        const int32 kind = rows[trait].mutation;
        return held(trait, kind == ADDED ? value + drawn : kind == MULTIPLIED ? value * drawn : drawn);
    }
    // The random numbers of a trait.
    __device__ inline Random drawn(int32 trait, Draw draw, int64 voxel) const {
        draw.purpose += purposes * static_cast<uint32>(trait + 1);
        return draw.at(voxel);
    }
    __device__ inline float adjusted(const Adjustment& by, float value) const {
        return held(by.trait, by.kind == ADD ? value + by.amount : by.amount);
    }
    __device__ inline void copy(int64 to, int64 from) const {
        for (int32 t = first; t < end; ++t) of(t, to) = of(t, from);
    }
    __device__ inline void clear(int64 voxel) const {
        for (int32 t = first; t < end; ++t) of(t, voxel) = 0.0f;
    }
};

// Few voxels come to the following, which so stand out of line.

// A cell goes from one state to another.
OUT_OF_LINE void enter_state(const Traits& traits, int64 voxel, int32 from, int32 to, const Draw& draw) {
    for (int32 t = traits.first; t < traits.end; ++t)
        if (!traits.has(t, to))
            traits.of(t, voxel) = 0.0f;
        else if (!traits.has(t, from))
            traits.of(t, voxel) = traits.initial(t, traits.drawn(t, draw, voxel).word[0]);
}

OUT_OF_LINE void swap_traits(const Traits& traits, int64 a, int64 b) {
    for (int32 t = traits.first; t < traits.end; ++t) {
        const float of_a = traits.of(t, a);
        traits.of(t, a) = traits.of(t, b);
        traits.of(t, b) = of_a;
    }
}
