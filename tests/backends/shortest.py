"""Room by Dijkstra's method, which no kernel uses."""

import itertools

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from gpusim.model.tables import RIGID

STEPS = [step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)]


def shortest(start, periodic, most):
    """Least sum of a voxel's room by itself and of steps over faces, edges and corners to it, `most` at most.

    `start`: int [z, y, x], of each voxel by itself; no step leads across an edge or a corner of a rigid one.
    `periodic`: of the axes z, y, x.
    """
    shape, count = np.array(start.shape), start.size
    edges = {}
    for place in np.ndindex(*start.shape):
        for step in STEPS:

            def at(part, place=place):
                there = np.array(place) + part
                there = np.where(periodic, there % shape, there)
                return tuple(there) if ((there >= 0) & (there < shape)).all() else None

            parts = itertools.product(*((0, d) if d else (0,) for d in step))
            passed = [at(part) for part in parts]
            if all(p is not None and start[p] != RIGID for p in passed):
                edge = tuple(np.ravel_multi_index(p, start.shape) for p in (place, at(step)))
                length = (10, 14, 17)[sum(map(abs, step)) - 1]
                edges[edge] = min(length, edges.get(edge, length))
    by_itself = start.reshape(-1)
    for source in np.flatnonzero(by_itself < most):  # from a node that stands for all voxels that ways lead to
        edges[count, source] = by_itself[source] + 1
    rows, columns = zip(*edges, strict=True) if edges else ((), ())
    graph = coo_array((list(edges.values()), (rows, columns)), (count + 1, count + 1)).tocsr()
    found = dijkstra(graph, indices=count)[:count].reshape(start.shape) - 1
    return np.where(start == RIGID, RIGID, np.minimum(found, most)).astype(np.uint8)
