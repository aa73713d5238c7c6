import numpy as np
import pytest

from gpusim.backends import create
from gpusim.backends.base import MassByCells
from gpusim.engine.transport.multigrid import Multigrid, last_widths, level_shapes

SHAPES = [(32, 32, 32), (31, 33, 17), (65, 9, 17), (5, 50, 50), (1, 64, 63), (1, 1, 100), (2, 3, 4)]


def system(shape, sink, backend):
    """A ball of sinks, 2% of strong ones, and a rough right-hand side."""
    rng = np.random.default_rng(0)
    z, y, x = np.indices(shape)
    ball = sum((i - n / 2) ** 2 for i, n in zip((z, y, x), shape, strict=True)) < (max(shape) / 3) ** 2
    tissue = np.where(rng.random(shape) < 0.02, 1, np.where(ball, 2, 0)).astype(np.uint8)
    table = np.array([[[1.1], [1 + sink], [11.0]]], np.float32)
    mass = MassByCells(*map(backend.array, (tissue, np.full(shape, 3, np.uint8), table, np.array([1], np.int32))))
    return mass, table[0, :, 0][tissue].astype(float), rng.random((1, *shape)).astype(np.float32)


@pytest.mark.parametrize("coupling", [0.1, 5.0, 250.0])
@pytest.mark.parametrize("sink", [5.0, 1e4])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_cycle_takes_the_error_to_a_third_or_less(one_backend_each, shape, sink, coupling):
    backend = create(*one_backend_each)
    mass, _, rhs = system(shape, sink, backend)
    active, couplings = backend.array(np.zeros(1, np.int32)), backend.array(np.array([coupling], np.float32))
    multigrid, right = Multigrid(1, shape, backend), backend.array(rhs)

    def solved(cycles):
        c = backend.array(np.zeros_like(rhs))
        multigrid.solve(c, right, mass, active, couplings, cycles)
        return backend.to_numpy(c).astype(float)

    exact = solved(20)
    start, end = np.abs(exact).max(), np.abs(solved(4) - exact).max()
    backend.close()
    assert (end / start) ** (1 / 4) < 1 / 3


def test_the_solution_is_that_of_the_equations():
    from scipy.sparse import coo_matrix, diags
    from scipy.sparse.linalg import spsolve

    shape, a = (5, 7, 6), 3.0
    backend = create("numpy")
    mass, diagonal, rhs = system(shape, 5.0, backend)
    number = np.arange(np.prod(shape)).reshape(shape)
    pairs = np.concatenate(
        [
            np.stack([np.take(number, range(n - 1), k).ravel(), np.take(number, range(1, n), k).ravel()])
            for k, n in enumerate(shape)
        ],
        axis=1,
    )
    links = coo_matrix((np.full(pairs.shape[1], a), pairs), (number.size, number.size))
    links = links + links.T
    matrix = diags(diagonal.ravel() + np.asarray(links.sum(axis=1)).ravel()) - links
    expected = spsolve(matrix.tocsc(), rhs.ravel().astype(float)).reshape(shape)
    c = np.zeros_like(rhs)
    Multigrid(1, shape, backend).solve(c, rhs, mass, np.array([0]), np.array([a], np.float32), 15)
    assert c[0] == pytest.approx(expected, rel=1e-5)


def test_levels_end_in_one_voxel_and_widths_add_up_to_the_lattice():
    shapes = level_shapes((1, 100, 37))
    assert shapes[-1] == (1, 1, 1)
    for depth, (shape, widths) in enumerate(zip(shapes, last_widths(shapes), strict=True)):
        for n, w, original in zip(shape[1:], widths[1:], (100, 37), strict=True):
            assert n == 1 or (n - 1 + w) * 2**depth == original
