"""Traits in results: snapshots, means over time, the summary, checkpoints; and what damages them."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

import gpusim
from gpusim import ResultError, ScenarioError
from gpusim.record import Recorder, Result
from gpusim.record.checking import damages

TEXT = """
name: small
grid: {shape: [6, 5, 4]}
time: {until: 8 min, step: {field: 1 min, rules: 2 min}}
record: {every: 4 min, RECORD}
fields: {virus: {unit: PFU/voxel, diffusion: 100 um^2/min, initial: 2}}
states: {tumour: {}, infected: {}, ctl: {layer: immune}}
traits:
  kills: {of: ctl, most: 9, initial: 4}
  load:
    of: [infected, tumour]
    unit: vp
    most: 50 vp
    initial: {uniform: {low: 2 vp, high: 6 vp}}
    changes: {replication: {gain: 0.5 vp/min, of: infected}}
rules: {infection: {transition: tumour -> infected, rate: 0.1 /min}}
tissue: {shapes: {half: {kind: everywhere, state: tumour, fraction: 0.5}}}
"""


def record(folder, chosen="", text=TEXT, steps=None, **options):
    """A run, or its first steps with a checkpoint after them."""
    text = text.replace(", RECORD", f", {chosen}" if chosen else "")
    simulation = gpusim.Simulation(gpusim.Scenario.parse(text), "numpy")
    with Recorder(simulation, folder, **options) as recorder:
        for _ in simulation.stretches():
            recorder.record()
            if simulation.steps == steps:
                recorder.checkpoint()
                return simulation
        recorder.finish()
    return simulation


def test_snapshots_contain_traits_with_their_units(tmp_path):
    simulation = record(tmp_path / "out")
    result = Result(tmp_path / "out")
    assert result.trait_names == ["load", "kills"]
    assert np.array_equal(result.trait("load"), simulation.trait("load"))
    assert result.trait("load").dtype == np.float32
    assert result.unit("load") == "vp"
    with xr.open_zarr(tmp_path / "out" / "snapshots.zarr", consolidated=False) as data:
        assert data["load"].dims == ("time", "z", "y", "x")
        assert data["load"].attrs["units"] == "vp"
        assert data["load"].attrs["states"] == "tumour infected"
        here, live = result.dataset().isel(time=-1), simulation.dataset()
        for name in ("load", "kills"):
            assert np.array_equal(here[name].values, live[name].values)
            assert here[name].attrs == live[name].attrs


def test_means_are_those_of_the_cells_and_blank_without_cells(tmp_path):
    simulation = record(tmp_path / "out")
    counts = pd.read_csv(tmp_path / "out" / "counts.csv")
    load, tissue = simulation.trait("load").astype(float), simulation.tissue
    assert counts["mean.load"].iloc[-1] == pytest.approx(load[tissue > 0].mean(), rel=1e-8)
    assert 2 <= counts["mean.load"].iloc[0] <= 6
    assert counts["mean.kills"].isna().all()
    # Of each cell 0.5 vp a minute from the step after its infection on.
    infected = counts["cells.infected"].to_numpy()
    gained = np.concatenate([[0], np.cumsum(infected[:-1])])
    cells = (counts["cells.tumour"] + infected).to_numpy()
    assert (counts["mean.load"] * cells - counts["mean.load"][0] * cells).to_numpy() == pytest.approx(gained, rel=1e-5)
    summary = Result(tmp_path / "out").summary
    assert summary["traits"]["kills"] == {"cells": 0, "mean": None, "lowest": None, "highest": None}
    assert summary["traits"]["load"] == {
        "cells": (tissue > 0).sum(),
        "mean": pytest.approx(load[tissue > 0].mean(), rel=1e-12),
        "lowest": load[tissue > 0].min(),
        "highest": load.max(),
    }


def test_sites_have_means_of_their_own(tmp_path):
    sites = "sites: {here: {}, there: {tissue: {background: tumour}}}\n"
    simulation = record(tmp_path / "out", text=TEXT + sites)
    last = pd.read_csv(tmp_path / "out" / "counts.csv").iloc[-1]
    totals = [simulation.sites[site].values("load").astype(float) for site in ("here", "there")]
    for site, values in zip(("here", "there"), totals, strict=True):
        assert last[f"{site}.mean.load"] == pytest.approx(values.mean(), rel=1e-8)
    assert last["mean.load"] == pytest.approx(np.concatenate(totals).mean(), rel=1e-8)
    assert Result(tmp_path / "out").digest() == simulation.digest()


@pytest.mark.parametrize(
    ("chosen", "kept"), [("", ["load", "kills"]), ("traits: kills", ["kills"]), ("traits: []", [])]
)
def test_a_scenario_chooses_the_recorded_traits_and_the_digest_stays(tmp_path, chosen, kept):
    simulation = record(tmp_path / "out", chosen)
    result = Result(tmp_path / "out")
    assert result.trait_names == kept
    assert result.digest() == simulation.digest() == result.summary["digest"]
    assert list(damages(tmp_path / "out")) == []
    assert not np.isnan(result.counts["mean.load"]).any()
    if "load" not in kept:
        with pytest.raises(ResultError, match="trait 'load' is not recorded"):
            result.trait("load")
    with pytest.raises(ResultError, match="no trait 'lod'"):
        result.trait("lod")


@pytest.mark.parametrize("chosen", ["", "traits: load"])
def test_one_bit_of_a_trait_is_noticed(tmp_path, chosen):
    record(tmp_path / "out", chosen)
    group = zarr.open_group(str(tmp_path / "out" / "snapshots.zarr"), mode="r+")
    group["load"][-1, 0, 0, 0] += np.float32(2**-20)
    with pytest.raises(ResultError, match="is damaged"):
        Result(tmp_path / "out").digest()
    assert any("snapshot 2" in line for line in damages(tmp_path / "out"))


@pytest.mark.parametrize("chosen", ["", "traits: []"])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, chosen):
    whole = record(tmp_path / "whole", chosen)
    record(tmp_path / "out", chosen, steps=6)
    resumed = record(tmp_path / "out", chosen, resume=True)
    assert resumed.digest() == whole.digest()
    assert (tmp_path / "out" / "counts.csv").read_text() == (tmp_path / "whole" / "counts.csv").read_text()
    summaries = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("out", "whole")]
    assert summaries[0]["traits"] == summaries[1]["traits"]
    assert summaries[0]["resumed_at_step"] == 6


def test_a_trait_that_is_recorded_but_not_there_is_refused():
    with pytest.raises(ScenarioError, match=r"record\.traits: unknown trait 'lood'; did you mean 'load'"):
        gpusim.Scenario.parse(TEXT.replace("RECORD", "traits: [lood]"))
