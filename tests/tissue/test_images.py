"""Label images as the libraries of their formats write them."""

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
        (np.full((2, 2, 2), 1.5, np.float32), "expected whole numbers as labels"),
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
    with pytest.raises(GpusimError, match=r"nibabel is needed to read NIfTI: pip install 'gpusim\[exchange\]'"):
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
