"""Which parameters an outcome depends on, by SALib."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from gpusim.errors import ResultError
from gpusim.study.design import Point, at
from gpusim.study.runs import Study
from gpusim.study.schema import Morris, Sensitivity
from gpusim.study.sweep import FAILURE

_REPEATED = 32
"""Points that are run again with another seed where a study has one replicate, at most: the noise of the seeds comes
from such pairs."""
_LEVEL = 0.95
"""Probability that an index of a parameter without any effect lies below its noise."""


def table(
    study: Study, method: Sensitivity, run: Callable[[Study, list[Point]], pd.DataFrame]
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Runs of a method's points, and of some of them again where there is only one replicate.

    Args:
        run: gives the table of the runs of a study at some points.
    """
    design = points(study, method)
    frame = run(study, design)
    if study.document.replicates > 1:
        return frame, None
    again = sorted({round(i) for i in np.linspace(0, len(design) - 1, _REPEATED)})
    twice = replace(study, document=study.document.model_copy(update={"replicates": 2}))
    repeats = run(twice, [design[i] for i in again])
    repeats["point"] = repeats["point"].map(dict(enumerate(again)))
    return frame, repeats


def points(study: Study, method: Sensitivity) -> list[Point]:
    """The points that a method needs, in its own order."""
    return at(study.document.parameters, cube(method, len(study.document.parameters), study.document.seed))


def cube(method: Sensitivity, parameters: int, seed: int) -> np.ndarray:
    """The same as shares of the parameters' ranges: float64 [points, parameters], from 0 to 1."""
    if isinstance(method, Morris):
        from SALib.sample import morris

        return morris.sample(_problem(parameters), method.trajectories, num_levels=method.levels, seed=_small(seed))
    from SALib.sample import sobol

    return sobol.sample(_problem(parameters), method.points, calc_second_order=False, seed=_small(seed))


def indices(method: Sensitivity, cube: np.ndarray, values: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Indices of each parameter, float64 [parameters].

    Morris (1991): mean, mean of the absolute values (mu_star, with the half width of its 95% interval)
    and standard deviation of the elementary effects, in the outcome's unit over the whole range.
    Sobol, by the estimators of Saltelli et al. (2010): shares of the variance by a parameter alone
    (first) and with all that it takes part in (total), with half widths of 95% intervals; not a number
    where the outcome never changes.

    Args:
        cube: as `cube` gave it. values: float64 [points], one outcome.
    """
    problem = _problem(cube.shape[1])
    if isinstance(method, Morris):
        from SALib.analyze import morris

        found = morris.analyze(problem, cube, values, num_levels=method.levels, seed=_small(seed))
        names = {"mu": "mu", "mu_star": "mu_star", "mu_star_half_width": "mu_star_conf", "sigma": "sigma"}
    else:
        from SALib.analyze import sobol

        names = {"first": "S1", "first_half_width": "S1_conf", "total": "ST", "total_half_width": "ST_conf"}
        if np.ptp(values) == 0.0:
            return {name: np.full(cube.shape[1], np.nan) for name in names}
        found = sobol.analyze(problem, values, calc_second_order=False, seed=_small(seed))
    return {name: np.asarray(found[key], np.float64) for name, key in names.items()}


def noise(method: Sensitivity, values: np.ndarray, variance: float, freedom: int) -> dict[str, float]:
    """What the indices of a parameter without any effect stay below with a probability of 0.95, by the noise alone.

    An elementary effect is then the difference of two independent values over a step; of Sobol's numerators that of the
    total index is half the mean square of such differences, that of the first order the mean of their products with
    values at other points. That the variance is an estimate itself is counted.

    Args:
        values: float64 [points], one outcome, means over the replicates.
        variance: of one of them, by the seeds; freedom: degrees of freedom that it is known with.
    """
    if isinstance(method, Morris):
        step = method.levels / (2 * (method.levels - 1))
        spread = stats.norm.ppf(_LEVEL) * np.sqrt((np.pi / 2 - 1) / method.trajectories + 1 / (2 * freedom))
        return {"mu_star_noise": float(2 * np.sqrt(variance / np.pi) / step * (1 + spread))}
    share = variance / values.var() if np.ptp(values) > 0 else np.nan
    return {
        "first_noise": float(stats.t.ppf(_LEVEL, freedom) * np.sqrt(2 * share / method.points)),
        "total_noise": float(stats.f.ppf(_LEVEL, method.points, freedom) * share),
    }


def analyse(study: Study, method: Sensitivity, frame: pd.DataFrame, repeats: pd.DataFrame | None) -> pd.DataFrame:
    """Indices by outcome, arm and parameter, and their noise, from the tables of `table`.

    An outcome is the mean over the replicates. Raises `ResultError` where a run has none: no index
    can be had from points with gaps.
    """
    tables = [frame] if repeats is None else [frame, repeats]
    for each in tables:
        failed = each[each[FAILURE] != ""]
        if len(failed):
            raise ResultError(
                f"{len(failed)} of {len(each)} runs failed, the first with: {failed[FAILURE].iloc[0]}; "
                "indices need every point: narrow the ranges, or run again"
            )
    shares = cube(method, len(study.document.parameters), study.document.seed)
    rows: list[dict[str, Any]] = []
    for name in study.columns:
        for arm in study.document.arms:
            values = frame[frame["arm"] == arm].groupby("point")[name].mean().to_numpy(np.float64)
            found = indices(method, shares, values, study.document.seed)
            same = tables[-1][tables[-1]["arm"] == arm].groupby("point")[name]
            freedom = int((same.count() - 1).sum())
            variance = float(((same.count() - 1) * same.var()).sum() / freedom) / study.document.replicates
            floors = noise(method, values, variance, freedom)
            for i, parameter in enumerate(study.document.parameters):
                of_parameter = {k: float(v[i]) for k, v in found.items()}
                rows.append({"outcome": name, "arm": arm, "parameter": parameter, **of_parameter, **floors})
    return pd.DataFrame(rows)


def _problem(parameters: int) -> dict[str, Any]:
    return {
        "num_vars": parameters,
        "names": [str(i) for i in range(parameters)],
        "bounds": [[0.0, 1.0]] * parameters,
    }


def _small(seed: int) -> int:
    """A seed that NumPy's older generators take."""
    return seed % 2**32
