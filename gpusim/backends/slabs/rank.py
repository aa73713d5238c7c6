"""One rank's share of the operations: its planes by another backend, then the planes beside them.

Arrays over a lattice are `Part`s; tables are whole on every rank, and so are coarse levels that are too thin to
be shared out. Between two operations a halo holds what its owners have, wherever a later operation reads it:
stencils, moves and counts find theirs wrong in the outermost plane and ask the ranks beside; what a voxel finds
by its own entries alone (rules, doses) is found in the halo too, by the same random numbers.

There is one replicate: planes of one field then follow each other in memory. Arrays may be in the memory of a GPU:
what a rank itself has to read of a table, it has on the host too.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gpusim.backends.base import (
    Array,
    Backend,
    CellLayer,
    CellTables,
    Conditions,
    Diffusion,
    Draw,
    Equations,
    ExplicitTables,
    FieldSums,
    Level,
    Maps,
    MassByCells,
    Means,
    ReactionTables,
    Surroundings,
    Tally,
    Ways,
)
from gpusim.backends.slabs.cut import HALO, Cut
from gpusim.backends.slabs.messages import Message, Messages
from gpusim.model.tables import Z_LOW

Lattice = Any
"""A `Part`, or an array that every rank has the whole of."""


@dataclass(frozen=True, eq=False)
class Table:
    """An array that every rank has the whole of, on its backend and on the host."""

    values: Array
    host: np.ndarray

    def __getitem__(self, index: Any) -> "Table":
        return Table(self.values[index], self.host[index])


@dataclass(frozen=True)
class Part:
    """The planes of an array [..., z, y, x] that a rank holds.

    Attributes:
        values: [..., planes, y, x], the halo included.
        cut: of the lattice.
    """

    values: Array
    cut: Cut

    def __getitem__(self, index: Any) -> "Part":
        return Part(self.values[index], self.cut)

    @property
    def own(self) -> Array:
        """The rank's own planes."""
        return self.values[..., self.cut.own, :, :]

    @property
    def origin(self) -> int:
        """Index of the first voxel held in the whole lattice."""
        _, ny, nx = self.values.shape[-3:]
        return self.cut.low * ny * nx


def held(value: Any) -> Any:
    """What a rank holds of an array, or of each array of a dataclass."""
    if isinstance(value, Part | Table):
        return value.values
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return type(value)(*(held(getattr(value, field.name)) for field in dataclasses.fields(value)))
    return value


class Rank:
    """The operations of `Backend` on this rank's planes; all ranks call them in the same order.

    Args:
        inner: works on the planes that this rank holds.
        world: an mpi4py communicator of all ranks. The first has the whole arrays where one is asked for.
        messages: go between the ranks.
        sharers: ranks that work with the same GPU as this one.
    """

    def __init__(self, inner: Backend, world: Any, messages: Messages, sharers: int = 1) -> None:
        self._inner, self._world, self._messages, self._sharers = inner, world, messages, sharers
        self._only = self.table(np.zeros(1, np.int32))
        """The fields of a launch with one field, whose tables and arrays are cut down to it."""

    def _do(self, operation: str, *arguments: Any) -> Any:
        """Let the backend do an operation with what this rank holds."""
        return getattr(self._inner, operation)(*map(held, arguments))

    # Arrays

    def free_memory(self) -> int | None:
        """Of all ranks' GPUs, what an even share of a lattice may take; None where they work in hosts' memory."""
        free = self._inner.free_memory()
        return None if free is None else self._world.size * min(self._world.allgather(free // self._sharers))

    def table(self, values: np.ndarray) -> Table:
        """An array that every rank has the whole of."""
        return Table(self._inner.array(values), np.array(values))

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype, finest: int) -> Lattice:
        """Room for an array over a lattice, filled by `scatter`; `finest`: planes of the finest level."""
        cut = Cut.of(finest, self._world.size, self._world.rank).at(shape[-3])
        if cut is None:
            return self._inner.array(np.zeros(shape, dtype))
        return Part(self._inner.array(np.zeros((*shape[:-3], cut.high - cut.low, *shape[-2:]), dtype)), cut)

    def scatter(self, array: Lattice, whole: np.ndarray | None) -> None:
        """Fill an array from the whole, which the first rank has."""
        if isinstance(array, Part):
            mine = None
            if whole is not None:
                for rank in range(1, self._world.size):
                    cut = array.cut.seen_by(rank)
                    self._world.Send(np.ascontiguousarray(whole[..., cut.low : cut.high, :, :]), rank)
                mine = whole[..., array.cut.low : array.cut.high, :, :]
            else:
                mine = np.empty(array.values.shape, array.values.dtype)
                self._world.Recv(mine, 0)
            self._inner.write(array.values, mine)
        elif held(array).size:
            target = held(array)
            mine = np.ascontiguousarray(whole) if whole is not None else np.empty(target.shape, target.dtype)
            self._world.Bcast(mine.view(np.uint8))
            self._inner.write(target, mine)
            if isinstance(array, Table):
                array.host[...] = mine

    def gather(self, array: Lattice) -> np.ndarray | None:
        """The whole array, on the first rank."""
        if not isinstance(array, Part):
            return self._inner.to_numpy(held(array))
        own = np.ascontiguousarray(self._inner.to_numpy(array.own))
        if self._world.rank:
            self._world.Send(own, 0)
            return None
        *leading, _, ny, nx = array.values.shape
        whole = np.empty((*leading, array.cut.planes, ny, nx), array.values.dtype)
        whole[..., : array.cut.end, :, :] = own
        for rank in range(1, self._world.size):
            cut = array.cut.seen_by(rank)
            theirs = np.empty((*leading, cut.end - cut.first, ny, nx), whole.dtype)
            self._world.Recv(theirs, rank)
            whole[..., cut.first : cut.end, :, :] = theirs
        return whole

    def _refresh(self, array: Lattice, entries: np.ndarray | None = None) -> None:
        """Fill the halo of an array, or of some entries of it, from the ranks beside this one."""
        if not isinstance(array, Part):
            return
        cut = array.cut
        first, end = cut.own.start, cut.own.stop
        sent, received = [], []
        for planes in [array.values[0]] if entries is None else [array.values[i, 0] for i in entries.tolist()]:
            if cut.rank > 0:
                received.append(Message(planes[:first], cut.rank - 1, 1))
                sent.append(Message(planes[first : first + HALO], cut.rank - 1, 2))
            if cut.rank < self._world.size - 1:
                received.append(Message(planes[end:], cut.rank + 1, 2))
                sent.append(Message(planes[end - HALO : end], cut.rank + 1, 1))
        self._messages.exchange(sent, received)

    def _complete(self, coarse: Lattice, fine: Cut, slots: np.ndarray) -> None:
        """Give every rank what it needs of a coarse array of which each has found the means of its own planes."""
        if isinstance(coarse, Part):
            self._refresh(coarse, slots)
        else:
            parts = [fine.seen_by(rank).own_children for rank in range(self._world.size)]
            self._messages.put_together([coarse[slot, 0] for slot in slots.tolist()], parts, fine.rank)

    # The body, which every rank follows by itself

    def circulate(self, values: np.ndarray, equations: Equations, minutes: float) -> Any:
        return self._do("circulate", values, equations, minutes)

    # Exchange. Maps are right on the rank's own planes, which is where they are read; what diffuses into the outermost
    # plane that it holds is not.

    def exchange_rates(self, *arguments: Any) -> None:
        self._do("exchange_rates", *arguments)

    def count_exchange(
        self, fields: Part, body: Table, counted: Table, times: Table, walls: Table, maps: Maps, tally: Tally
    ) -> None:
        here = self._counted_here(tally, fields.cut)
        self._do("count_exchange", fields, body, counted, times, walls, maps, here)
        self._messages.add(held(tally.flowed), here.flowed)

    def react(self, fields: Part, conditions: Conditions, tables: ReactionTables, draw: Draw) -> None:
        # A voxel reads its own entries alone, so that all planes held come out as their owners have them.
        self._do("react", fields, conditions, tables, replace(draw, origin=fields.origin))

    def _counted_here(self, tally: Tally, cut: Cut) -> Tally:
        """Room to count on the rank's own planes."""
        return self._counted(tally, (cut.own.start, cut.own.stop))

    def _counted(self, tally: Tally, planes: tuple[int, int]) -> Tally:
        """Room to count on some planes."""
        names = [field.name for field in dataclasses.fields(Tally) if field.name != "planes"]
        counts = {name: self._inner.array(np.zeros_like(getattr(tally, name).host)) for name in names}
        return Tally(**counts, planes=planes)

    # Explicit transport

    def explicit_step(
        self,
        fields: Part,
        spare: Part,
        tissue: Part,
        immune: Part,
        active: Table,
        tables: ExplicitTables,
        first: int,
        end: int,
    ) -> None:
        for number in range(first, end):
            self._do("explicit_step", fields, spare, tissue, immune, active, tables, number, number + 1)
            self._refresh(spare if number % 2 else fields, active.host)

    def walled_step(
        self,
        source: Part,
        target: Part,
        tissue: Part,
        body: Table,
        active: Table,
        tables: ExplicitTables,
        times: Table,
        walls: Table,
        number: int,
        draw: Draw,
    ) -> None:
        here = replace(draw, origin=source.origin)
        self._do("walled_step", source, target, tissue, body, active, tables, times, walls, number, here)
        self._refresh(target, active.host)

    def deposit(self, field: Part, voxels: Table, amounts: Table) -> None:
        here = voxels.host - field.origin
        mine = (here >= 0) & (here < field.values.size)
        if mine.any():
            self._do("deposit", field, self.table(here[mine]), self.table(amounts.host[mine]))

    def hold(self, *arguments: Any) -> None:
        self._do("hold", *arguments)

    # Implicit transport. Planes are even in number below a slab, and below its halo, so that a voxel has the same
    # colour and the same parent as in the whole lattice.

    def combine(self, *arguments: Any) -> None:
        self._do("combine", *arguments)

    def smooth(
        self, c: Lattice, rhs: Lattice, mass: MassByCells | Means, active: Table, level: Level, colour: int
    ) -> None:
        self._do("smooth", c, rhs, mass, active, _seen(level, c), colour)
        self._refresh(c, _entries(level, active))

    def restrict(
        self,
        c: Lattice,
        rhs: Lattice,
        mass: MassByCells | Means,
        coarse_c: Lattice,
        coarse_rhs: Lattice,
        active: Table,
        level: Level,
    ) -> None:
        if not isinstance(c, Part):
            self._do("restrict", c, rhs, mass, coarse_c, coarse_rhs, active, level)
            return
        for f, entry, slot in _places(level, active):
            self._clear_beside(coarse_c, c.cut, slot)
            coarse = (_above(coarse_c, c.cut, slot), _above(coarse_rhs, c.cut, slot))
            of_one = _one_mass(mass, f) if isinstance(mass, MassByCells) else _one_mean(mass, slot)
            one = self._one_level(_seen(level, c), f)
            self._do("restrict", _one(c, entry), _one(rhs, entry), of_one, *coarse, self._only, one)
        self._complete(coarse_rhs, c.cut, _slots(level, active))

    def _clear_beside(self, coarse: Lattice, fine: Cut, slot: int) -> None:
        """Set to 0 what a rank holds of a coarse level beside the planes above those that it holds of the finer."""
        above, planes = _planes_above(coarse, fine), held(coarse)[slot, 0]
        for part in (planes[: above.start], planes[above.stop :]):
            if part.size:
                self._inner.write(part, np.zeros(part.shape, part.dtype))

    def restrict_mass(self, cells: MassByCells, coarse: Lattice, active: Table, level: Level) -> None:
        self._restrict_cells("restrict_mass", cells, coarse, active, level)

    def restrict_coupling(self, cells: MassByCells, coarse: Lattice, active: Table, level: Level) -> None:
        self._restrict_cells("restrict_coupling", cells, coarse, active, level)

    def _restrict_cells(self, operation: str, cells: MassByCells, coarse: Lattice, active: Table, level: Level) -> None:
        cut = cells.tissue.cut
        for f, _, slot in _places(level, active):
            one = self._one_level(_seen(level, cells.tissue), f)
            self._do(operation, _one_mass(cells, f), _above(coarse, cut, slot), self._only, one)
        self._complete(coarse, cut, _slots(level, active))

    def restrict_mean(self, values: Lattice, coarse: Lattice, active: Table, level: Level) -> None:
        if not isinstance(values, Part):
            self._do("restrict_mean", values, coarse, active, level)
            return
        for f, _, slot in _places(level, active):
            one = self._one_level(_seen(level, values), f)
            self._do("restrict_mean", _one(values, slot), _above(coarse, values.cut, slot), self._only, one)
        self._complete(coarse, values.cut, _slots(level, active))

    def prolong(self, c: Lattice, coarse: Lattice, active: Table, level: Level) -> None:
        if not isinstance(c, Part):
            self._do("prolong", c, coarse, active, level)
            return
        for f, entry, slot in _places(level, active):
            one = self._one_level(_seen(level, c), f)
            self._do("prolong", _one(c, entry), _above(coarse, c.cut, slot), self._only, one)
        self._refresh(c, _entries(level, active))

    def _one_level(self, level: Level, field: int) -> Level:
        tables = (_one(getattr(level.diffusion, each.name), field) for each in dataclasses.fields(Diffusion))
        return replace(level, diffusion=Diffusion(*tables), slots=self._only)

    # Cells

    def count_neighbours(
        self,
        own: Part,
        other: Part,
        states: Table,
        reach: int,
        members: Part,
        counts: Part,
        boundary: int = 0,
        beyond: int = 0,
    ) -> None:
        seen = _boundary_of(boundary, own.cut)
        self._do("count_neighbours", own, other, states, reach, members, counts, seen, beyond)
        self._refresh(counts)

    def apply_rules(
        self, layer: CellLayer, next: Part, around: Surroundings, fields: Part, tally: Tally, draw: Draw
    ) -> None:
        # A voxel's rules read its own entries alone, so that all planes held come out as their owners have them.
        here = self._counted_here(tally, layer.cells.cut)
        self._do("apply_rules", layer, next, around, fields, here, replace(draw, origin=layer.cells.origin))
        self._messages.add(held(tally.fired), here.fired)

    def propose_moves(
        self, layer: CellLayer, bid: Part, around: Surroundings, fields: Part, draw: Draw, boundary: int = 0
    ) -> None:
        here, seen = replace(draw, origin=layer.cells.origin), _boundary_of(boundary, layer.cells.cut)
        self._do("propose_moves", layer, bid, around, fields, here, seen)
        self._refresh(bid)

    def move(self, layer: CellLayer, bid: Part, tally: Tally, boundary: int = 0) -> None:
        here, seen = self._counted_here(tally, layer.cells.cut), _boundary_of(boundary, layer.cells.cut)
        self._do("move", layer, bid, here, seen)
        if boundary:
            self._messages.add(held(tally.left), here.left)
        for array in _of_cells(layer):
            self._refresh(array)

    # Divisions reach beyond a halo: they are worked out on a copy with more planes, of which those held are kept.

    def measure_room(self, layer: CellLayer, other: Part, room: Part, next: Part, ways: Ways) -> None:
        cut = layer.cells.cut
        wide = cut.wider(2 * ways.rounds + HALO)
        around = replace(layer, cells=self._widened(layer.cells, wide))
        found, spare = (self._inner.array(np.zeros(around.cells.values.shape, np.uint8)) for _ in range(2))
        self._do("measure_room", around, self._widened(other, wide), found, spare, _ways_of(ways, wide))
        self._keep(room, Part(found, wide))

    def divide(
        self, layer: CellLayer, room: Part, bids: Part, ways: Ways, tables: CellTables, tally: Tally, draw: Draw
    ) -> None:
        wide = layer.cells.cut.wider(4 * ways.rounds + 1 + HALO)
        numbers = {name: self._widened(getattr(layer, name), wide) for name in ("cells", *_NUMBERS)}
        around = replace(layer, **numbers)
        none = self._inner.array(np.full(held(around.cells).shape, 2**32 - 1, np.uint32))
        here = self._counted(tally, (wide.own.start, wide.own.stop))
        arguments = (around, self._widened(room, wide), none, _ways_of(ways, wide), tables, here)
        self._do("divide", *arguments, replace(draw, origin=around.cells.origin))
        for array, found in zip(_of_cells(layer), _of_cells(around), strict=True):
            self._keep(array, found)
        for kind in ("fired", "barred", "taken", *(["left"] if ways.boundary else [])):
            self._messages.add(held(getattr(tally, kind)), getattr(here, kind))

    def _widened(self, array: Lattice, wide: Cut) -> Lattice:
        """A copy [1, planes, y, x] of the planes of a wider cut; the array itself where it holds nothing."""
        if not isinstance(array, Part):
            return array
        own = array.cut
        copied = Part(
            self._inner.array(np.empty((1, wide.high - wide.low, *array.values.shape[-2:]), array.values.dtype)), wide
        )
        self._inner.copy(copied.own, array.own)
        sent, received = [], []
        for rank in range(self._world.size):
            theirs, wanted = own.seen_by(rank), wide.seen_by(rank)
            if rank == own.rank:
                continue
            first, end = max(own.first, wanted.low), min(own.end, wanted.high)
            if first < end:
                sent.append(Message(array.values[0, first - own.low : end - own.low], rank, 3))
            first, end = max(theirs.first, wide.low), min(theirs.end, wide.high)
            if first < end:
                received.append(Message(copied.values[0, first - wide.low : end - wide.low], rank, 3))
        self._messages.exchange(sent, received)
        return copied

    def _keep(self, array: Part, found: Part) -> None:
        """Take what has been found of a wider cut."""
        first = array.cut.low - found.cut.low
        self._inner.copy(array.values, found.values[:, first : first + array.values.shape[1]])

    # Looking

    def sum_fields(self, fields: Part, replicate: int) -> FieldSums:
        _, ny, nx = fields.values.shape[-3:]
        own = fields.own
        mine = [self._inner.sum_fields(own[f : f + 1], replicate) for f in range(len(own))]  # each in one go in memory
        for sums in mine:
            if sums.fault[0] != _NO_FAULT:
                sums.fault[0] += np.uint64(fields.cut.first * ny * nx)
        of_ranks = self._world.allgather(np.array([[s.whole[0], s.fraction[0], s.fault[0]] for s in mine], np.uint64))
        whole, fraction, fault = np.reshape(of_ranks, (self._world.size, len(mine), 3)).transpose(2, 0, 1)
        return FieldSums(whole.sum(0), fraction.sum(0), fault.min(0))

    def close(self) -> None:
        """Give back threads and memory."""
        self._inner.close()


_NUMBERS = ("clock", "heading", "claim")
"""What a cell takes along."""


def _of_cells(layer: CellLayer) -> list[Part]:
    """What a cell has in each array, where the layer's have it."""
    arrays = (getattr(layer, name) for name in ("cells", *_NUMBERS))
    return [array for array in arrays if isinstance(array, Part)]


def _boundary_of(boundary: int, cut: Cut) -> int:
    """Sides of the lattice as the planes of a cut see them: where they are cut off, no side is open."""
    cut_off = (cut.low > 0, cut.high < cut.planes)
    return boundary & ~sum(Z_LOW << end for end, is_cut in enumerate(cut_off) if is_cut)


def _ways_of(ways: Ways, cut: Cut) -> Ways:
    return replace(ways, yields=held(ways.yields), boundary=_boundary_of(ways.boundary, cut))


_NO_FAULT = np.uint64(2**64 - 1)


def _seen(level: Level, array: Lattice) -> Level:
    """A level as the planes held see it: the last of them is narrower only where it is the lattice's own last."""
    if not isinstance(array, Part) or array.cut.high == array.cut.planes:
        return level
    return replace(level, last_widths=(1.0, *level.last_widths[1:]))


def _slots(level: Level, active: Table) -> np.ndarray:
    """Where fields stand in the arrays of coarse levels."""
    slots: np.ndarray = level.slots.host[active.host]
    return slots


def _entries(level: Level, active: Table) -> np.ndarray:
    """Where they stand in those of this one."""
    return active.host if level.finest else _slots(level, active)


def _places(level: Level, active: Table) -> Iterator[tuple[int, int, int]]:
    """Each field, where it stands in the arrays of the level, and where in those of coarse ones."""
    return zip(active.host.tolist(), _entries(level, active).tolist(), _slots(level, active).tolist(), strict=True)


def _planes_above(coarse: Lattice, fine: Cut) -> slice:
    """Those that a rank holds of a coarse level above the planes that it holds of the finer."""
    low = coarse.cut.low if isinstance(coarse, Part) else 0
    return slice(fine.children.start - low, fine.children.stop - low)


def _above(coarse: Lattice, fine: Cut, slot: int) -> Array:
    """The same of one field, float32 [1, 1, z, y, x]."""
    return held(coarse)[slot : slot + 1, :, _planes_above(coarse, fine)]


# One field of what has an entry for each.


def _one(array: Lattice | Table, entry: int) -> Array:
    return held(array)[entry : entry + 1]


def _one_mass(mass: MassByCells, field: int) -> MassByCells:
    maps = replace(mass.maps, slots=_one(mass.maps.slots, field))
    tables = (_one(mass.table, field), _one(mass.exchange_by, field))
    return MassByCells(mass.tissue, mass.immune, *tables, maps)


def _one_mean(means: Means, slot: int) -> Means:
    return Means(_one(means.mass, slot), _one(means.coupling, slot))
