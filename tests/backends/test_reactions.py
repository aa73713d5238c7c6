"""One application of a reaction, and many: extents, sums that balance, and what a voxel's lots hang on."""

import numpy as np
import pytest
from backends.nothing import no_traits
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from gpusim.backends import availability, create
from gpusim.backends.base import Window
from gpusim.backends.groups import ReactionTables
from gpusim.model.tables import MODULATOR, REACTION, TERM

SHAPE = (2, 3, 4)
DECADES = st.floats(-6, 6).map(lambda power: float(np.float32(10.0**power)))


@pytest.fixture
def backend(one_backend_each):
    found = create(*one_backend_each)
    yield found
    found.close()


class Reacting:
    """Fields a and b (float [z, y, x], or what broadcasts to it) that become c; one reactant where `beta` is 0.

    Cells of state 1, where there is a `tissue`, hold the fields of which `holds` has a value.
    """

    def __init__(
        self,
        backend,
        fields,
        turnover,
        coefficients=(1, 1, 1),
        shape=SHAPE,
        seeds=(7,),
        origin=0,
        tissue=0,
        holds=(-1, -1, -1),
    ):
        one = (len(seeds), *shape)
        number = {field: (field, coefficients[field]) for field in range(3)}
        consumed = [number[0], number[1]] if coefficients[1] else [number[0]]
        row = (turnover, 0, 0, 0, 0, len(consumed), len(consumed) + 1)
        self.tables = ReactionTables(
            backend.array(np.array([row], REACTION)),
            backend.array(np.array([*consumed, number[2]], TERM)),
            backend.array(np.zeros(0, MODULATOR)),
            backend.array(
                np.array([[-1, value] for value in holds if max(holds) >= 0] or np.zeros((3, 0)), np.float32)
            ),
        )
        self.conditions = {
            "tissue": backend.lattice(np.array(np.broadcast_to(tissue, one), np.uint8)),
            "immune": backend.lattice(np.zeros(one, np.uint8)),
            "counts": backend.lattice(np.zeros((0, len(seeds), 0, 0, 0), np.uint8)),
            "body": backend.array(np.zeros((0, len(seeds)), np.float32)),
            "traits": no_traits(backend, len(seeds)),
        }
        values = [np.broadcast_to(np.asarray(each, np.float32), one) for each in fields]
        self.fields = backend.lattice(np.stack(values))
        self.backend, self.seeds, self.origin = backend, backend.array(np.array(seeds, np.uint64)), origin

    def step(self, number=0):
        drawn = {"seeds": self.seeds, "step": number, "purpose": 5}
        window = Window(self.origin, 0, 0)
        self.backend.launch("react", self.tables, **self.conditions, **drawn, window=window, fields=self.fields)
        return self

    @property
    def values(self):
        """float64 [F, R, z, y, x]."""
        return self.backend.to_numpy(self.fields).astype(float)


def midpoint(k, a, b, alpha, beta):
    """The extent by the implicit midpoint rule in float64, or what the scarcer reactant allows."""
    most = min(a / alpha, b / beta)

    def excess(x):
        return k * (a - alpha * x / 2) * (b - beta * x / 2) - x

    return most if excess(most) > 0 else brentq(excess, 0, most, xtol=1e-300, rtol=1e-13)


@pytest.mark.parametrize(
    ("k", "a", "b", "alpha", "beta"),
    [
        (0.1, 2, 3, 1, 1),
        (0.1, 2, 2, 1, 1),
        (0.01, 5, 0.1, 1, 0.1),
        (0.5, 1, 1, 3, 0.2),
        (1e4, 1, 2, 1, 1),
        (3, 1, 1, 1, 1),
    ],
)
def test_the_extent_of_a_step_is_the_implicit_midpoints(backend, k, a, b, alpha, beta):
    gamma = 2
    after = Reacting(backend, (a, b, 0), k, (alpha, beta, gamma)).step().values.reshape(3, -1)
    x = midpoint(k, a, b, alpha, beta)
    for found, expected in zip(after, (a - alpha * x, b - beta * x, gamma * x), strict=True):
        assert found == pytest.approx(expected, rel=4e-7, abs=4e-7 * max(a, b))


def test_one_reactant_goes_by_its_own_rate(backend):
    a, _, c = Reacting(backend, (2, 0, 1), 0.4, (1, 0, 3)).step().values.reshape(3, -1)
    x = 0.4 * 2 / (1 + 0.2)
    assert a == pytest.approx(2 - x, rel=2e-7)
    assert c == pytest.approx(1 + 3 * x, rel=2e-7)


@pytest.mark.parametrize(
    ("coefficients", "holds"),
    [((2, 3, 1), (5, -1, -1)), ((2, 3, 1), (-1, 4, -1)), ((2, 3, 1), (5, 4, -1)), ((2, 0, 3), (5, -1, 0)),
     ((2, 3, 1), (-1, -1, 2))],
)  # fmt: skip
def test_what_a_cell_holds_neither_falls_nor_limits(backend, coefficients, holds):
    random = np.random.default_rng(5)
    tissue = random.integers(0, 2, SHAPE)
    fields = [
        np.where((tissue == 1) & (value >= 0), value, 6 * random.random(SHAPE)).astype(np.float32) for value in holds
    ]
    k = 0.7
    reacting = Reacting(backend, fields, k, coefficients, tissue=tissue, holds=holds)
    after = reacting.step().values[:, 0]
    a, b, c = np.array(fields, float)
    holding = np.array([(tissue == 1) & (value >= 0) for value in holds])
    alpha, beta, gamma = (np.where(here, 0, each) for here, each in zip(holding, coefficients, strict=True))
    x = np.zeros(SHAPE)
    for at in np.ndindex(SHAPE):
        if not coefficients[1]:
            x[at] = k * a[at] / (1 + k * alpha[at] / 2)
            continue
        # x = k (a - alpha x / 2) (b - beta x / 2), the lower root, held to what the scarcer allows
        roots = np.roots(
            [k * alpha[at] * beta[at] / 4, -1 - k * (alpha[at] * b[at] + beta[at] * a[at]) / 2, k * a[at] * b[at]]
        )
        most = [value / each for value, each in ((a[at], alpha[at]), (b[at], beta[at])) if each]
        x[at] = min([roots.real.min(), *most])
    for found, expected in zip(after, (a - alpha * x, b - beta * x, c + gamma * x), strict=True):
        assert found == pytest.approx(expected, rel=2e-6, abs=2e-6)
    assert np.array_equal(after[holding], np.array(fields, float)[holding])
    twin = Reacting(_shared("numpy"), fields, k, coefficients, tissue=tissue, holds=holds).step().values[:, 0]
    assert np.array_equal(after, twin)


@settings(max_examples=60)
@given(
    turnover=DECADES,
    amounts=st.tuples(DECADES, DECADES, DECADES),
    coefficients=st.tuples(DECADES, DECADES | st.just(0.0), DECADES),
)
def test_nothing_falls_below_0_and_all_change_by_one_extent(turnover, amounts, coefficients):
    for name in ("numpy", "cpu") if availability("cpu").available else ("numpy",):
        reacting = Reacting(_shared(name), amounts, turnover, coefficients)
        before, after = reacting.values, reacting.step().values
        assert np.all(after >= 0)
        reacts = np.array(coefficients) > 0
        signs = np.array([-1, -1, 1])
        with np.errstate(all="ignore"):
            extents = (signs * np.moveaxis(after - before, 0, -1) / np.array(coefficients))[..., reacts]
            # Of each field one last digit of its sum, and of its product with the extent.
            digits = (2.0**-22 * np.maximum(before, after)).max(axis=(1, 2, 3, 4)) / np.array(coefficients)
        spread = extents.max(axis=-1) - extents.min(axis=-1)
        assert np.all(spread <= digits[reacts].sum() + 2.0**-22 * extents.max(axis=-1))
        scarcest = min(amounts[i] / coefficients[i] for i in (0, 1) if reacts[i])
        assert np.all(extents.min(axis=-1) <= scarcest * (1 + 1e-6))
        if not reacts[1]:
            assert np.array_equal(after[1], before[1])


_BACKENDS = {}


def _shared(name):
    if name not in _BACKENDS:
        _BACKENDS[name] = create(name, 1 if name == "cpu" else None)
    return _BACKENDS[name]


@pytest.mark.slow
@pytest.mark.skipif(not availability("cpu").available, reason="NumPy takes a minute")
@pytest.mark.parametrize(
    ("start", "coefficients", "turnover", "supply"),
    [
        pytest.param((1, 1, 0), (1, 0.1, 1), 1e-4, 0, id="uniform"),
        pytest.param(None, (1, 0.1, 3), 1e-5, 0, id="random"),
        pytest.param((1e6, 0, 0), (1, 1, 1), 1e3, 0.01, id="trickle"),
        pytest.param((1e6, 0, 1e6), (1, 0.1, 0.5), 1e3, 0.001, id="trickle into plenty"),
    ],
)
def test_the_books_balance_over_ten_thousand_steps(start, coefficients, turnover, supply):
    backend, shape = _shared("cpu"), (12, 12, 12)
    fields = 10 * np.random.default_rng(1).random((3, *shape)) if start is None else start
    reacting = Reacting(backend, fields, turnover, coefficients, shape)
    before, supplied = reacting.values.sum(axis=(1, 2, 3, 4)), np.zeros(3)
    for number in range(10_000):
        if supply:
            now = reacting.fields[1].astype(float).sum()
            reacting.fields[1] += np.float32(supply)
            supplied[1] += reacting.fields[1].astype(float).sum() - now
        reacting.step(number)
    signs = np.array([-1, -1, 1])
    extents = signs * (reacting.values.sum(axis=(1, 2, 3, 4)) - before - supplied) / np.array(coefficients)
    held = (before + supplied) / np.array(coefficients)
    assert np.all(extents > 0)
    assert np.ptp(extents) <= 1e-6 * held.max()
    if supply:  # all that comes reacts, though a step takes less than half of the last digit of what there is plenty of
        assert extents == pytest.approx([supplied[1] / coefficients[1]] * 3, rel=1e-4)


@pytest.mark.parametrize("odd", [0, -1, np.nan, -np.inf])
def test_what_is_not_there_does_not_react(backend, odd):
    for fields in ((odd, 2, 3), (2, odd, 3)):
        reacting = Reacting(backend, fields, 5)
        before = reacting.values
        assert np.array_equal(before, reacting.step().values, equal_nan=True)


@pytest.mark.parametrize("turnover", [0, 1e-42, -1])
def test_a_rate_of_nothing_does_nothing(backend, turnover):
    reacting = Reacting(backend, (1, 1, 1), turnover)
    assert np.array_equal(reacting.values, reacting.step().values)


def test_numbers_near_the_largest_stay_finite(backend):
    for turnover in (1e-30, 1, 1e36):
        after = Reacting(backend, (1e36, 1e36, 1), turnover).step().values
        assert np.all((after >= 0) & np.isfinite(after))


def test_lots_hang_on_seed_and_voxel_of_the_whole_lattice_alone(backend):
    fields = [1 + np.random.default_rng(i).random(SHAPE) for i in range(3)]

    def after(seeds, values, origin=0, number=4):
        return Reacting(backend, values, 0.1, (1, 0.3, 1), values[0].shape, seeds, origin).step(number).values

    whole = after([7], fields)
    assert np.array_equal(after([3, 7], fields)[:, 1], whole[:, 0])
    part = after([7], [each[1:] for each in fields], origin=SHAPE[1] * SHAPE[2])
    assert np.array_equal(part[:, 0], whole[:, 0, 1:])
    assert not np.array_equal(after([8], fields), whole)
    assert not np.array_equal(after([7], fields, number=5), whole)
