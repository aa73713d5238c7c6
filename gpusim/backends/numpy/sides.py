"""What is beyond the sides of a lattice, for NumPy twins."""

import numpy as np

from gpusim.model.tables import PERIODIC, Boundary


def periodic(boundary: int) -> tuple[bool, bool, bool]:
    """Whether the axes z, y, x are periodic, by the bits of a boundary."""
    z, y, x = (bool(boundary & bit) for bit in PERIODIC)
    return z, y, x


def is_open(boundary: int, axis: int, end: int) -> bool:
    """Whether the low (0) or high (1) end of an axis is open."""
    return bool(boundary & Boundary.FIRST_OPEN << (2 * axis + end))


def padded(values: np.ndarray, boundary: int, *, beyond: int, closed: int) -> np.ndarray:
    """An array [z, y, x] with one more voxel at each side: the far end of a periodic axis, or a number.

    Beyond an edge of the lattice, one closed side is enough to close it.
    """
    around = values
    for axis, wraps in enumerate(periodic(boundary)):
        width = [(int(a == axis),) * 2 for a in range(3)]
        if wraps:
            around = np.pad(around, width, "wrap")
            continue
        around = np.pad(around, width, constant_values=closed)
        for end in (0, 1):
            if is_open(boundary, axis, end):
                outside = around[tuple(slice(None) if a != axis else -end for a in range(3))]
                outside[...] = beyond
    for axis, wraps in enumerate(periodic(boundary)):
        for end in (0, 1):
            if not wraps and not is_open(boundary, axis, end):
                around[tuple(slice(None) if a != axis else -end for a in range(3))] = closed
    return around


def part(around: np.ndarray, step: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    """Of a padded array, what is a step away from each voxel."""
    return around[tuple(slice(1 + d, 1 + d + n) for d, n in zip(step, shape, strict=True))]


def at_open_side(shape: tuple[int, ...], boundary: int) -> np.ndarray:
    """bool [z, y, x]: voxels beside an open side of the lattice."""
    found = np.zeros(shape, bool)
    for axis in range(3):
        for end in (0, 1):
            if is_open(boundary, axis, end):
                found[tuple(slice(None) if a != axis else -end for a in range(3))] = True
    return found
