// Reactions between the fields of a voxel, after their transport over the same step.
//
// By mass action the extent of a reaction grows at rate * a * b, with a and b the concentrations that it consumes
// (of one or two fields). Over a step it is x, by the implicit midpoint rule,
//   x = K (a - alpha x / 2) (b - beta x / 2),    K = rate * dt * modulators,
// held to what the scarcer of both allows. Each field changes by its coefficient times x.
//
// What a step takes from a field is often less than half of the last digit of the field. So sums are rounded up or
// down by lot, in proportion to what is missing: right on average, where rounding to nearest would lose it each time
// (Croci et al. 2022, "Stochastic rounding: implementation, error analysis and applications"). The lots of a voxel and
// field begin at random and go on by the golden section from step to step, so that those of n steps are spread more
// evenly than n random ones: what they leave stays near one last digit, and does not grow with the root of n.
#include "modulators.cuh"

constexpr uint32 golden = 0x9E3779B9u;  // 2^32 / 1.618

struct Term {
    int32 field;
    float coefficient;  // unit of the field, for one unit of the extent
};

struct Reaction {
    float turnover;  // rate * dt: 1, or 1 / unit of the second field
    int32 first_modulator, end_modulator;
    int32 end_contact;  // modulators from end_modulator on look for the cell of the tissue
    int32 first_consumed, first_made, end_made;  // terms
};

// The number beside a float above 0.
__device__ inline float beside(float value, bool up) {
    int32 bits;
    memcpy(&bits, &value, sizeof bits);
    bits += up ? 1 : -1;
    memcpy(&value, &bits, sizeof bits);
    return value;
}

// A sum that is short of `missing`, or the number beside it, by lot: on average what it should be.
__device__ inline float rounded_by_lot(float sum, float missing, uint32 word) {
    const float other = beside(sum, missing > 0.0f);
    const float gap = other > sum ? other - sum : sum - other;
    return happens((missing < 0.0f ? -missing : missing) / gap, word) ? other : sum;
}

__device__ inline float above_0(float c) { return c > 0.0f ? c : 0.0f; }

// The extent over a step where one field is consumed. Neither this nor the next overflows where a concentration
// or K is large, and both are 0 where there is nothing.
__device__ inline float extent_of_one(float k, float alpha, float a) { return a / (1.0f / k + alpha * 0.5f); }

__device__ inline float extent_of_two(float k, float alpha, float a, float beta, float b) {
    const float room = 1.0f / k + 0.5f * (alpha * b + beta * a);
    const float first = a * (b / room);
    const float rest = 1.0f - (alpha * b / room) * (beta * a / room);
    return 2.0f * first / (1.0f + sqrtf(above_0(rest)));
}

// Blocks: replicates x nz x ny rows.
extern "C" __global__ void react(
    const Reaction* __restrict__ reactions, const Term* __restrict__ terms, const Modulator* __restrict__ modulators,
    const uint8* __restrict__ tissue,  // [R, z, y, x]
    const uint8* __restrict__ immune,  // [R, z, y, x]
    float* fields,                     // [F, R, z, y, x]
    const uint8* __restrict__ counts,  // [counts, R, z, y, x] of neighbours
    const float* __restrict__ body,    // [quantities, R]
    const uint64* __restrict__ seeds,  // [R]
    uint64 origin,                     // index of the first voxel here in the whole lattice
    uint32 step, uint32 purpose, int32 count, int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
    const Lattice of_tissue{tissue, immune, fields, counts, body, shape};
    const Lattice of_immune{immune, tissue, fields, counts, body, shape};
    const int64 size = volume(shape);
    Voxel place = first_of_row(shape);
    const int64 start = place.index, first = row_start(shape, place.replicate, 0, 0);
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
        place.index = start + x;
        place.x = x;
        float* here = fields + place.index;
        for (int32 r = 0; r < count; ++r) {
            const Reaction& reaction = reactions[r];
            const Term& one = terms[reaction.first_consumed];
            const Term& two = terms[reaction.first_made - 1];  // the same, where one field is consumed
            const bool both = reaction.first_made - reaction.first_consumed > 1;
            const float a = above_0(here[one.field * size]), b = above_0(here[two.field * size]);
            if (!(a > 0.0f && b > 0.0f)) continue;
            const float seen = modulated(reaction.turnover, modulators, reaction.first_modulator,
                                         reaction.end_modulator, of_tissue, place);
            const float k = modulated(seen, modulators, reaction.end_modulator, reaction.end_contact, of_immune, place);
            float extent = both ? extent_of_two(k, one.coefficient, a, two.coefficient, b)
                                : extent_of_one(k, one.coefficient, a);
            if (!(extent > 0.0f)) continue;
            const float most_of_one = a / one.coefficient, most_of_two = b / two.coefficient;
            extent = extent < most_of_one ? extent : most_of_one;
            extent = extent < most_of_two ? extent : most_of_two;
            Random random{};
            int32 drawn = -1;
            for (int32 t = reaction.first_consumed; t < reaction.end_made; ++t) {
                float& c = here[terms[t].field * size];
                const float amount = terms[t].coefficient * extent;
                const float change = t >= reaction.first_made ? amount : amount < c ? -amount : -c;
                // What the sum is short of, exactly (Knuth's TwoSum).
                const float sum = c + change, back = sum - c;
                const float missing = (c - (sum - back)) + (change - back);
                float result = sum;
                if (sum > 0.0f && (missing > 0.0f || missing < 0.0f)) {
                    // Four words of a draw, for four fields.
                    const int32 wanted = t / 4, word = t & 3;
                    if (drawn != wanted) {
                        const Draw draw{seeds[place.replicate], origin - first, 0,
                                        purpose + 256u * static_cast<uint32>(wanted)};
                        random = draw.at(place.index);
                        drawn = wanted;
                    }
                    const uint32 low = word & 1 ? random.word[1] : random.word[0];
                    const uint32 high = word & 1 ? random.word[3] : random.word[2];
                    result = rounded_by_lot(sum, missing, (word & 2 ? high : low) + step * golden);
                }
                c = result;
            }
        }
    }
}
ENTRY(react)
