"""Whether the arms of a trial came out in the expected order."""

import enum
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gpusim.scenario.schema import END, Order, column
from gpusim.scenario.schema import Trial as Spec
from gpusim.study.trial import Trial

SIGNIFICANT = 0.05
"""Of the probability that two neighbouring arms differ so much by chance."""
_RESAMPLES = 2000


@dataclass(frozen=True)
class Comparison:
    """Two arms, or two times of one, seed by seed.

    Attributes:
        lower, higher: the one expected to be lower, and the other.
        difference: median over the seeds of higher - lower; `interval`: 95% of it, by bootstrap.
        wins: share of the seeds in which `lower` is below `higher`, ties counted half.
        p: of the one-sided signed-rank test of Wilcoxon (1945).
    """

    lower: str
    higher: str
    difference: float
    interval: tuple[float, float]
    wins: float
    p: float


class Finding(enum.StrEnum):
    """Whether an expected order held; with few seeds not even all of them in order can tell."""

    HELD = "held"
    TOO_FEW = "in order, with too few seeds to tell"
    NOT_HELD = "NOT HELD"


@dataclass(frozen=True)
class Verdict:
    """An expected order and what came out: medians by arm or time, and each against the next.

    Attributes:
        suspended: why the order is not required to hold at present; None where it is required.
    """

    outcome: str
    medians: dict[str, float]
    comparisons: tuple[Comparison, ...]
    seeds: int
    suspended: str | None = None

    @property
    def held(self) -> bool:
        """Whether each is below the next, by its median and significantly."""
        return self.finding is Finding.HELD

    @property
    def finding(self) -> Finding:
        """What is to be said of the order."""
        if not all(c.difference > 0 for c in self.comparisons):
            return Finding.NOT_HELD
        if all(c.p < SIGNIFICANT for c in self.comparisons):
            return Finding.HELD
        least_p = 0.5**self.seeds
        return Finding.TOO_FEW if least_p >= SIGNIFICANT else Finding.NOT_HELD

    def __str__(self) -> str:
        order = " < ".join(self.medians)
        values = ", ".join(f"{value:.4g}" for value in self.medians.values())
        effects = "; ".join(
            f"{c.higher} - {c.lower} = {c.difference:.3g} [{c.interval[0]:.3g} to {c.interval[1]:.3g}], p = {c.p:.2g}"
            for c in self.comparisons
        )
        told = f"{self.finding}: {order} in {self.outcome} (medians of {self.seeds} seeds {values}; {effects})"
        return told if self.suspended is None else f"{told}; not required at present: {self.suspended}"

    @property
    def as_required(self) -> bool:
        """Whether the order held, or is suspended."""
        return self.held or self.suspended is not None


def verdicts(trial: Trial) -> list[Verdict]:
    """What came of each order that the scenario expects, at each time of its outcome."""
    spec = trial.scenario.document.trial
    assert spec is not None, "has arms"
    return [_verdict(what, values, order.suspended) for order, what, values in ordered(spec, trial.table)]


def alike(trial: Trial) -> list[str]:
    """Sentences on arms that have the same value of every outcome in some seeds, as where a dose had no effect."""
    found = []
    by_arm = {str(arm): rows.set_index("seed")[trial.outcomes] for arm, rows in trial.table.groupby("arm", sort=False)}
    for one, other in itertools.combinations(by_arm, 2):
        seeds = by_arm[one].index.intersection(by_arm[other].index)
        same = (by_arm[one].loc[seeds] == by_arm[other].loc[seeds]).all(axis=1)
        if trial.outcomes and same.any():
            found.append(f"{other}: every outcome equals that of {one} in {int(same.sum())} of {len(seeds)} seeds")
    return found


def ordered(spec: Spec, table: pd.DataFrame) -> Iterator[tuple[Order, str, dict[str, np.ndarray]]]:
    """Each order that a trial expects, at each time of its outcome: what is compared, and its values, lowest first.

    Args:
        table: columns `arm`, `seed`, then the outcomes.

    The values are float64 [seeds] by arm or, if the times of one arm are compared, by time.
    """
    for order in spec.expected:
        times = order.at or spec.outcomes[order.outcome].at or (END,)
        if len(order.arms) == 1:
            (arm,) = order.arms
            by_time = {time: _by_seed(table, arm, column(order.outcome, time)) for time in times}
            yield order, f"{order.outcome} of {arm}", by_time
            continue
        for time in times:
            name = column(order.outcome, time)
            yield order, name, {arm: _by_seed(table, arm, name) for arm in order.arms}


def _by_seed(table: pd.DataFrame, arm: str, name: str) -> np.ndarray:
    return table[table["arm"] == arm].sort_values("seed")[name].to_numpy(float)


def _verdict(what: str, values: dict[str, np.ndarray], suspended: str | None) -> Verdict:
    comparisons = tuple(
        compare(lower, higher, values[lower], values[higher]) for lower, higher in itertools.pairwise(values)
    )
    medians = {name: float(np.median(found)) for name, found in values.items()}
    return Verdict(what, medians, comparisons, len(next(iter(values.values()))), suspended)


def compare(lower: str, higher: str, low: np.ndarray, high: np.ndarray) -> Comparison:
    """Two arms with the same seeds, or two times, float64 [seeds] each."""
    from scipy.stats import wilcoxon  # slow to load, and no other command needs it

    difference = high - low
    draws = np.random.default_rng(0).integers(0, len(difference), (_RESAMPLES, len(difference)))
    medians = np.median(difference[draws], axis=1)
    interval = (float(np.quantile(medians, 0.025)), float(np.quantile(medians, 0.975)))
    p = 1.0
    if np.any(difference != 0):
        p = float(wilcoxon(difference, alternative="greater", zero_method="zsplit").pvalue)
    wins = float(np.mean((difference > 0) + 0.5 * (difference == 0)))
    return Comparison(lower, higher, float(np.median(difference)), interval, wins, p)
