"""The Zarr store of snapshots. It is complete from the start, and its lengths do not change during a run.

A reader therefore never finds arrays of different lengths, even if the writer was killed. A snapshot exists if its
`time` is set.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from gpusim.engine import Replicate
from gpusim.engine.dataset import TIMES, attributes, centres
from gpusim.engine.replicate import digest
from gpusim.errors import ResultError
from gpusim.model import Model
from gpusim.record import layout
from gpusim.record.files import aside
from gpusim.record.local import writable
from gpusim.record.versions import versions

FORMAT = 2
"""Version of the format, in the attribute `format`: 2 has checksums; older stores lack the attribute."""
_DIGEST_BYTES = 32
_CODECS = (ZstdCodec(), Crc32cCodec())
_NO_CELL = 255
_NO_CLONE = 2**64 - 1
_KINDS = {**dict.fromkeys(layout.LAYERS, (np.uint8, _NO_CELL)), layout.CLONES: (np.uint64, _NO_CLONE)}
"""Data types of the arrays that are no fields or traits, and what stands for a missing chunk."""


@contextmanager
def _in_order(path: Path) -> Iterator[None]:
    """Write every chunk, whatever its values; raise `ResultError` if another program has changed the store."""
    try:
        with zarr.config.set({"array.write_empty_chunks": True}):
            yield
    except (KeyError, ValueError) as error:
        raise ResultError(f"{path}: was removed or changed by another program: {error}") from None


def create(replicate: Replicate, path: Path, snapshots: int) -> zarr.Group:
    """Create a store for `snapshots` snapshots."""
    with aside(path) as unready, writable(unready) as store, _in_order(path):
        _fill(zarr.create_group(store=store, zarr_format=3), replicate, snapshots)
    return zarr.open_group(str(path), mode="r+")


def _fill(group: zarr.Group, replicate: Replicate, snapshots: int) -> None:
    model = replicate.model
    group.attrs.update(
        {
            "format": FORMAT,
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
        _create_site(part, replicate.models[name], layout.lattices(replicate.scenario.document), snapshots)
    if len(replicate.sites) > 1:
        _create_times(group, snapshots)
    kept = _create(group, layout.DIGEST, np.uint8, (snapshots, _DIGEST_BYTES), 0, ["time", "byte"])
    kept.attrs["long_name"] = "SHA-256 of the state: fields, cells, traits, clones, body, step"
    if not layout.is_whole(replicate.scenario.document):
        of_contents = _create(group, layout.CONTENTS, np.uint8, (snapshots, _DIGEST_BYTES), 0, ["time", "byte"])
        of_contents.attrs["long_name"] = "SHA-256 of the snapshot: as the digest, without what is not recorded"
    if model.body.names:
        body = _create(group, "body", np.float64, (snapshots, len(model.body.names)), np.nan, ["time", "quantity"])
        body.attrs.update({"long_name": "quantities of the body", "names": list(model.body.names)})


def sites(group: zarr.Group) -> dict[str, zarr.Group | None]:
    """The group of each site by name: the store itself for a single site; None if not created yet."""
    names: list[str] = list(group.attrs["sites"])  # type: ignore[arg-type]
    if len(names) == 1:
        return {names[0]: group}
    found = dict(group.groups())
    return {name: found.get(name) for name in names}


def _create_site(group: zarr.Group, model: Model, lattices: Sequence[str], snapshots: int) -> None:
    """Create the arrays of one site."""
    group.attrs["spacing_um"] = model.spacing
    for axis, (places, about) in centres(model).items():
        group.create_array(axis, data=places, dimension_names=[axis], compressors=_CODECS).attrs.update(about)
    told = attributes(model)
    for name in lattices:
        dtype, missing = _KINDS.get(name, (np.float32, np.nan))
        _create_lattice(group, name, dtype, (snapshots, *model.shape), missing).attrs.update(told[name])
    _create_times(group, snapshots)


def _create_times(group: zarr.Group, snapshots: int) -> None:
    for name, dtype, none in (("step", np.int64, -1), ("time", np.float64, np.nan)):
        array = _create(group, name, dtype, (snapshots,), none, ["time"])
        array.attrs.update({"unit": TIMES[name], "long_name": f"simulated {name}"})


def reopen(path: Path, lattices: Sequence[str], snapshots: int) -> zarr.Group:
    """Open a store of these arrays to continue after its first `snapshots`.

    Raises `ValueError` if these are damaged.
    """
    group = zarr.open_group(str(path), mode="r+")
    if len(times(group)) < snapshots:
        raise ValueError(f"{layout.SNAPSHOTS} contains {len(times(group))} snapshots; expected {snapshots}")
    for number in range(snapshots):
        if digest_of(group, lattices, number) != contents_kept(group, number):
            raise ValueError(f"snapshot {number} of {layout.SNAPSHOTS} is damaged")
    for left in path.rglob("*.partial"):
        left.unlink()
    if len(times(group)) > snapshots:
        with _in_order(path):
            for part in with_times(group):
                array_of(part, "time")[snapshots:] = np.nan
                array_of(part, "step")[snapshots:] = -1
    return group


def digest_kept(group: zarr.Group, number: int) -> str:
    """The digest of the state that is stored with a snapshot."""
    return bytes(read(group, layout.DIGEST, number)).hex()


def contents_kept(group: zarr.Group, number: int) -> str:
    """The digest of a snapshot's contents that is stored with it: that of the state if all of it is recorded."""
    return bytes(read(group, layout.CONTENTS if layout.CONTENTS in group else layout.DIGEST, number)).hex()


def digest_of(group: zarr.Group, lattices: Sequence[str], number: int) -> str:
    """Digest of what a snapshot contains; `lattices` as `layout.lattices` lists them.

    Raises `ValueError` if a chunk is missing or damaged.
    """
    arrays = (
        read(part, name, number) for _, part in sorted(sites(group).items()) if part is not None for name in lattices
    )
    body = read(group, "body", number) if "body" in group else np.zeros(0)
    return digest(arrays, body, int(read(group, "step", number)))


def read(group: zarr.Group, name: str, number: int) -> np.ndarray:
    """An array at one snapshot. Raises `ValueError` if a chunk is missing or damaged."""
    array = array_of(group, name)
    require_chunks(array, number)
    return np.asarray(array[number])


def read_all(group: zarr.Group, name: str) -> np.ndarray:
    """An array that is complete from the start. Raises `ValueError` if a chunk is missing or damaged."""
    array = array_of(group, name)
    for first in range(0, array.shape[0], array.chunks[0]):
        require_chunks(array, first)
    return np.asarray(array)


def require_chunks(array: zarr.Array[Any], number: int) -> None:
    """Raise `ValueError` if a chunk of a snapshot is missing, which Zarr would read as a fill value."""
    root = Path(str(array.store_path.store).removeprefix("file://"), array.path)
    grid = (range(-(-n // chunk)) for n, chunk in zip(array.shape[1:], array.chunks[1:], strict=True))
    for place in itertools.product(*grid):
        chunk = root / array.metadata.encode_chunk_key((number // array.chunks[0], *place))
        if not chunk.is_file():
            raise ValueError(f"chunk {chunk.relative_to(root.parent)} is missing")


def with_times(group: zarr.Group) -> list[zarr.Group]:
    """The store and, if there are several, the groups of its sites."""
    return [group, *(site for site in sites(group).values() if site is not None and site is not group)]


def times(group: zarr.Group) -> np.ndarray:
    """Times of the snapshots written so far, min, float64. Raises `ValueError` if a chunk is missing."""
    found = read_all(group, "time")
    missing = np.flatnonzero(np.isnan(found))
    return found[: missing[0]] if missing.size else found


def append(group: zarr.Group, replicate: Replicate) -> None:
    """Write the present state as the next snapshot. Raises `ResultError` if the store no longer exists."""
    with _in_order(folder_of(group)):
        index, lattices = len(times(group)), layout.lattices(replicate.scenario.document)
        for name, part in sites(group).items():
            if part is None:
                raise ValueError(f"no group '{name}'")
            site = replicate.sites[name]
            for array in lattices:
                _put(part, array, index, site.array(array))
        if replicate.body:
            _put(group, "body", index, np.array(list(replicate.body.values())))
        _put(group, layout.DIGEST, index, np.frombuffer(bytes.fromhex(replicate.digest()), np.uint8))
        if layout.CONTENTS in group:
            _put(group, layout.CONTENTS, index, np.frombuffer(bytes.fromhex(_contents(replicate, lattices)), np.uint8))
        # Times last, that of the store at the very end: a reader that counts times never sees a partial snapshot.
        for part in reversed(with_times(group)):
            _put(part, "step", index, np.int64(replicate.steps))
            _put(part, "time", index, np.float64(replicate.minutes))


def _contents(replicate: Replicate, lattices: Sequence[str]) -> str:
    """Digest of what a snapshot of the present state contains."""
    arrays = (site.array(name) for _, site in sorted(replicate.sites.items()) for name in lattices)
    return digest(arrays, np.array(list(replicate.body.values())), replicate.steps)


def trim(group: zarr.Group) -> None:
    """Remove the space for snapshots that were not written."""
    with _in_order(folder_of(group)):
        count = len(times(group))
        for part in with_times(group):
            for name in part.array_keys():
                array = array_of(part, name)
                if name not in "zyx" and array.shape[0] > count:
                    array.resize((count, *array.shape[1:]))


def folder_of(group: zarr.Group) -> Path:
    """Folder of a store."""
    return Path(str(group.store_path.store).removeprefix("file://"))


def _create_lattice(group: zarr.Group, name: str, dtype: Any, shape: tuple[int, ...], missing: float) -> Any:
    """Create an array of a lattice. Chunks are written with their snapshots; a lost one is read as `missing`."""
    chunk = tuple(min(n, 128) for n in shape[1:])
    return group.create_array(
        name,
        shape=shape,
        chunks=(1, *chunk),
        dtype=dtype,
        fill_value=missing,
        dimension_names=["time", "z", "y", "x"],
        compressors=_CODECS,
    )


def _create(
    group: zarr.Group, name: str, dtype: Any, shape: tuple[int, ...], none: float, dimensions: list[str]
) -> zarr.Array[Any]:
    """Create a small array with the value `none`; its chunks exist from the start."""
    array = group.create_array(
        name,
        shape=shape,
        chunks=(1024, *shape[1:]),
        dtype=dtype,
        fill_value=none,
        dimension_names=dimensions,
        compressors=_CODECS,
    )
    array[...] = none
    return array


def array_of(group: zarr.Group, name: str) -> zarr.Array[Any]:
    """An array by name. Raises `KeyError` or `ValueError` if there is none."""
    array = group[name]
    if not isinstance(array, zarr.Array):
        raise ValueError(f"'{name}' is no array")
    return array


def _put(group: zarr.Group, name: str, index: int, values: Any) -> None:
    array = array_of(group, name)
    if index >= array.shape[0]:
        array.resize((index + 1, *array.shape[1:]))
    array[index] = values
