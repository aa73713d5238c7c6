"""Python twin of kernels/body.cu: the same operations in the same order, in float64."""

import math
from collections.abc import Callable, Sequence
from functools import partial

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

_MOST_HALVINGS = 45
_MOST_STEPS = 1_000_000

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
    brought: np.ndarray,
) -> None:
    """Add what a site has moved since the last call to what is brought to the quantities (float64 [quantities])."""
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
            brought[quantity] += amount * counted[kind][row]
    given_fired[:], given_flowed[:], given_carried[:] = fired, flowed, carried


def _came(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The difference of two counts in two's complement, float64."""
    return (now - before).view(np.int64).astype(float)


def circulate(
    mean: np.ndarray,
    values: np.ndarray,
    brought: np.ndarray,
    supply: np.ndarray,
    failed: np.ndarray,
    flows: np.ndarray,
    rates: np.ndarray,
    modulators: np.ndarray,
    minutes: float,
    step_number: int,
) -> None:
    """Have the quantities (float64 [quantities]) after a rule step; where they can't be followed, note the step.

    In this step, tissue has brought some, at a constant rate, and taken some, in proportion to the course that was
    foreseen. What it has taken beyond this course remains as a debt.
    """
    if failed:
        return
    start, net, most = values.tolist(), brought.tolist(), mean[: len(values)].tolist()
    own = _Own(flows, rates, modulators)
    foreseen = _foreseen_supply(own, start, supply.tolist())
    supply[:] = brought / minutes
    arriving = [_seen(each) for each in supply.tolist()]
    share = [_share(n, m) / minutes for n, m in zip(net, most, strict=True)]
    now, taken = start, [0.0] * len(start)
    if len(rates):
        equations: Rates = partial(own, supply=arriving)
        first, scales = start, _moved_in(flows, supply.tolist(), minutes)
        if any(n < 0.0 < m for n, m in zip(net, most, strict=True)):
            equations, first = _in_three_parts(own, arriving, foreseen, share), start + start + taken
            scales += _moved_in(flows, foreseen, minutes) + [abs(each) * minutes for each in supply.tolist()]
        parts, _, followed = _followed(equations, first, scales, float(minutes))
        if not followed:
            failed[...] = step_number
            return
        now = parts[: len(start)]
        taken = parts[2 * len(start) :] or taken
    paid = [v - (-n - t if n < 0.0 else 0.0) for v, n, t in zip(now, net, taken, strict=True)]
    in_a_process = np.isin(np.arange(len(values)), [flows["leaves"], flows["enters"]])
    values[:] = np.where(in_a_process, paid, values + brought)
    brought[:] = 0.0


def _share(net: float, most: float) -> float:
    """The share of a quantity that tissue takes within a rule step, 1 where it takes more than was foreseen."""
    return min(-net / most, 1.0) if net < 0.0 < most else 0.0


def foresee(
    values: np.ndarray,
    supply: np.ndarray,
    failed: np.ndarray,
    mean: np.ndarray,
    flows: np.ndarray,
    rates: np.ndarray,
    modulators: np.ndarray,
    minutes: float,
) -> None:
    """What the quantities (float64 [quantities]) will be on average over a rule step.

    What tissue supplied in the last step is foreseen as far as it balances the processes.
    """
    found = np.where(values > 0.0, values, 0.0)
    if len(rates) and not failed:
        own, now = _Own(flows, rates, modulators), values.tolist()
        foreseen = _foreseen_supply(own, now, supply.tolist())
        scales = _moved_in(flows, foreseen, minutes)
        _, integral, followed = _followed(partial(own, supply=foreseen), now, scales, float(minutes))
        if followed:
            found = np.array(integral) / minutes
    mean[: len(values)] = found.astype(np.float32)


def _foreseen_supply(own: "_Own", values: Values, supply: Values) -> Values:
    """What is foreseen of a supply: as far as it balances the processes at the beginning of the step."""
    return list(map(_balancing, supply, own(values, [0.0] * len(values))))


def _balancing(supply: float, own: float) -> float:
    """The part of a supply that balances what the processes do to a quantity."""
    if supply > 0.0 and own < 0.0:
        return min(supply, -own)
    if supply < 0.0 and own > 0.0:
        return max(supply, -own)
    return 0.0


def _followed(rates: Rates, values: Values, moved: Values, minutes: float) -> tuple[Values, Values, bool]:
    """The values after some time, their integral as they are seen, and whether they could be followed.

    Args:
        rates: of the values.
        values: at first.
        moved: what tissue moves into or out of them, the scale of their errors.
        minutes: the time.
    """
    integral = [0.0] * len(values)
    left = step = minutes
    for _ in range(_MOST_STEPS):
        if not left > 0.0:
            return values, integral, True
        step, slopes = min(step, left), rates(values)
        whole = _runge_kutta(rates, values, slopes, step)
        for _ in range(_MOST_HALVINGS):
            half = _runge_kutta(rates, values, slopes, step / 2)
            halves = _runge_kutta(rates, half, rates(half), step / 2)
            if _close(whole, halves, values, moved):
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
    return values, integral, not left > 0.0


def _moved_in(flows: np.ndarray, supply: Values, minutes: float) -> Values:
    """What tissue moves into or out of quantities in some time, or of what flows into them."""
    moved = [abs(each) * minutes for each in supply]
    for leaves, enters, *_ in flows.tolist():
        if leaves >= 0 and enters >= 0:
            moved[enters] = max(moved[enters], moved[leaves])
    return moved


def _seen(value: float) -> float:
    return value if value > 0.0 else 0.0


def _runge_kutta(rates: Rates, values: Values, a: Values, step: float) -> Values:
    """A step from `values`, whose rates are `a`."""
    b = rates(_moved(values, a, step / 2))
    c = rates(_moved(values, b, step / 2))
    d = rates(_moved(values, c, step))
    slopes = zip(values, a, b, c, d, strict=True)
    return [v + step * (ka + 2.0 * kb + 2.0 * kc + kd) / 6.0 for v, ka, kb, kc, kd in slopes]


class _Own:
    """How fast the processes, and a constant supply, change the quantities of a body."""

    def __init__(self, flows: np.ndarray, constants: np.ndarray, modulators: np.ndarray) -> None:
        self._processes = [
            (leaves, enters, by, rate, [_factor(row) for row in modulators[first:end]])
            for (leaves, enters, by, first, end), rate in zip(flows.tolist(), constants.tolist(), strict=True)
        ]

    def __call__(self, values: Values, supply: Values) -> Values:
        seen = [_seen(v) for v in values]
        found = supply.copy()
        for leaves, enters, by, rate, factors in self._processes:
            flow = rate if by < 0 else rate * seen[by]
            sums = Sums()
            for look in factors:
                flow *= look(seen, sums)
            if leaves >= 0:
                found[leaves] -= flow
            if enters >= 0:
                found[enters] += flow
        return found


def _in_three_parts(own: _Own, arriving: Values, foreseen: Values, share: Values) -> Rates:
    """The rates of the quantities, of the course that was foreseen, and of what tissue has taken."""
    count = len(arriving)

    def rates(parts: Values) -> Values:
        taken = [s * _seen(v) for s, v in zip(share, parts[count : 2 * count], strict=True)]
        supply = [a - t for a, t in zip(arriving, taken, strict=True)]
        return own(parts[:count], supply) + own(parts[count : 2 * count], foreseen) + taken

    return rates


def _factor(row: np.void) -> Callable[[Sequence[float], Sums], float]:
    """A row of the table of modulators that looks at the body, in float64."""
    index = int(row["index"])
    nothing = row["source"] == Source.NOTHING
    return lambda values, sums: float(factor(row, np.float64(0.0 if nothing else values[index]), sums))


def _moved(values: Values, rates: Values, step: float) -> Values:
    return [v + step * k for v, k in zip(values, rates, strict=True)]


def _close(first: Values, second: Values, start: Values, moved: Values) -> bool:
    return all(
        abs(b) < math.inf and abs(a - b) <= ABSOLUTE_ERROR + RELATIVE_ERROR * max(abs(b), abs(s), t)
        for a, b, s, t in zip(first, second, start, moved, strict=True)
    )
