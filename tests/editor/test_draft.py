import asyncio

import pytest

from gpusim.cli.edit import _findings
from gpusim.editor.draft import Draft
from gpusim.errors import ResultError, ScenarioError
from gpusim.scenario import Scenario

TEXT = """\
extends: random-walk  # walkers
grid: {shape: [24, 8, 8]}
tissue: {shapes: {walkers: {lower: [80 um, 0 um, 0 um], upper: [160 um, 80 um, 80 um]}}}
"""


@pytest.fixture
def draft(tmp_path):
    return Draft(tmp_path / "own.yaml", TEXT, _findings)


def test_a_valid_draft_has_facts_a_graph_and_no_problem(draft):
    view = draft.view()
    assert view["problems"] == []
    assert "24 x 8 x 8 voxels of 10 um" in view["facts"]
    assert [node["name"] for node in view["graph"]["nodes"]] == ["walker"]
    assert view["places"]['["states","walker"]'].startswith("random-walk:")
    assert view["small"] == {"time.until": "1 hour", "grid.shape": "[24, 8, 8]"}


def test_a_problem_has_the_path_the_line_and_the_words_of_the_check(draft, tmp_path):
    draft.put(("states", "walker", "motility", "speed"), "8 mol")
    (problem,) = draft.view()["problems"]
    assert problem["path"] == ["states", "walker", "motility", "speed"]
    assert draft.text.splitlines()[problem["line"] - 1].strip() == "motility: {speed: 8 mol}"
    file = tmp_path / "own.yaml"
    file.write_text(draft.text)
    with pytest.raises(ScenarioError) as told:
        Scenario.load(file)
    assert str(told.value) == f"{file}:{problem['line']}: states.walker.motility.speed: {problem['message']}"


def test_a_change_of_an_item_of_an_inherited_list_writes_the_list_out(draft):
    draft.put(("tissue", "shapes", "walkers", "upper", 0), "200 um")
    assert "upper: [200 um, 80 um, 80 um]" in draft.text
    (file := draft.file).write_text(draft.text.replace("[24, 8, 8]", "[32, 8, 8]"))
    child = Draft(file.with_name("child.yaml"), "extends: own.yaml\n", _findings)
    child.put(("grid", "shape", 1), "10")
    assert child.text == "extends: own.yaml\ngrid: {shape: [32, 10, 8]}\n"


def test_what_the_library_has_is_removed_by_a_blank(draft):
    draft.remove(("states", "walker", "motility", "persistence"))
    motility = Scenario.draft(draft.text, draft.file).document.states["walker"].motility
    assert "persistence" not in motility.model_fields_set
    draft.undo()
    assert draft.text == TEXT


def test_saving_does_not_overwrite_what_another_program_wrote(draft):
    draft.save()
    assert draft.file.read_text() == TEXT
    draft.file.write_text("seed: 3\n")
    draft.put(("seed",), "7")
    with pytest.raises(ResultError, match="has changed on the disk"):
        draft.save()
    assert draft.file.read_text() == "seed: 3\n"


def test_a_text_that_is_no_yaml_is_a_problem_with_its_line(draft):
    draft.write("seed: 1\nrules: {\n")
    (problem,) = draft.view()["problems"]
    assert problem["line"] == 3
    assert problem["message"].startswith("not YAML")
    with pytest.raises(ScenarioError):
        draft.put(("seed",), "2")


def test_only_the_browser_with_the_secret_changes_a_draft(draft):
    test_utils = pytest.importorskip("aiohttp.test_utils", reason="trame is not installed")
    from gpusim.editor.server import Editor
    from gpusim.viz.access import Access

    access = Access("127.0.0.1", "gpusim edit")

    async def answers():
        change = {"path": ["seed"], "value": "7"}
        async with test_utils.TestClient(test_utils.TestServer(Editor(draft).application(access))) as client:
            yield await client.post("/api/put", json=change)
            yield await client.get("/page/editor.js")
            secret = {"secret": access.token}
            strange = {"Origin": "http://example.org"}
            yield await client.post("/api/put", params=secret, json=change, headers=strange)
            assert draft.text == TEXT
            yield await client.post("/api/put", params=secret, json={"path": 3})
            yield await client.post("/api/put", params=secret, json=change)

    async def statuses():
        return [answer.status async for answer in answers()]

    assert asyncio.run(statuses()) == [403, 403, 403, 400, 200]
    assert "seed: 7\n" in draft.text
