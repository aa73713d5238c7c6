"""Concentrations at time 0 that depend on position: from a table of points, an image of values, an expression."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gpusim import units
from gpusim.errors import ScenarioError
from gpusim.scenario import expressions
from gpusim.scenario.checks import nearest
from gpusim.scenario.limits import LARGEST
from gpusim.scenario.schema import Depth, InitialField
from gpusim.tissue import cells, formats, images, labels, sections, tables
from gpusim.tissue.formats import Format, plain

_VALUE = "value"
"""The column of values where neither a name is given nor one is that of the field."""


@dataclass(frozen=True)
class Lattice:
    """Voxels as (z, y, x), their edge in um, and how a section becomes a volume."""

    shape: tuple[int, int, int]
    spacing: float
    depth: Depth

    @property
    def volume(self) -> float:
        """Of a voxel, um^3."""
        return self.spacing**3

    def at(self, voxel: int) -> str:
        """The centre of a voxel, by its flat index, in words."""
        z, y, x = ((int(i) + 0.5) * self.spacing for i in np.unravel_index(voxel, self.shape))
        return f"x = {x:g} um, y = {y:g} um, z = {z:g} um"


def initial_field(name: str, unit: str, spec: InitialField, lattice: Lattice) -> tuple[np.ndarray, tuple[str, ...]]:
    """A field at time 0, float32 [z, y, x] in its `unit`, and what to know of its file.

    Raises `ScenarioError` where the file can't be read, a voxel has no value, or one that is no concentration.
    """
    place = f"fields.{name}.initial"
    if spec.expression is not None:
        return _by_expression(place, unit, spec.expression, lattice), ()
    notes: tuple[str, ...] = ()
    if spec.image is not None:
        values = _by_image(place, spec, lattice)
    else:
        values, notes = _by_table(place, name, spec, lattice)
    values = values * units.number(spec.unit, unit, lattice.volume)
    default = None if spec.default is None else units.number(spec.default, unit, lattice.volume)
    without = np.isnan(values)
    if without.any() and default is None:
        what = "pixel over them" if spec.image is not None else "row in them"
        first = int(np.flatnonzero(without)[0])
        raise ScenarioError(
            f"{place}: {int(without.sum()):,} of {values.size:,} voxels have no {what}, the first at "
            f"{lattice.at(first)}; expected a value for each, or a 'default'"
        )
    found = np.where(without, 0.0 if default is None else default, values)
    return _checked(place, found, lattice), notes


def _checked(place: str, values: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Values as float32 [z, y, x]. Raises `ScenarioError` with the first that is no concentration."""
    wrong = np.flatnonzero(~((values >= 0) & (values <= LARGEST)))
    if wrong.size:
        first = int(wrong[0])
        raise ScenarioError(
            f"{place}: {values.reshape(-1)[first]:g} at {lattice.at(first)} (and {wrong.size - 1:,} more voxels); "
            f"expected a concentration from 0 to {LARGEST:g}"
        )
    found: np.ndarray = values.astype(np.float32) + np.float32(0)  # no -0
    return found


def _by_expression(place: str, unit: str, text: str, lattice: Lattice) -> np.ndarray:
    expression, micrometre = expressions.parse(text), units.parse("1 um")
    nz, ny, nx = lattice.shape
    x, y, z = ((np.arange(n) + 0.5) * lattice.spacing for n in (nx, ny, nz))
    middle = [n * lattice.spacing / 2 for n in (nx, ny, nz)]
    values = np.empty(lattice.shape)
    in_plane = (x - middle[0])[None, :] ** 2 + (y - middle[1])[:, None] ** 2
    for plane, height in enumerate(z):
        position = {
            "x": micrometre * x[None, :],
            "y": micrometre * y[:, None],
            "z": micrometre * np.full((1, 1), height),
            "r": micrometre * np.sqrt(in_plane + (height - middle[2]) ** 2),
        }
        try:
            values[plane] = expression.value(position, unit, lattice.volume)
        except expressions.UndefinedError as error:
            first = np.ravel_multi_index((plane, *error.index), lattice.shape) if error.index else 0
            raise ScenarioError(f"{place}.expression: {text!r} {error} at {lattice.at(int(first))}") from None
        except units.UnitError as error:
            raise ScenarioError(f"{place}: {text!r} {error}") from None
    return _checked(place, values, lattice)


def _by_image(place: str, spec: InitialField, lattice: Lattice) -> np.ndarray:
    """Means of the pixels over each voxel, float64 [z, y, x]; NaN where there are none."""
    assert spec.image is not None
    pixels, edges = images.read_values(place, spec.image, spec.spacing)
    label = f"{place}: {spec.image}"
    wrong = np.argwhere(~((pixels >= 0) & (pixels <= LARGEST)))
    if wrong.size:
        z, y, x = map(int, wrong[0])
        raise ScenarioError(
            f"{label}: {pixels[z, y, x]:g} at pixel x={x}, y={y}, z={z} (and {len(wrong) - 1:,} more); expected a "
            f"number from 0 to {LARGEST:g}"
        )
    if max(lattice.spacing / edge for edge in edges) > labels.FINEST:
        raise ScenarioError(
            f"{label}: pixels of {min(edges):g} um; expected at most {labels.FINEST} to a voxel of "
            f"{lattice.spacing:g} um. See '{place}.spacing'"
        )
    shape = (1, *lattice.shape[1:]) if len(pixels) == 1 else lattice.shape
    in_z, in_y, in_x = (
        labels.pixels_under(n, count, lattice.spacing, edge)
        for n, count, edge in zip(shape, pixels.shape, edges, strict=True)
    )
    if len(pixels) == 1:
        in_z = np.zeros((1, 1), np.int64)
    points = [(index >= 0).sum(axis=1) for index in (in_z, in_y, in_x)]
    count = points[0][:, None, None] * points[1][:, None] * points[2]
    total = np.zeros(shape)
    rows, columns = in_y.ravel(), in_x.ravel()
    inside = (rows >= 0)[:, None] & (columns >= 0)
    for z, layer in enumerate(in_z):
        for index in layer[layer >= 0]:
            taken = np.where(inside, pixels[index][np.ix_(rows, columns)], 0.0)
            total[z] += taken.reshape(*in_y.shape, *in_x.shape).sum(axis=(1, 3))
    with np.errstate(invalid="ignore"):
        mean = np.where(count > 0, total / count, np.nan)
    return sections.volume(mean, lattice.shape, lattice.depth, nothing=np.nan)


def _by_table(place: str, name: str, spec: InitialField, lattice: Lattice) -> tuple[np.ndarray, tuple[str, ...]]:
    """Means of the rows in each voxel, float64 [z, y, x]; NaN where there are none."""
    assert spec.table is not None
    path = Path(spec.table)
    label, columns = f"{place}: {path}", spec.columns
    named = [plain(each) for each in (columns.x, columns.y, columns.z) if each is not None]
    hints = [hint for hint in ([*named, plain(columns.value or name)], [plain(name)], [_VALUE]) if hint]
    table = tables.opened(label, path, spec.reading, hints, f"{place}.reading")
    value = plain(columns.value) if columns.value else name if name in table.names else _VALUE
    found = formats.of_columns(tuple(named), table.names) if named else formats.recognised(table.names)
    wanted = [*(found.columns if found else ("x_um", "y_um")), value]
    for column in wanted:
        if column not in table.names:
            listed = ", ".join(table.names[:20])
            raise ScenarioError(f"{label}: no column '{column}'{nearest(column, table.names)} (found: {listed})")
    assert found is not None
    frame = table.load(list(dict.fromkeys(wanted)))
    if frame.empty:
        raise ScenarioError(f"{label}: the table has no rows")
    values = cells.numbers(label, frame, value)
    negative = np.flatnonzero(values < 0)
    if negative.size:
        raise ScenarioError(
            f"{label}:{frame.index[negative[0]]}: column '{value}': expected 0 or more, found "
            f"{values[negative[0]]:g} (and {negative.size - 1:,} more rows)"
        )
    scale = units.number(_unit_of_length(label, place, spec, found), "um")
    index = [
        np.floor(sum(cells.numbers(label, frame, column) for column in axis) / len(axis) * scale / lattice.spacing)
        for axis in found.axes
    ]
    flat = len(index) == 2
    shape = (1, *lattice.shape[1:]) if flat else lattice.shape
    x, y, z = (*index, np.zeros(len(frame))) if flat else index
    inside = (z >= 0) & (z < shape[0]) & (y >= 0) & (y < shape[1]) & (x >= 0) & (x < shape[2])
    if not inside.any():
        size = " x ".join(f"{n * lattice.spacing:g}" for n in reversed(lattice.shape))
        raise ScenarioError(
            f"{label}: none of its {len(frame):,} rows lies in the grid ({size} um from its corner); see 'length_unit'"
        )
    voxels = ((z * shape[1] + y) * shape[2] + x)[inside].astype(np.int64)
    size_of_plane = shape[0] * shape[1] * shape[2]
    count = np.bincount(voxels, minlength=size_of_plane)
    total = np.bincount(voxels, weights=values[inside], minlength=size_of_plane)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan).reshape(shape)
    notes = [f"{label}: read with {', '.join(table.found)}"] if table.found else []
    if not inside.all():
        notes.append(f"{label}: {int((~inside).sum()):,} of {len(frame):,} rows lie outside the grid, and are left out")
    return sections.volume(mean, lattice.shape, lattice.depth, nothing=np.nan), tuple(notes)


def _unit_of_length(label: str, place: str, spec: InitialField, found: Format) -> str:
    unit = spec.length_unit or found.unit
    if unit is None:
        raise ScenarioError(
            f"{label}: positions ('{found.columns[0]}') are in pixels; give the size of a pixel: "
            f"'{place}.length_unit: 0.5 um'"
        )
    return unit
