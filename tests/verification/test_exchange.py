"""Rates with modulators are solved with diffusion: against ordinary differential equations, boundary value problems,
and the same rates without modulators."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_bvp, solve_ivp
from scipy.optimize import brentq

import gpusim

SOLVERS = ("explicit", "implicit", "implicit2", "steady")


def simulated(text, steps=None, backend="cpu"):
    with gpusim.Simulation(gpusim.Scenario.parse(text), backend, threads=1 if backend == "cpu" else None) as simulation:
        simulation.step(steps or simulation.model.until)
        return {name: simulation.field(name).astype(float) for name in simulation.model.fields.names}, simulation.model


# In time: a closed box of one cell

VOXEL = """
grid: {{shape: [1, 1, 1]}}
time: {{until: 16 min, step: {{field: {step} min, rules: {step} min}}}}
fields:
  c: {{unit: ng/mL, decay: 0.01 /min, initial: 3, solver: {solver}}}
  b: {{unit: ng/mL, initial: 2, decay: 0.02 /min}}
states: {{cell: {state}}}
tissue: {{background: cell}}
"""
OWN = "{uptake: {c: {rate: 0.4 /min, modulators: [{field: c, half: 1 ng/mL, effect: inhibits}]}}}"
OTHER = "{uptake: {c: {rate: 0.2 /min, modulators: [{field: b, half: 1 ng/mL}]}}}"


def exact(rate, until=16):
    return solve_ivp(lambda t, c: -0.01 * c - rate(t, c) * c, (0, until), [3], rtol=1e-10, atol=1e-12).y[0, -1]


def by_own(t, c):
    return 0.4 / (1 + c)


def by_other(t, c):
    b = 2 * np.exp(-0.02 * t)
    return 0.2 * b / (1 + b)


@pytest.mark.parametrize(
    ("state", "solver", "order"),
    [
        (OWN, "explicit", 2),
        (OWN, "implicit", 1),
        (OWN, "implicit2", 2),
        (OTHER, "explicit", 1),
        (OTHER, "implicit2", 1),
    ],
)
def test_the_order_in_time(state, solver, order):
    expected, coarsest = exact(by_own if state is OWN else by_other), 2 if state is OWN else 0.5
    errors = [
        simulated(VOXEL.format(step=step, solver=solver, state=state))[0]["c"].item() - expected
        for step in (coarsest, coarsest / 2, coarsest / 4)
    ]
    orders = np.log2(np.abs(np.array(errors[:-1]) / errors[1:]))
    assert orders == pytest.approx(order, abs=0.25)


# The steady state: cells in a slab between walls that hold a concentration

SLAB = """
grid: {{shape: [{n}, 1, 1], spacing: {spacing} um}}
time: {{until: {until} min, step: {{field: {step} min, rules: {step} min}}}}
fields: {{c: {{unit: mmHg, diffusion: {D} um^2/min, initial: 38, solver: {solver}, boundary: {{x: {{value: 38}}}}}}}}
states:
  cell: {{uptake: {{c: {{rate: {rate} /min, modulators: [{{field: c, half: {half} mmHg, effect: inhibits}}]}}}}}}
tissue: {{background: cell}}
"""
THICKNESS = 320.0


def oxygen(rate, half, D, x):
    """Michaelis-Menten uptake between two walls of 38 mmHg."""

    def slopes(x, y):
        return np.vstack([y[1], rate * half * y[0] / (half + y[0]) / D])

    mesh = np.linspace(0, THICKNESS, 400)
    start = np.vstack([38 * np.abs(1 - 2 * mesh / THICKNESS) ** 2 + 1e-3, np.zeros_like(mesh)])
    found = solve_bvp(slopes, lambda a, b: np.array([a[0] - 38, b[0] - 38]), mesh, start, tol=1e-8, max_nodes=100_000)
    assert found.success
    return found.sol(x)[0]


@pytest.mark.parametrize(
    ("solver", "D", "rate", "half", "until"),
    [
        ("implicit", 1e5, 40, 4, 60),
        ("steady", 1e5, 40, 4, 12),
        ("steady", 1e5, 1000, 0.4, 60),  # next to nothing in the middle
        ("implicit2", 1e5, 40, 4, 60),
        ("explicit", 100, 0.04, 4, 3000),
    ],
)
def test_michaelis_menten_uptake_in_a_slab(solver, D, rate, half, until):
    n = 64
    x = (np.arange(n) + 0.5) * THICKNESS / n
    text = SLAB.format(
        n=n,
        spacing=THICKNESS / n,
        until=until,
        step=60 if solver == "explicit" else 6,
        D=D,
        solver=solver,
        rate=rate,
        half=half,
    )
    found = simulated(text)[0]["c"][0, 0]
    assert found == pytest.approx(oxygen(rate, half, D, x), rel=5e-3, abs=5e-3 * half)


OCTANT = """
grid: {{shape: [44, 44, 44], spacing: 10 um}}
time: {{until: 4 min, step: {{field: 1 min, rules: 1 min}}}}
fields: {{c: {{unit: mmHg, diffusion: 1e5 um^2/min, decay: 1e-6 /min, initial: 38, solver: steady}}}}
states:
  medium: {{exchange: {{c: {{permeability: 1e7 /min, blood: 38 mmHg}}}}}}
  cell: {{uptake: {{c: {{rate: {rate} /min, modulators: [{{field: c, half: 0.8 mmHg, effect: inhibits}}]}}}}}}
tissue:
  background: medium
  shapes: {{ball: {{kind: sphere, state: cell, radius: 400 um, centre: [0 um, 0 um, 0 um]}}}}
"""
"""An eighth of a ball of cells in a medium that holds the concentration."""


@pytest.mark.parametrize("rate", [30, 100])
def test_michaelis_menten_uptake_in_a_ball(rate):
    with gpusim.Simulation(gpusim.Scenario.parse(OCTANT.format(rate=rate)), "cpu", threads=1) as simulation:
        simulation.run()
        found, cells = simulation.field("c").astype(float), simulation.tissue == simulation.tissue[0, 0, 0]
    # A ball of voxels ends between its last cells and the middle of the first voxels that are held, half an edge on.
    radius = (3 * 8 * cells.sum() * 10**3 / (4 * np.pi)) ** (1 / 3) + 10 / 4
    depth = np.sqrt((((np.indices(found.shape) + 0.5) * 10) ** 2).sum(axis=0))

    def gradient(r, c):
        uptake = rate * 0.8 * c[0] / (0.8 + c[0]) / 1e5
        return np.vstack([c[1], np.where(r > 0, uptake - 2 * c[1] / np.maximum(r, 1e-9), uptake / 3)])

    r = np.linspace(0, radius, 400)
    start = np.vstack([38 * (r / radius) ** 2, 76 * r / radius**2])
    solved = solve_bvp(gradient, lambda middle, end: np.array([middle[1], end[0] - 38]), r, start, tol=1e-8)
    expected = solved.sol(np.minimum(depth, radius))[0]
    assert np.abs(found - expected)[cells].mean() < 0.005 * 38
    assert found[0, 0, 0] == pytest.approx(expected[0, 0, 0], rel=0.005)


def test_the_order_in_space():
    errors = []
    for n in (16, 32, 64):
        x = (np.arange(n) + 0.5) * THICKNESS / n
        text = SLAB.format(n=n, spacing=THICKNESS / n, until=60, step=6, D=1e5, solver="steady", rate=40, half=4)
        errors.append(np.abs(simulated(text)[0]["c"][0, 0] - oxygen(40, 4, 1e5, x)).max())
    assert np.log2(errors[:-1] / np.array(errors[1:])) == pytest.approx([2, 2], abs=0.15)


BALL = """
grid: {{spacing: 20 um, shape: [12, 11, 10]}}
time: {{until: {until} min, step: {{field: {step} min, rules: {step} min}}}}
fields: {{c: {{unit: ng/mL, diffusion: {D} um^2/min, decay: 0.1 /min, solver: {solver}}}}}
states: {{cell: {{{what}}}}}
tissue: {{shapes: {{ball: {{kind: sphere, state: cell, radius: 45 um}}}}}}
"""
PLAIN = "secretion: {c: 1 ng/mL/min}, uptake: {c: 0.3 /min}"
TIMES_ONE = (
    "secretion: {c: {rate: 1 ng/mL/min, modulators: [{neighbours: cell, at_zero: 1, at_saturation: 1}]}}, "
    "uptake: {c: {rate: 0.3 /min, modulators: [{contact: none, at_zero: 1, at_saturation: 1}]}}"
)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_modulator_that_is_always_one_changes_nothing(solver):
    plain, modulated = (
        simulated(BALL.format(D=1000, solver=solver, what=what, step=6, until=60))[0]["c"]
        for what in (PLAIN, TIMES_ONE)
    )
    assert modulated == pytest.approx(plain, rel=2e-4)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_steady_state_does_not_depend_on_the_step(solver):
    # By its own field, by neighbours, and a wall to blood.
    what = (
        "secretion: {c: {rate: 1 ng/mL/min, modulators: [{field: c, half: 2 ng/mL, effect: inhibits}, "
        "{neighbours: cell, half: 5}]}}, exchange: {c: {permeability: 0.2 /min, blood: 1 ng/mL, "
        "modulators: [{field: c, half: 1 ng/mL}]}}"
    )
    found = [simulated(BALL.format(D=300, solver=solver, what=what, step=step, until=600))[0]["c"] for step in (6, 1)]
    assert found[0] == pytest.approx(found[1], rel=2e-5)


# Rounding

SLOW = """
grid: {{shape: [6, 5, 4]}}
time: {{until: {until} min, step: {{field: 1 min, rules: 1 min}}}}
fields: {{c: {{unit: ng/mL, diffusion: {D} um^2/min, decay: {k} /min, initial: {initial}, solver: {solver}}}}}
states:
  cell: {{secretion: {{c: {{rate: {s} ng/mL/min, modulators: [{{field: c, half: 2 ng/mL, effect: inhibits}}]}}}}}}
tissue: {{background: cell}}
"""


@pytest.mark.parametrize(
    ("solver", "D", "roundings"),
    [("explicit", 30, 1), ("explicit", 300, 5), ("implicit", 300, 1), ("implicit2", 300, 4)],
)
@pytest.mark.parametrize("k", [3e-3, pytest.param(1e-3, marks=pytest.mark.slow)])
def test_a_slow_decay_stops_where_a_step_is_less_than_its_rounding(solver, D, roundings, k):
    # Secretion in proportion to 2 / (2 + c), 2 k at most: c^2 + 2 c = 4.
    exact = np.sqrt(5) - 1
    for initial in (0.99 * exact, 1.01 * exact):
        found, _ = simulated(SLOW.format(D=D, k=k, s=2 * k, solver=solver, initial=initial, until=round(8 / k)))
        assert abs(found["c"].mean() / exact - 1) < roundings * 1e-7 / k


# Stiffness

STIFF = """
grid: {{spacing: 20 um, shape: [8, 8, 8]}}
time: {{until: {until} min, step: {{field: {step} min, rules: {step} min}}}}
fields:
  c:
    {{unit: ng/mL, diffusion: {D} um^2/min, decay: 0.001 /min, initial: {initial}, solver: {solver},
    boundary: {{all: {{value: {initial}}}}}}}
states: {{cell: {{{what}}}}}
tissue: {{background: cell}}
"""


GROWING = """
grid: {{shape: [8, 8, 8]}}
time: {{until: 400 min, step: {{field: 1 min, rules: 1 min}}}}
fields: {{c: {{unit: ng/mL, diffusion: 2000 um^2/min, initial: 1e14, solver: {solver}}}}}
states: {{cell: {{secretion: {{c: {{rate: 3 ng/mL/min, modulators: [{{field: c, per: 1 ng/mL}}]}}}}}}}}
tissue: {{shapes: {{ball: {{kind: sphere, state: cell, radius: 50 um}}}}}}
"""


@pytest.mark.parametrize("backend", ["numpy", "cpu"])
@pytest.mark.parametrize("solver", SOLVERS[:2])
def test_a_growth_beyond_the_range_of_numbers_is_told_by_the_check_alone(solver, backend):
    with gpusim.Simulation(gpusim.Scenario.parse(GROWING.format(solver=solver)), backend) as simulation:
        simulation.step(150)
        with pytest.raises(gpusim.GpusimError, match="field 'c' at voxel .* is (inf|nan) ng/mL"):
            simulation.check()


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("what", "low", "high"),
    [
        # A threshold holds the concentration within the ramp, which is a tenth of it wide.
        ("uptake: {c: {rate: 1000 /min, modulators: [{field: c, above: 10 ng/mL}]}}", 9.4, 10.6),
        ("secretion: {c: {rate: 1e5 ng/mL/min, modulators: [{field: c, below: 100 ng/mL}]}}", 94, 106),
        # 1e6 / (1 + (c / 50)^4) = 0.001 c would be 3,600, less what leaves through the sides.
        (
            "secretion: {c: {rate: 1e6 ng/mL/min, "
            "modulators: [{field: c, half: 50 ng/mL, power: 4, effect: inhibits}]}}",
            100,
            3600,
        ),
    ],
)
def test_what_holds_itself_back_comes_to_rest(solver, what, low, high):
    D = 100 if solver == "explicit" else 10_000
    text = STIFF.format(D=D, solver=solver, what=what, step=6, until=240, initial=30)
    scenario = gpusim.Scenario.parse(text)
    with gpusim.Simulation(scenario, "cpu", threads=1) as simulation:
        simulation.step(simulation.model.until - 1)
        before = simulation.field("c")
        simulation.step()
        after = simulation.field("c")
    assert low < after[4, 4, 4] < high
    assert after == pytest.approx(before, rel=5e-5)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("initial", [0, 100])
@pytest.mark.parametrize(
    ("what", "net"),
    [
        # Secretion that rises with the concentration, then falls; uptake that rises, then falls.
        (
            "secretion: {c: {rate: 7e4 ng/mL/min, modulators: [{field: c, half: 0.3, at_zero: 0.1}, "
            "{field: c, half: 0.5, power: 2, effect: inhibits}]}}",
            lambda c: 7e4 * (0.1 + 0.9 * c / (0.3 + c)) / (1 + (c / 0.5) ** 2) - 0.1 * c,
        ),
        (
            "secretion: {c: 20 ng/mL/min}, uptake: {c: {rate: 4e4 /min, modulators: "
            "[{field: c, half: 5, effect: inhibits}, {field: c, half: 40, power: 4}]}}",
            lambda c: 20 - c * (0.1 + 4e4 / (1 + c / 5) / (1 + (40 / c) ** 4)),
        ),
    ],
)
def test_a_rate_that_its_field_feeds_and_holds_back_comes_to_rest(solver, initial, what, net):
    text = STIFF.format(D=100, solver=solver, what=what, step=6, until=240, initial=initial)
    text = text.replace("8, 8, 8", "1, 1, 1").replace("0.001 /min", "0.1 /min").replace("all: {value: 100}", "")
    text = text.replace("all: {value: 0}", "")
    found = simulated(text)[0]["c"].item()
    assert found == pytest.approx(brentq(net, 1e-3, 1e5), rel=1e-3)


rates = st.floats(-6, 6).map(lambda power: 10.0**power)


@settings(max_examples=25, deadline=None)
@given(
    uptake=rates,
    secretion=rates,
    half=rates,
    step=st.sampled_from([0.1, 1, 6]),
    D=rates,
    solver=st.sampled_from(SOLVERS),
)
def test_concentrations_stay_positive_whatever_the_rates(uptake, secretion, half, step, D, solver):
    if solver == "explicit":
        D = min(D, 1e3)
    what = (
        f"uptake: {{c: {{rate: {uptake} /min, modulators: [{{field: c, half: {half}, effect: inhibits}}]}}}}, "
        f"secretion: {{c: {{rate: {secretion} ng/mL/min, modulators: [{{field: c, half: {half}, effect: inhibits}}]}}}}"
    )
    text = STIFF.format(D=D, solver=solver, what=what, step=step, until=10 * step, initial=1).replace(
        "8, 8, 8", "5, 4, 3"
    )
    found = simulated(text)[0]["c"]
    assert np.isfinite(found).all()
    assert found.min() >= 0
