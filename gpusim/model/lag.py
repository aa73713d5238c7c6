"""How far rates that look at other fields lag behind, as they see these at the beginning of a step.

What comes from a plain source rises as t, what is secreted in proportion to that as t^2, and so on. A source in
proportion to t^m that is taken at the beginning of steps of dt makes t^(m + 1) / (m + 1) less (dt / 2) t^m: too little
by (m + 1) / 2 * dt / t. What it looks at may lag itself by e * dt / t, and a source with the power n of that by n e:
then too little by another n e (m + 1) / m * dt / t. A factor that falls as t^-n, or a loss, is late by half a step.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from gpusim.model.exchange import effects_by_state
from gpusim.model.model import Exchange, Fields
from gpusim.model.tables import EffectKind, Shape, Source, power_of
from gpusim.scenario import Document

HORIZON = 60.0
"""After a change, min, when errors are looked at."""
MOST_ERROR = 0.15
"""Of a field's highest concentration, that steps and solvers which the program chooses keep to."""


class Lag(NamedTuple):
    """A field rises as t^growth at first, by its leading source, and is too low by `order` * step / t.

    By the source or loss that lags most behind the leading sources of others, it is off by `most` * step / t; `of` is
    the field that this one looks at, or -1.
    """

    growth: float
    order: float
    most: float
    of: int


_PLAIN, _NEVER = Lag(1.0, 0.0, 0.0, -1), Lag(np.inf, 0.0, 0.0, -1)


def lags(document: Document, fields: Fields, exchange: Exchange, modulators: np.ndarray) -> list[Lag]:
    """The lag of each field; a leading source is that of the lowest power of t.

    An estimate: it takes what is looked at as having risen from nothing, and Hill functions as far below saturation.
    The pressure of a flow counts as constant.
    """
    still = fields.names.index(document.flow.field) if document.flow is not None else -1
    begun = _begun(document, fields, exchange)
    added = (exchange.highest_loss - exchange.loss).max(axis=(1, 2))
    effects: list[list[np.void]] = [[] for _ in begun]
    for field, _, row in effects_by_state(exchange, sum(exchange.production.shape[1:])):
        effects[field].append(row)
    found = [_PLAIN if each else _NEVER for each in begun]
    for _ in found:  # a chain has no more links
        found = [
            _lag(begun[f], rows, modulators, found, float(added[f]) * HORIZON / 2, still)
            for f, rows in enumerate(effects)
        ]
    return found


def _is_field(row: np.void, still: int) -> bool:
    """Whether a modulator looks at a field, other than one that keeps still."""
    return bool(row["source"] == Source.FIELD and row["index"] != still)


def _from_nothing(row: np.void) -> bool:
    """Whether a modulator lets nothing through where there is nothing."""
    return bool(row["shape"] == Shape.LINEAR or (row["low"] == 0 and row["high"] > 0))


def _swing(row: np.void) -> float:
    """The part of its factor by which a modulator can change."""
    if row["shape"] == Shape.LINEAR:
        return 1.0
    low, high = sorted((max(float(row["low"]), 0.0), max(float(row["high"]), 0.0)))
    return 1 - low / high if high else 0.0


def _begun(document: Document, fields: Fields, exchange: Exchange) -> np.ndarray:
    """Fields that are there, or come from something else than a rate with modulators: bool [F]."""
    found = np.array([bool(np.any(values > 0)) for values in fields.initial], bool)
    found |= (fields.boundary.far > 0).any(axis=1) | (exchange.production > 0).any(axis=(1, 2))
    found |= (exchange.held > 0).any(axis=1)
    released = {field for rule in document.rules.values() for field in rule.releases}
    made = {field for reaction in document.reactions.values() for field in reaction.makes}
    injected = {therapy.inject for therapy in document.therapies.values() if therapy.inject}
    return found | np.isin(fields.names, list(released | made | injected))


def _lag(
    begun: bool, effects: Iterable[np.void], table: np.ndarray, of_fields: Sequence[Lag], most: float, still: int
) -> Lag:
    sources, losses = [_PLAIN] if begun else [], [_NEVER]
    for row in effects:
        rows = table[row["first_modulator"] : row["end_modulator"]]
        seen = [(each, of_fields[each["index"]]) for each in rows if _is_field(each, still)]
        if any(lag is _NEVER for _, lag in seen):
            continue
        m = sum(power_of(each) * lag.growth for each, lag in seen if _from_nothing(each))
        late = sum(_swing(each) * power_of(each) * (lag.order + lag.growth / 2) for each, lag in seen)
        late -= m / 2
        of = int(max(seen, key=lambda pair: pair[1].order + pair[1].growth)[0]["index"]) if seen else -1
        if row["kind"] == EffectKind.SECRETION:
            order = (m + 1) / 2 + late * (m + 1) / m if m else late
            sources.append(Lag(1 + m, order, order, of))
        else:
            order = min(most, m / 2 + late)
            losses.append(Lag(np.inf, order, order, of))
    leading = min(sources, key=lambda each: (each.growth, -each.order), default=_NEVER)
    worst = max([*sources, *losses], key=lambda each: each.most)
    return leading._replace(most=worst.most, of=worst.of) if sources else _NEVER
