"""How a section becomes a volume: repeated as a slab, or turned about its upright middle axis."""

import numpy as np

from gpusim import units
from gpusim.scenario.schema import Depth


def depth(spec: Depth, nx: int, spacing: float) -> int:
    """Voxels along z that a section `nx` voxels wide becomes."""
    return nx if spec.mode == "sweep" else max(1, round(units.number(spec.thickness, "um") / spacing))


def lay(plane: np.ndarray, layer: np.ndarray, spec: Depth) -> None:
    """Put states, int16 [z or 1, y, x], below 0 for none, into a layer, uint8 [z, y, x], in place.

    A plane of one section becomes a volume as `spec` says.
    """
    nz, ny, nx = layer.shape
    full = volume(plane, (nz, ny, nx), spec, nothing=-1)
    layer[full >= 0] = full[full >= 0].astype(np.uint8)


def volume(plane: np.ndarray, shape: tuple[int, int, int], spec: Depth, nothing: float) -> np.ndarray:
    """What a plane [z or 1, y, x] becomes in a lattice of a shape; `nothing` is what lies beside a section."""
    nz, _, nx = shape
    swept = len(plane) == 1 and nz > 1 and spec.mode == "sweep"
    return np.broadcast_to(_swept(plane[0], nz, nx, nothing) if swept else plane, shape)


def _swept(section: np.ndarray, nz: int, nx: int, nothing: float) -> np.ndarray:
    """Turn a section [y, x] about its upright middle axis: [z, y, x]. Each side sweeps its own half."""
    x = np.arange(nx) + 0.5 - nx / 2
    z = (np.arange(nz) + 0.5 - nz / 2)[:, None]
    radius = np.sqrt(x * x + z * z)
    column = np.floor(np.where(x >= 0, nx / 2 + radius, nx / 2 - radius)).astype(np.int64)
    outside = (column < 0) | (column >= nx)
    swept = section[:, np.clip(column, 0, nx - 1)].transpose(1, 0, 2).copy()
    swept[np.broadcast_to(outside[:, None, :], swept.shape)] = nothing
    return swept
