"""NumPy twin of kernels/reactions.cu: the same operations in the same order."""

import numpy as np

from gpusim.backends.numpy.lots import sum_by_lot, voxel_lots
from gpusim.backends.numpy.modulators import Slab
from gpusim.backends.numpy.random import Draw
from gpusim.backends.numpy.slabs import slabs

_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)


def react(
    fields: np.ndarray,
    reactions: np.ndarray,
    terms: np.ndarray,
    modulators: np.ndarray,
    held: np.ndarray,
    seeds: np.ndarray,
    tissue: np.ndarray,
    immune: np.ndarray,
    counts: np.ndarray,
    body: np.ndarray,
    traits: np.ndarray,
    step: int,
    purpose: int,
    origin: int,
) -> None:
    """Let the fields of each voxel react with each other over a step."""
    draw, size = Draw(int(seeds), step, purpose, origin), tissue.size
    flat = (fields.reshape(len(fields), size), counts.reshape(len(counts), size))
    for first, end in slabs(tissue.shape):
        seen = (*flat, body, first, end, modulators, traits.reshape(len(traits), size))
        of_tissue, of_immune = Slab(tissue, immune, *seen), Slab(immune, tissue, *seen)
        for reaction in reactions:
            _react(reaction, terms, held, tissue.reshape(-1), of_tissue, of_immune, draw)


def _react(
    reaction: np.void,
    terms: np.ndarray,
    held: np.ndarray,
    tissue: np.ndarray,
    of_tissue: Slab,
    of_immune: Slab,
    draw: Draw,
) -> None:
    def coefficients(term: np.void, voxels: np.ndarray) -> np.ndarray:
        if not held.size:
            return np.full(voxels.shape, term["coefficient"])
        return np.where(held[term["field"]][tissue[voxels]] >= 0, _ZERO, term["coefficient"])

    fields, offset = of_tissue.fields, of_tissue.offset
    one, two = terms[reaction["first_consumed"]], terms[reaction["first_made"] - 1]
    slab = slice(offset, of_tissue.end_offset)
    voxels = np.flatnonzero((fields[one["field"], slab] > 0) & (fields[two["field"], slab] > 0))
    a, b = fields[one["field"]][voxels + offset], fields[two["field"]][voxels + offset]
    k = of_tissue.modulated(reaction["turnover"], reaction, voxels)
    k = of_immune.times(k, reaction["end_modulator"], reaction["end_contact"], voxels)
    alpha, beta = coefficients(one, voxels + offset), coefficients(two, voxels + offset)
    if reaction["first_made"] - reaction["first_consumed"] > 1:
        extent = _extent_of_two(k, alpha, a, beta, b)
    else:
        extent = a / (_ONE / k + alpha * _HALF)
    for most in (a / alpha, b / beta):
        extent = np.where((extent < most) | ~(extent > 0), extent, most)
    happening = extent > 0
    at, extent = voxels[happening] + offset, extent[happening]
    for number in range(reaction["first_consumed"], reaction["end_made"]):
        values = fields[terms[number]["field"]]
        changing = coefficients(terms[number], at) > 0
        here, c = at[changing], values[at[changing]]
        amount = terms[number]["coefficient"] * extent[changing]
        change = amount if number >= reaction["first_made"] else np.where(amount < c, -amount, -c)
        values[here] = _sum_by_lot(c, change, here, number, draw)


def _extent_of_two(k: np.ndarray, alpha: np.ndarray, a: np.ndarray, beta: np.ndarray, b: np.ndarray) -> np.ndarray:
    room = _ONE / k + _HALF * (alpha * b + beta * a)
    first = a * (b / room)
    rest = _ONE - (alpha * b / room) * (beta * a / room)
    extent: np.ndarray = _TWO * first / (_ONE + np.sqrt(np.where(rest > 0, rest, _ZERO)))
    return extent


def _sum_by_lot(c: np.ndarray, change: np.ndarray, voxels: np.ndarray, number: int, draw: Draw) -> np.ndarray:
    """c + change of some voxels, for term `number`."""
    return sum_by_lot(c, change, voxel_lots(voxels, number // 4, draw)[number % 4])
