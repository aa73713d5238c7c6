"""NumPy twin of kernels/adhesion.cu: the same swaps, of all pairs of a pass at once."""

import itertools

import numpy as np

from gpusim.backends.numpy.random import Draw, voxel_random
from gpusim.backends.numpy.sides import padded, periodic

_BETWEEN_PAIRS = 3


def swap_cells(
    energies: np.ndarray,
    swaps: np.ndarray,
    acceptance: np.ndarray,
    seeds: np.ndarray,
    cells: np.ndarray,
    clock: np.ndarray,
    heading: np.ndarray,
    claim: np.ndarray,
    clone: np.ndarray,
    traits: np.ndarray,
    step: int,
    purpose: int,
    boundary: int,
    background: int,
    axis: int,
    first: int,
    attempt: int,
    first_trait: int,
    end_trait: int,
    origin: int,
) -> None:
    """Let the pairs of one pass swap, of which every third voxel along the axis begins one."""
    own, (_, ny, nx) = cells.reshape(-1), cells.shape
    begin = _begin(cells.shape[axis], first, origin // (ny * nx) if axis == 0 else 0, wraps=periodic(boundary)[axis])
    numbers = np.arange(cells.size).reshape(cells.shape)
    pairs = [np.take(numbers, places, axis).reshape(-1) for places in (begin, (begin + 1) % cells.shape[axis])]
    states = [own[voxels] for voxels in pairs]
    may_swap = (states[0] != states[1]) & (swaps[states[0]] > 0) & (swaps[states[1]] > 0)
    a, b = (voxels[may_swap] for voxels in pairs)
    words = voxel_random(a, Draw(int(seeds), step, purpose, origin))
    tried = words[0] < np.uint64(attempt)
    a, b, word = a[tried], b[tried], words[1][tried]
    change = _change(energies, cells, a, b, boundary, background, axis)
    rises = word < acceptance[np.minimum(np.abs(change), acceptance.size - 1)]
    swapped = rises != (change < 0)  # a fall is accepted where the rise would not be
    a, b = a[swapped], b[swapped]
    for array in (cells, clock, heading, claim, clone, *traits[first_trait:end_trait]):
        if array.size:
            values = array.reshape(-1)
            values[a], values[b] = values[b], values[a]


def _begin(n: int, first: int, origin: int, *, wraps: bool) -> np.ndarray:
    """Places along an axis of n where a pair begins; the first of them is number `origin` of the whole lattice."""
    places = np.arange(n)
    from_first = places + origin - first
    if wraps:
        from_first = from_first % n
        good = from_first + _BETWEEN_PAIRS <= n
    else:
        good = (from_first >= 0) & (places + 1 < n)
    return places[good & (from_first % _BETWEEN_PAIRS == 0)]


def _change(
    energies: np.ndarray, cells: np.ndarray, a: np.ndarray, b: np.ndarray, boundary: int, background: int, axis: int
) -> np.ndarray:
    """By how much the swap of each pair changes the energy: int64, kT/1000."""
    nothing = len(energies)
    of = np.pad(energies.astype(np.int64), ((0, 0), (0, 1)))  # no contact with nothing
    around = padded(cells.astype(np.int64), boundary, beyond=background, closed=nothing)
    own = cells.reshape(-1)
    change = np.zeros(a.size, np.int64)
    for voxels, before, after, behind in ((a, own[a], own[b], -1), (b, own[b], own[a], 1)):
        place = np.unravel_index(voxels, cells.shape)
        for across in itertools.product((-1, 0, 1), repeat=2):
            step = (*across[:axis], behind, *across[axis:])
            contact = around[tuple(p + 1 + d for p, d in zip(place, step, strict=True))]
            change += of[after, contact] - of[before, contact]
    return change
