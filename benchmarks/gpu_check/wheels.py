"""Fetch into .whl/ the wheels that gpusim needs on a machine without network, beyond what that machine has.

    python benchmarks/gpu_check/wheels.py --python 3.12 --has LIST

LIST is what `python3 -m pip list --format=freeze` prints there. What it has in another version than gpusim asks for is
fetched too. Needs a network here; Linux on x86-64 there.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLATFORMS = [f"manylinux_2_{n}_x86_64" for n in range(39, 4, -1)] + ["manylinux2014_x86_64", "manylinux1_x86_64"]


def main():
    """Resolve, compare, fetch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default="3.12", help="version of the other machine's Python")
    parser.add_argument("--has", type=Path, help="a file with a line 'name==version' for each package there")
    arguments = parser.parse_args()
    target = ["--only-binary=:all:", "--implementation", "cp", "--python-version", arguments.python]
    target += [part for platform in PLATFORMS for part in ("--platform", platform)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = arguments.has.read_text().splitlines() if arguments.has else []
    there = {plain(name): version for name, _, version in (line.partition("==") for line in lines)}
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "constraints.txt"  # what is there stays, where that is possible
        kept.write_text("".join(f"{name}=={version}\n" for name, version in there.items() if version))
        for constraints in (["-c", str(kept)], []):
            asked = ["install", "--dry-run", "--ignore-installed", "--report", "-", "--target", folder]
            done = pip(*asked, "--quiet", *target, *constraints, *project["dependencies"])
            if done.returncode == 0:
                break
        else:
            sys.exit(done.stderr)
    found = [(each["metadata"]["name"], each["metadata"]["version"]) for each in json.loads(done.stdout)["install"]]
    missing = [f"{name}=={version}" for name, version in found if there.get(plain(name)) != version]
    if missing:
        done = pip("download", "--quiet", "--no-deps", *target, "-d", str(ROOT / ".whl"), *missing)
    print("\n".join(sorted(missing)))
    sys.exit(done.stderr if done.returncode else 0)


def pip(*arguments):
    """Run pip."""
    return subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, check=False)


def plain(name):
    """A package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
