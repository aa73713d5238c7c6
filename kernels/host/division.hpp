// Room found on a host: a row in whole vectors, or all of a small lattice at once.
#pragma once

// So many voxels of a row, in whole vectors; `rows` have a voxel before the first.
template <bool walls, int32 pack>
__device__ inline void spread_pack(const uint16* const* rows, uint16* __restrict__ out) {
    for (int32 x = 0; x < pack; ++x) {
        const auto around = [&](int32 n) INLINED { return rows[n / 3][x + n % 3]; };
        out[x] = Nearest<walls, decltype(around)>{around}.found();
    }
}

// The voxels of a row; the last packs overlap.
template <bool walls, int32 pack>
LOOP_FUNCTION void spread_packs(const uint16 (*given)[longest_row + 2], uint16* out, int32 nx) {
    for (int32 next = 0; next < nx; next += pack) {
        const int32 x = next + pack <= nx ? next : nx - pack;
        const uint16* rows[9];
        for (int32 i = 0; i < 9; ++i) rows[i] = given[i] + x;
        spread_pack<walls, pack>(rows, out + x);
    }
}

template <bool walls>
__device__ inline void spread_all(const uint16 (*rows)[longest_row + 2], uint16* out, int32 nx) {
    if (nx >= 32) spread_packs<walls, 32>(rows, out, nx);
    else if (nx >= 16) spread_packs<walls, 16>(rows, out, nx);
    else if (nx >= 8) spread_packs<walls, 8>(rows, out, nx);
    else spread_packs<walls, 1>(rows, out, nx);
}

// The least and the most room of nine rows.
LOOP_FUNCTION void extremes(const uint16* const* rows, int32 nx, uint16& least, uint16& most) {
    uint16 low = rigid_room, high = 0;
    for (int32 x = 0; x < nx; ++x) {
        uint16 lower = rows[0][x], higher = rows[0][x];
        for (int32 i = 1; i < 9; ++i) {
            const uint16 here = rows[i][x];
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
LOOP_FUNCTION void spread_row(const RoomRows& rows, uint16* out, int32 nx) {
    const uint16* inside[9];
    for (int32 i = 0; i < 9; ++i) inside[i] = rows[i] == nullptr ? rows[4] : rows[i];
    uint16 least, most;
    extremes(inside, nx, least, most);
    if (least == most) {  // nothing is nearer anywhere
        if (out != rows[4]) std::memcpy(out, rows[4], nx * sizeof(uint16));
        return;
    }
    uint16 around[9][longest_row + 2];
    for (int32 i = 0; i < 9; ++i) {
        if (rows[i] == nullptr) std::fill_n(around[i] + 1, nx, rigid_room);
        else std::memcpy(around[i] + 1, rows[i], nx * sizeof(uint16));
        around[i][0] = rows.at(i, -1);
        around[i][nx + 1] = rows.at(i, nx);
    }
    if (most == rigid_room) spread_all<true>(around, out, nx);
    else spread_all<false>(around, out, nx);
}

// Room along a row, in place: from each voxel to the next, one way and the other.
static void settle_row(uint16* row, int32 nx) {
    const auto take = [&](int32 x, uint16& beside) INLINED {
        const uint16 here = row[x], most = rigid_room - face_step;
        const uint16 after = static_cast<uint16>((beside < most ? beside : most) + face_step);
        row[x] = beside = here == rigid_room || here < after ? here : after;
    };
    uint16 beside = rigid_room;
    for (int32 x = 0; x < nx; ++x) take(x, beside);
    for (int32 x = nx - 1; x >= 0; --x) take(x, beside);
}

// The room of one replicate, in place: rows in one order and in the other, as long as a row beside has changed. In each
// pass of a launch as well as here, room falls to what no pass changes any more.
static void settle_room(uint16* room, const Stack& shape, int32 boundary, int32 replicate) {
    const int32 rows = shape.nz * shape.ny;
    const bool round = boundary & PERIODIC_X;
    static thread_local std::vector<uint8> stale;
    stale.assign(rows, 1);
    uint16 before[longest_row];
    int32 waiting = rows;
    for (int32 sweep = 0; waiting > 0; ++sweep)
        for (int32 i = 0; i < rows; ++i) {
            const int32 row = sweep % 2 ? rows - 1 - i : i;
            if (!stale[row]) continue;
            stale[row] = 0;
            --waiting;
            const int32 z = row / shape.ny, y = row - z * shape.ny;
            const Voxel first{row_start(shape, replicate, z, y), replicate, z, y, 0};
            uint16* here = room + first.index;
            std::memcpy(before, here, shape.nx * sizeof(uint16));
            spread_row(RoomRows(room, shape, boundary, first), here, shape.nx);
            settle_row(here, shape.nx);
            if (std::memcmp(before, here, shape.nx * sizeof(uint16)) == 0) continue;
            for (int32 n = 0; n < 9; ++n) {
                const int32 there_z = along(z + n / 3 - 1, shape.nz, boundary & PERIODIC_Z);
                const int32 there_y = along(y + n % 3 - 1, shape.ny, boundary & PERIODIC_Y);
                if (there_z < 0 || there_y < 0 || (n == 4 && !round)) continue;
                uint8& mark = stale[there_z * shape.ny + there_y];
                waiting += !mark;
                mark = 1;
            }
        }
}
