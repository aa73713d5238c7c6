"""Lesions and their immune phenotype, from CD8 cells per mm^2 in core and margin as in pathology."""

import enum
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from gpusim import units
from gpusim.analysis.regions import closed, depth
from gpusim.errors import ScenarioError
from gpusim.scenario import Document
from gpusim.scenario.checks import barriers, nearest, state_names

SECTION = 4.0
"""Thickness of a section, um, as in routine histology."""
CELL_DIAMETER = 8.0
"""Diameter of a lymphocyte, um: a section shows every cell that it cuts. Assumed."""
MARGIN = 500.0
"""Width of the invasive margin on each side of the edge of the tumour, um, as in the Immunoscore."""
INFLAMED = 50.0
"""Lowest number of CD8 cells per mm^2 of core of an inflamed lesion, and of margin of an excluded one. Assumed:
cut-offs in use differ by stain and tumour. The value separates the two cold from the hot of three real cores."""
SMALLEST = 8
"""Lowest number of tumour cells of a lesion."""


class Phenotype(enum.StrEnum):
    """Desert: no CD8 cells. Excluded: only in the margin. Inflamed: in the core (Chen and Mellman 2017)."""

    DESERT = "desert"
    EXCLUDED = "excluded"
    INFLAMED = "inflamed"


def phenotype(core: float, margin: float) -> Phenotype:
    """Phenotype by CD8 cells per mm^2."""
    if core >= INFLAMED:
        return Phenotype.INFLAMED
    return Phenotype.EXCLUDED if margin >= INFLAMED else Phenotype.DESERT


@dataclass(frozen=True)
class Lesion:
    """One lesion: tumour cells, diameter of a ball of equal volume (um), CD8 cells per mm^2, mean heat of the core.

    Of a section that stands in the lattice as a slab: diameter of a disc with the area within its outline.
    """

    cells: int
    diameter: float
    core: float
    margin: float
    heat: float

    @property
    def phenotype(self) -> Phenotype:
        """Desert, excluded or inflamed."""
        return phenotype(self.core, self.margin)


def lesions(document: Document, tissue: np.ndarray, immune: np.ndarray, heat: np.ndarray) -> list[Lesion]:
    """Lesions of a state, the largest first.

    A lesion is a connected cluster of tumour cells, after gaps of up to two voxels are closed. Its margin extends 500
    um (or half its radius, if this is less) to both sides of its edge; its core is what is deeper inside. In tissue
    from a table or an image, a lesion that a slab cuts off on both sides is measured in the plane of the section.

    Args:
        tissue, immune: uint8 [z, y, x]. heat: float32 [z, y, x].
    """
    spec = document.heat
    if spec is None:
        raise ScenarioError("heat: is missing; it defines the lesions")
    names = [name for layer in state_names(document) for name in layer]
    spacing = units.number(document.grid.spacing, "um")
    tumour = np.isin(tissue, [names.index(state) for state in spec.tumour])
    cd8 = np.isin(immune, [names.index(state) for state in spec.cd8])
    walls = np.isin(tissue, [names.index(state) for state in barriers(document)])
    extent = closed(tumour) & ~walls
    labels, count = ndimage.label(extent, np.ones((3, 3, 3)))
    found = []
    for number in range(1, count + 1):
        inside = labels == number
        cells = int((tumour & inside).sum())
        if cells < SMALLEST:
            continue
        cut = _is_slab(document) and bool(inside[0].any() and inside[-1].any())
        if cut:
            outline = np.mean([ndimage.binary_fill_holes(plane).sum() for plane in inside])
            radius = spacing * math.sqrt(float(outline) / np.pi)
        else:
            radius = spacing * (3 * int(inside.sum()) / (4 * np.pi)) ** (1 / 3)
        width = min(MARGIN, radius / 2)
        # Cells per mm^2 of a slab are those of its planes; in barriers there are none.
        shown = spacing if cut else SECTION + CELL_DIAMETER
        beyond = depth(inside, spacing, ~walls)
        core, margin = beyond > width, (np.abs(beyond) <= width) & ~walls
        if not core.any():
            core = inside
        found.append(
            Lesion(
                cells=cells,
                diameter=2 * radius,
                core=_per_section(cd8, core, spacing, shown),
                margin=_per_section(cd8, margin, spacing, shown),
                heat=float(heat[core].mean()),
            )
        )
    return sorted(found, key=lambda lesion: -lesion.cells)


def _is_slab(document: Document) -> bool:
    tissue = document.tissue
    return (tissue.cells is not None or tissue.image is not None) and tissue.depth.mode == "slab"


def _per_section(cd8: np.ndarray, region: np.ndarray, spacing: float, shown: float) -> float:
    """CD8 cells per mm^2 of section: the number per volume times the thickness, um, whose cells a section shows.

    That is the thickness of the section plus that of a cell, or of a section as a slab, the thickness of a plane.
    """
    volume = int(region.sum()) * spacing**3
    if not volume:
        return 0.0
    return float((cd8 & region).sum()) / volume * shown * 1e6


TILE = 20.0
"""Edge of the squares that measure the area of a section, um."""


@dataclass(frozen=True)
class Section:
    """CD8 cells per mm^2 in the tumour's nests and in the stroma of a real section."""

    core: float
    margin: float

    @property
    def phenotype(self) -> Phenotype:
        """Desert, excluded or inflamed."""
        return phenotype(self.core, self.margin)


def phenotype_of_table(
    path: Path, *, x: str = "x_um", y: str = "y_um", region: str = "region", tumour: str = "tumor", cd8: str = "CD8"
) -> Section:
    """CD8 cells per mm^2 in a table of cells of a section, with centres in um.

    The area is that of all squares of 20 um that contain cells. A square belongs to the tumour if at least half of its
    cells do. Raises `ScenarioError` if the table is not suitable.
    """
    if not path.is_file():
        raise ScenarioError(f"{path}: no such file")
    try:
        frame = pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise ScenarioError(f"{path}: not a table: {str(error).strip()}") from None
    for column in (x, y, region, cd8):
        if column not in frame.columns:
            raise ScenarioError(f"{path}: no column '{column}'{nearest(column, map(str, frame.columns))}")
    if frame.empty:
        raise ScenarioError(f"{path}: the table has no rows")
    of_tumour = frame[region].astype(str) == tumour
    tile = [frame[x] // TILE, frame[y] // TILE]
    tiles = of_tumour.groupby(tile).mean() >= 0.5
    positive = frame[cd8].astype(float) > 0
    of_tile = of_tumour.groupby(tile).transform("mean") >= 0.5

    def density(inside: bool) -> float:
        area = float((tiles == inside).sum()) * TILE**2 * 1e-6
        return float((positive & (of_tile == inside)).sum()) / area if area else 0.0

    return Section(core=density(True), margin=density(False))
