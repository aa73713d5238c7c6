"""The kernels' source as text, for whichever compiler takes it."""

import functools
from pathlib import Path

from gpusim.backends.layout import assertions


def folder() -> Path:
    """Folder `kernels`: inside the package where it is installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "kernels"
    return installed if installed.is_dir() else package.parent / "kernels"


def files() -> list[Path]:
    """The files that have kernels in them, kernels/*.cu."""
    return sorted(folder().glob("*.cu"))


@functools.cache
def kernel_source() -> str:
    """All kernels as one text, each local include put in once."""
    taken: set[str] = set()
    return _held("\n".join(_flattened(path.name, taken) for path in files()))


@functools.cache
def host_units() -> tuple[str, ...]:
    """For a host compiler, each file as a text of its own, so that they are compiled side by side."""

    def unit(name: str) -> str:
        taken: set[str] = set()
        return _held("\n".join(_flattened(each, taken) for each in ("host/machine.hpp", name)))

    return tuple(unit(path.name) for path in files())


def _held(text: str) -> str:
    """The text with assertions behind it."""
    return f'{text}\n#line 1 "gpusim/backends/layout.py"\n{assertions(text)}'


def _flattened(name: str, taken: set[str]) -> str:
    if name in taken:
        return ""
    taken.add(name)
    lines = [f'#line 1 "{name}"']
    for number, line in enumerate((folder() / name).read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith('#include "'):
            lines += [_flattened(line.split('"')[1], taken), f'#line {number + 1} "{name}"']
        elif line.strip() != "#pragma once":
            lines.append(line)
        else:
            lines.append("")
    return "\n".join(lines)
