"""NumPy twin of kernels/division.cu: the same numbers, of all mothers at once, step by step along their ways."""

import itertools

import numpy as np

from gpusim.backends.base import CellLayer, CellTables, Draw, Tally, Ways
from gpusim.backends.numpy.random import philox, voxel_random
from gpusim.backends.numpy.sides import is_open, padded, part, periodic
from gpusim.backends.numpy.tally import count
from gpusim.model.tables import CORNER, EDGE, FACE, RIGID, Claim

_STEPS = [step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)]


def _length(step: tuple[int, ...]) -> int:
    return (FACE, EDGE, CORNER)[sum(map(abs, step)) - 1]


def _beside(step: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The voxels beside a step over an edge or a corner."""
    parts = itertools.product(*((0, d) if d else (0,) for d in step))
    return [part for part in parts if any(part) and part != step]


def measure_room(cells: np.ndarray, other: np.ndarray, room: np.ndarray, ways: Ways) -> None:
    """Room of each voxel, uint8 [z, y, x], by Bellman's and Ford's method."""
    room[...] = ways.yields[cells, other]
    for axis, end in itertools.product(range(3), (0, 1)):
        if is_open(ways.boundary, axis, end):
            side = tuple(slice(None) if a != axis else -end for a in range(3))
            at_side = room[side]
            at_side[(at_side != RIGID) & (at_side > FACE)] = FACE
    for _ in range(2 * ways.rounds):
        around = padded(room.astype(np.int32), ways.boundary & 7, beyond=RIGID, closed=RIGID)
        here = {step: part(around, step, room.shape) for step in itertools.product((-1, 0, 1), repeat=3)}
        found = here[0, 0, 0]
        for step in _STEPS:
            reached = np.minimum(found, here[step] + _length(step))
            for passed in _beside(step):
                reached = np.where(here[passed] == RIGID, found, reached)
            found = reached
        room[...] = np.where(room == RIGID, room, found)


class _Ways:
    """The ways through the lattice of one replicate."""

    def __init__(self, room: np.ndarray, ways: Ways, draw: Draw) -> None:
        self.room, self.shape, self.draw = room.reshape(-1).astype(np.int32), room.shape, draw
        self._periodic = periodic(ways.boundary)

    def neighbour(self, voxels: np.ndarray, step: tuple[int, ...]) -> np.ndarray:
        """Flat index of the voxel a step away; -1 outside."""
        places = list(np.unravel_index(voxels, self.shape))
        outside = np.zeros(voxels.shape, bool)
        for axis, (d, n) in enumerate(zip(step, self.shape, strict=True)):
            places[axis] = places[axis] + d
            if self._periodic[axis]:
                places[axis] = places[axis] % n
            outside |= (places[axis] < 0) | (places[axis] >= n)
            places[axis] = np.where(outside, 0, places[axis])
        return np.where(outside, -1, np.ravel_multi_index(places, self.shape))

    def _room_at(self, voxels: np.ndarray) -> np.ndarray:
        return np.where(voxels < 0, RIGID, self.room[voxels])

    def go_on(self, voxels: np.ndarray) -> np.ndarray:
        """The next voxels on the ways; -1 where they end."""
        there = np.array([self.neighbour(voxels, step) for step in _STEPS]).reshape(len(_STEPS), -1)
        room = self._room_at(there)
        lengths = np.array([_length(step) for step in _STEPS])
        leads = (room != RIGID) & (room + lengths[:, None] == self.room[voxels])
        for i, step in enumerate(_STEPS):
            for passed in _beside(step):
                leads[i] &= self._room_at(self.neighbour(voxels, passed)) != RIGID
        count = leads.sum(axis=0)
        word = voxel_random(voxels, self.draw)[0].astype(np.int64)
        wanted = word % np.maximum(count, 1)
        chosen = np.argmax(leads & (np.cumsum(leads, axis=0) == wanted + 1), axis=0)
        return np.where(count > 0, there[chosen, np.arange(voxels.size)], -1)

    def root(self, voxels: np.ndarray) -> np.ndarray:
        """Where the ways from voxels end."""
        place = voxels.copy()
        going = np.arange(voxels.size)
        while going.size:
            further = self.go_on(place[going])
            going, further = going[further >= 0], further[further >= 0]
            place[going] = further
        return place


def _shuffled(numbers: np.ndarray, key: tuple[int, ...]) -> np.ndarray:
    """A permutation of the numbers below 2^31."""
    mask = np.uint64(0x7FFFFFFF)
    found = numbers.astype(np.uint64)
    for turn in range(2):
        found = (found * np.uint64(key[2 * turn] | 1) + np.uint64(key[2 * turn + 1])) & mask
        found = found ^ (found >> np.uint64(16))
        found = (found * np.uint64(0x2C1B3C6D)) & mask
        found = found ^ (found >> np.uint64(15))
    return found.astype(np.uint32)


def _bids(voxels: np.ndarray, new: np.ndarray, draw: Draw) -> np.ndarray:
    """uint32, no two alike: those of claims that were made earlier are lower."""
    all_ones, seed = np.array([0xFFFFFFFF], np.uint64), int(draw.seeds)
    counter = (all_ones, all_ones, np.array([draw.step], np.uint64), np.array([draw.purpose], np.uint64))
    key = tuple(int(word[0]) for word in philox(counter, (seed & 0xFFFFFFFF, seed >> 32)))
    return _shuffled(voxels + draw.origin, key) | np.where(new, np.uint32(0x80000000), np.uint32(0))


def divide(
    layer: CellLayer, room: np.ndarray, bids: np.ndarray, ways: Ways, tables: CellTables, tally: Tally, draw: Draw
) -> None:
    """Let the mothers of one replicate divide."""
    own, claim, through = layer.cells.reshape(-1), layer.claim.reshape(-1), _Ways(room, ways, draw)
    mothers = np.flatnonzero(claim)
    numbers = tables.rule_begin[own[mothers]] + (claim[mothers] & Claim.RULE) - 1
    roots = through.root(mothers)
    # Not in her own place, where she would be crushed, though a daughter may leave from there through an open side.
    in_own_place = (roots == mothers) & (through.room[mothers] == ways.yields[own[mothers], 0])
    has_room = (through.room[mothers] <= tables.rules["reach"][numbers]) & ~in_own_place
    barred = mothers[~has_room]
    count(tally.barred, numbers[~has_room], barred, tally, room.shape)
    claim[barred] = 0

    mothers, numbers, roots = mothers[has_room], numbers[has_room], roots[has_room]
    offers = _bids(mothers, (claim[mothers] & Claim.NEW) > 0, draw)
    lowest = bids.reshape(-1).copy()
    np.minimum.at(lowest, roots, offers)
    granted = lowest[roots] == offers
    claim[mothers] &= np.uint8(Claim.RULE)

    mothers, numbers = mothers[granted], numbers[granted]
    count(tally.fired, numbers, mothers, tally, room.shape)
    own[mothers] = tables.rules["to"][numbers]
    arrays = [own, layer.clock.reshape(-1), claim]
    arrays += [layer.heading.reshape(-1)] if layer.heading.size else []
    hands = [np.zeros(mothers.size, array.dtype) for array in arrays]
    hands[0][:] = tables.rules["daughter"][numbers]
    for array in arrays[1:3]:
        array[mothers] = 0
    place, going = mothers.copy(), np.arange(mothers.size)
    while going.size:
        further = through.go_on(place[going])
        going, further = going[further >= 0], further[further >= 0]
        place[going] = further
        for array, hand in zip(arrays, hands, strict=True):
            array[further], hand[going] = hand[going], array[further]
    count(tally.taken, hands[0], place, tally, room.shape)
    leaves = (hands[0] != ways.vacant) & (through.room[place] < ways.yields[hands[0], 0])
    count(tally.left[0], hands[0][leaves], place[leaves], tally, room.shape)
