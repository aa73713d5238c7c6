"""NumPy twin of kernels/regions.cu: regions that have label 0 somewhere grow from there, others keep their numbers."""

import itertools
from collections.abc import Iterable

import numpy as np

from gpusim.backends.numpy.sides import padded, part
from gpusim.model.tables import NO_REGION, PERIODIC

AROUND = tuple(itertools.product((-1, 0, 1), repeat=3))
"""Steps to a voxel and those around it."""
_FACES = ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))


def join_regions(labels: np.ndarray, boundary: int, corners: int) -> None:
    """Label with 0 what is joined to a voxel with this label, over faces, or over edges and `corners` too."""
    steps = AROUND if corners else _FACES
    free, found, before = labels != NO_REGION, labels == 0, -1
    while before != (before := int(found.sum())):
        found = found | (any_of(steps, found, boundary) & free)
    labels[found] = 0


def settle_regions(labels: np.ndarray) -> None:
    """Nothing is left to do where regions have grown."""


def any_of(steps: Iterable[tuple[int, ...]], found: np.ndarray, boundary: int) -> np.ndarray:
    """bool [z, y, x]: voxels from which one of the steps leads to a voxel that is found."""
    around = padded(found, boundary & sum(PERIODIC), beyond=False, closed=False)
    return np.any([part(around, step, found.shape) for step in steps], axis=0)
