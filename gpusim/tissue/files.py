"""Files that a scenario names, within limits: regular ones, unpacked no further than there is room."""

import bz2
import math
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gpusim import memory
from gpusim.errors import ScenarioError

GZIP = b"\x1f\x8b"
"""The first bytes of a gzip file, whatever its name."""
_PIECE = 1 << 20


def regular(label: str, path: Path) -> None:
    """Raise `ScenarioError` where `path` is no regular file: a pipe or a device would never end."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        raise ScenarioError(f"{label}: no such file") from None
    if not stat.S_ISREG(mode):
        raise ScenarioError(f"{label}: expected a regular file, found {_kind(mode)}")


def _kind(mode: int) -> str:
    kinds = {stat.S_ISDIR: "a folder", stat.S_ISFIFO: "a pipe", stat.S_ISCHR: "a device", stat.S_ISBLK: "a device"}
    return next((words for is_kind, words in kinds.items() if is_kind(mode)), "something else")


def beside(label: str, path: Path, name: str) -> Path:
    """The file that the file `path` names. Raises `ScenarioError` where it lies outside the folder of `path`."""
    found, folder = (path.parent / name).resolve(), path.parent.resolve()
    if Path(name).is_absolute() or not found.is_relative_to(folder):
        raise ScenarioError(f"{label}: names the file {name!r}; expected one in its own folder")
    regular(f"{label}: {name}", found)
    return found


def tree(label: str, folder: Path) -> None:
    """Raise `ScenarioError` where anything in a folder is neither a folder nor a regular file that lies in it."""
    root = folder.resolve()
    for here, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(here) / name
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode) and path.resolve().is_relative_to(root):
                mode = path.stat().st_mode if path.exists() else mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                found = "a link that leads out of it" if stat.S_ISLNK(mode) else _kind(mode)
                raise ScenarioError(
                    f"{label}: expected folders and regular files alone, found {found}: {path.relative_to(folder)}"
                )


def room(label: str, what: str, needed: int) -> None:
    """Raise `ScenarioError` where `needed` bytes for `what` are not free."""
    free = memory.available()
    if needed > free:
        raise ScenarioError(f"{label}: {what} need {memory.size(needed)}, {memory.size(free)} are free")


def room_for(label: str, shape: tuple[int, ...], dtype: Any, copies: int, what: str = "pixels") -> None:
    """Raise `ScenarioError` where `copies` of an array that a file declares do not fit into memory."""
    if not all(n >= 1 for n in shape):
        raise ScenarioError(f"{label}: holds no {what} (shape {' x '.join(map(str, shape))})")
    size = math.prod(shape) * max(1, np.dtype(dtype).itemsize) * copies
    room(label, f"{' x '.join(map(str, shape))} {what}", size)


def unpacked(label: str, file: BinaryIO, encoding: str, most: int) -> bytes:
    """What follows in a file packed by gzip or bzip2, up to `most` bytes.

    Raises `ScenarioError` where it is cut, damaged or holds more.
    """
    data = bytearray()
    try:
        for piece in _pieces(file, encoding):
            data += piece
            if len(data) > most:
                raise ScenarioError(f"{label}: unpacks to more than {memory.size(most)}; expected no more")
    except (zlib.error, OSError, ValueError, EOFError) as error:
        raise ScenarioError(f"{label}: can't be unpacked: {error}") from None
    return bytes(data)


def first(label: str, file: BinaryIO, count: int) -> bytes:
    """The first `count` bytes of a file, of what a gzip file holds unpacked.

    Raises `ScenarioError` where it has fewer.
    """
    packed = file.read(2) == GZIP
    file.seek(0)
    data = bytearray()
    try:
        for piece in _pieces(file, "gzip") if packed else iter(lambda: file.read(_PIECE), b""):
            data += piece
            if len(data) >= count:
                return bytes(data[:count])
    except (zlib.error, OSError, ValueError, EOFError) as error:
        raise ScenarioError(f"{label}: can't be unpacked: {error}") from None
    raise ScenarioError(f"{label}: can't be read: the file is cut, {len(data):,} bytes of {count:,}")


def _pieces(file: BinaryIO, encoding: str) -> Iterator[bytes]:
    packed = file.read(_PIECE)
    while packed:
        if encoding == "gzip":
            gzip = zlib.decompressobj(zlib.MAX_WBITS | 16)
            while not gzip.eof:
                yield gzip.decompress(packed, _PIECE)
                packed = gzip.unconsumed_tail or (b"" if gzip.eof else file.read(_PIECE))
                if not packed and not gzip.eof:
                    yield gzip.flush(_PIECE)
                    if not gzip.eof:
                        raise EOFError("the file is cut")
            packed = (gzip.unused_data + file.read(_PIECE)).lstrip(b"\0")
            if packed and not packed.startswith(GZIP[: len(packed)]):
                return  # what stands behind the last member is no part of it, as gzip has it
        else:
            bzip = bz2.BZ2Decompressor()
            while not bzip.eof:
                if bzip.needs_input and not packed:
                    raise EOFError("the file is cut")
                yield bzip.decompress(packed, _PIECE)
                packed = file.read(_PIECE) if bzip.needs_input else b""
            packed = bzip.unused_data + file.read(_PIECE)
