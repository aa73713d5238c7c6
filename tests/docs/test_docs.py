"""The docs are what happens: pages are current, their code runs, the site builds, all is within reach."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import blocks
import generate
import pytest
import trials
import yaml
from pydantic import ValidationError
from validation.trials import kept

import gpusim
from gpusim.scenario import Document
from gpusim.study.verdict import verdicts

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_page_that_follows_from_the_code_is_current(name):
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == generate.PAGES[name](), "run: python docs/generate.py"


@pytest.mark.slow
@pytest.mark.parametrize("page", blocks.pages(), ids=lambda page: page.stem)
def test_the_code_of_a_page_runs_and_prints_what_it_says(page, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for command in blocks.run(page, tmp_path):
        assert command.agrees, f"$ {command.text}\n{command.printed}\nrun: python docs/blocks.py --update"


@pytest.mark.slow
def test_a_virus_a_cytokine_and_a_cell_of_ones_own_act_with_no_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (DOCS / "your-own.md").read_text(encoding="utf-8")
    files = {b["title"]: b["code"] for b in blocks.FENCE.finditer(text) if b["title"]}
    assert all(name.endswith(".yaml") for name in files)
    for name, code in files.items():
        Path(name).write_text(code, encoding="utf-8")
    with gpusim.Simulation("own.yaml") as simulation:
        simulation.run()
        for rule in ("infection", "lysis", "gamma_delta_recruitment", "gamma_delta_killing"):
            assert simulation.fired[rule] > 0, rule
        assert simulation.count("gamma_delta") > 0
        assert simulation.field("il15").max() > 0
        fired = simulation.fired
    # Each hangs on the others by what the files say: no virus, no cytokine; no cytokine, no cell of one's own.
    without = gpusim.Scenario.load("own.yaml", {"therapies": {}, "time.until": "3 h"})
    with gpusim.Simulation(without) as simulation:
        simulation.run()
        assert not simulation.field("il15").any()
        assert simulation.fired["gamma_delta_recruitment"] == 0 < fired["gamma_delta_recruitment"]


@pytest.mark.slow
def test_the_site_builds_with_no_warning(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for page in DOCS.rglob("*.md"):
        folder = "" if page.stem == "index" else page.relative_to(DOCS).with_suffix("")
        assert (tmp_path / "site" / folder / "index.html").is_file()
    api = (tmp_path / "site" / "api" / "index.html").read_text(encoding="utf-8")
    assert "Recorder" in api
    assert not list((tmp_path / "site").glob("*.py"))


@pytest.mark.parametrize("name", trials.ORDER)
def test_a_trial_has_a_page_with_its_picture_and_its_scenario(name):
    text = (DOCS / "trials" / f"{name}.md").read_text(encoding="utf-8")
    picture = re.search(r"!\[.*\]\((.*)\)", text)[1]
    assert (DOCS / "trials" / picture).is_file()
    trial = kept(name)
    assert text == trials.page(name, trial, verdicts(trial)), "run: python docs/trials.py"


def test_everything_is_two_clicks_from_the_readme():
    def linked(page):
        targets = {(page.parent / link).resolve() for link in LINK.findall(page.read_text(encoding="utf-8"))}
        return {target for target in targets if target.suffix in (".md", ".cff") or target.name == "LICENSE"}

    first = linked(ROOT / "README.md")
    for page in first:
        assert page.is_file(), page
    second = first.union(*(linked(page) for page in first if page.suffix == ".md"))
    wanted = {
        *DOCS.rglob("*.md"),
        *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE")),
    }
    assert not wanted - second, f"not within two clicks: {sorted(p.name for p in wanted - second)}"


def test_each_piece_of_a_scenario_in_the_docs_fits_the_schema():
    text = (DOCS / "scenarios.md").read_text(encoding="utf-8")
    pieces = [textwrap.dedent(piece) for piece in re.findall(r"(?<=\n\n)((?: {4}.*\n)+)", text)]
    loaded = [yaml.safe_load(piece) for piece in pieces]
    assert len(loaded) > 5
    for piece in loaded:
        whole = piece if set(piece) <= set(Document.model_fields) else {"rules": piece}
        try:
            Document.model_validate(whole)
        except ValidationError as error:
            # A piece is laid over something else, and need not say all.
            wrong = [e for e in error.errors() if e["type"] not in ("missing", "union_tag_not_found")]
            assert not wrong, f"{piece}: {wrong}"
