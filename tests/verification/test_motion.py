"""Moving cells against the theory of random walks, and against losing any of them."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gpusim

WALKERS = """
grid: {{shape: [{n}, {n}, {n}]}}
time: {{until: 100 h, step: {{field: 1 min, rules: 1 min, motion: {motion}}}}}
record: {{every: 100 h}}
fields: {{bait: {{unit: ng/mL}}}}
states:
  walker: {{layer: immune, motility: {motility}}}
tissue: {{shapes: {{walkers: {{kind: sphere, state: walker, radius: {radius}, fraction: 0.3}}}}}}
"""


def positions(simulation):
    """x, y, z of the walkers, um, [3, cells]."""
    z, y, x = np.nonzero(simulation.immune == simulation.model.states.number("walker"))
    return np.array([x, y, z]) * simulation.model.spacing


def expected_square(speed, persistence, minutes, move, spacing=20.0):
    """Mean square displacement of a walker that hops with speed * move / spacing a move and turns."""
    moves = round(minutes / move)
    p = speed * move / spacing
    stays = math.exp(-move / persistence) if persistence else 0.0
    lags = np.arange(1, moves)
    together = 2 * p * p * np.sum((moves - lags) * stays**lags)
    return (moves * p + together) * spacing**2


@pytest.mark.parametrize(("speed", "persistence", "motion"), [(4, 0, 1.0), (4, 10, 1.0), (12, 3, 0.5)])
def test_the_mean_square_displacement_follows_from_speed_and_persistence(one_backend_each, speed, persistence, motion):
    minutes = 120
    motility = f"{{speed: {speed} um/min, persistence: {persistence} min}}"
    text = WALKERS.format(n=91, motion=f"{motion} min", radius="180 um", motility=motility)
    with gpusim.Simulation(gpusim.Scenario.parse(text), one_backend_each[0], threads=one_backend_each[1]) as simulation:
        start = positions(simulation)
        simulation.step(minutes)
        end = positions(simulation)
    assert end.min() > 0
    assert end.max() < 90 * 20  # none has met a wall
    cells = end.shape[1]
    grown = end.var(axis=1).sum() - start.var(axis=1).sum()
    expected = expected_square(speed, persistence, minutes, motion)
    # A sum of three variances of n cells each has the relative error sqrt(2 / 3 n).
    assert grown == pytest.approx(expected, abs=4 * end.var(axis=1).sum() * math.sqrt(2 / (3 * cells)))
    # The textbook's limit, 6 D t with D = v^2 P / 3 + v dx / 6, less the evenness of the hops.
    if persistence:
        hops = speed * 20 * (1 - speed * motion / 20)
        textbook = 2 * speed**2 * persistence * (minutes - persistence * (1 - math.exp(-minutes / persistence)))
        assert expected == pytest.approx(textbook + (hops + speed**2 * motion) * minutes, rel=0.1)


@pytest.mark.parametrize("persistence", [0, 5])
def test_chemotaxis_drifts_as_stated(one_backend_each, persistence):
    speed, sensitivity, half, slope, minutes = 5.0, 200.0, 2.0, 4e-4, 100
    text = WALKERS.format(
        n=91,
        motion="1 min",
        radius="180 um",
        motility=f"{{speed: {speed} um/min, persistence: {persistence} min, "
        f"chemotaxis: {{field: bait, half: {half} ng/mL, sensitivity: {sensitivity} um}}}}",
    )
    with gpusim.Simulation(gpusim.Scenario.parse(text), one_backend_each[0], threads=one_backend_each[1]) as simulation:
        occupancy = 0.1 + slope * 20 * np.arange(91)
        bait = np.broadcast_to(half * occupancy / (1 - occupancy), (91, 91, 91)).astype(np.float32)
        simulation.backend.write(simulation.site.state.fields[0], bait)
        start = positions(simulation)
        simulation.step(minutes)
        end = positions(simulation)
    drift = (end - start.mean(axis=1, keepdims=True)).mean(axis=1) / minutes
    error = end.std(axis=1) / math.sqrt(end.shape[1]) / minutes
    assert drift[0] == pytest.approx(speed * sensitivity / 3 * slope, abs=4 * error[0])
    assert np.all(np.abs(drift[1:]) < 4 * error[1:])


sizes = st.integers(1, 9)


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(shape=st.tuples(sizes, sizes, sizes), seed=st.integers(0, 2**32), fraction=st.floats(0.85, 0.95))
def test_in_a_crowd_no_cell_is_lost_or_doubled(one_backend_each, shape, seed, fraction):
    text = f"""
grid: {{shape: {list(shape)}}}
seed: {seed}
time: {{until: 1 h, step: {{field: 1 min, rules: 1 min, motion: 1 min}}}}
record: {{every: 1 h}}
states:
  runner: {{layer: immune, motility: {{speed: 20 um/min, enters: [empty, soft]}}}}
  walker: {{layer: immune, motility: {{speed: 9 um/min, persistence: 10 min}}}}
  soft: {{}}
  wall: {{}}
  crawler: {{motility: {{speed: 15 um/min}}}}
tissue:
  shapes:
    soft: {{kind: everywhere, state: soft, fraction: 0.3}}
    wall: {{kind: everywhere, state: wall, fraction: 0.1}}
    crawlers: {{kind: everywhere, state: crawler, fraction: 0.5}}
    all: {{kind: everywhere, state: runner, fraction: {fraction}}}
    half: {{kind: everywhere, state: walker, into: runner, fraction: 0.5}}
"""
    try:
        simulation = gpusim.Simulation(gpusim.Scenario.parse(text), one_backend_each[0], threads=one_backend_each[1])
    except gpusim.ScenarioError:
        return  # a shape that covers no voxel of a tiny grid
    with simulation:
        for layer in ("tissue", "immune"):
            before = np.bincount(getattr(simulation, layer).ravel(), minlength=9)
            walls = simulation.tissue == simulation.model.states.number("wall")
            for _ in range(10):
                simulation.step()
                assert np.array_equal(np.bincount(getattr(simulation, layer).ravel(), minlength=9), before)
            assert np.array_equal(simulation.tissue == simulation.model.states.number("wall"), walls)


def test_a_cell_enters_only_what_it_may(simulate):
    simulation = simulate(
        """
grid: {shape: [15, 15, 15]}
time: {until: 10 h, step: {field: 1 min, rules: 1 min}}
record: {every: 10 h}
states:
  runner: {layer: immune, motility: {speed: 10 um/min, enters: [soft]}}
  soft: {}
  wall: {}
tissue:
  background: wall
  shapes:
    soft: {kind: box, state: soft, lower: [0 um, 0 um, 0 um], upper: [100 um, 300 um, 300 um]}
    runners: {kind: everywhere, state: runner, into: soft, fraction: 0.2}
"""
    )
    before = simulation.immune.copy()
    simulation.step(60)
    runners = simulation.immune == simulation.model.states.number("runner")
    assert runners.sum() == (before == simulation.model.states.number("runner")).sum()
    assert not np.array_equal(before, simulation.immune)
    assert set(np.unique(simulation.tissue[runners])) == {simulation.model.states.number("soft")}


def test_the_clock_travels_with_the_cell(simulate):
    simulation = simulate(
        """
grid: {shape: [11, 11, 11]}
time: {until: 10 h, step: {field: 1 min, rules: 1 min}}
record: {every: 10 h}
states:
  runner: {layer: immune, motility: {speed: 10 um/min}}
  tired: {layer: immune}
rules: {tires: {transition: runner -> tired, rate: 50 /min, after: 30 min}}
tissue: {shapes: {runners: {kind: everywhere, state: runner, fraction: 0.2}}}
"""
    )
    simulation.step(30)
    assert simulation.count("tired") == 0
    simulation.step(6)
    assert simulation.count("runner") == 0  # six chances of 93% each, 266 cells
