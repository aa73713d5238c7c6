"""Domain, time and substrates as grid, time and fields."""

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gpusim import units
from gpusim.physicell import reading
from gpusim.physicell.reading import ProjectError, shown
from gpusim.physicell.report import Report
from gpusim.physicell.settings import SIDES, Settings, Substrate
from gpusim.scenario.limits import LONGEST_AXIS

_SIDE_NAMES = {f"{axis}{end}": f"{axis}_{name}" for axis in "xyz" for end, name in (("min", "low"), ("max", "high"))}
FARTHEST_MOVE = 8
"""Voxels along an axis that a cell of a table is moved to find a free one."""
_MOST_VOXELS = 4_000_000
"""Of a table of initial concentrations."""


@dataclass
class Lattice:
    """Edge of a voxel, um; voxels along x, y, z; and the corner of the grid in PhysiCell's coordinates, um.

    `depth`: what a section is deep in PhysiCell, um: the dz of its mesh; that of a voxel otherwise.
    """

    edge: float
    shape: tuple[int, int, int]
    corner: tuple[float, float, float]
    flat: bool
    depth: float

    @property
    def shared(self) -> float:
        """The volume, um^3, whose concentration a cell changes: a section of PhysiCell is deeper than a cell."""
        return self.edge**2 * self.depth

    @property
    def volume(self) -> float:
        """Of a voxel, um^3."""
        return self.edge**3

    def inside(self, centre: tuple[float, float, float]) -> bool:
        """Whether a position, in PhysiCell's coordinates, lies in the grid; a section has no depth."""
        for i, (at, low, count) in enumerate(zip(centre, self.corner, self.shape, strict=True)):
            if not (self.flat and i == 2) and not 0 <= at - low < count * self.edge:
                return False
        return True


class Places:
    """The voxels of a layer that the cells of a table take: their own, or the nearest free one."""

    def __init__(self, found: Lattice) -> None:
        self._lattice, self._taken, self.moved = found, set[tuple[int, ...]](), 0
        reach = range(-FARTHEST_MOVE, FARTHEST_MOVE + 1)
        steps = [(i, j, k) for i in reach for j in reach for k in ([0] if found.flat else reach)]
        self._steps = sorted(steps, key=lambda step: (sum(each * each for each in step), step))

    def give(self, centre: tuple[float, float, float]) -> tuple[float, ...] | None:
        """Where a cell goes, um: where it is, or the middle of another voxel; None if there is none nearby."""
        edge, corner, shape = self._lattice.edge, self._lattice.corner, self._lattice.shape
        own = [math.floor((at - low) / edge) for at, low in zip(centre, corner, strict=True)]
        if self._lattice.flat:
            own[2] = 0
        for step in self._steps:
            voxel = tuple(at + by for at, by in zip(own, step, strict=True))
            if voxel in self._taken or not all(0 <= at < count for at, count in zip(voxel, shape, strict=True)):
                continue
            self._taken.add(voxel)
            if voxel == tuple(own):
                return (*centre[:2], 0.0 if self._lattice.flat else centre[2])
            self.moved += 1
            middle = [low + (at + 0.5) * edge for at, low in zip(voxel, corner, strict=True)]
            return (*middle[:2], 0.0 if self._lattice.flat else middle[2])
        return None


def lattice(settings: Settings, report: Report) -> Lattice:
    """The grid: a voxel has the volume of a cell. Raises `ProjectError` if it has too many voxels."""
    volumes = Counter(each.volume for each in settings.types) or Counter([2494.0])
    volume = max(volumes, key=lambda v: (volumes[v], v))
    edge = float(f"{volume ** (1 / 3):.4g}")
    extent = [high - low for low, high in zip(settings.lower, settings.upper, strict=True)]
    shape = [max(1, math.ceil(each / edge - 1e-9)) for each in extent]
    lower = list(settings.lower)
    if settings.flat:
        shape[2], lower[2] = 1, -edge / 2
    if max(shape) > LONGEST_AXIS:
        raise ProjectError(
            f"{settings.path}: <domain>: {max(shape):,} voxels of {edge:g} um along an axis; at most {LONGEST_AXIS}"
        )
    size = " x ".join(map(str, shape))
    exact = all(abs(n * edge - e) < 1e-6 for n, e in zip(shape[: 3 - settings.flat], extent, strict=False))
    report.add(
        "domain",
        "size",
        "exact" if exact else "approximate",
        f"{size} voxels" + ("" if exact else ": up to one voxel longer than the domain"),
    )
    report.add("domain", "dx, dy, dz", "approximate", f"voxels of {edge:g} um, a cell's volume of {volume:g} um^3 each")
    if settings.flat:
        report.add("domain", "use_2D", "exact", "one layer of voxels")
    depth = settings.mesh[2] if settings.flat else edge
    return Lattice(edge, (shape[0], shape[1], shape[2]), (lower[0], lower[1], lower[2]), settings.flat, depth)


def grid(settings: Settings, found: Lattice, report: Report) -> dict[str, Any]:
    """The key `grid` of the scenario."""
    sides = "closed" if settings.wall else "open"
    if settings.wall:
        report.add("options", "virtual_wall_at_domain_edge", "exact", "closed sides")
    else:
        report.add("options", "virtual_wall_at_domain_edge", "approximate", "cells that cross a side leave the model")
    axes = {"x": sides, "y": sides} | ({} if settings.flat else {"z": sides})
    document: dict[str, Any] = {"spacing": f"{found.edge:g} um", "shape": list(found.shape)}
    return document | ({} if settings.wall else {"sides": axes})


def time(settings: Settings, report: Report) -> tuple[dict[str, Any], str]:
    """The key `time`, and the interval between snapshots, min."""
    step, moves = settings.steps["phenotype"], settings.steps["mechanics"]
    until = _multiple(settings.until, step)  # one step of a project that does not run
    kept = until == settings.until
    report.add("overall", "max_time", "exact" if kept else "approximate", "" if kept else f"a multiple of {step:g} min")
    report.add("overall", "dt_phenotype", "exact", "time.step.rules")
    even = round(step / moves) >= 1 and abs(step / moves - round(step / moves)) < 1e-6
    if even:
        report.add("overall", "dt_mechanics", "exact", "time.step.motion")
    else:
        report.add("overall", "dt_mechanics", "approximate", "it does not divide dt_phenotype; derived from the speeds")
    note = "derived from the rates: the solver is implicit where that is accurate"
    report.add("overall", "dt_diffusion", "approximate", note)
    saved = settings.saved or settings.until
    every = min(_multiple(saved, step), until)
    report.add("save", "full_data", "exact" if every == settings.saved else "approximate", f"every {every:g} min")
    steps = {"rules": f"{step:g} min"} | ({"motion": f"{moves:g} min"} if even else {})
    return {"until": f"{until:g} min", "step": steps}, f"{every:g} min"


def _multiple(time: float, step: float) -> float:
    return max(1, round(time / step)) * step


def unit_of(substrate: Substrate) -> tuple[str, bool]:
    """A unit that is known, and whether it is that of the settings."""
    text = substrate.unit.replace("micron", "um").strip()
    if text in ("dimensionless", "none", ""):
        return "1", True
    try:
        return (text, True) if units.parse(text).magnitude > 0 else ("1", False)
    except units.UnitError:
        return "1", False


def fields(settings: Settings, names: dict[str, str], report: Report) -> dict[str, dict[str, Any]]:
    """The key `fields`."""
    document: dict[str, dict[str, Any]] = {}
    for each in settings.substrates:
        unit, known = unit_of(each)
        spec: dict[str, Any] = {"unit": unit}
        if names[each.name] != each.name:
            spec["label"] = each.name
        spec["diffusion"] = f"{each.diffusion:.10g} um^2/min"
        if each.decay:
            spec["decay"] = f"{each.decay:.10g} /min"
        if each.initial:
            spec["initial"] = each.initial
        sides = {side: value for side, value in each.sides.items() if not (settings.flat and side.startswith("z"))}
        if sides:
            whole = len(set(sides.values())) == 1 and len(sides) == len(SIDES)
            held = {"value": next(iter(sides.values()))}
            spec["boundary"] = {"all": held} if whole else {_SIDE_NAMES[s]: {"value": v} for s, v in sides.items()}
        if min(each.diffusion, each.decay, each.initial, *each.sides.values(), 0) < 0:
            raise ProjectError(f"{settings.path}: substrate '{shown(each.name)}': expected numbers of 0 or more")
        document[names[each.name]] = spec
        where = f"{each.name}"
        report.add("substrate", f"{where}: diffusion, decay, initial", "exact")
        if not known:
            report.add("substrate", f"{where}: units", "approximate", f"a pure number; '{shown(each.unit)}' is unknown")
        if each.sides:
            report.add("substrate", f"{where}: Dirichlet sides", "exact", "fixed at the side of the lattice")
    if settings.dirichlet_nodes:
        note = f"'{shown(settings.dirichlet_nodes)}': without effect, as in PhysiCell, where only C++ makes such nodes"
        report.add("microenvironment", "dirichlet_nodes", "exact", note)
    return document


@dataclass
class Table:
    """A table that the scenario reads: name and text."""

    name: str
    rows: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.rows) + "\n"


def initial(settings: Settings, found: Lattice, names: dict[str, str], name: str, report: Report) -> Table | None:
    """Initial concentrations at the centres of all voxels, from the nearest rows of the project's table.

    Raises `ProjectError` where the table can't be read.
    """
    if settings.missing_initial:
        report.add("microenvironment", "initial_condition", "lost", f"no file '{settings.missing_initial}'")
    if settings.initial is None:
        return None
    columns, points = _matrix(settings.initial, [each.name for each in settings.substrates])
    unknown = [each for each in columns if each not in names]
    if unknown:
        raise ProjectError(f"{settings.initial}: no substrate '{shown(unknown[0])}'")
    voxels = int(np.prod(found.shape))
    if voxels > _MOST_VOXELS:
        report.add("microenvironment", "initial_condition", "lost", f"a table for {voxels:,} voxels")
        return None
    from scipy.spatial import cKDTree

    centres = [(np.arange(count) + 0.5) * found.edge for count in found.shape]
    x, y, z = (each.ravel() for each in np.meshgrid(*centres, indexing="ij"))
    depth = 0.0 if found.flat else 1.0
    places = np.stack([x + found.corner[0], y + found.corner[1], (z + found.corner[2]) * depth], axis=1)
    known = points[:, :3] * [1.0, 1.0, depth]
    _, nearest = cKDTree(known).query(places)
    values = points[nearest, 3:]
    if (values < 0).any():
        raise ProjectError(f"{settings.initial}: expected concentrations of 0 or more")
    table = Table(name, [",".join(["x_um", "y_um", "z_um", *(names[each] for each in columns)])])
    for at, row in zip(zip(x, y, z, strict=True), values, strict=True):
        table.rows.append(",".join(f"{number:.8g}" for number in (*at, *row)))
    note = "the value of the nearest voxel of PhysiCell's mesh"
    report.add("microenvironment", "initial_condition", "approximate", note)
    return table


def _matrix(path: Path, substrates: list[str]) -> tuple[list[str], np.ndarray]:
    """Names of columns, and positions with values: float64 [points, 3 + columns]. Raises `ProjectError`."""
    if path.suffix.lower() == ".mat":
        return _matlab(path, substrates)
    columns: list[str] | None = None
    rows = []
    for number, row in reading.lines(path):
        if columns is None and row[0].lower() == "x":
            columns = row[3:]
            continue
        columns = substrates[: len(row) - 3] if columns is None else columns
        if len(row) != 3 + len(columns) or not columns:
            raise ProjectError(f"{path}:{number}: expected {3 + len(columns)} columns, found {len(row)}")
        rows.append([reading.number(text, f"{path}:{number}") for text in row])
    if not rows or columns is None:
        raise ProjectError(f"{path}: expected rows with x, y, z and concentrations, found none")
    return columns, np.array(rows)


def _matlab(path: Path, substrates: list[str]) -> tuple[list[str], np.ndarray]:
    from scipy.io import loadmat

    try:
        arrays = [each for name, each in loadmat(path).items() if not name.startswith("__")]
        matrix = np.asarray(arrays[0], float)
    except Exception as error:  # of many kinds, for a file that is none
        raise ProjectError(f"{path}: not a matrix of MATLAB: {shown(error)}") from None
    if matrix.ndim != 2 or matrix.shape[0] != 4 + len(substrates) or not np.isfinite(matrix).all():
        raise ProjectError(f"{path}: expected {4 + len(substrates)} rows: x, y, z, volume and one for each substrate")
    return substrates, np.delete(matrix, 3, axis=0).T
