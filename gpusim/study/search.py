"""Search by Optuna, and intervals from a surface through the trials around the best parameters."""

from collections.abc import Callable

import numpy as np
from scipy import stats

from gpusim.errors import ScenarioError
from gpusim.study.execution import Connect
from gpusim.study.problem import LEVEL, Found, Problem, quantile
from gpusim.study.surface import match, trials_needed

_SEARCHED = 0.5
"""Share of the trials by which the search finds the region of the minimum; the others fill that region evenly."""
_ROUNDS = 2
_MISFIT = 1e-3
"""Probability below which a misfit says that the model does not fit."""


def search(problem: Problem, connect: Connect, tell: Callable[[], None]) -> Found:
    """Trials of a tree-structured Parzen estimator, then trials spread over the region that it finds.

    Raises `ScenarioError` for too few trials.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    document, count = problem.study.document, len(problem.names)
    spec = document.fit
    if spec.trials < trials_needed(count):
        raise ScenarioError(
            f"fit.trials: {spec.trials} are too few for {count} parameters; expected {trials_needed(count)} or more"
        )
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=document.seed % 2**32))
    space: dict[str, optuna.distributions.BaseDistribution] = {
        f"p{i}": optuna.distributions.FloatDistribution(0.0, 1.0) for i in range(count)
    }
    executor = connect().executor
    cube: list[list[float]] = []
    logs: list[np.ndarray] = []

    def run(batch: list[list[float]]) -> list[np.ndarray]:
        futures = [executor.submit(problem.logs, point) for point in batch]
        found = []
        for future in futures:
            found.append(future.result())
            tell()
        cube.extend(batch)
        logs.extend(found)
        return found

    while len(cube) < _SEARCHED * spec.trials:
        trials = [study.ask(space) for _ in range(min(spec.batch, spec.trials - len(cube)))]
        found = run([[trial.params[name] for name in space] for trial in trials])
        for trial, of_trial in zip(trials, found, strict=True):
            study.tell(trial, float((problem.residuals(of_trial) ** 2).sum()))
    rng = np.random.default_rng(document.seed)
    for i in range(_ROUNDS):
        matched = match(*_succeeded(cube, logs), problem.noise)
        planned = matched.spread((spec.trials - len(cube)) // (_ROUNDS - i), rng)
        for first in range(0, len(planned), spec.batch):
            run(planned[first : first + spec.batch].tolist())
    matched = match(*_succeeded(cube, logs), problem.noise)
    points, weights = matched.particles()
    low, middle, high = (quantile(points, weights, q) for q in ((1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2))
    spare = len(problem.data.values) - count
    chance = stats.chi2.sf(matched.misfit, spare) if spare > 0 else 1.0
    notes: tuple[str, ...] = ()
    if chance < _MISFIT:
        notes = (
            f"the model does not fit: chi^2 = {matched.misfit:.3g} of {len(problem.data.values)} values and {count} "
            f"parameters (p = {chance:.1g}); the intervals hold only where it does",
        )
    chi2 = (problem.residuals(np.array(logs)) ** 2).sum(axis=1)
    seeds = np.sqrt(document.replicates * np.diag(matched.surface.scatter))
    logs_there = matched.simulated(points, np.random.default_rng(document.seed))
    return Found(middle, low, high, points, weights, logs_there, seeds, notes, np.array(cube), chi2)


def _succeeded(cube: list[list[float]], logs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Points and logarithms of the trials whose runs did not fail. Raises `ScenarioError` where too few are left."""
    points, values = np.array(cube), np.array(logs)
    there = np.isfinite(values).all(axis=1)
    needed = trials_needed(points.shape[1]) // 2
    if there.sum() < needed:
        failed = int((~there).sum())
        raise ScenarioError(f"{failed} of {len(there)} trials failed (log.csv says why): narrow the ranges")
    return points[there], values[there]
