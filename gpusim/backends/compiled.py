"""The operations as launches of compiled kernels: shared by the cpu and the cuda backend."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
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
from gpusim.backends.worker import Worker
from gpusim.model.tables import FACE

DEPOSIT_THREADS = 256
CIRCULATE_THREADS = 32


def row_threads(nx: int) -> int:
    """Threads of a block that takes a row of nx voxels: whole warps, 256 at most."""
    return min(256, -(-nx // 32) * 32)


# What follows from the shape of an array is kept: a small lattice has hundreds of launches a step.


@functools.cache
def _sizes(shape: tuple[int, ...]) -> tuple[np.int32, ...]:
    """Replicates, and voxels along z, y, x, of an array [..., R, z, y, x]."""
    return tuple(map(np.int32, shape[-4:]))


@functools.cache
def _rows(shape: tuple[int, ...], fields: int = 1) -> tuple[int, int]:
    """Blocks of an operation on [..., R, z, y, x], one for each row of voxels of each field, and their threads."""
    replicates, nz, ny, nx = shape[-4:]
    return fields * replicates * nz * ny, row_threads(nx)


_COLUMN_THREADS = 256
_MOST_WIDTH = 64
_ENOUGH_BLOCKS = 4096
"""Several times as many as a large GPU holds at once."""
_ENOUGH_RUNS = 1024
"""As many as it holds."""
_LEAST_PLANES, _MOST_PLANES = 4, 64


def _even_parts(n: int, most: int) -> int:
    """Size of the parts of n, as even as can be, none larger than `most`."""
    return -(-n // -(-n // most))


@functools.cache
def columns(shape: tuple[int, ...], fields: int = 1) -> tuple[int, int, tuple[np.int32, ...]]:
    """Blocks of a GPU whose threads take columns of [..., R, z, y, x] of each field, their threads, and their tile.

    The tile is voxels along x and along y, and planes. Few planes make enough blocks for all of a GPU, many planes
    make what a thread finds before its first voxel worth while.
    """
    replicates, nz, ny, nx = shape[-4:]
    width = _even_parts(nx, _MOST_WIDTH)
    rows = _even_parts(ny, _COLUMN_THREADS // width)
    tiles = fields * replicates * -(-ny // rows) * -(-nx // width)
    planes = min(nz, max(_LEAST_PLANES, min(_MOST_PLANES, nz * tiles // _ENOUGH_BLOCKS)))
    return tiles * -(-nz // planes), -(-width * rows // 32) * 32, tuple(map(np.int32, (width, rows, planes)))


@functools.cache
def runs(shape: tuple[int, ...], most: int, fields: int = 1) -> tuple[int, int, int]:
    """Blocks that take rows of [R, z, y, x] of each field up to `most` voxels, or one; their threads and their rows."""
    replicates, nz, ny, nx = shape
    total = replicates * nz * ny
    rows = max(1, min(most // nx, fields * total // _ENOUGH_RUNS))
    return fields * -(-total // rows), row_threads(rows * nx), rows


@functools.cache
def _widths(last: tuple[float, float, float]) -> tuple[np.float32, ...]:
    """Widths of the last voxels along z, y, x."""
    return tuple(map(np.float32, last))


def _coupling(diffusion: Diffusion) -> tuple[Array, ...]:
    """What couples the voxels of the implicit operator."""
    return (diffusion.coupling, diffusion.by, diffusion.boundary, diffusion.resistance)


def _mass(cells: MassByCells) -> tuple[Array, ...]:
    """The mass of the implicit operator on the finest level."""
    return (cells.table, cells.exchange_by, cells.maps.slots, cells.maps.first)


@functools.cache
def _states(shape: tuple[int, ...]) -> tuple[np.int32, ...]:
    """Tissue states and immune states of a table [F, tissue states, immune states]."""
    return tuple(map(np.int32, shape[1:]))


def _drawn(draw: Draw) -> tuple[Array | np.generic, ...]:
    return draw.seeds, np.uint64(draw.origin), np.uint32(draw.step), np.uint32(draw.purpose)


class CompiledBackend(ABC):
    """Operations in terms of `launch`. One block takes one row of voxels."""

    name: str
    threads: int
    ranks = 1
    fields_together: bool
    worker: Worker
    voxels_at_once = 0

    @abstractmethod
    def free_memory(self) -> int | None: ...

    @abstractmethod
    def array(self, values: np.ndarray) -> Array: ...

    def lattice(self, values: np.ndarray, finest: int | None = None) -> Array:
        return self.array(values)

    def to_numpy(self, array: Array) -> np.ndarray:
        return self.fetch([array])[0]

    @abstractmethod
    def fetch(self, arrays: Sequence[Array]) -> list[np.ndarray]: ...

    @abstractmethod
    def write(self, array: Array, values: np.ndarray) -> None: ...

    @abstractmethod
    def launch(self, kernel: str, blocks: int, threads: int, arguments: Sequence[Array | np.generic]) -> None:
        """Run a kernel; arguments are arrays of the backend and NumPy scalars of the kernel's types.

        A launch of 0 blocks does nothing.
        """

    @abstractmethod
    def copy(self, target: Array, source: Array) -> None:
        """Copy an array, or a part of one in one piece, onto another of the same shape and dtype, as fast as can be."""

    @abstractmethod
    def seconds(self, action: Callable[[], object]) -> float:
        """Time that the machine itself spends on an action: its launches, its copies. It may be repeated."""

    @abstractmethod
    def mark(self) -> Any:
        """The present moment in the sequence of launches."""

    @abstractmethod
    def between(self, begun: Any, ended: Any) -> float:
        """Seconds between two moments; waits for the later one."""

    def _one_each(self, count: int, threads: int) -> tuple[int, int]:
        """Blocks and threads of a launch with a thread for each of `count`; a host block has one thread."""
        threads = 1 if self.name == "cpu" else threads
        return -(-count // threads), threads

    def _columns(
        self, shape: tuple[int, ...], fields: int = 1, together: int = 1
    ) -> tuple[int, int, tuple[np.int32, ...]]:
        """As `columns`, of so many voxels together along x; a host block takes one row."""
        blocks, threads, tile = columns((*shape[:-1], -(-shape[-1] // together)), fields)
        return (*_rows(shape, fields), tile) if self.name == "cpu" else (blocks, threads, tile)

    def _runs(self, shape: tuple[int, ...], most: int = 2048, fields: int = 1) -> tuple[int, int, int]:
        """As `runs`; a host block takes one row."""
        return runs(shape, 1 if self.name == "cpu" else most, fields)

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
        source, target = (fields, spare) if first % 2 else (spare, fields)
        blocks, threads, tile = self._columns(tissue.shape, active.size)
        if end - first > 1:
            blocks, threads = active.size * len(tissue), tissue[0].size * (end - first)
        arguments = (
            source,
            target,
            tissue,
            immune,
            active,
            *_coupling(tables.diffusion),
            tables.diffusion.far,
            tables.keep,
            tables.gain,
            tables.exchange_by,
            tables.maps.slots,
            tables.maps.first,
            tables.maps.second,
            tables.implicit_exchange,
            tables.passes,
            tables.momenta,
            np.int32(tables.momenta.shape[1]),
            np.int32(first),
            np.int32(end),
            *tile,
            *_sizes(tissue.shape),
            *_states(tables.keep.shape),
        )
        self.launch("explicit_step", blocks, threads, arguments)

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
        maps, shape = tables.maps, source.shape
        seeds, *numbers = _drawn(draw)
        arguments = (
            active,
            *_coupling(tables.diffusion),
            tables.diffusion.far,
            tables.implicit_exchange,
            times,
            walls,
            seeds,
            tissue,
            body,
            maps.slots,
            maps.first,
            maps.second,
            maps.permeable,
            source,
            target,
            *numbers,
            *map(np.int32, (number, len(maps.permeable))),
            *_sizes(shape),
            _states(tables.keep.shape)[0],
        )
        self.launch("walled_step", *_rows(shape, active.size), arguments)

    def combine(
        self, c: Array, rhs: Array, cells: MassByCells, active: Array, gain: Array, diffusion: Diffusion, share: Share
    ) -> None:
        sides = (diffusion.coupling, diffusion.boundary, diffusion.resistance, diffusion.far)
        shares = map(np.float32, (share.c, share.rhs, share.gain))
        arguments = (
            c,
            rhs,
            cells.tissue,
            cells.immune,
            active,
            gain,
            cells.maps.slots,
            cells.maps.second,
            *sides,
            *shares,
            *_sizes(c.shape),
            *_states(cells.table.shape),
        )
        self.launch("combine", *_rows(c.shape, active.size), arguments)

    def smooth(self, c: Array, rhs: Array, mass: MassByCells | Means, active: Array, level: Level, colour: int) -> None:
        coupling = _coupling(level.diffusion)
        if isinstance(mass, MassByCells):
            name = "smooth_finest"
            by = (mass.tissue, mass.immune, active, *_mass(mass), *coupling)
            arguments = (c, rhs, *by, np.int32(colour), *_sizes(c.shape), *_states(mass.table.shape))
        else:
            name = "smooth_coarse"
            by = (mass.mass, mass.coupling, active, level.slots, *coupling)
            edge = np.float32(level.edge)
            states = np.int32(level.diffusion.coupling.shape[1])
            arguments = (c, rhs, *by, edge, np.int32(colour), *_widths(level.last_widths), *_sizes(c.shape), states)
        self.launch(name, *_rows(c.shape, active.size), arguments)

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
        coupling = _coupling(level.diffusion)
        if isinstance(mass, MassByCells):
            name = "restrict_finest"
            cells = (mass.tissue, mass.immune)
            by = (active, level.slots, *_mass(mass), *coupling)
            arguments = (c, rhs, *cells, coarse_c, coarse_rhs, *by, *_sizes(c.shape), *_states(mass.table.shape))
        else:
            name = "restrict_coarse"
            edge = np.float32(level.edge)
            means = (mass.mass, mass.coupling)
            states = np.int32(level.diffusion.coupling.shape[1])
            by = (active, level.slots, *coupling, edge, *_widths(level.last_widths))
            arguments = (c, rhs, *means, coarse_c, coarse_rhs, *by, *_sizes(c.shape), states)
        self.launch(name, *_rows(coarse_c.shape, active.size), arguments)

    def restrict_mass(self, cells: MassByCells, coarse: Array, active: Array, level: Level) -> None:
        by = (cells.table, cells.maps.slots, cells.maps.first, level.diffusion.coupling)
        arguments = (
            cells.tissue,
            cells.immune,
            coarse,
            active,
            level.slots,
            *by,
            *_sizes(cells.tissue.shape),
            *_states(cells.table.shape),
        )
        self.launch("restrict_mass", *_rows(coarse.shape, active.size), arguments)

    def restrict_coupling(self, cells: MassByCells, coarse: Array, active: Array, level: Level) -> None:
        arguments = (
            cells.tissue,
            coarse,
            active,
            level.slots,
            level.diffusion.coupling,
            *_sizes(cells.tissue.shape),
            _states(cells.table.shape)[0],
        )
        self.launch("restrict_coupling", *_rows(coarse.shape, active.size), arguments)

    def restrict_mean(self, values: Array, coarse: Array, active: Array, level: Level) -> None:
        arguments = (values, coarse, active, level.slots, *_widths(level.last_widths), *_sizes(values.shape))
        self.launch("restrict_mean", *_rows(coarse.shape, active.size), arguments)

    def prolong(self, c: Array, coarse: Array, active: Array, level: Level) -> None:
        diffusion = level.diffusion
        by = (diffusion.coupling, diffusion.boundary, diffusion.resistance)
        states = np.int32(diffusion.coupling.shape[1])
        arguments = (c, coarse, active, level.slots, *by, np.float32(level.edge), *_sizes(c.shape), states)
        self.launch("prolong", *_rows(c.shape, active.size), arguments)

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
        diffusion, states = tables.diffusion, tables.production.shape[1] + tables.production.shape[2]
        arguments = (
            tables.effects,
            tables.begin,
            tables.modulators,
            tables.walls,
            tables.production,
            tables.loss,
            maps.slots,
            tables.forms,
            tables.own,
            tables.times,
            tables.masses,
            *_coupling(diffusion),
            diffusion.far,
            active,
            conditions.tissue,
            conditions.immune,
            fields,
            source,
            conditions.counts,
            conditions.body,
            maps.first,
            maps.second,
            rhs,
            maps.permeable,
            *map(np.float32, (from_c, from_second)),
            *map(np.int32, (len(maps.permeable), states)),
            *_sizes(fields.shape),
            *_states(tables.production.shape),
        )
        self.launch("exchange_rates", *_rows(fields.shape, active.size), arguments)

    def count_exchange(
        self,
        fields: Array,
        body: Array,
        counted: Array,
        times: Array,
        walls: Array,
        maps: Maps,
        tally: Tally,
    ) -> None:
        shape = fields.shape
        arguments = (
            walls,
            counted,
            times,
            fields,
            maps.permeable,
            body,
            tally.flowed,
            *map(np.int32, tally.planes or (0, shape[-3])),
            np.int32(len(maps.permeable)),
            *_sizes(shape),
        )
        self.launch("count_exchange", *_rows(shape, counted.size), arguments)

    def react(self, fields: Array, conditions: Conditions, tables: ReactionTables, draw: Draw) -> None:
        arguments = (
            tables.reactions,
            tables.terms,
            tables.modulators,
            conditions.tissue,
            conditions.immune,
            fields,
            conditions.counts,
            conditions.body,
            tables.held,
            *_drawn(draw),
            np.int32(tables.count),
            np.int32(tables.held.shape[1] if tables.holds else 0),
            *_sizes(fields.shape),
        )
        self.launch("react", *_rows(fields.shape), arguments)

    def deposit(self, field: Array, voxels: Array, amounts: Array) -> None:
        arguments = (field, voxels, amounts, np.int64(voxels.size))
        self.launch("deposit", *self._one_each(voxels.size, DEPOSIT_THREADS), arguments)

    def hold(self, fields: Array, tissue: Array, active: Array, held: Array) -> None:
        arguments = (fields, tissue, active, held, *_sizes(fields.shape), np.int32(held.shape[1]))
        self.launch("hold", *_rows(fields.shape, active.size), arguments)

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
        rows, sizes = _rows(own.shape), _sizes(own.shape)
        self.launch("mark_members", *rows, (own, other, members, states, sizes[-1]))
        blocks, threads, tile = self._columns(own.shape, together=4)
        self.launch(
            "count_members",
            blocks,
            threads,
            (members, counts, *map(np.int32, (reach, boundary, beyond)), *tile, *sizes),
        )

    def apply_rules(
        self, layer: CellLayer, next: Array, around: Surroundings, fields: Array, tally: Tally, draw: Draw
    ) -> None:
        tables, nz = around.tables, layer.cells.shape[1]
        by_cells = (tables.rules, tables.rule_begin, tables.ceilings)
        arguments = (
            layer.cells,
            around.other,
            next,
            layer.clock,
            layer.claim,
            fields,
            around.counts,
            around.body,
            around.room,
            *by_cells,
            tables.modulators,
            tables.releases,
            tally.fired,
            *_drawn(draw),
            *map(np.int32, tally.planes or (0, nz)),
            np.int32(layer.claim.size > 0),
            np.int32(len(tables.ceilings)),
            *_sizes(layer.cells.shape),
        )
        self.launch("apply_rules", *_rows(layer.cells.shape), arguments)

    def propose_moves(
        self, layer: CellLayer, bid: Array, around: Surroundings, fields: Array, draw: Draw, boundary: int = 0
    ) -> None:
        blocks, threads, rows = self._runs(layer.cells.shape)
        arguments = (
            layer.cells,
            around.other,
            layer.heading,
            bid,
            fields,
            around.counts,
            around.body,
            around.tables.motilities,
            around.tables.modulators,
            *_drawn(draw),
            *map(np.int32, (boundary, layer.vacant, rows)),
            *_sizes(layer.cells.shape),
        )
        self.launch("propose_moves", blocks, threads, arguments)

    def move(self, layer: CellLayer, bid: Array, tally: Tally, boundary: int = 0) -> None:
        blocks, threads, rows = self._runs(layer.cells.shape)
        shape = layer.cells.shape
        scalars = (*(tally.planes or (0, shape[-3])), boundary, layer.claim.size > 0, layer.vacant, rows)
        cells = (layer.cells, layer.clock, layer.heading, layer.claim)
        self.launch("move", blocks, threads, (*cells, bid, tally.left[1], *map(np.int32, scalars), *_sizes(shape)))

    def measure_room(self, layer: CellLayer, other: Array, room: Array, next: Array, ways: Ways) -> None:
        shape, boundary = layer.cells.shape, np.int32(ways.boundary)
        rows, sizes = _rows(shape), _sizes(shape)
        scalars = (np.int32(len(ways.yields)), boundary, np.int32(FACE))
        self.launch("begin_room", *rows, (ways.yields, layer.cells, other, room, *scalars, *sizes))
        if room[0].size <= self.voxels_at_once:
            self.launch("spread_room", len(room), room[0].size, (room, next, np.int32(1), boundary, *sizes))
            return
        for source, target in [(room, next), (next, room)] * ways.rounds:
            self.launch("spread_room", *rows, (source, target, np.int32(0), boundary, *sizes))

    def divide(
        self, layer: CellLayer, room: Array, bids: Array, ways: Ways, tables: CellTables, tally: Tally, draw: Draw
    ) -> None:
        shape = layer.cells.shape
        blocks, threads, rows = self._runs(shape)
        rules, drawn = (tables.rules, tables.rule_begin), _drawn(draw)
        lattice = (np.int32(ways.boundary), np.int32(rows), *_sizes(shape))
        planes = tuple(map(np.int32, tally.planes or (0, shape[-3])))
        bidding = (*rules, ways.yields, layer.cells, layer.claim, room, bids)
        states = np.int32(len(ways.yields))
        self.launch("bid_for_room", blocks, threads, (*bidding, *drawn, states, *lattice))
        self.launch("settle_bids", blocks, threads, (*bidding, tally.barred, *drawn, *planes, states, *lattice))
        cells = (layer.cells, layer.clock, layer.heading, layer.claim)
        counted = (tally.fired, tally.taken, tally.left[0])
        scalars = (states, *map(np.int32, (ways.vacant, layer.heading.size > 0)))
        arguments = (*rules, ways.yields, *cells, room, bids, *counted, *drawn, *planes, *scalars, *lattice)
        self.launch("divide", blocks, threads, arguments)

    def circulate(self, values: np.ndarray, equations: Equations, minutes: float) -> tuple[np.ndarray, np.ndarray]:
        quantities, replicates = values.shape
        found, followed = self.array(values), self.array(np.ones(replicates, np.int32))
        arguments = (
            found,
            equations.room,
            followed,
            equations.flows,
            equations.rates,
            equations.modulators,
            np.float64(minutes),
            *map(np.int32, (len(equations.rates), quantities, replicates)),
        )
        self.launch("circulate", *self._one_each(replicates, CIRCULATE_THREADS), arguments)
        after, good = self.fetch([found, followed])
        return after, good > 0

    def sum_fields(self, fields: Array, replicate: int) -> FieldSums:
        count = len(fields)
        sums = self.array(np.repeat(np.array([[0], [0], [2**64 - 1]], np.uint64), count, axis=1))
        blocks, threads, rows = self._runs((1, *fields.shape[2:]), 16_384, count)
        arguments = (fields, *sums, np.int32(rows), np.int32(replicate), *_sizes(fields.shape))
        self.launch("sum_fields", blocks, threads, arguments)
        return FieldSums(*self.to_numpy(sums))

    def close(self) -> None:  # noqa: B027 (nothing to give back unless a backend says so)
        """Give back threads and memory."""
