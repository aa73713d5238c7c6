"""Production and loss as tables, each number from the scenario's own by hand."""

import math

import numpy as np
import pytest

from gpusim import Scenario
from gpusim.model import build
from gpusim.model.exchange import effects_by_state
from gpusim.model.tables import EffectKind, Shape, Source

TEXT = """
grid: {shape: [3, 3, 3], spacing: 10 um}
time: {until: 1 h}
fields:
  virus: {unit: PFU/mL, decay: 0.5 /min}
  drug: {unit: ng/mL}
states:
  tumour: {}
  ctl: {layer: immune}
body: {quantities: {blood: {initial: 3}, depot: {unit: mg}}}
"""
CONTACT, BODY = {"contact": "ctl"}, {"body": "blood", "per": 1}


def built(**changes):
    return build(Scenario.parse(TEXT).with_(**changes))


def rows(model):
    """Field, state, kind and rate of each effect."""
    names = model.fields.names, model.states.names
    return [
        (names[0][field], names[1][state], EffectKind(int(row["kind"])), float(row["rate"]))
        for field, state, row in effects_by_state(model.exchange, len(names[1]))
    ]


def test_plain_rates_are_by_the_cells_of_a_voxel():
    model = built(
        fields={"virus": {"clearance": {"trap": "0.25 /min"}}},
        states={
            "tumour": {"uptake": {"virus": "2 /min"}, "secretion": {"drug": "60 ng/mL/h"}},
            "ctl": {"exchange": {"virus": {"permeability": "3 /min", "blood": "4 PFU/mL"}}},
        },
    )
    exchange = model.exchange
    assert exchange.loss.tolist() == [[[0.75, 3.75], [2.75, 5.75]], [[0, 0], [0, 0]]]
    assert exchange.production.tolist() == [[[0, 12], [0, 12]], [[0, 0], [1, 1]]]
    assert np.array_equal(exchange.highest_loss, exchange.loss)
    assert exchange.slots.tolist() == [-1, -1]


def test_a_clearance_with_modulators_acts_once_in_every_voxel():
    model = built(fields={"virus": {"clearance": {"trap": {"rate": "0.1 /min", "modulators": [BODY]}}}})
    # empty and tumour; the immune cell of the same voxel must not clear again.
    loss = EffectKind.LOSS
    assert rows(model) == [("virus", "empty", loss, pytest.approx(0.1)), ("virus", "tumour", loss, pytest.approx(0.1))]
    assert model.exchange.slots.tolist() == [0, -1]
    assert model.exchange.begin.tolist() == [0, 1, 2, 2, 2]


def test_effects_are_by_field_and_state_and_know_their_modulators():
    wall = {"permeability": "3 /h", "body": "depot", "volume": "5 L", "modulators": [CONTACT]}
    steady = {"permeability": "2 /min", "blood": "3 PFU/mL", "modulators": [BODY]}
    model = built(
        states={
            "tumour": {
                "uptake": {"virus": {"rate": "0.5 /min", "modulators": [BODY, CONTACT]}, "drug": "1 /min"},
                "exchange": {"drug": wall, "virus": steady},
            },
            "ctl": {"secretion": {"drug": {"rate": "6 ng/mL/h", "modulators": [{"contact": "tumour"}]}}},
        },
    )
    assert rows(model) == [
        ("virus", "tumour", EffectKind.LOSS, 0.5),
        ("virus", "tumour", EffectKind.LOSS, 2),
        ("virus", "tumour", EffectKind.SECRETION, 6),
        ("drug", "tumour", EffectKind.WALL, pytest.approx(0.05)),
        ("drug", "ctl", EffectKind.SECRETION, pytest.approx(0.1)),
    ]
    ((field, quantity, dilution, returns),) = model.exchange.walls.tolist()
    assert (field, quantity, returns) == (1, 1, 1)
    assert dilution == pytest.approx(200)  # 1 mg in 5 L, in ng/mL
    assert model.body.exchanged.tolist() == [[0, pytest.approx(1e-15)]]  # ng/mL of 1 pL, in mg
    first = model.exchange.effects[0]
    sources = model.cells.modulators["source"][first["first_modulator"] : first["end_modulator"]]
    assert sources.tolist() == [Source.CONTACT, Source.BODY]
    assert not model.exchange.own.any()
    assert model.exchange.loss[1].tolist() == [[0, 0], [1, 1]]


def own(modulator, kind="uptake", rate="2 /min"):
    """The one effect of a tumour cell on the virus, which looks at the virus."""
    effect = {kind: {"virus": {"rate": rate, "modulators": [{"field": "virus", **modulator}]}}}
    model = built(states={"tumour": effect})
    (row,) = model.exchange.effects
    assert model.exchange.own.tolist() == [True, False]
    assert (row["end_modulator"], row["end_own"]) == (row["first_modulator"], row["first_modulator"] + 1)
    return model, row


@pytest.mark.parametrize(
    ("modulator", "highest", "steepest", "settles"),
    [
        ({"half": 1, "effect": "inhibits"}, 2, 2, False),
        ({"half": 1}, 2, 2, True),
        ({"half": 1, "power": 2}, 2, 2 * 9 / 8, True),  # 2 c^3 / (1 + c^2), at c = sqrt 3
        ({"half": 1, "power": 2, "effect": "inhibits"}, 2, 2, False),
        ({"per": 1}, math.inf, math.inf, True),
        ({"below": 1}, 2, 2, False),
        ({"above": 1}, 2, None, True),
    ],
)
def test_an_uptake_by_its_own_field_has_bounds(modulator, highest, steepest, settles):
    model, row = own(modulator)
    tumour = (0, 1, 0)
    assert model.exchange.highest_loss[tumour] == pytest.approx(0.5 + highest)
    if steepest is not None:
        assert model.exchange.steepest[tumour] == pytest.approx(0.5 + steepest, rel=1e-2)
    assert bool(row["settles"]) is settles


def test_a_threshold_on_the_own_field_is_a_ramp():
    model, row = own({"above": 4})
    modulator = model.cells.modulators[row["end_modulator"]]
    assert Shape(int(modulator["shape"])) is Shape.RAMP
    assert modulator["offset"] == pytest.approx(3.8)
    assert 1 / modulator["scale"] == pytest.approx(0.4)
    # d/dc of 2 c (c - 3.8) / 0.4 where the ramp ends, at 4.2.
    assert model.exchange.steepest[0, 1, 0] == pytest.approx(0.5 + 2 * (2 * 4.2 - 3.8) / 0.4, rel=0.02)


@pytest.mark.parametrize(
    ("modulator", "settles"), [({"half": 1, "effect": "inhibits"}, True), ({"half": 1}, False), ({"below": 1}, True)]
)
def test_a_secretion_settles_where_its_field_holds_it_back(modulator, settles):
    _, row = own(modulator, "secretion", "2 PFU/mL/min")
    assert bool(row["settles"]) is settles


def test_a_threshold_that_no_concentration_can_be_below_stays_a_step():
    model, row = own({"above": 1e-38})
    assert Shape(int(model.cells.modulators[row["end_modulator"]]["shape"])) is Shape.STEP


@pytest.mark.parametrize(("kind", "rate", "feeds"), [("uptake", "2 /min", "down"), ("secretion", "2 PFU/mL/min", "up")])
def test_what_feeds_a_field_stands_before_what_holds_it_back(kind, rate, feeds):
    up, down = {"field": "virus", "half": 2}, {"field": "virus", "above": 4, "at_zero": 3, "at_saturation": 1}
    model = built(states={"tumour": {kind: {"virus": {"rate": rate, "modulators": [up, down]}}}})
    (row,), table = model.exchange.effects, model.cells.modulators
    shapes = [Shape(int(each["shape"])) for each in table[row["end_modulator"] : row["end_own"]]]
    assert shapes == ([Shape.HILL, Shape.RAMP] if feeds == "up" else [Shape.RAMP, Shape.HILL])
    assert row["settles"]
    assert model.exchange.feeding.tolist() == [1]
