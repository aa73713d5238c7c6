"""Parameters from measured values over time."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from gpusim.study import search, smc
from gpusim.study.execution import Connect
from gpusim.study.problem import LEVEL, Found, Problem, quantile
from gpusim.study.sweep import column
from gpusim.units import number

_SWAMPED = 0.5
"""Share of the noise of seeds in a measured value's variance, from which on a fit warns of it."""
_UNDETERMINED = 0.85
"""Share of a range that an interval takes, from which on a fit says so: without any data it takes 0.95."""


class Estimate(NamedTuple):
    """A parameter: its estimate and the ends of its 95% interval, in `unit` (empty where it has none)."""

    parameter: str
    unit: str
    estimate: float
    low: float
    high: float


class Fit(NamedTuple):
    """What was found.

    Attributes:
        particles: draws of the posterior: the parameters, weight. trials: the parameters, chi2; None without.
        against: of each measured value: outcome, arm, minutes, measured, measured_low and measured_high (95% of the
            error of measurement), and median, low and high of the model (95% of the simulated values over the
            posterior, with the chance of the subjects).
        seeds: standard deviation of the logarithm of a value between runs that differ by their seed alone, over the
            values; share: of the variance of a measured value that it makes.
        notes: what a user should know.
    """

    estimates: list[Estimate]
    particles: pd.DataFrame
    trials: pd.DataFrame | None
    against: pd.DataFrame
    seeds: float
    share: float
    notes: list[str]


def fit(problem: Problem, connect: Connect, tell: Callable[[], None] = lambda: None) -> Fit:
    """Fit by the study's method; `tell` is called for each particle or trial.

    The same study and data give the same numbers on any number of workers.
    """
    method = {"abc": smc.search, "optuna": search.search}[problem.study.document.fit.method]
    found = method(problem, connect, tell)
    ends = problem.in_units(np.array([found.estimate, found.low, found.high]))
    units = [column(parameter).unit or "" for parameter in problem.study.document.parameters.values()]
    estimates = [Estimate(n, unit, *map(float, end)) for n, unit, end in zip(problem.names, units, ends.T, strict=True)]
    particles = _in_units(problem, found.particles).assign(weight=found.weights)
    trials = None if found.trials is None else _in_units(problem, found.trials).assign(chi2=found.chi2)
    by_seeds = float(np.mean(found.seeds**2))
    of_mean = by_seeds / problem.study.document.fit.subjects
    share = of_mean / (of_mean + float(np.mean(problem.deviation**2)))
    notes = list(found.notes)
    if share > _SWAMPED:
        notes.append(
            f"differences between seeds make up {share:.0%} of the variance of a measured value; only more subjects "
            "(fit.subjects), outcomes or arms narrow the intervals"
        )
    for name, width in zip(problem.names, found.high - found.low, strict=True):
        if width > _UNDETERMINED:
            notes.append(f"{name}: not determined by the data: its interval covers {width:.0%} of the range")
    return Fit(estimates, particles, trials, _against(problem, found), float(np.sqrt(by_seeds)), share, notes)


def _in_units(problem: Problem, cube: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame(problem.in_units(cube), columns=problem.names)
    columns = {path: column(parameter) for path, parameter in problem.study.document.parameters.items()}
    frame.attrs["units"] = {path: each.unit for path, each in columns.items() if each.unit}
    return frame


def _against(problem: Problem, found: Found) -> pd.DataFrame:
    data, spread = problem.data, stats.norm.ppf((1 + LEVEL) / 2) * problem.deviation
    there = np.isfinite(found.logs).all(axis=1)
    low, middle, high = (
        data.values * np.exp(quantile(found.logs[there], found.weights[there], q))
        for q in ((1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2)
    )
    return pd.DataFrame(
        {
            "outcome": data.names,
            "arm": data.arms,
            "minutes": [number(time, "min") for time in data.times],
            "measured": data.values,
            "measured_low": data.values * np.exp(-spread),
            "measured_high": data.values * np.exp(spread),
            "median": middle,
            "low": low,
            "high": high,
        }
    )


def frame(estimates: Sequence[Estimate]) -> pd.DataFrame:
    """Estimates as a table."""
    return pd.DataFrame(estimates, columns=list(Estimate._fields))
