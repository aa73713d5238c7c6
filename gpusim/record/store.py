"""The Zarr store of snapshots. It is whole from its first moment, and its lengths never change.

So a reader never finds arrays of different lengths, whenever the writer was killed: a snapshot is
there once its `time` is.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from gpusim.engine import Replicate
from gpusim.model import Model
from gpusim.record import layout
from gpusim.record.versions import versions


def create(replicate: Replicate, path: Path, snapshots: int) -> zarr.Group:
    """A store with room for `snapshots`."""
    unready = path.with_name(path.name + layout.PART)
    if unready.exists():
        shutil.rmtree(unready)
    model = replicate.model
    group = zarr.create_group(store=str(unready), zarr_format=3)
    group.attrs.update(
        {
            "title": model.name,
            "scenario": replicate.scenario.to_yaml(),
            "seed": str(replicate.scenario.document.seed),
            "backend": replicate.backend.name,
            "sites": list(replicate.sites),
            "step_minutes": model.step,
            "versions": versions(),
        }
    )
    for name, site in sites(group).items():
        part = group.create_group(name) if site is None else site
        _create_site(part, replicate.models[name], snapshots)
    if len(replicate.sites) > 1:
        _create_times(group, snapshots)
    if model.body.names:
        quantities = len(model.body.names)
        body = group.create_array(
            "body",
            shape=(snapshots, quantities),
            chunks=(1024, quantities),
            dtype=np.float64,
            fill_value=np.nan,
            dimension_names=["time", "quantity"],
        )
        body.attrs.update({"long_name": "quantities of the body", "names": list(model.body.names)})
    unready.rename(path)
    return zarr.open_group(str(path), mode="r+")


def sites(group: zarr.Group) -> dict[str, zarr.Group | None]:
    """The group of each site by name; the store itself where there is one; None for one that is still to come."""
    names: list[str] = list(group.attrs["sites"])  # type: ignore[arg-type]
    if len(names) == 1:
        return {names[0]: group}
    found = dict(group.groups())
    return {name: found.get(name) for name in names}


def _create_site(group: zarr.Group, model: Model, snapshots: int) -> None:
    """Room for the arrays of one site."""
    group.attrs["spacing_um"] = model.spacing
    for axis, size in zip("zyx", model.shape, strict=True):
        centres = (np.arange(size) + 0.5) * model.spacing
        coordinate = group.create_array(axis, data=centres, dimension_names=[axis])
        coordinate.attrs.update({"units": "um", "long_name": f"{axis} of voxel centres"})
    names = model.states.names
    shape = (snapshots, *model.shape)
    for name, unit in zip(model.fields.names, model.fields.units, strict=True):
        _create(group, name, np.float32, shape).attrs.update({"units": unit, "long_name": name})
    for layer in layout.LAYERS:
        _create(group, layer, np.uint8, shape).attrs.update(
            {
                "long_name": f"state of the {layer} cell",
                "flag_values": list(range(len(names))),
                "flag_meanings": " ".join(names),
            }
        )
    _create_times(group, snapshots)


def _create_times(group: zarr.Group, snapshots: int) -> None:
    for name, dtype, unit, none in (("step", np.int64, "1", -1), ("time", np.float64, "min", np.nan)):
        array = group.create_array(
            name, shape=(snapshots,), chunks=(1024,), dtype=dtype, fill_value=none, dimension_names=["time"]
        )
        # Not "units" for the time: xarray would take minutes for a date.
        array.attrs.update({"unit": unit, "long_name": f"simulated {name}"})


def reopen(path: Path, snapshots: int) -> zarr.Group:
    """A store to go on with after its first `snapshots`. Raises `ValueError` where it has fewer."""
    group = zarr.open_group(str(path), mode="r+")
    if len(times(group)) < snapshots:
        raise ValueError(f"{layout.SNAPSHOTS} holds {len(times(group))} snapshots; expected {snapshots}")
    for left in path.rglob("*.partial"):
        left.unlink()
    if len(times(group)) > snapshots:
        for part in _with_times(group):
            _array(part, "time")[snapshots:] = np.nan
            _array(part, "step")[snapshots:] = -1
    return group


def _with_times(group: zarr.Group) -> list[zarr.Group]:
    """The store, then the groups of its sites where they are others."""
    return [group, *(site for site in sites(group).values() if site is not None and site is not group)]


def times(group: zarr.Group) -> np.ndarray:
    """Simulated minutes of the snapshots that are there, float64."""
    found = np.asarray(group["time"])
    missing = np.flatnonzero(np.isnan(found))
    return found[: missing[0]] if missing.size else found


def append(group: zarr.Group, replicate: Replicate) -> None:
    """Write the present state as the next snapshot."""
    index = len(times(group))
    for name, part in sites(group).items():
        assert part is not None, "made with the store"
        site = replicate.sites[name]
        for array in (*site.model.fields.names, *layout.LAYERS):
            _put(part, array, index, site.array(array))
    if replicate.body:
        _put(group, "body", index, np.array(list(replicate.body.values())))
    # Time last, and that of the store last of all: a reader that counts times never sees half a snapshot.
    for part in reversed(_with_times(group)):
        _put(part, "step", index, np.int64(replicate.steps))
        _put(part, "time", index, np.float64(replicate.minutes))


def trim(group: zarr.Group) -> None:
    """Give up the room for snapshots that will not come."""
    count = len(times(group))
    for part in _with_times(group):
        for name in part.array_keys():
            array = _array(part, name)
            if name not in "zyx" and array.shape[0] > count:
                array.resize((count, *array.shape[1:]))


def _create(group: zarr.Group, name: str, dtype: Any, shape: tuple[int, ...]) -> Any:
    chunk = tuple(min(n, 128) for n in shape[1:])
    return group.create_array(
        name, shape=shape, chunks=(1, *chunk), dtype=dtype, dimension_names=["time", "z", "y", "x"]
    )


def _array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    array = group[name]
    assert isinstance(array, zarr.Array)
    return array


def _put(group: zarr.Group, name: str, index: int, values: Any) -> None:
    array = _array(group, name)
    if index >= array.shape[0]:
        array.resize((index + 1, *array.shape[1:]))
    array[index] = values
