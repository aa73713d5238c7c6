"""NumPy twin of kernels/neighbours.cu."""

import itertools

import numpy as np

from gpusim.backends.numpy.sides import padded, part
from gpusim.model.tables import members as membership


def count_neighbours(
    own: np.ndarray,
    other: np.ndarray,
    states: np.ndarray,
    reach: int,
    members: np.ndarray,
    counts: np.ndarray,
    boundary: int,
    beyond: int,
) -> None:
    """Cells of either layer that are in a set, among the nearest voxels, into `counts`; see backends/base.py."""
    wanted = membership(states)
    np.add(wanted[own], wanted[other], out=members)
    around = padded(members, boundary, beyond=beyond, closed=0)
    counts[...] = 0
    for step in itertools.product((-1, 0, 1), repeat=3):
        if 0 < sum(d * d for d in step) <= reach:
            counts += part(around, step, own.shape)
