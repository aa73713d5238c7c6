"""The numbers of a scenario, by path, with their sources."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gpusim import units
from gpusim.scenario import references
from gpusim.scenario.checks import Problem, nearest
from gpusim.scenario.reading import KeyPath, dotted
from gpusim.scenario.schema import Document
from gpusim.scenario.sources import ABBREVIATED, KINDS, SOURCES, Kind, Source, limits
from gpusim.scenario.walking import marked, value_at

_OF_THE_MODEL = ("fields", "flow", "reactions", "states", "traits", "rules", "adhesion", "body", "heat", "units")
"""Parts whose numbers are statements about biology."""
_NEUTRAL = {"at_zero", "at_saturation", "at_inhibition"}
"""Keys whose value 1 leaves a rate unchanged."""

_ROUNDING = 1e-9
"""Of numbers in two units."""


@dataclass(frozen=True)
class Number:
    """A number of a scenario with its source.

    Attributes:
        path: its dotted path, as for `--set`.
        value: as written.
        source: None if the scenario gives none.
        equals: the path of the number from which it has its source, if that is another one.
    """

    path: str
    value: float | str
    source: Source | None = None
    equals: str | None = None

    @property
    def kind(self) -> Kind | None:
        """measured, fitted, derived or assumed; None without a source."""
        return self.source.kind if self.source else None

    @property
    def range(self) -> tuple[float, float] | None:
        """The lowest and highest value, as multiples of `value`; None without a source."""
        if self.source is None or self.source.range is None:
            return None
        return _relative(self.value, self.source.range)


def quantities(data: Mapping[str, Any]) -> dict[str, float | str]:
    """All quantities in the plain data of a scenario, or of a file that is part of one, by dotted path."""
    found = {path: value_at(data, path) for path in marked(data, units.QUANTITY) if path[0] != SOURCES}
    return {dotted(path): value for path, value in found.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        try:
            units.parse(value)
        except units.UnitError:
            return False
        return True
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def needs_source(path: str, value: float | str) -> bool:
    """Whether a number is a statement about biology, for which the shipped files give a source.

    These are the numbers of fields, reactions, states, rules, adhesion and body, the scales of tumour heat, titres,
    amounts of therapies, and fractions of tissues and of types of cells with the distance of vessels. Others are
    choices (grid, time steps, seeds, sizes and places, times of doses, arms). 0, where a part has no effect, and a
    factor of 1 need no source.
    """
    top, *_, last = path.split(".")
    magnitude = units.parse(value).magnitude if isinstance(value, str) else value
    if magnitude == 0 or (last in _NEUTRAL and magnitude == 1):
        return False
    if ".initial." in path:  # how a table or an image is read
        return False
    if top == "therapies":
        return last == "amount"
    if top in ("tissue", "sites"):
        return ("tissue.shapes." in path or "tissue.types[" in path) and last in ("fraction", "distance")
    return top in _OF_THE_MODEL


def of(data: Mapping[str, Any]) -> list[Number]:
    """The numbers that need a source, and those that have one, in the order of the data.

    Args:
        data: the plain data of a scenario or of a file that is part of one, with sources that are valid.
    """
    every = quantities(data)
    stated = {_found(path, every): Source.model_validate(source) for path, source in data.get(SOURCES, {}).items()}
    result = []
    for path, value in every.items():
        source = stated.get(path)
        equals = _found(source.equals, every) if source and source.equals is not None else None
        if equals is not None:
            source = stated.get(equals)
        if source is not None or needs_source(path, value):
            result.append(Number(path, value, source, equals))
    return result


def counts(found: Iterable[Number]) -> dict[str, int]:
    """How many numbers there are of each kind, and without a source."""
    kinds = [number.kind for number in found]
    return {kind: kinds.count(kind) for kind in KINDS} | {"without a source": kinds.count(None)}


def in_words(found: Mapping[str, int]) -> str:
    """Counts by kind as text: "6 measured, 206 assumed"."""
    return ", ".join(f"{count} {kind}" for kind, count in found.items() if count) or "none"


def by_reference(found: Iterable[Number]) -> dict[str, list[Number]]:
    """The numbers that each reference supports, by key."""
    supported: dict[str, list[Number]] = {}
    for number in found:
        for key in number.source.reference if number.source else ():
            supported.setdefault(key, []).append(number)
    return dict(sorted(supported.items()))


def _found(path: str, every: Mapping[str, Any]) -> str:
    """The path under which a number stands in the data: `uptake.oxygen` or `uptake.oxygen.rate`, as written there."""
    if path in every:
        return path
    for key in ABBREVIATED:
        if f"{path}.{key}" in every:
            return f"{path}.{key}"
        if path.endswith(f".{key}") and path.removesuffix(f".{key}") in every:
            return path.removesuffix(f".{key}")
    return path


def problems(document: Document) -> Iterator[Problem]:
    """Contradictions between the sources of a document and its numbers."""
    if not document.sources:
        return
    every = quantities(document.model_dump(mode="json", exclude_unset=True, exclude={SOURCES}))
    stated = {_found(path, every): source for path, source in document.sources.items()}
    for path, source in document.sources.items():
        where: KeyPath = (SOURCES, path)
        here = _found(path, every)
        if here not in every:
            yield where, f"names no number of the scenario{nearest(path, every)}"
        elif source.equals is not None:
            yield from _equal(source.equals, every[here], every, stated, (*where, "equals"))
        else:
            yield from _contains(source, every[here], (*where, "range"))
        for each in source.reference:
            if not references.is_doi(each) and each not in references.known():
                close = nearest(each, references.known())
                hint = close or "; expected a key of 'gpusim presets --references' or a DOI such as '10.1172/JCI34388'"
                yield (*where, "reference"), f"unknown reference '{each}'{hint}"


def _equal(
    other: str, value: float | str, every: Mapping[str, float | str], stated: Mapping[str, Source], where: KeyPath
) -> Iterator[Problem]:
    there = _found(other, every)
    if there not in every:
        yield where, f"'{other}' names no number of the scenario{nearest(other, every)}"
    elif there not in stated:
        yield where, f"'{other}' has no source"
    elif stated[there].equals is not None:
        yield where, f"'{other}' itself equals '{stated[there].equals}'; name that number"
    elif value != every[there] and not _same(value, every[there]):
        yield where, f"the number is {value}, but '{other}' is {every[there]}"


def _same(one: float | str, other: float | str) -> bool:
    try:
        return isinstance(one, str) and isinstance(other, str) and abs(units.number(one, other) - 1) < _ROUNDING
    except units.UnitError:
        return False


def _contains(source: Source, value: float | str, where: KeyPath) -> Iterator[Problem]:
    assert source.range is not None, "checked on loading"
    try:
        low, high = _relative(value, source.range)
    except units.UnitError as error:
        yield where, str(error)
        return
    if not low <= 1 <= high:
        yield where, f"the range '{source.range}' does not contain the number, {value}"


def _relative(value: float | str, text: str) -> tuple[float, float]:
    """The limits of a range as multiples of a number. Raises `units.UnitError`."""
    low, high, unit = limits(text)
    if not isinstance(value, str) or units.bare(value):
        if unit:
            raise units.UnitError(f"expected a range without a unit, as of the number, {value}; found '{text}'")
        found = float(value)
        return _over(low, found), _over(high, found)
    for wanted, reciprocal in ((unit or "dimensionless", False), (f"1/({unit})", True)):
        try:
            found = units.number(value, wanted)
        except units.UnitError:
            continue
        if not reciprocal:
            return _over(low, found), _over(high, found)
        if low > 0:
            return _over(1 / high, found), _over(1 / low, found)
    raise units.UnitError(f"expected a range in a unit of the number, {value}; found '{text}'")


def _over(limit: float, value: float) -> float:
    if value == 0:
        raise units.UnitError("0 has no range")
    found = limit / value
    return 1.0 if abs(found - 1) < _ROUNDING else found
