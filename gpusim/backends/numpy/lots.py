"""NumPy twin of kernels/lots.cuh."""

import numpy as np

from gpusim.backends.numpy.random import Draw, voxel_random
from gpusim.model.tables import PURPOSES

_LOW = np.uint64(0xFFFFFFFF)
_ALONG_A_ROW = np.uint64(0xC13FA9A9)
_BY_STEP = 0x9E3779B9, 0x91E10DA5
"""For even and for odd passes."""


def voxel_lots(voxels: np.ndarray, number: int, draw: Draw) -> tuple[np.ndarray, ...]:
    """Four lots (uint64, below 2^32) of each voxel, by number, which go on from step to step by the golden section."""
    words = voxel_random(voxels, Draw(draw.seed, 0, draw.purpose + PURPOSES * number, draw.origin))
    shift = np.uint64((draw.step * _BY_STEP[0]) & 0xFFFFFFFF)
    return tuple((word + shift) & _LOW for word in words)


def sum_by_lot(c: np.ndarray, change: np.ndarray, lots: np.ndarray) -> np.ndarray:
    """c + change; where that lies between two floats, one of them by lot (uint64, below 2^32): the mean is the sum."""
    total = c + change
    back = total - c
    missing = (c - (total - back)) + (change - back)
    between = (total > 0) & ((missing > 0) | (missing < 0))
    low, short = total[between], missing[between]
    other = np.nextafter(low, np.where(short > 0, np.float32(np.inf), np.float32(-np.inf)))
    goes = lots[between].astype(np.float32) * np.abs(other - low) < np.abs(short) * np.float32(2.0**32)
    total[between] = np.where(goes, other, low)
    found: np.ndarray = total
    return found


def row_lots(first: int, end: int, shape: tuple[int, int, int], number: int, step: int, draw: Draw) -> np.ndarray:
    """Lots of the voxels of planes first to end in pass `number` of a step: uint64 [planes, y, x], below 2^32."""
    _, ny, nx = shape
    words = voxel_random(np.arange(first * ny, end * ny) * nx, draw)[0]
    words = words + np.uint64((step * _BY_STEP[number & 1]) & 0xFFFFFFFF)
    lots: np.ndarray = (words[:, None] + np.arange(nx, dtype=np.uint64) * _ALONG_A_ROW) & _LOW
    return lots.reshape(end - first, ny, nx)
