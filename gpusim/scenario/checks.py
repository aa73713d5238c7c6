"""Consistency checks beyond the schema: names that must exist elsewhere, and units that follow from a field's."""

import difflib
import itertools
from collections.abc import Iterable, Iterator, Mapping

from gpusim import units
from gpusim.scenario import expressions
from gpusim.scenario.reading import KeyPath
from gpusim.scenario.schema import (
    DEFAULT,
    EMPTY,
    NONE,
    NOTHING,
    OUTSIDE,
    Adhesion,
    Boundary,
    Document,
    FieldSpec,
    Grid,
    InitialField,
    Modulator,
    Motility,
    Outcome,
    Process,
    Reaction,
    Rule,
    Tissue,
)

Problem = tuple[KeyPath, str]

NO_DIVISION = "is not defined, because no tissue cell divides ('mother -> mother + daughter')"
"""What is said of room where there is none."""

_LONGEST_WORD = 80
_SMOOTH = {"implicit2": "which does not conserve the mass of", "steady": "which discards"}
"""Solvers that do not support sudden changes of a field, and the reason."""
_OF_CELLS = ("columns", "length_unit", "margin", "table", "types")
"""Keys of `tissue` that apply only to a table of cells."""
_COLUMNS = ("time", "step", "x", "y", "z", "tissue", "immune", "body", "quantity", "digest", "byte")
"""Names of other arrays in a result."""


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
    """All contradictions in a document."""
    return [
        *_fields(document),
        *_reactions(document),
        *_states(document),
        *_rules(document),
        *_adhesion(document),
        *_body(document),
        *_lattices(document),
        *_therapies(document),
        *_heat(document),
        *_trial(document),
    ]


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
    taken = set(_COLUMNS)
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
            yield (*path, "diffusion", state), _unknown("tissue state", state, [DEFAULT, *tissue])
    for key in Boundary.model_fields:
        side = getattr(field.boundary, key)
        for value in ("value", "far") if side else ():
            given = getattr(side, value)
            if given is not None:
                yield from _concentration(document, name, given, (*path, "boundary", key, value))
    for holder, held in field.holds.items():
        yield from _holds(document, name, holder, held, (*path, "holds", holder))
    for cause, loss in field.clearance.items():
        yield from _modulators(document, loss.modulators, (*path, "clearance", cause))
    if field.solver in _SMOOTH and (sudden := _sudden(document, name)):
        yield (
            (*path, "solver"),
            f"found {field.solver}, {_SMOOTH[field.solver]} a sudden change (here by {sudden[0]}); "
            "expected auto, explicit or implicit",
        )


def _holds(document: Document, field: str, state: str, value: float | str, path: KeyPath) -> Iterator[Problem]:
    """A fixed concentration, which nothing else in the voxel can change."""
    tissue, _ = state_names(document)
    if state not in tissue:
        yield path, _unknown("tissue state", state, tissue)
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
    return rules + reactions + therapies


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
            if len({state in tissue for state in modulator.contact or ()}) > 1:
                yield (
                    (*path, "modulators", i, "contact"),
                    "expected states of one layer, because a modulator reads one cell of the voxel",
                )


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
        if (name == EMPTY and state.layer != "tissue") or (name == NONE and state.layer != "immune"):
            yield (*path, "layer"), f"'{EMPTY}' belongs to the layer 'tissue' and '{NONE}' to the layer 'immune'"
        for field, secretion in state.secretion.items():
            at = (*path, "secretion", field)
            yield from _field(document, field, at)
            yield from _modulators(document, secretion.modulators, at)
            if field in document.fields:
                yield from _dimension(secretion.rate, at, *secretion_units(document.fields[field].unit))
        for field, loss in state.uptake.items():
            yield from _field(document, field, (*path, "uptake", field))
            yield from _modulators(document, loss.modulators, (*path, "uptake", field))
        for field, exchange in state.exchange.items():
            yield from _field(document, field, (*path, "exchange", field))
            at = (*path, "exchange", field)
            if exchange.blood is not None:
                yield from _concentration(document, field, exchange.blood, (*at, "blood"))
            if exchange.body is not None:
                yield from _dissolved(document, field, exchange.body, (*at, "body"))
            yield from _modulators(document, exchange.modulators, at)
        if state.motility is not None:
            yield from _motility(document, name, state.motility, (*path, "motility"))


def _motility(document: Document, state: str, motility: Motility, path: KeyPath) -> Iterator[Problem]:
    tissue, immune = state_names(document)
    if state in (EMPTY, NONE):
        yield path, f"'{state}' is not a cell and cannot move"
    chemotaxis = motility.chemotaxis
    if chemotaxis is not None:
        at = (*path, "chemotaxis")
        yield from _field(document, chemotaxis.field, (*at, "field"))
        yield from _concentration(document, chemotaxis.field, chemotaxis.half, (*at, "half"))
        half = chemotaxis.half
        if (units.parse(half).magnitude if isinstance(half, str) else half) == 0:
            yield (*at, "half"), "expected 'half' above 0"
    other = immune if state in tissue else tissue
    for entered in motility.enters or ():
        if entered not in other:
            yield (*path, "enters"), _unknown("state of the other layer", entered, other)
    yield from _modulators(document, motility.modulators, path)


def _rules(document: Document) -> Iterator[Problem]:
    tissue, _ = state_names(document)
    for name, rule in document.rules.items():
        path: KeyPath = ("rules", name)
        unknown = [p for s in (*rule.leaves, *rule.made) for p in _state(document, s, (*path, "transition"))]
        yield from unknown
        if not unknown:
            yield from _one_layer(rule, tissue, path)
            yield from _division(document, rule, tissue, path)
            yield from _closing(document, rule, path)
        yield from _modulators(document, rule.modulators, path)
        for field, value in rule.releases.items():
            at = (*path, "releases", field)
            yield from _field(document, field, at)
            if field in document.fields:
                yield from _dimension(value, at, *amount_units(document.fields[field].unit))
        for key, quantity in (("to_body", rule.to_body), ("from_body", rule.from_body)):
            if quantity is not None:
                yield from _cells(document, quantity, (*path, key))


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
            if modulator.body is None:
                yield (
                    (*path, "modulators", i),
                    "a process depends only on quantities of the body ('body: NAME')",
                )
        yield from _modulators(document, process.modulators, path)


def _one_layer(rule: Rule, tissue: list[str], path: KeyPath) -> Iterator[Problem]:
    at = (*path, "transition")
    layers = {s in tissue for s in (*rule.leaves, *rule.made)}
    if len(layers) > 1:
        yield at, "expected states of one layer, found states of 'tissue' and of 'immune'"
    if len(set(rule.leaves)) < len(rule.leaves):
        yield at, "a state is given twice on the left"
    if rule.enters in rule.leaves and not rule.waits:
        yield at, f"'{rule.enters}' is on both sides"


def _closing(document: Document, rule: Rule, path: KeyPath) -> Iterator[Problem]:
    if not rule.closes:
        return
    at = (*path, "transition")
    for state in rule.leaves:
        spec = document.states.get(state)
        if spec is not None and spec.yields is not None and spec.yields.how == "rigid":
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
    tissue, immune = state_names(document)
    for row, others in adhesion.energies.items():
        for place, state in (((*path, row), row), *(((*path, row, other), other) for other in others)):
            if state in immune:
                yield place, f"expected a tissue state, found the immune state '{state}'"
            elif state not in tissue:
                yield place, _unknown("tissue state", state, tissue)


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
    return spec is not None and spec.yields is not None and spec.yields.how == "rigid"


def _modulators(document: Document, modulators: Iterable[Modulator], owner: KeyPath) -> Iterator[Problem]:
    for i, modulator in enumerate(modulators):
        path = (*owner, "modulators", i)
        if modulator.room is not None and owner[0] != "rules":
            yield (*path, "room"), "only rules can depend on 'room'"
        yield from _modulator(document, modulator, path)


def _modulator(document: Document, modulator: Modulator, path: KeyPath) -> Iterator[Problem]:
    if modulator.room is not None:
        if not tissue_divides(document):
            yield (*path, "room"), NO_DIVISION
        for shape in ("half", "per", "above", "below"):
            value = getattr(modulator, shape)
            if value is not None:
                yield from _dimension(value, (*path, shape), "um")
    elif modulator.body is not None:
        yield from _quantity(document, modulator.body, (*path, "body"))
        for shape in ("half", "per", "above", "below"):
            value = getattr(modulator, shape)
            if value is not None and modulator.body in document.body.quantities:
                yield from _dimension(value, (*path, shape), document.body.quantities[modulator.body].unit)
    elif modulator.field is not None:
        yield from _field(document, modulator.field, (*path, "field"))
        for shape in ("half", "per", "above", "below"):
            value = getattr(modulator, shape)
            if value is not None:
                yield from _concentration(document, modulator.field, value, (*path, shape))
    else:
        for shape in ("half", "per", "above", "below"):
            value = getattr(modulator, shape)
            if isinstance(value, str) and not units.bare(value):
                yield (*path, shape), f"expected a number of cells without a unit, found '{value}'"
    for shape in ("half", "per"):
        value = getattr(modulator, shape)
        if isinstance(value, str) and units.parse(value).magnitude == 0:
            yield (*path, shape), f"expected '{shape}' above 0"
    for key in ("neighbours", "contact"):
        for state in getattr(modulator, key) or ():
            yield from _state(document, state, (*path, key))


def _lattices(document: Document) -> Iterator[Problem]:
    taken = set(_COLUMNS)
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
        yield (*path, "tissue", "background"), _unknown("tissue state", spec.background, tissue)
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
                yield (*path, "inject"), _unknown("field or state", therapy.inject, known)
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


def of_arm(arm: Document, outcomes: Mapping[str, Outcome]) -> Iterator[Problem]:
    """Outcomes of a trial that an arm lacks; a missing rule has zero firings instead."""
    for name, outcome in outcomes.items():
        for path, message in _outcome(arm, outcome, ("outcomes", name)):
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


def _outcome(document: Document, outcome: Outcome, path: KeyPath) -> Iterator[Problem]:
    for state in outcome.count or outcome.volume or outcome.crushed or outcome.left or outcome.room or ():
        yield from _state(document, state, (*path, outcome.kind))
    if outcome.room is not None:
        yield from _room(document, outcome, path)
    for name in (outcome.total, outcome.mean):
        if name is not None:
            yield from _field(document, name, (*path, outcome.kind))
    yield from of_no_amount(document, outcome, path)
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
