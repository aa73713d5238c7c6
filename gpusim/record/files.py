"""Files that are either whole or not there, and folders with one writer."""

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
    """Turn what the operating system says of a folder into a `ResultError`."""
    try:
        yield
    except OSError as error:
        raise ResultError(f"{folder}: can't be written: {error.strerror or error}; what was whole is kept") from None


@contextmanager
def aside(target: Path) -> Iterator[Path]:
    """Where to write a file or folder that takes its name once it is whole; on an error it leaves nothing.

    It is within a new folder beside `target`, so that no file of anyone's is in the way; what else is written into
    that folder takes its name too. A file, or a folder of an earlier result, is replaced.
    """
    unready = Path(tempfile.mkdtemp(prefix=layout.UNREADY, dir=target.parent))
    try:
        yield unready / target.name
        for made in sorted(unready.iterdir()):
            final = target.with_name(made.name)
            if made.is_dir() and final.is_dir():
                shutil.rmtree(final)
            made.replace(final)
    finally:
        shutil.rmtree(unready, ignore_errors=True)


@contextmanager
def written_aside(path: Path) -> Iterator[BinaryIO]:
    """A file that takes its name once it is whole and on the disk; on an error it leaves nothing."""
    with aside(path) as unready, unready.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)


def remove_unready(folder: Path) -> None:
    """Remove what a process that was killed had not made whole, from a folder of which we are the only writer."""
    for left in folder.glob(layout.UNREADY + "*"):
        shutil.rmtree(left, ignore_errors=True)


def is_empty(folder: Path) -> bool:
    """Whether a folder holds nothing but what a process that was stopped or killed had not made whole."""
    return all(path.name == layout.LOCK or path.name.startswith(layout.UNREADY) for path in folder.iterdir())


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with written_aside(path) as file:
        file.write(text.encode())


def write_sealed(path: Path, data: Mapping[str, Any]) -> None:
    """Write data as JSON with its own checksum, whole or not at all."""
    write_text(path, _sealed(data))


def read_sealed(path: Path) -> dict[str, Any]:
    """Read data that `write_sealed` has written. Raises `ResultError` where it is anything else, by one bit or more."""
    try:
        text = path.read_bytes()
        data = json.loads(text)
        del data[_SEAL]
        whole = _sealed(data).encode() == text
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise ResultError(f"{path}: is damaged: not what gpusim wrote")
    return data


def _sealed(data: Mapping[str, Any]) -> str:
    seal = hashlib.sha256(json.dumps(data, separators=(",", ":")).encode()).hexdigest()
    return json.dumps({**data, _SEAL: seal}, indent=1) + "\n"


def _sync_folder(folder: Path) -> None:
    """Put a folder's names on the disk, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def locked(folder: Path) -> FileLock:
    """The lock of a result folder, taken; the system frees it with its process, however that ends.

    Raises `ResultError` where another run holds it.
    """
    lock = FileLock(folder / layout.LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ResultError(f"{folder}: another run is writing into it; wait, or give another folder with -o") from None
    return lock
