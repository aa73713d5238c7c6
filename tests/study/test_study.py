import json

import numpy as np
import pytest
import yaml

import gpusim
from gpusim.study.design import points, value_at
from gpusim.study.runs import Study, seed_of
from gpusim.study.schema import Range, StudyDocument
from gpusim.units import number

DOSES = """\
name: doses
scenario: decay.yaml
parameters:
  fields.drug.decay: {from: 0.001 /min, to: 6 /h, scale: log, levels: 3}
  fields.drug.initial: [1, 2]
arms:
  short: {time.until: 30 min}
  long:
replicates: 2
outcomes:
  drug: {mean: drug}
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("replicates", "replicate", "study.yaml:9: replicate: unknown key; did you mean 'replicates'?"),
        ("levels: 3", "level: 3", "parameters.fields.drug.decay.level: unknown key; did you mean 'levels'?"),
        ("decay.yaml", "dekay.yaml", "study.yaml:2: scenario: dekay.yaml: no such file"),
        ("scenario: decay.yaml\n", "", "study.yaml: scenario: is missing"),
        ("drug.decay: {from", "drog.decay: {from", "study.yaml:4: parameters: fields.drog.unit: is missing"),
        ("0.001 /min", "0.001 mm", "fields.drug.decay: to: '6 /h' is not a quantity in '1 mm'"),
        ("0.001 /min", "1 /min", "study.yaml:4: parameters.fields.drug.decay: expected 'from' below 'to'"),
        ("0.001 /min", "0 /min", "'scale: log' needs 'from' above 0"),
        ("[1, 2]", "[]", "study.yaml:5: parameters.fields.drug.initial: expected one value or more"),
        ("[1, 2]", "3", "study.yaml:5: parameters.fields.drug.initial: input should be a valid list, found 3"),
        ("mean: drug", "mean: drag", "study.yaml:11: outcomes.drug.mean: unknown field 'drag' in arm 'short'; did"),
        ("mean: drug", "mean: drug, count: x", "expected exactly one of 'count', 'volume', 'total'"),
        ("mean: drug", "lesion: cells", "needs 'heat' in the scenario"),
        ("time.until: 30 min", "fields.drug.initial: 3", "study.yaml:7: arms.short.fields.drug.initial: is a"),
        ("time.until: 30 min", "time.untill: 30 min", "study.yaml:7: arms.short: time.untill: unknown key; did"),
        ("replicates: 2", "design: sobol", "'sobol' needs 'points', as in points: 64"),
        ("replicates: 2", "design: {kind: sobol, points: 60}", "sobol: expected a power of 2"),
        ("replicates: 2", "design: {kind: halton, points: 64}", "found 'halton'"),
        ("fields.drug.initial: [", "seed: [", "'seed' is no parameter"),
        ("[1, 2]", "[-1, 2]", "study.yaml:5: parameters: fields.drug.initial: expected a number from 0"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_line_with_its_place(write, old, new, message):
    assert old in DOSES
    with pytest.raises(gpusim.ScenarioError) as caught:
        Study.load(write(DOSES.replace(old, new, 1)))
    assert message in str(caught.value)


def test_runs_go_by_point_arm_and_replicate(write):
    study = Study.load(write(DOSES))
    runs = list(study.runs(points(study.document)))
    assert [(r.point, r.arm, r.replicate) for r in runs] == [
        (p, a, r) for p in range(6) for a in ("short", "long") for r in range(2)
    ]
    assert runs[0].values == {"fields.drug.decay": "0.001 /min", "fields.drug.initial": 1}
    assert runs[-1].values == {"fields.drug.decay": "0.1 /min", "fields.drug.initial": 2}
    assert runs[0].data["time"]["until"] == "30 min"
    assert runs[2].data["time"]["until"] == "1 h"
    assert len({r.key for r in runs}) == len(runs)


def test_arms_share_seeds_and_points_do_not(write):
    study = Study.load(write(DOSES))
    runs = list(study.runs(points(study.document)))
    seeds = {(r.point, r.replicate): r.seed for r in runs if r.arm == "short"}
    assert seeds == {(r.point, r.replicate): r.seed for r in runs if r.arm == "long"}
    assert len(set(seeds.values())) == len(seeds)


def test_a_run_does_not_depend_on_which_others_there_are(write):
    study = Study.load(write(DOSES))
    all_points = points(study.document)
    alone = list(study.runs(all_points[4:5]))
    among = [r for r in study.runs(all_points[::-1]) if r.values == all_points[4]]
    assert [(r.seed, r.key) for r in alone] == [(r.seed, r.key) for r in among]


def test_seeds_follow_the_rule_that_the_docs_state():
    import hashlib

    text = json.dumps([7, 1, {"a": "1 /min", "b": 2}], separators=(",", ":"))
    expected = int(hashlib.sha256(text.encode()).hexdigest()[:16], 16)
    assert seed_of(7, 1, {"b": 2, "a": "1 /min"}) == expected


def test_a_key_changes_with_what_the_outcomes_depend_on(write, tmp_path):
    def keys(text):
        study = Study.load(write(text))
        return [r.key for r in study.runs(points(study.document))]

    first = keys(DOSES)
    assert keys(DOSES.replace("doses", "other")) == first
    assert not set(keys(DOSES + "seed: 1\n")) & set(first)
    assert not set(keys(DOSES.replace("mean: drug", "mean: drug, at: 30 min"))) & set(first)
    assert set(keys(DOSES.replace("[1, 2]", "[2, 3]"))) & set(first)
    path = tmp_path / "decay.yaml"
    path.write_text(path.read_text().replace("rules: 30 min", "rules: 15 min"))
    assert not set(keys(DOSES)) & set(first)


def document(**changes):
    text = {"scenario": "x", "outcomes": {"n": {"count": "tumour"}}, **changes}
    return StudyDocument.model_validate(text)


def test_a_latin_hypercube_has_one_point_in_each_row_and_column():
    study = document(
        parameters={"a": {"from": 0, "to": 1}, "b": {"from": 1, "to": 100, "scale": "log"}},
        design={"kind": "latin-hypercube", "points": 16},
    )
    found = points(study)
    assert sorted(int(p["a"] * 16) for p in found) == list(range(16))
    assert sorted(int(np.log(p["b"]) / np.log(100) * 16) for p in found) == list(range(16))


def test_sobol_points_halve_every_axis_evenly_and_depend_on_the_seed():
    changes = {"parameters": {"a": {"from": 0, "to": 1}, "b": list("wxyz")}, "design": {"kind": "sobol", "points": 32}}
    found = points(document(**changes))
    assert sum(p["a"] < 0.5 for p in found) == 16
    assert [sum(p["b"] == letter for p in found) for letter in "wxyz"] == [8] * 4
    assert found == points(document(**changes))
    assert found != points(document(**changes, seed=1))


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_a_range_ends_where_it_says(scale):
    parameter = Range.model_validate({"from": "0.1 /min", "to": "42 /h", "scale": scale})
    assert value_at(parameter, 0.0) == "0.1 /min"
    assert value_at(parameter, 1.0) == "0.7 /min"
    middle = float(value_at(parameter, 0.5).split()[0])
    assert middle == pytest.approx(0.4 if scale == "linear" else np.sqrt(0.07), rel=1e-12)


def test_an_end_in_parentheses_is_not_multiplied_by_itself():
    parameter = Range.model_validate({"from": "(3 um)", "to": "9 um"})
    assert number(value_at(parameter, 0.0), "um") == 3
    assert number(value_at(parameter, 1.0), "um") == pytest.approx(9)


def test_a_study_is_plain_data_and_reads_back(write):
    study = Study.load(write(DOSES))
    text = yaml.safe_dump(study.document.model_dump(mode="json", exclude_unset=True))
    assert StudyDocument.model_validate(yaml.safe_load(text)) == study.document


def test_a_study_has_the_notes_of_its_scenarios(write, tmp_path):
    text = "name: s\nscenario: growth.yaml\narms: {a: {}, b: {}}\noutcomes: {deaths: {fired: death}}\n"
    text += "set: {rules.division.rate: 1e-4 /min}\n"  # the steps are small enough
    assert Study.load(write(text)).notes == ["arm 'b' is the same as 'a'"]
    with (tmp_path / "growth.yaml").open("a") as file:
        file.write("fields: {tracer: {unit: ng/mL, initial: 1}}\n")
    (note, _) = Study.load(write(text)).notes
    assert "tracer" in note


def test_a_step_that_is_too_large_for_an_arm_is_noted(write):
    text = (
        "name: s\nscenario: growth.yaml\narms: {a: {}, b: {rules.death.rate: 0.01 /min}}\noutcomes: {o: {fired: death}}"
    )
    (note,) = Study.load(write(text + "\nset: {rules.division.rate: 1e-4 /min}\n")).notes
    assert note.startswith("arm 'b': the rule step of 30 min is too large for rule 'death': its hazard reaches 0.3 ")


def test_a_rule_that_an_arm_leaves_out_is_known(write):
    text = "name: s\nscenario: growth.yaml\narms: {a: {}, b: {rules.death: null}}\noutcomes: {deaths: {fired: death}}\n"
    assert Study.load(write(text)).columns
    with pytest.raises(gpusim.ScenarioError, match="unknown rule 'birth'"):
        Study.load(write(text.replace("fired: death", "fired: birth")))


def test_outcomes_of_a_study_name_groups_of_states(tmp_path):
    (tmp_path / "base.yaml").write_text(
        "grid: {shape: [2, 2, 2]}\ntime: {until: 1 h}\nstates: {a: {}, b: {}}\ngroups: {both: [a, b], spare: [b]}\n"
        "rules: {change: {transition: a -> b, rate: 1 /h}}\ntissue: {background: a}\n"
    )
    study = tmp_path / "study.yaml"
    study.write_text("scenario: base.yaml\noutcomes: {cells: {count: both}}\n")
    assert Study.load(study).notes == ["nothing uses group 'spare': it has no effect"]
    study.write_text("scenario: base.yaml\noutcomes: {cells: {count: bothe}}\n")
    with pytest.raises(
        gpusim.ScenarioError, match=r"study.yaml:2: outcomes.cells.count: unknown state 'bothe'.*mean 'both'"
    ):
        Study.load(study)
