"""The outline of the tissue of an image or a table of cells, found from its cells or given as a polygon.

Only + - * / and sqrt, so that every machine builds the same.
"""

import math

import numpy as np
from scipy import ndimage

from gpusim import units
from gpusim.scenario.schema import Outline


def within(spec: Outline, cells: np.ndarray, spacing: float, corner: tuple[float, ...]) -> np.ndarray:
    """Voxels of the tissue, bool [z, y, x].

    Args:
        cells: voxels with a cell, bool [z, y, x]. corner: of the grid in the coordinates of the table, um, x, y, ...
    """
    if spec.polygon is not None:
        corners = np.array([[units.number(each, "um") for each in point] for point in spec.polygon])
        plane = in_polygon((corners - corner[:2]) / spacing, (cells.shape[1], cells.shape[2]))
        return np.broadcast_to(plane, cells.shape)
    assert spec.radius is not None, "checked on loading"
    radius = units.number(spec.radius, "um") / spacing
    # A section repeated as a slab is closed as the section that it is: its faces are no outline.
    repeated = bool((cells == cells[:1]).all())
    return np.broadcast_to(closed(cells[0] if repeated else cells, radius), cells.shape)


def closed(mask: np.ndarray, radius: float) -> np.ndarray:
    """The closing of a mask by a ball, radius in voxels: bool, of the same shape."""
    padded = np.pad(mask, math.ceil(radius) + 1)
    if not padded.any():
        return mask
    grown = ndimage.distance_transform_edt(~padded) <= radius
    inside = ndimage.distance_transform_edt(grown) > radius
    found: np.ndarray = inside[tuple(slice(math.ceil(radius) + 1, -math.ceil(radius) - 1) for _ in mask.shape)]
    return found | mask


def in_polygon(corners: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Pixels with their centres in a polygon, by the even-odd rule: bool [y, x].

    Args:
        corners: float64 [corners, 2], x and y in pixels.
    """
    y, x = np.arange(shape[0])[:, None] + 0.5, np.arange(shape[1])[None, :] + 0.5
    inside = np.zeros(shape, bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != y1:
            crosses = (y0 > y) != (y1 > y)
            inside ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside
