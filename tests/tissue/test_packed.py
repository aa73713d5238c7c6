"""Chunks that unpack to more than they declare, in every packing that is read, and the same as they should be."""

import shutil
import zlib

import numcodecs
import numpy as np
import pandas as pd
import pytest
import zarr
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from gpusim import ScenarioError
from gpusim.scenario.schema import LabelImage, Tissue
from gpusim.tissue import cells, images, packed

LABELS = np.arange(4 * 6 * 5, dtype=np.uint8).reshape(4, 6, 5) % 2
V2 = [numcodecs.Zlib(), numcodecs.GZip(), numcodecs.BZ2(), numcodecs.LZMA(), numcodecs.LZ4(), numcodecs.Zstd()]
PACKINGS = {
    **{f"v2-{codec.codec_id}": {"zarr_format": 2, "compressors": codec} for codec in [*V2, numcodecs.Blosc()]},
    "gzip": {"compressors": GzipCodec()},
    "zstd": {"compressors": ZstdCodec()},
    "blosc": {"compressors": BloscCodec()},
    "sharded": {"compressors": ZstdCodec(), "shards": (4, 6, 8)},
    "plain": {"compressors": None},
}


def image(folder, data, chunks, options):
    group = zarr.open_group(folder, mode="w", zarr_format=options.get("zarr_format", 3))
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
    scale = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 1]}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [scale]}]}
    options = {key: value for key, value in options.items() if key != "zarr_format"}
    array = group.create_array("0", shape=data.shape, dtype=data.dtype, chunks=chunks, **options)
    array[:] = data
    metadata = ("zarr.json", ".zarray", ".zattrs")
    return sorted(path for path in (folder / "0").rglob("*") if path.is_file() and path.name not in metadata)


def labels(folder):
    return images.read(LabelImage(file=str(folder), labels={1: "a"}, spacing="1 um")).labels


@pytest.mark.parametrize("name", PACKINGS)
def test_a_chunk_of_zarr_that_unpacks_to_more_than_it_declares_is_refused(tmp_path, name):
    options = PACKINGS[name]
    (first, *_) = image(tmp_path / "a.zarr", LABELS, (4, 6, 4), options)
    assert np.array_equal(labels(tmp_path / "a.zarr"), LABELS)
    large = np.ones((64, 64, 64), np.uint8)
    options = options | ({"shards": (64, 64, 128)} if "shards" in options else {})
    (other, *_) = image(tmp_path / "b.zarr", large, (64, 64, 64), options)
    if "shards" in options:  # the large chunk in a shard of two, as the first one is
        data, length = other.read_bytes(), other.stat().st_size - 36
        assert int.from_bytes(data[length + 8 : length + 16], "little") == length
    shutil.copy(other, first)
    with pytest.raises(ScenarioError, match="can't be read|unpacks to more" if name == "plain" else "unpacks to more"):
        labels(tmp_path / "a.zarr")


def test_zstandard_without_a_declared_size_is_bounded_by_its_blocks():
    # One frame of two blocks, a byte 100 times and three bytes as they are, and no size (RFC 8878, 3.1.1).
    repeated, raw = (100 << 3 | 1 << 1).to_bytes(3, "little") + b"x", (3 << 3 | 1).to_bytes(3, "little") + b"abc"
    frame = b"\x28\xb5\x2f\xfd\x00\x00" + repeated + raw
    assert bytes(numcodecs.Zstd().decode(frame)) == b"x" * 100 + b"abc"
    assert sum(packed._zstd(frame)) == 103
    assert sum(packed._zstd(frame + numcodecs.Zstd().encode(bytes(1000)))) == 1103


@pytest.mark.parametrize("compression", ["gzip", "lzf", None])
def test_a_chunk_of_hdf5_that_unpacks_to_more_than_it_declares_is_refused(tmp_path, compression, monkeypatch):
    import anndata
    import h5py

    path = tmp_path / "cells.h5ad"
    obs = pd.DataFrame({"kind": ["a", "b"] * 20}, index=[f"c{i}" for i in range(40)])
    anndata.AnnData(np.zeros((40, 1), np.float32), obs=obs, obsm={"spatial": np.ones((40, 2))}).write_h5ad(path)
    with h5py.File(path, "a") as file:
        attributes = dict(file["obsm/spatial"].attrs)
        del file["obsm/spatial"]
        made = file.create_dataset(
            "obsm/spatial", data=np.arange(80.0).reshape(40, 2), chunks=(40, 2), compression=compression, shuffle=True
        )
        made.attrs.update(attributes)
    spec = Tissue.model_validate({"cells": "x", "types": [{"state": "s", "where": {"kind": "a"}}]})
    assert cells.read(path, spec).centres[1, :2].tolist() == [2, 3]
    if compression == "gzip":
        with h5py.File(path, "a") as file:
            file["obsm/spatial"].id.write_direct_chunk((0, 0), zlib.compress(bytes(1 << 24)))
        with pytest.raises(ScenarioError, match="a chunk of '/obsm/spatial' unpacks to more than"):
            cells.read(path, spec)
    elif compression == "lzf":
        monkeypatch.setattr(packed, "_LZF_RATIO", 1 << 60)
        with pytest.raises(ScenarioError, match="a chunk of '/obsm/spatial' need"):
            cells.read(path, spec)


def test_a_long_text_that_stands_in_many_rows_of_parquet_is_one_object(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = 5000
    kinds = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * 100_000]))
    table = pa.table({"x": np.arange(rows) * 1.0, "y": np.zeros(rows), "kind": kinds})
    pq.write_table(table, tmp_path / "cells.parquet")
    spec = Tissue.model_validate({"cells": "x", "types": [{"state": "s", "where": {"kind": "x*"}}]})
    read = cells.read(tmp_path / "cells.parquet", spec)
    assert (read.types == 0).sum() == rows
