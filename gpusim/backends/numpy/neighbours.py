"""NumPy twin of kernels/neighbours.cu."""

import numpy as np

from gpusim.model.tables import members as membership


def count_neighbours(
    own: np.ndarray, other: np.ndarray, states: np.ndarray, reach: int, members: np.ndarray, counts: np.ndarray
) -> None:
    """Cells of either layer that are in a set, among the nearest voxels, into `counts`; see backends/base.py."""
    wanted = membership(states)
    np.add(wanted[own], wanted[other], out=members)
    counts[...] = 0
    steps = [(dz, dy, dx) for dz in (-1, 0, 1) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    for step in steps:
        if 0 < sum(d * d for d in step) <= reach:
            here = tuple(slice(max(-d, 0), n - max(d, 0)) for d, n in zip(step, own.shape, strict=True))
            there = tuple(slice(max(d, 0), n - max(-d, 0)) for d, n in zip(step, own.shape, strict=True))
            counts[here] += members[there]
