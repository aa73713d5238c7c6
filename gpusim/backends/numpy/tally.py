"""What is counted in the planes that a tally covers."""

import numpy as np

from gpusim.backends.base import Tally


def count(counts: np.ndarray, rows: np.ndarray, voxels: np.ndarray, tally: Tally, shape: tuple[int, ...]) -> None:
    """Add 1 to the row of each voxel, a flat index, that is counted."""
    nz, ny, nx = shape
    first, end = tally.planes or (0, nz)
    counted = (voxels >= first * ny * nx) & (voxels < end * ny * nx)
    np.add.at(counts, rows[counted].astype(np.int64), np.uint64(1))
