"""Launches, copies and waits of a time step are as few as docs/performance.md says."""

from pathlib import Path

import pytest
from backends import calls
from backends.played import PlayedDevice, Stream

import gpusim
from gpusim.backends import availability
from gpusim.record import store

pytestmark = pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler")

FULL = Path(__file__).parents[2] / "benchmarks" / "full.yaml"
SMALL = {"grid.shape": [12, 12, 12], "tissue.shapes.tumour.radius": "80 um", "record.every": "2 h", "time.until": "8 h"}


@pytest.fixture(scope="module")
def device():
    return PlayedDevice()


MOST = {
    "cold-to-hot": {"launches": 32, "graphs": 4, "to device": 0, "to host": 0, "on device": 0, "waits": 0},
    "full": {"launches": 32, "graphs": 4, "to device": 0, "to host": 0, "on device": 0, "waits": 0},
}
"""As docs/performance.md says."""


@pytest.mark.parametrize("name", MOST)
def test_a_step_takes_so_few_calls(device, name):
    scenario = gpusim.Scenario.load(FULL if name == "full" else name)
    found = calls.of_a_step(scenario, device)
    assert found["other launches"] == 0
    assert {what: found[what] for what in MOST[name] if found[what] > MOST[name][what]} == {}


def test_a_recorded_run_waits_once_in_an_interval(device, monkeypatch):
    """Besides those of the end, where counts, sums and the digest of the present state are asked for."""
    monkeypatch.setattr(store, "append", lambda *_: None)  # copies of whole lattices are waited for one by one
    scenario = gpusim.Scenario.load("cold-to-hot", SMALL)
    short, long = (calls.of_a_recorded_step(scenario, hours, device)[0] for hours in (4, 8))
    assert long["waits"] - short["waits"] == 2


def test_graphs_have_the_bits_of_single_launches(device, monkeypatch):
    device.working = True
    scenario = gpusim.Scenario.load("cold-to-hot", SMALL)
    ends = {}
    for graphs in ("1", "0"):
        monkeypatch.setenv("GPUSIM_GRAPHS", graphs)
        with gpusim.Simulation(scenario, device.backend(), seed=[1, 2]) as simulation:
            device.reset()
            simulation.step(6)
            ends[graphs] = [each.digest() for each in simulation.replicates]
            assert bool(device.counts["graphs"]) == (graphs == "1")
    with gpusim.Simulation(scenario, "numpy", seed=[1, 2]) as simulation:
        simulation.step(6)
        ends["numpy"] = [each.digest() for each in simulation.replicates]
    assert ends["1"] == ends["0"] == ends["numpy"]


def test_launches_go_on_one_by_one_where_there_are_no_graphs(device, monkeypatch):
    def refuse(self):
        raise RuntimeError("cudaErrorStreamCaptureUnsupported")

    monkeypatch.setattr(Stream, "begin_capture", refuse)
    device.working = True
    scenario = gpusim.Scenario.load("cold-to-hot", SMALL)
    with gpusim.Simulation(scenario, device.backend()) as simulation:
        device.reset()
        with pytest.warns(match="no CUDA graphs"):
            simulation.step(4)
        found = simulation.digest()
    assert not device.counts["graphs"]
    with gpusim.Simulation(scenario, "numpy") as simulation:
        simulation.step(4)
        assert simulation.digest() == found
