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

struct Equations {
    const Flow* flows;
    const double* rates;  // 1/min, or unit/min
    const Modulator* modulators;
    int32 count, quantities;
};

// The same quantity of all replicates lies together.
struct Quantities {
    double* values;
    int32 stride;
    __device__ inline double& operator[](int32 q) const { return values[static_cast<int64>(q) * stride]; }
};

__device__ inline double seen(double value) { return value > 0.0 ? value : 0.0; }

// How fast the quantities change where they are `from` + step * `along`.
OUT_OF_LINE void body_rates(const Equations& body, const Quantities& from, const Quantities& along,
                            double step, const Quantities& out) {
    const auto at = [&](int32 q) { return seen(step == 0.0 ? from[q] : from[q] + step * along[q]); };
    for (int32 q = 0; q < body.quantities; ++q) out[q] = 0.0;
    for (int32 i = 0; i < body.count; ++i) {
        const Flow& flow = body.flows[i];
        double moved = flow.by < 0 ? body.rates[i] : body.rates[i] * at(flow.by);
        Sums<double> sums;
        for (int32 m = flow.first_modulator; m < flow.end_modulator; ++m) {
            const Modulator& row = body.modulators[m];
            moved = moved * factor_of(row, row.source == NOTHING ? 0.0 : at(row.index), sums);
        }
        if (flow.leaves >= 0) out[flow.leaves] = out[flow.leaves] - moved;
        if (flow.enters >= 0) out[flow.enters] = out[flow.enters] + moved;
    }
}

// A step from `from`, whose rates are `a`; b, c, d are room.
OUT_OF_LINE void body_step(const Equations& body, const Quantities& from, const Quantities& a, double step,
                           const Quantities& b, const Quantities& c, const Quantities& d, const Quantities& out) {
    body_rates(body, from, a, step / 2.0, b);
    body_rates(body, from, b, step / 2.0, c);
    body_rates(body, from, c, step, d);
    for (int32 q = 0; q < body.quantities; ++q)
        out[q] = from[q] + step * (a[q] + 2.0 * b[q] + 2.0 * c[q] + d[q]) / 6.0;
}

__device__ inline double magnitude(double value) { return value < 0.0 ? -value : value; }

constexpr double relative_error = 1.0e-8, absolute_error = 1.0e-10, largest = 1.7976931348623157e308;
constexpr int32 most_halvings = 30;

__device__ inline bool close(const Equations& body, const Quantities& first, const Quantities& second,
                             const Quantities& start) {
    for (int32 q = 0; q < body.quantities; ++q) {
        const double b = magnitude(second[q]), s = magnitude(start[q]);
        const double allowed = absolute_error + relative_error * (s > b ? s : b);
        if (!(b <= largest && magnitude(first[q] - second[q]) <= allowed)) return false;
    }
    return true;
}

// The difference of two counts in two's complement.
__device__ inline double came(uint64 now, uint64 before) { return static_cast<double>(static_cast<int64>(now - before)); }

// What a site has moved since the last call, into the bodies: firings, what crossed walls, and what cells carried.
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
    double* __restrict__ values,         // [quantities, R]
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
        double& value = values[quantity * replicates + replicate];
        value = value + amounts[i] * count;
    }
    for (int32 i = 0; i < rules; ++i) given_fired[i * replicates + replicate] = fired[i * replicates + replicate];
    for (int32 i = 0; i < 2 * wall_count; ++i)
        given_flowed[i * replicates + replicate] = flowed[i * replicates + replicate];
    for (int32 i = 0; i < egress_parts * egress_count; ++i)
        given_carried[i * replicates + replicate] = carried[i * replicates + replicate];
}
ENTRY(exchange_with_body)

// Follows quantities over some time, in place; false where they can't be followed. With `integral`, adds to it what the
// quantities are as they are seen, times the time (Simpson's rule over each accepted step).
template <bool WithIntegral>
__device__ inline bool followed(const Equations& body, double* scratch, int32 replicate, int32 replicates,
                                const Quantities& now, const Quantities& integral, double minutes) {
    const auto room = [&](int32 n) {
        return Quantities{scratch + static_cast<int64>(n) * body.quantities * replicates + replicate, replicates};
    };
    const Quantities a = room(0), b = room(1), c = room(2), d = room(3), again = room(4);
    Quantities whole = room(5), half = room(6);
    const Quantities halves = room(7);
    double left = minutes, step = minutes;
    while (left > 0.0) {
        step = left < step ? left : step;
        body_rates(body, now, now, 0.0, a);
        body_step(body, now, a, step, b, c, d, whole);
        int32 halvings = 0;
        for (; halvings < most_halvings; ++halvings) {
            body_step(body, now, a, step / 2.0, b, c, d, half);
            body_rates(body, half, half, 0.0, again);
            body_step(body, half, again, step / 2.0, b, c, d, halves);
            if (close(body, whole, halves, now)) break;
            const Quantities former = whole;
            whole = half;
            half = former;
            step = step / 2.0;
        }
        if (halvings == most_halvings) return false;
        for (int32 q = 0; q < body.quantities; ++q) {
            if (WithIntegral)
                integral[q] = integral[q] + step * (seen(now[q]) + 4.0 * seen(half[q]) + seen(halves[q])) / 6.0;
            now[q] = halves[q];
        }
        left = left - step;
        step = step * 2.0;
    }
    return true;
}

// Blocks: of some replicates, one a thread.
extern "C" __global__ void circulate(
    // model:
    const Flow* __restrict__ flows,            // [processes]
    const double* __restrict__ rates,          // [processes]
    const Modulator* __restrict__ modulators,  // [modulators]
    // state out:
    double* __restrict__ values,   // [quantities, R]
    double* __restrict__ scratch,  // [10, quantities, R]
    int32* __restrict__ failed,    // [R], the time step in which the equations could not be followed, 0 for none
    float* __restrict__ body,      // [seen, R], as cells see the quantities
    // numbers:
    double minutes, int32 step_number,
    // sizes:
    int32 processes, int32 quantities, int32 replicates) {
    const int32 replicate = blockIdx.x * blockDim.x + threadIdx.x;
    if (replicate >= replicates || failed[replicate]) return;
    const Equations equations{flows, rates, modulators, processes, quantities};
    const Quantities now{values + replicate, replicates};
    if (processes && !followed<false>(equations, scratch, replicate, replicates, now, now, minutes)) {
        failed[replicate] = step_number;
        return;
    }
    for (int32 q = 0; q < quantities; ++q) body[q * replicates + replicate] = static_cast<float>(seen(now[q]));
}
ENTRY(circulate)

// What the quantities will be on average over some time by their own processes, as vessels see them.
//
// Blocks: of some replicates, one a thread.
extern "C" __global__ void foresee(
    // model:
    const Flow* __restrict__ flows,            // [processes]
    const double* __restrict__ rates,          // [processes]
    const Modulator* __restrict__ modulators,  // [modulators]
    // state in:
    const double* __restrict__ values,  // [quantities, R]
    const int32* __restrict__ failed,   // [R], see `circulate`
    // state out:
    double* __restrict__ scratch,  // [10, quantities, R]
    float* __restrict__ mean,      // [seen, R]
    // numbers:
    double minutes,
    // sizes:
    int32 processes, int32 quantities, int32 replicates) {
    const int32 replicate = blockIdx.x * blockDim.x + threadIdx.x;
    if (replicate >= replicates) return;
    const Equations equations{flows, rates, modulators, processes, quantities};
    const auto room = [&](int32 n) {
        return Quantities{scratch + static_cast<int64>(n) * quantities * replicates + replicate, replicates};
    };
    const Quantities now = room(8), integral = room(9);
    for (int32 q = 0; q < quantities; ++q) {
        now[q] = values[q * replicates + replicate];
        integral[q] = 0.0;
    }
    const bool known = processes && !failed[replicate] &&
                       followed<true>(equations, scratch, replicate, replicates, now, integral, minutes);
    for (int32 q = 0; q < quantities; ++q) {
        const int32 at = q * replicates + replicate;
        mean[at] = static_cast<float>(known ? integral[q] / minutes : seen(values[at]));
    }
}
ENTRY(foresee)
