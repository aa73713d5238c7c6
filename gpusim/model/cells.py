"""The tables of what cells do: rules, effects on fields, motility."""

import math
from collections.abc import Iterable, Sequence

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
    state_set,
)
from gpusim.model.tables import members as membership
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
        self._highest: list[np.ndarray] = []
        self._releases: list[tuple[int, float]] = []
        self._neighbourhoods: dict[tuple[bytes, int], int] = {}

    def build(self, moves: int) -> Cells:
        """All tables. Raises `ScenarioError` where a time does not fit."""
        rules, rule_begin, names = self._rules()
        effects, effect_begin = self._effects()
        motilities = self._motilities()
        highest = np.array(self._highest).reshape(-1, len(self._states.names))
        return Cells(
            rules=rules,
            rule_begin=rule_begin,
            rule_names=names,
            ceilings=_ceilings(rules, rule_begin, highest),
            effects=effects,
            effect_begin=effect_begin,
            motilities=motilities,
            modulators=np.array(self._modulators, MODULATOR),
            releases=np.array(self._releases, RELEASE),
            neighbourhoods=np.array(
                [(np.frombuffer(states, np.uint32), reach) for states, reach in self._neighbourhoods], NEIGHBOURHOOD
            ),
            moves=moves,
        )

    def _range(self, modulators: Iterable[Modulator]) -> tuple[int, int]:
        """Add modulators, the cheapest to look at first; a 0 among them ends the product."""
        rows = [(m, self._modulator(m)) for m in modulators]
        first = len(self._modulators)
        for modulator, row in sorted(rows, key=lambda pair: _COSTS[Source(int(pair[1]["source"]))]):
            self._modulators.append(row)
            self._highest.append(_highest(modulator, row, self._states))
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


_ROUNDING = 1e-4
"""Far above what float32 makes of a sum of hazards, relative to it."""


def _ceilings(rules: np.ndarray, rule_begin: np.ndarray, highest: np.ndarray) -> np.ndarray:
    """What the first random word must be below for any rule to fire: uint32 [states, states].

    The states are that of the cell and that of the one beside it, in the other layer. From the Pade approximant of
    kernels/common.cuh, which rises with the hazard. `highest` is by modulator what `_highest` says of it.
    """
    states = len(rule_begin) - 1
    hazards = np.zeros((states, states))
    for state in range(states):
        for rule in rules[rule_begin[state] : rule_begin[state + 1]]:
            factor = _together(highest[rule["first_modulator"] : rule["end_modulator"]], states)
            hazards[state] += np.where(factor == 0, 0.0, rule["hazard"] * np.where(factor == 0, 1.0, factor))
    h = np.minimum(hazards * (1 + _ROUNDING), math.sqrt(12))
    probability = 12 * h / (12 + 6 * h + h * h)
    return np.ceil(probability * (1 + _ROUNDING) * 2.0**32).astype(np.uint32)


def _highest(modulator: Modulator, row: np.ndarray, states: States) -> np.ndarray:
    """The most that a modulator, whose row is given, multiplies by: float64 [states], by that of the cell beside.

    inf where it has no bound.
    """
    low, high = float(row["low"]), float(row["low"] + row["span"])
    shape, scale, members = (
        Shape(int(row["shape"])),
        float(row["scale"]),
        membership(row["states"])[: len(states.names)] > 0,
    )
    if row["source"] == Source.CONTACT:
        ratio = members * scale
        raised = ratio ** int(row["power"])
        by_shape = {Shape.STEP: np.where(members >= scale, high, low), Shape.LINEAR: ratio}
        return np.maximum(by_shape.get(shape, low + (high - low) * raised / (1 + raised)), 0.0)
    if shape != Shape.LINEAR:
        most = max(low, high, 0.0)
    elif row["source"] == Source.NEIGHBOURS:
        # A voxel around has a cell in each layer.
        layers = int(members[: states.none].any()) + int(members[states.none :].any())
        most = layers * modulator.neighbourhood * scale
    else:
        most = math.inf
    return np.full(len(states.names), most)


def _together(highest: Sequence[np.ndarray] | np.ndarray, states: int) -> np.ndarray:
    """The most that modulators multiply by, float64 [states] by that of the cell beside; 0 where one of them bars."""
    factors = np.reshape(highest, (-1, states))
    barred = (factors == 0).any(axis=0)
    return np.where(barred, 0.0, np.where(barred, 1.0, factors).prod(axis=0))


class Bounds:
    """How often and how fast the cells of a scenario can act at most, whatever surrounds them."""

    def __init__(self, document: Document, states: States, volume: float) -> None:
        self._document, self._states, self._volume = document, states, volume

    def _factor(self, modulators: Iterable[Modulator], of_tissue: bool) -> tuple[float, bool]:
        """The most that modulators of a layer's cells multiply by, and whether that is so: the rest has no bound."""
        rows = [(m, modulator_row(m, self._document, self._states, self._volume)) for m in modulators]
        highest = [_highest(modulator, row, self._states) for modulator, row in rows]
        bounded = [each for each in highest if np.isfinite(each).all()]
        beside = slice(self._states.none, None) if of_tissue else slice(self._states.none)
        return float(_together(bounded, len(self._states.names))[beside].max()), len(bounded) == len(highest)

    def rate(self) -> tuple[float, list[str]]:
        """Largest hazard rate that any rule can reach, 1/min, and the rules with no upper bound."""
        highest, unbounded = 0.0, []
        for name, rule in self._document.rules.items():
            most, bounded = self._factor(rule.modulators, self._states.number(rule.enters) < self._states.none)
            highest = max(highest, units.number(rule.rate, "1/min") * most)
            if not bounded:
                unbounded.append(f"rule '{name}'")
        return highest, unbounded

    def speed(self) -> float:
        """Highest bounded speed of a cell, um/min; 0 where none moves."""
        moving = [(s.motility, s.layer == "tissue") for s in self._document.states.values() if s.motility is not None]
        return max((units.number(m.speed, "um/min") * self._factor(m.modulators, t)[0] for m, t in moving), default=0.0)
