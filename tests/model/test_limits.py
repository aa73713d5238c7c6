"""Steps and numbers at the edge of what is taken."""

import re

import pytest

from gpusim import Scenario, ScenarioError
from gpusim.model import build

TEXT = """
grid: {shape: [4, 3, 2], spacing: 10 um}
time: {until: 1 h, step: {field: 2 min, rules: 4 min}}
record: {every: 1 h}
fields: {drug: {unit: ng/mL}}
states: {tumour: {}, t: {layer: immune, motility: {speed: 4 um/min}}}
rules: {death: {transition: tumour -> empty, rate: 0.01 /min}}
"""


def built(**changes):
    return build(Scenario.parse(TEXT).with_(**changes))


@pytest.mark.parametrize(
    ("step", "found"),
    [
        ({}, (6.0, 1)),  # 10 min would do; 6 is the longest that is taken
        ({"field": "2 min"}, (2.0, 3)),
        ({"field": "20 min"}, (20.0, 1)),
        ({"rules": "3 min"}, (3.0, 1)),
        ({"field": "1e-6 min", "rules": "2e-6 min"}, (1e-6, 2)),
    ],
)
def test_steps_that_are_not_given_are_chosen(step, found):
    until = "1 min" if step.get("field") == "1e-6 min" else "60 min"
    motion = {"motion": step["field"]} if until == "1 min" else {}
    document = {"until": until, "step": None}, {"until": until, "step": {**step, **motion}}
    scenario = Scenario.parse(TEXT).with_(time=document[0], record={"every": until})
    model = build(scenario.with_(time=document[1]))
    assert (model.step, model.rules_every) == found


@pytest.mark.parametrize(
    ("speed", "moves"), [("0 um/min", 1), ("2.5 um/min", 1), ("2.6 um/min", 2), ("5 um/min", 2), ("250 um/min", 100)]
)
def test_moves_keep_the_fastest_cell_below_half_a_voxel(speed, moves):
    assert built(states={"t": {"motility": {"speed": speed}}}).cells.moves == moves


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time": {"step": {"field": "9e-7 min"}}}, "time.step.field: expected 1e-06 min or more"),
        ({"time": {"step": {"rules": "9e-7 min"}}}, "time.step.rules: expected 1e-06 min or more"),
        ({"time": {"step": {"motion": "9e-7 min"}}}, "time.step.motion: expected 1e-06 min or more"),
        ({"time": {"step": {"motion": "0.7 min"}}}, "time.step.field: expected a multiple of time.step.motion"),
        ({"time": {"step": {"motion": "0.001 min"}}}, "expected at most 1000"),
        ({"time": {"until": "4294967298 min"}, "record": {"every": "4294967298 min"}}, "expected at most 2.15e"),
        (
            {
                "time": {"until": "36000000 min", "step": {"field": "1 min", "rules": "1 min", "motion": "0.008 min"}},
                "record": {"every": "36000000 min"},
            },
            "time.until: 3.6e+07 steps of 125 moves each; expected at most 4.29e+09 moves in all",
        ),
        ({"grid": {"spacing": "0.0009 um"}}, "grid.spacing: expected 0.001 to 1e"),
        ({"grid": {"spacing": "1000001 um"}}, "grid.spacing: expected 0.001 to 1e"),
        (
            {
                "fields": {"drug": {"decay": "5e35 /min", "diffusion": "1e36 um^2/min"}, "b": {"unit": "mmHg"}},
                "states": {"tumour": {"uptake": {"drug": "9e35 /min"}}},
            },
            "fields.drug: loss: a number is 1.4e",
        ),
        ({"fields": {"drug": {"initial": 1e30}}}, "fields.drug.initial (ng/mL): found 1e+30; expected 0 to 1e+15"),
        ({"fields": {"drug": {"initial": "2 kg/uL"}}}, "fields.drug.initial (ng/mL): found 2e+15"),
        ({"fields": {"drug": {"boundary": {"x": {"value": 1e16}}}}}, "fields.drug.boundary (ng/mL): found 1e+16"),
        ({"fields": {"drug": {"holds": {"tumour": 1e16}}}}, "fields.drug.holds (ng/mL): found 1e+16"),
        ({"fields": {"drug": {"initial": "1e37 ng/mL"}}}, "'1e37 ng/mL' is too large in 'ng/mL': expected at most 1e"),
        ({"therapies": {"d": {"inject": "t", "amount": "25 cell", "radius": "1 mm"}}}, "do not fit into the 24 voxels"),
        ({"therapies": {"d": {"inject": "drug", "amount": 1, "at": ["41 um", "1 um", "1 um"]}}}, "outside the grid"),
    ],
)
def test_a_number_beyond_the_edge_is_refused(changes, message):
    with pytest.raises(ScenarioError, match=re.escape(message)):
        built(**changes)


def test_a_dose_without_radius_goes_into_the_nearest_voxel():
    model = built(therapies={"d": {"inject": "drug", "amount": "8 ng/mL*voxel", "at": ["39 um", "11 um", "9 um"]}})
    (dose,) = model.doses
    assert dose.voxels.tolist() == [1 * 4 + 3]
    assert dose.amounts.tolist() == [8]


def test_a_graft_may_fill_its_region_and_takes_the_vacant_place():
    model = built(therapies={"d": {"inject": "t", "amount": "24 cell", "radius": "1 mm", "start": "4 min"}})
    (graft,) = model.grafts
    assert sorted(graft.voxels) == list(range(24))
    assert (graft.count, graft.step, graft.replaces) == (24, 2, (model.states.none,))
    (cut,) = built(therapies={"d": {"resect": ["tumour", "t"], "radius": "1 mm"}}).resections
    assert (cut.states, cut.step, len(cut.voxels)) == ((1, 3), 0, 24)


def test_no_two_doses_of_cells_are_strewn_alike():
    often = {"inject": "t", "amount": "2 cell", "radius": "20 um", "every": "2 min", "start": "0 min"}
    therapies = {"first": {**often, "doses": 1001}, "second": {**often, "doses": 1}}
    time, record = {"until": "3000 min"}, {"every": "3000 min"}
    grafts = built(grid={"shape": [9, 9, 9]}, therapies=therapies, time=time, record=record).grafts
    assert len({graft.voxels.tobytes() for graft in grafts}) == 1002
