"""Traits in what commands print, and in runs that are stopped and continued."""

import subprocess
import sys

import pytest

import gpusim
from gpusim.cli.app import main
from gpusim.record import Result

TEXT = """
name: small
seed: 3
grid: {shape: [8, 8, 8]}
time: {until: 30 min, step: {rules: 2 min}}
record: {every: 10 min, traits: load}
groups: {malignant: [tumour, infected]}
states: {tumour: {}, infected: {}, ctl: {layer: immune, motility: {speed: 5 um/min}}}
traits:
  load:
    of: infected
    unit: vp
    most: 1000 vp
    initial: {lognormal: {median: 2 vp, fold: 1.5}}
    changes: {replication: {growth: 2 /hour, modulators: [{trait: load, half: 300 vp, effect: inhibits}]}}
  antigen: {of: malignant, most: 9, initial: 4, at_division: share, mutation: {probability: 0.01, becomes: 0}}
  kills: {of: ctl, most: 50}
rules:
  infection: {transition: tumour -> infected, rate: 2 /hour}
  kill:
    transition: ctl -> ctl
    rate: 1 /hour
    partner: malignant -> empty
    add: {kills: 1}
    modulators: [{trait: antigen, half: 3}]
tissue: {shapes: {ball: {kind: sphere, radius: 60 um, state: tumour}, t: {kind: everywhere, state: ctl, fraction: 0.2}}}
"""
STOPPED = """
import os, signal, gpusim.cli
from gpusim.engine import Simulation
step = Simulation.step
def stepped(self, count=1):
    step(self, count)
    if self.steps >= 14: os.kill(os.getpid(), signal.SIGINT)
Simulation.step = stepped
gpusim.cli.main()
"""


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs a command in a folder with `small.yaml`; gives its exit code and what it prints."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(TEXT)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gpusim", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, capsys.readouterr().out

    return run


def row(text, *begin):
    """The line of a table that begins with these words, as words."""
    return next(line.split() for line in text.splitlines() if line.split()[: len(begin)] == list(begin))


def test_check_prints_traits_and_what_rules_do_to_them(command):
    _, printed = command("check", "small.yaml")
    words = row(printed, "load", "infected", "vp")
    assert " ".join(words[3:]) == (
        "lognormal: median 2 vp, fold 1.5 1000 vp copy replication: growth 2 /hour, by trait load inhibits, half 300 vp"
    )
    assert " ".join(row(printed, "antigen")) == "antigen malignant dimensionless 4 9 share becomes 0, probability 0.01"
    kill = row(printed, "kill")
    assert " ".join(kill).startswith("kill ctl -> ctl malignant -> empty 1 /hour trait antigen")
    after = printed[printed.index("kill ") :].splitlines()
    assert after[1].split() == ["adds", "kills", "1"]


def test_replicates_run_show_and_continue_with_traits(command, tmp_path):
    code, printed = command("run", "small.yaml", "-o", "whole", "--replicates", "2", "--no-picture")
    assert code == 0
    assert row(printed, "antigen")[0] == "antigen"
    _, shown = command("show", "whole/4", "--rows", "2")
    assert row(shown, "traits,")[-4:] == ["load,", "vp", "antigen", "kills"]
    whole = Result(tmp_path / "whole" / "4")
    last = whole.counts.iloc[-1]
    assert row(shown[shown.index("traits") :], "30", "min")[2:] == [
        f"{last[f'mean.{name}']:.4g}" for name in ("load", "antigen", "kills")
    ]
    line = [sys.executable, "-c", STOPPED, *["run", "small.yaml", "--set", "seed=4", "-o", "out", "--no-picture"]]
    stopped = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "stopped by SIGINT" in stopped.stderr
    code, printed = command("run", "--resume", "out", "--backend", "numpy", "--no-picture")
    assert code == 0
    assert "resumed at" in printed
    assert Result(tmp_path / "out").digest() == whole.digest()
    tables = [(path / "counts.csv").read_bytes() for path in (tmp_path / "out", tmp_path / "whole" / "4")]
    assert tables[0] == tables[1]
    assert command("check", "out")[0] == 0


def test_a_trait_that_no_cell_has_at_the_end_is_told(command):
    code, printed = command(*["run", "small.yaml", "--set", "tissue.shapes.t=null", "-o", "out", "--no-picture"])
    assert code == 0
    assert " ".join(row(printed, "kills")) == "kills no cell has it"


def test_the_names_of_output_columns_are_no_traits():
    for name in ("state", "Layer", "x_um", "contents", "heat"):
        with pytest.raises(gpusim.ScenarioError, match="is already in use"):
            gpusim.Scenario.parse(TEXT.replace("kills", name))
