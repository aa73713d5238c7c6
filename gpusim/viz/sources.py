"""What the app looks at: a result on disk, or a simulation that runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from gpusim.analysis import Whole, main_field, whole
from gpusim.engine import Simulation
from gpusim.errors import ResultError, ScenarioError
from gpusim.record import Result
from gpusim.scenario.schema import StateRole
from gpusim.viz.moment import HEAT, LOOKED_AT, Moment, moment_of_result, moment_of_simulation, some_of

ROLES: tuple[StateRole, ...] = ("infected", "effector")
"""Roles of states that have a curve."""
MAIN = "field"
"""Name of the curve of the main field."""


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
        """Times (min) and values by name: the tumour (all of its cells), roles of states, heat, the main field."""
        ...


def _cells(table: pd.DataFrame, prefix: str, states: Sequence[str]) -> np.ndarray:
    columns = [f"{prefix}cells.{state}" for state in states if f"{prefix}cells.{state}" in table]
    return table[columns].sum(axis=1).to_numpy(float)


def _heat(moment: Moment) -> float:
    """Mean heat of the tumour's voxels; 0 where there is no tumour or no heat."""
    where = moment.cells(moment.tumour_states)
    return float(moment.values(HEAT)[where].mean()) if moment.document.heat and where.any() else 0.0


def main_of(moment: Moment) -> tuple[str, Whole] | None:
    """The main field of a site and how it is told; None where there is no field."""
    name = main_field(moment.document)
    return (name, whole(moment.unit(name), [moment.tissue.size], [moment.spacing])) if name else None


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
        found: dict[str, tuple[np.ndarray, np.ndarray]] = {
            "tumour": (times, _cells(table, prefix, first.tumour_states)),
            **{role: (times, _cells(table, prefix, first.having(role))) for role in ROLES if first.having(role)},
        }
        if main := main_of(first):
            name, told = main
            found[MAIN] = (times, told.factor * table[f"{prefix}total.{name}"].to_numpy(float))
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
            main = main_of(moment)
            amount = main[1].factor * float(moment.values(main[0]).sum(dtype=np.float64)) if main else 0.0
            numbers = (moment.cells(states).sum() for states in (moment.tumour_states, *map(moment.having, ROLES)))
            log.append((self.simulation.minutes, *map(float, numbers), amount, _heat(moment)))

    def curves(self, site: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Times (min) and values by name, since the app began."""
        times, *columns = np.array(self._log[site]).T
        return {name: (times, column) for name, column in zip(("tumour", *ROLES, MAIN, HEAT), columns, strict=True)}

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
        return f"{amount} of {field} into {radius} around {', '.join(place)}"
