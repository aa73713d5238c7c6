"""NumPy twin of kernels/motion.cu: the same operations in the same order, where cells stand alone."""

import numpy as np

from gpusim.backends.numpy.modulators import Slab
from gpusim.backends.numpy.random import Draw, happens, unit_interval, voxel_random
from gpusim.backends.numpy.sides import is_open, periodic
from gpusim.backends.numpy.slabs import slabs
from gpusim.backends.numpy.tally import count
from gpusim.model.tables import ALMOST_SURE, MOST_SLOPE, members, probability

_HEADINGS = range(1, 7)
_AXES = range(3)
"""x, y, z."""

BEYOND = -2
"""Instead of a voxel: what is beyond an open side; -1 beyond a closed one."""


def propose_moves(
    motilities: np.ndarray,
    slopes: np.ndarray,
    modulators: np.ndarray,
    seeds: np.ndarray,
    cells: np.ndarray,
    other: np.ndarray,
    fields: np.ndarray,
    counts: np.ndarray,
    body: np.ndarray,
    traits: np.ndarray,
    heading: np.ndarray,
    bid: np.ndarray,
    step: int,
    purpose: int,
    boundary: int,
    vacant: int,
    origin: int,
) -> None:
    """Each cell's heading, and its bid (uint16 [z, y, x]) for the voxel it wants to move to."""
    draw = Draw(int(seeds), step, purpose, origin)
    moving = np.flatnonzero(motilities["hop"] > 0)
    bid[...] = 0
    for first, end in slabs(cells.shape):
        slab = Slab.of(cells, other, fields, counts, body, modulators, traits, first, end)
        states = cells[first:end].reshape(-1)
        for state in moving[moving != vacant]:
            voxels = np.flatnonzero(states == state)
            if voxels.size:
                numbers = (heading.reshape(-1), bid.reshape(-1))
                row = motilities[state]
                parts = slopes[row["first_slope"] : row["end_slope"]]
                _propose(slab, row, parts, *numbers, voxels, draw, boundary)


def _propose(
    slab: Slab,
    row: np.void,
    slopes: np.ndarray,
    heading: np.ndarray,
    bid: np.ndarray,
    voxels: np.ndarray,
    draw: Draw,
    boundary: int,
) -> None:
    at = voxels + slab.offset
    words = voxel_random(at, draw)
    free = [_can_enter(slab, row, beside(h, at, slab.own.shape, boundary)) for h in _HEADINGS]
    towards = heading[at].astype(np.int64)
    kept = np.choose(towards, [np.zeros(at.size, bool), *free])
    turns = (towards == 0) | happens(_turn(slab, row, voxels), words[1]) | ~kept
    if len(slopes):
        along, bias = _drift(slab, row, slopes, voxels, boundary)
        wanted = [_drifting_weight(row, along, bias, h) for h in _HEADINGS]
    else:
        wanted = _weights(slab, row, at, boundary)
    weights = [np.where(f, w, np.float32(0)) for f, w in zip(free, wanted, strict=True)]
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
    hop = slab.times(np.full(at.size, row["hop"], np.float32), row["first_modulator"], row["end_speed"], voxels)
    if len(slopes):
        hop = hop * ((np.float32(1) - bias) + bias * (np.abs(along[0]) + np.abs(along[1]) + np.abs(along[2])))
    hop = np.where(hop < np.float32(0.999), hop, np.float32(0.999))
    goes = (towards > 0) & happens(hop, words[0])
    bid[at] = np.where(goes, ((words[3] >> np.uint64(19)) << np.uint64(3)) | towards.astype(np.uint64), 0)


def beside(heading: int, voxels: np.ndarray, shape: tuple[int, ...], boundary: int) -> np.ndarray:
    """Flat index of the voxel one step along a heading; `BEYOND` an open side, -1 beyond a closed one."""
    _, ny, nx = shape
    of_x, step = (heading - 1) // 2, 1 if heading & 1 else -1
    axis = 2 - of_x  # of z, y, x
    stride, size = (1, nx, nx * ny)[of_x], shape[axis]
    place = voxels // stride % size
    to = place + step
    if periodic(boundary)[axis]:
        to = to % size
    outside = BEYOND if is_open(boundary, axis, int(step > 0)) else -1
    return np.where((to >= 0) & (to < size), voxels + (to - place) * stride, outside)


def _can_enter(slab: Slab, row: np.void, there: np.ndarray) -> np.ndarray:
    own, other = slab.own.reshape(-1), slab.other.reshape(-1)
    at = np.maximum(there, 0)
    enters = (members(row["replaces"])[own[at]] > 0) & (members(row["enters"])[other[at]] > 0)
    inside = (there >= 0) & enters
    free: np.ndarray = inside | (there == BEYOND)
    return free


def _turn(slab: Slab, row: np.void, voxels: np.ndarray) -> np.ndarray:
    """float32 probability of a new heading."""
    if row["end_speed"] == row["end_turning"]:
        return np.full(voxels.size, row["turn"], np.float32)
    longer = slab.times(np.ones(voxels.size, np.float32), row["end_speed"], row["end_turning"], voxels)
    with np.errstate(divide="ignore", over="ignore"):
        turn = np.where(longer > 0, probability(row["turning"] / longer), np.float32(1))
    sure = np.float32(ALMOST_SURE)
    return np.where(turn < sure, turn, sure)


def _unit(vector: list[np.ndarray]) -> list[np.ndarray]:
    """The same directions with a length of 1; 0 of 0."""
    x, y, z = vector
    most = np.maximum(np.maximum(np.abs(x), np.abs(y)), np.abs(z))
    some = most > 0
    by = np.where(some, most, np.float32(1))
    with np.errstate(under="ignore"):
        x, y, z = x / by, y / by, z / by
        length = np.where(some, np.sqrt(x * x + y * y + z * z), np.float32(1))
        return [x / length, y / length, z / length]


def _difference(c: np.ndarray, shape: tuple[int, ...], boundary: int, at: np.ndarray, axis: int) -> np.ndarray:
    """Difference of a field over two voxels along an axis; at a side, twice that over one."""
    up, down = (beside(2 * axis + side, at, shape, boundary) for side in (1, 2))
    here = c[at]
    found = np.where(up < 0, here, c[np.maximum(up, 0)]) - np.where(down < 0, here, c[np.maximum(down, 0)])
    doubled: np.ndarray = np.where((up < 0) | (down < 0), found + found, found)
    return doubled


def _drift(
    slab: Slab, row: np.void, slopes: np.ndarray, voxels: np.ndarray, boundary: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Directions of length 1, or 0 without one, float32 x, y, z, and the bias along them."""
    at, one = voxels + slab.offset, np.ones(voxels.size, np.float32)
    total = [np.zeros(voxels.size, np.float32) for _ in _AXES]
    for slope in slopes:
        c = slab.fields[slope["field"]]
        found = [_difference(c, slab.own.shape, boundary, at, axis) for axis in _AXES]
        if slope["scale"] > 0:
            most = np.float32(MOST_SLOPE)
            with np.errstate(over="ignore"):
                found = [np.clip(each * slope["scale"], -most, most) for each in found]
        else:
            found = _unit(found)
        weight = slope["weight"] * slab.times(one, slope["first_modulator"], slope["end_modulator"], voxels)
        total = [t + weight * f for t, f in zip(total, found, strict=True)]
    along = _unit(total)
    none = (along[0] == 0) & (along[1] == 0) & (along[2] == 0)
    bias = slab.times(np.full(voxels.size, row["bias"], np.float32), row["end_turning"], row["end_bias"], voxels)
    return along, np.where(none, np.float32(0), np.where(bias < 1, bias, np.float32(1)))


def _drifting_weight(row: np.void, along: list[np.ndarray], bias: np.ndarray, heading: int) -> np.ndarray:
    """float32 weight of a heading, were it free."""
    component = along[(heading - 1) // 2]
    forward = component if heading & 1 else -component
    weight: np.ndarray = row["stray"] * (np.float32(1) - bias) + bias * np.where(forward > 0, forward, np.float32(0))
    return weight


def _weights(slab: Slab, row: np.void, at: np.ndarray, boundary: int) -> list[np.ndarray]:
    """float32 weight of each heading, were it free."""
    if row["field"] < 0:
        return [np.ones(at.size, np.float32) for _ in _HEADINGS]
    values = slab.fields[row["field"]]

    def occupancy(where: np.ndarray) -> np.ndarray:
        ratio = values[np.maximum(where, 0)] * row["scale"]
        r = np.where(ratio < np.float32(1e9), ratio, np.float32(1e9))
        seen: np.ndarray = r / (np.float32(1) + r)
        return seen

    here = occupancy(at)
    there = [beside(h, at, slab.own.shape, boundary) for h in _HEADINGS]
    found = [np.float32(1) + row["sensitivity"] * (occupancy(voxels) - here) for voxels in there]
    held = [np.where(weight > 0, weight, np.float32(0)) for weight in found]
    return [np.where(v == BEYOND, np.float32(1), weight) for v, weight in zip(there, held, strict=True)]


def move(
    trails: np.ndarray,
    cells: np.ndarray,
    clock: np.ndarray,
    heading: np.ndarray,
    claim: np.ndarray,
    clone: np.ndarray,
    traits: np.ndarray,
    bid: np.ndarray,
    left: np.ndarray,
    taken: np.ndarray,
    laid: np.ndarray,
    boundary: int,
    first_trait: int,
    end_trait: int,
    vacant: int,
    first_counted: int,
    end_counted: int,
) -> None:
    """Carry out the moves; of the cells that want one voxel, the lowest bid gets it."""
    flat = bid.reshape(-1)
    voxels = np.flatnonzero(flat)
    bids = flat[voxels].astype(np.int64)
    targets = np.zeros(voxels.size, np.int64)
    for h in _HEADINGS:
        mine = (bids & 7) == h
        targets[mine] = beside(h, voxels[mine], bid.shape, boundary)
    leaving = voxels[targets == BEYOND]
    here = targets >= 0  # and not out of what is held of the whole lattice
    bids, targets, voxels = bids[here], targets[here], voxels[here]
    order = np.lexsort((bids, targets))
    targets, voxels = targets[order], voxels[order]
    wins = np.ones(targets.size, bool)
    wins[1:] = targets[1:] != targets[:-1]
    targets, voxels = targets[wins], voxels[wins]
    counted = (first_counted, end_counted), bid.shape
    count(left, cells.reshape(-1)[leaving], leaving, *counted)
    travelling = [array for array in (clock, heading, claim, clone, *traits[first_trait:end_trait]) if array.size]
    states, left_behind = cells.reshape(-1), trails[cells].reshape(-1)
    moving = np.concatenate([voxels, leaving])
    replaced = np.concatenate([states[targets], np.full(leaving.size, vacant, states.dtype)])
    changed = (replaced != vacant) | (left_behind[moving] != vacant)
    count(taken, replaced[changed], moving[changed], *counted)
    count(laid, left_behind[moving[changed]], moving[changed], *counted)
    states[targets] = states[voxels]
    for emptied in (voxels, leaving):
        states[emptied] = left_behind[emptied]
    for array in travelling:
        values = array.reshape(-1)
        values[targets] = values[voxels]
        values[voxels] = values[leaving] = 0
