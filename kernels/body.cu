// What is not on a lattice, blood, lymph node, drugs: ordinary differential equations, one thread a replicate.
//
// The classical Runge-Kutta scheme of fourth order, each step held against two of half its length: where
// they differ by more than the stated errors, the step is halved. Double precision, in a fixed order.
#include "modulators.cuh"
#include "transition.cuh"

struct Flow {
    int32 leaves, enters, by;  // quantities, or -1
    int32 first_modulator, end_modulator;
};

// The same quantity of all replicates lies together.
struct Quantities {
    double* values;
    int32 stride;
    __device__ inline double& operator[](int32 q) const { return values[static_cast<int64>(q) * stride]; }
};

// What tissue takes within a rule step is in proportion to the course that was foreseen: a constant departure would
// take more than there is of a quantity that is cleared within the step. Then the equations have three parts: the
// quantities, the course that was foreseen, and what tissue has taken; else the first alone.
struct Equations {
    const Flow* flows;
    const double* rates;  // 1/min, or unit/min
    const Modulator* modulators;
    Quantities supply;    // by tissue, unit/min
    Quantities foreseen;  // the same, in the course that was foreseen
    Quantities share;     // of the course that was foreseen, which tissue takes, 1/min
    int32 count, quantities, parts;
};

__device__ inline double seen(double value) { return value > 0.0 ? value : 0.0; }
__device__ inline double magnitude(double value) { return value < 0.0 ? -value : value; }

// How fast all parts change where they are `from` + step * `along`.
OUT_OF_LINE void body_rates(const Equations& body, const Quantities& from, const Quantities& along,
                            double step, const Quantities& out) {
    const auto at = [&](int32 i) { return seen(step == 0.0 ? from[i] : from[i] + step * along[i]); };
    const int32 quantities = body.quantities;
    for (int32 q = 0; q < quantities; ++q) {
        out[q] = body.supply[q];
        if (body.parts == 1) continue;
        const double taken = body.share[q] * at(quantities + q);
        out[q] = out[q] - taken;
        out[quantities + q] = body.foreseen[q];
        out[2 * quantities + q] = taken;
    }
    for (int32 first = 0; first < (body.parts == 1 ? 1 : 2) * quantities; first += quantities) {
        for (int32 i = 0; i < body.count; ++i) {
            const Flow& flow = body.flows[i];
            double moved = flow.by < 0 ? body.rates[i] : body.rates[i] * at(first + flow.by);
            Sums<double> sums;
            for (int32 m = flow.first_modulator; m < flow.end_modulator; ++m) {
                const Modulator& row = body.modulators[m];
                moved = moved * factor_of(row, row.source == NOTHING ? 0.0 : at(first + row.index), sums);
            }
            const int32 leaves = first + flow.leaves, enters = first + flow.enters;
            if (flow.leaves >= 0) out[leaves] = out[leaves] - moved;
            if (flow.enters >= 0) out[enters] = out[enters] + moved;
        }
    }
}

// A step from `from`, whose rates are `a`; b, c, d are room.
OUT_OF_LINE void body_step(const Equations& body, const Quantities& from, const Quantities& a, double step,
                           const Quantities& b, const Quantities& c, const Quantities& d, const Quantities& out) {
    body_rates(body, from, a, step / 2.0, b);
    body_rates(body, from, b, step / 2.0, c);
    body_rates(body, from, c, step, d);
    for (int32 i = 0; i < body.parts * body.quantities; ++i)
        out[i] = from[i] + step * (a[i] + 2.0 * b[i] + 2.0 * c[i] + d[i]) / 6.0;
}

constexpr double relative_error = 1.0e-8, absolute_error = 1.0e-10, largest = 1.7976931348623157e308;
constexpr int32 most_halvings = 45, most_steps = 1000000;

__device__ inline double larger(double a, double b) { return a > b ? a : b; }

__device__ inline bool close(const Equations& body, const Quantities& first, const Quantities& second,
                             const Quantities& start, const Quantities& moved) {
    for (int32 i = 0; i < body.parts * body.quantities; ++i) {
        const double b = magnitude(second[i]);
        const double allowed = absolute_error + relative_error * larger(larger(b, magnitude(start[i])), moved[i]);
        if (!(b <= largest && magnitude(first[i] - second[i]) <= allowed)) return false;
    }
    return true;
}

// The difference of two counts in two's complement.
__device__ inline double came(uint64 now, uint64 before) { return static_cast<double>(static_cast<int64>(now - before)); }

// What a site has moved since the last call, for the bodies: firings, what crossed walls, and what cells carried.
//
// Blocks: of some replicates, one a thread.
extern "C" __global__ void exchange_with_body(
    // model:
    const int32* __restrict__ moved,      // [entries, 3]: 0 (a rule), 1 (a wall) or 2 (an egress); its row; a quantity
    const double* __restrict__ amounts,   // [entries], of the quantity for one of it
    const Egress* __restrict__ egresses,  // [egress_count]
    // state in:
    const uint64* __restrict__ fired,    // [rules, R]
    const uint64* __restrict__ flowed,   // [2, wall_count, R]
    const uint64* __restrict__ carried,  // [3, egress_count, R]
    const int32* __restrict__ failed,    // [R], see `circulate`
    // state out:
    uint64* __restrict__ given_fired,    // [rules, R], what the bodies have taken in, since the start
    uint64* __restrict__ given_flowed,   // [2, wall_count, R]
    uint64* __restrict__ given_carried,  // [3, egress_count, R]
    double* __restrict__ brought,        // [quantities, R], is added to
    // sizes:
    int32 entries, int32 rules, int32 wall_count, int32 egress_count, int32 replicates) {
    const int32 replicate = blockIdx.x * blockDim.x + threadIdx.x;
    if (replicate >= replicates) return;
    for (int32 i = 0; i < entries && !failed[replicate]; ++i) {
        const int32 kind = moved[3 * i], row = moved[3 * i + 1], quantity = moved[3 * i + 2];
        const int32 at = row * replicates + replicate;
        double count = 0.0;
        if (kind == 0) {
            count = came(fired[at], given_fired[at]);
        } else if (kind == 1) {
            const int32 of_fraction = at + wall_count * replicates;
            const double fraction = came(flowed[of_fraction], given_flowed[of_fraction]);
            count = (came(flowed[at], given_flowed[at]) + fraction / static_cast<double>(flow_fraction)) /
                    static_cast<double>(flow_whole);
        } else {
            double unit = 1.0;
            for (int32 part = 0; part < egress_parts; ++part) {
                const int32 of_part = at + part * egress_count * replicates;
                count = count + came(carried[of_part], given_carried[of_part]) / unit;
                unit = unit * static_cast<double>(egress_most);
            }
            count = count / static_cast<double>(egresses[row].scale);
        }
        double& sum = brought[quantity * replicates + replicate];
        sum = sum + amounts[i] * count;
    }
    for (int32 i = 0; i < rules; ++i) given_fired[i * replicates + replicate] = fired[i * replicates + replicate];
    for (int32 i = 0; i < 2 * wall_count; ++i)
        given_flowed[i * replicates + replicate] = flowed[i * replicates + replicate];
    for (int32 i = 0; i < egress_parts * egress_count; ++i)
        given_carried[i * replicates + replicate] = carried[i * replicates + replicate];
}
ENTRY(exchange_with_body)

// Room for one part, or for three of them.
__device__ inline Quantities scratch_of(double* scratch, int32 n, int32 quantities, int32 replicate, int32 replicates) {
    return Quantities{scratch + static_cast<int64>(n) * quantities * replicates + replicate, replicates};
}

constexpr int32 room_now = 24, room_integral = 27, room_supply = 28, room_foreseen = 29, room_share = 30,
                room_moved = 31;  // 34 in all

// What tissue moves into or out of quantities in some time, or of what flows into them: the scale of the errors of all
// parts. A quantity that tissue overdraws has a kink where it is 0: measured by its own magnitude there, no error would
// be allowed.
__device__ inline void moved_in(const Equations& body, const Quantities& supply, double minutes,
                                const Quantities& out) {
    const int32 quantities = body.quantities;
    for (int32 q = 0; q < quantities; ++q) {
        out[q] = magnitude(supply[q]) * minutes;
        if (body.parts == 1) continue;
        out[quantities + q] = magnitude(body.foreseen[q]) * minutes;
        out[2 * quantities + q] = out[q];
    }
    for (int32 first = 0; first < (body.parts == 1 ? 1 : 2) * quantities; first += quantities) {
        for (int32 i = 0; i < body.count; ++i) {
            const int32 leaves = body.flows[i].leaves, enters = body.flows[i].enters;
            if (leaves >= 0 && enters >= 0) out[first + enters] = larger(out[first + enters], out[first + leaves]);
        }
    }
}

// Follows all parts over some time, in place; false where they can't be followed. Also integrates the first part
// as it is seen (Simpson's rule over each accepted step).
OUT_OF_LINE bool followed(const Equations& body, double* scratch, int32 replicate, const Quantities& supply,
                          double minutes) {
    const auto room = [&](int32 n) { return scratch_of(scratch, n, body.quantities, replicate, supply.stride); };
    const Quantities a = room(0), b = room(3), c = room(6), d = room(9), again = room(12);
    Quantities whole = room(15), half = room(18);
    const Quantities halves = room(21), now = room(room_now), integral = room(room_integral), moved = room(room_moved);
    moved_in(body, supply, minutes, moved);
    for (int32 q = 0; q < body.quantities; ++q) integral[q] = 0.0;
    double left = minutes, step = minutes;
    for (int32 steps = 0; left > 0.0; ++steps) {
        if (steps == most_steps) return false;
        step = left < step ? left : step;
        body_rates(body, now, now, 0.0, a);
        body_step(body, now, a, step, b, c, d, whole);
        int32 halvings = 0;
        for (; halvings < most_halvings; ++halvings) {
            body_step(body, now, a, step / 2.0, b, c, d, half);
            body_rates(body, half, half, 0.0, again);
            body_step(body, half, again, step / 2.0, b, c, d, halves);
            if (close(body, whole, halves, now, moved)) break;
            const Quantities former = whole;
            whole = half;
            half = former;
            step = step / 2.0;
        }
        if (halvings == most_halvings) return false;
        for (int32 q = 0; q < body.quantities; ++q)
            integral[q] = integral[q] + step * (seen(now[q]) + 4.0 * seen(half[q]) + seen(halves[q])) / 6.0;
        for (int32 i = 0; i < body.parts * body.quantities; ++i) now[i] = halves[i];
        left = left - step;
        step = step * 2.0;
    }
    return true;
}

// The part of a supply that balances what the processes do to a quantity.
__device__ inline double balancing(double supply, double own) {
    if (supply > 0.0 && own < 0.0) return supply < -own ? supply : -own;
    if (supply < 0.0 && own > 0.0) return supply > -own ? supply : -own;
    return 0.0;
}

// What is foreseen of a supply by tissue, in place: as far as it balances the processes at the beginning of the step.
__device__ inline void foresee_supply(const Equations& body, double* scratch, int32 replicate, const Quantities& values,
                                      const Quantities& supply) {
    const auto room = [&](int32 n) { return scratch_of(scratch, n, body.quantities, replicate, values.stride); };
    const Quantities none = room(room_share), own = room(0);
    for (int32 q = 0; q < body.quantities; ++q) none[q] = 0.0;
    const Equations alone{body.flows, body.rates, body.modulators, none, none, none, body.count, body.quantities, 1};
    body_rates(alone, values, values, 0.0, own);
    for (int32 q = 0; q < body.quantities; ++q) supply[q] = balancing(supply[q], own[q]);
}

__device__ inline bool in_a_process(const Equations& body, int32 q) {
    for (int32 i = 0; i < body.count; ++i)
        if (body.flows[i].leaves == q || body.flows[i].enters == q) return true;
    return false;
}

// The quantities after a rule step, in which tissue has brought some and taken some: arrivals at a constant rate,
// departures in proportion to the course that was foreseen. What tissue has taken beyond this course remains as a debt.
// A quantity that takes part in no process gains what was brought to the last cell.
//
// Blocks: of some replicates, one a thread.
extern "C" __global__ void circulate(
    // model:
    const Flow* __restrict__ flows,            // [processes]
    const double* __restrict__ rates,          // [processes]
    const Modulator* __restrict__ modulators,  // [modulators]
    // state in:
    const float* __restrict__ mean,  // [seen, R], see `foresee`
    // state out:
    double* __restrict__ values,   // [quantities, R]
    double* __restrict__ brought,  // [quantities, R], see `exchange_with_body`; then 0
    double* __restrict__ supply,   // [quantities, R], unit/min, in the last rule step
    double* __restrict__ scratch,  // [34, quantities, R]
    int32* __restrict__ failed,    // [R], the time step in which the equations could not be followed, 0 for none
    // numbers:
    double minutes, int32 step_number,
    // sizes:
    int32 processes, int32 quantities, int32 replicates) {
    const int32 replicate = blockIdx.x * blockDim.x + threadIdx.x;
    if (replicate >= replicates || failed[replicate]) return;
    const auto room = [&](int32 n) { return scratch_of(scratch, n, quantities, replicate, replicates); };
    const auto rows = [&](double* first) { return Quantities{first + replicate, replicates}; };
    const Quantities value = rows(values), net = rows(brought), given = rows(supply), now = room(room_now);
    const Quantities arriving = room(room_supply), foreseen = room(room_foreseen), share = room(room_share);
    Equations equations{flows, rates, modulators, arriving, foreseen, share, processes, quantities, 1};
    for (int32 q = 0; q < quantities; ++q) foreseen[q] = given[q];
    foresee_supply(equations, scratch, replicate, value, foreseen);
    for (int32 q = 0; q < quantities; ++q) {
        given[q] = net[q] / minutes;
        arriving[q] = seen(given[q]);
        share[q] = 0.0;
        const double most = mean[q * replicates + replicate];
        if (net[q] < 0.0 && most > 0.0) {
            share[q] = (-net[q] < most ? -net[q] / most : 1.0) / minutes;
            equations.parts = 3;
        }
        now[q] = now[quantities + q] = value[q];
        now[2 * quantities + q] = 0.0;
    }
    if (processes && !followed(equations, scratch, replicate, given, minutes)) {
        failed[replicate] = step_number;
        return;
    }
    for (int32 q = 0; q < quantities; ++q) {
        const double debt = net[q] < 0.0 ? -net[q] - now[2 * quantities + q] : 0.0;
        value[q] = in_a_process(equations, q) ? now[q] - debt : value[q] + net[q];
        net[q] = 0.0;
    }
}
ENTRY(circulate)

// What the quantities will be on average over a rule step, as cells and vessels see them. What tissue supplied in the
// last step is foreseen as far as it balances the processes. So a steady state is kept, but a change through tissue is
// not extrapolated: that would halve the longest stable step, and outlive its cause.
//
// Blocks: of some replicates, one a thread.
extern "C" __global__ void foresee(
    // model:
    const Flow* __restrict__ flows,            // [processes]
    const double* __restrict__ rates,          // [processes]
    const Modulator* __restrict__ modulators,  // [modulators]
    // state in:
    const double* __restrict__ values,  // [quantities, R]
    const double* __restrict__ supply,  // [quantities, R], see `circulate`
    const int32* __restrict__ failed,   // [R], see `circulate`
    // state out:
    double* __restrict__ scratch,  // [34, quantities, R]
    float* __restrict__ mean,      // [seen, R]
    // numbers:
    double minutes,
    // sizes:
    int32 processes, int32 quantities, int32 replicates) {
    const int32 replicate = blockIdx.x * blockDim.x + threadIdx.x;
    if (replicate >= replicates) return;
    const auto room = [&](int32 n) { return scratch_of(scratch, n, quantities, replicate, replicates); };
    const Quantities now = room(room_now), foreseen = room(room_foreseen), integral = room(room_integral);
    const Equations equations{flows, rates, modulators, foreseen, foreseen, foreseen, processes, quantities, 1};
    for (int32 q = 0; q < quantities; ++q) {
        now[q] = values[q * replicates + replicate];
        foreseen[q] = supply[q * replicates + replicate];
    }
    foresee_supply(equations, scratch, replicate, now, foreseen);
    const bool known = processes && !failed[replicate] && followed(equations, scratch, replicate, foreseen, minutes);
    for (int32 q = 0; q < quantities; ++q) {
        const int32 at = q * replicates + replicate;
        mean[at] = static_cast<float>(known ? integral[q] / minutes : seen(values[at]));
    }
}
ENTRY(foresee)
