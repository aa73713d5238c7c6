"""Without OpenGL, VTK ends the process; a message comes first."""

import ctypes
import sys

import pytest
from typer.testing import CliRunner

import gpusim
from gpusim.cli import app
from gpusim.record import Recorder
from gpusim.viz import opengl


@pytest.fixture
def bare(monkeypatch):
    """A machine without a display and without libraries that draw."""

    def fails(library):
        raise OSError(library)

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(ctypes, "CDLL", fails)


def test_a_machine_that_cannot_draw_is_told_what_to_install(bare, monkeypatch):
    with pytest.raises(gpusim.ResultError, match="apt install libegl1"):
        opengl.require_opengl()
    monkeypatch.setenv("DISPLAY", ":0")
    opengl.require_opengl()


def test_one_library_is_enough(bare, monkeypatch):
    asked = []

    def only(library):
        asked.append(library)
        if library != "libOSMesa.so.8":
            raise OSError(library)

    monkeypatch.setattr(ctypes, "CDLL", only)
    opengl.require_opengl()
    assert asked == ["libEGL.so.1", "libOSMesa.so.8"]


def test_render_says_so_in_one_line(tmp_path, bare):
    scenario = gpusim.Scenario.parse(
        "grid: {shape: [4, 4, 4]}\ntime: {until: 10 min}\nstates: {tumour: {role: tumour}}\n"
        "rules: {death: {transition: tumour -> empty, rate: 0.1 /hour}}\ntissue: {background: tumour}\n"
    )
    with gpusim.Simulation(scenario, "numpy") as simulation, Recorder(simulation, tmp_path / "out") as recorder:
        recorder.record()
        simulation.run()
        recorder.record()
        recorder.finish()
    done = CliRunner().invoke(app, ["render", str(tmp_path / "out"), "-o", str(tmp_path / "picture.png")])
    assert isinstance(done.exception, gpusim.ResultError)  # of which the program makes a line and exit code 2
    assert not (tmp_path / "picture.png").exists()
