"""Versions of what gpusim and its tests need, and what is missing."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
TESTS = ["pytest", "pytest-xdist", "hypothesis"]


def main():
    """Print a line for each."""
    needed = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["cuda13"], "nvidia-cuda-nvrtc", *TESTS]
    for requirement in needed:
        name = re.match(r"[\w.-]+", requirement)[0]
        try:
            print(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            print(name, "MISSING")


if __name__ == "__main__":
    main()
