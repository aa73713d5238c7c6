"""NumPy twin of kernels/stencil.cuh."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gpusim.backends.groups import Diffusion
from gpusim.model.tables import PERIODIC, Boundary, VariesBy


def by_cells(
    table: np.ndarray, varies_by: int, tissue: np.ndarray, immune: np.ndarray, out: np.ndarray
) -> np.ndarray | np.float32:
    """Entry of a table [tissue states, immune states] for the cells of each voxel of a slab."""
    tissue_states, immune_states = table.shape
    if varies_by == VariesBy.UNIFORM:
        return table[0, 0]
    index = tissue.astype(np.intp) * immune_states
    if varies_by == VariesBy.TISSUE_AND_IMMUNE:
        index += immune
        index -= tissue_states
    return np.take(table.ravel(), index, out=out[: len(tissue)], mode="clip")


def of_field(
    table: np.ndarray,
    map: np.ndarray | None,
    varies_by: int,
    tissue: np.ndarray,
    immune: np.ndarray,
    first: int,
    end: int,
    out: np.ndarray,
) -> np.ndarray | np.float32:
    """What a field's map [z, y, x], or else its table, has for planes first to end."""
    return by_cells(table, varies_by, tissue[first:end], immune[first:end], out) if map is None else map[first:end]


def difference_sum(c: np.ndarray, first: int, end: int, spare: np.ndarray, scratch: np.ndarray) -> np.ndarray:
    """Sum over the six faces of (neighbour - c), for planes first to end of `c` [z, y, x].

    What `Stencil.inflow` finds where nothing varies and all sides are closed, with fewer temporaries.
    The result lies in `scratch` (two of more than end - first planes); `spare` [end - first, y, x] is
    overwritten.
    """
    here = c[first:end]
    total = scratch[0, : end - first]
    _differences(here, total, scratch[1, : end - first], 2)
    _differences(here, spare, scratch[1, : end - first], 1)
    np.add(total, spare, out=total)
    # Steps between planes, those to the planes beside included; outside, the difference is 0.
    low, high = max(first - 1, 0), min(end + 1, c.shape[0])
    step = np.subtract(c[low + 1 : high], c[low : high - 1], out=scratch[1, : high - low - 1])
    to_above = step[first - low :]
    to_below = step[: end - 1 - low]
    spare[...] = 0.0
    spare[int(first == 0) :] -= to_below
    spare[: len(to_above)] += to_above
    return np.add(total, spare, out=total)


def _differences(c: np.ndarray, out: np.ndarray, step: np.ndarray, axis: int) -> None:
    """out = (lower neighbour - c) + (upper neighbour - c) along an axis; 0 for one outside."""
    n = c.shape[axis]
    upper, lower = [slice(None)] * 3, [slice(None)] * 3
    upper[axis], lower[axis] = slice(1, n), slice(0, n - 1)
    step = step[tuple(lower)]
    np.subtract(c[tuple(upper)], c[tuple(lower)], out=step)
    out[...] = 0.0
    out[tuple(upper)] -= step
    out[tuple(lower)] += step


def weights(n: int, last_width: float, wraps: bool) -> tuple[np.ndarray, np.ndarray]:
    """Weight of the lower and the upper face of each voxel along an axis, float32 [n]."""
    width = np.float32(last_width)
    distance = np.float32(0.5) * (np.float32(1) + width)
    first, last = np.float32(1) / distance, np.float32(1) / (width * distance)
    low, high = np.ones(n, np.float32), np.ones(n, np.float32)
    if n > 1:
        low[-1], high[-2] = last, first
    around = wraps and n > 1
    low[0], high[-1] = (first, last) if around else (0, 0)
    return low, high


def neighbours(n: int, wraps: bool) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the lower and the upper neighbour along an axis; outside, the voxel itself."""
    here = np.arange(n)
    if wraps:
        return (here - 1) % n, (here + 1) % n
    return np.maximum(here - 1, 0), np.minimum(here + 1, n - 1)


def along(values: np.ndarray, axis: int) -> np.ndarray:
    """A one-dimensional array as one of three dimensions along an axis."""
    shape = [1, 1, 1]
    shape[axis] = len(values)
    return values.reshape(shape)


Face = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Level:
    """A level of multigrid with what diffuses on it, see `groups.Level`."""

    diffusion: Diffusion
    edge: float = 1.0
    wz: float = 1.0
    wy: float = 1.0
    wx: float = 1.0


class Stencil:
    """Planes first to end of a level as one field sees them: neighbours, couplings, open sides.

    `states` (uint8 [z, y, x], on the finest level) or `couplings` (float32 [z, y, x], on coarser
    ones) are read where the field's D varies.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        level: Level,
        field: int,
        first: int,
        end: int,
        states: np.ndarray | None = None,
        couplings: np.ndarray | None = None,
    ) -> None:
        diffusion, last_widths = level.diffusion, (level.wz, level.wy, level.wx)
        table = diffusion.coupling[field]
        wraps = [bool(diffusion.boundary[field] & bit) for bit in PERIODIC]
        self.first, self.end = first, end
        self._shape = shape
        self._near = [neighbours(n, w) for n, w in zip(shape, wraps, strict=True)]
        pairs = [weights(n, w, r) for n, w, r in zip(shape, last_widths, wraps, strict=True)]
        pairs[0] = (pairs[0][0][first:end], pairs[0][1][first:end])
        self._weights = [(along(low, axis), along(high, axis)) for axis, (low, high) in enumerate(pairs)]
        self._widths = [np.ones(n, np.float32) for n in shape]
        for width, last in zip(self._widths, last_widths, strict=True):
            width[-1] = last
        scale = np.float32(1) / (np.float32(level.edge) * np.float32(level.edge))
        self._varying: np.ndarray | None = None
        self._face: Face | None = None
        if diffusion.coupling_by[field] == VariesBy.UNIFORM:
            self._common = table[0, 0] * scale
        elif states is not None:
            self._common = np.float32(1)
            self._varying = states
            self._face = lambda a, b: table[a, b]
        else:
            self._common = scale
            self._varying = couplings
            self._face = _harmonic
        self._diagonal = np.ascontiguousarray(table.diagonal())
        self._by_states = states is not None
        self._open = [bool(diffusion.boundary[field] & Boundary.FIRST_OPEN << side) for side in range(6)]
        self._resistance = diffusion.resistance[field] * np.float32(level.edge)
        self._far = diffusion.far[field]

    def _beside(self, values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """The lower and the upper neighbours of the planes along an axis."""
        lower, upper = self._near[axis]
        if axis == 0:
            return values[lower[self.first : self.end]], values[upper[self.first : self.end]]
        here = values[self.first : self.end]
        return np.take(here, lower, axis), np.take(here, upper, axis)

    def _over_faces(self, values: tuple[np.ndarray, np.ndarray] | None, axis: int) -> np.ndarray:
        """Sum over both faces along an axis of value (or 1) * weight * coupling of the face."""
        pair = list(self._weights[axis])
        if values is not None:
            pair = [value * weight for value, weight in zip(values, pair, strict=True)]
        if self._varying is not None:
            assert self._face is not None
            here = self._varying[self.first : self.end]
            beside = self._beside(self._varying, axis)
            pair = [value * self._face(here, other) for value, other in zip(pair, beside, strict=True)]
        return pair[0] + pair[1]

    def inflow(self, c: np.ndarray) -> np.ndarray:
        """What diffuses in over a step: float32 [end - first, y, x]."""
        here = c[self.first : self.end]
        z, y, x = (
            self._over_faces((lower - here, upper - here), axis)
            for axis, (lower, upper) in enumerate(self._beside(c, axis) for axis in range(3))
        )
        return self._common * ((x + y) + z)

    def outflow(self) -> np.ndarray:
        """Sum of the couplings across all faces."""
        z, y, x = (self._over_faces(None, axis) for axis in range(3))
        return self._common * ((x + y) + z)

    def own(self) -> np.ndarray | np.float32:
        """The voxels' own coupling."""
        if self._varying is None:
            return self._common
        here = self._varying[self.first : self.end]
        return self._diagonal[here] if self._by_states else here * self._common

    def border(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Rate and inflow through the open sides, float32 [end - first, y, x]; None where all are closed."""
        if not np.any(self._open):
            return None
        rate = np.zeros((self.end - self.first, *self._shape[1:]), np.float32)
        inflow = np.zeros_like(rate)
        own = np.broadcast_to(self.own(), rate.shape)
        for side in range(6):
            axis, plane = side // 2, 0 if side % 2 == 0 else self._shape[side // 2] - 1
            width, resistance = self._widths[axis][plane], self._resistance[side]
            if axis == 0:
                plane -= self.first
            if not self._open[side] or not 0 <= plane < rate.shape[axis]:
                continue
            at: list[slice | int] = [slice(None)] * 3
            at[axis] = plane
            a = own[tuple(at)]
            through = np.float32(2) * a / (width * (width + a * resistance))
            rate[tuple(at)] += through
            inflow[tuple(at)] += through * self._far[side]
        return rate, inflow


def _harmonic(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    total = a + b
    return np.where(total > 0, np.float32(2) * a * b / np.where(total > 0, total, np.float32(1)), np.float32(0))
