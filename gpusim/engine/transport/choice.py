"""Which solver a field takes, and why."""

from dataclasses import dataclass

import numpy as np

from gpusim.engine.transport.exchange import walled
from gpusim.engine.transport.explicit import Scheme, schemes
from gpusim.engine.transport.implicit import GAMMA, time_and_mass
from gpusim.errors import ScenarioError
from gpusim.model import Model
from gpusim.model.exchange import effects_by_state
from gpusim.model.tables import RIGID, Shape, members, power_of

MOST_PASSES = 60
"""Explicit passes a step up to which `auto` goes explicit. A multigrid solve costs as much as 80 of them at 128^3
and 200 at 16^3 on a processor, and moves as many bytes as 40, in two hundred launches, on a GPU."""

_MOST_EXPLICIT = 100_000


@dataclass(frozen=True)
class Choice:
    """The solver of a field, and why; `scheme` is how explicit passes would step it."""

    solver: str
    reason: str
    scheme: Scheme

    @property
    def passes(self) -> int:
        """Explicit passes in a step; 1 for another solver."""
        return self.scheme.passes if self.solver == "explicit" else 1


def choices(model: Model) -> list[Choice]:
    """The solver of each field. Raises `ScenarioError` where a field can't have the one asked for."""
    found = []
    for f, (name, scheme) in enumerate(zip(model.fields.names, schemes(model), strict=True)):
        asked, count = model.fields.solvers[f], scheme.passes
        if model.flow is not None and f == model.flow.field:
            _require_reference(model)
            found.append(Choice("steady", f"pressure, every {model.flow.every * model.step:g} min", scheme))
            continue
        if asked == "steady" and not _settles(model, f):
            raise ScenarioError(
                f"fields.{name}.solver: 'steady' needs a decay above 0; found {model.exchange.decay[f]:g} /min"
            )
        if asked == "explicit" and count > _MOST_EXPLICIT:
            raise ScenarioError(
                f"fields.{name}.solver: 'explicit' needs {count:,} passes per step; expected at most "
                f"{_MOST_EXPLICIT:,}: use 'auto', or a shorter time.step.field"
            )
        if asked == "implicit2" and walled(model.exchange)[f]:
            _require_slow(model, f)
        why = f"asked for ({count} explicit passes, {scheme.method.value})"
        solver = asked
        if asked == "auto":
            solver = "explicit" if count <= MOST_PASSES else "implicit"
            than = "at most" if solver == "explicit" else "over"
            why = f"{count} passes ({scheme.method.value}), {than} {MOST_PASSES}"
        _require_rest(model, f, solver, scheme)
        found.append(Choice(solver, why, scheme))
    return found


MOST_LOSS_OF_STAGE = 1 / (1 - 2 * GAMMA)
"""Of a voxel in a step, relative to what is left of its concentration: with more, the second stage of `implicit2` would
begin below 0, from where it is raised to 0, and the body would receive more than voxels lose."""


def _require_slow(model: Model, f: int) -> None:
    """Raise `ScenarioError` where a field with `implicit2` exchanges too fast with the body for its balance."""
    most = model.step * float(model.exchange.highest_loss[f].max())
    if most > MOST_LOSS_OF_STAGE:
        found = f"{most:.3g}" if most < np.inf else "without a bound"
        raise ScenarioError(
            f"fields.{model.fields.names[f]}.solver: found implicit2, which does not conserve the mass of a fast "
            f"exchange with the body (here the highest loss times the time step is {found}); expected at most "
            f"{MOST_LOSS_OF_STAGE:.2g}, auto, explicit or implicit"
        )


def _require_rest(model: Model, f: int, solver: str, scheme: Scheme) -> None:
    """Raise `ScenarioError` where a field opens its exchange with the body too steeply, and would go back and forth.

    A permeability P h(c) is taken at the concentration before a pass or solve of dt, which leaves a source
    S / (1 + dt P h). With h a Hill function of power p, this takes a deviation from the solution to
    -p (1 - h) x h / (1 + x h) of itself, x = dt P; the most is p (s - 1) / (s + 1) with s^2 = 1 + x, and has to be
    below 1. (In Heun's passes the slope of P h c is below 1 / dt in any case.)
    """
    if solver == "explicit" and not scheme.method.implicit_exchange:
        return
    exchange, states = model.exchange, model.states
    time = scheme.time if solver == "explicit" else time_and_mass(solver, model.step, float(exchange.decay[f]))[0]
    for field, state, row in effects_by_state(exchange, len(states.names)):
        power = _opening(model.cells.modulators[row["end_modulator"] : row["end_own"]])
        if field != f or row["wall"] < 0 or power <= 1:
            continue
        added = exchange.highest_loss[f] - exchange.loss[f]
        most = float((added[state] if state < states.none else added[:, state - states.none]).max())
        least = 4 * power / (power - 1) ** 2  # of x, where s = (p + 1) / (p - 1)
        if solver == "steady" or time * most >= least:
            name = f"states.{states.names[state]}.exchange.{model.fields.names[f]}"
            slow = (
                "" if solver == "steady" else f", or a highest rate of {least / time:.2g} /min (here {most:.3g} /min)"
            )
            raise ScenarioError(
                f"{name}: the concentration would not come to rest, as it opens its exchange with the body too "
                f"steeply for solver '{solver}': found modulators by '{model.fields.names[f]}' of power {power:g} in "
                f"all; expected 1{slow}"
            )


def _opening(modulators: np.ndarray) -> float:
    """The sum of the powers of those modulators, by the field itself, that rise with it."""
    rising = (modulators["shape"] == Shape.LINEAR) | (modulators["high"] > modulators["low"])
    return float(sum(power_of(row) for row in modulators[rising]))


def _settles(model: Model, f: int) -> bool:
    """Whether every voxel loses, by itself or by diffusion to an open side."""
    fields = model.fields
    through = fields.boundary.permeability[f].max() > 0 or _always_held(model, f)
    drained = bool(fields.diffusion[f].min() > 0 and through)
    return drained or bool(model.exchange.decay[f] > 0)


def _require_reference(model: Model) -> None:
    """Raise `ScenarioError` where nothing need determine the pressure of the fluid that flows."""
    assert model.flow is not None, "asked for by a flow"
    f, exchange = model.flow.field, model.exchange
    if not (model.fields.boundary.permeability[f].max() > 0 or _always(model, exchange.holds[f] | exchange.drawn(f))):
        raise ScenarioError(
            f"flow: nothing determines the pressure '{model.fields.names[f]}' at all times; expected a fixed value or "
            "a permeability at a side of the grid (its 'boundary'), or 'vessels', 'lymphatics' or a fixed pressure "
            "('holds') in a state that is in the tissue and stays there"
        )


def _always_held(model: Model, f: int) -> bool:
    """Whether some voxel holds its concentration at all times."""
    return _always(model, model.exchange.holds[f])


def _crushed(model: Model) -> set[int]:
    """Tissue states whose cells moving or dividing ones may crush."""
    cells, tissue = model.cells, range(1, model.states.none)
    moving = np.flatnonzero(cells.motilities["hop"] > 0)
    found = {int(s) for mover in moving for s in np.flatnonzero(members(cells.motilities["replaces"][mover]))}
    if model.claims[0]:
        yields = cells.ways[0].yields[:, model.states.none]
        gives_way = [state for state in tissue if yields[state] != RIGID]
        displaced = max((yields[state] for state in gives_way), default=0)
        found |= {state for state in gives_way if yields[state] < displaced}
    return found.intersection(tissue)


def _always(model: Model, states: np.ndarray) -> bool:
    """Whether some voxel is at all times in one of these tissue states, bool [tissue states]."""
    cells = model.cells
    left = set(np.flatnonzero((np.diff(cells.rule_begin) > 0) | (cells.motilities["hop"] > 0)).tolist())
    left |= {state for resection in model.resections for state in resection.states}
    left |= {state for graft in model.grafts for state in graft.replaces}
    left |= _crushed(model)
    staying = [state for state in np.flatnonzero(states).tolist() if state not in left]
    return bool(staying) and bool(np.isin(model.initial.tissue, staying).any())
