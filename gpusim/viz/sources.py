"""What the app looks at: a result on disk, or a simulation that runs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from gpusim.analysis import main_field, trait_label, whole
from gpusim.engine import Simulation
from gpusim.engine.replicate import mean_of
from gpusim.errors import ResultError, ScenarioError
from gpusim.record import Result
from gpusim.scenario.schema import EMPTY, NONE, StateRole
from gpusim.viz.moment import HEAT, LOOKED_AT, Moment, moment_of_result, moment_of_simulation, some_of

CELLS = "cells"
"""Name of the curve of all tumour cells."""
_USUAL: tuple[StateRole, ...] = ("infected", "effector")
"""Roles of states whose curves are shown at first."""
_HEAT_COLOUR = "#f0763b"
_OTHER_COLOURS = ("#35b779", "#e69f00", "#56b4e9", "#cc79a7", "#f0e442", "#0072b2", "#d55e00")
"""Of fields, traits and the body's quantities, in their order."""


@dataclass(frozen=True)
class Curve:
    """How numbers over time are shown.

    Args:
        label: in the legend. axis: of the panel; curves with one axis share a panel.
        colour: "#rrggbb"; None for that of the text.
        factor: on the number in the table.
    """

    label: str
    axis: str
    colour: str | None
    factor: float = 1.0


def curves_of(moment: Moment) -> dict[str, Curve]:
    """The curves of a site by name: `cells`, `heat`, and columns of the table of counts, without the site's name."""
    document = moment.document
    found = {CELLS: Curve(moment.tumour_cells, "cells", None)} if moment.tumour_states else {}
    if document.heat:
        found[HEAT] = Curve("heat", "mean heat of the tumour", _HEAT_COLOUR)
    for name in moment.states:
        if name not in (EMPTY, NONE):
            found[f"cells.{name}"] = Curve(moment.label(name), "cells", moment.colours[name])
    colours = itertools.cycle(_OTHER_COLOURS)
    for name in sorted(document.fields, key=lambda name: name != main_field(document)):
        told = whole(moment.unit(name), [moment.tissue.size], [moment.spacing])
        axis = f"{moment.label(name)}, {told.label}"
        found[f"total.{name}"] = Curve(moment.label(name), axis, next(colours), told.factor)
    for name, trait in document.traits.items():
        axis = f"mean {trait_label(document, name)}, {trait.unit.removeprefix('dimensionless')}".removesuffix(", ")
        found[f"mean.{name}"] = Curve(f"mean {trait_label(document, name)}", axis, next(colours))
    for name, quantity in document.body.quantities.items():
        label = quantity.label or name
        found[f"body.{name}"] = Curve(f"{label} (body)", f"in the body, {quantity.unit}", next(colours))
    return found


def usual(moment: Moment) -> list[str]:
    """The curves that are shown at first: all tumour cells, infected and effector cells, heat, the main field."""
    main = main_field(moment.document)
    wanted = [CELLS, *(f"cells.{state}" for state in moment.having(*_USUAL)), HEAT, f"total.{main}"]
    known = curves_of(moment)
    return [name for name in wanted if name in known]


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

    def series(self, name: str, site: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Times (min) and values of a curve (`curves_of`); None where there is none of this name."""
        ...


def _column(table: pd.DataFrame, name: str, moment: Moment, prefix: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Times and values of a curve from a table of counts, whose columns of a site begin with a prefix."""
    curve = curves_of(moment).get(name)
    if curve is None:
        return None
    here = "" if name.startswith("body.") else prefix
    columns = [f"{here}cells.{state}" for state in moment.tumour_states] if name == CELLS else [f"{here}{name}"]
    return table["minutes"].to_numpy(float), curve.factor * table[columns].sum(axis=1, skipna=False).to_numpy(float)


def _heat(moment: Moment) -> float:
    """Mean heat of the tumour's voxels; 0 where there is no tumour or no heat."""
    where = moment.cells(moment.tumour_states)
    return float(moment.values(HEAT)[where].mean()) if moment.document.heat and where.any() else 0.0


class FromResult:
    """A result folder."""

    def __init__(self, folder: Path | str) -> None:
        result = Result(folder)
        self.sites: Sequence[str] = result.sites
        self._results = {site: Result(folder, site) for site in result.sites}
        self.title = f"{result.scenario.document.name} ({Path(folder).name})"
        self._heats: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    @property
    def minutes(self) -> np.ndarray:
        """Times of the moments there are, float64."""
        return next(iter(self._results.values())).times

    def moment(self, index: int, site: str) -> Moment:
        """One of them."""
        return replace(moment_of_result(self._at(site), index), title=self.title)

    def _at(self, site: str) -> Result:
        return self._results.get(site) or next(iter(self._results.values()))

    def series(self, name: str, site: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Times (min) and values of a curve; None where there is none of this name."""
        result = self._at(site)
        moment = self.moment(0, site)
        if name == HEAT:
            return self._heat(site) if moment.document.heat else None
        return _column(self._counts, name, moment, f"{result.site}." if len(self.sites) > 1 else "")

    @cached_property
    def _counts(self) -> pd.DataFrame:
        return next(iter(self._results.values())).counts

    def _heat(self, site: str) -> tuple[np.ndarray, np.ndarray]:
        if site not in self._heats:
            some = some_of(len(self.minutes), LOOKED_AT)
            self._heats[site] = self.minutes[some], np.array([_heat(self.moment(i, site)) for i in some])
        return self._heats[site]


class FromSimulation:
    """A simulation that is stepped from outside; only its present can be looked at."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.sites: Sequence[str] = tuple(simulation.sites)
        self.title = f"{simulation.scenario.document.name}, live"
        self._log: dict[str, list[dict[str, float]]] = {site: [] for site in self.sites}
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
        numbers = self.simulation.numbers_of(self.simulation.note())
        body = {f"body.{name}": value for name, value in numbers.body.items()}
        for site, log in self._log.items():
            here = numbers.sites[site]
            row = {"minutes": numbers.minutes, HEAT: _heat(self.moment(0, site)), **body}
            row |= {f"cells.{name}": count for name, count in here.counts.items()}
            row |= {f"total.{name}": total for name, total in here.totals.items()}
            row |= {f"mean.{name}": mean_of([sums]) for name, sums in here.traits.items()}
            log.append(row)

    def series(self, name: str, site: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Times (min) and values of a curve since the app began; None where there is none of this name."""
        return _column(pd.DataFrame(self._log[site]), name, self.moment(0, site), "")

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
