"""Numbers that float32 and a run of bearable length can hold."""

from collections.abc import Iterator

import numpy as np

from gpusim.errors import ScenarioError
from gpusim.model.model import Model
from gpusim.scenario.limits import LARGEST

_MOST = 1e36
"""Well below the largest float32: a sum of a few stays finite."""
_MOST_STEPS = 2**31
_MOST_MOVES = 1000
_MOST_DRAWN = 2**32
"""Numbers that tell the random numbers of one move from those of another, in 32 bits."""


def require(model: Model) -> None:
    """Raise `ScenarioError` where a number of the model is too large to be worked with."""
    for name, numbers in _tables(model):
        wrong = np.flatnonzero(~(np.abs(numbers) <= _MOST))
        if wrong.size:
            found = numbers.reshape(-1)[wrong[0]]
            raise ScenarioError(
                f"{model.name}: {name}: a number is {found:g}; expected at most {_MOST:g}. "
                "A rate, an amount or a unit is too large, or a scale too small"
            )
    for name, numbers in _concentrations(model):
        if np.max(numbers, initial=0) > LARGEST:
            raise ScenarioError(f"{model.name}: {name}: found {np.max(numbers):g}; expected 0 to {LARGEST:g}")
    if model.until > _MOST_STEPS:
        raise ScenarioError(
            f"time.until: {model.until:.3g} steps of {model.step:g} min; expected at most {_MOST_STEPS:.3g}"
        )
    if model.cells.moves > _MOST_MOVES:
        raise ScenarioError(
            f"time.step.motion: {model.cells.moves:.3g} moves a step of {model.step:g} min; expected at most "
            f"{_MOST_MOVES}. A 'speed' is too high, or the step too short"
        )
    if model.until * model.cells.moves > _MOST_DRAWN:
        raise ScenarioError(
            f"time.until: {model.until:.3g} steps of {model.cells.moves} moves each; expected at most "
            f"{_MOST_DRAWN:.3g} moves in all"
        )
    adhesion = model.cells.adhesion
    sweeps = (model.until // model.rules_every + 1) * (adhesion.sweeps if adhesion is not None else 0)
    if 3 * sweeps > _MOST_DRAWN:  # a number for each axis
        raise ScenarioError(
            f"time.until: {sweeps:.3g} sweeps of adhesion in all; expected at most {_MOST_DRAWN / 3:.3g}"
        )


def _concentrations(model: Model) -> Iterator[tuple[str, np.ndarray]]:
    fields = model.fields
    for f, (name, unit) in enumerate(zip(fields.names, fields.units, strict=True)):
        held = model.exchange.held[f]
        yield f"fields.{name}.initial ({unit})", np.atleast_1d(fields.initial[f])
        yield f"fields.{name}.holds ({unit})", held[~np.isnan(held)]
        yield f"fields.{name}.boundary ({unit})", fields.boundary.far[f]


def _tables(model: Model) -> Iterator[tuple[str, np.ndarray]]:
    fields, exchange, cells, body = model.fields, model.exchange, model.cells, model.body
    for f, name in enumerate(fields.names):
        for owner, part in ((fields, "diffusion"), (exchange, "production"), (exchange, "loss")):
            yield f"fields.{name}: {part}", np.atleast_1d(getattr(owner, part)[f])
    tables = {kind: getattr(cells, kind) for kind in ("rules", "motilities", "modulators", "releases", "slopes")}
    tables |= {"effects": exchange.effects, "walls": exchange.walls}
    tables |= {"reactions": model.reactions.rows, "reactions' fields": model.reactions.terms}
    for kind, table in tables.items():
        for column in table.dtype.names:
            if table.dtype[column] == np.float32:
                yield f"{kind}: {column}", table[column]
    yield "body: initial", body.initial
    yield "body.processes: rate", body.rates
    for dose in model.doses:
        yield f"therapies.{dose.name}: amount", dose.amounts
        yield f"therapies.{dose.name}: volume", np.array([dose.fluid])
    for infusion in model.infusions:
        yield f"therapies.{infusion.name}: amount", np.array([infusion.amount])
