"""Multigrid cycles with a fixed recipe: the same operations, in the same order, for any input."""

from dataclasses import dataclass

import numpy as np

from gpusim.backends.base import Array, Backend, Coupling, MassByCells

SWEEPS_BEFORE = 1
SWEEPS_AFTER = 1


def level_shapes(shape: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """Shapes from the finest level to a single voxel; an axis of 2n or 2n - 1 voxels becomes one of n."""
    shapes = [shape]
    while shapes[-1] != (1, 1, 1):
        nz, ny, nx = shapes[-1]
        shapes.append(((nz + 1) // 2, (ny + 1) // 2, (nx + 1) // 2))
    return shapes


def memory(fields: int, shape: tuple[int, int, int]) -> int:
    """Bytes of the coarse levels: three float32 arrays on each."""
    return 12 * fields * sum(nz * ny * nx for nz, ny, nx in level_shapes(shape)[1:])


def last_widths(shapes: list[tuple[int, int, int]]) -> list[tuple[float, float, float]]:
    """Width of the last voxel along z, y, x on each level, against the others of that level.

    The last coarse voxel of an even axis is (1 + w) / 2 wide, that of an odd one w / 2, where w is the
    width of the last fine voxel. All are sums of powers of two, exact in float32.
    """
    widths = [(1.0, 1.0, 1.0)]
    for shape in shapes[:-1]:
        z, y, x = (
            w if n == 1 else (1 + w) / 2 if n % 2 == 0 else w / 2 for n, w in zip(shape, widths[-1], strict=True)
        )
        widths.append((z, y, x))
    return widths


@dataclass
class _Level:
    """A coarse level: correction, right-hand side and mass, float32 [F, z, y, x]."""

    correction: Array
    rhs: Array
    mass: Array


class Multigrid:
    """The coarse levels for all fields of a lattice."""

    def __init__(self, fields: int, shape: tuple[int, int, int], backend: Backend) -> None:
        self._backend = backend
        self._shapes = level_shapes(shape)
        self._widths = last_widths(self._shapes)
        self._levels = [
            _Level(*(backend.array(np.zeros((fields, *coarse), np.float32)) for _ in range(3)))
            for coarse in self._shapes[1:]
        ]

    def solve(self, c: Array, rhs: Array, mass: MassByCells, active: Array, coupling: Array, cycles: int) -> None:
        """Improve `c` by V-cycles towards mass * c - coupling * sum of differences = rhs.

        `c`, `rhs`: float32 [F, z, y, x]; `coupling`: float32 [F]; `active`: int32, fields to solve.
        """
        finer: MassByCells | Array = mass
        for depth, level in enumerate(self._levels):
            self._backend.restrict_mass(finer, level.mass, active, self._coupling(coupling, depth))
            finer = level.mass
        for _ in range(cycles):
            self._cycle(0, c, rhs, mass, active, coupling)

    def relax(self, c: Array, rhs: Array, mass: MassByCells, active: Array, coupling: Array, sweeps: int) -> None:
        """Improve `c` by sweeps on the finest level alone: enough where the coupling is weak."""
        self._sweep(sweeps, c, rhs, mass, active, self._coupling(coupling, 0))

    def _cycle(
        self, depth: int, c: Array, rhs: Array, mass: MassByCells | Array, active: Array, by_field: Array
    ) -> None:
        backend = self._backend
        coupling = self._coupling(by_field, depth)
        if depth == len(self._levels):  # one voxel: the first sweep is exact
            backend.smooth(c, rhs, mass, active, coupling, 0)
            return
        self._sweep(SWEEPS_BEFORE, c, rhs, mass, active, coupling)
        coarse = self._levels[depth]
        backend.restrict(c, rhs, mass, coarse.correction, coarse.rhs, active, coupling)
        self._cycle(depth + 1, coarse.correction, coarse.rhs, coarse.mass, active, by_field)
        backend.prolong(c, coarse.correction, active, floor_at_zero=depth == 0)
        self._sweep(SWEEPS_AFTER, c, rhs, mass, active, coupling)

    def _coupling(self, by_field: Array, depth: int) -> Coupling:
        return Coupling(by_field, 0.25**depth, self._widths[depth])

    def _sweep(
        self, count: int, c: Array, rhs: Array, mass: MassByCells | Array, active: Array, coupling: Coupling
    ) -> None:
        for _ in range(count):
            for colour in (0, 1):
                self._backend.smooth(c, rhs, mass, active, coupling, colour)
