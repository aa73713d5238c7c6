"""A site: one lattice with its cells and fields, as a simulation steps it."""

import enum
import warnings
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from gpusim.backends.base import Array, Backend, CellLayer, CellTables, Draw, Surroundings
from gpusim.engine.faults import largest_source
from gpusim.engine.state import State, mobile
from gpusim.engine.transport import Transport
from gpusim.errors import NumericalError
from gpusim.model import Dose, Graft, Model, Resection


class Purpose(enum.IntEnum):
    """What random numbers are for; each purpose has its own."""

    TISSUE_RULES = 0
    IMMUNE_RULES = 1
    TISSUE_MOTION = 2
    IMMUNE_MOTION = 3


class Site:
    """One lattice, at rest between two calls.

    Attributes:
        name: as in the scenario's `sites`.
        model: its numbers.
        state: its arrays, on the backend.
        transport: its solvers.
        placed: int64 [states], cells that therapies have put in, less those that they have taken.
    """

    def __init__(self, name: str, model: Model, backend: Backend) -> None:
        self.name, self.model = name, model
        self._backend = backend
        self.state = State.start(model, backend)
        self.transport = Transport(model, backend)
        cells = model.cells
        self._tables = CellTables(
            **{table: backend.array(getattr(cells, table)) for table in CellTables.__dataclass_fields__}
        )
        self.placed = np.zeros(len(model.states.names), np.int64)
        self._initial_counts = model.initial.counts(len(model.states.names))
        self._mobile = mobile(model)
        self._acting = self._layers_with_rules()
        self._neighbourhoods = [(backend.array(row["states"]), int(row["reach"])) for row in cells.neighbourhoods]
        self._counts_for = self._counts_by_purpose()
        self._doses = self._on_backend(model.doses)

    def _on_backend(self, doses: Iterable[Dose]) -> list[tuple[Dose, Array, Array]]:
        """Voxels and amounts of each dose; those of a repeated dose are one."""
        arrays = {id(a): a for dose in doses for a in (dose.voxels, dose.amounts)}
        copies = {key: self._backend.array(a) for key, a in arrays.items()}
        return [(dose, copies[id(dose.voxels)], copies[id(dose.amounts)]) for dose in doses]

    # One step, in parts

    def treat(self, step: int) -> None:
        """Give the doses that are due."""
        for dose, voxels, amounts in self._doses:
            if dose.step == step:
                self._backend.deposit(self.state.fields[dose.field], voxels, amounts)
        for resection in self.model.resections:
            if resection.step == step:
                self._resect(resection)
        for graft in self.model.grafts:
            if graft.step == step:
                self._graft(graft)

    def _graft(self, graft: Graft) -> None:
        """Put cells in. On the host, as a dose is rare."""
        layer = self._layer_of(graft.state)
        cells = self._backend.to_numpy(layer.cells).copy()
        flat = cells.reshape(-1)
        free = graft.voxels[np.isin(flat[graft.voxels], graft.replaces)][: graft.count]
        if len(free) < graft.count:
            warnings.warn(
                f"therapies.{graft.name}: {graft.count - len(free)} of {graft.count} cells found no free voxel",
                stacklevel=2,
            )
        self._replace(layer, cells, free, graft.state)

    def _resect(self, resection: Resection) -> None:
        """Cut cells out of both layers. On the host, as surgery is rare."""
        for layer in (self.state.tissue, self.state.immune):
            cells = self._backend.to_numpy(layer.cells).copy()
            cut = resection.voxels[np.isin(cells.reshape(-1)[resection.voxels], resection.states)]
            self._replace(layer, cells, cut, layer.vacant)

    def _layer_of(self, state: int) -> CellLayer:
        return self.state.tissue if state < self.model.states.none else self.state.immune

    def _replace(self, layer: CellLayer, cells: np.ndarray, voxels: np.ndarray, state: int) -> None:
        """Set `voxels` of a layer, whose present states are `cells`, to another state."""
        flat = cells.reshape(-1)
        np.subtract.at(self.placed, flat[voxels], 1)
        self.placed[state] += len(voxels)
        flat[voxels] = state
        self._backend.write(layer.cells, cells)
        for array in (layer.clock, layer.heading):
            if array.size:
                values = self._backend.to_numpy(array).copy()
                values.reshape(-1)[voxels] = 0
                self._backend.write(array, values)

    def transport_and_move(self, step: int) -> None:
        """Diffusion and exchange over a step, then the cells' moves."""
        self.transport.advance(self.state, step)
        for move in range(self.model.cells.moves):
            self._move(step * self.model.cells.moves + move)

    def _move(self, number: int) -> None:
        state = self.state
        for layer, other, moves, purpose in (
            (state.tissue, state.immune, self._mobile[0], Purpose.TISSUE_MOTION),
            (state.immune, state.tissue, self._mobile[1], Purpose.IMMUNE_MOTION),
        ):
            if moves:
                draw = Draw(self.model.seed, number, purpose)
                self._count_neighbours(layer, other, purpose)
                self._backend.propose_moves(layer, state.bid, self._around(other), state.fields, draw)
                self._backend.move(layer, state.bid)

    def apply_rules(self, number: int) -> None:
        """Let the tissue's cells act, then the immune cells; for the `number`th time."""
        state = self.state
        for layer, other, acts, purpose in (
            (state.tissue, state.immune, self._acting[0], Purpose.TISSUE_RULES),
            (state.immune, state.tissue, self._acting[1], Purpose.IMMUNE_RULES),
        ):
            if acts:
                draw = Draw(self.model.seed, number, purpose)
                self._count_neighbours(layer, other, purpose)
                self._backend.apply_rules(layer, state.next, self._around(other), state.fields, state.tally, draw)
                layer.cells, state.next = state.next, layer.cells

    def show_body(self, quantities: np.ndarray) -> None:
        """Let the cells see the body's present quantities, float32 [quantities]."""
        self._backend.write(self.state.body, quantities)

    def _around(self, other: CellLayer) -> Surroundings:
        return Surroundings(other.cells, self.state.counts, self.state.body, self._tables)

    def _layers_with_rules(self) -> tuple[bool, bool]:
        """Whether cells of the tissue and of the immune layer do anything at all."""
        cells, none = self.model.cells, self.model.states.none
        acting = (np.diff(cells.rule_begin) > 0) | (np.diff(cells.effect_begin) > 0)
        return bool(acting[:none].any()), bool(acting[none:].any())

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
        state = self.state
        for i in self._counts_for[purpose]:
            states, reach = self._neighbourhoods[i]
            self._backend.count_neighbours(own.cells, other.cells, states, reach, state.members, state.counts[i])

    # Going on later

    def arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        """Copies of what a checkpoint keeps, by name, one at a time."""
        for name, array in self.state.kept.items():
            yield name, self._backend.to_numpy(array)

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take arrays that `arrays` gave."""
        for name, array in self.state.kept.items():
            self._backend.write(array, arrays[name])
        self.placed = arrays["placed"].copy()

    # Looking

    @property
    def fields(self) -> dict[str, np.ndarray]:
        """All fields: float32 [z, y, x], in their own units."""
        return {name: self.field(name) for name in self.model.fields.names}

    def field(self, name: str) -> np.ndarray:
        """A copy of one field: float32 [z, y, x], in its own unit. Raises `KeyError`."""
        if name not in self.model.fields.names:
            raise KeyError(f"no field '{name}' (known: {', '.join(self.model.fields.names)})")
        return self._backend.to_numpy(self.state.fields[self.model.fields.names.index(name)])

    def array(self, name: str) -> np.ndarray:
        """A copy of a field or of a layer ("tissue", "immune"): [z, y, x]. Raises `KeyError`."""
        layers = {"tissue": self.state.tissue, "immune": self.state.immune}
        return self._backend.to_numpy(layers[name].cells) if name in layers else self.field(name)

    @property
    def tissue(self) -> np.ndarray:
        """A copy of the resident cells: uint8 [z, y, x], numbers of `model.states.names`."""
        return self.array("tissue")

    @property
    def immune(self) -> np.ndarray:
        """A copy of the mobile cells: uint8 [z, y, x], numbers of `model.states.names`."""
        return self.array("immune")

    def fired_rows(self) -> np.ndarray:
        """Firings since the start, int64 [rules], by row of the table of rules."""
        return self._backend.to_numpy(self.state.tally.fired)[: len(self.model.cells.rules)].astype(np.int64)

    def flowed_rows(self) -> np.ndarray:
        """What exchange has brought to the body since the start, int64 [effects], by row of the table of effects."""
        return self._backend.to_numpy(self.state.tally.flowed)[: len(self.model.cells.effects)].view(np.int64)

    @property
    def fired(self) -> dict[str, int]:
        """How often each rule has fired since the start."""
        totals: dict[str, int] = dict.fromkeys(self.model.cells.rule_names, 0)
        for name, count in zip(self.model.cells.rule_names, self.fired_rows(), strict=True):
            totals[name] += int(count)
        return totals

    @property
    def counts(self) -> dict[str, int]:
        """Cells in each state (`empty` and `none` counted too): those at the start, and what came of them since."""
        model = self.model
        totals = self._initial_counts + self.placed
        fired = self.fired_rows()
        np.add.at(totals, model.cells.rules["to"], fired)
        np.subtract.at(totals, model.cells.leaves, fired)
        return dict(zip(model.states.names, map(int, totals), strict=True))

    def totals(self, steps: int) -> dict[str, float]:
        """Sum of each field over all voxels, exact to 2^-32 of its unit, after so many steps.

        Raises `NumericalError` where a concentration is negative, not a number or above 1e15.
        """
        model = self.model
        sums = self._backend.sum_fields(self.state.fields)
        for f, name in enumerate(model.fields.names):
            if sums.fault[f] != 2**64 - 1:
                z, y, x = (int(i) for i in np.unravel_index(int(sums.fault[f]), model.shape))
                cells = (model.states.names[int(layer[z, y, x])] for layer in (self.tissue, self.immune))
                raise NumericalError(
                    f"field '{name}' at voxel x={x}, y={y}, z={z} ({' and '.join(cells)}) is "
                    f"{self.field(name)[z, y, x]:g} {model.fields.units[f]} at {steps * model.step:g} min (step "
                    f"{steps}); expected a number from 0 to 1e15. Its largest source so far is "
                    + largest_source(model, f, self.fired, steps)
                )
        return {
            name: float(sums.whole[f]) + float(sums.fraction[f]) * 2.0**-32 for f, name in enumerate(model.fields.names)
        }
