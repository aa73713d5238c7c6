"""`benchmarks/gpu_check.sh`, in small on the cpu backend: it keeps in step with the code."""

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


def test_every_step_names_what_is_there():
    script = (ROOT / "benchmarks" / "gpu_check.sh").read_text()
    named = re.findall(r"\b(?:benchmarks|tests)/[\w/]+(?:\.\w+)?", script) + [
        f"benchmarks/gpu_check/{name}" for name in re.findall(r"\$HERE/(\w+\.py)", script)
    ]
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []
