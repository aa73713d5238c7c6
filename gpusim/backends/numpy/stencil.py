"""NumPy twin of kernels/stencil.cuh."""

import numpy as np

from gpusim.model.tables import ExchangeBy


def difference_sum(c: np.ndarray, first: int, end: int, spare: np.ndarray, scratch: np.ndarray) -> np.ndarray:
    """Sum over the six faces of (neighbour - c), for planes first to end of `c` [z, y, x].

    The result lies in `scratch` (two of more than end - first planes); `spare` [end - first, y, x] is
    overwritten.
    """
    here = c[first:end]
    total = scratch[0, : end - first]
    _differences(here, total, scratch[1, : end - first], 2)
    _differences(here, spare, scratch[1, : end - first], 1)
    np.add(total, spare, out=total)
    # Steps between planes, those to the planes beside included; outside, the difference is 0.
    low, high = max(first - 1, 0), min(end + 1, c.shape[0])
    step = np.subtract(c[low + 1 : high], c[low : high - 1], out=scratch[1, : high - low - 1])
    to_above = step[first - low :]
    to_below = step[: end - 1 - low]
    spare[...] = 0.0
    spare[int(first == 0) :] -= to_below
    spare[: len(to_above)] += to_above
    return np.add(total, spare, out=total)


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


def by_cells(
    table: np.ndarray, exchange_by: int, tissue: np.ndarray, immune: np.ndarray, out: np.ndarray
) -> np.ndarray | np.float32:
    """Entry of a table [tissue states, immune states] for the cells of each voxel of a slab."""
    tissue_states, immune_states = table.shape
    if exchange_by == ExchangeBy.UNIFORM:
        return table[0, 0]
    index = tissue.astype(np.intp) * immune_states
    if exchange_by == ExchangeBy.TISSUE_AND_IMMUNE:
        index += immune
        index -= tissue_states
    return np.take(table.ravel(), index, out=out[: len(tissue)], mode="clip")
