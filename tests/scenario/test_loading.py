import textwrap

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gpusim import Scenario, ScenarioError
from gpusim.scenario.loading import merge, override, parse_set, validated
from gpusim.scenario.reading import as_line, as_text, read_text, read_value

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
        ("fields.virus.boundary", {"x_low": "periodic"}, "periodic applies to both sides of an axis: 'x: periodic'"),
        ("fields.virus.boundary", {"w": "periodic"}, "fields.virus.boundary.w: unknown key"),
        ("fields.virus.boundary", {"all": "open"}, "fields.virus.boundary.all"),
        ("fields.virus.boundary", {"all": {"value": "3 ng/mL"}}, "fields.virus.boundary.all.value: expected"),
        ("fields.virus.boundary", {"all": {"far": 3}}, "expected no-flux, periodic, a 'value', or a 'permeability'"),
        ("fields.virus.boundary", {"z": {"permeability": "3 um/min", "value": 1}}, "expected no-flux, periodic"),
        ("fields.virus.difusion", "1 um^2/min", "fields.virus.difusion: unknown key; did you mean 'diffusion'?"),
        (
            "fields.virus.decay",
            "3 um",
            "fields.virus.decay: expected a quantity in '1/min' or a convertible unit, found '3 um'",
        ),
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
        ("reactions", {"x": {"rate": "1 /min"}}, "reactions.x.consumes: is missing"),
        ("reactions", {"x": {"consumes": {}, "rate": "1 /min"}}, "one or two fields in 'consumes', found none; cells"),
        ("reactions", {"x": {"consumes": dict.fromkeys("abc", 1), "rate": 1}}, "found 3; write two reactions"),
        (
            "reactions",
            {"x": {"consumes": {"virus": 1}, "makes": {"virus": 2}, "rate": "1 /min"}},
            "reactions.x: 'virus' is in both 'consumes' and 'makes'; a field that is not consumed is a modulator",
        ),
        ("reactions", {"x": {"consumes": {"virus": 0}, "rate": 1}}, "a coefficient above 0 for 'virus', found 0"),
        ("reactions", {"x": {"consumes": {"virus": "0 %"}, "rate": 1}}, "above 0 for 'virus', found '0 %'"),
        ("reactions", {"x": {"consumes": {"virus": -1}, "rate": 1}}, "reactions.x.consumes.virus: expected a number"),
        ("reactions", {"x": {"consumes": {"virus": 1}, "rate": "-1 /min"}}, "reactions.x.rate: expected a quantity"),
        ("tissue.shapes", {"a": {"kind": "spere", "state": "tumour"}}, "unknown kind 'spere'; did you mean 'sphere'?"),
        ("tissue.shapes", {"a": {"kind": "sphere", "state": "tumour"}}, "tissue.shapes.a.radius: is missing"),
        ("therapies", {"a": {"inject": "virus", "amount": "3 um"}}, "therapies.a.amount: expected an amount"),
        ("grid.shape", [4, 4, 0], "grid.shape: expected three whole numbers"),
        ("grid.shape", None, "grid.shape: is missing"),
        ("grid.shape", [True, 4, 4], "grid.shape[0]: expected a whole number, found true"),
        ("seed", True, "seed: expected a whole number, found true"),
        ("rules.infection.modulators", [{"contact": "tumour", "at_zero": True}], "expected a number, found true"),
        (
            "rules.infection.modulators",
            [{"contact": "tumour", "at_zero": "1 mm"}],
            "such as 0.05 or '5 %'",
        ),
        ("fields", {"../evil": {"unit": "PFU"}}, "is not a valid name"),
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
        ("name: a\nname: b", "name: duplicate key"),
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


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(codec="utf-8", exclude_categories=["C"]))
        | st.from_regex(r"[-+]?[0-9_]*\.?[0-9]*([eE][-+]?[0-9]+)?", fullmatch=True)
        | st.sampled_from(["yes", "on", "null", "~", "<<", "=", "0x1F", "1:30", "2026-11-28", ".5", "true", ""]),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text("1e.+-null", max_size=5), inner, max_size=3)
        ),
        max_leaves=6,
    )
)
def test_what_is_written_is_read_as_the_same(value):
    assert read_value(as_line(value)) == value
    assert read_value(as_text(value)) == value
    assert yaml.safe_load(as_text(value)) == value


@pytest.mark.parametrize("name", ["1e5", "0e0", "1_000", "yes", "12"])
def test_a_name_like_a_number_survives_the_scenarios_own_yaml(name):
    scenario = Scenario.parse(f"{SMALL}\ndescription: '{name}'").with_(name=name)
    again = Scenario.parse(scenario.to_yaml()).document
    assert (again.name, again.description) == (name, name)


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
    try:
        Scenario.parse(yaml.safe_dump(data))
    except ScenarioError:
        pass


def lines(path, overrides=None):
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(path, overrides)
    return str(caught.value).splitlines()


def test_a_list_of_extends_is_laid_one_over_the_other(tmp_path):
    write(tmp_path, SMALL, "base.yaml")
    (tmp_path / "parts").mkdir()
    write(tmp_path / "parts", "seed: 1\ngrid: {spacing: 10 um}\nstates: {ctl: {layer: immune}}", "first.yaml")
    write(tmp_path / "parts", "extends: first.yaml\nseed: 2\n", "second.yaml")
    path = write(tmp_path, "extends: [base.yaml, parts/second.yaml]\nname: top\ngrid: {shape: [2, 3, 4]}")
    document = Scenario.load(path).document
    assert (document.name, document.seed) == ("top", 2)
    assert (document.grid.spacing, document.grid.shape) == ("10 um", (2, 3, 4))
    assert list(document.states) == ["tumour", "infected", "ctl"]


@pytest.mark.parametrize(
    ("extends", "message"),
    [
        ("nowhere.yaml", "a.yaml:2: extends: nowhere.yaml: no such file"),
        ("cold-to-hott", "a.yaml:2: extends: cold-to-hott: neither a shipped scenario nor a file; did you mean"),
        ("3", "a.yaml:2: extends: expected a name, a file or a list of them"),
        ("[base.yaml, 3]", "a.yaml:2: extends: expected a name, a file or a list of them"),
        ("{base.yaml: 1}", "a.yaml:2: extends: expected a name, a file or a list of them"),
    ],
)
def test_an_extends_that_leads_nowhere_is_named_with_its_line(tmp_path, extends, message):
    write(tmp_path, SMALL, "base.yaml")
    (line,) = lines(write(tmp_path, f"name: a\nextends: {extends}\n"))
    assert line.startswith(f"{tmp_path}/{message}")


def test_a_circle_of_extends_is_told_file_by_file(tmp_path):
    for name, base in (("a", "b"), ("b", "c"), ("c", "b")):
        write(tmp_path, f"extends: {base}.yaml", f"{name}.yaml")
    (line,) = lines(tmp_path / "a.yaml")
    assert line.endswith("b.yaml: 'extends' leads back to itself: a.yaml -> b.yaml -> c.yaml -> b.yaml")


def test_forty_files_may_extend_one_another(tmp_path):
    write(tmp_path, SMALL, "0.yaml")
    for i in range(1, 41):
        write(tmp_path, f"extends: {i - 1}.yaml", f"{i}.yaml")
    assert Scenario.load(tmp_path / "39.yaml").document.name == "small"
    (line,) = lines(tmp_path / "40.yaml")
    assert line.endswith("0.yaml: 'extends' leads to more than 40 files")


def test_a_file_needs_no_ending_and_a_home_is_expanded(tmp_path, monkeypatch):
    write(tmp_path, SMALL, "mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Scenario.load("~/mine").document.name == "small"
    assert lines("~/none.yml") == ["~/none.yml: no such file"]


@pytest.mark.parametrize("part", ["tissue: {TABLE}", "sites: {a: {tissue: {TABLE}}, b: {grid: {shape: [2, 2, 2]}}}"])
def test_a_table_is_sought_beside_the_file_that_names_it(tmp_path, monkeypatch, part):
    (tmp_path / "deep").mkdir()
    table = "cells: core.csv, types: [{state: tumour}], image: {file: ../mask.nii, labels: {1: tumour}}"
    write(tmp_path / "deep", SMALL + part.replace("TABLE", table), "base.yaml")
    path = write(tmp_path, "extends: deep/base.yaml")
    monkeypatch.chdir(tmp_path)
    document = Scenario.load(path).document
    tissue = document.sites["a"].tissue if document.sites else document.tissue
    assert (tissue.cells, tissue.image.file) == (f"{tmp_path}/deep/core.csv", f"{tmp_path}/deep/../mask.nii")
    if not document.sites:
        assert Scenario.load(path, {"tissue.cells": "other.csv"}).document.tissue.cells == "other.csv"


def test_an_override_makes_what_is_not_there_and_changes_what_is():
    overrides = {
        "rules.infection.modulators[0].half": 3,
        "rules.lysis.transition": "infected -> empty",
        "rules.lysis.rate": "1 /day",
        "fields.virus.decay": "1 /day",
        "grid.shape[1]": 7,
        "heat": None,
        "rules.infection.releases": None,
    }
    read = read_text(SMALL, "text")
    for key, value in overrides.items():
        override(read, key, value)
    document = Scenario(validated(read, "text")).document
    assert document.rules["infection"].modulators[0].half == 3
    assert document.rules["lysis"].enters == "empty"
    assert document.fields["virus"].decay == "1 /day"
    assert document.grid.shape == (4, 7, 4)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("grid.shape[3]", "--set grid.shape[3]: there is no item [3] (a list of 3 items)"),
        ("grid.shape[9]", "--set grid.shape[9]: there is no item [9] (a list of 3 items)"),
        ("fields[0]", "--set fields[0]: there is no item [0] (not a list)"),
        ("fields[0].virus", "--set fields[0].virus: there is no item [0] (not a list)"),
        ("rules.infection.modulators[1].half", "--set rules.infection.modulators[1].half: there is no item [1] (a"),
        ("new[0]", "--set new[0]: there is no item [0] (a list of 0 items)"),
        ("name.first", "--set name.first: name has no keys"),
        ("name.first.second", "--set name.first.second: name has no keys"),
        ("grid.shape.x", "--set grid.shape.x: grid.shape has no keys"),
        ("grid..shape", "--set grid..shape: expected a path such as 'fields.virus.decay'"),
        ("grid.shape[x]", "--set grid.shape[x]: expected a path such as 'fields.virus.decay'"),
        ("", "--set : expected a path such as 'fields.virus.decay'"),
    ],
)  # fmt: skip
def test_an_override_that_leads_nowhere_is_named(tmp_path, key, message):
    (line,) = lines(write(tmp_path, SMALL), {key: 1})
    assert line.startswith(message)


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("fields.virus.decay", "3", "a.yaml:5: fields.virus.decay: expected a quantity with its unit"),
        ("rules.infection.modulators", "[{half: 1}]", "a.yaml:13: rules.infection.modulators[0]: expected exactly one"),
        ("grid.shape", "[4, 4]", "a.yaml:3: grid.shape[2]: is missing"),
        ("grid.shape", "[4, 4, a]", "a.yaml:3: grid.shape[2]: input should be a valid integer"),
        ("grid.shape", "3", "a.yaml:3: grid.shape: expected a list, found 3"),
        ("states.tumour.layer", "skin", "a.yaml:7: states.tumour.layer: input should be 'tissue' or 'immune', fo"),
        ("states.tumour.layer", "{a: 1}", "a.yaml:7: states.tumour.layer: input should be 'tissue' or 'immune', fo"),
        ("tissue.shapes", "{a: {state: tumour}}", "tissue.shapes.a: expected a 'kind', one of everywhere, sphere, box"),
        ("tissue.shapes", "{a: {kind: x}}", "tissue.shapes.a: unknown kind 'x' (known: everywhere, sphere"),
        ("tissue.shapes", "{a: {kind: box, state: tumour, lower: x}}", "tissue.shapes.a.lower: expected a list, fo"),
        ("tissue.shapes", "{a: {kind: sphere, state: tumour, raduis: 1 um}}", "tissue.shapes.a.radius: is missing"),
        ("seed", "-1", "seed: input should be greater than or equal to 0, found -1"),
        ("heat", "{tumor: tumour}", "heat.tumour: is missing"),
        ("name", ".x", "a.yaml:2: name: '.x' is not a valid title: at most 80 letters"),
        ("states.tumour cell", "{}", "a.yaml:6: states.tumour cell: 'tumour cell' is not a valid name"),
        ("trial", "{arms: {a/b: {}}, outcomes: {x: {count: tumour}}}", "trial.arms.a/b: 'a/b' is not a valid title"),
        ("trial", "{arms: {a: {}}, outcomes: {'1': {count: tumour}}}", "trial.outcomes.1: '1' is not a valid name"),
    ],
)  # fmt: skip
def test_what_the_schema_finds_is_told_in_words_at_its_line(tmp_path, key, value, line):
    read = read_text(SMALL, "a.yaml")
    places = dict(read.places)
    override(read, key, yaml.safe_load(value) if value else None)
    read.places = places  # as if it had been written in the file
    with pytest.raises(ScenarioError) as caught:
        validated(read, "a.yaml")
    first = str(caught.value).splitlines()[0]
    assert first.startswith(line if line.startswith("a.yaml") else f"a.yaml: {line}")


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("unit: PFU/voxel, ", "a.yaml:5: fields.virus.unit: is missing"),
        ("    rate: 0.002 /min\n", "a.yaml:10: rules.infection.rate: is missing"),
        ("field: virus, ", "a.yaml:13: rules.infection.modulators[0]: expected exactly one of 'field', 'neighbours'"),
    ],
)
def test_what_is_missing_is_told_where_it_belongs(tmp_path, written, line):
    assert written in SMALL
    (found,) = lines(write(tmp_path, SMALL.replace(written, "")))
    assert found.startswith(f"{tmp_path}/{line}")


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [
        ("fields.virus.difusion", "unknown key; did you mean 'diffusion'?"),
        ("grid.x", "unknown key (known: spacing, shape, sides)"),
        ("rules.infection.modulators[0].haf", "unknown key; did you mean 'half'?"),
        ("fields.virus.clearance.trap.raet", "unknown key; did you mean 'rate'?"),
        ("fields.virus.boundary.x.permeabilty", "unknown key; did you mean 'permeability'?"),
        ("rules.infection.half", "unknown key (it is one of a modulator: rules.infection.modulators[0].half)"),
        ("reactions.x.consumers", "unknown key; did you mean 'consumes'?"),
        ("tissue.shapes.a.raduis", "unknown key; did you mean 'radius'?"),
        ("therapies.dose.ammount", "unknown key; did you mean 'amount'?"),
        ("record.checkpoints.kep", "unknown key; did you mean 'keep'?"),
    ],
)
def test_an_unknown_key_gets_the_nearest_of_its_place(tmp_path, key, suggestion):
    shapes = {"tissue.shapes.a": {"kind": "sphere", "state": "tumour", "radius": "9 um"}}
    found = lines(write(tmp_path, SMALL), {**shapes, key: 1})
    assert [line for line in found if "unknown key" in line] == [f"--set: {key}: {suggestion}"]


def test_twenty_problems_are_shown_each_at_a_bounded_length(tmp_path):
    fields = "".join(f"  f{i}: {{unit: x{i}}}\n" for i in range(21))
    found = lines(write(tmp_path, f"grid: {{shape: [1, 1, 1]}}\nfields:\n{fields}"))
    assert len(found) == 21
    assert [line.split(": ")[1] for line in found[:20]] == [f"fields.f{i}.unit" for i in range(20)]
    assert found[20] == "and 1 more"
    path = write(tmp_path, SMALL)
    assert len(lines(path, {"fields": {f"f{i}": {"unit": "x"} for i in range(20)}})) == 20
    (long,) = lines(path, {"rules.infection.transition": "a" * 2000})
    assert (len(long), long[-3:]) == (403, "...")


@pytest.mark.parametrize("key", ["fields", "reactions", "states", "rules"])
def test_two_hundred_of_a_kind_are_taken(key):
    entries = {
        "fields": {"unit": "mmHg"},
        "reactions": {"consumes": {"a": 1}, "rate": "1 /min"},
        "states": {},
        "rules": {"transition": "tumour -> infected", "rate": "1 /min"},
    }
    many = {f"n{i}": entries[key] for i in range(201)}
    small = Scenario.parse("grid: {shape: [1, 1, 1]}\nfields: {a: {unit: mmHg}}\nstates: {tumour: {}, infected: {}}")
    with pytest.raises(ScenarioError, match=f"{key}: expected at most 200 entries, found 20[1-3]"):
        small.with_(**{key: many})
    del many["n0"], many["n1"], many["n2"]
    small.with_(**{key: many})


def test_sites_share_the_head_of_the_scenario_and_lay_their_own_over_it():
    text = (
        SMALL
        + "tissue: {background: tumour}\nsites: {a: null, b: {grid: {spacing: 9 um}, tissue: {background: infected}}}"
    )
    document = Scenario.parse(text).document
    a, b = document.sites["a"], document.sites["b"]
    assert (a.grid.spacing, a.grid.shape, a.tissue.background) == ("20 um", (4, 4, 4), "tumour")
    assert (b.grid.spacing, b.grid.shape, b.tissue.background) == ("9 um", (4, 4, 4), "infected")
    assert (document.grid.shape, document.tissue.background) == (None, "empty")


def test_a_text_becomes_a_path_and_a_value():
    assert parse_set(" a.b = x=y ") == ("a.b", "x=y")


@pytest.mark.parametrize(
    ("sudden", "cause"),
    [
        ("rules: {lysis: {transition: a -> empty, rate: 1 /day, releases: {c: 1 PFU}}}", "rules.lysis.releases"),
        ("therapies: {dose: {inject: c, amount: 1 PFU}}", "therapies.dose"),
    ],
)
@pytest.mark.parametrize(("solver", "why"), [("implicit2", "does not conserve the mass"), ("steady", "discards")])
def test_solvers_for_smooth_fields_are_refused_where_amounts_come_at_once(tmp_path, sudden, cause, solver, why):
    text = f"grid: {{shape: [4, 4, 4]}}\nstates: {{a: {{}}}}\nfields: {{c: {{unit: PFU/voxel, solver: {solver}}}}}\n"
    assert Scenario.load(write(tmp_path, text)).document.fields["c"].solver == solver
    with pytest.raises(ScenarioError, match=f"fields.c.solver: found {solver}, .*{why}.*{cause}.*expected auto"):
        Scenario.load(write(tmp_path, text + sudden))


def test_set_changes_single_values_of_the_files_below(tmp_path):
    """The rest of a list, and the sources of its other numbers, stay."""
    write(
        tmp_path, SMALL + "sources: {rules.infection.rate: {kind: assumed, range: 0.001 to 0.01 /min, note: a guess}}"
    )
    path = write(
        tmp_path,
        """
        extends: a.yaml
        set:
          rules.infection.modulators[0].half: 20
          fields.virus.diffusion: 3 um^2/min
        sources:
          rules.infection.modulators[0].half: {kind: assumed, range: 5 to 50, note: another guess}
        """,
        "b.yaml",
    )
    scenario = Scenario.load(path)
    assert scenario.document.rules["infection"].modulators[0].field == "virus"
    assert scenario.document.rules["infection"].modulators[0].half == 20
    assert scenario.document.fields["virus"].diffusion == {"default": "3 um^2/min"}
    sourced = {number.path: number.source is not None for number in scenario.numbers}
    assert sourced["rules.infection.rate"]
    assert sourced["rules.infection.modulators[0].half"]
    assert not sourced["fields.virus.diffusion"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: a.yaml\nset:\n  rules.infection.modulators[3].half: 2\n", r"b.yaml:3: set .*there is no item \[3\]"),
        ("extends: a.yaml\nset: {rules.infection.rat: 2 /min}\n", r"b.yaml:2: set: rules.infection.rat: unknown key"),
        ("extends: a.yaml\nset: {fields.virsu: null}\n", "there is no such key to remove; did you mean 'virus'"),
        ("extends: a.yaml\nset: [1]\n", "b.yaml:2: set: expected values by path"),
        ("set: {fields.virus.decay: 0 /min}\n", "b.yaml:1: set: .*of which there are none"),
        (
            "extends: a.yaml\nset: {rules.infection.rate: 1 /min}\nrules: {infection: {rate: 2 /min}}\n",
            "b.yaml:2: set rules.infection.rate: has no effect",
        ),
        (
            "extends: a.yaml\nset: {'rules.infection.modulators[0].half': 1}\nrules: {infection: {modulators: []}}\n",
            r"b.yaml:2: set rules.infection.modulators\[0\].half: has no effect",
        ),
    ],
)
def test_a_set_that_goes_wrong_names_its_line(tmp_path, text, message):
    write(tmp_path, SMALL)
    with pytest.raises(ScenarioError, match=message):
        Scenario.load(write(tmp_path, text, "b.yaml"))
