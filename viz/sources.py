"""What the app looks at: a result on disk, or a simulation that runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from gpusim.analysis import Whole, whole
from gpusim.engine import Simulation
from gpusim.errors import ResultError, ScenarioError
from gpusim.record import Result
from gpusim.viz.moment import HEAT, LOOKED_AT, Moment, moment_of_result, moment_of_simulation, some_of


class Source(Protocol):
    """Moments in the order of time, at one of several sites; and numbers over time."""

    title: str

    @property
    def sites(self) -> Sequence[str]:
        """Their names."""
        ...

    @property
    def minutes(self) -> np.ndarray:
        """Times of the moments there are, float64."""
        ...

    def moment(self, index: int, site: str) -> Moment:
        """One of them."""
        ...

    def curves(self, site: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Times (min) and values by name: tumour (all of its cells), infected, CD8 T cells, heat, virus."""
        ...


def _cells(table: pd.DataFrame, prefix: str, states: Sequence[str]) -> np.ndarray:
    columns = [f"{prefix}cells.{state}" for state in states if f"{prefix}cells.{state}" in table]
    return table[columns].sum(axis=1).to_numpy(float)


def _heat(moment: Moment) -> float:
    """Mean heat of the tumour's voxels; 0 where there is no tumour or no heat."""
    where = moment.cells(moment.tumour_states)
    return float(moment.values(HEAT)[where].mean()) if moment.document.heat and where.any() else 0.0


def virus_of(moment: Moment) -> Whole | None:
    """How the virus of a site is told; None where there is no such field."""
    field = moment.document.fields.get("virus")
    return whole(field.unit, [moment.tissue.size], [moment.spacing]) if field else None


class FromResult:
    """A result folder."""

    def __init__(self, folder: Path | str) -> None:
        result = Result(folder)
        self.sites: Sequence[str] = result.sites
        self._results = {site: Result(folder, site) for site in result.sites}
        self.title = f"{result.scenario.document.name} ({Path(folder).name})"

    @property
    def minutes(self) -> np.ndarray:
        """Times of the moments there are, float64."""
        return next(iter(self._results.values())).times

    def moment(self, index: int, site: str) -> Moment:
        """One of them."""
        return replace(moment_of_result(self._at(site), index), title=self.title)

    def _at(self, site: str) -> Result:
        return self._results.get(site) or next(iter(self._results.values()))

    def curves(self, site: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Times (min) and values by name."""
        result = self._at(site)
        table = result.counts
        prefix = f"{result.site}." if len(self.sites) > 1 else ""
        first = self.moment(0, site)
        times = table["minutes"].to_numpy(float)
        found = {
            "tumour": (times, _cells(table, prefix, first.tumour_states)),
            "infected": (times, _cells(table, prefix, ["infected"])),
            "ctl": (times, _cells(table, prefix, ["ctl"])),
        }
        if f"{prefix}total.virus" in table:
            told = virus_of(first)
            assert told is not None, "the scenario has the field"
            found["virus"] = (times, told.factor * table[f"{prefix}total.virus"].to_numpy(float))
        some = some_of(len(self.minutes), LOOKED_AT)
        if first.document.heat:
            found[HEAT] = (self.minutes[some], np.array([_heat(self.moment(i, site)) for i in some]))
        return found


class FromSimulation:
    """A simulation that is stepped from outside; only its present can be looked at."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.sites: Sequence[str] = tuple(simulation.sites)
        self.title = f"{simulation.scenario.document.name}, live"
        self._log: dict[str, list[tuple[float, ...]]] = {site: [] for site in self.sites}
        self.note()

    @property
    def minutes(self) -> np.ndarray:
        """Times of the moments there are, float64."""
        return np.array([self.simulation.minutes])

    def moment(self, index: int, site: str) -> Moment:
        """One of them."""
        return replace(moment_of_simulation(self.simulation, site), title=self.title)

    def note(self) -> None:
        """Keep the present numbers for the curves."""
        for site, log in self._log.items():
            moment = moment_of_simulation(self.simulation, site)
            told = virus_of(moment)
            virus = told.factor * float(moment.values("virus").sum(dtype=np.float64)) if told else 0.0
            numbers = (moment.cells(states).sum() for states in (moment.tumour_states, ["infected"], ["ctl"]))
            log.append((self.simulation.minutes, *map(float, numbers), virus, _heat(moment)))

    def curves(self, site: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Times (min) and values by name, since the app began."""
        times, *columns = np.array(self._log[site]).T
        return {
            name: (times, column)
            for name, column in zip(("tumour", "infected", "ctl", "virus", HEAT), columns, strict=True)
        }

    def inject(self, field: str, amount: str, radius: str, at: tuple[float, float, float], site: str) -> str:
        """Put an amount of a field into a ball around a place (um) now; says what was done.

        The run is no longer that of its scenario and seed. Raises `ResultError`.
        """
        sites = site if len(self.sites) > 1 else None
        place = [f"{length!r} um" for length in at]
        try:
            self.simulation.inject(field, amount, at=place, radius=radius, site=sites)
        except ScenarioError as error:
            raise ResultError(str(error)) from None
        self.note()
        return f"{amount} of {field}"
