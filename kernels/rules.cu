// State transitions of one cell layer.
//
// Every rule that leaves the voxel's present state has a hazard over the step,
//   hazard = rate * dt * product of its modulators,
// and they compete: something happens with probability(sum), and what, by share of the sum. The
// layer is read from `own` and written to `next`, so no voxel sees another's new state; fields are
// read and written at the voxel alone.
//
// Bytes per voxel: 1 read, 1 written, 4 for the clock, 4 per field that a rule of the state reads,
// and the neighbours (cached) where a rule counts them.
#include "common.cuh"

// The structs are laid out as gpusim/model/tables.py has them: members of 4 bytes, no padding.
enum Source { FIELD = 0, NEIGHBOURS = 1, CONTACT = 2 };
enum Shape { HILL = 0, LINEAR = 1, STEP = 2 };

struct Modulator {
    int32 source;  // what is looked at
    int32 index;   // FIELD: which; NEIGHBOURS: 6, 18 or 26 voxels
    int32 shape;   // how the value becomes a factor
    int32 power;   // of a Hill function
    float scale;   // HILL: 1 / half; LINEAR: 1 / per; STEP: threshold
    float low;     // factor at value 0
    float span;    // factor at saturation, less `low`
    uint32 states[8];  // a set of states, one bit each
};

struct Release {
    int32 field;
    float amount;  // concentration added to the voxel
};

struct Rule {
    int32 to;
    int32 counter;
    float hazard;  // rate * dt
    int32 after;   // steps to spend in the state first
    int32 first_modulator, end_modulator;
    int32 first_release, end_release;
};

struct Lattice {
    const uint8* own;
    const uint8* other;
    const float* fields;
    int32 nz, ny, nx;
};

__device__ inline int32 in_set(const uint32* states, uint8 state) {
    return static_cast<int32>((states[state >> 5] >> (state & 31)) & 1u);
}

// Cells of either layer, in the set, among the 6, 18 or 26 nearest voxels; none stands outside.
__device__ inline int32 count_neighbours(const Modulator& modulator, const Lattice& lattice, int32 z,
                                         int32 y, int32 x) {
    const int32 reach = modulator.index == 6 ? 1 : modulator.index == 18 ? 2 : 3;
    int32 count = 0;
    for (int32 dz = -1; dz <= 1; ++dz)
        for (int32 dy = -1; dy <= 1; ++dy)
            for (int32 dx = -1; dx <= 1; ++dx) {
                const int32 distance = dz * dz + dy * dy + dx * dx;
                if (distance == 0 || distance > reach) continue;
                const int32 k = z + dz, j = y + dy, i = x + dx;
                if (k < 0 || k >= lattice.nz || j < 0 || j >= lattice.ny || i < 0 || i >= lattice.nx)
                    continue;
                const int64 n = (static_cast<int64>(k) * lattice.ny + j) * lattice.nx + i;
                count += in_set(modulator.states, lattice.own[n]);
                count += in_set(modulator.states, lattice.other[n]);
            }
    return count;
}

__device__ inline float factor(const Modulator& modulator, const Lattice& lattice, int64 voxel,
                               int32 z, int32 y, int32 x) {
    float value;
    if (modulator.source == FIELD)
        value = lattice.fields[modulator.index * (static_cast<int64>(lattice.nz) * lattice.ny *
                                                  lattice.nx) + voxel];
    else if (modulator.source == NEIGHBOURS)
        value = static_cast<float>(count_neighbours(modulator, lattice, z, y, x));
    else
        value = static_cast<float>(in_set(modulator.states, lattice.other[voxel]));

    if (modulator.shape == STEP)
        return value >= modulator.scale ? modulator.low + modulator.span : modulator.low;
    const float ratio = value * modulator.scale;
    if (modulator.shape == LINEAR) return ratio;
    const float r = ratio < 1.0e9f ? ratio : 1.0e9f;  // r^4 stays finite
    float raised = r;
    for (int32 n = 1; n < modulator.power; ++n) raised = raised * r;
    return modulator.low + modulator.span * (raised / (1.0f + raised));
}

__device__ inline float rule_hazard(const Rule& rule, const Modulator* modulators,
                                    const Lattice& lattice, int32 time_in_state, int64 voxel, int32 z,
                                    int32 y, int32 x) {
    if (time_in_state < rule.after) return 0.0f;
    float hazard = rule.hazard;
    for (int32 m = rule.first_modulator; m < rule.end_modulator; ++m)
        hazard = hazard * factor(modulators[m], lattice, voxel, z, y, x);
    if (!(hazard > 0.0f)) return 0.0f;
    return hazard < 1.0e6f ? hazard : 1.0e6f;
}

// Blocks: nz x ny rows.
extern "C" __global__ void apply_rules(
    const uint8* __restrict__ own,    // [z, y, x] the layer whose cells change
    const uint8* __restrict__ other,  // [z, y, x] the other layer
    uint8* __restrict__ next,         // [z, y, x]
    uint16* __restrict__ clock,       // [z, y, x] steps in the present state, held at 65535
    float* __restrict__ fields,       // [F, z, y, x]
    const Rule* __restrict__ rules,
    const int32* __restrict__ rule_begin,  // [states + 1], rules by the state that they leave
    const Modulator* __restrict__ modulators,
    const Release* __restrict__ releases,
    uint64* __restrict__ fired,  // [counters]
    uint64 seed, uint32 step, uint32 purpose, int32 nz, int32 ny, int32 nx) {
    const int32 z = blockIdx.x / ny;
    const int32 y = blockIdx.x % ny;
    const int64 start = static_cast<int64>(blockIdx.x) * nx;
    const int64 volume = static_cast<int64>(nz) * ny * nx;
    const Lattice lattice{own, other, fields, nz, ny, nx};
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
        const int64 voxel = start + x;
        const uint8 state = own[voxel];
        const int32 begin = rule_begin[state], end = rule_begin[state + 1];
        const uint16 time_in_state = clock[voxel];
        next[voxel] = state;
        clock[voxel] = time_in_state < 65535 ? time_in_state + 1 : 65535;
        if (begin == end) continue;

        float total = 0.0f;
        for (int32 r = begin; r < end; ++r)
            total = total + rule_hazard(rules[r], modulators, lattice, time_in_state, voxel, z, y, x);
        if (!(total > 0.0f)) continue;
        const Random random = voxel_random(voxel, step, purpose, seed);
        if (!happens(probability(total), random.word[0])) continue;

        const float mark = static_cast<float>(random.word[1] >> 8) * two_to_minus_24 * total;
        float sum = 0.0f;
        int32 chosen = begin;
        for (int32 r = begin; r < end; ++r) {
            const float hazard =
                rule_hazard(rules[r], modulators, lattice, time_in_state, voxel, z, y, x);
            if (hazard > 0.0f && !(mark < sum)) chosen = r;
            sum = sum + hazard;
        }
        const Rule& rule = rules[chosen];
        for (int32 i = rule.first_release; i < rule.end_release; ++i)
            fields[releases[i].field * volume + voxel] =
                fields[releases[i].field * volume + voxel] + releases[i].amount;
        next[voxel] = static_cast<uint8>(rule.to);
        clock[voxel] = 0;
        atomicAdd(&fired[rule.counter], uint64(1));  // integers: the order can't matter
    }
}
ENTRY(apply_rules)
