"""Files that are either whole or not there, and folders with one writer."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from gpusim.errors import ResultError
from gpusim.record import layout


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn what the operating system says of a folder into a `ResultError`."""
    try:
        yield
    except OSError as error:
        raise ResultError(f"{folder}: can't be written: {error.strerror or error}; what was whole is kept") from None


@contextmanager
def written_aside(path: Path) -> Iterator[BinaryIO]:
    """A file that takes its name once it is whole and on the disk; on an error it leaves nothing."""
    part = path.with_name(path.name + layout.PART)
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with written_aside(path) as file:
        file.write(text.encode())


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
