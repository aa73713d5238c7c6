"""A recorded run as one page: its pictures, and its controls in a real browser where there is one."""

import json
import re
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("pyvista", reason="PyVista is not installed")

import gpusim
from gpusim.cli import app
from gpusim.record import Recorder
from gpusim.viz import recording
from gpusim.viz.moment import moment_of_simulation
from gpusim.viz.scene import Look

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUICK = ["--size", "160x90", "--hide", "cells", "--hide", "field"]


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    small = {"grid.shape": [16, 16, 16], "tissue.shapes.tumour.radius": "90 um", "record.every": "15 min"}
    folder = tmp_path_factory.mktemp("recording") / "out"
    scenario = gpusim.Scenario.load("cold-to-hot", small | {"description": "a <b>cold</b> tumour"})
    with gpusim.Simulation(scenario, "numpy") as simulation, Recorder(simulation, folder) as recorder:
        for _ in simulation.stretches("45 min"):
            recorder.record()
        recorder.finish()
    return folder


def page(result, target, *options):
    done = CliRunner().invoke(app, ["render", str(result), "-o", str(target), *QUICK, *options])
    assert done.exit_code == 0, done.output
    text = target.read_text(encoding="utf-8")
    (data,) = re.findall(r'<script id=data type="application/json">(.*?)</script>', text)
    return text, json.loads(data)


def test_a_page_has_a_picture_of_each_time_from_each_side(result, tmp_path):
    text, data = page(result, tmp_path / "run.html", "--at", "all", "--sides", "3")
    assert data["times"] == ["0 min", "15 min", "30 min", "45 min"]
    assert data["sides"] == 3
    assert len(data["images"]) == 12
    assert len(set(data["images"])) > 8
    assert all(image.startswith("data:image/webp;base64,") for image in data["images"])
    assert not data["around"]
    # The times lie evenly on the axis of the curves.
    assert np.diff(data["places"]) == pytest.approx([np.diff(data["places"])[0]] * 3)
    assert "a &lt;b&gt;cold&lt;/b&gt; tumour" in text
    assert "<svg" in text
    assert 'src="http' not in text


def test_a_page_of_some_times_from_all_around(result, tmp_path):
    _, data = page(result, tmp_path / "run.html", "--at", "start, end", "--sides", "2", "--turn", "360")
    assert data["times"] == ["0 min", "45 min"]
    assert len(data["images"]) == 4
    assert data["around"]


def test_the_sides_are_spread_around_the_view(monkeypatch):
    turned = []
    monkeypatch.setattr(recording.Stage, "turn", lambda stage, azimuth: turned.append(azimuth))
    monkeypatch.setattr(recording.Stage, "picture", lambda stage: None)
    now = moment_of_simulation(gpusim.Simulation("cold-to-hot", "numpy"))
    look = Look(hidden=frozenset({"cells", "field", "surface"}))
    for sides, turn, angles in ((3, 120, [-60, 0, 60]), (1, 120, [0]), (4, 360, [0, 90, 180, 270])):
        turned.clear()
        list(recording.pictures([lambda: now], look, (160, 90), sides, turn))
        assert turned == [0, *angles]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt install chromium)")
def test_time_and_side_change_the_picture(result, tmp_path):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    _, data = page(result, tmp_path / "run.html", "--at", "all", "--sides", "3")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 1200, "height": 700})
        errors = []
        shown.on("pageerror", lambda error: errors.append(str(error)))
        shown.goto((tmp_path / "run.html").as_uri())

        def number():
            return data["images"].index(shown.get_attribute("#view", "src"))

        assert number() == 1
        shown.focus("#time")
        shown.keyboard.press("ArrowRight")
        assert number() == 4
        assert shown.inner_text("#label") == "15 min"
        box = shown.locator("#view").bounding_box()
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        shown.mouse.move(*middle)
        shown.mouse.down()
        shown.mouse.move(middle[0] - box["width"] / 3, middle[1])
        shown.mouse.up()
        assert number() == 5
        curves = shown.locator("#curves").bounding_box()
        shown.mouse.click(curves["x"] + 0.95 * curves["width"], curves["y"] + 30)
        assert number() == 11
        shown.click("#play")
        assert number() == 2
        shown.wait_for_function("document.querySelector('#time').value === '3'")
        browser.close()
    assert not errors
