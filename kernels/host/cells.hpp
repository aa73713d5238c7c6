// The cells of a row on a host.
#pragma once

constexpr int32 most_states = 256;

// The states of a row's cells, each once; returns how many.
inline int32 find_states(const uint8* __restrict__ cells, uint8* __restrict__ states, int32 n) {
    constexpr int32 at_once = sizeof(uint64);
    uint8 seen[most_states] = {};
    int32 next = 0;
    for (uint64 before = 0, here; next + at_once <= n; next += at_once) {
        memcpy(&here, cells + next, sizeof here);
        if (next > 0 && here == before) continue;
        for (int32 x = next; x < next + at_once; ++x) seen[cells[x]] = 1;
        before = here;
    }
    for (; next < n; ++next) seen[cells[next]] = 1;
    int32 count = 0;
    for (int32 first = 0; first < most_states; first += at_once) {
        uint64 any;
        memcpy(&any, seen + first, sizeof any);
        for (int32 state = first; any != 0 && state < first + at_once; ++state)
            if (seen[state] != 0) states[count++] = static_cast<uint8>(state);
    }
    return count;
}
