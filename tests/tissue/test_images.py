"""Label images as the libraries of their formats write them."""

import gzip
import os
import sys

import numpy as np
import pytest

from gpusim import GpusimError, Scenario, ScenarioError
from gpusim.model import build

TEXT = """
grid: {spacing: 20 um}
states: {tumour: {}, vessel: {}, ctl: {layer: immune}}
tissue:
  image: {file: labels.nii.gz, labels: {1: tumour, 2: vessel, 3: ctl}}
"""
TUMOUR, VESSEL, NONE, CTL = 1, 2, 3, 4


def scenario(folder, file, **image):
    (folder / "a.yaml").write_text(TEXT.replace("labels.nii.gz", file))
    return Scenario.load(folder / "a.yaml").with_(tissue={"image": image})


def ball(shape=(8, 10, 12)):
    """Labels [z, y, x] that no flip or exchange of axes leaves as they are."""
    labels = np.zeros(shape, np.uint8)
    labels[1:5, 2:6, 3:9] = 1
    labels[0, 0, :] = 2
    return labels


def write_nifti(path, labels, edges=(0.02, 0.02, 0.02), unit="mm"):
    import nibabel

    image = nibabel.Nifti1Image(labels.transpose(2, 1, 0), np.diag([*edges, 1]))
    image.header.set_xyzt_units(unit)
    nibabel.save(image, path)


def write_ome_tiff(path, labels):
    import tifffile

    sizes = {f"PhysicalSize{axis}": 20 for axis in "XYZ"} | {f"PhysicalSize{axis}Unit": "µm" for axis in "XYZ"}
    tifffile.imwrite(path, labels, metadata={"axes": "ZYX"[-labels.ndim :], **sizes})


def write_imagej_tiff(path, labels):
    import tifffile

    metadata = {"axes": "ZYX"[-labels.ndim :], "spacing": 20, "unit": "um"}
    tifffile.imwrite(path, labels, imagej=True, resolution=(0.05, 0.05), metadata=metadata)


def write_nrrd(path, labels):
    import nrrd

    header = {"space dimension": 3, "space directions": np.eye(3) * 0.02, "space units": ["mm"] * 3}
    nrrd.write(str(path), labels, header, index_order="C")


@pytest.mark.parametrize(
    ("file", "write"),
    [
        ("labels.nii.gz", write_nifti),
        ("labels.nii", write_nifti),
        ("labels.ome.tiff", write_ome_tiff),
        ("labels.tif", write_imagej_tiff),
        ("labels.nrrd", write_nrrd),
    ],
)
def test_each_format_is_read_with_its_axes_and_its_spacing(tmp_path, file, write):
    labels = ball()
    write(tmp_path / file, labels)
    found = build(scenario(tmp_path, file)).initial
    assert found.shape == labels.shape
    assert np.array_equal(found.tissue, labels)
    assert (found.immune == NONE).all()


@pytest.mark.parametrize(("file", "write"), [("labels.ome.tif", write_ome_tiff), ("labels.tif", write_imagej_tiff)])
def test_a_section_becomes_a_slab_or_is_swept(tmp_path, file, write):
    section = ball()[2]
    write(tmp_path / file, section)
    loaded = scenario(tmp_path, file)
    slab = build(loaded.with_(tissue={"depth": {"thickness": "60 um"}})).initial
    assert slab.shape == (3, 10, 12)
    assert all(np.array_equal(plane, section) for plane in slab.tissue)
    swept = build(loaded.with_(tissue={"depth": {"mode": "sweep"}})).initial
    assert swept.shape == (12, 10, 12)
    assert np.array_equal(swept.tissue[:, 3], swept.tissue[::-1, 3])


def test_a_voxel_takes_the_label_of_most_of_its_pixels(tmp_path):
    labels = np.zeros((4, 4, 8), np.uint8)
    labels[:, :, 4:] = 1
    labels[:2, :2, 0] = 1  # 4 of 8: a tie with no label, which a label wins
    labels[0, 0, 2:4] = 1  # 2 of 8
    labels[2:, 2:, 4:6] = [[[2, 1], [2, 2]], [[2, 2], [1, 1]]]  # 5 of 8
    labels[2:, :2, 6:] = 3
    labels[2, 0, 6:] = 1  # 6 of 8 pixels are T cells
    write_nifti(tmp_path / "a.nii", labels, edges=(0.01,) * 3)
    found = build(scenario(tmp_path, "a.nii")).initial
    assert found.shape == (2, 2, 4)
    assert found.tissue.tolist() == [[[1, 0, 1, 1], [0, 0, 1, 1]], [[0, 0, 1, 1], [0, 0, 2, 1]]]
    assert np.argwhere(found.immune == CTL).tolist() == [[1, 0, 3]]


def test_nearest_takes_the_pixel_in_the_middle(tmp_path):
    labels = np.zeros((3, 3, 6), np.uint8)
    labels[1, 1, 1] = 2
    labels[:, :, 3:] = 1
    labels[1, 1, 4] = 0
    write_nifti(tmp_path / "a.nii", labels, edges=(0.02 / 3,) * 3)
    majority, nearest = (
        build(scenario(tmp_path, "a.nii", resampling=how)).initial.tissue.ravel().tolist()
        for how in ("majority", "nearest")
    )
    assert majority == [0, TUMOUR]
    assert nearest == [VESSEL, 0]


def test_a_ball_keeps_its_volume_on_other_voxels_and_pixels_that_are_no_cubes(tmp_path):
    # 2 x 4 x 5 um pixels, a ball of 150 um.
    z, y, x = np.meshgrid(*((np.arange(n) + 0.5) * e for n, e in ((70, 5), (90, 4), (170, 2))), indexing="ij")
    inside = (z - 175) ** 2 + (y - 180) ** 2 + (x - 170) ** 2 < 150**2
    write_nifti(tmp_path / "a.nii", inside.astype(np.uint8), edges=(0.002, 0.004, 0.005))
    found = build(scenario(tmp_path, "a.nii")).initial
    assert found.shape == (18, 18, 17)
    assert (found.tissue == TUMOUR).sum() * 20**3 == pytest.approx(4 / 3 * np.pi * 150**3, rel=0.02)
    middle = (np.argwhere(found.tissue == TUMOUR).mean(axis=0) + 0.5) * 20 - np.array(found.shape) * 10
    assert np.abs(middle).max() < 1


def test_an_image_lies_in_the_middle_of_a_given_grid(tmp_path):
    write_nifti(tmp_path / "a.nii", np.ones((2, 2, 2), np.uint8))
    found = build(scenario(tmp_path, "a.nii").with_(grid={"shape": [4, 6, 8]})).initial
    assert found.shape == (8, 6, 4)
    expected = np.zeros((8, 6, 4))
    expected[3:5, 2:4, 1:3] = TUMOUR
    assert np.array_equal(found.tissue, expected)


def test_a_spacing_given_goes_before_that_of_the_file(tmp_path):
    write_nifti(tmp_path / "a.nii", ball())
    assert build(scenario(tmp_path, "a.nii", spacing=["40 um", "20 um", "10 um"])).initial.shape == (4, 10, 24)
    assert build(scenario(tmp_path, "a.nii", spacing="40 um")).initial.shape == (16, 20, 24)


def test_a_spacing_that_is_missing_or_of_a_printer_is_asked_for(tmp_path):
    import nrrd
    import tifffile

    write_nifti(tmp_path / "a.nii", ball(), unit="unknown")
    tifffile.imwrite(tmp_path / "b.tif", ball(), resolution=(72, 72), resolutionunit="INCH")
    tifffile.imwrite(tmp_path / "c.tif", ball(), imagej=True, metadata={"axes": "ZYX"})
    nrrd.write(str(tmp_path / "d.nrrd"), ball(), {"spacings": [0.02] * 3}, index_order="C")
    nrrd.write(str(tmp_path / "e.nrrd"), ball(), index_order="C")
    for file in ("a.nii", "b.tif", "c.tif", "d.nrrd", "e.nrrd"):
        with pytest.raises(ScenarioError, match=f"{file}: does not say how large a pixel is, with its unit; give"):
            build(scenario(tmp_path, file))
        assert build(scenario(tmp_path, file, spacing="20 um")).initial.shape == ball().shape


def test_a_plain_tiff_in_centimetres_is_a_section_with_a_spacing(tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "a.tif", ball()[2], resolution=(500, 500), resolutionunit="CENTIMETER")
    assert build(scenario(tmp_path, "a.tif")).initial.shape == (1, 10, 12)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full((2, 2, 2), 7, np.uint8), r"no state is given for label 7 \(8 pixels\)"),
        (np.arange(10, 37, dtype=np.int16).reshape(3, 3, 3), r"10 \(1 pixels\), 11 .* and 22 more"),
        (np.full((2, 2, 2), 1.5, np.float32), r"expected whole numbers as labels, found 1.5 \(8 pixels\)"),
        (np.full((2, 2, 2), 1.002, np.float32), "expected whole numbers as labels"),
        (np.full((2, 2, 2), np.nan, np.float32), "expected whole numbers as labels"),
        (np.ones((2, 2, 2, 3), np.uint8), r"expected one image of up to 3 axes, found shape \(2, 2, 2, 3\)"),
    ],
)
def test_labels_that_make_no_tissue_are_named(tmp_path, labels, message):
    import nibabel

    image = nibabel.Nifti1Image(labels, np.diag([0.02, 0.02, 0.02, 1]))
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / "a.nii")
    with pytest.raises(ScenarioError, match=message):
        build(scenario(tmp_path, "a.nii"))


def test_whole_numbers_may_be_floats_and_a_label_may_be_no_cell(tmp_path):
    write_nifti(tmp_path / "a.nii", np.full((2, 2, 2), 9, np.float64))
    found = build(scenario(tmp_path, "a.nii", labels={9: "empty"})).initial
    assert not found.tissue.any()


def test_colours_and_times_are_no_labels(tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((4, 8, 8), np.uint8), metadata={"axes": "TYX"})
    with pytest.raises(ScenarioError, match="expected axes Z, Y, X or Y, X, found TYX"):
        build(scenario(tmp_path, "a.ome.tif", spacing="20 um"))


@pytest.mark.parametrize("file", ["a.nii", "a.nii.gz", "a.tif", "a.nrrd"])
def test_a_file_that_is_none_is_one_line(tmp_path, file):
    (tmp_path / file).write_bytes(b"not an image")
    with pytest.raises(ScenarioError, match=f"tissue.image: .*{file}: can't be read") as caught:
        build(scenario(tmp_path, file))
    assert "\n" not in str(caught.value)


def test_other_mistakes_are_named_with_their_place(tmp_path, monkeypatch):
    with pytest.raises(ScenarioError, match="labels.bmp: no such file"):
        build(scenario(tmp_path, "labels.bmp"))
    (tmp_path / "labels.bmp").touch()
    with pytest.raises(ScenarioError, match=r"expected a file that ends in \.nii, "):
        build(scenario(tmp_path, "labels.bmp"))
    with pytest.raises(ScenarioError, match=r"tissue.image.labels.5: unknown state 'tumor'; did you mean 'tumour'\?"):
        scenario(tmp_path, "a.nii", labels={5: "tumor"})
    write_nifti(tmp_path / "a.nii", ball())
    with pytest.raises(ScenarioError, match="expected at most 4096 along an axis. See 'tissue.image.spacing'"):
        build(scenario(tmp_path, "a.nii", spacing="20 mm"))
    with pytest.raises(ScenarioError, match="expected at most 1000 to a voxel of 20 um"):
        build(scenario(tmp_path, "a.nii", spacing="1 nm").with_(grid={"shape": [4, 4, 4]}))
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(GpusimError, match=r"nibabel is needed to read NIfTI: pip install 'gpusim\[formats\]'"):
        build(scenario(tmp_path, "a.nii"))


def test_an_image_that_claims_more_than_there_is_room_for_is_refused_unread(tmp_path):
    import nibabel

    write_nifti(tmp_path / "a.nii", ball())
    data = bytearray((tmp_path / "a.nii").read_bytes())
    data[42:48] = np.array([32767] * 3, np.int16).tobytes()
    (tmp_path / "a.nii").write_bytes(data)
    assert nibabel.load(tmp_path / "a.nii").shape == (32767, 32767, 32767)
    header = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 32767 32767 32767\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_text(header)
    for file in ("a.nii", "a.nrrd"):
        with pytest.raises(ScenarioError, match="32767 x 32767 x 32767 pixels need .* are free"):
            build(scenario(tmp_path, file))


@pytest.mark.parametrize("compression", ["lzw", "packbits", "zlib", "zstd", "lzma", "jpeg2000"])
def test_a_tiff_compressed_without_loss_is_read(tmp_path, compression):
    import tifffile

    section = np.tile(ball()[2], (4, 4))
    args = {"level": 0} if compression == "jpeg2000" else None
    tifffile.imwrite(
        tmp_path / "a.tif",
        section,
        compression=compression,
        compressionargs=args,
        resolution=(500, 500),
        resolutionunit="CENTIMETER",
    )
    assert np.array_equal(build(scenario(tmp_path, "a.tif")).initial.tissue[0], section)


def test_a_tiff_compressed_with_loss_is_refused(tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "a.tif", np.zeros((64, 64), np.uint8), compression="jpeg")
    with pytest.raises(ScenarioError, match="compressed by JPEG; expected none, LZW, deflate"):
        build(scenario(tmp_path, "a.tif", spacing="20 um"))


def write_scaled(path, labels, step, dtype=np.uint8):
    """Integers that a header scales to labels, as many programs write them."""
    import nibabel

    image = nibabel.Nifti1Image(np.rint(labels / step).astype(dtype).transpose(2, 1, 0), np.diag([0.02] * 3 + [1]))
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(step, 0)
    nibabel.save(image, path)


def test_labels_that_are_nearly_whole_are_rounded_and_said(tmp_path):
    labels = ball()
    write_nifti(tmp_path / "a.nii", labels * np.float32(0.99999))
    found = build(scenario(tmp_path, "a.nii")).initial
    assert np.array_equal(found.tissue, labels)
    (note,) = found.notes
    assert note.endswith(f"rounded to whole labels: 0.99999 ({(labels == 1).sum()} pixels), 1.99998 (12 pixels)")
    write_scaled(tmp_path / "a.nii", labels * 2.0, 4 / 255)  # 127.5 / 255 of 4 is no integer
    found = build(scenario(tmp_path, "a.nii", labels={2: "tumour", 4: "vessel"})).initial
    assert np.array_equal(found.tissue, labels)
    assert "rounded to whole labels: 2.007843" in found.notes[0]


def test_a_scale_that_makes_no_whole_numbers_makes_no_labels(tmp_path):
    write_scaled(tmp_path / "a.nii", np.linspace(0, 1, 27).reshape(3, 3, 3), 1 / 255)
    with pytest.raises(ScenarioError, match="expected whole numbers as labels, found 0.0"):
        build(scenario(tmp_path, "a.nii"))


def test_the_numbers_of_a_file_without_a_unit_are_shown(tmp_path):
    import nrrd

    header = {"space": "left-posterior-superior", "space directions": np.diag([1.0, 1.5, 3.0])}
    nrrd.write(str(tmp_path / "a.nrrd"), ball(), header, index_order="C")
    write_nifti(tmp_path / "a.nii", ball(), edges=(1, 1.5, 3), unit="unknown")
    for file in ("a.nrrd", "a.nii"):
        with pytest.raises(ScenarioError, match=r"says 1 x 1.5 x 3 .* 'tissue.image.spacing: \[1 mm, 1.5 mm, 3 mm\]'"):
            build(scenario(tmp_path, file))


def instances():
    """Two cells of a section of 4 x 6 pixels, and one that no table knows."""
    labels = np.zeros((4, 6), np.uint32)
    labels[:2, :2], labels[2:, :2], labels[:2, 4:], labels[3, 5] = 7, 90_000, 8, 5
    return labels


MASK = """
grid: {spacing: 20 um}
states: {tumour: {}, vessel: {}, ctl: {layer: immune}}
tissue:
  image: {file: mask.tif, instances: CellID, spacing: 10 um}
  cells: cells.csv
  types: [{state: ctl, where: {CD8: "> 10"}}, {state: tumour, where: {CD8: "<= 5"}}]
"""


def test_an_image_whose_numbers_stand_for_cells_takes_their_types_from_a_table(tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "mask.tif", instances())
    (tmp_path / "a.yaml").write_text(MASK)
    (tmp_path / "cells.csv").write_text("CellID;CD8\n7;1,5\n90000;20\n8;7\n11;1\n")
    found = build(Scenario.load(tmp_path / "a.yaml")).initial
    assert found.tissue.tolist() == [[[TUMOUR, 0, 0], [0, 0, 0]]]
    assert found.immune.tolist() == [[[NONE, NONE, NONE], [CTL, NONE, NONE]]]
    assert [note.partition("mask.tif: ")[2] for note in found.notes[1:]] == [
        "1 labels without a row in the table of cells are left out",
        "1 rows of the table of cells without a label in the image are left out",
        "1 cells that fit no type are left out",
    ]
    for text, message in (
        ("CellID,CD8\n7,1\n7,2\n", "1 numbers of cells are in several rows, such as 7"),
        ("CellID,CD8\n1,1\n2,2\n", "none of its 4 labels is in the table of cells"),
        ("cell,CD8\n1,1\n2,2\n", "no column 'CellID'"),
    ):
        (tmp_path / "cells.csv").write_text(text)
        with pytest.raises(ScenarioError, match=message):
            build(Scenario.load(tmp_path / "a.yaml"))
    with pytest.raises(ScenarioError, match="expected either 'labels' .* or 'instances'"):
        Scenario.load(tmp_path / "a.yaml").with_(tissue={"image": {"labels": {1: "tumour"}}})
    with pytest.raises(ScenarioError, match="tissue.image.instances: needs 'tissue.cells'"):
        Scenario.load(tmp_path / "a.yaml").with_(tissue={"cells": None, "types": None})


def write_ome_zarr(path, labels, names, version="0.4", unit="micrometer", leading=0):
    """Labels as a program of NGFF 0.4 or 0.5 writes them, with `leading` axes of one time and channel."""
    import zarr

    root = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)

    def described(group, attributes):
        group.attrs.update(attributes if version == "0.4" else {"ome": {"version": version, **attributes}})

    axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}][:leading]
    axes += [{"name": axis, "type": "space", **({"unit": unit} if unit else {})} for axis in "zyx"]
    scales = {"axes": axes, "coordinateTransformations": [{"type": "scale", "scale": [1] * leading + [2, 2, 2]}]}
    part = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1] * leading + [10, 10, 10]}]}
    described(root, {"multiscales": [{**scales, "datasets": [part]}]})
    root.create_array("0", data=np.zeros(labels.shape, np.uint16))
    described(root.create_group("labels"), {"labels": names})
    for name in names:
        group = root.create_group(f"labels/{name}")
        described(group, {"multiscales": [{**scales, "datasets": [part]}], "image-label": {}})
        group.create_array("0", data=labels.reshape((1,) * leading + labels.shape), chunks=(1,) * leading + (4, 4, 4))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("leading", [0, 2])
def test_labels_of_ome_zarr_are_read(tmp_path, version, leading):
    write_ome_zarr(tmp_path / "a.ome.zarr", ball(), ["cells"], version, leading=leading)
    for file in ("a.ome.zarr", "a.ome.zarr/labels/cells"):
        assert np.array_equal(build(scenario(tmp_path, file)).initial.tissue, ball())


def test_of_several_labels_one_is_asked_for_and_a_link_out_is_not_followed(tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", ball(), ["cells", "nuclei"], unit=None)
    with pytest.raises(ScenarioError, match=r"several .*\(cells, nuclei\); name one, such as .*a.zarr/labels/cells"):
        build(scenario(tmp_path, "a.zarr"))
    with pytest.raises(ScenarioError, match="says 20 x 20 x 20 without a unit"):
        build(scenario(tmp_path, "a.zarr/labels/nuclei"))
    (tmp_path / "a.zarr" / "labels" / "nuclei" / "more").symlink_to("/dev/zero")
    with pytest.raises(ScenarioError, match="regular files alone, found a link that leads out of it: more"):
        build(scenario(tmp_path, "a.zarr/labels/nuclei"))
    with pytest.raises(ScenarioError, match="expected a file that ends in"):
        build(scenario(tmp_path, "."))


def test_a_detached_file_is_regular_and_lies_beside(tmp_path):
    head = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 12 10 8\nencoding: raw\ndata file: {}\n\n"
    (tmp_path / "in").mkdir()
    (tmp_path / "data.raw").write_bytes(ball().tobytes())
    (tmp_path / "in" / "data.raw").write_bytes(ball().tobytes())
    os.mkfifo(tmp_path / "in" / "pipe.raw")
    (tmp_path / "in" / "out.raw").symlink_to(tmp_path / "data.raw")
    (tmp_path / "in" / "more.raw").write_bytes(bytes(9))
    for name, message in (
        ("pipe.raw", "pipe.raw: expected a regular file, found a pipe"),
        ("../data.raw", r"names the file '../data.raw'; expected one in its own folder"),
        (tmp_path / "data.raw", "expected one in its own folder"),
        ("out.raw", "expected one in its own folder"),
        ("none.raw", "none.raw: no such file"),
        ("more.raw", "can't be read"),
    ):
        (tmp_path / "in" / "a.nrrd").write_text(head.format(name))
        with pytest.raises(ScenarioError, match=message):
            build(scenario(tmp_path, "in/a.nrrd", spacing="20 um"))
    (tmp_path / "in" / "a.nrrd").write_text(head.format("data.raw"))
    assert np.array_equal(build(scenario(tmp_path, "in/a.nrrd", spacing="20 um")).initial.tissue, ball())


def test_a_file_that_unpacks_to_more_than_it_declares_is_refused(tmp_path, monkeypatch):
    from gpusim.tissue import images

    monkeypatch.setattr(images, "_SLACK", 1 << 16)
    head = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 12 10 8\nencoding: %s\n\n"
    for name, packed in (("gzip", gzip.compress(bytes(1 << 24))), ("raw", bytes(1 << 18))):
        (tmp_path / "a.nrrd").write_bytes(head % name.encode() + packed)
        with pytest.raises(ScenarioError, match="unpacks to more than|holds more than the pixels"):
            build(scenario(tmp_path, "a.nrrd", spacing="20 um"))
    # What stands behind the pixels of a NIfTI file is not unpacked, and an offset that is far away not sought.
    write_nifti(tmp_path / "b.nii", ball())
    data = bytearray((tmp_path / "b.nii").read_bytes())
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(data + bytes(1 << 24)))
    assert np.array_equal(build(scenario(tmp_path, "b.nii.gz")).initial.tissue, ball())
    data[108:112] = np.float32(2**33).tobytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(data))
    with pytest.raises(ScenarioError, match="can't be read: pixels from byte 8,589,934,592 on"):
        build(scenario(tmp_path, "b.nii.gz"))


def tiff(compression, data, tile=None):
    """A TIFF of 4 x 4 bytes whose pixels are packed as `data`, in one strip or one tile of `tile` x `tile`."""
    import struct

    tags = [(256, 4), (257, 4), (258, 8), (259, compression), (262, 1), (277, 1), (339, 1)]
    tags += (
        [(322, tile), (323, tile), (324, None), (325, len(data))] if tile else [(273, None), (278, 4), (279, len(data))]
    )
    tags.sort()
    end = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, end if v is None else v) for tag, v in tags)
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4) + data


def test_a_tiff_takes_no_more_than_it_declares(tmp_path, monkeypatch):
    import imagecodecs

    large = imagecodecs.jpeg2k_encode(np.zeros((2000, 2000), np.uint8), level=0)
    for data, message in (
        (tiff(1, bytes(16), tile=1 << 19), "524288 x 524288 pixels need .* are free"),
        (tiff(8, imagecodecs.zlib_encode(bytes(1 << 24))), "can't be read"),
        (tiff(34712, large), "a JPEG 2000 stream larger than the image says"),
        (b"II*\0\x08\0\0\0", r"no image in it \(the file may be cut\)|can't be read whole: .*invalid offset"),
    ):
        (tmp_path / "a.tif").write_bytes(data)
        with pytest.raises(ScenarioError, match=message):
            build(scenario(tmp_path, "a.tif", spacing="20 um"))


def test_an_ome_tiff_that_takes_pixels_from_other_files_is_refused(tmp_path):
    import tifffile

    xml = """<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"
    UUID="urn:uuid:1"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="4" SizeY="4"
    SizeZ="2" SizeC="1" SizeT="1"><TiffData IFD="0" FirstZ="0" PlaneCount="1">
    <UUID FileName="a.ome.tif">urn:uuid:1</UUID></TiffData>
    <TiffData IFD="0" FirstZ="1" PlaneCount="1"><UUID FileName="../b.tif">urn:uuid:2</UUID></TiffData>
    </Pixels></Image></OME>"""
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((4, 4), np.uint8), description=xml, metadata=None)
    with pytest.raises(ScenarioError, match=r"takes pixels from the file '../b.tif'; expected all in one file"):
        build(scenario(tmp_path, "a.ome.tif", spacing="20 um"))
