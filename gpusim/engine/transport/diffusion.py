"""What diffuses between voxels and through the sides of the lattice, as tables for a given dt."""

import numpy as np

from gpusim.backends.base import Backend
from gpusim.backends.groups import Diffusion
from gpusim.errors import ScenarioError
from gpusim.model import Fields, Model
from gpusim.model.tables import PERIODIC, Boundary, VariesBy

FARTHEST = 2**31 - 1
"""Voxels from one end of a periodic axis to the other: kernels count the steps to a neighbour by 32 bits."""


def face_diffusivity(fields: Fields) -> np.ndarray:
    """D of a face by the tissue states on both sides: float64 [F, states, states], um^2/min."""
    return face_mean(fields.diffusion)


def face_mean(by_state: np.ndarray) -> np.ndarray:
    """Harmonic mean of the coefficients of the states on both sides: float64 [..., states] to [..., states, states]."""
    a, b = by_state[..., :, None], by_state[..., None, :]
    total = a + b
    mean = np.divide(2 * a * b, total, out=np.zeros_like(total), where=total > 0)
    return np.where(a == b, a, mean)


def varies(fields: Fields) -> np.ndarray:
    """Whether D depends on the tissue state: bool [F]."""
    return np.any(fields.diffusion != fields.diffusion[:, :1], axis=1)


def by_state(model: Model) -> np.ndarray:
    """Whether the couplings of the implicit operator depend on the tissue state: bool [F]."""
    found: np.ndarray = varies(model.fields) | model.exchange.holds.any(axis=1)
    return found


def boundary_bits(fields: Fields) -> np.ndarray:
    """int32 [F]: of `tables.Boundary`."""
    bits = [*PERIODIC, *(Boundary.FIRST_OPEN << side for side in range(6))]
    met = np.hstack([fields.boundary.periodic, fields.boundary.permeability > 0])
    return (met @ np.array(bits)).astype(np.int32)


def diffusion(model: Model, dt: np.ndarray, backend: Backend, *, operator: bool = False) -> Diffusion:
    """Tables for the step `dt` of each field: float64 [F], min.

    In those of the implicit `operator`, nothing diffuses into a voxel that holds a concentration, though it diffuses
    out. Raises `ScenarioError`.
    """
    fields, boundary = model.fields, model.fields.boundary
    if boundary.periodic[:, 0].any() and model.voxels > FARTHEST:
        raise ScenarioError(
            f"grid: {model.voxels:,} voxels, periodic along z; expected at most {FARTHEST:,} where z is periodic"
        )
    coupling = face_diffusivity(fields) * dt[:, None, None] / model.spacing**2
    if operator:
        enters = ~model.exchange.holds[:, :, None] | np.eye(coupling.shape[1], dtype=bool)
        coupling = np.where(enters, coupling, 0.0)
    through = boundary.permeability * dt[:, None]
    wall = np.divide(2 * model.spacing, through, out=np.zeros_like(through), where=through > 0)
    return Diffusion(
        coupling=backend.array(coupling.astype(np.float32)),
        coupling_by=backend.array(
            np.where(by_state(model) if operator else varies(fields), VariesBy.TISSUE, VariesBy.UNIFORM).astype(
                np.int32
            )
        ),
        boundary=backend.array(boundary_bits(fields)),
        resistance=backend.array(wall.astype(np.float32)),
        far=backend.array(boundary.far.astype(np.float32)),
    )
