"""NumPy twin of kernels/transport.cu: the same operations in the same order."""

import numpy as np

from gpusim.backends.base import ExplicitTables
from gpusim.backends.numpy.slabs import slabs
from gpusim.backends.numpy.stencil import by_cells, difference_sum


def explicit_step(
    source: np.ndarray,
    target: np.ndarray,
    tissue: np.ndarray,
    immune: np.ndarray,
    active: np.ndarray,
    tables: ExplicitTables,
) -> None:
    """One substep of the fields in `active` from `source` to `target` (float32 [F, z, y, x])."""
    shape: tuple[int, int, int] = tissue.shape
    planes = max(end - first for first, end in slabs(shape))
    scratch = np.empty((2, planes + 1, *shape[1:]), np.float32)
    for first, end in slabs(shape):
        cells = (tissue[first:end], immune[first:end])
        for field in active:
            slab, c = target[field, first:end], source[field]
            total = difference_sum(c, first, end, slab, scratch)
            np.multiply(total, tables.courant[field], out=total)
            np.add(c[first:end], total, out=slab)
            by = tables.exchange_by[field]
            np.multiply(slab, by_cells(tables.keep[field], by, *cells, out=scratch[0]), out=slab)
            np.add(slab, by_cells(tables.gain[field], by, *cells, out=scratch[0]), out=slab)
