"""Parameters from measured values over time."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from gpusim.study import search, smc
from gpusim.study.execution import Connect
from gpusim.study.problem import Problem
from gpusim.study.sweep import column

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
        points: the weighted particles or trials that the estimates come from.
        seeds: standard deviation of the logarithm of a value between runs that differ by their seed alone, over the
            values; share: of the variance of a measured value that it makes.
        notes: what a user should know.
    """

    estimates: list[Estimate]
    points: pd.DataFrame
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
    points = pd.DataFrame(problem.in_units(found.points), columns=problem.names).assign(**found.columns)
    by_seeds = float(np.mean(found.seeds**2))
    subjects = problem.study.document.fit.subjects
    share = by_seeds / subjects / (by_seeds / subjects + problem.deviation**2)
    notes = list(found.notes)
    if share > _SWAMPED:
        notes.append(
            f"differences between seeds make up {share:.0%} of the variance of a measured value; only more subjects "
            "(fit.subjects), outcomes or arms narrow the intervals"
        )
    for name, width in zip(problem.names, found.high - found.low, strict=True):
        if width > _UNDETERMINED:
            notes.append(f"{name}: not determined by the data: its interval covers {width:.0%} of the range")
    return Fit(estimates, points, float(np.sqrt(by_seeds)), share, notes)


def frame(estimates: Sequence[Estimate]) -> pd.DataFrame:
    """Estimates as a table."""
    return pd.DataFrame(estimates, columns=list(Estimate._fields))
