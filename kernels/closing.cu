// Closing: a voxel whose cell is gone is taken by the cells around, and what was free arrives outside.
//
// Outside are marked states, and free voxels that are joined to these or to an open side of the lattice, over faces. The
// room of a voxel is its distance from the outside. As in a division (division.cu), a way leads on from each voxel to one
// with less room, and all ways that end in one voxel beside the outside are a tree: of what closes up in a tree, the voxel
// with the lowest bid does. The cells along its way each go one voxel back, and the last voxel is free, and outside, then.
#include "cells.cuh"
#include "ways.cuh"

// A label is the number of a voxel of the same region, from 1 on, or 0 where the region is outside: parents in a tree whose
// root is the least of them (union by the least number).
constexpr uint32 no_region = 0xFFFFFFFFu;
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
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
        const int32 region = regions[cells[row.index + x]];
        const bool outside = region == OUTSIDE || (region == FREE && (open || at_open_side(boundary, 4, x, nx)));
        const uint32 number = static_cast<uint32>(start + x + 1);
        const uint32 own = region == NOT_FREE ? no_region : number;
        labels[row.index + x] = outside ? 0u : own;
    }
}
ENTRY(begin_regions)

// The labels of one replicate, while threads change them.
struct Regions {
    uint32* labels;
    __device__ inline uint32 parent(uint32 number) const { return atomicMin(&labels[number - 1], no_region); }
    __device__ inline uint32 root(uint32 number) const {
        for (uint32 above; number != 0 && (above = parent(number)) != number;) number = above;
        return number;
    }
    __device__ inline void join(uint32 a, uint32 b) const {
        while ((a = root(a)) != (b = root(b))) {
            const uint32 less = a < b ? a : b, more = a < b ? b : a;
            const uint32 before = atomicMin(&labels[more - 1], less);
            if (before == more) return;
            a = less;  // another thread has joined it first
            b = before;
        }
    }
};

// The voxels beside one, over a face; -1 where there is none.
struct Faces {
    const Stack& shape;
    int32 boundary;
    const Voxel& row;
    __device__ inline int64 at(int32 face, int32 x) const {
        const int32 way = face % 2 ? 1 : -1;
        const int32 z = along(row.z + (face / 2 == 0 ? way : 0), shape.nz, boundary & PERIODIC_Z);
        const int32 y = along(row.y + (face / 2 == 1 ? way : 0), shape.ny, boundary & PERIODIC_Y);
        const int32 there = along(x + (face / 2 == 2 ? way : 0), shape.nx, boundary & PERIODIC_X);
        return z < 0 || y < 0 || there < 0 ? -1 : row_start(shape, row.replicate, z, y) + there;
    }
};

// Blocks: replicates x nz x ny rows.
extern "C" __global__ void join_regions(
    // state out:
    uint32* labels,  // [R, z, y, x]
    // numbers:
    int32 boundary,
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
    const Voxel row = first_of_row(shape);
    const int64 first = row_start(shape, row.replicate, 0, 0);
    const Regions regions{labels + first};
    const Faces faces{shape, boundary, row};
    const auto number = [&](int64 voxel) INLINED { return static_cast<uint32>(voxel - first + 1); };
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
        const uint32 here = number(row.index + x);
        if (regions.parent(here) == no_region) continue;
        for (int32 face = 1; face < 6; face += 2) {  // each pair once
            const int64 there = faces.at(face, x);
            if (there >= 0 && regions.parent(number(there)) != no_region) regions.join(here, number(there));
        }
        atomicMin(&labels[row.index + x], regions.root(here));  // shortens the way of those that come after
    }
}
ENTRY(join_regions)

// Room of each voxel by itself, for what closes up: that of a voxel outside is as of a rigid one. Blocks: replicates x nz x
// ny rows.
extern "C" __global__ void begin_closing(
    // model:
    const uint8* __restrict__ yields,  // [states, states], as in begin_room
    // state in:
    const uint8* __restrict__ cells,    // [R, z, y, x]
    const uint32* __restrict__ labels,  // [R, z, y, x]
    // state out:
    uint8* __restrict__ room,  // [R, z, y, x]
    // numbers:
    int32 boundary,
    // sizes:
    int32 states, int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
    const Voxel row = first_of_row(shape);
    const bool open = at_open_side(boundary, 0, row.z, nz) || at_open_side(boundary, 2, row.y, ny);
    const uint32* of_replicate = labels + row_start(shape, row.replicate, 0, 0);
    const auto outside = [&](int64 voxel) INLINED {
        uint32 label = labels[voxel];
        while (label != 0 && label != no_region && of_replicate[label - 1] != label) label = of_replicate[label - 1];
        return label == 0;
    };
    const Faces faces{shape, boundary, row};
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
        const int64 voxel = row.index + x;
        const int32 by_itself = outside(voxel) ? rigid_room : yields[cells[voxel] * states];
        bool beside = by_itself != rigid_room && (open || at_open_side(boundary, 4, x, nx));
        for (int32 face = 0; face < 6 && by_itself != rigid_room && !beside; ++face) {
            const int64 there = faces.at(face, x);
            beside = there >= 0 && outside(there);
        }
        room[voxel] = static_cast<uint8>(beside ? face_step : by_itself);
    }
}
ENTRY(begin_closing)

// Blocks: replicates x nz x ny / block_rows. Each voxel is on one way at most, and is written along that alone.
extern "C" __global__ void close_up(
    // model:
    const Rule* __restrict__ rules,        // [rules]
    const int32* __restrict__ rule_begin,  // [states + 1]
    const uint8* __restrict__ yields,      // [states, states], as in begin_room
    const uint64* __restrict__ seeds,      // [R]
    // state in:
    const uint8* __restrict__ room,     // [R, z, y, x]
    const uint8* __restrict__ granted,  // [R, z, y, x], whether the voxel closes up
    // state out:
    uint8* __restrict__ cells,    // [R, z, y, x]
    uint16* __restrict__ clock,   // [R, z, y, x]
    uint8* __restrict__ heading,  // [R, z, y, x]
    uint8* __restrict__ claim,    // [R, z, y, x]
    uint32* __restrict__ bids,    // [R, z, y, x]
    uint64* __restrict__ fired,   // [rules, R]
    // numbers:
    uint32 step, uint32 purpose, int32 boundary, int32 vacant,
    // sizes:
    uint64 origin,                           // index of the first voxel here in the whole lattice
    int32 first_counted, int32 end_counted,  // planes whose cells are counted
    int32 has_heading, int32 has_claim, int32 states, int32 block_rows, int32 replicates, int32 nz, int32 ny, int32 nx) {
    MOTHERS
    for_wanted(
        rows.count * nx, [&](int32 i) INLINED { return granted[rows.first.index + i] != 0; },
        [&](int32 i) INLINED {
            Voxel place = rows.voxel(shape, i);
            const Mothers mothers = mothers_of(place);
            if (place.z >= first_counted && place.z < end_counted)
                atomicAdd(&fired[mothers.rule(place.index) * replicates + place.replicate], uint64(1));
            const CellLayer layer{cells, clock, heading, claim, has_heading != 0, has_claim != 0};
            Voxel next = place;
            while (mothers.ways.go_on(next)) {
                layer.put(place.index, layer.at(next.index));
                place = next;
            }
            layer.put(place.index, fresh(vacant));
            bids[next.index] = no_bid;
        });
}
ENTRY(close_up)
