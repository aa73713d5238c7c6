"""Reads images of labels and of values: NIfTI, TIFF, NRRD, OME-Zarr.

The order of the axes and their directions are those of the file; x is the axis that runs fastest in TIFF
and OME-Zarr, and the first in NIfTI and NRRD.
"""

import contextlib
import functools
import io
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpusim import units
from gpusim.errors import GpusimError, ScenarioError, extra
from gpusim.scenario.schema import LabelImage
from gpusim.tissue import files, packed

_COPIES = 4
"""Bytes taken for a moment for each byte of an image."""
_SLACK = 1 << 26
"""Bytes that a file may hold beside its pixels: headers, extensions."""
_LARGEST = 2**53
"""Label that a float can hold with all below."""
_NEAR = 1e-3
"""How far a label may be from a whole number."""
_EXACT = 1e-6
"""How far single precision may take a whole number, which needs no word."""
_SHOWN = 5
"""Labels that a message lists."""

Spacing = tuple[float, float, float]
GivenSpacing = str | tuple[str, str, str] | None
"""The edge of a pixel as a scenario has it: one, three along x, y, z, or what the file says."""
Edge = tuple[float, str] | None
"""The edge of a pixel as the file has it, a number and its unit; None where it says nothing."""


@dataclass(frozen=True)
class Image:
    """Labels, integers [z, y, x], and the edges of a pixel along z, y, x in um; what to know of the file."""

    label: str
    labels: np.ndarray
    spacing: Spacing
    notes: tuple[str, ...] = ()

    @property
    def flat(self) -> bool:
        """Whether it is a section."""
        return len(self.labels) == 1


@dataclass(frozen=True)
class _Read:
    """Pixels [z, y, x] of any type, the edges along z, y, x, and the step of integers that the file scales."""

    pixels: np.ndarray
    edges: Sequence[Edge]
    step: float = 0.0


def read(spec: LabelImage) -> Image:
    """Read an image. Raises `ScenarioError` where it can't be read, holds no labels or has no known spacing."""
    place, path = "tissue.image", Path(spec.file)
    label = f"{place}: {path}"
    found = _read(label, path, labels=place)
    labels, note = _whole(label, found.pixels, found.step)
    return Image(str(path), labels, _spacing(label, place, spec.spacing, labels, found.edges), (note,) if note else ())


def read_values(place: str, file: str, spacing: GivenSpacing) -> tuple[np.ndarray, Spacing]:
    """The values of an image [z, y, x], of any type, and the edges of a pixel along z, y, x in um.

    `place` is where a scenario names the file. Raises `ScenarioError` where it can't be read, holds no numbers or has
    no known spacing.
    """
    path = Path(file)
    label = f"{place}: {path}"
    found = _read(label, path)
    if found.pixels.dtype.kind not in "iufb":
        raise ScenarioError(f"{label}: expected numbers, found {found.pixels.dtype}")
    return found.pixels, _spacing(label, place, spacing, found.pixels, found.edges)


def _read(label: str, path: Path, labels: str | None = None) -> _Read:
    """The pixels of a file; of one that holds `labels` beside an image, these, for the place that asks for them."""
    if not path.exists():
        raise ScenarioError(f"{label}: no such file")
    zarr = path.is_dir() and any(part.endswith(".zarr") for part in path.parts)
    reader = next((r for endings, r in _READERS.items() if path.name.lower().endswith(endings)), None)
    if zarr:
        reader = functools.partial(_ome_zarr, labels=labels)
        files.tree(label, path)
    elif reader is None:
        known = ", ".join(ending for endings in _READERS for ending in endings)
        raise ScenarioError(f"{label}: expected a file that ends in {known}, or a folder .zarr")
    else:
        files.regular(label, path)
    try:
        with _logged(label):
            return reader(label, path)
    except (GpusimError, MemoryError):
        raise
    except Exception as error:  # each library raises many kinds for a file that is none
        raise ScenarioError(f"{label}: can't be read: {' '.join(str(error).split())[:300]}") from None


@contextlib.contextmanager
def _logged(label: str) -> Iterator[None]:
    """Raise `ScenarioError` for what a library would only log: pages that are missing, values that it made up."""
    said: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(" ".join(record.getMessage().split()))

    keeping = Keeping(logging.WARNING)
    loggers = [logging.getLogger(name) for name in ("tifffile", "nibabel.global")]
    before = [(logger.propagate, logger.handlers) for logger in loggers]
    for logger in loggers:
        logger.propagate, logger.handlers = False, [keeping]
    try:
        yield
    finally:
        for logger, (propagate, handlers) in zip(loggers, before, strict=True):
            logger.propagate, logger.handlers = propagate, handlers
    if said:
        raise ScenarioError(f"{label}: can't be read whole: {said[0][:300]}")


def _whole(label: str, labels: np.ndarray, step: float) -> tuple[np.ndarray, str | None]:
    """Labels as integers, and what was rounded.

    A file that scales integers by `step` holds a whole number to half a step. Raises `ScenarioError` where a label is
    farther off.
    """
    if labels.dtype.kind in "iub":
        return labels, None
    if labels.dtype.kind != "f":
        raise ScenarioError(f"{label}: expected whole numbers as labels, found {labels.dtype}")
    nearest = np.rint(labels)
    off = np.abs(labels - nearest)
    bound = max(_NEAR, 0.501 * step if step < 0.5 else 0.0)
    wrong = ~((off <= bound) & (np.abs(labels) <= _LARGEST))
    if wrong.any():
        raise ScenarioError(f"{label}: expected whole numbers as labels, found {_listed(labels[wrong])}")
    integers = nearest.astype(np.int64)
    rounded = off > _EXACT
    return integers, f"{label}: rounded to whole labels: {_listed(labels[rounded])}" if rounded.any() else None


def _listed(values: np.ndarray) -> str:
    found, pixels = np.unique(values, return_counts=True)
    listed = ", ".join(f"{v:.7g} ({n:,} pixels)" for v, n in zip(found[:_SHOWN], pixels, strict=False))
    return listed + (f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else "")


def _spacing(label: str, place: str, asked: GivenSpacing, labels: np.ndarray, edges: Sequence[Edge]) -> Spacing:
    if asked is not None:
        given = (asked,) * 3 if isinstance(asked, str) else asked
        x, y, z = (units.number(edge, "um") for edge in given)
        found: list[float | None] = [z, y, x]
    else:
        found = [None if edge is None else _length(*edge) for edge in edges]
    if len(labels) == 1 and len(found) == 3 and not (found[0] or 0) > 0:
        found[0] = found[1]  # the depth of a section is no matter of the image
    known = [edge for edge in found if edge is not None]
    if len(known) < 3:
        raise ScenarioError(f"{label}: {_unknown(place, edges, flat=len(labels) == 1)}")
    if not all(0 < edge < math.inf for edge in known):
        raise ScenarioError(f"{label}: expected a spacing above 0, found {tuple(known)} um along z, y, x")
    return known[0], known[1], known[2]


def _unknown(place: str, edges: Sequence[Edge], *, flat: bool) -> str:
    """What a file says of the size of a pixel whose unit it leaves out, and how to say it."""
    said = f"does not say how large a pixel is, with its unit; give '{place}.spacing'"
    numbers = [edge[0] for edge in edges if edge is not None and math.isfinite(edge[0]) and edge[0] > 0]
    if len(numbers) < 3 - flat:
        return said
    along = [f"{number:.6g}" for number in reversed(numbers)]
    example = along + along[:1] * (3 - len(along))
    return (
        f"{said}. It says {' x '.join(along)} without a unit of length: if these are mm, "
        f"'{place}.spacing: [{', '.join(f'{number} mm' for number in example)}]'"
    )


def _length(number: float, unit: str) -> float | None:
    """A length in um; None where the unit is none of length. ImageJ escapes the micro sign."""
    plain = units.ascii_micro(unit.strip().strip('"').replace("\\u00B5", "u"))
    try:
        return units.number(f"{number!r} {plain}", "um") if plain else None
    except units.UnitError:
        return None


def _nifti(label: str, path: Path) -> _Read:
    with extra("formats", "to read NIfTI"):
        import nibabel
    with path.open("rb") as file:
        head = files.first(label, file, 348)
        kind = nibabel.Nifti2Image if b"\x1c\x02" in (head[:2], head[2:4][::-1]) else nibabel.Nifti1Image
        if kind is nibabel.Nifti2Image:
            file.seek(0)
            head = files.first(label, file, 540)
        header = kind.header_class(head)
        if not bytes(header["magic"]).startswith(b"n+"):
            raise ScenarioError(f"{label}: can't be read: no NIfTI file with its pixels in it")
        shape, dtype, offset = header.get_data_shape(), header.get_data_dtype(), int(header.get_data_offset())
        if math.prod(shape) != math.prod(shape[:3]):
            raise ScenarioError(f"{label}: expected one image of up to 3 axes, found shape {shape}")
        if not 0 <= offset <= _SLACK:
            raise ScenarioError(f"{label}: can't be read: pixels from byte {offset:,} on")
        files.room_for(label, shape, np.float64, _COPIES)
        file.seek(0)
        image = kind.from_bytes(files.first(label, file, offset + math.prod(shape) * dtype.itemsize))
    shape = (*shape[:3], *(1 for _ in range(3 - len(shape))))
    unit = {"mm": "mm", "micron": "um", "meter": "m"}.get(header.get_xyzt_units()[0], "")
    edges: list[Edge] = [(float(edge), unit) for edge in header.get_zooms()[:3]]
    edges += [None] * (3 - len(edges))
    labels = np.asanyarray(image.dataobj).reshape(shape).transpose(2, 1, 0)
    # nibabel applies the scale, and has its factor only in the pixels' proxy.
    step = abs(float(image.dataobj.slope)) if dtype.kind in "iu" else 0.0
    return _Read(labels, edges[::-1], step)


def _nrrd(label: str, path: Path) -> _Read:
    with extra("formats", "to read NRRD"):
        import nrrd
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        header = dict(nrrd.read_header(file))
        shape = tuple(int(n) for n in header["sizes"])
        files.room_for(label, shape, np.float64, _COPIES)
        if len(shape) not in (2, 3):
            raise ScenarioError(f"{label}: expected 2 or 3 axes, found sizes {shape}")
        name = header.pop("data file", header.pop("datafile", None))
        if name is not None:
            file = stack.enter_context(files.beside(label, path, str(name)).open("rb"))
        packed = {"gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2"}.get(header["encoding"])
        most = math.prod(shape) * (8 if packed or header["encoding"] == "raw" else 32) + _SLACK
        if packed:
            for _ in range(header.pop("line skip", header.pop("lineskip", 0))):
                file.readline()
            data, header["encoding"] = files.unpacked(label, file, packed, most), "raw"
        else:
            data = file.read(most + 1)
            if len(data) > most:
                raise ScenarioError(f"{label}: holds more than the pixels that it declares")
    labels = nrrd.read_data(header, io.BytesIO(data), index_order="C")
    if "space directions" in header:
        numbers = [float(np.linalg.norm(row)) for row in header["space directions"]]
        words = list(header.get("space units", []))
    else:
        numbers, words = list(header.get("spacings", [])), list(header.get("units", []))
    words = words or [""] * len(numbers)
    edges: list[Edge] = [*((float(number), str(word)) for number, word in zip(numbers, words, strict=False))]
    edges = edges[: len(shape)]
    edges += [None] * (3 - len(edges))
    return _Read(labels.reshape((1,) * (3 - len(shape)) + labels.shape), edges[::-1])


_JPEG2000 = (33003, 33004, 33005, 34712)
_LOSSLESS = {1: "none", 5: "LZW", 8: "deflate", 32946: "deflate", 32773: "PackBits", 34925: "LZMA", 50000: "Zstandard"}
"""Compressions of TIFF by their number; with `_JPEG2000` those that are read."""


def _tiff(label: str, path: Path) -> _Read:
    with extra("formats", "to read TIFF"):
        import tifffile
    with tifffile.TiffFile(path) as file:
        if not len(file.pages):
            raise ScenarioError(f"{label}: can't be read: no image in it (the file may be cut)")
        if file.is_ome:
            _one_file(label, path, file.ome_metadata or "")
        series = file.series[0]
        page = series.keyframe
        files.room_for(label, series.shape, series.dtype, _COPIES)
        files.room_for(label, page.chunks, series.dtype, _COPIES)
        parts = (
            path.stat().st_size // np.dtype(series.dtype).itemsize if page.compression == 1 else len(page.dataoffsets)
        )
        if parts < (series.size if page.compression == 1 else math.prod(page.chunked)):
            raise ScenarioError(f"{label}: can't be read: it declares more pixels than the file holds")
        # Pages of a plain TIFF are a stack.
        axes = series.axes if "Z" in series.axes else series.axes.replace("I", "Z").replace("Q", "Z")
        kept = [(axis, n) for axis, n in zip(axes, series.shape, strict=True) if axis in "ZYX" or n > 1]
        if [axis for axis, _ in kept] not in (["Z", "Y", "X"], ["Y", "X"]):
            raise ScenarioError(f"{label}: expected axes Z, Y, X or Y, X, found {series.axes} of shape {series.shape}")
        compression = int(page.compression)
        if compression in _JPEG2000:
            _no_larger_than_declared(label, file.filehandle, series.pages, math.prod(page.chunks))
        elif compression not in _LOSSLESS:
            name = getattr(page.compression, "name", compression)
            raise ScenarioError(f"{label}: compressed by {name}; expected none, LZW, deflate, PackBits or similar")
        if compression != 1:
            with extra("formats", "to read a compressed TIFF"):
                import imagecodecs  # noqa: F401
        labels = series.asarray(maxworkers=1).reshape([1] * (3 - len(kept)) + [n for _, n in kept])
        return _Read(labels, _tiff_edges(file))


def _one_file(label: str, path: Path, metadata: str) -> None:
    """Raise `ScenarioError` where an OME-TIFF takes pixels from other files."""
    root = re.search(r'<OME\b[^>]*\bUUID="([^"]*)"', metadata)
    for name, uuid in re.findall(r'<UUID\b[^>]*\bFileName="([^"]*)"[^>]*>([^<]*)<', metadata):
        if name.lower() != path.name.lower() and (root is None or uuid != root.group(1)):
            raise ScenarioError(f"{label}: takes pixels from the file {name!r}; expected all in one file")


def _no_larger_than_declared(label: str, file: Any, pages: Sequence[Any], most: int) -> None:
    """Raise `ScenarioError` where a JPEG 2000 stream has more pixels than the part of the image that it stands for."""
    for page in pages:
        for offset in page.dataoffsets if page is not None else ():
            file.seek(offset)
            head = file.read(4096)
            at = head.find(b"\xff\x4f\xff\x51")
            width, height, left, top = (int.from_bytes(head[at + 8 + 4 * i : at + 12 + 4 * i]) for i in range(4))
            if at < 0 or (width - left) * (height - top) > most:
                raise ScenarioError(f"{label}: can't be read: a JPEG 2000 stream larger than the image says")


def _tiff_edges(file: Any) -> list[Edge]:
    """Spacing of an OME-TIFF or an ImageJ TIFF, or of one with its resolution in cm.

    A resolution in inches is that of a printer, and not believed.
    """
    import tifffile

    if file.is_ome:
        image = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
        pixels: Mapping[str, Any] = (image[0] if isinstance(image, list) else image)["Pixels"]
        micrometre = "um"  # what the OME schema says where the unit is left out
        return [
            (float(pixels[f"PhysicalSize{a}"]), pixels.get(f"PhysicalSize{a}Unit", micrometre))
            if f"PhysicalSize{a}" in pixels
            else None
            for a in "ZYX"
        ]
    tags = file.pages[0].tags
    if "XResolution" not in tags or "YResolution" not in tags:
        return [None] * 3
    across = []
    for axis in "YX":
        pixels_per, unit_count = tags[f"{axis}Resolution"].value
        across.append(unit_count / pixels_per if pixels_per else 0.0)
    imagej = file.imagej_metadata or {}
    if "unit" in imagej:
        return [(edge, str(imagej["unit"])) for edge in (float(imagej.get("spacing", 0)), *across)]
    unit = tags["ResolutionUnit"].value if "ResolutionUnit" in tags else 0
    return [None, *((edge, "cm") for edge in across)] if int(unit) == 3 else [None] * 3


def _ome_zarr(label: str, path: Path, labels: str | None = None) -> _Read:
    import zarr

    group: Any = zarr.open_group(path, mode="r")
    known = _ngff(group.get("labels")).get("labels", []) if labels and "multiscales" in _ngff(group) else []
    if known:
        if len(known) > 1:
            raise ScenarioError(
                f"{label}: holds several images of labels ({', '.join(map(str, known[:_SHOWN]))}); name one, such as "
                f"'{labels}.file: {path.name}/labels/{known[0]}'"
            )
        group = group[f"labels/{known[0]}"]
    scales = _ngff(group)["multiscales"][0]
    array: Any = group[scales["datasets"][0]["path"]]
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in scales.get("axes", "tczyx")]
    files.room_for(label, array.shape, array.dtype, _COPIES)
    files.room_for(label, array.chunks, array.dtype, _COPIES)
    packed.zarr(label, path / array.path, array)
    names = [str(axis["name"]).lower() for axis in axes]
    several = [f"{n} of {name}" for name, n in zip(names, array.shape, strict=True) if name not in "zyx" and n > 1]
    if several or "".join(name for name in names if name in "zyx") not in ("zyx", "yx"):
        raise ScenarioError(
            f"{label}: expected axes z, y, x or y, x, found {', '.join(names)}"
            + (f" ({', '.join(several)}; 'gpusim export --at' writes one time)" if several else "")
        )
    scale = np.ones(len(names))
    for holder in (scales["datasets"][0], scales):
        for change in holder.get("coordinateTransformations", ()):
            if change.get("type") == "scale":
                scale = scale * np.array(change["scale"], float)
    pixels = np.asarray(array[:])[tuple(slice(None) if name in "zyx" else 0 for name in names)]
    edges: dict[str, Edge] = {
        name: (float(edge), str(axis.get("unit", ""))) for name, edge, axis in zip(names, scale, axes, strict=True)
    }
    return _Read(pixels.reshape((1,) * (3 - pixels.ndim) + pixels.shape), [edges.get(axis) for axis in "zyx"])


def _ngff(group: Any) -> Mapping[str, Any]:
    """What NGFF says of a group: under `ome` from version 0.5 on."""
    attributes = dict(group.attrs) if group is not None else {}
    return attributes.get("ome", attributes)


_READERS: dict[tuple[str, ...], Callable[[str, Path], _Read]] = {
    (".nii", ".nii.gz"): _nifti,
    (".tif", ".tiff"): _tiff,
    (".nrrd",): _nrrd,
}
"""By the ending of a file; a folder .zarr is read by `_ome_zarr`."""
