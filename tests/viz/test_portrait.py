"""`plot()` of simulations and results."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("pyvista", reason="PyVista is not installed")

import gpusim
from gpusim.record import Recorder, Result

TEXT = """
name: two
grid: {spacing: 20 um, shape: [12, 12, 12]}
time: {until: 20 min, step: {rules: 10 min}}
fields:
  virus: {unit: PFU/voxel, diffusion: 10 um^2/min, decay: 0.003 /min}
states: {healthy: {}, tumour: {}}
tissue:
  background: healthy
  shapes:
    tumour: {kind: sphere, state: tumour, radius: 80 um}
therapies:
  injection: {inject: virus, amount: 1e4 PFU, at: centre, radius: 40 um, site: left}
sites: {left: {}, right: {}}
record: {every: 10 min}
"""


@pytest.fixture(scope="module")
def simulation():
    with gpusim.Simulation(gpusim.Scenario.parse(TEXT), "numpy") as simulation:
        simulation.run()
        yield simulation


def test_all_sites_stand_side_by_side_or_one_alone(simulation):
    both, left = simulation.plot("virus"), simulation.plot("virus", site="left", theme="paper", size=(320, 180))
    assert both.size == (1584, 540)
    pixels = np.asarray(both)
    assert (pixels[60:480, :594] != pixels[60:480, 594:1188]).any()
    assert left.size == (320, 180)
    assert both._repr_png_().startswith(b"\x89PNG")  # what a notebook shows


def test_a_result_has_its_times(simulation, tmp_path):
    with gpusim.Simulation(simulation.scenario, "numpy") as again, Recorder(again, tmp_path / "out") as recorder:
        for _ in again.stretches():
            recorder.record()
        recorder.finish()
    result = Result(tmp_path / "out")
    alone = result.plot(site="left", at="end", size=(320, 180))
    assert np.array_equal(alone, simulation.plot(site="left", size=(320, 180)))
    before = np.asarray(result.plot(site="left", at="start, end", size=(640, 180)))
    assert (before[40:150, :240] != before[40:150, 240:480]).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"site": "middle"}, "no site 'middle' (known: left, right)"),
        ({"field": "virsu"}, "did you mean 'virus'"),
        ({"at": "start"}, "only its present"),
        ({"hide": ["legend"]}, "expected one of field"),
        ({"theme": "pink"}, "expected one of dark"),
    ],
)
def test_a_mistake_is_one_line(simulation, options, message):
    with pytest.raises(gpusim.ResultError) as caught:
        simulation.plot(**options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_the_extra_it_says_what_to_install(simulation, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(gpusim.ResultError, match=r"pip install 'gpusim\[viz\]'"):
        simulation.plot()


def test_nothing_that_draws_is_imported_before_something_is_drawn():
    code = "import sys, gpusim; assert not {'pyvista', 'matplotlib', 'PIL', 'gpusim.viz'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
