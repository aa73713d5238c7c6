"""What a case is made of: a machine to run on, and findings, numbers held against theory."""

import enum
import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gpusim.engine import Simulation
from gpusim.scenario import Scenario


@dataclass(frozen=True)
class Machine:
    """The backend under test, and its threads."""

    backend: str
    threads: int | None = None

    def simulate(self, text: str, seed: int | None = None) -> Simulation:
        """A simulation of a scenario in YAML. Raises `ScenarioError` or `BackendError`."""
        return Simulation(Scenario.parse(textwrap.dedent(text)), self.backend, threads=self.threads, seed=seed)


@dataclass(frozen=True)
class Finding:
    """One number: what theory says, what was found, and the bounds that it must keep.

    Attributes:
        what: the number, with its unit.
        low, high: follow from the order of the scheme or the size of the sample, as the case says.
        order: measured order of convergence that is farthest from `theory`, in a refinement.
        theory: the scheme's order.
        leeway: how far an order may be from it.
    """

    what: str
    expected: float
    found: float
    low: float
    high: float
    order: float | None = None
    theory: int = 0
    leeway: float = 0.15

    @property
    def error(self) -> float:
        """Found less expected."""
        return self.found - self.expected

    @property
    def good(self) -> bool:
        """Whether found and order are within their bounds; NaN is not."""
        in_order = self.order is None or abs(self.order - self.theory) <= self.leeway
        return self.low <= self.found <= self.high and in_order


def near(what: str, expected: float, found: float, *, relative: float = 0.0, absolute: float = 0.0) -> Finding:
    """A number that may differ by so much, up or down."""
    room = absolute + relative * abs(expected)
    return Finding(what, float(expected), float(found), float(expected - room), float(expected + room))


def at_most(what: str, limit: float, found: float) -> Finding:
    """A number from 0 to a limit, such as a largest error."""
    return Finding(what, 0.0, float(found), 0.0, float(limit))


def refinement(what: str, expected: Sequence[float], found: Sequence[float], order: int, leeway: float) -> Finding:
    """The same number at sizes that are halved each time; errors must fall by the order."""
    errors = np.abs(np.asarray(found, float) - np.asarray(expected, float))
    with np.errstate(all="ignore"):
        orders = np.log2(errors[:-1] / errors[1:])
    worst = float(orders[np.argmax(np.abs(orders - order))])
    coarsest = float(errors[0])
    return Finding(
        what,
        float(expected[-1]),
        float(found[-1]),
        float(expected[-1]) - coarsest,
        float(expected[-1]) + coarsest,
        order=worst if math.isfinite(worst) else math.nan,
        theory=order,
        leeway=leeway,
    )


class Extent(enum.IntEnum):
    """How much of a machine is verified; each includes those before it."""

    QUICK = 0
    """Cases that take about a second each on the cpu backend."""
    USUAL = 1
    """A minute on a GPU, and on the cores of a usual machine."""
    FULL = 2
    """All; of what it adds, most of the time is NumPy's."""


@dataclass(frozen=True)
class Case:
    """A problem with a known solution.

    Attributes:
        name: short, for a table.
        run: yields its findings on a machine.
        extent: of the verification that it belongs to.
        of_kernels: holds a backend against NumPy, and so says nothing of NumPy itself.
    """

    name: str
    run: Callable[[Machine], Iterator[Finding]]
    extent: Extent = Extent.QUICK
    of_kernels: bool = False


def begin_with(simulation: Simulation, **fields: np.ndarray | float) -> None:
    """Replace concentrations, float [z, y, x] (or what broadcasts to it), by name of the field."""
    arrays = dict(simulation.arrays())
    concentrations = arrays[f"{simulation.site.name}.fields"]
    for name, values in fields.items():
        concentrations[simulation.model.fields.names.index(name)] = values
    simulation.restore(simulation.numbers, arrays)
