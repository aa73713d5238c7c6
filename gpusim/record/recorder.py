"""Writes a result folder while a simulation runs."""

from __future__ import annotations

import csv
import json
import platform
import shutil
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import numpy as np
import zarr

from gpusim.engine import Simulation
from gpusim.errors import ResultError
from gpusim.record import layout


class Recorder:
    """Records a simulation into a folder.

    Args:
        folder: made if it is not there. Raises `ResultError` where it holds anything, unless
            `overwrite`; and then only a folder that an earlier run has written is replaced.
    """

    def __init__(self, simulation: Simulation, folder: Path, *, overwrite: bool = False) -> None:
        self.folder = folder
        self._simulation = simulation
        self._started = datetime.now(UTC)
        try:
            _make_room(folder, overwrite)
            (folder / layout.SCENARIO).write_text(simulation.scenario.to_yaml(), encoding="utf-8")
            self._group = _create_store(simulation, folder / layout.SNAPSHOTS)
            self._table: TextIO = (folder / layout.COUNTS).open("w", newline="", encoding="utf-8")
        except OSError as error:
            raise ResultError(f"{folder}: can't be written: {error.strerror or error}") from None
        model = simulation.model
        self._rows = csv.writer(self._table)
        names = (model.states.names, simulation.fired, model.fields.names, model.body.names)
        self._rows.writerow(layout.count_columns(*names))
        self._last_snapshot = -1
        self.record()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._table.close()

    def record(self) -> dict[str, int]:
        """Add a row of counts, and a snapshot where one is due; returns the cells by state.

        Raises `NumericalError` where a concentration has gone wrong, before anything is written.
        """
        simulation = self._simulation
        totals = simulation.totals()
        counts, fired = simulation.counts, simulation.fired
        try:
            self._rows.writerow(
                [
                    *(simulation.steps, f"{simulation.minutes:.10g}"),
                    *(*counts.values(), *fired.values(), *totals.values(), *simulation.body.values()),
                ]
            )
            every = simulation.model.record_every
            if simulation.steps // every > self._last_snapshot // every or self._last_snapshot < 0:
                self._snapshot()
        except OSError as error:
            raise ResultError(f"{self.folder}: can't be written: {error.strerror or error}") from None
        return counts

    def finish(self) -> dict[str, Any]:
        """Write the last state and the summary; returns the summary."""
        simulation = self._simulation
        try:
            if self._last_snapshot != simulation.steps:
                self._snapshot()
            self._table.close()
            summary = self._summary()
            text = json.dumps(summary, indent=2)
            (self.folder / layout.SUMMARY).write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise ResultError(f"{self.folder}: can't be written: {error.strerror or error}") from None
        return summary

    def _snapshot(self) -> None:
        simulation, group = self._simulation, self._group
        index = _length(group)
        arrays = {**simulation.fields, "tissue": simulation.tissue, "immune": simulation.immune}
        if simulation.body:
            arrays["body"] = np.array(list(simulation.body.values()))
        for name, values in arrays.items():
            _append(group, name, index, values)
        _append(group, "step", index, np.int64(simulation.steps))
        # Time last: a reader that counts times never sees half a snapshot.
        _append(group, "time", index, np.float64(simulation.minutes))
        self._table.flush()
        self._last_snapshot = simulation.steps

    def _summary(self) -> dict[str, Any]:
        simulation = self._simulation
        return {
            "scenario": simulation.model.name,
            "seed": simulation.model.seed,
            "backend": simulation.backend.name,
            "threads": simulation.backend.threads,
            "steps": simulation.steps,
            "minutes": simulation.minutes,
            "shape_zyx": list(simulation.model.shape),
            "spacing_um": simulation.model.spacing,
            "placements": [vars(p) for p in simulation.model.initial.placements],
            "counts": simulation.counts,
            "fired": simulation.fired,
            "totals": simulation.totals(),
            "body": simulation.body,
            "digest": simulation.digest(),
            "seconds": round(simulation.seconds, 3),
            "started": self._started.isoformat(timespec="seconds"),
            "versions": versions(),
        }


def versions() -> dict[str, str]:
    """Versions of Python, the machine and the packages that decide a result."""
    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for package in ("gpusim", "numpy", "zarr", "pint", "pydantic", "pyvista"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _make_room(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise ResultError(f"{folder}: is a file; expected a folder to write results into")
    if folder.is_dir() and any(folder.iterdir()):
        ours = (folder / layout.SCENARIO).is_file() and (folder / layout.SNAPSHOTS).is_dir()
        if not overwrite:
            raise ResultError(f"{folder}: is not empty; give another folder with -o, or --overwrite")
        if not ours:
            raise ResultError(f"{folder}: holds other files than a gpusim result; not overwritten")
        for name in (layout.SUMMARY, layout.COUNTS, layout.SCENARIO, layout.PICTURE):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / layout.SNAPSHOTS)
    folder.mkdir(parents=True, exist_ok=True)


def _create_store(simulation: Simulation, path: Path) -> zarr.Group:
    model = simulation.model
    group = zarr.create_group(store=str(path), zarr_format=3)
    group.attrs.update(
        {
            "title": model.name,
            "scenario": simulation.scenario.to_yaml(),
            "seed": str(model.seed),
            "backend": simulation.backend.name,
            "spacing_um": model.spacing,
            "step_minutes": model.step,
            "versions": versions(),
        }
    )
    for axis, size in zip("zyx", model.shape, strict=True):
        centres = (np.arange(size) + 0.5) * model.spacing
        coordinate = group.create_array(axis, data=centres, dimension_names=[axis])
        coordinate.attrs.update({"units": "um", "long_name": f"{axis} of voxel centres"})
    names = model.states.names
    for name, unit in zip(model.fields.names, model.fields.units, strict=True):
        _create(group, name, np.float32, model.shape).attrs.update({"units": unit, "long_name": name})
    for layer in layout.LAYERS:
        _create(group, layer, np.uint8, model.shape).attrs.update(
            {
                "long_name": f"state of the {layer} cell",
                "flag_values": list(range(len(names))),
                "flag_meanings": " ".join(names),
            }
        )
    if model.body.names:
        body = group.create_array(
            "body",
            shape=(0, len(model.body.names)),
            chunks=(1024, len(model.body.names)),
            dtype=np.float64,
            dimension_names=["time", "quantity"],
        )
        body.attrs.update({"long_name": "quantities of the body", "names": list(model.body.names)})
    for name, dtype, unit in (("step", np.int64, "1"), ("time", np.float64, "min")):
        array = group.create_array(name, shape=(0,), chunks=(1024,), dtype=dtype, dimension_names=["time"])
        # Not "units" for the time: xarray would take minutes for a date.
        array.attrs.update({"unit": unit, "long_name": f"simulated {name}"})
    return group


def _create(group: zarr.Group, name: str, dtype: Any, shape: tuple[int, int, int]) -> Any:
    chunk = tuple(min(n, 128) for n in shape)
    return group.create_array(
        name, shape=(0, *shape), chunks=(1, *chunk), dtype=dtype, dimension_names=["time", "z", "y", "x"]
    )


def _array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    array = group[name]
    assert isinstance(array, zarr.Array)
    return array


def _length(group: zarr.Group) -> int:
    return int(_array(group, "time").shape[0])


def _append(group: zarr.Group, name: str, index: int, values: Any) -> None:
    array = _array(group, name)
    array.resize((index + 1, *array.shape[1:]))
    array[index] = values
