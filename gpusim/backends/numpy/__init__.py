"""The operations in NumPy alone: the reference that kernels are held against."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gpusim.backends.base import (
    Array,
    CellLayer,
    CellTables,
    Conditions,
    Diffusion,
    Draw,
    Equations,
    ExchangeTables,
    ExplicitTables,
    FieldSums,
    Level,
    Maps,
    MassByCells,
    Means,
    ReactionTables,
    Share,
    Surroundings,
    Tally,
    Ways,
)
from gpusim.backends.numpy import (
    body,
    division,
    exchange,
    measure,
    motion,
    multigrid,
    neighbours,
    reactions,
    rules,
    transport,
)
from gpusim.backends.worker import Worker


class NumpyBackend:
    """Needs no compiler and no GPU. Takes one replicate after the other, each slab by slab, so that temporaries stay
    in cache; the operations themselves know of one replicate alone.
    """

    name = "numpy"
    threads = 1
    ranks = 1
    fields_together = False
    voxels_at_once = 0

    def __init__(self) -> None:
        self.worker = Worker()

    def free_memory(self) -> int | None:
        return None

    def array(self, values: np.ndarray) -> np.ndarray:
        return np.array(values, order="C")

    def lattice(self, values: np.ndarray, finest: int | None = None) -> np.ndarray:
        return self.array(values)

    def to_numpy(self, array: Array) -> np.ndarray:
        return np.array(array)

    def fetch(self, arrays: Sequence[Array]) -> list[np.ndarray]:
        return [np.array(array) for array in arrays]

    def write(self, array: Array, values: np.ndarray) -> None:
        array[...] = values

    def copy(self, target: Array, source: Array) -> None:
        target[...] = source

    def explicit_step(
        self,
        fields: Array,
        spare: Array,
        tissue: Array,
        immune: Array,
        active: Array,
        tables: ExplicitTables,
        first: int,
        end: int,
    ) -> None:
        for number in range(first, end):
            source, target = (fields, spare) if number % 2 else (spare, fields)
            for r in range(len(tissue)):
                one = replace(tables, maps=_maps(tables.maps, r))
                transport.explicit_step(source[:, r], target[:, r], tissue[r], immune[r], active, one, number)

    def walled_step(
        self,
        source: Array,
        target: Array,
        tissue: Array,
        body: Array,
        active: Array,
        tables: ExplicitTables,
        times: Array,
        walls: Array,
        number: int,
        draw: Draw,
    ) -> None:
        for r in _replicates(source):
            one = replace(tables, maps=_maps(tables.maps, r))
            drawn = Draw(draw.seeds[r], draw.step, draw.purpose, draw.origin)
            transport.walled_step(
                source[:, r], target[:, r], tissue[r], body[:, r], active, one, times, walls, number, drawn
            )

    def combine(
        self, c: Array, rhs: Array, cells: MassByCells, active: Array, gain: Array, diffusion: Diffusion, share: Share
    ) -> None:
        for r in _replicates(c):
            multigrid.combine(c[:, r], rhs[:, r], _mass(cells, r), active, gain, diffusion, share)

    def smooth(self, c: Array, rhs: Array, mass: MassByCells | Means, active: Array, level: Level, colour: int) -> None:
        for r in _replicates(c):
            multigrid.smooth(c[:, r], rhs[:, r], _mass(mass, r), active, level, colour)

    def restrict(
        self,
        c: Array,
        rhs: Array,
        mass: MassByCells | Means,
        coarse_c: Array,
        coarse_rhs: Array,
        active: Array,
        level: Level,
    ) -> None:
        for r in _replicates(c):
            coarse = (coarse_c[:, r], coarse_rhs[:, r])
            multigrid.restrict(c[:, r], rhs[:, r], _mass(mass, r), *coarse, active, level)

    def restrict_mass(self, cells: MassByCells, coarse: Array, active: Array, level: Level) -> None:
        for r in _replicates(coarse):
            multigrid.restrict_mass(_mass(cells, r), coarse[:, r], active, level)

    def restrict_coupling(self, cells: MassByCells, coarse: Array, active: Array, level: Level) -> None:
        for r in _replicates(coarse):
            multigrid.restrict_coupling(_mass(cells, r), coarse[:, r], active, level)

    def restrict_mean(self, values: Array, coarse: Array, active: Array, level: Level) -> None:
        for r in _replicates(values):
            multigrid.restrict_mean(values[:, r], coarse[:, r], active, level)

    def prolong(self, c: Array, coarse: Array, active: Array, level: Level) -> None:
        for r in _replicates(c):
            multigrid.prolong(c[:, r], coarse[:, r], active, level)

    def exchange_rates(
        self,
        fields: Array,
        source: Array,
        rhs: Array,
        conditions: Conditions,
        active: Array,
        tables: ExchangeTables,
        maps: Maps,
        from_c: float,
        from_second: float,
    ) -> None:
        for r in _replicates(fields):
            parts = (fields[:, r], source[:, r], rhs[:, r])
            exchange.exchange_rates(
                *parts, _conditions(conditions, r), active, tables, _maps(maps, r), from_c, from_second
            )

    def count_exchange(
        self, fields: Array, body: Array, counted: Array, times: Array, walls: Array, maps: Maps, tally: Tally
    ) -> None:
        for r in _replicates(fields):
            here = _tally(tally, r)
            exchange.count_exchange(fields[:, r], body[:, r], counted, times, walls, _maps(maps, r), here)

    def react(self, fields: Array, conditions: Conditions, tables: ReactionTables, draw: Draw) -> None:
        for r in _replicates(fields):
            drawn = Draw(draw.seeds[r], draw.step, draw.purpose, draw.origin)
            reactions.react(fields[:, r], _conditions(conditions, r), tables, drawn)

    def deposit(self, field: Array, voxels: Array, amounts: Array) -> None:
        exchange.deposit(field, voxels, amounts)

    def hold(self, fields: Array, tissue: Array, active: Array, held: Array) -> None:
        for r in _replicates(fields):
            exchange.hold(fields[:, r], tissue[r], active, held)

    def count_neighbours(
        self,
        own: Array,
        other: Array,
        states: Array,
        reach: int,
        members: Array,
        counts: Array,
        boundary: int = 0,
        beyond: int = 0,
    ) -> None:
        for r in range(len(own)):
            arrays = (members[r], counts[r])
            neighbours.count_neighbours(own[r], other[r], states, reach, *arrays, boundary, beyond)

    def apply_rules(
        self, layer: CellLayer, next: Array, around: Surroundings, fields: Array, tally: Tally, draw: Draw
    ) -> None:
        for r in range(len(next)):
            arguments = (_layer(layer, r), next[r], _around(around, r), fields[:, r])
            rules.apply_rules(*arguments, _tally(tally, r), _draw(draw, r))

    def propose_moves(
        self, layer: CellLayer, bid: Array, around: Surroundings, fields: Array, draw: Draw, boundary: int = 0
    ) -> None:
        for r in range(len(bid)):
            arguments = (_layer(layer, r), bid[r], _around(around, r), fields[:, r], _draw(draw, r))
            motion.propose_moves(*arguments, boundary)

    def move(self, layer: CellLayer, bid: Array, tally: Tally, boundary: int = 0) -> None:
        for r in range(len(bid)):
            motion.move(_layer(layer, r), bid[r], _tally(tally, r), boundary)

    def measure_room(self, layer: CellLayer, other: Array, room: Array, next: Array, ways: Ways) -> None:
        for r in range(len(room)):
            division.measure_room(layer.cells[r], other[r], room[r], ways)

    def divide(
        self, layer: CellLayer, room: Array, bids: Array, ways: Ways, tables: CellTables, tally: Tally, draw: Draw
    ) -> None:
        for r in range(len(room)):
            division.divide(_layer(layer, r), room[r], bids[r], ways, tables, _tally(tally, r), _draw(draw, r))

    def circulate(self, values: np.ndarray, equations: Equations, minutes: float) -> tuple[np.ndarray, np.ndarray]:
        return body.circulate(values, equations, minutes)

    def sum_fields(self, fields: Array, replicate: int) -> FieldSums:
        return measure.sum_fields(fields[:, replicate])

    def close(self) -> None:
        """Nothing to give back."""


# One replicate of what has an entry for each.


def _replicates(fields: Array) -> range:
    return range(fields.shape[1])


def _conditions(conditions: Conditions, r: int) -> Conditions:
    return Conditions(conditions.tissue[r], conditions.immune[r], conditions.counts[:, r], conditions.body[:, r])


def _layer(layer: CellLayer, r: int) -> CellLayer:
    return CellLayer(layer.cells[r], layer.clock[r], layer.heading[r], layer.claim[r], layer.vacant)


def _around(around: Surroundings, r: int) -> Surroundings:
    return Surroundings(around.other[r], around.counts[:, r], around.body[:, r], around.room[r], around.tables)


def _tally(tally: Tally, r: int) -> Tally:
    counts = (tally.fired[:, r], tally.barred[:, r], tally.taken[:, r], tally.left[:, :, r], tally.flowed[:, :, r])
    return Tally(*counts, tally.planes)


def _draw(draw: Draw, r: int) -> Draw:
    return Draw(draw.seeds[r], draw.step, draw.purpose, draw.origin)


def _mass(mass: MassByCells | Means, r: int) -> Any:
    if isinstance(mass, Means):
        return Means(mass.mass[:, r], mass.coupling[:, r])
    return MassByCells(mass.tissue[r], mass.immune[r], mass.table, mass.exchange_by, _maps(mass.maps, r))


def _maps(maps: Maps, r: int) -> Maps:
    return Maps(maps.slots, maps.first[:, r], maps.second[:, r], maps.permeable[:, r])
