"""Times to events with censoring: Kaplan-Meier curves, log-rank tests, paired effects.

Runs that share their seeds are pairs: what chance does to one, it largely does to the other. A log-rank test takes arms
for independent, so that it is given only for arms with different seeds; arms with the same seeds are compared seed by
seed.
"""

import enum
import itertools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from gpusim.analysis.response import Reading, response
from gpusim.analysis.roles import tumour_states
from gpusim.errors import ResultError
from gpusim.record import Result

RESAMPLES = 2000


class Event(enum.StrEnum):
    """What is waited for."""

    PROGRESSION = "progression"
    ERADICATION = "eradication"


@dataclass(frozen=True, eq=False)
class Times:
    """Times of one event in the runs of an arm.

    Attributes:
        minutes: float64 [runs], of the event, or of the end of a run without it. happened: bool [runs].
        seeds: of the runs.
    """

    minutes: np.ndarray
    happened: np.ndarray
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.minutes) == len(self.happened) == len(self.seeds) > 0:
            raise ResultError("time to event: expected a time, whether it happened, and a seed for each of some runs")


def progression(runs: Sequence[Sequence[Reading]], seeds: Sequence[int]) -> Times:
    """Time to the first progression by RECIST 1.1 that stayed, in each of some runs of two readings or more."""
    found = [response(run).progressed for run in runs]
    ends = [run[-1].minutes for run in runs]
    happened = np.array([minutes is not None for minutes in found])
    minutes = [end if m is None else m for m, end in zip(found, ends, strict=True)]
    return Times(np.array(minutes, float), happened, tuple(seeds))


def eradication(results: Sequence[Result]) -> Times:
    """Time from which on no tumour cell is left at any site, to the end of each result."""
    minutes, happened = [], []
    for result in results:
        counts = result.counts
        cells = counts[[f"cells.{state}" for state in tumour_states(result.scenario.document)]].sum(axis=1).to_numpy()
        with_cells = np.flatnonzero(cells > 0)
        since = int(with_cells[-1]) + 1 if with_cells.size else 0
        happened.append(since < len(cells))
        minutes.append(float(counts["minutes"].iloc[min(since, len(cells) - 1)]))
    return Times(np.array(minutes), np.array(happened), tuple(seed_of(result) for result in results))


def seed_of(result: Result) -> int:
    """The seed of a result."""
    return result.scenario.document.seed


def kaplan_meier(times: Times) -> pd.DataFrame:
    """Share of the runs without the event over time, and its 95% interval (log-log transformed).

    Columns: minutes (0, then each time), share, low, high, at_risk (runs just before that time), censored (runs that
    end there). The interval is not a number before the first event, and where no run is left.
    """
    at = np.unique(times.minutes)
    curve = stats.ecdf(stats.CensoredData.right_censored(times.minutes, ~times.happened)).sf
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        interval = curve.confidence_interval(0.95, method="log-log")
    ends = [part.evaluate(at) for part in (curve, interval.low, interval.high)]
    share, low, high = (np.append(1.0 if i == 0 else np.nan, part) for i, part in enumerate(ends))
    return pd.DataFrame(
        {
            "minutes": np.append(0.0, at),
            "share": share,
            "low": low,
            "high": high,
            "at_risk": [len(times.minutes), *(int((times.minutes >= each).sum()) for each in at)],
            "censored": [0, *(int(((times.minutes == each) & ~times.happened).sum()) for each in at)],
        }
    )


def median(times: Times) -> float:
    """Time at which half of the runs have had the event, min; infinite if fewer have."""
    curve = kaplan_meier(times)
    below = curve["share"] <= 0.5
    return float(curve["minutes"][below].min()) if below.any() else float("inf")


@dataclass(frozen=True)
class Effect:
    """Two arms compared.

    Attributes:
        arms: their names. shared: whether they have the same seeds.
        p: of a log-rank test, where no seed is shared; None otherwise.
        difference: mean of the second less the first arm's event-free time up to `until`, seed by seed, min, with
            `interval`, 95% by bootstrap over the seeds; None unless the seeds are the same.
    """

    arms: tuple[str, str]
    shared: bool
    until: float
    p: float | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None

    def __str__(self) -> str:
        one, other = self.arms
        if self.p is not None:
            return f"{one}, {other}: independent seeds; log-rank p = {self.p:.2g}"
        if self.difference is None or self.interval is None:
            return f"{one}, {other}: share some seeds but not all; neither a log-rank test nor pairs apply"
        low, high = (minutes / 1440 for minutes in self.interval)
        return (
            f"{other} - {one}: same seeds; event-free time up to day {self.until / 1440:.3g} differs by "
            f"{self.difference / 1440:+.3g} days [{low:+.3g} to {high:+.3g}]"
        )


def effects(arms: Mapping[str, Times]) -> list[Effect]:
    """Each pair of arms: by a log-rank test if no seed is shared, by paired event-free times if all are.

    The event-free time of a run is the time to its event, or up to the earliest end of a run without one, whichever
    comes first (restricted mean survival time), so that it is known for every run.
    """
    return [_effect(one, other, arms[one], arms[other]) for one, other in itertools.combinations(arms, 2)]


def _effect(one: str, other: str, first: Times, second: Times) -> Effect:
    ends = np.concatenate([times.minutes[~times.happened] for times in (first, second)])
    until = float(ends.min()) if ends.size else float(max(first.minutes.max(), second.minutes.max()))
    if not set(first.seeds) & set(second.seeds):
        return Effect((one, other), False, until, p=logrank(first, second))
    if sorted(first.seeds) != sorted(second.seeds) or len(set(first.seeds)) < len(first.seeds):
        return Effect((one, other), True, until)
    of_first, of_second = (
        np.minimum(times.minutes, until)[np.argsort(times.seeds, kind="stable")] for times in (first, second)
    )
    gained = of_second - of_first
    draws = np.random.default_rng(0).integers(0, len(gained), (RESAMPLES, len(gained)))
    low, high = np.quantile(gained[draws].mean(axis=1), [0.025, 0.975])
    return Effect((one, other), True, until, difference=float(gained.mean()), interval=(float(low), float(high)))


def logrank(first: Times, second: Times) -> float:
    """Probability of as large a difference by chance, by a log-rank test. Raises `ResultError` for shared seeds."""
    shared = set(first.seeds) & set(second.seeds)
    if shared:
        raise ResultError(
            f"log-rank test: expected arms with independent seeds; both have seed {min(shared)}; compare them in pairs"
        )
    one, other = (stats.CensoredData.right_censored(each.minutes, ~each.happened) for each in (first, second))
    return float(stats.logrank(one, other).pvalue)
