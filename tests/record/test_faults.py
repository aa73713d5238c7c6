"""Kills and failing disks at chosen calls to the system (campaign.py under faults.cpp)."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
compiler = shutil.which("g++")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or compiler is None, reason="needs Linux (LD_PRELOAD) and g++"
    ),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("faults") / "faults.so"
    subprocess.run([compiler, "-std=c++17", "-shared", "-fPIC", "-o", path, HERE / "faults.cpp", "-ldl"], check=True)
    return path


def campaign(library, folder, *arguments):
    done = subprocess.run(
        [sys.executable, HERE / "campaign.py", folder, *map(str, arguments)],
        env={**os.environ, "LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("moments", "seed"), [pytest.param(4, 1, id="few"), pytest.param(50, 2, id="50", marks=pytest.mark.campaign)]
)
def test_a_killed_run_loses_no_more_than_one_cadence_and_ends_in_the_same_bits(library, tmp_path, moments, seed):
    assert campaign(library, tmp_path, moments, seed)["kills"] >= moments


@pytest.mark.parametrize(
    ("moments", "seed", "error"),
    [
        pytest.param(3, 1, errno.ENOSPC, id="full"),
        pytest.param(25, 2, errno.ENOSPC, id="full25", marks=pytest.mark.campaign),
        pytest.param(25, 3, errno.EROFS, id="read-only25", marks=pytest.mark.campaign),
        pytest.param(25, 4, errno.EIO, id="broken25", marks=pytest.mark.campaign),
    ],
)
def test_a_failing_disk_ends_with_a_message_and_the_good_data_stays(library, tmp_path, moments, seed, error):
    assert campaign(library, tmp_path, moments, seed, error)["kills"] >= moments
