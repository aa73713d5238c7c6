"""A group of states stands for its states wherever a scenario names several."""

from typing import Annotated

import pytest
import yaml
from commands import run
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import gpusim
from gpusim import Scenario, ScenarioError, Simulation
from gpusim.analysis.outcomes import measure
from gpusim.model import build
from gpusim.model.fingerprint import fingerprint
from gpusim.record import Result
from gpusim.scenario import groups
from gpusim.scenario.schema import Outcome, StateNames

TEXT = """
grid: {shape: [4, 4, 4], spacing: 20 um}
time: {until: 1 h}
fields:
  virus: {unit: PFU/voxel, diffusion: {default: 1 um^2/min, cancer: 2 um^2/min}, initial: 1}
  oxygen: {unit: mmHg, holds: {feeding: 38 mmHg}, clearance: {loss: {rate: 1 /min, modulators: [{contact: killers}]}}}
states:
  tumour: {uptake: {oxygen: {rate: 1 /min, modulators: [{neighbours: cancer}]}}}
  infected: {secretion: {virus: {rate: 1 PFU/min, modulators: [{contact: killers}]}}}
  dead: {}
  vessel: {exchange: {virus: {permeability: 1 /min, blood: 0, modulators: [{neighbours: all}]}}}
  ctl:
    layer: immune
    motility: {speed: 4 um/min, enters: [cancer, empty], modulators: [{contact: cancer, at_zero: 1}]}
  nk: {layer: immune}
groups:
  cancer: [tumour, infected]
  killers: [ctl, nk]
  feeding: vessel
  all: [cancer, killers, dead]
reactions:
  loss: {consumes: {virus: 1}, rate: 1 /day, modulators: [{contact: killers}]}
rules:
  infection: {transition: tumour -> infected, rate: 1 /day, modulators: [{field: virus, half: 1}]}
  killing: {transition: cancer -> dead, rate: 1 /day, modulators: [{contact: killers}, {neighbours: [all, empty]}]}
  loss: {transition: dead|cancer -> empty, rate: 1 /day}
adhesion: {rate: 1 /h, energies: {cancer: {cancer: -1, dead: 0.5}, infected: {infected: -2}, dead: {dead: 0}}}
tissue:
  shapes:
    ball: {kind: everywhere, state: tumour}
    spots: {kind: everywhere, state: infected, into: [cancer, empty], fraction: 0.3}
    tubes: {kind: everywhere, state: vessel, into: cancer, fraction: 0.1}
    effector: {kind: everywhere, state: ctl, fraction: 0.5}
    killer: {kind: everywhere, state: nk, into: killers, fraction: 0.5}
therapies:
  dose: {inject: virus, amount: 1 MOI, targets: cancer, radius: 40 um}
  graft: {inject: dead, amount: 2 cell, into: cancer, radius: 40 um, start: 10 min}
  cut: {resect: [cancer, killers], leaves: dead, radius: 30 um, start: 20 min}
heat: {tumour: cancer, effectors: killers, cd8: ctl, cytokines: {virus: 1}}
trial:
  arms: {a: {}, b: {therapies.cut: null}}
  outcomes:
    burden: {count: cancer}
    size: {volume: [cancer, dead]}
    lost: {crushed: cancer}
"""
MEMBERS = {
    "cancer": ["tumour", "infected"],
    "killers": ["ctl", "nk"],
    "feeding": ["vessel"],
    "all": ["tumour", "infected", "ctl", "nk", "dead"],
}


def expanded(data):
    """The data of TEXT with the states of each group in its place, by hand."""

    def listed(value):
        names = [value] if isinstance(value, str) else value
        return list(dict.fromkeys(state for name in names for state in MEMBERS.get(name, [name])))

    def walk(value, key=None):
        if key in ("neighbours", "contact", "enters", "into", "targets", "resect", "effectors", "cd8", "count"):
            return listed(value)
        if key in ("volume", "crushed") or (key == "tumour" and isinstance(value, str)):
            return listed(value)
        if isinstance(value, dict):
            return {k: walk(v, k) for k, v in value.items()}
        return [walk(v) for v in value] if isinstance(value, list) else value

    found = walk({key: value for key, value in data.items() if key != "groups"})
    found["rules"]["killing"]["transition"] = "tumour|infected -> dead"
    found["rules"]["loss"]["transition"] = "dead|tumour|infected -> empty"
    found["fields"]["virus"]["diffusion"] = {
        "default": "1 um^2/min",
        "tumour": "2 um^2/min",
        "infected": "2 um^2/min",
    }
    found["fields"]["oxygen"]["holds"] = {"vessel": "38 mmHg"}
    found["adhesion"]["energies"] = {
        "tumour": {"tumour": -1, "infected": -1, "dead": 0.5},
        "infected": {"infected": -2, "dead": 0.5},
        "dead": {"dead": 0},
    }
    return found


@pytest.fixture(scope="module")
def grouped():
    return Scenario.parse(TEXT)


def test_a_scenario_with_groups_is_the_scenario_with_their_states(grouped):
    listed = Scenario.parse(yaml.safe_dump(expanded(yaml.safe_load(TEXT)), sort_keys=False))
    assert grouped.document.model_dump(exclude={"groups"}) == listed.document.model_dump(exclude={"groups"})
    assert fingerprint({"": build(grouped)}) == fingerprint({"": build(listed)})
    assert grouped.notes == listed.notes


def test_what_is_saved_has_the_groups_as_written(grouped):
    saved = yaml.safe_load(grouped.to_yaml())
    assert saved["groups"]["all"] == ["cancer", "killers", "dead"]
    assert saved["rules"]["killing"]["transition"] == "cancer -> dead"
    assert saved["fields"]["virus"]["diffusion"] == {"default": "1 um^2/min", "cancer": "2 um^2/min"}
    assert Scenario.parse(grouped.to_yaml()).document == grouped.document
    assert grouped.document.groups["all"] == tuple(MEMBERS["all"])


def test_names_that_are_given_once_more_are_left_as_written(grouped):
    """A list without groups keeps its order and its repetitions, so that no saved scenario changes."""
    heat = grouped.with_(heat={"cd8": ["ctl", "ctl"]}).document.heat
    assert heat.cd8 == ("ctl", "ctl")


STATES = ["a", "b", "c", "d", "e"]


@st.composite
def nested(draw):
    """Groups of states and of earlier groups, and lists of names."""
    found = {}
    for name in ("p", "q", "r", "s"):
        found[name] = draw(st.lists(st.sampled_from([*STATES, *found]), min_size=1, max_size=4))
    names = st.lists(st.sampled_from([*STATES, *found]), min_size=1, max_size=4, unique=True)
    order = draw(st.permutations(list(found)))
    return {name: found[name] for name in order}, draw(names), draw(names)


def members(name, known):
    return {name} if name in STATES else set().union(*(members(each, known) for each in known[name]))


@settings(max_examples=40, deadline=None)
@given(nested())
def test_groups_of_groups_are_sets(drawn):
    known, here, there = drawn
    scenario = Scenario.parse(
        yaml.safe_dump(
            {
                "grid": {"shape": [2, 2, 2]},
                "time": {"until": "1 h"},
                "states": {name: {} for name in STATES},
                "groups": known,
                "rules": {
                    "loss": {
                        "transition": f"{'|'.join(here)} -> empty",
                        "rate": "1 /day",
                        "modulators": [{"neighbours": there}],
                    }
                },
            },
            sort_keys=False,
        )
    )
    rule = scenario.document.rules["loss"]
    assert len(rule.leaves) == len(set(rule.leaves))
    assert set(rule.leaves) == set().union(*(members(name, known) for name in here))
    assert set(rule.modulators[0].neighbours) == set().union(*(members(name, known) for name in there))
    listed = scenario.with_(
        groups=None,
        rules={
            "loss": {
                "transition": f"{'|'.join(rule.leaves)} -> empty",
                "modulators": [{"neighbours": list(rule.modulators[0].neighbours)}],
            }
        },
    )
    assert fingerprint({"": build(scenario)}) == fingerprint({"": build(listed)})


class _Inner(BaseModel):
    of: StateNames | None = None


class _Outer(BaseModel):
    by_name: dict[str, _Inner]
    several: tuple[_Inner, ...]
    table: Annotated[dict[str, float], groups.TABLE]
    either: dict[str, int | StateNames]
    name: str = "cancer"


def test_a_new_key_of_the_schema_takes_groups_by_its_type():
    part = _Outer.model_validate(
        {
            "by_name": {"cancer": {"of": ["b", "cancer"]}, "x": {}},
            "several": [{"of": "cancer"}, {"of": "c"}],
            "table": {"cancer": 1, "a": 2},
            "either": {"x": 1, "y": ["cancer"]},
        }
    )
    found = groups.in_states(part, {"cancer": ("a", "b")})
    assert found.by_name["cancer"].of == ("b", "a")
    assert [inner.of for inner in found.several] == [("a", "b"), ("c",)]
    assert found.table == {"b": 1, "a": 2}
    assert found.either == {"x": 1, "y": ("a", "b")}
    assert found.name == "cancer"
    assert [path for path, _, _ in groups.names(part)] == [
        ("by_name", "cancer", "of"),
        ("several", 0, "of"),
        ("several", 1, "of"),
        ("table",),
        ("either", "y"),
    ]
    assert groups.in_states(part, {"other": ("a",)}) == part


PROBLEMS = """
groups.cancer = [tumour, infectd]
    groups.cancer.infectd: unknown state or group 'infectd'; did you mean 'infected'?
groups.cancer = [tumour, killer]
    groups.cancer.killer: unknown state or group 'killer'; did you mean 'killers'?
groups.cancer = []
    groups.cancer: expected one or more, found []
groups.dead = [tumour]
    groups.dead: 'dead' is a state, too; choose another name
groups.none = [tumour]
    groups.none: 'none' is reserved; choose another name
groups.outside = [tumour]
    groups.outside: 'outside' is reserved; choose another name
groups.nothing = [tumour]
    groups.nothing: 'nothing' is reserved; choose another name
groups.default = [tumour]
    groups.default: 'default' is reserved; choose another name
groups.cancer = [tumour, all]
    groups.cancer: contains itself: cancer -> all -> cancer
groups.killers = [ctl, killers]
    groups.killers: contains itself: killers -> killers
rules.killing.transition = cancers -> dead
    rules.killing.transition: unknown state 'cancers'; did you mean 'cancer'?
rules.killing.transition = tumour -> cancer
    rules.killing.transition: expected one state, found the group 'cancer' (tumour, infected)
rules.killing.transition = tumour -> tumour + cancer
    rules.killing.transition: expected one state, found the group 'cancer' (tumour, infected)
rules.killing.transition = cancer -> infected
    rules.killing.transition: 'infected' is on both sides
rules.killing.transition = all -> empty
    rules.killing.transition: expected states of one layer, found 'empty' of 'tissue' and 'nk' of 'immune'
rules.killing.transition = cancer|dead|cancer -> empty
    rules.killing.transition: a state is given twice on the left
rules.killing.modulators = [{neighbours: [cancre]}]
    rules.killing.modulators[0].neighbours: unknown state 'cancre'; did you mean 'cancer'?
reactions.loss.modulators = [{contact: all}]
    reactions.loss.modulators[0].contact: expected states of one layer, because a modulator reads one cell
states.ctl.motility.enters = all
    states.ctl.motility.enters: expected a state of the other layer, found 'ctl' of the layer 'immune'
fields.virus.diffusion.killers = 1 um^2/min
    fields.virus.diffusion.ctl: expected a tissue state, found 'ctl' of the layer 'immune'
fields.virus.diffusion.all = 1 um^2/min
    fields.virus.diffusion: 'tumour' is in the groups 'cancer' and 'all'; expected an entry for 'tumour'
adhesion.energies = {cancer: {cancer: 0, dead: 1}, dead: {cancer: -1, dead: 0}}
    adhesion.energies: the contact of 'dead' and 'tumour' is given by 'cancer: {dead: ...}' and
tissue.background = cancer
    tissue.background: expected one state, found the group 'cancer' (tumour, infected)
tissue.shapes.ball.state = cancer
    tissue.shapes.ball: expected one state, found the group 'cancer' (tumour, infected)
tissue.shapes.tubes.into = cancre
    tissue.shapes.tubes: unknown state 'cancre'; did you mean 'cancer'?
therapies.graft.inject = cancer
    therapies.graft.inject: expected one state, found the group 'cancer' (tumour, infected)
therapies.cut.leaves = cancer
    therapies.cut.leaves: expected one state, found the group 'cancer' (tumour, infected)
trial.outcomes.burden.count = cancerous
    trial.outcomes.burden.count: unknown state 'cancerous'; did you mean 'cancer'?
heat.tumour = cancre
    heat.tumour: unknown state 'cancre'; did you mean 'cancer'?
groups.killer = [nk]
    groups.killer: nothing uses the group 'killer'; did you mean 'killers'?
"""
LINES = PROBLEMS.strip("\n").split("\n")


@pytest.mark.parametrize(("change", "message"), list(zip(LINES[::2], LINES[1::2], strict=True)))
def test_what_is_wrong_with_a_group_is_told_in_a_line(grouped, change, message):
    path, _, value = change.partition(" = ")
    with pytest.raises(ScenarioError) as caught:
        grouped.overridden({path: yaml.safe_load(value)})
    assert message.strip() in str(caught.value).split("\n")[0]


def test_a_group_that_nothing_uses_is_noted(grouped):
    assert "group" not in "".join(grouped.notes)
    assert "nothing uses group 'spare': it has no effect" in grouped.with_(groups={"spare": ["dead"]}).notes
    inner = grouped.with_(groups={"spare": ["dead"], "outer": ["spare", "tumour"]})
    assert "nothing uses group 'spare', 'outer': it has no effect" in inner.notes
    used = inner.with_(trial={"outcomes": {"last": {"count": "outer"}}})
    assert "group" not in "".join(used.notes)


def test_files_add_to_the_groups_of_the_files_that_they_extend(tmp_path):
    (tmp_path / "base.yaml").write_text(TEXT)
    (tmp_path / "virus.yaml").write_text("states: {edited: {}}\ngroups:\n  cancer:\n    - infected\n    - edited\n")
    (tmp_path / "drug.yaml").write_text("states: {resistant: {}}\ngroups: {cancer: resistant, killers: null}\n")
    own = tmp_path / "own.yaml"
    own.write_text(
        "extends: [base.yaml, virus.yaml, drug.yaml]\n"
        "groups: {killers: nk}\n"
        "rules:\n"
        "  editing: {transition: tumour -> edited, rate: 1 /day}\n"
        "  resistance: {transition: edited -> resistant, rate: 1 /day}\n"
    )
    scenario = Scenario.load(own)
    assert scenario.written.groups["cancer"] == ("tumour", "infected", "edited", "resistant")
    assert scenario.document.rules["killing"].leaves == ["tumour", "infected", "edited", "resistant"]
    assert scenario.document.groups["killers"] == ("nk",)
    assert scenario.with_(groups={"cancer": ["vessel", "tumour"]}).written.groups["cancer"][-1] == "vessel"
    fewer = {"groups.cancer": ["tumour", "edited"], "adhesion": None}
    assert Scenario.load(own, fewer).written.groups["cancer"] == ("tumour", "edited")


def test_a_wrong_member_is_told_with_the_file_and_line_that_adds_it(tmp_path):
    (tmp_path / "base.yaml").write_text(TEXT)
    (tmp_path / "virus.yaml").write_text("groups:\n  cancer:\n    - infected\n    - edited\n")
    own = tmp_path / "own.yaml"
    own.write_text("extends: [base.yaml, virus.yaml]\ngroups:\n  cancer:\n    - dead\n")
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(own)
    assert str(caught.value).startswith(f"{tmp_path / 'virus.yaml'}:4: groups.cancer.edited: unknown state or group")


@pytest.mark.parametrize("value", ["cancer: 3", "cancer: {tumour: 1}", "cancer: [[tumour]]", "cancer: [3, null]", "[]"])
def test_a_group_that_is_no_list_of_names_is_refused_at_its_place(tmp_path, value):
    (tmp_path / "base.yaml").write_text(TEXT)
    (tmp_path / "own.yaml").write_text(f"extends: base.yaml\ngroups: {'{' + value + '}' if ':' in value else value}\n")
    with pytest.raises(ScenarioError, match=r"own.yaml:2: groups"):
        Scenario.load(tmp_path / "own.yaml")


def test_deep_nesting_takes_no_time():
    text = yaml.safe_load(TEXT)
    text["groups"]["g0"] = ["tumour", "dead"]
    for i in range(150):
        text["groups"][f"g{i + 1}"] = [f"g{i}", f"g{i}"]
    text["rules"]["loss"]["transition"] = "g150 -> empty"
    assert Scenario.parse(yaml.safe_dump(text)).document.rules["loss"].leaves == ["tumour", "dead"]


def test_an_arm_can_change_a_group_and_outcomes_follow(grouped):
    arms = {"wide": {"groups.cancer": ["tumour", "infected", "dead"], "rules.killing.transition": "cancer -> empty"}}
    changed = Scenario.parse(
        yaml.safe_dump(yaml.safe_load(TEXT) | {"trial": {"arms": arms, "outcomes": {"burden": {"count": "cancer"}}}})
    )
    outcome = changed.written.trial.outcomes["burden"]
    for scenario, states in ((changed, MEMBERS["cancer"]), (changed.arm("wide"), [*MEMBERS["cancer"], "dead"])):
        with Simulation(scenario.with_(trial=None, adhesion=None), "numpy") as simulation:
            simulation.run(until="24 min")
            counts = simulation.counts
            assert counts["dead"]
            assert measure(outcome, simulation) == sum(counts[state] for state in states)


def test_python_functions_take_groups(grouped):
    with Simulation(grouped.with_(trial=None, therapies=None), "numpy") as simulation:
        counts = simulation.counts
        assert simulation.count("cancer") == counts["tumour"] + counts["infected"] > simulation.count("tumour")
        assert measure(Outcome(count=("cancer", "infected")), simulation) == simulation.count("cancer")
        simulation.inject("virus", "1 MOI", targets="cancer", radius="60 um")
        simulation.resect(["cancer", "killers"], "1 mm")
        assert simulation.count("all") == 0
        with pytest.raises(KeyError):
            simulation.count("cancers")
        with pytest.raises(ScenarioError, match="did you mean 'cancer'"):
            simulation.resect("cancers", "1 mm")


def test_a_run_stores_groups_as_written_and_has_the_digest_of_listed_states(grouped, tmp_path):
    listed = Scenario.parse(yaml.safe_dump(expanded(yaml.safe_load(TEXT)), sort_keys=False))
    digests = []
    for name, scenario in (("grouped", grouped), ("listed", listed)):
        with gpusim.run(scenario.with_(trial=None), tmp_path / name, backend="numpy") as simulation:
            digests.append(simulation.digest())
    assert digests[0] == digests[1]
    stored = Result(tmp_path / "grouped").scenario
    assert stored.written.groups == grouped.written.groups
    assert stored.document.rules["killing"].leaves == ["tumour", "infected"]


def test_check_prints_groups_with_their_states(tmp_path):
    (tmp_path / "own.yaml").write_text(TEXT)
    told = run("check", "own.yaml", folder=tmp_path)
    assert told.returncode == 0
    assert "all      tumour, infected, ctl, nk, dead" in told.stdout
    assert "cancer -> dead" in told.stdout
