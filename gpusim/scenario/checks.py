"""Consistency checks beyond the schema: names that must exist elsewhere, and units that follow from a field's."""

import difflib
import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from gpusim import units
from gpusim.scenario import expressions, groups
from gpusim.scenario.limits import FINEST_PROBABILITY
from gpusim.scenario.reading import KeyPath
from gpusim.scenario.schema import (
    DEFAULT,
    EMPTY,
    NONE,
    NOTHING,
    OUTSIDE,
    RATIO,
    SIDES,
    Adhesion,
    Boundary,
    Document,
    Extent,
    FieldSpec,
    Grid,
    InitialField,
    InitialTrait,
    Law,
    Modulator,
    Motility,
    Outcome,
    Process,
    Reaction,
    Rule,
    Signal,
    Therapy,
    Tissue,
    Trait,
    TraitRelease,
    Transfer,
    columns,
)

Problem = tuple[KeyPath, str]

NO_DIVISION = "is not defined, because no tissue cell divides ('mother -> mother + daughter')"
"""What is said of room where there is none."""

_LONGEST_WORD = 80
_SMOOTH = {"implicit2": "which does not conserve the mass of", "steady": "which discards"}
"""Solvers that do not support sudden changes of a field, and the reason."""
_OF_CELLS = ("columns", "length_unit", "margin", "origin", "table", "types")
"""Keys of `tissue` that apply only to a table of cells."""
RESERVED = (EMPTY, NONE, OUTSIDE, NOTHING, DEFAULT)
"""Names that no group can have."""
COLUMNS = (
    "time",
    "step",
    "x",
    "y",
    "z",
    "tissue",
    "immune",
    "body",
    "quantity",
    "digest",
    "byte",
    "contents",
    "clones",
)
"""Names of other arrays in a result."""
OUTPUT = ("layer", "state", "clone", "type", "time_min", "x_um", "y_um", "z_um", "heat", "room")
"""Names of other columns in exported tables of cells, and of what is drawn besides fields."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Text "; did you mean 'x'?", or an empty text if no known word is similar."""
    if len(word) > _LONGEST_WORD:
        return ""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


def state_names(document: Document) -> tuple[list[str], list[str]]:
    """Tissue states, `empty` first, and immune states, `none` first, in the order of the file."""
    tissue = [EMPTY] + [n for n, s in document.states.items() if s.layer == "tissue" and n != EMPTY]
    immune = [NONE] + [n for n, s in document.states.items() if s.layer == "immune" and n != NONE]
    return tissue, immune


def tissue_divides(document: Document) -> bool:
    """Whether a rule lets tissue cells divide, so that there is room."""
    return bool(_reaches(document))


def problems(document: Document) -> list[Problem]:
    """All contradictions in a document as written, or those in its groups."""
    if found := _groups(document):
        return found
    document = groups.resolved(document)
    return [
        *_fields(document),
        *_flow(document),
        *_reactions(document),
        *_states(document),
        *_traits(document),
        *_clones(document),
        *_rules(document),
        *_adhesion(document),
        *_body(document),
        *_lattices(document),
        *_therapies(document),
        *_heat(document),
        *_recorded(document),
        *_trial(document),
    ]


def _groups(document: Document) -> list[Problem]:
    """Contradictions in groups, without which states cannot take their places."""
    if circle := groups.circle(document.groups):
        return [(("groups", circle[0]), f"contains itself: {' -> '.join(circle)}")]
    return [*_group_names(document)] or [*_overlaps(document)]


def _group_names(document: Document) -> Iterator[Problem]:
    states = [name for layer in state_names(document) for name in layer]
    for name, members in document.groups.items():
        path: KeyPath = ("groups", name)
        if name in RESERVED:
            yield path, f"'{name}' is reserved; choose another name"
        elif name in states:
            yield path, f"'{name}' is a state, too; choose another name"
        for member in members:
            if member not in states and member not in document.groups:
                yield (*path, member), _unknown("state or group", member, [*states, *document.groups])


def _overlaps(document: Document) -> Iterator[Problem]:
    flat = groups.flat(document.groups)
    for path, plural, value in groups.names(document):
        try:
            plural.in_states(value, flat)
        except groups.Overlap as error:
            yield path, str(error)


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    known = list(known)
    listed = ", ".join(known) or "none"
    return f"unknown {kind} '{name}'" + (nearest(name, known) or f" (known: {listed})")


def _not_a_state(document: Document, kind: str, name: str, known: Iterable[str]) -> str:
    """What is said of a name that is none of the `known` states, here a `kind` of state."""
    if name in document.groups:
        return f"expected one state, found the group '{name}' ({', '.join(document.groups[name])})"
    for layer, states in zip(("tissue", "immune"), state_names(document), strict=True):
        if name in states:
            return f"expected a {kind}, found '{name}' of the layer '{layer}'"
    return _unknown(kind, name, [*known, *document.groups])


def _field(document: Document, name: str, path: KeyPath) -> Iterator[Problem]:
    if name not in document.fields:
        yield path, _unknown("field", name, document.fields)


def _state(document: Document, name: str, path: KeyPath) -> Iterator[Problem]:
    tissue, immune = state_names(document)
    if name not in tissue and name not in immune:
        yield path, _not_a_state(document, "state", name, tissue + immune)


def _dimension(value: float | str, path: KeyPath, *wanted: str) -> Iterator[Problem]:
    """`value` must be a bare number or have the dimension of one of `wanted`."""
    if not isinstance(value, str) or convertible(value, wanted) is not None:
        return
    for unit in wanted:
        try:
            units.number(value, unit)
        except units.TooLargeError as error:
            yield path, f"'{value}' {error}"
            return
        except units.UnitError:
            pass
    expected = " or ".join(f"'{unit}'" for unit in wanted)
    yield path, f"expected a number or a quantity in {expected}, found '{value}'{units.ratio_missing(value)}"


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
    """Units of a release: a rise of the concentration, or an amount, which is divided by the volume of the voxel."""
    return field_unit, f"{field_unit} * voxel"


def secretion_units(field_unit: str) -> tuple[str, str]:
    """Units of a secretion: concentration per minute in the voxel, or amount per minute."""
    return f"{field_unit} / min", f"{field_unit} * voxel / min"


def release_units(document: Document, field: str, release: float | str | TraitRelease) -> tuple[str, ...]:
    """Units of a release of a rule. One in proportion to a trait is for one unit of that, which may stand below it."""
    units_of_amount = amount_units(document.fields[field].unit)
    if not isinstance(release, TraitRelease):
        return units_of_amount
    per_unit = (f"({unit}) / ({document.traits[release.trait].unit})" for unit in units_of_amount)
    return (*units_of_amount, *per_unit)


def carried_units(document: Document, quantity: str, release: TraitRelease) -> tuple[str, str]:
    """Units of what a quantity of the body gains in proportion to a trait; the unit of the trait may stand below it."""
    unit = document.body.quantities[quantity].unit
    return unit, f"({unit}) / ({document.traits[release.trait].unit})"


def ratio_unit(document: Document, trait: Trait, key: str, field: str) -> str:
    """Unit of the ratio of a transfer: of what an amount becomes, per amount."""
    amount = f"{document.fields[field].unit} * voxel"
    ends = (amount, trait.unit) if key == "uptake" else (trait.unit, amount)
    return f"({ends[1]}) / ({ends[0]})"


def flow_unit(document: Document, process: Process) -> str:
    """Unit of the rate of a process: quantity that flows per time, and per the quantity that drives it."""
    quantities = document.body.quantities
    leaves, enters = process.ends
    flowing = enters or leaves
    assert flowing is not None, "checked on loading"
    driver = process.by or leaves
    return f"{quantities[flowing].unit} / min" + (f" / ({quantities[driver].unit})" if driver else "")


def coefficient_unit(document: Document, reaction: Reaction, field: str) -> str:
    """Unit of a coefficient: that of the field per unit of the first reactant."""
    first = next(iter(reaction.consumes))
    return f"({document.fields[field].unit}) / ({document.fields[first].unit})" if field != first else "dimensionless"


def reaction_unit(document: Document, reaction: Reaction) -> str:
    """Unit of the rate of a reaction: per time, and per unit of the second reactant."""
    _, *second = reaction.consumes
    return "1/min" + "".join(f" / ({document.fields[field].unit})" for field in second)


def _fields(document: Document) -> Iterator[Problem]:
    taken = set(COLUMNS)
    for name in document.fields:
        if name.lower() in taken:
            yield ("fields", name), f"'{name}' is already in use (case is ignored); choose another name"
        taken.add(name.lower())
    for name, field in document.fields.items():
        yield from _field_spec(document, name, field)


def _field_spec(document: Document, name: str, field: FieldSpec) -> Iterator[Problem]:
    path: KeyPath = ("fields", name)
    yield from _initial(document, name, field, (*path, "initial"))
    tissue, _ = state_names(document)
    for state in field.diffusion:
        if state not in (DEFAULT, *tissue):
            yield (*path, "diffusion", state), _not_a_state(document, "tissue state", state, [DEFAULT, *tissue])
    for key in Boundary.model_fields:
        side = getattr(field.boundary, key)
        for value in ("value", "far") if side else ():
            given = getattr(side, value)
            if given is not None:
                yield from _concentration(document, name, given, (*path, "boundary", key, value))
    for holder, held in field.holds.items():
        yield from _holds(document, name, holder, held, (*path, "holds", holder))
    for cause, loss in field.clearance.items():
        yield from _modulators(document, loss.modulators, (*path, "clearance", cause), _Cells.of(document, tissue))
    if field.solver in _SMOOTH and (sudden := _sudden(document, name)):
        yield (
            (*path, "solver"),
            f"found {field.solver}, {_SMOOTH[field.solver]} a sudden change (here by {sudden[0]}); "
            "expected auto, explicit or implicit",
        )


PRESSURE = "mmHg"


def _flow(document: Document) -> Iterator[Problem]:
    flow = document.flow
    advected = [name for name, field in document.fields.items() if field.advection is not None]
    if flow is None:
        yield from (
            (("fields", name, "advection"), "has no effect without 'flow' (the field of the pressure, and the fluid)")
            for name in advected
        )
        return
    unknown = list(_field(document, flow.field, ("flow", "field")))
    yield from unknown
    tissue, _ = state_names(document)
    for key, known in (("conductivity", [DEFAULT, *tissue]), ("vessels", tissue), ("lymphatics", tissue)):
        for state in getattr(flow, key):
            if state not in known:
                yield ("flow", key, state), _not_a_state(document, "tissue state", state, known)
    for state, conductivity in flow.conductivity.items():
        if units.parse(conductivity).magnitude == 0:
            yield (
                ("flow", "conductivity", state),
                "expected a conductivity above 0; for an impermeable tissue, give a millionth of that of the others",
            )
    for state, leak in flow.vessels.items():
        inside = units.number(leak.pressure, PRESSURE) - leak.reflection * units.number(leak.oncotic, PRESSURE)
        if inside < 0:
            yield (
                ("flow", "vessels", state),
                f"the effective pressure, pressure - reflection * oncotic, is {inside:.4g} mmHg; expected 0 or more. "
                "Only differences matter, so the same pressure can be added to all",
            )
    if not unknown:
        yield from _pressure(document, flow.field)
        yield from (problem for name in advected for problem in _advected(document, name, flow.field))


def _pressure(document: Document, name: str) -> Iterator[Problem]:
    """The field of the pressure has no other causes than the flow's."""
    field, path = document.fields[name], ("fields", name)
    if convertible(f"1 {field.unit}", [PRESSURE]) is None or convertible(f"1 {PRESSURE}", [field.unit]) is None:
        yield (*path, "unit"), f"expected a pressure, as '{PRESSURE}', because 'flow' names the field"
        return
    for key in ("diffusion", "decay", "clearance", "initial", "advection"):
        if key in field.model_fields_set:
            yield (*path, key), "does not apply to the field of the pressure, which follows from 'flow'"
    if field.solver not in ("auto", "steady"):
        yield (*path, "solver"), f"found {field.solver}; expected auto or steady for the field of the pressure"
    acting = [
        f"states.{state}.{key}.{name}"
        for state, spec in document.states.items()
        for key in ("secretion", "uptake", "exchange")
        if name in getattr(spec, key)
    ]
    if acting := acting + _sudden(document, name):
        yield path, f"'{acting[0]}' does not apply to the field of the pressure, which follows from 'flow'"


def _advected(document: Document, name: str, pressure: str) -> Iterator[Problem]:
    field, path = document.fields[name], ("fields", name)
    if field.solver in _SMOOTH:
        yield (
            (*path, "solver"),
            f"found {field.solver}, {_SMOOTH[field.solver]} a change by advection; expected auto, explicit or implicit",
        )
    own, of_flow = (document.fields[each].boundary.sides() for each in (name, pressure))
    for i, axis in enumerate("zyx"):
        if (own[2 * i].kind == "periodic") != (of_flow[2 * i].kind == "periodic"):
            yield (
                (*path, "boundary"),
                f"expected '{axis}' to be periodic for both the field and the pressure '{pressure}', or for none",
            )


def _holds(document: Document, field: str, state: str, value: float | str, path: KeyPath) -> Iterator[Problem]:
    """A fixed concentration, which nothing else in the voxel can change."""
    tissue, _ = state_names(document)
    if state not in tissue:
        yield path, _not_a_state(document, "tissue state", state, tissue)
    yield from _concentration(document, field, value, path)
    spec = document.states.get(state)
    for key in ("secretion", "uptake", "exchange"):
        if spec is not None and field in getattr(spec, key):
            yield path, f"'states.{state}.{key}.{field}' would have no effect; expected one of the two"
    for name, rule in document.rules.items():
        if rule.enters == state and field in rule.releases:
            yield path, f"'rules.{name}.releases.{field}' would have no effect, because the rule ends in '{state}'"


def _initial(document: Document, name: str, field: FieldSpec, path: KeyPath) -> Iterator[Problem]:
    initial = field.initial
    if not isinstance(initial, InitialField):
        yield from _concentration(document, name, initial, path)
        return
    if field.solver == "steady":
        yield path, "a steady field does not depend on what it was before; expected a number, or another solver"
    for key in ("unit", "default"):
        given = getattr(initial, key)
        if given is not None:
            yield from _concentration(document, name, given, (*path, key))
    if (units.parse(initial.unit).magnitude if isinstance(initial.unit, str) else initial.unit) == 0:
        yield (*path, "unit"), "expected a 'unit' above 0"
    if initial.expression is not None:
        try:
            expressions.parse(initial.expression).require(field.unit)
        except units.UnitError as error:
            hint = units.ratio_missing(initial.expression)
            yield (
                (*path, "expression"),
                f"expected a quantity in '{field.unit}', as in '2 {field.unit} * exp(-r / (100 um))': "
                f"{initial.expression!r} {error}{hint}",
            )


def _sudden(document: Document, field: str) -> list[str]:
    """The rules, reactions and therapies that change a field suddenly, not together with diffusion."""
    rules = [f"rules.{name}.releases" for name, rule in document.rules.items() if field in rule.releases]
    reactions = [
        f"reactions.{name}.{side}"
        for name, reaction in document.reactions.items()
        for side in ("consumes", "makes")
        if field in getattr(reaction, side)
    ]
    therapies = [f"therapies.{name}" for name, therapy in document.therapies.items() if therapy.inject == field]
    traits = [
        f"traits.{name}.{key}"
        for name, trait in document.traits.items()
        for key in ("uptake", "secretion")
        if field in getattr(trait, key)
    ]
    return rules + reactions + traits + therapies


def _reactions(document: Document) -> Iterator[Problem]:
    tissue, _ = state_names(document)
    for name, reaction in document.reactions.items():
        path: KeyPath = ("reactions", name)
        sides = dict.fromkeys(reaction.consumes, "consumes") | dict.fromkeys(reaction.makes, "makes")
        unknown = [p for field, side in sides.items() for p in _field(document, field, (*path, side, field))]
        yield from unknown
        if not unknown:
            for field, side in sides.items():
                unit = coefficient_unit(document, reaction, field)
                yield from _dimension(getattr(reaction, side)[field], (*path, side, field), unit)
            yield from _dimension(reaction.rate, (*path, "rate"), reaction_unit(document, reaction))
        yield from _modulators(document, reaction.modulators, path)
        for i, modulator in enumerate(reaction.modulators):
            at = (*path, "modulators", i, "contact")
            contacts = [state for argument in modulator.arguments for state in argument.contact or ()]
            yield from _of_one_layer(contacts, tissue, at, ", because a modulator reads one cell of the voxel")


def _states(document: Document) -> Iterator[Problem]:
    tissue, _ = state_names(document)
    closes = any(rule.closes for rule in document.rules.values())
    for name, state in document.states.items():
        path: KeyPath = ("states", name)
        if name == OUTSIDE:
            yield path, f"'{OUTSIDE}' is reserved for rules that close ('state -> {OUTSIDE}')"
        if state.outside and name not in tissue:
            yield (*path, "outside"), "expected a tissue state, because only the tissue closes"
        elif state.outside and not closes:
            yield (*path, "outside"), f"has no effect, because no rule closes ('state -> {OUTSIDE}')"
        if state.yields is not None and name not in tissue:
            yield (*path, "yields"), "expected a tissue state, because immune cells do not displace each other"
        elif state.yields is not None and name == EMPTY:
            yield (*path, "yields"), f"'{EMPTY}' is not a cell"
        if state.barrier and (name not in tissue or name == EMPTY):
            yield (*path, "barrier"), f"expected a tissue state other than '{EMPTY}'"
        elif state.barrier and state.yields is not None:
            yield (*path, "yields"), "a barrier is 'rigid'; leave this out"
        if (name == EMPTY and state.layer != "tissue") or (name == NONE and state.layer != "immune"):
            yield (*path, "layer"), f"'{EMPTY}' belongs to the layer 'tissue' and '{NONE}' to the layer 'immune'"
        here = _Cells.of(document, [name])
        for field, secretion in state.secretion.items():
            at = (*path, "secretion", field)
            yield from _field(document, field, at)
            yield from _modulators(document, secretion.modulators, at, here)
            if field in document.fields:
                yield from _dimension(secretion.rate, at, *secretion_units(document.fields[field].unit))
        for field, loss in state.uptake.items():
            yield from _field(document, field, (*path, "uptake", field))
            yield from _modulators(document, loss.modulators, (*path, "uptake", field), here)
        for field, exchange in state.exchange.items():
            yield from _field(document, field, (*path, "exchange", field))
            at = (*path, "exchange", field)
            if exchange.blood is not None:
                yield from _concentration(document, field, exchange.blood, (*at, "blood"))
            if exchange.body is not None:
                yield from _dissolved(document, field, exchange.body, (*at, "body"))
            if exchange.reflection is not None and (document.flow is None or name not in document.flow.vessels):
                yield (*at, "reflection"), f"has no effect, because 'flow.vessels' has no vessels in state '{name}'"
            elif exchange.reflection is not None and field in document.fields and not document.fields[field].advection:
                yield (*at, "reflection"), f"needs 'advection' in fields.{field}, so that fluid carries it on"
            yield from _modulators(document, exchange.modulators, at, here)
        if state.motility is not None:
            yield from _motility(document, name, state.motility, (*path, "motility"))


def _motility(document: Document, state: str, motility: Motility, path: KeyPath) -> Iterator[Problem]:
    tissue, immune = state_names(document)
    if state in (EMPTY, NONE):
        yield path, f"'{state}' is not a cell and cannot move"
    chemotaxis = motility.chemotaxis
    own, at = _Cells.of(document, [state]), (*path, "chemotaxis")
    if chemotaxis is not None and chemotaxis.field is not None and chemotaxis.half is not None:
        yield from _field(document, chemotaxis.field, (*at, "field"))
        yield from _above_0(document, chemotaxis.field, chemotaxis.half, (*at, "half"))
    if chemotaxis is not None and chemotaxis.bias is not None:
        yield from _modulators(document, chemotaxis.bias.modulators, (*at, "bias"), own)
    for field, part in (chemotaxis.along if chemotaxis is not None else {}).items():
        yield from _field(document, field, (*at, "along", field))
        if part.per is not None:
            yield from _above_0(document, field, part.per, (*at, "along", field, "per"))
        yield from _modulators(document, part.modulators, (*at, "along", field), own)
    yield from _modulators(document, motility.turns_modulated, (*path, "persistence"), own)
    other = immune if state in tissue else tissue
    for entered in motility.enters or ():
        if entered not in other:
            yield (*path, "enters"), _not_a_state(document, "state of the other layer", entered, other)
    for crushed in motility.crushes or ():
        yield from _crushed_by_moves(document, state, crushed, (*path, "crushes"))
    if motility.trail is not None:
        yield from _trail(document, state, motility.trail, (*path, "trail"))
    yield from _modulators(document, motility.modulators, path, own)


def _above_0(document: Document, field: str, value: float | str, path: KeyPath) -> Iterator[Problem]:
    yield from _concentration(document, field, value, path)
    if (units.parse(value).magnitude if isinstance(value, str) else value) == 0:
        yield path, f"expected '{path[-1]}' above 0"


def _cell_of_same_layer(document: Document, state: str, named: str, path: KeyPath, why: str) -> Iterator[Problem]:
    """Problems of a name that must be that of a cell state in the same layer; `why` is said of a free voxel."""
    tissue, immune = state_names(document)
    own = tissue if state in tissue else immune
    if named not in own:
        yield path, _not_a_state(document, "state of the same layer", named, own)
    elif named in (EMPTY, NONE):
        yield path, f"'{named}' is no cell; {why}"


def _crushed_by_moves(document: Document, state: str, crushed: str, path: KeyPath) -> Iterator[Problem]:
    problems = [*_cell_of_same_layer(document, state, crushed, path, "cells enter free voxels in any case")]
    if problems:
        yield from problems
    elif document.states[crushed].motility is not None:
        yield path, f"'{crushed}' moves itself; expected a state without 'motility'"
    elif crushed in barriers(document):
        yield path, f"'{crushed}' is a barrier, which no cell enters"


def _trail(document: Document, state: str, trail: str, path: KeyPath) -> Iterator[Problem]:
    why = "a cell that moves leaves a free voxel behind without 'trail'"
    yield from _cell_of_same_layer(document, state, trail, path, why)
    if trail in barriers(document):
        yield path, f"'{trail}' is a barrier, which no cell leaves behind"
    for name, trait in document.traits.items():
        if trail in trait.of:
            yield path, f"cells in '{trail}' have the trait '{name}'; expected a state without traits"
    if document.clones is not None and trail in document.clones.of:
        yield path, f"cells in '{trail}' belong to clones; expected a state that is not in 'clones.of'"


def _rules(document: Document) -> Iterator[Problem]:
    tissue, _ = state_names(document)
    for name, rule in document.rules.items():
        path: KeyPath = ("rules", name)
        unknown = [p for s in (*rule.leaves, *rule.made) for p in _state(document, s, (*path, "transition"))]
        unknown += [p for s in _states_of_partners(rule) for p in _state(document, s, (*path, "partner"))]
        yield from unknown
        if not unknown:
            yield from _one_layer(rule, tissue, path)
            yield from _division(document, rule, tissue, path)
            yield from _closing(document, rule, path)
            yield from _partner(document, rule, path)
            yield from _adjustments(document, rule, path)
        cells = None if unknown else _Cells.of(document, rule.leaves, rule.partners)
        yield from _modulators(document, rule.modulators, path, cells)
        for field, value in rule.releases.items():
            at = (*path, "releases", field)
            unknown = list(_field(document, field, at))
            if isinstance(value, TraitRelease):
                unknown += _trait_released(document, rule, value, at)
                at = (*at, "each")
            yield from unknown
            if not unknown:
                given = value.each if isinstance(value, TraitRelease) else value
                yield from _dimension(given, at, *release_units(document, field, value))
        if isinstance(rule.to_body, str):
            yield from _cells(document, rule.to_body, (*path, "to_body"))
        else:
            yield from _to_body(document, rule, path)
        if rule.from_body is not None:
            yield from _cells(document, rule.from_body, (*path, "from_body"))


def _to_body(document: Document, rule: Rule, path: KeyPath) -> Iterator[Problem]:
    for quantity, amount in rule.brings.items():
        at = (*path, "to_body", quantity)
        unknown = list(_quantity(document, quantity, at))
        if isinstance(amount, TraitRelease):
            unknown += _trait_released(document, rule, amount, at)
            if rule.waits:
                yield at, "a division or closing brings nothing in proportion to a trait; use a transition"
        yield from unknown
        if unknown:
            continue
        if isinstance(amount, TraitRelease):
            yield from _dimension(amount.each, (*at, "each"), *carried_units(document, quantity, amount))
        else:
            yield from _dimension(amount, at, document.body.quantities[quantity].unit)


def _trait_released(document: Document, rule: Rule, release: TraitRelease, path: KeyPath) -> Iterator[Problem]:
    """A trait that the rule's cell, or the one beside it, can have before the rule fires."""
    at, name = (*path, "trait"), release.trait
    unknown = list(_trait(document, name, at))
    yield from unknown
    if unknown:
        return
    tissue, _ = state_names(document)
    trait = document.traits[name]
    own = (trait.of[0] in tissue) == (rule.enters in tissue)
    before = rule.leaves if own else [*rule.partners]
    if before and not set(before) & set(trait.of):
        yield at, f"has no effect, because state '{before[0]}' does not have the trait '{name}'"


def _quantity(document: Document, name: str, path: KeyPath) -> Iterator[Problem]:
    if name not in document.body.quantities:
        yield path, _unknown("quantity of the body", name, document.body.quantities)


def _dissolved(document: Document, field: str, quantity: str, path: KeyPath) -> Iterator[Problem]:
    """`quantity` in some volume must be a concentration of the field."""
    yield from _quantity(document, quantity, path)
    if quantity in document.body.quantities and field in document.fields:
        unit, field_unit = document.body.quantities[quantity].unit, document.fields[field].unit
        if convertible(f"1 {unit} / mL", [field_unit]) is None:
            yield path, f"expected a quantity in '{field_unit} * mL' or a convertible unit; '{quantity}' is in '{unit}'"


def _cells(document: Document, quantity: str, path: KeyPath) -> Iterator[Problem]:
    """`quantity` must have the unit of cells."""
    yield from _quantity(document, quantity, path)
    if quantity in document.body.quantities:
        unit = document.body.quantities[quantity].unit
        if convertible(f"1 {unit}", ["cell"]) is None:
            yield path, f"expected a quantity in cells; '{quantity}' is in '{unit}'"


def _body(document: Document) -> Iterator[Problem]:
    if NOTHING in document.body.quantities:
        yield ("body", "quantities", NOTHING), f"'{NOTHING}' is reserved for the outside of the body"
    for name, quantity in document.body.quantities.items():
        yield from _dimension(quantity.initial, ("body", "quantities", name, "initial"), quantity.unit)
    for name, process in document.body.processes.items():
        path: KeyPath = ("body", "processes", name)
        ends = [end for end in process.ends if end is not None]
        unknown = [p for end in ends for p in _quantity(document, end, (*path, "transition"))]
        if process.by is not None:
            unknown += _quantity(document, process.by, (*path, "by"))
        yield from unknown
        if not ends:
            yield (*path, "transition"), f"expected a quantity on one side of '{process.transition}'"
        elif not unknown:
            units_of = {document.body.quantities[end].unit for end in ends}
            if len(units_of) > 1:
                yield (*path, "transition"), f"expected one unit on both sides, found {' and '.join(sorted(units_of))}"
            if not isinstance(process.rate, str) or convertible(process.rate, [flow_unit(document, process)]) is None:
                yield (
                    (*path, "rate"),
                    f"expected a quantity in '{flow_unit(document, process)}', found '{process.rate}'",
                )
        for i, modulator in enumerate(process.modulators):
            if any(argument.body is None for argument in modulator.arguments):
                yield (
                    (*path, "modulators", i),
                    "a process depends only on quantities of the body ('body: NAME')",
                )
        yield from _modulators(document, process.modulators, path)


def _one_layer(rule: Rule, tissue: list[str], path: KeyPath) -> Iterator[Problem]:
    at = (*path, "transition")
    yield from _of_one_layer((*rule.leaves, *rule.made), tissue, at)
    effects = (rule.waits, rule.add, rule.set, rule.partner, rule.clone, rule.releases, rule.to_body, rule.from_body)
    if rule.enters in rule.leaves and not any(effects):
        yield at, f"'{rule.enters}' is on both sides, and the rule changes nothing else"


def _of_one_layer(states: Iterable[str], tissue: list[str], path: KeyPath, why: str = "") -> Iterator[Problem]:
    layers = {"tissue" if state in tissue else "immune": state for state in states}
    if len(layers) > 1:
        yield (
            path,
            f"expected states of one layer{why}, found '{layers['tissue']}' of 'tissue' and '{layers['immune']}' of "
            "'immune'",
        )


def _partner(document: Document, rule: Rule, path: KeyPath) -> Iterator[Problem]:
    if rule.partner is None:
        return
    at, (tissue, immune) = (*path, "partner"), state_names(document)
    other = immune if rule.enters in tissue else tissue
    for state in _states_of_partners(rule):
        if state not in other:
            yield at, _not_a_state(document, "state of the other layer", state, other)
    if rule.waits:
        yield at, "a division or closing takes place without a partner; use a transition"


def _states_of_partners(rule: Rule) -> list[str]:
    """Before and after the rule, each once."""
    return list(dict.fromkeys((*rule.partners, *rule.partners.values())))


def _adjustments(document: Document, rule: Rule, path: KeyPath) -> Iterator[Problem]:
    tissue, _ = state_names(document)
    for key, name in itertools.chain((("add", name) for name in rule.add), (("set", name) for name in rule.set)):
        at, value = (*path, key, name), getattr(rule, key)[name]
        unknown = list(_trait(document, name, at))
        yield from unknown
        if unknown:
            continue
        trait = document.traits[name]
        yield from _of_trait(trait, value, at) if key == "set" else _dimension(value, at, trait.unit)
        own = (trait.of[0] in tissue) == (rule.enters in tissue)
        after = (rule.leaves if rule.waits else [rule.enters]) if own else [*rule.partners.values()]
        if rule.closes:
            yield at, "closing removes the cell; use a transition"
        elif not own and not after:
            yield at, f"'{name}' is a trait of the other layer; expected its cell as 'partner: STATE'"
        elif lacking := [state for state in after if state not in trait.of]:
            yield at, f"has no effect, because state '{lacking[0]}' does not have the trait '{name}'"
        elif name in rule.add and name in rule.set and key == "add":
            yield at, f"'{name}' stands under 'set' as well; expected one of the two"


def _trait(document: Document, name: str, path: KeyPath) -> Iterator[Problem]:
    if name not in document.traits:
        yield path, _unknown("trait", name, document.traits)


def _traits(document: Document) -> Iterator[Problem]:
    tissue, _ = state_names(document)
    taken = {*COLUMNS, *OUTPUT, *(name.lower() for name in document.fields)}
    for name, trait in document.traits.items():
        path: KeyPath = ("traits", name)
        if name.lower() in taken:
            yield path, f"'{name}' is already in use (case is ignored); choose another name"
        taken.add(name.lower())
        unknown = [problem for state in trait.of for problem in _state(document, state, (*path, "of"))]
        yield from unknown
        if not unknown:
            yield from _of_one_layer(trait.of, tissue, (*path, "of"))
        for state in sorted({EMPTY, NONE}.intersection(trait.of)):
            yield (*path, "of"), f"'{state}' is not a cell"
        yield from _initial_trait(document, trait, path)
        mutation = trait.mutation
        for key in ("spread", "becomes"):
            given = getattr(mutation, key) if mutation is not None else None
            if given is not None:
                yield from _of_trait(trait, given, (*path, "mutation", key))
        if mutation is not None:
            yield from _probability(mutation.probability, (*path, "mutation", "probability"))
        for law_name, law in trait.changes.items():
            yield from _law(document, trait, law, (*path, "changes", law_name))
        for key in ("uptake", "secretion"):
            for field, transfer in getattr(trait, key).items():
                yield from _transfer(document, trait, key, field, transfer, (*path, key, field))


def _clones(document: Document) -> Iterator[Problem]:
    tissue, _ = state_names(document)
    of = document.clones.of if document.clones is not None else ()
    unknown = [problem for state in of for problem in _state(document, state, ("clones", "of"))]
    unclear = unknown or [
        *_of_one_layer(of, tissue, ("clones", "of")),
        *((("clones", "of"), f"'{state}' is not a cell") for state in (EMPTY, NONE) if state in of),
    ]
    yield from unclear
    if unclear:
        return
    if document.clones is not None:
        yield from _probability(document.clones.mutation, ("clones", "mutation"))
    if document.clones is not None and document.clones.mutation > 0:
        daughters = {rule.daughter for rule in document.rules.values() if rule.daughter is not None}
        if not daughters.intersection(of):
            yield ("clones", "mutation"), "has no effect, because no rule makes daughters in these states"
    for name, rule in document.rules.items():
        if rule.clone is not None:
            made = rule.daughter or rule.enters
            if made not in of:
                yield (
                    ("rules", name, "clone"),
                    f"has no effect, because cells in state '{made}' belong to no clone ('clones.of')",
                )
    for name, trait in document.traits.items():
        if trait.mutation is not None and trait.mutation.clone is not None and not set(trait.of) & set(of):
            yield (
                ("traits", name, "mutation", "clone"),
                "has no effect, because cells with this trait belong to no clone ('clones.of')",
            )


def _transfer(
    document: Document, trait: Trait, key: str, field: str, transfer: Transfer, path: KeyPath
) -> Iterator[Problem]:
    yield from _modulators(document, transfer.modulators, path, _Cells.of(document, trait.of))
    if field not in document.fields:
        yield path, _unknown("field", field, document.fields)
        return
    amount = f"{document.fields[field].unit} * voxel"
    if transfer.ratio is not None:
        yield from _dimension(transfer.ratio, (*path, "ratio"), ratio_unit(document, trait, key, field))
        if (units.parse(transfer.ratio).magnitude if isinstance(transfer.ratio, str) else transfer.ratio) == 0:
            yield (*path, "ratio"), "expected 'ratio' above 0"
    elif convertible(f"1 {amount}", [trait.unit]) is None:
        yield path, f"needs a 'ratio' in '{ratio_unit(document, trait, key, field)}'"


def _of_trait(trait: Trait, value: float | str, path: KeyPath) -> Iterator[Problem]:
    """A value of a trait, of its unit and not above its `most`."""
    wrong = list(_dimension(value, path, trait.unit))
    yield from wrong
    if trait.most is None or wrong or list(_dimension(trait.most, path, trait.unit)):
        return
    if units.number(value, trait.unit) > units.number(trait.most, trait.unit):
        yield path, f"expected at most the trait's 'most', {trait.most}, found {value}"


def _probability(value: float, path: KeyPath) -> Iterator[Problem]:
    """A probability must not be rounded to 0."""
    if 0 < value < FINEST_PROBABILITY / 2:
        yield (
            path,
            f"expected 0 or {FINEST_PROBABILITY:.2g} and more, of which probabilities are multiples, found {value:g}",
        )


def _initial_trait(document: Document, trait: Trait, path: KeyPath) -> Iterator[Problem]:
    if trait.most is not None:
        yield from _dimension(trait.most, (*path, "most"), trait.unit)
        if (units.parse(trait.most).magnitude if isinstance(trait.most, str) else trait.most) == 0:
            yield (*path, "most"), "expected 'most' above 0"
    at, initial = (*path, "initial"), trait.initial
    if not isinstance(initial, InitialTrait):
        yield from _of_trait(trait, initial, at)
        return
    wrong = [
        problem
        for key in ("normal", "lognormal", "uniform")
        for parameter in ("mean", "sd", "median", "low", "high")
        if (given := getattr(getattr(initial, key), parameter, None)) is not None
        for problem in _of_trait(trait, given, (*at, key, parameter))
    ]
    yield from wrong
    if initial.uniform is not None and not wrong:
        low, high = (units.number(value, trait.unit) for value in (initial.uniform.low, initial.uniform.high))
        if low > high:
            yield (*at, "uniform"), f"expected 'low' of at most 'high', found {low:g} and {high:g}"
    if initial.lognormal is not None and not wrong and units.number(initial.lognormal.median, trait.unit) == 0:
        yield (*at, "lognormal", "median"), "expected 'median' above 0"
    if initial.otherwise is not None:
        yield from _of_trait(trait, initial.otherwise, (*at, "otherwise"))
    if initial.column is not None and not any(
        each.cells for each in (document.tissue, *(site.tissue for site in document.sites.values()))
    ):
        yield (*at, "column"), "needs a table of cells ('tissue.cells')"


def _law(document: Document, trait: Trait, law: Law, path: KeyPath) -> Iterator[Problem]:
    for state in law.of or ():
        if state not in trait.of:
            yield (*path, "of"), _unknown("state of the trait", state, trait.of)
    if law.gain is not None:
        yield from _dimension(law.gain, (*path, "gain"), f"({trait.unit}) / min")
    if law.towards is not None:
        yield from _of_trait(trait, law.towards, (*path, "towards"))
    yield from _modulators(document, law.modulators, path, _Cells.of(document, law.of or trait.of))


def _closing(document: Document, rule: Rule, path: KeyPath) -> Iterator[Problem]:
    if not rule.closes:
        return
    at = (*path, "transition")
    for state in rule.leaves:
        spec = document.states.get(state)
        if is_rigid(document, state):
            yield at, f"'{state}' yields 'rigid', so that no cell comes into its place"
        if spec is not None and spec.outside:
            yield at, f"'{state}' is outside itself ('outside: true')"
    marked = any(state.outside for state in document.states.values())
    if not marked and "open" not in vars(document.grid.sides).values():
        yield (
            at,
            "nothing is outside; expected an open side of the grid for cells ('grid.sides') or a state with "
            "'outside: true'",
        )
    if rule.reach is None:
        yield (*path, "reach"), "is missing: the largest distance to the outside"
    if rule.releases:
        yield (*path, "releases"), "closing cannot release a field; use a transition"


def _division(document: Document, rule: Rule, tissue: list[str], path: KeyPath) -> Iterator[Problem]:
    if rule.daughter is None:
        if rule.reach is not None and not rule.closes:
            yield (*path, "reach"), f"applies only to a division ('mother -> mother + daughter') or '-> {OUTSIDE}'"
        return
    for state in (*rule.leaves, *rule.made):
        if state in (EMPTY, NONE):
            yield (*path, "transition"), f"'{state}' is not a cell and cannot divide"
    for state in rule.leaves:
        spec = document.states.get(state)
        if spec is not None and spec.barrier:
            yield (*path, "transition"), f"'{state}' is a barrier and cannot divide"
        yields = spec.yields if spec is not None else None
        if yields is not None and (yields.how == "rigid" or (yields.how == "crushed" and yields.resistance is None)):
            yield (
                (*path, "transition"),
                f"'{state}' yields '{yields.how}'; expected a mother that is 'displaced', or 'crushed' with a "
                "'resistance'",
            )
    if rule.releases:
        yield (*path, "releases"), "a division cannot release a field; use a transition"
    if rule.reach is not None and rule.leaves[0] not in tissue:
        yield (*path, "reach"), "has no effect, because immune cells do not displace each other"


def _adhesion(document: Document) -> Iterator[Problem]:
    adhesion, path = document.adhesion, ("adhesion", "energies")
    if adhesion is None:
        return
    unclear = [*_states_in_contact(document, adhesion, path), *_given_twice(adhesion, path)]
    yield from unclear
    if unclear:
        return
    pairs = itertools.combinations_with_replacement(adhesion.states, 2)
    missing = [f"'{one}: {{{other}: ...}}'" for one, other in pairs if contact_energy(adhesion, one, other) is None]
    mobile = [state for state in adhesion.states if not is_rigid(document, state)]
    if missing:
        yield path, f"expected an energy for each contact of two states, found none for {', '.join(missing)}"
    elif len(mobile) < 2:
        yield path, f"expected two states or more that are not 'rigid', so that they can swap, found {len(mobile)}"
    elif all(len({contact_energy(adhesion, state, contact) for state in mobile}) == 1 for contact in adhesion.states):
        yield path, "have no effect, because those of all states that can swap are equal"


def _states_in_contact(document: Document, adhesion: Adhesion, path: KeyPath) -> Iterator[Problem]:
    tissue, _ = state_names(document)
    for row, others in adhesion.energies.items():
        for place, state in (((*path, row), row), *(((*path, row, other), other) for other in others)):
            if state not in tissue:
                yield place, _not_a_state(document, "tissue state", state, tissue)


def _given_twice(adhesion: Adhesion, path: KeyPath) -> Iterator[Problem]:
    for one, other in itertools.combinations(adhesion.energies, 2):
        if one in adhesion.energies[other] and other in adhesion.energies[one]:
            yield (*path, other, one), f"is given twice, as '{one}: {{{other}: ...}}' too; expected one of them"


def contact_energy(adhesion: Adhesion, one: str, other: str) -> float | None:
    """Energy of a contact, kT; 0 between two voxels without a cell, unless it is given."""
    return adhesion.energy(one, other) if {one, other} != {EMPTY} else adhesion.energy(EMPTY, EMPTY) or 0.0


def is_rigid(document: Document, state: str) -> bool:
    """Whether cells of a state stay in place."""
    spec = document.states.get(state)
    return spec is not None and (spec.barrier is not None or (spec.yields is not None and spec.yields.how == "rigid"))


def barriers(document: Document) -> list[str]:
    """Tissue states that nothing enters."""
    return [name for name, state in document.states.items() if state.barrier]


@dataclass(frozen=True)
class _Cells:
    """States of the cell to which modulators belong, and of the cell of the other layer in its voxel."""

    own: Collection[str]
    beside: Collection[str]

    @classmethod
    def of(cls, document: Document, own: Collection[str], partners: Collection[str] = ()) -> "_Cells":
        """A cell in some states of one layer, and a partner, or any cell of the other layer."""
        tissue, immune = state_names(document)
        return cls(own, partners or (immune if set(own) & set(tissue) else tissue))


def _modulators(
    document: Document, modulators: Iterable[Modulator], owner: KeyPath, cells: _Cells | None = None
) -> Iterator[Problem]:
    """Of modulators that belong to `cells`; None where these may be any, or are none."""
    for i, modulator in enumerate(modulators):
        path = (*owner, "modulators", i)
        keys = [(key, j) for key in ("increases", "decreases") for j in range(len(getattr(modulator, key) or ()))]
        places: list[KeyPath] = [*keys] or [()]
        for argument, place in zip(modulator.arguments, places, strict=True):
            at = (*path, *place)
            if argument.room is not None and owner[0] != "rules":
                yield (*at, "room"), "only rules can depend on 'room'"
            unclear = list(_modulator(document, argument, at))
            yield from unclear
            if cells is not None and not unclear:
                yield from _looks_at(document, argument, cells, at)


def _looks_at(document: Document, modulator: Modulator | Signal, cells: _Cells, path: KeyPath) -> Iterator[Problem]:
    """A modulator must look at what can be there."""
    if modulator.contact is not None and not set(modulator.contact) & set(cells.beside):
        yield (
            (*path, "contact"),
            f"has no effect, because the cell of the other layer is never in state {_either(modulator.contact)}; "
            f"expected {_either(cells.beside)}",
        )
    trait = document.traits.get(modulator.trait or "")
    if trait is not None and not set(trait.of) & {*cells.own, *cells.beside}:
        yield (
            (*path, "trait"),
            f"has no effect, because only cells in state {_either(trait.of)} have the trait '{modulator.trait}'",
        )


def _either(states: Iterable[str]) -> str:
    *first, last = (f"'{state}'" for state in states)
    return f"{', '.join(first)} or {last}" if first else last


def _modulator(document: Document, modulator: Modulator | Signal, path: KeyPath) -> Iterator[Problem]:
    if modulator.room is not None:
        if not tissue_divides(document):
            yield (*path, "room"), NO_DIVISION
        for shape in ("half", "per", "above", "below"):
            value = getattr(modulator, shape, None)
            if value is not None:
                yield from _dimension(value, (*path, shape), "um")
    elif modulator.body is not None:
        yield from _quantity(document, modulator.body, (*path, "body"))
        for shape in ("half", "per", "above", "below"):
            value = getattr(modulator, shape, None)
            if value is not None and modulator.body in document.body.quantities:
                yield from _dimension(value, (*path, shape), document.body.quantities[modulator.body].unit)
    elif modulator.trait is not None:
        yield from _trait_seen(document, modulator, path)
    elif modulator.field is not None:
        yield from _field(document, modulator.field, (*path, "field"))
        for shape in ("half", "per", "above", "below"):
            value = getattr(modulator, shape, None)
            if value is not None:
                yield from _concentration(document, modulator.field, value, (*path, shape))
    else:
        for shape in ("half", "per", "above", "below"):
            value = getattr(modulator, shape, None)
            if isinstance(value, str) and not units.bare(value):
                yield (*path, shape), f"expected a number of cells without a unit, found '{value}'"
    for shape in ("half", "per"):
        value = getattr(modulator, shape, None)
        if isinstance(value, str) and units.parse(value).magnitude == 0:
            yield (*path, shape), f"expected '{shape}' above 0"
    for key in ("neighbours", "contact"):
        for state in getattr(modulator, key) or ():
            yield from _state(document, state, (*path, key))
    tissue, _ = state_names(document)
    for key, known in (("connected", tissue), ("to", [*tissue, *SIDES])):
        for state in getattr(modulator, key) or ():
            if state not in known:
                yield (*path, key), _not_a_state(document, "tissue state", state, known)


def _trait_seen(document: Document, modulator: Modulator | Signal, path: KeyPath) -> Iterator[Problem]:
    name = str(modulator.trait)
    unknown = list(_trait(document, name, (*path, "trait")))
    yield from unknown
    if unknown:
        return
    for shape in ("half", "per"):
        value = getattr(modulator, shape, None)
        if value is not None:
            yield from _dimension(value, (*path, shape), document.traits[name].unit)
    for threshold in ("above", "below"):
        value = getattr(modulator, threshold, None)
        if value is not None:
            yield from _of_trait(document.traits[name], value, (*path, threshold))
    if getattr(modulator, "per", None) is not None and document.traits[name].most is None:
        yield (
            (*path, "per"),
            f"a rate in proportion to '{name}' has no bound; expected 'traits.{name}.most', its greatest value",
        )


def _lattices(document: Document) -> Iterator[Problem]:
    taken = set(COLUMNS)
    for name in document.sites:
        if name.lower() in taken:
            yield ("sites", name), f"'{name}' is already in use (case is ignored); choose another name"
        taken.add(name.lower())
    if not document.sites:
        yield from _lattice(document, document.grid, document.tissue, ())
    for name, site in document.sites.items():
        yield from _lattice(document, site.grid, site.tissue, ("sites", name))


def _lattice(document: Document, grid: Grid, spec: Tissue, path: KeyPath) -> Iterator[Problem]:
    tissue, _ = state_names(document)
    if spec.background not in tissue:
        yield (*path, "tissue", "background"), _not_a_state(document, "tissue state", spec.background, tissue)
    for name, shape in spec.shapes.items():
        for state in (shape.state, *(shape.into or ())):
            yield from _state(document, state, (*path, "tissue", "shapes", name))
    for label, state in (spec.image.labels if spec.image else {}).items():
        yield from _state(document, state, (*path, "tissue", "image", "labels", str(label)))
    for i, cell_type in enumerate(spec.types):
        yield from _state(document, cell_type.state, (*path, "tissue", "types", i, "state"))
    if spec.cells is not None and not spec.types:
        yield (*path, "tissue", "types"), "a table of cells needs 'types': which rows become which state"
    if spec.image is not None and spec.image.instances is not None and spec.cells is None:
        yield (*path, "tissue", "image", "instances"), "needs 'tissue.cells', the table with this column"
    if spec.cells is None and not path:  # sites share what stands at the head
        idle = [key for key in _OF_CELLS if key in spec.model_fields_set]
        idle += ["depth"] if "depth" in spec.model_fields_set and spec.image is None else []
        for key in idle:
            yield (*path, "tissue", key), "applies only to a table of cells; give 'cells'"
    if spec.outline is not None:
        at = (*path, "tissue", "outline")
        if spec.outline.beyond not in tissue:
            yield (*at, "beyond"), _not_a_state(document, "tissue state", spec.outline.beyond, tissue)
        if spec.cells is None and spec.image is None and not path:
            yield at, "applies only to an image or a table of cells"
        elif spec.outline.polygon is not None and (spec.cells is None or spec.image is not None):
            yield (*at, "polygon"), "is in the coordinates of a table of cells; for an image, give 'radius'"
    if spec.cells is None and spec.image is None and grid.shape is None:
        yield (*path, "grid", "shape"), "is missing (optional only with an image or a table of cells)"


def _therapies(document: Document) -> Iterator[Problem]:
    for name, therapy in document.therapies.items():
        path: KeyPath = ("therapies", name)
        unit = None
        if therapy.site is not None and therapy.site not in document.sites:
            yield (*path, "site"), _unknown("site", therapy.site, document.sites)
        for key in ("resect", "into", "targets"):
            for state in getattr(therapy, key) or ():
                yield from _state(document, state, (*path, key))
        if therapy.leaves is not None:
            yield from _state(document, therapy.leaves, (*path, "leaves"))
            tissue, immune = state_names(document)
            if not set(therapy.resect or ()) & set(tissue):
                yield (*path, "leaves"), "has no effect, because no tissue cell is removed ('resect')"
            if therapy.leaves in immune:
                yield (*path, "leaves"), f"expected a tissue state, found '{therapy.leaves}' of the immune layer"
        if therapy.inject in document.states:
            unit = "cell"
            if therapy.targets is not None:
                yield (*path, "targets"), "applies only to the injection of a field"
        elif therapy.inject is not None:
            known = [*document.fields, *document.states]
            if therapy.inject not in known:
                yield (*path, "inject"), _not_a_state(document, "field or state", therapy.inject, known)
            else:
                unit = f"{document.fields[therapy.inject].unit} * voxel"
                per_cell = f"{unit} / cell"
                if therapy.targets is not None:
                    unit = per_cell
                elif therapy.amount is not None and convertible(therapy.amount, [unit, per_cell]) == per_cell:
                    yield (
                        (*path, "targets"),
                        f"is missing: the states of the cells that each receive '{therapy.amount}'",
                    )
                    unit = None
            if therapy.into is not None:
                yield (*path, "into"), "applies only to the injection of cells"
        elif therapy.infuse is not None:
            yield from _quantity(document, therapy.infuse, (*path, "infuse"))
            if therapy.infuse in document.body.quantities:
                unit = document.body.quantities[therapy.infuse].unit
        if therapy.volume is not None:
            yield from _needle(document, therapy, path)
        end = units.number(document.time.until, "min")
        last = units.number(therapy.start, "min")
        if therapy.every is not None:
            last += (therapy.doses - 1) * units.number(therapy.every, "min")
        if last >= end * (1 - 1e-9):
            yield (
                (*path, "doses" if therapy.doses > 1 else "start"),
                f"the last dose is due at {units.duration(last)}, not before the end of the run "
                f"({document.time.until})",
            )
        if unit is not None and therapy.amount is not None and convertible(therapy.amount, [unit]) is None:
            missing = units.ratio_missing(therapy.amount)
            yield (*path, "amount"), f"expected an amount in '{unit}', found '{therapy.amount}'{missing}"
        elif unit == "cell" and not units.number(therapy.amount or 0, "cell").is_integer():
            yield (*path, "amount"), f"expected a whole number of cells, found '{therapy.amount}'"


def _needle(document: Document, therapy: Therapy, path: KeyPath) -> Iterator[Problem]:
    """An infusion of fluid into the tissue, which carries a field with it."""
    if therapy.inject in document.states:
        yield (*path, "volume"), "applies only to the injection of a field"
    elif therapy.inject in document.fields and document.fields[therapy.inject].advection is None:
        reason = "has no effect without 'flow'" if document.flow is None else "needs 'advection' of the field"
        yield (*path, "volume"), f"{reason}: the infused fluid carries '{therapy.inject}' through the tissue"
    if therapy.doses > 1 and therapy.every is not None and therapy.duration is not None:
        every, duration = (units.number(each, "min") for each in (therapy.every, therapy.duration))
        if every < duration:
            yield (
                (*path, "every"),
                f"the next dose begins after {therapy.every}, before the infusion of {therapy.duration} has ended",
            )


def _heat(document: Document) -> Iterator[Problem]:
    heat = document.heat
    if heat is None:
        return
    for key in ("tumour", "effectors", "cd8"):
        for state in getattr(heat, key):
            yield from _state(document, state, ("heat", key))
    for field, scale in heat.cytokines.items():
        at = ("heat", "cytokines", field)
        yield from _field(document, field, at)
        yield from _concentration(document, field, scale, at)
        if (units.parse(scale).magnitude if isinstance(scale, str) else scale) == 0:
            yield at, "expected a concentration above 0"


def _recorded(document: Document) -> Iterator[Problem]:
    for name in document.record.traits or ():
        yield from _trait(document, name, ("record", "traits"))
    if document.clones is None and not document.record.clones:
        yield ("record", "clones"), "has no effect, because the scenario has no clones"
    tissue, _ = state_names(document)
    for name in document.record.tracks.of if document.record.tracks is not None else ():
        path: KeyPath = ("record", "tracks", "of")
        yield from _state(document, name, path)
        if name in tissue or name == NONE:
            yield path, f"expected states of the layer 'immune', found '{name}'"


def _trial(document: Document) -> Iterator[Problem]:
    trial = document.trial
    if trial is None:
        return
    for name, outcome in trial.outcomes.items():
        yield from _outcome(document, outcome, ("trial", "outcomes", name))
    for i, order in enumerate(trial.expected):
        path: KeyPath = ("trial", "expected", i)
        if order.outcome not in trial.outcomes:
            yield (*path, "outcome"), _unknown("outcome", order.outcome, trial.outcomes)
        for arm in order.arms:
            if arm not in trial.arms:
                yield (*path, "arms"), _unknown("arm", arm, trial.arms)
        times = trial.outcomes[order.outcome].at if order.outcome in trial.outcomes else order.at
        for time in order.at:
            if time not in times:
                yield (*path, "at"), _unknown(f"time of '{order.outcome}'", time, times)
    known = columns(trial.outcomes)
    for arm, conditions in trial.vary.filter.items() if trial.vary else ():
        here: KeyPath = ("trial", "vary", "filter", arm)
        if arm not in trial.arms:
            yield here, _unknown("arm", arm, trial.arms)
        for compared in conditions:
            for name in compared.split(RATIO):
                if name not in known:
                    yield (*here, compared), _unknown("outcome", name, known)


def of_arm(arm: Document, outcomes: Mapping[str, Outcome]) -> Iterator[Problem]:
    """Outcomes of a trial that an arm lacks; a missing rule has zero firings instead."""
    arm = groups.resolved(arm)
    for name, outcome in outcomes.items():
        for path, message in _outcome(arm, groups.in_states(outcome, arm.groups), ("outcomes", name)):
            if path[-1] not in ("fired", "barred", "left"):
                yield path, message


def of_no_amount(document: Document, outcome: Outcome, path: KeyPath) -> Iterator[Problem]:
    """A `total` of a field that cannot be summed, such as a pressure."""
    field = document.fields.get(outcome.total or "")
    if field is not None and units.amount_per_voxel(field.unit, 1.0) is None:
        yield (*path, "total"), f"a sum of '{field.unit}' over voxels is not an amount; use 'mean: {outcome.total}'"


def _reaches(document: Document) -> list[float]:
    """How far tissue cells push to divide, um; empty where none divides."""
    tissue, _ = state_names(document)
    corner = 1.7 * units.number(document.grid.spacing, "um")  # without pushing: into a neighbouring voxel
    divisions = [rule for rule in document.rules.values() if rule.daughter in tissue]
    return [corner if rule.reach is None else units.number(rule.reach, "um") for rule in divisions]


def _room(document: Document, outcome: Outcome, path: KeyPath) -> Iterator[Problem]:
    for state in outcome.room or ():
        if state in (EMPTY, NONE):
            yield (*path, "room"), f"'{state}' is not a cell"
    reaches = _reaches(document)
    if not reaches:
        yield (*path, "room"), NO_DIVISION
        return
    assert outcome.within is not None, "checked with the outcome"
    least, most = units.number(document.grid.spacing, "um"), max(reaches)
    if not least * (1 - 1e-9) <= units.number(outcome.within, "um") <= most * (1 + 1e-9):
        yield (
            (*path, "within"),
            f"expected {least:g} um to {most:g} um (one voxel to the farthest reach of a division), "
            f"found {outcome.within}",
        )


def _box(document: Document, box: Extent, path: KeyPath) -> Iterator[Problem]:
    spacing = units.number(document.grid.spacing, "um")
    for axis, low, high in zip("xyz", box.lower, box.upper, strict=True):
        first, end = (math.ceil(units.number(each, "um") / spacing - 0.5) for each in (low, high))
        cells = None if document.grid.shape is None else document.grid.shape["xyz".index(axis)]
        if max(first, 0) >= (end if cells is None else min(end, cells)):
            yield path, f"covers no voxel along {axis}: found {low} to {high}, voxels of {document.grid.spacing}"


def _outcome_of_trait(document: Document, outcome: Outcome, name: str, path: KeyPath) -> Iterator[Problem]:
    yield from _trait(document, name, (*path, "trait"))
    trait = document.traits.get(name)
    if trait is None:
        return
    for state in outcome.of or ():
        if state not in trait.of:
            yield (*path, "of"), f"'{name}' is a trait of {', '.join(trait.of)}; found '{state}'"
    if outcome.above is not None:
        yield from _of_trait(trait, outcome.above, (*path, "above"))


def _outcome(document: Document, outcome: Outcome, path: KeyPath) -> Iterator[Problem]:
    for state in outcome.count or outcome.volume or outcome.crushed or outcome.left or outcome.room or ():
        yield from _state(document, state, (*path, outcome.kind))
    if outcome.room is not None:
        yield from _room(document, outcome, path)
    if outcome.box is not None:
        yield from _box(document, outcome.box, (*path, "box"))
    for name in (outcome.total, outcome.mean):
        if name is not None:
            yield from _field(document, name, (*path, outcome.kind))
            for state in outcome.of or ():
                yield from _state(document, state, (*path, "of"))
    yield from of_no_amount(document, outcome, path)
    if outcome.trait is not None:
        yield from _outcome_of_trait(document, outcome, outcome.trait, path)
    for rule in (outcome.fired, outcome.barred):
        if rule is not None and rule not in document.rules:
            yield (*path, outcome.kind), _unknown("rule", rule, document.rules)
    if outcome.barred in document.rules and not document.rules[outcome.barred].waits:
        yield (*path, "barred"), f"'{outcome.barred}' is neither a division ('mother -> mother + daughter') nor closing"
    if outcome.left is not None and "open" not in vars(document.grid.sides).values():
        yield (*path, "left"), "no side of the grid is open for cells ('grid.sides'), so that none leaves"
    if outcome.body is not None:
        yield from _quantity(document, outcome.body, (*path, "body"))
    if outcome.lesion is not None and document.heat is None:
        yield (*path, "lesion"), "needs 'heat' in the scenario, which defines the lesions"
    if outcome.site is not None and outcome.site not in document.sites:
        yield (*path, "site"), _unknown("site", outcome.site, document.sites)
    end = units.number(document.time.until, "min")
    for time in outcome.at:
        if units.number(time, "min") > end * (1 + 1e-9):
            yield (*path, "at"), f"'{time}' is after the end of the run ({document.time.until})"
