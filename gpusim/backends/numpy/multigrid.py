"""NumPy twin of kernels/multigrid.cu: the same operations in the same order."""

import numpy as np

from gpusim.backends.base import Diffusion, Level, MassByCells, Means, Share
from gpusim.backends.numpy.slabs import slabs
from gpusim.backends.numpy.stencil import Stencil, along, finest, neighbours, of_field
from gpusim.model.tables import VariesBy

_ANY_VALUE = np.float32(-3e38)
"""Concentrations are never negative; corrections may be."""


def combine(
    c: np.ndarray,
    rhs: np.ndarray,
    cells: MassByCells,
    active: np.ndarray,
    gain: np.ndarray,
    diffusion: Diffusion,
    share: Share,
) -> None:
    """Set rhs (float32 [F, z, y, x], not below zero) from what `share` says; `gain` is by cells."""
    shape = c.shape[1:]
    for field in active:
        for first, end in slabs(shape):
            slab = rhs[field, first:end]
            _, map = cells.maps.of(field)
            inside = (cells.tissue, cells.immune, first, end)
            gained = of_field(gain[field], map, VariesBy.TISSUE_AND_IMMUNE, *inside, out=np.empty_like(slab))
            border = Stencil(shape, finest(diffusion), field, first, end, states=cells.tissue).border()
            if border is not None:
                gained = gained + border[1]
            here, from_c = c[field, first:end], np.float32(share.c)
            if share.rhs:
                value = slab + from_c * ((here - slab) + gained)
            else:
                value = from_c * here + np.float32(share.gain) * gained
            slab[...] = np.where(value > 0, value, np.float32(0))


def _entry(level: Level, field: int) -> int:
    """Where a field stands in the arrays of a level."""
    return field if level.finest else int(level.slots[field])


def _mass(mass: MassByCells | Means, level: Level, field: int, first: int, end: int) -> np.ndarray | np.float32:
    if isinstance(mass, Means):
        return mass.mass[level.slots[field], first:end]
    (map, _), room = mass.maps.of(field), np.empty((end - first, *mass.tissue.shape[1:]), np.float32)
    return of_field(mass.table[field], map, mass.exchange_by[field], mass.tissue, mass.immune, first, end, out=room)


def _stencil(
    shape: tuple[int, int, int], mass: MassByCells | Means, level: Level, field: int, first: int, end: int
) -> Stencil:
    if isinstance(mass, MassByCells):
        return Stencil(shape, level, field, first, end, states=mass.tissue)
    couplings = None if level.diffusion.by[field] == VariesBy.UNIFORM else mass.coupling[level.slots[field]]
    return Stencil(shape, level, field, first, end, couplings=couplings)


def _masses(stencil: Stencil, mass: MassByCells | Means, level: Level, field: int) -> np.ndarray | np.float32:
    """Mass by cells, and what the open sides take."""
    here = _mass(mass, level, field, stencil.first, stencil.end)
    border = stencil.border()
    return here if border is None else here + border[0]


def _residual(stencil: Stencil, c: np.ndarray, rhs: np.ndarray, mass: np.ndarray | np.float32) -> np.ndarray:
    """float32 [planes, y, x]: rhs - mass * c + what diffuses in."""
    planes = slice(stencil.first, stencil.end)
    return (rhs[planes] - mass * c[planes]) + stencil.inflow(c)


def _colours(shape: tuple[int, int, int], boundary: int) -> tuple[list[np.ndarray], int]:
    """Colours along z, y, x, and how many there are: around an odd periodic axis two are not enough."""
    colours, count = [np.arange(n) & 1 for n in shape], 2
    for bit, each in zip((1, 2, 4), colours, strict=True):
        if boundary & bit and len(each) > 1 and len(each) % 2:
            each[-1] = 2
            count = 3
    return colours, count


def smooth(
    c: np.ndarray, rhs: np.ndarray, mass: MassByCells | Means, active: np.ndarray, level: Level, colour: int
) -> None:
    """One colour of a sweep of Gauss-Seidel on `c`, in place."""
    shape = c.shape[1:]
    lowest = np.float32(0) if level.finest else _ANY_VALUE
    for field in active:
        at = _entry(level, field)
        (z, y, x), count = _colours(shape, level.diffusion.boundary[field])
        for first, end in slabs(shape):
            mine = (z[first:end, None, None] + y[:, None] + x) % count == colour
            stencil = _stencil(shape, mass, level, field, first, end)
            m = _masses(stencil, mass, level, field)
            r = _residual(stencil, c[at], rhs[at], m)
            value = c[at, first:end] + r / (m + stencil.outflow())
            np.copyto(c[at, first:end], np.where(value > lowest, value, lowest), where=mine)


def _pairs(values: np.ndarray, axis: int, last_width: np.float32) -> np.ndarray:
    """Sum of the children along an axis by width; a last one without a partner stays as it is."""
    n = values.shape[axis]
    weight = np.ones(n // 2, np.float32)
    if n % 2 == 0:
        weight[-1] = last_width
    summed = np.take(values, np.arange(0, n, 2), axis)
    inner = [slice(None)] * values.ndim
    inner[axis] = slice(0, n // 2)
    second = np.take(values, np.arange(1, n, 2), axis) * (along(weight, axis) if values.ndim == 3 else weight)
    summed[tuple(inner)] = summed[tuple(inner)] + second
    return summed


def _children_mean(values: np.ndarray, first: int, nz: int, last_widths: tuple[float, float, float]) -> np.ndarray:
    """Mean by volume of the up to 8 children of each coarse voxel, added up in the kernels' order.

    `values` are planes of a level with nz planes, from the even plane `first` on.
    """
    planes, ny, nx = values.shape
    wz, wy, wx = map(np.float32, last_widths)
    along_x = _pairs(values, 2, wx)
    weights = [np.ones(n, np.float32) for n in (planes, ny)]
    if nz % 2 == 0 and first + planes == nz:
        weights[0][-1] = wz
    if ny % 2 == 0:
        weights[1][-1] = wy
    by_row = weights[0][:, None, None] * weights[1][:, None]
    total = np.zeros(((planes + 1) // 2, (ny + 1) // 2, (nx + 1) // 2), np.float32)
    rows_weight = np.zeros((*total.shape[:2], 1), np.float32)
    for dz in (0, 1):
        for dy in (0, 1):
            rows, weight = along_x[dz::2, dy::2], by_row[dz::2, dy::2]
            inside = np.s_[: rows.shape[0], : rows.shape[1]]
            total[inside] = total[inside] + weight * rows
            rows_weight[inside] = rows_weight[inside] + weight
    return total / (rows_weight * _pairs(np.ones(nx, np.float32), 0, wx))


def restrict(
    c: np.ndarray,
    rhs: np.ndarray,
    mass: MassByCells | Means,
    coarse_c: np.ndarray,
    coarse_rhs: np.ndarray,
    active: np.ndarray,
    level: Level,
) -> None:
    """Mean residual of the children into `coarse_rhs`, zero into `coarse_c`."""
    shape = c.shape[1:]
    for field in active:
        at, slot = _entry(level, field), level.slots[field]
        for first, end in _even_slabs(shape):
            stencil = _stencil(shape, mass, level, field, first, end)
            r = _residual(stencil, c[at], rhs[at], _masses(stencil, mass, level, field))
            mean = _children_mean(r, first, shape[0], level.last_widths)
            coarse_rhs[slot, first // 2 : (end + 1) // 2] = mean
        coarse_c[slot] = 0


def restrict_mass(cells: MassByCells, coarse: np.ndarray, active: np.ndarray, level: Level) -> None:
    """Mean mass of the children on the finest level, `level`, into `coarse`."""
    shape = cells.tissue.shape
    for field in active:
        for first, end in _even_slabs(shape):
            slab = np.broadcast_to(_mass(cells, level, field, first, end), (end - first, *shape[1:]))
            # See LimitedMass in the kernels.
            supply = np.float32(6) * _stencil(shape, cells, level, field, first, end).own() + np.float32(1)
            mean = _children_mean(slab * supply / (slab + supply), first, shape[0], level.last_widths)
            coarse[level.slots[field], first // 2 : (end + 1) // 2] = mean


def restrict_coupling(cells: MassByCells, coarse: np.ndarray, active: np.ndarray, level: Level) -> None:
    """Mean of the children's own couplings on the finest level, `level`, into `coarse`."""
    shape = cells.tissue.shape
    for field in active:
        own = level.diffusion.coupling[field].diagonal()
        for first, end in _even_slabs(shape):
            mean = _children_mean(own[cells.tissue[first:end]], first, shape[0], (1.0, 1.0, 1.0))
            coarse[level.slots[field], first // 2 : (end + 1) // 2] = mean


def restrict_mean(values: np.ndarray, coarse: np.ndarray, active: np.ndarray, level: Level) -> None:
    """Mean of the children on a coarser level, `level`, into `coarse`."""
    shape = values.shape[1:]
    for slot in level.slots[active]:
        for first, end in _even_slabs(shape):
            mean = _children_mean(values[slot, first:end], first, shape[0], level.last_widths)
            coarse[slot, first // 2 : (end + 1) // 2] = mean


def _even_slabs(shape: tuple[int, int, int]) -> list[tuple[int, int]]:
    """Slabs that begin at even planes, so that children stay together."""
    edges = [first + first % 2 for first, _ in slabs(shape)]
    edges = sorted({e for e in edges if e < shape[0]})
    return list(zip(edges, [*edges[1:], shape[0]], strict=True))


def _interpolated(coarse: np.ndarray, axis: int, n: int, wraps: bool, beyond: list[np.float32]) -> np.ndarray:
    """Values at the n children along an axis: 3/4 of the parent and 1/4 of the voxel beside it.

    `beyond` are the weights, instead of 1/4, of what stands beyond the lower and the upper side.
    """
    child, count = np.arange(n), coarse.shape[axis]
    lower, upper = neighbours(count, wraps)
    weight = np.full(n, 0.25, np.float32)
    weight[0] = beyond[0]
    if n == 2 * count:
        weight[-1] = beyond[1]
    beside = np.where(child % 2, upper[child // 2], lower[child // 2])
    near, far = np.take(coarse, child // 2, axis), np.take(coarse, beside, axis)
    return np.float32(0.75) * near + along(weight, axis) * far


def _beyond(level: Level, field: int, axis: int) -> list[np.float32]:
    """Weights of what stands beyond both sides of an axis: see Beyond in the kernels."""
    diffusion = level.diffusion
    edge = np.float32(2) * np.float32(level.edge)
    coupling = diffusion.coupling[field, 0, 0] / (edge * edge)
    weights = []
    for side in (2 * axis, 2 * axis + 1):
        wall = coupling * (diffusion.resistance[field, side] * edge)
        is_open = diffusion.boundary[field] >> 3 + side & 1
        turned = (wall - np.float32(1)) / (wall + np.float32(1))
        weights.append(np.float32(0.25) * turned if is_open else np.float32(0.25))
    return weights


def prolong(c: np.ndarray, coarse: np.ndarray, active: np.ndarray, level: Level) -> None:
    """Add to `c`, on `level`, the correction interpolated from `coarse`; on the finest, not below zero."""
    shape = c.shape[1:]
    lowest = np.float32(0) if level.finest else _ANY_VALUE
    for field in active:
        # Along y, then z, then x: the order of the kernel's nested sums.
        correction = coarse[level.slots[field]]
        for axis in (1, 0, 2):
            wraps = bool(level.diffusion.boundary[field] & 1 << axis)
            correction = _interpolated(correction, axis, shape[axis], wraps, _beyond(level, field, axis))
        at = _entry(level, field)
        value = c[at] + correction
        c[at] = np.where(value > lowest, value, lowest)
