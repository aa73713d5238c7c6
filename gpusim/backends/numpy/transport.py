"""NumPy twin of kernels/transport.cu: the same operations in the same order."""

import numpy as np

from gpusim.backends.base import ExplicitTables
from gpusim.backends.numpy.slabs import slabs
from gpusim.model.tables import ExchangeBy


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
        for field in active:
            slab = target[field, first:end]
            _diffuse(source[field], slab, first, end, tables.courant[field], scratch)
            _exchange(slab, tissue[first:end], immune[first:end], int(field), tables, scratch[0, : end - first])


def _diffuse(c: np.ndarray, out: np.ndarray, first: int, end: int, courant: np.float32, scratch: np.ndarray) -> None:
    """out = c + courant * (sum of differences to the six neighbours), for planes first to end."""
    here = c[first:end]
    total, axis_sum = scratch[0, : end - first], out
    _differences(here, total, scratch[1, : end - first], 2)
    _differences(here, axis_sum, scratch[1, : end - first], 1)
    np.add(total, axis_sum, out=total)
    # Steps between planes, those to the neighbouring slabs included; outside, the difference is 0.
    low, high = max(first - 1, 0), min(end + 1, c.shape[0])
    step = np.subtract(c[low + 1 : high], c[low : high - 1], out=scratch[1, : high - low - 1])
    to_above = step[first - low :]
    to_below = step[: end - 1 - low]
    axis_sum[...] = 0.0
    axis_sum[first == 0 :] -= to_below
    axis_sum[: len(to_above)] += to_above
    np.add(total, axis_sum, out=total)
    np.multiply(total, courant, out=total)
    np.add(here, total, out=out)


def _differences(c: np.ndarray, out: np.ndarray, step: np.ndarray, axis: int) -> None:
    """out = (lower neighbour - c) + (upper neighbour - c) along an axis; 0 for one outside."""
    n = c.shape[axis]
    upper, lower = [slice(None)] * 3, [slice(None)] * 3
    upper[axis], lower[axis] = slice(1, n), slice(0, n - 1)
    step = step[tuple(lower)]
    np.subtract(c[tuple(upper)], c[tuple(lower)], out=step)
    out[...] = 0.0
    out[tuple(upper)] -= step
    out[tuple(lower)] += step


def _exchange(
    slab: np.ndarray,
    tissue: np.ndarray,
    immune: np.ndarray,
    field: int,
    tables: ExplicitTables,
    scratch: np.ndarray,
) -> None:
    """slab = slab * keep + gain, by the states of the cells there."""
    keep, gain = tables.keep[field], tables.gain[field]
    tissue_states, immune_states = keep.shape
    if tables.exchange_by[field] == ExchangeBy.UNIFORM:
        np.multiply(slab, keep[0, 0], out=slab)
        np.add(slab, gain[0, 0], out=slab)
        return
    index = tissue.astype(np.intp) * immune_states
    if tables.exchange_by[field] == ExchangeBy.TISSUE_AND_IMMUNE:
        index += immune
        index -= tissue_states
    np.multiply(slab, np.take(keep.ravel(), index, out=scratch, mode="clip"), out=slab)
    np.add(slab, np.take(gain.ravel(), index, out=scratch, mode="clip"), out=slab)
