"""Responses of the grammar as rates with modulators, and what became of each rule."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gpusim.physicell.grammar import Response, Rule, hill
from gpusim.physicell.report import Fate, worst
from gpusim.physicell.settings import CellType

CLOCK = "clock"
"""The quantity of the body that is the time since the start."""
FULL_PRESSURE = {True: 11, False: 18}
"""Neighbours for a pressure of 1, in a section and in a volume.

PhysiCell's pressure is 1 with 12 neighbours at their equilibrium distance, of which a plane has 6. Growing tissue is
compressed, but less at its rim, where most cells divide. The number for a section is fitted to PhysiCell's run of the
project hypoxia: with 8, 10, 11 and 12, it has 21%, 9% and 1% fewer cells, living and dead, after four days than there,
and 3% more. A voxel of a section then has a pressure of 0.73 at most, 1.45 times that of the equilibrium; the number
for a volume, with 26 neighbours, is that with the same ratio.
"""
_CONTACTS = {"live": "live_cells", "dead": "dead_cells", "apoptotic": "apoptotic_cells", "necrotic": "necrotic_cells"}
_SYNONYMS = {
    "is dead": "dead",
    "is_apoptotic": "apoptotic",
    "is_necrotic": "necrotic",
    "total damage delivered": "damage delivered",
    "is attacking": "attacking",
    "current time": "time",
    "global time": "time",
}
_OF_TRAITS = {"damage": "damage", "damage delivered": "delivered", "volume": "volume", "total attack time": "attacking"}


@dataclass(frozen=True)
class Seen:
    """What a signal is in a scenario: the argument of a modulator with its units, or a number that does not change."""

    argument: dict[str, Any] | None = None
    constant: float = 0.0
    factor: float = 1.0
    unit: str = ""
    fate: Fate = "exact"
    note: str = ""


@dataclass(frozen=True)
class Modulated:
    """A value, times some modulators."""

    value: float
    modulators: tuple[dict[str, Any], ...] = ()


@dataclass
class Responses:
    """Rules by cell type and behaviour.

    Attributes:
        fields: names by substrate; members: states by cell type, of living and dead cells; traits: names by kind and
            cell type; kinds: "live", "dead" and how cells die, if any do. fates: what became of each rule so far.
    """

    rules: list[Rule]
    types: dict[str, CellType]
    fields: dict[str, str]
    members: dict[str, list[str]]
    traits: Callable[[str, str], str | None]
    flat: bool
    kinds: set[str] = field(default_factory=lambda: {"live"})
    fates: dict[Rule, tuple[Fate, str]] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)
    ticking: bool = False

    def by_behaviour(self, cell: str, *names: str) -> list[Rule]:
        """The rules of a behaviour, under any of its names."""
        return [rule for rule in self.rules if rule.cell == cell and rule.behaviour in names]

    def lose(self, cell: str, names: Iterable[str], why: str) -> None:
        """Say why the rules of a behaviour are lost."""
        for rule in self.by_behaviour(cell, *names):
            self.fates[rule] = ("lost", why)

    def lose_rest(self, cell: str, names: Iterable[str], why: str) -> None:
        """Say why the rules of a behaviour are lost that have no fate yet."""
        for rule in self.by_behaviour(cell, *names):
            self.fates.setdefault(rule, ("lost", why))

    def modulated(
        self,
        cell: str,
        names: Iterable[str],
        base: float,
        *,
        dead: str | None = None,
        fate: Fate = "exact",
        note: str = "",
        convert: Callable[[float], float] | None = None,
        shared: Mapping[str, str] | None = None,
    ) -> Modulated:
        """A behaviour with this value without signals, of living cells, or of `dead` ones (how they died).

        `fate` and `note`: what is lost by the behaviour itself. `convert`: values of the behaviour into those of the
        scenario; what lies between its limits is then approximate. `shared`: living cells by type that are touched in
        the cell's own voxel.
        """
        names = list(names)
        rules = self.by_behaviour(cell, *names)
        if convert is not None and rules:
            fate = "approximate"
            note = "; ".join([note] * bool(note) + ["between its limits, in proportion to the converted values"])
        response = Response(cell, next(iter(names)), base, rules)
        if rules and min(base, response.bottom, response.top) < 0:
            self.lose(cell, names, "a rate below 0")
            return Modulated(max(base, 0.0))
        up: list[tuple[Rule, Seen]] = []
        down: list[tuple[Rule, Seen]] = []
        sums = {True: 0.0, False: 0.0}
        for rule in response.of(dead=dead is not None):
            seen = self._seen(rule, dead, shared or {})
            known = self.fates.get(rule, ("exact", ""))
            worse = worst(known[0], seen.fate, fate)
            notes = dict.fromkeys([*known[1].split("; "), seen.note, note])
            self.fates[rule] = (worse, "; ".join(each for each in notes if each))
            if seen.fate == "lost":
                continue
            if seen.argument is None:
                sums[rule.increases] += hill(seen.constant, rule)
            else:
                (up if rule.increases else down).append((rule, seen))
        for rule in rules:  # of living cells alone, looked at for dead ones
            self.fates.setdefault(rule, (fate, note))
        base, top, bottom = (convert(v) if convert else v for v in (response.base, response.top, response.bottom))
        return _joined(base, top, bottom, up, down, sums[True], sums[False])

    def _seen(self, rule: Rule, dead: str | None, shared: Mapping[str, str]) -> Seen:
        """What a signal is."""
        signal = _SYNONYMS.get(rule.signal, rule.signal)
        if signal in self.fields:
            return Seen({"field": self.fields[signal]})
        if signal in ("dead", "apoptotic", "necrotic"):
            return Seen(constant=float(dead is not None and signal in ("dead", dead)))
        if signal == "time":
            self.ticking = True
            return Seen({"body": CLOCK}, unit="min")
        if signal == "pressure":
            groups = [_CONTACTS[kind] for kind in ("live", "dead") if kind in self.kinds]
            self.groups |= set(groups)
            note = "the pressure is the number of neighbours"
            full = FULL_PRESSURE[self.flat]
            return Seen({"neighbours": groups}, factor=full, fate="approximate", note=note)
        if signal in _OF_TRAITS and dead is not None:
            return Seen(fate="lost", note=f"'{signal}' of a dead cell")
        if signal in _OF_TRAITS:
            return self._of_trait(rule.cell, signal)
        if signal.startswith("contact with "):
            return self._contact(signal.removeprefix("contact with "), shared)
        name = signal.removeprefix("custom:")
        if signal.startswith("custom:") and name in self.types[rule.cell].custom:
            note = "a custom variable that stays as it is in the settings"
            return Seen(constant=self.types[rule.cell].custom[name], fate="approximate", note=note)
        for end, why in (
            (" gradient", "the slope of a field"),
            ("intracellular ", "amounts within cells"),
            ("attacking", "an attack takes no time"),
        ):
            if signal.endswith(end) or signal.startswith(end):
                return Seen(fate="lost", note=f"signal '{rule.signal}': {why}")
        return Seen(fate="lost", note=f"unknown signal '{rule.signal}'")

    def _of_trait(self, cell: str, signal: str) -> Seen:
        trait = self.traits(_OF_TRAITS[signal], cell)
        if trait is None:
            return Seen(fate="lost", note=f"'{signal}' without an attack")
        if signal == "volume":
            note = "the volume grows by what is ingested and returns to its target at one rate"
            return Seen({"trait": trait}, unit="um^3", fate="approximate", note=note)
        return Seen({"trait": trait}, unit="min" if signal == "total attack time" else "")

    def _contact(self, what: str, shared: Mapping[str, str]) -> Seen:
        if what in shared:
            return Seen({"contact": shared[what]}, fate="approximate", note="of a living cell in the same voxel")
        if what in self.members:
            return Seen({"neighbours": self.members[what]})
        kind = what.removesuffix("s").removesuffix(" cell")
        if kind in _CONTACTS and kind not in self.kinds:
            return Seen(constant=0.0)
        if kind in _CONTACTS:
            self.groups.add(_CONTACTS[kind])
            return Seen({"neighbours": [_CONTACTS[kind]]})
        if kind == "other dead":
            return Seen(constant=0.0)
        return Seen(fate="lost", note=f"signal 'contact with {what}': there is nothing of it on the lattice")


def _joined(
    base: float,
    top: float,
    bottom: float,
    up: list[tuple[Rule, Seen]],
    down: list[tuple[Rule, Seen]],
    above: float,
    below: float,
) -> Modulated:
    """Signals that change as modulators; `above` and `below` are sums over those that do not."""
    base = (base + top * above) / (1 + above)
    base, top = ((each + bottom * below) / (1 + below) for each in (base, top))
    if not up and not down:
        return Modulated(base)
    reference = max(base, top if up else base, bottom if down else base)
    if reference <= 0:
        return Modulated(0.0)
    low, high, least = base / reference, top / reference, bottom / reference
    ups = [_signal(rule, seen, above) for rule, seen in up]
    downs = [_signal(rule, seen, below) for rule, seen in down]
    if len(ups) <= 1 and len(downs) <= 1 and (not ups or not downs or least == 0):
        rising = [_limits(each, low, high) for each in ups]
        if ups:
            return Modulated(reference, (*rising, *(each | {"effect": "inhibits"} for each in downs)))
        return Modulated(reference, tuple(_limits(each, low, least) for each in downs))
    joint: dict[str, Any] = {}
    if ups:
        joint["increases"] = ups
    if downs:
        joint["decreases"] = downs
    joint["at_zero"] = _round(low)
    if ups:
        joint["at_saturation"] = _round(high)
    if downs:
        joint["at_inhibition"] = _round(least)
    return Modulated(reference, (joint,))


def _signal(rule: Rule, seen: Seen, constant: float) -> dict[str, Any]:
    half = rule.half * seen.factor * (1 + constant) ** (1 / rule.power)
    assert seen.argument is not None
    power = {} if rule.power == 1 else {"power": int(rule.power) if rule.power == int(rule.power) else rule.power}
    return {**seen.argument, "half": f"{half:.10g} {seen.unit}" if seen.unit else _round(half), **power}


def _limits(signal: dict[str, Any], low: float, high: float) -> dict[str, Any]:
    """The same with its values at zero and at saturation, in the shortest form."""
    if (low, high) == (0, 1):
        return signal
    if (low, high) == (1, 0):
        return signal | {"effect": "inhibits"}
    return signal | {"at_zero": _round(low), "at_saturation": _round(high)}


def _round(value: float) -> float:
    found = float(f"{value:.10g}")
    return int(found) if found == int(found) and abs(found) < 1e15 else found
