"""Checksums of the files of a result or a trial, as `sha256sum -c SHA256SUMS` reads them.

Listed are the files that are written once, and those of a finished result: all but the chunks of its snapshots,
which carry checksums of their own.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from gpusim.errors import ResultError
from gpusim.record import layout
from gpusim.record.files import write_text
from gpusim.record.provenance import PROVENANCE

WRITTEN_ONCE = (layout.SCENARIO, PROVENANCE)
"""Files of a run that stay as they are from its first step on."""


def of_bytes(data: bytes) -> str:
    """SHA-256."""
    return hashlib.sha256(data).hexdigest()


def write(folder: Path, files: Iterable[str], more: dict[str, bytes] | None = None) -> None:
    """List files of a folder, by their path in it; `more` are files that are still to be written."""
    lines = {name: of_bytes((folder / name).read_bytes()) for name in files}
    _write(folder, lines | {name: of_bytes(content) for name, content in (more or {}).items()})


def add(folder: Path, *names: str) -> None:
    """List further files of a folder, or what has taken their place; those that are gone are listed no more."""
    try:
        listed = read(folder)
    except ResultError:  # none yet, or damaged
        listed = {}
    there = {name: digest for name, digest in listed.items() if (folder / name).is_file()}
    _write(folder, there | {name: of_bytes((folder / name).read_bytes()) for name in names})


def _write(folder: Path, lines: Mapping[str, str]) -> None:
    write_text(folder / layout.SUMS, "".join(f"{lines[name]}  {name}\n" for name in sorted(lines)))


def read(folder: Path) -> dict[str, str]:
    """SHA-256 by file. Raises `ResultError` where the list is missing or damaged."""
    try:
        lines = (folder / layout.SUMS).read_text(encoding="utf-8").splitlines()
        found = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except FileNotFoundError:
        raise ResultError(f"{folder}: {layout.SUMS} is missing: nothing tells whether its files are whole") from None
    except (OSError, ValueError):
        raise ResultError(f"{folder}: {layout.SUMS} is damaged") from None
    return found


def metadata(folder: Path) -> list[str]:
    """The files that say what the arrays of a result are."""
    return [path.relative_to(folder).as_posix() for path in (folder / layout.SNAPSHOTS).rglob("zarr.json")]


def problems(folder: Path, expected: Iterable[str] = (), without: Iterable[str] = ()) -> Iterator[str]:
    """What is wrong with listed files but those `without`, and which of the expected ones are missing, a line each."""
    try:
        listed = read(folder)
    except ResultError as error:
        yield str(error)
        return
    for name in sorted({*listed, *expected} - {*without}):
        if name not in listed:
            yield f"{folder / name}: is not listed in {layout.SUMS}"
        else:
            yield from problem(folder, name, listed[name])


def problem(folder: Path, name: str, digest: str) -> Iterator[str]:
    """What is wrong with a file that should have a digest; nothing where it has."""
    path = folder / name
    if not path.is_file():
        yield f"{path}: is missing"
    elif of_bytes(path.read_bytes()) != digest:
        yield f"{path}: is damaged: not what was written"
