"""What a scenario says and nothing uses is refused where it can't be meant, and noted where it may be."""

import sys
from pathlib import Path

import pytest
import yaml

from gpusim import Scenario, ScenarioError
from gpusim.scenario import presets

ROOT = Path(__file__).parents[2]

TEXT = """
grid: {shape: [4, 4, 4]}
time: {until: 1 h}
fields:
  oxygen: {unit: mmHg, initial: 38, boundary: {all: {value: 38 mmHg}}}
  virus: {unit: PFU/voxel}
states:
  tumour: {uptake: {oxygen: 1 /min}}
  infected: {secretion: {virus: 1 PFU/min}}
  dead: {}
  vessel: {exchange: {oxygen: {permeability: 1 /min, blood: 38 mmHg}}}
rules:
  infection: {transition: tumour -> infected, rate: 1 /day, modulators: [{field: virus, half: 1 PFU/voxel}]}
  starvation: {transition: tumour|infected -> dead, rate: 1 /day, modulators: [{field: oxygen, below: 5 mmHg}]}
  loss: {transition: dead -> empty, rate: 1 /day, modulators: [{body: drug, half: 1 mg}]}
body: {quantities: {drug: {unit: mg, initial: 1}}}
tissue: {shapes: {ball: {kind: everywhere, state: tumour}, feed: {kind: everywhere, state: vessel, fraction: 0.1}}}
"""


def laid_over(changes):
    return Scenario.parse(TEXT).with_(**yaml.safe_load(changes))


def test_where_all_is_used_nothing_is_noted():
    assert Scenario.parse(TEXT).notes == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            "body: {quantities: {drugs: {unit: mg}}}",
            "body.quantities.drugs: nothing reads 'drugs'; did you mean 'drug'?",
        ),
        (
            "reactions: {neutralisation: {consumes: {virus: 1, antibodies: 1}, rate: 1e-3}}\n"
            "fields: {antibody: {unit: ng/mL}, antibodies: {unit: ng/mL, initial: 1}}",
            "fields.antibody: nothing reads 'antibody'; did you mean 'antibodies'?",
        ),
        ("fields: {oxygne: {unit: mmHg}}", "fields.oxygne: nothing reads 'oxygne'; did you mean 'oxygen'?"),
        (
            "fields: {viruses: {unit: mg}}",
            "fields.viruses: nothing reads 'viruses'; did you mean",
        ),
        ("states: {tumor: {}}", "states.tumor: no cell can be in state 'tumor'; did you mean 'tumour'?"),
        ("states: {vessels: {}}", "states.vessels: no cell can be in state 'vessels'; did you mean 'vessel'?"),
    ],
)
def test_an_unused_name_that_resembles_a_used_one_is_refused(changes, message):
    with pytest.raises(ScenarioError) as caught:
        laid_over(changes)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ("fields: {relaxin: {unit: ng/mL}}", "nothing reads field 'relaxin': it is recorded, and has no effect"),
        (
            "{fields: {relaxin: {unit: ng/mL}}, states: {tumour: {secretion: {relaxin: 1 ng/mL/min}}}}",
            "nothing reads field 'relaxin': it is recorded, and has no effect",
        ),
        (
            "{body: {quantities: {b: {unit: mg}}, processes: {p: {transition: b -> nothing, rate: 1 /day}}}}",
            "nothing reads quantity 'b' of the body: it is recorded, and has no effect",
        ),
        (
            "states: {nk: {layer: immune}}",
            "no cell can be in state 'nk': nothing places such cells, and no rule ends there",
        ),
        # A rule from a state that no cell has leads nowhere.
        (
            "{states: {nk: {}, other: {}}, rules: {r: {transition: nk -> other, rate: 1 /day}}}",
            "no cell can be in state 'nk', 'other': nothing places such cells, and no rule ends there",
        ),
        (
            "fields: {oxygen: {boundary: null, initial: 0}}, tissue: {shapes: {feed: null}}, states: {vessel: null}",
            "field 'oxygen' is read and stays 0: it has no source, initial value, boundary or dose",
        ),
        (
            "fields: {oxygen: {boundary: {all: no-flux}, initial: 0}}, tissue: {shapes: {feed: null}}",
            "field 'oxygen' is read and stays 0: it has no source (no 'vessel' in the tissue), initial value",
        ),
        (
            "fields: {oxygen: {boundary: null}}, tissue: {shapes: {feed: null}}",
            "field 'oxygen' is taken up by 'tumour' and has no source (no 'vessel' in the tissue)",
        ),
    ],
)
def test_what_may_be_meant_is_noted(changes, note):
    *others, found = laid_over(changes if changes.startswith("{") else f"{{{changes}}}").notes
    assert found.startswith(note)
    # A vessel that is not in the tissue is noted first.
    first = [other.partition(":")[0] for other in others]
    assert first == ["no cell can be in state 'vessel'"] * ("no 'vessel'" in note)


@pytest.mark.parametrize(
    "changes",
    [
        "heat: {tumour: tumour, effectors: tumour, cd8: tumour, cytokines: {tnf: 1}}, fields: {tnf: {unit: ng/mL}}",
        "fields: {il10: {unit: ng/mL}, il12: {unit: ng/mL}}, rules: {loss: {modulators: [{field: il12, half: 1}]}}",
        "fields: {vegfa: {unit: ng/mL}, vegfb: {unit: ng/mL}}, rules: {loss: {modulators: [{field: vegfa, half: 1}]}}",
        "states: {uninfected: {}}",
        "fields: {oxygen: {boundary: null}}",
        "fields: {oxygen: {boundary: {z_low: {permeability: 1 um/min, far: 1 mmHg}}}}, tissue: {shapes: {feed: null}}",
        "fields: {oxygen: {boundary: null, initial: 0}}, therapies: {o: {inject: oxygen, amount: 1 mmHg*voxel}}",
    ],
)
def test_what_differs_by_more_than_spelling_is_taken(changes):
    notes = laid_over(f"{{{changes}}}").notes
    assert not any("oxygen" in note for note in notes)


def test_each_site_is_looked_at_by_itself():
    away = {"grid": {"shape": [4, 4, 4]}, "tissue": {"shapes": {"ball": {"kind": "everywhere", "state": "tumour"}}}}
    here = {"tissue": {"shapes": {"feed": {"kind": "everywhere", "state": "vessel"}}}, "grid": {"shape": [2, 2, 2]}}
    text = yaml.safe_load(TEXT) | {"sites": {"here": here, "away": away}}
    del text["tissue"], text["grid"], text["fields"]["oxygen"]["boundary"]
    (note,) = Scenario.parse(yaml.safe_dump(text)).notes
    assert note.startswith("field 'oxygen' is taken up by 'tumour'")
    assert note.endswith("at away")


TRIAL = """
trial:
  arms: {control: {}, more: {rules.loss.rate: 2 /day}, treated: {therapies.d: {infuse: tonic, amount: 1 mg}}}
  outcomes: {left: {count: tumour}}
body: {quantities: {tonic: {unit: mg}}}
"""


def test_what_an_arm_uses_is_used():
    assert laid_over(TRIAL).notes == []


@pytest.mark.parametrize(
    ("arms", "note"),
    [
        ("{more: {rules.loss.rate: 1 /day}}", "arm 'more' is the same as 'control'"),
        ("{control: {rules.loss.rate: 1 /day}}", "arm 'control' is the same as 'the scenario without arms'"),
        ("{a: {rules.loss.rate: 3 /day}, b: {rules.loss.rate: 3 /day}}", "arm 'b' is the same as 'a'"),
        ("{also: {}}", "arm 'also' is the same as 'control'"),
    ],
)
def test_arms_without_effect_are_noted(arms, note):
    scenario = laid_over(TRIAL).with_(trial={"arms": yaml.safe_load(arms)})
    assert scenario.notes == [note]


def test_an_arm_that_takes_away_what_is_not_there_is_refused():
    scenario = laid_over(TRIAL).with_(trial={"arms": {"none": {"rules.los": None}}})
    with pytest.raises(ScenarioError, match=r"arms\.none: .*rules\.los: is blank.*did you mean 'loss'\?"):
        scenario.notes  # noqa: B018


@pytest.mark.parametrize("text", ["rules: {los: }", "rules: {loss: {rate: 1 /day, a slow loss}}", "body: {x: }"])
def test_a_blank_that_takes_nothing_away_is_refused(text, tmp_path):
    (tmp_path / "base.yaml").write_text(TEXT)
    path = tmp_path / "top.yaml"
    path.write_text(f"extends: base.yaml\n{text}\n")
    with pytest.raises(ScenarioError, match=r"top\.yaml:2: .*: is blank, but there is no such key to remove"):
        Scenario.load(path)


def test_what_may_be_left_out_may_be_blank(tmp_path):
    (tmp_path / "base.yaml").write_text(TEXT)
    path = tmp_path / "top.yaml"
    path.write_text("extends: base.yaml\nheat:\ntherapies:\nrules: {loss: {releases: , label: }}\n")
    assert Scenario.load(path).document.therapies == {}
    assert Scenario.load(path, {"therapies": None, "rules.loss": None}).notes


@pytest.mark.parametrize("shape", ["ball", "bal"])
def test_a_site_leaves_out_what_the_scenario_has(shape):
    text = TEXT + f"sites: {{a: {{}}, b: {{tissue: {{shapes: {{{shape}: }}}}}}}}"
    if shape == "ball":
        assert "ball" not in Scenario.parse(text).document.sites["b"].tissue.shapes
    else:
        with pytest.raises(ScenarioError, match=r"sites\.b\.tissue\.shapes\.bal: is blank.*did you mean 'ball'"):
            Scenario.parse(text)


def test_an_override_leaves_out_of_a_site_what_the_scenario_has(tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text(TEXT + "sites: {a: {}, b: {}}\n")
    document = Scenario.load(path, {"sites.b.tissue.shapes.feed": None}).document
    assert [list(site.tissue.shapes) for site in document.sites.values()] == [["ball", "feed"], ["ball"]]


@pytest.mark.parametrize("name", presets())
def test_shipped_scenarios_use_all_that_they_say(name):
    assert Scenario.load(name).notes == []


@pytest.mark.parametrize("virus", ["hsv1-crispr", "natural-infection"])
def test_parts_of_the_library_go_together_without_a_note(virus, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(f"extends: [nodule, excluded, {virus}, chemotherapy, carriers]\n")
    assert Scenario.load(path, {"time.until": "20 day"}).notes == []


def test_the_scenarios_of_the_docs_use_all_that_they_say(tmp_path):
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import blocks
    finally:
        sys.path.pop(0)
    titled = {
        b["title"]: b["code"]
        for page in blocks.pages()
        for b in blocks.FENCE.finditer(page.read_text("utf-8"))
        if b["title"]
    }
    assert len(titled) > 5
    for name, text in titled.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    for name in ("from-image.yaml", "from-physicell.yaml", "first.yaml", "own.yaml"):
        assert Scenario.load(tmp_path / name).notes == [], name


ANTIBODY = """
fields: {antibody: {unit: ug/mL, initial: %s}, complex: {unit: PFU/voxel}}
reactions: {neutralisation: {consumes: {virus: 1, antibody: 0.1}, makes: {complex: 1}, rate: 0.01 mL/ug/min}}
"""


def test_what_reacts_is_looked_at_and_what_is_made_is_not():
    (note,) = laid_over(ANTIBODY % 1).notes
    assert note.startswith("nothing reads field 'complex'")
    assert (
        len(laid_over("reactions: {loss: {consumes: {lost: 1}, rate: 1 /h}}\nfields: {lost: {unit: mg/L}}").notes) == 1
    )


def test_a_reactant_without_a_source_is_noted_and_a_reaction_is_a_source():
    notes = laid_over(ANTIBODY % 0).notes
    assert [note for note in notes if "'antibody'" in note] == [
        "field 'antibody' is read and stays 0: it has no source, initial value, boundary or dose"
    ]
    release = {"consumes": {"complex": 1}, "makes": {"antibody": 0.1}, "rate": "0.01 /min"}
    assert laid_over(ANTIBODY % 0).with_(reactions={"release": release}).notes == []


@pytest.mark.parametrize(
    ("trait", "notes"),
    [
        ("{of: dead}", ["nothing reads trait 't': it is recorded, and has no effect"]),
        ("{of: dead, unit: PFU, initial: 3, secretion: {virus: {rate: 0.1 /hour}}}", []),
        (
            "{of: infected, unit: PFU, uptake: {virus: {rate: 0.1 /hour}}, mutation: {probability: 0.1, becomes: 0}}",
            ["no rule divides cells with trait 't': its mutation has no effect"],
        ),
    ],
)
def test_a_trait_that_acts_on_nothing_and_a_mutation_without_divisions_are_noted(trait, notes):
    assert laid_over(f"traits: {{t: {trait}}}").notes == notes
