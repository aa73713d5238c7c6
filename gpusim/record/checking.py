"""Integrity checks of results."""

import json
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from gpusim.record import checkpoint, layout, store, sums
from gpusim.record.checkpoint import DamagedError
from gpusim.record.tables import same
from gpusim.scenario import Scenario

_PNG = b"\x89PNG\r\n\x1a\n"


def is_result(folder: Path) -> bool:
    """Whether a folder is a result of `gpusim run`, damaged or not."""
    return any((folder / name).exists() for name in (layout.SNAPSHOTS, layout.SUMMARY, layout.COUNTS))


def _tables(folder: Path) -> list[str]:
    """Tables that a result should contain."""
    try:
        return layout.tables(Scenario.load(folder / layout.SCENARIO).document)
    except Exception:  # a damaged scenario is told by its checksum
        return [layout.COUNTS]


def damages(folder: Path) -> Iterator[str]:
    """One line for each damage of a result, finished or not.

    All files are read: the listed ones with their checksums, each chunk of each snapshot, checkpoints, the picture. In
    the tables of an unfinished run, rows since the last checkpoint have no checksum.
    """
    expected = [*sums.WRITTEN_ONCE, *sums.metadata(folder)]
    # A checkpoint is gone once the summary is there: a folder with neither has only just begun.
    if (folder / layout.SUMMARY).exists() or layout.SUMMARY in _listed(folder):
        expected += [*_tables(folder), layout.SUMMARY]
    found = list(sums.problems(folder, expected))
    yield from found
    if not (folder / layout.SNAPSHOTS).is_dir():
        yield f"{folder / layout.SNAPSHOTS}: is missing"
    elif not any(layout.SNAPSHOTS in line or layout.SCENARIO in line for line in found):  # else all would follow
        yield from _of_snapshots(folder)
    yield from _of_checkpoints(folder)
    yield from _of_picture(folder / layout.PICTURE)


def _listed(folder: Path) -> dict[str, str]:
    try:
        return sums.read(folder)
    except Exception:  # told by `problems`
        return {}


def _of_snapshots(folder: Path) -> Iterator[str]:
    path = folder / layout.SNAPSHOTS
    lattices: list[str] = []
    group: Any = None
    times: np.ndarray = np.zeros(0)
    with _noted(path) as problems:
        lattices = layout.lattices(Scenario.recorded(folder / layout.SCENARIO).document)
        group = zarr.open_group(str(path), mode="r")
        times = store.times(group)
        step = float(group.attrs["step_minutes"])
        for part in store.with_times(group):
            if not np.array_equal(store.read_all(part, "time")[: len(times)], times):
                problems.append(f"{path}: times of its sites differ")
            if not np.allclose(store.read_all(part, "step")[: len(times)] * step, times, rtol=1e-9):
                problems.append(f"{path}: steps and times differ")
            for axis in "zyx":
                if axis in part:
                    store.read_all(part, axis)
    yield from problems
    digest = None
    for number, minutes in enumerate(times):
        digest = None
        with _noted(f"{path}: snapshot {number} at {minutes:g} min") as problems:
            digest = store.digest_of(group, lattices, number)
            if digest != store.contents_kept(group, number):
                problems.append(f"{path}: snapshot {number} at {minutes:g} min: is damaged: its digest is {digest}")
            if layout.CONTENTS in group:
                digest = store.digest_kept(group, number)
        yield from problems
    with _noted(folder / layout.SUMMARY) as problems:
        if (folder / layout.SUMMARY).is_file():
            said = json.loads((folder / layout.SUMMARY).read_text(encoding="utf-8"))["digest"]
            if digest is not None and said != digest:
                problems.append(f"{folder / layout.SUMMARY}: its digest is not that of the last snapshot")
    yield from problems


def _of_checkpoints(folder: Path) -> Iterator[str]:
    for path in checkpoint.files(folder):
        with _noted(path) as problems:
            saved = checkpoint.verified(path)
            for name in _tables(folder):
                size, sha256 = saved.table(name)
                if not same(folder / name, size, sha256):
                    problems.append(f"{folder / name}: is damaged: differs from its content at {path.name}")
        yield from problems


def _of_picture(path: Path) -> Iterator[str]:
    """Check the checksums in a PNG file."""
    if not path.is_file():
        return
    data = path.read_bytes()
    whole, place = data[:8] == _PNG, 8
    last = b""
    while whole and place < len(data):
        try:
            (length,) = struct.unpack(">I", data[place : place + 4])
            body = data[place + 4 : place + 8 + length]
            (crc,) = struct.unpack(">I", data[place + 8 + length : place + 12 + length])
        except struct.error:
            whole = False
            break
        whole, last, place = zlib.crc32(body) == crc, body[:4], place + 12 + length
    if not whole or last != b"IEND":
        yield f"{path}: is damaged"


@contextmanager
def _noted(what: Path | str) -> Iterator[list[str]]:
    """Collect problems, including exceptions of libraries for damaged files."""
    problems: list[str] = []
    try:
        yield problems
    except DamagedError as error:
        problems.append(str(error))
    except Exception as error:  # each library raises many kinds
        problems.append(f"{what}: is damaged: {' '.join(str(error).split())}")
