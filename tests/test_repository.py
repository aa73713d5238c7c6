"""What the repository promises of itself: its style, its types, its wheel."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "arguments", [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]], ids=["lint", "format", "types"]
)
def test_style_and_types(arguments):
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_layers_import_only_what_stands_to_their_left():
    order = [
        "errors",
        "units",
        "memory",
        "scenario",
        "tissue",
        "model",
        "backends",
        "body",
        "engine",
        "verification",
        "record",
        "analysis",
        "viz",
        "cli",
    ]
    for path in (ROOT / "gpusim").rglob("*.py"):
        layer = path.relative_to(ROOT / "gpusim").parts[0].removesuffix(".py")
        if layer == "__init__":
            continue
        for found in re.findall(r"^\s*(?:from|import) gpusim\.(\w+)", path.read_text(), re.M):
            if (layer, found) == ("cli", "viz"):
                continue
            assert order.index(found) <= order.index(layer), f"{path.relative_to(ROOT)} imports gpusim.{found}"


@pytest.mark.slow
def test_a_wheel_carries_kernels_presets_and_viz_and_runs(tmp_path):
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            str(tmp_path),
            str(ROOT),
        ],
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert len(names) == len(set(names))
    for wanted in ("gpusim/kernels/transport.cu", "gpusim/presets/cold-to-hot.yaml", "gpusim/viz/picture.py"):
        assert wanted in names
    # Unpacked elsewhere and put before everything else, it is what runs: no checkout beside it.
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import gpusim, gpusim.viz, pathlib; from gpusim.backends.source import folder;"
        "assert 'site' in gpusim.__file__ and 'site' in str(folder()), gpusim.__file__;"
        "s = gpusim.Simulation('cold-to-hot', 'numpy'); s.step(); print(s.digest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
