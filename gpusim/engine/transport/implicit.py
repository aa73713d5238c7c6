"""Implicit steps: stable, positive and right in the steady state whatever the step.

With f(c) = D laplace(c) + p - k c, production p and loss k by the cells of each voxel:

- backward Euler, c1 = c0 + dt' f(c1): first order; dt' is such that a field decays exactly where there are no cells;
- SDIRK2 (Alexander 1977, gamma = 1 - 1/sqrt 2): two solves of gamma dt, second order, L-stable;
- steady: f(c1) = 0, for a field that settles fast against the step.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from gpusim.backends.base import Backend
from gpusim.backends.groups import Array, Masses
from gpusim.engine.state import State
from gpusim.engine.transport.diffusion import boundary_bits, by_state, diffusion
from gpusim.engine.transport.exchange import Alone, ExchangeMaps, alone, exchange_by, with_held
from gpusim.engine.transport.explicit import MOST_DECAY
from gpusim.engine.transport.multigrid import Finest, Multigrid, Recipe
from gpusim.model import Model
from gpusim.model.tables import HELD_MASS, PERIODIC

GAMMA = 1.0 - 1.0 / math.sqrt(2.0)

CYCLES = {"implicit": 5, "implicit2": 6, "steady": 6}
"""V-cycles of a solve; each takes the error to a third or less (tests/engine/test_multigrid.py)."""

CYCLES_TO_FOLLOW = 2
"""Of a steady field after the first step: it starts from its last solution, and what has changed since is
taken to a ninth or less. A field that has settled is solved as well as with more."""

TURNS_AT_FIRST, TURNS = 20, 3
"""Solves of a step, in the first one and later, of a field with effects on itself, between which these are made anew.
Where cells that take zero-order uptake lie without any oxygen, the border of that region moves by about a voxel a turn;
later steps start from the solution of the one before."""

CYCLES_OF_TURN = 2
"""V-cycles of such a solve: the next turn goes on from where it ends."""

CYCLES_WHERE_D_VARIES = 2
"""Times as many where D jumps from voxel to voxel: coarse levels then see a mean of it alone."""

CYCLES_WHERE_CARRIED = 2
"""Times as many of a field that flow carries. It moves anew in each step, and a solve that ends early changes the mass
by a part of that: by 5e-8 a step with five cycles, and by 4e-9, which is the rounding of the solver, with ten."""

CYCLES_WITHOUT_LOSS = 6
"""Times as many in the first step of a steady field that decays nowhere and rests on voxels which hold it. Where these
lie together, a cycle takes the error to 0.9, as coarse levels see a mean of them and of what is beside them."""

MOST_SWEEPS = 8
"""Sweeps that cost about as much as a V-cycle and a half; beyond, coarse levels pay."""


class Share(NamedTuple):
    """rhs = from_c * c + from_rhs * rhs + from_gain * (gain by cells and inflow through open sides)."""

    from_c: float
    from_rhs: float
    from_gain: float


class ImplicitSolver:
    """Advances the fields in `fields` by one method ("implicit", "implicit2", "steady")."""

    def __init__(
        self,
        model: Model,
        backend: Backend,
        fields: list[int],
        method: str,
        multigrid: Multigrid,
        exchange: ExchangeMaps,
    ) -> None:
        plain = model.exchange
        solves = [time_and_mass(method, model.step, decay) for decay in plain.decay]
        dt, mass_of_time = np.array(solves).reshape(-1, 2).T
        mass = dt[:, None, None] * plain.loss + mass_of_time[:, None, None]
        self._method = method
        self._backend = backend
        self._multigrid = multigrid
        self._maps = exchange.maps
        gain = dt[:, None, None] * plain.production
        self._diffusion = diffusion(model, dt, backend, operator=True)
        self._masses = Masses(
            backend.array(with_held(plain, mass, HELD_MASS).astype(np.float32)), backend.array(exchange_by(plain))
        )
        self._gain = backend.array(with_held(plain, gain, HELD_MASS * plain.held).astype(np.float32))
        # Fields that take the same recipe share launches where the backend likes that.
        recipes: dict[tuple[Recipe, int], list[int]] = {}
        for f in fields:
            recipes.setdefault((recipe_of(model, f, method), 0 if backend.fields_together else f), []).append(f)
        self._recipes = [(each, backend.array(np.array(f, np.int32))) for (each, _), f in recipes.items()]
        resting = plain.holds.any(axis=1) & (plain.decay == 0)
        self._at_first = [CYCLES_WITHOUT_LOSS if resting[f].any() else 1 for f in recipes.values()]
        self._alone: Alone | None = None
        if len(fields) == 1 and alone(plain)[fields[0]]:
            parts = [(1 - GAMMA) * model.step, GAMMA * model.step] if method == "implicit2" else [dt[fields[0]]]
            self._alone = Alone(model, backend, exchange, fields[0], parts)

    def advance(self, state: State, step: int, add: Callable[[], None] | None = None) -> None:
        """Take step number `step`: change `state.fields` in place; `state.spare` is overwritten.

        `add`: adds further production, for the time of a solve, to the right-hand side in `state.spare`.
        """
        cells = state.tissue.cells, state.immune.cells
        operator = Finest(*cells, self._masses, self._maps, self._diffusion)
        old = 0.0 if self._method == "steady" else 1.0
        steady = self._method == "steady" and not (self._alone is not None and self._alone.own)
        for (whole, active), at_first in zip(self._recipes, self._at_first, strict=True):
            recipe = whole
            if steady:
                recipe = _following(whole) if step > 0 else replace(whole, cycles=whole.cycles * at_first)
            self._solve(state, operator, active, Share(old, 0.0, 1.0), recipe, first=step == 0, add=add)
            if self._method == "implicit2":
                # Right-hand side of the second stage: c0 + (1 - gamma) / gamma (c_stage - c0) + gamma dt p,
                # where the buffer holds c0 + gamma dt p.
                share = (1 - GAMMA) / GAMMA
                self._solve(state, operator, active, Share(share, 1.0 - share, share), recipe, first=False, part=1)

    def _solve(
        self,
        state: State,
        operator: Finest,
        active: Array,
        share: Share,
        recipe: Recipe,
        *,
        first: bool,
        part: int = 0,
        add: Callable[[], None] | None = None,
    ) -> None:
        """Solve one stage; in turns, with new linear parts, where effects depend on the field itself."""
        if self._alone is None or not self._alone.own:
            given = {"c": state.fields, "rhs": state.spare, "gain": self._gain, "active": active}
            self._backend.launch("combine", self._maps, self._diffusion, **operator.cells, **given, **share._asdict())
            if add is not None:
                add()
            self._multigrid.solve(state.fields, state.spare, operator, active, recipe)
        else:
            turns = TURNS_AT_FIRST if first else TURNS
            part_of_c, part_of_held = share.from_c, share.from_rhs
            for _ in range(turns):
                self._alone.before(state, state.fields, part_of_c, part_of_held)
                self._multigrid.solve(state.fields, state.spare, operator, active, recipe)
                part_of_c, part_of_held = 0.0, 1.0
        if self._alone is not None:
            self._alone.after(state, state.fields, part)


def recipe_of(model: Model, field: int, method: str) -> Recipe:
    """How a field is solved."""
    fields, decay = model.fields, float(model.exchange.decay[field])
    dt, mass = time_and_mass(method, model.step, decay)
    sweeps = enough_sweeps(dt * fields.diffusion[field].max() / model.spacing**2, dt * decay + mass)
    varying = bool(by_state(model)[field])
    cycles = CYCLES_OF_TURN if model.exchange.own[field] else CYCLES[method]
    if model.flow is not None and model.flow.speeds[field] > 0:
        cycles *= CYCLES_WHERE_CARRIED
    return Recipe(
        sweeps=sweeps if sweeps <= MOST_SWEEPS else 0,
        cycles=0 if sweeps <= MOST_SWEEPS else cycles * (CYCLES_WHERE_D_VARIES if varying else 1),
        periodic=int(boundary_bits(fields)[field]) & sum(PERIODIC),
        varying=varying,
    )


def time_and_mass(method: str, step: float, decay: float) -> tuple[float, float]:
    """The time of one solve, min, and the mass of the operator in it, of a field with a decay, 1/min.

    In `implicit` a uniform concentration without cells decays by exp(-decay * step), as in explicit passes.
    """
    if method == "implicit":
        return (math.expm1(min(decay * step, MOST_DECAY)) / decay if decay > 0 else step), 1.0
    return (GAMMA * step, 1.0) if method == "implicit2" else (1.0, 0.0)


def _following(recipe: Recipe) -> Recipe:
    """The recipe of a field that starts from its last solution."""
    return replace(recipe, cycles=recipe.cycles * CYCLES_TO_FOLLOW // CYCLES["steady"])


def enough_sweeps(coupling: float, mass: float) -> int:
    """Sweeps of two-colour Gauss-Seidel that take the error to 1e-4 with no coarse level.

    A sweep takes it to the square of Jacobi's factor, 6 a / (m + 6 a) (Young 1954); the first one only
    to the factor itself, on the colour that goes first.
    """
    factor = (6 * coupling / (mass + 6 * coupling)) ** 2
    if factor == 0:
        return 1
    return 1 + math.ceil(math.log(1e-4) / math.log(factor)) if factor < 1 else MOST_SWEEPS + 1
