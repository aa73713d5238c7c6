"""NumPy twin of kernels/multigrid.cu: the same operations in the same order."""

import numpy as np

from gpusim.backends.base import Coupling, MassByCells
from gpusim.backends.numpy.slabs import slabs
from gpusim.backends.numpy.stencil import by_cells
from gpusim.model.tables import ExchangeBy

_ANY_VALUE = np.float32(-3e38)
"""Concentrations are never negative; corrections may be."""


def combine(
    c: np.ndarray,
    rhs: np.ndarray,
    cells: MassByCells,
    active: np.ndarray,
    gain: np.ndarray,
    from_c: float,
    from_rhs: float,
) -> None:
    """rhs = from_c * c + from_rhs * rhs + gain (by cells), not below zero; float32 [F, z, y, x]."""
    for field in active:
        for first, end in slabs(c.shape[1:]):
            slab = rhs[field, first:end]
            old = np.float32(from_rhs) * slab if from_rhs else np.float32(0)
            value = np.float32(from_c) * c[field, first:end] + old
            out = np.empty_like(slab)
            inside = (cells.tissue[first:end], cells.immune[first:end])
            value = value + by_cells(gain[field], ExchangeBy.TISSUE_AND_IMMUNE, *inside, out=out)
            slab[...] = np.where(value > 0, value, np.float32(0))


def _mass(mass: MassByCells | np.ndarray, field: int, first: int, end: int) -> np.ndarray | np.float32:
    if not isinstance(mass, MassByCells):
        return mass[field, first:end]
    cells = (mass.tissue[first:end], mass.immune[first:end])
    return by_cells(mass.table[field], mass.exchange_by[field], *cells, out=np.empty(cells[0].shape, np.float32))


def _weights(n: int, last_width: float) -> tuple[np.ndarray, np.ndarray]:
    """Weight of the lower and the upper face of each voxel along an axis, float32 [n]."""
    width = np.float32(last_width)
    distance = np.float32(0.5) * (np.float32(1) + width)
    low, high = np.ones(n, np.float32), np.ones(n, np.float32)
    if n > 1:
        low[-1] = np.float32(1) / (width * distance)
        high[-2] = np.float32(1) / distance
    low[0], high[-1] = 0, 0
    return low, high


def _along(values: np.ndarray, axis: int) -> np.ndarray:
    shape = [1, 1, 1]
    shape[axis] = len(values)
    return values.reshape(shape)


class _Stencil:
    """Planes first to end of a level, with the weights of all faces."""

    def __init__(self, shape: tuple[int, int, int], coupling: Coupling, first: int, end: int) -> None:
        pairs = [_weights(n, w) for n, w in zip(shape, coupling.last_widths, strict=True)]
        pairs[0] = (pairs[0][0][first:end], pairs[0][1][first:end])
        self.weights = [(_along(low, axis), _along(high, axis)) for axis, (low, high) in enumerate(pairs)]
        self.first, self.end = first, end

    def faces(self) -> np.ndarray:
        z, y, x = (low + high for low, high in self.weights)
        return (x + y) + z

    def residual(
        self, c: np.ndarray, rhs: np.ndarray, mass: np.ndarray | np.float32, coupling: np.float32
    ) -> np.ndarray:
        """float32 [end - first, y, x]: rhs - mass * c + coupling * weighted sum of differences."""
        here = c[self.first : self.end]
        below = c[np.maximum(np.arange(self.first, self.end) - 1, 0)]
        above = c[np.minimum(np.arange(self.first, self.end) + 1, c.shape[0] - 1)]
        in_z = self._weighted(below, above, here, 0)
        in_y = self._weighted(_shifted(here, 1, -1), _shifted(here, 1, 1), here, 1)
        in_x = self._weighted(_shifted(here, 2, -1), _shifted(here, 2, 1), here, 2)
        return (rhs[self.first : self.end] - mass * here) + coupling * ((in_x + in_y) + in_z)

    def _weighted(self, lower: np.ndarray, upper: np.ndarray, here: np.ndarray, axis: int) -> np.ndarray:
        low, high = self.weights[axis]
        return (lower - here) * low + (upper - here) * high


def _shifted(values: np.ndarray, axis: int, by: int) -> np.ndarray:
    """Neighbours along an axis; at the border the voxel itself."""
    n = values.shape[axis]
    return np.take(values, np.clip(np.arange(n) + by, 0, n - 1), axis)


def smooth(
    c: np.ndarray,
    rhs: np.ndarray,
    mass: MassByCells | np.ndarray,
    active: np.ndarray,
    coupling: Coupling,
    colour: int,
) -> None:
    """Half a sweep of two-colour Gauss-Seidel on `c`, in place; `mass` is an array on coarse levels."""
    _, nz, ny, nx = c.shape
    parity = (np.arange(ny)[:, None] + np.arange(nx)) & 1
    for first, end in slabs((nz, ny, nx)):
        stencil = _Stencil((nz, ny, nx), coupling, first, end)
        z = np.arange(first, end)[:, None, None]
        mine = (parity + z + colour) & 1 == 0
        for field in active:
            a = coupling.by_field[field] * np.float32(coupling.scale)
            m = _mass(mass, field, first, end)
            r = stencil.residual(c[field], rhs[field], m, a)
            value = c[field, first:end] + r / (m + a * stencil.faces())
            lowest = np.float32(0) if isinstance(mass, MassByCells) else _ANY_VALUE
            np.copyto(c[field, first:end], np.where(value > lowest, value, lowest), where=mine)


def _pairs(values: np.ndarray, axis: int, last_width: np.float32) -> np.ndarray:
    """Sum of the children along an axis by width; a last one without a partner stays as it is."""
    n = values.shape[axis]
    weight = np.ones(n // 2, np.float32)
    if n % 2 == 0:
        weight[-1] = last_width
    summed = np.take(values, np.arange(0, n, 2), axis)
    inner = [slice(None)] * values.ndim
    inner[axis] = slice(0, n // 2)
    second = np.take(values, np.arange(1, n, 2), axis) * (_along(weight, axis) if values.ndim == 3 else weight)
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
    mass: MassByCells | np.ndarray,
    coarse_c: np.ndarray,
    coarse_rhs: np.ndarray,
    active: np.ndarray,
    coupling: Coupling,
) -> None:
    """Mean residual of the children into `coarse_rhs`, zero into `coarse_c`."""
    shape = c.shape[1:]
    for first, end in _even_slabs(shape):
        stencil = _Stencil(shape, coupling, first, end)
        for field in active:
            a = coupling.by_field[field] * np.float32(coupling.scale)
            r = stencil.residual(c[field], rhs[field], _mass(mass, field, first, end), a)
            mean = _children_mean(r, first, shape[0], coupling.last_widths)
            coarse_rhs[field, first // 2 : (end + 1) // 2] = mean
    coarse_c[active] = 0


def restrict_mass(mass: MassByCells | np.ndarray, coarse: np.ndarray, active: np.ndarray, coupling: Coupling) -> None:
    """Mean mass of the children into `coarse`."""
    shape = mass.tissue.shape if isinstance(mass, MassByCells) else mass.shape[1:]
    for field in active:
        supply = np.float32(6) * coupling.by_field[field] + np.float32(1)
        for first, end in _even_slabs(shape):
            slab = np.broadcast_to(_mass(mass, field, first, end), (end - first, *shape[1:]))
            if isinstance(mass, MassByCells):  # see LimitedMass in the kernels
                slab = slab * supply / (slab + supply)
            mean = _children_mean(slab, first, shape[0], coupling.last_widths)
            coarse[field, first // 2 : (end + 1) // 2] = mean


def _even_slabs(shape: tuple[int, int, int]) -> list[tuple[int, int]]:
    """Slabs that begin at even planes, so that children stay together."""
    edges = [first + first % 2 for first, _ in slabs(shape)]
    edges = sorted({e for e in edges if e < shape[0]})
    return list(zip(edges, [*edges[1:], shape[0]], strict=True))


def _interpolated(coarse: np.ndarray, axis: int, n: int) -> np.ndarray:
    """Values at the n children along an axis: 3/4 of the parent and 1/4 of the voxel beside it."""
    child = np.arange(n)
    beside = np.clip(np.where(child % 2, child // 2 + 1, child // 2 - 1), 0, coarse.shape[axis] - 1)
    near, far = np.take(coarse, child // 2, axis), np.take(coarse, beside, axis)
    return np.float32(0.75) * near + np.float32(0.25) * far


def prolong(c: np.ndarray, coarse: np.ndarray, active: np.ndarray, *, floor_at_zero: bool) -> None:
    """Add to `c` the correction interpolated from `coarse`."""
    _, nz, ny, nx = c.shape
    lowest = np.float32(0) if floor_at_zero else _ANY_VALUE
    for field in active:
        # Along y, then z, then x: the order of the kernel's nested sums.
        correction = _interpolated(_interpolated(_interpolated(coarse[field], 1, ny), 0, nz), 2, nx)
        value = c[field] + correction
        c[field] = np.where(value > lowest, value, lowest)
