"""NumPy twin of kernels/measure.cu."""

import numpy as np

from gpusim.backends.base import FieldSums
from gpusim.backends.numpy.slabs import slabs

_RUNAWAY = np.float32(1e15)


def sum_fields(fields: np.ndarray) -> FieldSums:
    """Exact sums over voxels of float32 [F, z, y, x]."""
    count, nz, ny, nx = fields.shape
    sums = FieldSums(np.zeros(count, np.uint64), np.zeros(count, np.uint64), np.full(count, 2**64 - 1, np.uint64))
    for field in range(count):
        for first, end in slabs((nz, ny, nx)):
            values = fields[field, first:end].reshape(-1)
            good = (values >= 0) & (values < _RUNAWAY)
            if not good.all():
                bad = first * ny * nx + int(np.argmin(good))
                sums.fault[field] = min(int(sums.fault[field]), bad)
                values = values[good]
            unit = np.floor(values)
            sums.whole[field] += unit.astype(np.uint64).sum(dtype=np.uint64)
            parts = ((values - unit) * np.float32(2**32)).astype(np.uint64)
            sums.fraction[field] += parts.sum(dtype=np.uint64)
    return sums
