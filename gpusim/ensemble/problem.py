"""A study against measured values: how far off a point is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gpusim.ensemble.design import value_at
from gpusim.ensemble.execution import Setting, batches, carry_out
from gpusim.ensemble.measured import Data
from gpusim.ensemble.schema import Range
from gpusim.ensemble.study import Study
from gpusim.ensemble.sweep import begin, column
from gpusim.errors import GpusimError, ScenarioError

LEVEL = 0.95
"""Of the intervals of a fit."""
_LOWEST = 1e-3
"""Share of the lowest measured value that a simulated 0 counts as: logarithms need more than 0."""
_IMPOSSIBLE = 1e3
"""Residual, in standard deviations, of every value of a run that failed."""


@dataclass(frozen=True)
class Found:
    """What a method has found, parameters as shares of their ranges.

    Attributes:
        estimate, low, high: float64 [parameters], the ends those of 95% intervals.
        points: float64 [points, parameters]; columns: more of each point (weight, or chi2).
        note: what a user should know, or nothing.
    """

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    points: np.ndarray
    columns: dict[str, np.ndarray]
    note: str = ""


@dataclass(frozen=True)
class Problem:
    """A study against measured values.

    Residuals are in standard deviations of a measurement: log(simulated / measured) / s, with
    s = sqrt(log(1 + error^2)) of the lognormal error. Simulated values are means over the replicates.
    """

    study: Study
    data: Data
    setting: Setting

    @property
    def names(self) -> list[str]:
        """Parameters."""
        return list(self.study.document.parameters)

    @property
    def deviation(self) -> float:
        """Standard deviation of the logarithm of a measured value."""
        return float(np.sqrt(np.log1p(self.study.document.fit.error**2)))

    def values(self, cube: Sequence[float]) -> dict[str, Any]:
        """Parameters at shares of their ranges."""
        return {
            p: value_at(r, float(u)) for (p, r), u in zip(self.study.document.parameters.items(), cube, strict=True)
        }

    def in_units(self, cube: np.ndarray) -> np.ndarray:
        """Parameters as numbers in their units: float64 [points, parameters]."""
        columns = [column(parameter) for parameter in self.study.document.parameters.values()]
        rows = [[c(v) for c, v in zip(columns, self.values(row).values(), strict=True)] for row in cube]
        return np.array(rows, np.float64)

    def simulated(self, cube: Sequence[float]) -> np.ndarray:
        """What a simulation has for each measured value: float64 [values]. Raises `GpusimError`."""
        by_arm: dict[str, list[dict[str, float]]] = {}
        for batch in batches(self.study.runs([self.values(cube)]), self.setting.together):
            for how in carry_out(batch[0].data, {run.key: run.seed for run in batch}, self.setting).values():
                if isinstance(how, Exception):
                    raise how
                by_arm.setdefault(batch[0].arm, []).append(how)
        found = []
        for name, time, arm in zip(self.data.names, self.data.times, self.data.arms, strict=True):
            found.append(np.mean([outcomes[f"{name}@{time}"] for outcomes in by_arm[arm]]))
        return np.array(found, np.float64)

    def residuals(self, cube: Sequence[float]) -> np.ndarray:
        """Of each measured value: float64 [values]. A run that fails is as far off as can be."""
        try:
            simulated = np.maximum(self.simulated(cube), _LOWEST * self.data.values.min())
        except GpusimError:
            return np.full(len(self.data.values), _IMPOSSIBLE)
        return np.log(simulated / self.data.values) / self.deviation

    def misfit(self, cube: Sequence[float]) -> float:
        """Sum of the squared residuals: chi^2."""
        return float(np.sum(self.residuals(cube) ** 2))


def pose(study: Study, data: Data, setting: Setting) -> Problem:
    """Join a study and its data, and run one point, so that what is wrong is said at once.

    Raises `ScenarioError` where there is nothing to fit, `ResultError` where an input file or the program has changed
    since runs in the folder finished.
    """
    document = study.document
    if not document.parameters or not all(isinstance(p, Range) for p in document.parameters.values()):
        raise ScenarioError("parameters: a fit needs ranges, {from: ..., to: ...}, and no lists")
    outcomes = {}
    for name in dict.fromkeys(data.names):
        times = dict.fromkeys(t for n, t in zip(data.names, data.times, strict=True) if n == name)
        outcomes[name] = document.outcomes[name].model_copy(update={"at": tuple(times)})
    arms = {name: changes for name, changes in document.arms.items() if name in data.arms}
    narrowed = replace(study, document=document.model_copy(update={"outcomes": outcomes, "arms": arms}))
    found = Problem(narrowed, data, replace(setting, columns=narrowed.columns))
    middle = [0.5] * len(document.parameters)
    begin(narrowed.runs([found.values(middle)]), setting)
    found.simulated(middle)
    return found
