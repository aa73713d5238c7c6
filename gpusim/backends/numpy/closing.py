"""NumPy twin of kernels/closing.cu: the same numbers, of all that closes up at once, step by step along its ways."""

import numpy as np

from gpusim.backends.numpy.division import Ways
from gpusim.backends.numpy.random import Draw
from gpusim.backends.numpy.sides import is_open, padded, part
from gpusim.backends.numpy.tally import count
from gpusim.model.tables import FACE, NO_BID, NO_REGION, PERIODIC, RIGID, Claim, Region

_FACES = ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))


def begin_regions(regions: np.ndarray, cells: np.ndarray, labels: np.ndarray, boundary: int) -> None:
    """Labels of the voxels, uint32 [z, y, x]: 0 outside; another number each where they are free."""
    region = regions[cells]
    numbers = np.arange(1, cells.size + 1, dtype=np.uint32).reshape(cells.shape)
    labels[...] = np.where(region == Region.NOT_FREE, np.uint32(NO_REGION), numbers)
    labels[(region == Region.OUTSIDE) | ((region == Region.FREE) & _at_open_side(cells.shape, boundary))] = 0


def join_regions(labels: np.ndarray, boundary: int) -> None:
    """Label with 0 what is joined to a voxel with this label."""
    free, found, before = labels != NO_REGION, labels == 0, -1
    while before != (before := int(found.sum())):
        found = found | (_beside(found, boundary) & free)
    labels[found] = 0


def begin_closing(yields: np.ndarray, cells: np.ndarray, labels: np.ndarray, room: np.ndarray, boundary: int) -> None:
    """Room of each voxel by itself, uint8 [z, y, x], for what closes up: that outside is as of a rigid voxel."""
    outside = labels == 0
    by_itself = np.where(outside, RIGID, yields[cells, 0])
    beside = _at_open_side(cells.shape, boundary) | _beside(outside, boundary)
    room[...] = np.where(beside & (by_itself != RIGID), FACE, by_itself)


def close_up(
    rules: np.ndarray,
    rule_begin: np.ndarray,
    seeds: np.ndarray,
    room: np.ndarray,
    granted: np.ndarray,
    cells: np.ndarray,
    clock: np.ndarray,
    heading: np.ndarray,
    claim: np.ndarray,
    bids: np.ndarray,
    fired: np.ndarray,
    step: int,
    purpose: int,
    boundary: int,
    vacant: int,
    origin: int,
    first_counted: int,
    end_counted: int,
) -> None:
    """Let the voxels whose bids were the lowest close up."""
    own = cells.reshape(-1)
    ways = Ways(room, boundary, Draw(int(seeds), step, purpose, origin))
    place = np.flatnonzero(granted)
    numbers = rule_begin[own[place]] + (claim.reshape(-1)[place] & Claim.RULE) - 1
    count(fired, numbers, place, (first_counted, end_counted), room.shape)
    arrays = [own, *(array.reshape(-1) for array in (clock, heading, claim) if array.size)]
    roots, going = place.copy(), np.arange(place.size)
    while going.size:
        further = ways.go_on(roots[going])
        going, further = going[further >= 0], further[further >= 0]
        roots[going] = further
        for array in arrays:
            array[place[going]] = array[further]
        place[going] = further
    for array in arrays:
        array[place] = vacant if array is own else 0
    bids.reshape(-1)[roots] = NO_BID


def _beside(found: np.ndarray, boundary: int) -> np.ndarray:
    """bool [z, y, x]: voxels beside one that is found, over a face."""
    around = padded(found, boundary & sum(PERIODIC), beyond=False, closed=False)
    return np.any([part(around, step, found.shape) for step in _FACES], axis=0)


def _at_open_side(shape: tuple[int, ...], boundary: int) -> np.ndarray:
    """bool [z, y, x]: voxels beside an open side of the lattice."""
    found = np.zeros(shape, bool)
    for axis in range(3):
        for end in (0, 1):
            if is_open(boundary, axis, end):
                found[tuple(slice(None) if a != axis else -end for a in range(3))] = True
    return found
