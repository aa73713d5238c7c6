"""Multigrid cycles with a fixed recipe: the same operations, in the same order, for any input."""

from dataclasses import dataclass

import numpy as np

from gpusim.backends.base import Array, Backend, Diffusion, Level, MassByCells, Means
from gpusim.model.tables import slots

SWEEPS_BEFORE = 1
SWEEPS_AFTER = 1


def level_shapes(shape: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """Shapes from the finest level to a single voxel; an axis of 2n or 2n - 1 voxels becomes one of n."""
    shapes = [shape]
    while shapes[-1] != (1, 1, 1):
        nz, ny, nx = shapes[-1]
        shapes.append(((nz + 1) // 2, (ny + 1) // 2, (nx + 1) // 2))
    return shapes


def memory(cycled: np.ndarray, varying: np.ndarray, shape: tuple[int, int, int]) -> int:
    """Bytes of the coarse levels, see `Multigrid`: for each field three float32 arrays, four where its D varies."""
    numbers = 3 * int(cycled.sum()) + int((cycled & varying).sum())
    return 4 * numbers * sum(nz * ny * nx for nz, ny, nx in level_shapes(shape)[1:])


def last_widths(shapes: list[tuple[int, int, int]]) -> list[tuple[float, float, float]]:
    """Width of the last voxel along z, y, x on each level, against the others of that level.

    The last coarse voxel of an even axis is (1 + w) / 2 wide, that of an odd one w / 2, where w is the
    width of the last fine voxel. All are sums of powers of two, exact in float32.
    """
    widths = [(1.0, 1.0, 1.0)]
    for shape in shapes[:-1]:
        z, y, x = ((1 + w) / 2 if n % 2 == 0 else w / 2 for n, w in zip(shape, widths[-1], strict=True))
        widths.append((z, y, x))
    return widths


@dataclass(frozen=True)
class Recipe:
    """What a solve consists of: V-cycles, or else sweeps on the finest level alone.

    Fields of one solve share their `periodic` axes (bits 1 (z), 2 (y), 4 (x)) and whether their D is
    `varying` by tissue state.
    """

    sweeps: int = 0
    cycles: int = 0
    periodic: int = 0
    varying: bool = False


@dataclass
class _CoarseLevel:
    """Correction and right-hand side, float32 [slots, R, z, y, x], and the operator."""

    correction: Array
    rhs: Array
    operator: Means


class Multigrid:
    """The coarse levels of the replicates of a lattice.

    Args:
        cycled: bool [F], the fields that are solved by cycles; the others have no place on coarse levels.
        varying: bool [F], those whose D varies.
    """

    def __init__(
        self,
        cycled: np.ndarray,
        varying: np.ndarray,
        replicates: int,
        shape: tuple[int, int, int],
        backend: Backend,
    ) -> None:
        self._backend = backend
        self._shapes = level_shapes(shape)
        self._widths = last_widths(self._shapes)
        fields = [*np.flatnonzero(cycled & varying), *np.flatnonzero(cycled & ~varying)]
        coupled = int((cycled & varying).sum())
        self._slots = backend.array(slots(fields, len(cycled)))

        def zeros(count: int, coarse: tuple[int, int, int]) -> Array:
            return backend.lattice(np.zeros((count, replicates, *coarse), np.float32), finest=shape[0])

        def level(coarse: tuple[int, int, int]) -> _CoarseLevel:
            correction, rhs, mass = (zeros(len(fields), coarse) for _ in range(3))
            return _CoarseLevel(correction, rhs, Means(mass, zeros(coupled, coarse)))

        self._levels = [level(coarse) for coarse in self._shapes[1:]] if fields else []

    def solve(
        self, c: Array, rhs: Array, cells: MassByCells, active: Array, diffusion: Diffusion, recipe: Recipe
    ) -> None:
        """Improve `c` towards mass * c - sum over faces coupling * (c_neighbour - c) = rhs.

        `c`, `rhs`: float32 [F, R, z, y, x]; `active`: int32, fields to solve.
        """
        for _ in range(recipe.sweeps):
            self._sweep(0, c, rhs, cells, active, diffusion, recipe)
        if recipe.cycles:
            self._average(cells, active, diffusion, recipe)
        for _ in range(recipe.cycles):
            self._cycle(0, c, rhs, cells, active, diffusion, recipe)

    def _average(self, cells: MassByCells, active: Array, diffusion: Diffusion, recipe: Recipe) -> None:
        """The operator on the coarse levels."""
        finer: Means | None = None
        for depth, coarse in enumerate(self._levels):
            means, level = coarse.operator, self._level(diffusion, depth)
            if finer is None:
                self._backend.restrict_mass(cells, means.mass, active, level)
                if recipe.varying:
                    self._backend.restrict_coupling(cells, means.coupling, active, level)
            else:
                self._backend.restrict_mean(finer.mass, means.mass, active, level)
                if recipe.varying:
                    self._backend.restrict_mean(finer.coupling, means.coupling, active, level)
            finer = means

    def _cycle(
        self,
        depth: int,
        c: Array,
        rhs: Array,
        operator: MassByCells | Means,
        active: Array,
        diffusion: Diffusion,
        recipe: Recipe,
    ) -> None:
        backend, level = self._backend, self._level(diffusion, depth)
        if depth == len(self._levels):  # one voxel: the first sweep is exact
            backend.smooth(c, rhs, operator, active, level, 0)
            return
        for _ in range(SWEEPS_BEFORE):
            self._sweep(depth, c, rhs, operator, active, diffusion, recipe)
        coarse = self._levels[depth]
        backend.restrict(c, rhs, operator, coarse.correction, coarse.rhs, active, level)
        self._cycle(depth + 1, coarse.correction, coarse.rhs, coarse.operator, active, diffusion, recipe)
        backend.prolong(c, coarse.correction, active, level)
        for _ in range(SWEEPS_AFTER):
            self._sweep(depth, c, rhs, operator, active, diffusion, recipe)

    def _level(self, diffusion: Diffusion, depth: int) -> Level:
        return Level(diffusion, 2.0**depth, self._widths[depth], self._slots)

    def _sweep(
        self,
        depth: int,
        c: Array,
        rhs: Array,
        operator: MassByCells | Means,
        active: Array,
        diffusion: Diffusion,
        recipe: Recipe,
    ) -> None:
        level = self._level(diffusion, depth)
        for colour in range(colours(self._shapes[depth], recipe.periodic)):
            self._backend.smooth(c, rhs, operator, active, level, colour)


def colours(shape: tuple[int, int, int], periodic: int) -> int:
    """Colours of a sweep: two, or three where an odd axis of more than one voxel is periodic."""
    odd = (n > 1 and n % 2 == 1 and bool(periodic & bit) for n, bit in zip(shape, (1, 2, 4), strict=True))
    return 3 if any(odd) else 2
