"""A site of one replicate: a lattice with its cells and fields."""

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from gpusim.backends.base import Backend
from gpusim.backends.groups import TRAVELLING, Array, CellLayer
from gpusim.backends.numpy.random import Draw, voxel_random
from gpusim.engine.clock import Clock, between_steps
from gpusim.engine.dataset import CLONES
from gpusim.engine.faults import largest_source
from gpusim.engine.lineage import PUT_IN, Lineage
from gpusim.engine.notes import FieldSums, Numbers
from gpusim.engine.purpose import Purpose
from gpusim.engine.stack import Stack, Tallied
from gpusim.engine.traits import begun, founders, states_with
from gpusim.engine.transport import Transport
from gpusim.errors import NumericalError
from gpusim.model import Graft, Model, Resection
from gpusim.model.tables import members
from gpusim.tissue import InitialTissue

MOST_TRACKS = 2**24
"""Numbers of tracks that a float32 tells apart."""


class Site:
    """The lattice of one replicate, at rest between two calls.

    Attributes:
        name: as in the scenario's `sites`.
        stack: the lattices of all replicates, which are stepped together; `replicate`: which of them this is.
        backend: where its arrays are; `clock`: how far it is.
        placed: int64 [states], cells that therapies have put in, less those that they have taken.
    """

    def __init__(self, name: str, stack: Stack, replicate: int, clock: Clock) -> None:
        self.name, self.stack, self.replicate, self.clock = name, stack, replicate, clock
        self.backend = stack.backend
        self.placed = np.zeros(len(self.model.states.names), np.int64)
        self._positions = [np.zeros((0, 5), np.int64)]  # joined when they are asked for
        self._initial_counts = self.model.initial.counts(len(self.model.states.names))

    @property
    def model(self) -> Model:
        """Its present numbers."""
        return self.stack.models[self.replicate]

    @property
    def transport(self) -> Transport:
        """Its solvers, which are those of all replicates."""
        return self.stack.solvers

    @property
    def given(self) -> np.ndarray:
        """Firings, flows and traits that the body has taken in: int64 [rules + 2 walls + 3 egresses]."""
        return self.stack.given[:, self.replicate]

    @property
    @between_steps
    def passes_of_advection(self) -> int:
        """Passes of advection in a time step: of the present flow and while needles infuse, the most of these.

        Raises `NumericalError`.
        """
        return self.transport.passes_of_advection(self.stack.state)

    # Therapies of its own

    def operate(self, step: int) -> None:
        """Cut out and put in the cells that are due."""
        self.cut(each for each in self.model.resections if each.step == step)
        for graft in self.model.grafts:
            if graft.step == step:
                self.put_in([graft], f"therapies.{graft.name}")

    @property
    def tissue_now(self) -> InitialTissue:
        """Both cell layers as they stand."""
        return replace(self.model.initial, tissue=self.tissue, immune=self.immune)

    def set(self, field: str, values: np.ndarray) -> None:
        """Give a field other values, float32 [z, y, x]."""
        with self.clock.changing(f"setting {field}", [self.replicate]):
            self.backend.write(self.stack.state.fields[self.model.fields.names.index(field), self.replicate], values)
            self.stack.hold()

    @between_steps
    def deposit(self, field: str, voxels: np.ndarray, amounts: np.ndarray) -> None:
        """Add `amounts` (float32) of a field at flat indices `voxels` (int64, each once), now."""
        stack = self.stack
        here = self.backend.array(voxels + self.replicate * self.model.voxels)
        target = stack.state.fields[self.model.fields.names.index(field)]
        with self.clock.changing(f"a dose of {field}", [self.replicate]):
            self.backend.launch("deposit", field=target, voxels=here, amounts=self.backend.array(amounts))
            stack.hold()

    def put_in(self, grafts: Iterable[Graft], place: str) -> None:
        """Put cells in, on the host, as that is rare; `place` is what a warning names."""
        for graft in grafts:
            layer = self._layer(graft.state)
            cells = self.backend.to_numpy(layer.cells)
            free = graft.voxels[np.isin(cells.reshape(-1)[graft.voxels], graft.replaces)][: graft.count]
            if len(free) < graft.count:
                missing = graft.count - len(free)
                warnings.warn(f"{place}: {missing} of {graft.count} cells found no free voxel", stacklevel=2)
            self._replace(layer, cells, free, graft.state)

    def cut(self, resections: Iterable[Resection]) -> None:
        """Cut cells out of both layers, on the host, as surgery is rare."""
        for resection in resections:
            for layer in map(self._layer, (0, self.model.states.none)):
                cells = self.backend.to_numpy(layer.cells)
                cut = resection.voxels[np.isin(cells.reshape(-1)[resection.voxels], resection.states)]
                self._replace(layer, cells, cut, layer.vacant or resection.leaves)

    def _layer(self, state: int) -> CellLayer:
        """The layer of a state."""
        state_of_all, r = self.stack.state, self.replicate
        layer = state_of_all.tissue if state < self.model.states.none else state_of_all.immune
        return CellLayer(
            layer.cells[r], layer.clock[r], layer.heading[r], layer.claim[r], layer.clone[r], layer.vacant, layer.traits
        )

    def _replace(self, layer: CellLayer, cells: np.ndarray, voxels: np.ndarray, state: int) -> None:
        """Set `voxels` of a layer, whose present states are `cells`, to another state."""
        flat = cells.reshape(-1)
        np.subtract.at(self.placed, flat[voxels], 1)
        self.placed[state] += len(voxels)
        flat[voxels] = state
        self.backend.write(layer.cells, cells)
        for array in (getattr(layer, name) for name in TRAVELLING):
            if array.size:
                values = self.backend.to_numpy(array)
                values.reshape(-1)[voxels] = 0
                self.backend.write(array, values)
        first, end = layer.traits
        begin = np.zeros((voxels.size, len(self.model.traits)), np.float32)
        draw, states = Draw(self.model.seed, self.clock.steps, Purpose.PUT_IN), flat[voxels]
        for number in range(first, end):
            begin[:, number] = begun(self.model, number, states, voxels, draw)
            array = self.stack.state.traits[number, self.replicate]
            values = self.backend.to_numpy(array)
            values.reshape(-1)[voxels] = begin[:, number]
            self.backend.write(array, values)
        if layer.clone.size:
            self._label(layer, states, voxels, begin)

    def _label(self, layer: CellLayer, states: np.ndarray, voxels: np.ndarray, begin: np.ndarray) -> None:
        """Let cells in some states that were put in, with the traits `begin`, found clones."""
        clones = self.model.clones
        has = members(clones.rows["states"][0])[states] > 0
        at = voxels[has]
        if at.size:
            labels = (
                PUT_IN | np.uint64((self.clock.steps + 1) << 32) | (at if clones.each else at[:1]).astype(np.uint64)
            )
            values = self.backend.to_numpy(layer.clone)
            values.reshape(-1)[at] = labels
            self.backend.write(layer.clone, values)
            births = np.stack([labels, np.zeros_like(labels)], axis=1)
            several = np.full((1, begin.shape[1]), np.nan, np.float32)
            self.lineage.add(births, begin[has] if clones.each else several)

    @property
    def lineage(self) -> Lineage:
        """The clones that were born since the start."""
        return self.stack.lineages[self.replicate]

    def founders(self) -> tuple[np.ndarray, np.ndarray]:
        """Labels of the clones of time 0, uint64 [n], and traits of their first cells, float32 [n, traits]."""
        return founders(self.model)

    def track(self) -> None:
        """Note where the cells are that are tracked, and begin tracks of others instead of those that are gone."""
        tracks = self.model.tracks
        if tracks is None or self.clock.steps % tracks.every:
            return
        array = self.stack.state.traits[len(self.model.traits) - 1, self.replicate]
        layers = self.stack.state
        numbers = self.backend.to_numpy(array)
        cells, tissue = (self.backend.to_numpy(layer.cells[self.replicate]) for layer in (layers.immune, layers.tissue))
        flat, states = numbers.reshape(-1), cells.reshape(-1)
        free = np.flatnonzero((flat == 0) & tracks.states[states])
        first = max(int(each[:, 0].max(initial=0)) for each in self._positions) + 1
        wanted = min(tracks.cells - int(np.count_nonzero(flat)), free.size, MOST_TRACKS - first + 1)
        if wanted > 0:
            word, *_ = voxel_random(free, Draw(self.model.seed, self.clock.steps, Purpose.TRACKS))
            chosen = np.sort(free[np.lexsort((free, word))[:wanted]])
            flat[chosen] = np.arange(first, first + wanted)
            self.backend.write(array, numbers)
        at = np.flatnonzero(flat)
        at = at[np.argsort(flat[at])]
        beside = tissue.reshape(-1)[at]
        now = np.stack([flat[at], np.full(at.size, self.clock.steps), at, states[at], beside], axis=1).astype(np.int64)
        self._positions.append(now)

    @property
    def positions(self) -> np.ndarray:
        """Of cells that are tracked, in the order of time, then of tracks: int64 [positions, 5].

        Columns: number of the track, step, flat index of the voxel, state of the cell, state of the tissue cell beside
        it.
        """
        self._positions = [np.concatenate(self._positions)]
        return self._positions[0]

    # Going on later

    @property
    def kept(self) -> dict[str, Array]:
        """What a later step reads, by name, on the backend."""
        return self.stack.state.kept(self.replicate)

    def arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        """Copies of what a checkpoint keeps of the backend, by name, one at a time."""
        for name in self.kept:
            yield name, self._kept(name)

    @between_steps
    def _kept(self, name: str) -> np.ndarray:
        return self.backend.to_numpy(self.kept[name])

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take arrays that `arrays` gave."""
        self.stack.restore(self.replicate, arrays)
        self.placed = arrays["placed"].copy()
        self.stack.give(self.replicate, arrays["counted"])
        if self.model.tracks is not None:
            self._positions = [arrays["positions"].copy()]
        if len(self.model.clones):
            self.stack.lineages[self.replicate] = Lineage(arrays["births"].copy(), arrays["newborn"].copy())

    # Looking

    @property
    def fields(self) -> dict[str, np.ndarray]:
        """All fields: float32 [z, y, x], in their own units."""
        return {name: self.field(name) for name in self.model.fields.names}

    @between_steps
    def field(self, name: str) -> np.ndarray:
        """A copy of one field: float32 [z, y, x], in its own unit. Raises `KeyError`."""
        if name not in self.model.fields.names:
            raise KeyError(f"no field '{name}' (known: {', '.join(self.model.fields.names)})")
        return self.backend.to_numpy(self.stack.state.fields[self.model.fields.names.index(name), self.replicate])

    @between_steps
    def array(self, name: str) -> np.ndarray:
        """A copy of a field, a trait, a layer ("tissue", "immune") or "clones": [z, y, x]. Raises `KeyError`."""
        layers = {"tissue": self.stack.state.tissue, "immune": self.stack.state.immune}
        if name in layers:
            return self.backend.to_numpy(layers[name].cells[self.replicate])
        if name == CLONES:
            return self.clones()
        return self.trait(name) if name in self.model.traits.names else self.field(name)

    @between_steps
    def trait(self, name: str) -> np.ndarray:
        """A copy of a trait: float32 [z, y, x], in its unit; 0 where no cell has it. Raises `KeyError`."""
        return self.backend.to_numpy(self.stack.state.traits[self._trait_number(name), self.replicate])

    def _trait_number(self, name: str) -> int:
        named = self.model.traits.named
        if name not in named:
            raise KeyError(f"no trait '{name}' (known: {', '.join(named) or 'none'})")
        return named[name]

    def values(self, trait: str, of: Iterable[str] | None = None) -> np.ndarray:
        """Values of a trait of the cells that have it, or of those `of` some states: float32 [cells], in its unit.

        Raises `KeyError`.
        """
        number, values = self._trait_number(trait), self.trait(trait)
        has = states_with(self.model, number)
        if of is not None:
            states = self.model.states.names
            if unknown := [state for state in of if state not in states]:
                raise KeyError(f"no state '{unknown[0]}' (known: {', '.join(states)})")
            has &= np.isin(np.arange(has.size), [states.index(state) for state in of])
        cells = self.tissue if number < self.model.traits.of_tissue else self.immune
        return values[has[cells]]

    @between_steps
    def trait_sums(self) -> dict[str, tuple[float, int]]:
        """Sum of each trait over the cells that have it, exact to 2^-32 of its unit, and their number."""
        if not self.model.traits.names:
            return {}
        sums = sum_fields(self.backend, self.stack.state.traits, self.replicate)
        return self._trait_sums(sums, self.counts, self.clock.steps)

    def _trait_sums(self, sums: FieldSums, counts: Mapping[str, int], steps: int) -> dict[str, tuple[float, int]]:
        """The same of sums that were found after so many steps, with the cells of that time."""
        found, by_state = {}, np.array(list(counts.values()))
        for name, number in self.model.traits.named.items():
            cells = int(by_state[states_with(self.model, number)].sum())
            if sums.bad(number) is None:
                total = sums.total(number)
            elif steps == self.clock.steps:  # a value that the sums cannot hold
                total = float(self.values(name).sum(dtype=np.float64))
            else:  # which is no longer there
                total = math.nan
            found[name] = total, cells
        return found

    @between_steps
    def clones(self) -> np.ndarray:
        """A copy of the labels of clones: uint64 [z, y, x]; 0 where no cell belongs to one. Raises `KeyError`."""
        if not len(self.model.clones):
            raise KeyError("the scenario has no clones ('clones: {of: STATES}')")
        layer = self.stack.state.immune if self.model.clones.immune else self.stack.state.tissue
        return self.backend.to_numpy(layer.clone[self.replicate])

    @property
    def tissue(self) -> np.ndarray:
        """A copy of the resident cells: uint8 [z, y, x], numbers of `model.states.names`."""
        return self.array("tissue")

    @property
    def immune(self) -> np.ndarray:
        """A copy of the mobile cells: uint8 [z, y, x], numbers of `model.states.names`."""
        return self.array("immune")

    def _tallied(self) -> Tallied:
        """Of this replicate, since the start."""
        return self.stack.tallied().of(self.replicate)

    def _by_rule(self, rows: np.ndarray) -> dict[str, int]:
        totals: dict[str, int] = dict.fromkeys(self.model.cells.rule_names, 0)
        for name, count in zip(self.model.cells.rule_names, rows, strict=True):
            totals[name] += int(count)
        return totals

    @property
    @between_steps
    def fired(self) -> dict[str, int]:
        """How often each rule has fired since the start."""
        return self._by_rule(self._tallied().fired)

    @property
    @between_steps
    def barred(self) -> dict[str, int]:
        """How often a mother found no room since the start, by rule."""
        return self._by_rule(self._tallied().barred)

    def _by_state(self, cells: np.ndarray) -> dict[str, int]:
        vacant = (0, self.model.states.none)
        names = enumerate(self.model.states.names)
        return {name: int(n) for (i, name), n in zip(names, cells, strict=True) if i not in vacant}

    @property
    @between_steps
    def crushed(self) -> dict[str, int]:
        """Cells of each state that others have crushed since the start."""
        tallied = self._tallied()
        return self._by_state(tallied.taken - tallied.left[0])

    @property
    @between_steps
    def left(self) -> dict[str, int]:
        """Cells of each state that have left the lattice through open sides since the start."""
        return self._by_state(self._tallied().left[:2].sum(axis=0))

    @property
    @between_steps
    def counts(self) -> dict[str, int]:
        """Cells in each state (`empty` and `none` counted too): those at the start, and what came of them since."""
        return self.counted(self._tallied(), self.placed)

    def counted(self, tallied: Tallied, placed: np.ndarray) -> dict[str, int]:
        """Cells in each state, of what had been tallied and placed until then."""
        model = self.model
        totals = self._initial_counts + placed
        rules = model.cells.rules
        np.add.at(totals, rules["to"], tallied.fired)
        np.subtract.at(totals, model.cells.leaves, tallied.fired)
        of_partners = rules["partner"] >= 0
        np.add.at(totals, rules["partner_to"][of_partners], tallied.fired[of_partners])
        np.subtract.at(totals, rules["partner"][of_partners], tallied.fired[of_partners])
        divides = rules["daughter"] >= 0
        np.add.at(totals, rules["daughter"][divides], tallied.fired[divides])
        totals += tallied.left[2] - tallied.taken - tallied.left[1]
        for vacant, layer in ((0, slice(model.states.none)), (model.states.none, slice(model.states.none, None))):
            totals[vacant] += tallied.left[1][layer].sum()
        return dict(zip(model.states.names, map(int, totals), strict=True))

    @between_steps
    def totals(self, steps: int) -> dict[str, float]:
        """Sum of each field over all voxels, exact to 2^-32 of its unit, after so many steps.

        Raises `NumericalError` where a concentration is negative, not a number or above 1e15.
        """
        return self._totals(sum_fields(self.backend, self.stack.state.fields, self.replicate), steps)

    def _totals(self, sums: FieldSums, steps: int) -> dict[str, float]:
        """The same of sums that were found after so many steps, this one or an earlier one."""
        model = self.model
        for f, name in enumerate(model.fields.names):
            bad = sums.bad(f)
            if bad is not None:
                z, y, x = (int(i) for i in np.unravel_index(bad, model.shape))
                cells = (model.states.names[int(layer[z, y, x])] for layer in (self.tissue, self.immune))
                found = f"{self.field(name)[z, y, x]:g} {model.fields.units[f]}"
                now = self.clock.steps
                value = found if steps == now else f"wrong ({found} at step {now})"
                raise NumericalError(
                    f"field '{name}' at voxel x={x}, y={y}, z={z} ({' and '.join(cells)}) is "
                    f"{value} at {steps * model.step:g} min (step "
                    f"{steps}); expected a number from 0 to 1e15. Its largest source so far is "
                    + largest_source(model, f, self.fired, steps)
                )
        return {name: sums.total(f) for f, name in enumerate(model.fields.names)}

    def numbers(self, noted: Numbers, placed: np.ndarray, steps: int) -> "SiteNumbers":
        """What was noted of it after so many steps. Raises `NumericalError` as `totals` does."""
        totals = self._totals(noted.fields, steps)
        counts = self.counted(noted.tallied, placed)
        return SiteNumbers(
            counts, self._by_rule(noted.tallied.fired), totals, self._trait_sums(noted.traits, counts, steps)
        )


@dataclass(frozen=True)
class SiteNumbers:
    """Numbers of a site at one time, by state, rule, field and trait; of traits, sum and number of cells."""

    counts: dict[str, int]
    fired: dict[str, int]
    totals: dict[str, float]
    traits: dict[str, tuple[float, int]]


def sum_fields(backend: Backend, fields: Array, replicate: int) -> FieldSums:
    """Exact sums over the voxels of one replicate in float32 [F, R, z, y, x]."""
    sums = backend.array(np.repeat(np.array([[0], [0], [2**64 - 1]], np.uint64), fields.shape[0], axis=1))
    whole, fraction, fault = (sums[i] for i in range(3))
    backend.launch("sum_fields", fields=fields, replicate=replicate, whole=whole, fraction=fraction, fault=fault)
    return FieldSums(*backend.to_numpy(sums))
