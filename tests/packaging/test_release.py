import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
import release
import trove_classifiers
import yaml

import gpusim

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return release.build(tmp_path_factory.mktemp("wheel"))


@pytest.mark.slow
def test_a_wheel_carries_all_that_runs_and_says_what_it_is(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        head = HeaderParser().parsestr(archive.read(metadata).decode())
    assert len(names) == len(set(names))
    for wanted in (
        "gpusim/kernels/transport.cu",
        "gpusim/kernels/host/machine.hpp",
        "gpusim/kernels/gpu/columns.cuh",
        "gpusim/presets/cold-to-hot.yaml",
        "gpusim/presets/library/viruses/hsv1.yaml",
        "gpusim/viz/scene.py",
        "gpusim/py.typed",
    ):
        assert wanted in names
    assert not [name for name in names if not name.startswith("gpusim")]
    assert head["Version"] == gpusim.__version__
    assert head["License-Expression"] == "MIT"
    assert head["License-File"] == "LICENSE"
    assert {"viz", "cuda12", "cuda13", "formats", "docs"} <= set(head.get_all("Provides-Extra"))
    assert set(head.get_all("Classifier")) <= trove_classifiers.classifiers


@pytest.mark.slow
def test_the_main_scenario_runs_from_the_wheel_in_an_empty_environment(wheel, tmp_path):
    programs = release.install(tmp_path / "environment", wheel)
    found = release.run(programs, tmp_path, "--backend", "numpy", "--no-picture")
    changes = {"grid.shape": [24, 24, 24], "tissue.shapes.tumour.radius": "150 um"}
    with gpusim.Simulation(gpusim.Scenario.load("cold-to-hot", changes), "numpy") as simulation:
        simulation.run(until="1 h")
        assert simulation.digest() == found


@pytest.mark.slow
def test_the_source_archive_builds_the_same_wheel(wheel, tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        # As an attribute, since `extractall` takes no `filter` before Python 3.11.4.
        packed.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
        packed.extractall(tmp_path / "source")
    (source,) = (tmp_path / "source").iterdir()
    for name in ("mkdocs.yml", "docs/index.md", "tests/conftest.py", "CITATION.cff", "CHANGELOG.md"):
        assert (source / name).is_file()
    (tmp_path / "wheel").mkdir()
    again = release.build(tmp_path / "wheel", source)
    names = [sorted(zipfile.ZipFile(path).namelist()) for path in (wheel, again)]
    assert names[0] == names[1]


def test_the_citation_names_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == gpusim.__version__
    assert citation["license"] == "MIT"


def test_issue_forms_ask_with_their_own_names():
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.stem != "config":
            assert {"name", "description", "body"} <= set(form)
            names = [part["id"] for part in form["body"]]
            assert len(names) == len(set(names))


def test_the_readme_and_the_docs_name_extras_that_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for found in re.findall(r"(?:gpusim|\.)\[([\w,]+)\]'", page.read_text(encoding="utf-8")):
            assert set(found.split(",")) <= set(project["optional-dependencies"]), page.name


def test_the_conda_recipe_has_the_version_and_the_dependencies_of_the_project():
    recipe = yaml.safe_load((ROOT / "conda" / "recipe.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert recipe["context"]["version"] == gpusim.__version__
    of_project = {re.sub(r"(>=)", r" \1", each) for each in project["dependencies"]}
    assert set(recipe["requirements"]["run"]) == of_project | {f"python {project['requires-python']}"}
    (entry,) = recipe["build"]["python"]["entry_points"]
    assert entry == f"gpusim = {project['scripts']['gpusim']}"


def test_the_container_installs_extras_that_exist_and_copies_what_a_wheel_needs():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extras in re.findall(r"EXTRAS=([\w,]+)", text):
        assert set(extras.split(",")) <= set(project["optional-dependencies"])
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert not set(ignored) & {"gpusim", "kernels", "constraints.txt", "README.md", "LICENSE"}


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.stem)
def test_a_workflow_runs_what_exists(path):
    workflow = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)
    assert {"name", "on", "jobs"} <= set(workflow)
    for job in workflow["jobs"].values():
        assert job["runs-on"]
        for step in job["steps"]:
            assert len({"uses", "run"} & set(step)) == 1
            for script in re.findall(r"(?:^|\s)((?:\.ci|tests)/[\w/.]+)", step.get("run", "")):
                assert (ROOT / script).is_file(), script
