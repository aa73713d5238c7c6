"""Groups of states, which stand for their states wherever a scenario names several.

A type of the schema whose values name several states is marked with a `Plural`. Every value of such a type can contain
groups: no other code lists these places. Checks read a scenario as written; all other code sees it after `resolved`.
"""

import functools
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from gpusim.scenario.hints import forms
from gpusim.scenario.reading import KeyPath

if typing.TYPE_CHECKING:
    from gpusim.scenario.schema import Document

Groups = Mapping[str, tuple[str, ...]]
"""Members of each group, by name."""
Part = TypeVar("Part", bound=BaseModel)
_Change = Callable[["Plural", Any, KeyPath], Any]


class Overlap(ValueError):
    """Two groups give a table different entries for one state."""


@dataclass(frozen=True)
class Plural:
    """Mark of a type whose values name several states.

    Attributes:
        names: the names of states and groups in a value.
        expanded: a value in which states replace the groups; raises `Overlap`.
    """

    names: Callable[[Any], Iterable[str]]
    expanded: Callable[[Any, Groups], Any]

    def in_states(self, value: Any, groups: Groups) -> Any:
        """A value with states in place of the groups, or the value itself if it names none. Raises `Overlap`."""
        return self.expanded(value, groups) if any(name in groups for name in self.names(value)) else value


def states_of(names: Iterable[str], groups: Groups) -> tuple[str, ...]:
    """The names with the states of `groups` in the place of each group, each state once."""
    return tuple(dict.fromkeys(state for name in names for state in groups.get(name, (name,))))


def _table(table: Mapping[str, Any], groups: Groups) -> dict[str, Any]:
    """A table by state. The entry of a state takes precedence over that of its group."""
    given: dict[str, str] = {}
    for name in table:
        for state in groups.get(name, (name,)):
            if name != state and state in table:
                continue
            if state in given:
                raise Overlap(
                    f"'{state}' is in the groups '{given[state]}' and '{name}'; expected an entry for '{state}'"
                )
            given[state] = name
    return {state: table[name] for state, name in given.items()}


def _contacts(table: Mapping[str, Mapping[str, Any]], groups: Groups) -> dict[str, dict[str, Any]]:
    """A table by two states in either order. Of two entries, the one with fewer groups takes precedence."""
    given: dict[frozenset[str], tuple[int, str, str, tuple[str, str]]] = {}
    for row, column in _pairs(table):
        count = (row in groups) + (column in groups)
        for one in groups.get(row, (row,)):
            for other in groups.get(column, (column,)):
                pair = frozenset((one, other))
                before = given.get(pair)
                if before is None or count < before[0]:
                    given[pair] = (count, row, column, (one, other))
                elif count == before[0] and before[1:3] != (row, column):
                    raise Overlap(
                        f"the contact of '{one}' and '{other}' is given by '{before[1]}: {{{before[2]}: ...}}' and by "
                        f"'{row}: {{{column}: ...}}'; expected '{one}: {{{other}: ...}}'"
                    )
    found: dict[str, dict[str, Any]] = {}
    for _, row, column, (one, other) in given.values():
        found.setdefault(one, {})[other] = table[row][column]
    return found


def _pairs(table: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    return ((row, column) for row, others in table.items() for column in others)


LIST = Plural(iter, states_of)
"""A list of states."""
TABLE = Plural(iter, _table)
"""A table by state."""
CONTACTS = Plural(lambda table: (name for pair in _pairs(table) for name in pair), _contacts)
"""A table by two states."""


def flat(groups: Groups) -> dict[str, tuple[str, ...]]:
    """The states of each group, with those of the groups in it. A group within itself adds nothing."""
    found: dict[str, tuple[str, ...]] = {}

    def fill(name: str) -> tuple[str, ...]:
        if name not in found:
            found[name] = ()  # while its members are looked up
            inner = (fill(member) if member in groups else (member,) for member in groups[name])
            found[name] = tuple(dict.fromkeys(state for states in inner for state in states))
        return found[name]

    for name in groups:
        fill(name)
    return {name: found[name] for name in groups}


def circle(groups: Groups) -> list[str]:
    """The names along a circle, the first of them at both ends; empty if no group contains itself."""
    done: set[str] = set()

    def follow(name: str, above: list[str]) -> list[str]:
        if name in above:
            return [*above[above.index(name) :], name]
        if name in done or name not in groups:
            return []
        done.add(name)
        return next(filter(None, (follow(member, [*above, name]) for member in groups[name])), [])

    return next(filter(None, (follow(name, []) for name in groups)), [])


def resolved(document: "Document") -> "Document":
    """A scenario in which states replace the groups; `groups` then has the states of each. Raises `Overlap`."""
    return in_states(document, flat(document.groups))


def in_states(part: Part, groups: Groups) -> Part:
    """A part of a scenario in which states replace the groups, which contain states only (`flat`). Raises `Overlap`."""

    def change(plural: Plural, value: Any, _: KeyPath) -> Any:
        return plural.in_states(value, groups)

    return _in_model(part, change, ()) if groups else part


def names(part: BaseModel) -> Iterator[tuple[KeyPath, Plural, Any]]:
    """Each value in a part of a scenario that names several states, with its path and the mark of its type."""
    found: list[tuple[KeyPath, Plural, Any]] = []

    def note(plural: Plural, value: Any, path: KeyPath) -> Any:
        found.append((path, plural, value))
        return value

    _in_model(part, note, ())
    return iter(found)


def _in_model(part: Part, change: _Change, path: KeyPath) -> Part:
    changed = {}
    for name, key, hint in _plural_fields(type(part)):
        value = getattr(part, name)
        new = _in_value(value, hint, change, (*path, key))
        if new is not value:
            changed[name] = new
    return part.model_copy(update=changed) if changed else part


def _in_value(value: Any, hint: Any, change: _Change, path: KeyPath) -> Any:
    if isinstance(value, BaseModel):
        return _in_model(value, change, path)
    if value is None:
        return value
    for form, metadata in forms(hint):
        origin, inner, plural = typing.get_origin(form), typing.get_args(form), _mark(metadata)
        if plural is not None and isinstance(value, origin or form):
            return change(plural, value, path)
        if origin is dict and isinstance(value, dict):
            table = {key: _in_value(each, inner[1], change, (*path, key)) for key, each in value.items()}
            return value if all(table[key] is each for key, each in value.items()) else table
        if origin is tuple and isinstance(value, tuple) and inner[-1] is Ellipsis:
            items = tuple(_in_value(each, inner[0], change, (*path, i)) for i, each in enumerate(value))
            return value if all(new is each for new, each in zip(items, value, strict=True)) else items
    return value


def _mark(metadata: Iterable[Any]) -> Plural | None:
    return next((each for each in metadata if isinstance(each, Plural)), None)


@functools.cache
def _plural_fields(model: type[BaseModel]) -> tuple[tuple[str, str, Any], ...]:
    """Attribute, key and type of what can name several states in a part of the schema."""
    hints = {
        name: typing.Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        for name, field in model.model_fields.items()
    }
    return tuple((name, model.model_fields[name].alias or name, hint) for name, hint in hints.items() if _named(hint))


def _named(hint: Any) -> bool:
    """Whether a type can contain the names of several states."""
    for form, metadata in forms(hint):
        if _mark(metadata) is not None:
            return True
        if isinstance(form, type) and issubclass(form, BaseModel):
            if _plural_fields(form):
                return True
        elif any(_named(inner) for inner in typing.get_args(form) if inner is not Ellipsis):
            return True
    return False
