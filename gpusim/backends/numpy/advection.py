"""NumPy twin of kernels/advection.cu: the same operations in the same order."""

from collections.abc import Iterator

import numpy as np

from gpusim.backends.numpy.lots import row_lots, sum_by_lot
from gpusim.backends.numpy.random import Draw
from gpusim.backends.numpy.sides import is_open, periodic
from gpusim.backends.numpy.stencil import neighbours
from gpusim.model.tables import FASTEST_LOSS, TRACE

_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
_SIXTH = np.float32(1 / 6)


def measure_outflow(
    active: np.ndarray,
    speeds: np.ndarray,
    walls: np.ndarray,
    map_slots: np.ndarray,
    first_map: np.ndarray,
    permeable: np.ndarray,
    coupling: np.ndarray,
    boundary: np.ndarray,
    resistance: np.ndarray,
    far: np.ndarray,
    fields: np.ndarray,
    tissue: np.ndarray,
    outflow: np.ndarray,
    fastest: np.ndarray,
    pressure: int,
) -> None:
    """Sum of the rates out of each voxel (float32 [z, y, x], 1/min), and the largest of each row ([z, y, 1])."""
    p, table, bits = fields[pressure], coupling[pressure], int(boundary[pressure])
    x, y, z = (
        np.maximum(low, _ZERO) + np.maximum(high, _ZERO)
        for low, high in (_rates(p, tissue, table, bits, axis) for axis in (2, 1, 0))
    )
    outflow[...] = (x + y) + z
    for _, at, rate in _through_sides(p, tissue, table, bits, resistance[pressure], far[pressure]):
        outflow[at] += np.maximum(rate, _ZERO)
    most = np.zeros_like(outflow)
    for f in active:
        if map_slots[f] >= 0:
            there, taken = _taken(first_map[map_slots[f]], walls, permeable, f)
            taken = np.where(there, taken / speeds[f], _ZERO)
            most = np.where(taken > most, taken, most)
    outflow += most
    fastest[..., 0] = outflow.max(axis=2)


def advect(
    active: np.ndarray,
    scales: np.ndarray,
    passes: np.ndarray,
    minutes: np.ndarray,
    walls: np.ndarray,
    map_slots: np.ndarray,
    first_map: np.ndarray,
    second_map: np.ndarray,
    permeable: np.ndarray,
    body: np.ndarray,
    coupling: np.ndarray,
    boundary: np.ndarray,
    resistance: np.ndarray,
    far: np.ndarray,
    seeds: np.ndarray,
    fields: np.ndarray,
    tissue: np.ndarray,
    outflow: np.ndarray,
    source: np.ndarray,
    target: np.ndarray,
    pressure: int,
    number: int,
    step: int,
    purpose: int,
    origin: int,
) -> None:
    """A pass over all advected fields, from `source` to `target` (float32 [F, z, y, x])."""
    if number > passes:
        return
    p, table, bits = fields[pressure], coupling[pressure], int(boundary[pressure])
    rates = {axis: _rates(p, tissue, table, bits, axis) for axis in (2, 1, 0)}
    sides = list(_through_sides(p, tissue, table, bits, resistance[pressure], far[pressure]))
    shape: tuple[int, int, int] = tissue.shape
    lots = row_lots(0, shape[0], shape, number, step, Draw(int(seeds), number, purpose, origin))
    for f in active:
        c, scale = source[f], scales[f]
        stays = _ONE - scale * outflow
        x, y, z = (
            _along(c, stays, scale * rates[axis][0], scale * rates[axis][1], axis, periodic(bits)[axis])
            for axis in (2, 1, 0)
        )
        out = (x + y) + z
        for side, at, rate in sides:
            here, behind = c[at], np.take(c, _behind(side, c.shape[side // 2]), side // 2)
            fixed = is_open(int(boundary[f]), side // 2, side % 2) and resistance[f, side] == 0
            rise = _TWO * (far[f, side] - here) if fixed else np.zeros_like(here)
            at_side = here + stays[at] * (_HALF * _least(rise, here - behind))
            out[at] += scale * rate * np.where(rate > 0, at_side, far[f, side])
        if map_slots[f] >= 0:
            there, taken = _taken(first_map[map_slots[f]], walls, permeable, f)
            added = second_map[map_slots[f]]
            for w in np.flatnonzero(walls["field"] == f):
                added = added + permeable[w] * (body[walls[w]["quantity"]] * walls[w]["dilution"])
            brought = minutes * (added - taken * (c - _HALF * out)) / (_ONE + _HALF * (minutes * taken))
            out = np.where(there, out - brought, out)
        left = sum_by_lot(c, -out, lots)
        target[f] = np.where(left < np.float32(TRACE), _ZERO, left)


def _taken(lost: np.ndarray, walls: np.ndarray, permeable: np.ndarray, field: int) -> tuple[np.ndarray, np.ndarray]:
    """Where no concentration is held, and what fluid takes of a field there, 1/min."""
    there = ~(lost > np.float32(FASTEST_LOSS))
    taken = np.where(there, lost, _ZERO)
    for w in np.flatnonzero(walls["field"] == field):
        taken = taken + permeable[w] * walls[w]["returns"]
    return there, taken


def _rates(
    p: np.ndarray, tissue: np.ndarray, table: np.ndarray, boundary: int, axis: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rates out of each voxel through its lower and its upper face along an axis."""
    below, above = (
        table[tissue, np.take(tissue, beside, axis)] * (p - np.take(p, beside, axis))
        for beside in neighbours(p.shape[axis], periodic(boundary)[axis])
    )
    return below, above


def _through_sides(
    p: np.ndarray, tissue: np.ndarray, table: np.ndarray, boundary: int, resistance: np.ndarray, far: np.ndarray
) -> Iterator[tuple[int, tuple[slice | int, ...], np.ndarray]]:
    """Number, voxels, and rates out of these, of each open side."""
    for side in range(6):
        if not is_open(boundary, side // 2, side % 2):
            continue
        at: list[slice | int] = [slice(None)] * 3
        at[side // 2] = -(side % 2)
        voxels = tuple(at)
        own = table[tissue[voxels], tissue[voxels]]
        yield side, voxels, _TWO * own / (_ONE + own * resistance[side]) * (p[voxels] - far[side])


def _along(c: np.ndarray, stays: np.ndarray, low: np.ndarray, high: np.ndarray, axis: int, wraps: bool) -> np.ndarray:
    """What both faces along an axis carry out of each voxel; `low`, `high`: their Courant numbers."""
    to_low, to_high = neighbours(c.shape[axis], wraps)
    below, above = np.take(c, to_low, axis), np.take(c, to_high, axis)
    out_low, out_high = (
        _carried(courant, c, beside, behind, np.take(beside, step, axis), stays, np.take(stays, step, axis))
        for courant, beside, behind, step in ((low, below, above, to_low), (high, above, below, to_high))
    )
    return out_low + out_high


def _carried(
    courant: np.ndarray,
    here: np.ndarray,
    beside: np.ndarray,
    behind: np.ndarray,
    beyond: np.ndarray,
    stays: np.ndarray,
    stays_beside: np.ndarray,
) -> np.ndarray:
    """What a face carries out of each voxel."""
    out = courant > 0
    source, other = np.where(out, here, beside), np.where(out, beside, here)
    rise, before, left = other - source, source - np.where(out, behind, beyond), np.where(out, stays, stays_beside)
    third_order = _SIXTH * ((_ONE + left) * rise + (_TWO - left) * before)
    found: np.ndarray = courant * (source + left * _least(_least(rise, before), third_order))
    return found


def _least(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The nearer to 0 of two numbers of one sign, else 0."""
    found: np.ndarray = np.where((one > 0) == (other > 0), np.where(np.abs(one) < np.abs(other), one, other), _ZERO)
    return found


def _behind(side: int, n: int) -> int:
    """Place along its axis of the voxel that the one at a side has behind it."""
    return min(1, n - 1) if side % 2 == 0 else max(n - 2, 0)
