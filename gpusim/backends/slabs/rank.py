"""One rank's share of the operations: its planes by another backend, then the planes beside them.

Arrays over a lattice are `Part`s; tables are whole on every rank, and so are coarse levels that are too thin to
be shared out. Between two operations a halo holds what its owners have, wherever a later operation reads it:
stencils, moves and counts find theirs wrong in the outermost plane and ask the ranks beside; what a voxel finds
by its own entries alone (rules, doses) is found in the halo too, by the same random numbers.

There is one replicate: planes of one field then follow each other in memory.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gpusim.backends.base import (
    Array,
    Backend,
    CellLayer,
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
    Share,
    Surroundings,
    Tally,
)
from gpusim.backends.slabs.cut import HALO, Cut

_ONLY = np.zeros(1, np.int32)
"""The fields of a launch with one field, whose tables and arrays are cut down to it."""

Lattice = Any
"""A `Part`, or an array that every rank has the whole of."""


@dataclass(frozen=True)
class Part:
    """The planes of an array [..., z, y, x] that a rank holds.

    Attributes:
        values: [..., planes, y, x], the halo included.
        cut: of the lattice.
    """

    values: np.ndarray
    cut: Cut

    def __getitem__(self, index: Any) -> "Part":
        return Part(self.values[index], self.cut)

    @property
    def own(self) -> np.ndarray:
        """The rank's own planes."""
        return self.values[..., self.cut.own, :, :]

    @property
    def origin(self) -> int:
        """Index of the first voxel held in the whole lattice."""
        _, ny, nx = self.values.shape[-3:]
        return self.cut.low * ny * nx


def held(value: Any) -> Any:
    """What a rank holds of an array, or of each array of a dataclass."""
    if isinstance(value, Part):
        return value.values
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return type(value)(*(held(getattr(value, field.name)) for field in dataclasses.fields(value)))
    return value


class Rank:
    """The operations of `Backend` on this rank's planes; all ranks call them in the same order.

    Args:
        inner: works on the planes that this rank holds.
        world: an mpi4py communicator of all ranks. The first has the whole arrays where one is asked for.
    """

    def __init__(self, inner: Backend, world: Any) -> None:
        self._inner = inner
        self._world = world

    # Arrays

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
        elif array.size:
            mine = np.ascontiguousarray(whole) if whole is not None else np.empty(array.shape, array.dtype)
            self._world.Bcast(mine.view(np.uint8))
            self._inner.write(array, mine)

    def gather(self, array: Lattice) -> np.ndarray | None:
        """The whole array, on the first rank."""
        if not isinstance(array, Part):
            return self._inner.to_numpy(array)
        if self._world.rank:
            self._world.Send(np.ascontiguousarray(array.own), 0)
            return None
        *leading, _, ny, nx = array.values.shape
        whole = np.empty((*leading, array.cut.planes, ny, nx), array.values.dtype)
        whole[..., : array.cut.end, :, :] = array.own
        for rank in range(1, self._world.size):
            cut = array.cut.seen_by(rank)
            theirs = np.empty((*leading, cut.end - cut.first, ny, nx), whole.dtype)
            self._world.Recv(theirs, rank)
            whole[..., cut.first : cut.end, :, :] = theirs
        return whole

    def _refresh(self, array: Lattice, fields: Sequence[int] | np.ndarray | None = None) -> None:
        """Fill the halo of an array, or of some fields of it, from the ranks beside this one."""
        if not isinstance(array, Part):
            return
        cut, world = array.cut, self._world
        first, end = cut.own.start, cut.own.stop
        requests = []
        for (planes,) in [array.values] if fields is None else [array.values[f] for f in fields]:
            if cut.rank > 0:
                requests.append(world.Irecv(planes[:first], cut.rank - 1, 1))
                requests.append(world.Isend(planes[first : first + HALO], cut.rank - 1, 2))
            if cut.rank < world.size - 1:
                requests.append(world.Irecv(planes[end:], cut.rank + 1, 2))
                requests.append(world.Isend(planes[end - HALO : end], cut.rank + 1, 1))
        for request in requests:
            request.Wait()

    def _complete(self, coarse: Lattice, fine: Cut, fields: np.ndarray) -> None:
        """Give every rank what it needs of a coarse array of which each has found the means of its own planes."""
        if isinstance(coarse, Part):
            self._refresh(coarse, fields)
            return
        plane = coarse[0, 0, 0].size
        ends = [fine.seen_by(rank).own_children for rank in range(self._world.size)]
        counts, starts = zip(*((plane * (s.stop - s.start), plane * s.start) for s in ends), strict=True)
        own = fine.own_children
        for f in fields:
            mine = coarse[f, 0, own].copy()
            self._world.Allgatherv(mine, [coarse[f], (counts, starts)])

    # The body, which every rank follows by itself

    def circulate(self, values: np.ndarray, equations: Equations, minutes: float) -> tuple[np.ndarray, np.ndarray]:
        return self._inner.circulate(values, equations, minutes)

    # Exchange. Maps are right on the rank's own planes, which is where they are read; what diffuses into the outermost
    # plane that it holds is not.

    def exchange_rates(
        self,
        fields: Part,
        source: Part,
        rhs: Part,
        conditions: Conditions,
        active: Array,
        tables: ExchangeTables,
        maps: Maps,
        from_c: float,
        from_second: float,
    ) -> None:
        arrays = (held(fields), held(source), held(rhs), held(conditions))
        self._inner.exchange_rates(*arrays, active, tables, held(maps), from_c, from_second)

    def count_exchange(
        self, fields: Part, body: Array, counted: Array, times: Array, walls: Array, maps: Maps, tally: Tally
    ) -> None:
        own = fields.cut.own
        here = Tally(np.zeros_like(tally.fired), np.zeros_like(tally.flowed), (own.start, own.stop))
        self._inner.count_exchange(held(fields), body, counted, times, walls, held(maps), here)
        self._add(tally.flowed, here.flowed)

    def _add(self, total: np.ndarray, part: np.ndarray) -> None:
        """Add what all ranks have counted."""
        of_all = np.empty_like(part)
        self._world.Allreduce(part, of_all)
        total += of_all

    # Explicit transport

    def explicit_step(
        self,
        fields: Part,
        spare: Part,
        tissue: Part,
        immune: Part,
        active: Array,
        tables: ExplicitTables,
        first: int,
        end: int,
    ) -> None:
        for number in range(first, end):
            c, other, own, immune_cells = map(held, (fields, spare, tissue, immune))
            self._inner.explicit_step(c, other, own, immune_cells, active, tables, number, number + 1)
            self._refresh(spare if number % 2 else fields, active)

    def deposit(self, field: Part, voxels: Array, amounts: Array) -> None:
        here = voxels - field.origin
        mine = (here >= 0) & (here < field.values.size)
        if mine.any():
            self._inner.deposit(field.values, here[mine], amounts[mine])

    # Implicit transport. Planes are even in number below a slab, and below its halo, so that a voxel has the same
    # colour and the same parent as in the whole lattice.

    def combine(
        self, c: Part, rhs: Part, cells: MassByCells, active: Array, gain: Array, diffusion: Diffusion, share: Share
    ) -> None:
        self._inner.combine(held(c), held(rhs), held(cells), active, gain, diffusion, share)

    def smooth(
        self, c: Lattice, rhs: Lattice, mass: MassByCells | Means, active: Array, level: Level, colour: int
    ) -> None:
        self._inner.smooth(held(c), held(rhs), held(mass), active, _seen(level, c), colour)
        self._refresh(c, _entries(level, active))

    def restrict(
        self,
        c: Lattice,
        rhs: Lattice,
        mass: MassByCells | Means,
        coarse_c: Lattice,
        coarse_rhs: Lattice,
        active: Array,
        level: Level,
    ) -> None:
        if not isinstance(c, Part):
            self._inner.restrict(c, rhs, mass, coarse_c, coarse_rhs, active, level)
            return
        slots = level.slots[active]
        for f, at, slot in zip(active, _entries(level, active), slots, strict=True):
            held(coarse_c)[slot] = 0
            coarse = (_above(coarse_c, c.cut, slot), _above(coarse_rhs, c.cut, slot))
            of_one = _one_mass(mass, f) if isinstance(mass, MassByCells) else _one_mean(mass, slot)
            fine = (_one(c, at), _one(rhs, at), of_one)
            self._inner.restrict(*fine, *coarse, _ONLY, _one_level(_seen(level, c), f))
        self._complete(coarse_rhs, c.cut, slots)

    def restrict_mass(self, cells: MassByCells, coarse: Lattice, active: Array, level: Level) -> None:
        cut, slots = cells.tissue.cut, level.slots[active]
        for f, slot in zip(active, slots, strict=True):
            one = _one_level(_seen(level, cells.tissue), f)
            self._inner.restrict_mass(_one_mass(cells, f), _above(coarse, cut, slot), _ONLY, one)
        self._complete(coarse, cut, slots)

    def restrict_coupling(self, cells: MassByCells, coarse: Lattice, active: Array, level: Level) -> None:
        cut, slots = cells.tissue.cut, level.slots[active]
        for f, slot in zip(active, slots, strict=True):
            one = _one_level(_seen(level, cells.tissue), f)
            self._inner.restrict_coupling(_one_mass(cells, f), _above(coarse, cut, slot), _ONLY, one)
        self._complete(coarse, cut, slots)

    def restrict_mean(self, values: Lattice, coarse: Lattice, active: Array, level: Level) -> None:
        if not isinstance(values, Part):
            self._inner.restrict_mean(values, coarse, active, level)
            return
        slots = level.slots[active]
        for f, slot in zip(active, slots, strict=True):
            one = _one_level(_seen(level, values), f)
            self._inner.restrict_mean(_one(values, slot), _above(coarse, values.cut, slot), _ONLY, one)
        self._complete(coarse, values.cut, slots)

    def prolong(self, c: Lattice, coarse: Lattice, active: Array, level: Level) -> None:
        if not isinstance(c, Part):
            self._inner.prolong(c, coarse, active, level)
            return
        entries, slots = _entries(level, active), level.slots[active]
        for f, at, slot in zip(active, entries, slots, strict=True):
            above, one = _above(coarse, c.cut, slot), _one_level(_seen(level, c), f)
            self._inner.prolong(_one(c, at), above, _ONLY, one)
        self._refresh(c, entries)

    # Cells

    def count_neighbours(self, own: Part, other: Part, states: Array, reach: int, members: Part, counts: Part) -> None:
        self._inner.count_neighbours(held(own), held(other), states, reach, held(members), held(counts))
        self._refresh(counts)

    def apply_rules(
        self, layer: CellLayer, next: Part, around: Surroundings, fields: Part, tally: Tally, draw: Draw
    ) -> None:
        # A voxel's rules read its own entries alone, so that all planes held come out as their owners have them.
        own = layer.cells.cut.own
        here = Tally(np.zeros_like(tally.fired), np.zeros_like(tally.flowed), (own.start, own.stop))
        placed = replace(draw, origin=layer.cells.origin)
        self._inner.apply_rules(held(layer), held(next), held(around), held(fields), here, placed)
        self._add(tally.fired, here.fired)

    def propose_moves(self, layer: CellLayer, bid: Part, around: Surroundings, fields: Part, draw: Draw) -> None:
        placed = replace(draw, origin=layer.cells.origin)
        self._inner.propose_moves(held(layer), held(bid), held(around), held(fields), placed)
        self._refresh(bid)

    def move(self, layer: CellLayer, bid: Part) -> None:
        self._inner.move(held(layer), held(bid))
        for array in (layer.cells, layer.clock, layer.heading):
            self._refresh(array)

    # Looking

    def sum_fields(self, fields: Part, replicate: int) -> FieldSums:
        _, ny, nx = fields.values.shape[-3:]
        mine = [self._inner.sum_fields(np.ascontiguousarray(field)[None], replicate) for field in fields.own]
        for sums in mine:
            if sums.fault[0] != _NO_FAULT:
                sums.fault[0] += np.uint64(fields.cut.first * ny * nx)
        of_ranks = self._world.allgather(np.array([[s.whole[0], s.fraction[0], s.fault[0]] for s in mine], np.uint64))
        whole, fraction, fault = np.reshape(of_ranks, (self._world.size, len(mine), 3)).transpose(2, 0, 1)
        return FieldSums(whole.sum(0), fraction.sum(0), fault.min(0))

    def close(self) -> None:
        """Give back threads and memory."""
        self._inner.close()


_NO_FAULT = np.uint64(2**64 - 1)


def _seen(level: Level, array: Lattice) -> Level:
    """A level as the planes held see it: the last of them is narrower only where it is the lattice's own last."""
    if not isinstance(array, Part) or array.cut.high == array.cut.planes:
        return level
    return replace(level, last_widths=(1.0, *level.last_widths[1:]))


def _entries(level: Level, active: Array) -> np.ndarray:
    """Where fields stand in the arrays of a level."""
    entries: np.ndarray = active if level.finest else level.slots[active]
    return entries


def _above(coarse: Lattice, fine: Cut, slot: int) -> np.ndarray:
    """Of one field on a coarse level, float32 [1, 1, z, y, x], the planes above those that are held of the finer."""
    low = coarse.cut.low if isinstance(coarse, Part) else 0
    above = fine.children
    planes: np.ndarray = held(coarse)[slot : slot + 1, :, above.start - low : above.stop - low]
    return planes


# One field of what has an entry for each.


def _one(array: Lattice, field: int) -> np.ndarray:
    one: np.ndarray = held(array)[field : field + 1]
    return one


def _one_level(level: Level, field: int) -> Level:
    diffusion = Diffusion(*(_one(getattr(level.diffusion, each.name), field) for each in dataclasses.fields(Diffusion)))
    return replace(level, diffusion=diffusion, slots=_ONLY)


def _one_mass(mass: MassByCells, field: int) -> MassByCells:
    maps = held(replace(mass.maps, slots=_one(mass.maps.slots, field)))
    tables = (_one(mass.table, field), _one(mass.exchange_by, field))
    return MassByCells(held(mass.tissue), held(mass.immune), *tables, maps)


def _one_mean(means: Means, slot: int) -> Means:
    return Means(_one(means.mass, slot), _one(means.coupling, slot))
