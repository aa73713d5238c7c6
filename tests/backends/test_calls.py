"""Launches, copies and waits of a time step are as few as docs/performance.md says."""

from pathlib import Path

import pytest
from backends import calls
from backends.played import PlayedDevice

import gpusim
from gpusim.backends import availability

pytestmark = pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler")

FULL = Path(__file__).parents[2] / "benchmarks" / "full.yaml"
SMALL = {"grid.shape": [12, 12, 12], "tissue.shapes.tumour.radius": "80 um", "record.every": "2 h", "time.until": "4 h"}


@pytest.fixture(scope="module")
def device():
    return PlayedDevice()


MOST = {
    "cold-to-hot": {"launches": 143, "graphs": 0, "to device": 3, "to host": 6, "on device": 0, "waits": 2},
    "full": {"launches": 156, "graphs": 0, "to device": 3, "to host": 6, "on device": 0, "waits": 2},
}


@pytest.mark.parametrize("name", MOST)
def test_a_step_takes_so_few_calls(device, name):
    scenario = gpusim.Scenario.load(FULL if name == "full" else name)
    found = calls.of_a_step(scenario, device)
    assert found["other launches"] == 0
    assert {what: found[what] for what in MOST[name] if found[what] > MOST[name][what]} == {}


def test_a_recorded_run_waits_so_rarely(device):
    found, steps = calls.of_a_recorded_step(gpusim.Scenario.load("cold-to-hot", SMALL), 4, device)
    assert found["waits"] <= 5 * steps + 6
