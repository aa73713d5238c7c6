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
#include "clones.cuh"

__device__ inline float rule_hazard(const Rule& rule, const Modulator* modulators,
                                    const Lattice& lattice, int32 time_in_state, const Voxel& place) {
    if (time_in_state < rule.after) return 0.0f;
    if (rule.partner >= 0 && lattice.other[place.index] != rule.partner) return 0.0f;
    const float hazard = modulated(rule.hazard, modulators, rule.first_modulator, rule.end_modulator,
                                   lattice, place);
    if (rule.daughter < 0) return hazard < 1.0e6f ? hazard : 1.0e6f;
    // So that as many daughters are born as cells that divide at this rate have: exp(h) - 1 on average, to third order.
    const float h = hazard < most_division ? hazard : most_division;
    return h / (1.0f - h);
}

struct Newborn {
    int32 replicate;
    bool counted;  // whether its birth is noted here
    int32 trait_count;
};

// A cell enters a state: it leaves its clone, keeps it, or founds one.
OUT_OF_LINE void enter_clone(const Clones& clones, const Traits& traits, uint64* clone, int64 voxel, int32 state,
                             int32 founds, uint64 occasion, const Draw& draw, const Newborn& here) {
    const uint64 parent = clone[voxel];
    if (!clones.has(state)) {
        clone[voxel] = 0;
    } else if (parent == 0 || founds) {
        clone[voxel] = clones.label(draw, voxel) | occasion;
        if (here.counted) clones.note(clone[voxel], parent, traits, voxel, here.replicate, here.trait_count);
    }
}

// A value goes to the body: into integers, which lie so far apart.
OUT_OF_LINE void carry(float value, float scale, uint64* sum, int64 apart) {
    const float scaled = value * scale;
    float left = scaled < egress_most ? scaled : egress_most;
    for (int32 i = 0; i < egress_parts; ++i) {
        const uint64 whole = static_cast<uint64>(left);
        if (whole) atomicAdd(sum + i * apart, whole);
        left = (left - static_cast<float>(whole)) * egress_most;
    }
}

// Blocks: replicates x nz x ny rows.
extern "C" BLOCKS_AT_ONCE(6) __global__ void apply_rules(
    // model:
    const Rule* __restrict__ rules,            // [rules]
    const int32* __restrict__ rule_begin,      // [states + 1], rules by the state that they leave
    const uint32* __restrict__ ceilings,       // [states, states], of the first random word, by `cells` and `other`
    const Modulator* __restrict__ modulators,  // [modulators]
    const Release* __restrict__ releases,      // [releases]
    const Adjustment* __restrict__ adjustments,  // [adjustments]
    const Egress* __restrict__ egresses,       // [egress_count]
    const Trait* __restrict__ trait_rows,      // [traits]
    const float* __restrict__ quantiles,       // [traits, 2, 1025], see kernels/traits.cuh
    const Lineage* __restrict__ lineage,       // [lineages]
    const uint64* __restrict__ seeds,          // [R]
    // state in:
    const uint8* __restrict__ cells,   // [R, z, y, x], the layer whose cells change
    const uint8* __restrict__ counts,  // [counts, R, z, y, x] of neighbours
    const float* __restrict__ body,    // [quantities, R]
    const uint16* __restrict__ room,   // [R, z, y, x], see kernels/division.cu
    // state out:
    uint8* __restrict__ next,    // [R, z, y, x]
    uint16* __restrict__ clock,  // [R, z, y, x], steps in the present state, held at 65535
    uint8* __restrict__ claim,   // [R, z, y, x], of mothers
    uint8* __restrict__ other,   // [R, z, y, x], the other layer, whose cells change as partners
    uint16* __restrict__ other_clock,  // [R, z, y, x]
    uint8* __restrict__ other_claim,   // [R, z, y, x]
    uint64* __restrict__ clone,        // [R, z, y, x]
    uint64* __restrict__ other_clone,  // [R, z, y, x]
    float* __restrict__ fields,  // [F, R, z, y, x]
    float* traits,               // [traits, R, z, y, x]
    uint64* __restrict__ fired,  // [rules, R]
    uint64* __restrict__ carried,  // [3, egress_count, R]
    uint64* __restrict__ born,     // [R], see kernels/clones.cuh
    uint64* __restrict__ births,   // [R, capacity, 2]
    float* __restrict__ newborn,   // [R, capacity, traits]
    // numbers:
    uint32 step, uint32 purpose, int32 first_trait, int32 end_trait,
    // sizes:
    uint64 origin,                           // index of the first voxel here in the whole lattice
    int32 first_counted, int32 end_counted,  // planes whose cells are counted
    int32 trait_count, int32 egress_count, int32 lineages, int32 capacity, int32 has_claim, int32 has_other_claim, int32 has_clone,
    int32 has_other_clone, int32 states, int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Lattice lattice{cells, other, fields, counts, body, Stack{replicates, nz, ny, nx}, traits, room};
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
        for (int32 i = rule.first_release; i < rule.end_release; ++i) {
            const Release& release = releases[i];
            const float times = release.trait < 0 ? 1.0f : traits[release.trait * size + voxel];
            fields[release.field * size + voxel] = fields[release.field * size + voxel] + release.amount * times;
        }
        for (int32 i = rule.first_egress; counted && i < rule.end_egress; ++i)
            carry(traits[egresses[i].trait * size + voxel], egresses[i].scale, carried + i * replicates + place.replicate,
                  static_cast<int64>(egress_count) * replicates);
        const Traits own{trait_rows, quantiles, traits, size, first_trait, end_trait};
        if (first_trait < end_trait) enter_state(own, voxel, state, rule.to, draw);
        next[voxel] = static_cast<uint8>(rule.to);
        clock[voxel] = 0;
        if (has_claim) claim[voxel] = 0;
        const bool after = first_trait == 0;  // traits of the other layer come after these
        const Traits of_partner{trait_rows, quantiles, traits, size, after ? end_trait : 0,
                                after ? trait_count : first_trait};
        if (rule.partner_to != rule.partner) {
            enter_state(of_partner, voxel, rule.partner, rule.partner_to, draw);
            other[voxel] = static_cast<uint8>(rule.partner_to);
            other_clock[voxel] = 0;
            if (has_other_claim) other_claim[voxel] = 0;
        }
        for (int32 i = rule.first_adjustment; i < rule.end_adjustment; ++i) {
            float& value = own.of(adjustments[i].trait, voxel);
            value = own.adjusted(adjustments[i], value);
        }
        if (lineages > 0) {
            const Clones clones{lineage, lineages, born, births, newborn, capacity};
            const Newborn newborn_here{place.replicate, counted, trait_count};
            if (has_clone) enter_clone(clones, own, clone, voxel, rule.to, rule.founds, 0, draw, newborn_here);
            if (has_other_clone && rule.partner_to != rule.partner)
                enter_clone(clones, of_partner, other_clone, voxel, rule.partner_to, 0, occasion_partner, draw, newborn_here);
        }
        // Integers: the order can't matter.
        if (counted) atomicAdd(&fired[chosen * replicates + place.replicate], uint64(1));
    }
}
ENTRY(apply_rules)
