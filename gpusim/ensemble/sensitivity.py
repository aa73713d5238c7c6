"""Which parameters an outcome depends on, by SALib."""

from typing import Any

import numpy as np
import pandas as pd

from gpusim.ensemble.design import Point, at
from gpusim.ensemble.schema import Morris, Sensitivity
from gpusim.ensemble.study import Study
from gpusim.ensemble.sweep import FAILURE
from gpusim.errors import ResultError


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


def analyse(study: Study, method: Sensitivity, frame: pd.DataFrame) -> pd.DataFrame:
    """Indices by outcome, arm and parameter, from the table of the points' runs.

    An outcome is the mean over the replicates. Raises `ResultError` where a run has none: no index
    can be had from points with gaps.
    """
    failed = frame[frame[FAILURE] != ""]
    if len(failed):
        raise ResultError(
            f"{len(failed)} of {len(frame)} runs failed, the first with: {failed[FAILURE].iloc[0]}; "
            "indices need every point: narrow the ranges, or run again"
        )
    shares = cube(method, len(study.document.parameters), study.document.seed)
    rows: list[dict[str, Any]] = []
    for name in study.columns:
        for arm in study.document.arms:
            values = frame[frame["arm"] == arm].groupby("point")[name].mean().to_numpy(np.float64)
            found = indices(method, shares, values, study.document.seed)
            for i, parameter in enumerate(study.document.parameters):
                rows.append(
                    {"outcome": name, "arm": arm, "parameter": parameter, **{k: float(v[i]) for k, v in found.items()}}
                )
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
