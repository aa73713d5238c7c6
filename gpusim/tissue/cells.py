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
from gpusim.errors import ScenarioError
from gpusim.scenario.checks import nearest
from gpusim.scenario.schema import CellType, Tissue

LONGEST = 4096
"""Voxels along an axis."""
_FARTHEST = 1e15


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
        if self.flat:
            thickness = units.number(spec.depth.thickness, "um")
            nz = nx if spec.depth.mode == "sweep" else max(1, round(thickness / spacing))
        return nz, ny, nx


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
    try:
        # Not unpacked on reading: a small archive can hold more than any memory.
        frame = pd.read_csv(path, compression=None)
    except (ValueError, OSError) as error:  # pandas' parser errors are ValueErrors
        raise ScenarioError(f"tissue.cells: {path}: not a table: {str(error).strip()}") from None
    columns = spec.columns
    wanted = [columns.x, columns.y, *([columns.z] if columns.z else [])]
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
            found = frame[column].iloc[int(bad[0])]
            raise ScenarioError(
                f"tissue.cells: {path}:{bad[0] + 2}: column '{column}': expected a number, found {found!r}"
                + (f" (and {bad.size - 1} more rows)" if bad.size > 1 else "")
            )
        centres[:, axis] = values * unit
    return Table(str(path), frame, centres, flat=columns.z is None)


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
        full = _swept(plane[0], nz, nx) if section and spec.depth.mode == "sweep" else plane
        full = np.broadcast_to(full, layer.shape)
        layer[full >= 0] = full[full >= 0].astype(np.uint8)
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


def _swept(section: np.ndarray, nz: int, nx: int) -> np.ndarray:
    """Turn a section [y, x] about its upright middle axis: [z, y, x]. Each side sweeps its own half."""
    x = np.arange(nx) + 0.5 - nx / 2
    z = (np.arange(nz) + 0.5 - nz / 2)[:, None]
    radius = np.sqrt(x * x + z * z)
    column = np.floor(np.where(x >= 0, nx / 2 + radius, nx / 2 - radius)).astype(np.int64)
    outside = (column < 0) | (column >= nx)
    swept = section[:, np.clip(column, 0, nx - 1)].transpose(1, 0, 2).copy()
    swept[np.broadcast_to(outside[:, None, :], swept.shape)] = -1
    return swept
