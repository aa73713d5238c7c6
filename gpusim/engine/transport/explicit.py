"""Explicit steps: cheapest for slow and for moderately fast fields.

A field takes one of two schemes, whichever has fewer passes over it:

- plain: n substeps of forward Euler, whose number grows with D;
- stages: the s stages of a Runge-Kutta-Gegenbauer method of first order, whose number grows with the
  square root of D. Its amplification factor is the Gegenbauer polynomial C_s^(3), divided by its value
  at 1, of one small Euler step. These methods and their monotonicity: Skaras et al. 2021, "Super-time-
  stepping schemes for parabolic equations with boundary conditions" (there with 3/2 for the index). On
  a 3D lattice the index 3 keeps concentrations at 0 or above, which tests hold for every s in use. That needs
one D and no open side: where D jumps, a point dose can leave -4% of itself, so such fields go plain.
"""

import math
from dataclasses import dataclass

import numpy as np

from gpusim.backends.base import Backend, ExplicitTables
from gpusim.engine.state import State
from gpusim.engine.transport.diffusion import diffusion, varies
from gpusim.engine.transport.exchange import exchange_by
from gpusim.model import Fields, Model

LARGEST_COURANT = 0.15
"""D dt / dx^2 of a pass; at 1/6 a voxel would give all it has, and rounding could go below 0."""
LARGEST_SPREAD = 0.02
"""Of loss * dt of a pass between one voxel and another, in stages: beyond it, they lose their sign."""
INDEX = 3
"""Of the Gegenbauer polynomials."""


def stretch(stages: int) -> float:
    """Time that so many stages cover, in Euler steps of their size: the slope of the polynomial at 1."""
    return stages * (stages + 2 * INDEX) / (2 * INDEX + 1)


@dataclass(frozen=True)
class Scheme:
    """How a field is stepped: `passes` over it, each of `step` / `pieces` minutes."""

    staged: bool
    passes: int

    @property
    def pieces(self) -> float:
        """Euler steps of a pass's size that the step amounts to."""
        return stretch(self.passes) if self.staged else float(self.passes)

    def momentum(self, number: int) -> float:
        """By how much pass `number` (from 1) goes beyond its Euler step, away from the pass before the last."""
        return (number - 1) / (number - 1 + 2 * INDEX) if self.staged else 0.0


def schemes(fields: Fields, spacing: float, step: float) -> list[Scheme]:
    """The scheme of each field by its largest D; passes are even in number, so that the result ends where it began."""
    found = []
    even = ~varies(fields) & ~(fields.boundary.permeability > 0).any(1)
    for f, loss in enumerate(fields.loss):
        courant = fields.diffusion[f].max() * step / spacing**2
        plain = Scheme(False, 2 * max(1, math.ceil(courant / LARGEST_COURANT / 2 - 1e-9)))
        pieces = max(courant / LARGEST_COURANT, (loss.max() - loss.min()) * step / LARGEST_SPREAD)
        # stretch(s) >= pieces, solved for s.
        stages = math.sqrt(INDEX**2 + (2 * INDEX + 1) * pieces) - INDEX
        staged = Scheme(True, 2 * max(1, math.ceil(stages / 2 - 1e-9)))
        found.append(staged if even[f] and staged.passes < plain.passes else plain)
    return found


class ExplicitSolver:
    """Each field by its own scheme; fields whose passes have the same momentum share a launch."""

    def __init__(self, model: Model, backend: Backend, chosen: list[int]) -> None:
        fields = model.fields
        self.schemes = schemes(fields, model.spacing, model.step)
        dt = model.step / np.array([scheme.pieces for scheme in self.schemes])
        # Exchange is implicit: c' = (diffused + dt p) / (1 + dt k).
        keep = 1.0 / (1.0 + dt[:, None, None] * fields.loss)
        gain = dt[:, None, None] * fields.production * keep
        self._backend = backend
        self._tables = ExplicitTables(
            diffusion=diffusion(model, dt, backend),
            keep=backend.array(keep.astype(np.float32)),
            gain=backend.array(gain.astype(np.float32)),
            exchange_by=backend.array(exchange_by(fields)),
        )
        # A field that neither moves nor changes by itself needs no pass at all.
        moving = (fields.diffusion > 0).any(1) | (fields.loss != 0).any((1, 2)) | (fields.production != 0).any((1, 2))
        mine = [f for f in chosen if moving[f]]
        arrays: dict[tuple[int, ...], np.ndarray] = {}
        self._launches = []
        for number in range(1, 1 + max((self.schemes[f].passes for f in mine), default=0)):
            groups: dict[float, list[int]] = {}
            for f in mine:
                if number <= self.schemes[f].passes:
                    groups.setdefault(self.schemes[f].momentum(number), []).append(f)
            for momentum, members in groups.items():
                active = arrays.setdefault(tuple(members), backend.array(np.array(members, np.int32)))
                self._launches.append((number, active, momentum))

    def advance(self, state: State, step: int) -> None:
        """Take step number `step`: change `state.fields` in place; `state.spare` is overwritten."""
        buffers = (state.fields, state.spare)
        for number, active, momentum in self._launches:
            source, target = buffers[(number + 1) % 2], buffers[number % 2]
            self._backend.explicit_step(
                source, target, state.tissue.cells, state.immune.cells, active, self._tables, momentum
            )
