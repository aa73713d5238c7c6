"""Steering a simulation from outside."""

import pytest

pytest.importorskip("pyvista", reason="PyVista is not installed")

import numpy as np

import gpusim
from gpusim.record import Recorder
from gpusim.viz import curves
from gpusim.viz.sources import FromResult, FromSimulation, curves_of


def test_an_injection_adds_what_it_says():
    scenario = gpusim.Scenario.load("cold-to-hot", {"grid.shape": [12, 12, 12], "tissue.shapes.tumour.radius": "60 um"})
    with gpusim.Simulation(scenario, "numpy") as simulation:
        live = FromSimulation(simulation)
        said = live.inject("virus", "1000 PFU", "40 um", (120, 120, 120), live.sites[0])
        assert "1000 PFU of virus" in said
        assert simulation.totals()["virus"] == pytest.approx(1000, rel=1e-6)
        assert live.series("total.virus", live.sites[0])[1].tolist() == pytest.approx([0, 1000], rel=1e-6)
        with pytest.raises(gpusim.ResultError, match="inject: unknown field or state 'virsu'; did you mean 'virus'"):
            live.inject("virsu", "1 PFU", "40 um", (0, 0, 0), live.sites[0])
        with pytest.raises(gpusim.ResultError, match="inject:"):
            live.inject("virus", "1 mm", "40 um", (0, 0, 0), live.sites[0])


def test_curves_of_a_live_run_are_columns_of_the_table_of_counts(tmp_path):
    scenario = gpusim.Scenario.load(
        "cold-to-hot",
        {"grid.shape": [12, 12, 12], "tissue.shapes.tumour.radius": "60 um", "record.every": "1 h"},
    )
    folder = tmp_path / "out"
    with gpusim.Simulation(scenario, "numpy") as simulation, Recorder(simulation, folder) as recorder:
        live = FromSimulation(simulation)
        for _ in simulation.stretches("2 h"):
            recorder.record()
            live.note()
        recorder.finish()
        stored, site = FromResult(folder), live.sites[0]
        names = curves_of(live.moment(0, site))
        assert {"cells", "heat", "cells.tumour", "total.virus", "mean.load", "body.antibody"} <= set(names)
        for name in names:
            minutes, values = live.series(name, site)
            at, expected = stored.series(name, site)
            there = np.isin(at, minutes)
            kept = np.isin(minutes, at)
            assert there.sum() > 1
            np.testing.assert_allclose(np.unique(minutes[kept]), at[there])
            last = minutes.searchsorted(at[there][-1])
            assert values[last] == pytest.approx(expected[there][-1], rel=1e-5, nan_ok=True), name
    assert live.series("cells.unknown", site) is None
    shown = curves.panels(["cells", "cells.ctl", "total.virus", "gone"], [live], site)
    assert list(map(len, shown.values())) == [2, 1]
    text = curves.table(["cells"], [stored], site)
    assert text.startswith("source,curve,minutes,value\n")
    assert curves.figure([], [live], site, "dark") is None
