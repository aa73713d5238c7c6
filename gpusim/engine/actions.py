"""What is done to a running simulation from outside: therapies on the spot, values set, numbers changed."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpusim import units
from gpusim.engine.transport import choices
from gpusim.errors import ScenarioError
from gpusim.model import Model, build, treatments
from gpusim.model.fingerprint import fingerprint
from gpusim.scenario import Scenario
from gpusim.scenario.limits import LARGEST

CHANGEABLE = ("fields", "flow", "states", "rules", "reactions", "adhesion", "traits", "body", "therapies")
"""Parts of a scenario whose numbers may change in mid-run."""
_ENDS = ("to", "daughter", "partner", "partner_to")
"""Columns of the table of rules that hold states."""
_SIDES = ("first_consumed", "first_made", "end_made")
"""Columns of the table of reactions that tell which fields take part."""


@dataclass(frozen=True)
class Action:
    """What was done to a run after so many steps.

    Attributes:
        verb: "inject", "infuse", "resect", "set" or "change".
        arguments: of the verb, as plain data. Of "set", the array is told by its SHA-256.
    """

    step: int
    verb: str
    arguments: Mapping[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        """Plain data, as results hold it."""
        return dataclasses.asdict(self)


def changes(actions: Iterable[Action]) -> list[Mapping[str, Any]]:
    """What the actions change of the scenario, in their order."""
    return [action.arguments for action in actions if action.verb == "change"]


def with_changes(scenario: Scenario, changed: Iterable[Mapping[str, Any]]) -> Scenario:
    """A scenario with some changes, one after the other. Raises `ScenarioError`."""
    for each in changed:
        for path in each:
            if not isinstance(path, str):
                raise ScenarioError(f"change: expected dotted paths, found {path!r}")
            if path.split(".")[0] not in CHANGEABLE:
                raise ScenarioError(
                    f"change {path}: cannot be changed during a run; expected a number in {', '.join(CHANGEABLE)}"
                )
        scenario = scenario.overridden(each, "change")
    return scenario


def until(scenario: Scenario, done: Iterable[Action], step: int) -> Scenario:
    """The scenario that step number `step` was computed with, after some actions. Raises `ScenarioError`."""
    return with_changes(scenario, changes(each for each in done if each.step < step))


def treated(
    scenario: Scenario, actions: Sequence[Action], verb: str, arguments: Mapping[str, Any], layers: Mapping[str, Any]
) -> dict[str, Any]:
    """What an intervention gives, by site, as `gpusim.model.treatments`; that of the body is at the first site.

    It is what a therapy with these arguments gives that stands last in the scenario, after those of earlier `actions`.

    Args:
        layers: by site, its model and `InitialTissue` of the cells that it has now.

    Raises `ScenarioError`.
    """
    earlier = [action.arguments for action in actions if action.verb in ("inject", "infuse", "resect")]
    names = [f"{verb}_{i}" for i in range(len(earlier) + 1)]
    therapies = dict(zip(names, [*earlier, arguments], strict=True))
    name = names[-1]
    try:
        extended = scenario.with_(therapies=therapies)
        site = extended.document.therapies[name].site or next(iter(layers))
        model, tissue = layers[site]
        given = treatments(extended.site(site), model, tissue, name)
        # A steady field may rest on cells that hold it: refused as a therapy would be that takes them away.
        cut, put_in = (*model.resections, *given.resections), (*model.grafts, *given.grafts)
        choices(dataclasses.replace(model, resections=cut, grafts=put_in))
        return {site: given}
    except ScenarioError as error:
        place = f"therapies.{name}"
        message = str(error).removeprefix(f"{scenario.document.name}: ").replace(" at time 0;", ";")
        for found, told in ((f"{place}.{verb}", verb), (f"{place}.", f"{verb}: "), (place, verb)):
            message = message.replace(found, told)
        raise ScenarioError(message if message.startswith(verb) else f"{verb}: {message}") from None
    except units.UnitError as error:
        raise ScenarioError(f"{verb}: a quantity {error}") from None


def remodelled(scenario: Scenario, models: Mapping[str, Model]) -> dict[str, Model]:
    """The models of all sites of a changed scenario, with the steps of the present `models`.

    Raises `ScenarioError` where the present state is none of theirs.
    """
    now = next(iter(models.values()))
    pinned = {"field": f"{now.step!r} min", "rules": f"{now.step * now.rules_every!r} min"}
    timed = scenario.with_(time={"step": pinned})
    found = {name: build(timed.site(name), model.initial) for name, model in models.items()}
    for before, after in zip(models.values(), found.values(), strict=True):
        _require_same_arrays(before, after)
    return found


def require_effect(before: Mapping[str, Model], after: Mapping[str, Model], step: int) -> None:
    """Raise `ScenarioError` where the same comes after so many steps of the models of one and of another scenario."""
    told = [fingerprint({name: _effective(model, step) for name, model in each.items()}) for each in (before, after)]
    if told[0] == told[1]:
        raise ScenarioError("change: has no effect on the rest of the run")


def _require_same_arrays(before: Model, after: Model) -> None:
    """Raise `ScenarioError` where the state of one model is none of the other."""
    for what, of in (
        ("the fields and their units", lambda m: (m.fields.names, m.fields.units)),
        ("the states and their layers", lambda m: m.states),
        (
            "the rules and their transitions",
            lambda m: (m.cells.rule_names, list(m.cells.leaves), m.cells.rules[list(_ENDS)].tolist()),
        ),
        (
            "the reactions and their fields",
            lambda m: (m.reactions.names, m.reactions.rows[list(_SIDES)].tolist(), m.reactions.terms["field"].tolist()),
        ),
        (
            "the traits, their units and states",
            lambda m: (m.traits.names, m.traits.units, m.traits.rows["states"].tolist()),
        ),
        ("the quantities of the body", lambda m: (m.body.names, m.body.units)),
        ("the traits that rules give to the body", lambda m: m.cells.egresses["trait"].tolist()),
        ("what exchanges with the body", lambda m: m.exchange.walls[["field", "quantity"]].tolist()),
        ("the field of the pressure", lambda m: m.flow.field if m.flow is not None else None),
        ("the grid", lambda m: (m.shape, m.spacing)),
    ):
        if of(before) != of(after):
            raise ScenarioError(f"change: {what} cannot be changed during a run; only numbers can")


def _effective(model: Model, step: int) -> dict[str, object]:
    """What later steps depend on."""
    found: dict[str, Any] = {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}
    for start in ("initial", "notes", "name"):
        del found[start]
    found["fields"] = dataclasses.replace(model.fields, initial=())
    found["body"] = dataclasses.replace(model.body, initial=np.zeros(0))
    for kind in ("doses", "infusions", "grafts", "resections"):
        found[kind] = [each for each in found[kind] if each.step + getattr(each, "steps", 1) > step]
    return found


def values_of(model: Model, tissue: np.ndarray, field: str, values: Any) -> np.ndarray:
    """The values to set a field to, float32 [z, y, x], where the `tissue` has these states. Raises `ScenarioError`."""
    names = model.fields.names
    if field not in names:
        raise ScenarioError(f"set: no field '{field}' (known: {', '.join(names)})")
    if model.fields.solvers[names.index(field)] == "steady":
        raise ScenarioError(f"set: field '{field}' takes its steady state in each time step and cannot be set")
    if model.exchange.holds[names.index(field)][tissue].all():
        raise ScenarioError(f"set: field '{field}' has a fixed concentration in every voxel and cannot be set")
    try:
        given = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise ScenarioError(f"set: expected numbers for field '{field}', found {type(values).__name__}") from None
    if given.shape not in ((), model.shape):
        raise ScenarioError(f"set: expected one number or an array of shape {model.shape}, found {given.shape}")
    if not ((given >= 0) & (given <= LARGEST)).all():
        raise ScenarioError(f"set: expected numbers from 0 to {LARGEST:g} for field '{field}', found others")
    return np.broadcast_to(given, model.shape).astype(np.float32)
