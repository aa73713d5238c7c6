// Implicit steps of fields that exchange with the body, solved for the changes of their concentrations.
//
// With the concentration b at the beginning of a stage and the change d,
//   mass * d - sum over faces coupling * (d_neighbour - d) = dt (p - k b) + what diffuses in at b,
// and what b + d lies between two floats is one of them by lot (lots.cuh). In a solution for b + d itself, a loss of less
// than half of the last digit of the mass, 1 + dt k, or of the concentration would be counted for the body, and never
// leave the voxel.
#include "lookup.cuh"
#include "lots.cuh"
#include "stencil.cuh"

// b is the concentration of a field, and d begins at 0. Blocks: (active fields) x replicates x nz x ny rows; one field is
// active.
extern "C" __global__ void begin_changes(
    // model:
    const int32* __restrict__ active,      // [active]
    // state out:
    float* __restrict__ base,    // [R, z, y, x] of b
    float* __restrict__ fields,  // [F, R, z, y, x] of d
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
    const Place at = place_of(active, shape);
    float *b = base + at.row, *d = fields + at.start;
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
        b[x] = d[x];
        d[x] = 0.0f;
    }
}
ENTRY(begin_changes)

// The concentrations to which changes lead, at which effects are looked at and walls counted. The map of production becomes
// b, as the maps' kernel takes it (kernels/exchange.cu). Blocks as before.
extern "C" __global__ void apply_changes(
    // model:
    const int32* __restrict__ active,      // [active]
    const int32* __restrict__ map_slots,   // [F] of the maps
    // state in:
    const float* __restrict__ base,    // [R, z, y, x]
    const float* __restrict__ fields,  // [F, R, z, y, x] of d
    // state out:
    float* __restrict__ target,      // [F, R, z, y, x]
    float* __restrict__ second_map,  // [maps, R, z, y, x]
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
    const Place at = place_of(active, shape);
    const float *b = base + at.row, *d = fields + at.start;
    float *to = target + at.start, *second = second_map + map_slots[at.field] * volume(shape) + at.row;
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
        const float value = b[x] + d[x];
        to[x] = value > 0.0f ? value : 0.0f;
        second[x] = b[x];
    }
}
ENTRY(apply_changes)

// The right-hand side; the map of losses becomes that of masses. Blocks as before.
extern "C" __global__ void combine_changes(
    // model:
    const int32* __restrict__ active,       // [active]
    const float* __restrict__ coupling,     // [F, tissue_states, tissue_states]
    const int32* __restrict__ coupling_by,  // [F]
    const int32* __restrict__ boundary,     // [F]
    const float* __restrict__ resistance,   // [F, 6]
    const float* __restrict__ far,          // [F, 6]
    const float* __restrict__ times,        // [F] dt, min
    const Wall* __restrict__ walls,         // [wall_count]
    const int32* __restrict__ map_slots,    // [F]
    // state in:
    const uint8* __restrict__ tissue,      // [R, z, y, x]
    const float* __restrict__ body,        // [quantities, R]
    const float* __restrict__ base,        // [R, z, y, x]
    const float* __restrict__ second_map,  // [maps, R, z, y, x] of dt * production by all but walls
    const float* __restrict__ permeable,   // [wall_count, R, z, y, x], 1/min
    // state out:
    float* __restrict__ first_map,  // [maps, R, z, y, x] of dt * loss by all but walls; becomes 1 + dt * loss
    float* __restrict__ rhs,        // [F, R, z, y, x]
    // sizes:
    int32 wall_count, int32 replicates, int32 nz, int32 ny, int32 nx, int32 tissue_states) {
    const Stack shape{replicates, nz, ny, nx};
    const Place at = place_of(active, shape);
    const int32 f = at.field;
    const int64 size = volume(shape), map = map_slots[f] * size + at.row;
    const float dt = times[f];
    const float *b = base + at.row, *gained = second_map + map;
    float *masses = first_map + map, *out = rhs + at.start;
    const float* faces = coupling + static_cast<int64>(f) * tissue_states * tissue_states;
    const auto combine = [&](const auto& row) INLINED {
        const Weights one{1.0f, 1.0f};
        for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
            const float lost = masses[x];
            Across across{0.0f, 0.0f, 0.0f};
            for (int32 w = 0; w < wall_count; ++w)
                if (walls[w].field == f)
                    across.add(dt * permeable[w * size + at.row + x],
                               body[walls[w].quantity * replicates + at.replicate] * walls[w].dilution, walls[w].returns,
                               b[x]);
            const Border border = row.boundary & OPEN ? row.border(x, far + 6 * f) : Border{0.0f, 0.0f};
            const float exchanged = (gained[x] - lost * b[x]) + across.net;
            const float entered = row.inflow(one, x, row.left(x), row.right(x)) + (border.inflow - border.rate * b[x]);
            masses[x] = 1.0f + (lost + across.rate);
            out[x] = exchanged + entered;
        }
    };
    if (coupling_by[f] == UNIFORM)
        combine(finest_row(b, SameCoupling{*faces}, shape, boundary[f], resistance + 6 * f, at.z, at.y));
    else
        combine(finest_row(b, StateCoupling{tissue + at.row, faces, tissue_states}, shape, boundary[f],
                           resistance + 6 * f, at.z, at.y));
}
ENTRY(combine_changes)

// b + share * d, of which the last stage makes the concentration, and others the b of the next. Blocks as before.
extern "C" __global__ void add_changes(
    // model:
    const int32* __restrict__ active,      // [active]
    const uint64* __restrict__ seeds,      // [R]
    // state out:
    float* __restrict__ base,    // [R, z, y, x]
    float* __restrict__ fields,  // [F, R, z, y, x] of d
    // numbers:
    float share, int32 last,
    int32 number,  // of the lots, from 1
    uint32 step, uint32 purpose,
    // sizes:
    uint64 origin,  // index of the first voxel here in the whole lattice
    int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
    const Place at = place_of(active, shape);
    const Draw draw{seeds[at.replicate], origin - row_start(shape, at.replicate, 0, 0), static_cast<uint32>(number),
                    purpose + 256u * static_cast<uint32>(at.field)};
    const RowLots lots(draw, at.row, step, number);
    float *b = base + at.row, *d = fields + at.start;
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
        const float value = held(sum_by_lot(b[x], share * d[x], lots.at(x)));
        if (last)
            d[x] = value;
        else
            b[x] = value;
    }
}
ENTRY(add_changes)
