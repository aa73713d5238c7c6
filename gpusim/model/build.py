"""Scenario -> Model."""

from collections.abc import Iterator

import numpy as np

from gpusim import units
from gpusim.errors import ScenarioError
from gpusim.model import steps
from gpusim.model.model import Dose, Fields, Model, Rules, States
from gpusim.model.tables import MODULATOR, RELEASE, RULE, Shape, Source, state_set
from gpusim.scenario import Document, Scenario
from gpusim.scenario.checks import amount_units, convertible, secretion_units, state_names
from gpusim.scenario.schema import Injection, Modulator
from gpusim.tissue import initial_tissue
from gpusim.tissue.shapes import point, within


def build(scenario: Scenario) -> Model:
    """Turn a scenario into numbers. Raises `ScenarioError`."""
    document = scenario.document
    spacing = units.number(document.grid.spacing, "um")
    if spacing <= 0:
        raise ScenarioError("grid.spacing: expected a length above 0")
    volume = spacing**3
    tissue_names, immune_names = state_names(document)
    states = States(tuple(tissue_names), tuple(immune_names))
    fields = _fields(document, states, volume)
    initial = initial_tissue(scenario, states.names, states.none, spacing)
    highest, unbounded = _highest_rate(document, volume)
    step, rules_every = steps.choose(document, highest)
    until = steps.whole(units.number(document.time.until, "min"), step, "time.until")
    every = steps.whole(units.number(document.record.every, "min"), step, "record.every")
    notes = [f"rule '{name}' grows with a field without bound; its hazard is held at 3.46 a step" for name in unbounded]
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
        states=states,
        rules=_rules(document, states, fields, step * rules_every, volume),
        doses=tuple(_doses(document, fields, initial.shape, spacing, step)),
        initial=initial,
        notes=tuple(notes),
    )


def _converted(value: float | str, wanted: tuple[str, ...], volume: float) -> float:
    """`value` in the first unit of `wanted`; an amount becomes a concentration, diluted in a voxel."""
    unit = convertible(value, wanted)
    assert unit is not None, "checked on loading"
    return units.number(value, unit, volume)


def _fields(document: Document, states: States, volume: float) -> Fields:
    specs = document.fields
    names = tuple(specs)
    shape = (len(names), len(states.tissue), len(states.immune))
    production, loss = np.zeros(shape), np.zeros(shape)
    for f, spec in enumerate(specs.values()):
        loss[f] += units.number(spec.decay, "1/min")
    for name, state in document.states.items():
        if state.layer == "tissue":
            here = (states.tissue.index(name), slice(None))
        else:
            here = (slice(None), states.immune.index(name))  # type: ignore[assignment]
        for field, rate in state.secretion.items():
            unit = specs[field].unit
            production[(names.index(field), *here)] += _converted(rate, secretion_units(unit), volume)
        for field, uptake in state.uptake.items():
            loss[(names.index(field), *here)] += units.number(uptake, "1/min")
        for field, exchange in state.exchange.items():
            permeability = units.number(exchange.permeability, "1/min")
            blood = units.number(exchange.blood, specs[field].unit, volume)
            production[(names.index(field), *here)] += permeability * blood
            loss[(names.index(field), *here)] += permeability
    return Fields(
        names=names,
        units=tuple(spec.unit for spec in specs.values()),
        diffusion=np.array([units.number(s.diffusion, "um^2/min") for s in specs.values()], float),
        initial=np.array([units.number(s.initial, s.unit, volume) for s in specs.values()], float),
        production=production,
        loss=loss,
        solvers=tuple(spec.solver for spec in specs.values()),
    )


def _modulator(modulator: Modulator, document: Document, states: States, volume: float) -> np.ndarray:
    row = np.zeros((), MODULATOR)
    unit = "dimensionless"
    row["low"], row["span"], row["power"] = 0.0, 1.0, modulator.power
    if modulator.field is not None:
        unit = document.fields[modulator.field].unit
        row["source"], row["index"] = Source.FIELD, list(document.fields).index(modulator.field)
    elif modulator.neighbours is not None:
        row["source"], row["index"] = Source.NEIGHBOURS, modulator.neighbourhood
        row["states"] = state_set([states.number(s) for s in modulator.neighbours])
    else:
        assert modulator.contact is not None
        row["source"] = Source.CONTACT
        row["states"] = state_set([states.number(s) for s in modulator.contact])

    def value(given: float | str) -> float:
        return units.number(given, unit, volume)

    turned = modulator.effect == "inhibits" or modulator.below is not None
    low = modulator.at_zero if modulator.at_zero is not None else float(turned)
    high = modulator.at_saturation if modulator.at_saturation is not None else float(not turned)
    row["low"], row["span"] = low, high - low
    if modulator.half is not None:
        row["shape"], row["scale"] = Shape.HILL, 1.0 / value(modulator.half)
    elif modulator.above is not None or modulator.below is not None:
        threshold = modulator.above if modulator.above is not None else modulator.below
        assert threshold is not None
        row["shape"], row["scale"] = Shape.STEP, value(threshold)
    else:
        per = value(modulator.per) if modulator.per is not None else 1.0
        row["shape"], row["scale"] = Shape.LINEAR, 1.0 / per
    return row


def _rules(document: Document, states: States, fields: Fields, dt: float, volume: float) -> Rules:
    modulators: list[np.ndarray] = []
    releases: list[tuple[int, float]] = []
    leaving: dict[int, list[tuple[int | float, ...]]] = {s: [] for s in range(len(states.names))}
    for counter, (name, rule) in enumerate(document.rules.items()):
        first_modulator, first_release = len(modulators), len(releases)
        modulators += [_modulator(m, document, states, volume) for m in rule.modulators]
        for field, value in rule.releases.items():
            amount = _converted(value, amount_units(document.fields[field].unit), volume)
            releases.append((fields.names.index(field), amount))
        after = int(np.ceil(units.number(rule.after, "min") / dt - 1e-9))
        if after > 65_534:
            raise ScenarioError(
                f"rules.{name}.after: {rule.after} is {after} steps of {dt:g} min; expected at most 65534 steps"
            )
        row = (
            states.number(rule.enters),
            counter,
            units.number(rule.rate, "1/min") * dt,
            after,
            first_modulator,
            len(modulators),
            first_release,
            len(releases),
        )
        for state in rule.leaves:
            leaving[states.number(state)].append(row)
    counts = [len(rows) for rows in leaving.values()]
    tissue_states = len(states.tissue)
    return Rules(
        names=tuple(document.rules),
        rules=np.array([row for rows in leaving.values() for row in rows], RULE),
        begin=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        leaves=np.repeat(np.arange(len(counts)), counts),
        modulators=np.array(modulators, MODULATOR),
        releases=np.array(releases, RELEASE),
        has_tissue=sum(counts[:tissue_states]) > 0,
        has_immune=sum(counts[tissue_states:]) > 0,
    )


def _highest_rate(document: Document, volume: float) -> tuple[float, list[str]]:
    """Largest hazard rate that any rule can reach, 1/min, and the rules with no upper bound."""
    highest, unbounded = 0.0, []
    for name, rule in document.rules.items():
        rate = units.number(rule.rate, "1/min")
        for modulator in rule.modulators:
            if modulator.field is None and modulator.half is modulator.above is modulator.below is None:
                per = units.number(modulator.per or 1.0, "dimensionless")
                rate *= (modulator.neighbourhood if modulator.neighbours else 1) / per
            elif modulator.per is not None:
                unbounded.append(name)
            else:
                ends = [modulator.at_zero, modulator.at_saturation]
                rate *= max([e for e in ends if e is not None] + ([1.0] if None in ends else []))
        highest = max(highest, rate)
    return highest, unbounded


def _doses(
    document: Document, fields: Fields, shape: tuple[int, int, int], spacing: float, step: float
) -> Iterator[Dose]:
    volume = spacing**3
    for name, injection in document.therapies.items():
        unit = document.fields[injection.inject].unit
        amount = units.number(injection.amount, f"{unit} * voxel", volume)
        voxels = _region(injection, name, shape, spacing)
        amounts = np.full(len(voxels), amount / len(voxels), np.float32)
        start = units.number(injection.start, "min")
        every = units.number(injection.every, "min") if injection.every else 0.0
        for i in range(injection.doses):
            at = round((start + i * every) / step)
            yield Dose(name, fields.names.index(injection.inject), at, voxels, amounts)


def _region(injection: Injection, name: str, shape: tuple[int, int, int], spacing: float) -> np.ndarray:
    centre = point(injection.at, shape, spacing)
    radius = units.number(injection.radius, "um")
    mask = within(shape, spacing, centre, radius)
    if not mask.any():
        # A point between voxel centres: the nearest voxel takes it all.
        index = tuple(int(c // spacing) for c in reversed(centre))
        if not all(0 <= i < n for i, n in zip(index, shape, strict=True)):
            size = " x ".join(f"{n * spacing:g}" for n in reversed(shape))
            raise ScenarioError(f"therapies.{name}.at: {injection.at} lies outside the grid ({size} um)")
        mask[index] = True
    return np.flatnonzero(mask)
