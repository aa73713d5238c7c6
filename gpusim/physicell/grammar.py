"""PhysiCell's grammar of rules: tables of version 1 to 3, joined to one response for each behaviour of a cell type.

Source: Johnson et al., Cell 2025, "Human interpretable grammar encodes multicellular systems biology models to
democratize virtual cell laboratories"; core/PhysiCell_rules.cpp of PhysiCell 1.14.2.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path

from gpusim.physicell import reading
from gpusim.physicell.reading import ProjectError, shown
from gpusim.physicell.settings import CellType
from gpusim.scenario.limits import LEAST_POWER, MOST_POWER

MOST_RULES = 10_000
_DIRECTIONS = {"increases": True, "increase": True, "promotes": True, "decreases": False, "decrease": False}
_COLUMNS = (
    "cell type, signal, 'increases' or 'decreases', behaviour, saturation value, half-max, Hill power, applies to dead"
)


@dataclass(frozen=True)
class Rule:
    """A row: how a signal raises or lowers a behaviour of a cell type, towards `extreme` at saturation.

    `base`: the value without signals, of version 1 and 2; later ones have that of the cell definition.
    """

    place: str
    cell: str
    signal: str
    increases: bool
    behaviour: str
    extreme: float
    half: float
    power: float
    of_dead: bool
    base: float | None = None

    def __str__(self) -> str:
        verb = "increases" if self.increases else "decreases"
        dead = ", also of dead cells" if self.of_dead else ""
        return (
            f"{self.cell}: {self.signal} {verb} {self.behaviour} towards {self.extreme:g}, with half-max {self.half:g} "
            f"and power {self.power:g}{dead}"
        )


def read(path: Path) -> list[Rule]:
    """The rules of a table. Raises `ProjectError` with file and line."""
    found: list[Rule] = []
    for number, row in reading.lines(path):
        place = f"{path}:{number}"
        if len(found) >= MOST_RULES:
            raise ProjectError(f"{place}: more than {MOST_RULES:,} rules")
        if len(row) > 2 and row[1].lower() == "signal":  # a header
            continue
        if len(row) not in (8, 9):
            raise ProjectError(f"{place}: expected 8 columns ({_COLUMNS}), or 9 with the base value, found {len(row)}")
        cell, signal, direction, behaviour = row[:4]
        if direction not in _DIRECTIONS:
            raise ProjectError(f"{place}: expected 'increases' or 'decreases', found '{shown(direction)}'")
        if not (cell and signal and behaviour):
            raise ProjectError(f"{place}: expected {_COLUMNS}; found an empty column")
        *base, extreme, half, power, dead = (reading.number(text, place) for text in row[4:])
        if half <= 0 or not LEAST_POWER <= power <= MOST_POWER:
            raise ProjectError(
                f"{place}: expected a half-max above 0 and a Hill power from {LEAST_POWER} to {MOST_POWER}, found "
                f"{half:g} and {power:g}"
            )
        of_dead, value = bool(dead), base[0] if base else None
        found.append(Rule(place, cell, signal, _DIRECTIONS[direction], behaviour, extreme, half, power, of_dead, value))
    return found


@dataclass
class Response:
    """All rules of one behaviour: u = base + (top - base) h(increasing signals), u + (bottom - u) h(decreasing ones).

    h = s / (1 + s), where s is the sum of (signal / half-max)^power.
    """

    cell: str
    behaviour: str
    base: float
    rules: list[Rule] = field(default_factory=list)

    @property
    def top(self) -> float:
        """The value at saturation of what increases it: the highest of all rules, and at least the base."""
        return max([self.base, *(rule.extreme for rule in self.rules if rule.increases)])

    @property
    def bottom(self) -> float:
        """The value at saturation of what decreases it: the lowest of all rules, and at most the base."""
        return min([self.base, *(rule.extreme for rule in self.rules if not rule.increases)])

    def of(self, *, dead: bool) -> list[Rule]:
        """The rules that count for living, or for dead cells."""
        return [rule for rule in self.rules if rule.of_dead or not dead]


def hill(signal: float, rule: Rule) -> float:
    """(signal / half-max)^power of a known signal, at most 1e30."""
    ratio = signal / rule.half
    return 0.0 if ratio <= 0 else float(10.0 ** min(rule.power * math.log10(ratio), 30.0))


def unknown_types(rules: list[Rule], types: list[CellType]) -> list[Rule]:
    """Rules of cell types that the settings do not define."""
    known = {each.name for each in types}
    return [rule for rule in rules if rule.cell not in known]
