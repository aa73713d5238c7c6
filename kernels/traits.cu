// Change of traits: by laws, dv/dt = gain - loss * v, where both are sums over the laws of a trait in the cell's state; and
// by transfers between a trait and a field of the voxel.
#include "lookup.cuh"
#include "lots.cuh"
#include "modulators.cuh"
#include "traits.cuh"

struct Law {
    int32 trait;
    float gain, loss;  // over a step; a loss below 0 is growth
    int32 first_modulator, end_modulator;
};

constexpr float most_growth = 1.0f;  // over a step, relative to the value

// The exact change over a step at constant rates, but for the Pade approximant of (1 - exp(-h)) / h.
__device__ inline float changed(float value, float gain, float loss) {
    const float above = loss > -most_growth ? loss : -most_growth;
    const float h = above < pade_top ? above : pade_top;
    return value + (gain - h * value) * (pade_constant / (pade_constant + pade_linear * h + h * h));
}

// Blocks: replicates x nz x ny rows. Traits change one after the other; a law sees what those before it have become.
extern "C" BLOCKS_AT_ONCE(6) __global__ void change_traits(
    // model:
    const Trait* __restrict__ trait_rows,      // [traits]
    const Law* __restrict__ laws,              // [laws], by state, then by trait
    const int32* __restrict__ law_begin,       // [states + 1]
    const Modulator* __restrict__ modulators,  // [modulators]
    // state in:
    const uint8* __restrict__ cells,   // [R, z, y, x], the layer whose traits change
    const uint8* __restrict__ other,   // [R, z, y, x]
    const float* __restrict__ fields,  // [F, R, z, y, x]
    const uint8* __restrict__ counts,  // [counts, R, z, y, x] of neighbours
    const float* __restrict__ body,    // [quantities, R]
    // state out:
    float* traits,  // [traits, R, z, y, x]
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
    const Lattice lattice{cells, other, fields, counts, body, shape, traits};
    const Traits all{trait_rows, nullptr, traits, volume(shape), 0, 0};
    Voxel place = first_of_row(shape);
    const int64 start = place.index;
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
        place.index = start + x;
        place.x = x;
        const int32 state = cells[place.index], end = law_begin[state + 1];
        for (int32 l = law_begin[state]; l < end;) {
            const int32 trait = laws[l].trait;
            float gain = 0.0f, loss = 0.0f;
            for (; l < end && laws[l].trait == trait; ++l) {
                const float factor =
                    modulated(1.0f, modulators, laws[l].first_modulator, laws[l].end_modulator, lattice, place);
                gain = gain + factor * laws[l].gain;
                loss = loss + factor * laws[l].loss;
            }
            float& value = all.of(trait, place.index);
            value = all.held(trait, changed(value, gain, loss));
        }
    }
}
ENTRY(change_traits)

enum TransferKind { UPTAKE = 0, RELEASE = 1 };

struct Transfer {
    int32 kind, trait, field;
    float turnover;  // rate * dt / 2: of half a step
    float ratio;     // what one unit of the source becomes: UPTAKE, of the trait; RELEASE, of the concentration
    int32 first_modulator, end_modulator;
};

// What is left of `from`, of which a share goes to `to`: what it loses and what `to` gains are the same, each rounded by
// lot. No more goes than brings `to` to its greatest value.
__device__ inline void transfer_share(float& from, float& to, float share, float ratio, float most, bool held,
                                      uint32 first_lot, uint32 second_lot) {
    const float wanted = from * share, room = (most - to) / ratio;
    const float moved = wanted < room ? wanted : room;
    const bool any = moved > 0.0f;
    const float left = sum_by_lot(from, -moved, first_lot);
    const float lost = held ? moved : from - left;
    const float gained = sum_by_lot(to, lost * ratio, second_lot);
    from = any && !held ? left > 0.0f ? left : 0.0f : from;
    to = any ? gained < most ? gained : most : to;
}

// The transfers of a row of voxels.
struct RowOfTransfers {
    const Trait* __restrict__ trait_rows;
    const Transfer* __restrict__ transfers;
    const int32* __restrict__ begin;  // [states + 1]
    const Modulator* __restrict__ modulators;
    const Lattice tissue, immune;
    float *fields, *traits;
    const int64 size;
    const Held holds;
    Voxel place;  // the first

    __device__ inline const Lattice& layer(int32 number) const { return number == 0 ? tissue : immune; }
    __device__ inline int32 begin_at(int32 x, int32 number) const { return begin[layer(number).own[place.index + x]]; }
    __device__ inline int32 end_at(int32 x, int32 number) const { return begin[layer(number).own[place.index + x] + 1]; }
    __device__ inline float& field_of(const Transfer& row, int32 x) const { return fields[row.field * size + place.index + x]; }
    __device__ inline float& trait_of(const Transfer& row, int32 x) const { return traits[row.trait * size + place.index + x]; }
    // Whether there is anything to transfer.
    __device__ inline bool any_at(int32 x, int32 i) const {
        return (transfers[i].kind == UPTAKE ? field_of(transfers[i], x) : trait_of(transfers[i], x)) > 0.0f;
    }
    // The share of it that is transferred.
    __device__ inline float share_at(int32 x, int32 number, int32 i) const {
        const Transfer& row = transfers[i];
        const Voxel here{place.index + x, place.replicate, place.z, place.y, x};
        return probability(modulated(row.turnover, modulators, row.first_modulator, row.end_modulator, layer(number), here));
    }
    __device__ inline void transfer(int32 x, int32 i, float share, uint32 first_lot, uint32 second_lot) const {
        const Transfer& row = transfers[i];
        float &c = field_of(row, x), &value = trait_of(row, x);
        const bool held = holds.at(row.field, x);
        if (!(share > 0.0f)) return;
        if (row.kind == UPTAKE)
            transfer_share(c, value, share, row.ratio, trait_rows[row.trait].most, held, first_lot, second_lot);
        else if (held)
            value = sum_by_lot(value, -value * share, first_lot);
        else
            transfer_share(value, c, share, row.ratio, runaway, false, first_lot, second_lot);
    }
};

#ifdef GPUSIM_HOST
#include "host/traits.hpp"
#else
// Transfers of the cells of a layer in a row of n voxels.
__device__ inline void transfer_layer(const RowOfTransfers& row, int32 layer, uint64 seed, uint64 offset, uint32 step,
                                      uint32 purpose, int32 n) {
    for (int32 x = threadIdx.x; x < n; x += blockDim.x)
        for (int32 i = row.begin_at(x, layer); i < row.end_at(x, layer); ++i)
            if (row.any_at(x, i)) {
                const Random lots = Lots(seed, offset, step, purpose, i).at(row.place.index + x);
                row.transfer(x, i, row.share_at(x, layer, i), lots.word[0], lots.word[1]);
            }
}
#endif

// Blocks: replicates x nz x ny rows. Transfers take place one after the other, those of the tissue's cell first.
extern "C" __global__ void transfer(
    // model:
    const Trait* __restrict__ trait_rows,      // [traits]
    const Transfer* __restrict__ transfers,    // [transfers], by state
    const int32* __restrict__ transfer_begin,  // [states + 1]
    const Modulator* __restrict__ modulators,  // [modulators]
    const float* __restrict__ held,            // [F, held_states], below 0 where no concentration is held
    const uint64* __restrict__ seeds,          // [R]
    // state in:
    const uint8* __restrict__ tissue,  // [R, z, y, x]
    const uint8* __restrict__ immune,  // [R, z, y, x]
    const uint8* __restrict__ counts,  // [counts, R, z, y, x] of neighbours
    const float* __restrict__ body,    // [quantities, R]
    // state out:
    float* fields,  // [F, R, z, y, x]
    float* traits,  // [traits, R, z, y, x]
    // numbers:
    uint32 step, uint32 purpose,
    // sizes:
    uint64 origin,      // index of the first voxel here in the whole lattice
    int32 held_states,  // of the tissue; 0 where no field is held anywhere
    int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
    const int64 size = volume(shape);
    const Voxel first = first_of_row(shape);
    const Lattice of_tissue{tissue, immune, fields, counts, body, shape, traits};
    const Lattice of_immune{immune, tissue, fields, counts, body, shape, traits};
    const RowOfTransfers row{trait_rows, transfers, transfer_begin, modulators,
                             of_tissue,  of_immune, fields,         traits,
                             size,       Held{held, tissue + first.index, held_states}, first};
    const uint64 seed = seeds[first.replicate], offset = origin - row_start(shape, first.replicate, 0, 0);
    for (int32 layer = 0; layer < 2; ++layer) transfer_layer(row, layer, seed, offset, step, purpose, nx);
}
ENTRY(transfer)
