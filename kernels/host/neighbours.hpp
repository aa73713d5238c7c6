// Counts of neighbours on a host: runs of rows.
#pragma once

// A run of n voxels: first the sums over the rows around, then along x.
LOOP_FUNCTION void count_run(const uint8* __restrict__ members, uint8* __restrict__ counts, const Stack& shape,
                             int32 reach, int32 z, int32 y, const Runs& runs, int32 n) {
    uint8 ahead[longest_row], room[longest_row + 2];
    uint8* beside = room + 1;
    std::memset(ahead, 0, n);
    std::memset(room, 0, n + 2);
    const bool low = y == 0, high = y * shape.nx + n == shape.ny * shape.nx;
    rows_around(shape, reach, z, [&](int32 offset, int32 distance, int32 dy) INLINED {
        const uint8* row = members + offset;
        const int32 first = low && dy < 0 ? shape.nx : 0, end = high && dy > 0 ? n - shape.nx : n;
        if (distance > 0)
            for (int32 i = first; i < end; ++i) ahead[i] += row[i];
        if (distance < reach)
            for (int32 i = first; i < end; ++i) beside[i] += row[i];
    });
    if (runs.closed()) {
        const Sides sides = runs.sides(y);
        for (int32 i = 0; i < n; ++i) {
            const uint8 before = beside[i - 1], after = beside[i + 1];
            counts[i] = ahead[i] + (sides.low_x(i) ? 0 : before) + (sides.high_x(i) ? 0 : after);
        }
    } else
        for (int32 i = 0; i < n; ++i) counts[i] = ahead[i] + beside[i - 1] + beside[i + 1];
}
