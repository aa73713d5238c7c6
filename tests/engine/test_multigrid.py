from functools import partial

import numpy as np
import pytest

from gpusim.backends import availability, create
from gpusim.backends.groups import Diffusion, Maps, Masses
from gpusim.engine.transport.multigrid import Finest, Multigrid, Recipe, last_widths, level_shapes

BACKEND = "cpu" if availability("cpu").available else "numpy"
"""What holds on one holds on the other, which has the same bits (tests/backends/test_bits.py)."""
CYCLED = np.array([True])
"""The one field of these tests."""
SHAPES = [(32, 32, 32), (31, 33, 17), (65, 9, 17), (5, 50, 50), (1, 64, 63), (1, 1, 100), (2, 3, 4)]


def system(shape, sink, backend):
    """A ball of sinks, 2% of strong ones, and a rough right-hand side."""
    rng = np.random.default_rng(0)
    z, y, x = np.indices(shape)
    ball = sum((i - n / 2) ** 2 for i, n in zip((z, y, x), shape, strict=True)) < (max(shape) / 3) ** 2
    tissue = np.where(rng.random(shape) < 0.02, 1, np.where(ball, 2, 0)).astype(np.uint8)
    table = np.array([[[1.1], [1 + sink], [11.0]]], np.float32)
    mass = masses(backend, tissue, table, np.array([1], np.int32))
    return mass, table[0, :, 0][tissue].astype(float), rng.random((1, 1, *shape)).astype(np.float32)


def masses(backend, tissue, table, exchange_by):
    """The operator of one field whose rates depend on nothing, but for diffusion."""
    none = np.zeros((0, 1, *tissue.shape), np.float32)
    maps = Maps(*map(backend.array, (np.full(1, -1, np.int32), none, none, none)))
    cells = map(backend.array, (tissue[None], np.full((1, *tissue.shape), 3, np.uint8)))
    return partial(Finest, *cells, Masses(*map(backend.array, (table, exchange_by))), maps)


def diffusion(coupling, backend, boundary=0):
    """One field; `coupling` float [tissue states], harmonic across faces."""
    a, b = np.meshgrid(coupling, coupling)
    faces = np.where(a == b, a, 2 * a * b / np.maximum(a + b, 1e-30))[None]
    tables = (
        faces.astype(np.float32),
        np.array([int(len(set(coupling)) > 1)], np.int32),
        np.array([boundary], np.int32),
        np.zeros((1, 6), np.float32),
        np.zeros((1, 6), np.float32),
    )
    return Diffusion(*map(backend.array, tables))


@pytest.mark.parametrize("coupling", [0.1, 5.0, 250.0])
@pytest.mark.parametrize("sink", [5.0, 1e4])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_cycle_takes_the_error_to_a_third_or_less(shape, sink, coupling):
    backend = create(BACKEND)
    mass, _, rhs = system(shape, sink, backend)
    active, table = backend.array(np.zeros(1, np.int32)), diffusion([coupling] * 3, backend)
    multigrid, right = Multigrid(CYCLED, ~CYCLED, 1, shape, backend), backend.array(rhs)

    def solved(cycles):
        c = backend.array(np.zeros_like(rhs))
        multigrid.solve(c, right, mass(table), active, Recipe(cycles=cycles))
        return backend.to_numpy(c).astype(float)

    exact = solved(20)
    start, end = np.abs(exact).max(), np.abs(solved(4) - exact).max()
    backend.close()
    assert (end / start) ** (1 / 4) < 1 / 3


def contraction(backend, shape, table, tissue, periodic=0):
    """Mean factor by which each of 6 cycles takes the error down, from a rough start."""
    rng = np.random.default_rng(1)
    table_of_mass = np.full((1, 3, 1), 1.1, np.float32)
    mass = masses(backend, tissue, table_of_mass, np.zeros(1, np.int32))
    active, rhs = backend.array(np.zeros(1, np.int32)), backend.array(rng.random((1, 1, *shape)).astype(np.float32))
    varying = bool(backend.to_numpy(table.coupling_by)[0])
    multigrid = Multigrid(CYCLED, np.array([varying]), 1, shape, backend)

    def solved(cycles):
        c = backend.array(np.zeros((1, 1, *shape), np.float32))
        multigrid.solve(c, rhs, mass(table), active, Recipe(cycles=cycles, periodic=periodic, varying=varying))
        return backend.to_numpy(c).astype(float)

    exact = solved(60)
    return (np.abs(solved(6) - exact).max() / np.abs(exact).max()) ** (1 / 6)


def media(shape):
    """Where the hindering state stands: a half, a wall, a ball, scattered voxels."""
    z, y, x = np.indices(shape)
    middle = sum((i - n / 2) ** 2 for i, n in zip((z, y, x), shape, strict=True))
    return {
        "half": x > shape[2] // 2,
        "wall": x == shape[2] // 2 + 1,
        "ball": middle < (min(shape) / 3) ** 2,
        "a tenth": np.random.default_rng(2).random(shape) < 0.1,
        "a third": np.random.default_rng(2).random(shape) < 0.33,
    }


@pytest.mark.parametrize("ratio", [0.01, 0.0])
@pytest.mark.parametrize("coupling", [15.0, 250.0])
@pytest.mark.parametrize(
    ("medium", "bound"), [("half", 1 / 3), ("wall", 0.5), ("ball", 1 / 3), ("a tenth", 0.5), ("a third", 0.8)]
)
def test_cycles_stand_jumps_in_d(medium, bound, coupling, ratio):
    backend, shape = create(BACKEND), (24, 27, 32)
    tissue = media(shape)[medium].astype(np.uint8)
    table = diffusion([coupling, coupling * ratio, 0.0], backend)
    found = contraction(backend, shape, table, tissue)
    backend.close()
    assert found < bound


@pytest.mark.parametrize("coupling", [5.0, 250.0])
@pytest.mark.parametrize("boundary", [7, 4, 63 << 3, 8, 48 << 3 | 2], ids=["periodic", "x", "open", "z low", "mixed"])
@pytest.mark.parametrize("shape", [(32, 32, 32), (31, 33, 17), (1, 64, 63), (2, 3, 4)])
def test_cycles_stand_open_and_periodic_sides(shape, boundary, coupling):
    backend = create(BACKEND)
    table = diffusion([coupling] * 3, backend, boundary)
    found = contraction(backend, shape, table, np.zeros(shape, np.uint8), boundary & 7)
    backend.close()
    assert found < 1 / 3


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
    Multigrid(CYCLED, ~CYCLED, 1, shape, backend).solve(
        c, rhs, mass(diffusion([a] * 3, backend)), np.zeros(1, np.int32), Recipe(cycles=15)
    )
    assert c[0, 0] == pytest.approx(expected, rel=1e-5)


def test_levels_end_in_one_voxel_and_widths_add_up_to_the_lattice():
    shapes = level_shapes((1, 100, 37))
    assert shapes[-1] == (1, 1, 1)
    for depth, (shape, widths) in enumerate(zip(shapes, last_widths(shapes), strict=True)):
        for n, w, original in zip(shape, widths, (1, 100, 37), strict=True):
            assert (n - 1 + w) * 2**depth == original
