// Clones: a label that cells of some states inherit, and a table of the clones that are born.
//
// A label tells when and where its clone was born: 32 bits of the application of the rules, 2 of the occasion, and 30 of
// the voxel. So no two clones have one label, and it depends neither on threads nor on ranks. 0 stands for no clone.
#pragma once
#include "traits.cuh"

constexpr uint64 occasion_partner = uint64(1) << 30;  // a rule has changed the partner of its cell
constexpr uint64 occasion_second = uint64(1) << 31;   // in a division, a daughter founds a clone after her mother

struct Lineage {
    uint32 states[8];  // whose cells belong to clones
    uint32 mutates;    // probability that a daughter founds a clone, in 2^-32
};

struct Clones {
    const Lineage* lineage;  // [lineages], at most one
    int32 lineages;
    uint64* born;    // [R], births in this table
    uint64* births;  // [R, capacity, 2], label and parent
    float* newborn;  // [R, capacity, traits], traits of the first cell
    int32 capacity;

    __device__ inline bool has(int32 state) const {
        return lineages > 0 && in_set(lineage[0].states, static_cast<uint8>(state)) != 0;
    }
    __device__ inline uint64 label(const Draw& draw, int64 voxel) const {
        return static_cast<uint64>(draw.step) << 32 | (draw.offset + static_cast<uint64>(voxel));
    }
    // Notes a birth, with the traits of the first cell; a table that is full only counts it.
    __device__ inline void note(uint64 label, uint64 parent, const Traits& traits, int64 voxel, int32 replicate, int32 trait_count) const {
        const uint64 row = atomicAdd(&born[replicate], uint64(1));
        if (row >= static_cast<uint64>(capacity)) return;
        const int64 at = static_cast<int64>(replicate) * capacity + static_cast<int64>(row);
        births[2 * at] = label;
        births[2 * at + 1] = parent;
        for (int32 t = traits.first; t < traits.end; ++t) newborn[at * trait_count + t] = traits.of(t, voxel);
    }
};
