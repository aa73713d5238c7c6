"""Sections and volumes as points: cells of a result and of a real tissue in one form, and what is measured of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage, stats

from gpusim.analysis import spatial
from gpusim.analysis.phenotype import CELL_DIAMETER, SECTION, SMALLEST, TILE
from gpusim.analysis.regions import closed, depth
from gpusim.analysis.roles import state_label, states_with, tumour_states
from gpusim.analysis.spatial import Window
from gpusim.errors import ScenarioError
from gpusim.record import Result
from gpusim.scenario import Document, groups
from gpusim.scenario.checks import barriers, nearest, state_names
from gpusim.scenario.schema import EMPTY, NONE
from gpusim.tissue import cells as tables
from gpusim.units import duration

BAND = 40.0
"""Width of a band of distances from the edge of the tumour, um: two tiles."""
LEAST_TILES = 10
"""Tiles of a band below which it is left out: 0.004 mm^2 of a section."""
NEIGHBOUR = 30.0
"""Distance up to which two cells are neighbours, um: in voxels of 20 um, the 8 around a voxel of a section."""
CLUSTER = 50.0
"""Distance at which clustering is stated, um."""
STEP = 10.0
"""Step of the distances of K and of nearest neighbours, um."""
FARTHEST = {2: 200.0, 3: 100.0}
"""End of these distances, um, in a section and in a volume, where a ball contains far more cells."""
SIMULATIONS = 199
"""Random patterns of an envelope, which then contains 99%."""


@dataclass(frozen=True, eq=False)
class Pattern:
    """Cells of a section (two axes) or of a volume (three axes), as points in a window.

    Attributes:
        label: what the cells are from. minutes: simulated time; None for a table.
        document: scenario that says which states are tumour, CD8 and infected.
        points: centres, float64 [cells, axes], um, in the order x, y(, z). states: their states, str [cells].
        window: the tissue. per_mm2: factor from cells per um^axes to cells per mm^2 of a section.
        centre: float64 [axes], um, from which the spread of the virus is measured; by default, the mean position of
            the infected cells.
    """

    label: str
    minutes: float | None
    document: Document
    points: np.ndarray
    states: np.ndarray
    window: Window
    per_mm2: float
    centre: np.ndarray | None = None

    @property
    def title(self) -> str:
        """Label and time."""
        return self.label if self.minutes is None else f"{self.label}, {duration(self.minutes)}"

    @property
    def cd8(self) -> list[str]:
        """`cd8_states` of the document."""
        return cd8_states(self.document)

    @property
    def infected(self) -> list[str]:
        """States with the role `exposed` or `infected`."""
        return states_with(self.document, "exposed", "infected")

    def of(self, states: Iterable[str]) -> np.ndarray:
        """Centres of the cells in some states or groups of states: float64 [cells, axes]. Raises `ScenarioError`."""
        wanted = groups.states_of(states, self.document.groups)
        known = [name for layer in state_names(self.document) for name in layer]
        for name in wanted:
            if name not in known:
                raise ScenarioError(f"{self.label}: no state '{name}'{nearest(name, known)}")
        return self.points[np.isin(self.states, wanted)]

    def _per_tile(self, states: Sequence[str]) -> np.ndarray:
        found = np.zeros(self.window.mask.shape, np.int64)
        np.add.at(found, tuple(self.window.tiles_of(self.of(states)).T), 1)
        return found

    @cached_property
    def tumour(self) -> np.ndarray:
        """Tiles of the tumour: bool, of the shape of the window's mask.

        A tile belongs to it if at least half of its living resident cells are tumour cells; gaps of up to two tiles are
        closed, and pieces of fewer than 8 tumour cells left out.
        """
        dead = states_with(self.document, "dead")
        no_cells = (*dead, *barriers(self.document))
        resident = [name for name in state_names(self.document)[0] if name not in no_cells]
        cells = self._per_tile(tumour_states(self.document))
        region = closed((cells > 0) & (2 * cells >= self._per_tile(resident))) & self.window.mask
        labels, count = ndimage.label(region, np.ones((3,) * region.ndim))
        of_piece = ndimage.sum_labels(cells, labels, np.arange(count + 1))
        large = of_piece >= SMALLEST
        large[0] = False
        found: np.ndarray = large[labels]
        return found

    @cached_property
    def from_edge(self) -> np.ndarray:
        """Distance of the tiles of the window from the edge of the tumour, um, above 0 inside: float64.

        The edge separates the tumour from other tissue; the outline of the tissue is no edge. Infinite without an edge.
        """
        return depth(self.tumour, self.window.tile, self.window.mask)


def sections(
    result: Result, snapshots: Iterable[int] = (-1,), *, label: str | None = None, whole: bool = False
) -> list[Pattern]:
    """`section` at several times, with the spread of the virus from where its infection began.

    That is the mean position of the infected cells at the first snapshot with any.
    """
    centre = None
    for snapshot in range(len(result.times)):
        pattern = section(result, snapshot, whole=whole)
        if len(infected := pattern.of(pattern.infected)):
            centre = infected.mean(axis=0)
            break
    return [replace(section(result, each, label=label, whole=whole), centre=centre) for each in snapshots]


def section(result: Result, snapshot: int = -1, *, label: str | None = None, whole: bool = False) -> Pattern:
    """The cells of one plane of voxels across z, which divides the initial tumour at its middle, at one time.

    A section of 4 um shows every cell that it cuts, so that it shows as many as lie within 12 um: densities of a plane
    of voxels are converted by this thickness. If the tissue was made from a section, the plane is this section, and
    nothing is converted.

    Args:
        label: by default, the name of the folder. whole: all planes, as a volume.
    """
    document, spacing = result.document, result.spacing
    names = np.array(result.state_names)
    start = result.array("tissue", 0), result.array("immune", 0)
    tumour = np.isin(names[start[0]], tumour_states(document)).sum(axis=(1, 2))
    planes = np.arange(len(tumour))
    middle = int(np.average(planes, weights=tumour).round()) if tumour.any() else len(planes) // 2
    flat = not whole or len(planes) == 1
    taken = slice(middle, middle + 1) if flat else slice(None)
    layers = [result.array(name, snapshot)[taken] for name in ("tissue", "immune")]
    side = max(1, int(TILE // spacing))
    # A slab repeats a section, and a swept one is turned about an axis: both are their own mirror images.
    real = document.tissue.cells is not None or document.tissue.image is not None
    nothing = [EMPTY, NONE, *barriers(document)]
    there = (
        ~np.isin(names[start[0][taken]], nothing) | ~np.isin(names[start[1][taken]], nothing)
        if real
        else ~np.isin(names[start[0][taken]], barriers(document))
    )
    mask = _tiles(there[0] if flat else there, side)
    found = []
    for layer in layers:
        at = np.argwhere(~np.isin(names[layer], nothing))
        found.append((at, names[layer[tuple(at.T)]]))
    points = (np.concatenate([at for at, _ in found])[:, ::-1] + 0.5) * spacing
    axes = 2 if flat else 3
    of_section = real and all(np.array_equal(layer, layer[::-1]) for layer in start)
    window = Window(closed(mask) if real else mask, side * spacing, (0.0,) * axes)
    states = np.concatenate([state for _, state in found])
    inside = window.contains(points[:, :axes])
    shown = SECTION + CELL_DIAMETER
    return Pattern(
        label=(label or result.folder.name) + (f", {result.site}" if len(result.sites) > 1 else ""),
        minutes=float(result.times[snapshot]),
        document=document,
        points=points[inside, :axes],
        states=states[inside],
        window=window,
        per_mm2=1e6 * (shown if not flat else 1.0 if of_section else shown / spacing),
    )


def _tiles(mask: np.ndarray, side: int) -> np.ndarray:
    """Tiles of so many voxels along each axis that contain a voxel of the mask; incomplete ones are left out."""
    shape = [n // side for n in mask.shape]
    complete = mask[tuple(slice(n * side) for n in shape)]
    blocks = complete.reshape([length for n in shape for length in (n, side)])
    return np.asarray(blocks.any(axis=tuple(range(1, 2 * mask.ndim, 2))))


def table_section(path: Path, document: Document) -> Pattern:
    """The cells of a table, with the states that `tissue.types` of a scenario gives them.

    The window is all tiles that contain cells, with gaps of up to two tiles closed. Raises `ScenarioError`.
    """
    if not document.tissue.types:
        raise ScenarioError(f"{document.name}: no 'tissue.types', which give the cells of a table their states")
    read = tables.read(path, document.tissue, seed=document.seed)
    axes = 2 if read.flat else 3
    points = read.centres[:, :axes]
    corner = np.floor(points.min(axis=0) / TILE) * TILE
    at = np.floor((points - corner) / TILE).astype(np.int64)[:, ::-1]
    mask = np.zeros(at.max(axis=0) + 1, bool)
    mask[tuple(at.T)] = True
    window = Window(closed(mask), TILE, tuple(map(float, corner)))
    names = np.array([each.state for each in document.tissue.types])
    typed = read.types >= 0
    factor = 1e6 * (1.0 if axes == 2 else SECTION + CELL_DIAMETER)
    return Pattern(path.stem, None, document, points[typed], names[read.types[typed]], window, factor)


def cd8_states(document: Document) -> list[str]:
    """States that a CD8 stain shows: those of the scenario's `heat`, or those with the role `effector`."""
    return list(document.heat.cd8) if document.heat else states_with(document, "effector")


def cells_label(pattern: Pattern, states: Sequence[str] | None) -> str:
    """What cells are asked for: "CD8 cells", or the labels of states."""
    if states is None:
        return "CD8 cells"
    return ", ".join(state_label(pattern.document, state) for state in states)


def infiltration(pattern: Pattern, states: Sequence[str] | None = None, width: float = BAND) -> pd.DataFrame:
    """Density of some cells by distance from the edge of the tumour; by default, of CD8 cells.

    Columns: from_um, to_um (above 0 inside the tumour), tissue_mm2 (of the band; mm^3 for a volume), cells, per_mm2
    (of a section), and low, high: the exact 95% interval of a Poisson count. Bands with fewer than 10
    tiles of tissue are left out; no row if there is no edge.
    """
    distance, mask = pattern.from_edge, pattern.window.mask
    columns = ["from_um", "to_um", "tissue_mm2", "cells", "per_mm2", "low", "high"]
    if not np.isfinite(distance).all():
        return pd.DataFrame(columns=columns, dtype=float)
    band = np.floor(distance / width).astype(np.int64)
    cells = pattern.of(pattern.cd8 if states is None else states)
    of_cells = band[tuple(pattern.window.tiles_of(cells).T)]
    rows = []
    for each, tiles in zip(*np.unique(band[mask], return_counts=True), strict=True):
        if tiles < LEAST_TILES:
            continue
        size = float(tiles) * pattern.window.tile**pattern.window.axes
        count = int((of_cells == each).sum())
        ends = stats.chi2.ppf([0.025, 0.975], [2 * count, 2 * count + 2]) / 2
        counts = np.array([count, 0.0 if count == 0 else ends[0], ends[1]])
        millimetres = size * 1e-3**pattern.window.axes
        rows.append((each * width, (each + 1) * width, millimetres, count, *(counts / size * pattern.per_mm2)))
    return pd.DataFrame(rows, columns=columns)


def radii(pattern: Pattern) -> np.ndarray:
    """Distances at which K and nearest neighbours are given, um: float64."""
    return np.arange(STEP, max(min(FARTHEST[pattern.window.axes], pattern.window.longest), STEP) + STEP / 2, STEP)


def clustering(pattern: Pattern, states: Sequence[str] | None = None) -> pd.DataFrame:
    """K of some cells, by default CD8 cells, and cross-K of these and the tumour's cells, over those of random cells.

    Columns: radius_um, k, low, high (the 99% envelope of as many random cells in the window), cross_k, cross_low,
    cross_high (the tumour's cells stay where they are), and nearest: the share of these cells that have a tumour cell
    within the radius. The k and cross_k are divided by the size of the disc (or ball) of the radius: 1 is random.
    """
    return _clustering(pattern, tuple(pattern.cd8 if states is None else states)).copy()


@lru_cache(maxsize=64)
def _clustering(pattern: Pattern, states: tuple[str, ...]) -> pd.DataFrame:
    at, window = radii(pattern), pattern.window
    cells = pattern.of(states)
    tumour = pattern.of(tumour_states(pattern.document))
    random = spatial.ball(at, window.axes)
    found = {"radius_um": at}
    for name, others in (("", None), ("cross_", tumour)):
        found[f"{name}k"] = spatial.ripley(window, at, cells, others) / random
        low, high = spatial.envelope(window, at, len(cells), others, simulations=SIMULATIONS)
        found |= {f"{name}low": low / random, f"{name}high": high / random}
    found["nearest"] = spatial.nearest(window, cells, tumour).share(at)
    return pd.DataFrame(found)


SUMMARY: Mapping[str, str] = {
    "tissue": "mm²",
    "tumour cells": "",
    "cells": "",
    "in tumour": "/mm²",
    "outside": "/mm²",
    "nearest tumour cell": "µm",
    "clustering": "",
    "with tumour": "",
    "aggregation": "",
    "mixing": "",
    "virus spread": "µm",
}
"""Columns of `summary`, with their units."""


def summary(pattern: Pattern, states: Sequence[str] | None = None) -> dict[str, float]:
    """The numbers of a pattern, by the names in `SUMMARY`; not a number where there are too few cells.

    Args:
        states: the cells whose positions are analysed; by default, CD8 cells.
    """
    window, axes = pattern.window, pattern.window.axes
    cells = pattern.of(pattern.cd8 if states is None else states)
    tumour = pattern.of(tumour_states(pattern.document))
    infected = pattern.of(pattern.infected)
    centre = pattern.centre if pattern.centre is not None or not len(infected) else infected.mean(axis=0)
    inside = pattern.tumour[tuple(window.tiles_of(cells).T)]
    of_tumour, of_tissue = (float(mask.sum()) * window.tile**axes for mask in (pattern.tumour, window.mask))
    outside = of_tissue - of_tumour
    at = np.array([CLUSTER])
    random = spatial.ball(at, axes)
    return {
        "tissue": of_tissue * 1e-3**axes,
        "tumour cells": len(tumour),
        "cells": len(cells),
        "in tumour": inside.sum() / of_tumour * pattern.per_mm2 if of_tumour else float("nan"),
        "outside": (~inside).sum() / outside * pattern.per_mm2 if outside else float("nan"),
        "nearest tumour cell": spatial.nearest(window, cells, tumour).quantile(0.5),
        "clustering": float((spatial.ripley(window, at, cells) / random)[0]),
        "with tumour": float((spatial.ripley(window, at, cells, tumour) / random)[0]),
        "aggregation": spatial.nearest(window, cells).index,
        "mixing": spatial.mixing(window, NEIGHBOUR, cells, tumour),
        "virus spread": float("nan") if centre is None else spatial.spread(infected, centre),
    }
