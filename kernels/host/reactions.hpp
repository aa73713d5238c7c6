// Reactions on a host: one step of the computation after the other over a row, each in whole vectors.
#pragma once

// Loops over a row, apart from what a voxel's modulators find, so that they are whole vectors.
LOOP_FUNCTION bool extents_of_row(const Consumed& consumed, const float* __restrict__ k, const float* __restrict__ a,
                                  const float* __restrict__ b, float* __restrict__ extents, int32 n) {
    const Consumed here = consumed;
    int32 any = 0;
    if (here.both)
        for (int32 x = 0; x < n; ++x) extents[x] = Consumed{true, here.alpha, here.beta}.extent(k[x], a[x], b[x]);
    else
        for (int32 x = 0; x < n; ++x) extents[x] = Consumed{false, here.alpha, here.beta}.extent(k[x], a[x], a[x]);
    for (int32 x = 0; x < n; ++x) any |= extents[x] > 0.0f;
    return any != 0;
}

LOOP_FUNCTION void change_row(float* __restrict__ c, float coefficient, const float* __restrict__ extents, bool made,
                              const uint32* __restrict__ lots, int32 n) {
    if (made)
        for (int32 x = 0; x < n; ++x) c[x] = left_of(c[x], coefficient, extents[x], true, lots[x]);
    else
        for (int32 x = 0; x < n; ++x) c[x] = left_of(c[x], coefficient, extents[x], false, lots[x]);
}
