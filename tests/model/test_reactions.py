"""Reactions as tables, each number from the scenario's own by hand."""

import numpy as np
import pytest

from gpusim import Scenario, ScenarioError
from gpusim.model import build
from gpusim.model.fingerprint import fingerprint
from gpusim.model.tables import Source

TEXT = """
grid: {shape: [3, 3, 3], spacing: 20 um}
time: {until: 1 h, step: {field: 2 min}}
fields:
  virus: {unit: PFU/voxel}
  antibody: {unit: ug/mL, initial: 3}
  complex: {unit: PFU/mL}
states: {tumour: {}, ctl: {layer: immune}}
body: {quantities: {dose: {unit: mg, initial: 1}}}
reactions:
  neutralisation: {consumes: {virus: 1, antibody: 0.1}, makes: {complex: 1 PFU/mL / (PFU/voxel)}, rate: 0.02 mL/ug/min}
"""


def built(**changes):
    return build(Scenario.parse(TEXT).with_(reactions={"neutralisation": changes}))


def terms(model):
    names, reactions = model.fields.names, model.reactions
    (row,) = reactions.rows
    found = [(names[field], coefficient) for field, coefficient in reactions.terms.tolist()]
    return found[row["first_consumed"] : row["first_made"]], found[row["first_made"] : row["end_made"]]


def test_rates_and_coefficients_are_in_the_units_of_the_fields():
    model = built()
    assert terms(model) == (
        [("virus", 1), ("antibody", pytest.approx(0.1))],
        [("complex", 1)],
    )
    assert model.reactions.rows["turnover"] == pytest.approx(0.02 * 2)
    # In a voxel of 8 pL 64 fg are 8 ug/mL, and 1 PFU is 1.25e8 PFU/mL; 1.2 L/g/s are 0.072 mL/ug/min.
    model = built(consumes={"antibody": "64 fg/PFU"}, makes={"complex": "1 PFU/PFU"}, rate="1.2 L/g/s")
    assert terms(model)[0][1] == ("antibody", pytest.approx(8))
    assert terms(model)[1][0] == ("complex", pytest.approx(1.25e8))
    assert model.reactions.rows["turnover"] == pytest.approx(0.144)


def test_the_first_field_that_is_consumed_counts_the_extent():
    text = TEXT.replace("{virus: 1, antibody: 0.1}", "{antibody: 1, virus: 10}").replace("mL/ug", "voxel/PFU")
    text = text.replace("1 PFU/mL / (PFU/voxel)", "2")
    model = build(Scenario.parse(text))
    assert terms(model) == ([("antibody", 1), ("virus", 10)], [("complex", 2)])


def test_one_reactant_has_a_plain_rate():
    text = TEXT.replace("{virus: 1, antibody: 0.1}", "{virus: 1}").replace("0.02 mL/ug/min", "30 /h")
    model = build(Scenario.parse(text))
    assert model.reactions.rows["turnover"] == pytest.approx(1)
    assert len(terms(model)[0]) == 1


def test_modulators_look_at_fields_neighbours_the_body_and_either_cell():
    model = built(
        modulators=[
            {"contact": ["tumour", "empty"]},
            {"neighbours": ["ctl"], "per": 26},
            {"contact": "ctl"},
            {"body": "dose", "per": "1 mg"},
        ]
    )
    (row,) = model.reactions.rows
    sources = [Source(int(m["source"])) for m in model.cells.modulators]
    seen = sources[row["first_modulator"] : row["end_modulator"]]
    assert seen == [Source.CONTACT, Source.BODY, Source.NEIGHBOURS]
    assert sources[row["end_modulator"] : row["end_contact"]] == [Source.CONTACT]
    assert model.cells.modulators["states"][row["end_modulator"]][0] == 0b11  # empty and tumour
    assert model.cells.counts_for(model.reactions.rows) == [0]


def test_reactions_are_part_of_the_fingerprint_and_none_is_an_empty_table():
    with_one, without = built(), build(Scenario.parse(TEXT).with_(reactions=None))
    assert len(without.reactions) == len(without.reactions.rows) == len(without.reactions.terms) == 0
    prints = {fingerprint({"": model}) for model in (with_one, without, built(rate="0.03 mL/ug/min"))}
    assert len(prints) == 3


def test_a_step_that_is_too_long_for_a_reaction_is_noted():
    def notes(**changes):
        return [note for note in built(**changes).notes if "reaction" in note]

    assert notes() == []
    (note,) = notes(rate="0.2 mL/ug/min")  # of the virus, 0.2 * 3 ug/mL * 2 min
    assert "reaction 'neutralisation': it converts a share of 1.2 of 'virus' per step; above 0.5" in note
    assert notes(rate="0.2 mL/ug/min", modulators=[{"field": "complex", "half": 1, "at_saturation": 0.3}]) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"consumes": {"antibody": 1e-42}}, "consumes.antibody: expected a coefficient above 1e-38, found 1e-42"),
        ({"rate": 1e36}, "reactions: turnover: a number is 2e+36; expected at most 1e+36"),
    ],
)
def test_numbers_that_float32_cannot_hold_are_refused(changes, message):
    with pytest.raises(ScenarioError) as caught:
        built(**changes)
    assert message in str(caught.value)


def test_arms_change_a_reaction_and_a_blank_takes_one_away():
    text = (
        TEXT
        + """
trial:
  arms: {plain: {}, slow: {reactions.neutralisation.rate: 0.002 mL/ug/min}, none: {reactions.neutralisation: null}}
  outcomes: {left: {total: virus}}
"""
    )
    scenario = Scenario.parse(text)
    turnovers = {arm: build(scenario.arm(arm)).reactions.rows["turnover"].tolist() for arm in scenario.arms}
    assert turnovers == {"plain": [pytest.approx(0.04)], "slow": [pytest.approx(0.004)], "none": []}


def test_a_part_of_a_scenario_may_bring_a_reaction(tmp_path):
    (tmp_path / "part.yaml").write_text(TEXT)
    (tmp_path / "whole.yaml").write_text("extends: part.yaml\nreactions: {neutralisation: {consumes: {antibody: 2}}}\n")
    model = build(Scenario.load(tmp_path / "whole.yaml"))
    assert terms(model)[0] == [("virus", 1), ("antibody", 2)]
    assert np.all(model.reactions.rows["turnover"] > 0)


@pytest.mark.parametrize(("held", "noted"), [(1, False), (50, True)])
def test_what_cells_hold_counts_for_the_step(held, noted):
    # 0.02 mL/ug/min * 2 min * 50 ug/mL: twice the virus in a step; and of the held antibody, 0.004 of each 1 PFU/voxel.
    scenario = Scenario.parse(TEXT).with_(fields={"antibody": {"initial": 0, "holds": {"tumour": held}}})
    assert any("too large for reaction 'neutralisation'" in note for note in build(scenario).notes) is noted
