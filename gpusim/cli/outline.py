"""A scenario in tables: what it contains, with its numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpusim.scenario import wording
from gpusim.scenario.reading import as_line
from gpusim.scenario.wording import amount, amounts

if TYPE_CHECKING:
    from gpusim.engine.transport import Choice
    from gpusim.model import Model
    from gpusim.scenario import Document, Scenario
    from gpusim.scenario.schema import InitialTrait, Law, Modulator, Mutation, Rule

Cell = str | int | float | list[str]
"""A cell of a table; a list has a line for each of its texts."""


@dataclass(frozen=True)
class Section:
    """A table: `columns`, and `rows` of as many cells. A column without any content is left out."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    @property
    def filled(self) -> Section:
        """Without the columns that are blank in all rows."""
        kept = [i for i in range(len(self.columns)) if any(row[i] not in ("", []) for row in self.rows)]
        return Section(self.name, [self.columns[i] for i in kept], [[row[i] for i in kept] for row in self.rows])

    @property
    def records(self) -> list[dict[str, Cell]]:
        """Rows by the names of their columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def sections(
    scenario: Scenario,
    models: Mapping[str, Model],
    chosen: Sequence[Choice],
    errors: Sequence[object],
    origins: Origins,
) -> list[Section]:
    """All tables of a scenario that have rows.

    Args:
        models: the model of each site.
        chosen, errors: solver and expected error of each field.
        origins: where therapies are written, by name.
    """
    document = scenario.written
    every = (
        _fields(document, models, chosen, errors),
        _clearance(document),
        _reactions(document),
        _tissue(scenario),
        _states(document, models),
        Section("groups", ["group", "states"], [[n, ", ".join(m)] for n, m in scenario.document.groups.items()]),
        _activities(document),
        _traits(document),
        _rules(document),
        *_body(document),
        _therapies(document, origins),
        *_trial(document),
    )
    return [section.filled for section in every if section.rows]


Origins = Mapping[str, Sequence[str]]


def _fields(
    document: Document, models: Mapping[str, Model], chosen: Sequence[Choice], errors: Sequence[object]
) -> Section:
    model = next(iter(models.values()))
    columns = ["field", "unit", "diffusion, um^2/min", "decay", "solver", "reason", "expected error"]
    return Section(
        "fields",
        columns,
        [
            [name, spec.unit, _diffusivity(model, i), spec.decay, chosen[i].solver, chosen[i].reason, str(errors[i])]
            for i, (name, spec) in enumerate(document.fields.items())
        ],
    )


def _clearance(document: Document) -> Section:
    """What removes a field everywhere, besides its decay."""
    rows: list[list[Cell]] = [
        [field, name, amount(cause.rate), _modulators(cause.modulators)]
        for field, spec in document.fields.items()
        for name, cause in spec.clearance.items()
    ]
    return Section("clearance", ["field", "cleared by", "rate", "modulators"], rows)


def _reactions(document: Document) -> Section:
    rows: list[list[Cell]] = [
        [
            name,
            f"{_sum(reaction.consumes)} -> {_sum(reaction.makes) or 'nothing'}",
            amount(reaction.rate),
            _modulators(reaction.modulators),
        ]
        for name, reaction in document.reactions.items()
    ]
    return Section("reactions", ["name", "reaction", "rate", "modulators"], rows)


def _tissue(scenario: Scenario) -> Section:
    """The tissue at time 0, in the order in which it is laid out, at each site."""
    several = len(scenario.sites) > 1
    rows: list[list[Cell]] = []
    for site in scenario.sites:
        tissue = scenario.site(site).written.tissue
        at = site if several else ""
        rows.append(["background", at, tissue.background, "everywhere", "", ""])
        if tissue.image is not None:
            rows.append(["image", at, _among(tissue.image.labels.values()), Path(tissue.image.file).name, "", ""])
        if tissue.cells is not None:
            rows.append(["cells", at, _among(each.state for each in tissue.types), Path(tissue.cells).name, "", ""])
        for name, shape in tissue.shapes.items():
            into = "/".join(shape.into) if shape.into is not None else ""
            fraction = f"{shape.fraction:g}" if shape.fraction != 1 else ""
            rows.append([name, at, shape.state, wording.region(shape), fraction, into])
    return Section("tissue", ["tissue", "site", "state", "region", "fraction", "into"], rows)


def _among(states: Iterable[str]) -> str:
    """Each state once, in the order in which it is found."""
    return ", ".join(dict.fromkeys(states))


def _states(document: Document, models: Mapping[str, Model]) -> Section:
    names = next(iter(models.values())).states
    start = {site: model.initial.counts(len(names.names)) for site, model in models.items()}
    columns = ["cells at time 0"] if len(models) == 1 else [f"cells at time 0, {site}" for site in models]
    rows: list[list[Cell]] = [
        [name, "tissue" if name in names.tissue else "immune", *(int(counts[i]) for counts in start.values())]
        for i, name in enumerate(names.names)
    ]
    return Section("states", ["state", "layer", *columns], rows)


def _activities(document: Document) -> Section:
    """What states secrete, take up, exchange with the blood, and how they move."""
    rows: list[list[Cell]] = []
    for state, spec in document.states.items():
        for field, secretion in spec.secretion.items():
            rows.append([state, f"secretes {field}", amount(secretion.rate), _modulators(secretion.modulators)])
        for field, uptake in spec.uptake.items():
            rows.append([state, f"takes up {field}", amount(uptake.rate), _modulators(uptake.modulators)])
        for field, exchange in spec.exchange.items():
            blood = amount(exchange.blood) if exchange.blood is not None else f"body {exchange.body}, {exchange.volume}"
            drag = [f"solvent drag, reflection {exchange.reflection:g}"] if exchange.reflection is not None else []
            modulators = [f"blood: {blood}", *drag, *_modulators(exchange.modulators)]
            rows.append([state, f"exchanges {field}", amount(exchange.permeability), modulators])
        if spec.motility is not None:
            moves = spec.motility
            said = [f"persistence {moves.turns}{_by(moves.turns_modulated)}"]
            to = moves.chemotaxis
            if to is not None and to.half is not None:
                said.append(f"towards {to.field}, half {amount(to.half)}, sensitivity {to.sensitivity}")
            elif to is not None and to.bias is not None:
                said.append(f"bias {to.bias.value:g}{_by(to.bias.modulators)}")
                for field, part in to.along.items():
                    per = f" per {amount(part.per)}" if part.per is not None else ""
                    said.append(f"along {field}, weight {part.weight:g}{per}{_by(part.modulators)}")
            said += [f"enters {', '.join(moves.enters)}"] if moves.enters is not None else []
            said += [f"crushes {', '.join(moves.crushes)}"] if moves.crushes is not None else []
            said += [f"leaves a trail of {moves.trail}"] if moves.trail is not None else []
            rows.append([state, "moves", moves.speed, [*said, *_modulators(moves.modulators)]])
    return Section("activities", ["state", "activity", "rate", "details"], rows)


def _traits(document: Document) -> Section:
    """Traits as the scenario gives them."""
    rows: list[list[Cell]] = [
        [
            name,
            ", ".join(trait.of),
            trait.unit,
            _initially(trait.initial),
            "" if trait.most is None else amount(trait.most),
            trait.at_division,
            _mutation(trait.mutation),
            "; ".join(f"{law}: {_law(spec)}" for law, spec in trait.changes.items()),
        ]
        for name, trait in document.traits.items()
    ]
    return Section(
        "traits", ["trait", "of", "unit", "initially", "at most", "at division", "mutation", "changes"], rows
    )


def _rules(document: Document) -> Section:
    """Rules: what they turn into what, how fast, on what that depends, and what else they do."""
    rows: list[list[Cell]] = [
        [
            name,
            rule.transition,
            rule.partner or "",
            rule.rate if rule.after in ("0 min", 0) else f"{rule.rate} after {rule.after}",
            [*_modulators(rule.modulators), *_effects(rule)],
        ]
        for name, rule in document.rules.items()
    ]
    return Section("rules", ["rule", "transition", "partner", "rate", "modulators and effects"], rows)


def _effects(rule: Rule) -> list[str]:
    """What a rule does besides its transition, a line for each kind."""
    lines = [f"reach {rule.reach}"] if rule.reach is not None else []
    lines += [f"releases {amounts(rule.releases)}"] if rule.releases else []
    lines += [f"adds {amounts(rule.add)}"] if rule.add else []
    lines += [f"sets {amounts(rule.set)}"] if rule.set else []
    lines += [f"to body {amounts(rule.brings)}"] if rule.brings else []
    lines += [f"from body {rule.from_body}"] if rule.from_body is not None else []
    return lines + (["founds a clone"] if rule.clone else [])


def _body(document: Document) -> Iterator[Section]:
    quantities: list[list[Cell]] = [
        [name, quantity.unit, amount(quantity.initial), quantity.label or ""]
        for name, quantity in document.body.quantities.items()
    ]
    yield Section("body", ["quantity of the body", "unit", "at time 0", "label"], quantities)
    processes: list[list[Cell]] = [
        [
            name,
            process.transition,
            amount(process.rate) + (f" by {process.by}" if process.by else ""),
            _modulators(process.modulators),
        ]
        for name, process in document.body.processes.items()
    ]
    yield Section("processes", ["process", "transition", "rate", "modulators"], processes)


def _therapies(document: Document, origins: Origins) -> Section:
    rows: list[list[Cell]] = [
        [name, wording.gives(each), wording.route(each), wording.schedule(each), ", ".join(origins.get(name, ()))]
        for name, each in document.therapies.items()
    ]
    return Section("therapies", ["therapy", "gives", "to", "when", "from"], rows)


def _trial(document: Document) -> Iterator[Section]:
    trial = document.trial
    if trial is None:
        return
    arms: list[list[Cell]] = [
        [name, [f"{path} = {as_line(value)}" for path, value in changes.items()] or ["no change"]]
        for name, changes in trial.arms.items()
    ]
    yield Section("arms", ["arm", "changes"], arms)
    measured: list[list[Cell]] = [[name, wording.outcome(each)] for name, each in trial.outcomes.items()]
    yield Section("outcomes", ["outcome", "measure"], measured)
    yield Section("expected", ["expected", "order"], [[each.outcome, wording.order(each)] for each in trial.expected])


def _modulators(given: Sequence[Modulator]) -> list[str]:
    return [wording.modulator(each) for each in given]


def _by(given: Sequence[Modulator], before: str = " by ") -> str:
    return f"{before}{'; '.join(_modulators(given))}" if given else ""


def _initially(initial: float | str | InitialTrait) -> str:
    if isinstance(initial, float | str):
        return amount(initial)
    if initial.normal is not None:
        return f"normal: mean {amount(initial.normal.mean)}, sd {amount(initial.normal.sd)}"
    if initial.lognormal is not None:
        return f"lognormal: median {amount(initial.lognormal.median)}, fold {initial.lognormal.fold:g}"
    if initial.uniform is not None:
        return f"uniform: {amount(initial.uniform.low)} to {amount(initial.uniform.high)}"
    return f"column {initial.column}, otherwise {amount(initial.otherwise or 0.0)}"


def _mutation(mutation: Mutation | None) -> str:
    if mutation is None:
        return ""
    kinds = {"spread": mutation.spread, "fold": mutation.fold, "becomes": mutation.becomes}
    (what,) = (f"{kind} {amount(value)}" for kind, value in kinds.items() if value is not None)
    return f"{what}, probability {mutation.probability:g}"


def _law(law: Law) -> str:
    kinds = {"gain": law.gain, "growth": law.growth}
    said = [f"{kind} {amount(value)}" for kind, value in kinds.items() if value is not None]
    if law.towards is not None and law.rate is not None:
        said = [f"towards {amount(law.towards)}, rate {amount(law.rate)}"]
    said += [f"in {', '.join(law.of)}"] if law.of else []
    return ", ".join(said) + _by(law.modulators, ", by ")


def _sum(side: Mapping[str, float | str]) -> str:
    """A side of a reaction, as in "virus + 0.1 antibody"."""
    return " + ".join(
        name if value == 1 else f"{value:g} {name}" if isinstance(value, float) else f"{value} of {name}"
        for name, value in side.items()
    )


def _diffusivity(model: Model, field: int) -> str:
    """One number, or the lowest and the highest by tissue state."""
    by_state = model.fields.diffusion[field]
    low, high = by_state.min(), by_state.max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}, by state"
