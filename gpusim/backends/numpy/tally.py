"""What is counted in some planes."""

import numpy as np


def count(
    counts: np.ndarray, rows: np.ndarray, voxels: np.ndarray, planes: tuple[int, int], shape: tuple[int, ...]
) -> None:
    """Add 1 to the row of each voxel, a flat index, in the planes from first to end."""
    _, ny, nx = shape
    first, end = planes
    counted = (voxels >= first * ny * nx) & (voxels < end * ny * nx)
    np.add.at(counts, rows[counted].astype(np.int64), np.uint64(1))
