"""Where the numbers of a scenario come from: checks, merging, and the shipped files."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gpusim import Scenario, ScenarioError
from gpusim.record import provenance
from gpusim.scenario import library, numbers, presets, references, sources
from gpusim.scenario.reading import read_file

TEXT = """
grid: {shape: [4, 4, 4]}
fields:
  virus: {unit: PFU/voxel, diffusion: 2 um^2/min, initial: 3}
states:
  tumour: {uptake: {virus: 0.1 /min}}
  infected: {}
rules:
  infection: {transition: tumour -> infected, rate: 1/(6 hour), modulators: [{field: virus, half: 10 PFU/voxel}]}
  reinfection: {transition: infected -> tumour, rate: 1/(6 hour)}
sources:
  rules.infection.rate: {kind: measured, range: 2 to 12 hour, reference: breart2008}
  rules.reinfection.rate: {equals: rules.infection.rate}
  states.tumour.uptake.virus: {kind: assumed, range: 0.01 to 1 /min, note: as of others}
"""
ASSUMED = {"kind": "assumed", "range": "1 to 8 um^2/min", "note": "between water and gel"}
FILES = {name: path for kind in ({"": presets()} | library()).values() for name, path in kind.items()}


def stated(scenario):
    return {number.path: number for number in scenario.numbers}


def test_a_number_is_found_by_the_path_that_sets_it():
    scenario = Scenario.parse(TEXT)
    found = stated(scenario)
    assert {path: number.kind for path, number in found.items()} == {
        "fields.virus.diffusion": None,
        "fields.virus.initial": None,
        "states.tumour.uptake.virus.rate": "assumed",
        "rules.infection.rate": "measured",
        "rules.infection.modulators[0].half": None,
        "rules.reinfection.rate": "measured",
    }
    for path, number in found.items():
        assert scenario.overridden({path: number.value}).document.model_copy(
            update={"sources": {}}
        ) == scenario.document.model_copy(update={"sources": {}})


def test_a_range_of_times_is_one_of_rates():
    assert stated(Scenario.parse(TEXT))["rules.infection.rate"].range == pytest.approx((0.5, 3))  # 12 h and 2 h
    low, high = stated(Scenario.parse(TEXT))["states.tumour.uptake.virus.rate"].range
    assert (low, high) == pytest.approx((0.1, 10))


@pytest.mark.parametrize(
    ("path", "source", "message"),
    [
        ("fields.virus.difusion", ASSUMED, "names no number of the scenario; did you mean 'fields.virus.diffusion'?"),
        ("fields.virus.unit", ASSUMED, "names no number of the scenario"),
        ("rules.infection.modulators[1].half", ASSUMED, "did you mean 'rules.infection.modulators[0].half'?"),
        ("fields.virus.diffusion", ASSUMED | {"range": "3 to 8 um^2/min"}, "does not contain the number, 2 um^2/min"),
        ("fields.virus.diffusion", ASSUMED | {"range": "1 to 8 um"}, "expected a range in a unit of the number"),
        ("fields.virus.diffusion", ASSUMED | {"range": "1 to 8"}, "expected a range in a unit of the number"),
        ("fields.virus.diffusion", ASSUMED | {"range": "1 to 8 umm"}, "the unit 'umm' of the range is not"),
        ("fields.virus.diffusion", ASSUMED | {"range": "8 to 1 um^2/min"}, "expected the lower limit first"),
        ("fields.virus.diffusion", ASSUMED | {"range": "[1, 8]"}, "expected a range such as '2 to 12 hour'"),
        ("fields.virus.initial", ASSUMED | {"range": "1 to 8 PFU/voxel"}, "expected a range without a unit"),
        (
            "fields.virus.diffusion",
            {"kind": "assumed", "note": "so"},
            "assumed needs a 'range', such as '2 to 12 hour'",
        ),
        ("fields.virus.diffusion", {"kind": "assumed", "range": "1 to 8 um^2/min"}, "with the reason for its range"),
        ("fields.virus.diffusion", {"kind": "derived", "range": "1 to 8 um^2/min"}, "'note' with the formula"),
        ("fields.virus.diffusion", {"kind": "fitted", "range": "1 to 8 um^2/min"}, "'note' with the data"),
        ("fields.virus.diffusion", {"kind": "measured", "range": "1 to 8 um^2/min"}, "measured needs a 'reference'"),
        ("fields.virus.diffusion", {"kind": "guessed", "range": "1 to 8 um^2/min"}, "'measured', 'fitted'"),
        ("fields.virus.diffusion", {}, "expected a 'kind' (measured, fitted, derived, assumed)"),
        ("fields.virus.diffusion", ASSUMED | {"reference": "brear2008"}, "'brear2008'; did you mean 'breart2008'?"),
        ("fields.virus.diffusion", ASSUMED | {"doi": "10.1/2"}, "unknown key"),
        ("rules.reinfection.rate", {"equals": "rules.infektion.rate"}, "did you mean 'rules.infection.rate'?"),
        ("rules.reinfection.rate", {"equals": "fields.virus.initial"}, "'fields.virus.initial' has no source"),
        ("rules.reinfection.rate", {"equals": "rules.infection.rate", "note": "x"}, "'equals' stands alone"),
        ("states.tumour.uptake.virus", {"equals": "rules.infection.rate"}, "the number is 0.1 /min, but"),
    ],
)
def test_a_source_that_cannot_be_is_one_line(path, source, message):
    data = yaml.safe_load(TEXT)
    data["sources"][path] = source
    with pytest.raises(ScenarioError) as caught:
        Scenario.parse(yaml.safe_dump(data))
    (line,) = str(caught.value).splitlines()
    assert line.startswith("text:")
    assert f"sources.{path}" in line
    assert message in line


@pytest.mark.parametrize("sources", ["3", "[a]", "{1: {kind: assumed}}", "{rules.infection.rate: 3}"])
def test_what_is_no_list_of_sources_is_one_line(sources, tmp_path):
    base, top = tmp_path / "base.yaml", tmp_path / "top.yaml"
    base.write_text(TEXT)
    top.write_text(f"extends: base.yaml\nrules: {{infection: {{rate: 1 /day}}}}\nsources: {sources}\n")
    with pytest.raises(ScenarioError, match=r"top\.yaml:3: sources"):
        Scenario.load(top)


def test_the_key_of_former_versions_is_explained():
    with pytest.raises(
        ScenarioError, match=r"rules\.infection\.source: unknown key; sources of numbers are given under"
    ):
        Scenario.parse(TEXT.replace("rate: 1/(6 hour),", "rate: 1/(6 hour), source: assumed,"))


def test_a_doi_is_a_reference():
    source = ASSUMED | {"reference": ["breart2008", "10.1016/j.virol.2011.12.005"]}
    found = stated(Scenario.parse(TEXT).with_(sources={"fields.virus.diffusion": source}))
    assert found["fields.virus.diffusion"].source.reference[1] == "10.1016/j.virol.2011.12.005"


def top_of(text, tmp_path):
    (tmp_path / "base.yaml").write_text(TEXT)
    (tmp_path / "top.yaml").write_text("extends: base.yaml\n" + text)
    return stated(Scenario.load(tmp_path / "top.yaml"))


def test_a_number_written_anew_does_not_keep_the_source_of_the_former_one(tmp_path):
    found = top_of("rules: {infection: {rate: 1 /day}}", tmp_path)
    assert found["rules.infection.rate"].source is None
    # What was said to equal it keeps its value, and the source.
    assert (found["rules.reinfection.rate"].kind, found["rules.reinfection.rate"].equals) == ("measured", None)


@pytest.mark.parametrize(
    "text",
    [
        "states: {tumour: {uptake: {virus: 0.1 /min}}}",
        "states: {tumour: {uptake: {virus: {rate: 0.1 /min}}}}",
    ],
)
def test_it_does_not_even_if_it_is_the_same(text, tmp_path):
    assert top_of(text, tmp_path)["states.tumour.uptake.virus.rate"].source is None


def test_a_number_left_alone_keeps_its_source_and_may_get_another(tmp_path):
    modulated = "states: {tumour: {uptake: {virus: {rate: 0.1 /min, modulators: [{field: virus, half: 1}]}}}}"
    assert top_of("rules: {infection: {after: 1 hour}}", tmp_path)["rules.infection.rate"].kind == "measured"
    assert top_of(modulated, tmp_path)["states.tumour.uptake.virus.rate"].source is None
    better = "sources: {rules.infection.rate: {kind: fitted, range: 3 to 9 hour, note: to our wells}}"
    found = top_of(better, tmp_path)
    assert [found[f"rules.{rule}.rate"].kind for rule in ("infection", "reinfection")] == ["fitted", "fitted"]
    assert top_of("sources: {rules.reinfection.rate: }", tmp_path)["rules.reinfection.rate"].kind is None
    assert {number.kind for number in top_of("sources:", tmp_path).values()} == {None}


def test_changed_values_and_arms_take_the_source_away():
    scenario = Scenario.parse(TEXT)
    assert stated(scenario.overridden({"rules.infection.rate": "1 /day"}))["rules.infection.rate"].kind is None
    assert stated(scenario.overridden({"rules.infection": None})).keys() == {
        "fields.virus.diffusion",
        "fields.virus.initial",
        "states.tumour.uptake.virus.rate",
        "rules.reinfection.rate",
    }
    assert stated(scenario.with_(rules={"infection": {"rate": "1 /day"}}))["rules.infection.rate"].kind is None
    assert stated(scenario.with_(rules=None)).keys() >= {"fields.virus.diffusion"}


def test_the_tissue_of_a_site_has_the_source_of_the_scenario_s_unless_it_is_its_own():
    shapes = {"ball": {"kind": "everywhere", "state": "tumour", "fraction": 0.5}}
    source = {"kind": "assumed", "range": "0.2 to 0.8", "note": "half of it"}
    scenario = Scenario.parse(TEXT).with_(
        tissue={"shapes": shapes},
        sites={"a": {}, "b": {}, "c": {"tissue": {"shapes": {"ball": {"fraction": 0.1}}}}},
        sources={"tissue.shapes.ball.fraction": source},
    )
    found = {site: stated(scenario)[f"sites.{site}.tissue.shapes.ball.fraction"] for site in "abc"}
    assert {site: (number.kind, number.equals) for site, number in found.items()} == {
        "a": ("assumed", None),
        "b": ("assumed", "sites.a.tissue.shapes.ball.fraction"),
        "c": (None, None),
    }
    assert Scenario.parse(scenario.to_yaml()) == scenario
    assert scenario.site("b").document.sources == {}


def test_no_outcome_depends_on_a_source():
    scenario = Scenario.parse(TEXT)
    other = scenario.with_(sources={"fields.virus.diffusion": ASSUMED})
    assert provenance.key(other.data) == provenance.key(scenario.data)
    assert provenance.Provenance.of(other).digest == provenance.Provenance.of(scenario).digest


PATHS = st.lists(st.sampled_from(["a", "b", "rate"]), min_size=1, max_size=4).map(".".join)


@given(st.dictionaries(PATHS, st.just({"kind": "assumed"}), max_size=5), PATHS)
def test_what_is_written_takes_away_what_is_at_or_below_it(stated, path):
    kept = sources.without(stated, [path])
    assert all(kept[key] == stated[key] for key in kept)
    assert not any(f"{key}.".startswith(f"{path}.") for key in kept)
    gone = stated.keys() - kept.keys()
    assert all(f"{key}.".startswith(f"{path}.") or f"{key}.rate" == path for key in gone)


# The shipped files


@pytest.mark.parametrize("name", FILES)
def test_every_number_of_a_shipped_file_has_a_source_in_this_file(name):
    found = numbers.of(read_file(FILES[name]).data)
    missing = [f"{number.path}: {number.value}" for number in found if number.source is None]
    assert not missing, f"{name}: numbers without a source: {missing}"


@pytest.mark.parametrize("name", FILES)
def test_equal_numbers_are_of_one_file(name):
    """So that no part between the two changes one of them."""
    data = read_file(FILES[name]).data
    every = numbers.quantities(data)
    for path, source in data.get("sources", {}).items():
        assert source.get("equals", path) in every, f"{name}: {path}"


def test_no_number_of_a_shipped_scenario_loses_its_source_by_merging():
    for name in presets():
        assert [number.path for number in Scenario.load(name).numbers if number.source is None] == [], name


@pytest.mark.parametrize("part", [part for kind, parts in library().items() if kind != "tumours" for part in parts])
def test_no_number_loses_its_source_where_a_part_extends_a_tumour(part, tmp_path):
    virus = ["hsv1"] if part in (*library()["therapies"], "shedding") else []
    for tumour in ("glioblastoma-sparse", "pancreatic"):
        parts = [tumour, *virus, part]
        (tmp_path / "own.yaml").write_text(f"extends: [{', '.join(parts)}]\ntime: {{until: 60 day}}\n")
        found = Scenario.load(tmp_path / "own.yaml").numbers
        assert [number.path for number in found if number.source is None] == [], parts


@pytest.mark.parametrize("tumour", library()["tumours"])
def test_a_tumour_with_a_setting_a_virus_and_a_therapy_has_all_sources(tumour, tmp_path):
    (tmp_path / "own.yaml").write_text(f"extends: [{tumour}, excluded, adenovirus, intravenous]\n")
    assert [number.path for number in Scenario.load(tmp_path / "own.yaml").numbers if number.source is None] == []


def test_a_weight_written_alone_is_a_number():
    chemotaxis = "chemotaxis: {along: {drug: -2}, bias: 0.5}"
    text = f"""
        grid: {{shape: [4, 4, 4]}}
        fields: {{drug: {{unit: ng/mL}}}}
        states: {{t: {{layer: immune, motility: {{speed: 1 um/min, persistence: 1 min, {chemotaxis}}}}}}}"""
    paths = {path: value for path, value in numbers.quantities(yaml.safe_load(text)).items() if "chemotaxis" in path}
    start = "states.t.motility.chemotaxis"
    assert paths == {f"{start}.along.drug": -2, f"{start}.bias": 0.5}


def test_every_reference_is_cited_and_has_an_address_or_a_place():
    cited = {
        key
        for path in FILES.values()
        for number in numbers.of(read_file(path).data)
        if number.source
        for key in number.source.reference
    }
    assert cited == references.known().keys()
    for key, work in references.known().items():
        assert {"title", "container-title", "note"} & work.keys(), key
        assert references.is_doi(work["DOI"]) if "DOI" in work else {"URL", "container-title", "note"} & work.keys(), (
            key
        )
        assert references.cited(key), key


def test_the_references_are_csl_json():
    text = json.dumps([dict(work) for work in references.known().values()])
    types = {"article-journal", "software", "webpage", "dataset", "book", "chapter"}
    assert {work["type"] for work in json.loads(text)} <= types
