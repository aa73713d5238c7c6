"""Explicit steps: cheapest for slow fields, with as many substeps as stability asks for."""

import math

import numpy as np

from gpusim.backends.base import Backend, ExplicitTables
from gpusim.engine.state import State
from gpusim.engine.transport.exchange import exchange_by
from gpusim.model import Fields, Model

LARGEST_COURANT = 0.15
"""D dt / dx^2 of a substep; at 1/6 a voxel would give all it has, and rounding could go below 0."""


def substeps(fields: Fields, spacing: float, step: float) -> np.ndarray:
    """Explicit substeps of each field, int64 [F]; even, so that the result ends where it began."""
    needed = fields.diffusion * step / spacing**2 / LARGEST_COURANT
    return np.array([2 * max(1, math.ceil(min(n, 1e15) / 2 - 1e-9)) for n in needed], np.int64)


class ExplicitSolver:
    """Each field by its own number of substeps; fields that share a substep share a launch."""

    def __init__(self, model: Model, backend: Backend, chosen: list[int]) -> None:
        fields = model.fields
        self.substeps = substeps(fields, model.spacing, model.step)
        dt = model.step / self.substeps
        # Exchange is implicit: c' = (diffused + dt p) / (1 + dt k).
        keep = 1.0 / (1.0 + dt[:, None, None] * fields.loss)
        gain = dt[:, None, None] * fields.production * keep
        self._backend = backend
        self._tables = ExplicitTables(
            courant=backend.array((fields.diffusion * dt / model.spacing**2).astype(np.float32)),
            keep=backend.array(keep.astype(np.float32)),
            gain=backend.array(gain.astype(np.float32)),
            exchange_by=backend.array(exchange_by(fields)),
        )
        # A field that neither moves nor changes by itself needs no substep at all.
        moving = (fields.diffusion > 0) | (fields.loss != 0).any((1, 2)) | (fields.production != 0).any((1, 2))
        mine = np.isin(np.arange(len(fields)), chosen)
        counts = np.where(moving & mine, self.substeps, 0)
        lists = [np.flatnonzero(counts > i).astype(np.int32) for i in range(counts.max(initial=0))]
        arrays = {tuple(each): backend.array(each) for each in lists}
        self._active = [arrays[tuple(each)] for each in lists]

    def advance(self, state: State) -> None:
        """Change `state.fields` in place; `state.spare` is overwritten."""
        source, target = state.fields, state.spare
        for active in self._active:
            self._backend.explicit_step(source, target, state.tissue.cells, state.immune.cells, active, self._tables)
            source, target = target, source
