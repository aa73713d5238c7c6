"""`benchmarks/gpu_check.sh`, in small on the cpu backend: it keeps in step with the code."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gpusim.backends import availability

ROOT = Path(__file__).parents[2]
CHEAP = ("environment", "smoke", "no_fields", "full48", "full_smaller")
"""The others are commands that have tests of their own."""


@pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler")
def test_the_check_of_a_gpu_runs_in_small_on_the_cpu(tmp_path):
    environment = {
        "B": "cpu",
        "SMALL": "1",
        "PY": sys.executable,
        "OUT": str(tmp_path / "out"),
        "ONLY": " ".join(CHEAP),
    }
    done = subprocess.run(
        ["bash", "benchmarks/gpu_check.sh"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ended = re.findall(r"^\[(\w+)\] rc=0 in", (tmp_path / "out" / "summary.txt").read_text(), re.MULTILINE)
    assert tuple(ended) == CHEAP
    assert "SMOKE PASS" in done.stdout
    assert re.search(r"^STEP 24\^3: median \d", done.stdout, re.MULTILINE)
    assert re.search(r"^explicit_step +\d", done.stdout, re.MULTILINE)


def test_wheels_are_those_that_are_not_there_in_a_version_that_does():
    spec = importlib.util.spec_from_file_location("wheels", ROOT / "benchmarks" / "gpu_check" / "wheels.py")
    wheels = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(wheels)
    needs = {
        "gpusim": ["numpy>=2.0", "zarr>=3.1", "pydantic>=2.9", "tzdata; python_version < '3.0'"],
        "numpy": [],
        "zarr": ["numcodecs>=0.14", "donfig>=0.8"],
        "numcodecs": ["numpy>=1.24"],
        "donfig": [],
        "pydantic": ["pydantic_core==2.50"],
        "pydantic-core": [],
        "tzdata": [],
    }
    there = {"numpy": "2.5.2", "numcodecs": "0.13", "pydantic": "2.12", "pydantic-core": "2.41", "tzdata": "2026.1"}
    # pydantic stays, and so does the core that it came with.
    assert wheels.lacking(needs, there, {"python_version": "3.12", "extra": ""}) == ["donfig", "numcodecs", "zarr"]
    assert "pydantic-core" in wheels.lacking(
        needs, there | {"pydantic": "2.8"}, {"python_version": "3.12", "extra": ""}
    )


def test_every_step_names_what_is_there():
    script = (ROOT / "benchmarks" / "gpu_check.sh").read_text()
    named = re.findall(r"\b(?:benchmarks|tests)/[\w/]+(?:\.\w+)?", script) + [
        f"benchmarks/gpu_check/{name}" for name in re.findall(r"\$HERE/(\w+\.py)", script)
    ]
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []
