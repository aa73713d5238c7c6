"""The app, driven in a real browser: Debian's chromium, without a display."""

import re
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("pyvista", reason="PyVista is not installed")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

import gpusim  # noqa: E402
from gpusim.record import Recorder  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt install chromium)"),
]
SMALL = {"grid.shape": [16, 16, 16], "tissue.shapes.tumour.radius": "90 um", "record.every": "15 min"}
PATIENCE = 120_000


def recorded(folder, **more):
    scenario = gpusim.Scenario.load("cold-to-hot", SMALL | more)
    with gpusim.Simulation(scenario, "numpy") as simulation, Recorder(simulation, folder) as recorder:
        for _ in simulation.stretches("45 min"):
            recorder.record()
        recorder.finish()
    return folder


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("app") / "out")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("app") / "untreated", seed=2, therapies=None)


@pytest.fixture
def page_of(request):
    """A page of `gpusim view ARGUMENTS`, and what its console had to complain about."""
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        servers = []

        def open_page(*arguments):
            command = [sys.executable, "-m", "gpusim", "view", *map(str, arguments), "--no-browser"]
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            servers.append(server)
            address = re.match(r"http://\S+", server.stdout.readline())
            assert address, "the server gave no address"
            page = browser.new_page(viewport={"width": 900, "height": 600})
            page.set_default_timeout(PATIENCE)
            errors = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
            page.goto(address[0])
            page.wait_for_function(DRAWN)
            return page, errors

        yield open_page
        browser.close()
        for server in servers:
            server.terminate()
            server.wait()
            server.stdout.close()


IMAGE = "document.querySelector('#view img:not([style*=none])')"
DRAWN = f"{IMAGE} && {IMAGE}.naturalWidth > 0"


def source(page):
    return page.evaluate(f"{IMAGE}.src")


def wait_for_another_picture(page, before):
    page.wait_for_function(f"src => {IMAGE}.src !== src", arg=before)


def test_the_slider_moves_time_and_the_picture_with_no_error(result, page_of):
    page, errors = page_of(result)
    assert page.inner_text("#now") == "0 min"
    before = source(page)
    page.locator("[role=slider]").first.press("End")
    page.wait_for_function("document.querySelector('#now').innerText === '45 min'")
    wait_for_another_picture(page, before)
    assert not errors
    assert "secret" not in page.url
    page.reload()  # calls under way end in errors of the old page
    page.wait_for_function(DRAWN)
    assert page.inner_text("#now") == "45 min"


def test_two_results_stand_side_by_side_and_share_the_slider(result, other, page_of):
    page, errors = page_of(result, other)
    writing = "[...document.querySelectorAll('#view > img')].map(image => image.src)"
    before = page.evaluate(writing)
    assert len(before) == 2
    assert before[0] != before[1]
    # A slider that is pulled sends each of its places; the last one counts.
    for key in ("ArrowRight", "ArrowRight", "End"):
        page.locator("[role=slider]").first.press(key)
    page.wait_for_function(f"before => {writing}.every((source, i) => source !== before[i])", arg=before)
    page.wait_for_function("document.querySelector('#now').innerText === '45 min'")
    assert not errors


def test_a_live_simulation_steps_and_takes_an_injection(page_of):
    settings = [f"--set={key}={value}" for key, value in SMALL.items()]
    page, errors = page_of("--live", "cold-to-hot", "--backend", "numpy", "--steps", "3", *settings)
    before = source(page)
    page.click("#step")
    page.wait_for_function("document.querySelector('#now').innerText === '15 min'")
    wait_for_another_picture(page, before)
    curves = "document.querySelector('#curves').src"
    before = page.evaluate(curves)
    page.click("#inject")
    page.wait_for_function("document.querySelector('#message').innerText.includes('1e5 PFU of virus into')")
    page.wait_for_function(f"before => {curves} !== before", arg=before)
    assert not errors


def test_keys_move_time_and_steer_the_cut(result, page_of):
    page, errors = page_of(result)
    stage = page.locator("#stage")
    stage.press("End")
    page.wait_for_function("document.querySelector('#now').innerText === '45 min'")
    stage.press("ArrowLeft")
    page.wait_for_function("document.querySelector('#now').innerText === '30 min'")
    before = source(page)
    stage.press("c")
    wait_for_another_picture(page, before)
    page.wait_for_function("getComputedStyle(document.querySelector('#busy')).display === 'none'")
    assert not errors


def test_the_view_stands_beside_the_controls_and_shows_the_scene(result, page_of):
    page, errors = page_of(result)
    scene = "document.querySelector('#view > div img')"
    page.wait_for_function(f"{scene} && {scene}.naturalWidth > 100")
    drawer, view = (page.locator(each).first.bounding_box() for each in (".v-navigation-drawer", "#view"))
    assert view["x"] >= drawer["x"] + drawer["width"]
    assert page.evaluate(f"{scene}.naturalWidth") == round(view["width"])
    assert not errors


def test_what_is_under_the_pointer_is_shown_and_curves_are_chosen(result, page_of):
    page, errors = page_of(result)
    scene = "document.querySelector('#view > div img')"
    page.wait_for_function(f"{scene} && {scene}.naturalWidth > 100")
    for key in ("c", "c", "c", "f"):  # a half, across z, in the colours of the field
        page.locator("#stage").press(key)
    page.wait_for_function("window.trame.state.get('cut') === 'z' && window.trame.state.get('faces') === 'field'")
    view = page.locator("#view").bounding_box()
    page.wait_for_function("getComputedStyle(document.querySelector('#busy')).display === 'none'")
    page.mouse.move(view["x"] + 0.375 * view["width"], view["y"] + 0.5 * view["height"])  # the middle of the face
    page.wait_for_function("document.querySelector('#pointed').innerText")
    said = page.inner_text("#pointed")
    assert re.match(r"\(\d+, \d+, \d+\) µm: .+; tumour heat: ", said)
    curves = "document.querySelector('#curves').src"
    before = page.evaluate(curves)
    page.evaluate("window.trame.state.set('curve_names', ['body.antibody', 'cells.ctl'])")
    page.wait_for_function(f"before => {curves} !== before", arg=before)
    with page.expect_download() as download:
        page.click("#save_csv")
    lines = download.value.path().read_text().splitlines()
    assert {line.split(",")[-3] for line in lines[1:]} == {"body.antibody", "cells.ctl"}
    assert not errors


def test_a_live_run_is_steered_by_keys(page_of):
    settings = [f"--set={key}={value}" for key, value in SMALL.items()]
    page, errors = page_of("--live", "cold-to-hot", "--backend", "numpy", "--steps", "3", *settings)
    page.locator("#stage").press("ArrowRight")
    page.wait_for_function("document.querySelector('#now').innerText === '15 min'")
    assert not errors


def test_curves_are_saved_as_a_table_and_as_figures(result, page_of):
    page, errors = page_of(result)
    for kind in ("png", "svg", "csv"):
        with page.expect_download() as download:
            page.click(f"#save_{kind}")
        data = download.value.path().read_bytes()
        if kind == "png":
            assert data.startswith(b"\x89PNG")
        elif kind == "svg":
            assert b"<svg" in data
        else:
            lines = data.decode().splitlines()
            assert lines[0] == "source,curve,minutes,value"
            # Counts are recorded at each time step, 5 min.
            assert {float(line.split(",")[-2]) for line in lines[1:]} == set(range(0, 46, 5))
    assert not errors
