"""NumPy twin of kernels/division.cu: the same numbers, of all mothers at once, step by step along their ways."""

import itertools

import numpy as np

from gpusim.backends.numpy.clones import Clones
from gpusim.backends.numpy.random import Draw, philox, voxel_random
from gpusim.backends.numpy.sides import is_open, padded, part, periodic
from gpusim.backends.numpy.tally import count, counted_here
from gpusim.backends.numpy.traits import Traits
from gpusim.model.tables import CORNER, EDGE, FACE, NO_BID, PERIODIC, RIGID, Claim

_STEPS = [step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)]


def _length(step: tuple[int, ...]) -> int:
    return (FACE, EDGE, CORNER)[sum(map(abs, step)) - 1]


def _beside(step: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The voxels beside a step over an edge or a corner."""
    parts = itertools.product(*((0, d) if d else (0,) for d in step))
    return [part for part in parts if any(part) and part != step]


def begin_room(yields: np.ndarray, cells: np.ndarray, other: np.ndarray, room: np.ndarray, boundary: int) -> None:
    """Room of each voxel by itself, uint16 [z, y, x]."""
    room[...] = yields[cells, other]
    for axis, end in itertools.product(range(3), (0, 1)):
        if is_open(boundary, axis, end):
            side = tuple(slice(None) if a != axis else -end for a in range(3))
            at_side = room[side]
            at_side[(at_side != RIGID) & (at_side > FACE)] = FACE


def spread_room(room: np.ndarray, next: np.ndarray, passes: int, boundary: int) -> None:
    """Room found one step further on, into `next`, by Bellman's and Ford's method; for more passes, all in `room`."""
    barred = _barred(room, boundary)
    box = [slice(0, n) for n in room.shape]
    if passes == 1:
        next[...] = _nearer(room, box, barred, boundary)
        return
    while all(side.start < side.stop for side in box):
        found, here = _nearer(room, box, barred, boundary), room[tuple(box)]
        changed = found != here
        here[...] = found
        box = _around(changed, box, room.shape, periodic(boundary))


def _barred(room: np.ndarray, boundary: int) -> dict[tuple[int, ...], np.ndarray]:
    """Where steps over an edge or a corner pass by a rigid voxel; nothing where no voxel is rigid."""
    if not (room == RIGID).any():
        return {}
    rigid = padded(room == RIGID, boundary & sum(PERIODIC), beyond=0, closed=0)
    beside = {step: [part(rigid, passed, room.shape) for passed in _beside(step)] for step in _STEPS}
    return {step: np.logical_or.reduce(walls) for step, walls in beside.items() if walls}


def _nearer(room: np.ndarray, box: list[slice], barred: dict[tuple[int, ...], np.ndarray], boundary: int) -> np.ndarray:
    """Room one step further on in a box of the lattice, int32."""
    around = padded(room.astype(np.int32), boundary & sum(PERIODIC), beyond=RIGID, closed=RIGID)

    def at(step: tuple[int, ...]) -> np.ndarray:
        moved = tuple(slice(1 + d + side.start, 1 + d + side.stop) for d, side in zip(step, box, strict=True))
        there: np.ndarray = around[moved]
        return there

    here = at((0, 0, 0))
    found = here.copy()
    for step in _STEPS:
        reached = at(step) + _length(step)
        if step in barred:
            reached[barred[step][tuple(box)]] = RIGID
        np.minimum(found, reached, out=found)
    return np.where(here == RIGID, here, found)


def _around(
    changed: np.ndarray, box: list[slice], shape: tuple[int, ...], wraps: tuple[bool, bool, bool]
) -> list[slice]:
    """The box whose voxels look at one that has changed in the box before; empty where none has."""
    found = []
    for axis, (side, n, around) in enumerate(zip(box, shape, wraps, strict=True)):
        there = np.flatnonzero(changed.any(axis=tuple(a for a in range(3) if a != axis)))
        if not there.size:
            return [slice(0, 0)] * 3
        low, high = int(there[0]) + side.start - 1, int(there[-1]) + side.start + 2
        beyond = low < 0 or high > n
        found.append(slice(0, n) if beyond and around else slice(max(low, 0), min(high, n)))
    return found


class _Ways:
    """The ways through the lattice of one replicate."""

    def __init__(self, room: np.ndarray, boundary: int, draw: Draw) -> None:
        self.room, self.shape, self.draw = room.reshape(-1).astype(np.int32), room.shape, draw
        self._periodic = periodic(boundary)

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


def new_bids(voxels: np.ndarray, draw: Draw) -> np.ndarray:
    """uint32, no two alike, below 2^31."""
    all_ones, seed = np.array([0xFFFFFFFF], np.uint64), draw.seed
    counter = (all_ones, all_ones, np.array([draw.step], np.uint64), np.array([draw.purpose], np.uint64))
    key = tuple(int(word[0]) for word in philox(counter, (seed & 0xFFFFFFFF, seed >> 32)))
    return _shuffled(voxels + draw.origin, key)


class _Mothers:
    """The mothers of one replicate, whose ways end in `roots`, and the rules by which they divide."""

    def __init__(
        self,
        rules: np.ndarray,
        rule_begin: np.ndarray,
        yields: np.ndarray,
        cells: np.ndarray,
        claim: np.ndarray,
        ways: _Ways,
    ) -> None:
        own, claims = cells.reshape(-1), claim.reshape(-1)
        self.voxels = np.flatnonzero((claims != 0) & ((claims & Claim.CLOSES) == 0))
        self.rules = rule_begin[own[self.voxels]] + (claims[self.voxels] & Claim.RULE) - 1
        self.roots = ways.root(self.voxels)
        room = ways.room[self.voxels]
        # Not in her own place, where she would be crushed, though a daughter may leave from there through an open side.
        in_own_place = (self.roots == self.voxels) & (room == yields[own[self.voxels], 0])
        self.have_room = (room <= rules["reach"][self.rules]) & ~in_own_place
        new = (claims[self.voxels] & Claim.NEW) > 0  # those of claims that were made earlier are lower
        self.bids = new_bids(self.voxels, ways.draw) | np.where(new, np.uint32(0x80000000), np.uint32(0))


def bid_for_room(
    rules: np.ndarray,
    rule_begin: np.ndarray,
    yields: np.ndarray,
    seeds: np.ndarray,
    cells: np.ndarray,
    claim: np.ndarray,
    room: np.ndarray,
    bids: np.ndarray,
    step: int,
    purpose: int,
    boundary: int,
    origin: int,
) -> None:
    """Each mother bids for the root in which her way ends."""
    ways = _Ways(room, boundary, Draw(int(seeds), step, purpose, origin))
    mothers = _Mothers(rules, rule_begin, yields, cells, claim, ways)
    np.minimum.at(bids.reshape(-1), mothers.roots[mothers.have_room], mothers.bids[mothers.have_room])


def settle_bids(
    rules: np.ndarray,
    rule_begin: np.ndarray,
    yields: np.ndarray,
    seeds: np.ndarray,
    cells: np.ndarray,
    room: np.ndarray,
    bids: np.ndarray,
    claim: np.ndarray,
    granted: np.ndarray,
    barred: np.ndarray,
    step: int,
    purpose: int,
    boundary: int,
    origin: int,
    first_counted: int,
    end_counted: int,
) -> None:
    """Who has the lowest bid divides; the others keep their claims, which then go first. Without room there is none."""
    ways = _Ways(room, boundary, Draw(int(seeds), step, purpose, origin))
    mothers, claims = _Mothers(rules, rule_begin, yields, cells, claim, ways), claim.reshape(-1)
    without = mothers.voxels[~mothers.have_room]
    count(barred, mothers.rules[~mothers.have_room], without, (first_counted, end_counted), room.shape)
    claims[mothers.voxels] &= np.uint8(Claim.RULE)
    claims[without] = 0
    granted[...] = 0
    granted.reshape(-1)[mothers.voxels] = mothers.have_room & (bids.reshape(-1)[mothers.roots] == mothers.bids)


def divide(
    rules: np.ndarray,
    rule_begin: np.ndarray,
    adjustments: np.ndarray,
    trait_rows: np.ndarray,
    quantiles: np.ndarray,
    lineage: np.ndarray,
    yields: np.ndarray,
    seeds: np.ndarray,
    room: np.ndarray,
    granted: np.ndarray,
    cells: np.ndarray,
    clock: np.ndarray,
    heading: np.ndarray,
    claim: np.ndarray,
    clone: np.ndarray,
    traits: np.ndarray,
    bids: np.ndarray,
    fired: np.ndarray,
    taken: np.ndarray,
    left: np.ndarray,
    born: np.ndarray,
    births: np.ndarray,
    newborn: np.ndarray,
    step: int,
    purpose: int,
    boundary: int,
    vacant: int,
    first_trait: int,
    end_trait: int,
    origin: int,
    first_counted: int,
    end_counted: int,
) -> None:
    """Let the mothers whose bids were the lowest divide."""
    own, claims, counted = cells.reshape(-1), claim.reshape(-1), (first_counted, end_counted)
    ways = _Ways(room, boundary, Draw(int(seeds), step, purpose, origin))
    mothers = np.flatnonzero(granted)
    numbers = rule_begin[own[mothers]] + claims[mothers] - 1
    count(fired, numbers, mothers, counted, room.shape)
    of_layer = Traits(trait_rows, quantiles, traits.reshape(len(traits), own.size), range(first_trait, end_trait))
    of_daughters = _divide_traits(of_layer, mothers, own[mothers], rules, numbers, adjustments, ways.draw)
    labels = np.zeros(mothers.size, np.uint64)
    if len(lineage) and clone.size:
        clones, here = Clones(lineage, born, births, newborn), counted_here(mothers, counted, room.shape)
        stays = ways.go_on(mothers) >= 0
        labels = _divide_clones(
            clones, clone.reshape(-1), mothers, rules, numbers, ways.draw, of_layer, of_daughters, here, stays
        )
    own[mothers] = rules["to"][numbers]
    travelling = [array.reshape(-1) for array in (clock, heading, claim, clone) if array.size]
    for array in (clock, claim):  # she keeps her heading
        array.reshape(-1)[mothers] = 0
    arrays = [own, *travelling, *(of_layer.values[t] for t in of_layer.numbers)]
    hands = [*(np.zeros(mothers.size, array.dtype) for array in (own, *travelling)), *of_daughters]
    hands[0][:] = rules["daughter"][numbers]
    if clone.size:
        hands[len(travelling)][:] = labels
    place, going = mothers.copy(), np.arange(mothers.size)
    while going.size:
        further = ways.go_on(place[going])
        going, further = going[further >= 0], further[further >= 0]
        place[going] = further
        for array, hand in zip(arrays, hands, strict=True):
            array[further], hand[going] = hand[going], array[further]
    bids.reshape(-1)[place] = NO_BID
    count(taken, hands[0], place, counted, room.shape)
    leaves = (hands[0] != vacant) & (ways.room[place] < yields[hands[0], 0])
    count(left, hands[0][leaves], place[leaves], counted, room.shape)


def _divide_traits(
    traits: Traits,
    mothers: np.ndarray,
    states: np.ndarray,
    rules: np.ndarray,
    numbers: np.ndarray,
    adjustments: np.ndarray,
    draw: Draw,
) -> list[np.ndarray]:
    """Give mothers, whose states are those before, what they then have; returns what their daughters have, by trait."""
    of_daughters = [np.zeros(mothers.size, np.float32) for _ in traits.numbers]
    for number in np.unique(numbers):
        here = numbers == number
        for of_trait, t in zip(of_daughters, traits.numbers, strict=True):
            mother, daughter = traits.divided(t, mothers[here], states[here], rules[number], adjustments, draw)
            traits.values[t, mothers[here]], of_trait[here] = mother, daughter
    return of_daughters


def _divide_clones(
    clones: Clones,
    labels: np.ndarray,
    mothers: np.ndarray,
    rules: np.ndarray,
    numbers: np.ndarray,
    draw: Draw,
    traits: Traits,
    of_daughters: list[np.ndarray],
    counted: np.ndarray,
    stays: np.ndarray,
) -> np.ndarray:
    """Give mothers their labels, and note the clones that are founded; returns the daughters' labels.

    `stays`: which daughters do not leave the lattice at once, through an open side.
    """
    found = np.zeros(mothers.size, np.uint64)
    for number in np.unique(numbers):
        here = np.flatnonzero(numbers == number)
        at, values = mothers[here], [of_trait[here] for of_trait in of_daughters]
        labels[at], found[here] = clones.divided(
            at, labels[at], rules[number], draw, traits, values, counted[here], stays[here]
        )
    return found
