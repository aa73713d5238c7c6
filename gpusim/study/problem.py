"""A study against measured values: how far off a point is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gpusim.errors import GpusimError, ScenarioError
from gpusim.study.design import value_at
from gpusim.study.execution import Setting, batches, carry_out
from gpusim.study.measured import Data
from gpusim.study.runs import Study
from gpusim.study.schema import Range
from gpusim.study.surface import Noise
from gpusim.study.sweep import begin, column

LEVEL = 0.95
"""Of the intervals of a fit."""
_REPEATS = 20
"""Runs at the estimate from which the noise of the seeds is estimated, where a method has none."""
_LOWEST = 1e-3
"""Share of the lowest measured value that a simulated 0 counts as: logarithms need more than 0."""
_IMPOSSIBLE = 1e3
"""Residual, in standard deviations, of every value of a run that failed."""


@dataclass(frozen=True)
class Found:
    """What a method has found, parameters as shares of their ranges.

    Attributes:
        estimate, low, high: float64 [parameters], the ends those of 95% intervals.
        particles: float64 [particles, parameters], draws of the posterior; weights: float64 [particles].
        logs: float64 [particles, values], log(simulated / measured) there, with the chance of the subjects.
        seeds: float64 [values], standard deviation of the logarithm of each value between runs that differ by their
            seed alone.
        notes: what a user should know.
        trials: float64 [trials, parameters], what was tried besides, if anything; chi2: float64 [trials], of each.
    """

    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    particles: np.ndarray
    weights: np.ndarray
    logs: np.ndarray
    seeds: np.ndarray
    notes: tuple[str, ...] = ()
    trials: np.ndarray | None = None
    chi2: np.ndarray | None = None


def quantile(points: np.ndarray, weights: np.ndarray, q: float) -> np.ndarray:
    """Of each column of weighted points (float64 [points, columns]), linear between them.

    As for points of equal weight, of which so many as are effective (Kish 1965) divide the line into one part more
    than there are points: between the k-th lowest and the k-th highest of n draws lies a further one with a
    probability of 1 - 2 k / (n + 1).
    """
    found = []
    effective = weights.sum() ** 2 / (weights**2).sum()
    for values in points.T:
        order = np.argsort(values, kind="stable")
        below = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
        found.append(np.interp(q, (below * effective + 0.5) / (effective + 1), values[order]))
    return np.array(found)


@dataclass(frozen=True)
class Problem:
    """A study against measured values.

    A measured value is taken to be the mean of `subjects` runs of the model, each with a seed of its own, times a
    lognormal error; a simulated one is the mean over the replicates. Residuals are in standard deviations of that
    error: log(simulated / measured) / s, with s = sqrt(log(1 + error^2)).
    """

    study: Study
    data: Data
    setting: Setting

    @property
    def names(self) -> list[str]:
        """Parameters."""
        return list(self.study.document.parameters)

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviation of the logarithm of each measured value by its error: float64 [values]."""
        error = self.study.document.fit.error
        errors = [error[name] if isinstance(error, dict) else error for name in self.data.names]
        return np.sqrt(np.log1p(np.square(errors)))

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

    @property
    def noise(self) -> Noise:
        """What measured and simulated values differ by beside the parameters."""
        arms = np.array(self.data.arms)
        subjects = self.study.document.fit.subjects
        return Noise(self.deviation, self.study.document.replicates / subjects, arms[:, None] == arms)

    def simulated(self, cube: Sequence[float]) -> np.ndarray:
        """What each replicate has for each measured value: float64 [replicates, values]. Raises `GpusimError`."""
        by_arm: dict[str, list[dict[str, float]]] = {}
        for batch in batches(self.study.runs([self.values(cube)]), self.setting.together):
            for how in carry_out(batch, self.setting).values():
                if isinstance(how, Exception):
                    raise how
                by_arm.setdefault(batch[0].arm, []).append(how)
        wanted = zip(self.data.names, self.data.times, self.data.arms, strict=True)
        found = [[outcomes[f"{name}@{time}"] for outcomes in by_arm[arm]] for name, time, arm in wanted]
        return np.array(found, np.float64).T

    def logs(self, cube: Sequence[float]) -> np.ndarray:
        """log(simulated / measured) of each value: float64 [values], not numbers where a run failed."""
        try:
            return self._against(self.simulated(cube).mean(axis=0))
        except GpusimError:
            return np.full(len(self.data.values), np.nan)

    def _against(self, simulated: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.log(np.maximum(simulated, _LOWEST * self.data.values.min()) / self.data.values)
        return found

    def residuals(self, logs: np.ndarray) -> np.ndarray:
        """Of each measured value, from the `logs` of a point: a run that failed is as far off as can be."""
        return np.where(np.isfinite(logs), logs / self.deviation, _IMPOSSIBLE)

    def between_seeds(self, cube: Sequence[float]) -> np.ndarray:
        """Standard deviation of the logarithms between seeds, from repeats at a point: float64 [values]."""
        document = self.study.document.model_copy(update={"replicates": _REPEATS})
        repeated = replace(self, study=replace(self.study, document=document))
        try:
            return self._against(repeated.simulated(cube)).std(axis=0, ddof=1)
        except GpusimError:
            return np.full(len(self.data.values), np.nan)


def pose(study: Study, data: Data, setting: Setting) -> Problem:
    """Join a study and its data, and run one point, so that what is wrong is said at once.

    Raises `ScenarioError` where there is nothing to fit, `ResultError` where an input file or the program has changed
    since runs in the folder finished.
    """
    document = study.document
    if not document.parameters or not all(isinstance(p, Range) for p in document.parameters.values()):
        raise ScenarioError("parameters: a fit needs ranges, {from: ..., to: ...}, and no lists")
    fit = document.fit
    if fit.method == "abc" and document.replicates != fit.subjects:
        raise ScenarioError(
            "replicates: for abc, measured and simulated values must be means of equally many runs: expected "
            f"{fit.subjects} (fit.subjects), found {document.replicates}"
        )
    if isinstance(fit.error, dict) and fit.error.keys() != set(data.names):
        raise ScenarioError(
            f"fit.error: expected an error for each measured outcome ({', '.join(sorted(set(data.names)))}), found "
            f"{', '.join(sorted(fit.error)) or 'none'}"
        )
    outcomes = {}
    for name in dict.fromkeys(data.names):
        times = dict.fromkeys(t for n, t in zip(data.names, data.times, strict=True) if n == name)
        outcomes[name] = document.outcomes[name].model_copy(update={"at": tuple(times)})
    arms = {name: changes for name, changes in document.arms.items() if name in data.arms}
    narrowed = replace(study, document=document.model_copy(update={"outcomes": outcomes, "arms": arms}))
    found = Problem(narrowed, data, setting)
    middle = [0.5] * len(document.parameters)
    begin(narrowed.runs([found.values(middle)]), setting)
    found.simulated(middle)
    return found
