"""Parameters from measured values over time."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from gpusim.ensemble import search, smc
from gpusim.ensemble.execution import Connect
from gpusim.ensemble.problem import Problem
from gpusim.ensemble.sweep import column


class Estimate(NamedTuple):
    """A parameter: its estimate and the ends of its 95% interval, in `unit` (empty where it has none)."""

    parameter: str
    unit: str
    estimate: float
    low: float
    high: float


class Fit(NamedTuple):
    """Estimates, the weighted particles or trials that they come from, and a note of what a user should know."""

    estimates: list[Estimate]
    points: pd.DataFrame
    note: str


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
    return Fit(estimates, points, found.note)


def frame(estimates: Sequence[Estimate]) -> pd.DataFrame:
    """Estimates as a table."""
    return pd.DataFrame(estimates, columns=list(Estimate._fields))
