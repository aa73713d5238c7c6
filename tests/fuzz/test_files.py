"""Damaged files of each kind that a tissue is read from: read, or refused in one line."""

import contextlib
import gzip
import io
import random
import shutil
import warnings

import numpy as np
import pandas as pd
import pytest

from gpusim import ScenarioError
from gpusim.scenario.schema import LabelImage, Tissue
from gpusim.tissue import cells, images

LABELS = np.zeros((4, 6, 5), np.uint8)
LABELS[1:3, 2:5, 1:4] = 1
TABLE = pd.DataFrame({"x_um": np.arange(40) * 1.5, "y_um": np.arange(40) % 7, "kind": ["a", "b"] * 20})


def csv():
    return TABLE.to_csv(index=False).encode()


def packed_csv():
    return gzip.compress(csv())


def utf16():
    return TABLE.to_csv(index=False, sep=";", decimal=",").encode("utf-16")


def parquet():
    buffer = io.BytesIO()
    TABLE.to_parquet(buffer)
    return buffer.getvalue()


def h5ad(folder):
    import anndata

    obs = TABLE.set_axis([f"c{i}" for i in TABLE.index])
    spatial = TABLE[["x_um", "y_um"]].to_numpy()
    anndata.AnnData(np.zeros((40, 1), np.float32), obs=obs, obsm={"spatial": spatial}).write_h5ad(folder / "made")
    return (folder / "made").read_bytes()


def nifti():
    import nibabel

    image = nibabel.Nifti1Image(LABELS, np.diag([0.02] * 3 + [1]))
    image.header.set_xyzt_units("mm")
    return image.to_bytes()


def packed_nifti():
    return gzip.compress(nifti())


def nrrd_gzip(folder):
    import nrrd

    nrrd.write(str(folder / "made.nrrd"), LABELS, {"spacings": [1.0] * 3, "units": ["um"] * 3})
    return (folder / "made.nrrd").read_bytes()


def tiff(compression):
    def made():
        import tifffile

        buffer = io.BytesIO()
        args = {"level": 0} if compression == "jpeg2000" else None
        tifffile.imwrite(buffer, LABELS, photometric="minisblack", compression=compression, compressionargs=args)
        return buffer.getvalue()

    return made


KINDS = {
    "cells.csv": csv,
    "cells.csv.gz": packed_csv,
    "utf16.csv": utf16,
    "cells.parquet": parquet,
    "cells.h5ad": h5ad,
    "a.nii": nifti,
    "a.nii.gz": packed_nifti,
    "a.nrrd": nrrd_gzip,
    "plain.tif": tiff(None),
    "lzw.tif": tiff("lzw"),
    "jpeg2000.tif": tiff("jpeg2000"),
}
TISSUE = Tissue.model_validate({"cells": "x", "types": [{"state": "a", "where": {"kind": "a"}}, {"state": "b"}]})


class Refused(Exception):
    pass


def read(path):
    """Read a file. Raises `Refused` for an error of one line, and nothing else."""
    try:
        if path.name.startswith(("a.", "plain", "lzw", "jpeg")):
            return images.read(LabelImage(file=str(path), labels={1: "a"}, spacing="1 um"))
        return cells.read(path, TISSUE)
    except ScenarioError as error:
        if "\n" in str(error) or len(str(error)) > 2000:
            raise
        raise Refused(str(error)) from None


def damaged(data, count):
    """Copies of some bytes, cut and with flipped bits, half of them near the head, where the sizes stand."""
    chance = random.Random(len(data))
    for i in range(count):
        if i % 3 == 0:
            yield data[: chance.randrange(len(data))]
            continue
        changed = bytearray(data)
        for _ in range(chance.choice([1, 1, 4])):
            at = chance.randrange(min(len(data), 512) if i % 3 == 1 else len(data))
            changed[at] ^= 1 << chance.randrange(8)
        yield bytes(changed)


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path, name, capfd):
    make = KINDS[name]
    data = make(tmp_path) if make in (h5ad, nrrd_gzip) else make()
    path = tmp_path / name
    path.write_bytes(data)
    read(path)
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for changed in damaged(data, 9 if make is h5ad else 30):
            path.write_bytes(changed)
            try:
                read(path)
            except Refused:
                refused += 1
    assert refused
    assert not capfd.readouterr().err


def test_a_damaged_folder_of_ome_zarr_is_read_or_refused_in_one_line(tmp_path):
    import zarr

    group = zarr.open_group(tmp_path / "good.zarr", mode="w")
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
    scale = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 1]}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [scale]}]}
    group.create_array("0", data=LABELS)
    path = tmp_path / "a.zarr"
    good = sorted(file for file in (tmp_path / "good.zarr").rglob("*") if file.is_file())
    refused = 0
    for file in good:
        for changed in damaged(file.read_bytes(), 8):
            shutil.copytree(tmp_path / "good.zarr", path)
            (path / file.relative_to(tmp_path / "good.zarr")).write_bytes(changed)
            with contextlib.suppress(Refused):
                read(path)
                refused -= 1
            refused += 1
            shutil.rmtree(path)
    assert refused
