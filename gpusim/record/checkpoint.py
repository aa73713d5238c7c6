"""Checkpoints: complete states on the disk, from which runs are resumed bit for bit.

A checkpoint is a zip archive, `checkpoints/STEP.zip`: `about.json`, each array as `NAME.npy`, and
`sha256` with a line for each of them, as `sha256sum -c` reads it.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from gpusim.engine import Action
from gpusim.errors import ResultError
from gpusim.record import layout
from gpusim.record.files import written_aside

_ABOUT, _CHECKSUMS = "about.json", "sha256"
_FORMAT = 3


class DamagedError(ResultError):
    """A checkpoint is damaged."""


@dataclass(frozen=True)
class Checkpoint:
    """Arrays and numbers by name; `about` describes their origin."""

    about: Mapping[str, str]
    numbers: Mapping[str, float]
    arrays: Mapping[str, np.ndarray]

    @property
    def actions(self) -> list[Action]:
        """Interventions until then, in their order."""
        return [Action(**each) for each in json.loads(self.about["actions"])]

    def table(self, name: str) -> tuple[int, str]:
        """Bytes of a table at that time, and their SHA-256. Raises `KeyError`."""
        return int(self.numbers[_bytes(name)]), self.about[Path(name).stem]


def of_tables(synced: Mapping[str, tuple[int, str]]) -> tuple[dict[str, float], dict[str, str]]:
    """What a checkpoint keeps of tables, by file: numbers, and what describes them."""
    numbers = {_bytes(name): float(size) for name, (size, _) in synced.items()}
    return numbers, {Path(name).stem: sha256 for name, (_, sha256) in synced.items()}


def _bytes(name: str) -> str:
    return f"record.{Path(name).stem}_bytes"


def files(folder: Path) -> list[Path]:
    """Checkpoints of a result folder, newest first."""
    return sorted((folder / layout.CHECKPOINTS).glob("*.zip"), reverse=True)


def save(
    folder: Path,
    step: int,
    about: Mapping[str, str],
    numbers: Mapping[str, float],
    arrays: Iterable[tuple[str, np.ndarray]],
    keep: int | None,
) -> Path:
    """Write a checkpoint to a result folder, then delete all but the last `keep`, if given. Raises `OSError`."""
    path = folder / layout.CHECKPOINTS / f"{step:012}.zip"
    path.parent.mkdir(exist_ok=True)
    with written_aside(path) as file:
        _write(file, about, numbers, arrays)
    for old in files(folder)[keep:] if keep is not None else ():
        old.unlink(missing_ok=True)
    return path


def _write(
    file: BinaryIO, about: Mapping[str, str], numbers: Mapping[str, float], arrays: Iterable[tuple[str, np.ndarray]]
) -> None:
    """Write a checkpoint; equal states give equal files."""
    with zipfile.ZipFile(file, "w") as archive:
        sums: dict[str, str] = {}
        with _member(archive, _ABOUT, sums) as member:
            text = json.dumps({"format": _FORMAT, "about": dict(about), "numbers": dict(numbers)}, indent=1)
            member.write(text.encode())
        for name, values in arrays:
            with _member(archive, f"{name}.npy", sums) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)
        archive.writestr(zipfile.ZipInfo(_CHECKSUMS), "".join(f"{sums[name]}  {name}\n" for name in sums))


def verified(path: Path) -> Checkpoint:
    """Read a checkpoint and compare every byte. Raises `DamagedError`."""
    found = load(path)
    again = io.BytesIO()
    _write(again, found.about, found.numbers, found.arrays.items())
    if again.getvalue() != path.read_bytes():
        raise DamagedError(f"{path}: is damaged: its archive has changed")
    return found


def load(path: Path) -> Checkpoint:
    """Read a checkpoint. Raises `DamagedError` if its checksums do not match."""
    try:
        with zipfile.ZipFile(path) as archive:
            lines = archive.read(_CHECKSUMS).decode().splitlines()
            sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
            if sorted(archive.namelist()) != sorted([*sums, _CHECKSUMS]):
                raise DamagedError("its list of contents is damaged")
            read = dict(_read(archive, sums))
    except DamagedError as error:
        raise DamagedError(f"{path}: {error}") from None
    except Exception as error:  # a damaged archive raises many kinds
        raise DamagedError(f"{path}: is damaged: {error or type(error).__name__}") from None
    said = read.pop(_ABOUT)
    if said["format"] != _FORMAT:
        raise DamagedError(f"{path}: format {said['format']}; expected {_FORMAT}; another version of gpusim wrote it")
    return Checkpoint(said["about"], said["numbers"], {name.removesuffix(".npy"): a for name, a in read.items()})


def _read(archive: zipfile.ZipFile, sums: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for name, expected in sums.items():
        with archive.open(name) as file:
            hashed = _Hashed(file)
            value: Any
            if name == _ABOUT:
                value = json.loads(hashed.read())
            else:
                value = np.lib.format.read_array(hashed, allow_pickle=False)
            hashed.read()
        if hashed.sha.hexdigest() != expected:
            raise DamagedError(f"the checksum of {name} is wrong")
        yield name, value


class _Hashed:
    """A file that hashes the bytes read or written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sha = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha.update(data)
        return self._file.write(data)

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.sha.update(data)
        return data


@contextmanager
def _member(archive: zipfile.ZipFile, name: str, sums: dict[str, str]) -> Iterator[_Hashed]:
    """A member of an archive for writing; its checksum is added to `sums`."""
    # ZipInfo's own date is fixed: equal states make equal files.
    with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as file:
        hashed = _Hashed(file)
        yield hashed
    sums[name] = hashed.sha.hexdigest()
