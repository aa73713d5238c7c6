"""What is counted in some planes."""

import numpy as np


def counted_here(voxels: np.ndarray, planes: tuple[int, int], shape: tuple[int, ...]) -> np.ndarray:
    """Whether flat indices lie in the planes from first to end, bool."""
    _, ny, nx = shape
    found: np.ndarray = (voxels >= planes[0] * ny * nx) & (voxels < planes[1] * ny * nx)
    return found


def count(
    counts: np.ndarray, rows: np.ndarray, voxels: np.ndarray, planes: tuple[int, int], shape: tuple[int, ...]
) -> None:
    """Add 1 to the row of each voxel, a flat index, in the planes from first to end."""
    counted = counted_here(voxels, planes, shape)
    np.add.at(counts, rows[counted].astype(np.int64), np.uint64(1))
