"""Implicit steps: stable, positive and right in the steady state whatever the step.

With f(c) = D laplace(c) + p - k c, production p and loss k by the cells of each voxel:

- backward Euler, c1 = c0 + dt f(c1): first order;
- SDIRK2 (Alexander 1977, gamma = 1 - 1/sqrt 2): two solves of gamma dt, second order, L-stable;
- steady: f(c1) = 0, for a field that settles fast against the step.
"""

import math

import numpy as np

from gpusim.backends.base import Array, Backend, MassByCells
from gpusim.engine.state import State
from gpusim.engine.transport.exchange import exchange_by
from gpusim.engine.transport.multigrid import Multigrid
from gpusim.model import Model

GAMMA = 1.0 - 1.0 / math.sqrt(2.0)

CYCLES = {"implicit": 5, "implicit2": 6, "steady": 6}
"""V-cycles of a solve; each takes the error to a third or less (tests/engine/test_multigrid.py)."""


MOST_SWEEPS = 8
"""Sweeps that cost about as much as a V-cycle and a half; beyond, coarse levels pay."""


class ImplicitSolver:
    """Advances the fields in `fields` by one method ("implicit", "implicit2", "steady")."""

    def __init__(self, model: Model, backend: Backend, fields: list[int], method: str, multigrid: Multigrid) -> None:
        table, step = model.fields, model.step
        dt = {"implicit": step, "implicit2": GAMMA * step, "steady": 1.0}[method]
        mass = dt * table.loss + (method != "steady")
        self._method = method
        self._backend = backend
        self._multigrid = multigrid
        self._coupling = backend.array((dt * table.diffusion / model.spacing**2).astype(np.float32))
        self._mass = backend.array(mass.astype(np.float32))
        gain = dt * table.production
        self._gain = backend.array(gain.astype(np.float32))
        self._second_gain = backend.array((gain * (1 - GAMMA) / GAMMA).astype(np.float32))
        self._exchange_by = backend.array(exchange_by(table))
        # Fields that take the same recipe share launches where the backend likes that.
        recipes: dict[tuple[int, ...], list[int]] = {}
        for f in fields:
            sweeps = enough_sweeps(dt * table.diffusion[f] / model.spacing**2, float(mass[f].min()))
            recipe = (sweeps, 0) if sweeps <= MOST_SWEEPS else (0, CYCLES[method])
            recipes.setdefault((*recipe, *([] if backend.fields_together else [f])), []).append(f)
        self._recipes = [(key[0], key[1], backend.array(np.array(f, np.int32))) for key, f in recipes.items()]

    def advance(self, state: State) -> None:
        """Change `state.fields` in place; `state.spare` is overwritten."""
        cells = MassByCells(state.tissue.cells, state.immune.cells, self._mass, self._exchange_by)
        old = 0.0 if self._method == "steady" else 1.0
        for sweeps, cycles, active in self._recipes:
            self._backend.combine(state.fields, state.spare, cells, active, self._gain, old, 0.0)
            self._solve(state, cells, active, sweeps, cycles)
            if self._method == "implicit2":
                # Right-hand side of the second stage: c0 + (1 - gamma) / gamma (c_stage - c0) + gamma dt p,
                # where the buffer holds c0 + gamma dt p.
                share = (1 - GAMMA) / GAMMA
                self._backend.combine(state.fields, state.spare, cells, active, self._second_gain, share, 1.0 - share)
                self._solve(state, cells, active, sweeps, cycles)

    def _solve(self, state: State, cells: MassByCells, active: Array, sweeps: int, cycles: int) -> None:
        arguments = (state.fields, state.spare, cells, active, self._coupling)
        if cycles:
            self._multigrid.solve(*arguments, cycles)
        else:
            self._multigrid.relax(*arguments, sweeps)


def enough_sweeps(coupling: float, mass: float) -> int:
    """Sweeps of two-colour Gauss-Seidel that take the error to 1e-4 with no coarse level.

    A sweep takes it to the square of Jacobi's factor, 6 a / (m + 6 a) (Young 1954); the first one only
    to the factor itself, on the colour that goes first.
    """
    factor = (6 * coupling / (mass + 6 * coupling)) ** 2
    if factor == 0:
        return 1
    return 1 + math.ceil(math.log(1e-4) / math.log(factor)) if factor < 1 else MOST_SWEEPS + 1
