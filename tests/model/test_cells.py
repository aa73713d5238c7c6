"""Tables of cells, each number from the scenario's own by hand."""

import math

import numpy as np
import pytest

from gpusim import Scenario
from gpusim.model import build
from gpusim.model.fingerprint import fingerprint
from gpusim.model.tables import EffectKind, Source

TEXT = """
grid: {shape: [3, 3, 3], spacing: 10 um}
time: {until: 1 h, step: {field: 2 min, rules: 4 min, motion: 1 min}}
record: {every: 1 h}
fields:
  virus: {unit: PFU/mL, clearance: {trap: {rate: 0.1 /min, modulators: [{field: virus, half: 1 PFU/mL}]}}}
states:
  tumour: {}
  ctl:
    layer: immune
    motility: {speed: 4 um/min, persistence: 5 min, chemotaxis: {field: virus, half: 4 PFU/mL, sensitivity: 30 um}}
  nk: {layer: immune, motility: {speed: 1 um/min, enters: tumour}}
body: {quantities: {blood: {initial: 3}}}
rules:
  growth:
    transition: empty -> tumour
    rate: 0.01 /min
    after: 8 min
    modulators: [{neighbours: tumour}, {field: virus, half: 1 PFU/mL}, {body: blood, half: 1}, {contact: ctl, per: 1}]
"""


@pytest.fixture(scope="module")
def model():
    return build(Scenario.parse(TEXT))


def built(**changes):
    return build(Scenario.parse(TEXT).with_(**changes))


def test_the_cheapest_modulators_come_first(model):
    row = model.cells.rules[0]
    sources = model.cells.modulators[row["first_modulator"] : row["end_modulator"]]["source"]
    assert sources.tolist() == [Source.CONTACT, Source.BODY, Source.FIELD, Source.NEIGHBOURS]


@pytest.mark.parametrize(
    ("after", "steps"), [("0 min", 0), ("3 min", 1), ("4 min", 1), ("8 min", 2), ("262136 min", 65534)]
)
def test_a_least_time_is_rounded_up_to_whole_steps(after, steps):
    assert built(rules={"growth": {"after": after}}).cells.rules["after"].tolist() == [steps]


def test_a_clearance_with_modulators_acts_once_in_every_voxel(model):
    cells = model.cells
    # empty and tumour; the immune cell of the same voxel must not clear again.
    assert np.diff(cells.effect_begin).tolist() == [1, 1, 0, 0, 0]
    assert cells.effects["kind"].tolist() == [EffectKind.LOSS] * 2
    assert cells.effects["amount"] == pytest.approx([0.4, 0.4])
    assert model.fields.loss[0].tolist() == [[0, 0, 0], [0, 0, 0]]


def test_motility_is_by_move_and_voxel(model):
    ctl, nk = model.cells.motilities[3:]
    assert model.cells.moves == 2
    assert (ctl["hop"], nk["hop"]) == (pytest.approx(0.4), pytest.approx(0.1))
    assert ctl["turn"] == pytest.approx(1 - math.exp(-1 / 5))
    assert 1 - nk["turn"] == 2.0**-24  # without persistence, all but sure
    assert (ctl["field"], nk["field"], model.cells.motilities[1]["field"]) == (0, -1, -1)
    assert (ctl["scale"], ctl["sensitivity"]) == (0.25, 3)
    assert (ctl["enters"][0], nk["enters"][0]) == (0b11, 0b10)


@pytest.mark.parametrize(
    ("modulators", "step"),
    [
        ([], 5.0),  # 0.02 /min
        ([{"neighbours": "tumour"}], 0.1),  # up to 26 of them: 0.52 /min
        ([{"neighbours": "tumour", "per": 13}], 2.0),
        ([{"neighbours": "tumour", "neighbourhood": 6, "per": 6}], 5.0),
        ([{"contact": "ctl", "per": 0.25}], 1.0),
        ([{"field": "virus", "half": "1 PFU/mL"}], 5.0),
        ([{"field": "virus", "half": "1 PFU/mL", "at_saturation": 4}], 1.0),
        ([{"field": "virus", "half": "1 PFU/mL", "at_zero": 3, "at_saturation": 0.5}], 1.0),
        ([{"field": "virus", "half": "1 PFU/mL", "at_saturation": 0.5, "at_zero": 0}], 6.0),
    ],
)
def test_the_step_follows_from_the_highest_rate_that_modulators_allow(modulators, step):
    growth = {"rate": "0.02 /min", "modulators": modulators}
    assert built(time={"step": None}, rules={"growth": growth}).step == step


def test_a_rule_without_bound_is_noted():
    growth = {"modulators": [{"field": "virus", "per": "1 PFU/mL"}]}
    assert any("rule 'growth' grows without bound" in note for note in built(rules={"growth": growth}).notes)
    assert not any("without bound" in note for note in built().notes)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"fields": {"virus": {"initial": 1}}},
        {"fields": {"virus": {"solver": "implicit"}}},
        {"states": {"nk": {"motility": {"enters": ["tumour", "empty"]}}}},
        {"rules": {"growth": {"after": "4 min"}}},
        {"body": {"quantities": {"blood": {"initial": 4}}}},
        {"tissue": {"background": "tumour"}},
        {"therapies": {"dose": {"inject": "virus", "amount": "1 PFU"}}},
        {"record": {"every": "2 min"}},
    ],
)
def test_whatever_differs_makes_another_model(model, changes):
    assert fingerprint({"a": model}) == fingerprint({"a": built()})
    assert fingerprint({"a": model}) != fingerprint({"a": built(**changes)})
    assert fingerprint({"a": model}) != fingerprint({"b": model})
