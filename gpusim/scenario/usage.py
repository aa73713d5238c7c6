"""Unused parts of a scenario: names that nothing reads, states without cells, fields without a source.

A name that resembles one in use is treated as an error. Others may be intended (a tracer may only be recorded) and give
a note. Parts of the library serve several scenarios and are not checked.
"""

import functools
import re
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from importlib import resources
from pathlib import Path
from typing import Any

from gpusim import units
from gpusim.scenario.checks import Problem
from gpusim.scenario.reading import read_file
from gpusim.scenario.schema import EMPTY, NONE, Document, FieldSpec, InitialField, Quantity, State, Tissue

_WRITES = {"inject", "infuse", "to_body", "transition"}
"""Keys whose value is written, not read."""
_TEXTS = {"name", "description", "source", "unit", "initial", "arms", "label", "role", "colour", "colours"}
_LISTED = 8
_LIKE = 0.8
_SHORTEST = 6
"""Shortest word that can be a misspelling; shorter words that differ are treated as two names."""


def misspelt(document: Document) -> Iterator[Problem]:
    """Unused names that resemble one in use."""
    fields, quantities = _read(document)
    reachable = _reachable(document, _tissues(document).values(), _injected(document))
    for path, kind, used, verdict in (
        (("fields",), document.fields, fields, "nothing reads"),
        (("body", "quantities"), document.body.quantities, quantities, "nothing reads"),
        (("states",), document.states, reachable, "no cell can be in state"),
    ):
        for name in _unused(kind, used):
            meant = [other for other in kind if other in used and _alike(name, other)]
            if meant:
                yield (*path, name), f"{verdict} '{name}'; did you mean '{meant[0]}'?"


def notes(document: Document) -> list[str]:
    """Sentences on parts that have no effect."""
    fields, quantities = _read(document)
    reachable = _reachable(document, _tissues(document).values(), _injected(document))
    found = []
    for kind, used, verdict in (
        (document.fields, fields, "nothing reads field {}: it is recorded, and has no effect"),
        (
            document.body.quantities,
            quantities,
            "nothing reads quantity {} of the body: it is recorded, and has no effect",
        ),
        (document.states, reachable, "no cell can be in state {}: nothing places such cells, and no rule ends there"),
    ):
        if unused := _unused(kind, used):
            found.append(verdict.format(_named(unused)))
    for site, tissue in _tissues(document).items():
        at = f" at {site}" if document.sites else ""
        here = _reachable(document, [tissue], _injected(document, site))
        needed = fields & _looked_at_by(document, here)
        wants = [_want(document, name, site, here) for name in document.fields if name in needed]
        found += [f"{sentence}{at}" for sentence in wants if sentence]
    return found


def _named(names: Iterable[str]) -> str:
    names = list(names)
    more = [f"{len(names) - _LISTED} more"] if len(names) > _LISTED else []
    return ", ".join([*(f"'{name}'" for name in names[:_LISTED]), *more])


# Names


def _unused(kind: dict[str, FieldSpec] | dict[str, Quantity] | dict[str, State], used: set[str]) -> list[str]:
    return [name for name, spec in kind.items() if name not in used and (name, spec.source) not in _library()]


@functools.lru_cache(maxsize=1)
def _library() -> set[tuple[str, str]]:
    """Names and sources in the shipped files."""
    read = [read_file(path).data for path in Path(str(resources.files("gpusim") / "presets")).rglob("*.yaml")]
    kinds = [(d.get("fields"), d.get("states"), d.get("body", {}).get("quantities")) for d in read]
    return {(name, spec.get("source")) for each in kinds for kind in each if kind for name, spec in kind.items()}


def _read(document: Document) -> tuple[set[str], set[str]]:
    """Fields and quantities that something reads: names that occur as values, except where they are written.

    Names in an arm of a trial count as read.
    """
    words = {word for path, word in _leaves(document.model_dump(exclude_unset=True)) if _looks(path)}
    words |= _in_arms(document)
    for reaction in document.reactions.values():  # the other fields of the reaction depend on it
        words |= set(reaction.consumes) if len(reaction.consumes) > 1 or reaction.makes else set()
    exchanged = {field for state in document.states.values() for field, e in state.exchange.items() if e.body}
    fields = words | exchanged | set(document.heat.cytokines if document.heat else ())
    ends = [process.ends for process in document.body.processes.values()]
    quantities = words | {leaves for leaves, enters in ends if leaves and enters}
    return fields & document.fields.keys(), quantities & document.body.quantities.keys()


def _leaves(data: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Texts, with their paths."""
    if isinstance(data, str):
        yield path, data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _leaves(value, (*path, str(key)))
    elif isinstance(data, (list, tuple)):
        for value in data:
            yield from _leaves(value, path)


def _looks(path: tuple[str, ...]) -> bool:
    return path[-1] not in _WRITES and not _TEXTS.intersection(path)


def _in_arms(document: Document) -> set[str]:
    arms = document.trial.arms if document.trial else {}
    return set(re.findall(r"\w+", repr(list(arms.values()))))


def _alike(one: str, other: str) -> bool:
    """Whether two names are spellings of one: `antibodies` and `antibody`, but not `drug_a` and `drug_b`."""
    first, second = one.lower().split("_"), other.lower().split("_")
    return len(first) == len(second) and all(map(_alike_words, first, second))


def _alike_words(one: str, other: str) -> bool:
    if _singular(one) == _singular(other):
        return True
    # What stands before a word or at its end tells names apart (`uninfected`, `vegfa`, `collagenase`); so do digits.
    shorter, longer = sorted((one, other), key=len)
    return (
        len(longer) >= _SHORTEST
        and one[0] == other[0]
        and one[:-1] != other[:-1]
        and not longer.startswith(shorter)
        and (one + other).isalpha()
        and SequenceMatcher(None, one, other).ratio() >= _LIKE
    )


def _singular(word: str) -> str:
    for plural, single in (("ies", "y"), ("ses", "s"), ("xes", "x")):
        if word.endswith(plural):
            return word.removesuffix(plural) + single
    return word if word.endswith(("ss", "us")) else word.removesuffix("s")


# States


def _tissues(document: Document) -> dict[str, Tissue]:
    return {name: site.tissue for name, site in document.sites.items()} or {"": document.tissue}


def _injected(document: Document, site: str | None = None) -> set[str]:
    """Fields and states that therapies put in, or leave, at one site or anywhere."""
    first = next(iter(document.sites), "")
    here = [t for t in document.therapies.values() if site is None or (t.site or first) == site]
    return {name for t in here for name in (t.inject, t.leaves) if name}


def _reachable(document: Document, tissues: Iterable[Tissue], injected: set[str]) -> set[str]:
    """States that cells can reach, if every rule fires."""
    found = {EMPTY, NONE} | injected | _in_arms(document)
    for tissue in tissues:
        found |= {tissue.background}
        found |= {shape.state for shape in tissue.shapes.values()} | {each.state for each in tissue.types}
        found |= set(tissue.image.labels.values()) if tissue.image else set()
    while new := {made for r in document.rules.values() if found.intersection(r.leaves) for made in r.made} - found:
        found |= new
    return found


# Fields


def _looked_at_by(document: Document, states: set[str]) -> set[str]:
    """Fields that cells in some states read in their rules, rates and motility; and some other words."""
    rules = [rule for rule in document.rules.values() if states.intersection(rule.leaves)]
    specs = [spec for name, spec in document.states.items() if name in states]
    losses = [loss for field in document.fields.values() for loss in field.clearance.values()]
    reactions = list(document.reactions.values())
    parts = (*rules, *specs, *losses, *reactions)
    consumed = {field for reaction in reactions for field in reaction.consumes}
    return consumed | {word for part in parts for _, word in _leaves(part.model_dump(exclude_unset=True))}


def _want(document: Document, name: str, site: str, here: set[str]) -> str:
    """A sentence on a field that has no source or is used up, else empty; `here` are the states of a site."""
    if name in _in_arms(document):
        return ""
    states = {state: spec for state, spec in document.states.items() if state in here}
    if name in _injected(document, site) or _made(document, name, states) or _from_outside(document.fields[name]):
        return ""
    if any(_some(value) for state, value in document.fields[name].holds.items() if state in here):
        return ""
    makers = _named(state for state, spec in document.states.items() if _makes(spec, name) and state not in here)
    missing = f" (no {makers} in the tissue)" if makers else ""
    initial = document.fields[name].initial
    if not isinstance(initial, InitialField) and not _some(initial):
        return f"field '{name}' is read and stays 0: it has no source{missing}, initial value, boundary or dose"
    takers = _named(state for state, spec in states.items() if name in spec.uptake)
    if takers:
        return f"field '{name}' is taken up by {takers} and has no source{missing}: it will fall to nearly 0"
    return ""


def _made(document: Document, field: str, states: dict[str, State]) -> bool:
    """Whether cells in some states or the blood supply a field, rules release it, or reactions make it."""
    if any(field in reaction.makes for reaction in document.reactions.values()):
        return True
    releases = [r.releases.get(field) for r in document.rules.values() if {EMPTY, NONE, *states}.intersection(r.leaves)]
    return any(map(_some, releases)) or any(_makes(state, field) for state in states.values())


def _makes(state: State, field: str) -> bool:
    secretion, exchange = state.secretion.get(field), state.exchange.get(field)
    return (secretion is not None and _some(secretion.rate)) or (
        exchange is not None and (exchange.body is not None or _some(exchange.blood))
    )


def _from_outside(field: FieldSpec) -> bool:
    return any(
        _some(side.value) or (side.permeability is not None and _some(side.far)) for side in field.boundary.sides()
    )


def _some(amount: float | str | None) -> bool:
    """Whether an amount is above 0."""
    return amount is not None and (units.parse(amount).magnitude if isinstance(amount, str) else amount) > 0
