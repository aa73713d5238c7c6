// What is not on a lattice, blood, lymph node, drugs: ordinary differential equations, one thread a replicate.
//
// The classical Runge-Kutta scheme of fourth order, each step held against two of half its length: where
// they differ by more than the stated errors, the step is halved. Double precision, in a fixed order.
#include "modulators.cuh"

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

// Blocks: of some replicates, one a thread.
extern "C" __global__ void circulate(
    // model:
    const Flow* __restrict__ flows,            // [processes]
    const double* __restrict__ rates,          // [processes]
    const Modulator* __restrict__ modulators,  // [modulators]
    // state out:
    double* __restrict__ values,   // [quantities, R]
    double* __restrict__ scratch,  // [8, quantities, R]
    int32* __restrict__ followed,  // [R], whether the equations could be
    // numbers:
    double minutes,
    // sizes:
    int32 processes, int32 quantities, int32 replicates) {
    const int32 replicate = blockIdx.x * blockDim.x + threadIdx.x;
    if (replicate >= replicates) return;
    const Equations body{flows, rates, modulators, processes, quantities};
    const auto room = [&](int32 n) {
        return Quantities{scratch + static_cast<int64>(n) * quantities * replicates + replicate, replicates};
    };
    const Quantities now{values + replicate, replicates};
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
        if (halvings == most_halvings) {
            followed[replicate] = 0;
            return;
        }
        for (int32 q = 0; q < quantities; ++q) now[q] = halves[q];
        left = left - step;
        step = step * 2.0;
    }
}
ENTRY(circulate)
