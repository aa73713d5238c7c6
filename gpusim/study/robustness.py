"""The share of plausible sets of numbers in which each expected order of a trial holds.

The numbers of a set are drawn from the ranges of their sources; the arms of the trial are then run once each, with the
same seed. This is a study of the trial's arms, whose points are the sets.
"""

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from scipy.stats import qmc

from gpusim import units
from gpusim.errors import ResultError, ScenarioError
from gpusim.model import build
from gpusim.record import frames, sums
from gpusim.scenario import Scenario
from gpusim.scenario.checks import nearest
from gpusim.scenario.numbers import Number
from gpusim.scenario.reading import Read
from gpusim.scenario.schema import RATIO, Trial, Vary, columns
from gpusim.scenario.sources import SOURCES
from gpusim.study.design import Point, at
from gpusim.study.folder import ORDERS, SETS, STUDY, put
from gpusim.study.runs import Study
from gpusim.study.schema import Parameter, Range, StudyDocument, split
from gpusim.study.sweep import FAILURE
from gpusim.study.verdict import ordered
from gpusim.tissue.conditions import fits

ROBUST_FROM, FRAGILE_BELOW = 0.7, 0.8
"""Of the lower limit of the interval of a robust order, and of the upper limit of that of a fragile one."""
REFUSED = "refused: "
"""Beginning of the reason for missing outcomes if the scenario is not valid at the set."""
ALL, FILTERED = "all", "filtered"
HEAD = ("expected order", "sets", "held", "tied", "reversed", "share that held [95%]", "judgement")
_MOST_INFLUENCES = 5
_LEVEL = 0.05
"""Probability that any of the numbers exceeds the noise floor if none has an effect."""


@dataclass(frozen=True)
class Sets:
    """The sets of a trial, as points of a study of its arms.

    Attributes:
        tied: paths of the numbers that move together with another one, which they equal.
        fixed: count of the numbers of the varied kinds whose range is a single value.
        unsourced: count of the numbers without a source, which do not vary.
    """

    scenario: Scenario
    study: Study
    points: list[Point]
    tied: tuple[str, ...]
    fixed: int
    unsourced: int

    @classmethod
    def of(cls, scenario: Scenario) -> "Sets":
        """Draw the sets: the first points of a scrambled Sobol sequence with the seed of the scenario.

        More sets continue the same sequence. Raises `ScenarioError` without a trial, expected orders, or numbers that
        vary.
        """
        trial, name = scenario.written.trial, scenario.document.name
        if trial is None or not trial.expected:
            raise ScenarioError(f"{name}: expected a 'trial' with one 'expected' order or more")
        vary = trial.vary or Vary()
        found = [number for number in scenario.numbers if not number.path.startswith("trial.")]
        draws = _joint(vary.posterior, found) if vary.posterior else {}
        free: dict[str, Parameter] = dict(draws)
        of_kinds = [n for n in found if n.kind in vary.kinds and n.equals is None and n.path not in draws]
        free |= {number.path: limits for number in of_kinds if (limits := _limits(number))}
        if not free:
            raise ScenarioError(
                f"{name}: trial.vary: nothing varies: no number with a range has a source of a kind in "
                f"[{', '.join(vary.kinds)}]"
            )
        # The first coordinate of the design is that of the posterior, whose numbers all come from the same row.
        coordinate = {path: max(0, i - len(draws) + 1) for i, path in enumerate(free)}
        roots = {n.path: n.equals or n.path for n in found if (n.equals or n.path) in free}
        sampler = qmc.Sobol(max(coordinate.values()) + 1, rng=scenario.document.seed)
        shares = sampler.random_base2((vary.sets - 1).bit_length())[: vary.sets]
        document = StudyDocument(
            name=name,
            scenario=name,
            parameters={path: free[root] for path, root in roots.items()},
            arms=trial.arms,
            outcomes=trial.outcomes,
            seed=scenario.document.seed,
        )
        points = at(document.parameters, shares[:, [coordinate[root] for root in roots.values()]])
        if (different := len({tuple(point.values()) for point in points})) < len(points):
            raise ScenarioError(f"{name}: trial.vary.sets: {vary.sets} sets, but only {different} different ones")
        base = {key: value for key, value in scenario.data.items() if key not in ("trial", SOURCES)}
        return cls(
            scenario,
            Study(document, Read(base), {}),
            points,
            tuple(path for path, root in roots.items() if path != root),
            len(of_kinds) + len(draws) - len(free),
            sum(number.kind is None for number in found),
        )

    def table(self, sweep: Callable[[Study, list[Point]], pd.DataFrame]) -> pd.DataFrame:
        """Run the sets: a row for each set and arm, with seed, drawn numbers, outcomes and the reason for missing ones.

        Args:
            sweep: gives the table of the runs of a study at some points.
        """
        frame = sweep(self.study, self.points)
        for row in frame.index[frame[FAILURE] != ""]:
            try:
                build(Scenario(self.study.scenario(frame["arm"][row], self.points[frame["point"][row]])))
            except ScenarioError:
                frame.loc[row, FAILURE] = REFUSED + frame[FAILURE][row]
        return frame.drop(columns=["replicate", *self.tied]).rename(columns={"point": "set"})


def _limits(number: Number) -> Range | None:
    """The range of a number; None for a single value. Raises `ScenarioError`."""
    assert number.range is not None, "has a source"
    low, high = number.range
    if low == high:
        return None
    if low < 0:
        raise ScenarioError(f"sources.{number.path}: a number whose range extends below 0 cannot vary")
    value, unit = split(number.value)
    ends = [f"{value * end!r} {unit}" if unit else value * end for end in (low, high)]
    return Range.model_validate({"from": ends[0], "to": ends[1], "scale": "log" if low > 0 else "linear"})


def _joint(file: str, numbers: list[Number]) -> dict[str, list[float | str]]:
    """Joint draws of some numbers, by path, from a CSV table. Raises `ScenarioError`."""
    label = f"trial.vary.posterior: {file}"
    try:
        frame = pd.read_csv(file, dtype=str, keep_default_na=False, skipinitialspace=True)
    except (OSError, ValueError) as error:
        raise ScenarioError(f"{label}: {getattr(error, 'strerror', None) or error}") from None
    known = {number.path: number for number in numbers}
    if frame.empty:
        raise ScenarioError(f"{label}: expected a column for each number and one row or more")
    found: dict[str, list[float | str]] = {}
    for path in frame.columns:
        if path not in known:
            raise ScenarioError(f"{label}: '{path}' is not the path of a number of the scenario{nearest(path, known)}")
        if known[path].equals:
            raise ScenarioError(f"{label}: '{path}' equals '{known[path].equals}'; name that number")
        unit = split(known[path].value)[1]
        try:
            values = [units.number(text, f"1 {unit}" if unit else "dimensionless") for text in frame[path]]
        except units.UnitError as error:
            raise ScenarioError(f"{label}: '{path}': a value {error}") from None
        found[path] = [f"{value!r} {unit}" if unit else value for value in values]
    return found


class Judgement(enum.StrEnum):
    """What the 95% interval of a share says of an order."""

    ROBUST = "robust"
    FRAGILE = "fragile"
    BORDERLINE = "borderline"
    UNDECIDED = "undecided"

    @classmethod
    def of(cls, low: float, high: float) -> "Judgement":
        """From the limits of the interval: borderline if both criteria are met, undecided if neither is."""
        robust, fragile = low >= ROBUST_FROM, high < FRAGILE_BELOW
        if robust and fragile:
            return cls.BORDERLINE
        return cls.ROBUST if robust else cls.FRAGILE if fragile else cls.UNDECIDED


@dataclass(frozen=True)
class Robustness:
    """The finished sets of a trial.

    Attributes:
        table: columns `set`, `arm`, `seed`, the drawn numbers by path, the outcomes, `failure`.
    """

    scenario: Scenario
    table: pd.DataFrame

    @classmethod
    def open(cls, folder: str | Path) -> "Robustness":
        """From a folder of `gpusim robustness`. Raises `ResultError`."""
        folder = Path(folder)
        if not (folder / SETS).is_file():
            raise ResultError(f"{folder}: no finished sets of a trial (no {SETS} in it)")
        for problem in sums.problems(folder, (SETS, STUDY)):
            raise ResultError(problem)
        return cls(Scenario.load(folder / STUDY), frames.read(folder / SETS, ("arm", FAILURE)))

    def save(self, folder: Path) -> None:
        """Write both tables, of sets and of orders, whole or not at all."""
        put(folder, SETS, self.table.to_csv(index=False))
        put(folder, ORDERS, self.orders().to_csv(index=False))

    @property
    def drawn(self) -> pd.DataFrame:
        """The drawn numbers, float64 [sets, numbers]."""
        other = ("set", "arm", "seed", FAILURE, *columns(self._trial.outcomes))
        first = self.table.drop_duplicates("set").sort_values("seed")
        return first[[column for column in first.columns if column not in other]]

    @property
    def _trial(self) -> Trial:
        trial = self.scenario.document.trial
        assert trial is not None, "has arms"
        return trial

    def found(self) -> Iterator[tuple[str, np.ndarray]]:
        """Each expected order, and its outcome in each set by ascending seed, float64 [sets].

        1: each arm (or time) is below the next; 0.5: none is above the next, and some are equal; 0: some are above the
        next; not a number without outcomes.
        """
        for _, what, values in ordered(self._trial, self.table):
            steps = np.diff(np.array(list(values.values())), axis=0).min(axis=0)
            yield f"{' < '.join(values)} in {what}", np.where(np.isnan(steps), np.nan, (np.sign(steps) + 1) / 2)

    def passed(self) -> np.ndarray | None:
        """The sets that meet all conditions of the filter, by ascending seed, bool [sets]; None without a filter."""
        conditions = self._trial.vary.filter if self._trial.vary else {}
        if not conditions:
            return None
        found = np.ones(self.table["set"].nunique(), bool)
        for arm, where in conditions.items():
            rows = self.table[self.table["arm"] == arm].sort_values("seed")
            with np.errstate(divide="ignore", invalid="ignore"):
                values = {name: _value(rows, name) for name in where}
            found &= fits(pd.DataFrame(values), where, f"trial.vary.filter.{arm}")
        return found

    def orders(self) -> pd.DataFrame:
        """A row for each expected order over all sets, and one over those that pass the filter, if there is one.

        Columns: `order`; `sets` (all or filtered); `n`, sets with outcomes, and in how many the order `held`, was
        `tied` (some arms equal, none reversed) or `reversed`; `share` of those in which it held, with the limits `low`
        and `high` of its 95% interval (Wilson 1927); `judgement`.
        """
        passed = self.passed()
        rows = []
        for order, found in self.found():
            for sets, chosen in ((ALL, np.ones(len(found), bool)), (FILTERED, passed)):
                if chosen is not None:
                    rows.append({"order": order, "sets": sets, **_share(found[chosen & ~np.isnan(found)])})
        return pd.DataFrame(rows)

    def influences(self) -> Iterator[tuple[str, list[tuple[str, float]], float]]:
        """For each order, the numbers that whether it holds depends on most, with the noise floor.

        These are the rank correlations, over all sets with outcomes, of a number with whether the order holds; the five
        largest that exceed the floor. Without any effect, one of all numbers or more exceeds the floor with a
        probability of at most 0.05 (Student's t, Bonferroni).
        """
        drawn = self.drawn
        for order, found in self.found():
            known = ~np.isnan(found)
            held, n = found[known] == 1.0, int(known.sum())
            if n < 3 or held.all() or not held.any():
                yield order, [], np.nan
                continue
            ranks = stats.rankdata(drawn.to_numpy(float)[known], axis=0)
            with np.errstate(invalid="ignore"):  # a number may have one value in all of these sets
                correlation = np.corrcoef(ranks, held, rowvar=False)[-1, :-1]
            t = stats.t.isf(_LEVEL / 2 / drawn.shape[1], n - 2)
            floor = float(t / np.sqrt(n - 2 + t**2))
            above = [(p, float(r)) for p, r in zip(drawn.columns, correlation, strict=True) if abs(r) > floor]
            yield order, sorted(above, key=lambda each: -abs(each[1]))[:_MOST_INFLUENCES], floor

    def rows(self) -> Iterator[tuple[str, ...]]:
        """The orders as text, a row under each `HEAD`."""
        for row in self.orders().to_dict("records"):
            share = f"{row['share']:.2f} [{row['low']:.2f} to {row['high']:.2f}]" if row["n"] else "no sets"
            counts = (f"{row['held']} of {row['n']}", str(row["tied"]), str(row["reversed"]))
            yield row["order"], row["sets"], *counts, share, row["judgement"]

    def remarks(self) -> Iterator[str]:
        """Runs without outcomes, and the numbers on which each order depends, a line each."""
        failed = self.table[self.table[FAILURE] != ""]
        if len(failed):
            first = failed.iloc[0]
            refused = int(failed[FAILURE].str.startswith(REFUSED).sum())
            yield (
                f"{len(failed)} of {len(self.table)} runs have no outcomes ({refused} refused by the checks of the "
                f"scenario), so that their sets do not count; the first is set {first['set']}, arm "
                f"'{first['arm']}': {first[FAILURE]}"
            )
        for order, found, floor in self.influences():
            if not np.isnan(floor):
                listed = ", ".join(f"{path} ({correlation:+.2f})" for path, correlation in found)
                told = f"is correlated with {listed}" if found else "is not correlated with any number beyond the noise"
                yield f"{order} {told} (noise up to {floor:.2f})"


def _value(rows: pd.DataFrame, name: str) -> np.ndarray:
    """An outcome, or the ratio of two, float64 [rows]."""
    first, *second = (rows[part].to_numpy(float) for part in name.split(RATIO))
    return first / second[0] if second else first


def _share(found: np.ndarray) -> dict[str, float | int | str]:
    n, held, tied = len(found), int((found == 1.0).sum()), int((found == 0.5).sum())
    low, high = stats.binomtest(held, n).proportion_ci(method="wilson") if n else (0.0, 1.0)
    limits = {"share": held / n if n else np.nan, "low": low, "high": high, "judgement": str(Judgement.of(low, high))}
    return {"n": n, "held": held, "tied": tied, "reversed": n - held - tied, **limits}
