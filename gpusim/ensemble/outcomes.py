"""Numbers taken from a simulation while it runs."""

from collections.abc import Iterable, Mapping

from gpusim import units
from gpusim.analysis import heat_of, lesions
from gpusim.engine import Simulation
from gpusim.ensemble.schema import END, Outcome
from gpusim.errors import ScenarioError


def columns(outcomes: Mapping[str, Outcome]) -> dict[str, tuple[Outcome, str]]:
    """Columns of the table, each with its outcome and its time: "tumour", "tumour@3 day"."""
    return {
        f"{name}@{time}" if time != END else name: (outcome, time)
        for name, outcome in outcomes.items()
        for time in outcome.at or (END,)
    }


def unit(outcome: Outcome, simulation: Simulation) -> str:
    """Unit of an outcome."""
    document = simulation.scenario.document
    if outcome.total is not None:
        return document.fields[outcome.total].unit
    if outcome.body is not None:
        return document.body.quantities[outcome.body].unit
    if outcome.lesion is not None:
        return {"cells": "", "diameter": "um", "core": "/mm^2", "margin": "/mm^2", "heat": ""}[outcome.lesion]
    return "mm^3" if outcome.volume is not None else ""


def measure(outcome: Outcome, simulation: Simulation) -> float:
    """The number that an outcome has now. Raises `NumericalError` where a concentration has gone wrong."""
    if outcome.count is not None:
        return _cells(simulation, outcome.count)
    if outcome.volume is not None:
        return _cells(simulation, outcome.volume) * simulation.model.spacing**3 * 1e-9
    if outcome.total is not None:
        return simulation.totals()[outcome.total]
    if outcome.fired is not None:
        return float(simulation.fired[outcome.fired])
    if outcome.body is not None:
        return simulation.body[outcome.body]
    return _of_lesion(simulation, str(outcome.lesion))


def _cells(simulation: Simulation, states: Iterable[str]) -> float:
    counts = simulation.counts
    return float(sum(counts[state] for state in states))


def _of_lesion(simulation: Simulation, what: str) -> float:
    document = simulation.scenario.document
    fields = {name: simulation.field(name) for name in (document.heat.cytokines if document.heat else ())}
    tissue, immune = simulation.tissue, simulation.immune
    found = lesions(document, tissue, immune, heat_of(document, tissue, immune, fields))
    return float(getattr(found[0], what)) if found else 0.0


class Stops:
    """Outcomes of one run by the step at which they are due.

    Attributes:
        values: what has been taken so far, by column.
        last: the step after which nothing is due.

    Raises `ScenarioError` for a time that is no step of the run.
    """

    def __init__(self, simulation: Simulation, wanted: Mapping[str, tuple[Outcome, str]]) -> None:
        self._simulation = simulation
        self._wanted = wanted
        self._due: dict[int, list[str]] = {}
        self.values: dict[str, float] = {}
        for column, (_, time) in wanted.items():
            self._due.setdefault(self._step(time), []).append(column)
        self.last = max(self._due)

    def _step(self, time: str) -> int:
        simulation = self._simulation
        if time == END:
            return simulation.model.until
        step = 0 if units.number(time, "min") == 0 else simulation.steps_until(time)
        if step > simulation.model.until:
            end = units.duration(simulation.model.until * simulation.model.step)
            raise ScenarioError(f"at: '{time}' is after the end of the run ({end})")
        return step

    @property
    def between_rules(self) -> bool:
        """Whether anything is due between two applications of the rules."""
        return any(step % self._simulation.model.rules_every for step in self._due)

    def take(self) -> None:
        """Take the outcomes that are due at the present step."""
        for column in self._due.get(self._simulation.steps, ()):
            self.values[column] = measure(self._wanted[column][0], self._simulation)
