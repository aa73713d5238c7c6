"""Tumour heat: a measure from 0 to 1 of effector cells and inflammatory cytokines in the same place."""

import numpy as np
from scipy import ndimage

from gpusim import units
from gpusim.errors import ScenarioError
from gpusim.scenario import Document
from gpusim.scenario.checks import state_names

SMOOTHING = 40.0
"""Standard deviation of the Gaussian that smooths the density of cells, um: the width of two cells. Assumed."""
HALF_DENSITY = 2500.0
"""Effector cells per mm^3 for half of the maximal heat: one in 50 voxels of 20 um. Assumed."""


def heat_of(document: Document, tissue: np.ndarray, immune: np.ndarray, fields: dict[str, np.ndarray]) -> np.ndarray:
    """Heat of each voxel: float32 [z, y, x], from 0 to 1.

    heat = d / (HALF_DENSITY + d) * c / (1 + c), with d the smoothed density of the effectors per mm^3
    and c the sum of the cytokines, each divided by its scale in the scenario's `heat`.

    Args:
        tissue, immune: uint8 [z, y, x]. fields: at least the cytokines, float32 [z, y, x].

    Raises `ScenarioError` if the scenario does not define `heat`.
    """
    spec = document.heat
    if spec is None:
        raise ScenarioError("heat: is missing; it defines the tumour heat")
    spacing = units.number(document.grid.spacing, "um")
    names = [name for layer in state_names(document) for name in layer]
    effectors = [names.index(state) for state in spec.effectors]
    there = (np.isin(immune, effectors) | np.isin(tissue, effectors)).astype(np.float32)
    # Mirrored at the sides, like no-flux diffusion, so that no cell is lost there.
    density = ndimage.gaussian_filter(there, SMOOTHING / spacing, mode="reflect") / (spacing * 1e-3) ** 3
    cytokine = np.zeros(there.shape, np.float32)
    for field, scale in spec.cytokines.items():
        unit = document.fields[field].unit
        cytokine += fields[field] / np.float32(units.number(scale, unit, spacing**3))
    heat: np.ndarray = density / (HALF_DENSITY + density) * (cytokine / (1.0 + cytokine))
    return heat.astype(np.float32)
