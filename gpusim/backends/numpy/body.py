"""Python twin of kernels/body.cu: the same operations in the same order, in float64."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from gpusim.model.tables import (
    ABSOLUTE_ERROR,
    EGRESS_BITS,
    FLOW_FRACTION,
    FLOW_WHOLE,
    RELATIVE_ERROR,
    Source,
    Sums,
    factor,
)

_MOST_HALVINGS = 30

Values = list[float]
Rates = Callable[[Values], Values]


def exchange_with_body(
    moved: np.ndarray,
    amounts: np.ndarray,
    egresses: np.ndarray,
    fired: np.ndarray,
    flowed: np.ndarray,
    carried: np.ndarray,
    failed: np.ndarray,
    given_fired: np.ndarray,
    given_flowed: np.ndarray,
    given_carried: np.ndarray,
    values: np.ndarray,
) -> None:
    """Bring what a site has moved since the last call into the quantities (float64 [quantities])."""
    if not failed:
        whole, fraction = _came(flowed, given_flowed)
        of_parts = _came(carried, given_carried)
        of_egresses = np.zeros(len(egresses))
        for part, counts in enumerate(of_parts):
            of_egresses = of_egresses + counts / 2.0 ** (part * EGRESS_BITS)
        counted = (
            _came(fired, given_fired),
            (whole + fraction / FLOW_FRACTION) / FLOW_WHOLE,
            of_egresses / egresses["scale"].astype(float),
        )
        for (kind, row, quantity), amount in zip(moved.tolist(), amounts.tolist(), strict=True):
            values[quantity] += amount * counted[kind][row]
    given_fired[:], given_flowed[:], given_carried[:] = fired, flowed, carried


def _came(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The difference of two counts in two's complement, float64."""
    return (now - before).view(np.int64).astype(float)


def circulate(
    values: np.ndarray,
    failed: np.ndarray,
    body: np.ndarray,
    flows: np.ndarray,
    rates: np.ndarray,
    modulators: np.ndarray,
    minutes: float,
    step_number: int,
) -> None:
    """Let the quantities (float64 [quantities]) change over some time; where they can't be followed, note the step."""
    if failed:
        return
    if len(rates):
        values[:], _, followed = _followed(_rates(flows, rates, modulators), values.tolist(), float(minutes))
        if not followed:
            failed[...] = step_number
            return
    body[: len(values)] = np.where(values > 0.0, values, 0.0).astype(np.float32)


def foresee(
    values: np.ndarray,
    failed: np.ndarray,
    mean: np.ndarray,
    flows: np.ndarray,
    rates: np.ndarray,
    modulators: np.ndarray,
    minutes: float,
) -> None:
    """What the quantities (float64 [quantities]) will be on average over some time by their own processes."""
    found = np.where(values > 0.0, values, 0.0)
    if len(rates) and not failed:
        _, integral, followed = _followed(_rates(flows, rates, modulators), values.tolist(), float(minutes))
        if followed:
            found = np.array(integral) / minutes
    mean[: len(values)] = found.astype(np.float32)


def _followed(rates: Rates, values: Values, minutes: float) -> tuple[Values, Values, bool]:
    """The quantities after some time, their integral as they are seen, and whether they could be followed."""
    integral = [0.0] * len(values)
    left = step = minutes
    while left > 0.0:
        step, slopes = min(step, left), rates(values)
        whole = _runge_kutta(rates, values, slopes, step)
        for _ in range(_MOST_HALVINGS):
            half = _runge_kutta(rates, values, slopes, step / 2)
            halves = _runge_kutta(rates, half, rates(half), step / 2)
            if _close(whole, halves, values):
                break
            whole = half
            step /= 2
        else:
            return values, integral, False
        parts = zip(integral, values, half, halves, strict=True)
        integral = [i + step * (_seen(v) + 4.0 * _seen(m) + _seen(e)) / 6.0 for i, v, m, e in parts]
        values = halves
        left -= step
        step *= 2
    return values, integral, True


def _seen(value: float) -> float:
    return value if value > 0.0 else 0.0


def _runge_kutta(rates: Rates, values: Values, a: Values, step: float) -> Values:
    """A step from `values`, whose rates are `a`."""
    b = rates(_moved(values, a, step / 2))
    c = rates(_moved(values, b, step / 2))
    d = rates(_moved(values, c, step))
    slopes = zip(values, a, b, c, d, strict=True)
    return [v + step * (ka + 2.0 * kb + 2.0 * kc + kd) / 6.0 for v, ka, kb, kc, kd in slopes]


def _rates(flows: np.ndarray, constants: np.ndarray, modulators: np.ndarray) -> Rates:
    processes = [
        (leaves, enters, by, rate, [_factor(row) for row in modulators[first:end]])
        for (leaves, enters, by, first, end), rate in zip(flows.tolist(), constants.tolist(), strict=True)
    ]

    def rates(values: Values) -> Values:
        seen = [_seen(v) for v in values]
        found = [0.0] * len(values)
        for leaves, enters, by, rate, factors in processes:
            flow = rate if by < 0 else rate * seen[by]
            sums = Sums()
            for look in factors:
                flow *= look(seen, sums)
            if leaves >= 0:
                found[leaves] -= flow
            if enters >= 0:
                found[enters] += flow
        return found

    return rates


def _factor(row: np.void) -> Callable[[Sequence[float], Sums], float]:
    """A row of the table of modulators that looks at the body, in float64."""
    index = int(row["index"])
    nothing = row["source"] == Source.NOTHING
    return lambda values, sums: float(factor(row, np.float64(0.0 if nothing else values[index]), sums))


def _moved(values: Values, rates: Values, step: float) -> Values:
    return [v + step * k for v, k in zip(values, rates, strict=True)]


def _close(first: Values, second: Values, start: Values) -> bool:
    return all(
        abs(b) < math.inf and abs(a - b) <= ABSOLUTE_ERROR + RELATIVE_ERROR * max(abs(b), abs(s))
        for a, b, s in zip(first, second, start, strict=True)
    )
