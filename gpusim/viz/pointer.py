"""What is under the pointer in a rendered scene."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpusim.scenario.schema import NONE
from gpusim.viz.moment import Moment
from gpusim.viz.overlay import field_label, number_label
from gpusim.viz.scene import Look

INWARD = 0.3
"""Voxel edges from a surface to a place in the cell behind it."""


def place_at(renderer: Any, x: int, y: int, inward: float) -> np.ndarray | None:
    """The place that is seen at a pixel, counted from the lower left corner; x, y, z, um. None where nothing is.

    Args:
        inward: distance of the place behind what is seen, um.
    """
    depth = renderer.GetZ(x, y)
    if depth >= 1.0:
        return None
    renderer.SetDisplayPoint(x, y, depth)
    renderer.DisplayToWorld()
    *place, scale = renderer.GetWorldPoint()
    return np.array(place) / scale + inward * np.array(renderer.GetActiveCamera().GetDirectionOfProjection())


def description(moment: Moment, look: Look, place: np.ndarray) -> str:
    """The cells in a voxel, the field and the trait that are shown; empty beside the lattice."""
    x, y, z = (int(n) for n in np.floor(place / moment.spacing))
    shape = moment.tissue.shape
    if not (0 <= x < shape[2] and 0 <= y < shape[1] and 0 <= z < shape[0]):
        return ""
    here = (z, y, x)
    states = [moment.states[moment.tissue[here]], moment.states[moment.immune[here]]]
    parts = [", ".join(moment.label(name) for name in states if name != NONE)]
    field = look.field or moment.field_names[0]
    names = [field] if field not in states else []
    if look.trait is not None and set(moment.states_with(look.trait)) & set(states):
        names.append(look.trait)
    parts += [f"{field_label(moment, name)}: {number_label(float(moment.values(name)[here]))}" for name in names]
    at = ", ".join(f"{(n + 0.5) * moment.spacing:g}" for n in (x, y, z))
    return f"({at}) µm: {'; '.join(parts)}"
