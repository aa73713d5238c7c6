// Members of a set on a host: its states one after the other, each in whole vectors.
#pragma once

LOOP_FUNCTION void mark_state(uint8 state, const uint8* __restrict__ cells, const uint8* __restrict__ other,
                              uint8* __restrict__ members, int32 n) {
    for (int32 i = 0; i < n; ++i)
        members[i] = static_cast<uint8>(members[i] + (cells[i] == state) + (other[i] == state));
}

static inline void mark_run(const uint32* states, const uint8* cells, const uint8* other, uint8* members, int64 n) {
    constexpr int64 part = 8192;  // which stays in the nearest cache
    for (int64 first = 0; first < n; first += part) {
        const int32 here = static_cast<int32>(n - first < part ? n - first : part);
        std::memset(members + first, 0, here);
        for (int32 state = 0; state < 256; ++state) {
            if (states[state >> 5] == 0) state |= 31;
            else if (in_set(states, static_cast<uint8>(state)))
                mark_state(static_cast<uint8>(state), cells + first, other + first, members + first, here);
        }
    }
}
