// What the effects of a row's cells do to a field on a host, in whole vectors, where none depends on the field itself.
#pragma once
#include "host/cells.hpp"
#include "host/modulators.hpp"

struct RowExchange {
    float production[longest_row], loss[longest_row], rates[longest_row];
    bool held[longest_row];
};

// A row, and the effects of a field by state.
struct RowOfEffects {
    const Effect* effects;
    const int32* begin;
    const Modulator* modulators;
    const Wall* walls;
    const float* body;  // [quantities, R]
    int32 replicates;
    float* permeable;  // [wall_count, R, z, y, x]
    int64 size, start;  // of a wall, and of the row in it
    bool walled;        // whether walls stand apart
    Voxel place;
    int32 n;
};

inline void begin_exchange(const Cells& cells, const float* production, const float* loss, RowExchange& sum, int32 n) {
    const auto look_up = [&](const float* table, float* values) INLINED {
        RowOfTable row(cells, table, nullptr, TISSUE_AND_IMMUNE, n);
        memcpy(values, row.from(0, n).values, n * sizeof(float));
    };
    look_up(production, sum.production);
    look_up(loss, sum.loss);
    for (int32 x = 0; x < n; ++x) sum.held[x] = sum.loss[x] > fastest_loss;
}

LOOP_FUNCTION void rates_of_states(const float* __restrict__ of_state, const uint8* __restrict__ cells,
                                   const bool* __restrict__ held, float* __restrict__ rates, int32 n) {
    for (int32 x = 0; x < n; ++x) {
        const float rate = of_state[cells[x]];
        rates[x] = held[x] ? 0.0f : rate;
    }
}

LOOP_FUNCTION void add_rates(const float* __restrict__ rates, float factor, float* __restrict__ sum, int32 n) {
    for (int32 x = 0; x < n; ++x) sum[x] = sum[x] + rates[x] * factor;
}

inline void add_effect(const RowOfEffects& row, const Effect& effect, RowExchange& sum) {
    if (effect.kind == SECRETION) return add_rates(sum.rates, 1.0f, sum.production, row.n);
    if (effect.kind == LOSS) return add_rates(sum.rates, 1.0f, sum.loss, row.n);
    const Wall& wall = row.walls[effect.wall];
    const float blood = row.body[wall.quantity * row.replicates + row.place.replicate] * wall.dilution;
    if (!row.walled) {
        add_rates(sum.rates, wall.returns, sum.loss, row.n);
        add_rates(sum.rates, blood, sum.production, row.n);
    }
    add_rates(sum.rates, 1.0f, row.permeable + effect.wall * row.size + row.start, row.n);
}

inline bool alike(const Effect& one, const Effect& other) {
    return one.kind == other.kind && one.wall == other.wall && one.first_modulator == other.first_modulator &&
           one.end_modulator == other.end_modulator;
}

// The effects of the cells of one layer: the first of each, then the second, and so on, those of states that are alike
// together.
inline void add_effects(const RowOfEffects& row, const Lattice& lattice, RowExchange& sum) {
    static thread_local float of_state[most_states];
    const uint8* cells = lattice.own + row.place.index;
    uint8 states[most_states];
    int32 count = find_states(cells, states, row.n);
    for (int32 k = 0; count > 0; ++k) {
        int32 further = 0;  // states with a k-th effect
        for (int32 s = 0; s < count; ++s)
            if (row.begin[states[s]] + k < row.begin[states[s] + 1]) states[further++] = states[s];
        count = further;
        bool done[most_states] = {};
        for (int32 s = 0; s < count; ++s) {
            if (done[s]) continue;
            const Effect& effect = row.effects[row.begin[states[s]] + k];
            memset(of_state, 0, sizeof of_state);
            for (int32 other = s; other < count; ++other) {
                const Effect& there = row.effects[row.begin[states[other]] + k];
                if (!alike(effect, there)) continue;
                of_state[states[other]] = there.rate;
                done[other] = true;
            }
            rates_of_states(of_state, cells, sum.held, sum.rates, row.n);
            modulate_row(sum.rates, row.modulators, effect.first_modulator, effect.end_modulator, lattice, row.place, row.n);
            add_effect(row, effect, sum);
        }
    }
}

template <int32 form, bool walled>
LOOP_FUNCTION void write_entries(const RowExchange& sum, float mass, float dt, float* __restrict__ first,
                                 float* __restrict__ second, int32 n) {
    for (int32 x = 0; x < n; ++x) {
        const Exchanged of_voxel{sum.production[x], sum.loss[x]};
        const Entries entries = entries_of(of_voxel, sum.held[x], form, walled, mass, dt);
        first[x] = entries.first;
        second[x] = entries.second;
    }
}

inline void write_entries(const RowExchange& sum, int32 form, bool walled, float mass, float dt, float* first, float* second,
                          int32 n) {
    if (walled && form == OPERATOR) return write_entries<OPERATOR, true>(sum, mass, dt, first, second, n);
    if (walled) return write_entries<EXPLICIT, true>(sum, mass, dt, first, second, n);
    if (form == EXPLICIT) return write_entries<EXPLICIT, false>(sum, mass, dt, first, second, n);
    if (form == IMPLICIT) return write_entries<IMPLICIT, false>(sum, mass, dt, first, second, n);
    write_entries<OPERATOR, false>(sum, mass, dt, first, second, n);
}
