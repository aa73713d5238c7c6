"""Full disks: a small file system on which a command has room for a part of what it writes (full_disk.py)."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ALONE = ("unshare", "--user", "--map-root-user", "--mount")
MOUNTED = 'mount -t tmpfs -o size=64m none "$0" && exec "$@"'


def mountable():
    """Whether a process may mount a file system of its own."""
    command = [*ALONE, "mount", "-t", "tmpfs", "none", "/mnt"]
    return (
        shutil.which(ALONE[0]) is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux") or not mountable(), reason="may not mount a file system")
@pytest.mark.parametrize(
    "commands",
    [
        pytest.param(["run", "checkpoint", "export cells.csv", "export cells.vtkhdf"], id="some"),
        pytest.param([], id="all", marks=pytest.mark.campaign),
    ],
)
def test_a_full_disk_is_a_line_and_leaves_what_stood_there(tmp_path, commands):
    driver = [sys.executable, str(HERE / "full_disk.py"), str(tmp_path / "home"), *commands]
    done = subprocess.run(
        [*ALONE, "sh", "-c", MOUNTED, str(tmp_path), *driver],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE.parent)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len({each["command"] for each in found}) >= max(1, len(commands))
    for each in found:
        (said,) = each["said"].splitlines()
        assert each["code"] == 2, each
        assert said.startswith("gpusim: "), each
        # ffmpeg does not say why it ended.
        assert "No space left on device" in said or "is the disk full?" in said, each
        assert not each["lost"], each
        assert each.get("same end", True), each
        if "same end" not in each:
            assert not each["new"], each
