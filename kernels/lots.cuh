// Sums that are rounded up or down by lot, in proportion to what is missing: right on average, where rounding to nearest
// would lose a change of less than half of the last digit each time (Croci et al. 2022, "Stochastic rounding:
// implementation, error analysis and applications").
#pragma once
#include "common.cuh"

// The number beside a float above 0.
__device__ inline float beside(float value, bool up) {
    int32 bits;
    memcpy(&bits, &value, sizeof bits);
    bits += up ? 1 : -1;
    memcpy(&value, &bits, sizeof bits);
    return value;
}

// c + change, rounded up or down by lot.
__device__ inline float sum_by_lot(float c, float change, uint32 lot) {
    // What the sum is short of, exactly (Knuth's TwoSum).
    const float sum = c + change, back = sum - c;
    const float missing = (c - (sum - back)) + (change - back);
    const float other = beside(sum, missing > 0.0f);
    const float gap = other > sum ? other - sum : sum - other;
    const float size = fabsf(missing);
    // Both are multiplied by 2^32, as dividing the lot would leave the normal numbers where c is small.
    const bool goes = static_cast<float>(lot) * gap < size * two_to_32;
    return sum > 0.0f && goes ? other : sum;
}

// The lots of a row's voxels for pass `number` of a step, from step to step. They begin at random and go on along the row
// by 2^32 / 1.3247 (the plastic number) and with the steps by its square, or for even passes by the golden section: a
// voxel's lots over n steps, those of two passes that follow each other, and those of a row are spread more evenly than
// random ones (Roberts 2018, "The unreasonable effectiveness of quasirandom sequences").
struct RowLots {
    uint32 first = 0;
    RowLots() = default;
    __device__ inline RowLots(const Draw& draw, int64 start, uint32 step, int32 number)
        : first(draw.at(start).word[0] + step * (number & 1 ? 0x91E10DA5u : 0x9E3779B9u)) {}
    __device__ inline uint32 at(int32 x) const { return first + static_cast<uint32>(x) * 0xC13FA9A9u; }
};

constexpr uint32 golden = 0x9E3779B9u;  // 2^32 / 1.618

// Lots of voxels that go on from step to step by the golden section, four of them by each number.
struct Lots {
    Draw first;
    uint32 shift;
    __device__ inline Lots(uint64 seed, uint64 offset, uint32 step, uint32 purpose, int32 number)
        : first{seed, offset, 0, purpose + purposes * static_cast<uint32>(number)}, shift(step * golden) {}
    __device__ inline Random at(int64 index) const {
        Random random = first.at(index);
        for (int32 i = 0; i < 4; ++i) random.word[i] += shift;
        return random;
    }
};

#ifdef GPUSIM_HOST
#include "host/lots.hpp"
#endif

__device__ inline uint32 word_of(const Random& random, int32 number) {
    const uint32 low = number & 1 ? random.word[1] : random.word[0];
    const uint32 high = number & 1 ? random.word[3] : random.word[2];
    return number & 2 ? high : low;
}
