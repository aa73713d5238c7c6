"""constraints.txt pins what pyproject.toml asks for, on every Python and platform (`.ci/lock` makes it anew)."""

import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = [Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
MACHINES = {
    "linux": {"sys_platform": "linux", "platform_machine": "x86_64", "os_name": "posix"},
    "macos": {"sys_platform": "darwin", "platform_machine": "arm64", "os_name": "posix"},
    "windows": {"sys_platform": "win32", "platform_machine": "AMD64", "os_name": "nt"},
}


def wanted():
    """Direct requirements of the package and of its extras, but for those on its own extras, and for cuda12.

    cuda12 asks for other versions than cuda13 does.
    """
    extras = (texts for extra, texts in PROJECT["optional-dependencies"].items() if extra != "cuda12")
    texts = [*PROJECT["dependencies"], *(text for texts in extras for text in texts)]
    return [requirement for requirement in map(Requirement, texts) if requirement.name != PROJECT["name"]]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("python", ["3.11.2", "3.12.0", "3.13.0"])
def test_each_requirement_has_one_pin_that_satisfies_it(python, machine):
    here = default_environment() | {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
    here |= {"python_version": python[:4], "python_full_version": python, **MACHINES[machine]}

    def applies(requirement):
        return requirement.marker is None or requirement.marker.evaluate(here)

    pins = {}
    for pin in filter(applies, PINS):
        assert pin.name not in pins, f"{pin.name}: two versions"
        (version,) = pin.specifier
        assert version.operator == "=="
        pins[pin.name] = version.version
    for requirement in filter(applies, wanted()):
        name = requirement.name.lower().replace("_", "-")
        assert requirement.specifier.contains(pins[name]), f"{requirement} is pinned to {pins[name]}: run .ci/lock"


def test_the_lines_of_the_readme_install_what_is_pinned():
    lines = [line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if "pip install -q" in line]
    assert len(lines) == 2
    assert all("-c constraints.txt" in line for line in lines)
