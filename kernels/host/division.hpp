// Room found on a host: a row in whole vectors, or all of a small lattice at once.
#pragma once

// So many voxels of a row, in whole vectors; `rows` have a voxel before the first.
template <bool walls, int32 pack>
__device__ inline void spread_pack(const uint8* const* rows, uint8* __restrict__ out) {
    for (int32 x = 0; x < pack; ++x) {
        const auto around = [&](int32 n) INLINED { return rows[n / 3][x + n % 3]; };
        out[x] = Nearest<walls, decltype(around)>{around}.found();
    }
}

// The voxels of a row; the last packs overlap.
template <bool walls, int32 pack>
LOOP_FUNCTION void spread_packs(const uint8 (*given)[longest_row + 2], uint8* out, int32 nx) {
    for (int32 next = 0; next < nx; next += pack) {
        const int32 x = next + pack <= nx ? next : nx - pack;
        const uint8* rows[9];
        for (int32 i = 0; i < 9; ++i) rows[i] = given[i] + x;
        spread_pack<walls, pack>(rows, out + x);
    }
}

template <bool walls>
__device__ inline void spread_all(const uint8 (*rows)[longest_row + 2], uint8* out, int32 nx) {
    if (nx >= 32) spread_packs<walls, 32>(rows, out, nx);
    else if (nx >= 16) spread_packs<walls, 16>(rows, out, nx);
    else if (nx >= 8) spread_packs<walls, 8>(rows, out, nx);
    else spread_packs<walls, 1>(rows, out, nx);
}

// The least and the most room of nine rows.
LOOP_FUNCTION void extremes(const uint8* const* rows, int32 nx, uint8& least, uint8& most) {
    uint8 low = rigid_room, high = 0;
    for (int32 x = 0; x < nx; ++x) {
        uint8 lower = rows[0][x], higher = rows[0][x];
        for (int32 i = 1; i < 9; ++i) {
            const uint8 here = rows[i][x];
            lower = here < lower ? here : lower;
            higher = here > higher ? here : higher;
        }
        low = lower < low ? lower : low;
        high = higher > high ? higher : high;
    }
    least = low;
    most = high;
}

// `out` may be the row itself.
LOOP_FUNCTION void spread_row(const RoomRows& rows, uint8* out, int32 nx) {
    const uint8* inside[9];
    for (int32 i = 0; i < 9; ++i) inside[i] = rows[i] == nullptr ? rows[4] : rows[i];
    uint8 least, most;
    extremes(inside, nx, least, most);
    if (least == most) {  // nothing is nearer anywhere
        if (out != rows[4]) std::memcpy(out, rows[4], nx);
        return;
    }
    uint8 around[9][longest_row + 2];
    for (int32 i = 0; i < 9; ++i) {
        if (rows[i] == nullptr) std::memset(around[i] + 1, rigid_room, nx);
        else std::memcpy(around[i] + 1, rows[i], nx);
        around[i][0] = rows.at(i, -1);
        around[i][nx + 1] = rows.at(i, nx);
    }
    if (most == rigid_room) spread_all<true>(around, out, nx);
    else spread_all<false>(around, out, nx);
}

// The room of one replicate, in place: rows in one order and in the other, until nothing changes. In each pass of a
// launch as well as here, room falls to what no pass changes any more.
static void settle_room(uint8* room, const Stack& shape, int32 boundary, int32 replicate) {
    const int32 rows = shape.nz * shape.ny;
    uint8 before[longest_row];
    bool changed = true;
    for (int32 sweep = 0; changed; ++sweep) {
        changed = false;
        for (int32 i = 0; i < rows; ++i) {
            const int32 row = sweep % 2 ? rows - 1 - i : i, z = row / shape.ny, y = row - z * shape.ny;
            const Voxel first{row_start(shape, replicate, z, y), replicate, z, y, 0};
            uint8* here = room + first.index;
            std::memcpy(before, here, shape.nx);
            spread_row(RoomRows(room, shape, boundary, first), here, shape.nx);
            changed = changed || std::memcmp(before, here, shape.nx) != 0;
        }
    }
}
