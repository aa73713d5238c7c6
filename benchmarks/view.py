"""Latency of `gpusim view` in headless Chromium.

    python benchmarks/view.py [--shapes 48 96] [--repeats 10] [--json FILE]

records `cold-to-hot` for 6 h on lattices of these edges, opens each result in the page and measures, from a press of a
key until the new picture of the scene has been decoded: a step in time, a shift of the cut, and other faces of the
cut; also the time from opening the page to its first picture, and the pictures per second while the scene is turned.
Needs the extra `viz`, playwright and Chromium. For figures to be compared, nothing else may run.
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from gpusim import Scenario, Simulation
from gpusim.record import Recorder

ACTS = {"time": "ArrowRight", "cut": "x", "faces": "f"}
"""What is measured, and the key that does it."""
_PATIENCE = 120_000
_WATCH = """() => {
    window.pictures = []; window.pressed = 0;
    document.addEventListener('keydown', () => { window.pressed = performance.now(); }, true);
    const scene = () => document.querySelector('#view > div img');
    new MutationObserver(changes => {
        for (const each of changes)
            if (each.target === scene())
                each.target.decode().then(() => window.pictures.push(performance.now())).catch(() => {});
    }).observe(document.querySelector('#view'), {subtree: true, attributes: true, attributeFilter: ['src']});
}"""
_READY = "document.querySelector('#view > div img') && document.querySelector('#view > div img').naturalWidth > 10"


def recorded(edge: int, folder: Path) -> Path:
    """A result with seven snapshots."""
    scenario = Scenario.load("cold-to-hot", {"grid.shape": [edge] * 3, "record.every": "1 h"})
    with Simulation(scenario) as simulation, Recorder(simulation, folder) as recorder:
        for _ in simulation.stretches("6 h"):
            recorder.record()
        recorder.finish()
    return folder


def pressed(page: Page, key: str) -> float:
    """Milliseconds from a press of a key to the picture after it."""
    page.evaluate("window.pictures = []")
    page.locator("#stage").press(key)
    page.wait_for_function("window.pictures.some(at => at > window.pressed)")
    latency = page.evaluate("window.pictures.find(at => at > window.pressed) - window.pressed")
    page.wait_for_timeout(1000)  # until the picture in full is there
    return float(latency)


def turned(page: Page, seconds: float = 3.0) -> float:
    """Pictures per second while the scene is turned with the mouse."""
    box = page.locator("#view").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.evaluate("window.pictures = []")
    page.mouse.down()
    ends = time.monotonic() + seconds
    step = 0
    while time.monotonic() < ends:
        step += 1
        page.mouse.move(x + 3 * step, y)
    page.mouse.up()
    return int(page.evaluate("window.pictures.length")) / seconds


def measured(folder: Path, repeats: int) -> dict[str, float]:
    """Medians: milliseconds, and pictures per second."""
    command = [sys.executable, "-m", "gpusim", "view", str(folder), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, sync_playwright() as driver:
        assert server.stdout is not None
        address = re.match(r"http://\S+", server.stdout.readline())
        assert address is not None
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1500, "height": 800})
        page.set_default_timeout(_PATIENCE)
        began = time.monotonic()
        page.goto(address[0])
        page.wait_for_function(_READY)
        found = {"first picture": 1000 * (time.monotonic() - began)}
        page.wait_for_timeout(3000)
        page.evaluate(_WATCH)
        for name, key in ACTS.items():
            times = []
            for i in range(repeats):
                again = "Home" if name == "time" and i % 5 == 4 else key
                times.append(pressed(page, again))
            found[name] = statistics.median(times)
        found["turning, pictures a second"] = turned(page)
        browser.close()
        server.terminate()
    return found


def main() -> None:
    """Measure, and print a row for each lattice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", type=int, default=[48, 96], help="edges of the lattices, voxels")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for edge in arguments.shapes:
            rows[edge] = measured(recorded(edge, Path(folder) / str(edge)), arguments.repeats)
            print(f"{edge}^3:", ", ".join(f"{name} {value:.0f}" for name, value in rows[edge].items()), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
