"""The formats that a result can be written in, and the choice among them."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from gpusim.errors import ResultError
from gpusim.units import duration

if TYPE_CHECKING:
    from gpusim.record import Result


@dataclass(frozen=True)
class Format:
    """A format by its ending.

    `writer` is `MODULE.FUNCTION` of this package, loaded when something is written: `(result, snapshots, target)`.
    With `folder`, the module's function `folder` tells the folder that goes with the file `target`.
    """

    about: str
    ending: str
    writer: str
    one_snapshot: bool = False
    folder: bool = False

    def write(self, result: Result, snapshots: Sequence[int], target: Path) -> None:
        """Write snapshots of a result."""
        getattr(self._module(), self.writer.split(".")[1])(result, snapshots, target)

    def paths(self, target: Path) -> list[Path]:
        """What is written."""
        return [target, self._module().folder(target)] if self.folder else [target]

    def _module(self) -> ModuleType:
        return importlib.import_module(f"gpusim.export.{self.writer.split('.')[0]}")


_OUTPUT = re.compile(r"output\d{8}\w*\.(?:xml|mat|txt)|initial_mesh0\.mat")
"""Files of `multicellds`."""
FORMATS = {
    "vtkhdf": Format("one file with all times, for ParaView", ".vtkhdf", "vtk.write_hdf"),
    "vti": Format("a .pvd file and a folder of .vti images, for ParaView", ".pvd", "vtk.write_series", folder=True),
    "ome-zarr": Format(
        "an image pyramid (NGFF 0.5) with both cell layers as labels, for napari", ".ome.zarr", "ome_zarr.write"
    ),
    "tracks": Format("tracks of cells (record.tracks), for napari", ".tracks.csv", "tracks.write"),
    "csv": Format("a table of cells", ".csv", "cells.write_csv"),
    "parquet": Format("the same table, smaller and faster to read", ".parquet", "cells.write_parquet"),
    "multicellds": Format("a folder as PhysiCell writes it, for pcdl and Studio", ".multicellds", "multicellds.write"),
    "physicell": Format("cells.csv of one time, for PhysiCell", ".csv", "cells.write_physicell", one_snapshot=True),
}


def format_of(target: Path) -> str:
    """The format for the ending of a file name. Raises `ResultError`."""
    for name, format in FORMATS.items():
        if target.name.endswith(format.ending):
            return name
    if target.suffix == ".zarr":
        return "ome-zarr"
    endings = ", ".join(dict.fromkeys(format.ending for format in FORMATS.values()))
    raise ResultError(f"{target}: unknown format; give --format, or a name that ends in {endings}")


def export(
    result: Result, target: Path, format: str | None = None, at: float | None = None, *, overwrite: bool = False
) -> str:
    """Export a result to `target`; returns the format.

    Args:
        format: one of `FORMATS`; by default, the format for the ending of `target`.
        at: time of the snapshot, min; by default, all snapshots, or the last one for formats with a single time.
        overwrite: whether an existing `target` may be replaced.

    Raises `ResultError` if the format or the time is unknown, or `target` cannot be written.
    """
    from gpusim.record.files import aside

    name = format or format_of(target)
    if name not in FORMATS:
        raise ResultError(f"'{name}': expected one of {', '.join(FORMATS)}")
    chosen = FORMATS[name]
    if chosen.ending == ".pvd" and target.suffix != ".pvd":
        raise ResultError(
            f"{target}: the name of a vti series must end in .pvd; its images are written to a folder beside it"
        )
    taken = [path for path in chosen.paths(target) if path.exists()]
    if taken and not overwrite:
        raise ResultError(f"{taken[0]}: already exists; give another name, or --overwrite")
    foreign = [path for path in taken if not _replaceable(path, result.folder)]
    if foreign:
        raise ResultError(f"{foreign[0]}: a folder with other files; not overwritten")
    snapshots = [_snapshot(result, at)] if at is not None else list(range(len(result.times)))
    if chosen.one_snapshot:
        snapshots = snapshots[-1:]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with aside(target) as unready:
            chosen.write(result, snapshots, unready)
    except OSError as error:
        raise ResultError(f"{target}: cannot be written: {error.strerror or error}") from None
    except ValueError as error:  # of a damaged chunk, read while it is written
        raise ResultError(f"{target}: cannot be written: {error}") from None
    return name


def _replaceable(path: Path, result: Path) -> bool:
    """Whether `path` is a file or a folder of an earlier export: an image, .vti images, or PhysiCell output."""
    if not path.is_dir():
        return True
    if result.resolve().is_relative_to(path.resolve()):
        return False
    head = path / "zarr.json"
    if head.is_file():
        try:
            return "ome" in json.loads(head.read_text(encoding="utf-8"))["attributes"]
        except (ValueError, KeyError, TypeError):
            return False
    inside = list(path.iterdir())
    return all(each.suffix == ".vti" for each in inside) or all(_OUTPUT.fullmatch(each.name) for each in inside)


def _snapshot(result: Result, at: float) -> int:
    """Number of the snapshot at a time in min. Raises `ResultError`."""
    import numpy as np

    near = int(np.argmin(np.abs(result.times - at)))
    if abs(result.times[near] - at) > 1e-6:
        raise ResultError(
            f"{result.folder}: no snapshot at {duration(at)}; there are {len(result.times)} from "
            f"{duration(float(result.times[0]))} to {duration(float(result.times[-1]))}, "
            f"the nearest at {duration(float(result.times[near]))}"
        )
    return near
