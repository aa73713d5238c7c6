"""Tissue from a table of cells with positions, types and markers.

A voxel holds one cell of each layer. Where several want one voxel, the type that stands earlier in
`types` has it, then the row that stands earlier in the table; the others move to the nearest free
voxel among the 26 around (in a section, the 8), and are left out where none is free. All of this is
counted.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gpusim import units
from gpusim.errors import ScenarioError, extra
from gpusim.scenario.checks import nearest
from gpusim.scenario.schema import CellType, Tissue
from gpusim.tissue import sections

LONGEST = 4096
"""Voxels along an axis."""
_FARTHEST = 1e15
_PHYSICELL = ["x", "y", "z", "type"]
"""Columns of a table without a header: PhysiCell's first format."""
_USUAL = (("x_um", "y_um", "z_um"), ("x", "y", "z"))
"""Columns of the centres where the scenario names none. A `z` that does not vary is that of a section."""


@dataclass(frozen=True)
class Table:
    """Centres in um, float64 [rows, 3] in x, y, z; rows of a section have z = 0."""

    label: str
    frame: pd.DataFrame
    centres: np.ndarray
    flat: bool

    def fitting_shape(self, spacing: float, margin: float, spec: Tissue) -> tuple[int, int, int]:
        """Voxels as (z, y, x) that hold all centres with a margin around."""
        extent = self.centres.max(axis=0) - self.centres.min(axis=0)
        if not np.all(extent + 2 * margin < LONGEST * spacing):
            raise ScenarioError(
                f"tissue.cells: {self.label}: cells lie up to {extent.max():g} um apart; expected at most {LONGEST} "
                f"voxels of {spacing:g} um. See 'length_unit', and look for stray rows"
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


def read(path: Path, spec: Tissue) -> Table:
    """Read a table of cells. Raises `ScenarioError` naming file, row and column."""
    if not path.is_file():
        raise ScenarioError(f"tissue.cells: {path}: no such file")
    if path.suffix == ".h5ad":
        frame, wanted = _anndata(path)
    else:
        frame = _separated(path)
        wanted = _centre_columns(frame, spec)
    for column in [*wanted, *(c for t in spec.types for c in t.where)]:
        if column not in frame.columns:
            known = list(map(str, frame.columns))
            raise ScenarioError(
                f"tissue.cells: {path}: no column '{column}'{nearest(column, known)} (found: {', '.join(known[:20])})"
            )
    if frame.empty:
        raise ScenarioError(f"tissue.cells: {path}: the table has no rows")
    unit = units.number(spec.length_unit, "um")
    centres = np.zeros((len(frame), 3))
    for axis, column in enumerate(wanted):
        values = pd.to_numeric(frame[column], errors="coerce").to_numpy(float)
        bad = np.flatnonzero(~(np.abs(values) <= _FARTHEST))
        if bad.size:
            first = int(bad[0])
            found = frame[column].iloc[first]
            raise ScenarioError(
                f"tissue.cells: {path}:{frame.index[first]}: column '{column}': expected a number, found {found!r}"
                + (f" (and {bad.size - 1} more rows)" if bad.size > 1 else "")
            )
        centres[:, axis] = values * unit
    return Table(str(path), frame, centres, flat=len(wanted) == 2)


def _separated(path: Path) -> pd.DataFrame:
    """A table of comma-separated values; its index is the line in the file."""
    try:
        # Not unpacked on reading: a small archive can hold more than any memory.
        frame = pd.read_csv(path, compression=None)
        headless = len(frame.columns) == len(_PHYSICELL) and all(map(_is_number, frame.columns))
        if headless:
            frame = pd.read_csv(path, compression=None, header=None, names=_PHYSICELL)
    except (ValueError, OSError) as error:  # pandas' parser errors are ValueErrors
        raise ScenarioError(f"tissue.cells: {path}: not a table: {str(error).strip()}") from None
    frame.index = pd.RangeIndex(1 if headless else 2, len(frame) + (1 if headless else 2))
    return frame


def _is_number(text: object) -> bool:
    try:
        float(str(text))
    except ValueError:
        return False
    return True


def _centre_columns(frame: pd.DataFrame, spec: Tissue) -> list[str]:
    """The two or three columns that hold the centres: those named, or the usual ones that are there."""
    columns = spec.columns
    if "columns" not in spec.model_fields_set:
        for x, y, z in _USUAL:
            if {x, y} <= set(frame.columns):
                return [x, y, *([z] if z in frame.columns and frame[z].nunique() > 1 else [])]
    return [columns.x, columns.y, *([columns.z] if columns.z else [])]


def _anndata(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """`obs` of an AnnData file with the columns of `obsm['spatial']` beside, and their names."""
    with extra("exchange", "to read AnnData"):
        import anndata
    try:
        data = anndata.read_h5ad(path, backed="r")
        frame, spatial = data.obs, np.asarray(data.obsm["spatial"]) if "spatial" in data.obsm else None
        data.file.close()
    except Exception as error:  # anndata and h5py raise many kinds for a file that is none
        raise ScenarioError(f"tissue.cells: {path}: can't be read as AnnData: {error}") from None
    if spatial is None or spatial.ndim != 2 or spatial.shape[1] not in (2, 3):
        found = "none" if spatial is None else f"one of shape {spatial.shape}"
        raise ScenarioError(f"tissue.cells: {path}: expected obsm['spatial'] with 2 or 3 columns, found {found}")
    names = [f"spatial {axis}" for axis in "xyz"[: spatial.shape[1]]]
    return frame.assign(**dict(zip(names, spatial.T, strict=True))), names


def _types(table: Table, types: tuple[CellType, ...]) -> np.ndarray:
    """Index of the first type that a row fits, int64 [rows]; -1 for none."""
    found = np.full(len(table.frame), -1)
    for i, cell_type in reversed(list(enumerate(types))):
        fits = np.ones(len(table.frame), bool)
        for column, value in cell_type.where.items():
            cells = table.frame[column]
            fits &= (cells.astype(str) == value if isinstance(value, str) else cells == value).to_numpy(bool)
        found[fits] = i
    return found


def place(
    table: Table,
    spec: Tissue,
    tissue: np.ndarray,
    immune: np.ndarray,
    names: tuple[str, ...],
    none: int,
    spacing: float,
) -> tuple[Placement, ...]:
    """Put the cells into both layers, uint8 [z, y, x], in place; returns an account by type."""
    nz, ny, nx = tissue.shape
    middle = (table.centres.max(axis=0) + table.centres.min(axis=0)) / 2
    size = np.array([nx, ny, nz]) * spacing
    index = np.floor((table.centres - middle + size / 2) / spacing).astype(np.int64)
    section = table.flat
    if section:
        index[:, 2] = 0
    depth = 1 if section else nz
    types = _types(table, spec.types)
    inside = np.all((index >= 0) & (index < [nx, ny, depth]), axis=1)
    account: list[Placement] = []
    planes = [np.full((depth, ny, nx), -1, np.int16) for _ in range(2)]
    for i, cell_type in enumerate(spec.types):
        state = names.index(cell_type.state)
        plane = planes[int(state >= none)]
        rows = np.flatnonzero((types == i) & inside)
        waiting = []
        placed = 0
        for x, y, z in index[rows]:
            if plane[z, y, x] < 0:
                plane[z, y, x] = state
                placed += 1
            else:
                waiting.append((x, y, z))
        moved = sum(_move(plane, spot, state) for spot in waiting)
        count = int(np.sum(types == i))
        account.append(Placement(cell_type.state, count, placed, moved, count - placed - moved))
    rest = int(np.sum(types < 0))
    if rest:
        account.append(Placement("(no type)", rest, 0, 0, rest))
    for plane, layer in zip(planes, (tissue, immune), strict=True):
        sections.lay(plane, layer, spec.depth)
    return tuple(account)


_STEPS = sorted(
    ((dz, dy, dx) for dz in (-1, 0, 1) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dz or dy or dx),
    key=lambda s: (s[0] ** 2 + s[1] ** 2 + s[2] ** 2, s),
)


def _move(plane: np.ndarray, spot: tuple[int, int, int], state: int) -> bool:
    """Give a cell the nearest free voxel around `spot` (x, y, z); False where there is none."""
    x, y, z = spot
    for dz, dy, dx in _STEPS:
        k, j, i = z + dz, y + dy, x + dx
        if 0 <= k < plane.shape[0] and 0 <= j < plane.shape[1] and 0 <= i < plane.shape[2] and plane[k, j, i] < 0:
            plane[k, j, i] = state
            return True
    return False
