"""The tables of what cells do: rules and motility."""

import math
from collections.abc import Iterable

import numpy as np

from gpusim import units
from gpusim.errors import ScenarioError
from gpusim.model.adhesion import adhesion
from gpusim.model.conversion import concentration
from gpusim.model.division import closing, reach, require_claimable, ways
from gpusim.model.model import Cells, States
from gpusim.model.modulators import Modulators, highest, modulator_row, together
from gpusim.model.steps import MOST_HAZARD, MOST_HAZARD_OF_DIVISION
from gpusim.model.tables import (
    MOST_DIVISION,
    MOTILITY,
    PERIODIC,
    RELEASE,
    RULE,
    Boundary,
    Instead,
    probability,
    state_set,
)
from gpusim.scenario import Document
from gpusim.scenario.checks import amount_units
from gpusim.scenario.schema import Modulator, Motility, Rule, Sides

_ALMOST_SURE = 1.0 - 2.0**-24
"""Highest probability that float32 and 32 random bits can tell from 1."""


class CellTables:
    """Gathers rows by state. Times in min, lengths in um.

    Args:
        rules_step: between two applications of the rules; move_step: between two moves.
        modulators: where those of rules and motility are added.
    """

    def __init__(
        self,
        document: Document,
        states: States,
        spacing: float,
        rules_step: float,
        move_step: float,
        modulators: Modulators,
    ) -> None:
        self._document, self._states = document, states
        self._spacing, self._volume = spacing, spacing**3
        self._rules_step, self._move_step = rules_step, move_step
        self._field_names = list(document.fields)
        self._modulators = modulators
        self._releases: list[tuple[int, float]] = []

    def build(self, moves: int, voxels: int) -> Cells:
        """All tables, of so many moves a step and a lattice of so many voxels.

        Raises `ScenarioError` where a time or a distance does not fit.
        """
        rules, rule_begin, names = self._rules()
        motilities = self._motilities()
        return Cells(
            rules=rules,
            rule_begin=rule_begin,
            rule_names=names,
            ceilings=_ceilings(rules, rule_begin, self._modulators.highest),
            motilities=motilities,
            modulators=self._modulators.table,
            releases=np.array(self._releases, RELEASE),
            neighbourhoods=self._modulators.neighbourhoods,
            moves=moves,
            ways=ways(self._document, self._states, rules, self._spacing, voxels),
            closing=closing(self._document, self._states, rules),
            adhesion=adhesion(self._document, self._states, self._rules_step),
            boundary=boundary_of_cells(self._document.grid.sides),
            background=self._states.number(self._document.tissue.background),
        )

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
                self._daughter(rule),
                reach(name, rule, self._spacing),
                units.number(rule.rate, "1/min") * self._rules_step,
                after,
                *self._modulators.add(rule.modulators),
                first_release,
                len(self._releases),
            )
            for state in rule.leaves:
                of_state = by_state[self._states.number(state)]
                if rule.waits:
                    require_claimable(name, len(of_state))
                of_state.append((name, row))
        rows = [pair for pairs in by_state for pair in pairs]
        return np.array([row for _, row in rows], RULE), _begin(by_state), tuple(name for name, _ in rows)

    def _daughter(self, rule: Rule) -> int:
        """State of the daughter, or what there is in its place."""
        if rule.daughter is not None:
            return self._states.number(rule.daughter)
        return Instead.CLOSES if rule.closes else Instead.NO_DAUGHTER

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
        row["first_modulator"], row["end_modulator"] = self._modulators.add(motility.modulators)
        if motility.chemotaxis is not None:
            chemotaxis = motility.chemotaxis
            row["field"] = self._field_names.index(chemotaxis.field)
            unit = self._document.fields[chemotaxis.field].unit
            row["scale"] = 1.0 / units.number(chemotaxis.half, unit, self._volume)
            row["sensitivity"] = units.number(chemotaxis.sensitivity, "um") / self._spacing
        enters = motility.enters or (states.immune if of_tissue else states.tissue)
        row["enters"] = state_set([states.number(s) for s in enters])


def boundary_of_cells(sides: Sides) -> int:
    """Bits of the sides of the lattice, of `tables.Boundary`."""
    kinds = (sides.z, sides.y, sides.x)
    periodic = sum(bit for bit, kind in zip(PERIODIC, kinds, strict=True) if kind == "periodic")
    return periodic + sum(3 * Boundary.FIRST_OPEN << 2 * axis for axis, kind in enumerate(kinds) if kind == "open")


def _begin(by_state: list[list]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum([len(rows) for rows in by_state])]).astype(np.int32)


_ROUNDING = 1e-4
"""Far above what float32 makes of a sum of hazards, relative to it."""


def _ceilings(rules: np.ndarray, rule_begin: np.ndarray, highest: np.ndarray) -> np.ndarray:
    """What the first random word must be below for any rule to fire: uint32 [states, states].

    The states are that of the cell and that of the one beside it, in the other layer. `highest` is by modulator what
    `modulators.highest` says of it.
    """
    states = len(rule_begin) - 1
    hazards = np.zeros((states, states))
    for state in range(states):
        for rule in rules[rule_begin[state] : rule_begin[state + 1]]:
            factor = together(highest[rule["first_modulator"] : rule["end_modulator"]], states)
            hazard = np.where(factor == 0, 0.0, rule["hazard"] * np.where(factor == 0, 1.0, factor))
            if rule["daughter"] >= 0:
                hazard = np.minimum(hazard, MOST_DIVISION)
                hazard = hazard / (1 - hazard)
            hazards[state] += hazard
    highest_probability = probability(hazards * (1 + _ROUNDING))
    return np.ceil(highest_probability * (1 + _ROUNDING) * 2.0**32).astype(np.uint32)


class Bounds:
    """How often and how fast the cells of a scenario can act at most, whatever surrounds them."""

    def __init__(self, document: Document, states: States, volume: float) -> None:
        self._document, self._states, self._volume = document, states, volume

    def _factor(self, modulators: Iterable[Modulator], of_tissue: bool) -> tuple[float, bool]:
        """The most that modulators of a layer's cells multiply by, and whether that is so: the rest has no bound."""
        rows = [(m, modulator_row(m, self._document, self._states, self._volume)) for m in modulators]
        found = [highest(modulator, row, self._states) for modulator, row in rows]
        bounded = [each for each in found if np.isfinite(each).all()]
        beside = slice(self._states.none, None) if of_tissue else slice(self._states.none)
        return float(together(bounded, len(self._states.names))[beside].max()), len(bounded) == len(found)

    def rate(self) -> tuple[float, list[str]]:
        """Largest hazard rate that any rule can reach, 1/min, and the rules with no upper bound.

        That of a division or of closing counts as many times as its hazard over a step is to be smaller.
        """
        highest, unbounded = 0.0, []
        for name, rule in self._document.rules.items():
            most, bounded = self._factor(rule.modulators, self._states.number(rule.enters) < self._states.none)
            weight = MOST_HAZARD / MOST_HAZARD_OF_DIVISION if rule.waits else 1.0
            highest = max(highest, units.number(rule.rate, "1/min") * most * weight)
            if not bounded:
                unbounded.append(f"rule '{name}'")
        return highest, unbounded

    def speed(self) -> float:
        """Highest bounded speed of a cell, um/min; 0 where none moves."""
        moving = [(s.motility, s.layer == "tissue") for s in self._document.states.values() if s.motility is not None]
        return max((units.number(m.speed, "um/min") * self._factor(m.modulators, t)[0] for m, t in moving), default=0.0)
