"""A run that goes on from another one is, bit for bit, a run that changed, or was longer, from the start."""

import importlib
import json
import re
import shutil

import numpy as np
import pytest
from commands import run

import gpusim
from gpusim.record import Result
from gpusim.record.files import read_sealed, write_sealed

TEXT = """
name: branch
seed: 3
grid: {shape: [6, 5, 4]}
time: {until: 60 min, step: {field: 5 min, rules: 10 min}}
record: {every: 20 min}
fields: {virus: {unit: PFU/voxel, diffusion: 20 um^2/min, decay: 0.01 /min}}
states:
  tumour: {}
  infected: {secretion: {virus: 1 PFU/voxel/min}}
  ctl: {layer: immune, motility: {speed: 4 um/min, persistence: 10 min}}
body: {quantities: {drug: {unit: ng/mL}}, processes: {loss: {transition: drug -> nothing, rate: 0.01 /min}}}
rules:
  infection: {transition: tumour -> infected, rate: 0.02 /min, modulators: [{field: virus, half: 1 PFU/voxel}]}
  death: {transition: infected -> empty, rate: 0.01 /min, modulators: [{body: drug, half: 1 ng/mL, effect: inhibits}]}
therapies:
  injection: {inject: virus, amount: 200 PFU, radius: 30 um}
  pill: {infuse: drug, amount: 2 ng/mL, start: 10 min, every: 20 min, doses: 2}
tissue: {shapes: {bed: {kind: everywhere, state: tumour}, t: {kind: everywhere, state: ctl, fraction: 0.2}}}
"""
CHANGES = {
    "rules.infection.rate": "0.05 /min",
    "therapies.late": {"infuse": "drug", "amount": "5 ng/mL", "start": "45 min"},
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded") / "out"
    gpusim.run(gpusim.Scenario.parse(TEXT), folder, backend="numpy").close()
    return folder


def rows(folder, after):
    counts = Result(folder).counts
    return counts[counts["minutes"] >= after].to_numpy()


@pytest.mark.parametrize("backend", ["numpy", "cpu"])
def test_a_branch_is_a_run_that_changed_at_that_time(recorded, tmp_path, backend):
    with gpusim.Simulation(gpusim.Scenario.parse(TEXT), "numpy") as other:
        gpusim.run(other, tmp_path / "other", every={"30 min": lambda sim: sim.steps == 6 and sim.change(CHANGES)})
        expected = other.digest()
    with gpusim.branch(recorded, at="30 min", changes=CHANGES, backend=backend) as simulation:
        assert simulation.steps == 6
        gpusim.run(simulation, tmp_path / "branch")
        assert simulation.digest() == expected
    assert expected != Result(recorded).digest()
    np.testing.assert_array_equal(rows(tmp_path / "branch", 40), rows(tmp_path / "other", 40))
    summary = Result(tmp_path / "branch").summary
    origin = summary["origin"]
    assert (origin["folder"], origin["step"], origin["checkpoint_at_step"]) == (str(recorded), 6, 0)
    assert [each["verb"] for each in summary["actions"]] == ["change"]


def test_the_command_prints_the_firings_of_the_branch_alone(recorded, tmp_path):
    arguments = ["--at", "40 min", "--until", "80 min", "-o", "b", "--backend", "numpy", "--no-picture"]
    told = run("run", "--from", str(recorded), *arguments, folder=tmp_path).stdout
    counts = Result(tmp_path / "b").counts
    first, last = counts.iloc[0], counts.iloc[-1]
    fired = {name: int(last[f"fired.{name}"] - first[f"fired.{name}"]) for name in ("infection", "death")}
    assert first["fired.infection"] > 0
    table = told[told.index("firings since 40 min") :]
    assert {name: table.split(name)[1].split()[0] for name in fired} == {n: str(count) for n, count in fired.items()}
    row = next(line.split() for line in told.splitlines() if line.startswith("infected "))
    assert row[1:] == [f"{first['cells.infected']:g}", f"{last['cells.infected']:g}"]


def test_commands_print_what_changes_in_the_body(tmp_path):
    text = TEXT.replace("{drug: {unit: ng/mL}}", "{drug: {unit: ng/mL}, albumin: {unit: ng/mL, initial: 3}}")
    (tmp_path / "a.yaml").write_text(text)
    told = run("run", "a.yaml", "-o", "out", "--backend", "numpy", "--no-picture", folder=tmp_path).stdout
    shown = run("show", "out", "--rows", "3", folder=tmp_path).stdout
    drug = Result(tmp_path / "out").counts["body.drug"]
    (row,) = (line.split() for line in told.splitlines() if line.startswith("drug "))
    assert row == ["drug", "0", f"{drug.iloc[-1]:.4g}", "ng/mL"]
    table = shown[shown.index("body, at") :].splitlines()
    assert table[0].split("  ") == ["body, at", "drug, ng/mL"]
    assert [line.split()[-1] for line in table[1:4]] == ["0", f"{drug.iloc[4]:.4g}", f"{drug.iloc[-1]:.4g}"]
    assert "albumin" not in told + shown


@pytest.mark.parametrize(
    ("rows", "times"),
    [
        ("3", ["0 min", "40 min", "60 min"]),  # of the snapshots at 0, 20, 40 and 60 min
        ("4", ["0 min", "20 min", "40 min", "60 min"]),
        ("5", ["0 min", "20 min", "30 min", "40 min", "60 min"]),
        ("99", [f"{minutes} min" for minutes in range(0, 70, 10)]),
    ],
)
def test_the_rows_of_show_are_snapshots_where_there_are_enough(recorded, rows, times):
    shown = run("show", str(recorded), "--rows", rows, folder=recorded).stdout.splitlines()
    end = next(i for i, line in enumerate(shown) if line.startswith("fields"))
    assert [line[: line.index(" min") + 4] for line in shown[1:end]] == times


def test_a_table_that_is_wider_than_the_terminal_is_divided(recorded, monkeypatch):
    whole = run("show", str(recorded), "--means", "--rows", "4", folder=recorded).stdout
    assert re.search(r"^fields, mean over 0.00096 mm\^3, at  virus, PFU/voxel$", whole, re.M)
    monkeypatch.setattr(importlib.import_module("gpusim.cli.app").out, "width", 24)
    shown = run("show", str(recorded), "--rows", "4", folder=recorded).stdout
    tables = [text.splitlines() for text in re.split(r"^(?=cells at)", shown.partition("fields")[0], flags=re.M)[1:]]
    assert len(tables) > 1
    assert all(len(table) == 5 and max(map(len, table)) <= 24 for table in tables)
    columns = [[re.split("  +", line.strip())[1:] for line in table] for table in tables]
    together = [[word for part in parts for word in part] for parts in zip(*columns, strict=True)]
    assert together == [re.split("  +", line.strip())[1:] for line in whole.splitlines()[:5]]


def test_an_extended_run_is_a_longer_run(recorded, tmp_path):
    with (
        gpusim.run(gpusim.Scenario.parse(TEXT), tmp_path / "long", until="90 min", backend="numpy") as long,
        gpusim.branch(recorded, until="90 min", backend="numpy") as simulation,
    ):
        assert simulation.minutes == 60
        gpusim.run(simulation, tmp_path / "extended")
        assert simulation.digest() == long.digest()
    np.testing.assert_array_equal(rows(tmp_path / "extended", 60), rows(tmp_path / "long", 60))


def test_a_checkpoint_is_where_it_goes_on_from(recorded, tmp_path):
    gpusim.run(gpusim.Scenario.parse(TEXT), tmp_path / "out", backend="numpy", stop=lambda sim: sim.steps == 5).close()
    repeated = []
    with gpusim.branch(
        tmp_path / "out", at="40 min", backend="numpy", progress=lambda sim: repeated.append(sim.steps)
    ) as one:
        assert repeated == [6, 7, 8]
        assert one.origin["checkpoint_at_step"] == 5
        with gpusim.branch(recorded, at="40 min", backend="numpy") as other:
            assert one.digest() == other.digest()


def test_a_stopped_branch_is_resumed_and_never_begins_at_time_0(recorded, tmp_path):
    folder = tmp_path / "branch"
    with gpusim.branch(recorded, at="30 min", changes=CHANGES, backend="numpy") as simulation:
        whole = gpusim.run(simulation, tmp_path / "whole").digest()
    with gpusim.branch(recorded, at="30 min", changes=CHANGES, backend="numpy") as simulation:
        gpusim.run(simulation, folder, stop=lambda sim: sim.steps == 9)
    shutil.copytree(folder, tmp_path / "bare")
    shutil.rmtree(tmp_path / "bare" / "checkpoints")
    with gpusim.run(folder / "scenario.yaml", folder, backend="numpy", resume=True) as simulation:
        assert simulation.digest() == whole
    assert Result(folder).summary["origin"]["step"] == 6
    with pytest.raises(gpusim.ResultError, match="goes on from another run, and contains no undamaged checkpoint"):
        gpusim.run(tmp_path / "bare" / "scenario.yaml", tmp_path / "bare", backend="numpy", resume=True)


def test_interventions_of_the_recorded_run_are_repeated(tmp_path):
    def act(simulation):
        if simulation.steps == 3:
            simulation.inject("virus", "50 PFU")

    scenario = gpusim.Scenario.parse(TEXT)
    with (
        gpusim.run(scenario, tmp_path / "out", backend="numpy", every={"15 min": act}) as whole,
        gpusim.branch(tmp_path / "out", until="70 min", backend="numpy") as simulation,
    ):
        assert [each.verb for each in simulation.actions] == ["inject"]
        np.testing.assert_array_equal(simulation.field("virus"), whole.field("virus"))
    # Of a stopped run, whose summary is missing, too: here, between its snapshots and checkpoints.
    gpusim.run(
        scenario, tmp_path / "stopped", backend="numpy", every={"15 min": act}, stop=lambda sim: sim.steps == 7
    ).close()
    with (
        gpusim.branch(tmp_path / "stopped", at="15 min", backend="numpy") as one,
        gpusim.branch(tmp_path / "out", at="15 min", backend="numpy") as other,
    ):
        assert one.digest() == other.digest()
        assert len(one.actions) == 1


def test_a_state_that_cannot_be_had_again_is_refused(recorded, tmp_path):
    shutil.copytree(recorded, tmp_path / "other")
    summary = json.loads((recorded / "summary.json").read_text())
    with gpusim.Simulation(gpusim.Scenario.parse(TEXT), "numpy") as simulation:
        simulation.set("virus", 1.0)  # only its checksum is stored
        gpusim.run(simulation, tmp_path / "set")
    with pytest.raises(gpusim.ScenarioError, match="only the checksum of the array of 'set' at step 0"):
        gpusim.branch(tmp_path / "set", at="30 min", backend="numpy")
    provenance = tmp_path / "other" / "provenance.json"
    write_sealed(provenance, read_sealed(provenance) | {"program": "gpusim 0"})
    with pytest.raises(gpusim.ResultError, match=r"cannot go on with the same bits.*the program"):
        gpusim.branch(tmp_path / "other", at="30 min", backend="numpy")
    with (
        gpusim.branch(recorded, at="30 min", backend="numpy") as simulation,
        pytest.raises(gpusim.ResultError, match="is the run that this one goes on from"),
    ):
        gpusim.run(simulation, recorded, overwrite=True)
    assert json.loads((recorded / "summary.json").read_text()) == summary


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "out"], "expected a change (--set) or another end (--until)"),
        (["--from", "out", "--at", "2 h", "--set", "fields.virus.decay=0 /min"], "is later than the end"),
        (["--from", "out", "--at", "60 min", "--set", "fields.virus.decay=0 /min"], "expected a time after 60 min"),
        (["--from", "out", "--until", "70 min", "--seed", "4"], "so --seed would have no effect"),
        (["--from", "out", "--at", "7 min", "--until", "70 min"], "7 min"),
        (["--from", "none", "--until", "70 min"], "none: no such folder"),
        (["--at", "30 min", "x.yaml"], "--at requires --from"),
        (["--from", "out", "--at", "30 min", "--set", "grid.spacing=10 um"], "cannot be changed during a run"),
    ],
)
def test_what_no_run_can_go_on_with_is_refused_in_a_line(recorded, arguments, message):
    done = run("run", *arguments, "-o", "refused", "--backend", "numpy", "--no-picture", folder=recorded.parent)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert not (recorded.parent / "refused").exists()


def test_the_command_goes_on_and_says_from_where(recorded, tmp_path):
    done = run(
        *["run", "--from", str(recorded), "--at", "30 min", "--set", "rules.death.rate=0 /min", "-o", "branch"],
        *["--backend", "numpy", "--no-picture"],
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"goes on from {recorded} at 30 min, reached from time 0, digest ")
    shown = run("show", "branch", folder=tmp_path)
    assert shown.stdout.splitlines()[1].startswith("30 min")


def test_a_branch_of_a_branch_goes_on_from_the_checkpoints_that_are_kept(tmp_path):
    text = TEXT.replace("record: {every: 20 min}", "record: {every: 20 min, checkpoints: {every: 10 min, keep: all}}")
    gpusim.run(gpusim.Scenario.parse(text), tmp_path / "first", backend="numpy").close()
    later = {"rules.death.rate": "0.05 /min"}
    with gpusim.branch(tmp_path / "first", at="20 min", changes=CHANGES, backend="numpy") as simulation:
        gpusim.run(simulation, tmp_path / "second")
    with gpusim.branch(tmp_path / "second", at="40 min", changes=later, backend="numpy") as simulation:
        assert simulation.origin["checkpoint_at_step"] == 8
        found = gpusim.run(simulation, tmp_path / "third").digest()

    def act(simulation):
        if simulation.steps in (4, 8):
            simulation.change(CHANGES if simulation.steps == 4 else later)

    with gpusim.Simulation(gpusim.Scenario.parse(text), "numpy") as whole:
        gpusim.run(whole, tmp_path / "whole", every={"20 min": act})
        assert whole.digest() == found


@pytest.mark.parametrize("backend", ["numpy", "cpu"])
def test_a_branch_of_a_run_with_several_sites_has_them_all(tmp_path, backend):
    text = TEXT.replace("grid: {shape: [6, 5, 4]}\n", "").replace(
        "tissue: {shapes",
        "sites: {primary: {grid: {shape: [6, 5, 4]}}, distant: {grid: {shape: [4, 4, 4]}}}\ntissue: {shapes",
    )
    gpusim.run(gpusim.Scenario.parse(text), tmp_path / "first", backend="numpy").close()
    with gpusim.Simulation(gpusim.Scenario.parse(text), "numpy") as whole:
        gpusim.run(whole, tmp_path / "whole", every={"30 min": lambda sim: sim.steps == 6 and sim.change(CHANGES)})
        expected = whole.digest()
    with gpusim.branch(tmp_path / "first", at="30 min", changes=CHANGES, backend=backend) as simulation:
        gpusim.run(simulation, tmp_path / "branch")
        assert simulation.digest() == expected
    assert Result(tmp_path / "branch").sites == Result(tmp_path / "first").sites
