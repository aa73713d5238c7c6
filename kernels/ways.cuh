// Ways through a layer, along which cells go one voxel on: to the nearest voxel that can take a cell (division.cu), or
// from outside to a voxel whose cell is gone (closing.cu).
#pragma once
#include "modulators.cuh"
#include "transition.cuh"

constexpr int32 face_step = 10, edge_step = 14, corner_step = 17;  // tenths of a voxel
constexpr uint8 rigid_room = 255;  // of a voxel that takes no cell and lets none through, and of what is outside
constexpr uint32 no_bid = 0xFFFFFFFFu;
constexpr int32 in_place = 13;  // of the 27 voxels around and including one, in the order z, y, x

// Tenths of a voxel from the middle of 27 voxels to one of them.
__device__ inline int32 step_length(int32 neighbour) {
    const int32 moved = (neighbour / 9 != 1) + (neighbour / 3 % 3 != 1) + (neighbour % 3 != 1);
    return moved == 1 ? face_step : moved == 2 ? edge_step : corner_step;
}

// The ways through the lattice of one replicate.
struct Ways {
    const uint8* room;
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
    // One voxel on; false in a root, where the way ends.
    __device__ inline bool go_on(Voxel& place) const {
        const int32 here = room[place.index];
        uint32 open = 0, count = 0;
        for (int32 n = 0; n < 27; ++n) {
            if (n == in_place) continue;
            const int32 there = room_at(neighbour(place, n));
            if (there == rigid_room || there + step_length(n) != here || !passes(place, n)) continue;
            open |= 1u << n;
            ++count;
        }
        if (count == 0) return false;
        uint32 skipped = draw.at(place.index).word[0] % count;
        int32 chosen = 0;
        while (!(open >> chosen & 1u) || skipped-- != 0) ++chosen;
        place = neighbour(place, chosen);
        return true;
    }
};

// A permutation of the numbers below 2^31: no two voxels have one bid.
__device__ inline uint32 shuffled(uint32 number, const Random& key) {
    const uint32 mask = 0x7FFFFFFFu;
    for (int32 round = 0; round < 2; ++round) {
        number = (number * (key.word[2 * round] | 1u) + key.word[2 * round + 1]) & mask;
        number = number ^ (number >> 16);
        number = (number * 0x2C1B3C6Du) & mask;
        number = number ^ (number >> 15);
    }
    return number;
}

// Mothers, and what closes up: whatever has claimed a way.
struct Mothers {
    const Rule* rules;
    const int32* rule_begin;
    const uint8* yields;
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
        const Draw& draw = ways.draw;
        const Random key = philox(no_bid, no_bid, draw.step, draw.purpose, static_cast<uint32>(draw.seed),
                                  static_cast<uint32>(draw.seed >> 32));
        const uint32 number = static_cast<uint32>(draw.offset + static_cast<uint64>(voxel));
        return (claim[voxel] & CLAIM_NEW ? 0x80000000u : 0u) | shuffled(number, key);
    }
    __device__ inline Voxel root(Voxel place) const {
        while (ways.go_on(place)) {
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
