// Transfers on a host, which takes a row's voxels in vectors where all of them transfer between one field and one trait.
#pragma once
#include "host/cells.hpp"

// The k-th transfers of the states of a row's cells, by state.
struct TransfersOfStates {
    int32 number[most_states];  // below 0 where a state has none
    float share[most_states], ratio[most_states];  // the share if there are no modulators
};

// A row of voxels with their transfers.
struct RowBuffers {
    int32 number[longest_row];
    float share[longest_row], ratio[longest_row];
    uint32 lots[2 * longest_row];  // the first of all voxels, then the second
    int32 held[longest_row];
};
HOST_STATE TransfersOfStates states_buffer;
HOST_STATE RowBuffers row_buffer;

inline void take_transfers(RowBuffers& __restrict__ at, const TransfersOfStates& __restrict__ of,
                           const uint8* __restrict__ cells, const float* __restrict__ from, int32 n) {
    for (int32 x = 0; x < n; ++x) {
        at.number[x] = of.number[cells[x]];
        at.share[x] = from[x] > 0.0f ? of.share[cells[x]] : 0.0f;
        at.ratio[x] = of.ratio[cells[x]];
    }
}

inline void transfer_shares(const RowBuffers& __restrict__ at, float* __restrict__ from, float* __restrict__ to,
                            float most, int32 n) {
    for (int32 x = 0; x < n; ++x) {
        float source = from[x], target = to[x];
        transfer_share(source, target, at.share[x], at.ratio[x], most, at.held[x] != 0, at.lots[x],
                       at.lots[longest_row + x]);
        from[x] = at.share[x] > 0.0f ? source : from[x];
        to[x] = at.share[x] > 0.0f ? target : to[x];
    }
}

// Transfers of the cells of a layer in a row of n voxels: the first of each, then the second, and so on.
inline void transfer_layer(const RowOfTransfers& row, int32 layer, uint64 seed, uint64 offset, uint32 step,
                           uint32 purpose, int32 n) {
    RowBuffers* const at = &row_buffer;
    TransfersOfStates* const of = &states_buffer;
    const uint8* const cells = row.layer(layer).own + row.place.index;
    uint8 states[most_states];
    const int32 count = find_states(cells, states, n);
    for (int32 k = 0;; ++k) {
        const Transfer* shown = nullptr;  // one of them
        bool alike = true, modulators = false;
        for (int32 s = 0; s < count; ++s) {
            const int32 state = states[s], i = row.begin[state] + k;
            const bool any = i < row.begin[state + 1];
            const Transfer& transfer = row.transfers[any ? i : 0];
            of->number[state] = any ? i : -1;
            of->share[state] = any ? probability(transfer.turnover) : 0.0f;
            of->ratio[state] = any ? transfer.ratio : 1.0f;
            if (!any) continue;
            if (shown == nullptr) shown = &transfer;
            alike = alike && transfer.kind == shown->kind && transfer.field == shown->field && transfer.trait == shown->trait;
            modulators = modulators || transfer.first_modulator < transfer.end_modulator;
        }
        if (shown == nullptr) return;
        const bool takes_up = shown->kind == UPTAKE, held_somewhere = row.holds.states > 0 && row.holds.ever(shown->field);
        for (int32 x = 0; x < n; ++x) at->held[x] = held_somewhere && row.holds.at(shown->field, x);
        float *const field = &row.field_of(*shown, 0), *const trait = &row.trait_of(*shown, 0);
        float *const from = takes_up ? field : trait, *const to = takes_up ? trait : field;
        take_transfers(*at, *of, cells, from, n);
        if (!alike || modulators)
            for (int32 x = 0; x < n; ++x) {
                const bool any = at->number[x] >= 0 && row.any_at(x, at->number[x]);
                at->share[x] = any ? row.share_at(x, layer, at->number[x]) : 0.0f;
            }
        lots_of_row<2>(Lots(seed, offset, step, purpose, 0), row.place.index, at->number, at->lots, n);
        if (alike && (takes_up || !held_somewhere))
            transfer_shares(*at, from, to, takes_up ? row.trait_rows[shown->trait].most : runaway, n);
        else
            for (int32 x = 0; x < n; ++x)
                if (at->share[x] > 0.0f)
                    row.transfer(x, at->number[x], at->share[x], at->lots[x], at->lots[longest_row + x]);
    }
}
