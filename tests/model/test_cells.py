"""Tables of cells, each number from the scenario's own by hand."""

import math

import pytest

from gpusim import Scenario
from gpusim.model import build
from gpusim.model.fingerprint import fingerprint
from gpusim.model.tables import Shape, Source

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


def most_likely(model, own, other):
    """The probability below which the first random word must be, in the scenario's names of states."""
    numbers = [model.states.names.index(name) for name in (own, other)]
    return int(model.cells.ceilings[tuple(numbers)]) / 2**32


def pade(hazard):
    return 12 * hazard / (12 + 6 * hazard + hazard**2)


def test_no_rule_fires_above_what_its_highest_modulators_allow(model):
    # 0.01 /min for 4 min, by at most 26 neighbours, a virus and a blood without end, and the contact.
    alone = built(rules={"growth": {"modulators": [{"neighbours": "tumour", "half": 1}, {"contact": "ctl"}]}})
    assert most_likely(alone, "empty", "ctl") == pytest.approx(pade(0.04), rel=1e-3)
    assert most_likely(alone, "empty", "ctl") >= pade(0.04)
    assert most_likely(alone, "empty", "nk") == most_likely(alone, "tumour", "ctl") == 0
    assert most_likely(model, "empty", "ctl") >= pade(0.04 * 26)


def test_a_hazard_without_bound_may_always_fire():
    endless = built(rules={"growth": {"modulators": [{"field": "virus", "per": "1 PFU/mL"}]}})
    assert most_likely(endless, "empty", "none") >= pade(math.sqrt(12))


def test_an_inhibitor_bars_nothing_where_there_is_none():
    calm = built(rules={"growth": {"modulators": [{"field": "virus", "half": "1 PFU/mL", "effect": "inhibits"}]}})
    assert most_likely(calm, "empty", "none") == pytest.approx(pade(0.04), rel=1e-3)


@pytest.mark.parametrize(
    ("after", "steps"), [("0 min", 0), ("3 min", 1), ("4 min", 1), ("8 min", 2), ("262136 min", 65534)]
)
def test_a_least_time_is_rounded_up_to_whole_steps(after, steps):
    assert built(rules={"growth": {"after": after}}).cells.rules["after"].tolist() == [steps]


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
        ([{"neighbours": ["tumour", "empty"], "per": 26}], 5.0),  # one layer has one cell in a voxel
        ([{"neighbours": ["tumour", "ctl"], "per": 26}], 2.0),  # up to 52 of both layers
        ([{"neighbours": ["tumour", "ctl"], "neighbourhood": 6, "per": 6}], 2.0),
        ([{"contact": "ctl", "per": 0.5}, {"contact": "nk", "per": 0.5}], 6.0),  # never both in one voxel
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


def test_a_hazard_of_neighbours_in_both_layers_is_noted():
    growth = {"rate": "0.001 /min", "modulators": [{"neighbours": ["tumour", "ctl"]}]}
    given = built(rules={"growth": growth})  # steps of 4 min
    assert "its hazard reaches 0.208 per step" in given.notes[0]
    assert most_likely(given, "empty", "none") == pytest.approx(pade(0.208), rel=1e-3)


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


@pytest.mark.parametrize(
    ("modulator", "shape", "scale", "low", "high"),
    [
        ({"field": "virus", "half": "4 PFU/mL"}, Shape.HILL, 1 / 4, 0, 1),
        ({"field": "virus", "half": "4 PFU/mL", "effect": "inhibits"}, Shape.HILL, 1 / 4, 1, 0),
        ({"field": "virus", "half": 4, "at_zero": 0.25}, Shape.HILL, 1 / 4, 0.25, 1),
        ({"field": "virus", "half": 4, "at_saturation": 3}, Shape.HILL, 1 / 4, 0, 3),
        ({"field": "virus", "half": 4, "effect": "inhibits", "at_saturation": 0.5}, Shape.HILL, 1 / 4, 1, 0.5),
        # 4 PFU in a voxel of 1e-9 mL.
        ({"field": "virus", "above": "4 PFU/voxel"}, Shape.STEP, 4e9, 0, 1),
        ({"field": "virus", "below": "4 PFU/mL"}, Shape.STEP, 4, 1, 0),
        ({"field": "virus", "below": 4, "at_zero": 2, "at_saturation": 3}, Shape.STEP, 4, 2, 3),
        ({"field": "virus", "per": "4 PFU/mL"}, Shape.LINEAR, 1 / 4, 0, 1),
        ({"body": "blood", "per": "4 cell"}, Shape.LINEAR, 1 / 4, 0, 1),
        ({"body": "blood", "above": 4}, Shape.STEP, 4, 0, 1),
        ({"neighbours": "tumour"}, Shape.LINEAR, 1, 0, 1),
        ({"neighbours": "tumour", "per": 4}, Shape.LINEAR, 1 / 4, 0, 1),
        ({"neighbours": "tumour", "half": 4}, Shape.HILL, 1 / 4, 0, 1),
        ({"neighbours": "tumour", "above": 4}, Shape.STEP, 4, 0, 1),
        ({"contact": "ctl"}, Shape.LINEAR, 1, 0, 1),
        ({"contact": "ctl", "at_zero": 2}, Shape.STEP, 1, 2, 1),
        ({"contact": "ctl", "at_saturation": 5}, Shape.STEP, 1, 0, 5),
        ({"contact": "ctl", "per": 2, "at_saturation": 5}, Shape.LINEAR, 1 / 2, 0, 5),
    ],
)
def test_a_modulator_is_a_shape_with_its_scale_and_ends(modulator, shape, scale, low, high):
    (row,) = built(rules={"growth": {"modulators": [modulator]}}).cells.modulators[1:]
    assert row["shape"] == shape
    assert [row["scale"], row["low"], row["high"]] == pytest.approx([scale, low, high])


def test_a_modulator_looks_at_what_it_names():
    fields = {"drug": {"unit": "ng/mL"}}
    body = {"quantities": {"lymph": {}}}
    looks = [{"contact": ["none", "nk"]}, {"body": "lymph", "per": 1}, {"field": "drug", "per": 1}]
    contact, lymph, drug = built(fields=fields, body=body, rules={"growth": {"modulators": looks}}).cells.modulators[1:]
    assert (lymph["index"], drug["index"]) == (1, 1)
    assert contact["states"][0] == (1 << 2) | (1 << 4)  # empty, tumour, none, ctl, nk


def test_alike_neighbourhoods_are_counted_once():
    def neighbours(state, neighbourhood):
        return {"neighbours": state, "neighbourhood": neighbourhood}

    seen = [neighbours("tumour", 6), neighbours("tumour", 18), neighbours("ctl", 6), neighbours("tumour", 6)]
    cells = built(rules={"growth": {"modulators": seen}}).cells
    assert cells.modulators["index"][1:].tolist() == [0, 1, 2, 0]
    assert cells.neighbourhoods["reach"].tolist() == [1, 2, 1]
    assert cells.neighbourhoods["states"][:, 0].tolist() == [1 << 1, 1 << 1, 1 << 3]
    assert built(rules={"growth": {"modulators": [neighbours("ctl", 26)]}}).cells.neighbourhoods["reach"] == [3]


def test_every_row_knows_its_modulators_and_releases():
    field, contact, body = {"field": "virus", "per": 1}, {"contact": "ctl"}, {"body": "blood", "per": 1}
    model = built(
        fields={"drug": {"unit": "ng/mL"}},
        rules={
            "growth": {"modulators": [field, contact], "releases": {"drug": 3}},
            "death": {"transition": "tumour -> empty", "rate": "1 /min", "releases": {"virus": 5, "drug": 7}},
            "decay": {"transition": "ctl|nk -> none", "rate": "2 /min", "modulators": [body]},
        },
        states={
            "ctl": {"motility": {"modulators": [{"contact": "tumour"}]}},
        },
    )
    cells = model.cells
    assert cells.rule_names == ("growth", "death", "decay", "decay")
    assert cells.rules["first_release"].tolist() == [0, 1, 3, 3]
    assert cells.rules["end_release"].tolist() == [1, 3, 3, 3]
    assert cells.releases.tolist() == [(1, -1, 3), (0, -1, 5), (1, -1, 7)]
    sources = [
        [Source(int(s)) for s in cells.modulators["source"][row["first_modulator"] : row["end_modulator"]]]
        for row in (*cells.rules, cells.motilities[3], cells.motilities[4])
    ]
    assert sources == [
        [Source.CONTACT, Source.FIELD],
        [],
        [Source.BODY],
        [Source.BODY],
        [Source.CONTACT],
        [],
    ]


@pytest.mark.parametrize(
    ("motility", "moves"),
    [
        ({}, 2),  # 2 min of 4 um/min in voxels of 10 um
        ({"modulators": [{"field": "virus", "half": 1, "at_saturation": 3}]}, 5),
        ({"modulators": [{"field": "virus", "half": 1, "effect": "inhibits"}]}, 2),
        ({"modulators": [{"contact": "tumour", "per": 0.5}]}, 4),
        ({"modulators": [{"neighbours": "tumour", "neighbourhood": 6}]}, 10),
        ({"speed": "13 um/min"}, 6),
    ],
)
def test_moves_follow_from_the_highest_speed(motility, moves):
    assert built(time={"step": {"motion": None}}, states={"ctl": {"motility": motility}}).cells.moves == moves


def test_a_move_may_take_a_part_of_a_minute():
    cells = built(time={"step": {"field": "3 min", "rules": "3 min", "motion": "1.5 min"}}).cells
    assert cells.motilities["hop"][3] == pytest.approx(0.6)  # 4 um/min in voxels of 10 um
    assert cells.motilities["turn"][3] == pytest.approx(1 - math.exp(-1.5 / 5))
    brief = built(states={"nk": {"motility": {"persistence": "30 s"}}}).cells
    assert brief.motilities["turn"][4] == pytest.approx(1 - math.exp(-2))


def test_of_two_rules_the_faster_sets_the_step():
    fast, slow = ({"transition": "tumour -> empty", "rate": f"{rate} /min", "modulators": []} for rate in (0.05, 0.01))
    for rules in ({"growth": fast, "death": slow}, {"growth": slow, "death": fast}):
        assert built(time={"step": None}, rules=rules).step == 2.0
