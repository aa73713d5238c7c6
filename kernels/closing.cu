// Closing: a voxel whose cell is gone is taken by the cells around, and what was free arrives outside.
//
// Outside are marked states, and free voxels that a cube of three voxels' edge reaches from these or from an open side of the
// lattice; narrower gaps close up. From the voxel a line leads outside, in a direction drawn at random: along the nearest
// way, the first dent would draw in all that follows, and a channel would be dug. The cells on the line each go one voxel
// back, and the last voxel is free then. Where lines cross, the voxel with the lowest bid closes up; others wait.
#include "bids.cuh"
#include "cells.cuh"
#include "modulators.cuh"
#include "regions.cuh"
#include "transition.cuh"

// Only the middle voxels of cubes of free voxels have a label; it is 0 outside.
enum Region { NOT_FREE = 0, FREE = 1, OUTSIDE = 2 };  // of a state

// Blocks: replicates x nz x ny rows.
extern "C" __global__ void begin_regions(
    // model:
    const uint8* __restrict__ regions,  // [states], of Region
    // state in:
    const uint8* __restrict__ cells,  // [R, z, y, x]
    // state out:
    uint32* __restrict__ labels,  // [R, z, y, x]
    // numbers:
    int32 boundary,
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
    const Voxel row = first_of_row(shape);
    const bool open = at_open_side(boundary, 0, row.z, nz) || at_open_side(boundary, 2, row.y, ny);
    const int64 start = row.index - row_start(shape, row.replicate, 0, 0);
    const Surroundings around{shape, boundary, row};
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
        const int32 region = regions[cells[row.index + x]];
        bool fits = region != NOT_FREE;
        for (int32 n = 0; n < 27 && fits; ++n) {
            const int64 there = around.at(n, x);
            fits = there < 0 || regions[cells[there]] != NOT_FREE;
        }
        const bool outside = region == OUTSIDE || open || at_open_side(boundary, 4, x, nx);
        labels[row.index + x] = !fits ? no_region : outside ? 0u : static_cast<uint32>(start + x + 1);
    }
}
ENTRY(begin_regions)

// Blocks: replicates x nz x ny rows.
extern "C" __global__ void mark_outside(
    // model:
    const uint8* __restrict__ regions,  // [states], of Region
    // state in:
    const uint8* __restrict__ cells,    // [R, z, y, x]
    const uint32* __restrict__ labels,  // [R, z, y, x]
    // state out:
    uint16* __restrict__ outside,  // [R, z, y, x], in the place of room
    // numbers:
    int32 boundary,
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
    const Voxel row = first_of_row(shape);
    const Surroundings around{shape, boundary, row};
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
        const int32 region = regions[cells[row.index + x]];
        bool reached = region == OUTSIDE;
        for (int32 n = 0; n < 27 && region == FREE && !reached; ++n) {
            const int64 there = around.at(n, x);
            reached = there >= 0 && labels[there] == 0;
        }
        outside[row.index + x] = reached;
    }
}
ENTRY(mark_outside)

constexpr int32 most_tries = 8;  // of directions

// Lines from the voxels of one replicate.
struct Lines {
    const int32* lines;  // [directions, steps, 4], z, y, x and distance, tenths of a voxel, after each step
    int32 directions, steps;
    Stack shape;
    int32 boundary;
    Draw draw;

    // Steps of a line by the number of the try.
    __device__ inline const int32* line(const Voxel& from, int32 number) const {
        const Random random = draw.at(from.index);
        const uint32 word = number % 4 == 0   ? random.word[0]
                            : number % 4 == 1 ? random.word[1]
                            : number % 4 == 2 ? random.word[2]
                                              : random.word[3];
        return lines + static_cast<int64>((number < 4 ? word : word >> 16) % static_cast<uint32>(directions)) * steps * 4;
    }
    static __device__ inline int32 inside(int32 i, int32 n, bool round) {
        return round ? (i % n + n) % n : i < 0 || i >= n ? -1 : i;
    }
    // The index is -1 beyond a side that is not periodic.
    __device__ inline Voxel moved(const Voxel& from, int32 dz, int32 dy, int32 dx) const {
        const int32 z = inside(from.z + dz, shape.nz, boundary & PERIODIC_Z);
        const int32 y = inside(from.y + dy, shape.ny, boundary & PERIODIC_Y);
        const int32 x = inside(from.x + dx, shape.nx, boundary & PERIODIC_X);
        const bool there = z >= 0 && y >= 0 && x >= 0;
        return Voxel{there ? row_start(shape, from.replicate, z, y) + x : -1, from.replicate, z, y, x};
    }
    __device__ inline Voxel at(const Voxel& from, const int32* step) const {
        return moved(from, step[0], step[1], step[2]);
    }
};

// Whether lines lead outside.
struct Search {
    const Lines& all;
    const uint16 *yields, *outside;
    const uint8* cells;
    int32 states;

    // Whether no rigid voxel stands at the end of a step, nor beside it where it leads across an edge or a corner.
    __device__ inline bool passes(const Voxel& from, const int32* before, const int32* step) const {
        for (int32 part = 1; part < 8; ++part) {
            const int64 there = all.moved(from, (part & 4 ? step : before)[0], (part & 2 ? step : before)[1],
                                      (part & 1 ? step : before)[2]).index;
            if (there >= 0 && yields[cells[there] * states] == rigid_room) return false;
        }
        return true;
    }
    // Of one axis: whether a line that is `moved` there from i stays, or leaves through an open side.
    __device__ inline bool through(int32 low, int32 i, int32 n, bool round) const {
        return round || (i >= 0 && i < n) || (all.boundary & FIRST_OPEN << (i < 0 ? low : low + 1));
    }
    __device__ inline bool leaves(const Voxel& from, const int32* step) const {
        return through(0, from.z + step[0], all.shape.nz, all.boundary & PERIODIC_Z) &&
               through(2, from.y + step[1], all.shape.ny, all.boundary & PERIODIC_Y) &&
               through(4, from.x + step[2], all.shape.nx, all.boundary & PERIODIC_X);
    }
    // Not around a periodic lattice to where it began.
    static __device__ inline bool fits(int32 moved, int32 n, bool round) {
        return !round || (moved < 0 ? -moved : moved) < n;
    }
    // Voxels of a line from the first to the last before the outside; 0 where it does not lead there within its reach, or
    // where all of them are free.
    __device__ inline int32 voxels(const Voxel& from, const int32* line, int32 reach) const {
        const int32 origin[4] = {0, 0, 0, 0};
        bool holds = cells[from.index] != 0;
        for (int32 n = 0; n < all.steps; ++n) {
            const int32 *before = n == 0 ? origin : line + 4 * (n - 1), *step = line + 4 * n;
            if (step[3] > reach || !passes(from, before, step)) return 0;
            const Voxel place = all.at(from, step);
            if (place.index < 0 ? leaves(from, step) : outside[place.index] != 0) return holds ? n + 1 : 0;
            const bool once = fits(step[0], all.shape.nz, all.boundary & PERIODIC_Z) &&
                              fits(step[1], all.shape.ny, all.boundary & PERIODIC_Y) &&
                              fits(step[2], all.shape.nx, all.boundary & PERIODIC_X);
            if (place.index < 0 || !once) return 0;
            holds = holds || cells[place.index] != 0;
        }
        return 0;
    }
};

#define LINES                                                                                                           \
    const Stack shape{replicates, nz, ny, nx};                                                                          \
    const BlockRows rows(shape, block_rows);                                                                            \
    const auto lines_of = [&](const Voxel& place) INLINED {                                                             \
        const Draw draw{seeds[place.replicate], origin - row_start(shape, place.replicate, 0, 0), step, purpose};       \
        return Lines{lines, directions, steps, shape, boundary, draw};                                                   \
    };

// What closes up looks for a line, and bids for its voxels. Blocks: replicates x nz x ny / block_rows.
extern "C" __global__ void bid_for_lines(
    // model:
    const Rule* __restrict__ rules,        // [rules]
    const int32* __restrict__ rule_begin,  // [states + 1]
    const uint16* __restrict__ yields,     // [states, states], as in begin_room
    const int32* __restrict__ lines,       // [directions, steps, 4]
    const uint64* __restrict__ seeds,      // [R]
    // state in:
    const uint8* __restrict__ cells,     // [R, z, y, x]
    const uint16* __restrict__ outside,  // [R, z, y, x]
    // state out:
    uint8* __restrict__ claim,    // [R, z, y, x]
    uint32* __restrict__ found,   // [R, z, y, x], voxels of the line, and most_tries times as much as its number
    uint32* __restrict__ bids,    // [R, z, y, x], the lowest for each voxel
    uint64* __restrict__ barred,  // [rules, R]
    // numbers:
    uint32 step, uint32 purpose, int32 boundary,
    // sizes:
    uint64 origin,                           // index of the first voxel here in the whole lattice
    int32 first_counted, int32 end_counted,  // planes whose cells are counted
    int32 directions, int32 steps, int32 states, int32 block_rows, int32 replicates, int32 nz, int32 ny, int32 nx) {
    LINES
    for_wanted(
        rows.count * nx, [&](int32 i) INLINED { return closes(claim[rows.first.index + i]); },
        [&](int32 i) INLINED {
            const Voxel place = rows.voxel(shape, i);
            const Lines all = lines_of(place);
            const int32 rule = rule_begin[cells[place.index]] + (claim[place.index] & CLAIM_RULE) - 1;
            const Search search{all, yields, outside, cells, states};
            int32 voxels = 0, number = 0;
            if (!outside[place.index])
                while (number < most_tries &&
                       (voxels = search.voxels(place, all.line(place, number), rules[rule].reach)) == 0)
                    ++number;
            if (voxels == 0) {
                claim[place.index] = 0;
                if (!outside[place.index] && place.z >= first_counted && place.z < end_counted)
                    atomicAdd(&barred[rule * replicates + place.replicate], uint64(1));
                return;
            }
            found[place.index] = static_cast<uint32>(voxels * most_tries + number);
            const int32* line = all.line(place, number);
            const uint32 bid = bid_of(all.draw, place.index);
            atomicMin(&bids[place.index], bid);
            for (int32 n = 0; n < voxels - 1; ++n) atomicMin(&bids[all.at(place, line + 4 * n).index], bid);
        });
}
ENTRY(bid_for_lines)

// Blocks: replicates x nz x ny / block_rows.
extern "C" __global__ void settle_lines(
    // model:
    const int32* __restrict__ lines,   // [directions, steps, 4]
    const uint64* __restrict__ seeds,  // [R]
    // state in:
    const uint32* __restrict__ found,   // [R, z, y, x], as in bid_for_lines
    const uint32* __restrict__ bids,    // [R, z, y, x]
    // state out:
    uint8* __restrict__ claim,    // [R, z, y, x]
    uint8* __restrict__ granted,  // [R, z, y, x], whether the voxel closes up
    // numbers:
    uint32 step, uint32 purpose, int32 boundary,
    // sizes:
    uint64 origin,  // index of the first voxel here in the whole lattice
    int32 directions, int32 steps, int32 block_rows, int32 replicates, int32 nz, int32 ny, int32 nx) {
    LINES
    const auto has_line = [&](int32 i) INLINED {
        granted[rows.first.index + i] = 0;
        return closes(claim[rows.first.index + i]);
    };
    for_wanted(rows.count * nx, has_line, [&](int32 i) INLINED {
        const Voxel place = rows.voxel(shape, i);
        const Lines all = lines_of(place);
        const int32 of_line = static_cast<int32>(found[place.index]);
        const int32* line = all.line(place, of_line % most_tries);
        const uint32 bid = bid_of(all.draw, place.index);
        bool lowest = bids[place.index] == bid;
        for (int32 n = 0; n < of_line / most_tries - 1 && lowest; ++n) {
            const int64 next = all.at(place, line + 4 * n).index;
            lowest = next >= 0 && bids[next] == bid;
        }
        granted[place.index] = lowest;
        // A cell that comes into the voxel would take over the claim of what was there.
        if (!lowest) claim[place.index] = 0;
    });
}
ENTRY(settle_lines)

// Each voxel is on one line at most, and is written along that alone. Blocks: replicates x nz x ny / block_rows.
extern "C" __global__ void close_up(
    // model:
    const int32* __restrict__ rule_begin,  // [states + 1]
    const int32* __restrict__ lines,       // [directions, steps, 4]
    const uint64* __restrict__ seeds,      // [R]
    // state in:
    const uint32* __restrict__ found,   // [R, z, y, x], as in bid_for_lines
    const uint8* __restrict__ granted,  // [R, z, y, x]
    // state out:
    uint8* __restrict__ cells,    // [R, z, y, x]
    uint16* __restrict__ clock,   // [R, z, y, x]
    uint8* __restrict__ heading,  // [R, z, y, x]
    uint8* __restrict__ claim,    // [R, z, y, x]
    uint64* __restrict__ clone,   // [R, z, y, x]
    float* __restrict__ traits,   // [traits, R, z, y, x]
    uint32* __restrict__ bids,    // [R, z, y, x]
    uint64* __restrict__ fired,   // [rules, R]
    // numbers:
    uint32 step, uint32 purpose, int32 boundary, int32 vacant, int32 first_trait, int32 end_trait,
    // sizes:
    uint64 origin,                           // index of the first voxel here in the whole lattice
    int32 first_counted, int32 end_counted,  // planes whose cells are counted
    int32 has_heading, int32 has_claim, int32 has_clone, int32 directions, int32 steps, int32 block_rows, int32 replicates,
    int32 nz, int32 ny, int32 nx) {
    LINES
    const auto has_line = [&](int32 i) INLINED {
        bids[rows.first.index + i] = no_bid;
        return granted[rows.first.index + i] != 0;
    };
    for_wanted(rows.count * nx, has_line, [&](int32 i) INLINED {
        const Voxel from = rows.voxel(shape, i);
        const Lines all = lines_of(from);
        const int32 rule = rule_begin[cells[from.index]] + (claim[from.index] & CLAIM_RULE) - 1;
        if (from.z >= first_counted && from.z < end_counted)
            atomicAdd(&fired[rule * replicates + from.replicate], uint64(1));
        const int32 of_line = static_cast<int32>(found[from.index]);
        const int32* line = all.line(from, of_line % most_tries);
        const CellLayer layer{cells, clock, heading, claim, clone, has_heading != 0, has_claim != 0, has_clone != 0,
                              Traits{nullptr, nullptr, traits, volume(shape), first_trait, end_trait}};
        int64 place = from.index;
        for (int32 n = 0; n < of_line / most_tries - 1; ++n) {
            const int64 next = all.at(from, line + 4 * n).index;
            if (next < 0) break;
            layer.copy(place, next);
            place = next;
        }
        layer.clear(place, vacant);
    });
}
ENTRY(close_up)
