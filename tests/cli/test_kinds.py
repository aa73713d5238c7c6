"""Every command on every kind of result works, or says in one line why not, as the table in the docs has it."""

import re
import shlex
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from commands import run

from gpusim.errors import ResultError
from gpusim.record import Result

BASE = """
name: growth
seed: 9
grid: {shape: [6, 6, 6]}
time: {until: 2 h, step: {field: 30 min, rules: 30 min}}
fields: {drug: {unit: ng/mL, initial: 5, decay: 0.01 /min}}
states: {tumour: {}, ctl: {layer: immune}}
clones: {of: tumour, founders: each}
heat: {tumour: tumour, effectors: ctl, cd8: ctl, cytokines: {drug: 1 ng/mL}}
record: {every: 1 h}
rules:
  division: {transition: tumour -> tumour + tumour, rate: 0.002 /min}
  death: {transition: tumour -> empty, rate: 1e-4 /min}
tissue: {shapes: {seed: {kind: sphere, state: tumour, radius: 30 um}, t: {kind: everywhere, state: ctl, fraction: 0.1}}}
"""
TRIAL = """
extends: base.yaml
trial:
  replicates: 2
  arms: {control: , faster: {rules.division.rate: 0.004 /min}}
  outcomes: {tumour: {count: tumour}}
  expected: [{outcome: tumour, arms: [control, faster]}]
"""
STUDY = """
name: study
scenario: base.yaml
parameters: {rules.division.rate: {from: 0.001 /min, to: 0.008 /min, levels: 2}}
outcomes: {tumour: {count: tumour}}
"""
MADE = {
    "run": ["run", "base.yaml", "--no-picture"],
    "several sites": ["run", "sites.yaml", "--no-picture"],
    "replicates": ["run", "base.yaml", "--replicates", "2", "--no-picture"],
    "trial": ["run", "trial.yaml"],
    "study with stores": ["sweep", "stores.yaml"],
    "study": ["sweep", "study.yaml"],
}
MORE = {
    "compare": ["-o", "page.html", "--no-pictures"],
    "export": ["-o", "cells.csv", "--overwrite"],
    "render": ["-o", "picture.png", "--size", "64x64", "--at", "end"],
}
SHORT = ["--backend", "numpy", "--no-picture"]
PAGE = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text(encoding="utf-8")


def table():
    """The cells of the table in the docs, by command and kind."""
    section = PAGE.split("### Commands and kinds of results")[1].split("###")[0]
    head, _, *rows = ([c.strip() for c in line.strip("|").split("|")] for line in section.splitlines() if "|" in line)
    return {(row[0].strip("`"), kind): cell for row in rows for kind, cell in zip(head[1:], row[1:], strict=True)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("kinds")
    texts = {"base": BASE, "trial": TRIAL, "study": STUDY, "stores": f"{STUDY}keep: stores\n"}
    for name, text in {**texts, "sites": "extends: base.yaml\nsites: {here: {}, there: {}}\n"}.items():
        (made / f"{name}.yaml").write_text(text)
    for kind, arguments in MADE.items():
        done = run(*arguments, "-o", kind, "--backend", "numpy", folder=made)
        assert done.returncode == 0, done.stderr
    return made


def test_the_table_has_every_kind():
    assert {kind for _, kind in table()} == set(MADE)


@pytest.mark.parametrize(("command", "kind"), list(table()))
def test_a_command_on_a_kind(command, kind, folder):
    works = table()[command, kind] != "no"
    if command.startswith("Result"):
        mpl.use("agg")
        if works:
            Result(folder / kind).plot()
        else:
            with pytest.raises(ResultError, match=r"^[^\n]*(expected the folder of one|is a study)[^\n]*$"):
                Result(folder / kind)
        return
    done = run(command, kind, *MORE.get(command, ()), folder=folder)
    if works:
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 2
    assert re.fullmatch(
        r"gpusim: [^\n]*(expected the folder of one, such as|is a study, whose runs)[^\n]*\n", done.stderr
    )


def test_several_results_are_rows_in_the_order_of_seeds(folder):
    shown = run("show", "replicates", folder=folder).stdout.splitlines()
    for seed, line in zip((9, 10), shown[1:3], strict=True):
        counts = Result(folder / "replicates" / str(seed)).counts.iloc[-1]
        assert line.split()[:3] == [str(seed), "2", "h"]
        assert line.split()[4] == f"{counts['cells.tumour']:.0f}"
    sums = [line.split() for line in run("digest", "trial", folder=folder).stdout.splitlines()]
    assert [label for _, label in sums] == ["control/9", "control/10", "faster/9", "faster/10"]
    assert all(Result(folder / "trial" / label).digest() == digest for digest, label in sums)


def test_a_command_or_a_path_that_is_told_can_be_copied(folder):
    told = run("show", "study with stores", folder=folder).stdout.splitlines()[-1]
    program, *arguments = shlex.split(told.removeprefix("one of them over time: "))
    assert (program, arguments[0]) == ("gpusim", "show")
    assert run(*arguments, folder=folder).returncode == 0
    for refused in (["show", "study with stores", "--means"], ["render", "study with stores"]):
        (path,) = shlex.split(run(*refused, folder=folder).stderr.partition("such as ")[2])
        assert Result(folder / path).summary is not None


def test_how_to_continue_an_unfinished_run_can_be_copied(folder, tmp_path):
    arguments = ["run", "base.yaml", "--no-picture", "--backend", "numpy", "-o", str(tmp_path / "my run")]
    assert run(*arguments, folder=folder).returncode == 0
    (tmp_path / "my run" / "summary.json").unlink()
    told = run(*arguments, folder=folder).stderr
    assert shlex.split(told[told.index("(") + 1 : told.rindex(")")]) == ["--resume", str(tmp_path / "my run")]


def test_one_site_and_means_of_fields_are_shown(folder):
    there = Result(folder / "several sites", "there")
    shown = run("show", "several sites", "--site", "there", "--means", folder=folder).stdout
    cells = (there.array("tissue", -1) == there.state_names.index("tumour")).sum()
    columns, last = (line.split() for line in (shown.splitlines()[0], shown.splitlines()[5]))
    assert last[:2] == ["2", "h"]
    assert dict(zip(columns[2:], last[2:], strict=True))["tumour"] == f"{cells:,}"
    fields = shown[shown.index("fields, mean over 0.00173 mm^3") :].splitlines()
    assert "drug, ng/mL" in fields[0]
    assert float(fields[5].split()[2]) == pytest.approx(there.array("drug", -1).mean(), rel=1e-3)
    together = run("show", "several sites", folder=folder).stdout
    assert together.splitlines()[-1] == "all sites together; one of them: --site here or there"
    assert run("show", "several sites", "--site", "nowhere", folder=folder).returncode == 2
    assert run("show", "replicates", "--means", folder=folder).returncode == 2


def test_lesions_of_several_folders_and_tables_are_shown_together(folder):
    for name, cd8 in (("one", 0), ("two", 1)):
        (folder / f"{name}.csv").write_text(f"x_um,y_um,region,CD8\n10,10,tumor,{cd8}\n30,10,stroma,0\n")
    told = run("heat", "run", "trial", "one.csv", "several sites", "two.csv", folder=folder).stdout.splitlines()
    labels = [line.split("  ")[0] for line in told]
    assert labels == [
        "result",
        "run", *(f"trial/{arm}/{seed}" for arm in ("control", "faster") for seed in (9, 10)),
        "several sites, here", "several sites, there", "section", "one.csv", "two.csv",
    ]  # fmt: skip
    assert [line.split()[1] for line in told[-2:]] == ["0", "2500"]  # of a square of 20 um


def test_a_picture_shows_all_sites(folder):
    pytest.importorskip("pyvista", reason="PyVista is not installed")
    from PIL import Image

    size = ("--size", "640x240")
    for name, more in (("both", ()), ("here", ("--site", "here")), ("there", ("--site", "there"))):
        run("render", "several sites", "-o", f"{name}.png", "--theme", "light", *size, *more, folder=folder)
    drawn = {name: np.asarray(Image.open(folder / f"{name}.png")) for name in ("both", "here", "there")}
    whole = Result(folder / "several sites").plot(size=(640, 240))
    assert (drawn["both"] == np.asarray(whole)).all()
    assert all((drawn["both"] != drawn[name]).any() for name in ("here", "there"))
    told = run("render", "several sites", "-o", "page.html", folder=folder)
    assert "note: shows the site 'here' (sites: here, there; choose with --site)" in told.stderr


def test_rules_are_told_by_the_names_that_set_takes(folder):
    other = "{transition: tumour -> empty, rate: %s /min}"
    sets = [f"rules.late_death={other % 0.01}", f"rules.no_death={other % 0}"]
    told = run("run", "base.yaml", "--set", sets[0], "--set", sets[1], "-o", "named", *SHORT, folder=folder).stdout
    assert any(line.startswith("late_death ") for line in told.splitlines())
    (never,) = (line for line in told.splitlines() if line.startswith("rules that never fired: "))
    assert "no_death" in never.removeprefix("rules that never fired: ").split(", ")


def test_rules_that_never_fired_are_one_line(folder):
    told = run("run", "base.yaml", "--set", "rules.death.rate=0 /min", "-o", "never", *SHORT, folder=folder).stdout
    assert "rules that never fired: death" in told.splitlines()
    assert not any(line.startswith("death ") for line in told.splitlines())
