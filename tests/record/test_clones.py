"""Clones in results: labels in snapshots, tables of births and of cells, checkpoints; and what damages them."""

import numpy as np
import pandas as pd
import pytest
import zarr

import gpusim
from gpusim import ResultError, ScenarioError
from gpusim.record import Recorder, Result
from gpusim.record.checking import damages

TEXT = """
name: small
grid: {shape: [9, 8, 7]}
time: {until: 120 min, step: {field: 3 min, rules: 6 min}}
record: {every: 30 min, RECORD}
states: {one: {}, other: {}, t: {layer: immune}}
traits:
  kills: {of: t, most: 9, initial: 4}
  antigen: {of: one, initial: {uniform: {low: 1, high: 2}}, mutation: {probability: 0.2, becomes: 0.1, clone: new}}
clones: {of: one, founders: FOUNDERS}
rules:
  division: {transition: one -> one + one, rate: 0.3 /hour, reach: 80 um}
  entry: {transition: other -> one, rate: 0.2 /hour}
  loss: {transition: one -> other, rate: 0.2 /hour}
tissue:
  shapes:
    ball: {kind: sphere, radius: 40 um, state: one}
    others: {kind: box, state: other, lower: [0 um, 0 um, 0 um], upper: [40 um, 80 um, 80 um]}
therapies:
  graft: {inject: one, start: 42 min, amount: 3 cell, at: [140 um, 80 um, 70 um], radius: 60 um}
"""


def record(folder, chosen="", founders="each", steps=None, text=TEXT, **options):
    """A run, or its first steps with a checkpoint after them."""
    text = text.replace(", RECORD", f", {chosen}" if chosen else "").replace("FOUNDERS", founders)
    simulation = gpusim.Simulation(gpusim.Scenario.parse(text), "numpy")
    with Recorder(simulation, folder, **options) as recorder:
        while simulation.steps < simulation.model.until:
            simulation.step()
            recorder.record()
            if simulation.steps == steps:
                recorder.checkpoint()
                return simulation
        recorder.finish()
    return simulation


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clones") / "out"
    return record(folder), Result(folder)


def test_snapshots_contain_labels(run):
    simulation, result = run
    assert result.array("clones").dtype == np.uint64
    assert np.array_equal(result.array("clones"), simulation.site.clones())
    data = result.dataset()["clones"]
    assert data.dtype == np.uint64
    assert data.dims == ("time", "z", "y", "x")
    assert np.array_equal(data[-1].values, simulation.dataset()["clones"].values)
    assert result.digest() == simulation.digest()
    assert list(damages(result.folder)) == []


def test_the_table_of_births_has_founders_and_all_that_were_born(run):
    simulation, result = run
    births = result.births
    lineage, (founders, begin) = simulation.site.lineage, simulation.site.founders()
    assert len(births) == founders.size + len(lineage.births)
    assert births["clone"].tolist() == list(range(1, len(births) + 1))
    assert births["label"][: founders.size].tolist() == founders.tolist()
    assert (births["parent"] < births["clone"]).all()
    assert births["minutes"].is_monotonic_increasing
    assert (births["minutes"] == births["step"] * simulation.model.step).all()
    parents = dict(lineage.births.tolist())
    number = dict(zip(births["label"], births["clone"], strict=True))
    for label, parent in zip(births["label"], births["parent"], strict=True):
        assert parent == number.get(parents.get(label, 0), 0)
    assert (births["label"] >= 2**63).sum() == 3
    grafted = births[births["label"] >= 2**63]
    assert (grafted["minutes"] == 42).all()
    # Labels hold the voxel, z first; places are its centre.
    z, y, x = np.unravel_index((births["label"].to_numpy() & np.uint64(2**32 - 1)).astype(int), (7, 8, 9))
    late = births["step"] > 0
    for axis, voxel in zip("xyz", (x, y, z), strict=True):
        assert (births[f"{axis}_um"] == 20 * voxel + 10)[late].all()
    placed = [(births[f"{axis}_um"][: founders.size] // 20).astype(int) for axis in "zyx"]
    assert set(simulation.model.initial.tissue[tuple(placed)]) == {1}
    # Traits of the layer alone: drawn at first and on entry, that of the mother or mutated in a daughter.
    assert "trait.kills" not in births
    antigen = births["trait.antigen"]
    assert np.array_equal(antigen[: founders.size].to_numpy(np.float32), begin[:, 0])
    first = births["parent"] == 0
    assert antigen[first].between(1, 2).all()
    assert antigen[first].nunique() == first.sum()
    assert (antigen[~first] == 0.1).all()


def test_cells_of_clones_are_those_of_the_labels(run):
    _, result = run
    number = result.births.set_index("label")["clone"]
    for snapshot, minutes in enumerate(result.times):
        labels = result.array("clones", snapshot)
        rows = result.clones[result.clones["snapshot"] == snapshot]
        assert (rows["minutes"] == minutes).all()
        found = pd.Series(number[labels[labels > 0]]).value_counts().sort_index()
        assert rows["clone"].tolist() == found.index.tolist()
        assert rows["cells"].tolist() == found.tolist()
    assert result.summary["clones"] == {"founded": len(number), "present": len(rows)}


def test_a_single_founder_has_no_place_and_no_traits_of_a_first_cell(tmp_path):
    record(tmp_path / "out", founders="one", steps=20)
    births = Result(tmp_path / "out").births
    assert births["label"][0] == 1
    assert births.loc[0, ["x_um", "y_um", "z_um", "trait.antigen"]].isna().all()
    (graft,) = births[births["label"] >= 2**63].to_dict("records")
    assert np.isnan(graft["trait.antigen"])
    assert graft["x_um"] > 60


@pytest.mark.parametrize("chosen", ["", "clones: false", "traits: []"])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, chosen):
    whole = record(tmp_path / "whole", chosen)
    record(tmp_path / "out", chosen, steps=23)
    assert list(damages(tmp_path / "out")) == []
    resumed = record(tmp_path / "out", chosen, resume=True)
    assert resumed.digest() == whole.digest() == Result(tmp_path / "out").digest()
    for table in ("births.csv", "clones.csv", "counts.csv"):
        assert (tmp_path / "out" / table).read_bytes() == (tmp_path / "whole" / table).read_bytes()
    assert list(damages(tmp_path / "out")) == []
    assert ("clones" in zarr.open_group(str(tmp_path / "out" / "snapshots.zarr"), mode="r")) == ("false" not in chosen)


@pytest.mark.parametrize("table", ["births.csv", "clones.csv"])
@pytest.mark.parametrize("steps", [None, 23])
def test_a_changed_table_is_noticed(tmp_path, table, steps):
    record(tmp_path / "out", steps=steps)
    path = tmp_path / "out" / table
    path.write_bytes(path.read_bytes().replace(b",1,", b",2,", 1))
    assert any(table in line for line in damages(tmp_path / "out"))
    if steps is None:
        with pytest.raises(ResultError, match="is damaged"):
            getattr(Result(tmp_path / "out"), table.removesuffix(".csv"))
    else:
        with pytest.warns(UserWarning, match=f"{table} is damaged"):
            record(tmp_path / "out", resume=True)


def test_one_bit_of_a_label_is_noticed(tmp_path):
    record(tmp_path / "out")
    group = zarr.open_group(str(tmp_path / "out" / "snapshots.zarr"), mode="r+")
    group["clones"][-1, 0, 0, 0] += np.uint64(1)
    assert any("is damaged" in line for line in damages(tmp_path / "out"))


def test_sites_number_their_clones_each(tmp_path):
    sites = "sites: {a: {}, 'NA': {tissue: {background: one}}}\n"
    simulation = record(tmp_path / "out", text=TEXT.split("therapies")[0] + sites)
    for name in ("a", "NA"):
        result = Result(tmp_path / "out", name)
        clones = simulation.sites[name].clones()
        last = result.clones[result.clones["snapshot"] == len(result.times) - 1]
        assert last["cells"].sum() == (clones > 0).sum()
        assert result.births["clone"].iloc[-1] == len(result.births)


def test_what_has_no_effect_is_refused_and_a_result_without_clones_has_no_tables(tmp_path):
    text = TEXT.replace("clones: {of", "# {").replace(", clone: new", "").replace(", RECORD", ", clones: false")
    with pytest.raises(ScenarioError, match=r"record\.clones: has no effect, because the scenario has no clones"):
        gpusim.Scenario.parse(text)
    record(tmp_path / "out", text=text.replace(", clones: false", ""))
    assert not (tmp_path / "out" / "births.csv").exists()
    for table in ("births", "clones"):
        with pytest.raises(ResultError, match="has no clones"):
            getattr(Result(tmp_path / "out"), table)
