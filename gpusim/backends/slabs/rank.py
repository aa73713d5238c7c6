"""One rank's share of a launch: its planes by another backend, then the planes beside them.

Arrays over a lattice are `Part`s; tables are whole on every rank, and so are coarse levels that are too thin to
be shared out. Between two launches a halo holds what its owners have, wherever a later one reads it: stencils,
moves and counts leave it wrong in the outermost plane, which `launches.py` says of their arrays, and the ranks beside
are asked; what a voxel finds by its own entries alone (rules, doses) is found in the halo too, by the same random
numbers.

There is one replicate: planes of one field then follow each other in memory. Arrays may be in the memory of a GPU:
what a rank itself has to read of a table, it has on the host too.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpusim.backends.base import Backend, Window
from gpusim.backends.groups import Array
from gpusim.backends.launches import launch_of
from gpusim.backends.signatures import ARRAYS, Kernel, kernels
from gpusim.backends.slabs.cut import HALO, Cut
from gpusim.backends.slabs.messages import Message, Messages
from gpusim.model.tables import NO_REGION

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

    @property
    def window(self) -> Window:
        """Where it lies in the lattice; the rank's own planes are counted."""
        return Window(self.origin, self.cut.own.start, self.cut.own.stop)


def held(value: Any) -> Any:
    """What a rank holds of an array; a number is the same on all."""
    return value.values if isinstance(value, Part | Table) else value


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

    def copy(self, target: Lattice, source: Lattice) -> None:
        """Copy an array onto another one that is shared out alike."""
        self._inner.copy(held(target), held(source))

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
        sent, received = [], []
        for planes in [array.values[0]] if entries is None else [array.values[i, 0] for i in entries.tolist()]:
            for side in array.cut.neighbours:
                received.append(Message(planes[side.halo], side.rank, side.tag))
                sent.append(Message(planes[side.edge], side.rank, 3 - side.tag))
        self._messages.exchange(sent, received)

    def _join(self, given: dict[str, Any]) -> None:
        """Join voxels to regions, on from where other ranks have found them joined to label 0."""
        self._meet(given["labels"])
        while True:
            self._run("join_regions", given)
            self._run("settle_regions", {"labels": given["labels"]})
            if not self._meet(given["labels"]):
                return

    def _settle(self, name: str, given: dict[str, Any], array: Part) -> None:
        """Launch it here and take what the ranks beside this one have found, until that is no news to any rank."""
        sides = array.cut.neighbours
        while True:
            self._run(name, given)
            before = self._inner.fetch([array.values[0][side.halo] for side in sides])
            self._refresh(array)
            after = self._inner.fetch([array.values[0][side.halo] for side in sides])
            news = any((old != new).any() for old, new in zip(before, after, strict=True))
            if not self._world.allreduce(int(news)):
                return

    def _meet(self, labels: Part) -> bool:
        """Take from the ranks beside which voxels of the halo have no label, or label 0; True where a 0 is new."""
        planes, sides = labels.values[0], labels.cut.neighbours
        theirs = [self._inner.array(np.zeros((HALO, *planes.shape[1:]), np.uint32)) for _ in sides]
        self._messages.exchange(
            [Message(planes[side.edge], side.rank, 3 - side.tag) for side in sides],
            [Message(array, side.rank, side.tag) for array, side in zip(theirs, sides, strict=True)],
        )
        new = False
        for array, side in zip(theirs, sides, strict=True):
            there, here = self._inner.fetch([array, planes[side.halo]])
            first = side.halo.start * here[0].size + 1
            numbers = np.arange(first, first + here.size, dtype=np.uint32).reshape(here.shape)
            own = np.where(here == NO_REGION, numbers, here)
            self._inner.write(planes[side.halo], np.where((there == 0) | (there == NO_REGION), there, own))
            new = new or bool(((there == 0) & (here != 0)).any())
        return bool(self._world.allreduce(int(new)))

    def _complete(self, coarse: Lattice, fine: Cut, slots: np.ndarray) -> None:
        """Give every rank what it needs of a coarse array of which each has found the means of its own planes."""
        if isinstance(coarse, Part):
            self._refresh(coarse, slots)
        else:
            parts = [fine.seen_by(rank).own_children for rank in range(self._world.size)]
            self._messages.put_together([coarse[slot, 0] for slot in slots.tolist()], parts, fine.rank)

    # Launches

    def launch(self, name: str, given: dict[str, Any]) -> None:
        """Run a kernel on what all ranks hold."""
        kernel, part = kernels()[name], _first_part(kernels()[name], given)
        if part is None:
            self._run(name, given)
            return
        if "wz" in given and part.cut.high < part.cut.planes:  # the lattice's own last plane is not held
            given = {**given, "wz": 1.0}
        launch = launch_of(name)
        if name == "deposit":
            self._deposit(**given)
        elif name == "sum_fields":
            self._sum_fields(**given)
        elif any("cz" in each.axes for each in kernel.parameters):
            self._between_levels(kernel, given, part.cut)
        elif launch.joins:
            self._join(given)
        elif launch.settles is not None and given["passes"] > 1:
            self._settle(name, given, given[launch.settles])
        elif launch.beyond is not None:
            tables = {each: value.host for each, value in given.items() if isinstance(value, Table)}
            self._with_more_planes(kernel, given, part.cut.wider(HALO + launch.beyond(tables)))
        else:
            self._counting(name, given, part)
            for each in launch.halo:
                self._refresh(given[each], _entries(kernel, given, each))

    def _counting(self, name: str, given: dict[str, Any], part: Part) -> None:
        """Launch it on the planes of a part, and add up what it counts over the ranks' own planes.

        `given` has the sides of the whole lattice, by which all ranks decide alike what they add up.
        """
        sums = {each: self._inner.array(np.zeros_like(given[each].host)) for each in launch_of(name).sums}
        appended = _BIRTHS if launch_of(name).appends and given["births"].host.size else ()
        tables = {each: self._inner.array(np.zeros_like(given[each].host)) for each in appended}
        self._run(name, _cut_off({**given, **sums, **tables}, part.cut), part.window)
        if appended:
            self._append(given, tables)
        for each, mine in sums.items():
            if mine.size and (each != "left" or given["boundary"]):  # no cell leaves where no side is open
                self._messages.add(held(given[each]), mine)

    def _append(self, given: dict[str, Any], mine: dict[str, Array]) -> None:
        """Add what each rank has noted of births to the tables that all have the whole of."""
        born, births, newborn = (self._inner.to_numpy(mine[each]) for each in _BIRTHS)
        count = min(int(born[0]), births.shape[1])
        of_ranks = self._world.allgather((int(born[0]), births[0, :count], newborn[0, :count]))
        total = self._inner.to_numpy(held(given["born"]))
        first = int(total[0])
        for number, values in ((1, held(given["births"])), (2, held(given["newborn"]))):
            rows = np.concatenate([each[number] for each in of_ranks])[: values.shape[1] - first]
            if len(rows) and rows.size:
                self._inner.write(values[0, first : first + len(rows)], np.ascontiguousarray(rows))
        self._inner.write(held(given["born"]), total + np.uint64(sum(each[0] for each in of_ranks)))

    def _with_more_planes(self, kernel: Kernel, given: dict[str, Any], wide: Cut) -> None:
        """The same on copies of a wider cut; the planes held are kept of them."""
        lattices = [each for each in kernel.of(*ARRAYS) if isinstance(given[each.name], Part)]
        around = {each.name: self._widened(given[each.name], wide) for each in lattices}
        self._counting(kernel.name, {**given, **around}, next(iter(around.values())))
        for each in lattices:
            if each.group == "state out":
                self._keep(given[each.name], around[each.name])

    def _widened(self, array: Part, wide: Cut) -> Part:
        """A copy [..., planes, y, x] of the planes of a wider cut."""
        own, (*leading, _, ny, nx) = array.cut, array.values.shape
        copied = Part(self._inner.array(np.empty((*leading, wide.high - wide.low, ny, nx), array.values.dtype)), wide)
        for entry in np.ndindex(*leading):
            self._inner.copy(copied.own[entry], array.own[entry])
            sent, received = [], []
            for rank in range(self._world.size):
                theirs, wanted = own.seen_by(rank), wide.seen_by(rank)
                if rank == own.rank:
                    continue
                first, end = max(own.first, wanted.low), min(own.end, wanted.high)
                if first < end:
                    sent.append(Message(array.values[entry][first - own.low : end - own.low], rank, 3))
                first, end = max(theirs.first, wide.low), min(theirs.end, wide.high)
                if first < end:
                    received.append(Message(copied.values[entry][first - wide.low : end - wide.low], rank, 3))
            self._messages.exchange(sent, received)
        return copied

    def _keep(self, array: Part, found: Part) -> None:
        """Take what has been found of a wider cut."""
        first, (*leading, planes, _, _) = array.cut.low - found.cut.low, array.values.shape
        for entry in np.ndindex(*leading):
            self._inner.copy(array.values[entry], found.values[entry][first : first + planes])

    def _run(self, name: str, given: dict[str, Any], window: Window | None = None) -> None:
        """Launch it here."""
        self._inner.launch(name, window=window, **{each: held(value) for each, value in given.items()})

    def _between_levels(self, kernel: Kernel, given: dict[str, Any], cut: Cut) -> None:
        """The same between a level that is cut and a coarser one, one field after the other.

        Planes are even in number below a slab, and below its halo, so that a voxel has the same colour and the same
        parent as in the whole lattice.
        """
        fields, slots = given["active"].host, given["slots"].host
        for field in fields.tolist():
            if "coarse_c" in given:
                self._clear_beside(given["coarse_c"], cut, slots[field])
            one = {"active": self._only, "slots": self._only}
            for each in kernel.of(*ARRAYS):
                if "cz" in each.axes:
                    one[each.name] = _above(given[each.name], cut, slots[field])
                elif each.axes[0] in ("F", "slots", "coupled", "entries") and each.name not in one:
                    entry = int(_places(each.axes[0], np.array([field]), given)[0])
                    one[each.name] = held(given[each.name])[entry : entry + 1]
            self._run(kernel.name, {**given, **one})
        for name in launch_of(kernel.name).halo:
            if name == "c":
                self._refresh(given["c"], _entries(kernel, given, "c"))
            else:
                self._complete(given[name], cut, slots[fields])

    def _clear_beside(self, coarse: Lattice, fine: Cut, slot: int) -> None:
        """Set to 0 what a rank holds of a coarse level beside the planes above those that it holds of the finer."""
        above, planes = _planes_above(coarse, fine), held(coarse)[slot, 0]
        for part in (planes[: above.start], planes[above.stop :]):
            if part.size:
                self._inner.write(part, np.zeros(part.shape, part.dtype))

    def _deposit(self, field: Part, voxels: Table, amounts: Table) -> None:
        here = voxels.host - field.origin
        mine = (here >= 0) & (here < field.values.size)
        given = {"voxels": self.table(here[mine]), "amounts": self.table(amounts.host[mine])}
        self._run("deposit", {"field": field, **given})

    def _sum_fields(self, fields: Part, replicate: int, whole: Table, fraction: Table, fault: Table) -> None:
        """Of the rank's own planes, then of all; field by field, as each is in one go in memory."""
        own, sums = fields.own, self._inner.array(np.stack([whole.host, fraction.host, fault.host]))
        for f in range(len(own)):
            one = {name: sums[i][f : f + 1] for i, name in enumerate(("whole", "fraction", "fault"))}
            self._run("sum_fields", {"fields": own[f : f + 1], "replicate": replicate, **one})
        mine = self._inner.to_numpy(sums)
        first = fields.cut.first * math.prod(own.shape[3:])
        mine[2] = np.where(mine[2] == _NO_FAULT, _NO_FAULT, mine[2] + np.uint64(first))
        of_ranks = np.stack(self._world.allgather(mine))
        found = (of_ranks[:, 0].sum(axis=0), of_ranks[:, 1].sum(axis=0), of_ranks[:, 2].min(axis=0))
        for table, values in zip((whole, fraction, fault), found, strict=True):
            self._inner.write(held(table), values)

    def close(self) -> None:
        """Give back threads and memory."""
        self._inner.close()


_BIRTHS = ("born", "births", "newborn")
_NO_FAULT = np.uint64(2**64 - 1)


def _cut_off(given: dict[str, Any], cut: Cut) -> dict[str, Any]:
    """What a launch is given, with the sides of the lattice as the planes of a cut meet them."""
    found = {each: given[each] for each in ("boundary", "sides") if isinstance(given.get(each), int)}
    return given | {each: cut.sides_met(sides) for each, sides in found.items()}


def _first_part(kernel: Kernel, given: dict[str, Any]) -> Part | None:
    """An array of the lattice of a launch, the finer one of two; None where every rank has the whole of it."""
    lattices = (given[each.name] for each in kernel.of(*ARRAYS) if each.axes[-3:] == ("z", "y", "x"))
    return next((each for each in lattices if isinstance(each, Part)), None)


def _entries(kernel: Kernel, given: dict[str, Any], name: str) -> np.ndarray | None:
    """Entries of an array that a launch writes; None where it has no axis of fields or traits."""
    (axes,) = (each.axes for each in kernel.parameters if each.name == name)
    if axes[0] == "traits":
        return np.arange(given["first_trait"], given["end_trait"])
    return None if axes[0] == "R" else _places(axes[0], given["active"].host, given)


def _places(axis: str, fields: np.ndarray, given: dict[str, Any]) -> np.ndarray:
    """Where fields stand along an axis: by number on the finest level, in slots on a coarser one."""
    if axis == "F" or (axis == "entries" and given["edge"] == 1):
        return fields
    slots: np.ndarray = given["slots"].host[fields]
    return slots


def _planes_above(coarse: Lattice, fine: Cut) -> slice:
    """Those that a rank holds of a coarse level above the planes that it holds of the finer."""
    low = coarse.cut.low if isinstance(coarse, Part) else 0
    return slice(fine.children.start - low, fine.children.stop - low)


def _above(coarse: Lattice, fine: Cut, slot: int) -> Array:
    """The same of one field, float32 [1, 1, z, y, x]."""
    return held(coarse)[slot : slot + 1, :, _planes_above(coarse, fine)]
