// Moves of the cells of one layer: each cell proposes one, each wanted voxel takes one.
//
// A cell keeps its heading until it turns or finds the way barred; a new heading is drawn among the
// voxels that it can enter, with more weight up a gradient. It then tries a move with the
// probability speed * dt / dx. Of the cells that want one voxel, the one with the lowest random bid
// gets it. Each voxel is written by one cell at most, so the order of threads can't matter.
#include "modulators.cuh"

struct Motility {
    float hop;          // speed * dt / dx
    float turn;         // probability of a new heading
    int32 field;        // whose gradient is climbed, or -1
    float scale;        // 1 / half of the receptors' occupancy
    float sensitivity;  // weight for a rise of the occupancy over one voxel
    int32 first_modulator, end_modulator;  // of the speed
    uint32 enters[8];   // states of the other layer
};

// Headings: 0 none, then +x -x +y -y +z -z.
__device__ inline int32 opposite(int32 heading) { return ((heading - 1) ^ 1) + 1; }

// The voxel one step along a heading; -1 outside the grid.
__device__ inline int64 beside(int32 heading, const Lattice& lattice, const Voxel& place) {
    const int32 step = (heading & 1) ? 1 : -1;
    if (heading <= 2) {
        const int32 x = place.x + step;
        return x >= 0 && x < lattice.shape.nx ? place.index + step : -1;
    }
    if (heading <= 4) {
        const int32 y = place.y + step;
        return y >= 0 && y < lattice.shape.ny ? place.index + step * lattice.shape.nx : -1;
    }
    const int32 z = place.z + step;
    const int64 plane = static_cast<int64>(lattice.shape.ny) * lattice.shape.nx;
    return z >= 0 && z < lattice.shape.nz ? place.index + step * plane : -1;
}

__device__ inline bool can_enter(const Motility& motility, const Lattice& lattice, int32 vacant, int64 voxel) {
    return voxel >= 0 && lattice.own[voxel] == vacant && in_set(motility.enters, lattice.other[voxel]);
}

__device__ inline float occupancy(float concentration, float scale) {
    const float ratio = concentration * scale;
    const float r = ratio < 1.0e9f ? ratio : 1.0e9f;
    return r / (1.0f + r);
}

// Weight of a heading; 0 where the way is barred. `c` is the field that is climbed, `here` its occupancy here.
__device__ inline float heading_weight(const Motility& motility, const Lattice& lattice, const Voxel& place,
                                       int32 vacant, const float* c, float here, int32 heading) {
    const int64 there = beside(heading, lattice, place);
    if (!can_enter(motility, lattice, vacant, there)) return 0.0f;
    if (motility.field < 0) return 1.0f;
    const float rise = occupancy(c[there], motility.scale) - here;
    const float weight = 1.0f + motility.sensitivity * rise;
    return weight > 0.0f ? weight : 0.0f;
}

__device__ inline int32 new_heading(const Motility& motility, const Lattice& lattice, const Voxel& place,
                                    int32 vacant, uint32 word) {
    const float* c = lattice.fields + motility.field * volume(lattice.shape);
    const float here = motility.field < 0 ? 0.0f : occupancy(c[place.index], motility.scale);
    float weights[6], total = 0.0f;
    for (int32 heading = 1; heading <= 6; ++heading) {
        weights[heading - 1] = heading_weight(motility, lattice, place, vacant, c, here, heading);
        total = total + weights[heading - 1];
    }
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

// Blocks: replicates x nz x ny / block_rows.
extern "C" __global__ void propose_moves(
    const uint8* __restrict__ own,    // [R, z, y, x] the layer whose cells move
    const uint8* __restrict__ other,  // [R, z, y, x]
    uint8* __restrict__ heading,      // [R, z, y, x]
    uint16* __restrict__ bid,         // [R, z, y, x] 13 random bits, then the heading; 0 where none moves
    const float* __restrict__ fields,  // [F, R, z, y, x]
    const uint8* __restrict__ counts,  // [counts, R, z, y, x] of neighbours
    const float* __restrict__ body,    // [quantities, R]
    const Motility* __restrict__ motilities,  // [states]
    const Modulator* __restrict__ modulators,
    const uint64* __restrict__ seeds,  // [R]
    uint64 origin,  // index of the first voxel here in the whole lattice
    uint32 step, uint32 purpose, int32 vacant, int32 block_rows, int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Lattice lattice{own, other, fields, counts, body, Stack{replicates, nz, ny, nx}};
    const BlockRows rows(lattice.shape, block_rows);
    const auto is_mobile = [&](int32 i) INLINED {
        const int64 voxel = rows.first.index + i;
        bid[voxel] = 0;
        const uint8 state = own[voxel];
        return state != vacant && motilities[state].hop > 0.0f;
    };
    const auto propose = [&](int32 i) INLINED {
        const Voxel place = rows.voxel(lattice.shape, i);
        const int64 voxel = place.index;
        const Motility& motility = motilities[own[voxel]];
        const Draw draw{seeds[place.replicate], origin - row_start(lattice.shape, place.replicate, 0, 0), step, purpose};
        const Random random = draw.at(voxel);
        int32 towards = heading[voxel];
        if (towards == 0 || happens(motility.turn, random.word[1]) ||
            !can_enter(motility, lattice, vacant, beside(towards, lattice, place)))
            towards = new_heading(motility, lattice, place, vacant, random.word[2]);
        heading[voxel] = static_cast<uint8>(towards);
        const float hop = modulated(motility.hop, modulators, motility.first_modulator, motility.end_modulator,
                                    lattice, place);
        if (towards && happens(hop < 0.999f ? hop : 0.999f, random.word[0]))
            bid[voxel] = static_cast<uint16>(((random.word[3] >> 19) << 3) | static_cast<uint32>(towards));
    };
    for_wanted(rows.count * nx, is_mobile, propose);
}
ENTRY(propose_moves)

// Blocks: replicates x nz x ny / block_rows. Only the winner of a voxel writes there and where it comes from.
extern "C" __global__ void move(uint8* __restrict__ own,         // [R, z, y, x]
                                uint16* __restrict__ clock,      // [R, z, y, x]
                                uint8* __restrict__ heading,     // [R, z, y, x]
                                const uint16* __restrict__ bid,  // [R, z, y, x]
                                int32 vacant, int32 block_rows, int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Lattice lattice{nullptr, nullptr, nullptr, nullptr, nullptr, Stack{replicates, nz, ny, nx}};
    const BlockRows rows(lattice.shape, block_rows);
    const auto bids = [&](int32 i) INLINED { return bid[rows.first.index + i] != 0; };
    const auto take = [&](int32 i) INLINED {
        const Voxel here = rows.voxel(lattice.shape, i);
        const int64 voxel = here.index;
        const uint16 mine = bid[voxel];
        const int32 towards = mine & 7;
        const int64 target = beside(towards, lattice, here);
        if (target < 0) return;  // out of what is held here of the whole lattice
        const int32 step = (towards & 1) ? 1 : -1;
        const Voxel wanted{target, here.replicate, here.z + (towards > 4 ? step : 0),
                           here.y + (towards == 3 || towards == 4 ? step : 0), here.x + (towards <= 2 ? step : 0)};
        bool wins = true;
        for (int32 side = 1; side <= 6; ++side) {
            const int64 rival = beside(side, lattice, wanted);
            if (rival < 0 || rival == voxel) continue;
            const uint16 theirs = bid[rival];
            if (theirs != 0 && (theirs & 7) == opposite(side) && theirs < mine) wins = false;
        }
        if (!wins) return;
        own[target] = own[voxel];
        clock[target] = clock[voxel];
        heading[target] = heading[voxel];
        own[voxel] = static_cast<uint8>(vacant);
        clock[voxel] = 0;
        heading[voxel] = 0;
    };
    for_wanted(rows.count * nx, bids, take);
}
ENTRY(move)
