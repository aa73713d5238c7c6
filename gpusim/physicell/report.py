"""The account of an import: what became of each element."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

Fate = Literal["exact", "approximate", "lost"]
FATES: tuple[Fate, ...] = ("exact", "approximate", "lost")
RULE = "rule"
"""The kind of a row of the table of rules."""


@dataclass(frozen=True)
class Row:
    """An element of the settings or a rule, what became of it, and how it is translated, or why it is lost."""

    kind: str
    element: str
    fate: Fate
    note: str = ""


@dataclass
class Report:
    """All rows, in the order of the files."""

    rows: list[Row] = field(default_factory=list)

    def add(self, kind: str, element: str, fate: Fate, note: str = "") -> None:
        """Add a row."""
        self.rows.append(Row(kind, element, fate, note))

    def counts(self, *, rules: bool | None = None) -> dict[Fate, int]:
        """Rows by fate: all, those of rules, or those of all else."""
        found = Counter(row.fate for row in self.rows if rules is None or (row.kind == RULE) == rules)
        return {fate: found[fate] for fate in FATES}


def worst(*fates: Fate) -> Fate:
    """The one that keeps least."""
    return max(fates, key=FATES.index, default="exact")
