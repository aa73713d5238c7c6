"""The tables of what cells do: rules, effects on fields, motility."""

import math
from collections.abc import Iterable

import numpy as np

from gpusim import units
from gpusim.errors import ScenarioError
from gpusim.model.conversion import concentration
from gpusim.model.model import Cells, States
from gpusim.model.tables import (
    EFFECT,
    MODULATOR,
    MOTILITY,
    NEIGHBOURHOOD,
    RELEASE,
    RULE,
    EffectKind,
    Shape,
    Source,
    members,
    state_set,
)
from gpusim.scenario import Document
from gpusim.scenario.checks import amount_units, secretion_units
from gpusim.scenario.schema import Exchange, Modulator, Motility

_ALMOST_SURE = 1.0 - 2.0**-24
"""Highest probability that float32 and 32 random bits can tell from 1."""

_REACH = {6: 1, 18: 2, 26: 3}
"""Squared distance of the farthest of so many neighbours."""

_COSTS = {Source.CONTACT: 0, Source.BODY: 1, Source.FIELD: 2, Source.NEIGHBOURS: 3}


def modulator_row(modulator: Modulator, document: Document, states: States | None, volume: float) -> np.ndarray:
    """One row of the table of modulators; `states` is None where it can only look at the body."""
    row = np.zeros((), MODULATOR)
    unit = "dimensionless"
    row["power"] = modulator.power
    if modulator.field is not None:
        unit = document.fields[modulator.field].unit
        row["source"], row["index"] = Source.FIELD, list(document.fields).index(modulator.field)
    elif modulator.body is not None:
        unit = document.body.quantities[modulator.body].unit
        row["source"], row["index"] = Source.BODY, list(document.body.quantities).index(modulator.body)
    else:
        assert states is not None
        row["source"] = Source.CONTACT if modulator.contact is not None else Source.NEIGHBOURS
        row["states"] = state_set([states.number(s) for s in modulator.neighbours or modulator.contact or ()])

    def value(given: float | str) -> float:
        return units.number(given, unit, volume)

    turned = modulator.effect == "inhibits" or modulator.below is not None
    low = modulator.at_zero if modulator.at_zero is not None else float(turned)
    high = modulator.at_saturation if modulator.at_saturation is not None else float(not turned)
    row["low"], row["span"] = low, high - low
    if modulator.half is not None:
        row["shape"], row["scale"] = Shape.HILL, 1.0 / value(modulator.half)
    elif modulator.above is not None or modulator.below is not None:
        threshold = modulator.above if modulator.above is not None else modulator.below
        assert threshold is not None
        row["shape"], row["scale"] = Shape.STEP, value(threshold)
    elif modulator.per is None and (modulator.at_zero is not None or modulator.at_saturation is not None):
        # A contact or count without a shape, but with ends: there, or not.
        row["shape"], row["scale"] = Shape.STEP, 1.0
    else:
        row["shape"], row["scale"] = Shape.LINEAR, 1.0 / (value(modulator.per) if modulator.per is not None else 1.0)
    return row


class CellTables:
    """Gathers rows by state. Times in min, lengths in um.

    Args:
        rules_step: between two applications of the rules; move_step: between two moves.
    """

    def __init__(self, document: Document, states: States, spacing: float, rules_step: float, move_step: float) -> None:
        self._document, self._states = document, states
        self._spacing, self._volume = spacing, spacing**3
        self._rules_step, self._move_step = rules_step, move_step
        self._field_names = list(document.fields)
        self._modulators: list[np.ndarray] = []
        self._releases: list[tuple[int, float]] = []
        self._neighbourhoods: dict[tuple[bytes, int], int] = {}

    def build(self, moves: int) -> Cells:
        """All tables. Raises `ScenarioError` where a time does not fit."""
        rules, rule_begin, names = self._rules()
        effects, effect_begin = self._effects()
        motilities = self._motilities()
        modulators = np.array(self._modulators, MODULATOR)
        return Cells(
            rules=rules,
            rule_begin=rule_begin,
            rule_names=names,
            ceilings=_ceilings(rules, rule_begin, modulators),
            effects=effects,
            effect_begin=effect_begin,
            motilities=motilities,
            modulators=modulators,
            releases=np.array(self._releases, RELEASE),
            neighbourhoods=np.array(
                [(np.frombuffer(states, np.uint32), reach) for states, reach in self._neighbourhoods], NEIGHBOURHOOD
            ),
            moves=moves,
        )

    def _range(self, modulators: Iterable[Modulator]) -> tuple[int, int]:
        """Add modulators, the cheapest to look at first; a 0 among them ends the product."""
        rows = [self._modulator(m) for m in modulators]
        first = len(self._modulators)
        self._modulators += sorted(rows, key=lambda row: _COSTS[Source(int(row["source"]))])
        return first, len(self._modulators)

    def _modulator(self, modulator: Modulator) -> np.ndarray:
        row = modulator_row(modulator, self._document, self._states, self._volume)
        if modulator.neighbours is not None:
            key = (row["states"].tobytes(), _REACH[modulator.neighbourhood])
            row["index"] = self._neighbourhoods.setdefault(key, len(self._neighbourhoods))
        return row

    def _rules(self) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        by_state: list[list[tuple[str, tuple[int | float, ...]]]] = [[] for _ in self._states.names]
        for name, rule in self._document.rules.items():
            first_release = len(self._releases)
            for field, value in rule.releases.items():
                unit = amount_units(self._document.fields[field].unit)
                self._releases.append((self._field_names.index(field), concentration(value, unit, self._volume)))
            after = math.ceil(units.number(rule.after, "min") / self._rules_step - 1e-9)
            if after > 65_534:
                raise ScenarioError(
                    f"rules.{name}.after: {rule.after} is {after} steps of {self._rules_step:g} min; "
                    "expected at most 65534 steps"
                )
            row = (
                self._states.number(rule.enters),
                units.number(rule.rate, "1/min") * self._rules_step,
                after,
                *self._range(rule.modulators),
                first_release,
                len(self._releases),
            )
            for state in rule.leaves:
                by_state[self._states.number(state)].append((name, row))
        rows = [pair for pairs in by_state for pair in pairs]
        return np.array([row for _, row in rows], RULE), _begin(by_state), tuple(name for name, _ in rows)

    def _effects(self) -> tuple[np.ndarray, np.ndarray]:
        by_state: list[list[tuple[int | float, ...]]] = [[] for _ in self._states.names]
        for field, spec in self._document.fields.items():
            for loss in spec.clearance.values():
                if loss.modulators:
                    row = self._effect(field, EffectKind.LOSS, units.number(loss.rate, "1/min"), loss.modulators)
                    for rows in by_state[: len(self._states.tissue)]:
                        rows.append(row)
        for name, state in self._document.states.items():
            rows = by_state[self._states.number(name)]
            for field, secretion in state.secretion.items():
                if secretion.modulators:
                    unit = secretion_units(self._document.fields[field].unit)
                    rate = concentration(secretion.rate, unit, self._volume)
                    rows.append(self._effect(field, EffectKind.SECRETION, rate, secretion.modulators))
            for field, uptake in state.uptake.items():
                if uptake.modulators:
                    rate = units.number(uptake.rate, "1/min")
                    rows.append(self._effect(field, EffectKind.LOSS, rate, uptake.modulators))
            for field, exchange in state.exchange.items():
                if exchange.body is not None:
                    rows.append(self._exchange(field, exchange))
        return np.array([row for rows in by_state for row in rows], EFFECT), _begin(by_state)

    def _effect(
        self, field: str, kind: EffectKind, rate: float, modulators: Iterable[Modulator]
    ) -> tuple[int | float, ...]:
        return (self._field_names.index(field), kind, rate * self._rules_step, *self._range(modulators), -1, 0.0)

    def _exchange(self, field: str, exchange: Exchange) -> tuple[int | float, ...]:
        rate = units.number(exchange.permeability, "1/min")
        head = self._effect(field, EffectKind.EXCHANGE, rate, exchange.modulators)[:-2]
        quantities = self._document.body.quantities
        name = exchange.body or ""
        diluted = f"1 {quantities[name].unit} / ({exchange.volume})"
        dilution = units.number(diluted, self._document.fields[field].unit, self._volume)
        return (*head, list(quantities).index(name), dilution)

    def _motilities(self) -> np.ndarray:
        table = np.zeros(len(self._states.names), MOTILITY)
        table["field"] = -1
        for name, state in self._document.states.items():
            if state.motility is not None:
                self._motility(table[self._states.number(name)], state.layer == "tissue", state.motility)
        return table

    def _motility(self, row: np.void, of_tissue: bool, motility: Motility) -> None:
        states = self._states
        row["hop"] = units.number(motility.speed, "um/min") * self._move_step / self._spacing
        persistence = units.number(motility.persistence, "min")
        turn = 1.0 - math.exp(-self._move_step / persistence) if persistence > 0 else 1.0
        row["turn"] = min(turn, _ALMOST_SURE)
        row["first_modulator"], row["end_modulator"] = self._range(motility.modulators)
        if motility.chemotaxis is not None:
            chemotaxis = motility.chemotaxis
            row["field"] = self._field_names.index(chemotaxis.field)
            unit = self._document.fields[chemotaxis.field].unit
            row["scale"] = 1.0 / units.number(chemotaxis.half, unit, self._volume)
            row["sensitivity"] = units.number(chemotaxis.sensitivity, "um") / self._spacing
        enters = motility.enters or (states.immune if of_tissue else states.tissue)
        row["enters"] = state_set([states.number(s) for s in enters])


def _begin(by_state: list[list]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum([len(rows) for rows in by_state])]).astype(np.int32)


_MOST_NEIGHBOURS = 2 * 26
"""Two layers of cells in each voxel around."""
_ROUNDING = 1e-4
"""Far above what float32 makes of a sum of hazards, relative to it."""


def _ceilings(rules: np.ndarray, rule_begin: np.ndarray, modulators: np.ndarray) -> np.ndarray:
    """What the first random word must be below for any rule to fire: uint32 [states, states].

    The states are that of the cell and that of the one beside it, in the other layer. From the Pade approximant of
    kernels/common.cuh, which rises with the hazard.
    """
    states = len(rule_begin) - 1
    highest = np.array([_highest_factor(row, states) for row in modulators]).reshape(-1, states)
    hazards = np.zeros((states, states))
    for state in range(states):
        for rule in rules[rule_begin[state] : rule_begin[state + 1]]:
            factors = highest[rule["first_modulator"] : rule["end_modulator"]]
            barred = (factors == 0).any(axis=0)
            hazards[state] += np.where(barred, 0.0, rule["hazard"] * np.where(factors == 0, 1.0, factors).prod(axis=0))
    h = np.minimum(hazards * (1 + _ROUNDING), math.sqrt(12))
    probability = 12 * h / (12 + 6 * h + h * h)
    return np.ceil(probability * (1 + _ROUNDING) * 2.0**32).astype(np.uint32)


def _highest_factor(modulator: np.void, states: int) -> np.ndarray:
    """The most that a modulator multiplies by, by the state of the cell beside: float64 [states]."""
    low, high = float(modulator["low"]), float(modulator["low"] + modulator["span"])
    source, shape, scale = modulator["source"], modulator["shape"], float(modulator["scale"])
    if source == Source.CONTACT:
        there = members(modulator["states"])[:states].astype(float)
        ratio = there * scale
        raised = ratio ** int(modulator["power"])
        by_shape = {Shape.STEP: np.where(there >= scale, high, low), Shape.LINEAR: ratio}
        return np.maximum(by_shape.get(shape, low + (high - low) * raised / (1 + raised)), 0.0)
    if shape != Shape.LINEAR:
        most = max(low, high, 0.0)
    else:
        most = _MOST_NEIGHBOURS * scale if source == Source.NEIGHBOURS else math.inf
    return np.full(states, most)


def _bound(modulators: Iterable[Modulator]) -> tuple[float, bool]:
    """The most that modulators multiply by, and whether there is such a most."""
    most, bounded = 1.0, True
    for m in modulators:
        if m.field is None and m.body is None and m.half is m.above is m.below is m.at_zero is m.at_saturation is None:
            per = units.number(m.per or 1.0, "dimensionless")
            most *= (m.neighbourhood if m.neighbours else 1) / per
        elif m.per is not None:
            bounded = False
        else:
            ends = [m.at_zero, m.at_saturation]
            most *= max([e for e in ends if e is not None] + ([1.0] if None in ends else []))
    return most, bounded


def highest_rate(document: Document, volume: float) -> tuple[float, list[str]]:
    """Largest hazard rate that any rule can reach, 1/min, and the rules with no upper bound."""
    highest, unbounded = 0.0, []
    for name, rule in document.rules.items():
        most, bounded = _bound(rule.modulators)
        highest = max(highest, units.number(rule.rate, "1/min") * most)
        if not bounded:
            unbounded.append(f"rule '{name}'")
    return highest, unbounded


def highest_speed(document: Document, volume: float) -> float:
    """Highest bounded speed of a cell, um/min; 0 where none moves."""
    motilities = [state.motility for state in document.states.values() if state.motility is not None]
    return max((units.number(m.speed, "um/min") * _bound(m.modulators)[0] for m in motilities), default=0.0)
