"""A simulation: a model, a backend, a state, and the schedule of a step."""

import enum
import hashlib
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType

import numpy as np

from gpusim import units
from gpusim.backends import create
from gpusim.backends.base import Array, Backend, CellLayer, CellTables, Draw, Surroundings
from gpusim.body import Circulation
from gpusim.engine import memory
from gpusim.engine.faults import largest_source
from gpusim.engine.state import State, mobile
from gpusim.engine.transport import Transport
from gpusim.errors import NumericalError, ScenarioError
from gpusim.model import Dose, Model, build
from gpusim.model.steps import whole
from gpusim.scenario import Scenario


class Purpose(enum.IntEnum):
    """What random numbers are for; each purpose has its own."""

    TISSUE_RULES = 0
    IMMUNE_RULES = 1
    TISSUE_MOTION = 2
    IMMUNE_MOTION = 3


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
        memory.require(self.model, self.backend)
        self._state = State.start(self.model, self.backend)
        self._transport = Transport(self.model, self.backend)
        cells = self.model.cells
        self._tables = CellTables(
            **{name: self.backend.array(getattr(cells, name)) for name in CellTables.__dataclass_fields__}
        )
        self._initial_counts = self.model.initial.counts(len(self.model.states.names))
        self._mobile = mobile(self.model)
        self._acting = self._layers_with_rules()
        self._neighbourhoods = [(self.backend.array(row["states"]), int(row["reach"])) for row in cells.neighbourhoods]
        self._counts_for = self._counts_by_purpose()
        self._circulation = Circulation(self.model.body)
        self._counted = np.zeros(len(cells.rules), np.int64)
        self._show_body()
        self._doses = self._on_backend(self.model.doses)
        self.seconds = 0.0

    def _on_backend(self, doses: Iterable[Dose]) -> list[tuple[Dose, Array, Array]]:
        """Voxels and amounts of each dose; those of a repeated dose are one."""
        arrays = {id(a): a for dose in doses for a in (dose.voxels, dose.amounts)}
        copies = {key: self.backend.array(a) for key, a in arrays.items()}
        return [(dose, copies[id(dose.voxels)], copies[id(dose.amounts)]) for dose in doses]

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
        """Take `count` steps: doses due, transport and exchange, moves, then rules and body when theirs is due."""
        begun = time.perf_counter()
        state, model = self._state, self.model
        for _ in range(count):
            self._treat()
            self._transport.advance(state)
            for move in range(model.cells.moves):
                self._move(self.steps * model.cells.moves + move)
            self.steps += 1
            if self.steps % model.rules_every == 0:
                self._apply_rules(self.steps // model.rules_every)
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

    def _treat(self) -> None:
        """Give the doses that are due."""
        for dose, voxels, amounts in self._doses:
            if dose.step == self.steps:
                self.backend.deposit(self._state.fields[dose.field], voxels, amounts)
        due = [infusion for infusion in self.model.infusions if infusion.step == self.steps]
        for infusion in due:
            self._circulation.values[infusion.quantity] += infusion.amount
        if due:
            self._show_body()

    def _around(self, other: CellLayer) -> Surroundings:
        state = self._state
        return Surroundings(other.cells, state.counts, state.body, self._tables)

    def _counts_by_purpose(self) -> dict[Purpose, list[int]]:
        """Neighbourhoods that each operation on cells looks at."""
        cells, none = self.model.cells, self.model.states.none

        def rows(states: slice) -> list[np.void]:
            by_state = ((cells.rules, cells.rule_begin), (cells.effects, cells.effect_begin))
            found = [table[begin[states.start] : begin[states.stop]] for table, begin in by_state]
            return [row for part in found for row in part]

        tissue, immune = slice(0, none), slice(none, len(self.model.states.names))
        return {
            Purpose.TISSUE_RULES: cells.counts_for(rows(tissue)),
            Purpose.IMMUNE_RULES: cells.counts_for(rows(immune)),
            Purpose.TISSUE_MOTION: cells.counts_for(cells.motilities[tissue]),
            Purpose.IMMUNE_MOTION: cells.counts_for(cells.motilities[immune]),
        }

    def _count_neighbours(self, own: CellLayer, other: CellLayer, purpose: Purpose) -> None:
        state = self._state
        for i in self._counts_for[purpose]:
            states, reach = self._neighbourhoods[i]
            self.backend.count_neighbours(own.cells, other.cells, states, reach, state.members, state.counts[i])

    def _move(self, number: int) -> None:
        state = self._state
        for layer, other, moves, purpose in (
            (state.tissue, state.immune, self._mobile[0], Purpose.TISSUE_MOTION),
            (state.immune, state.tissue, self._mobile[1], Purpose.IMMUNE_MOTION),
        ):
            if moves:
                draw = Draw(self.model.seed, number, purpose)
                self._count_neighbours(layer, other, purpose)
                self.backend.propose_moves(layer, state.bid, self._around(other), state.fields, draw)
                self.backend.move(layer, state.bid)

    def _layers_with_rules(self) -> tuple[bool, bool]:
        """Whether cells of the tissue and of the immune layer do anything at all."""
        cells, none = self.model.cells, self.model.states.none
        acting = (np.diff(cells.rule_begin) > 0) | (np.diff(cells.effect_begin) > 0)
        return bool(acting[:none].any()), bool(acting[none:].any())

    def _apply_rules(self, number: int) -> None:
        state = self._state
        for layer, other, acts, purpose in (
            (state.tissue, state.immune, self._acting[0], Purpose.TISSUE_RULES),
            (state.immune, state.tissue, self._acting[1], Purpose.IMMUNE_RULES),
        ):
            if acts:
                draw = Draw(self.model.seed, number, purpose)
                self._count_neighbours(layer, other, purpose)
                self.backend.apply_rules(layer, state.next, self._around(other), state.fields, state.fired, draw)
                layer.cells, state.next = state.next, layer.cells

    def _circulate(self) -> None:
        """Pass cells to and from the body, and let its own time go on."""
        if not self.model.body.names:
            return
        fired = self._fired()
        self._circulation.exchange(fired - self._counted)
        self._counted = fired
        self._circulation.advance(self.model.rules_every * self.model.step)
        self._show_body()

    def _show_body(self) -> None:
        """Let the cells see the body's present quantities."""
        if self.model.body.names:
            self.backend.write(self._state.body, np.maximum(self._circulation.values, 0.0).astype(np.float32))

    # Going on later

    @property
    def numbers(self) -> dict[str, float]:
        """The small numbers that a checkpoint keeps beside the arrays."""
        return {"steps": self.steps, "seconds": self.seconds}

    def arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        """Copies of the arrays that a checkpoint keeps, by name, one at a time."""
        for name, array in self._state.kept.items():
            yield name, self.backend.to_numpy(array)
        yield from self._off_grid.items()

    @property
    def _off_grid(self) -> dict[str, np.ndarray]:
        """What changes and is not on the backend."""
        return {"circulation": self._circulation.values, "counted": self._counted}

    def restore(self, numbers: Mapping[str, float], arrays: Mapping[str, np.ndarray]) -> None:
        """Go back to a state of this scenario, as `numbers` and `arrays` gave it; then go on bit for bit.

        Raises `ValueError` where they are not those of this scenario, and changes nothing.
        """
        on_grid = self._state.kept
        here = {**on_grid, **self._off_grid}
        for name in here.keys() | arrays.keys():
            own, given = here.get(name), arrays.get(name)
            if own is None or given is None or own.shape != given.shape or own.dtype != given.dtype:
                raise ValueError(f"array '{name}' is not one of this scenario's state")
        self.steps, self.seconds = int(numbers["steps"]), float(numbers["seconds"])
        for name in on_grid:
            self._state.replace(name, self.backend.array(arrays[name]))
        self._circulation.values = arrays["circulation"].copy()
        self._counted = arrays["counted"].copy()

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
        return self.backend.to_numpy(self._state.tissue.cells)

    @property
    def immune(self) -> np.ndarray:
        """A copy of the mobile cells: uint8 [z, y, x], numbers of `model.states.names`."""
        return self.backend.to_numpy(self._state.immune.cells)

    def _fired(self) -> np.ndarray:
        """Firings since the start, int64 [rules], by row of the table of rules."""
        return self.backend.to_numpy(self._state.fired)[: len(self.model.cells.rules)].astype(np.int64)

    @property
    def fired(self) -> dict[str, int]:
        """How often each rule has fired since the start."""
        totals = dict.fromkeys(self.scenario.document.rules, 0)
        for name, count in zip(self.model.cells.rule_names, self._fired(), strict=True):
            totals[name] += int(count)
        return totals

    @property
    def counts(self) -> dict[str, int]:
        """Cells in each state (`empty` and `none` counted too): those at the start, and what rules have done since."""
        model = self.model
        totals = self._initial_counts.copy()
        fired = self._fired()
        np.add.at(totals, model.cells.rules["to"], fired)
        np.subtract.at(totals, model.cells.leaves, fired)
        return dict(zip(model.states.names, map(int, totals), strict=True))

    @property
    def body(self) -> dict[str, float]:
        """Quantities of the body, in their own units."""
        return dict(zip(self.model.body.names, map(float, self._circulation.values), strict=True))

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
                cells = (self.model.states.names[int(layer[z, y, x])] for layer in (self.tissue, self.immune))
                raise NumericalError(
                    f"field '{name}' at voxel x={x}, y={y}, z={z} ({' and '.join(cells)}) is "
                    f"{self.field(name)[z, y, x]:g} {self.model.fields.units[f]} at {self.minutes:g} min (step "
                    f"{self.steps}); expected a number from 0 to 1e15. Its largest source so far is "
                    + largest_source(self.model, f, self.fired, self.steps)
                )
        return {
            name: float(sums.whole[f]) + float(sums.fraction[f]) * 2.0**-32
            for f, name in enumerate(self.model.fields.names)
        }

    def check(self) -> None:
        """Raise `NumericalError` where a concentration has gone wrong."""
        self.totals()

    def digest(self) -> str:
        """SHA-256 over every field, both cell layers, the body and the step count: equal for equal trajectories."""
        fields = map(self.field, self.model.fields.names)
        return digest(fields, self.tissue, self.immune, self._circulation.values, self.steps)


def digest(fields: Iterable[np.ndarray], tissue: np.ndarray, immune: np.ndarray, body: np.ndarray, steps: int) -> str:
    """SHA-256 of a state; arrays in C order, little-endian."""
    sha = hashlib.sha256()
    for array in itertools.chain(fields, (tissue, immune, body)):
        sha.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    sha.update(steps.to_bytes(8, "little"))
    return sha.hexdigest()
