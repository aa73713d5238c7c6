"""The model builder, driven in a real browser: Debian's chromium, without a display."""

import re
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("aiohttp", reason="trame is not installed")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt install chromium)"),
]
PATIENCE = 60_000
BEGUN = """\
# Our tumour: a small nodule.
extends: [nodule, infection]
name: own
grid: {shape: [16, 16, 16]}  # small
time: {until: 2 hour}
tissue: {shapes: {tumour: {radius: 90 um}}}

rules:
  # faster than in the library
  lysis: {after: 4 hour}
"""
BY_HAND = """\
# Our tumour: a small nodule.
extends: [nodule, infection]
name: own
grid: {shape: [16, 16, 16]}  # small
time: {until: 2 hour}
fields:
  virus: {diffusion: 5 um^2/min}
tissue: {shapes: {tumour: {radius: 90 um}}}

rules:
  # faster than in the library
  lysis: {after: 4 hour}
  ctl_loss:
    transition: ctl -> none
    rate: 1/(2 day)
    modulators:
      - {field: virus, half: 1 PFU/voxel}
"""


@pytest.fixture
def page(tmp_path):
    """The page of `gpusim edit own.yaml`, and what its console had to complain about."""
    (tmp_path / "own.yaml").write_text(BEGUN)
    command = [sys.executable, "-m", "gpusim", "edit", "own.yaml", "--no-browser"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=tmp_path)
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        address = re.match(r"http://\S+", server.stdout.readline())
        assert address, "the server gave no address"
        page = browser.new_page(viewport={"width": 1500, "height": 950})
        page.set_default_timeout(PATIENCE)
        page.complaints = []
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("console", lambda told: page.complaints.append(told.text) if told.type == "error" else None)
        page.goto(address[0])
        page.wait_for_selector("#problems .ok")
        yield page
        browser.close()
    server.terminate()
    server.wait()
    server.stdout.close()


def section(page, name):
    page.locator("#sections").get_by_role("button", name=re.compile(rf"^{name}\s*\d*$")).click()


def fill(page, path, text):
    """Type a value into the field of a path, and leave it."""
    cell = page.get_by_label(path, exact=True)
    cell.fill(text)
    with page.expect_response(lambda answer: answer.url.endswith("/api/put")):
        cell.press("Tab")


def test_a_virus_and_a_rule_of_t_cells_an_error_at_its_place_and_a_small_run(page, tmp_path):
    assert "secret" not in page.url
    section(page, "fields")
    page.locator("summary", has_text="virus").click()
    fill(page, "fields.virus.diffusion", "5 um^2/min")

    section(page, "rules")
    page.get_by_label("New in rules", exact=True).fill("ctl_loss")
    page.get_by_label("New in rules", exact=True).press("Enter")
    fill(page, "rules.ctl_loss.transition", "ctl -> none")
    fill(page, "rules.ctl_loss.rate", "2 um")
    problem = page.locator('[data-path=\'["rules","ctl_loss","rate"]\'] > .problem')
    problem.wait_for()
    (tmp_path / "other.yaml").write_text(BY_HAND.replace("1/(2 day)", "2 um").split("    modulators")[0])
    command = [sys.executable, "-m", "gpusim", "check", "other.yaml"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert problem.inner_text() in told.stderr  # the words of 'gpusim check'

    fill(page, "rules.ctl_loss.rate", "1/(2 day)")
    page.wait_for_selector("#problems .ok")
    page.get_by_label("Add to rules.ctl_loss", exact=True).select_option("modulators")
    page.get_by_label("Add to rules.ctl_loss.modulators", exact=True).click()
    page.get_by_label("Add to rules.ctl_loss.modulators.0", exact=True).select_option("field")
    fill(page, "rules.ctl_loss.modulators.0.field", "virus")
    page.get_by_label("Add to rules.ctl_loss.modulators.0", exact=True).select_option("half")
    fill(page, "rules.ctl_loss.modulators.0.half", "1 PFU/voxel")
    page.wait_for_selector("#problems .ok")
    assert page.locator("#graph [data-rule*=ctl_loss]").count() == 1

    page.click("#save")
    sync_api.expect(page.locator("#saved")).to_have_text("saved", timeout=PATIENCE)
    assert (tmp_path / "own.yaml").read_text() == BY_HAND

    page.select_option("#backend", "numpy")
    page.fill("#until", "1 hour")
    page.click("#run")
    page.wait_for_selector("#progress[data-state=done]", state="attached")
    assert page.locator("#curves polyline[data-state=tumour]").count() == 1
    page.screenshot(path=tmp_path / "page.png")
    assert not page.complaints


def test_a_value_of_the_library_is_marked_and_its_removal_and_undo_are_in_the_text(page):
    section(page, "rules")
    page.locator("summary", has_text="infection").first.click()
    row = page.locator('[data-path=\'["rules","infection","rate"]\']')
    assert "inherited" in row.get_attribute("class")
    assert "from" in row.get_attribute("title")
    with page.expect_response(lambda answer: answer.url.endswith("/api/remove")):
        page.get_by_label("Remove rules.infection.modulators.0", exact=True).click()
    section(page, "text")
    page.wait_for_selector("#text")
    assert "infection" in page.input_value("#text").partition("rules:")[2]
    with page.expect_response(lambda answer: answer.url.endswith("/api/undo")):
        page.click("#undo")
    sync_api.expect(page.locator("#text")).to_have_value(BEGUN, timeout=PATIENCE)
    page.fill("#text", "rules: {")
    page.locator("h1").click()
    page.wait_for_selector("#problems .problem")
    assert "not YAML" in page.inner_text("#problems")
    assert not page.complaints
