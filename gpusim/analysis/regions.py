"""Regions of a lattice from masks of voxels: closed, filled, smoothed; distances from their edge."""

import numpy as np
from scipy import ndimage

SMOOTHING = 1.2
"""Standard deviation of the Gaussian that rounds voxels to a surface, voxels."""


def depth(inside: np.ndarray, spacing: float, within: np.ndarray | None = None) -> np.ndarray:
    """Distance of voxel centres from the edge of a region, um, above 0 inside it: float64, of the region's shape.

    Infinite where there is no edge, as the region is everything or nothing.

    Args:
        within: the tissue, of which the region is a part; its own outline is not an edge. By default, the lattice.
    """
    outside = ~inside if within is None else within & ~inside
    if not outside.any() or not inside.any():
        return np.full(inside.shape, np.inf if inside.any() else -np.inf)
    to_outside = ndimage.distance_transform_edt(~outside, sampling=spacing)
    to_inside = ndimage.distance_transform_edt(~inside, sampling=spacing)
    # Distances are to the nearest centre beyond the edge, which runs half a voxel before it.
    found: np.ndarray = np.where(inside, to_outside - spacing / 2, spacing / 2 - to_inside)
    return found


def closed(mask: np.ndarray) -> np.ndarray:
    """The mask with gaps of up to two voxels filled; what lies at the faces stays."""
    padded = np.pad(mask, 2)
    whole = (slice(2, -2),) * mask.ndim
    found: np.ndarray = ndimage.binary_closing(padded, np.ones((3,) * mask.ndim), iterations=1)[whole]
    return found | mask


def smoothed(mask: np.ndarray, width: float = SMOOTHING) -> np.ndarray:
    """A mask as a smooth density, float32; `width` in voxels."""
    return ndimage.gaussian_filter(mask.astype(np.float32), width, mode="nearest", truncate=3)


def box_of(mask: np.ndarray) -> tuple[slice, ...] | None:
    """The smallest box that holds a mask; None for an empty one."""
    sides = []
    for axis in range(mask.ndim):
        there = np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        if not there.size:
            return None
        sides.append(slice(int(there[0]), int(there[-1]) + 1))
    return tuple(sides)


def body_of(mask: np.ndarray) -> np.ndarray:
    """A mask as a smooth body, with gaps of up to four voxels and what it encloses: float32 [z, y, x], 0 to 1."""
    body = np.zeros(mask.shape, np.float32)
    box = box_of(mask)
    if box is None:
        return body
    wide = tuple(slice(max(side.start - 5, 0), side.stop + 5) for side in box)
    grown = np.pad(mask[wide], 3).view(np.uint8)
    # A closing by a cube, as one pass along each axis.
    grown = ndimage.minimum_filter(ndimage.maximum_filter(grown, 5), 5)[3:-3, 3:-3, 3:-3]
    outside, _ = ndimage.label(grown == 0)
    rims = [
        outside[tuple(side if a == axis else slice(None) for a in range(3))] for axis in range(3) for side in (0, -1)
    ]
    open_air = np.unique(np.concatenate([rim.ravel() for rim in rims]))
    filled = ~np.isin(np.arange(outside.max() + 1), open_air)
    filled[0] = True
    body[wide] = smoothed(filled[outside])
    return body
