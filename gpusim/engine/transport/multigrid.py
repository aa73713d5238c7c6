"""Multigrid cycles with a fixed recipe: the same operations, in the same order, for any input."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpusim.backends.base import Backend, Known
from gpusim.backends.groups import Array, Diffusion, Level, Maps, Masses, Means
from gpusim.model.tables import PERIODIC, slots

SWEEPS_BEFORE = 1
SWEEPS_AFTER = 1

ANY_VALUE = -3e38
"""Concentrations are never negative; corrections and changes may be."""


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
    `varying` by tissue state. A solution is not below `lowest`.
    """

    sweeps: int = 0
    cycles: int = 0
    periodic: int = 0
    varying: bool = False
    lowest: float = 0.0


@dataclass(frozen=True)
class Finest:
    """The implicit operator on the finest level.

    Attributes:
        tissue, immune: uint8 [R, z, y, x].
        masses: by cells; maps: go before them, where a field has them.
    """

    tissue: Array
    immune: Array
    masses: Masses
    maps: Maps
    diffusion: Diffusion

    @property
    def cells(self) -> dict[str, Array]:
        """Both layers, by name."""
        return {"tissue": self.tissue, "immune": self.immune}


@dataclass(frozen=True)
class _Coarse:
    """A coarse level: correction and right-hand side, float32 [slots, R, z, y, x], and the operator."""

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
        fields = [*np.flatnonzero(cycled & varying), *np.flatnonzero(cycled & ~varying)]
        coupled = int((cycled & varying).sum())
        of_fields = backend.array(slots(fields, len(cycled)))
        widths = last_widths(self._shapes)
        self._levels = [Level(2.0**depth, *last, of_fields) for depth, last in enumerate(widths)]

        def zeros(count: int, coarse: tuple[int, int, int]) -> Array:
            return backend.lattice(np.zeros((count, replicates, *coarse), np.float32), finest=shape[0])

        def level(coarse: tuple[int, int, int]) -> _Coarse:
            correction, rhs, mass = (zeros(len(fields), coarse) for _ in range(3))
            return _Coarse(correction, rhs, Means(mass, zeros(coupled, coarse)))

        self._known: defaultdict[Recipe, Known] = defaultdict(dict)
        self._coarse = [level(coarse) for coarse in self._shapes[1:]] if fields else []

    def solve(self, c: Array, rhs: Array, operator: Finest, active: Array, recipe: Recipe) -> None:
        """Improve `c` towards mass * c - sum over faces coupling * (c_neighbour - c) = rhs.

        `c`, `rhs`: float32 [F, R, z, y, x]; `active`: int32, fields to solve.
        """
        tables = (operator.masses, operator.maps, operator.diffusion)
        of = (c, rhs, operator.tissue, operator.immune, *tables, active)
        self._backend.repeat(lambda: self._solve(c, rhs, operator, active, recipe), self._known[recipe], *of)

    def _solve(self, c: Array, rhs: Array, operator: Finest, active: Array, recipe: Recipe) -> None:
        for _ in range(recipe.sweeps):
            self._sweep(0, c, rhs, operator, active, recipe)
        if recipe.cycles:
            self._average(operator, active, recipe)
        for _ in range(recipe.cycles):
            self._cycle(0, c, rhs, operator, active, recipe)

    def _average(self, operator: Finest, active: Array, recipe: Recipe) -> None:
        """The operator on the coarse levels."""
        launch = self._backend.launch
        finer: Means | None = None
        for level, coarse in zip(self._levels, self._coarse, strict=False):
            means = coarse.operator
            if finer is None:
                groups = (level, operator.masses, operator.maps, operator.diffusion)
                launch("restrict_mass", *groups, **operator.cells, active=active, coarse=means.mass)
                if recipe.varying:
                    given = {"tissue": operator.tissue, "active": active, "coarse": means.couplings}
                    launch("restrict_coupling", level, operator.diffusion, **given)
            else:
                launch("restrict_mean", level, active=active, values=finer.mass, coarse=means.mass)
                if recipe.varying:
                    launch("restrict_mean", level, active=active, values=finer.couplings, coarse=means.couplings)
            finer = means

    def _cycle(self, depth: int, c: Array, rhs: Array, operator: Finest, active: Array, recipe: Recipe) -> None:
        if depth == len(self._coarse):  # one voxel: the first sweep is exact
            self._smooth(depth, c, rhs, operator, active, recipe, 0)
            return
        for _ in range(SWEEPS_BEFORE):
            self._sweep(depth, c, rhs, operator, active, recipe)
        coarse = self._coarse[depth]
        into = {"coarse_c": coarse.correction, "coarse_rhs": coarse.rhs}
        self._on_level("restrict", depth, operator, c=c, rhs=rhs, active=active, **into)
        self._cycle(depth + 1, coarse.correction, coarse.rhs, operator, active, recipe)
        level = self._levels[depth]
        lowest = ANY_VALUE if depth else recipe.lowest
        given = {"active": active, "c": c, "coarse": coarse.correction, "lowest": lowest}
        self._backend.launch("prolong", level, operator.diffusion, **given)
        for _ in range(SWEEPS_AFTER):
            self._sweep(depth, c, rhs, operator, active, recipe)

    def _sweep(self, depth: int, c: Array, rhs: Array, operator: Finest, active: Array, recipe: Recipe) -> None:
        for colour in range(colours(self._shapes[depth], recipe.periodic)):
            self._smooth(depth, c, rhs, operator, active, recipe, colour)

    def _smooth(
        self, depth: int, c: Array, rhs: Array, operator: Finest, active: Array, recipe: Recipe, colour: int
    ) -> None:
        limit = {} if depth else {"lowest": recipe.lowest}
        self._on_level("smooth", depth, operator, c=c, rhs=rhs, active=active, colour=colour, **limit)

    def _on_level(self, operation: str, depth: int, operator: Finest, **given: Any) -> None:
        """Launch the kernel for the finest level or that for coarser ones."""
        level, diffusion = self._levels[depth], operator.diffusion
        if depth == 0:
            groups = (level, operator.masses, operator.maps, diffusion)
            self._backend.launch(f"{operation}_finest", *groups, **operator.cells, **given)
        else:
            self._backend.launch(f"{operation}_coarse", level, self._coarse[depth - 1].operator, diffusion, **given)


def colours(shape: tuple[int, int, int], periodic: int) -> int:
    """Colours of a sweep: two, or three where an odd axis of more than one voxel is periodic."""
    odd = (n > 1 and n % 2 == 1 and bool(periodic & bit) for n, bit in zip(shape, PERIODIC, strict=True))
    return 3 if any(odd) else 2
