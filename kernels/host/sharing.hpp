// Which rows the threads of a host share.
#pragma once

// Whether the thread that has this block's row also takes all rows beside it, one after the other.
template <typename Coupling>
inline bool alone_with_neighbours(const Row<Coupling>& row) {
    const Stack& n = row.shape;
    const bool wraps_z = row.boundary & PERIODIC_Z, wraps_y = row.boundary & PERIODIC_Y;
    for (const int32 offset : {before(row.y, n.ny, wraps_y), after(row.y, n.ny, wraps_y),
                               n.ny * before(row.z, n.nz, wraps_z), n.ny * after(row.z, n.nz, wraps_z)}) {
        const int32 block = blockIdx.x + offset;
        if (block < share.first || block >= share.end) return false;
    }
    return true;
}
