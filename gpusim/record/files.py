"""Atomic writing of files, and locking of folders."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from gpusim.errors import ResultError
from gpusim.record import layout

_SEAL = "sha256"


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Convert errors of the operating system for a folder into a `ResultError`."""
    try:
        yield
    except OSError as error:
        raise ResultError(f"{folder}: cannot be written: {error.strerror or error}; complete data are kept") from None


@contextmanager
def aside(target: Path) -> Iterator[Path]:
    """A temporary path for a file or folder that is renamed to `target` when complete, and deleted after an error.

    The path is in a new folder beside `target`, so it cannot collide with other files. Other files written to that
    folder are moved beside `target` too. Files are on the disk before they are renamed. An existing file, or a folder
    of an earlier result, is replaced.
    """
    unready = Path(tempfile.mkdtemp(prefix=layout.UNREADY, dir=target.parent))
    try:
        yield unready / target.name
        complete = sorted(unready.iterdir())
        for made in filter(Path.is_file, complete):
            _sync(made)  # all of them before any is renamed: a full disk may be told only now
        for made in complete:
            final = target.with_name(made.name)
            if made.is_dir() and final.is_dir():
                shutil.rmtree(final)
            made.replace(final)
        _sync_folder(target.parent)
    finally:
        shutil.rmtree(unready, ignore_errors=True)


@contextmanager
def written_aside(path: Path) -> Iterator[BinaryIO]:
    """A file that is renamed to `path` when complete and on the disk, and deleted after an error."""
    with aside(path) as unready, unready.open("wb") as file:
        yield file


def remove_unready(folder: Path) -> None:
    """Delete the temporary files that a killed process left in a folder that we have locked."""
    for left in folder.glob(layout.UNREADY + "*"):
        shutil.rmtree(left, ignore_errors=True)


def is_empty(folder: Path) -> bool:
    """Whether a folder contains nothing but temporary files of a stopped or killed process."""
    return all(path.name == layout.LOCK or path.name.startswith(layout.UNREADY) for path in folder.iterdir())


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with written_aside(path) as file:
        file.write(text.encode())


def write_sealed(path: Path, data: Mapping[str, Any]) -> None:
    """Write data as JSON with a checksum, atomically."""
    write_text(path, _sealed(data))


def read_sealed(path: Path) -> dict[str, Any]:
    """Read data that `write_sealed` has written. Raises `ResultError` if a bit has changed."""
    try:
        text = path.read_bytes()
        data = json.loads(text)
        del data[_SEAL]
        whole = _sealed(data).encode() == text
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise ResultError(f"{path}: is damaged: differs from what gpusim wrote")
    return data


def _sealed(data: Mapping[str, Any]) -> str:
    seal = hashlib.sha256(json.dumps(data, separators=(",", ":")).encode()).hexdigest()
    return json.dumps({**data, _SEAL: seal}, indent=1) + "\n"


def _sync(file: Path) -> None:
    """Write the content of a file to the disk."""
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def _sync_folder(folder: Path) -> None:
    """Write the names in a folder to the disk, if the system supports this."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def locked(folder: Path) -> FileLock:
    """Acquire the lock of a result folder, which the system releases when the process ends.

    Raises `ResultError` if another run has the lock.
    """
    lock = FileLock(folder / layout.LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ResultError(f"{folder}: another run is writing into it; wait, or give another folder with -o") from None
    return lock
