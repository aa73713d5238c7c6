// Counts of neighbours on a GPU: of one voxel, or of four side by side.
#pragma once

// The same of one voxel of the row at (z, y).
__device__ inline uint8 count_one(const uint8* __restrict__ row, const Stack& shape, int32 reach, int32 z, int32 y,
                                  int32 x) {
    uint8 count = 0;
    rows_around(shape, reach, z, [&](int32 offset, int32 distance, int32 dy) {
        if (y + dy < 0 || y + dy >= shape.ny) return;
        const uint8* here = row + offset + x;
        if (distance > 0) count += here[0];
        if (distance < reach && x > 0) count += here[-1];
        if (distance < reach && x < shape.nx - 1) count += here[1];
    });
    return count;
}

// The same of four, of which x is the first, where rows are of whole fours: a byte each.
__device__ inline uint32 count_four(const uint8* __restrict__ row, const Stack& shape, int32 reach, int32 z, int32 y,
                                    int32 x) {
    uint32 ahead = 0, beside = 0, west = 0, east = 0;
    rows_around(shape, reach, z, [&](int32 offset, int32 distance, int32 dy) {
        if (y + dy < 0 || y + dy >= shape.ny) return;
        const uint8* here = row + offset + x;
        const uint32 four = *reinterpret_cast<const uint32*>(here);
        if (distance > 0) ahead += four;
        if (distance < reach) beside += four;
        if (distance < reach && x > 0) west += here[-1];
        if (distance < reach && x < shape.nx - 4) east += here[4];
    });
    return ahead + (beside << 8 | west) + (beside >> 8 | east << 24);
}
