"""Moving cells against the theory of random walks, and against losing any of them."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from machines import backend_parameters

import gpusim

sizes = st.integers(1, 9)
sides = st.sampled_from(["closed", "open", "periodic"])


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    shape=st.tuples(sizes, sizes, sizes),
    side=st.tuples(sides, sides, sides),
    seed=st.integers(0, 2**32),
    fraction=st.floats(0.85, 0.95),
)
def test_in_a_crowd_no_cell_is_lost_or_doubled(one_backend_each, shape, side, seed, fraction):
    text = f"""
grid: {{shape: {list(shape)}, sides: {{x: {side[0]}, y: {side[1]}, z: {side[2]}}}}}
seed: {seed}
time: {{until: 1 h, step: {{field: 1 min, rules: 1 min, motion: 1 min}}}}
record: {{every: 1 h}}
fields: {{scent: {{unit: ng/mL, diffusion: 0 um^2/min, initial: 1}}}}
states:
  runner:
    layer: immune
    motility: {{speed: 20 um/min, enters: [empty, soft], chemotaxis: {{field: scent, half: 1, sensitivity: 30 um}}}}
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
        before, names = simulation.counts, ("runner", "walker", "soft", "wall", "crawler")
        walls = simulation.tissue == simulation.model.states.number("wall")
        for _ in range(10):
            simulation.step()
            cells = np.concatenate([simulation.tissue.ravel(), simulation.immune.ravel()])
            for name in names:
                here = np.count_nonzero(cells == simulation.model.states.number(name))
                assert here == simulation.counts[name] == before[name] - simulation.left.get(name, 0)
            assert np.array_equal(simulation.tissue == simulation.model.states.number("wall"), walls)


@pytest.mark.parametrize("machine", backend_parameters())
def test_a_cell_leaves_a_lattice_of_one_voxel_through_an_open_side(machine):
    text = """
grid: {shape: [1, 1, 1], sides: {x: open, y: open, z: open}}
time: {until: 1 h, step: {field: 1 min, rules: 1 min, motion: 1 min}}
record: {every: 1 h}
fields: {scent: {unit: ng/mL, diffusion: 0 um^2/min, initial: 1}}
states:
  runner:
    layer: immune
    motility: {speed: 20 um/min, chemotaxis: {field: scent, half: 1, sensitivity: 30 um}}
tissue: {shapes: {cell: {kind: everywhere, state: runner}}}
"""
    with gpusim.Simulation(gpusim.Scenario.parse(text), machine[0], threads=machine[1]) as simulation:
        simulation.run()
        assert simulation.counts["runner"] == 0
        assert simulation.left["runner"] == 1


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
