"""Tissue from a table of cells with positions, types and markers.

A voxel holds one cell of each layer. Where several want one voxel, the type that stands earlier in
`types` has it, then the row that stands earlier in the table; the others move to the nearest free
voxel among the 26 around (in a section, the 8), and are left out where none is free. All of this is
counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from gpusim import units
from gpusim.errors import ScenarioError
from gpusim.scenario.checks import nearest
from gpusim.scenario.limits import LONGEST_AXIS
from gpusim.scenario.schema import Tissue
from gpusim.tissue import conditions, formats, sections, tables
from gpusim.tissue.formats import Format, plain
from gpusim.tissue.shapes import Uniform

_FARTHEST = 1e15
_TYPES = 1 << 62
"""Streams of random numbers of the types of a table begin here, beyond those of shapes and doses."""
_SHOWN = 4
"""Times or samples that a message lists."""


@dataclass(frozen=True)
class Cells:
    """Rows of a table: the number of the type that each fits, int64 [rows], -1 for none.

    `centres` in um, float64 [rows, 3] in x, y, z; rows of a section have z = 0. `keys`: the column that was asked for.
    `traits`: values by trait, float64 [rows]; NaN for rows whose states do not have it.
    """

    label: str
    types: np.ndarray
    centres: np.ndarray
    flat: bool
    notes: tuple[str, ...] = ()
    keys: np.ndarray | None = None
    traits: Mapping[str, np.ndarray] = field(default_factory=dict)

    def fitting_shape(self, spacing: float, margin: float, spec: Tissue) -> tuple[int, int, int]:
        """Voxels as (z, y, x) that hold all centres with a margin around."""
        extent = self.centres.max(axis=0) - self.centres.min(axis=0)
        if not np.all(extent + 2 * margin < LONGEST_AXIS * spacing):
            raise ScenarioError(
                f"tissue.cells: {self.label}: cells lie up to {extent.max():g} um apart; expected at most "
                f"{LONGEST_AXIS} voxels of {spacing:g} um. See 'length_unit', and look for stray rows"
            )
        nx, ny, nz = (int((e + 2 * margin) // spacing) + 1 for e in extent)
        return sections.depth(spec.depth, nx, spacing) if self.flat else nz, ny, nx


@dataclass(frozen=True)
class Placement:
    """What became of the cells of one state: `rows` = `placed` + `moved` + `left_out`."""

    state: str
    rows: int
    placed: int
    moved: int
    left_out: int


def read(
    path: Path,
    spec: Tissue,
    key: str | None = None,
    traits: Mapping[str, tuple[str, Sequence[str]]] | None = None,
    seed: int = 0,
) -> Cells:
    """Read a table of cells; with a `key`, that column instead of the centres.

    Args:
        traits: columns with their values, and the states that have them, by trait.
        seed: of the rows that a type with a `fraction` takes.

    Raises `ScenarioError` naming file, row and column.
    """
    label = f"tissue.cells: {path}"
    wanted = [plain(column) for t in spec.types for column in t.where] + [plain(c) for c in spec.table.where]
    named = _named(spec)
    hints = [[*named, *wanted, *([plain(key)] if key else [])], named, wanted] if named or key else [wanted]
    table = tables.opened(label, path, spec.table, [hint for hint in hints if hint])
    found = None if key else _format(label, table, spec)
    times = [name for name in table.names if formats.minutes(name)]
    samples = [name for name in (found.samples if found else ()) if name in table.names]
    samples += [name for name in table.names if formats.timepoint(name) and name not in samples]
    places = [plain(key)] if key else list(found.columns if found else ())
    of_traits = {name: plain(column) for name, (column, _) in (traits or {}).items()}
    if of_traits and key:
        raise ScenarioError(
            f"traits.{next(iter(of_traits))}.initial.column: a table that labels an image gives no values of traits; "
            "expected a table with positions"
        )
    columns = list(dict.fromkeys([*places, *wanted, *times, *samples, *of_traits.values()]))
    for column in columns:
        if column not in table.names:
            listed = ", ".join(table.names[:20])
            raise ScenarioError(f"{label}: no column '{column}'{nearest(column, table.names)} (found: {listed})")
    frame = table.load(columns)
    if frame.empty:
        raise ScenarioError(f"{label}: the table has no rows")
    frame = _chosen(label, frame, spec, times, samples)
    types, missed = _types(frame, spec, seed)
    if found is None:
        keys = numbers(label, frame, plain(key or ""))
        return Cells(str(path), types, np.zeros((len(frame), 3)), True, _said(path, table.found, missed), keys)
    centres, flat, notes = _centres(label, frame, found, spec)
    if found.columns == table.centres and spec.table.obsm is None:
        notes.append(f"centres from {table.source}")
    values = {
        name: _of_trait(label, frame, plain(column), types, spec, states)
        for name, (column, states) in (traits or {}).items()
    }
    return Cells(str(path), types, centres, flat, _said(path, [*table.found, *notes], missed), traits=values)


def _of_trait(
    label: str, frame: pd.DataFrame, column: str, types: np.ndarray, spec: Tissue, states: Sequence[str]
) -> np.ndarray:
    """Values of a trait, float64 [rows]; NaN for rows whose states do not have it. Raises `ScenarioError`."""
    numbered = [i for i, each in enumerate(spec.types) if each.state in states]
    rows = np.isin(types, numbered)
    found = np.full(len(frame), np.nan)
    found[rows] = numbers(label, frame[rows], column)
    if (found < 0).any():
        first = int(np.flatnonzero(found < 0)[0])
        raise ScenarioError(
            f"{label}:{frame.index[first]}: column '{column}': expected a trait of 0 or more, found {found[first]:g}"
        )
    return found


def _said(path: Path, found: Sequence[str], missed: Sequence[str]) -> tuple[str, ...]:
    looked = (f"tissue.cells: {path.name}: read with {', '.join(found)}",) if found else ()
    return (*looked, *missed)


def _named(spec: Tissue) -> tuple[str, ...]:
    """The columns of the centres that the scenario names."""
    if "columns" not in spec.model_fields_set:
        return ()
    axes = (spec.columns.x, spec.columns.y, *([spec.columns.z] if spec.columns.z else []))
    return tuple(map(plain, axes))


def _format(label: str, table: tables.Table, spec: Tissue) -> Format:
    """Where the centres stand: in the columns named, by the format named, or by columns that are recognised."""
    wanted = spec.table.format
    if named := _named(spec):
        if wanted or spec.table.obsm:
            raise ScenarioError(f"{label}: 'tissue.columns' excludes a format and 'obsm'; give one of them")
        return formats.of_columns(named, table.names)
    if table.centres and wanted is None:
        return Format("", tuple((name,) for name in table.centres))
    found = formats.recognised(table.names, wanted)
    if found is None and wanted is not None:
        raise ScenarioError(
            f"{label}: not a table of {formats.TITLES[wanted]}: expected columns {formats.expected(wanted)} "
            f"(found: {', '.join(table.names[:20])})"
        )
    if found is None and label.endswith(".h5ad"):
        raise ScenarioError(
            f"{label}: expected obsm['spatial'] with 2 or 3 columns, found none; "
            "'tissue.columns' may name columns of obs, 'tissue.table.obsm' another array"
        )
    # What is missing is said by the names of the default columns.
    return found or formats.of_columns((spec.columns.x, spec.columns.y), table.names)


def _chosen(
    label: str, frame: pd.DataFrame, spec: Tissue, times: Sequence[str], samples: Sequence[str]
) -> pd.DataFrame:
    """The rows that count. Raises `ScenarioError` where they are of several times or samples."""
    reading = spec.table
    if reading.where:
        where = {plain(column): condition for column, condition in reading.where.items()}
        rows = conditions.fits(frame, where, "tissue.table.where")
        if not rows.any():
            raise ScenarioError(f"{label}: no row fits 'tissue.table.where': {conditions.misfit(frame, where)}")
        frame = frame[rows]
    if reading.time is not None and not times:
        raise ScenarioError(f"{label}: 'tissue.table.time' needs a column of times such as 'time_min'")
    for column in times:
        minutes = pd.to_numeric(frame[column], errors="coerce").to_numpy(float) * units.number(
            f"1 {formats.minutes(column)}", "min"
        )
        known = np.unique(minutes[np.isfinite(minutes)])
        listed = ", ".join(map(units.duration, known[:_SHOWN])) + ", ..." * (len(known) > _SHOWN)
        if reading.time is not None:
            at = units.number(reading.time, "min")
            frame = frame[np.abs(minutes - at) <= 1e-6 * max(1.0, at)]
            if frame.empty:
                raise ScenarioError(f"{label}: no row at {reading.time} (column '{column}' holds {listed})")
        elif len(known) > 1:
            raise ScenarioError(
                f"{label}: holds {len(known)} times ({listed}), one tissue each; choose one, such as "
                f"'tissue.table.time: {units.duration(known[-1])}'"
            )
    for column in samples:
        known = frame[column].dropna().unique()
        if len(known) > 1 and column not in map(plain, reading.where):
            listed = ", ".join(map(str, known[:_SHOWN])) + ", ..." * (len(known) > _SHOWN)
            what = "times" if formats.timepoint(column) else "samples"
            raise ScenarioError(
                f"{label}: column '{column}' holds {len(known)} {what} ({listed}), which would overlap; "
                f"choose one, such as 'tissue.table.where: {{{column}: {known[0]}}}'"
            )
    return frame


def numbers(label: str, frame: pd.DataFrame, column: str) -> np.ndarray:
    """A column as float64 [rows]. Raises `ScenarioError` with the first row that holds no number."""
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(float)
    bad = np.flatnonzero(~(np.abs(values) <= _FARTHEST))
    if bad.size:
        first = int(bad[0])
        raise ScenarioError(
            f"{label}:{frame.index[first]}: column '{column}': expected a number, found {frame[column].iloc[first]!r}"
            + (f" (and {bad.size - 1} more rows)" if bad.size > 1 else "")
        )
    return values


def _centres(label: str, frame: pd.DataFrame, found: Format, spec: Tissue) -> tuple[np.ndarray, bool, list[str]]:
    """Centres in um, float64 [rows, 3]; whether they are a section; and what a user should know of them."""
    title = formats.TITLES[found.name]
    unit = spec.length_unit or found.unit
    if unit is None:
        raise ScenarioError(
            f"{label}: the positions of {title} ('{found.columns[0]}') are in pixels; give the size of a pixel: "
            "'tissue.length_unit: 0.5 um'"
        )
    notes = []
    if found.name not in ("", "gpusim", "physicell"):
        notes.append(f"positions of {title}" + (f" in units of {unit}" if unit != "1 um" else ""))
    scale = units.number(unit, "um")
    centres = np.zeros((len(frame), 3))
    for axis, columns in enumerate(found.axes):
        values = [numbers(label, frame, column) for column in columns]
        centres[:, axis] = sum(values) / len(values) * scale
    flat = bool(np.ptp(centres[:, 2]) == 0)
    centres[:, 2] *= not flat
    return centres, flat, notes


def _types(frame: pd.DataFrame, spec: Tissue, seed: int) -> tuple[np.ndarray, list[str]]:
    """Number of the first type that a row fits, int64 [rows], -1 for none; and notes.

    They say which types have no row, and which values are no numbers for a threshold.

    Raises `ScenarioError` where no row fits any.
    """
    found = np.full(len(frame), -1)
    fitting = []
    unread: list[str] = []
    for i, cell_type in reversed(list(enumerate(spec.types))):
        where = {plain(column): condition for column, condition in cell_type.where.items()}
        rows = conditions.fits(frame, where, f"tissue.types[{i}].where")
        found[rows & _drawn(len(frame), cell_type.fraction, seed, i)] = i
        unread += conditions.unread(frame, where, f"tissue.types[{i}].where")
        fitting.append((i, cell_type, where, int(rows.sum())))
    missed = [
        f"tissue.types[{i}] ({cell_type.state}): "
        + (
            f"no row fits: {conditions.misfit(frame, where)}"
            if not fit
            else "all rows that fit it fit an earlier type"
            if cell_type.fraction == 1
            else f"none of the {fit:,} rows that fit it is in its fraction of {cell_type.fraction:g}"
        )
        for i, cell_type, where, fit in reversed(fitting)
        if not (found == i).any()
    ]
    if not (found >= 0).any():
        raise ScenarioError("; ".join(missed[:_SHOWN]))
    return found, [*missed, *dict.fromkeys(unread)]


def _drawn(rows: int, fraction: float, seed: int, number: int) -> np.ndarray:
    """Which rows the `number`-th type takes of those that fit it: bool [rows]."""
    return Uniform(seed, _TYPES + number).draw(rows) < fraction if fraction < 1 else np.ones(rows, bool)


def corner(table: Cells, spec: Tissue, shape: tuple[int, int, int], spacing: float) -> tuple[float, float, float]:
    """The corner of the grid, of so many voxels (z, y, x), in the coordinates of the table, um, as x, y, z."""
    if spec.origin is not None:
        x, y, z = (units.number(each, "um") for each in spec.origin)
        return x, y, z
    middle = (table.centres.max(axis=0) + table.centres.min(axis=0)) / 2
    x, y, z = middle - np.array(shape[::-1]) * spacing / 2
    return x, y, z


def place(
    table: Cells,
    spec: Tissue,
    tissue: np.ndarray,
    immune: np.ndarray,
    names: tuple[str, ...],
    none: int,
    spacing: float,
) -> tuple[tuple[Placement, ...], dict[str, np.ndarray]]:
    """Put the cells into both layers, uint8 [z, y, x], in place.

    Returns an account by type, and values by trait: float32 [z, y, x], NaN where there is no cell of the table.
    """
    nz, ny, nx = tissue.shape
    if spec.origin is not None:
        index = np.floor((table.centres - corner(table, spec, (nz, ny, nx), spacing)) / spacing).astype(np.int64)
    else:
        middle = (table.centres.max(axis=0) + table.centres.min(axis=0)) / 2
        size = np.array([nx, ny, nz]) * spacing
        index = np.floor((table.centres - middle + size / 2) / spacing).astype(np.int64)
    section = table.flat
    if section:
        index[:, 2] = 0
    depth = 1 if section else nz
    types = table.types
    inside = np.all((index >= 0) & (index < [nx, ny, depth]), axis=1)
    account: list[Placement] = []
    planes = [np.full((depth, ny, nx), -1, np.int16) for _ in range(2)]
    rows_at = [np.full((depth, ny, nx), -1, np.int64) for _ in range(2)]
    for i, cell_type in enumerate(spec.types):
        state = names.index(cell_type.state)
        plane, row_at = planes[int(state >= none)], rows_at[int(state >= none)]
        rows = np.flatnonzero((types == i) & inside)
        waiting = []
        placed = 0
        for row, (x, y, z) in zip(rows, index[rows], strict=True):
            if plane[z, y, x] < 0:
                plane[z, y, x], row_at[z, y, x] = state, row
                placed += 1
            else:
                waiting.append((row, (x, y, z)))
        moved = sum(_move(plane, row_at, spot, state, int(row)) for row, spot in waiting)
        count = int(np.sum(types == i))
        account.append(Placement(cell_type.state, count, placed, moved, count - placed - moved))
    rest = int(np.sum(types < 0))
    if rest:
        account.append(Placement("(no type)", rest, 0, 0, rest))
    for plane, layer in zip(planes, (tissue, immune), strict=True):
        sections.lay(plane, layer, spec.depth)
    columns = {}
    for name, values in table.traits.items():
        known = np.append(values, np.nan).astype(np.float32)  # of no row
        by_layer = [known[rows] for rows in rows_at]
        plane = np.where(np.isnan(by_layer[0]), by_layer[1], by_layer[0])
        columns[name] = np.array(sections.volume(plane, tissue.shape, spec.depth, nothing=np.nan))
    return tuple(account), columns


_STEPS = sorted(
    ((dz, dy, dx) for dz in (-1, 0, 1) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dz or dy or dx),
    key=lambda s: (s[0] ** 2 + s[1] ** 2 + s[2] ** 2, s),
)


def _move(plane: np.ndarray, row_at: np.ndarray, spot: tuple[int, int, int], state: int, row: int) -> bool:
    """Give the cell of a row the nearest free voxel around `spot` (x, y, z); False where there is none."""
    x, y, z = spot
    for dz, dy, dx in _STEPS:
        k, j, i = z + dz, y + dy, x + dx
        if 0 <= k < plane.shape[0] and 0 <= j < plane.shape[1] and 0 <= i < plane.shape[2] and plane[k, j, i] < 0:
            plane[k, j, i], row_at[k, j, i] = state, row
            return True
    return False
