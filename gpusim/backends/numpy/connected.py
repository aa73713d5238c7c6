"""NumPy twin of kernels/connected.cu."""

import numpy as np

from gpusim.backends.numpy.sides import at_open_side
from gpusim.model.tables import NO_REGION, Link


def begin_connections(links: np.ndarray, cells: np.ndarray, labels: np.ndarray, sides: int) -> None:
    """Labels of voxels in some states, uint32 [z, y, x]: 0 at their ends, or else a number each."""
    link = links[cells]
    numbers = np.arange(1, cells.size + 1, dtype=np.uint32).reshape(cells.shape)
    ends = (link == Link.END) | at_open_side(cells.shape, sides)
    labels[...] = np.where(link == Link.APART, np.uint32(NO_REGION), np.where(ends, np.uint32(0), numbers))


def mark_connections(labels: np.ndarray, joined: np.ndarray) -> None:
    """Which voxels are joined to an end: uint8 [z, y, x], 1 or 0."""
    joined[...] = labels == 0
