"""Least squares by Optuna, with intervals from the shape of the minimum."""

from collections.abc import Callable

import numpy as np
from scipy import stats

from gpusim.ensemble.execution import Connect
from gpusim.ensemble.problem import LEVEL, Found, Problem


def search(problem: Problem, connect: Connect, tell: Callable[[], None]) -> Found:
    """Trials of a tree-structured Parzen estimator, and a paraboloid through the best of them."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spec, names = problem.study.document.fit, [f"p{i}" for i in range(len(problem.names))]
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=problem.study.document.seed % 2**32))
    space: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in names
    }
    client = connect()
    cube: list[list[float]] = []
    misfits: list[float] = []
    while len(cube) < spec.trials:
        trials = [study.ask(space) for _ in range(min(spec.batch, spec.trials - len(cube)))]
        batch = [[trial.params[name] for name in names] for trial in trials]
        found = client.gather([client.submit(problem.misfit, point, pure=False) for point in batch])
        for trial, misfit in zip(trials, found, strict=True):
            study.tell(trial, misfit)
            tell()
        cube += batch
        misfits += found
    points, chi2 = np.array(cube), np.array(misfits)
    middle, deviation = paraboloid(points, chi2)
    reach = stats.norm.ppf((1 + LEVEL) / 2) * deviation
    note = (
        "" if np.isfinite(deviation).all() else "no minimum shows among the trials: give more 'trials', or other ranges"
    )
    return Found(middle, np.clip(middle - reach, 0, 1), np.clip(middle + reach, 0, 1), points, {"chi2": chi2}, note)


def paraboloid(points: np.ndarray, chi2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minimum and standard deviations by a paraboloid fitted to the best trials, float64 [parameters] each.

    Near its minimum chi^2 is one: chi^2_min + (p - p0)' C^-1 (p - p0), with C the covariance of the
    estimate. The best trials are those within 10 of the lowest, or within 20 or 40 where no minimum
    shows in so few (a simulation is no smooth function). Where none shows at all (the paraboloid opens
    downwards), the best trial is the estimate and the deviations are infinite.
    """
    for reach in (10.0, 20.0, 40.0):
        minimum, curvature = _fitted(points, chi2, reach)
        values, vectors = np.linalg.eigh(curvature)
        if values.min() > 0:
            return np.clip(minimum, 0, 1), np.sqrt(np.diag(vectors @ np.diag(1 / values) @ vectors.T))
    return points[np.argmin(chi2)], np.full(points.shape[1], np.inf)


def _fitted(points: np.ndarray, chi2: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Extremum and curvature of a paraboloid through the trials within `reach` of the lowest, the lowest the heaviest.

    Three times as many trials as it has coefficients are taken at least.
    """
    count = points.shape[1]
    pairs = [(i, j) for i in range(count) for j in range(i, count)]
    order = np.argsort(chi2, kind="stable")
    take = order[: max(int((chi2 <= chi2.min() + reach).sum()), 3 * (1 + count + len(pairs)))]
    near = points[take] - points[order[0]]
    root = np.exp(-(chi2[take] - chi2.min()) / (4 * reach))
    basis = np.column_stack([np.ones(len(near)), near, *(near[:, i] * near[:, j] for i, j in pairs)])
    solved = np.linalg.lstsq(basis * root[:, None], chi2[take] * root, rcond=None)[0]
    curvature = np.zeros((count, count))
    for (i, j), coefficient in zip(pairs, solved[1 + count :], strict=True):
        curvature[i, j] += coefficient / 2
        curvature[j, i] += coefficient / 2
    return points[order[0]] - np.linalg.pinv(curvature) @ solved[1 : 1 + count] / 2, curvature
