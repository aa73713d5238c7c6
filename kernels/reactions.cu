// Reactions between the fields of a voxel, after their transport over the same step.
//
// By mass action the extent of a reaction grows at rate * a * b, with a and b the concentrations that it consumes
// (of one or two fields). Over a step it is x, by the implicit midpoint rule,
//   x = K (a - alpha x / 2) (b - beta x / 2),    K = rate * dt * modulators,
// held to what the scarcer of both allows. Each field changes by its coefficient times x; where the cell of the voxel
// holds a field's concentration, the coefficient is 0, so that the field neither falls within the step nor limits it.
//
// What a step takes from a field is often less than half of the last digit of the field. So sums are rounded up or
// down by lot, in proportion to what is missing: right on average, where rounding to nearest would lose it each time
// (lots.cuh). The lots of a voxel and
// field begin at random and go on by the golden section from step to step, so that those of n steps are spread more
// evenly than n random ones: what they leave stays near one last digit, and does not grow with the root of n.
#include "lots.cuh"
#include "modulators.cuh"
#include "stencil.cuh"

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

__device__ inline float above_0(float c) { return c > 0.0f ? c : 0.0f; }

// What a voxel's fields have of the one or two that a reaction consumes, and how much of it takes place in a step.
struct Consumed {
    bool both;
    float alpha, beta;
    __device__ inline Consumed where(bool holds_one, bool holds_two) const {
        return Consumed{both, holds_one ? 0.0f : alpha, holds_two ? 0.0f : beta};
    }
    // Neither overflows where a concentration or k is large, and all is 0 where there is nothing, or no number.
    __device__ inline float extent(float k, float of_one, float of_two) const {
        const float a = above_0(of_one), b = above_0(of_two);
        const float found = both ? two(k, a, b) : a / (1.0f / k + alpha * 0.5f);
        const float most_of_one = a / alpha, most_of_two = b / beta;
        const float scarcer = most_of_one < most_of_two ? most_of_one : most_of_two;
        return found > 0.0f ? found < scarcer ? found : scarcer : 0.0f;
    }

  private:
    __device__ inline float two(float k, float a, float b) const {
        const float room = 1.0f / k + 0.5f * (alpha * b + beta * a);
        const float first = a * (b / room);
        const float rest = 1.0f - (alpha * b / room) * (beta * a / room);
        return 2.0f * first / (1.0f + sqrtf(above_0(rest)));
    }
};

// What a step leaves of a field.
__device__ inline float left_of(float c, float coefficient, float extent, bool made, uint32 lot) {
    const float amount = coefficient * extent;
    const float taken = amount < c ? amount : c;
    const float sum = sum_by_lot(c, made ? amount : -taken, lot);
    return extent > 0.0f ? sum : c;
}

#ifdef GPUSIM_HOST
#include "host/reactions.hpp"
#endif

// Blocks: replicates x nz x ny rows.
extern "C" __global__ void react(
    // model:
    const Reaction* __restrict__ reactions,    // [reaction_count]
    const Term* __restrict__ terms,            // [terms]
    const Modulator* __restrict__ modulators,  // [modulators]
    const float* __restrict__ held,            // [F, held_states], below 0 where no concentration is held
    const uint64* __restrict__ seeds,          // [R]
    // state in:
    const uint8* __restrict__ tissue,  // [R, z, y, x]
    const uint8* __restrict__ immune,  // [R, z, y, x]
    const uint8* __restrict__ counts,  // [counts, R, z, y, x] of neighbours
    const float* __restrict__ body,    // [quantities, R]
    const float* __restrict__ traits,  // [traits, R, z, y, x]
    // state out:
    float* fields,  // [F, R, z, y, x]
    // numbers:
    uint32 step, uint32 purpose,
    // sizes:
    uint64 origin,  // index of the first voxel here in the whole lattice
    int32 held_states,  // of the tissue; 0 where no field is held anywhere
    int32 reaction_count, int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
    const Lattice of_tissue{tissue, immune, fields, counts, body, shape, traits};
    const Lattice of_immune{immune, tissue, fields, counts, body, shape, traits};
    const int64 size = volume(shape);
    const Voxel first = first_of_row(shape);
    const uint64 seed = seeds[first.replicate], offset = origin - row_start(shape, first.replicate, 0, 0);
    float* row = fields + first.index;
    const Held holds{held, tissue + first.index, held_states};
    for (int32 r = 0; r < reaction_count; ++r) {
        const Reaction& reaction = reactions[r];
        const Term &one = terms[reaction.first_consumed], &two = terms[reaction.first_made - 1];
        const Consumed consumed{reaction.first_made - reaction.first_consumed > 1, one.coefficient, two.coefficient};
        const float *a = row + one.field * size, *b = row + two.field * size;
        const auto turnover = [&](int32 x) INLINED {
            const Voxel place{first.index + x, first.replicate, first.z, first.y, x};
            const float seen = modulated(reaction.turnover, modulators, reaction.first_modulator,
                                         reaction.end_modulator, of_tissue, place);
            return modulated(seen, modulators, reaction.end_modulator, reaction.end_contact, of_immune, place);
        };
#ifdef GPUSIM_HOST
        float k[longest_row], extents[longest_row];
        uint32 words[4 * longest_row];
        for (int32 x = 0; x < nx; ++x) k[x] = above_0(reaction.turnover);
        if (reaction.first_modulator < reaction.end_contact)
            for (int32 x = 0; x < nx; ++x) k[x] = a[x] > 0.0f && b[x] > 0.0f ? turnover(x) : 0.0f;
        bool any = false;
        if (!holds.ever(one.field) && !holds.ever(two.field))
            any = extents_of_row(consumed, k, a, b, extents, nx);
        else
            for (int32 x = 0; x < nx; ++x) {
                const Consumed here = consumed.where(holds.at(one.field, x), holds.at(two.field, x));
                extents[x] = here.extent(k[x], a[x], b[x]);
                any |= extents[x] > 0.0f;
            }
        if (!any) continue;
        for (int32 t = reaction.first_consumed; t < reaction.end_made; ++t) {
            if (t == reaction.first_consumed || t % 4 == 0)
                lots_of_row<4>(Lots(seed, offset, step, purpose, t / 4), first.index, nullptr, words, nx);
            float* c = row + terms[t].field * size;
            const uint32* of_term = words + t % 4 * longest_row;
            if (!holds.ever(terms[t].field)) {
                change_row(c, terms[t].coefficient, extents, t >= reaction.first_made, of_term, nx);
                continue;
            }
            for (int32 x = 0; x < nx; ++x)
                if (!holds.at(terms[t].field, x))
                    c[x] = left_of(c[x], terms[t].coefficient, extents[x], t >= reaction.first_made, of_term[x]);
        }
#else
        for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
            if (!(a[x] > 0.0f && b[x] > 0.0f)) continue;
            const Consumed here = consumed.where(holds.at(one.field, x), holds.at(two.field, x));
            const float extent = here.extent(turnover(x), a[x], b[x]);
            if (!(extent > 0.0f)) continue;
            Random random{};
            for (int32 t = reaction.first_consumed; t < reaction.end_made; ++t) {
                if (t == reaction.first_consumed || t % 4 == 0)
                    random = Lots(seed, offset, step, purpose, t / 4).at(first.index + x);
                if (holds.at(terms[t].field, x)) continue;
                float& c = row[terms[t].field * size + x];
                c = left_of(c, terms[t].coefficient, extent, t >= reaction.first_made, word_of(random, t % 4));
            }
        }
#endif
    }
}
ENTRY(react)
