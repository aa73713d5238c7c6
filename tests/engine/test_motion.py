"""Movement along several gradients, with a bias that does not depend on their slopes."""

import numpy as np
import pytest
import yaml

import gpusim
from gpusim import ScenarioError
from gpusim.verification.case import begin_with

TEXT = """
grid: {shape: [17, 15, 1], spacing: 20 um}
time: {until: 1 day, step: {field: 1 min, rules: 1 min, motion: 1 min}}
record: {every: 1 day}
fields: {a: {unit: ng/mL}, b: {unit: ng/mL}}
states:
  walker: {layer: immune, motility: {speed: 10 um/min, persistence: 4 min, chemotaxis: {along: {a: 1}, bias: 1}}}
tissue: {shapes: {walkers: {kind: everywhere, state: walker, fraction: 0.1}}}
"""


def steps(backend, motility, count=1, **fields):
    """Places of the walkers before and after some steps, float64 [2, cells] x and y, and the digest."""
    scenario = gpusim.Scenario.parse(TEXT).with_(states={"walker": {"motility": motility}})
    with gpusim.Simulation(scenario, backend=backend, seed=5) as simulation:
        begin_with(simulation, **fields)
        found = []
        for number in (0, count):
            simulation.step(number)
            places = np.nonzero(simulation.immune == simulation.model.states.number("walker"))
            found.append(np.array(places[:0:-1], float))
        return *found, simulation.digest()


def ramp(along_x, along_y):
    y, x = np.mgrid[:15, :17]
    return (100 + along_x * x + along_y * y)[None].astype(np.float32)


@pytest.mark.parametrize("backend", ["numpy", "cpu"])
@pytest.mark.parametrize(
    ("along", "fields", "direction"),
    [
        ({"a": 1}, {"a": ramp(1, 0)}, (1, 0)),
        ({"a": -1}, {"a": ramp(1e-6 * 2**10, 0)}, (-1, 0)),
        ({"a": 2, "b": -2}, {"a": ramp(3, 0), "b": ramp(5, 0)}, (0, 0)),
        ({"a": 1, "b": {"weight": -2}}, {"a": ramp(3, 0), "b": ramp(0.01, 0)}, (-1, 0)),
        (
            {"a": {"weight": 1, "per": 1}, "b": {"weight": -2, "per": 2}},
            {"a": ramp(0, 3), "b": ramp(0, 1)},
            (0, 1),
        ),
    ],
)
def test_a_full_bias_follows_the_direction(backend, along, fields, direction):
    before, after, _ = steps(backend, {"chemotaxis": {"along": along, "bias": 1}}, 3, **fields)
    moved = (after - before).sum(axis=1) if before.shape == after.shape else None
    assert moved is not None
    if direction == (0, 0):
        return
    axis = 0 if direction[0] else 1
    assert np.sign(moved[axis]) == direction[axis]
    # Without a share at random, no cell moves across or back.
    assert sorted(before[1 - axis]) == sorted(after[1 - axis])


def test_a_bias_of_0_is_a_walk_without_direction():
    with_bias = steps("numpy", {"chemotaxis": {"along": {"a": 1}, "bias": 0}}, 4, a=ramp(1, 2))
    without = steps("numpy", {"chemotaxis": None}, 4, a=ramp(1, 2))
    assert np.array_equal(with_bias[1], without[1])


@pytest.mark.parametrize("backend", ["numpy", "cpu"])
def test_a_persistence_of_many_times_the_step_keeps_the_heading(backend):
    longer = {"time": "1 min", "modulators": [{"field": "b", "per": 1}]}
    nearly_fixed = {"persistence": "100000 min", "chemotaxis": None}
    modulated = {"persistence": longer, "chemotaxis": None}
    walks = [steps(backend, each, 6, b=np.full((1, 15, 17), 1e5, np.float32)) for each in (nearly_fixed, modulated)]
    assert np.array_equal(walks[0][1], walks[1][1])
    restless = steps(backend, {"persistence": "0 min", "chemotaxis": None}, 6)
    still = steps(backend, modulated, 6, b=np.zeros((1, 15, 17), np.float32))
    assert np.array_equal(restless[1], still[1])


def test_backends_agree_on_modulated_directions():
    motility = {
        "persistence": {"time": "5 min", "modulators": [{"field": "a", "half": 110}]},
        "chemotaxis": {
            "along": {
                "a": {"weight": 1, "modulators": [{"field": "b", "half": 3}]},
                "b": {"weight": -0.5, "modulators": [{"neighbours": "walker", "half": 1}]},
            },
            "bias": {"value": 0.7, "modulators": [{"field": "a", "half": 120, "at_zero": 2, "at_saturation": 0}]},
        },
    }
    y, x = np.mgrid[:15, :17]
    bowl = ((x - 8) ** 2 + (y - 7) ** 2)[None].astype(np.float32)
    assert len({steps(backend, motility, 10, a=ramp(2, 1), b=bowl)[2] for backend in ("numpy", "cpu")}) == 1


@pytest.mark.parametrize(
    ("motility", "message"),
    [
        (
            {"chemotaxis": {"along": {"a": 1}}},
            "expected either 'field', 'half' and 'sensitivity', or 'along' and 'bias'",
        ),
        ({"chemotaxis": {"along": {"a": 1}, "bias": 1, "half": 1}}, "expected either 'field'"),
        ({"chemotaxis": {"along": {"a": 0}, "bias": 1}}, "expected a weight other than 0"),
        ({"chemotaxis": {"along": {"a": 1}, "bias": 1.5}}, "bias"),
        ({"chemotaxis": {"along": {"c": 1}, "bias": 1}}, "along.c: unknown field 'c'"),
        ({"chemotaxis": {"along": {"a": {"weight": 1, "per": "3 um"}}, "bias": 1}}, "along.a.per: expected a number"),
        ({"chemotaxis": {"along": {"a": {"weight": 1, "per": 0}}, "bias": 1}}, "expected 'per' above 0"),
        ({"chemotaxis": {"along": {"a": {"weight": 1, "per": 1}, "b": 1}, "bias": 1}}, "expected 'per' for all fields"),
        ({"persistence": {"time": "0 min", "modulators": [{"field": "a", "half": 1}]}}, "expected a 'time' above 0"),
        ({"persistence": {"time": "1 min", "modulators": [{"field": "x", "half": 1}]}}, "unknown field 'x'"),
    ],
)
def test_what_has_no_sense_is_refused(motility, message):
    text = TEXT.replace("speed: 10 um/min, persistence: 4 min, chemotaxis: {along: {a: 1}, bias: 1}", "MOTILITY")
    flow = yaml.safe_dump({"speed": "10 um/min"} | motility, default_flow_style=True, width=1000).strip()[1:-1]
    with pytest.raises(ScenarioError, match=message):
        gpusim.Scenario.parse(text.replace("MOTILITY", flow))
