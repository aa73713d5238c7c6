"""NumPy twin of kernels/motion.cu: the same operations in the same order, where cells stand alone."""

import numpy as np

from gpusim.backends.base import CellLayer, Draw, Surroundings
from gpusim.backends.numpy.modulators import Slab
from gpusim.backends.numpy.random import happens, unit_interval, voxel_random
from gpusim.backends.numpy.slabs import slabs
from gpusim.model.tables import members

_HEADINGS = range(1, 7)


def propose_moves(layer: CellLayer, bid: np.ndarray, around: Surroundings, fields: np.ndarray, draw: Draw) -> None:
    """Each cell's heading, and its bid (uint16 [z, y, x]) for the voxel it wants to move to."""
    own, tables = layer.cells, around.tables
    heading = layer.heading.reshape(-1)
    moving = np.flatnonzero(tables.motilities["hop"] > 0)
    bid[...] = 0
    for first, end in slabs(own.shape):
        slab = Slab.of(own, around, fields, first, end)
        states = own[first:end].reshape(-1)
        for state in moving[moving != layer.vacant]:
            voxels = np.flatnonzero(states == state)
            if voxels.size:
                _propose(slab, tables.motilities[state], layer.vacant, heading, bid.reshape(-1), voxels, draw)


def _propose(
    slab: Slab, row: np.void, vacant: int, heading: np.ndarray, bid: np.ndarray, voxels: np.ndarray, draw: Draw
) -> None:
    at = voxels + slab.offset
    words = voxel_random(at, draw)
    free = [_can_enter(slab, row, vacant, beside(h, at, slab.own.shape)) for h in _HEADINGS]
    towards = heading[at].astype(np.int64)
    kept = np.choose(towards, [np.zeros(at.size, bool), *free])
    turns = (towards == 0) | happens(np.full(at.size, row["turn"], np.float32), words[1]) | ~kept
    weights = [np.where(f, w, np.float32(0)) for f, w in zip(free, _weights(slab, row, at), strict=True)]
    total = np.zeros(at.size, np.float32)
    for weight in weights:
        total = total + weight
    mark = unit_interval(words[2]) * total
    running, chosen = np.zeros(at.size, np.float32), np.zeros(at.size, np.int64)
    for h, weight in zip(_HEADINGS, weights, strict=True):
        chosen = np.where((weight > 0) & ~(mark < running), h, chosen)
        running = running + weight
    towards = np.where(turns, chosen, towards)
    heading[at] = towards
    hop = slab.modulated(row["hop"], row, voxels)
    hop = np.where(hop < np.float32(0.999), hop, np.float32(0.999))
    goes = (towards > 0) & happens(hop, words[0])
    bid[at] = np.where(goes, ((words[3] >> np.uint64(19)) << np.uint64(3)) | towards.astype(np.uint64), 0)


def beside(heading: int, voxels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Flat index of the voxel one step along a heading; -1 outside the grid."""
    _, ny, nx = shape
    axis, step = (heading - 1) // 2, 1 if heading & 1 else -1
    stride = (1, nx, nx * ny)[axis]
    size = (nx, ny, shape[0])[axis]
    place = voxels // stride % size + step
    return np.where((place >= 0) & (place < size), voxels + step * stride, -1)


def _can_enter(slab: Slab, row: np.void, vacant: int, there: np.ndarray) -> np.ndarray:
    own, other = slab.own.reshape(-1), slab.other.reshape(-1)
    return (there >= 0) & (own[there] == vacant) & (members(row["enters"])[other[there]] > 0)


def _weights(slab: Slab, row: np.void, at: np.ndarray) -> list[np.ndarray]:
    """float32 weight of each heading, were it free."""
    if row["field"] < 0:
        return [np.ones(at.size, np.float32) for _ in _HEADINGS]
    values = slab.fields[row["field"]]

    def occupancy(where: np.ndarray) -> np.ndarray:
        ratio = values[where] * row["scale"]
        r = np.where(ratio < np.float32(1e9), ratio, np.float32(1e9))
        seen: np.ndarray = r / (np.float32(1) + r)
        return seen

    with np.errstate(all="ignore"):
        here = occupancy(at)
        found = [
            np.float32(1) + row["sensitivity"] * (occupancy(beside(h, at, slab.own.shape)) - here) for h in _HEADINGS
        ]
        return [np.where(weight > 0, weight, np.float32(0)) for weight in found]


def move(layer: CellLayer, bid: np.ndarray) -> None:
    """Carry out the moves; of the cells that want one voxel, the lowest bid gets it."""
    flat = bid.reshape(-1)
    voxels = np.flatnonzero(flat)
    bids = flat[voxels].astype(np.int64)
    targets = np.zeros(voxels.size, np.int64)
    for h in _HEADINGS:
        mine = (bids & 7) == h
        targets[mine] = beside(h, voxels[mine], bid.shape)
    here = targets >= 0  # and not out of what is held of the whole lattice
    bids, targets, voxels = bids[here], targets[here], voxels[here]
    order = np.lexsort((bids, targets))
    targets, voxels = targets[order], voxels[order]
    wins = np.ones(targets.size, bool)
    wins[1:] = targets[1:] != targets[:-1]
    targets, voxels = targets[wins], voxels[wins]
    for array, left in ((layer.cells, layer.vacant), (layer.clock, 0), (layer.heading, 0)):
        values = array.reshape(-1)
        values[targets] = values[voxels]
        values[voxels] = left
