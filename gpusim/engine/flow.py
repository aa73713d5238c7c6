"""Velocity of the interstitial fluid by Darcy's law, from the pressure and the tissue of one time."""

from collections.abc import Callable

import numpy as np

from gpusim import units
from gpusim.engine.transport.diffusion import face_mean
from gpusim.errors import ScenarioError
from gpusim.model.build import boundary_of
from gpusim.model.flow import conductivity
from gpusim.scenario import Document
from gpusim.scenario.checks import state_names

VELOCITY = "velocity"
"""Name of the velocity in exported files, which do not contain it if the name of a field or a trait begins so."""
UNIT = "um/min"


def has_velocity(document: Document) -> bool:
    """Whether exported files contain the velocity of the fluid."""
    taken = any(name.startswith(VELOCITY) for name in (*document.fields, *document.traits))
    return document.flow is not None and not taken


def velocity(document: Document, array: Callable[[str], np.ndarray]) -> np.ndarray:
    """Velocity v = -K grad p of the interstitial fluid at voxel centres: float32 [3, z, y, x], um/min.

    The components are those along x, y and z, in this order; they are positive where the fluid flows towards higher x,
    y or z. The velocity is the volume of fluid per area of tissue and time, and that at a centre the mean of both faces
    of the voxel along an axis. As in the simulation, K of a face is the harmonic mean of both voxels; at a side of the
    grid, the pressure's boundary condition applies, and nothing flows through a closed side.

    The pressure is solved at the interval `flow.every`, with the tissue of that time, and it is constant in between. If
    the tissue has changed since, K here is that of the present tissue, so that the velocity differs from that of the
    simulation beside voxels whose state has changed to one with another K. It is the same at all times when the
    pressure is solved, and with a K that does not depend on the state.

    Args:
        document: of the site. array: gives a field (float32 [z, y, x], in its own unit) or a layer (uint8), by name.

    Raises `ScenarioError` if the scenario has no flow.
    """
    flow = document.flow
    if flow is None:
        raise ScenarioError("velocity: the scenario has no flow of fluid ('flow: {field: PRESSURE, conductivity: K}')")
    spacing = units.number(document.grid.spacing, "um")
    own = np.array([conductivity(document, state) for state in state_names(document)[0]])
    between = face_mean(own)
    boundary = boundary_of([document.fields[flow.field]], spacing**3)
    p, tissue = array(flow.field).astype(float), array("tissue")
    found = np.zeros((3, *p.shape))
    for axis in range(3):  # z, y, x
        p_along, states = np.moveaxis(p, axis, 0), np.moveaxis(tissue, axis, 0)
        faces = np.zeros((len(p_along) + 1, *p_along.shape[1:]))
        faces[1:-1] = between[states[:-1], states[1:]] * (p_along[:-1] - p_along[1:]) / spacing
        if boundary.periodic[0, axis]:
            faces[0] = faces[-1] = between[states[-1], states[0]] * (p_along[-1] - p_along[0]) / spacing
        for end, sign in ((0, -1.0), (-1, 1.0)):
            permeability, far = (each[0, 2 * axis - end] for each in (boundary.permeability, boundary.far))
            if permeability > 0:
                k = own[states[end]]
                faces[end] = sign * k * (p_along[end] - far) / (spacing / 2 + k / permeability)
        np.moveaxis(found[2 - axis], axis, 0)[...] = (faces[:-1] + faces[1:]) / 2
    return found.astype(np.float32)
