"""Reads images of labels: NIfTI, TIFF, NRRD.

The order of the axes and their directions are those of the file; x is the axis that runs fastest in TIFF
and the first in NIfTI and NRRD.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpusim import memory, units
from gpusim.errors import GpusimError, ScenarioError, extra
from gpusim.scenario.schema import LabelImage

_COPIES = 4
"""Bytes taken for a moment for each byte of an image."""
_LARGEST = 2**53
"""Label that a float can hold with all below."""

Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class Image:
    """Labels, integers [z, y, x], and the edges of a pixel along z, y, x in um."""

    label: str
    labels: np.ndarray
    spacing: Spacing
    notes: tuple[str, ...] = ()

    @property
    def flat(self) -> bool:
        """Whether it is a section."""
        return len(self.labels) == 1


def read(spec: LabelImage) -> Image:
    """Read an image. Raises `ScenarioError` where it can't be read, holds no labels or has no known spacing."""
    path = Path(spec.file)
    if not path.is_file():
        raise ScenarioError(f"tissue.image: {path}: no such file")
    reader = next((r for endings, r in _READERS.items() if path.name.lower().endswith(endings)), None)
    if reader is None:
        known = ", ".join(ending for endings in _READERS for ending in endings)
        raise ScenarioError(f"tissue.image: {path}: expected a file that ends in {known}")
    try:
        labels, found = reader(path)
    except (GpusimError, MemoryError):
        raise
    except Exception as error:  # each library raises many kinds for a file that is none
        raise ScenarioError(f"tissue.image: {path}: can't be read: {error}") from None
    if labels.dtype.kind not in "iub":
        if not (np.all(np.abs(labels) <= _LARGEST) and np.array_equal(np.rint(labels), labels)):
            raise ScenarioError(f"tissue.image: {path}: expected whole numbers as labels")
        labels = labels.astype(np.int64)
    return Image(str(path), labels, _spacing(path, spec, labels, found))


def _spacing(path: Path, spec: LabelImage, labels: np.ndarray, found: Spacing | None) -> Spacing:
    if spec.spacing is not None:
        given = (spec.spacing,) * 3 if isinstance(spec.spacing, str) else spec.spacing
        x, y, z = (units.number(edge, "um") for edge in given)
        found = z, y, x
    if found is None:
        raise ScenarioError(
            f"tissue.image: {path}: does not say how large a pixel is, with its unit; give 'tissue.image.spacing'"
        )
    if len(labels) == 1 and not found[0] > 0:
        found = found[1], found[1], found[2]  # the depth of a section is no matter of the image
    if not all(0 < edge < math.inf for edge in found):
        raise ScenarioError(f"tissue.image: {path}: expected a spacing above 0, found {found} um along z, y, x")
    return found


def _room(shape: tuple[int, ...], dtype: Any) -> None:
    """Raise `ScenarioError` where an image does not fit into memory."""
    needed = math.prod(shape) * np.dtype(dtype).itemsize * _COPIES
    if needed > memory.available():
        raise ScenarioError(
            f"tissue.image: {' x '.join(map(str, shape))} pixels need {memory.size(needed)}, "
            f"{memory.size(memory.available())} are free"
        )


def _length(number: float, unit: str) -> float | None:
    """A length in um; None where the unit is none of length. ImageJ escapes the micro sign."""
    plain = unit.strip().strip('"').replace("\\u00B5", "u").replace("\u00b5", "u").replace("\u03bc", "u")
    try:
        return units.number(f"{number!r} {plain}", "um") if plain else None
    except units.UnitError:
        return None


def _nifti(path: Path) -> tuple[np.ndarray, Spacing | None]:
    with extra("exchange", "to read NIfTI"):
        import nibabel
    image = nibabel.load(path)
    _room(image.shape, np.float64)
    shape = image.shape[:3] + (1,) * (3 - len(image.shape))
    if math.prod(image.shape) != math.prod(shape):
        raise ScenarioError(f"tissue.image: {path}: expected one image of up to 3 axes, found shape {image.shape}")
    unit = {"mm": "mm", "micron": "um", "meter": "m"}.get(image.header.get_xyzt_units()[0], "")
    edges = [_length(float(edge), unit) for edge in image.header.get_zooms()[:3]]
    edges += [0.0] * (3 - len(edges))
    labels = np.asanyarray(image.dataobj).reshape(shape).transpose(2, 1, 0)
    return labels, _all_there(reversed(edges))


def _nrrd(path: Path) -> tuple[np.ndarray, Spacing | None]:
    with extra("exchange", "to read NRRD"):
        import nrrd
    header = nrrd.read_header(str(path))
    shape = tuple(int(n) for n in header["sizes"])
    _room(shape, np.float64)
    if len(shape) not in (2, 3):
        raise ScenarioError(f"tissue.image: {path}: expected 2 or 3 axes, found sizes {shape}")
    labels, header = nrrd.read(str(path), index_order="C")
    if "space directions" in header:
        numbers = [float(np.linalg.norm(row)) for row in header["space directions"]]
        words = list(header.get("space units", []))
    else:
        numbers, words = list(header.get("spacings", [])), list(header.get("units", []))
    words = words or [""] * len(numbers)
    edges = [_length(number, word) for number, word in zip(numbers, words, strict=False)][: len(shape)]
    edges += [0.0] * (3 - len(shape)) if edges else [None] * 3
    return labels.reshape((1,) * (3 - len(shape)) + labels.shape), _all_there(reversed(edges))


def _tiff(path: Path) -> tuple[np.ndarray, Spacing | None]:
    with extra("exchange", "to read TIFF"):
        import tifffile
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        _room(series.shape, series.dtype)
        # Pages of a plain TIFF are a stack.
        axes = series.axes if "Z" in series.axes else series.axes.replace("I", "Z").replace("Q", "Z")
        kept = [(axis, n) for axis, n in zip(axes, series.shape, strict=True) if axis in "ZYX" or n > 1]
        if [axis for axis, _ in kept] not in (["Z", "Y", "X"], ["Y", "X"]):
            raise ScenarioError(
                f"tissue.image: {path}: expected axes Z, Y, X or Y, X, found {series.axes} of shape {series.shape}"
            )
        labels = series.asarray().reshape([1] * (3 - len(kept)) + [n for _, n in kept])
        return labels, _tiff_spacing(file)


def _tiff_spacing(file: Any) -> Spacing | None:
    """Spacing of an OME-TIFF or an ImageJ TIFF, or of one with its resolution in cm.

    A resolution in inches is that of a printer, and not believed.
    """
    import tifffile

    if file.is_ome:
        image = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
        pixels: Mapping[str, Any] = (image[0] if isinstance(image, list) else image)["Pixels"]
        micrometre = "um"  # what the OME schema says where the unit is left out
        return _all_there(
            _length(float(pixels.get(f"PhysicalSize{a}", 0)), pixels.get(f"PhysicalSize{a}Unit", micrometre))
            if a == "Z" or f"PhysicalSize{a}" in pixels
            else None
            for a in "ZYX"
        )
    tags = file.pages[0].tags
    if "XResolution" not in tags or "YResolution" not in tags:
        return None
    across = []
    for axis in "YX":
        pixels_per, unit_count = tags[f"{axis}Resolution"].value
        across.append(unit_count / pixels_per if pixels_per else 0.0)
    imagej = file.imagej_metadata or {}
    if "unit" in imagej:
        return _all_there(_length(edge, str(imagej["unit"])) for edge in (float(imagej.get("spacing", 0)), *across))
    unit = tags["ResolutionUnit"].value if "ResolutionUnit" in tags else 0
    return _all_there(_length(edge, "cm") for edge in (0.0, *across)) if int(unit) == 3 else None


def _all_there(edges: Iterable[float | None]) -> Spacing | None:
    found = [edge for edge in edges if edge is not None]
    return (found[0], found[1], found[2]) if len(found) == 3 else None


_READERS: dict[tuple[str, ...], Callable[[Path], tuple[np.ndarray, Spacing | None]]] = {
    (".nii", ".nii.gz"): _nifti,
    (".tif", ".tiff"): _tiff,
    (".nrrd",): _nrrd,
}
"""By the ending of a file: labels [z, y, x], and the spacing along z, y, x in um, None where it is not known."""
