"""The tissue at time 0: a background, an image of labels, a table of cells, its outline, shapes; in that order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gpusim import memory, units
from gpusim.errors import ScenarioError
from gpusim.scenario import Document, Scenario
from gpusim.scenario.checks import barriers
from gpusim.scenario.schema import InitialTrait
from gpusim.tissue import cells, images, labels, outline, shapes
from gpusim.tissue.cells import Placement

__all__ = ["InitialTissue", "Placement", "initial_tissue"]

BUILDING_PER_VOXEL = 52
"""Bytes taken for a moment; most by the distances of a cylinder's voxels, in float64."""


@dataclass(frozen=True)
class InitialTissue:
    """Both cell layers at time 0, uint8 [z, y, x], how the table of cells was placed, and what to know of the files.

    `repeated`: how often a section stands in the lattice as a slab; 1 for all other tissue. `columns`: by trait,
    its values from the table, float32 [z, y, x]; NaN where there is no cell of the table.
    """

    tissue: np.ndarray
    immune: np.ndarray
    placements: tuple[Placement, ...] = field(default=())
    notes: tuple[str, ...] = ()
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    repeated: int = 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels as (z, y, x)."""
        nz, ny, nx = self.tissue.shape
        return nz, ny, nx

    def counts(self, states: int) -> np.ndarray:
        """Cells in each of the `states`, int64 [states]."""
        found = np.zeros(states, np.int64)
        for layer in (self.tissue, self.immune):
            for plane in layer:  # bincount makes each number one of 8 bytes
                found += np.bincount(plane.ravel(), minlength=states)
        return found


def initial_tissue(scenario: Scenario, names: tuple[str, ...], none: int, spacing: float) -> InitialTissue:
    """Build the tissue. `names` are the states in order, from `none` on the immune ones.

    Raises `ScenarioError` where a table or an image can't be read or a shape does not fit.
    """
    spec, document = scenario.document.tissue, scenario.document
    shape = None
    if document.grid.shape is not None:
        nx, ny, nz = document.grid.shape
        shape = (nz, ny, nx)
    image = table = None
    notes: list[str] = []
    states_of: Mapping[int, str] = {}
    if spec.image is not None:
        image = images.read(spec.image)
        notes += image.notes
        states_of = spec.image.labels
        shape = shape or labels.fitting_shape(image, spacing, spec.depth)
    if spec.cells is not None:
        key = spec.image.instances if spec.image else None
        table = cells.read(Path(spec.cells), spec, key, _columns(document), document.seed)
        notes += table.notes
        if image is not None and table.keys is not None:
            image, states_of, unmatched = labels.of_instances(image, table, spec)
            notes += unmatched
        shape = shape or table.fitting_shape(spacing, units.number(spec.margin, "um"), spec)
    assert shape is not None, "checked on loading"
    voxels = shape[0] * shape[1] * shape[2]
    memory.require(voxels * BUILDING_PER_VOXEL, memory.available(), "to build the tissue", shape, spacing)
    tissue = np.full(shape, names.index(spec.background), np.uint8)
    immune = np.full(shape, none, np.uint8)
    placements: tuple[Placement, ...] = ()
    columns: dict[str, np.ndarray] = {}
    if image is not None:
        labels.place(image, states_of, spec, tissue, immune, names, none, spacing)
    if table is not None and table.keys is None:
        placements, columns = cells.place(table, spec, tissue, immune, names, none, spacing)
    beyond = None
    if spec.outline is not None:
        there = (tissue != names.index(spec.background)) | (immune != none)
        corner = cells.corner(table, spec, shape, spacing) if table is not None else (0.0, 0.0)
        beyond = ~outline.within(spec.outline, there, spacing, corner)
        tissue[beyond] = names.index(spec.outline.beyond)
        immune[beyond] = none
    walls = [names.index(state) for state in barriers(document)]
    for number, (name, spec_shape) in enumerate(spec.shapes.items()):
        state = names.index(spec_shape.state)
        layer = tissue if state < none else immune
        mask, picked = shapes.region(spec_shape, tissue, spacing, document.seed, number)
        if spec_shape.into:
            wanted = [names.index(s) for s in spec_shape.into]
            mask &= np.isin(tissue, wanted) | np.isin(immune, wanted)
        if beyond is not None:
            mask &= ~beyond
        if walls and layer is immune:
            mask &= ~np.isin(tissue, walls)
        if not mask.any():
            raise ScenarioError(f"tissue.shapes.{name}: covers no voxel of the grid")
        # A small fraction of a small region may pick none.
        covered = mask if picked is None else mask & picked
        layer[covered] = state
        for trait, values in columns.items():
            if (names.index(document.traits[trait].of[0]) < none) == (layer is tissue):
                values[covered] = np.nan
    if walls:
        immune[np.isin(tissue, walls)] = none
    section = (image is not None and image.flat) or (table is not None and table.keys is None and table.flat)
    repeated = shape[0] if section and spec.depth.mode == "slab" else 1
    return InitialTissue(tissue, immune, placements, tuple(notes), columns, repeated)


def _columns(document: Document) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Columns of the table of cells that hold traits, and the states that have these, by trait."""
    initial = {name: trait.initial for name, trait in document.traits.items()}
    columns = {name: each.column for name, each in initial.items() if isinstance(each, InitialTrait)}
    return {name: (column, document.traits[name].of) for name, column in columns.items() if column is not None}
