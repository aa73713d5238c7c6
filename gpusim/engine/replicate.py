"""One run of a simulation: to look at, to keep, to go on with."""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from gpusim import units
from gpusim.backends.base import Backend
from gpusim.body import Circulation
from gpusim.engine.clock import Clock, between_steps
from gpusim.engine.site import Site
from gpusim.errors import NumericalError, ScenarioError, StateError
from gpusim.model import Model
from gpusim.model.steps import whole
from gpusim.plottable import Plottable
from gpusim.scenario import Scenario


class Replicate(Plottable):
    """A scenario with its seed, as it stands: its sites and the body that joins them.

    Attributes:
        scenario: with the seed of this replicate.
        sites: by name. What is asked of the replicate itself (`field`, `tissue`, `model`) is that of the
            first, which mostly is the only one; `counts`, `fired` and `totals` are sums over all.
        backend: where its arrays are; `clock`: how far all replicates are.
    """

    def __init__(
        self,
        scenario: Scenario,
        sites: Mapping[str, Site],
        backend: Backend,
        clock: Clock,
        circulation: Circulation,
    ) -> None:
        self.scenario, self.sites, self.backend = scenario, sites, backend
        self.clock, self._circulation = clock, circulation
        # In the order of their names, so that sums do not depend on that of the scenario.
        self._sorted = [sites[name] for name in sorted(sites)]

    @property
    def seed(self) -> int:
        """Seed of the scenario."""
        return self.scenario.document.seed

    @property
    def site(self) -> Site:
        """The first site."""
        return next(iter(self.sites.values()))

    @property
    def models(self) -> dict[str, Model]:
        """Numbers of each site."""
        return {name: site.model for name, site in self.sites.items()}

    @property
    def model(self) -> Model:
        """Numbers of the first site; those of steps and body are the same in all."""
        return self.site.model

    # Time

    @property
    def steps(self) -> int:
        """Steps taken so far."""
        return self.clock.steps

    @property
    def minutes(self) -> float:
        """Simulated time, min."""
        return self.steps * self.model.step

    @property
    def seconds(self) -> float:
        """Time that the steps took on the clock, s; where replicates are stepped together, one's share of it."""
        return self.clock.seconds

    def steps_until(self, until: str) -> int:
        """Steps from time 0 to a time such as "12 h". Raises `ScenarioError` where there is no such step."""
        try:
            minutes = units.number(until, "min")
        except units.UnitError as error:
            raise ScenarioError(f"until: {until!r} {error}") from None
        try:
            return whole(minutes, self.model.step, "until")
        except ScenarioError as error:
            raise ScenarioError(
                f"{error}; among the scenario's times under 'time.at', a chosen step divides it"
            ) from None

    # Its body, and therapies of its own

    def treat(self) -> None:
        """Give the infusions, cut out and put in the cells that are due at the present step."""
        for infusion in self.model.infusions:
            if infusion.step == self.steps:
                self._quantities[infusion.quantity] += infusion.amount
        for site in self._sorted:
            site.operate(self.steps)

    @property
    def _quantities(self) -> np.ndarray:
        """Those of its body: float64 [quantities], in place."""
        own: np.ndarray = self._circulation.values[:, self.site.replicate]
        return own

    # Going on later

    @property
    def numbers(self) -> dict[str, float]:
        """The small numbers that a checkpoint keeps beside the arrays."""
        return {"steps": self.steps, "seconds": self.seconds}

    def arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        """Copies of the arrays that a checkpoint keeps, by name, one at a time.

        Raises `StateError` where another thread takes a step meanwhile.
        """
        steps = self.steps
        for name, array in self._copies():
            if self.steps != steps:
                raise StateError("another thread has taken a step while a checkpoint was written")
            yield name, array

    def _copies(self) -> Iterator[tuple[str, np.ndarray]]:
        for site in self._sorted:
            for name, array in site.arrays():
                yield f"{site.name}.{name}", array
        for name, array in self._off_grid.items():
            yield name, array.copy()

    @property
    def _off_grid(self) -> dict[str, np.ndarray]:
        """What changes and is not on the backend."""
        counted = {f"{site.name}.counted": site.given for site in self._sorted}
        placed = {f"{site.name}.placed": site.placed for site in self._sorted}
        return {"circulation": self._quantities, **counted, **placed}

    def restore(self, numbers: Mapping[str, float], arrays: Mapping[str, np.ndarray]) -> None:
        """Go back to a state of this scenario, as `numbers` and `arrays` gave it; then go on bit for bit.

        All replicates of a simulation have one time: they are to be restored to the same step. Raises `ValueError`
        where the arrays are not those of this scenario, and changes nothing.
        """
        self.backend.worker.do(lambda: self._restore(numbers, arrays))

    def _restore(self, numbers: Mapping[str, float], arrays: Mapping[str, np.ndarray]) -> None:
        on_grid = {f"{site.name}.{name}": array for site in self._sorted for name, array in site.kept.items()}
        here = {**on_grid, **self._off_grid}
        for name in here.keys() | arrays.keys():
            own, given = here.get(name), arrays.get(name)
            if own is None or given is None or own.shape != given.shape or own.dtype != given.dtype:
                raise ValueError(f"array '{name}' is not one of this scenario's state")
        with self.clock.changing("going back to a checkpoint", [self.site.replicate]):
            self.clock.steps, self.clock.seconds = int(numbers["steps"]), float(numbers["seconds"])
            for site in self._sorted:
                prefix = f"{site.name}."
                site.restore({n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)})
            self._quantities[:] = arrays["circulation"]

    # Looking

    @property
    def fields(self) -> dict[str, np.ndarray]:
        """All fields of the first site: float32 [z, y, x], in their own units."""
        return self.site.fields

    def field(self, name: str) -> np.ndarray:
        """A copy of one field of the first site: float32 [z, y, x], in its own unit. Raises `KeyError`."""
        return self.site.field(name)

    @property
    def tissue(self) -> np.ndarray:
        """A copy of the first site's resident cells: uint8 [z, y, x], numbers of `model.states.names`."""
        return self.site.tissue

    @property
    def immune(self) -> np.ndarray:
        """A copy of the first site's mobile cells: uint8 [z, y, x], numbers of `model.states.names`."""
        return self.site.immune

    @property
    @between_steps
    def fired(self) -> dict[str, int]:
        """How often each rule has fired since the start, at all sites."""
        totals = _sums([site.fired for site in self._sorted])
        return {name: totals[name] for name in self.scenario.document.rules}

    @property
    @between_steps
    def counts(self) -> dict[str, int]:
        """Cells in each state at all sites (`empty` and `none` counted too)."""
        return _sums([site.counts for site in self._sorted])

    @property
    @between_steps
    def body(self) -> dict[str, float]:
        """Quantities of the body, in their own units."""
        return dict(zip(self.model.body.names, map(float, self._quantities), strict=True))

    def count(self, state: str) -> int:
        """Cells in one state. Raises `KeyError`."""
        return self.counts[state]

    @between_steps
    def totals(self) -> dict[str, float]:
        """Sum of each field over all voxels of all sites, exact to 2^-32 of its unit at each.

        Raises `NumericalError` where a concentration is negative, not a number or above 1e15.
        """
        try:
            return _sums([site.totals(self.steps) for site in self._sorted])
        except NumericalError as error:
            several = len(self.site.stack.models) > 1
            raise NumericalError(f"seed {self.seed}: {error}" if several else str(error)) from None

    def check(self) -> None:
        """Raise `NumericalError` where a concentration has gone wrong."""
        self.totals()

    @between_steps
    def digest(self) -> str:
        """SHA-256 over every field, both cell layers, the body and the step count: equal for equal trajectories."""
        layers = (itertools.chain(map(s.field, s.model.fields.names), (s.tissue, s.immune)) for s in self._sorted)
        return digest(itertools.chain.from_iterable(layers), self._quantities, self.steps)


def digest(arrays: Iterable[np.ndarray], body: np.ndarray, steps: int) -> str:
    """SHA-256 of a state; arrays (fields, tissue, immune, by site in the order of names) in C order, little-endian."""
    sha = hashlib.sha256()
    for array in itertools.chain(arrays, (body,)):
        sha.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    sha.update(steps.to_bytes(8, "little"))
    return sha.hexdigest()


def _sums(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum by key."""
    return {name: sum(part[name] for part in parts) for name in parts[0]}
