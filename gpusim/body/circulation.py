"""The body's equations and their integration.

Only + - * / and comparisons in float64, in a fixed order, so that every machine gets the same bits.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from gpusim.errors import NumericalError
from gpusim.model import Body
from gpusim.model.tables import Shape

RELATIVE_ERROR = 1e-8
"""Of a quantity, in one step of the integration."""
ABSOLUTE_ERROR = 1e-10
"""In the quantity's own unit: far below a cell."""
_MOST_HALVINGS = 30

Values = list[float]


class Circulation:
    """Quantities of the body over time.

    The classical Runge-Kutta scheme of fourth order, each step held against two of half its length:
    where they differ by more than the stated errors, the step is halved.

    Attributes:
        values: float64 [quantities]. A quantity that more cells leave within a step than it holds
            goes below 0 and pays back later, so that no cell is lost or made; rates see it as 0.
    """

    def __init__(self, body: Body) -> None:
        self._body = body
        self.values = body.initial.copy()
        self._flows = [
            (p.leaves, p.enters, p.by, p.rate, [_factor(row) for row in p.modulators]) for p in body.processes
        ]

    def exchange(self, body: Body, fired: np.ndarray, flowed: np.ndarray) -> None:
        """Take in and give out what a site, to which `body` belongs, has moved since the last call.

        Args:
            fired: int64 [rules], cells. flowed: int64 [effects], units of `model.tables.FLOW_UNITS`.
        """
        for entries, counts in zip(body.moved, (fired, flowed), strict=True):
            for row, quantity, amount in entries:
                self.values[quantity] += amount * float(counts[row])

    def advance(self, minutes: float) -> None:
        """Integrate over some time. Raises `NumericalError` where the equations run away."""
        if not self._flows:
            return
        values, left, step = [float(v) for v in self.values], minutes, minutes
        while left > 0.0:
            step, slopes = min(step, left), self._rates(values)
            whole = self._runge_kutta(values, slopes, step)
            for _ in range(_MOST_HALVINGS):
                half = self._runge_kutta(values, slopes, step / 2)
                halves = self._runge_kutta(half, self._rates(half), step / 2)
                if _close(whole, halves, values):
                    break
                whole = half
                step /= 2
            else:
                raise NumericalError(
                    "the body's equations can't be followed: a process is too fast. Quantities: "
                    + ", ".join(f"{n} {v:g}" for n, v in zip(self._body.names, values, strict=True))
                )
            values = halves
            left -= step
            step *= 2
        self.values = np.array(values)

    def _runge_kutta(self, values: Values, a: Values, step: float) -> Values:
        """A step from `values`, whose rates are `a`."""
        b = self._rates(_moved(values, a, step / 2))
        c = self._rates(_moved(values, b, step / 2))
        d = self._rates(_moved(values, c, step))
        slopes = zip(values, a, b, c, d, strict=True)
        return [v + step * (ka + 2.0 * kb + 2.0 * kc + kd) / 6.0 for v, ka, kb, kc, kd in slopes]

    def _rates(self, values: Sequence[float]) -> Values:
        seen = [v if v > 0.0 else 0.0 for v in values]
        rates = [0.0] * len(values)
        for leaves, enters, by, rate, factors in self._flows:
            flow = rate if by is None else rate * seen[by]
            for factor in factors:
                flow *= factor(seen)
            if leaves is not None:
                rates[leaves] -= flow
            if enters is not None:
                rates[enters] += flow
        return rates


def _factor(row: np.void) -> Callable[[Sequence[float]], float]:
    """A row of the table of modulators that looks at the body, in float64."""
    index, scale, low, span = int(row["index"]), float(row["scale"]), float(row["low"]), float(row["span"])
    again = range(1, int(row["power"]))

    def step(values: Sequence[float]) -> float:
        return low + span if values[index] >= scale else low

    def linear(values: Sequence[float]) -> float:
        return values[index] * scale

    def hill(values: Sequence[float]) -> float:
        ratio = values[index] * scale
        raised = ratio = 1e9 if ratio > 1e9 else ratio
        for _ in again:
            raised *= ratio
        return low + span * (raised / (1.0 + raised))

    return {Shape.STEP: step, Shape.LINEAR: linear}.get(Shape(int(row["shape"])), hill)


def _moved(values: Values, rates: Values, step: float) -> Values:
    return [v + step * k for v, k in zip(values, rates, strict=True)]


def _close(first: Values, second: Values, start: Values) -> bool:
    return all(
        abs(b) < math.inf and abs(a - b) <= ABSOLUTE_ERROR + RELATIVE_ERROR * max(abs(b), abs(s))
        for a, b, s in zip(first, second, start, strict=True)
    )
