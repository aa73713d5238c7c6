"""Unused parts of a scenario: names that nothing reads, states without cells, fields without a source.

A name that resembles one in use is treated as an error. Others may be intended (a tracer may only be recorded) and give
a note. Parts of the library serve several scenarios and are not checked.
"""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher
from importlib import resources
from pathlib import Path
from typing import Any

from gpusim import units
from gpusim.scenario import groups
from gpusim.scenario.checks import Problem
from gpusim.scenario.reading import read_file
from gpusim.scenario.schema import (
    EMPTY,
    NONE,
    Document,
    FieldSpec,
    InitialField,
    Outcome,
    Quantity,
    State,
    Tissue,
    Trait,
    TraitRelease,
)

_WRITES = {"inject", "infuse", "to_body", "transition", "partner"}
"""Keys whose value is written, not read."""
_TEXTS = {"name", "description", "sources", "unit", "initial", "arms", "label", "role", "colour", "colours"}
_LISTED = 8
_LIKE = 0.8
_SHORTEST = 6
"""Shortest word that can be a misspelling; shorter words that differ are treated as two names."""


def misspelt(document: Document) -> Iterator[Problem]:
    """Unused names that resemble one in use, in a document as written."""
    named = _named_groups(document)
    document = groups.resolved(document)
    fields, quantities = _read(document)
    reachable = _reachable(document, _tissues(document).values(), _injected(document))
    for path, kind, used, verdict in (
        (("fields",), document.fields, fields, "nothing reads"),
        (("body", "quantities"), document.body.quantities, quantities, "nothing reads"),
        (("states",), document.states, reachable, "no cell can be in state"),
        (("groups",), document.groups, named, "nothing uses the group"),
    ):
        for name in _unused(kind, used):
            meant = [other for other in kind if other in used and _alike(name, other)]
            if meant:
                yield (*path, name), f"{verdict} '{name}'; did you mean '{meant[0]}'?"


def notes(document: Document, outcomes: Iterable[Outcome] = ()) -> list[str]:
    """Sentences on parts that have no effect in a document as written, of which a study may take `outcomes`."""
    named = _named_groups(document, outcomes)
    document = groups.resolved(document)
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
        (document.groups, named, "nothing uses group {}: it has no effect"),
    ):
        if unused := _unused(kind, used):
            found.append(verdict.format(_named(unused)))
    words, traits = _words(document), document.traits
    acting = {name for name, trait in traits.items() if trait.uptake or trait.secretion or _founds(trait)}
    if unused := [name for name in traits if name not in words | acting]:
        found.append(f"nothing reads trait {_named(unused)}: it is recorded, and has no effect")
    divided = {state for rule in document.rules.values() if rule.daughter for state in (*rule.leaves, *rule.made)}
    mutating = [name for name, trait in traits.items() if trait.mutation and not divided.intersection(trait.of)]
    if mutating:
        found.append(f"no rule divides cells with trait {_named(mutating)}: its mutation has no effect")
    for site, tissue in _tissues(document).items():
        at = f" at {site}" if document.sites else ""
        here = _reachable(document, [tissue], _injected(document, site))
        needed = fields & _looked_at_by(document, here)
        wants = [_want(document, name, site, here) for name in document.fields if name in needed]
        found += [f"{sentence}{at}" for sentence in wants if sentence]
    return found


def _founds(trait: Trait) -> bool:
    return trait.mutation is not None and trait.mutation.clone is not None


def _named(names: Iterable[str]) -> str:
    names = list(names)
    more = [f"{len(names) - _LISTED} more"] if len(names) > _LISTED else []
    return ", ".join([*(f"'{name}'" for name in names[:_LISTED]), *more])


# Names


def _unused(
    kind: Mapping[str, FieldSpec] | Mapping[str, Quantity] | Mapping[str, State] | groups.Groups, used: set[str]
) -> list[str]:
    return [name for name, spec in kind.items() if name not in used and (name, _mark(spec)) not in _library()]


def _mark(spec: FieldSpec | Quantity | State | tuple[str, ...]) -> str | None:
    """What tells a part of the library from one of a scenario with the same name; groups have no mark."""
    if isinstance(spec, tuple):
        return None
    return spec.colour if isinstance(spec, State) else spec.unit


@functools.lru_cache(maxsize=1)
def _library() -> set[tuple[str, str | None]]:
    """Names and marks of the parts in the shipped files."""
    read = [read_file(path).data for path in Path(str(resources.files("gpusim") / "presets")).rglob("*.yaml")]
    found: set[tuple[str, str | None]] = set()
    for data in read:
        found |= {(name, spec.get("unit")) for name, spec in data.get("fields", {}).items()}
        found |= {(name, spec.get("colour")) for name, spec in data.get("states", {}).items() if "colour" in spec}
        found |= {(name, spec.get("unit", "cell")) for name, spec in data.get("body", {}).get("quantities", {}).items()}
        found |= {(name, None) for name in data.get("groups", {})}
    return found


def _named_groups(document: Document, outcomes: Iterable[Outcome] = ()) -> set[str]:
    """Groups that something names, outcomes of a study and arms of a trial too, and the groups in these."""
    parts = (document.model_copy(update={"groups": {}}), *outcomes)
    named = _in_arms(document)
    named |= {name for part in parts for _, plural, value in groups.names(part) for name in plural.names(value)}
    while new := {inner for name in named for inner in document.groups.get(name, ())} - named:
        named |= new
    return named


def _read(document: Document) -> tuple[set[str], set[str]]:
    """Fields and quantities that something reads: names that occur as values, except where they are written.

    Names in an arm of a trial count as read.
    """
    words = _words(document)
    for reaction in document.reactions.values():  # the other fields of the reaction depend on it
        words |= set(reaction.consumes) if len(reaction.consumes) > 1 or reaction.makes else set()
    taken_up = {field for trait in document.traits.values() for field in trait.uptake}
    exchanged = {field for state in document.states.values() for field, e in state.exchange.items() if e.body}
    fields = words | taken_up | exchanged | set(document.heat.cytokines if document.heat else ())
    ends = [process.ends for process in document.body.processes.values()]
    quantities = words | {leaves for leaves, enters in ends if leaves and enters}
    return fields & document.fields.keys(), quantities & document.body.quantities.keys()


def _words(document: Document) -> set[str]:
    """Texts that are read, in the document and in the arms of its trial."""
    texts = _leaves(document.model_dump(exclude_unset=True))
    return {word for path, word in texts if _looks(path)} | _in_arms(document)


def _leaves(data: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Texts, with their paths."""
    if isinstance(data, str):
        yield path, data
    elif isinstance(data, dict):
        for key, value in data.items():
            if path[-2:] == _DIRECTION:
                yield path, str(key)
            yield from _leaves(value, (*path, str(key)))
    elif isinstance(data, (list, tuple)):
        for value in data:
            yield from _leaves(value, path)


_DIRECTION = ("chemotaxis", "along")
"""Its keys are names of fields."""


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
        found |= {tissue.background} | ({tissue.outline.beyond} if tissue.outline else set())
        found |= {shape.state for shape in tissue.shapes.values()} | {each.state for each in tissue.types}
        found |= set(tissue.image.labels.values()) if tissue.image else set()
    while new := {made for r in document.rules.values() if found.intersection(r.leaves) for made in r.all_made} - found:
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
    if name in _in_arms(document) or (document.flow is not None and name == document.flow.field):
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
    if any(field in trait.secretion and states.keys() & {*trait.of} for trait in document.traits.values()):
        return True
    releases = [r.releases.get(field) for r in document.rules.values() if {EMPTY, NONE, *states}.intersection(r.leaves)]
    amounts = [each.each if isinstance(each, TraitRelease) else each for each in releases]
    return any(map(_some, amounts)) or any(_makes(state, field) for state in states.values())


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
