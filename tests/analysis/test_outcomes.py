"""Outcomes of traits, and of parts of the lattice."""

import numpy as np
import pytest

import gpusim
from gpusim import ScenarioError
from gpusim.analysis.outcomes import Outcomes, measure
from gpusim.scenario.schema import Outcome, columns

TEXT = """
grid: {shape: [20, 20, 20]}
time: {until: 4 min, step: {rules: 2 min}}
states: {tumour: {}, infected: {}, ctl: {layer: immune}}
rules: {infection: {transition: tumour -> infected, rate: 1 /min}}
traits:
  load: {of: [tumour, infected], unit: vp, most: 50 vp, initial: {uniform: {low: 0 vp, high: 10 vp}}}
  kills: {of: ctl, initial: 3}
tissue: {background: tumour}
trial:
  arms: {one: {}}
  outcomes:
    n: OUTCOME
"""


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ({"trait": "load"}, 5),
        ({"trait": "load", "of": "tumour"}, 5),
        ({"trait": "load", "of": "infected"}, 0),  # there is none yet
        ({"trait": "load", "quantile": 0.25}, 2.5),
        ({"trait": "load", "quantile": 1}, 10),
        ({"trait": "load", "above": "7 vp"}, 3),
        ({"trait": "load", "above": 0}, 10),  # a value at the threshold counts
        ({"trait": "kills"}, 0),
    ],
)
def test_an_outcome_of_a_uniform_trait_has_the_value_of_the_distribution(outcome, expected):
    scenario = gpusim.Scenario.parse(TEXT.replace("OUTCOME", "{trait: load}"))
    with gpusim.Simulation(scenario, "numpy") as simulation:
        found = measure(Outcome(**outcome), simulation)
    # 8000 cells: a mean has a standard error of 0.03 vp, a quantile or a share (of 10) at most 0.06.
    assert (found * 10 if "above" in outcome else found) == pytest.approx(expected, abs=0.25)


def test_cells_in_a_box_are_counted():
    scenario = gpusim.Scenario.parse(TEXT.replace("OUTCOME", "{trait: load}"))
    box = {"lower": ["0 um", "90 um", "0 um"], "upper": ["10.1 um", "130 um", "390 um"]}  # 1 x 2 x 19 voxels
    with gpusim.Simulation(scenario, "numpy") as simulation:
        assert measure(Outcome(count=["tumour"], box=box), simulation) == 38
        assert measure(Outcome(volume=["tumour"], box=box), simulation) == pytest.approx(38 * 8e-6)
        simulation.step()
        kept = np.count_nonzero(simulation.tissue[:19, 4:6, 0] == simulation.model.states.number("tumour"))
        assert measure(Outcome(count=["tumour", "infected"], box=box), simulation) == 38
        assert measure(Outcome(count=["tumour"], box=box), simulation) == kept < 38


FIELD = """
grid: {shape: [4, 3, 2], spacing: 20 um}
time: {until: 2 min}
fields: {virus: {unit: PFU/voxel, initial: {expression: "(2 * x / (20 um) - 1) * 1 PFU/voxel"}}}
states: {tumour: {}, dead: {}, ctl: {layer: immune}}
tissue:
  shapes:
    tumour: {kind: box, state: tumour, lower: [0 um, 0 um, 0 um], upper: [40 um, 60 um, 40 um]}
    ctl: {kind: box, state: ctl, lower: [60 um, 0 um, 0 um], upper: [80 um, 20 um, 40 um]}
"""


def test_a_field_is_summed_over_the_voxels_of_cells_or_of_a_box():
    box = {"lower": ["20 um", "0 um", "0 um"], "upper": ["80 um", "20 um", "40 um"]}
    # Concentrations along x, at the centres of voxels: 0, 2, 4, 6.
    expected = [
        ({}, 6 * (0 + 2 + 4 + 6), 24),
        ({"of": "tumour"}, 6 * (0 + 2), 12),
        ({"of": ["tumour", "ctl"]}, 6 * (0 + 2) + 2 * 6, 14),
        ({"of": "empty"}, 6 * (4 + 6), 12),
        ({"of": "dead"}, 0, 0),
        ({"box": box}, 2 * (2 + 4 + 6), 6),
        ({"box": box, "of": "tumour"}, 2 * 2, 2),
    ]
    with gpusim.Simulation(gpusim.Scenario.parse(FIELD), "numpy") as simulation:
        for where, total, voxels in expected:
            assert measure(Outcome(total="virus", **where), simulation) == pytest.approx(total, rel=1e-6)
            mean = total / voxels if voxels else 0
            assert measure(Outcome(mean="virus", **where), simulation) == pytest.approx(mean, rel=1e-6)


def test_an_outcome_is_taken_at_its_times_and_of_its_states():
    scenario = gpusim.Scenario.parse(TEXT.replace("OUTCOME", "{trait: load, of: infected, at: [0 min, 4 min]}"))
    with gpusim.Simulation(scenario, "numpy") as simulation:
        outcomes = Outcomes(simulation, columns(scenario.document.trial.outcomes))
        outcomes.take()
        for _ in simulation.stretches():
            outcomes.take()
        infected = simulation.tissue == simulation.model.states.number("infected")
        expected = simulation.trait("load")[infected].mean(dtype=np.float64)
    assert outcomes.values == {"n@0 min": 0.0, "n@4 min": pytest.approx(expected, rel=1e-12)}


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        ("{trait: lood}", "trait: unknown trait 'lood'; did you mean 'load'"),
        ("{trait: load, of: ctl}", "of: 'load' is a trait of tumour, infected; found 'ctl'"),
        ("{trait: load, of: infcted}", "of: 'load' is a trait of tumour, infected; found 'infcted'"),
        ("{trait: load, above: 3 um}", "above: .*vp"),
        ("{trait: load, above: 60 vp}", "above: expected at most the trait's 'most', 50 vp, found 60 vp"),
        ("{trait: load, quantile: 2}", "quantile"),
        ("{trait: load, quantile: 0.5, above: 3 vp}", "expected at most one of 'quantile', 'above'"),
        ("{count: tumour, of: tumour}", "'of' applies only to a 'trait'"),
        (
            "{trait: load, box: {lower: [0 um, 0 um, 0 um], upper: [1 mm, 1 mm, 1 mm]}}",
            "'box' applies only to a 'count'",
        ),
        (
            "{count: tumour, box: {lower: [0 um, 5 um, 0 um], upper: [1 mm, 9 um, 1 mm]}}",
            "n.box: covers no voxel along y: found 5 um to 9 um, voxels of 20 um",
        ),
        (
            "{count: tumour, box: {lower: [400 um, 0 um, 0 um], upper: [1 mm, 1 mm, 1 mm]}}",
            "n.box: covers no voxel along x: found 400 um to 1 mm",
        ),
        ("{mean: virus, quantile: 0.5}", "'quantile' applies only to a 'trait'"),
    ],
)
def test_a_mistake_in_an_outcome_is_named(outcome, message):
    with pytest.raises(ScenarioError, match=message):
        gpusim.Scenario.parse(TEXT.replace("OUTCOME", outcome))
