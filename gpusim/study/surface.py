"""The response surface of simulated values near the best parameters: their means, and their scatter between seeds.

There each logarithm is taken as a quadratic polynomial of the parameters (Box and Wilson 1951). What the trials
scatter about it is the noise of their seeds, and what the polynomial misses.
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats
from scipy.stats import qmc

_TRIALS_PER_TERM = 3
"""Trials for each coefficient at least, so that enough are left to estimate the scatter from."""
_ROUNDS = 10
_TAILS = 4
_FLAT = 1 / 9
"""Information on a parameter about which the data say nothing, 1 / ranges^2: a standard deviation of three ranges."""


def terms(parameters: int) -> int:
    """Coefficients of a quadratic polynomial."""
    return (parameters + 1) * (parameters + 2) // 2


def trials_needed(parameters: int) -> int:
    """Trials of a fit at least: half of them are enough for a surface."""
    return 2 * _TRIALS_PER_TERM * terms(parameters)


def reach(parameters: int) -> float:
    """Radius of the region in which the truth lies with a probability of 0.999, in standard deviations."""
    return float(np.sqrt(stats.chi2.ppf(0.999, parameters)))


@dataclass(frozen=True)
class Noise:
    """What measured values differ by from a model's means, as covariance of their logarithms.

    Attributes:
        error: float64 [values], standard deviation of each measurement alone.
        runs: that a simulated value is the mean of, over the subjects that a measured one is the mean of.
        together: bool [values, values], whether two values are of the same subjects.
    """

    error: np.ndarray
    runs: float
    together: np.ndarray

    def between_subjects(self, scatter: np.ndarray) -> np.ndarray:
        """Of the subjects' own chance, float64 [values, values], from the scatter of simulated values."""
        return np.where(self.together, self.runs * scatter, 0.0)


class Surface:
    """Quadratic polynomials by least squares, one for each value.

    Attributes:
        scatter: float64 [values, values], covariance of one trial about the surface; freedom: its degrees of freedom.
    """

    def __init__(self, points: np.ndarray, logs: np.ndarray) -> None:
        """Fit to float64 [trials, parameters] and [trials, values]."""
        self.points = points
        self._middle, self._spread = points.mean(axis=0), np.maximum(points.std(axis=0), 1e-9)
        basis = self._basis(points)
        self._coefficients = np.linalg.lstsq(basis, logs, rcond=None)[0]
        self._inverse = np.linalg.pinv(basis.T @ basis)
        rest = logs - basis @ self._coefficients
        self.freedom = len(points) - basis.shape[1]
        self.scatter: np.ndarray = rest.T @ rest / self.freedom

    def _basis(self, points: np.ndarray) -> np.ndarray:
        x = (points - self._middle) / self._spread
        products = [x[:, i] * x[:, j] for i in range(x.shape[1]) for j in range(i, x.shape[1])]
        return np.column_stack([np.ones(len(x)), x, *products])

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Means at points, float64 [points, parameters]: float64 [points, values]."""
        return self._basis(points) @ self._coefficients

    def slopes(self, point: np.ndarray) -> np.ndarray:
        """Derivatives of the means: float64 [values, parameters]; differences, which are exact for a quadratic."""
        steps = np.diag(self._spread)
        return ((self(point + steps) - self(point - steps)) / (2 * self._spread[:, None])).T

    def leverage(self, points: np.ndarray) -> np.ndarray:
        """Variance of the means at points, in units of the scatter: float64 [points]."""
        basis = self._basis(points)
        return np.einsum("ni,ij,nj->n", basis, self._inverse, basis)


@dataclass(frozen=True)
class Match:
    """A surface against the measured values, at the point where they agree best.

    Attributes:
        middle: float64 [parameters]; region: float64 [parameters, parameters], covariance around it of parameters that
            could have given these values, had they been one run.
        between: float64 [values, values], covariance by the chance of the subjects.
        misfit: what measured values differ by from the surface, squared, over its covariance: chi^2 with as many
            degrees of freedom as there are values more than parameters.
    """

    surface: Surface
    noise: Noise
    middle: np.ndarray
    region: np.ndarray
    between: np.ndarray
    misfit: float

    @property
    def shift(self) -> np.ndarray:
        """What the logarithm of a simulated mean lies too low by, against that of a measured one: float64 [values].

        The logarithm of a mean lies below that of the expectation by half its relative variance.
        """
        return (1 - self.noise.runs) / 2 * np.diag(self.surface.scatter)

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Of points from the middle, in standard deviations of the region: float64 [points]."""
        away = (points - self.middle).T
        found: np.ndarray = np.sqrt((away * np.linalg.solve(self.region, away)).sum(axis=0))
        return found

    def spread(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Points evenly spread over the region, within the ranges: float64 [count, parameters]."""
        direction = rng.standard_normal((count, len(self.middle)))
        direction /= np.linalg.norm(direction, axis=1)[:, None]
        radius = reach(len(self.middle)) * rng.random((count, 1)) ** (1 / len(self.middle))
        return np.clip(self.middle + radius * direction @ np.linalg.cholesky(self.region).T, 0, 1)

    def particles(self, count: int = 4096) -> tuple[np.ndarray, np.ndarray]:
        """Points of the posterior from even priors over the ranges, and their weights.

        The values enter by their slopes at the best point, as many sums as there are parameters, so that no large
        matrix that is itself an estimate is inverted. Drawn by importance from a Student distribution around it.
        """
        parameters = len(self.middle)
        values, vectors = np.linalg.eigh(self.region)
        uniform = qmc.Sobol(parameters + 1, rng=0).random(count)
        uniform = np.clip(uniform, 1e-6, 1 - 1e-6)
        normal = stats.norm.ppf(uniform[:, :-1])
        stretch = np.sqrt(_TAILS / stats.chi2.ppf(uniform[:, -1], _TAILS))[:, None]
        drawn = normal * stretch
        points = self.middle + drawn @ (vectors * np.minimum(1.2 * np.sqrt(values), 0.5)).T
        # Beyond the trials that it was fitted to, a polynomial says nothing.
        inside = ((points >= 0) & (points <= 1)).all(axis=1) & (self.distance(points) <= reach(parameters))
        points, drawn = points[inside], drawn[inside]
        log_drawn = -(_TAILS + parameters) / 2 * np.log1p((drawn**2).sum(axis=1) / _TAILS)
        log_weight = self._log_likelihood(points) - log_drawn
        return points, np.exp(log_weight - log_weight.max())

    def simulated(self, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """log(simulated / measured) at points, with the chance of the subjects: float64 [points, values]."""
        chance = rng.multivariate_normal(np.zeros(len(self.between)), self.between, len(points), method="eigh")
        return self.surface(points) + self.shift + chance

    def _log_likelihood(self, points: np.ndarray) -> np.ndarray:
        variance = self.noise.error**2 + np.diag(self.between)
        sums = (self.surface.slopes(self.middle) / variance[:, None]).T
        fixed = sums @ (np.diag(self.noise.error**2) + self.between) @ sums.T
        values, vectors = np.linalg.eigh(fixed)
        whiten = (vectors / np.sqrt(np.maximum(values, 1e-9 * values.max()))).T
        by_surface, turn = np.linalg.eigh(whiten @ sums @ self.surface.scatter @ sums.T @ whiten.T)
        whiten = turn.T @ whiten @ sums
        spread = 1 + self.surface.leverage(points)[:, None] * np.maximum(by_surface, 0)
        standard = (self.surface(points) + self.shift) @ whiten.T / np.sqrt(spread)
        exact = whiten**2 @ self.noise.error**2 / spread
        freedom = self.surface.freedom / np.maximum(1 - exact, 1e-3) ** 2
        # Gaussian where the error of measurement is all, Student's where the scatter, estimated itself, is.
        found = -np.log(spread) / 2 - (freedom + 1) / 2 * np.log1p(standard**2 / freedom)
        return found.sum(axis=1)


def match(points: np.ndarray, logs: np.ndarray, noise: Noise) -> Match:
    """Fit a surface to the trials around its own minimum; which they are changes until it settles.

    They are chosen by their parameters: chosen by how well they agree with the data, those would be preferred that
    agree by chance.

    Args:
        points: float64 [trials, parameters], as shares of their ranges.
        logs: float64 [trials, values], log(simulated / measured).
    """
    least = _TRIALS_PER_TERM * terms(points.shape[1])
    chosen = np.argsort((logs**2).sum(axis=1), kind="stable")[:least]
    seen: set[bytes] = set()
    while True:
        found = _match(Surface(points[chosen], logs[chosen]), noise)
        if chosen.tobytes() in seen or len(seen) == _ROUNDS:
            return found
        seen.add(chosen.tobytes())
        distance = found.distance(points)
        order = np.argsort(distance, kind="stable")
        chosen = np.sort(order[: max(least, int((distance <= reach(points.shape[1])).sum()))])


def _match(surface: Surface, noise: Noise) -> Match:
    between = noise.between_subjects(surface.scatter)
    root = 1 / np.sqrt(noise.error**2 + np.diag(between))
    shift = (1 - noise.runs) / 2 * np.diag(surface.scatter)
    points = surface.points
    middle = optimize.least_squares(
        lambda point: (surface(point[None])[0] + shift) * root,
        points[(((surface(points) + shift) * root) ** 2).sum(axis=1).argmin()],
        lambda point: surface.slopes(point) * root[:, None],
        bounds=(points.min(axis=0) - 1e-9, points.max(axis=0) + 1e-9),
    ).x
    slopes = surface.slopes(middle) * root[:, None]
    inverse = np.linalg.inv(slopes.T @ slopes + _FLAT * np.eye(len(middle)))
    gain = inverse @ slopes.T * root
    exact = np.diag(noise.error**2)
    whole = exact + between + surface.leverage(middle[None])[0] * surface.scatter
    # The region must be wide enough to tell the slopes from the scatter of single trials.
    wide = exact + np.where(noise.together, max(noise.runs, 1.0) * surface.scatter, 0.0)
    left = surface(middle[None])[0] + shift
    return Match(
        surface=surface,
        noise=noise,
        middle=middle,
        region=gain @ wide @ gain.T + _FLAT * inverse @ inverse,
        between=between,
        misfit=float(left @ np.linalg.solve(whole, left)),
    )
