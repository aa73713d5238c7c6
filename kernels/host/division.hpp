// Room found one step further on, on a host: a row in whole vectors.
#pragma once

// A row outside the lattice.
static const struct RigidRow {
    uint8 rooms[longest_row];
    RigidRow() { std::memset(rooms, rigid_room, sizeof rooms); }
} outside;

// So many voxels of a row, in whole vectors; none of them at an end.
template <bool walls, int32 pack>
__device__ inline void spread_pack(const uint8* const* rows, uint8* __restrict__ out) {
    for (int32 x = 0; x < pack; ++x) {
        const auto around = [&](int32 n) INLINED { return rows[n / 3][x + n % 3 - 1]; };
        out[x] = Nearest<walls, decltype(around)>{around}.found();
    }
}

// The voxels of a row but for its ends; the last packs overlap.
template <bool walls, int32 pack>
LOOP_FUNCTION void spread_packs(const uint8* const* given, uint8* out, int32 nx) {
    for (int32 next = 1; next < nx - 1; next += pack) {
        const int32 x = next + pack < nx ? next : nx - 1 - pack;
        const uint8* rows[9];
        for (int32 i = 0; i < 9; ++i) rows[i] = given[i] + x;
        spread_pack<walls, pack>(rows, out + x);
    }
}

template <bool walls>
__device__ inline void spread_inside(const uint8* const* rows, uint8* out, int32 nx) {
    if (nx >= 34) spread_packs<walls, 32>(rows, out, nx);
    else if (nx >= 10) spread_packs<walls, 8>(rows, out, nx);
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

LOOP_FUNCTION void spread_row(const RoomRows& rows, uint8* __restrict__ out, int32 nx) {
    const uint8 *inside[9], *around[9];  // an outside row is as near as the row itself, or rigid
    for (int32 i = 0; i < 9; ++i) {
        inside[i] = rows[i] == nullptr ? rows[4] : rows[i];
        around[i] = rows[i] == nullptr ? outside.rooms : rows[i];
    }
    uint8 least, most;
    extremes(inside, nx, least, most);
    if (least == most) {  // nothing is nearer anywhere
        std::memcpy(out, rows[4], nx);
        return;
    }
    if (most == rigid_room) spread_inside<true>(around, out, nx);
    else spread_inside<false>(around, out, nx);
    out[0] = nearest_at<true>(rows, 0);
    out[nx - 1] = nearest_at<true>(rows, nx - 1);
}
