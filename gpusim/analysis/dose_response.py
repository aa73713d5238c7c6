"""Dose-response curves: the Hill equation, fitted to the outcomes of runs at several doses."""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from gpusim.errors import ResultError

_LEAST_DOSES = 4
_DRAWS = 1000
_NAMES = ("bottom", "top", "ec50", "slope")


@dataclass(frozen=True, eq=False)
class Hill:
    """Outcome = bottom + (top - bottom) / (1 + (ec50 / dose)^slope); top is that of large doses.

    Attributes:
        parameters: bottom, top, ec50, slope, each (estimate, low, high) with a 95% interval.
        drawn: float64 [draws, 4], of the estimates' distribution, with the logarithms of ec50 and slope.
    """

    parameters: dict[str, tuple[float, float, float]]
    drawn: np.ndarray

    def __call__(self, doses: np.ndarray) -> np.ndarray:
        """The curve: float64 [doses]."""
        bottom, top, ec50, slope = (self.parameters[name][0] for name in _NAMES)
        return hill(doses, bottom, top, np.log(ec50), np.log(slope))

    def band(self, doses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """95% interval of the curve: float64 [doses] each."""
        curves = np.array([hill(doses, *each) for each in self.drawn])
        low, high = np.quantile(curves, [0.025, 0.975], axis=0)
        return low, high


def hill(doses: np.ndarray, bottom: float, top: float, log_ec50: float, log_slope: float) -> np.ndarray:
    """The Hill equation, with the logarithms of two of its parameters, which are above 0."""
    with np.errstate(divide="ignore", over="ignore"):
        found: np.ndarray = bottom + (top - bottom) / (1 + np.exp(np.exp(log_slope) * (log_ec50 - np.log(doses))))
    return found


def fit(doses: np.ndarray, outcomes: np.ndarray) -> Hill:
    """Least squares over all runs: float64 [runs] each; a dose of 0 is the bottom.

    Intervals are those of Student's t with the heteroscedasticity-consistent covariance HC3, because runs at
    different doses scatter differently.

    Raises `ResultError` for fewer than four doses, one below 0, fewer than six runs, or without convergence.
    """
    doses, outcomes = np.asarray(doses, float), np.asarray(outcomes, float)
    levels = np.unique(doses)
    if len(levels) < _LEAST_DOSES or levels[0] < 0:
        raise ResultError(f"dose-response: expected {_LEAST_DOSES} doses of 0 or more, found {len(levels)}")
    freedom = len(doses) - len(_NAMES)
    if freedom < 2:
        raise ResultError(f"dose-response: expected 6 runs or more, found {len(doses)}")
    positive = np.log(doses[doses > 0])
    span, reach = float(np.ptp(positive)) + 1, float(np.ptp(outcomes)) or 1.0
    # Beyond these bounds the doses say nothing of a parameter.
    low = [outcomes.min() - reach, outcomes.min() - reach, positive.min() - span, np.log(0.1)]
    high = [outcomes.max() + reach, outcomes.max() + reach, positive.max() + span, np.log(20)]
    ends = (outcomes[doses == level].mean() for level in (levels[0], levels[-1]))
    found = optimize.least_squares(
        lambda each: (hill(doses, *each) - outcomes) / reach,
        np.clip([*ends, float(np.median(positive)), 0.0], low, high),
        bounds=(low, high),
        x_scale=[reach, reach, 1.0, 1.0],
    )
    if not found.success:
        raise ResultError("dose-response: no Hill curve could be fitted")
    inverse = np.linalg.pinv(found.jac.T @ found.jac)
    leverage = np.einsum("ni,ij,nj->n", found.jac, inverse, found.jac)
    residuals = found.fun / np.maximum(1 - leverage, 1e-3)
    covariance = inverse @ (found.jac.T * residuals**2) @ found.jac @ inverse
    width = stats.t.ppf(0.975, freedom) * np.sqrt(np.diag(covariance))
    values = np.array([found.x, found.x - width, found.x + width])
    with np.errstate(over="ignore"):
        values[:, 2:] = np.exp(values[:, 2:])
    drawn = stats.multivariate_t(found.x, covariance, df=freedom, allow_singular=True, seed=0).rvs(_DRAWS)
    parameters = {name: (float(e), float(a), float(b)) for name, (e, a, b) in zip(_NAMES, values.T, strict=True)}
    return Hill(parameters, np.clip(drawn, low, high))
