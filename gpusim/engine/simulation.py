"""A simulation: a model, a backend, a state, and the schedule of a step."""

import enum
import hashlib
import time
from collections.abc import Iterable, Iterator
from types import TracebackType

import numpy as np

from gpusim import units
from gpusim.backends import create
from gpusim.backends.base import Array, Backend, Draw, RuleTables
from gpusim.engine.state import State
from gpusim.engine.transport import Transport
from gpusim.errors import NumericalError, ScenarioError
from gpusim.model import Model, build
from gpusim.model.steps import whole
from gpusim.scenario import Scenario


class Purpose(enum.IntEnum):
    """What random numbers are for; each purpose has its own."""

    TISSUE_RULES = 0
    IMMUNE_RULES = 1


class Simulation:
    """A running scenario.

        sim = gpusim.Simulation(gpusim.Scenario.load("cold-to-hot"), backend="cpu")
        sim.run(until="12 h")
        virus = sim.field("virus")  # float32 [z, y, x]

    Args:
        scenario: what to run; or its name or file.
        backend: "auto", "cuda", "cpu" or "numpy".
        threads: of the cpu backend; all cores by default. The result does not depend on it.
        seed: instead of the scenario's.

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
        self.model: Model = build(self.scenario)
        self.backend: Backend = create(backend, threads) if isinstance(backend, str) else backend
        self.steps = 0
        self._state = State.start(self.model, self.backend)
        self._transport = Transport(self.model, self.backend)
        rules = self.model.rules
        self._rules = RuleTables(*map(self.backend.array, (rules.rules, rules.begin, rules.modulators, rules.releases)))
        self._doses = [
            (dose, self.backend.array(dose.voxels), self.backend.array(dose.amounts)) for dose in self.model.doses
        ]
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

    # Time

    @property
    def minutes(self) -> float:
        """Simulated time, min."""
        return self.steps * self.model.step

    def step(self, count: int = 1) -> None:
        """Take `count` steps: doses due, transport and exchange, then the rules when theirs is due."""
        begun = time.perf_counter()
        state, model = self._state, self.model
        for _ in range(count):
            for dose, voxels, amounts in self._doses:
                if dose.step == self.steps:
                    self.backend.deposit(state.fields[dose.field], voxels, amounts)
            self._transport.advance(state)
            self.steps += 1
            if self.steps % model.rules_every == 0:
                self._apply_rules(self.steps // model.rules_every)
        self.seconds += time.perf_counter() - begun

    def run(self, until: str | None = None) -> None:
        """Run until a simulated time ("12 h"), or the scenario's own end.

        Raises `NumericalError` where a concentration goes wrong.
        """
        for _ in self.stretches(until):
            self.check()

    def stretches(self, until: str | None = None) -> Iterator[int]:
        """Run from one application of the rules to the next; yields the steps taken so far."""
        end = self.steps_until(until) if until is not None else self.model.until
        while self.steps < end:
            self.step(min(self.model.rules_every - self.steps % self.model.rules_every, end - self.steps))
            yield self.steps

    def steps_until(self, until: str) -> int:
        """Steps from time 0 to a time such as "12 h". Raises `ScenarioError` where there is no such step."""
        try:
            minutes = units.number(until, "min")
        except units.UnitError as error:
            raise ScenarioError(f"until: {until!r} {error}") from None
        return whole(minutes, self.model.step, "until")

    def _apply_rules(self, number: int) -> None:
        state, rules = self._state, self.model.rules
        if rules.has_tissue:
            self._change(
                state.tissue, state.immune, state.tissue_clock, Draw(self.model.seed, number, Purpose.TISSUE_RULES)
            )
            state.tissue, state.next = state.next, state.tissue
        if rules.has_immune:
            self._change(
                state.immune, state.tissue, state.immune_clock, Draw(self.model.seed, number, Purpose.IMMUNE_RULES)
            )
            state.immune, state.next = state.next, state.immune

    def _change(self, own: Array, other: Array, clock: Array, draw: Draw) -> None:
        """Apply the rules of one layer; its new states lie in `next`."""
        state = self._state
        self.backend.apply_rules(own, other, state.next, clock, state.fields, self._rules, state.fired, draw)

    # Looking

    @property
    def fields(self) -> dict[str, np.ndarray]:
        """All fields: float32 [z, y, x], in their own units."""
        return {name: self.field(name) for name in self.model.fields.names}

    def field(self, name: str) -> np.ndarray:
        """A copy of one field: float32 [z, y, x], in its own unit. Raises `KeyError`."""
        if name not in self.model.fields.names:
            raise KeyError(f"no field '{name}' (known: {', '.join(self.model.fields.names)})")
        return self.backend.to_numpy(self._state.fields[self.model.fields.names.index(name)])

    @property
    def tissue(self) -> np.ndarray:
        """A copy of the resident cells: uint8 [z, y, x], numbers of `model.states.names`."""
        return self.backend.to_numpy(self._state.tissue)

    @property
    def immune(self) -> np.ndarray:
        """A copy of the mobile cells: uint8 [z, y, x], numbers of `model.states.names`."""
        return self.backend.to_numpy(self._state.immune)

    @property
    def fired(self) -> dict[str, int]:
        """How often each rule has fired since the start."""
        counts = self.backend.to_numpy(self._state.fired)
        return {name: int(counts[i]) for i, name in enumerate(self.model.rules.names)}

    @property
    def counts(self) -> dict[str, int]:
        """Cells in each state (`empty` and `none` counted too)."""
        totals = np.bincount(
            np.concatenate([self.tissue.ravel(), self.immune.ravel()]), minlength=len(self.model.states.names)
        )
        return dict(zip(self.model.states.names, map(int, totals), strict=True))

    def count(self, state: str) -> int:
        """Cells in one state. Raises `KeyError`."""
        return self.counts[state]

    def totals(self) -> dict[str, float]:
        """Sum of each field over all voxels, exact to 2^-32 of its unit.

        Raises `NumericalError` where a concentration is negative, not a number or above 1e15.
        """
        sums = self.backend.sum_fields(self._state.fields)
        for f, name in enumerate(self.model.fields.names):
            if sums.fault[f] != 2**64 - 1:
                z, y, x = (int(i) for i in np.unravel_index(int(sums.fault[f]), self.model.shape))
                raise NumericalError(
                    f"field '{name}' at voxel x={x}, y={y}, z={z} is {self.field(name)[z, y, x]:g} "
                    f"{self.model.fields.units[f]} at {self.minutes:g} min (step {self.steps}); "
                    "expected 0 or more and finite. Too large a release or rate is the usual cause"
                )
        return {
            name: float(sums.whole[f]) + float(sums.fraction[f]) * 2.0**-32
            for f, name in enumerate(self.model.fields.names)
        }

    def check(self) -> None:
        """Raise `NumericalError` where a concentration has gone wrong."""
        self.totals()

    def digest(self) -> str:
        """SHA-256 over every field, both cell layers and the step count: equal for equal trajectories."""
        return digest(self.fields.values(), self.tissue, self.immune, self.steps)


def digest(fields: Iterable[np.ndarray], tissue: np.ndarray, immune: np.ndarray, steps: int) -> str:
    """SHA-256 of a state; arrays in C order, little-endian."""
    sha = hashlib.sha256()
    for array in (*fields, tissue, immune):
        sha.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    sha.update(steps.to_bytes(8, "little"))
    return sha.hexdigest()
