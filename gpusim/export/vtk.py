"""Images for ParaView and VTK: a voxel is a cell of a `vtkImageData`, lengths in um, times in min."""

import base64
import io
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from gpusim.engine.flow import UNIT, VELOCITY, has_velocity
from gpusim.errors import extra
from gpusim.export.cells import CLONE
from gpusim.record import Result, layout
from gpusim.units import ascii_micro

_STATES = "states"
"""Field data: the names of states by number."""
_UNITS = "units"
"""Field data: the fields and traits, and their units."""


def _names(result: Result) -> list[str]:
    clones = [CLONE] if layout.records_clones(result.document) else []
    flow = [VELOCITY] if has_velocity(result.document) else []
    return [*result.field_names, *layout.LAYERS, *result.trait_names, *clones, *flow]


def _values(result: Result, name: str, snapshot: int) -> np.ndarray:
    """A field, a layer, a trait, or the numbers of clones: [z, y, x]; the velocity of the fluid: [z, y, x, 3]."""
    if name == VELOCITY and has_velocity(result.document):
        return np.moveaxis(result.velocity(snapshot), 0, -1)
    return result.clone_numbers(snapshot) if name == CLONE else result.array(name, snapshot)


def _components(result: Result, name: str) -> tuple[int, ...]:
    """The axes of an array after z, y and x."""
    return (3,) if name == VELOCITY and has_velocity(result.document) else ()


def _kind(name: str) -> tuple[str, str]:
    """Data type of an array, in VTK's and NumPy's words."""
    if name == CLONE:
        return "Int64", "<i8"
    return ("UInt8", "<u1") if name in layout.LAYERS else ("Float32", "<f4")


def _units(result: Result) -> list[str]:
    # VTKHDF reads ASCII alone.
    units = {name: result.unit(name) for name in (*result.field_names, *result.trait_names)}
    units |= {VELOCITY: UNIT} if has_velocity(result.document) else {}
    return [ascii_micro(f"{name}: {unit}") for name, unit in units.items()]


def write_hdf(result: Result, snapshots: Sequence[int], target: Path) -> None:
    """One VTKHDF file (version 2.2, ImageData) with all times; a single time is the field data `TimeValue`."""
    with extra("formats", "to write VTKHDF"):
        import h5py

    nz, ny, nx = result.array("tissue").shape
    times = result.times[list(snapshots)]
    # VTK's reader treats a file with one step like one without steps, whose arrays have no time axis.
    steps = () if len(times) == 1 else (len(times),)
    with _FullDisk(target, "w+") as disk, h5py.File(disk, "w") as file:
        root = file.create_group("VTKHDF")
        root.attrs["Version"] = (2, 2)
        root.attrs["Type"] = np.bytes_("ImageData")
        root.attrs["WholeExtent"] = np.array([0, nx, 0, ny, 0, nz])
        root.attrs["Origin"] = np.zeros(3)
        root.attrs["Spacing"] = np.full(3, result.spacing)
        root.attrs["Direction"] = np.eye(3).ravel()
        for name in _names(result):
            components = _components(result, name)
            array = root.create_dataset(
                f"CellData/{name}",
                (*steps, nz, ny, nx, *components),
                np.dtype(_kind(name)[1]),
                chunks=(*(1 for _ in steps), *(min(n, 128) for n in (nz, ny, nx)), *components),
                compression="gzip",
                compression_opts=1,
                shuffle=True,
            )
            for i, snapshot in enumerate(snapshots):
                array[(i,) if steps else ...] = _values(result, name, snapshot)
                disk.require()
        words = {_STATES: result.state_names, _UNITS: _units(result)}
        for name, listed in words.items():
            root.create_dataset(f"FieldData/{name}", data=listed, dtype=h5py.string_dtype("ascii"))
        if not steps:
            root["FieldData/TimeValue"] = times
            return
        root.create_group("Steps").attrs["NSteps"] = len(times)
        root["Steps/Values"] = times
        for name in _names(result):
            root[f"Steps/CellDataOffsets/{name}"] = np.arange(len(times))
        for name, listed in words.items():
            root[f"Steps/FieldDataOffsets/{name}"] = np.zeros(len(times), np.int64)
            root[f"Steps/FieldDataSizes/{name}"] = np.tile([1, len(listed)], (len(times), 1))


class _FullDisk(io.FileIO):
    """A file for HDF5, which would end the whole process after a failed write; `require` raises the error instead."""

    _failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write all of the data, or store the error."""
        view, done = memoryview(data).cast("B"), 0
        try:
            while self._failure is None and done < len(view):
                done += super().write(view[done:]) or 0
        except OSError as error:
            self._failure = error
        if self._failure is not None:
            self.seek(len(view) - done, os.SEEK_CUR)
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        """Change the length, or store the error."""
        try:
            return super().truncate(size)
        except OSError as error:
            self._failure = self._failure or error
            return size or 0

    def require(self) -> None:
        """Raise `OSError` if a write has failed."""
        if self._failure is not None:
            raise self._failure

    def __exit__(self, *details: Any) -> None:
        super().__exit__(*details)
        if details[0] is None:
            self.require()


def folder(target: Path) -> Path:
    """Folder of the images of a series."""
    return target.with_name(f"{target.stem}_vti")


def write_series(result: Result, snapshots: Sequence[int], target: Path) -> None:
    """A ParaView data file with the times, and a folder of images beside it."""
    images = folder(target)
    images.mkdir()
    root = ElementTree.Element("VTKFile", type="Collection", version="0.1", byte_order="LittleEndian")
    collection = ElementTree.SubElement(root, "Collection")
    for i, snapshot in enumerate(snapshots):
        file = f"{i:05d}.vti"
        _write(_image(result, snapshot), images / file)
        ElementTree.SubElement(
            collection, "DataSet", timestep=repr(float(result.times[snapshot])), part="0", file=f"{images.name}/{file}"
        )
    ElementTree.indent(root)
    _write(root, target)


def _image(result: Result, snapshot: int) -> ElementTree.Element:
    """VTK's XML of an image at one time (format version 1.0), its arrays compressed by zlib."""
    nz, ny, nx = result.array("tissue", snapshot).shape
    extent = f"0 {nx} 0 {ny} 0 {nz}"
    root = ElementTree.Element(
        "VTKFile",
        type="ImageData",
        version="1.0",
        byte_order="LittleEndian",
        header_type="UInt64",
        compressor="vtkZLibDataCompressor",
    )
    image = ElementTree.SubElement(
        root, "ImageData", WholeExtent=extent, Origin="0 0 0", Spacing=" ".join([repr(float(result.spacing))] * 3)
    )
    words = ElementTree.SubElement(image, "FieldData")
    for name, listed in {_STATES: result.state_names, _UNITS: _units(result)}.items():
        array = ElementTree.SubElement(
            words, "Array", type="String", Name=name, NumberOfTuples=str(len(listed)), format="ascii"
        )
        array.text = " ".join(str(code) for word in listed for code in (*word.encode("ascii"), 0))
    cells = ElementTree.SubElement(ElementTree.SubElement(image, "Piece", Extent=extent), "CellData")
    for name in _names(result):
        kind, form = _kind(name)
        values = _values(result, name, snapshot).astype(form).tobytes()
        packed = zlib.compress(values, 1)
        # One block: how many, bytes of each, bytes of a last one that is not full, bytes of each when packed.
        head = np.array([1, len(values), 0, len(packed)], "<u8").tobytes()
        array = ElementTree.SubElement(cells, "DataArray", type=kind, Name=name, format="binary")
        for count in _components(result, name):
            array.set("NumberOfComponents", str(count))
        array.text = (base64.b64encode(head) + base64.b64encode(packed)).decode("ascii")
    return root


def _write(root: ElementTree.Element, target: Path) -> None:
    ElementTree.ElementTree(root).write(target, encoding="utf-8", xml_declaration=True)
