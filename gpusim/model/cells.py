"""The tables of what cells do: rules and motility."""

import math
from collections.abc import Iterable

import numpy as np

from gpusim import units
from gpusim.model.adhesion import adhesion
from gpusim.model.conversion import concentration
from gpusim.model.division import closing, reach, require_claimable, ways
from gpusim.model.model import Cells, States
from gpusim.model.modulators import Modulators, greatest, highest, modulator_rows, numbered, together
from gpusim.model.steps import MOST_CHANGE, MOST_HAZARD, MOST_HAZARD_OF_DIVISION, HighestRate
from gpusim.model.tables import (
    ADJUSTMENT,
    ALMOST_SURE,
    EGRESS,
    EGRESS_BITS,
    MOST_DIVISION,
    MOTILITY,
    PERIODIC,
    RELEASE,
    RULE,
    SLOPE,
    Adjusted,
    Boundary,
    Instead,
    begins,
    probability,
    state_set,
)
from gpusim.model.traits import fastest_law, fastest_transfer
from gpusim.model.waiting import MOST_OF_CLOCK, counter, steps_after, waited
from gpusim.scenario import Document
from gpusim.scenario.checks import barriers, release_units
from gpusim.scenario.schema import NONE, Modulator, Motility, Rule, Sides, Trait, TraitRelease


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
        self._traits = numbered(document)
        self._releases: list[tuple[int, int, float]] = []
        self._adjustments: list[tuple[int, int, float]] = []
        self._egresses: list[tuple[int, float]] = []
        self._slopes: list[tuple[int | float, ...]] = []

    def build(self, moves: int, shape: tuple[int, int, int]) -> Cells:
        """All tables, of so many moves a step and a lattice of this shape (z, y, x).

        Raises `ScenarioError` where a time or a distance does not fit.
        """
        rules, rule_begin, names = self._rules()
        motilities = self._motilities(shape)
        return Cells(
            rules=rules,
            rule_begin=rule_begin,
            rule_names=names,
            ceilings=_ceilings(rules, rule_begin, self._modulators.highest),
            motilities=motilities,
            trails=self._trails(),
            modulators=self._modulators.table,
            releases=np.array(self._releases, RELEASE),
            adjustments=np.array(self._adjustments, ADJUSTMENT),
            egresses=np.array(self._egresses, EGRESS),
            slopes=np.array(self._slopes, SLOPE),
            neighbourhoods=self._modulators.neighbourhoods,
            moves=moves,
            ways=ways(self._document, self._states, rules, self._spacing, math.prod(shape)),
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
                given = value.each if isinstance(value, TraitRelease) else value
                trait = self._traits.index(value.trait) if isinstance(value, TraitRelease) else -1
                amount = concentration(given, release_units(self._document, field, value), self._volume)
                self._releases.append((self._field_names.index(field), trait, amount))
            first_adjustment = len(self._adjustments)
            for kind, amounts in ((Adjusted.ADD, rule.add), (Adjusted.SET, rule.set)):
                for trait_name, value in amounts.items():
                    amount = units.number(value, self._document.traits[trait_name].unit, self._volume)
                    self._adjustments.append((self._traits.index(trait_name), kind, amount))
            first_egress = len(self._egresses)
            self._egresses += [self._egress(each.trait) for _, each in rule.carries]
            begins_anew = counter(rule.enters)  # as the clock does
            if begins_anew in self._traits and not rule.waits:
                self._adjustments.append((self._traits.index(begins_anew), Adjusted.SET, 0.0))
            after = steps_after(name, rule, self._rules_step)
            counted = after > MOST_OF_CLOCK
            of_all = (*rule.modulators, *self._kept_out(rule))
            modulators = (0, 0) if counted else self._modulators.add(of_all)
            begin = (
                self._states.number(rule.enters),
                self._daughter(rule),
                reach(name, rule, self._spacing),
                units.number(rule.rate, "1/min") * self._rules_step,
                0 if counted else after,
            )
            rest = (
                first_release,
                len(self._releases),
                first_adjustment,
                len(self._adjustments),
                first_egress,
                len(self._egresses),
                rule.clone is not None,
            )
            for state in rule.leaves:
                of_state = by_state[self._states.number(state)]
                if counted:
                    modulators = self._modulators.add((*of_all, waited(state, after)))
                for partners in self._partners(rule):
                    if rule.waits:
                        require_claimable(name, len(of_state))
                    of_state.append((name, (*begin, *modulators, *rest, *partners)))
        rows = [pair for pairs in by_state for pair in pairs]
        return np.array([row for _, row in rows], RULE), begins(by_state), tuple(name for name, _ in rows)

    def _partners(self, rule: Rule) -> list[tuple[int, int]]:
        """States of the partner before and after, a pair for each that it may have before; of no partner, -1."""
        number = self._states.number
        return [(number(before), number(after)) for before, after in rule.partners.items()] or [(-1, -1)]

    def _egress(self, trait: str) -> tuple[int, float]:
        """A trait, and the power of 2 by which no value of it comes above 2^`EGRESS_BITS`."""
        _, exponent = math.frexp(greatest(self._document.traits[trait], self._volume))
        return self._traits.index(trait), 2.0 ** min(EGRESS_BITS - exponent, 127)

    def _daughter(self, rule: Rule) -> int:
        """State of the daughter, or what there is in its place."""
        if rule.daughter is not None:
            return self._states.number(rule.daughter)
        return Instead.CLOSES if rule.closes else Instead.NO_DAUGHTER

    def _kept_out(self, rule: Rule) -> tuple[Modulator, ...]:
        """No immune cell comes into being within a barrier."""
        walls = barriers(self._document)
        return (Modulator(contact=walls, at_zero=1, at_saturation=0),) if walls and NONE in rule.leaves else ()

    def _motilities(self, shape: tuple[int, int, int]) -> np.ndarray:
        table = np.zeros(len(self._states.names), MOTILITY)
        table["field"] = -1
        sides = self._document.grid.sides
        table["stray"] = 0.5 / max(
            1, sum(n > 1 or side == "open" for n, side in zip(shape, (sides.z, sides.y, sides.x), strict=True))
        )
        for name, state in self._document.states.items():
            if state.motility is not None:
                self._motility(table[self._states.number(name)], state.layer == "tissue", state.motility)
        return table

    def _trails(self) -> np.ndarray:
        """What a cell in each state leaves behind when it moves, uint8 [states]."""
        states, specs = self._states, self._document.states
        found = np.zeros(len(states.names), np.uint8)
        found[states.none :] = states.none
        for name, spec in specs.items():
            if spec.motility is not None and spec.motility.trail is not None:
                found[states.number(name)] = states.number(spec.motility.trail)
        return found

    def _motility(self, row: np.void, of_tissue: bool, motility: Motility) -> None:
        states = self._states
        row["hop"] = units.number(motility.speed, "um/min") * self._move_step / self._spacing
        persistence, longer = units.number(motility.turns, "min"), motility.turns_modulated
        turn = 1.0 - math.exp(-self._move_step / persistence) if persistence > 0 else 1.0
        row["turn"] = min(turn, ALMOST_SURE)
        row["turning"] = self._move_step / persistence if persistence > 0 else 0.0
        chemotaxis = motility.chemotaxis
        row["first_modulator"], row["end_speed"] = self._modulators.add(motility.modulators)
        _, row["end_turning"] = self._modulators.add(longer)
        _, row["end_bias"] = self._modulators.add(chemotaxis.bias.modulators if chemotaxis and chemotaxis.bias else ())
        row["first_slope"] = row["end_slope"] = len(self._slopes)
        row["end_modulator"] = row["end_bias"]
        if chemotaxis is not None and chemotaxis.bias is not None:
            row["bias"] = chemotaxis.bias.value
            for name, part in chemotaxis.along.items():
                unit = self._document.fields[name].unit
                # Differences are over two voxels.
                scale = 0.0 if part.per is None else 0.5 / units.number(part.per, unit, self._volume)
                modulators = self._modulators.add(part.modulators)
                self._slopes.append((self._field_names.index(name), part.weight, scale, *modulators))
            row["end_slope"], row["end_modulator"] = len(self._slopes), modulators[1]
        elif chemotaxis is not None:
            assert chemotaxis.field is not None, "checked on loading"
            assert chemotaxis.half is not None, "checked on loading"
            assert chemotaxis.sensitivity is not None, "checked on loading"
            row["field"] = self._field_names.index(chemotaxis.field)
            unit = self._document.fields[chemotaxis.field].unit
            row["scale"] = 1.0 / units.number(chemotaxis.half, unit, self._volume)
            row["sensitivity"] = units.number(chemotaxis.sensitivity, "um") / self._spacing
        enters = motility.enters or (states.immune if of_tissue else states.tissue)
        enters = tuple(state for state in enters if state not in barriers(self._document))
        row["enters"] = state_set([states.number(s) for s in enters])
        free = 0 if of_tissue else states.none
        row["replaces"] = state_set([free, *(states.number(s) for s in motility.crushes or ())])


def boundary_of_cells(sides: Sides) -> int:
    """Bits of the sides of the lattice, of `tables.Boundary`."""
    kinds = (sides.z, sides.y, sides.x)
    periodic = sum(bit for bit, kind in zip(PERIODIC, kinds, strict=True) if kind == "periodic")
    return periodic + sum(3 * Boundary.FIRST_OPEN << 2 * axis for axis, kind in enumerate(kinds) if kind == "open")


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
            hazards[state] += (
                hazard if rule["partner"] < 0 else np.where(np.arange(states) == rule["partner"], hazard, 0)
            )
    highest_probability = probability(hazards * (1 + _ROUNDING))
    return np.ceil(highest_probability * (1 + _ROUNDING) * 2.0**32).astype(np.uint32)


class Bounds:
    """How often and how fast the cells of a scenario can act at most, whatever surrounds them."""

    def __init__(self, document: Document, states: States, volume: float) -> None:
        self._document, self._states, self._volume = document, states, volume

    def _factor(self, modulators: Iterable[Modulator], of_tissue: bool) -> tuple[float, bool]:
        """The most that modulators of a layer's cells multiply by, and whether that is so: the rest has no bound."""
        place = (self._document, self._states, self._volume)
        rows = [(m, row) for m in modulators for row in modulator_rows(m, *place)]
        found = [highest(modulator, row, self._states, self._document, self._volume) for modulator, row in rows]
        bounded = [each for each in found if np.isfinite(each).all()]
        beside = slice(self._states.none, None) if of_tissue else slice(self._states.none)
        return float(together(bounded, len(self._states.names))[beside].max()), len(bounded) == len(found)

    def rates(self) -> list[HighestRate]:
        """The largest hazard rate of each rule."""
        found = []
        for name, rule in self._document.rules.items():
            most, bounded = self._factor(rule.modulators, self._states.number(rule.enters) < self._states.none)
            limit = MOST_HAZARD_OF_DIVISION if rule.waits else MOST_HAZARD
            rate = units.number(rule.rate, "1/min") * most
            found.append(HighestRate(f"rule '{name}'", rate, limit, bounded, self._where(rule.modulators)))
        for name, trait in self._document.traits.items():
            laws = [law for law in trait.changes.values() if law.gain is None]
            if laws:
                bounded = all(self._factor_of_trait(trait, law.modulators)[1] for law in laws)
                rate = fastest_law(trait, lambda *given: self._factor_of_trait(*given)[0])
                found.append(HighestRate(f"the changes of trait '{name}'", rate, MOST_CHANGE, bounded))
        return found

    def _where(self, modulators: Iterable[Modulator]) -> str:
        """When modulators multiply by the most, as far as traits decide it."""
        greatest = dict.fromkeys(
            f"'{m.trait}' has its greatest value, {self._document.traits[m.trait].most}"
            for m in modulators
            if m.trait is not None and m.per is not None
        )
        return f" where {' and '.join(greatest)}" if greatest else ""

    def transfer(self) -> float:
        """Highest bounded rate of a transfer between a trait and a field, 1/min."""
        return fastest_transfer(self._document, lambda *given: self._factor_of_trait(*given)[0])

    def _factor_of_trait(self, trait: Trait, modulators: Iterable[Modulator]) -> tuple[float, bool]:
        return self._factor(modulators, self._states.number(trait.of[0]) < self._states.none)

    def speed(self) -> float:
        """Highest bounded speed of a cell, um/min; 0 where none moves."""
        moving = [(s.motility, s.layer == "tissue") for s in self._document.states.values() if s.motility is not None]
        return max(
            (
                units.number(m.speed, "um/min") * self._factor(m.modulators, t)[0] * self._detour(m, t)
                for m, t in moving
            ),
            default=0.0,
        )

    def _detour(self, motility: Motility, of_tissue: bool) -> float:
        """How much longer the way along the axes can be than straight on."""
        bias = motility.chemotaxis.bias if motility.chemotaxis is not None else None
        if bias is None:
            return 1.0
        most = min(1.0, bias.value * self._factor(bias.modulators, of_tissue)[0])
        return 1.0 + most * (math.sqrt(3) - 1.0)
