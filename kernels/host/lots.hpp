// The lots of a row's voxels on a host, drawn in vectors.
#pragma once

// The first `count` lots of each, as draw_row writes its words; a voxel's lots are those of `lots` and its number.
template <int32 count>
LOOP_FUNCTION void lots_of_row(const Lots& lots, int64 start, const int32* __restrict__ numbers,
                               uint32* __restrict__ words, int32 n) {
    draw_row<count>(lots.first, start, numbers, words, n);
    const uint32 shift = lots.shift;
    for (int32 w = 0; w < count; ++w)
        for (int32 x = 0; x < n; ++x) words[w * longest_row + x] += shift;
}
