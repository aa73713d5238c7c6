// What cells, vessels and the body do to concentrations, and what enters from outside the lattice.
//
// A concentration follows dc/dt = div(D grad c) + p - k c. Production p and loss k come from the two cells of the
// voxel: plain rates from tables, and effects, whose rates are multiplied by modulators. Where a field has effects,
// maps hold p and k by voxel, in the form in which its solver reads them; they are made anew each step.
//
// Where an effect depends on the field itself, p and k are linear parts of it, of which neither is below 0
// (Patankar 1980, "Numerical heat transfer and fluid flow", chapter 7), and are made anew for each pass or each
// turn of a solver. They are right at the present concentration and at the root of the voxel's own equation,
//   m c + dt (k c - p) = what it holds + what diffuses in at present,
// so that a step does not go back and forth between two sides of a threshold.
#include "modulators.cuh"
#include "stencil.cuh"
#include "transition.cuh"

enum EffectKind { SECRETION = 0, LOSS = 1, WALL = 2 };
enum Form { EXPLICIT = 0, IMPLICIT = 1, OPERATOR = 2, WALLED = 4 };  // as gpusim/model/tables.py has them

struct Effect {
    int32 kind;
    float rate;  // SECRETION: unit/min; LOSS, WALL: 1/min
    int32 first_modulator, end_modulator;
    int32 end_own;  // modulators from end_modulator on look at the field itself
    int32 settles;  // whether p - k c falls with c, whatever c is
    int32 wall;     // WALL: which
};

struct Exchanged {
    float production, loss;
};

// What the effects of a voxel's two cells do to one of its fields.
struct Effects {
    const Effect* effects;
    const Modulator* modulators;
    int32 tissue_begin, tissue_end, immune_begin, immune_end;
    const Lattice &of_tissue, &of_immune;  // as either cell sees the other
    Voxel place;

    __device__ inline bool any() const { return tissue_begin < tissue_end || immune_begin < immune_end; }

    // Calls use(effect, amount) for each, with the amount that modulators by all but the field itself leave.
    template <typename Use>
    __device__ inline void each(const Use& use) const {
        for (int32 e = tissue_begin; e < tissue_end; ++e) use(effects[e], amount(effects[e], of_tissue));
        for (int32 e = immune_begin; e < immune_end; ++e) use(effects[e], amount(effects[e], of_immune));
    }

    __device__ inline float amount(const Effect& effect, const Lattice& lattice) const {
        return modulated(effect.rate, modulators, effect.first_modulator, effect.end_modulator, lattice, place);
    }

    __device__ inline float own_factor(const Effect& effect, float c) const {
        float value = 1.0f;
        for (int32 m = effect.end_modulator; m < effect.end_own && value > 0.0f; ++m)
            value = value * response(modulators[m], c);
        return value > 0.0f ? value : 0.0f;
    }
};

constexpr float few_roundings = 9.5367431640625e-7f;  // of a number

// What the settling effects add and take at a concentration.
OUT_OF_LINE Exchanged settling(const Effects& here, float c) {
    Exchanged sum{0.0f, 0.0f};
    here.each([&](const Effect& effect, float amount) INLINED {
        if (!effect.settles) return;
        const float scaled = amount * here.own_factor(effect, c);
        if (effect.kind == SECRETION)
            sum.production = sum.production + scaled;
        else
            sum.loss = sum.loss + scaled * c;
    });
    return sum;
}

// The settling effects as p - k c, right at `c` and at `other`.
OUT_OF_LINE Exchanged linear(const Effects& here, float c, float other) {
    const float step = other - c;
    Exchanged sum{0.0f, 0.0f};
    here.each([&](const Effect& effect, float amount) INLINED {
        if (!effect.settles) return;
        const float at_c = amount * here.own_factor(effect, c);
        const float there = amount * here.own_factor(effect, other);
        const float rise = there - at_c;
        if (effect.kind == SECRETION) {
            // A difference of a few roundings is none.
            const bool same = (rise < 0.0f ? -rise : rise) <= at_c * few_roundings;
            const float slope = same ? 0.0f : -rise / step;
            const float fall = slope > 0.0f ? slope : 0.0f;
            sum.production = sum.production + (at_c + fall * c);
            sum.loss = sum.loss + fall;
        } else {
            // Where it takes less than in proportion, the line through 0.
            const float slope = step == 0.0f ? at_c : (there * other - at_c * c) / step;
            const float steep = slope > at_c ? slope : at_c;
            sum.production = sum.production + (steep - at_c) * c;
            sum.loss = sum.loss + steep;
        }
    });
    return sum;
}

__device__ inline Exchanged tangent(const Effects& here, float c) { return linear(here, c, c + c * 0.00390625f); }

// A voxel's own equation, mass * c + dt * (taken - added) = supply, with what its settling effects take and add.
struct OwnEquation {
    float mass, dt, supply;
    __device__ inline float excess(float c, const Exchanged& at) const {
        return (mass * c + dt * (at.loss - at.production)) - supply;
    }
};

// Its root, or c itself where that is the root but for a few roundings: of a bracket the end away from c, so that the line
// through both has the slope of the side where the root lies, also at the edge of a ramp.
OUT_OF_LINE float root_near(const Effects& here, const OwnEquation& equation, float c) {
    const Exchanged at = settling(here, c);
    const float beyond = equation.excess(c, at);
    const float near = (equation.mass + equation.dt * tangent(here, c).loss) * c * few_roundings;
    if ((beyond < 0.0f ? -beyond : beyond) <= near) return c;
    float low = 0.0f, high = c;
    if (beyond < 0.0f) {
        if (!(equation.mass > 0.0f)) return c;
        low = c;
        high = (equation.supply + equation.dt * at.production) / equation.mass;
    }
    for (int32 n = 0; n < 24; ++n) {
        const float half = high > 4.0f * low ? sqrtf(low) * sqrtf(high) : 0.5f * (low + high);
        const float middle = low > 0.0f ? half : high * 0.015625f;
        if (equation.excess(middle, settling(here, middle)) < 0.0f)
            low = middle;
        else
            high = middle;
    }
    return beyond < 0.0f ? high : low;
}

// Whether walls stand apart from what else a voxel exchanges.
template <bool apart>
struct WithWalls {
    static constexpr bool walled = apart;
};

// A voxel's entries of both maps, where no effect depends on the field itself. A voxel that holds its concentration has that
// for its production.
struct Entries {
    float first, second;
};

__device__ inline Entries entries_of(const Exchanged& sum, bool holds, int32 form, bool walled, float mass, float dt) {
    if (holds) {
        const bool pinned = form == OPERATOR;
        return Entries{walled ? sum.loss : pinned ? held_mass : 0.0f, pinned ? held_mass * sum.production : sum.production};
    }
    const float gained = dt * sum.production, lost = dt * sum.loss;
    if (walled) return Entries{lost, gained};
    if (form == EXPLICIT) return Entries{1.0f - lost, gained};
    if (form == OPERATOR) return Entries{mass + lost, gained};
    const float keep = 1.0f / (1.0f + lost);
    return Entries{keep, gained * keep};
}

#ifdef GPUSIM_HOST
#include "host/exchange.hpp"
#endif

// The maps of some fields. Blocks: (active fields) x replicates x nz x ny rows.
extern "C" __global__ void exchange_rates(
    // model:
    const int32* __restrict__ active,     // [active]
    const Effect* __restrict__ effects,   // [effects]
    const int32* __restrict__ begin,      // [maps * states + 1], effects by slot and state
    const Modulator* __restrict__ modulators,  // [modulators]
    const Wall* __restrict__ walls,          // [wall_count]
    const float* __restrict__ production,    // [F, tissue_states, immune_states], unit/min
    const float* __restrict__ loss,          // [F, tissue_states, immune_states], 1/min
    const int32* __restrict__ map_slots,     // [F]
    const int32* __restrict__ forms,         // [F]
    const int32* __restrict__ own,           // [F] whether an effect depends on the field itself
    const float* __restrict__ times,         // [F] dt, min
    const float* __restrict__ masses,        // [F] m
    const float* __restrict__ coupling,      // [F, tissue_states, tissue_states]
    const int32* __restrict__ coupling_by,   // [F]
    const int32* __restrict__ boundary,      // [F]
    const float* __restrict__ resistance,    // [F, 6]
    const float* __restrict__ far,           // [F, 6]
    // state in:
    const uint8* __restrict__ tissue,  // [R, z, y, x]
    const uint8* __restrict__ immune,  // [R, z, y, x]
    const float* __restrict__ fields,  // [F, R, z, y, x], what modulators look at
    const float* source,               // [F, R, z, y, x], where the field itself is looked at
    const uint8* __restrict__ counts,  // [counts, R, z, y, x]
    const float* __restrict__ body,    // [quantities, R]
    const float* __restrict__ traits,  // [traits, R, z, y, x]
    // state out:
    float* __restrict__ first_map,   // [maps, R, z, y, x]
    float* __restrict__ second_map,  // [maps, R, z, y, x]
    float* rhs,                      // [F, R, z, y, x], where the form is OPERATOR and an effect depends on the field:
                                     // `second_map`, which becomes from_c * c + from_second * second, and production
    float* __restrict__ permeable,   // [wall_count, R, z, y, x], 1/min
    // numbers:
    float from_c, float from_second,
    // sizes:
    int32 wall_count, int32 replicates, int32 nz, int32 ny, int32 nx, int32 tissue_states, int32 immune_states) {
    const Stack shape{replicates, nz, ny, nx};
    const Place at = place_of(active, shape);
    const int32 f = at.field, form = forms[f] & ~WALLED;
    const int64 size = volume(shape), map = map_slots[f] * size + at.row;
    const Cells cells{tissue + at.row, immune + at.row, tissue_states, immune_states};
    const int64 table = static_cast<int64>(f) * tissue_states * immune_states;
    const int32* by_state = begin + map_slots[f] * (tissue_states + immune_states);
    const Lattice of_tissue{tissue, immune, fields, counts, body, shape, traits};
    const Lattice of_immune{immune, tissue, fields, counts, body, shape, traits};
    const float dt = times[f], mass = masses[f];
    const bool solved = own[f] && form != EXPLICIT;
    const float* faces = coupling + static_cast<int64>(f) * tissue_states * tissue_states;
#ifdef GPUSIM_HOST
    if (!own[f]) {
        static thread_local RowExchange sum;
        const bool walled = forms[f] & WALLED;
        const Voxel place{at.row, at.replicate, at.z, at.y, 0};
        const RowOfEffects row{effects,    by_state,  modulators, walls, body, replicates,
                               permeable,  size,      walled,     place, nx};
        for (int32 w = 0; w < wall_count; ++w)
            if (walls[w].field == f) memset(permeable + w * size + at.row, 0, nx * sizeof(float));
        begin_exchange(cells, production + table, loss + table, sum, nx);
        add_effects(row, of_tissue, sum);
        add_effects(row, of_immune, sum);
        write_entries(sum, form, walled, mass, dt, first_map + map, second_map + map, nx);
        return;
    }
#endif
    const auto rates = [&](const auto& row, auto kind) INLINED {
        constexpr bool walled = decltype(kind)::walled;  // which takes fewer registers than a variable
        for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
            for (int32 w = 0; w < wall_count; ++w)
                if (walls[w].field == f) permeable[w * size + at.row + x] = 0.0f;
            const int32 entry = exchange_index<TISSUE_AND_IMMUNE>(cells, x);
            Exchanged sum{production[table + entry], loss[table + entry]};
            if (sum.loss > fastest_loss) {
                const bool right_apart = form == OPERATOR && own[f];
                const Entries entries = entries_of(sum, true, form, walled, mass, dt);
                first_map[map + x] = entries.first;
                second_map[map + x] = right_apart ? 0.0f : entries.second;
                if (right_apart) rhs[at.start + x] = entries.second;
                continue;
            }
            const int32 t = cells.tissue[x], i = cells.immune[x];
            const Effects here{effects, modulators, by_state[t], by_state[t + 1], by_state[i], by_state[i + 1],
                               of_tissue, of_immune, Voxel{at.row + x, at.replicate, at.z, at.y, x}};
            const bool any = here.any();
            const float c = own[f] ? source[at.start + x] : 0.0f;
            bool settles = false;
            Exchanged across{0.0f, 0.0f};  // walls, where their pass takes them apart from the rest
            if (any)
                here.each([&](const Effect& effect, float amount) INLINED {
                    if (solved && effect.settles) {
                        settles = true;
                        return;
                    }
                    const float rate = effect.end_own > effect.end_modulator ? amount * here.own_factor(effect, c) : amount;
                    if (effect.kind == SECRETION) {
                        sum.production = sum.production + rate;
                        return;
                    }
                    Exchanged& to = walled && effect.kind == WALL ? across : sum;
                    if (effect.kind == LOSS) {
                        to.loss = to.loss + rate;
                        return;
                    }
                    const Wall& wall = walls[effect.wall];
                    to.loss = to.loss + rate * wall.returns;
                    const float blood = body[wall.quantity * replicates + at.replicate] * wall.dilution;
                    to.production = to.production + rate * blood;
                    float& through = permeable[effect.wall * size + at.row + x];
                    through = through + rate;
                });
            const Border border = solved && (row.boundary & OPEN) ? row.border(x, far + 6 * f) : Border{0.0f, 0.0f};
            const float before = from_second == 0.0f ? 0.0f : second_map[map + x];
            const float old = from_second == 0.0f ? from_c * c : before + from_c * (c - before);
            const float held = !solved ? 0.0f : form == IMPLICIT ? c : old;
            if (settles) {
                const Weights one{1.0f, 1.0f};
                const float inflow = row.inflow(one, x, row.left(x), row.right(x)) + border.inflow;
                const OwnEquation equation{mass + (dt * (sum.loss + across.loss) + border.rate), dt,
                                           (held + dt * (sum.production + across.production)) + inflow};
                const float root = root_near(here, equation, c);
                const Exchanged line = root == c ? tangent(here, c) : linear(here, root, c);
                sum.production = sum.production + line.production;
                sum.loss = sum.loss + line.loss;
            }
            const Entries entries = entries_of(sum, false, form, walled, mass, dt);
            first_map[map + x] = entries.first;
            second_map[map + x] = entries.second;
            if (form != OPERATOR || !own[f] || walled) continue;
            second_map[map + x] = held;
            const float value = held + (entries.second + border.inflow);
            rhs[at.start + x] = value > 0.0f ? value : 0.0f;
        }
    };
    const auto of_kind = [&](auto kind) INLINED {
        if (coupling_by[f] == UNIFORM)
            rates(finest_row(source + at.start, SameCoupling{*faces}, shape, boundary[f], resistance + 6 * f, at.z, at.y),
                  kind);
        else
            rates(finest_row(source + at.start, StateCoupling{cells.tissue, faces, tissue_states}, shape, boundary[f],
                             resistance + 6 * f, at.z, at.y),
                  kind);
    };
    if (forms[f] & WALLED)
        of_kind(WithWalls<true>{});
    else
        of_kind(WithWalls<false>{});
}
ENTRY(exchange_rates)

constexpr float most_flow = 4398046511104.0f;  // 2^42, a voxel's at once

// Blocks: (counted walls) x replicates x nz x ny rows.
extern "C" __global__ void count_exchange(
    // model:
    const Wall* __restrict__ walls,     // [wall_count]
    const int32* __restrict__ counted,  // [active], walls
    const float* __restrict__ times,    // [F, R] min, for which the concentrations count
    // state in:
    const float* __restrict__ fields,     // [F, R, z, y, x]
    const float* __restrict__ permeable,  // [wall_count, R, z, y, x], 1/min
    const float* __restrict__ body,       // [quantities, R]
    // state out:
    uint64* __restrict__ flowed,  // [2, wall_count, R], in two's complement
    // sizes:
    int32 first_counted, int32 end_counted,  // planes whose voxels are counted
    int32 wall_count, int32 replicates, int32 nz, int32 ny, int32 nx) {
    const Stack shape{replicates, nz, ny, nx};
    const Place at = place_of(counted, shape);
    if (at.z < first_counted || at.z >= end_counted) return;
    const Wall& wall = walls[at.field];
    const float* c = fields + wall.field * volume(shape) + at.row;
    const float* through = permeable + at.start;
    const float dt = times[wall.field * replicates + at.replicate], blood = body[wall.quantity * replicates + at.replicate] * wall.dilution;
    int64 wholes = 0, fractions = 0;
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
        if (!(through[x] > 0.0f)) continue;
        const float flow = (dt * through[x]) * (wall.returns * c[x] - blood);
        const float bounded = flow < most_flow ? flow > -most_flow ? flow : -most_flow : most_flow;
        const float scaled = bounded * flow_whole;
        const int64 whole = static_cast<int64>(scaled);
        const float left = (scaled - static_cast<float>(whole)) * flow_fraction;
        wholes += whole;
        fractions += static_cast<int64>(left + (left < 0.0f ? -0.5f : 0.5f));
    }
    const uint64 whole_sum = block_sum(static_cast<uint64>(wholes));
    const uint64 fraction_sum = block_sum(static_cast<uint64>(fractions));
    if (threadIdx.x != 0) return;
    uint64* sum = flowed + at.field * replicates + at.replicate;
    if (whole_sum) atomicAdd(sum, whole_sum);
    if (fraction_sum) atomicAdd(sum + wall_count * replicates, fraction_sum);
}
ENTRY(count_exchange)

// Blocks: count / blockDim.x, rounded up. No voxel is named twice.
extern "C" __global__ void deposit(
    // model:
    const int64* __restrict__ voxels,   // [count]
    const float* __restrict__ amounts,  // [count], concentration
    // state out:
    float* __restrict__ field,  // [stack, z, y, x], all replicates
    // sizes:
    int64 count) {
#ifdef GPUSIM_HOST
    const int64 end = blockEnd < count ? blockEnd : count;
    for (int64 i = blockIdx.x; i < end; ++i) field[voxels[i]] = field[voxels[i]] + amounts[i];
#else
    const int64 i = static_cast<int64>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < count) field[voxels[i]] = field[voxels[i]] + amounts[i];
#endif
}
ENTRY_OF_ROWS(deposit)

// Blocks: (active fields) x replicates x nz x ny rows.
extern "C" __global__ void hold(
    // model:
    const int32* __restrict__ active,  // [active]
    const float* __restrict__ held,    // [F, tissue_states], below 0 where none is held
    // state in:
    const uint8* __restrict__ tissue,  // [R, z, y, x]
    // state out:
    float* __restrict__ fields,  // [F, R, z, y, x]
    // sizes:
    int32 replicates, int32 nz, int32 ny, int32 nx, int32 tissue_states) {
    const Place at = place_of(active, Stack{replicates, nz, ny, nx});
    const float* values = held + at.field * tissue_states;
    const uint8* states = tissue + at.row;
    float* c = fields + at.start;
    for (int32 x = threadIdx.x; x < nx; x += blockDim.x) {
        const float value = values[states[x]];
        if (value >= 0.0f) c[x] = value;
    }
}
ENTRY(hold)
