"""What cells, vessels and the body do to concentrations, as the solvers read it: tables by cell, or maps by voxel."""

from collections.abc import Sequence

import numpy as np

from gpusim.backends.base import Backend
from gpusim.backends.groups import Array, ExchangeTables, Maps
from gpusim.engine.state import State
from gpusim.engine.transport.diffusion import diffusion
from gpusim.model import Exchange, Model
from gpusim.model.tables import HELD_LOSS, Form, VariesBy

BYTES_PER_VOXEL_AND_SLOT = 8
"""Two maps of a field with effects."""
BYTES_PER_VOXEL_AND_WALL = 4


def exchange_by(exchange: Exchange) -> np.ndarray:
    """Which layers each field's plain production and loss depend on: int32 [F] of `VariesBy`."""

    def varies(table: np.ndarray, axis: int) -> bool:
        return bool(np.any(table != table.take([0], axis)))

    kinds = []
    for *tables, holds in zip(exchange.production, exchange.loss, exchange.holds, strict=True):
        by_immune = any(varies(t, 1) for t in tables)
        by_tissue = any(varies(t, 0) for t in tables) or bool(holds.any())
        kinds.append(VariesBy.TISSUE_AND_IMMUNE if by_immune else VariesBy.TISSUE if by_tissue else VariesBy.UNIFORM)
    return np.array(kinds, np.int32)


def with_held(exchange: Exchange, table: np.ndarray, of_held: np.ndarray | float) -> np.ndarray:
    """A table [F, tissue states, immune states] with other entries where voxels hold a concentration.

    `of_held`: float64 [F, tissue states], or one number.
    """
    held = np.broadcast_to(exchange.holds[:, :, None], table.shape)
    there = np.broadcast_to(np.asarray(of_held), exchange.held.shape)[:, :, None]
    return np.where(held, there, table)


def memory(model: Model) -> int:
    """Bytes that the maps of one replicate of a model take."""
    slots = sum(int((model.exchange.part(by_fluid=each).slots >= 0).sum()) for each in (False, True))
    walls = len(model.exchange.walls)
    return model.voxels * (BYTES_PER_VOXEL_AND_SLOT * slots + BYTES_PER_VOXEL_AND_WALL * walls)


def walled(exchange: Exchange) -> np.ndarray:
    """Whether there are walls between a field and the body, bool [F]."""
    found = np.zeros(len(exchange.own), bool)
    found[exchange.walls["field"]] = True
    return found


def alone(exchange: Exchange) -> np.ndarray:
    """Whether a field is stepped by itself: its maps follow it, or what it gives to the body is counted, bool [F]."""
    alone: np.ndarray = exchange.own | walled(exchange)
    return alone


def _effects(exchange: Exchange, forms: list[Form]) -> np.ndarray:
    """The table of effects, as they are to be solved for.

    A voxel's equation may have several roots where a rate both feeds its field and holds it back. What feeds it is then
    taken as other fields are, at the beginning of a pass or turn. In an explicit form all is taken there.
    """
    effects = exchange.effects.copy()
    slots = np.flatnonzero(exchange.slots >= 0)
    if slots.size:
        fields = slots.repeat(np.diff(exchange.begin[:: (len(exchange.begin) - 1) // slots.size]))
        solved = (np.array(forms)[fields] & ~Form.WALLED) != Form.EXPLICIT
        effects["end_modulator"] += exchange.feeding * solved
    return effects


class ExchangeMaps:
    """The maps of all fields with effects, for some replicates of a model.

    Args:
        exchange: of the model, or a part of it.
        forms: of `tables.Form`, by field. times: dt, min; masses: 1, or 0 for a steady field; float64 [F].
        permeable: of the maps of another part, which has other walls.
    """

    def __init__(
        self,
        model: Model,
        exchange: Exchange,
        replicates: int,
        backend: Backend,
        forms: list[Form],
        times: np.ndarray,
        masses: np.ndarray,
        permeable: Array | None = None,
    ) -> None:
        shape = (replicates, *model.shape)
        self._backend, self._own, self.replicates = backend, exchange.own, replicates

        def zeros(count: int) -> Array:
            return backend.lattice(
                np.broadcast_to(np.float32(0), (count, *(shape if count else (replicates, 0, 0, 0))))
            )

        slots = int((exchange.slots >= 0).sum())
        permeable = zeros(len(exchange.walls)) if permeable is None else permeable
        self.maps = Maps(backend.array(exchange.slots), zeros(slots), zeros(slots), permeable)
        self.walls = backend.array(exchange.walls)
        self._field_of_walls = exchange.walls["field"]
        self._tables = ExchangeTables(
            effects=backend.array(_effects(exchange, forms)),
            begin=backend.array(exchange.begin),
            modulators=backend.array(model.cells.modulators),
            walls=self.walls,
            production=backend.array(with_held(exchange, exchange.production, exchange.held).astype(np.float32)),
            loss=backend.array(with_held(exchange, exchange.loss, HELD_LOSS).astype(np.float32)),
            forms=backend.array(np.array(forms, np.int32)),
            own=backend.array(exchange.own.astype(np.int32)),
            times=backend.array(times.astype(np.float32)),
            masses=backend.array(masses.astype(np.float32)),
            diffusion=diffusion(model, times, backend),
        )
        by_change = np.array(forms) == Form.OPERATOR | Form.WALLED  # anew for each solve
        once = np.flatnonzero((exchange.slots >= 0) & ~exchange.own & ~by_change)
        self._once = backend.array(once.astype(np.int32)) if once.size else None
        self._one = [backend.array(np.array([f], np.int32)) for f in range(len(forms))]

    def follow(self, state: State) -> None:
        """Make the maps of a step, of all fields but those whose maps are made for each pass or solve."""
        self.follow_tissue(state, state.tissue.cells)

    def follow_tissue(self, state: State, tissue: Array) -> None:
        """The same with other cells of the tissue."""
        if self._once is not None:
            self._make(state, tissue, state.fields, self._once, 0.0, 0.0)

    def follow_own(
        self, state: State, source: Array, field: int, from_c: float = 0.0, from_second: float = 0.0
    ) -> None:
        """Make the maps of a field whose effects depend on it, where it stands in `source`.

        In the form OPERATOR, the second map becomes from_c * c + from_second * second map, and the right-hand side
        that and what is produced. With WALLED, the former is what a voxel held at the beginning of the stage.
        """
        self._make(state, state.tissue.cells, source, self._one[field], from_c, from_second)

    def _make(
        self, state: State, tissue: Array, source: Array, active: Array, from_c: float, from_second: float
    ) -> None:
        self._backend.launch(
            "exchange_rates",
            self._tables,
            self._tables.diffusion,
            self.maps,
            active=active,
            tissue=tissue,
            immune=state.immune.cells,
            counts=state.counts,
            body=state.body,
            traits=state.traits,
            fields=state.fields,
            source=source,
            rhs=state.spare,
            from_c=from_c,
            from_second=from_second,
        )

    def walls_of(self, fields: Sequence[int]) -> Array | None:
        """The numbers of all walls between some fields and the body, int32 [walls]; None where there is none."""
        walls = np.flatnonzero(np.isin(self._field_of_walls, fields))
        return self._backend.array(walls.astype(np.int32)) if walls.size else None

    def count(self, state: State, fields: Array, walls: Array, times: Array) -> None:
        """Count what crosses some walls, int32 [walls], in times, float32 [F, R], min, from concentrations."""
        self._backend.launch(
            "count_exchange",
            self.maps,
            walls=self.walls,
            counted=walls,
            times=times,
            fields=fields,
            body=state.body,
            flowed=state.tally.flowed,
        )


class Alone:
    """What goes with the passes or solves of a field that is stepped by itself: its own maps, and its walls' count.

    Args:
        times: for which concentrations count in the parts of a step, min.
        counts_before: whether what crosses a wall in a pass follows from the concentration before it.
    """

    def __init__(
        self,
        model: Model,
        backend: Backend,
        exchange: ExchangeMaps,
        field: int,
        times: list[float],
        *,
        counts_before: bool = False,
    ) -> None:
        self._exchange, self._field = exchange, field
        self.own = bool(model.exchange.own[field])
        self._counts_before = counts_before
        self._counted = exchange.walls_of([field])
        self._times = [
            backend.array(np.full((len(model.fields), exchange.replicates), time, np.float32)) for time in times
        ]

    def before(self, state: State, source: Array, from_c: float = 0.0, from_second: float = 0.0) -> None:
        """Do what comes before a pass from `source`, or before a turn of a solve; see `ExchangeMaps.follow_own`."""
        if self.own:
            self._exchange.follow_own(state, source, self._field, from_c, from_second)
        if self._counts_before:
            self._count(state, source, 0)

    def after(self, state: State, target: Array, part: int = 0) -> None:
        """Do what comes after a pass to `target`, or a solve, for a part of the step."""
        if not self._counts_before:
            self._count(state, target, part)

    def _count(self, state: State, fields: Array, part: int) -> None:
        if self._counted is not None:
            self._exchange.count(state, fields, self._counted, self._times[part])
