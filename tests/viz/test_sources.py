"""Steering a simulation from outside."""

import pytest

pytest.importorskip("pyvista", reason="PyVista is not installed")

import gpusim
from gpusim.viz.sources import FromSimulation


def test_an_injection_adds_what_it_says():
    scenario = gpusim.Scenario.load("cold-to-hot", {"grid.shape": [12, 12, 12], "tissue.shapes.tumour.radius": "60 um"})
    with gpusim.Simulation(scenario, "numpy") as simulation:
        live = FromSimulation(simulation)
        said = live.inject("virus", "1000 PFU", "40 um", (120, 120, 120), live.sites[0])
        assert "1000 PFU of virus" in said
        assert simulation.totals()["virus"] == pytest.approx(1000, rel=1e-6)
        assert live.curves(live.sites[0])["field"][1].tolist() == pytest.approx([0, 1000], rel=1e-6)
        with pytest.raises(gpusim.ResultError, match="inject: unknown field or state 'virsu'; did you mean 'virus'"):
            live.inject("virsu", "1 PFU", "40 um", (0, 0, 0), live.sites[0])
        with pytest.raises(gpusim.ResultError, match="inject:"):
            live.inject("virus", "1 mm", "40 um", (0, 0, 0), live.sites[0])
