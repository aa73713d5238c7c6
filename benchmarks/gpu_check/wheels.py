"""Fetch into .whl/ the wheels that gpusim needs on a machine without network, beyond what that machine has.

    python benchmarks/gpu_check/wheels.py --python 3.12 --has LIST

LIST is what `python3 -m pip list --format=freeze` prints there. What it has in a version that does not do is fetched
too. Needs a network here; Linux on x86-64 there.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

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
        asked = ["install", "--dry-run", "--ignore-installed", "--report", "-", "--target", folder, "--quiet"]
        done = pip(*asked, *target, *project["dependencies"])
    if done.returncode:
        sys.exit(done.stderr)
    found = {plain(each["metadata"]["name"]): each["metadata"] for each in json.loads(done.stdout)["install"]}
    needs = {name: metadata.get("requires_dist", []) for name, metadata in found.items()} | {
        "gpusim": project["dependencies"]
    }
    names = lacking(needs, there, {"python_version": arguments.python, "extra": ""})
    missing = [f"{name}=={found[name]['version']}" for name in names]
    if missing:
        done = pip("download", "--quiet", "--no-deps", *target, "-d", str(ROOT / ".whl"), *missing)
    print("\n".join(missing))
    sys.exit(done.stderr if done.returncode else 0)


def lacking(needs, there, environment):
    """Packages that are not there in a version that suits all others which are to be fetched."""
    fetched = set(needs)
    while True:
        asked = defaultdict(SpecifierSet)
        for name in fetched:
            for requirement in map(Requirement, needs[name]):
                if requirement.marker is None or requirement.marker.evaluate(environment):
                    asked[plain(requirement.name)] &= requirement.specifier
        still = {
            name for name in fetched if name not in there or not asked[name].contains(there[name], prereleases=True)
        }
        if still == fetched:
            return sorted(fetched - {"gpusim"})
        fetched = still


def pip(*arguments):
    """Run pip."""
    return subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, check=False)


def plain(name):
    """A package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
