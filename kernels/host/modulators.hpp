// Rates times their modulators on a host, in whole vectors along a row.
#pragma once

// What a modulator looks at in a row of voxels from `first` on; `buffer` is for what no array holds.
inline const float* looked_at_in_row(const Modulator& modulator, const Lattice& lattice, const Voxel& first, float* buffer,
                                     int32 n) {
    if (modulator.source == FIELD) return lattice.fields + modulator.index * volume(lattice.shape) + first.index;
    if (modulator.source == TRAIT) return lattice.traits + modulator.index * volume(lattice.shape) + first.index;
    for (int32 x = 0; x < n; ++x)
        buffer[x] = looked_at(modulator, lattice, Voxel{first.index + x, first.replicate, first.z, first.y, first.x + x});
    return buffer;
}

template <Shape shape, int32 power>
LOOP_FUNCTION void times_response(const Modulator& given, const float* __restrict__ values, float* __restrict__ rates,
                                  int32 n) {
    Modulator modulator = given;
    modulator.shape = shape;
    modulator.power = power;
    for (int32 x = 0; x < n; ++x) {
        const float rate = rates[x], product = rate * response(modulator, values[x]);
        rates[x] = rate > 0.0f ? product : rate;
    }
}

inline void times_response(const Modulator& modulator, const float* values, float* rates, int32 n) {
    const bool hill = modulator.shape == HILL;
    if (hill && modulator.power == 1) return times_response<HILL, 1>(modulator, values, rates, n);
    if (hill && modulator.power == 2) return times_response<HILL, 2>(modulator, values, rates, n);
    if (hill && modulator.power == 3) return times_response<HILL, 3>(modulator, values, rates, n);
    if (hill) return times_response<HILL, 4>(modulator, values, rates, n);
    if (modulator.shape == LINEAR) return times_response<LINEAR, 0>(modulator, values, rates, n);
    if (modulator.shape == STEP) return times_response<STEP, 0>(modulator, values, rates, n);
    times_response<RAMP, 0>(modulator, values, rates, n);
}

LOOP_FUNCTION int32 above_0(const float* __restrict__ rates, int32 n) {
    int32 count = 0;
    for (int32 x = 0; x < n; ++x) count += rates[x] > 0.0f;
    return count;
}

// `modulated` for the rates of a row, none of which is below 0.
inline void modulate_row(float* rates, const Modulator* modulators, int32 first, int32 end, const Lattice& lattice,
                         const Voxel& place, int32 n) {
    static thread_local float buffer[longest_row];
    constexpr int32 worth = 4;  // a vector's voxels cost as much as one alone
    bool apart = above_0(rates, n) * worth < n;
    for (int32 m = first; m < end; ++m) apart = apart || modulators[m].shape > RAMP;
    if (apart) {
        for (int32 x = 0; x < n; ++x) {
            if (!(rates[x] > 0.0f)) continue;
            const Voxel voxel{place.index + x, place.replicate, place.z, place.y, place.x + x};
            rates[x] = modulated(rates[x], modulators, first, end, lattice, voxel);
        }
        return;
    }
    for (int32 m = first; m < end; ++m)
        times_response(modulators[m], looked_at_in_row(modulators[m], lattice, place, buffer, n), rates, n);
    for (int32 x = 0; x < n; ++x) rates[x] = rates[x] > 0.0f ? rates[x] : 0.0f;
}
