"""What the repository promises of itself: its style, its types, its layers."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["ruff", "check", "."], id="lint"),
        pytest.param(["ruff", "format", "--check", "."], id="format"),
        pytest.param(["mypy"], id="types", marks=pytest.mark.slow),
    ],
)
def test_style_and_types(arguments):
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_layers_import_only_what_stands_to_their_left():
    order = [
        "errors",
        "plottable",
        "units",
        "memory",
        "scenario",
        "tissue",
        "model",
        "backends",
        "body",
        "engine",
        "verification",
        "bench",
        "record",
        "running",
        "analysis",
        "study",
        "export",
        "physicell",
        "viz",
        "editor",
        "cli",
        "__main__",
    ]
    for path in (ROOT / "gpusim").rglob("*.py"):
        layer = path.relative_to(ROOT / "gpusim").parts[0].removesuffix(".py")
        if layer == "__init__":
            continue
        for found in re.findall(r"^\s*(?:from|import) gpusim\.(\w+)", path.read_text(), re.M):
            if (layer, found) == ("cli", "viz"):
                continue
            assert order.index(found) <= order.index(layer), f"{path.relative_to(ROOT)} imports gpusim.{found}"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_no_ignored_file_is_tracked():
    tracked = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    assert subprocess.run(tracked, cwd=ROOT, capture_output=True, text=True, check=True).stdout == ""
