"""Scenario -> Model."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from gpusim import units
from gpusim.errors import ScenarioError
from gpusim.model import ranges, steps
from gpusim.model.body import body_notes, build_body
from gpusim.model.cells import Bounds, CellTables
from gpusim.model.exchange import ExchangeTables
from gpusim.model.flow import build_flow, conductivity
from gpusim.model.lag import HORIZON, MOST_ERROR, lags
from gpusim.model.model import Boundary, Dose, Exchange, Fields, Graft, Infusion, Model, Resection, States
from gpusim.model.modulators import Modulators
from gpusim.model.reactions import build_reactions, hasty
from gpusim.model.steps import whole
from gpusim.model.traits import build_clones, build_tracks, build_traits
from gpusim.model.waiting import with_counters
from gpusim.scenario import Document, Scenario
from gpusim.scenario.checks import barriers, state_names
from gpusim.scenario.schema import DEFAULT, FieldSpec, InitialField, Therapy
from gpusim.tissue import InitialTissue, initial_tissue
from gpusim.tissue.concentrations import Lattice, initial_field
from gpusim.tissue.shapes import Uniform, near_segment, point, within

_STREWN = 1 << 20
"""Streams of random numbers from here on belong to therapies; those below, to shapes."""
_STREWN_OFTEN = 1 << 40
"""Streams from here on belong to the doses of therapies beyond the first 1000 of each."""

_FINEST, _COARSEST = 1e-3, 1e6
"""Voxel edges that make sense, um."""

_Due = Callable[[Therapy], list[int]]
"""Steps at which the doses of a therapy are due."""


def build(scenario: Scenario, initial: InitialTissue | None = None) -> Model:
    """Turn a scenario into numbers; `initial`: its tissue, where that is known. Raises `ScenarioError`."""
    try:
        with np.errstate(all="ignore"):  # what overflows is found in the tables
            model = _build(scenario, initial)
    except units.UnitError as error:
        raise ScenarioError(f"{scenario.document.name}: a quantity {error}") from None
    ranges.require(model)
    return model


def _build(scenario: Scenario, initial: InitialTissue | None) -> Model:
    document = scenario.document
    spacing = units.number(document.grid.spacing, "um")
    if not _FINEST <= spacing <= _COARSEST:
        raise ScenarioError(f"grid.spacing: expected {_FINEST:g} to {_COARSEST:g} um, found {document.grid.spacing}")
    volume = spacing**3
    tissue_names, immune_names = state_names(document)
    states = States(tuple(tissue_names), tuple(immune_names))

    def exchanges(of: Document) -> tuple[Modulators, Exchange]:
        modulators = Modulators(of, states, volume)
        return modulators, ExchangeTables(of, states, volume, modulators).build()

    modulators, exchange = exchanges(document)
    initial = initial or initial_tissue(scenario, states.names, states.none, spacing)
    lattice = Lattice(initial.shape, spacing, document.tissue.depth)
    walled = np.isin(initial.tissue, [states.number(state) for state in barriers(document)])
    start, read = _at_start(document, lattice)
    if walled.any():
        start = tuple(np.where(walled, 0.0, each).astype(np.float32) for each in start)
    fields = _fields(document, states, volume, start)
    bounds = Bounds(document, states, volume)
    rates = bounds.rates()
    most_late = max((lag.most for lag in lags(document, fields, exchange, modulators.table)), default=0.0)
    longest_field = MOST_ERROR * HORIZON / most_late if most_late else math.inf
    if transferred := bounds.transfer():
        longest_field = min(longest_field, steps.MOST_TRANSFER / transferred)
    step, rules_every = steps.choose(document, rates, longest_field)
    document = with_counters(document, step * rules_every)
    if document is not scenario.document:
        modulators, exchange = exchanges(document)
    moves = steps.moves(document, step, bounds.speed() / spacing)
    steps.require_divided(document, step)
    until = steps.whole(units.number(document.time.until, "min"), step, "time.until")
    due = partial(_due, step=step, until=until)
    every = steps.between_snapshots(document, step)
    reactions = build_reactions(document, states, volume, step, modulators)
    traits = build_traits(document, states, volume, step, step * rules_every, modulators)
    cells = CellTables(document, states, spacing, step * rules_every, step / moves, modulators).build(
        moves, initial.shape
    )
    notes = [
        *initial.notes,
        *read,
        *hasty(reactions, fields, exchange.held, modulators, step),
        *(
            f"{each.what} grows without bound; the rate is limited to 3.46 per step"
            for each in rates
            if not each.bounded
        ),
    ]
    if not (document.time.step.field or document.time.step.rules) and step < steps.longest(rates) / 2:
        notes.append(
            f"the time step is {step:g} min, so that it divides all times of the scenario (end, snapshots, doses, "
            f"'time.at'); rounder times would allow {steps.longest(rates):g} min"
        )
    notes += steps.too_large(rates, step * rules_every)
    if transferred * step > steps.MOST_TRANSFER * (1 + steps.ROUNDING):
        notes.append(
            f"the time step of {step:g} min is too large for the uptake into traits or their secretion: the rate times "
            f"the step reaches {transferred * step:.3g} per step; above {steps.MOST_TRANSFER:g}, fields have an error"
        )
    treatments = _treatments(document, fields, states, exchange.held, initial, spacing, step, due)
    notes += _within_rule_steps(treatments, step, rules_every)
    body = build_body(document, cells, exchange, volume)
    notes += body_notes(document, body, treatments.infusions)
    notes += _loose_trails(document, states, initial)
    return Model(
        name=document.name,
        shape=initial.shape,
        spacing=spacing,
        seed=document.seed,
        step=step,
        rules_every=rules_every,
        until=until,
        record_every=every,
        fields=fields,
        exchange=exchange,
        flow=build_flow(document, step),
        reactions=reactions,
        states=states,
        cells=cells,
        traits=traits,
        clones=build_clones(document, states, math.prod(initial.shape)),
        body=body,
        **vars(treatments),
        initial=initial,
        notes=tuple(notes),
        tracks=build_tracks(document, states, step),
    )


def _loose_trails(document: Document, states: States, initial: InitialTissue) -> Iterator[str]:
    """Cells at time 0 whose trail would begin nowhere, as that of the tip of a vessel without a vessel."""
    counts = initial.counts(len(states.names))
    for name, spec in document.states.items():
        trail = spec.motility.trail if spec.motility is not None else None
        if trail is not None and counts[states.number(name)] and not counts[states.number(trail)]:
            yield (
                f"states.{name}.motility.trail: the tissue has '{name}' but no '{trail}' at time 0, so the trails "
                "of these cells are connected to nothing"
            )


def step_notes(scenario: Scenario) -> list[str]:
    """The notes of a model on its rule step, without the model. Raises `ScenarioError`."""
    document = scenario.site(scenario.sites[0]).document
    volume = units.number(document.grid.spacing, "um") ** 3
    rates = Bounds(document, States(*map(tuple, state_names(document))), volume).rates()
    step, rules_every = steps.choose(document, rates)
    return list(steps.too_large(rates, step * rules_every))


@dataclass(frozen=True)
class Treatments:
    """What therapies give, as in `Model`."""

    doses: tuple[Dose, ...]
    infusions: tuple[Infusion, ...]
    grafts: tuple[Graft, ...]
    resections: tuple[Resection, ...]


def treatments(scenario: Scenario, model: Model, tissue: InitialTissue, name: str) -> Treatments:
    """What the first dose of one therapy of a scenario gives into a `tissue`, whenever it is due.

    Raises `ScenarioError`, `UnitError`.
    """
    document = scenario.document

    def due(therapy: Therapy) -> list[int]:
        return [0] if therapy is document.therapies[name] else []

    return _treatments(
        document, model.fields, model.states, model.exchange.held, tissue, model.spacing, model.step, due
    )


def _treatments(
    document: Document,
    fields: Fields,
    states: States,
    held: np.ndarray,
    tissue: InitialTissue,
    spacing: float,
    step: float,
    due: _Due,
) -> Treatments:
    return Treatments(
        doses=tuple(_doses(document, fields, states, held, tissue, spacing, step, due)),
        infusions=tuple(_infusions(document, due)),
        grafts=tuple(_grafts(document, states, tissue, spacing, due)),
        resections=tuple(_resections(document, states, tissue, spacing, due)),
    )


def _at_start(document: Document, lattice: Lattice) -> tuple[tuple[np.ndarray, ...], list[str]]:
    """The fields at time 0, one number or float32 [z, y, x], and what to know of the files that they come from."""
    found: list[np.ndarray] = []
    notes: list[str] = []
    for name, spec in document.fields.items():
        if isinstance(spec.initial, InitialField):
            values, read = initial_field(name, spec.unit, spec.initial, lattice)
            found.append(values)
            notes += read
        else:
            found.append(np.array(units.number(spec.initial, spec.unit, lattice.volume)))
    return tuple(found), notes


def _fields(document: Document, states: States, volume: float, initial: tuple[np.ndarray, ...]) -> Fields:
    specs = document.fields
    names = tuple(specs)
    return Fields(
        names=names,
        units=tuple(spec.unit for spec in specs.values()),
        diffusion=np.array(
            [[_diffusivity(document, name, state) for state in states.tissue] for name in names], float
        ).reshape(len(names), len(states.tissue)),
        boundary=boundary_of(list(specs.values()), volume),
        initial=initial,
        solvers=tuple("steady" if _is_pressure(document, name) else spec.solver for name, spec in specs.items()),
    )


def _is_pressure(document: Document, field: str) -> bool:
    return document.flow is not None and document.flow.field == field


def _diffusivity(document: Document, field: str, state: str) -> float:
    if _is_pressure(document, field):
        return conductivity(document, state)
    spec = document.fields[field]
    other = "0 um^2/min" if state in barriers(document) else spec.diffusion[DEFAULT]
    return units.number(spec.diffusion.get(state, other), "um^2/min")


def boundary_of(specs: list[FieldSpec], volume: float) -> Boundary:
    """What fields meet at the sides of a lattice whose voxels have a volume, um^3."""
    count = len(specs)
    boundary = Boundary(np.zeros((count, 3), bool), np.zeros((count, 6)), np.zeros((count, 6)))
    for f, spec in enumerate(specs):
        for i, side in enumerate(spec.boundary.sides()):
            if side.kind == "periodic":
                boundary.periodic[f, i // 2] = True
            elif side.value is not None:
                boundary.permeability[f, i] = np.inf
                boundary.far[f, i] = units.number(side.value, spec.unit, volume)
            elif side.permeability is not None:
                boundary.permeability[f, i] = units.number(side.permeability, "um/min")
                boundary.far[f, i] = units.number(side.far, spec.unit, volume)
    return boundary


def _due(therapy: Therapy, step: float, until: int) -> list[int]:
    """Steps at which the doses of a therapy are due; the run has `until` of them."""
    start = units.number(therapy.start, "min")
    every = units.number(therapy.every, "min") if therapy.every else 0.0
    return [min(round((start + i * every) / step), until - 1) for i in range(therapy.doses)]


def _doses(
    document: Document,
    fields: Fields,
    states: States,
    held: np.ndarray,
    initial: InitialTissue,
    spacing: float,
    step: float,
    due: _Due,
) -> Iterator[Dose]:
    volume = spacing**3
    for name, therapy in document.therapies.items():
        if therapy.inject not in document.fields or not due(therapy):
            continue
        assert therapy.amount is not None, "checked on loading"
        unit = document.fields[therapy.inject].unit
        voxels = _region(document, states, therapy, name, initial, spacing)
        if not np.isnan(held[fields.names.index(therapy.inject), initial.tissue.reshape(-1)[voxels]]).any():
            raise ScenarioError(
                f"therapies.{name}: all {len(voxels):,} voxels of the region have a fixed concentration of "
                f"{therapy.inject} at time 0, so a dose would have no effect"
            )
        if therapy.targets is None:
            amount = units.number(therapy.amount, f"{unit} * voxel", volume)
        else:
            each = units.number(therapy.amount, f"{unit} * voxel / cell", volume)
            amount = each * _cells_there(therapy, name, states, initial, voxels)
        steps, fluid = 1, 0.0
        if therapy.volume is not None and therapy.duration is not None:
            steps = whole(units.number(therapy.duration, "min"), step, f"therapies.{name}.duration")
            fluid = units.number(therapy.volume, "um^3") / (len(voxels) * volume * steps * step)
        amounts = np.full(len(voxels), amount / (len(voxels) * steps), np.float32)
        for at in due(therapy):
            yield Dose(name, fields.names.index(therapy.inject), at, voxels, amounts, steps, fluid)


def _cells_there(therapy: Therapy, name: str, states: States, initial: InitialTissue, voxels: np.ndarray) -> int:
    """Cells of the targets in a region. Raises `ScenarioError` where there are none."""
    wanted = [states.number(state) for state in therapy.targets or ()]
    found = sum(int(np.isin(layer.reshape(-1)[voxels], wanted).sum()) for layer in (initial.tissue, initial.immune))
    if not found:
        raise ScenarioError(
            f"therapies.{name}.targets: none of the cells in the region is {' or '.join(therapy.targets or ())} at "
            "time 0; take a larger 'radius'"
        )
    return found


def _within_rule_steps(treatments: Treatments, step: float, rules_every: int) -> Iterator[str]:
    """Notes on infusions into the body that do not come with a step of the rules, at whose ends the body goes on."""
    found = {each.name: each.step * step for each in reversed(treatments.infusions) if each.step % rules_every}
    for name, minutes in found.items():
        yield (
            f"therapies.{name}: the infusion at {minutes:g} min comes within a rule step ({step * rules_every:g} min), "
            "so that its losses are computed from the beginning of this step"
        )


def _infusions(document: Document, due: _Due) -> Iterator[Infusion]:
    quantities = document.body.quantities
    for name, therapy in document.therapies.items():
        if therapy.infuse is None or not due(therapy):
            continue
        assert therapy.amount is not None, "checked on loading"
        amount = units.number(therapy.amount, quantities[therapy.infuse].unit)
        for at in due(therapy):
            yield Infusion(name, list(quantities).index(therapy.infuse), at, amount)


def _grafts(document: Document, states: States, tissue: InitialTissue, spacing: float, due: _Due) -> Iterator[Graft]:
    for number, (name, therapy) in enumerate(document.therapies.items()):
        if therapy.inject not in document.states or not due(therapy):
            continue
        assert therapy.inject is not None, "just found"
        assert therapy.amount is not None, "checked on loading"
        count = round(units.number(therapy.amount, "cell"))
        voxels = _region(document, states, therapy, name, tissue, spacing)
        if count > len(voxels):
            raise ScenarioError(
                f"therapies.{name}.amount: {count:,} cells do not fit into the {len(voxels):,} voxels of the region; "
                "take a larger 'radius'"
            )
        for i, at in enumerate(due(therapy)):
            # Each dose strews its cells in an order of its own.
            order = np.argsort(Uniform(document.seed, _stream(number, i)).draw(len(voxels)), kind="stable")
            state = states.number(therapy.inject)
            vacant = 0 if state < states.none else states.none
            replaces = {vacant, *(states.number(s) for s in therapy.into or ())}
            yield Graft(name, state, at, voxels[order], count, tuple(sorted(replaces)))


def _stream(therapy: int, dose: int) -> int:
    """The stream of random numbers of a dose, by the number of its therapy; no two doses share one."""
    return _STREWN + 1000 * therapy + dose if dose < 1000 else _STREWN_OFTEN + (therapy << 20) + dose


def _resections(
    document: Document, states: States, tissue: InitialTissue, spacing: float, due: _Due
) -> Iterator[Resection]:
    for name, therapy in document.therapies.items():
        if therapy.resect is None or not due(therapy):
            continue
        voxels = _region(document, states, therapy, name, tissue, spacing)
        for at in due(therapy):
            leaves = states.number(therapy.leaves) if therapy.leaves is not None else 0
            yield Resection(name, tuple(states.number(s) for s in therapy.resect), at, voxels, leaves)


def _region(
    document: Document, states: States, therapy: Therapy, name: str, tissue: InitialTissue, spacing: float
) -> np.ndarray:
    """Voxels of a therapy, int64, in order; those of barriers are left out. Raises `ScenarioError`."""
    shape = tissue.shape
    centre = point(therapy.at, shape, spacing)
    radius = units.number(therapy.radius, "um")
    if therapy.to is None:
        mask = within(shape, spacing, centre, radius)
    else:
        mask = near_segment(shape, spacing, centre, point(therapy.to, shape, spacing), radius)
    if not mask.any():
        # A point between voxel centres: the nearest voxel takes it all.
        index = tuple(int(c // spacing) for c in reversed(centre))
        if not all(0 <= i < n for i, n in zip(index, shape, strict=True)):
            size = " x ".join(f"{n * spacing:g}" for n in reversed(shape))
            raise ScenarioError(f"therapies.{name}.at: {therapy.at} lies outside the grid ({size} um)")
        mask[index] = True
    walled = [states.number(state) for state in barriers(document)]
    if walled:
        mask &= ~np.isin(tissue.tissue, walled)
        if not mask.any():
            listed = ", ".join(barriers(document))
            raise ScenarioError(f"therapies.{name}: all voxels of the region are barriers ({listed})")
    return np.flatnonzero(mask)
