"""Outcomes: numbers taken from a simulation, or from one of its replicates, while it runs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from gpusim import units
from gpusim.analysis.phenotype import Lesion
from gpusim.analysis.reading import read_lesions
from gpusim.analysis.room import within
from gpusim.engine import Replicate, Simulation
from gpusim.engine.site import Site
from gpusim.errors import ScenarioError
from gpusim.running import run
from gpusim.scenario import Scenario, groups
from gpusim.scenario.schema import END, Extent, Outcome
from gpusim.tissue.shapes import in_box


def measure(outcome: Outcome, replicate: Replicate) -> float:
    """The number that an outcome has now. Raises `NumericalError` where a concentration has gone wrong."""
    outcome = groups.in_states(outcome, replicate.scenario.document.groups)
    if outcome.body is not None:
        return replicate.body[outcome.body]
    names = [outcome.site] if outcome.site is not None else list(replicate.sites)
    sites = [replicate.sites[name] for name in names]
    if outcome.lesion is not None:
        return _of_lesion(replicate, names, outcome.lesion)
    if outcome.total is not None:
        return sum(_amount(site, outcome.total, _summed(site, outcome, replicate.steps)[0]) for site in sites)
    if outcome.mean is not None:
        found = [(*_summed(site, outcome, replicate.steps), site.model.spacing**3) for site in sites]
        volume = sum(voxels * each for _, voxels, each in found)
        return sum(value * each for value, _, each in found) / volume if volume else 0.0
    if outcome.fired is not None:
        # A rule that an arm leaves out never fires.
        return float(sum(site.fired.get(outcome.fired, 0) for site in sites))
    if outcome.barred is not None:
        return float(sum(site.barred.get(outcome.barred, 0) for site in sites))
    for kind in ("crushed", "left"):
        if (states := getattr(outcome, kind)) is not None:
            return float(sum(getattr(site, kind)[state] for site in sites for state in states))
    if outcome.room is not None:
        return _share_with_room(replicate, names, outcome)
    if outcome.trait is not None:
        return _of_trait(outcome, outcome.trait, sites)
    if outcome.count is not None:
        return float(sum(_cells(site, outcome.count, outcome.box) for site in sites))
    assert outcome.volume is not None
    return sum(_cells(site, outcome.volume, outcome.box) * site.model.spacing**3 * 1e-9 for site in sites)


def _summed(site: Site, outcome: Outcome, steps: int) -> tuple[float, int]:
    """The sum of a field over the voxels that an outcome is of, and their number."""
    field = outcome.total or outcome.mean or ""
    total = site.totals(steps)[field]  # finds concentrations that have gone wrong
    if outcome.of is None and outcome.box is None:
        return total, math.prod(site.model.shape)
    inside = np.s_[:] if outcome.box is None else in_box(site.model.shape, site.model.spacing, outcome.box)
    values = site.field(field)[inside]
    if outcome.of is not None:
        wanted = [site.model.states.number(state) for state in outcome.of]
        values = values[np.isin(site.tissue[inside], wanted) | np.isin(site.immune[inside], wanted)]
    return float(values.sum(dtype=np.float64)), values.size


def _amount(site: Site, field: str, total: float) -> float:
    """An amount from the sum of a field over some voxels."""
    fields = site.model.fields
    amount = units.amount_per_voxel(fields.units[fields.names.index(field)], site.model.spacing**3)
    assert amount is not None, "checked with the scenario"
    return amount[0] * total


def _cells(site: Site, states: Iterable[str], box: Extent | None) -> int:
    if box is None:
        counts = site.counts
        return sum(counts[state] for state in states)
    inside = in_box(site.model.shape, site.model.spacing, box)
    wanted = [site.model.states.number(state) for state in states]
    return sum(int(np.isin(layer[inside], wanted).sum()) for layer in (site.tissue, site.immune))


def _share_with_room(replicate: Replicate, names: Iterable[str], outcome: Outcome) -> float:
    """Of the cells in some states at some sites; 0 where there is none."""
    assert outcome.room is not None
    assert outcome.within is not None
    with_room = cells = 0
    for name in names:
        site, document = replicate.sites[name], replicate.scenario.site(name).document
        tissue, immune = site.tissue, site.immune
        near = within(document, tissue, outcome.within)
        wanted = np.isin(np.arange(len(site.model.states.names)), [*map(site.model.states.number, outcome.room)])
        for layer in (tissue, immune):
            with_room += int(np.count_nonzero(wanted[layer] & near))
            cells += int(np.count_nonzero(wanted[layer]))
    return with_room / cells if cells else 0.0


def _of_trait(outcome: Outcome, name: str, sites: Sequence[Site]) -> float:
    """Mean, quantile or share above a threshold of a trait's values at some sites; 0 without cells."""
    values = np.concatenate([site.values(name, outcome.of) for site in sites])
    if not values.size:
        return 0.0
    if outcome.quantile is not None:
        return float(np.quantile(values.astype(np.float64), outcome.quantile))
    if outcome.above is not None:
        model = sites[0].model
        unit = model.traits.units[model.traits.names.index(name)]
        # In float32, as modulators compare.
        return float(np.mean(values >= np.float32(units.number(outcome.above, unit, model.spacing**3))))
    return float(np.mean(values, dtype=np.float64))


def _of_lesion(replicate: Replicate, names: Iterable[str], what: str) -> float:
    """A number of the largest lesion at some sites; 0 where none is left."""
    found: list[Lesion] = []
    for name in names:
        site, document = replicate.sites[name], replicate.scenario.site(name).document
        found += read_lesions(document, site.array)[:1]
    return float(getattr(max(found, key=lambda lesion: lesion.cells), what)) if found else 0.0


class Outcomes:
    """Outcomes of one run, each taken at the step at which it is due.

    Attributes:
        values: what has been taken so far, by column.
        last: the step after which nothing is due.

    Raises `ScenarioError` for a time that is no step of the run.
    """

    def __init__(self, replicate: Replicate, wanted: Mapping[str, tuple[Outcome, str]]) -> None:
        self._replicate = replicate
        self._wanted = wanted
        self._due: dict[int, list[str]] = {}
        self.values: dict[str, float] = {}
        for column, (_, time) in wanted.items():
            self._due.setdefault(self._step(time), []).append(column)
        self.last = max(self._due)
        self._followed = {c: self._step(t) for c, (outcome, t) in wanted.items() if outcome.take != "last"}

    def _step(self, time: str) -> int:
        replicate = self._replicate
        if time == END:
            return replicate.model.until
        step = 0 if units.number(time, "min") == 0 else replicate.steps_until(time)
        if step > replicate.model.until:
            end = units.duration(replicate.model.until * replicate.model.step)
            raise ScenarioError(f"at: '{time}' is after the end of the run ({end})")
        return step

    def take(self) -> None:
        """Take the outcomes that are due at the present step, and follow the highest and lowest values."""
        steps = self._replicate.steps
        due = self._due.get(steps, ())
        for column in due:
            if column not in self._followed:
                self.values[column] = measure(self._wanted[column][0], self._replicate)
        if steps % self._replicate.model.record_every and not due:
            return
        for column, last in self._followed.items():
            if steps <= last:
                outcome, _ = self._wanted[column]
                value = measure(outcome, self._replicate)
                best = max if outcome.take == "highest" else min
                self.values[column] = best(value, self.values.get(column, value))


def measured(
    scenario: Scenario,
    seeds: Sequence[int],
    wanted: Mapping[str, tuple[Outcome, str]],
    backend: str,
    *,
    threads: int | None = None,
    folders: Sequence[Path] = (),
) -> list[dict[str, float]]:
    """Run a scenario with some seeds, stepped together; the outcomes of each by column.

    Args:
        wanted: outcomes and their times, by column.
        folders: for the result of each, where there are any; without, a run ends when its last outcome is taken.

    Raises what a run raises, of the first replicate where something is wrong.
    """
    with Simulation(scenario, backend, threads=threads, seed=seeds) as simulation:
        taken = [Outcomes(replicate, wanted) for replicate in simulation.replicates]

        def take(_: Simulation) -> None:
            for outcomes in taken:
                outcomes.take()

        def over(_: Simulation) -> bool:
            return not folders and simulation.steps >= taken[0].last

        run(simulation, folders or None, progress=take, stop=over, overwrite=bool(folders))
        return [outcomes.values for outcomes in taken]
