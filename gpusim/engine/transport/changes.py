"""Implicit steps of a field that exchanges with the body, solved for the change of its concentration.

What voxels lose is then what is counted for the body, however little it is (kernels/changes.cu). Stages are those of
`implicit.py`. With d the solution of a stage and b the concentration at its beginning, that after a step of backward
Euler is b + d. The second stage of SDIRK2 begins at b + (1 - gamma) / gamma d.
"""

from dataclasses import replace

import numpy as np

from gpusim.backends.base import Backend
from gpusim.backends.groups import Array, Masses
from gpusim.engine.purpose import Purpose
from gpusim.engine.state import State
from gpusim.engine.transport.diffusion import diffusion
from gpusim.engine.transport.exchange import Alone, ExchangeMaps, exchange_by, walled
from gpusim.engine.transport.implicit import GAMMA, TURNS, TURNS_AT_FIRST, recipe_of, time_and_mass
from gpusim.engine.transport.multigrid import ANY_VALUE, Finest, Multigrid
from gpusim.model import Model

MOST_LOSS = 1000.0
"""Of a voxel in a solve, relative to what is left of its concentration. Where a cell takes more, the change has too few
digits for what is left, and the concentration itself is solved for."""

BYTES_PER_VOXEL = 4
"""The concentration at the beginning of a stage; fields that are solved in this way share the array."""


def by_change(model: Model, field: int, method: str) -> bool:
    """Whether a field is solved for its change by a method ("explicit", "implicit", "implicit2", "steady").

    One with fixed concentrations is not: these are no changes.
    """
    exchange = model.exchange
    if method not in ("implicit", "implicit2") or not walled(exchange)[field] or exchange.holds[field].any():
        return False
    time, _ = time_and_mass(method, model.step, float(exchange.decay[field]))
    return time * float(exchange.highest_loss[field].max()) <= MOST_LOSS


class ChangeSolver:
    """Advances one field by one method ("implicit", "implicit2"); `base`: float32 [R, z, y, x], to be overwritten."""

    def __init__(
        self,
        model: Model,
        backend: Backend,
        field: int,
        method: str,
        multigrid: Multigrid,
        exchange: ExchangeMaps,
        seeds: Array,
        base: Array,
    ) -> None:
        plain, count = model.exchange, len(model.fields)
        dt, _ = time_and_mass(method, model.step, float(plain.decay[field]))
        times = np.full(count, dt)
        parts = [(1 - GAMMA) * model.step, dt] if method == "implicit2" else [dt]
        self._shares = [(1 - GAMMA) / GAMMA, 1.0] if method == "implicit2" else [1.0]
        self._backend, self._multigrid, self._exchange = backend, multigrid, exchange
        self._seeds, self._base, self._field = seeds, base, field
        self._active = backend.array(np.array([field], np.int32))
        self._times = backend.array(times.astype(np.float32))
        self._diffusion = diffusion(model, times, backend, operator=True)
        self._masses = Masses(backend.array(np.ones(plain.loss.shape, np.float32)), backend.array(exchange_by(plain)))
        self._recipe = replace(recipe_of(model, field, method), lowest=ANY_VALUE)
        self._alone = Alone(model, backend, exchange, field, parts)

    def advance(self, state: State, step: int) -> None:
        """Take step number `step`: change `state.fields` in place; `state.spare` is overwritten."""
        launch, last = self._backend.launch, len(self._shares)
        changes = {"active": self._active, "base": self._base, "fields": state.fields}
        drawn = {"seeds": self._seeds, "step": step, "purpose": Purpose.WALLS}
        operator = Finest(state.tissue.cells, state.immune.cells, self._masses, self._exchange.maps, self._diffusion)
        launch("begin_changes", **changes)
        for stage, share in enumerate(self._shares, 1):
            for _ in range(self._turns(first=step == 0 and stage == 1)):
                launch("apply_changes", self._exchange.maps, **changes, target=state.spare)
                self._exchange.follow_own(state, state.spare, self._field, 0.0, 1.0)
                self._combine(state)
                self._multigrid.solve(state.fields, state.spare, operator, self._active, self._recipe)
            launch("apply_changes", self._exchange.maps, **changes, target=state.spare)
            self._alone.after(state, state.spare, stage - 1)
            number = stage + last * (step % 2)  # the rounding of one step affects that of the next
            launch("add_changes", **changes, **drawn, share=share, last=int(stage == last), number=number)

    def _turns(self, *, first: bool) -> int:
        """How often the maps are made anew in a stage: more than once where effects depend on the field itself."""
        return 1 if not self._alone.own else TURNS_AT_FIRST if first else TURNS

    def _combine(self, state: State) -> None:
        self._backend.launch(
            "combine_changes",
            self._exchange.maps,
            self._diffusion,
            active=self._active,
            times=self._times,
            walls=self._exchange.walls,
            tissue=state.tissue.cells,
            body=state.body,
            base=self._base,
            rhs=state.spare,
        )
