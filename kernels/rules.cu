// Transitions of the cells of one layer.
//
// A rule has a hazard over the step,
//   hazard = rate * dt * product of its modulators,
// and the rules that leave a state compete: something happens with probability(sum), and what, by share of
// the sum. The layer is read from `own` and written to `next`, so no voxel sees another's new state; fields are
// read and written at the voxel alone.
//
// Few cells do anything in a step. So the random number comes first, and hazards are looked up only where
// it is below what the cell and the one beside it could reach: with the highest modulators there can be.
#include "modulators.cuh"
#include "transition.cuh"

__device__ inline float rule_hazard(const Rule& rule, const Modulator* modulators,
                                    const Lattice& lattice, int32 time_in_state, const Voxel& place) {
    if (time_in_state < rule.after) return 0.0f;
    const float hazard = modulated(rule.hazard, modulators, rule.first_modulator, rule.end_modulator,
                                   lattice, place);
    if (rule.daughter < 0) return hazard < 1.0e6f ? hazard : 1.0e6f;
    // So that as many daughters are born as cells that divide at this rate have: exp(h) - 1 on average, to third order.
    const float h = hazard < most_division ? hazard : most_division;
    return h / (1.0f - h);
}

// Blocks: replicates x nz x ny rows.
extern "C" __global__ void apply_rules(
    // model:
    const Rule* __restrict__ rules,            // [rules]
    const int32* __restrict__ rule_begin,      // [states + 1], rules by the state that they leave
    const uint32* __restrict__ ceilings,       // [states, states], of the first random word, by `cells` and `other`
    const Modulator* __restrict__ modulators,  // [modulators]
    const Release* __restrict__ releases,      // [releases]
    const uint64* __restrict__ seeds,          // [R]
    // state in:
    const uint8* __restrict__ cells,   // [R, z, y, x], the layer whose cells change
    const uint8* __restrict__ other,   // [R, z, y, x], the other layer
    const uint8* __restrict__ counts,  // [counts, R, z, y, x] of neighbours
    const float* __restrict__ body,    // [quantities, R]
    const uint8* __restrict__ room,    // [R, z, y, x], see kernels/division.cu
    // state out:
    uint8* __restrict__ next,    // [R, z, y, x]
    uint16* __restrict__ clock,  // [R, z, y, x], steps in the present state, held at 65535
    uint8* __restrict__ claim,   // [R, z, y, x], of mothers
    float* __restrict__ fields,  // [F, R, z, y, x]
    uint64* __restrict__ fired,  // [rules, R]
    // numbers:
    uint32 step, uint32 purpose,
    // sizes:
    uint64 origin,                           // index of the first voxel here in the whole lattice
    int32 first_counted, int32 end_counted,  // planes whose cells are counted
    int32 has_claim, int32 states, int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Lattice lattice{cells, other, fields, counts, body, Stack{replicates, nz, ny, nx}, room};
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
        const uint8 state = cells[voxel];
        const uint16 time_in_state = clock[voxel];
        next[voxel] = state;
        clock[voxel] = time_in_state < 65535 ? time_in_state + 1 : 65535;

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
        if (rule.daughter != NO_DAUGHTER) {  // follows when there is room; a claim from before goes first
            const int32 made = (chosen - begin + 1) | CLAIM_NEW | (rule.daughter == CLOSES ? CLAIM_CLOSES : 0);
            if (claim[voxel] == 0) claim[voxel] = static_cast<uint8>(made);
            continue;
        }
        for (int32 i = rule.first_release; i < rule.end_release; ++i)
            fields[releases[i].field * size + voxel] =
                fields[releases[i].field * size + voxel] + releases[i].amount;
        next[voxel] = static_cast<uint8>(rule.to);
        clock[voxel] = 0;
        if (has_claim) claim[voxel] = 0;
        // Integers: the order can't matter.
        if (counted) atomicAdd(&fired[chosen * replicates + place.replicate], uint64(1));
    }
}
ENTRY(apply_rules)
