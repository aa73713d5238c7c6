"""Explicit steps: cheapest for slow and for moderately fast fields.

A field takes one of three methods:

- Heun's, twice a step, where it is slow and its cells take little of it: c' = (c + E(E(c))) / 2, with E
  an Euler step. Second order; an average of Euler steps, so concentrations stay at 0 or above as they do in
  those (Shu and Osher 1988, "Efficient implementation of essentially non-oscillatory shock-capturing
  schemes").
- stages: the s stages of a Runge-Kutta-Gegenbauer method of first order, whose number grows with the
  square root of D. Its amplification factor is the Gegenbauer polynomial C_s^(3), divided by its value
  at 1, of one small Euler step. These methods and their monotonicity: Skaras et al. 2021, "Super-time-
  stepping schemes for parabolic equations with boundary conditions" (there with 3/2 for the index). On
  a 3D lattice the index 3 keeps concentrations at 0 or above, which tests hold for every s in use. That needs
  one D and no open side: where D jumps, a point dose can leave -4% of itself.
- Euler's: substeps, whose number grows with D, with the exchange implicit. Stable and positive for any loss,
  any D by state and any side; voxels that hold a concentration have it after each.

The time of a pass is chosen so that a field decays exactly where there are no cells (`Method.time`). With step / pieces
in its place, the error grows with each decay time: to 7% after seven of them, for a half-life of 35 min and steps of
5 min.
"""

import enum
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpusim.backends.base import Backend, Known
from gpusim.backends.groups import Array, ExplicitTables
from gpusim.engine.purpose import Purpose
from gpusim.engine.state import State
from gpusim.engine.transport.diffusion import diffusion, varies
from gpusim.engine.transport.exchange import Alone, ExchangeMaps, alone, exchange_by, walled, with_held
from gpusim.model import Model

LARGEST_COURANT = 0.15
"""D dt / dx^2 of a pass; at 1/6 a voxel would give all it has, and rounding could go below 0."""
LARGEST_SHARE = 6 * LARGEST_COURANT
"""Of what a voxel holds, to its neighbours and its cells in a pass of Heun's method; at 1, all of it."""
HEUN_STEPS = 2
"""Steps of Heun's method in a step: one is less exact than what it replaces in fields as slow as a virus."""
LARGEST_SPREAD = 0.02
"""Of loss * dt of a pass between one voxel and another, in stages: beyond it, they lose their sign."""
INDEX = 3
"""Of the Gegenbauer polynomials."""
MOST_DECAY = 16.0
"""Decay times of a step beyond which what is left, 1e-7, is as good as nothing."""


class Method(enum.Enum):
    """How passes make up a step."""

    EULER = "substeps"
    HEUN = "Heun"
    STAGES = "stages"

    def pieces(self, passes: int) -> float:
        """Euler steps of a pass's size that so many passes amount to."""
        if self is Method.STAGES:  # the slope of the polynomial at 1
            return passes * (passes + 2 * INDEX) / (2 * INDEX + 1)
        return passes / 2 if self is Method.HEUN else float(passes)

    def passes(self, pieces: float) -> int:
        """The fewest passes, even in number, that amount to as many pieces or more."""
        if self is Method.STAGES:
            wanted = math.sqrt(INDEX**2 + (2 * INDEX + 1) * pieces) - INDEX
        else:
            wanted = 2 * pieces if self is Method.HEUN else pieces
        return 2 * max(1, math.ceil(wanted / 2 - 1e-9))

    def momentum(self, number: int) -> float:
        """By how much pass `number` (from 1) goes beyond its Euler step, away from the pass before the last."""
        if self is Method.STAGES:
            return (number - 1) / (number - 1 + 2 * INDEX)
        # Half of the Euler step, half of what the target holds.
        return -0.5 if self is Method.HEUN and number % 2 == 0 else 0.0

    @property
    def implicit_exchange(self) -> bool:
        """Whether cells take of what a voxel holds at the end of a pass; else, at its beginning."""
        return self is not Method.HEUN

    def left(self, passes: int, loss: float) -> float:
        """The share of a uniform concentration that is left after a step, with a loss for a pass."""
        found: float = self.amplified(passes, 1 / (1 + loss) if self.implicit_exchange else 1 - loss)
        return found

    def amplified(self, passes: int, euler: Any) -> Any:
        """What a step leaves of what a step of Euler's of a pass's size takes to `euler`, a number or an array."""
        before, now = 1.0, 1.0
        for number in range(1, passes + 1):
            stepped = euler * now
            before, now = now, stepped + self.momentum(number) * (stepped - before)
        return now

    def time(self, passes: int, step: float, decay: float) -> float:
        """Minutes of a pass. A uniform concentration without cells decays by exp(-decay * step), as it should.

        Diffusion, production and loss all act for this time, so it does not change their steady state.
        """
        plain, decays = step / self.pieces(passes), min(decay * step, MOST_DECAY)
        if decays < 1e-6:
            return plain
        if self is Method.EULER:
            found = math.expm1(decays / passes) / decay
        elif self is Method.HEUN:
            lost = 2 * math.expm1(-2 * decays / passes)  # (1 - loss)^2 = 1 + lost
            if lost < -1:
                return math.inf
            found = -lost / (1 + math.sqrt(1 + lost)) / decay
        else:
            found = self._time_by_search(passes, plain, decay, math.exp(-decays))
        return float(f"{found:.12g}")  # no more digits than any machine gives

    def _time_by_search(self, passes: int, plain: float, decay: float, wanted: float) -> float:
        from scipy.optimize import brentq  # slow to load

        low = high = plain
        while self.left(passes, decay * low) < wanted:
            low *= 0.8
        while self.left(passes, decay * high) >= wanted:
            high *= 1.25
        found: float = brentq(lambda time: self.left(passes, decay * time) - wanted, low, high, xtol=1e-14 * high)
        return found


@dataclass(frozen=True)
class Scheme:
    """How a field is stepped: `passes` over it, each of `time` minutes."""

    method: Method
    passes: int
    time: float


def schemes(model: Model) -> list[Scheme]:
    """The scheme of each field by its largest D; passes are even in number, so that the result ends where it began."""
    found = []
    fields, exchange, step = model.fields, model.exchange, model.step
    closed = np.logical_not(np.any(fields.boundary.permeability > 0, axis=1)).reshape(-1)
    even = ~varies(fields) & closed
    counted = walled(exchange)  # what crosses a wall in a stage can't be told from where it ends
    for f in range(len(fields)):
        courant = float(fields.diffusion[f].max()) / model.spacing**2  # of a minute
        steepest = max(float(exchange.highest_loss[f].max()), float(exchange.steepest[f].max()))
        decay = float(exchange.decay[f])

        def scheme(method: Method, passes: int, decay: float = decay) -> Scheme:
            return Scheme(method, passes, method.time(passes, step, decay))

        def fine(method: Method, most: float) -> Scheme:
            """The one with the fewest passes of at most so many minutes."""
            found = scheme(method, method.passes(step / most))
            while found.time > most * (1 + 1e-9):
                found = scheme(method, found.passes + 2)
            return found

        heun = scheme(Method.HEUN, 2 * HEUN_STEPS)
        if closed[f] and (6 * courant + steepest) * heun.time <= LARGEST_SHARE:
            found.append(heun)
            continue
        most = LARGEST_COURANT / courant if courant else math.inf
        plain = fine(Method.EULER, most)
        if steepest > decay:
            most = min(most, LARGEST_SPREAD / (steepest - decay))
        if not even[f] or counted[f] or most < 1e-6 * step or Method.STAGES.passes(step / most) >= plain.passes:
            found.append(plain)
            continue
        staged = fine(Method.STAGES, most)
        found.append(staged if staged.passes < plain.passes else plain)
    return found


class ExplicitSolver:
    """Each field by its own scheme; a launch takes a pass over all fields that have it, or all of a small lattice."""

    def __init__(
        self,
        model: Model,
        backend: Backend,
        chosen: list[int],
        schemes: list[Scheme],
        exchange: ExchangeMaps,
        seeds: Array,
    ) -> None:
        fields, plain = model.fields, model.exchange
        dt = np.array([scheme.time for scheme in schemes])
        lost, gained = (dt[:, None, None] * rate for rate in (plain.loss, plain.production))
        implicit = np.array([scheme.method.implicit_exchange for scheme in schemes])
        # c' = (c + inflow + dt p) / (1 + dt k), or c + inflow + dt p - dt k c.
        keep = np.where(implicit[:, None, None], 1.0 / (1.0 + lost), 1.0 - lost)
        gain = np.where(implicit[:, None, None], gained * keep, gained)
        keep, gain = with_held(plain, keep, 0.0), with_held(plain, gain, plain.held)
        # A field that neither moves nor changes by itself needs no pass at all.
        changing = (plain.loss != 0).any((1, 2)) | (plain.production != 0).any((1, 2)) | (plain.slots >= 0)
        moving = (fields.diffusion > 0).any(1) | changing
        passes = np.zeros(len(fields), np.int32)
        for f in chosen:
            passes[f] = schemes[f].passes if moving[f] else 0
        most = int(passes.max(initial=0))
        momenta = np.zeros((len(fields), most), np.float32)
        for f, number in np.ndindex(*momenta.shape):
            momenta[f, number] = schemes[f].method.momentum(number + 1)
        self._backend = backend
        self._tables = ExplicitTables(
            diffusion=diffusion(model, dt, backend),
            keep=backend.array(keep.astype(np.float32)),
            gain=backend.array(gain.astype(np.float32)),
            exchange_by=backend.array(exchange_by(plain)),
            maps=exchange.maps,
            implicit_exchange=backend.array(implicit.astype(np.int32)),
            passes=backend.array(passes),
            momenta=backend.array(momenta),
        )
        self._seeds, self._walls = seeds, exchange.walls
        self._times = backend.array(dt.astype(np.float32))
        self._walled = len(chosen) == 1 and bool(walled(plain)[chosen[0]])
        self._alone: Alone | None = None
        if len(chosen) == 1 and alone(plain)[chosen[0]]:
            (f,) = chosen
            heun = schemes[f].method is Method.HEUN
            # Of Heun's passes, the mean is what moves.
            time = float(dt[f]) / 2 if heun else float(dt[f])
            self._alone = Alone(model, backend, exchange, f, [time], counts_before=heun)
        at_once = most if model.voxels <= backend.voxels_at_once and self._alone is None else 1
        self._known: Known = {}
        self._launches = []
        arrays: dict[tuple[int, ...], Array] = {}
        for first in range(1, most + 1, max(1, at_once)):
            members = tuple(f for f in chosen if passes[f] >= first)
            active = arrays.setdefault(members, backend.array(np.array(members, np.int32)))
            self._launches.append((active, first, first + at_once))

    def advance(self, state: State, step: int) -> None:
        """Take step number `step`: change `state.fields` in place; `state.spare` is overwritten."""
        if self._alone is not None:
            self._pass(state, step)
        else:
            of = (state.fields, state.spare, state.tissue.cells, state.immune.cells)
            self._backend.repeat(lambda: self._pass(state, step), self._known, *of)

    def _pass(self, state: State, step: int) -> None:
        tables = (self._tables, self._tables.diffusion, self._tables.maps)
        cells = {"tissue": state.tissue.cells, "immune": state.immune.cells}
        for active, first, end in self._launches:
            source, target = (state.fields, state.spare) if first % 2 else (state.spare, state.fields)
            if self._alone is not None:
                self._alone.before(state, source)
            given: dict[str, Any] = {"active": active, "source": source, "target": target, "first": first}
            if self._walled:
                walled = {
                    "tissue": state.tissue.cells,
                    "body": state.body,
                    "times": self._times,
                    "walls": self._walls,
                }
                drawn = {"seeds": self._seeds, "step": step, "purpose": Purpose.WALLS}
                self._backend.launch("walled_step", *tables, **given, **walled, **drawn)
            else:
                self._backend.launch("explicit_step", *tables, **given, **cells, end=end)
            if self._alone is not None:
                self._alone.after(state, target)
