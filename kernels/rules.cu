// What the cells of one layer do in a step: they change fields, and they change state.
//
// First the cell's effects on the fields of its voxel: secretions and losses whose rates depend on
// something, exchange with the body. Then its rules: each has a hazard over the step,
//   hazard = rate * dt * product of its modulators,
// and they compete: something happens with probability(sum), and what, by share of the sum. The
// layer is read from `own` and written to `next`, so no voxel sees another's new state; fields are
// read and written at the voxel alone.
//
// Few cells do anything in a step. So the random number comes first, and hazards are looked up only where
// it is below what the cell and the one beside it could reach: with the highest modulators there can be.
#include "modulators.cuh"

enum EffectKind { SECRETION = 0, LOSS = 1, EXCHANGE = 2 };

struct Effect {
    int32 field;
    int32 kind;
    float amount;  // SECRETION: concentration, LOSS and EXCHANGE: part of it, over the step
    int32 first_modulator, end_modulator;
    int32 quantity;  // EXCHANGE: of the body, on the other side of the wall
    float dilution;  // concentration there, for one unit of the quantity
};

// What a body gains from voxels is counted in units of 2^-20 of a concentration, as integers.
constexpr float flow_units = 1048576.0f;
constexpr float most_flow = 4398046511104.0f;  // 2^42, a voxel's in one step

__device__ inline int64 flow(float change) {
    const float bounded = change < most_flow ? change > -most_flow ? change : -most_flow : most_flow;
    return static_cast<int64>(bounded * flow_units);
}

struct Release {
    int32 field;
    float amount;  // concentration added to the voxel
};

struct Rule {
    int32 to;
    float hazard;  // rate * dt
    int32 after;   // steps to spend in the state first
    int32 first_modulator, end_modulator;
    int32 first_release, end_release;
};

__device__ inline float rule_hazard(const Rule& rule, const Modulator* modulators,
                                    const Lattice& lattice, int32 time_in_state, const Voxel& place) {
    if (time_in_state < rule.after) return 0.0f;
    const float hazard = modulated(rule.hazard, modulators, rule.first_modulator, rule.end_modulator,
                                   lattice, place);
    return hazard < 1.0e6f ? hazard : 1.0e6f;
}

// Blocks: replicates x nz x ny rows.
extern "C" __global__ void apply_rules(
    const uint8* __restrict__ own,    // [R, z, y, x] the layer whose cells change
    const uint8* __restrict__ other,  // [R, z, y, x] the other layer
    uint8* __restrict__ next,         // [R, z, y, x]
    uint16* __restrict__ clock,       // [R, z, y, x] steps in the present state, held at 65535
    float* __restrict__ fields,       // [F, R, z, y, x]
    const uint8* __restrict__ counts,  // [counts, R, z, y, x] of neighbours
    const float* __restrict__ body,    // [quantities, R]
    const Effect* __restrict__ effects,
    const int32* __restrict__ effect_begin,  // [states + 1], effects by the state that has them
    const Rule* __restrict__ rules,
    const int32* __restrict__ rule_begin,  // [states + 1], rules by the state that they leave
    const uint32* __restrict__ ceilings,   // [states, states], of the first random word, by `own` and `other`
    const Modulator* __restrict__ modulators,
    const Release* __restrict__ releases,
    uint64* __restrict__ fired,   // [rules, R]
    uint64* __restrict__ flowed,  // [effects, R], 2^-20 of a concentration, in two's complement
    const uint64* __restrict__ seeds,  // [R]
    uint64 origin,  // index of the first voxel here in the whole lattice
    uint32 step, uint32 purpose, int32 first_counted, int32 end_counted,  // planes whose cells are counted
    int32 states, int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Lattice lattice{own, other, fields, counts, body, Stack{replicates, nz, ny, nx}};
    const int64 size = volume(lattice.shape);
    Voxel place = first_of_row(lattice.shape);
    const int64 start = place.index;
    const int64 first = row_start(lattice.shape, place.replicate, 0, 0);
    const Draw draw{seeds[place.replicate], origin - first, step, purpose};
    const FirstWords words(draw, start, nx);
    const bool counted = place.z >= first_counted && place.z < end_counted;
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
        const int64 voxel = start + x;
        place.index = voxel;
        place.x = x;
        const uint8 state = own[voxel];
        const uint16 time_in_state = clock[voxel];
        next[voxel] = state;
        clock[voxel] = time_in_state < 65535 ? time_in_state + 1 : 65535;

        for (int32 e = effect_begin[state]; e < effect_begin[state + 1]; ++e) {
            const Effect& effect = effects[e];
            const float amount = modulated(effect.amount, modulators, effect.first_modulator,
                                           effect.end_modulator, lattice, place);
            if (!(amount > 0.0f)) continue;
            float& value = fields[effect.field * size + voxel];
            if (effect.kind == SECRETION) {
                value = value + amount;
            } else if (effect.kind == LOSS) {
                value = value / (1.0f + amount);
            } else {
                const float before = value;
                const float blood = body[effect.quantity * replicates + place.replicate];
                value = (before + amount * (blood * effect.dilution)) / (1.0f + amount);
                const uint64 given = static_cast<uint64>(flow(before - value));
                if (counted) atomicAdd(&flowed[e * replicates + place.replicate], given);
            }
        }

        if (words.at(x) >= ceilings[state * states + other[voxel]]) continue;
        const int32 begin = rule_begin[state], end = rule_begin[state + 1];
        float total = 0.0f;
        for (int32 r = begin; r < end; ++r)
            total = total + rule_hazard(rules[r], modulators, lattice, time_in_state, place);
        const Random random = draw.at(voxel);
        if (!happens(probability(total), random.word[0])) continue;

        const float mark = static_cast<float>(random.word[1] >> 8) * two_to_minus_24 * total;
        float sum = 0.0f;
        int32 chosen = begin;
        for (int32 r = begin; r < end; ++r) {
            const float hazard = rule_hazard(rules[r], modulators, lattice, time_in_state, place);
            if (hazard > 0.0f && !(mark < sum)) chosen = r;
            sum = sum + hazard;
        }
        const Rule& rule = rules[chosen];
        for (int32 i = rule.first_release; i < rule.end_release; ++i)
            fields[releases[i].field * size + voxel] =
                fields[releases[i].field * size + voxel] + releases[i].amount;
        next[voxel] = static_cast<uint8>(rule.to);
        clock[voxel] = 0;
        // Integers: the order can't matter.
        if (counted) atomicAdd(&fired[chosen * replicates + place.replicate], uint64(1));
    }
}
ENTRY(apply_rules)
