"""What a schema can't see: names that must exist elsewhere, and units that follow from a field's."""

import difflib
from collections.abc import Iterable, Iterator

from gpusim import units
from gpusim.scenario.reading import KeyPath
from gpusim.scenario.schema import Document, Modulator, Rule

Problem = tuple[KeyPath, str]

EMPTY = "empty"
"""The tissue state of a voxel with no resident cell; always there."""
NONE = "none"
"""The immune state of a voxel with no mobile cell; always there."""

MOST_STATES = 250


def nearest(word: str, known: Iterable[str]) -> str:
    """ "; did you mean 'x'?", or nothing where no known word is near."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


def state_names(document: Document) -> tuple[list[str], list[str]]:
    """Tissue states, `empty` first, and immune states, `none` first, in the order of the file."""
    tissue = [EMPTY] + [n for n, s in document.states.items() if s.layer == "tissue" and n != EMPTY]
    immune = [NONE] + [n for n, s in document.states.items() if s.layer == "immune" and n != NONE]
    return tissue, immune


def problems(document: Document) -> list[Problem]:
    """Everything in a document that contradicts something else in it."""
    found = [*_states(document), *_rules(document), *_tissue(document), *_therapies(document)]
    for name, field in document.fields.items():
        found += _concentration(document, name, field.initial, ("fields", name, "initial"))
    return found


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    known = list(known)
    listed = ", ".join(known) or "none"
    return f"unknown {kind} '{name}'" + (nearest(name, known) or f" (known: {listed})")


def _field(document: Document, name: str, path: KeyPath) -> Iterator[Problem]:
    if name not in document.fields:
        yield path, _unknown("field", name, document.fields)


def _state(document: Document, name: str, path: KeyPath) -> Iterator[Problem]:
    tissue, immune = state_names(document)
    if name not in tissue and name not in immune:
        yield path, _unknown("state", name, tissue + immune)


def _dimension(value: float | str, path: KeyPath, *wanted: str) -> Iterator[Problem]:
    """`value` must be a bare number or have the dimension of one of `wanted`."""
    if isinstance(value, str) and convertible(value, wanted) is None:
        expected = " or ".join(f"'{unit}'" for unit in wanted)
        yield path, f"expected a number or a quantity in {expected}, found '{value}'"


def convertible(value: float | str, wanted: Iterable[str]) -> str | None:
    """The first unit of `wanted` that `value` can be converted to."""
    for unit in wanted:
        try:
            units.number(value, unit)
        except units.UnitError:
            continue
        return unit
    return None


def _concentration(document: Document, field: str, value: float | str, path: KeyPath) -> Iterator[Problem]:
    if field in document.fields:
        yield from _dimension(value, path, document.fields[field].unit)


def amount_units(field_unit: str) -> tuple[str, str]:
    """A release may be a rise of concentration, or an amount that the voxel's volume dilutes."""
    return field_unit, f"{field_unit} * voxel"


def secretion_units(field_unit: str) -> tuple[str, str]:
    """Secretion by a cell: concentration per minute in its voxel, or amount per minute."""
    return f"{field_unit} / min", f"{field_unit} * voxel / min"


def _states(document: Document) -> Iterator[Problem]:
    if len(document.states) > MOST_STATES:
        yield ("states",), f"expected at most {MOST_STATES} states, found {len(document.states)}"
    for name, state in document.states.items():
        path: KeyPath = ("states", name)
        if (name == EMPTY and state.layer != "tissue") or (name == NONE and state.layer != "immune"):
            yield (*path, "layer"), f"'{EMPTY}' stands for no cell in tissue and '{NONE}' for none in immune"
        for field, value in state.secretion.items():
            at = (*path, "secretion", field)
            yield from _field(document, field, at)
            if field in document.fields:
                yield from _dimension(value, at, *secretion_units(document.fields[field].unit))
        for field in state.uptake:
            yield from _field(document, field, (*path, "uptake", field))
        for field, exchange in state.exchange.items():
            yield from _field(document, field, (*path, "exchange", field))
            yield from _concentration(document, field, exchange.blood, (*path, "exchange", field, "blood"))


def _rules(document: Document) -> Iterator[Problem]:
    tissue, _ = state_names(document)
    for name, rule in document.rules.items():
        path: KeyPath = ("rules", name)
        unknown = [p for s in (*rule.leaves, rule.enters) for p in _state(document, s, (*path, "transition"))]
        yield from unknown
        if not unknown:
            yield from _one_layer(rule, tissue, path)
        for i, modulator in enumerate(rule.modulators):
            yield from _modulator(document, modulator, (*path, "modulators", i))
        for field, value in rule.releases.items():
            at = (*path, "releases", field)
            yield from _field(document, field, at)
            if field in document.fields:
                yield from _dimension(value, at, *amount_units(document.fields[field].unit))


def _one_layer(rule: Rule, tissue: list[str], path: KeyPath) -> Iterator[Problem]:
    at = (*path, "transition")
    layers = {s in tissue for s in (*rule.leaves, rule.enters)}
    if len(layers) > 1:
        yield at, "states of the tissue and of the immune layer can't turn into each other"
    if len(set(rule.leaves)) < len(rule.leaves):
        yield at, "a state stands twice on the left"
    if rule.enters in rule.leaves:
        yield at, f"'{rule.enters}' stands on both sides"


def _modulator(document: Document, modulator: Modulator, path: KeyPath) -> Iterator[Problem]:
    if modulator.field is not None:
        yield from _field(document, modulator.field, (*path, "field"))
        for shape in ("half", "per", "above", "below"):
            value = getattr(modulator, shape)
            if value is not None:
                yield from _concentration(document, modulator.field, value, (*path, shape))
    else:
        for shape in ("half", "per", "above", "below"):
            value = getattr(modulator, shape)
            if isinstance(value, str):
                yield from _dimension(value, (*path, shape), "dimensionless")
    for shape in ("half", "per"):
        value = getattr(modulator, shape)
        if isinstance(value, str) and units.parse(value).magnitude == 0:
            yield (*path, shape), f"expected '{shape}' above 0"
    for key in ("neighbours", "contact"):
        for state in getattr(modulator, key) or ():
            yield from _state(document, state, (*path, key))


def _tissue(document: Document) -> Iterator[Problem]:
    tissue, _ = state_names(document)
    spec = document.tissue
    if spec.background not in tissue:
        yield ("tissue", "background"), _unknown("tissue state", spec.background, tissue)
    for name, shape in spec.shapes.items():
        for state in (shape.state, *(shape.into or ())):
            yield from _state(document, state, ("tissue", "shapes", name))
    for i, cell_type in enumerate(spec.types):
        yield from _state(document, cell_type.state, ("tissue", "types", i, "state"))
    if spec.cells is not None and not spec.types:
        yield ("tissue", "types"), "a table of cells needs 'types': which rows become which state"
    if spec.cells is None and document.grid.shape is None:
        yield ("grid", "shape"), "is missing (only a table of cells can do without)"


def _therapies(document: Document) -> Iterator[Problem]:
    for name, injection in document.therapies.items():
        yield from _field(document, injection.inject, ("therapies", name, "inject"))
        if injection.inject in document.fields:
            unit = document.fields[injection.inject].unit
            if convertible(injection.amount, [f"{unit} * voxel"]) is None:
                yield (
                    ("therapies", name, "amount"),
                    f"expected an amount in '{unit} * voxel', found '{injection.amount}'",
                )
