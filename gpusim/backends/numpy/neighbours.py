"""NumPy twin of kernels/neighbours.cu."""

import itertools

import numpy as np

from gpusim.backends.numpy.sides import padded, part
from gpusim.model.tables import members as membership


def mark_members(cells: np.ndarray, other: np.ndarray, states: np.ndarray, members: np.ndarray) -> None:
    """How many of a voxel's cells are in a set, into `members` (uint8 [z, y, x])."""
    wanted = membership(states)
    np.add(wanted[cells], wanted[other], out=members)


def count_members(members: np.ndarray, counts: np.ndarray, reach: int, boundary: int, beyond: int) -> None:
    """The sum of `members` over the nearest 6, 18 or 26 voxels, into `counts`.

    `reach` is the largest squared distance; `beyond`: what a voxel beyond an open side has.
    """
    around = padded(members, boundary, beyond=beyond, closed=0)
    counts[...] = 0
    for step in itertools.product((-1, 0, 1), repeat=3):
        if 0 < sum(d * d for d in step) <= reach:
            counts += part(around, step, members.shape)
