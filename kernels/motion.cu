// Moves of the cells of one layer: each cell proposes one, each wanted voxel takes one.
//
// A cell keeps its heading until it turns or finds the way barred; a new heading is drawn among the
// voxels that it can enter, with more weight up a gradient, or along a direction made of several. It then
// tries a move with the probability speed * dt / dx. Of the cells that want one voxel, the one with the lowest random bid
// gets it. Each voxel is written by one cell at most, so the order of threads can't matter: what is crushed does not move.
#include "cells.cuh"
#include "modulators.cuh"

struct Motility {
    float hop;          // speed * dt / dx
    float turn;         // probability of a new heading
    int32 field;        // whose gradient is climbed, or -1
    float scale;        // 1 / half of the receptors' occupancy
    float sensitivity;  // weight for a rise of the occupancy over one voxel
    float turning;      // hazard of a new heading, where its modulators count
    float bias;         // share of the speed with which a cell drifts along its direction
    float stray;        // 1 / number of headings
    int32 first_modulator, end_modulator;  // all of them
    int32 end_speed, end_turning, end_bias;  // those of the speed come first, then those of the persistence, of the bias
    int32 first_slope, end_slope;            // that make the direction
    uint32 enters[8];    // states of the other layer
    uint32 replaces[8];  // states of its own layer that its target may be in: free, and those that it crushes
};

// Part of a direction: the slope of a field, or its direction alone.
struct Slope {
    int32 field;
    float weight;  // below 0: down
    float scale;   // 1 / concentration by which slopes are told; 0: the direction alone
    int32 first_modulator, end_modulator;  // of the weight
};

struct Vector {
    float x, y, z;
};

// Where a cell drifts to: a direction of length 1, or 0 without one, and the share of its speed.
struct Drift {
    Vector along;
    float bias;
};

// Headings: 0 none, then +x -x +y -y +z -z.
__device__ inline int32 opposite(int32 heading) { return ((heading - 1) ^ 1) + 1; }

constexpr float most_slope = 1.0e9f, almost_sure = 1.0f - 5.9604644775390625e-08f;

constexpr int32 closed_off = -1, beyond = -2;  // instead of a voxel: none there, or what is beyond an open side

// The voxel one step along a heading.
__device__ inline Voxel beside(int32 heading, const Stack& shape, int32 boundary, const Voxel& place) {
    const int32 step = (heading & 1) ? 1 : -1, axis = (heading - 1) / 2;  // x, y, z
    const int32 periodic = axis == 0 ? PERIODIC_X : axis == 1 ? PERIODIC_Y : PERIODIC_Z;
    const int32 n = axis == 0 ? shape.nx : axis == 1 ? shape.ny : shape.nz;
    const int32 from = axis == 0 ? place.x : axis == 1 ? place.y : place.z;
    const int32 to = along(from + step, n, boundary & periodic);
    if (to < 0) {
        const bool open = boundary & FIRST_OPEN << (2 * (2 - axis) + (step > 0));
        return Voxel{open ? beyond : closed_off, place.replicate, 0, 0, 0};
    }
    const int64 stride = axis == 0 ? 1 : axis == 1 ? shape.nx : static_cast<int64>(shape.ny) * shape.nx;
    return Voxel{place.index + (to - from) * stride, place.replicate, axis == 2 ? to : place.z,
                 axis == 1 ? to : place.y, axis == 0 ? to : place.x};
}

__device__ inline bool can_enter(const Motility& motility, const Lattice& lattice, int64 voxel) {
    if (voxel < 0) return voxel == beyond;
    return in_set(motility.replaces, lattice.own[voxel]) && in_set(motility.enters, lattice.other[voxel]);
}

__device__ inline float occupancy(float concentration, float scale) {
    const float ratio = concentration * scale;
    const float r = ratio < 1.0e9f ? ratio : 1.0e9f;
    return r / (1.0f + r);
}

__device__ inline float greater(float a, float b) { return a > b ? a : b; }
__device__ inline float size_of(float a) { return a < 0.0f ? -a : a; }

// The same direction with a length of 1; 0 of 0.
__device__ inline Vector unit(const Vector& v) {
    const float most = greater(greater(size_of(v.x), size_of(v.y)), size_of(v.z));
    if (!(most > 0.0f)) return Vector{0.0f, 0.0f, 0.0f};
    const float x = v.x / most, y = v.y / most, z = v.z / most;
    const float length = sqrtf(x * x + y * y + z * z);
    return Vector{x / length, y / length, z / length};
}

// Difference of a field over two voxels along an axis; at a side, twice that over one.
__device__ inline float difference(const float* c, const Lattice& lattice, int32 boundary, const Voxel& place, int32 axis) {
    const int64 up = beside(2 * axis + 1, lattice.shape, boundary, place).index;
    const int64 down = beside(2 * axis + 2, lattice.shape, boundary, place).index;
    const float here = c[place.index];
    const float found = (up < 0 ? here : c[up]) - (down < 0 ? here : c[down]);
    return up < 0 || down < 0 ? found + found : found;
}

__device__ inline float bounded(float value) {
    return value > -most_slope ? value < most_slope ? value : most_slope : -most_slope;
}

__device__ inline Drift drift(const Motility& motility, const Slope* slopes, const Modulator* modulators,
                              const Lattice& lattice, int32 boundary, const Voxel& place) {
    Vector sum{0.0f, 0.0f, 0.0f};
    for (int32 s = motility.first_slope; s < motility.end_slope; ++s) {
        const Slope& slope = slopes[s];
        const float* c = lattice.fields + slope.field * volume(lattice.shape);
        Vector found{difference(c, lattice, boundary, place, 0), difference(c, lattice, boundary, place, 1),
                     difference(c, lattice, boundary, place, 2)};
        if (slope.scale > 0.0f)
            found = Vector{bounded(found.x * slope.scale), bounded(found.y * slope.scale), bounded(found.z * slope.scale)};
        else
            found = unit(found);
        const float weight = slope.weight * modulated(1.0f, modulators, slope.first_modulator, slope.end_modulator, lattice, place);
        sum = Vector{sum.x + weight * found.x, sum.y + weight * found.y, sum.z + weight * found.z};
    }
    const Vector along = unit(sum);
    const bool none = along.x == 0.0f && along.y == 0.0f && along.z == 0.0f;
    const float bias = modulated(motility.bias, modulators, motility.end_turning, motility.end_bias, lattice, place);
    return Drift{along, none ? 0.0f : bias < 1.0f ? bias : 1.0f};
}

// How much longer the way along the axes is than straight on, weighted by the bias.
__device__ inline float detour(const Drift& drift) {
    return (1.0f - drift.bias) + drift.bias * (size_of(drift.along.x) + size_of(drift.along.y) + size_of(drift.along.z));
}

// Weight of a heading of a cell that drifts; all of them sum up to its detour.
__device__ inline float drifting_weight(const Motility& motility, const Drift& drift, int32 heading) {
    const int32 axis = (heading - 1) / 2;
    const float component = axis == 0 ? drift.along.x : axis == 1 ? drift.along.y : drift.along.z;
    const float forward = (heading & 1) ? component : -component;
    return motility.stray * (1.0f - drift.bias) + drift.bias * (forward > 0.0f ? forward : 0.0f);
}

// Weight of a heading; 0 where the way is barred. `c` is the field that is climbed, `here` its occupancy here.
__device__ inline float heading_weight(const Motility& motility, const Lattice& lattice, int32 boundary,
                                       const Voxel& place, const float* c, float here, int32 heading) {
    const int64 there = beside(heading, lattice.shape, boundary, place).index;
    if (!can_enter(motility, lattice, there)) return 0.0f;
    if (motility.field < 0 || there == beyond) return 1.0f;
    const float rise = occupancy(c[there], motility.scale) - here;
    const float weight = 1.0f + motility.sensitivity * rise;
    return weight > 0.0f ? weight : 0.0f;
}

// Draws one of six weights.
__device__ inline int32 drawn(const float (&weights)[6], float total, uint32 word) {
    const float mark = static_cast<float>(word >> 8) * two_to_minus_24 * total;
    float sum = 0.0f;
    int32 chosen = 0;
    for (int32 heading = 1; heading <= 6; ++heading) {
        const float weight = weights[heading - 1];
        if (weight > 0.0f && !(mark < sum)) chosen = heading;
        sum = sum + weight;
    }
    return chosen;
}

__device__ inline int32 new_heading(const Motility& motility, const Lattice& lattice, int32 boundary,
                                    const Voxel& place, uint32 word) {
    const float* c = lattice.fields + motility.field * volume(lattice.shape);
    const float here = motility.field < 0 ? 0.0f : occupancy(c[place.index], motility.scale);
    float weights[6], total = 0.0f;
    for (int32 heading = 1; heading <= 6; ++heading) {
        weights[heading - 1] = heading_weight(motility, lattice, boundary, place, c, here, heading);
        total = total + weights[heading - 1];
    }
    return drawn(weights, total, word);
}

__device__ inline bool turns(const Motility& motility, const Lattice& lattice, int32 boundary, const Voxel& place,
                             int32 heading, float turn, uint32 word) {
    return heading == 0 || happens(turn, word) ||
           !can_enter(motility, lattice, beside(heading, lattice.shape, boundary, place).index);
}

// What a cell is about to do: its heading, and the probability of a move.
struct Proposal {
    int32 heading;
    float hop;
};

__device__ inline bool is_guided(const Motility& motility) {
    return motility.first_slope < motility.end_slope || motility.end_speed < motility.end_turning;
}

// Of a cell with a direction, or whose persistence varies. Out of line: of those that move, few have them.
OUT_OF_LINE Proposal guided(const Motility& motility, const Slope* slopes, const Modulator* modulators,
                            const Lattice& lattice, int32 boundary, const Voxel& place, int32 heading,
                            const Random& random) {
    float turn = motility.turn;
    if (motility.end_speed < motility.end_turning) {
        const float longer = modulated(1.0f, modulators, motility.end_speed, motility.end_turning, lattice, place);
        turn = longer > 0.0f ? probability(motility.turning / longer) : 1.0f;
        turn = turn < almost_sure ? turn : almost_sure;
    }
    const float hop = modulated(motility.hop, modulators, motility.first_modulator, motility.end_speed, lattice, place);
    const bool now = turns(motility, lattice, boundary, place, heading, turn, random.word[1]);
    if (!(motility.first_slope < motility.end_slope))
        return Proposal{now ? new_heading(motility, lattice, boundary, place, random.word[2]) : heading, hop};
    const Drift to = drift(motility, slopes, modulators, lattice, boundary, place);
    if (now) {
        float weights[6], total = 0.0f;
        for (int32 way = 1; way <= 6; ++way) {
            const int64 there = beside(way, lattice.shape, boundary, place).index;
            weights[way - 1] = can_enter(motility, lattice, there) ? drifting_weight(motility, to, way) : 0.0f;
            total = total + weights[way - 1];
        }
        heading = drawn(weights, total, random.word[2]);
    }
    return Proposal{heading, hop * detour(to)};
}

// Blocks: replicates x nz x ny / block_rows.
extern "C" __global__ void propose_moves(
    // model:
    const Motility* __restrict__ motilities,   // [states]
    const Slope* __restrict__ slopes,          // [slopes]
    const Modulator* __restrict__ modulators,  // [modulators]
    const uint64* __restrict__ seeds,          // [R]
    // state in:
    const uint8* __restrict__ cells,   // [R, z, y, x], the layer whose cells move
    const uint8* __restrict__ other,   // [R, z, y, x]
    const float* __restrict__ fields,  // [F, R, z, y, x]
    const uint8* __restrict__ counts,  // [counts, R, z, y, x] of neighbours
    const float* __restrict__ body,    // [quantities, R]
    const float* __restrict__ traits,  // [traits, R, z, y, x]
    // state out:
    uint8* __restrict__ heading,  // [R, z, y, x]
    uint16* __restrict__ bid,     // [R, z, y, x], 13 random bits, then the heading; 0 where none moves
    // numbers:
    uint32 step, uint32 purpose, int32 boundary, int32 vacant,
    // sizes:
    uint64 origin,  // index of the first voxel here in the whole lattice
    int32 block_rows, int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Lattice lattice{cells, other, fields, counts, body, Stack{replicates, nz, ny, nx}, traits};
    const BlockRows rows(lattice.shape, block_rows);
    const auto is_mobile = [&](int32 i) INLINED {
        const int64 voxel = rows.first.index + i;
        bid[voxel] = 0;
        const uint8 state = cells[voxel];
        return state != vacant && motilities[state].hop > 0.0f;
    };
    const auto propose = [&](int32 i) INLINED {
        const Voxel place = rows.voxel(lattice.shape, i);
        const int64 voxel = place.index;
        const Motility& motility = motilities[cells[voxel]];
        const Draw draw{seeds[place.replicate], origin - row_start(lattice.shape, place.replicate, 0, 0), step, purpose};
        const Random random = draw.at(voxel);
        int32 towards = heading[voxel];
        float hop;
        if (is_guided(motility)) {
            const Proposal found = guided(motility, slopes, modulators, lattice, boundary, place, towards, random);
            towards = found.heading;
            hop = found.hop;
        } else {
            if (turns(motility, lattice, boundary, place, towards, motility.turn, random.word[1]))
                towards = new_heading(motility, lattice, boundary, place, random.word[2]);
            hop = modulated(motility.hop, modulators, motility.first_modulator, motility.end_speed, lattice, place);
        }
        heading[voxel] = static_cast<uint8>(towards);
        if (towards && happens(hop < 0.999f ? hop : 0.999f, random.word[0]))
            bid[voxel] = static_cast<uint16>(((random.word[3] >> 19) << 3) | static_cast<uint32>(towards));
    };
    for_wanted(rows.count * nx, is_mobile, propose);
}
ENTRY(propose_moves)

// Blocks: replicates x nz x ny / block_rows. Only the winner of a voxel writes there and where it comes from.
extern "C" BLOCKS_AT_ONCE(8) __global__ void move(
    // model:
    const uint8* __restrict__ trails,  // [states], what a cell leaves behind
    // state in:
    const uint16* __restrict__ bid,  // [R, z, y, x]
    // state out:
    uint8* __restrict__ cells,    // [R, z, y, x]
    uint16* __restrict__ clock,   // [R, z, y, x]
    uint8* __restrict__ heading,  // [R, z, y, x]
    uint8* __restrict__ claim,    // [R, z, y, x]
    uint64* __restrict__ clone,   // [R, z, y, x]
    float* __restrict__ traits,   // [traits, R, z, y, x]
    uint64* __restrict__ left,    // [states, R], cells that leave the lattice
    uint64* __restrict__ taken,   // [states, R], voxels that cells enter, by what was in them, and
    uint64* __restrict__ laid,    // [states, R], what cells leave behind; both only where they crush or leave a trail
    // numbers:
    int32 boundary, int32 first_trait, int32 end_trait, int32 vacant,
    // sizes:
    int32 first_counted, int32 end_counted,  // planes whose cells are counted
    int32 has_heading, int32 has_claim, int32 has_clone, int32 block_rows, int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
    const BlockRows rows(shape, block_rows);
    const CellLayer layer{cells, clock, heading, claim, clone, has_heading != 0, has_claim != 0, has_clone != 0,
                          Traits{nullptr, nullptr, traits, volume(shape), first_trait, end_trait}};
    const auto bids = [&](int32 i) INLINED { return bid[rows.first.index + i] != 0; };
    const auto take = [&](int32 i) INLINED {
        const Voxel here = rows.voxel(shape, i);
        const int64 voxel = here.index;
        const uint16 mine = bid[voxel];
        const Voxel wanted = beside(mine & 7, shape, boundary, here);
        const int64 target = wanted.index;
        const int32 trail = trails[cells[voxel]], replicate = here.replicate;
        const bool is_counted = here.z >= first_counted && here.z < end_counted;
        int32 replaced = vacant;
        if (target == closed_off) return;  // out of what is held here of the whole lattice
        if (target != beyond) {
            for (int32 side = 1; side <= 6; ++side) {
                const int64 rival = beside(side, shape, boundary, wanted).index;
                if (rival < 0 || rival == voxel) continue;
                const uint16 theirs = bid[rival];
                if (theirs != 0 && (theirs & 7) == opposite(side) && theirs < mine) return;
            }
            replaced = cells[target];
            layer.copy(target, voxel);
        } else if (is_counted) {
            atomicAdd(&left[cells[voxel] * replicates + replicate], uint64(1));
        }
        if (is_counted && (replaced != vacant || trail != vacant)) {
            atomicAdd(&taken[replaced * replicates + replicate], uint64(1));
            atomicAdd(&laid[trail * replicates + replicate], uint64(1));
        }
        layer.clear(voxel, trail);
    };
    for_wanted(rows.count * nx, bids, take);
}
ENTRY(move)
