"""NumPy twin of kernels/closing.cu: the same numbers, of all that closes up at once, step by step along its lines."""

import itertools
from collections.abc import Iterator

import numpy as np

from gpusim.backends.numpy.division import new_bids
from gpusim.backends.numpy.random import Draw, voxel_random
from gpusim.backends.numpy.regions import AROUND, any_of
from gpusim.backends.numpy.sides import at_open_side, is_open, padded, part, periodic
from gpusim.backends.numpy.tally import count
from gpusim.model.tables import MOST_TRIES, NO_BID, NO_REGION, PERIODIC, RIGID, Claim, Region


def begin_regions(regions: np.ndarray, cells: np.ndarray, labels: np.ndarray, boundary: int) -> None:
    """Labels of the middle voxels of cubes of free voxels, uint32 [z, y, x]: 0 outside, or else a number each."""
    region, free = regions[cells], regions[cells] != Region.NOT_FREE
    around = padded(free, boundary & sum(PERIODIC), beyond=True, closed=True)
    fits = np.all([part(around, step, free.shape) for step in AROUND], axis=0)
    numbers = np.arange(1, cells.size + 1, dtype=np.uint32).reshape(cells.shape)
    outside = (region == Region.OUTSIDE) | at_open_side(cells.shape, boundary)
    labels[...] = np.where(fits, np.where(outside, np.uint32(0), numbers), np.uint32(NO_REGION))


def mark_outside(
    regions: np.ndarray, cells: np.ndarray, labels: np.ndarray, outside: np.ndarray, boundary: int
) -> None:
    """Which voxels are outside."""
    reached = (regions[cells] == Region.FREE) & any_of(AROUND, labels == 0, boundary)
    outside[...] = reached | (regions[cells] == Region.OUTSIDE)


class _Lines:
    """Lines from some voxels of one replicate (flat indices), one each."""

    def __init__(
        self, lines: np.ndarray, shape: tuple[int, ...], boundary: int, draw: Draw, voxels: np.ndarray
    ) -> None:
        self._lines, self.boundary, self.shape = lines, boundary, shape
        self.voxels, self._words = voxels, voxel_random(voxels, draw)
        self.places = np.array(np.unravel_index(voxels, shape))

    def line(self, number: np.ndarray) -> np.ndarray:
        """int32 [voxels, steps, 4], by the number of the try of each."""
        word = np.choose(number % 4, self._words)
        word = np.where(number < 4, word, word >> np.uint64(16))
        found: np.ndarray = self._lines[word % np.uint64(len(self._lines))]
        return found

    def moved(self, step: np.ndarray) -> np.ndarray:
        """Flat indices of the voxels that are a step [voxels, 3] away from each; -1 beyond a side."""
        places = self.places + step.T
        beyond = np.zeros(len(step), bool)
        for axis, (round_it, n) in enumerate(zip(periodic(self.boundary), self.shape, strict=True)):
            beyond |= (places[axis] < 0) | (places[axis] >= n) if not round_it else False
            places[axis] = places[axis] % n
        return np.where(beyond, -1, np.ravel_multi_index(tuple(places), self.shape))


class _Search:
    """Whether lines lead outside."""

    def __init__(self, lines: _Lines, yields: np.ndarray, cells: np.ndarray, outside: np.ndarray) -> None:
        self._all, self._outside = lines, outside.reshape(-1) != 0
        self._rigid, self._holds = yields[cells, 0].reshape(-1) == RIGID, cells.reshape(-1) != 0

    def _is(self, mask: np.ndarray, places: np.ndarray) -> np.ndarray:
        return np.where(places < 0, False, mask[places])

    def _passes(self, before: np.ndarray, step: np.ndarray) -> np.ndarray:
        found = np.ones(len(step), bool)
        for each in itertools.product((False, True), repeat=3):
            if any(each):
                found &= ~self._is(self._rigid, self._all.moved(np.where(each, step, before)))
        return found

    def _leaves(self, step: np.ndarray) -> np.ndarray:
        found = np.ones(len(step), bool)
        for axis, (round_it, n) in enumerate(zip(periodic(self._all.boundary), self._all.shape, strict=True)):
            place = self._all.places[axis] + step[:, axis]
            opens = np.where(place < 0, is_open(self._all.boundary, axis, 0), is_open(self._all.boundary, axis, 1))
            found &= round_it | ((place >= 0) & (place < n)) | opens
        return found

    def _fits(self, step: np.ndarray) -> np.ndarray:
        sizes = [
            n if round_it else 2**15 for round_it, n in zip(periodic(self._all.boundary), self._all.shape, strict=True)
        ]
        return (np.abs(step) < sizes).all(axis=1)

    def lengths(self, lines: np.ndarray, reach: np.ndarray) -> np.ndarray:
        """Voxels of each line from the first to the last before the outside; 0 where it does not lead there."""
        found, going = np.zeros(len(self._all.voxels), int), np.ones(len(self._all.voxels), bool)
        holds, before = self._holds[self._all.voxels], np.zeros((len(self._all.voxels), 3), int)
        for n in range(lines.shape[1]):
            step, distance = lines[:, n, :3].astype(int), lines[:, n, 3]
            going &= (distance <= reach) & self._passes(before, step)
            places = self._all.moved(step)
            arrives = np.where(places < 0, self._leaves(step), self._is(self._outside, places))
            found = np.where(going & arrives & holds, n + 1, found)
            going &= ~arrives & (places >= 0) & self._fits(step)
            holds, before = holds | self._is(self._holds, places), step
        return found


def bid_for_lines(
    rules: np.ndarray,
    rule_begin: np.ndarray,
    yields: np.ndarray,
    lines: np.ndarray,
    seeds: np.ndarray,
    cells: np.ndarray,
    outside: np.ndarray,
    claim: np.ndarray,
    found: np.ndarray,
    bids: np.ndarray,
    barred: np.ndarray,
    step: int,
    purpose: int,
    boundary: int,
    origin: int,
    first_counted: int,
    end_counted: int,
) -> None:
    """What closes up looks for a line, and bids for its voxels."""
    draw, claims = Draw(int(seeds), step, purpose, origin), claim.reshape(-1)
    voxels = np.flatnonzero(claims & Claim.CLOSES)
    all_lines = _Lines(lines, cells.shape, boundary, draw, voxels)
    search = _Search(all_lines, yields, cells, outside)
    numbers = rule_begin[cells.reshape(-1)[voxels]] + (claims[voxels] & Claim.RULE) - 1
    inside = outside.reshape(-1)[voxels] == 0
    lengths, chosen = np.zeros(voxels.size, int), np.zeros(voxels.size, int)
    for number in range(MOST_TRIES):
        searching = inside & (lengths == 0)
        of_try = search.lengths(all_lines.line(np.full(voxels.size, number)), rules["reach"][numbers])
        lengths, chosen = np.where(searching, of_try, lengths), np.where(searching, number, chosen)
    claims[voxels[lengths == 0]] = 0
    without = inside & (lengths == 0)
    count(barred, numbers[without], voxels[without], (first_counted, end_counted), cells.shape)
    has = lengths > 0
    found.reshape(-1)[voxels[has]] = (lengths * MOST_TRIES + chosen)[has]
    own = new_bids(voxels, draw)
    for at, on in _along(all_lines, lengths, chosen):
        np.minimum.at(bids.reshape(-1), at[on], own[on])


def settle_lines(
    lines: np.ndarray,
    seeds: np.ndarray,
    found: np.ndarray,
    bids: np.ndarray,
    claim: np.ndarray,
    granted: np.ndarray,
    step: int,
    purpose: int,
    boundary: int,
    origin: int,
) -> None:
    """Who has the lowest bids for all voxels of its line closes up."""
    draw, claims = Draw(int(seeds), step, purpose, origin), claim.reshape(-1)
    voxels = np.flatnonzero(claims & Claim.CLOSES)
    of_line = found.reshape(-1)[voxels].astype(int)
    own, lowest = new_bids(voxels, draw), np.ones(voxels.size, bool)
    all_lines = _Lines(lines, found.shape, boundary, draw, voxels)
    for at, on in _along(all_lines, of_line // MOST_TRIES, of_line % MOST_TRIES):
        lowest &= ~on | ((at >= 0) & (bids.reshape(-1)[at] == own))
    granted[...] = 0
    granted.reshape(-1)[voxels] = lowest
    claims[voxels[~lowest]] = 0


def close_up(
    rule_begin: np.ndarray,
    lines: np.ndarray,
    seeds: np.ndarray,
    found: np.ndarray,
    granted: np.ndarray,
    cells: np.ndarray,
    clock: np.ndarray,
    heading: np.ndarray,
    claim: np.ndarray,
    clone: np.ndarray,
    traits: np.ndarray,
    bids: np.ndarray,
    fired: np.ndarray,
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
    """Let the voxels that have got their lines close up."""
    own, draw = cells.reshape(-1), Draw(int(seeds), step, purpose, origin)
    bids[...] = NO_BID
    place = np.flatnonzero(granted)
    numbers = rule_begin[own[place]] + (claim.reshape(-1)[place] & Claim.RULE) - 1
    count(fired, numbers, place, (first_counted, end_counted), cells.shape)
    of_line = found.reshape(-1)[place].astype(int)
    all_lines = _Lines(lines, found.shape, boundary, draw, place)
    travelling = (clock, heading, claim, clone, *traits[first_trait:end_trait])
    arrays = [own, *(array.reshape(-1) for array in travelling if array.size)]
    place = place.copy()
    held = np.ones(place.size, bool)
    for at, on in itertools.islice(_along(all_lines, of_line // MOST_TRIES, of_line % MOST_TRIES), 1, None):
        held &= at >= 0
        on = on & held
        for array in arrays:
            array[place[on]] = array[at[on]]
        place[on] = at[on]
    for array in arrays:
        array[place] = vacant if array is own else 0


def _along(lines: _Lines, lengths: np.ndarray, numbers: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Flat indices of the voxels of lines, one after the other from the first, and whether they are still on them."""
    steps = lines.line(numbers)[:, :, :3].astype(int)
    yield lines.voxels, lengths > 0
    for n in range(int(lengths.max(initial=0)) - 1):
        yield lines.moved(steps[:, n]), lengths - 1 > n
