"""NumPy twin of kernels/multigrid.cu: the same operations in the same order."""

from dataclasses import dataclass

import numpy as np

from gpusim.backends.groups import Diffusion
from gpusim.backends.numpy.slabs import slabs
from gpusim.backends.numpy.stencil import Level, Stencil, along, neighbours, of_field
from gpusim.model.tables import PERIODIC, Boundary, VariesBy

_ANY_VALUE = np.float32(-3e38)
"""Concentrations are never negative; corrections may be."""


def combine(
    active: np.ndarray,
    gain: np.ndarray,
    map_slots: np.ndarray,
    coupling: np.ndarray,
    boundary: np.ndarray,
    resistance: np.ndarray,
    far: np.ndarray,
    c: np.ndarray,
    tissue: np.ndarray,
    immune: np.ndarray,
    second_map: np.ndarray,
    rhs: np.ndarray,
    from_c: np.float32,
    from_rhs: np.float32,
    from_gain: np.float32,
) -> None:
    """rhs = from_c * c + from_rhs * rhs + from_gain * (gain and inflow through open sides), not below zero."""
    shape, by = tissue.shape, VariesBy.TISSUE_AND_IMMUNE
    diffusion = Diffusion(coupling, np.full(len(coupling), VariesBy.TISSUE), boundary, resistance, far)
    for field in active:
        map = second_map[map_slots[field]] if map_slots[field] >= 0 else None
        for first, end in slabs(shape):
            slab = rhs[field, first:end]
            gained = of_field(gain[field], map, by, tissue, immune, first, end, out=np.empty_like(slab))
            border = Stencil(shape, Level(diffusion), field, first, end, states=tissue).border()
            if border is not None:
                gained = gained + border[1]
            here = c[field, first:end]
            value = slab + from_c * ((here - slab) + gained) if from_rhs else from_c * here + from_gain * gained
            slab[...] = np.where(value > 0, value, np.float32(0))


@dataclass(frozen=True)
class _Finest:
    """The implicit operator on the finest level: mass by cells, or a map; couplings by tissue state."""

    level: Level
    tissue: np.ndarray
    immune: np.ndarray
    table: np.ndarray
    exchange_by: np.ndarray
    map_slots: np.ndarray
    map: np.ndarray

    def entry(self, field: int) -> int:
        """Where a field stands in the arrays of the level."""
        return field

    def mass(self, field: int, first: int, end: int) -> np.ndarray | np.float32:
        map = self.map[self.map_slots[field]] if self.map_slots[field] >= 0 else None
        cells, room = (self.tissue, self.immune), np.empty((end - first, *self.tissue.shape[1:]), np.float32)
        return of_field(self.table[field], map, self.exchange_by[field], *cells, first, end, out=room)

    def stencil(self, field: int, first: int, end: int) -> Stencil:
        return Stencil(self.tissue.shape, self.level, field, first, end, states=self.tissue)


@dataclass(frozen=True)
class _Coarse:
    """The same on a coarser level: means over the voxels of the finest."""

    level: Level
    slots: np.ndarray
    masses: np.ndarray
    couplings: np.ndarray

    def entry(self, field: int) -> int:
        return int(self.slots[field])

    def mass(self, field: int, first: int, end: int) -> np.ndarray | np.float32:
        return self.masses[self.entry(field), first:end]

    def stencil(self, field: int, first: int, end: int) -> Stencil:
        uniform = self.level.diffusion.coupling_by[field] == VariesBy.UNIFORM
        couplings = None if uniform else self.couplings[self.entry(field)]
        return Stencil(self.masses.shape[1:], self.level, field, first, end, couplings=couplings)


def _diffusion(
    coupling: np.ndarray, coupling_by: np.ndarray, boundary: np.ndarray, resistance: np.ndarray
) -> Diffusion:
    return Diffusion(coupling, coupling_by, boundary, resistance, np.zeros_like(resistance))


def _masses(operator: _Finest | _Coarse, stencil: Stencil, field: int) -> np.ndarray | np.float32:
    """Mass by cells, and what the open sides take."""
    here, border = operator.mass(field, stencil.first, stencil.end), stencil.border()
    return here if border is None else here + border[0]


def _residual(stencil: Stencil, c: np.ndarray, rhs: np.ndarray, mass: np.ndarray | np.float32) -> np.ndarray:
    """float32 [planes, y, x]: rhs - mass * c + what diffuses in."""
    planes = slice(stencil.first, stencil.end)
    return (rhs[planes] - mass * c[planes]) + stencil.inflow(c)


def _colours(shape: tuple[int, int, int], boundary: int) -> tuple[list[np.ndarray], int]:
    """Colours along z, y, x, and how many there are: around an odd periodic axis two are not enough."""
    colours, count = [np.arange(n) & 1 for n in shape], 2
    for bit, each in zip(PERIODIC, colours, strict=True):
        if boundary & bit and len(each) > 1 and len(each) % 2:
            each[-1] = 2
            count = 3
    return colours, count


def smooth_finest(
    active: np.ndarray,
    mass: np.ndarray,
    exchange_by: np.ndarray,
    map_slots: np.ndarray,
    coupling: np.ndarray,
    coupling_by: np.ndarray,
    boundary: np.ndarray,
    resistance: np.ndarray,
    rhs: np.ndarray,
    tissue: np.ndarray,
    immune: np.ndarray,
    first_map: np.ndarray,
    c: np.ndarray,
    lowest: np.float32,
    colour: int,
) -> None:
    """One colour of a sweep of Gauss-Seidel on `c`, in place, not below `lowest`."""
    level = Level(_diffusion(coupling, coupling_by, boundary, resistance))
    operator = _Finest(level, tissue, immune, mass, exchange_by, map_slots, first_map)
    _smooth(c, rhs, operator, active, lowest, colour)


def smooth_coarse(
    active: np.ndarray,
    slots: np.ndarray,
    coupling: np.ndarray,
    coupling_by: np.ndarray,
    boundary: np.ndarray,
    resistance: np.ndarray,
    rhs: np.ndarray,
    mass: np.ndarray,
    couplings: np.ndarray,
    c: np.ndarray,
    colour: int,
    edge: float,
    wz: float,
    wy: float,
    wx: float,
) -> None:
    """The same on a coarser level."""
    level = Level(_diffusion(coupling, coupling_by, boundary, resistance), edge, wz, wy, wx)
    _smooth(c, rhs, _Coarse(level, slots, mass, couplings), active, _ANY_VALUE, colour)


def _smooth(
    c: np.ndarray,
    rhs: np.ndarray,
    operator: _Finest | _Coarse,
    active: np.ndarray,
    lowest: np.float32,
    colour: int,
) -> None:
    shape = c.shape[1:]
    for field in active:
        at = operator.entry(field)
        (z, y, x), count = _colours(shape, operator.level.diffusion.boundary[field])
        for first, end in slabs(shape):
            mine = (z[first:end, None, None] + y[:, None] + x) % count == colour
            stencil = operator.stencil(field, first, end)
            m = _masses(operator, stencil, field)
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


def restrict_finest(
    active: np.ndarray,
    slots: np.ndarray,
    mass: np.ndarray,
    exchange_by: np.ndarray,
    map_slots: np.ndarray,
    coupling: np.ndarray,
    coupling_by: np.ndarray,
    boundary: np.ndarray,
    resistance: np.ndarray,
    c: np.ndarray,
    rhs: np.ndarray,
    tissue: np.ndarray,
    immune: np.ndarray,
    first_map: np.ndarray,
    coarse_c: np.ndarray,
    coarse_rhs: np.ndarray,
) -> None:
    """Mean residual of the children into `coarse_rhs`, zero into `coarse_c`."""
    level = Level(_diffusion(coupling, coupling_by, boundary, resistance))
    operator = _Finest(level, tissue, immune, mass, exchange_by, map_slots, first_map)
    _restrict(c, rhs, operator, coarse_c, coarse_rhs, active, slots)


def restrict_coarse(
    active: np.ndarray,
    slots: np.ndarray,
    coupling: np.ndarray,
    coupling_by: np.ndarray,
    boundary: np.ndarray,
    resistance: np.ndarray,
    c: np.ndarray,
    rhs: np.ndarray,
    mass: np.ndarray,
    couplings: np.ndarray,
    coarse_c: np.ndarray,
    coarse_rhs: np.ndarray,
    edge: float,
    wz: float,
    wy: float,
    wx: float,
) -> None:
    """The same between coarser levels."""
    level = Level(_diffusion(coupling, coupling_by, boundary, resistance), edge, wz, wy, wx)
    _restrict(c, rhs, _Coarse(level, slots, mass, couplings), coarse_c, coarse_rhs, active, slots)


def _restrict(
    c: np.ndarray,
    rhs: np.ndarray,
    operator: _Finest | _Coarse,
    coarse_c: np.ndarray,
    coarse_rhs: np.ndarray,
    active: np.ndarray,
    slots: np.ndarray,
) -> None:
    shape, level = c.shape[1:], operator.level
    for field in active:
        at, slot = operator.entry(field), slots[field]
        for first, end in _even_slabs(shape):
            stencil = operator.stencil(field, first, end)
            r = _residual(stencil, c[at], rhs[at], _masses(operator, stencil, field))
            mean = _children_mean(r, first, shape[0], (level.wz, level.wy, level.wx))
            coarse_rhs[slot, first // 2 : (end + 1) // 2] = mean
        coarse_c[slot] = 0


def restrict_mass(
    active: np.ndarray,
    slots: np.ndarray,
    mass: np.ndarray,
    map_slots: np.ndarray,
    coupling: np.ndarray,
    tissue: np.ndarray,
    immune: np.ndarray,
    first_map: np.ndarray,
    coarse: np.ndarray,
) -> None:
    """Mean mass of the children on the finest level into `coarse`."""
    shape, by = tissue.shape, VariesBy.TISSUE_AND_IMMUNE
    for field in active:
        own, map = coupling[field].diagonal(), first_map[map_slots[field]] if map_slots[field] >= 0 else None
        for first, end in _even_slabs(shape):
            room = np.empty((end - first, *shape[1:]), np.float32)
            slab = of_field(mass[field], map, by, tissue, immune, first, end, out=room)
            # See LimitedMass in the kernels.
            supply = np.float32(6) * own[tissue[first:end]] + np.float32(1)
            mean = _children_mean(slab * supply / (slab + supply), first, shape[0], (1.0, 1.0, 1.0))
            coarse[slots[field], first // 2 : (end + 1) // 2] = mean


def restrict_coupling(
    active: np.ndarray, slots: np.ndarray, coupling: np.ndarray, tissue: np.ndarray, coarse: np.ndarray
) -> None:
    """Mean of the children's own couplings on the finest level into `coarse`."""
    for field in active:
        own = coupling[field].diagonal()
        for first, end in _even_slabs(tissue.shape):
            mean = _children_mean(own[tissue[first:end]], first, tissue.shape[0], (1.0, 1.0, 1.0))
            coarse[slots[field], first // 2 : (end + 1) // 2] = mean


def restrict_mean(
    active: np.ndarray,
    slots: np.ndarray,
    values: np.ndarray,
    coarse: np.ndarray,
    wz: float,
    wy: float,
    wx: float,
) -> None:
    """Mean of the children on a coarser level into `coarse`."""
    shape = values.shape[1:]
    for slot in slots[active]:
        for first, end in _even_slabs(shape):
            mean = _children_mean(values[slot, first:end], first, shape[0], (wz, wy, wx))
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


def _beyond(
    coupling: np.float32, boundary: int, resistance: np.ndarray, edge: np.float32, axis: int
) -> list[np.float32]:
    """Weights of what stands beyond both sides of an axis: see Beyond in the kernels. `edge`: of the coarse voxel."""
    weights = []
    for side in (2 * axis, 2 * axis + 1):
        wall = coupling / (edge * edge) * (resistance[side] * edge)
        is_open = boundary & Boundary.FIRST_OPEN << side
        turned = (wall - np.float32(1)) / (wall + np.float32(1))
        weights.append(np.float32(0.25) * turned if is_open else np.float32(0.25))
    return weights


def prolong(
    active: np.ndarray,
    slots: np.ndarray,
    coupling: np.ndarray,
    boundary: np.ndarray,
    resistance: np.ndarray,
    coarse: np.ndarray,
    c: np.ndarray,
    edge: np.float32,
    lowest: np.float32,
) -> None:
    """Add to `c` the correction interpolated from `coarse`, not below `lowest`."""
    shape, on_finest = c.shape[1:], edge == 1
    for field in active:
        # Along y, then z, then x: the order of the kernel's nested sums.
        correction = coarse[slots[field]]
        for axis in (1, 0, 2):
            wraps = bool(boundary[field] & PERIODIC[axis])
            beyond = _beyond(
                coupling[field, 0, 0], boundary[field], resistance[field], np.float32(2) * np.float32(edge), axis
            )
            correction = _interpolated(correction, axis, shape[axis], wraps, beyond)
        at = field if on_finest else slots[field]
        value = c[at] + correction
        c[at] = np.where(value > lowest, value, lowest)
