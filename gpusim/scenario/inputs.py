"""Input files of a scenario besides its YAML file."""

import copy
import functools
import hashlib
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gpusim.scenario.schema import READ
from gpusim.scenario.walking import marked, value_at

ABSENT = "no such file"
"""Replaces the hash of a missing file."""
_LONGEST_HEADER = 2**16
_SETTLED = 2.0
"""Time after which a second change of a file is visible in its date on any file system, s."""


def places(data: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Each mapping in the plain data of a scenario, checked or not, with a key that names an input file.

    The schema marks these keys with the type `InputFile`.
    """
    for path in dict.fromkeys(marked(data, READ)):
        holder, key = value_at(data, path[:-1]), path[-1]
        if isinstance(holder[key], str):
            yield holder, str(key)


def hashes(data: Any) -> dict[str, str]:
    """SHA-256 hash of each input file of a scenario, by its path in the data."""
    return {holder[key]: hash_of(Path(holder[key])) for holder, key in places(data)}


def with_content(data: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a scenario's plain data in which hashes replace the paths of input files."""
    copied = copy.deepcopy(dict(data))
    for holder, key in list(places(copied)):
        holder[key] = {"sha256": hash_of(Path(holder[key]))}
    return copied


def hash_of(path: Path) -> str:
    """SHA-256 hash of a file; for a folder, or a header with a data file, the hash of all names and hashes."""
    detached = _detached(path) if path.suffix.lower() == ".nrrd" and path.is_file() else None
    if path.is_dir() or detached:
        inside = [path, detached] if detached else sorted(each for each in path.rglob("*") if each.is_file())
        lines = (
            f"{_hash_of_file(each)}  {each.name if detached else each.relative_to(path).as_posix()}\n"
            for each in inside
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    return _hash_of_file(path) if path.is_file() else ABSENT


def _detached(path: Path) -> Path | None:
    """The data file of an NRRD header; None if the data follow the header."""
    with path.open("rb") as file:
        header = file.read(_LONGEST_HEADER).partition(b"\n\n")[0]
    named = re.search(rb"^data ?file: *([^\r\n]+?)\s*$", header, re.IGNORECASE | re.MULTILINE)
    found = path.parent / named[1].decode(errors="replace") if named else None
    return found if found is not None and found.is_file() else None


def _hash_of_file(path: Path) -> str:
    stat = path.stat()
    if time.time() - stat.st_mtime < _SETTLED:
        return _hash_of_content.__wrapped__(path)
    return _hash_of_content(path, stat.st_mtime_ns, stat.st_size, stat.st_ino)


@functools.lru_cache(maxsize=1024)
def _hash_of_content(path: Path, *_: int) -> str:
    """Hash of a file, cached while its date and size do not change."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
