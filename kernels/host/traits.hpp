// Transfers on a host, which takes a row's voxels in vectors where all of them transfer between one field and one trait.
#pragma once

struct RowBuffers {
    int32 number[longest_row];  // of the transfer; below 0 where there is none
    float share[longest_row], ratio[longest_row], most[longest_row];
    uint32 first_lot[longest_row], second_lot[longest_row];
    uint8 held[longest_row];
};
HOST_STATE RowBuffers row_buffers;

inline void draw_lots(RowBuffers& at, uint64 seed, uint64 start, uint32 step, uint32 purpose, int32 begin, int32 end) {
    const uint32 shift = step * golden;
    for (int32 x = begin; x < end; ++x) {
        const Random lots = Draw{seed, start, 0, purpose + purposes * static_cast<uint32>(at.number[x])}.at(x);
        at.first_lot[x] = lots.word[0] + shift;
        at.second_lot[x] = lots.word[1] + shift;
    }
}

inline void transfer_shares(const RowBuffers& at, float* __restrict__ from, float* __restrict__ to, int32 begin, int32 end) {
    for (int32 x = begin; x < end; ++x) {
        float source = from[x], target = to[x];
        transfer_share(source, target, at.share[x], at.ratio[x], at.most[x], at.held[x] != 0, at.first_lot[x],
                       at.second_lot[x]);
        from[x] = source;
        to[x] = target;
    }
}

// Transfers of the cells of a layer in a row of n voxels: the first of each, then the second, and so on.
inline void transfer_layer(const RowOfTransfers& row, int32 layer, uint64 seed, uint64 offset, uint32 step,
                           uint32 purpose, int32 n) {
    RowBuffers& at = row_buffers;
    const uint8* const cells = row.layer(layer).own + row.place.index;
    const int32* const first = row.begin;
    for (int32 k = 0;; ++k) {
        bool more = false, alike = true;
        int32 begin = n, end = 0, shown = -1;  // those with something to transfer; one of the transfers
        for (int32 x = 0; x < n; ++x) {
            const int32 i = first[cells[x]] + k;
            at.number[x] = -1;
            at.share[x] = 0.0f;
            at.ratio[x] = 1.0f;
            at.most[x] = 0.0f;
            at.held[x] = 0;
            if (i >= first[cells[x] + 1]) continue;
            more = true;
            if (!row.any_at(x, i)) continue;
            const Transfer& transfer = row.transfers[i];
            at.number[x] = i;
            at.share[x] = row.share_at(x, layer, i);
            at.ratio[x] = transfer.ratio;
            at.most[x] = transfer.kind == UPTAKE ? row.trait_rows[transfer.trait].most : runaway;
            at.held[x] = row.holds.at(transfer.field, x);
            if (shown < 0) shown = i;
            alike = alike && transfer.kind == row.transfers[shown].kind && transfer.field == row.transfers[shown].field &&
                    transfer.trait == row.transfers[shown].trait && (transfer.kind == UPTAKE || !at.held[x]);
            begin = x < begin ? x : begin;
            end = x + 1;
        }
        if (!more) return;
        draw_lots(at, seed, offset + row.place.index, step, purpose, begin, end);
        if (alike && begin < end) {
            const Transfer& transfer = row.transfers[shown];
            float *field = &row.field_of(transfer, 0), *trait = &row.trait_of(transfer, 0);
            transfer_shares(at, transfer.kind == UPTAKE ? field : trait, transfer.kind == UPTAKE ? trait : field, begin, end);
        } else
            for (int32 x = begin; x < end; ++x)
                if (at.number[x] >= 0)
                    row.transfer(x, at.number[x], at.share[x], at.first_lot[x], at.second_lot[x]);
    }
}
