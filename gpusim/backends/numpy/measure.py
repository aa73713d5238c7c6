"""NumPy twin of kernels/measure.cu."""

import numpy as np

from gpusim.backends.numpy.slabs import slabs
from gpusim.scenario.limits import LARGEST

_RUNAWAY = np.float32(LARGEST)


def sum_fields(fields: np.ndarray, whole: np.ndarray, fraction: np.ndarray, fault: np.ndarray, replicate: int) -> None:
    """Add up the voxels of float32 [F, z, y, x]."""
    count, nz, ny, nx = fields.shape
    for field in range(count):
        for first, end in slabs((nz, ny, nx)):
            values = fields[field, first:end].reshape(-1)
            good = (values >= 0) & (values < _RUNAWAY)
            if not good.all():
                bad = first * ny * nx + int(np.argmin(good))
                fault[field] = min(int(fault[field]), bad)
                values = values[good]
            unit = np.floor(values)
            whole[field] += unit.astype(np.uint64).sum(dtype=np.uint64)
            parts = ((values - unit) * np.float32(2**32)).astype(np.uint64)
            fraction[field] += parts.sum(dtype=np.uint64)


def note_tally(
    fired: np.ndarray,
    barred: np.ndarray,
    taken: np.ndarray,
    left: np.ndarray,
    flowed: np.ndarray,
    carried: np.ndarray,
    values: np.ndarray,
    noted: np.ndarray,
    noted_values: np.ndarray,
) -> None:
    """Copy what has been counted (uint64), in one array, and what the body holds (float64 [quantities])."""
    noted[:] = np.concatenate([each.reshape(-1) for each in (fired, barred, taken, left, flowed, carried)])
    noted_values[:] = values
