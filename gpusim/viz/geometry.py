"""Shapes from voxels: surfaces, vessel tubes, cut faces. Lengths in um, arrays [z, y, x]."""

import numpy as np
import pyvista as pv
from scipy import ndimage, sparse, spatial
from skimage.morphology import skeletonize

from gpusim.analysis.regions import box_of

LEVEL = 0.45
"""Of the density: just below a half, for a convex body loses some volume to the smoothing."""


def grid_of(values: np.ndarray, spacing: float, name: str) -> pv.ImageData:
    """An image whose points are the voxel centres."""
    nz, ny, nx = values.shape
    grid = pv.ImageData(dimensions=(nx, ny, nz), spacing=(spacing,) * 3, origin=(spacing / 2,) * 3)
    grid.point_data[name] = np.ascontiguousarray(values).reshape(-1)
    return grid


def surface(density: np.ndarray, spacing: float, level: float = LEVEL) -> pv.PolyData:
    """The surface where a density passes a level, closed at the faces of the grid."""
    # Only the box that holds it: contouring looks at every voxel.
    box = box_of(density >= level)
    if box is None:
        return pv.PolyData()
    box = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
    padded = np.pad(density[box], 1)
    offset = [spacing * (axis.start - 1) for axis in box[::-1]]
    grid = grid_of(padded, spacing, "density").translate(offset, inplace=False)
    return grid.contour([level], scalars="density", method="flying_edges")


def rounded(density: np.ndarray, spacing: float, level: float = LEVEL) -> pv.PolyData:
    """A surface without the steps of the voxels; it moves by less than a fifth of a voxel."""
    found = surface(density, spacing, level)
    return found.smooth_taubin(n_iter=30, pass_band=0.08) if found.n_points else found


def tubes(mask: np.ndarray, spacing: float, sides: int = 10) -> pv.PolyData:
    """Tubes along the middle lines of a mask, as thick as the mask is there."""
    if not mask.any():
        return pv.PolyData()
    line = skeletonize(mask)
    points = np.argwhere(line)
    # Distances to the outside of these few points alone; the nearest outside is beside the mask.
    padded = np.pad(mask, 1)
    beside = np.argwhere(ndimage.binary_dilation(padded) & ~padded) - 1
    thickness, _ = spatial.KDTree(beside).query(points)
    edges = _edges(line)
    if not len(edges):
        return pv.PolyData()
    lines = pv.PolyData((points[:, ::-1] + 0.5) * spacing)
    # A line of one voxel has a distance of 1 to the outside, half of which is its own.
    lines.point_data["radius"] = ((thickness - 0.5) * spacing).astype(np.float32)
    lines.lines = np.column_stack([np.full(len(edges), 2), edges]).ravel()
    paths = lines.strip(join=True, max_length=100_000)
    paths = paths.smooth(n_iter=60, relaxation_factor=0.2, feature_smoothing=False)
    return paths.tube(scalars="radius", absolute=True, n_sides=sides, capping=True)


def _edges(line: np.ndarray) -> np.ndarray:
    """Pairs of touching voxels of a line: int [pairs, 2], numbers in the order of `np.argwhere`.

    A diagonal is left out where two shorter steps lead to the same voxel.
    """
    number = np.full(np.array(line.shape) + 2, -1, np.int32)
    number[1:-1, 1:-1, 1:-1][line] = np.arange(line.sum())
    here = number[1:-1, 1:-1, 1:-1]
    count = int(line.sum())
    shorter = sparse.csr_array((count, count), dtype=np.int32)
    found = []
    for length in (1, 2, 3):
        steps = [s for s in np.ndindex(3, 3, 3) if s > (1, 1, 1) and sum(abs(i - 1) for i in s) == length]
        pairs = []
        for step in steps:
            there = number[tuple(slice(i, i + n) for i, n in zip(step, line.shape, strict=True))]
            both = (here >= 0) & (there >= 0)
            pairs.append(np.column_stack([here[both], there[both]]))
        every = np.concatenate(pairs)
        reached = (shorter @ shorter).tocsr()
        if reached.nnz and len(every):
            every = every[np.asarray(reached[every[:, 0], every[:, 1]]).ravel() == 0]
        found.append(every)
        both_ways = np.concatenate([every, every[:, ::-1]])
        ones = np.ones(len(both_ways), np.int32)
        shorter = shorter + sparse.csr_array((ones, (both_ways[:, 0], both_ways[:, 1])), shape=(count, count))
    return np.concatenate(found)
