// Bids for voxels: of several that want one, who has the lowest gets it. No two of a launch are alike.
#pragma once
#include "common.cuh"

constexpr uint32 no_bid = 0xFFFFFFFFu;

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

__device__ inline uint32 bid_of(const Draw& draw, int64 voxel) {
    const Random key = philox(no_bid, no_bid, draw.step, draw.purpose, static_cast<uint32>(draw.seed),
                              static_cast<uint32>(draw.seed >> 32));
    return shuffled(static_cast<uint32>(draw.offset + static_cast<uint64>(voxel)), key);
}
