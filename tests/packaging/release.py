"""The release check: build the wheel, install it into an empty environment, run the main scenario from it.

`python tests/packaging/release.py [EXTRA ...]` installs with these extras, from the package index, and says
what ran. In the tests the dependencies are those of the environment at hand, so that no network is needed.
"""

import re
import site
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
JOB = ["run", "cold-to-hot", "--until", "1 h"]
SMALL = ["--set", "grid.shape=[24,24,24]", "--set", "tissue.shapes.tumour.radius=150 um"]


def build(folder: Path, source: Path = ROOT) -> Path:
    """Build the wheel of a source tree."""
    options = ["-q", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    _call([sys.executable, "-m", "pip", "wheel", *options, str(source)])
    (wheel,) = folder.glob("gpusim-*.whl")
    return wheel


def install(folder: Path, wheel: Path, extras: list[str] | None = None) -> Path:
    """An empty environment with the wheel, and with its `extras` from the index; returns its folder of programs.

    Without `extras` the dependencies are borrowed from the environment at hand.
    """
    venv.create(folder, with_pip=extras is not None, clear=True)
    programs = folder / "bin"
    if extras is not None:
        wanted = f"{wheel}[{','.join(extras)}]" if extras else str(wheel)
        _call([str(programs / "python"), "-m", "pip", "install", "-q", wanted])
        return programs
    _call([sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "-q", "--no-deps", str(wheel)])
    # As plain paths, whose own .pth files are not read: the checkout that they may point to stays out.
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return programs


def run(programs: Path, folder: Path, *options: str) -> str:
    """Run the main scenario, for a short time, from the environment; returns the digest."""
    where = "import gpusim; print(gpusim.__file__)"
    found = _call([str(programs / "python"), "-c", where], cwd=folder).strip()
    if not Path(found).is_relative_to(programs.parent):
        raise AssertionError(f"gpusim is taken from {found}, not from the wheel")
    printed = _call([str(programs / "gpusim"), *JOB, *SMALL, "-o", "out", *options], cwd=folder)
    (digest,) = re.findall(r"^digest +(\w+)$", printed, re.M)
    return digest


def _call(command: list[str], cwd: Path | None = None) -> str:
    """What a command prints. Raises `AssertionError` with all of it where it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    """Check with the extras of the command line."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build(folder)
        programs = install(folder / "environment", wheel, sys.argv[1:])
        print(_call([str(programs / "gpusim"), "info"], cwd=folder))
        print(f"{wheel.name}: cold-to-hot ran, digest {run(programs, folder)}")


if __name__ == "__main__":
    main()
