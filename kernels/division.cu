// Division: a daughter takes the nearest voxel that can take a cell, and the cells on the way there move up.
//
// The room of a voxel is its distance from the nearest that can take a cell, in tenths of a voxel: over faces, edges
// and corners of voxels, with steps of 10, 14 and 17. From each voxel a way leads on to a neighbour whose room is less
// by the step between them; where there are several, the voxel draws one. So all ways together are trees, each with its
// root in a voxel that can take a cell, and no two trees share a voxel. Of the mothers whose ways end in one root, the
// one with the lowest bid divides: the cells along her way each go one voxel on, and her daughter takes the first place.
#include "bids.cuh"
#include "cells.cuh"
#include "modulators.cuh"
#include "transition.cuh"

constexpr int32 face_step = 10, edge_step = 14, corner_step = 17;  // tenths of a voxel
constexpr int32 farthest_room = 2505;

// Tenths of a voxel from the middle of 27 voxels to one of them.
__device__ inline int32 step_length(int32 neighbour) {
    const int32 moved = (neighbour / 9 != 1) + (neighbour / 3 % 3 != 1) + (neighbour % 3 != 1);
    return moved == 1 ? face_step : moved == 2 ? edge_step : corner_step;
}

// Blocks: replicates x nz x ny rows.
extern "C" __global__ void begin_room(
    // model:
    const uint16* __restrict__ yields,  // [states, states], room of a voxel by itself, by its own and its other cell
    // state in:
    const uint8* __restrict__ cells,  // [R, z, y, x], the layer whose cells divide
    const uint8* __restrict__ other,  // [R, z, y, x]
    // state out:
    uint16* __restrict__ room,  // [R, z, y, x]
    // numbers:
    int32 boundary,
    // sizes:
    int32 states, int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
    const Voxel row = first_of_row(shape);
    const bool open = at_open_side(boundary, 0, row.z, nz) || at_open_side(boundary, 2, row.y, ny);
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
        const int64 voxel = row.index + x;
        const int32 by_itself = yields[cells[voxel] * states + other[voxel]];
        const bool leaves = (open || at_open_side(boundary, 4, x, nx)) && by_itself != rigid_room && face_step < by_itself;
        room[voxel] = static_cast<uint16>(leaves ? face_step : by_itself);
    }
}
ENTRY(begin_room)

// A row of rooms and the eight beside it: row 3 dz + dy + 4 is dz planes and dy rows away; none outside the lattice.
class RoomRows {
  public:
    __device__ inline RoomRows(const uint16* room, const Stack& shape, int32 boundary, const Voxel& row)
        : round(boundary & PERIODIC_X), nx(shape.nx) {
        for (int32 i = 0; i < 9; ++i) {
            const int32 z = along(row.z + i / 3 - 1, shape.nz, boundary & PERIODIC_Z);
            const int32 y = along(row.y + i % 3 - 1, shape.ny, boundary & PERIODIC_Y);
            rows[i] = z < 0 || y < 0 ? nullptr : room + row_start(shape, row.replicate, z, y);
        }
    }
    __device__ inline const uint16* operator[](int32 row) const { return rows[row]; }
    __device__ inline uint16 at(int32 row, int32 x) const {
        const int32 there = along(x, nx, round);
        return rows[row] == nullptr || there < 0 ? rigid_room : rows[row][there];
    }

  private:
    const uint16* rows[9];
    bool round;
    int32 nx;
};

// The least room among the ends of the steps of one length; beside a rigid voxel no step goes across an edge or corner.
template <bool walls, typename Around>
struct Nearest {
    Around around;  // the room of a neighbour by its number
    __device__ inline uint16 at(int32 neighbour) const { return around(neighbour); }
    __device__ inline uint16 wall(int32 neighbour) const {
        return walls && at(neighbour) == rigid_room ? rigid_room : static_cast<uint16>(0);
    }
    static __device__ inline uint16 less(uint16 a, uint16 b) { return a < b ? a : b; }
    static __device__ inline uint16 after(uint16 room, uint16 step) {
        const uint16 most = rigid_room - step;
        return static_cast<uint16>((room < most ? room : most) + step);
    }
    // Along two axes, each one way: strides among the 27 neighbours.
    __device__ inline uint16 edge(int32 a, int32 b) const {
        return static_cast<uint16>(at(in_place + a + b) | wall(in_place + a) | wall(in_place + b));
    }
    __device__ inline uint16 edges(int32 a, int32 b) const {
        return less(less(edge(a, b), edge(a, -b)), less(edge(-a, b), edge(-a, -b)));
    }
    __device__ inline uint16 corner(int32 a, int32 b, int32 c) const {
        return static_cast<uint16>(at(in_place + a + b + c) | wall(in_place + a) | wall(in_place + b) |
                                  wall(in_place + c) | wall(in_place + a + b) | wall(in_place + a + c) |
                                  wall(in_place + b + c));
    }
    __device__ inline uint16 faces(int32 a) const { return less(at(in_place + a), at(in_place - a)); }
    __device__ inline uint16 found() const {
        const uint16 here = at(in_place);
        const uint16 by_face = less(less(faces(1), faces(3)), faces(9));
        const uint16 by_edge = less(less(edges(1, 3), edges(1, 9)), edges(3, 9));
        const uint16 by_corner = less(less(less(corner(1, 3, 9), corner(1, 3, -9)), less(corner(1, -3, 9), corner(1, -3, -9))),
                                     less(less(corner(-1, 3, 9), corner(-1, 3, -9)), less(corner(-1, -3, 9), corner(-1, -3, -9))));
        const uint16 least = less(less(after(by_face, face_step), after(by_edge, edge_step)), after(by_corner, corner_step));
        return here == rigid_room ? here : less(here, least);
    }
};

#ifdef GPUSIM_HOST
#include "host/division.hpp"
#else
__device__ inline uint16 nearest_at(const RoomRows& rows, int32 x) {
    const auto around = [&](int32 n) INLINED { return rows.at(n / 3, x + n % 3 - 1); };
    return Nearest<true, decltype(around)>{around}.found();
}

__device__ inline void spread_row(const RoomRows& rows, uint16* __restrict__ out, int32 nx) {
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) out[x] = nearest_at(rows, x);
}
#endif

// Room found one step further on, from `room` into `next`. Blocks: replicates x nz x ny rows. On a host that is asked for
// more passes than one: found to the end, in `room` itself. Blocks: replicates.
extern "C" __global__ void spread_room(
    // state out:
    uint16* room,  // [R, z, y, x]
    uint16* next,  // [R, z, y, x]
    // numbers:
    int32 passes, int32 boundary,
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
#ifdef GPUSIM_HOST
    if (passes > 1) return settle_room(room, shape, boundary, blockIdx.x);
#endif
    const Voxel row = first_of_row(shape);
    spread_row(RoomRows(room, shape, boundary, row), next + row.index, nx);
}
ENTRY(spread_room)

constexpr int32 no_way = -1;

// Steps of a way that has been gone, by their numbers among 27 neighbours.
class Steps {
  public:
    __device__ inline void add(int32 number) { numbers[length++] = static_cast<uint8>(number); }
    __device__ inline bool empty() const { return length == 0; }
    __device__ inline int32 front() const { return numbers[0]; }
    // Calls use(number) for each, from the first.
    template <typename Use>
    __device__ inline void each(const Use& use) const {
        for (int32 n = 0; n < length; ++n) use(static_cast<int32>(numbers[n]));
    }

  private:
    uint8 numbers[farthest_room / face_step];
    int32 length = 0;
};

// The ways through the lattice of one replicate.
struct Ways {
    const uint16* room;
    Stack shape;
    int32 boundary;
    Draw draw;

    __device__ inline Voxel neighbour(const Voxel& from, int32 number) const {
        const int32 z = along(from.z + number / 9 - 1, shape.nz, boundary & PERIODIC_Z);
        const int32 y = along(from.y + number / 3 % 3 - 1, shape.ny, boundary & PERIODIC_Y);
        const int32 x = along(from.x + number % 3 - 1, shape.nx, boundary & PERIODIC_X);
        const bool inside = z >= 0 && y >= 0 && x >= 0;
        return Voxel{inside ? row_start(shape, from.replicate, z, y) + x : -1, from.replicate, z, y, x};
    }
    __device__ inline int32 room_at(const Voxel& place) const {
        return place.index < 0 ? rigid_room : room[place.index];
    }
    // Whether no rigid voxel stands beside a step across an edge or a corner.
    __device__ inline bool passes(const Voxel& from, int32 number) const {
        const int32 z = number / 9 - 1, y = number / 3 % 3 - 1, x = number % 3 - 1;
        for (int32 part = 1; part < 7; ++part) {
            const int32 dz = part & 4 ? z : 0, dy = part & 2 ? y : 0, dx = part & 1 ? x : 0;
            const int32 beside_it = in_place + 9 * dz + 3 * dy + dx;
            if (beside_it != in_place && beside_it != number && room_at(neighbour(from, beside_it)) == rigid_room)
                return false;
        }
        return true;
    }
    // One voxel on, to the neighbour whose number it gives; `no_way` in a root, where the way ends.
    __device__ inline int32 go_on(Voxel& place) const {
        const int32 here = room[place.index];
        uint32 open = 0, count = 0;
        for (int32 n = 0; n < 27; ++n) {
            if (n == in_place) continue;
            const int32 there = room_at(neighbour(place, n));
            if (there == rigid_room || there + step_length(n) != here || !passes(place, n)) continue;
            open |= 1u << n;
            ++count;
        }
        if (count == 0) return no_way;
        uint32 skipped = draw.at(place.index).word[0] % count;
        int32 chosen = 0;
        while (!(open >> chosen & 1u) || skipped-- != 0) ++chosen;
        place = neighbour(place, chosen);
        return chosen;
    }
};

// What mothers have to know.
struct Mothers {
    const Rule* rules;
    const int32* rule_begin;
    const uint16* yields;
    const uint8 *cells, *claim;
    Ways ways;
    int32 states;

    __device__ inline int32 rule(int64 voxel) const {
        return rule_begin[cells[voxel]] + (claim[voxel] & CLAIM_RULE) - 1;
    }
    // Not in her own place, where she would be crushed, though a daughter may leave from there through an open side.
    __device__ inline bool has_room(const Voxel& place, const Voxel& root) const {
        const int32 room = ways.room[place.index];
        const bool in_own_place = root.index == place.index && room == yields[cells[place.index] * states];
        return room <= rules[rule(place.index)].reach && !in_own_place;
    }
    __device__ inline uint32 bid(int64 voxel) const {
        return (claim[voxel] & CLAIM_NEW ? 0x80000000u : 0u) | bid_of(ways.draw, voxel);
    }
    __device__ inline Voxel root(Voxel place) const {
        while (ways.go_on(place) != no_way) {
        }
        return place;
    }
};

#define MOTHERS                                                                                                    \
    const Stack shape{replicates, nz, ny, nx};                                                                     \
    const BlockRows rows(shape, block_rows);                                                                       \
    const auto mothers_of = [&](const Voxel& place) INLINED {                                                      \
        const Draw draw{seeds[place.replicate], origin - row_start(shape, place.replicate, 0, 0), step, purpose};  \
        return Mothers{rules, rule_begin, yields, cells, claim, Ways{room, shape, boundary, draw}, states};          \
    };

// Each mother bids for the root in which her way ends. Blocks: replicates x nz x ny / block_rows.
extern "C" __global__ void bid_for_room(
    // model:
    const Rule* __restrict__ rules,        // [rules]
    const int32* __restrict__ rule_begin,  // [states + 1]
    const uint16* __restrict__ yields,     // [states, states], as in begin_room
    const uint64* __restrict__ seeds,      // [R]
    // state in:
    const uint8* __restrict__ cells,  // [R, z, y, x]
    const uint8* __restrict__ claim,  // [R, z, y, x]
    const uint16* __restrict__ room,  // [R, z, y, x]
    // state out:
    uint32* __restrict__ bids,  // [R, z, y, x], the lowest of each root
    // numbers:
    uint32 step, uint32 purpose, int32 boundary,
    // sizes:
    uint64 origin,  // index of the first voxel here in the whole lattice
    int32 states, int32 block_rows, int32 replicates, int32 nz, int32 ny, int32 nx) {
    MOTHERS
    for_wanted(
        rows.count * nx, [&](int32 i) INLINED { return divides(claim[rows.first.index + i]); },
        [&](int32 i) INLINED {
            const Voxel place = rows.voxel(shape, i);
            const Mothers mothers = mothers_of(place);
            const Voxel root = mothers.root(place);
            if (mothers.has_room(place, root)) atomicMin(&bids[root.index], mothers.bid(place.index));
        });
}
ENTRY(bid_for_room)

// Who has the lowest bid divides; the others keep their claims, which then go first. A mother without room has none.
// Blocks: replicates x nz x ny / block_rows.
extern "C" __global__ void settle_bids(
    // model:
    const Rule* __restrict__ rules,        // [rules]
    const int32* __restrict__ rule_begin,  // [states + 1]
    const uint16* __restrict__ yields,     // [states, states], as in begin_room
    const uint64* __restrict__ seeds,      // [R]
    // state in:
    const uint8* __restrict__ cells,  // [R, z, y, x]
    const uint16* __restrict__ room,  // [R, z, y, x]
    const uint32* __restrict__ bids,  // [R, z, y, x]
    // state out:
    uint8* __restrict__ claim,    // [R, z, y, x]
    uint8* __restrict__ granted,  // [R, z, y, x], whether the cell divides
    uint64* __restrict__ barred,  // [rules, R]
    // numbers:
    uint32 step, uint32 purpose, int32 boundary,
    // sizes:
    uint64 origin,                           // index of the first voxel here in the whole lattice
    int32 first_counted, int32 end_counted,  // planes whose cells are counted
    int32 states, int32 block_rows, int32 replicates, int32 nz, int32 ny, int32 nx) {
    MOTHERS
    const auto has_claimed = [&](int32 i) INLINED {
        granted[rows.first.index + i] = 0;
        return divides(claim[rows.first.index + i]);
    };
    for_wanted(
        rows.count * nx, has_claimed,
        [&](int32 i) INLINED {
            const Voxel place = rows.voxel(shape, i);
            const int64 voxel = place.index;
            const Mothers mothers = mothers_of(place);
            const Voxel root = mothers.root(place);
            if (!mothers.has_room(place, root)) {
                if (place.z >= first_counted && place.z < end_counted)
                    atomicAdd(&barred[mothers.rule(voxel) * replicates + place.replicate], uint64(1));
                claim[voxel] = 0;
            } else {
                granted[voxel] = bids[root.index] == mothers.bid(voxel);
                claim[voxel] = static_cast<uint8>(claim[voxel] & CLAIM_RULE);
            }
        });
}
ENTRY(settle_bids)

// Whether a daughter of a mother who belongs to a clone founds one: by the rule, by chance, or as a trait of hers mutates.
OUT_OF_LINE bool founds_clone(const Traits& traits, const Clones& clones, int32 by_rule, const Draw& draw, int64 mother) {
    if (by_rule) return true;
    if (traits.drawn(-1, draw, mother).word[1] < clones.lineage[0].mutates) return true;
    for (int32 t = traits.first; t < traits.end; ++t)
        if (traits.rows[t].founds && traits.drawn(t, draw, mother).word[1] < traits.rows[t].mutates) return true;
    return false;
}

// Clones of a mother and of her daughter after a division.
struct OfTwo {
    uint64 mother, daughter;
};

// `before`: the mother's clone. A mother who belongs to none and enters a state whose cells do founds one before her daughter.
OUT_OF_LINE OfTwo divide_clones(const Traits& traits, const Clones& clones, const Rule& rule, const Draw& draw, int64 mother, uint64 before) {
    const bool enters = before == 0 && clones.has(rule.to);
    const uint64 label = clones.label(draw, mother), parent = enters ? label : before;
    OfTwo made{clones.has(rule.to) ? parent : 0, 0};
    if (clones.has(rule.daughter)) {
        const bool founds = parent == 0 || founds_clone(traits, clones, rule.founds, draw, mother);
        made.daughter = !founds ? parent : enters ? label | occasion_second : label;
    }
    return made;
}

// Notes which of the two have founded a clone, when all cells are in their places. A daughter who leaves the lattice at
// once, through an open side, founds none.
OUT_OF_LINE void note_births(const Traits& traits, const Clones& clones, const uint64* clone, uint64 before, const Ways& ways,
                             const Voxel& mother, const Steps& steps, int32 trait_count) {
    const int64 daughter = steps.empty() ? mother.index : ways.neighbour(mother, steps.front()).index;
    const OfTwo of{clone[mother.index], steps.empty() ? 0 : clone[daughter]};
    const uint64 parent = before == 0 ? of.mother : before;
    if (before == 0 && of.mother != 0) clones.note(of.mother, 0, traits, mother.index, mother.replicate, trait_count);
    if (of.daughter != 0 && of.daughter != parent)
        clones.note(of.daughter, parent, traits, daughter, mother.replicate, trait_count);
}

// What becomes of the traits of a mother, who has her state still; the daughter's go along `steps`, as all before them do.
OUT_OF_LINE void divide_traits(const Traits& traits, const Rule& rule, const Adjustment* adjustments, const Ways& ways,
                               const Voxel& mother, int32 state, const Steps& steps) {
    for (int32 t = traits.first; t < traits.end; ++t) {
        const Random random = traits.drawn(t, ways.draw, mother.index);
        const bool kept = traits.has(t, state) && traits.rows[t].at_division != RESET;
        float value = traits.of(t, mother.index);
        for (int32 i = rule.first_adjustment; i < rule.end_adjustment; ++i)
            if (adjustments[i].trait == t) value = traits.adjusted(adjustments[i], value);
        const bool shared = traits.rows[t].at_division == SHARE;
        const float given = shared ? 0.5f * value : value;
        float daughter = kept ? given : traits.initial(t, random.word[3]);
        if (random.word[1] < traits.rows[t].mutates) daughter = traits.mutated(t, daughter, random.word[2]);
        if (!traits.has(t, rule.daughter)) daughter = 0.0f;
        traits.of(t, mother.index) = !traits.has(t, rule.to) ? 0.0f
                                     : !kept                 ? traits.initial(t, random.word[0])
                                     : shared                ? value - given
                                                             : value;
        Voxel place = mother;
        float carried = daughter;
        steps.each([&](int32 number) INLINED {
            place = ways.neighbour(place, number);
            const float before = traits.of(t, place.index);
            traits.of(t, place.index) = carried;
            carried = before;
        });
    }
}

// Blocks: replicates x nz x ny / block_rows. Each voxel is on the way of one mother at most, and is written by her alone.
// Who divides stands apart from the claims, which cells take along meanwhile.
extern "C" BLOCKS_AT_ONCE(3) __global__ void divide(
    // model:
    const Rule* __restrict__ rules,              // [rules]
    const int32* __restrict__ rule_begin,        // [states + 1]
    const Adjustment* __restrict__ adjustments,  // [adjustments]
    const Trait* __restrict__ trait_rows,        // [traits]
    const float* __restrict__ quantiles,         // [traits, 2, 1025], see kernels/traits.cuh
    const Lineage* __restrict__ lineage,         // [lineages]
    const uint16* __restrict__ yields,           // [states, states], as in begin_room
    const uint64* __restrict__ seeds,            // [R]
    // state in:
    const uint16* __restrict__ room,    // [R, z, y, x]
    const uint8* __restrict__ granted,  // [R, z, y, x], whether the cell divides
    // state out:
    uint8* __restrict__ cells,    // [R, z, y, x]
    uint16* __restrict__ clock,   // [R, z, y, x]
    uint8* __restrict__ heading,  // [R, z, y, x]
    uint8* __restrict__ claim,    // [R, z, y, x]
    uint64* __restrict__ clone,   // [R, z, y, x]
    float* __restrict__ traits,   // [traits, R, z, y, x]
    uint32* __restrict__ bids,    // [R, z, y, x]
    uint64* __restrict__ fired,   // [rules, R]
    uint64* __restrict__ taken,   // [states, R], what was in the roots
    uint64* __restrict__ left,    // [states, R], what of it has left the lattice through an open side
    uint64* __restrict__ born,    // [R], see kernels/clones.cuh
    uint64* __restrict__ births,  // [R, capacity, 2]
    float* __restrict__ newborn,  // [R, capacity, traits]
    // numbers:
    uint32 step, uint32 purpose, int32 boundary, int32 vacant, int32 first_trait, int32 end_trait,
    // sizes:
    uint64 origin,                           // index of the first voxel here in the whole lattice
    int32 first_counted, int32 end_counted,  // planes whose cells are counted
    int32 has_heading, int32 has_claim, int32 has_clone, int32 lineages, int32 capacity, int32 trait_count, int32 states, int32 block_rows, int32 replicates, int32 nz, int32 ny, int32 nx) {
    MOTHERS
    for_wanted(
        rows.count * nx, [&](int32 i) INLINED { return granted[rows.first.index + i] != 0; },
        [&](int32 i) INLINED {
            Voxel place = rows.voxel(shape, i);
            const Mothers mothers = mothers_of(place);
            const auto counted = [&](const Voxel& at) INLINED { return at.z >= first_counted && at.z < end_counted; };
            const int32 number = mothers.rule(place.index);
            const Rule& rule = rules[number];
            if (counted(place)) atomicAdd(&fired[number * replicates + place.replicate], uint64(1));
            const Traits of_layer{trait_rows, quantiles, traits, volume(shape), first_trait, end_trait};
            const CellLayer layer{cells, clock, heading, claim, clone, has_heading != 0, has_claim != 0, has_clone != 0, of_layer};
            const Voxel from = place;
            Cell mother = layer.at(place.index);  // who keeps her heading
            const int32 before_division = mother.state;
            mother.state = static_cast<uint8>(rule.to);
            mother.clock = 0;
            mother.claim = 0;
            layer.put(place.index, mother);
            Cell carried = fresh(rule.daughter);
            const uint64 clone_before = mother.clone;
            if (has_clone && lineages > 0) {
                const Clones clones{lineage, lineages, born, births, newborn, capacity};
                const OfTwo of = divide_clones(of_layer, clones, rule, mothers.ways.draw, from.index, clone_before);
                mother.clone = of.mother;
                carried.clone = of.daughter;
                layer.put(from.index, mother);
            }
            Steps steps;
            for (int32 step_on; (step_on = mothers.ways.go_on(place)) != no_way; steps.add(step_on)) {
                const Cell before = layer.at(place.index);
                layer.put(place.index, carried);
                carried = before;
            }
            if (first_trait < end_trait)
                divide_traits(of_layer, rule, adjustments, mothers.ways, from, before_division, steps);
            if (has_clone && lineages > 0 && counted(from))
                note_births(of_layer, Clones{lineage, lineages, born, births, newborn, capacity}, clone, clone_before, mothers.ways, from, steps, trait_count);
            const uint8 state = carried.state;
            bids[place.index] = no_bid;
            if (!counted(place)) return;
            atomicAdd(&taken[state * replicates + place.replicate], uint64(1));
            if (state != vacant && room[place.index] < yields[state * states])  // not where it is crushed
                atomicAdd(&left[state * replicates + place.replicate], uint64(1));
        });
}
ENTRY(divide)
