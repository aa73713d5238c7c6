"""OME-Zarr (NGFF 0.5) for napari and similar tools: pyramids, fields and traits as channels, cell layers as labels."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gpusim.errors import extra
from gpusim.export.cells import CLONE
from gpusim.record import Result, layout, lineages
from gpusim.scenario.schema import NONE

_SMALLEST = 32
"""Voxels along the longest axis of the coarsest level of a pyramid."""
_CHUNK = 128
"""Voxels along an edge of a chunk."""
_COLOURS = ("FFFFFF", "E69F00", "56B4E9", "009E73", "F0E442", "0072B2", "D55E00", "CC79A7")
"""White, then the colours of Okabe and Ito, which are suitable for colour-blind readers."""


def write(result: Result, snapshots: Sequence[int], target: Path) -> None:
    """An image [t, c, z, y, x] of the fields and traits, and the labels `tissue`, `immune` and `clone` [t, z, y, x].

    A trait is 0 where no cell has it. A label is the number of a state, where 0 is no cell, or of a clone (if they are
    recorded), where 0 is none. NGFF supports only equally spaced times: the axis has the mean interval of the
    snapshots, and the attribute `gpusim` contains the exact times in min.
    """
    with extra("formats", "to write OME-Zarr"):
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
    group = zarr.open_group(str(target), mode="w", zarr_format=3)
    numbers = [*result.field_names, *result.trait_names]
    if numbers:
        write_image(
            da.stack([data[name].data for name in numbers], axis=1),
            group,
            axes="tczyx",
            scale={**scale, "c": 1.0},
            name=result.scenario.document.name,
            method=Methods.LOCAL_MEAN,
            **common,
        )
        # Not by `write_image`, which takes a mapping up to ome-zarr 0.18 and an object of its own later.
        channels = [_channel(data, i, name) for i, name in enumerate(numbers)]
        _add(group, omero={"channels": channels})
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
        "units": {name: result.unit(name) for name in numbers},
    }


def _add(group: Any, **metadata: Any) -> None:
    """Add to the NGFF metadata of a group."""
    group.attrs["ome"] = {**group.attrs["ome"], **metadata}


def _channel(data: Any, number: int, name: str) -> dict[str, Any]:
    top = float(data[name].max()) or 1.0
    return {
        "label": name,
        "color": _COLOURS[number % len(_COLOURS)],
        "active": number == 0,
        "window": {"min": 0.0, "max": top, "start": 0.0, "end": top},
    }


def _colour(label: int) -> dict[str, Any]:
    """The opaque, non-white colour of a label."""
    hexadecimal = _COLOURS[1 + (label - 1) % (len(_COLOURS) - 1)]
    return {"label-value": label, "rgba": [*bytes.fromhex(hexadecimal), 255]}
