"""A simulation: sites, the body that joins them, and the schedule of a step."""

import hashlib
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any

import numpy as np

from gpusim import units
from gpusim.backends import create
from gpusim.backends.base import Backend
from gpusim.body import Circulation
from gpusim.engine import memory
from gpusim.engine.site import Site
from gpusim.errors import ScenarioError
from gpusim.model import Model, build
from gpusim.model.steps import whole
from gpusim.plottable import Plottable
from gpusim.scenario import Scenario


class Simulation(Plottable):
    """A running scenario.

        sim = gpusim.Simulation(gpusim.Scenario.load("cold-to-hot"), backend="cpu")
        sim.run(until="12 h")
        virus = sim.field("virus")  # float32 [z, y, x]

    Args:
        scenario: what to run; or its name or file.
        backend: "auto", "cuda", "cpu" or "numpy".
        threads: of the cpu backend; all cores by default. The result does not depend on it.
        seed: instead of the scenario's.

    Attributes:
        sites: by name. What is asked of the simulation itself (`field`, `tissue`, `model`) is that of
            the first, which mostly is the only one; `counts`, `fired` and `totals` are sums over all.

    Raises `ScenarioError` or `BackendError`.
    """

    def __init__(
        self,
        scenario: Scenario | str,
        backend: str | Backend = "auto",
        *,
        threads: int | None = None,
        seed: int | None = None,
    ) -> None:
        loaded = Scenario.load(scenario) if isinstance(scenario, str) else scenario
        self.scenario = loaded if seed is None else loaded.with_(seed=seed)
        self.models: dict[str, Model] = {name: build(self.scenario.site(name)) for name in self.scenario.sites}
        self.backend: Backend = create(backend, threads) if isinstance(backend, str) else backend
        self.steps = 0
        memory.require(list(self.models.values()), self.backend)
        self.sites = {name: Site(name, model, self.backend) for name, model in self.models.items()}
        self._circulation = Circulation(self.model.body)
        # In the order of their names, so that sums do not depend on that of the scenario.
        self._sorted = [self.sites[name] for name in sorted(self.sites)]
        self._counted = {site.name: _tallied(site) for site in self._sorted}
        self._show_body()
        self.seconds = 0.0

    def __enter__(self) -> "Simulation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back the backend's threads and memory."""
        self.backend.close()

    @property
    def site(self) -> Site:
        """The first site."""
        return next(iter(self.sites.values()))

    @property
    def model(self) -> Model:
        """Numbers of the first site; those of steps and body are the same in all."""
        return self.site.model

    # Time

    @property
    def minutes(self) -> float:
        """Simulated time, min."""
        return self.steps * self.model.step

    def step(self, count: int = 1) -> None:
        """Take `count` steps: doses due, transport and exchange, moves, then rules and body when theirs is due."""
        begun = time.perf_counter()
        every = self.model.rules_every
        for _ in range(count):
            self._infuse()
            for site in self._sorted:
                site.treat(self.steps)
                site.transport_and_move(self.steps)
            self.steps += 1
            if self.steps % every == 0:
                for site in self._sorted:
                    site.apply_rules(self.steps // every)
                self._circulate()
        self.seconds += time.perf_counter() - begun

    def run(self, until: str | None = None) -> None:
        """Run until a simulated time ("12 h"), or the scenario's own end.

        Raises `NumericalError` where a concentration goes wrong.
        """
        for _ in self.stretches(until):
            self.check()

    def stretches(self, until: str | None = None, *, at_most: int | None = None) -> Iterator[int]:
        """Run from one application of the rules to the next, or by `at_most` steps where that is less.

        Yields the steps taken so far.
        """
        end = self.steps_until(until) if until is not None else self.model.until
        every = self.model.rules_every
        while self.steps < end:
            self.step(min(every - self.steps % every, end - self.steps, at_most or every))
            yield self.steps

    def steps_until(self, until: str) -> int:
        """Steps from time 0 to a time such as "12 h". Raises `ScenarioError` where there is no such step."""
        try:
            minutes = units.number(until, "min")
        except units.UnitError as error:
            raise ScenarioError(f"until: {until!r} {error}") from None
        return whole(minutes, self.model.step, "until")

    def _infuse(self) -> None:
        """Give the infusions that are due."""
        due = [infusion for infusion in self.model.infusions if infusion.step == self.steps]
        for infusion in due:
            self._circulation.values[infusion.quantity] += infusion.amount
        if due:
            self._show_body()

    def _circulate(self) -> None:
        """Pass cells to and from the body, and let its own time go on."""
        if not self.model.body.names:
            return
        for site in self._sorted:
            before, now = self._counted[site.name], _tallied(site)
            rules = len(site.model.cells.rules)
            self._circulation.exchange(site.model.body, *np.split(now - before, [rules]))
            self._counted[site.name] = now
        self._circulation.advance(self.model.rules_every * self.model.step)
        self._show_body()

    def _show_body(self) -> None:
        """Let the cells see the body's present quantities."""
        if self.model.body.names:
            seen = np.maximum(self._circulation.values, 0.0).astype(np.float32)
            for site in self._sorted:
                site.show_body(seen)

    # Going on later

    @property
    def numbers(self) -> dict[str, float]:
        """The small numbers that a checkpoint keeps beside the arrays."""
        return {"steps": self.steps, "seconds": self.seconds}

    def arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        """Copies of the arrays that a checkpoint keeps, by name, one at a time."""
        for site in self._sorted:
            for name, array in site.arrays():
                yield f"{site.name}.{name}", array
        yield from self._off_grid.items()

    @property
    def _off_grid(self) -> dict[str, np.ndarray]:
        """What changes and is not on the backend."""
        counted = {f"{name}.counted": counted for name, counted in self._counted.items()}
        placed = {f"{name}.placed": site.placed for name, site in self.sites.items()}
        return {"circulation": self._circulation.values, **counted, **placed}

    def restore(self, numbers: Mapping[str, float], arrays: Mapping[str, np.ndarray]) -> None:
        """Go back to a state of this scenario, as `numbers` and `arrays` gave it; then go on bit for bit.

        Raises `ValueError` where they are not those of this scenario, and changes nothing.
        """
        on_grid = {f"{site.name}.{name}": array for site in self._sorted for name, array in site.state.kept.items()}
        here = {**on_grid, **self._off_grid}
        for name in here.keys() | arrays.keys():
            own, given = here.get(name), arrays.get(name)
            if own is None or given is None or own.shape != given.shape or own.dtype != given.dtype:
                raise ValueError(f"array '{name}' is not one of this scenario's state")
        self.steps, self.seconds = int(numbers["steps"]), float(numbers["seconds"])
        for site in self._sorted:
            site.restore({name: arrays[f"{site.name}.{name}"] for name in (*site.state.kept, "placed")})
            self._counted[site.name] = arrays[f"{site.name}.counted"].copy()
        self._circulation.values = arrays["circulation"].copy()

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
    def fired(self) -> dict[str, int]:
        """How often each rule has fired since the start, at all sites."""
        totals = _sums([site.fired for site in self._sorted])
        return {name: totals[name] for name in self.scenario.document.rules}

    @property
    def counts(self) -> dict[str, int]:
        """Cells in each state at all sites (`empty` and `none` counted too)."""
        return _sums([site.counts for site in self._sorted])

    @property
    def body(self) -> dict[str, float]:
        """Quantities of the body, in their own units."""
        return dict(zip(self.model.body.names, map(float, self._circulation.values), strict=True))

    def count(self, state: str) -> int:
        """Cells in one state. Raises `KeyError`."""
        return self.counts[state]

    def totals(self) -> dict[str, float]:
        """Sum of each field over all voxels of all sites, exact to 2^-32 of its unit at each.

        Raises `NumericalError` where a concentration is negative, not a number or above 1e15.
        """
        return _sums([site.totals(self.steps) for site in self._sorted])

    def check(self) -> None:
        """Raise `NumericalError` where a concentration has gone wrong."""
        self.totals()

    def digest(self) -> str:
        """SHA-256 over every field, both cell layers, the body and the step count: equal for equal trajectories."""
        layers = (itertools.chain(map(s.field, s.model.fields.names), (s.tissue, s.immune)) for s in self._sorted)
        return digest(itertools.chain.from_iterable(layers), self._circulation.values, self.steps)


def _tallied(site: Site) -> np.ndarray:
    """Firings and flows of a site since the start: int64 [rules + effects]."""
    return np.concatenate([site.fired_rows(), site.flowed_rows()])


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
