// What the effects of a row's cells do to a field on a host, in whole vectors, where none depends on the field itself.
#pragma once
#include "host/cells.hpp"
#include "host/modulators.hpp"

struct RowExchange {
    float production[longest_row], loss[longest_row], rates[longest_row];
    bool held[longest_row], any_held;
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
    int64 size;   // of a wall
    bool walled;  // whether walls stand apart
    Voxel place;
    int32 n;
    inline const Effect& effect(uint8 state, int32 k) const { return effects[begin[state] + k]; }
};

inline void begin_exchange(const Cells& cells, const float* production, const float* loss, RowExchange& sum, int32 n) {
    const auto look_up = [&](const float* table, float* values) INLINED {
        RowOfTable row(cells, table, nullptr, TISSUE_AND_IMMUNE, n);
        memcpy(values, row.from(0, n).values, n * sizeof(float));
    };
    look_up(production, sum.production);
    look_up(loss, sum.loss);
    int32 count = 0;
    for (int32 x = 0; x < n; ++x) count += sum.held[x] = sum.loss[x] > fastest_loss;
    sum.any_held = count > 0;
}

LOOP_FUNCTION void rates_of_one(float rate, uint8 state, const uint8* __restrict__ cells, float* __restrict__ rates,
                                int32 n) {
    for (int32 x = 0; x < n; ++x) rates[x] = cells[x] == state ? rate : 0.0f;
}

LOOP_FUNCTION void rates_of_states(const float* __restrict__ of_state, const uint8* __restrict__ cells,
                                   float* __restrict__ rates, int32 n) {
    for (int32 x = 0; x < n; ++x) rates[x] = of_state[cells[x]];
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
    add_rates(sum.rates, 1.0f, row.permeable + effect.wall * row.size + row.place.index, row.n);
}

inline bool alike(const Effect& one, const Effect& other) {
    return one.kind == other.kind && one.wall == other.wall && one.first_modulator == other.first_modulator &&
           one.end_modulator == other.end_modulator;
}

// What states have as their k-th effect in common with the first of them, which is taken from the others.
struct AlikeStates {
    float rate[most_states];  // by state
    uint8 states[most_states];
    int32 count;
    bool same;  // whether all have one rate

    inline void take(const RowOfEffects& row, uint8* others, int32& left, int32 k) {
        const Effect& first = row.effect(others[0], k);
        count = 0;
        same = true;
        memset(rate, 0, sizeof rate);
        int32 kept = 0;
        for (int32 s = 0; s < left; ++s) {
            const Effect& effect = row.effect(others[s], k);
            if (alike(first, effect)) {
                rate[others[s]] = effect.rate;
                same = same && effect.rate == first.rate;
                states[count++] = others[s];
            } else {
                others[kept++] = others[s];
            }
        }
        left = kept;
    }
};

// The effects of the cells of one layer: the first of each, then the second, and so on, those of states that are alike
// together.
inline void add_effects(const RowOfEffects& row, const Lattice& lattice, RowExchange& sum) {
    static thread_local AlikeStates of;
    AlikeStates& group = of;
    const uint8* cells = lattice.own + row.place.index;
    uint8 states[most_states], left[most_states];
    const int32 all = find_states(cells, states, row.n);
    for (int32 k = 0, count = 1; count > 0; ++k) {
        count = 0;
        for (int32 s = 0; s < all; ++s)
            if (row.begin[states[s]] + k < row.begin[states[s] + 1]) left[count++] = states[s];
        for (int32 others = count; others > 0;) {
            const Effect& effect = row.effect(left[0], k);
            group.take(row, left, others, k);
            if (group.same && group.count == all)
                for (int32 x = 0; x < row.n; ++x) sum.rates[x] = effect.rate;
            else if (group.count == 1)
                rates_of_one(effect.rate, group.states[0], cells, sum.rates, row.n);
            else
                rates_of_states(group.rate, cells, sum.rates, row.n);
            for (int32 x = 0; sum.any_held && x < row.n; ++x)
                if (sum.held[x]) sum.rates[x] = 0.0f;
            modulate_row(sum.rates, row.modulators, effect.first_modulator, effect.end_modulator, lattice, row.place, row.n);
            add_effect(row, effect, sum);
        }
    }
}

template <int32 form, bool walled>
LOOP_FUNCTION void write_entries(const RowExchange& sum, float mass, float dt, float* __restrict__ first,
                                 float* __restrict__ second, int32 n) {
    const float *production = sum.production, *loss = sum.loss;
    for (int32 x = 0; x < n; ++x) {
        const Entries entries = entries_of(Exchanged{production[x], loss[x]}, false, form, walled, mass, dt);
        first[x] = entries.first;
        second[x] = entries.second;
    }
    for (int32 x = 0; sum.any_held && x < n; ++x) {
        if (!sum.held[x]) continue;
        const Entries entries = entries_of(Exchanged{production[x], loss[x]}, true, form, walled, mass, dt);
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
