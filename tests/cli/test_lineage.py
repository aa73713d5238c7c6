"""`gpusim lineage`: its table, its files, and what it refuses."""

import itertools
import sys

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="Matplotlib is not installed")

import gpusim
from gpusim.analysis.ancestry import Ancestry
from gpusim.cli.app import main
from gpusim.record import Result
from gpusim.viz.plots import results

TEXT = """
name: small
grid: {shape: [9, 9, 9]}
time: {until: 5 hour, step: {rules: 10 min}}
record: {every: 1 hour}
states: {tumour: {}}
traits: {antigen: {of: tumour, initial: 1, mutation: {probability: 0.2, becomes: 0.5, clone: new}}}
clones: {of: tumour, founders: each}
rules: {division: {transition: tumour -> tumour + tumour, rate: 0.5 /hour, reach: 200 um}}
tissue: {shapes: {ball: {kind: sphere, radius: 30 um, state: tumour}}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lineage")
    (folder / "small.yaml").write_text(TEXT)
    gpusim.run(folder / "small.yaml", folder / "out", backend="numpy")
    plain = TEXT.replace(", clone: new", "").replace("clones:", "# clones:")
    (folder / "plain.yaml").write_text(plain)
    gpusim.run(folder / "plain.yaml", folder / "plain", backend="numpy", until="10 min")
    return folder


@pytest.fixture
def command(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gpusim", "lineage", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return run


def test_the_largest_clones_are_printed_and_two_files_written(command, folder):
    code, printed, _ = command("out", "-o", "deep/made", "--rows", "3", "--least", "0.05")
    assert code == 0
    result = Result(folder / "out")
    labels = result.array("clones")
    cells = result.births.set_index("label")["clone"][labels[labels > 0]].value_counts()
    lines = [line.split() for line in printed.splitlines()]
    assert lines[0] == ["clone", "parent", "born", "cells", "share", "with", "descendants", "antigen"]
    assert len(lines) == 1 + 3 + 2
    for line, (_, count) in zip(lines[1:4], cells.items(), strict=False):
        clone = int(line[0])
        assert cells[clone] == count == int(line[-4])
        assert line[-3] == f"{count / cells.sum():.2%}"
        assert float(line[-1]) == result.births["trait.antigen"][clone - 1]
    assert (folder / "deep" / "made" / "clones.nwk").read_text() == Ancestry.of(result).newick()
    assert (folder / "deep" / "made" / "muller.png").read_bytes()[:4] == b"\x89PNG"
    assert len(list((folder / "deep" / "made").iterdir())) == 2


def test_areas_of_clones_lie_within_those_of_their_parents(folder):
    ancestry = Ancestry.of(Result(folder / "out"))
    into = ancestry.gathered(ancestry.large(0.02))
    shares, low = results._nested(ancestry, into)
    assert len(shares) > 8
    assert np.allclose(shares[0], 1)
    for clone in list(shares)[1:]:
        parent = int(ancestry.parents[clone])
        assert (low[clone] >= low[parent] - 1e-12).all()
        assert (low[clone] + shares[clone] <= low[parent] + shares[parent] + 1e-12).all()
    # The areas of siblings do not overlap.
    founders = sorted((clone for clone in shares if clone and not ancestry.parents[clone]), key=lambda c: low[c][-1])
    for one, next in itertools.pairwise(founders):
        assert (low[one] + shares[one] <= low[next] + 1e-12).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plain"], "plain: its scenario has no clones ('clones: {of: STATES}')"),
        (["nothing"], "nothing: no such folder"),
        (["."], ".: contains 2 results; expected the folder of one"),
        (["out", "--site", "x"], "out: no site 'x'"),
        (["out", "-o", "small.yaml"], "small.yaml: cannot be written"),
    ],
)
def test_what_has_no_lineage_is_told_in_a_line(command, arguments, message):
    code, printed, told = command(*arguments)
    assert (code, printed) == (2, "")
    assert told.startswith(f"gpusim: {message}")
    assert len(told.splitlines()) == 1


def test_a_share_above_one_is_refused(command):
    code, _, told = command("out", "--least", "2")
    assert code == 2
    assert "--least" in told
