"""OME-Zarr (NGFF 0.5) for napari and similar tools: pyramids, fields and traits as channels, cell layers as labels."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gpusim.engine.flow import UNIT, VELOCITY, has_velocity
from gpusim.errors import extra
from gpusim.export.cells import CLONE
from gpusim.record import Result, layout, lineages
from gpusim.record.local import writable
from gpusim.scenario.schema import NONE

_SMALLEST = 32
"""Voxels along the longest axis of the coarsest level of a pyramid."""
_CHUNK = 128
"""Voxels along an edge of a chunk."""
_COLOURS = ("FFFFFF", "E69F00", "56B4E9", "009E73", "F0E442", "0072B2", "D55E00", "CC79A7")
"""White, then the colours of Okabe and Ito, which are suitable for colour-blind readers."""


def write(result: Result, snapshots: Sequence[int], target: Path) -> None:
    """An image [t, c, z, y, x], and the labels `tissue`, `immune` and `clone` [t, z, y, x].

    The channels of the image are the fields, the traits and the components of the fluid's velocity. A trait is 0 where
    no cell has it. A label is the number of a state, where 0 is no cell, or of a clone (if they are recorded), where 0
    is none. NGFF supports only equally spaced times: the axis has the mean interval of the
    snapshots, and the attribute `gpusim` contains the exact times in min.
    """
    with extra("formats", "to write OME-Zarr"):
        import dask
        import dask.array as da
        import zarr
        from ome_zarr.format import FormatV05
        from ome_zarr.scale import Methods
        from ome_zarr.writer import write_image, write_labels

    data = result.dataset().isel(time=list(snapshots)).chunk({"time": 1, **dict.fromkeys("zyx", _CHUNK)})
    times = result.times[list(snapshots)]
    apart = float(times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 1.0
    shape = data["tissue"].shape[1:]
    common: dict[str, Any] = {
        "fmt": FormatV05(),
        # A pair of voxels is halved to one; an odd axis stays, so that each level has one true scale.
        "scale_factors": [
            {axis: math.gcd(2**k, n) for axis, n in zip("zyx", shape, strict=True)}
            for k in range(1, 12)
            if max(shape) >= _SMALLEST * 2**k
        ],
        "axes_units": {"t": "minute", **dict.fromkeys("zyx", "micrometer")},
    }
    scale = {"t": apart, **dict.fromkeys("zyx", result.spacing)}
    numbers = {name: data[name].data for name in (*result.field_names, *result.trait_names)}
    units = {name: result.unit(name) for name in numbers}
    if has_velocity(result.document):
        numbers |= _velocity(result, snapshots, numbers)
        units |= {name: UNIT for name in numbers if name not in units}
    names = result.state_names
    states: list[dict[str, Any]] = [
        {"label-value": i, "state": name} for i, name in enumerate(names) if i and name != NONE
    ]
    described = {"properties": states, "colors": [_colour(state["label-value"]) for state in states]}
    labels = {
        layer: (da.where(data[layer].data == names.index(NONE), np.uint8(0), data[layer].data), described)
        for layer in layout.LAYERS
    }
    if layout.records_clones(result.document):
        known = result.births["label"].to_numpy(np.uint64)
        numbered = data[layout.CLONES].data.map_blocks(lambda block: lineages.numbers(known, block).astype(np.uint32))
        labels[CLONE] = numbered, {}
    # In this process, whatever scheduler is in use: the end of the store waits for the writers of this process.
    with dask.config.set(scheduler="threads"), writable(target) as store:
        group = zarr.create_group(store=store, zarr_format=3)
        if numbers:
            write_image(
                da.stack(list(numbers.values()), axis=1),
                group,
                axes="tczyx",
                scale={**scale, "c": 1.0},
                name=result.scenario.document.name,
                method=Methods.LOCAL_MEAN,
                **common,
            )
            # Not by `write_image`, which takes a mapping up to ome-zarr 0.18 and an object of its own later.
            channels = [_channel(values, i, name) for i, (name, values) in enumerate(numbers.items())]
            _add(group, omero={"channels": channels})
        for name, (values, metadata) in labels.items():
            write_labels(
                values,
                group,
                name=name,
                axes="tzyx",
                scale=scale,
                scaler=None,
                method=Methods.NEAREST,
                label_metadata=metadata,
                **common,
            )
        # ome-zarr 0.18 leaves the version out here, which NGFF 0.5 asks for.
        _add(group["labels"], version="0.5")
        group.attrs["gpusim"] = {
            "times_min": times.tolist(),
            "units": units,
        }


def _add(group: Any, **metadata: Any) -> None:
    """Add to the NGFF metadata of a group."""
    group.attrs["ome"] = {**group.attrs["ome"], **metadata}


def _velocity(result: Result, snapshots: Sequence[int], like: dict[str, Any]) -> dict[str, Any]:
    """The components of the velocity along x, y and z, by name, as lazy arrays [t, z, y, x]."""
    import dask.array as da
    from dask import delayed

    shape = next(iter(like.values())).shape[1:]
    each = [da.from_delayed(delayed(result.velocity)(i), (3, *shape), np.float32) for i in snapshots]
    whole = da.stack(each, axis=1).rechunk((1, 1, *(_CHUNK,) * 3))
    return {f"{VELOCITY}_{axis}": whole[i] for i, axis in enumerate("xyz")}


def _channel(values: Any, number: int, name: str) -> dict[str, Any]:
    low, top = (float(end) for end in (values.min(), values.max()))
    low, top = min(low, 0.0), top if top > min(low, 0.0) else min(low, 0.0) + 1.0
    return {
        "label": name,
        "color": _COLOURS[number % len(_COLOURS)],
        "active": number == 0,
        "window": {"min": low, "max": top, "start": low, "end": top},
    }


def _colour(label: int) -> dict[str, Any]:
    """The opaque, non-white colour of a label."""
    hexadecimal = _COLOURS[1 + (label - 1) % (len(_COLOURS) - 1)]
    return {"label-value": label, "rgba": [*bytes.fromhex(hexadecimal), 255]}
