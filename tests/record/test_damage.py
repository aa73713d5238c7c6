"""A result says what has become of it: bits that flip, files that are lost, inputs that change."""

import contextlib
import os
import random
import shutil

import numpy as np
import pytest
import xarray as xr
import zarr

import gpusim
from gpusim import ResultError
from gpusim.cli import app
from gpusim.record import Recorder, Result, checking, checkpoint, layout
from gpusim.record.files import aside, read_sealed, write_sealed
from gpusim.record.provenance import PROVENANCE

TEXT = """
name: small
grid: {shape: [6, 5, 4]}
time: {until: 8 min, step: {field: 1 min, rules: 2 min}}
record: {every: 4 min, checkpoints: {every: 2 min, keep: 2}}
fields:
  virus: {unit: PFU/voxel, diffusion: 100 um^2/min, initial: 2}
  drug: {unit: ng/mL}
states: {tumour: {}}
body: {quantities: {cells: {initial: 500}}}
rules: {growth: {transition: empty -> tumour, rate: 0.1 /min}}
"""
TABLE = TEXT + "tissue: {cells: CELLS, types: [{state: tumour, where: {type: t}}]}\n"


def record(folder, text=TEXT, *, stop=None, **options):
    simulation = gpusim.Simulation(gpusim.Scenario.parse(text), "numpy")
    with simulation, Recorder(simulation, folder, **options) as recorder:
        for steps in simulation.stretches():
            recorder.record()
            if steps == stop:
                return None
        return recorder.finish()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    record(folder / "whole")
    record(folder / "half", stop=6)
    (folder / "whole" / layout.PICTURE).write_bytes(PNG)
    return folder


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000a49444154789c6300010000050001"
    "0d0a2db40000000049454e44ae426082"
)


def files_of(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != layout.LOCK)


def flipped(data, chosen):
    bit = chosen.randrange(len(data) * 8)
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


@pytest.mark.parametrize("which", ["whole", "half"])
def test_check_finds_every_flipped_bit_and_every_lost_file(made, which):
    """`half` ends at a checkpoint, so that all of its counts are covered too."""
    folder, chosen, flips = made / which, random.Random(3), 0
    assert list(checking.damages(folder)) == []
    for path in files_of(folder):
        whole = path.read_bytes()
        for _ in range(3):
            path.write_bytes(flipped(whole, chosen))
            assert list(checking.damages(folder)), path
            flips += 1
        path.unlink()
        assert list(checking.damages(folder)) or path.name in (layout.PICTURE,) or path.suffix == ".zip", path
        path.write_bytes(whole)
    assert flips > 90
    assert list(checking.damages(folder)) == []


def test_no_flipped_bit_is_read_as_another_value(made):
    """Whatever is read of a result is as it was, or refused in a line."""

    def read():
        result = Result(made / "whole")
        arrays = [result.array(n, i) for n in ("virus", "drug", "tissue", "immune") for i in range(len(result.times))]
        return [
            result.summary, result.counts.to_csv(), result.scenario.to_yaml(), result.times.tolist(), result.digest(),
            result.unit("virus"), result.spacing, *(array.tobytes() for array in arrays),
        ]  # fmt: skip

    expected, chosen, refused = read(), random.Random(4), []
    for path in files_of(made / "whole"):
        whole = path.read_bytes()
        for _ in range(2):
            path.write_bytes(flipped(whole, chosen))
            try:
                found = read()
            except ResultError as error:
                refused.append(str(error))
            else:
                assert found == expected, path
        path.write_bytes(whole)
    assert len(refused) > 50
    assert all("\n" not in text for text in refused)


def test_a_lost_chunk_is_an_error_and_no_empty_tissue(made, tmp_path):
    shutil.copytree(made / "whole", tmp_path / "out")
    store = tmp_path / "out" / layout.SNAPSHOTS
    # Zeros alone are written too: an absent chunk can't be taken for them.
    for chunk in (store / "drug" / "c" / "1" / "0" / "0" / "0", store / "tissue" / "c" / "1" / "0" / "0" / "0"):
        chunk.unlink()
    result = Result(tmp_path / "out")
    assert result.array("drug", 0).max() == 0
    for name in ("drug", "tissue"):
        with pytest.raises(ResultError, match=rf"chunk {name}/c/1/0/0/0 is missing"):
            result.array(name, 1)
    with pytest.raises(ResultError, match="is missing"):
        result.dataset()
    with xr.open_zarr(store, consolidated=False) as data:  # other programs see what can't be a value
        assert np.isnan(data["drug"].values[1]).all()
        assert (data["tissue"].values[1] == 255).all()


def test_check_is_a_line_for_each_damage_and_exit_code_2(made, tmp_path):
    from typer.testing import CliRunner

    def check():
        return CliRunner().invoke(app, ["check", str(tmp_path / "out")])

    shutil.copytree(made / "whole", tmp_path / "out")
    done = check()
    assert done.exit_code == 0
    assert done.output.strip().endswith(": no damage found")
    counts = tmp_path / "out" / layout.COUNTS
    counts.write_text(counts.read_text().replace("500", "501", 1))
    (tmp_path / "out" / layout.SNAPSHOTS / "virus" / "c" / "2" / "0" / "0" / "0").unlink()
    done = check()
    assert done.exit_code != 0
    lines = str(done.exception).splitlines()
    assert len(lines) == 2
    assert f"{counts}: is damaged" in lines[0]
    assert "snapshot 2 at 8 min: is damaged: chunk virus/c/2/0/0/0 is missing" in lines[1]


@pytest.mark.parametrize("damage", ["counts", "snapshot", "metadata"])
def test_a_damaged_run_goes_on_from_before_the_damage_and_ends_alike(made, tmp_path, damage):
    shutil.copytree(made / "half", tmp_path / "out")
    store, counts = tmp_path / "out" / layout.SNAPSHOTS, tmp_path / "out" / layout.COUNTS
    path = {
        "counts": counts,
        "snapshot": store / "virus" / "c" / "1" / "0" / "0" / "0",
        "metadata": store / "virus" / "zarr.json",
    }[damage]
    data = path.read_bytes()
    if damage == "counts":  # a digit of the last row, which only the last checkpoint covers
        path.write_bytes(data[:-4] + bytes([data[-4] ^ 1]) + data[-3:])
    else:
        path.write_bytes(data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :])
    with pytest.warns(UserWarning, match="damaged"):
        summary = record(tmp_path / "out", resume=True)
    assert summary["resumed_at_step"] == {"counts": 4, "snapshot": 0, "metadata": 0}[damage]
    assert list(checking.damages(tmp_path / "out")) == []
    assert counts.read_bytes() == (made / "whole" / layout.COUNTS).read_bytes()
    assert summary["digest"] == Result(made / "whole").digest()


def test_snapshots_that_are_removed_under_a_run_are_said(tmp_path):
    running = gpusim.Simulation(gpusim.Scenario.parse(TEXT), "numpy")
    with running, Recorder(running, tmp_path / "out") as recorder:
        shutil.rmtree(tmp_path / "out" / layout.SNAPSHOTS)
        running.step(4)
        with pytest.raises(ResultError, match="was removed or changed"):
            recorder.record()


@pytest.mark.parametrize("left", ["unready", "store", "provenance"])
def test_a_store_half_made_is_no_obstacle(tmp_path, left):
    """Killed before there was anything to go on with: the same command begins again."""
    record(tmp_path / "out", stop=2)
    out = tmp_path / "out"
    for path in (out / layout.SCENARIO, out / layout.COUNTS, out / layout.SUMS):
        path.unlink()
    shutil.rmtree(out / layout.CHECKPOINTS)
    if left != "provenance":
        (out / PROVENANCE).unlink()
    if left == "unready":
        (out / layout.SNAPSHOTS).rename(out / (layout.UNREADY + "a1"))
    else:  # no snapshot yet
        with zarr.config.set({"array.write_empty_chunks": True}):
            zarr.open_group(str(out / layout.SNAPSHOTS), mode="r+")["time"][...] = np.nan
    assert record(out)["steps"] == 8


def test_an_input_that_has_changed_is_said_and_refused_unless_asked_for(tmp_path):
    cells = tmp_path / "cells.csv"
    cells.write_text("x,y,z,type\n10,10,10,t\n")
    text = TABLE.replace("CELLS", str(cells))
    record(tmp_path / "out", text, stop=4)
    cells.write_text("x,y,z,type\n30,10,10,t\n")
    with pytest.raises(ResultError, match=r"has changed since; undo this.*--rerun-changed\n.*cells.csv: \w+... then"):
        record(tmp_path / "out", text, resume=True)
    kept = [path.name for path in checkpoint.files(tmp_path / "out")]
    cells.write_text("x,y,z,type\n10,10,10,t\n")
    assert [path.name for path in checkpoint.files(tmp_path / "out")] == kept
    cells.write_text("x,y,z,type\n30,10,10,t\n")
    with pytest.warns(UserWarning, match="is run again"):
        summary = record(tmp_path / "out", text, resume=True, rerun=True)
    assert summary["resumed_at_step"] == 0
    assert summary["digest"] == record(tmp_path / "fresh", text)["digest"]


def test_another_program_is_said_and_refused(tmp_path):
    record(tmp_path / "out", stop=4)
    kept = read_sealed(tmp_path / "out" / PROVENANCE)
    write_sealed(tmp_path / "out" / PROVENANCE, kept | {"program": "0.0.1 abc"})
    with pytest.raises(ResultError, match=r"\nthe program .*: 0.0.1 abc then, .* now"):
        record(tmp_path / "out", resume=True)
    assert kept["program"].split()[0] == gpusim.__version__


def test_what_is_sealed_can_not_be_changed_unseen(tmp_path):
    write_sealed(tmp_path / "a.json", {"b": 0.1, "c": [1, {"d": float("nan")}]})
    whole = (tmp_path / "a.json").read_bytes()
    assert read_sealed(tmp_path / "a.json")["b"] == 0.1
    for bit in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        (tmp_path / "a.json").write_bytes(changed)
        with pytest.raises(ResultError, match="is damaged"):
            read_sealed(tmp_path / "a.json")
    for text in ("", "{}", "[1]", "null", '{"sha256": ""}'):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(ResultError, match="is damaged"):
            read_sealed(tmp_path / "a.json")


def test_what_is_written_aside_touches_nobody_s_file_and_leaves_nothing(tmp_path):
    (tmp_path / "t.csv").write_text("good")
    (tmp_path / "t.csv.part").write_text("a user's own")
    with contextlib.suppress(KeyboardInterrupt), aside(tmp_path / "t.csv") as unready:
        unready.write_text("half")
        raise KeyboardInterrupt
    assert sorted(os.listdir(tmp_path)) == ["t.csv", "t.csv.part"]
    assert (tmp_path / "t.csv").read_text() == "good"
    with aside(tmp_path / "t.csv") as unready:
        unready.write_text("better")
    assert (tmp_path / "t.csv").read_text() == "better"
    assert (tmp_path / "t.csv.part").read_text() == "a user's own"
