"""How far a step is from the exact course of a field, foreseen from its rates.

Each number is a share of the highest concentration that a field has had, an hour after a change. There are four
causes, and what is expected is the largest of them:

- the solver. By an exact course, a deviation from the steady state that diffusion and losses take away at a rate x is
  exp(-x t) of itself after t; a step of dt leaves R(x dt) of it instead. The largest difference, over all rates from
  the least loss to the highest and 12 D / dx^2, is a bound where diffusion and losses have common modes, and an
  estimate elsewhere.
- the lag of rates that look at other fields, which they see as at the beginning of a step; see `model.lag`.
- the split of reactions from transport. An eighth of the share q of a field that reacts in a step was found where
  fields meet by diffusion (gpusim/verification/reactions.py); the reaction itself is off by q^2 / 12.
- the body, which the voxels change at the end of a step of the rules only, by what they give and take. If they could
  take more than the whole of a quantity within a step, any error is expected: its course oscillates, or its level is
  wrong.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from gpusim.engine.transport.choice import Choice
from gpusim.engine.transport.explicit import Method
from gpusim.engine.transport.implicit import GAMMA, time_and_mass
from gpusim.model import Model
from gpusim.model.exchange import effects_by_state
from gpusim.model.lag import HORIZON, MOST_ERROR, lags
from gpusim.model.reactions import shares
from gpusim.model.tables import Shape
from gpusim.scenario import Document

LEAST_ERROR = 1e-3
"""What solves and float32 leave in any case."""
_OF_BODY = "body, "
_RATES = 300

Factor = Callable[[np.ndarray], np.ndarray]
"""What a step leaves of deviations, by the rates at which they go, 1/min."""


@dataclass(frozen=True)
class Expected:
    """The error of a field, as a share of its highest concentration, and its largest cause in words."""

    error: float
    cause: str

    def __str__(self) -> str:
        return f"{self.error:.1%}, {self.cause}" if self.error > LEAST_ERROR else f"< {LEAST_ERROR:.1%}"


def expected(document: Document, model: Model, choices: list[Choice]) -> list[Expected]:
    """The expected error of each field."""
    pressure = model.flow.field if model.flow is not None else None  # in equilibrium by definition
    causes: list[list[Expected]] = [
        [Expected(_of_solver(model, f, c) if f != pressure else 0.0, "solver")] for f, c in enumerate(choices)
    ]
    names = model.fields.names
    for f, lag in enumerate(lags(document, model.fields, model.exchange, model.cells.modulators)):
        if lag.of >= 0:
            causes[f].append(Expected(lag.most * model.step / HORIZON, f"lag behind {names[lag.of]}"))
    highest = [_highest(model, row["first_modulator"], row["end_contact"]) for row in model.reactions.rows]
    for name, field, share in shares(model.reactions, model.fields, model.exchange.held, highest):
        causes[field].append(Expected(share / 8 + share**2 / 12, f"reaction {name}"))
    for field, quantity, error in _of_body(model):
        causes[field].append(Expected(error, f"{_OF_BODY}{model.body.names[quantity]}"))
    largest = (max(each, key=lambda one: one.error) for each in causes)
    return [Expected(min(max(each.error, LEAST_ERROR), 1.0), each.cause) for each in largest]


def too_large(model: Model, errors: Iterable[Expected]) -> Iterator[str]:
    """Sentences on fields of which more than `MOST_ERROR` is expected."""
    for name, each in zip(model.fields.names, errors, strict=True):
        if each.error > MOST_ERROR:
            of_rules = each.cause.startswith(_OF_BODY)
            step, key = (model.step * model.rules_every, "rules") if of_rules else (model.step, "field")
            yield (
                f"the {'rule' if of_rules else 'time'} step of {step:g} min is too long for '{name}': one hour after a "
                f"change, the error may reach {each.error:.0%} of its highest concentration ({each.cause}); use a "
                f"shorter 'time.step.{key}'"
            )


def _highest(model: Model, first: int, end: int) -> float:
    """The most that some modulators multiply by; one without a bound counts as 1."""
    rows = model.cells.modulators[first:end]
    bounded = rows[rows["shape"] != Shape.LINEAR]
    return float(np.maximum(np.maximum(bounded["low"], bounded["high"]), 0.0).prod())


def _of_solver(model: Model, f: int, choice: Choice) -> float:
    """The largest error of what is left of a deviation, over all rates and from the horizon on."""
    exchange, step = model.exchange, model.step
    decay = float(exchange.decay[f])
    courant = float(model.fields.diffusion[f].max()) / model.spacing**2
    most = np.maximum(exchange.highest_loss[f], exchange.steepest[f])
    highest = float(np.max(most[np.isfinite(most)], initial=decay))
    if not np.isfinite(most).all() and not exchange.holds[f].any():
        highest = max(highest, 1e3 / step)
    slowest = _slowest(model, f)
    found = 0.0
    for reach, factor in _factors(step, decay, courant, highest, choice):
        least = max(slowest, 1e-6 / step)
        rates = np.geomspace(least, max(reach, least), _RATES)
        left = factor(rates)
        first = max(1, round(HORIZON / step))
        for count in (first, 4 * first, 16 * first):
            with np.errstate(under="ignore", over="ignore"):
                found = max(found, float(np.abs(left**count - np.exp(-rates * step * count)).max()))
    return min(found, 1.0)


def _slowest(model: Model, f: int) -> float:
    """About the slowest rate at which the cells at time 0 let a deviation go, 1/min, and rather too slow than too fast.

    Losses are those that depend on nothing. A voxel that takes at a rate k more than others is supplied at a / 0.2527
    at most, with a = D / dx^2 (the value of the lattice's Green function at its source); to come near one takes
    diffusion up to 4 L^2 / (pi^2 D), with L the longest axis.
    """
    fields, exchange, tissue = model.fields, model.exchange, model.initial.tissue
    courant = float(fields.diffusion[f][np.unique(tissue)].min()) / model.spacing**2
    here = exchange.loss[f][tissue, model.initial.immune - model.states.none]
    if not courant:
        return float(here.min())
    decay = float(exchange.decay[f])
    taken = np.where(exchange.holds[f][tissue], np.inf, here - decay)
    for side, permeability in enumerate(fields.boundary.permeability[f]):
        if permeability > 0:
            plane: list[slice | int] = [slice(None)] * 3
            plane[side // 2] = -1 if side % 2 else 0
            taken[tuple(plane)] += 1 / (1 / (2 * courant) + model.spacing / permeability)
    with np.errstate(divide="ignore"):
        mean = float((1 / (1 / taken + 0.2527 / courant)).mean())
    across = 4 * max(model.shape) ** 2 / (np.pi**2 * courant)
    return decay + 1 / (1 / mean + across) if mean > 0 else decay


def _factors(
    step: float, decay: float, courant: float, highest: float, choice: Choice
) -> Iterator[tuple[float, Factor]]:
    """The highest rate that there may be, 1/min, and what a step leaves at rates up to it, by loss and by diffusion."""
    diffusive = decay + 12 * courant
    if choice.solver != "explicit":
        time, mass = time_and_mass(choice.solver, step, decay)
        by_solver: dict[str, Factor] = {
            "implicit": lambda rate: mass / (mass + time * rate),
            "implicit2": lambda rate: (1 - (1 - 2 * GAMMA) * step * rate) / (1 + time * rate) ** 2,
            "steady": lambda rate: 0.0 * rate,
        }
        yield highest + 12 * courant, by_solver[choice.solver]
        return
    scheme = choice.scheme
    kept = 1 + scheme.time * decay
    if scheme.method is Method.HEUN:
        yield highest + 12 * courant, lambda rate: scheme.method.amplified(scheme.passes, 1 - scheme.time * rate)
        return
    yield highest, lambda rate: scheme.method.amplified(scheme.passes, 1 / (1 + scheme.time * rate))
    if courant:
        yield (
            diffusive,
            lambda rate: scheme.method.amplified(scheme.passes, (1 - scheme.time * (rate - decay)) / kept),
        )


def _of_body(model: Model) -> Iterator[tuple[int, int, float]]:
    """Field, quantity and error of what crosses walls, from the share of the quantity in a rule step."""
    exchange, step = model.exchange, model.step * model.rules_every
    counts = model.initial.counts(len(model.states.names))
    turnover = np.zeros(len(exchange.walls))
    for _, state, row in effects_by_state(exchange, len(model.states.names)):
        if row["wall"] >= 0:
            wall = exchange.walls[row["wall"]]
            given = float(model.body.exchanged[row["wall"], wall["quantity"]]) * float(wall["dilution"])
            rate = float(row["rate"]) * _highest(model, row["first_modulator"], row["end_own"])
            turnover[row["wall"]] += counts[state] * rate * step * given
    rounds = max(1, round(HORIZON / step))
    for wall, share in zip(exchange.walls, turnover, strict=True):
        with np.errstate(over="ignore"):
            rates = np.geomspace(1e-9, max(share, 1e-9), _RATES)
            error = np.abs((1 - rates) ** rounds - np.exp(-rates * rounds)).max() if share <= 1 else 1.0
        yield int(wall["field"]), int(wall["quantity"]), float(min(error, 1.0))
