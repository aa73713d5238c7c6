"""`gpusim check` prints what a study of dosing needs to know, on a terminal and for programs."""

import io
import json
import re

import pytest
from commands import run
from rich.console import Console

import gpusim
from gpusim.cli.check import table
from gpusim.cli.outline import Section

OWN = """
extends: combination
time: {until: 40 day}
therapies:
  injection: {every: 7 day, doses: 3}
  pill: {infuse: anti_ctla4, amount: 2 ug/mL, start: 1 day}
trial:
  arms:
    twice: {therapies.injection: {inject: virus, amount: 20 PFU, at: centre, radius: 60 um, doses: 2, every: 1 day}}
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("check")
    (folder / "own.yaml").write_text(OWN)
    return json.loads(run("check", "own.yaml", "--set", "therapies.anti_pd1.doses=2", "--json", folder=folder).stdout)


def by(rows, column):
    return {row[column]: row for row in rows}


def test_therapies_are_told_with_dose_route_times_and_origin(told):
    therapies = by(told["therapies"], "therapy")
    assert therapies["injection"] == {
        "therapy": "injection",
        "gives": "inject virus 300 PFU",
        "to": "centre, radius 60 um",
        "when": "3 doses, every 7 day from 6 hour",
        "from": therapies["injection"]["from"],
    }
    assert set(therapies["injection"]["from"].split(", ")) == {"intratumoral", "combination", "this file"}
    assert therapies["anti_pd1"]["from"] == "anti-pd1, --set"
    assert therapies["anti_pd1"]["when"] == "2 doses, every 14 day from 0 min"
    assert (therapies["pill"]["to"], therapies["pill"]["from"]) == ("body", "this file")


def test_body_modulators_arms_and_orders_are_told(told):
    assert by(told["body"], "quantity of the body")["ctl"]["at time 0"] == "18"
    priming = by(told["processes"], "process")["priming"]
    assert priming["rate"] == "4 /day by dc_node"
    assert priming["modulators"] == [
        "body anti_ctla4 activates, half 5 ug/mL, power 2, factor 1 at zero, factor 3 at saturation"
    ]
    lysis = by(told["rules"], "rule")["lysis"]
    assert lysis["rate"] == "1/(2 hour) after 7.5 hour"
    assert "releases virus 0.032 PFU/vp for each load, damp 1 cell, antigen 1 cell" in lysis["modulators and effects"]
    (changed,) = by(told["arms"], "arm")["twice"]["changes"]
    assert changed.startswith("therapies.injection = {inject: virus, amount: 20 PFU")
    assert told["expected"][0] == {"expected": "tumour", "order": "virus and anti-PD-1 < virus < control"}
    assert told["replicates"] == 8


def test_cells_are_counted_by_site(tmp_path):
    told = json.loads(run("check", "abscopal", "--json", folder=tmp_path).stdout)
    with gpusim.Simulation("abscopal", "numpy") as simulation:
        for site, here in simulation.sites.items():
            shown = {row["state"]: row[f"cells at time 0, {site}"] for row in told["states"]}
            assert shown == here.counts
    assert told["sites"]["distant"]["shape_zyx"] == [14, 14, 14]


def test_the_tissue_at_time_0_is_told_for_each_site(tmp_path):
    told = json.loads(run("check", "abscopal", "--json", folder=tmp_path).stdout)
    (tumour,) = (row for row in told["tissue"] if (row["site"], row["tissue"]) == ("distant", "tumour"))
    assert tumour == {
        "tissue": "tumour",
        "site": "distant",
        "state": "tumour",
        "region": "sphere at centre, radius 70 um",
        "fraction": "",
        "into": "",
    }
    (tam,) = (row for row in told["tissue"] if (row["site"], row["tissue"]) == ("primary", "tam"))
    assert (tam["region"], tam["fraction"], tam["into"]) == ("everywhere", "0.02", "tumour")


def test_cells_of_a_table_are_told_with_their_file(tmp_path):
    (tmp_path / "cells.csv").write_text("x,y,z,kind\n1,1,1,a\n9,9,9,b\n")
    (tmp_path / "read.yaml").write_text("""
grid: {spacing: 20 um, shape: [4, 4, 4]}
states: {stroma: {}, tumour: {}, dc: {layer: immune}}
tissue:
  background: stroma
  cells: cells.csv
  types: [{state: tumour, where: {kind: a}}, {state: dc, where: {kind: b}}]
  shapes: {tube: {kind: cylinder, state: tumour, start: [0 um, 0 um, 40 um], end: centre, radius: 30 um}}
""")
    told = by(json.loads(run("check", "read.yaml", "--json", folder=tmp_path).stdout)["tissue"], "tissue")
    assert told["background"]["state"] == "stroma"
    assert (told["cells"]["state"], told["cells"]["region"]) == ("tumour, dc", "cells.csv")
    assert told["tube"]["region"] == "cylinder, (0 um, 0 um, 40 um) to centre, radius 30 um"


def test_tables_fit_80_columns_and_break_no_name(told):
    for name in (
        "fields",
        "tissue",
        "states",
        "activities",
        "rules",
        "body",
        "processes",
        "therapies",
        "arms",
        "expected",
    ):
        rows = told[name]
        section = Section(name, list(rows[0]), [list(row.values()) for row in rows])
        console = Console(width=80, file=io.StringIO(), highlight=False, soft_wrap=True)
        console.print(table(section))
        text = console.file.getvalue()
        assert max(map(len, text.splitlines())) <= 80
        for row in section.rows:
            assert re.search(rf"^{re.escape(str(row[0]))}\b", text, re.M), (name, row[0])


def test_a_diagram_is_all_that_is_printed(tmp_path):
    done = run("check", "cell-sorting", "--diagram", folder=tmp_path)
    assert done.stdout == gpusim.Scenario.load("cell-sorting").diagram()
    assert run("check", "cell-sorting", "--diagram", "--json", folder=tmp_path).returncode == 2


def test_a_part_of_the_library_is_told_with_its_use(tmp_path):
    done = run("check", "intravenous", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "gpusim: intravenous: is a part of the library (therapies), no scenario; list it under 'extends' of one; "
        "'gpusim presets intravenous' prints its numbers"
    ]
    lines = run("presets", "intravenous", folder=tmp_path).stdout.splitlines()
    assert lines[0] == "intravenous (therapies): One infusion of the virus into the blood"
    assert "use      extends: [..., intravenous]" in lines
    assert "therapies infusion_of_virus" in lines
