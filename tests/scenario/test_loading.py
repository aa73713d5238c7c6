import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusim import Scenario, ScenarioError
from gpusim.scenario.loading import merge, parse_set

SMALL = """
name: small
grid: {shape: [4, 4, 4]}
fields:
  virus: {unit: PFU/voxel, diffusion: 1 um^2/min}
states:
  tumour: {}
  infected: {}
rules:
  infection:
    transition: tumour -> infected
    rate: 0.002 /min
    modulators: [{field: virus, half: 10}]
"""


def write(folder, text, name="a.yaml"):
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "fields.virus.diffusion",
            {"default": "1 um^2/min", "tumor": "0 um^2/min"},
            "fields.virus.diffusion.tumor: unknown tissue state 'tumor'; did you mean 'tumour'?",
        ),
        ("fields.virus.diffusion", {"tumour": "0 um^2/min"}, "fields.virus.diffusion: expected a 'default'"),
        ("fields.virus.diffusion", "1 um", "fields.virus.diffusion: expected a quantity in 'um^2/min'"),
        ("fields.virus.boundary", {"x_low": "periodic"}, "periodic takes both sides of an axis: 'x: periodic'"),
        ("fields.virus.boundary", {"w": "periodic"}, "fields.virus.boundary.w: unknown key"),
        ("fields.virus.boundary", {"all": "open"}, "fields.virus.boundary.all"),
        ("fields.virus.boundary", {"all": {"value": "3 ng/mL"}}, "fields.virus.boundary.all.value: expected"),
        ("fields.virus.boundary", {"all": {"far": 3}}, "expected no-flux, periodic, a 'value', or a 'permeability'"),
        ("fields.virus.boundary", {"z": {"permeability": "3 um/min", "value": 1}}, "expected no-flux, periodic"),
        ("fields.virus.difusion", "1 um^2/min", "fields.virus.difusion: unknown key; did you mean 'diffusion'?"),
        ("fields.virus.decay", "3 um", "fields.virus.decay: expected a quantity in '1/min' or its kin, found '3 um'"),
        ("fields.virus.decay", 3, "fields.virus.decay: expected a quantity with its unit"),
        ("rules.infection.rate", "-1 /min", "expected a quantity of 0 or more"),
        ("rules.infection.transition", "tumor -> infected", "unknown state 'tumor'; did you mean 'tumour'?"),
        ("rules.infection.transition", "tumour to infected", "expected 'state -> state'"),
        ("rules.infection.modulators[0].field", "viruss", "unknown field 'viruss'; did you mean 'virus'?"),
        ("rules.infection.modulators[0].half", "3 um", "rules.infection.modulators[0].half: expected a number or"),
        ("rules.infection.modulators[0].half", 0, "expected 'half' above 0"),
        (
            "rules.infection.releases",
            {"virus": "3 ng"},
            "rules.infection.releases.virus: expected a number or a quantity",
        ),
        ("states.infected.secretion", {"ifn": 1}, "states.infected.secretion.ifn: unknown field 'ifn'"),
        ("tissue.shapes", {"a": {"kind": "spere", "state": "tumour"}}, "unknown kind 'spere'; did you mean 'sphere'?"),
        ("tissue.shapes", {"a": {"kind": "sphere", "state": "tumour"}}, "tissue.shapes.a.radius: is missing"),
        ("therapies", {"a": {"inject": "virus", "amount": "3 um"}}, "therapies.a.amount: expected an amount"),
        ("grid.shape", [4, 4, 0], "grid.shape: expected three whole numbers"),
        ("grid.shape", None, "grid.shape: is missing"),
        ("fields", {"../evil": {"unit": "PFU"}}, "is not a name"),
        ("nonsense", 1, "nonsense: unknown key"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path, key, value, message):
    path = write(tmp_path, SMALL)
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(path, {key: value})
    assert message in str(caught.value)


def test_a_mistake_in_a_file_is_named_with_its_line(tmp_path):
    path = write(tmp_path, SMALL.replace("diffusion", "difusion"))
    with pytest.raises(ScenarioError, match=r"a\.yaml:5: fields\.virus\.difusion: unknown key"):
        Scenario.load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("- a", "expected a mapping"),
        ("a: [", "not YAML"),
        ("name: a\nname: b", "name: stands twice"),
        ("a: &x [1, 1]\nb: [*x, *x]", "aliases"),
        ("\x00", "not YAML"),
        ("a: " + "[" * 5000, "not YAML|deeper"),
        ("a: " + "{a: " * 60 + "1" + "}" * 60, "deeper"),
        ("a: !!python/object:os.system x", "not YAML"),
    ],
)
def test_what_is_no_scenario_is_refused(tmp_path, text, message):
    with pytest.raises(ScenarioError, match=message):
        Scenario.load(write(tmp_path, text))


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(ScenarioError, match="did you mean 'cold-to-hot'"):
        Scenario.load("cold-to-hott")


def test_extends_merges_mappings_and_a_blank_takes_away(tmp_path):
    write(tmp_path, SMALL, "base.yaml")
    path = write(
        tmp_path, "extends: base.yaml\nname: top\nfields: {virus: {decay: 1 /day}}\nrules: {infection: null}\n"
    )
    document = Scenario.load(path).document
    assert document.fields["virus"].diffusion == {"default": "1 um^2/min"}
    assert document.fields["virus"].decay == "1 /day"
    assert document.rules == {}


def test_a_mistake_in_an_extended_file_names_that_file(tmp_path):
    write(tmp_path, SMALL.replace("0.002 /min", "0.002 um"), "base.yaml")
    with pytest.raises(ScenarioError, match=r"base\.yaml:12: rules\.infection\.rate"):
        Scenario.load(write(tmp_path, "extends: base.yaml\n"))


def test_a_base_that_two_files_share_takes_nothing_back(tmp_path):
    write(tmp_path, "grid: {shape: [2, 2, 2]}\nseed: 1\nfields: {virus: {unit: PFU/voxel}}", "base.yaml")
    write(tmp_path, "extends: base.yaml\nseed: 2", "first.yaml")
    write(tmp_path, "extends: base.yaml\nfields: {damp: {unit: PFU/voxel}}", "second.yaml")
    both = Scenario.load(write(tmp_path, "extends: [first.yaml, second.yaml]\n")).document
    assert (both.seed, list(both.fields)) == (2, ["virus", "damp"])


def test_extends_in_a_circle_is_refused(tmp_path):
    write(tmp_path, "extends: b.yaml", "a.yaml")
    write(tmp_path, "extends: a.yaml", "b.yaml")
    with pytest.raises(ScenarioError, match="leads back to itself"):
        Scenario.load(tmp_path / "a.yaml")


def test_a_scenario_survives_its_own_yaml(tmp_path):
    first = Scenario.load("cold-to-hot")
    again = Scenario.load(write(tmp_path, first.to_yaml()))
    assert again.document == first.document


def test_with_changes_a_copy():
    first = Scenario.parse(SMALL)
    second = first.with_(fields={"virus": {"decay": "1 /day"}}, seed=9)
    assert (first.document.seed, second.document.seed) == (0, 9)
    assert second.document.fields["virus"].decay == "1 /day"


def test_set_reads_values_as_yaml_does():
    assert parse_set("a.b=3") == ("a.b", 3)
    assert parse_set("a.b=3e1") == ("a.b", 30.0)
    assert parse_set("a.b=3 um") == ("a.b", "3 um")
    assert parse_set("a.b=[1, 2]") == ("a.b", [1, 2])
    with pytest.raises(ScenarioError, match="expected path=value"):
        parse_set("a.b")


trees = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(trees, trees)
def test_merging_is_idempotent_and_the_top_wins(base, top):
    once = merge(base, top)
    assert merge(once, top) == once
    assert merge(top, top) == top


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["fields", "states", "rules", "tissue", "grid", "shape", "virus", "unit", "transition", "kind", "x"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_data_is_a_scenario_or_a_scenario_error(data):
    import yaml

    try:
        Scenario.parse(yaml.safe_dump(data))
    except ScenarioError:
        pass


@pytest.mark.parametrize(
    ("sudden", "cause"),
    [
        ("rules: {lysis: {transition: a -> empty, rate: 1 /day, releases: {c: 1 PFU}}}", "rules.lysis.releases"),
        ("therapies: {dose: {inject: c, amount: 1 PFU}}", "therapies.dose"),
    ],
)
def test_implicit2_is_refused_where_amounts_come_at_once(tmp_path, sudden, cause):
    text = "grid: {shape: [4, 4, 4]}\nstates: {a: {}}\nfields: {c: {unit: PFU/voxel, solver: implicit2}}\n"
    assert Scenario.load(write(tmp_path, text)).document.fields["c"].solver == "implicit2"
    with pytest.raises(ScenarioError, match=f"fields.c.solver: found implicit2.*{cause}.*expected auto"):
        Scenario.load(write(tmp_path, text + sudden))
