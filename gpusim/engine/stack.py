"""The replicates of one lattice, as a simulation steps them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpusim.backends.base import Backend, Known
from gpusim.backends.groups import (
    Adhesion,
    Array,
    CellLayer,
    CellTables,
    Closing,
    Moved,
    ReactionTables,
    TraitTables,
    Ways,
)
from gpusim.engine.adhesion import passes
from gpusim.engine.lineage import Lineage
from gpusim.engine.purpose import Purpose
from gpusim.engine.state import State, capacity_of_births, mobile
from gpusim.engine.transport import Transport
from gpusim.errors import NumericalError, ScenarioError
from gpusim.model import Model
from gpusim.model.model import Dose
from gpusim.model.tables import EGRESS_PARTS, Boundary, Link, members


@dataclass(frozen=True)
class Tallied:
    """What has been counted on the backend since the start; not to be changed.

    Attributes:
        fired, barred: int64 [rules, R], firings, and divisions for which there was no room.
        taken: int64 [states, R], voxels that dividing and moving cells took, by what was in them.
        left: int64 [3, states, R], cells that left the lattice: pushed out, and by moves; and what movers left behind.
        flowed: int64 [2 walls, R], what has left voxels for the body.
        carried: int64 [3 egresses, R], what of traits has gone to the body.
    """

    fired: np.ndarray
    barred: np.ndarray
    taken: np.ndarray
    left: np.ndarray
    flowed: np.ndarray
    carried: np.ndarray

    def of(self, replicate: int) -> "Tallied":
        """That of one replicate, without the axis R."""
        arrays = (self.fired, self.barred, self.taken, self.left, self.flowed, self.carried)
        return Tallied(*(array[..., replicate] for array in arrays))


class Stack:
    """The lattices of some replicates, at rest between two calls; each operation steps all of them in one go.

    Attributes:
        models: of each replicate. They differ by what follows from the seed: initial cells, the order of grafts.
        state: their arrays, on the backend.
        solvers: of their fields.
        lineages: of each replicate, the clones that were born since the start.
        fetched: firings and flows since the start as the host has them; None where it has to ask.
    """

    def __init__(self, models: Sequence[Model], backend: Backend) -> None:
        self.backend = backend
        self.state = State.start(models, backend)
        self._given = [backend.array(np.zeros(array.shape, np.uint64)) for array in self._moving()]
        self.fetched: Tallied | None = None
        self.lineages = [Lineage.of(len(models[0].traits)) for _ in models]
        self._follow(models, Transport(models, backend), 0)

    def remodel(self, models: Sequence[Model], step: int) -> None:
        """Follow other models from step number `step` on, of the same lattice, fields, states, rules and quantities."""
        solvers = Transport(models, self.backend)  # what fails here has changed nothing yet
        self.state.fit(models[0], len(models), self.backend)
        most = self._model.traits.rows["most"]
        self._follow(models, solvers, step)
        self._hold_traits(most)

    def _hold_traits(self, before: np.ndarray) -> None:
        """Lower the values of traits to their greatest, which were `before`."""
        for number, most in enumerate(self._model.traits.rows["most"]):
            for replicate in range(len(self.models)) if most < before[number] else ():
                array = self.state.traits[number, replicate]
                self.backend.write(array, np.minimum(self.backend.to_numpy(array), most))

    def _follow(self, models: Sequence[Model], solvers: Transport, step: int) -> None:
        backend = self.backend
        self.models, self.solvers = models, solvers
        self._model = model = models[0]
        cells = model.cells
        self._tables = CellTables(
            **{table: backend.array(getattr(cells, table)) for table in CellTables.__dataclass_fields__}
        )
        traits = model.traits
        of_traits = (traits.rows, traits.quantiles, traits.laws, traits.law_begin)
        self._traits = TraitTables(
            *map(backend.array, (*of_traits, traits.transfers, traits.transfer_begin, model.clones.rows))
        )
        held, holds = model.exchange.held, model.exchange.holds
        holding = np.flatnonzero(holds.any(axis=1))
        self._holding = backend.array(holding.astype(np.int32)) if holding.size else None
        values = np.where(holds, held, -1.0).astype(np.float32)
        self._held = backend.array(values if holding.size else values[:, :0])
        reactions = model.reactions
        self._reactions = ReactionTables(
            reactions=backend.array(reactions.rows),
            terms=backend.array(reactions.terms),
            modulators=self._tables.modulators,
            held=self._held,
        )
        entries = [(kind, row, q, amount) for kind, of in enumerate(model.body.moved) for row, q, amount in of]
        rows = np.array([each[:3] for each in entries], np.int32).reshape(-1, 3)
        amounts = np.array([amount for *_, amount in entries], float)
        self._moved = Moved(backend.array(rows), backend.array(amounts), *self._given)
        self._seeds = backend.array(np.array([each.seed for each in models], np.uint64))
        self._mobile = mobile(model)
        self._boundary = cells.boundary
        if backend.ranks > 1 and self._boundary & Boundary.PERIODIC_Z:
            raise ScenarioError(f"grid.sides.z: found periodic; expected closed or open on backend '{backend.name}'")
        vacant = (0, model.states.none)
        self._ways = [
            Ways(backend.array(each.yields), each.rounds, cells.boundary, none)
            for each, none in zip(cells.ways, vacant, strict=True)
        ]
        self._closing = self._closing_on_backend(model)
        adhesion, sides = cells.adhesion, (cells.boundary, cells.background)
        self._adhesion = None
        if adhesion is not None:
            energies, swaps, acceptance = map(backend.array, (adhesion.energies, adhesion.swaps, adhesion.acceptance))
            self._adhesion = Adhesion(energies, swaps, acceptance, *sides)
        self._room_for = self._purposes_with_room()
        self._rooms: Known = {}
        self._left = [self.state.tally.left[i] for i in range(3)]
        self._acting = self._layers_with_rules()
        self._neighbourhoods = [self._neighbourhood(i, row) for i, row in enumerate(cells.neighbourhoods)]
        self._connections = {i: self._connection(r) for i, r in enumerate(cells.neighbourhoods) if r["reach"] == 0}
        self._counts_for = self._counts_by_purpose()
        self._doses = self._doses_on_backend()
        self.hold()
        solvers.settle(self.state, step)

    def _closing_on_backend(self, model: Model) -> Closing | None:
        """How the cells of the tissue close up."""
        closing = model.cells.closing
        if closing is None:
            return None
        return Closing(*map(self.backend.array, (closing.yields, closing.regions, closing.lines)))

    def _doses_on_backend(self) -> list[tuple[Dose, Array, Array]]:
        """Dose, voxels and amounts of each dose, in all replicates; those of a repeated dose are one."""
        copies: dict[tuple[int, int], tuple[Array, Array]] = {}
        found = []
        for doses in zip(*(model.doses for model in self.models), strict=True):
            dose = doses[0]
            same = id(dose.voxels), id(dose.amounts)
            if same not in copies:
                voxels = [each.voxels + r * self._model.voxels for r, each in enumerate(doses)]
                amounts = [each.amounts for each in doses]
                copies[same] = self.backend.array(np.concatenate(voxels)), self.backend.array(np.concatenate(amounts))
            found.append((dose, *copies[same]))
        return found

    # One step, in parts

    def treat(self, step: int) -> None:
        """Give the doses that are due."""
        due = [each for each in self._doses if each[0].due(step)]
        for dose, voxels, amounts in due:
            self.backend.launch("deposit", field=self.state.fields[dose.field], voxels=voxels, amounts=amounts)
        if due:
            self.hold()

    def transport(self, step: int) -> None:
        """Diffusion and exchange over a step, then reactions between fields; half of the transfers before and after."""
        self.fetched = None
        state = self.state
        self.hold()  # cells may have been put in
        self._count_neighbours(state.tissue, state.immune, Purpose.EXCHANGE)
        self._transfer(2 * step)
        if self.solvers.carry(state, step):
            self.hold()
        self.solvers.advance(state, step)
        if len(self._model.reactions):
            cells = {"tissue": state.tissue.cells, "immune": state.immune.cells}
            given = self._seen() | self._drawn(step, Purpose.REACTIONS)
            self.backend.launch("react", self._reactions, **cells, **given)
        self._transfer(2 * step + 1)

    def _transfer(self, half: int) -> None:
        """From fields into traits and back, over half a step: the error of the splitting is of second order."""
        state = self.state
        if len(self._model.traits.transfers):
            tables = {"held": self._held, "modulators": self._tables.modulators}
            cells = {"tissue": state.tissue.cells, "immune": state.immune.cells}
            given = self._seen() | self._drawn(half, Purpose.TRANSFERS)
            self.backend.launch("transfer", self._traits, **tables, **cells, **given)

    def hold(self) -> None:
        """Give the voxels that hold a concentration just that."""
        if self._holding is not None:
            state, given = self.state, {"active": self._holding, "held": self._held}
            self.backend.launch("hold", tissue=state.tissue.cells, fields=state.fields, **given)

    def move(self, step: int) -> None:
        """The cells' moves over a step."""
        for move in range(self._model.cells.moves):
            self._move(step * self._model.cells.moves + move)

    def _move(self, number: int) -> None:
        state, launch = self.state, self.backend.launch
        for layer, other, moves, purpose in (
            (state.tissue, state.immune, self._mobile[0], Purpose.TISSUE_MOTION),
            (state.immune, state.tissue, self._mobile[1], Purpose.IMMUNE_MOTION),
        ):
            if moves:
                self._count_neighbours(layer, other, purpose)
                self.fetched = None
                given = self._seen() | self._drawn(number, purpose) | {"bid": state.bid, "heading": layer.heading}
                cells = {"cells": layer.cells, "boundary": self._boundary}
                launch("propose_moves", self._tables, other=other.cells, vacant=layer.vacant, **cells, **given)
                moved = {"trails": self._tables.trails, "bid": state.bid, "vacant": layer.vacant}
                tallied = {"taken": state.tally.taken, "left": self._left[1], "laid": self._left[2]}
                launch("move", **cells, **self._travelling(layer), **moved, **tallied)

    def apply_rules(self, number: int) -> None:
        """Let the tissue's cells act and adhere to each other, then the immune cells act; for the `number`th time."""
        state, self.fetched = self.state, None
        for own, other, purpose in (
            (state.tissue, state.immune, Purpose.TISSUE_LAWS),
            (state.immune, state.tissue, Purpose.IMMUNE_LAWS),
        ):
            self._change_traits(own, other, purpose)
        self._act(state.tissue, state.immune, number, Purpose.TISSUE_RULES)
        self._close(number)
        self._adhere(state.tissue, number)
        self._act(state.immune, state.tissue, number, Purpose.IMMUNE_RULES)
        self._collect_births()

    def _collect_births(self) -> None:
        """Take over what has been noted of clones that were born."""
        if not len(self._model.clones):
            return
        arrays, backend = self.state.births, self.backend
        (born,) = backend.fetch([arrays.born])
        capacity = capacity_of_births(self._model)
        for replicate, count in enumerate(map(int, born)):
            if count > capacity:
                raise NumericalError(
                    f"{count:,} clones were founded in one application of the rules; expected at most {capacity:,}. "
                    "Use a shorter 'time.step.rules' or a smaller probability"
                )
            if count:
                parts = [arrays.births[replicate, :count], arrays.newborn[replicate, :count]]
                self.lineages[replicate].add(*backend.fetch(parts))
        if born.any():
            backend.write(arrays.born, np.zeros_like(born))

    def _change_traits(self, layer: CellLayer, other: CellLayer, purpose: Purpose) -> None:
        """Change the traits of a layer's cells by their laws."""
        begin, none = self._model.traits.law_begin, self._model.states.none
        first, end = (0, none) if purpose == Purpose.TISSUE_LAWS else (none, -1)
        if begin[first] == begin[end]:
            return
        self._count_neighbours(layer, other, purpose)
        cells = {"cells": layer.cells, "other": other.cells, "modulators": self._tables.modulators}
        self.backend.launch("change_traits", self._traits, **cells, **self._seen())

    def _travelling(self, layer: CellLayer) -> dict[str, Any]:
        """What travels with the cells of a layer."""
        first, end = layer.traits
        return layer.travelling | {"traits": self.state.traits, "first_trait": first, "end_trait": end}

    def _act(self, layer: CellLayer, other: CellLayer, number: int, purpose: Purpose) -> None:
        """Apply the rules of a layer, and let its cells divide."""
        state = self.state
        if not self._acting[0 if purpose == Purpose.TISSUE_RULES else 1]:
            return
        self._count_neighbours(layer, other, purpose)
        if purpose in self._room_for:
            self._measure_room(state.tissue, state.immune, self._ways[0])
        given = self._seen() | self._drawn(number, purpose) | {"room": state.room}
        into = {"next": state.next, "clock": layer.clock, "claim": layer.claim}
        into |= {"fired": state.tally.fired, "carried": state.tally.carried}
        beside = {"other": other.cells, "other_clock": other.clock, "other_claim": other.claim}
        beside |= {"clone": layer.clone, "other_clone": other.clone}
        first, end = layer.traits
        arrays = given | into | beside | {"cells": layer.cells}
        tables = (self._tables, self._traits, state.births)
        self.backend.launch("apply_rules", *tables, **arrays, first_trait=first, end_trait=end)
        layer.cells, state.next = state.next, layer.cells
        self._divide(layer, other, number, purpose)

    def _adhere(self, layer: CellLayer, number: int) -> None:
        """Let neighbouring voxels swap their cells."""
        adhesion, cells = self._model.cells.adhesion, {"cells": layer.cells} | self._travelling(layer)
        if adhesion is None or self._adhesion is None:
            return
        for sweep in range(number * adhesion.sweeps, (number + 1) * adhesion.sweeps):
            for each in passes(sweep, self._model.shape, self._boundary, adhesion.share):
                drawn = self._drawn(3 * sweep + each.axis, Purpose.ADHESION)
                self.backend.launch("swap_cells", self._adhesion, **cells, **drawn, **each._asdict())

    def _divide(self, layer: CellLayer, other: CellLayer, number: int, purpose: Purpose) -> None:
        """Let the mothers divide that the rules have chosen."""
        if not layer.claim.size:
            return
        state, tally, tissue = self.state, self.state.tally, purpose == Purpose.TISSUE_RULES
        ways, launch = self._ways[0 if tissue else 1], self.backend.launch
        self._measure_room(layer, other, ways)
        drawn = self._drawn(number, Purpose.TISSUE_DIVISION if tissue else Purpose.IMMUNE_DIVISION)
        cells = {"cells": layer.cells, "claim": layer.claim, "room": state.room, "bids": state.bids}
        launch("bid_for_room", self._tables, ways, **cells, **drawn)
        launch("settle_bids", self._tables, ways, **cells, **drawn, granted=state.next, barred=tally.barred)
        counts = {"fired": tally.fired, "taken": tally.taken, "left": self._left[0]}
        travelling = self._travelling(layer)
        tables = (self._tables, self._traits, ways, state.births)
        launch("divide", *tables, **(cells | travelling), **drawn, granted=state.next, **counts)

    def _measure_room(self, layer: CellLayer, other: CellLayer, ways: Ways) -> None:
        """Distance of each voxel from the nearest that can take a cell of the layer, in tenths of a voxel."""
        state, launch = self.state, self.backend.launch

        def measure() -> None:
            launch("begin_room", ways, cells=layer.cells, other=other.cells, room=state.room)
            self._spread_room(ways)

        self.backend.repeat(measure, self._rooms, ways, layer.cells, other.cells, state.room, state.spare_room)

    def _spread_room(self, ways: Ways) -> None:
        state, launch = self.state, self.backend.launch
        room, spare = state.room, state.spare_room
        if self.backend.settles_room:
            launch("spread_room", ways, room=room, next=spare, passes=2 * ways.rounds)
            return
        for source, target in [(room, spare), (spare, room)] * ways.rounds:
            launch("spread_room", ways, room=source, next=target, passes=1)

    def _close(self, number: int) -> None:
        """Let the cells of the tissue close up the voxels that the rules have chosen."""
        if self._closing is None:
            return
        state, launch, layer, closing = self.state, self.backend.launch, self.state.tissue, self._closing
        sides: dict[str, Any] = {"boundary": self._boundary}
        labels, seen = {"labels": state.labels}, sides | {"cells": layer.cells}
        launch("begin_regions", closing, **seen, **labels)
        launch("join_regions", **labels, **sides, corners=0)
        launch("settle_regions", **labels)
        launch("mark_outside", closing, **seen, **labels, outside=state.room)
        drawn = self._drawn(number, Purpose.CLOSING) | {"found": state.labels, "bids": state.bids}
        tables, granted, tally = (self._tables, closing), {"granted": state.next}, state.tally
        searched = {"outside": state.room, "claim": layer.claim, "barred": tally.barred}
        launch("bid_for_lines", *tables, **seen, **drawn, **searched)
        launch("settle_lines", closing, **sides, **drawn, **granted, claim=layer.claim)
        counted = {"vacant": layer.vacant, "fired": tally.fired}
        launch("close_up", *tables, **seen, **drawn, **granted, **self._travelling(layer), **counted)

    def exchange_with_body(self, brought: Array, failed: Array) -> None:
        """Add what has moved since the last call to what the bodies (`body.Circulation`) have been brought."""
        tally = dict(zip(("fired", "flowed", "carried"), self._moving(), strict=True))
        given = {"brought": brought, "failed": failed, "egresses": self._tables.egresses}
        self.backend.launch("exchange_with_body", self._moved, **tally, **given)

    def _moving(self) -> tuple[Array, Array, Array]:
        """What of the tally bodies take in."""
        tally = self.state.tally
        return tally.fired, tally.flowed, tally.carried

    @property
    def given(self) -> np.ndarray:
        """Firings, flows and traits that the bodies have taken in: int64 [rules + 2 walls + 3 egresses, R]."""
        fired, flowed, carried = self.backend.fetch(self._given)
        rules, walls = len(self._model.cells.rules), len(self._model.exchange.walls)
        parts = (fired[:rules], flowed[:, :walls], carried)
        return np.concatenate([part.reshape(-1, part.shape[-1]) for part in parts]).view(np.int64)

    def give(self, replicate: int, counted: np.ndarray) -> None:
        """Let the body of a replicate have taken in so much: int64 [rules + 2 walls + 3 egresses]."""
        rules, walls = len(self._model.cells.rules), len(self._model.exchange.walls)
        parts = np.split(counted.view(np.uint64), [rules, rules + 2 * walls])
        for array, values in zip(self._given, parts, strict=True):
            whole = np.zeros((*array.shape[:-1],), np.uint64)
            within = whole[:, :walls] if array is self._given[1] else whole[: len(values)]
            within[...] = values.reshape(within.shape)
            self.backend.write(array[..., replicate], whole)

    def tallied(self) -> Tallied:
        """What has been counted since the start.

        Fetched once after a step, as counts, rows of a record and bodies all look at them.
        """
        return tallied([self])[0]

    def restore(self, replicate: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Take what `state.kept` holds of a replicate, by name."""
        self.fetched = None
        self.solvers.forget()
        for name, array in self.state.kept(replicate).items():
            self.backend.write(array, arrays[name])

    def _seen(self) -> dict[str, Array]:
        """What cells react to, besides those beside them."""
        state = self.state
        return {"fields": state.fields, "counts": state.counts, "body": state.body, "traits": state.traits}

    def _drawn(self, number: int, purpose: Purpose) -> dict[str, Any]:
        """What picks the random numbers of a launch; the voxel's index in the lattice joins it."""
        return {"seeds": self._seeds, "step": number, "purpose": purpose}

    def _layers_with_rules(self) -> tuple[bool, bool]:
        """Whether cells of the tissue and of the immune layer do anything at all."""
        cells, none = self._model.cells, self._model.states.none
        acting = np.diff(cells.rule_begin) > 0
        return bool(acting[:none].any()), bool(acting[none:].any())

    def _purposes_with_room(self) -> list[Purpose]:
        """Rules that look at room."""
        cells, none = self._model.cells, self._model.states.none
        of_tissue, of_immune = cells.rule_begin[[0, none]], cells.rule_begin[[none, -1]]
        layers = {Purpose.TISSUE_RULES: of_tissue, Purpose.IMMUNE_RULES: of_immune}
        return [purpose for purpose, (first, end) in layers.items() if cells.look_at_room(cells.rules[first:end])]

    def _counts_by_purpose(self) -> dict[Purpose, list[int]]:
        """Neighbourhoods that each operation on cells looks at."""
        cells, none = self._model.cells, self._model.states.none

        def rows(states: slice) -> list[np.void]:
            return list(cells.rules[cells.rule_begin[states.start] : cells.rule_begin[states.stop]])

        tissue, immune = slice(0, none), slice(none, len(self._model.states.names))
        return {
            Purpose.TISSUE_RULES: cells.counts_for(rows(tissue)),
            Purpose.IMMUNE_RULES: cells.counts_for(rows(immune)),
            Purpose.TISSUE_MOTION: cells.counts_for(cells.motilities[tissue]),
            Purpose.TISSUE_LAWS: cells.counts_for(self._laws(tissue)),
            Purpose.IMMUNE_LAWS: cells.counts_for(self._laws(immune)),
            Purpose.EXCHANGE: cells.counts_for(
                [*self._model.exchange.effects, *self._model.reactions.rows, *self._model.traits.transfers]
            ),
            Purpose.IMMUNE_MOTION: cells.counts_for(cells.motilities[immune]),
        }

    def _laws(self, states: slice) -> np.ndarray:
        """Rows of the laws of some states."""
        traits = self._model.traits
        return traits.laws[traits.law_begin[states.start] : traits.law_begin[states.stop]]

    def _count_neighbours(self, own: CellLayer, other: CellLayer, purpose: Purpose) -> None:
        launch, members = self.backend.launch, self.state.members
        for i in self._counts_for[purpose]:
            states, reach, beyond, counts = self._neighbourhoods[i]
            if reach == 0:
                self._connect(i)
                continue
            launch("mark_members", states=states, cells=own.cells, other=other.cells, members=members)
            given = {"members": members, "counts": counts}
            launch("count_members", **given, reach=reach, boundary=self._boundary, beyond=beyond)

    def _connect(self, number: int) -> None:
        """Find which voxels of the tissue are joined to what a modulator looks for."""
        links, sides = self._connections[number]
        state, launch, labels = self.state, self.backend.launch, {"labels": self.state.labels}
        launch("begin_connections", links=links, cells=state.tissue.cells, sides=sides, **labels)
        launch("join_regions", **labels, boundary=self._boundary, corners=1)
        launch("settle_regions", **labels)
        launch("mark_connections", **labels, joined=state.counts[number])

    def _connection(self, row: np.void) -> tuple[Array, int]:
        """Each state's `tables.Link`, uint8 [states], and the sides at which connections end."""
        links = np.where(members(row["states"]) > 0, Link.LINK, Link.APART).astype(np.uint8)
        links[members(row["ends"]) > 0] = Link.END
        return self.backend.array(links[: len(self._model.states.names)]), int(row["sides"])

    def _neighbourhood(self, number: int, row: np.void) -> tuple[Array, int, int, Array]:
        """The states that are counted, how far, how many of them a voxel beyond an open side has, and the counts."""
        model, counted = self._model, members(row["states"])
        beyond = int(counted[model.cells.background]) + int(counted[model.states.none])
        return self.backend.array(row["states"]), int(row["reach"]), beyond, self.state.counts[number]


def tallied(stacks: Sequence[Stack]) -> list[Tallied]:
    """What each stack has tallied since the start; a device is waited for once."""
    missing = [stack for stack in stacks if stack.fetched is None]
    if missing:
        fetched = iter(missing[0].backend.fetch([array for stack in missing for _, array in _counting(stack)]))
        for stack in missing:
            model, replicates = stack.models[0], len(stack.models)
            rules, walls, states = len(model.cells.rules), len(model.exchange.walls), len(model.states.names)
            none = {
                "barred": np.zeros((rules, replicates), np.int64),
                "taken": np.zeros((states, replicates), np.int64),
            }
            none["left"] = np.zeros((3, states, replicates), np.int64)
            none["carried"] = np.zeros((EGRESS_PARTS, len(model.cells.egresses), replicates), np.int64)
            counts = none | {kind: next(fetched).view(np.int64) for kind, _ in _counting(stack)}
            counts["flowed"] = counts["flowed"][:, :walls].reshape(2 * walls, replicates)
            counts["carried"] = counts["carried"].reshape(-1, replicates)
            counts |= {kind: counts[kind][:rules] for kind in ("fired", "barred")}
            stack.fetched = Tallied(**counts)
    return [stack.fetched for stack in stacks if stack.fetched is not None]


def _counting(stack: Stack) -> list[tuple[str, Array]]:
    """What of a tally a model can count, by name."""
    model, tally = stack.models[0], stack.state.tally
    kinds = ["fired", "flowed"]
    kinds += ["barred"] if any(model.claims) else []
    kinds += ["taken"] if any(model.claims) or model.cells.replaces else []
    kinds += ["left"] if model.cells.boundary or model.cells.replaces else []
    kinds += ["carried"] if len(model.cells.egresses) else []
    return [(kind, getattr(tally, kind)) for kind in kinds]
