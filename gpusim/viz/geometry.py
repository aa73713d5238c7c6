"""Shapes from voxels: surfaces, vessel tubes, cut faces. Lengths in um, arrays [z, y, x]."""

from collections.abc import Callable

import numpy as np
import pyvista as pv
from scipy import ndimage, sparse, spatial
from skimage.morphology import skeletonize
from vtkmodules.vtkFiltersFlowPaths import vtkStreamTracer

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


def streamlines(velocity: np.ndarray, spacing: float, apart: float) -> pv.PolyData:
    """Lines along a velocity, [3, z, y, x] with the components along x, y, z, about evenly spaced; with array "speed".

    Lines begin where the fluid is fastest, and run both ways until it rests, they leave the voxel centres, or they come
    to a block of edge `apart` that an earlier line crosses.
    """
    whole = np.pad(velocity, [(0, 0), *((0, int(n == 1)) for n in velocity.shape[1:])], mode="edge")
    speed = np.sqrt((whole.astype(float) ** 2).sum(axis=0))
    top = float(speed.max())
    if top == 0:
        return pv.PolyData()
    grid = grid_of(speed, spacing, "speed")
    grid.point_data["velocity"] = np.ascontiguousarray(np.moveaxis(whole, 0, -1)).reshape(-1, 3)
    stride = max(round(apart / spacing), 1)
    starts = np.stack(np.meshgrid(*(np.arange(min(stride // 2, n - 1), n, stride) for n in speed.shape), indexing="ij"))
    starts = starts.reshape(3, -1).T
    fast = speed[tuple(starts.T)]
    starts = starts[np.argsort(-fast, kind="stable")][: int((fast > _AT_REST * top).sum())]
    trace = _tracer(grid, top)
    crossed = np.zeros([int(length // apart) + 1 for length in np.multiply(speed.shape[::-1], spacing)], bool)
    paths: list[np.ndarray] = []
    for start in starts:
        place = (start[::-1] + 0.5) * spacing
        if crossed[_blocks(place, apart)]:
            continue
        forward, backward = (_free(trace(place, way), apart, crossed) for way in (_FORWARD, _BACKWARD))
        path = np.concatenate([backward[:0:-1], forward])
        if len(path) > 1 and np.linalg.norm(np.diff(path, axis=0), axis=1).sum() > apart / 2:
            paths.append(path)
            crossed[_blocks(path, apart)] = True
    return _joined(paths, grid)


_AT_REST = 0.01
"""Share of the highest speed; lines neither begin nor go on where the fluid is slower."""
_STEP = 0.5
"""Voxels."""
_FORWARD, _BACKWARD = vtkStreamTracer.FORWARD, vtkStreamTracer.BACKWARD


def _tracer(grid: pv.ImageData, top: float) -> Callable[[np.ndarray, int], np.ndarray]:
    """What gives the points of the line from a place along the velocity of a grid, or against it."""
    tracer = vtkStreamTracer()
    tracer.SetInputData(grid)
    tracer.SetInputArrayToProcess(0, 0, 0, 0, "velocity")
    tracer.SetIntegratorTypeToRungeKutta4()
    tracer.SetIntegrationStepUnit(vtkStreamTracer.CELL_LENGTH_UNIT)
    tracer.SetInitialIntegrationStep(_STEP)
    # Enough to cross the grid; around a voxel that drains the fluid, a line would go on for ever.
    tracer.SetMaximumNumberOfSteps(round(sum(grid.dimensions) / _STEP))
    tracer.SetMaximumPropagation(sum(grid.dimensions) * grid.spacing[0])
    tracer.SetTerminalSpeed(_AT_REST * top)
    tracer.SetComputeVorticity(False)

    def trace(place: np.ndarray, way: int) -> np.ndarray:
        tracer.SetStartPosition(*place)
        tracer.SetIntegrationDirection(way)
        tracer.Update()
        found = pv.wrap(tracer.GetOutput())
        # None where it leaves the grid at once.
        return np.array(found.points[found.get_cell(0).point_ids]) if found.n_cells else place[None]

    return trace


def _blocks(places: np.ndarray, edge: float) -> tuple[np.ndarray, ...]:
    """Indices along x, y, z of the blocks of places [..., 3]."""
    return tuple((places // edge).astype(int).T)


def _free(path: np.ndarray, edge: float, crossed: np.ndarray) -> np.ndarray:
    """A path up to the first block that is crossed: bool [x, y, z]."""
    there = crossed[_blocks(path, edge)]
    return path[: int(there.argmax()) if there.any() else len(path)]


def _joined(paths: list[np.ndarray], grid: pv.ImageData) -> pv.PolyData:
    """Lines through the points of paths, with the speed there."""
    if not paths:
        return pv.PolyData()
    ends = np.cumsum([0, *map(len, paths)])
    lines = [
        np.concatenate([[len(path)], np.arange(first, first + len(path))])
        for first, path in zip(ends, paths, strict=False)
    ]
    found = pv.PolyData(np.concatenate(paths), lines=np.concatenate(lines)).sample(grid)
    found.point_data["speed"] = np.linalg.norm(found.point_data["velocity"], axis=1)
    return found


def arrows(lines: pv.PolyData, length: float) -> pv.PolyData:
    """A cone in the middle of each line, in its direction, with array "speed"."""
    cones = []
    for line in (lines.get_cell(i) for i in range(lines.n_cells)):
        points = line.points
        along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
        if along[-1] < 2 * length:
            continue
        i = min(max(int(np.searchsorted(along, along[-1] / 2)), 1), len(points) - 1)
        cone = pv.Cone(center=points[i], direction=points[i] - points[i - 1], height=length, radius=0.4 * length)
        cone.cell_data["speed"] = np.full(cone.n_cells, lines.point_data["speed"][line.point_ids[i]])
        cones.append(cone.triangulate())
    return pv.merge(cones) if cones else pv.PolyData()


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
