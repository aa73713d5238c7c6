"""Statistics of point patterns in two or three dimensions, corrected for the edges of their window.

A window is a union of square tiles (in three dimensions, cubes). Its set covariance, the part of it that is left in
itself when it is shifted, is linear between shifts by whole tiles along each axis. The translation correction of
Ripley's K is therefore exact for every window, by one Fourier transform.

Points are float64 [points, axes] in um, in the order x, y(, z); arrays of tiles are [(z,) y, x].
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage, signal, spatial, special

_MOST = 5000
"""Points that pairs are counted from, at most: a random part of a larger pattern has the same K."""
_CHUNK = 500
"""Points whose pairs are in memory at a time."""
_FINE = {2: 4, 3: 1}
"""Pixels of distances to the boundary along the edge of a tile, by the number of axes."""


@dataclass(frozen=True, eq=False)
class Window:
    """Where the cells of a pattern could have been seen.

    Attributes:
        mask: bool [(z,) y, x], tiles of the window. tile: edge of a tile, um. corner: of the first tile, um, in the
            order x, y(, z).
    """

    mask: np.ndarray
    tile: float
    corner: tuple[float, ...]

    @property
    def axes(self) -> int:
        """2 for a section, 3 for a volume."""
        return self.mask.ndim

    @property
    def size(self) -> float:
        """Area, um^2, or volume, um^3."""
        return float(self.mask.sum()) * self.tile**self.axes

    @cached_property
    def longest(self) -> float:
        """Distance, um, up to which statistics are reliable: a quarter of the shortest side of the bounding box."""
        there = np.nonzero(self.mask)
        return min((int(np.ptp(axis)) + 1) * self.tile for axis in there) / 4 if there[0].size else 0.0

    def tiles_of(self, points: np.ndarray) -> np.ndarray:
        """Indices of the tiles of points: int64 [points, axes], in the order of the mask's axes."""
        found: np.ndarray = np.floor((points - self.corner) / self.tile).astype(np.int64)[:, ::-1]
        return found

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Which points lie in the window: bool [points]."""
        tiles = self.tiles_of(points)
        inside = np.all((tiles >= 0) & (tiles < self.mask.shape), axis=1)
        inside[inside] = self.mask[tuple(tiles[inside].T)]
        return inside

    def scattered(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Independent uniform points: float64 [count, axes]."""
        tiles = np.argwhere(self.mask)[rng.integers(0, int(self.mask.sum()), count)][:, ::-1]
        found: np.ndarray = (tiles + rng.random((count, self.axes))) * self.tile + self.corner
        return found

    @cached_property
    def _covariance(self) -> np.ndarray:
        mask = self.mask.astype(np.float64)
        found = np.rint(signal.fftconvolve(mask, mask[(slice(None, None, -1),) * self.axes]))
        return np.pad(found, 1) * self.tile**self.axes

    def overlap(self, shifts: np.ndarray) -> np.ndarray:
        """Size of the part of the window that a shift leaves within it, um^axes: float64 [shifts]."""
        at = shifts[:, ::-1] / self.tile + np.array(self.mask.shape)
        found: np.ndarray = ndimage.map_coordinates(self._covariance, at.T, order=1)
        return found

    @cached_property
    def _reach(self) -> tuple[np.ndarray, float]:
        """A lower bound of the distance to the boundary from anywhere in a pixel, um, and the edge of a pixel."""
        fine = _FINE[self.axes]
        pixel = self.tile / fine
        mask = np.pad(np.kron(self.mask, np.ones((fine,) * self.axes, bool)), 1)
        far = ndimage.distance_transform_edt(mask, sampling=pixel)[(slice(1, -1),) * self.axes]
        return np.maximum(far - pixel * np.sqrt(self.axes), 0.0), pixel

    def reach(self, points: np.ndarray) -> np.ndarray:
        """A lower bound of the distance of points from the boundary, um: float64 [points]."""
        values, pixel = self._reach
        at = np.floor((points - self.corner) / pixel).astype(np.int64)[:, ::-1]
        found: np.ndarray = values[tuple(np.clip(at, 0, np.array(values.shape) - 1).T)]
        return found

    def eroded(self, by: np.ndarray) -> np.ndarray:
        """Size of the part of the window whose `reach` is at least so many um, um^axes: float64, of the same shape."""
        values, pixel = self._reach
        inside = np.sort(values[np.kron(self.mask, np.ones((_FINE[self.axes],) * self.axes, bool))])
        found: np.ndarray = (len(inside) - np.searchsorted(inside, by, side="left")) * pixel**self.axes
        return found


def ball(radius: np.ndarray, axes: int) -> np.ndarray:
    """Area of a disc or volume of a ball."""
    found: np.ndarray = np.pi ** (axes / 2) / special.gamma(axes / 2 + 1) * np.asarray(radius, float) ** axes
    return found


def ripley(window: Window, radii: np.ndarray, points: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
    """Ripley's K, or the cross-K of `points` and `others`, with the translation correction: float64 [radii], um^axes.

    Of a random (Poisson) pattern, or of two independent patterns, it is the size of a ball (`ball`). Not a number
    where a pattern has too few points.

    Args:
        radii: float64, rising, um; up to `window.longest`, beyond which few pairs are seen.
    """
    same = others is None
    targets = points if others is None else others
    pairs = len(points) * (len(points) - 1 if same else len(targets))
    if pairs <= 0:
        return np.full(len(radii), np.nan)
    rng = np.random.default_rng(0)
    chosen = np.arange(len(points))
    if len(points) > _MOST:
        chosen = np.sort(rng.choice(len(points), _MOST, replace=False))
    found = np.zeros(len(radii))
    for distance, shift in _pairs(points, targets, chosen, float(radii[-1]), same):
        found += np.histogram(distance, np.append(-np.inf, radii), weights=1 / window.overlap(shift))[0]
    # Bins of a histogram are open above, but for the last.
    found = np.cumsum(found)
    return found * len(points) / len(chosen) * window.size**2 / pairs


def _pairs(
    points: np.ndarray, targets: np.ndarray, chosen: np.ndarray, longest: float, same: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Distances and shifts of the pairs from the chosen points to targets, without that of a point and itself."""
    tree = spatial.cKDTree(targets)
    for first in range(0, len(chosen), _CHUNK):
        numbers = chosen[first : first + _CHUNK]
        near = spatial.cKDTree(points[numbers]).sparse_distance_matrix(tree, longest, output_type="ndarray")
        here, there = numbers[near["i"]], near["j"]
        if same:
            here, there = here[here != there], there[here != there]
        shift = targets[there] - points[here]
        yield np.sqrt((shift**2).sum(axis=1)), shift


@dataclass(frozen=True, eq=False)
class Nearest:
    """Distances from points to the nearest other point, with Hanisch's correction for the edges.

    A distance counts if the window contains the whole disc (or ball) of this radius, and the more, the fewer places
    there are where it would count.

    Attributes:
        distances: um, rising; weights: their sum is 1. Empty where no distance counts.
        intensity: other points per um^axes. axes: 2 or 3.
    """

    distances: np.ndarray
    weights: np.ndarray
    intensity: float
    axes: int

    def share(self, radii: np.ndarray) -> np.ndarray:
        """Share of the points with another within a radius (the function G): float64 [radii]."""
        if not len(self.distances):
            return np.full(len(radii), np.nan)
        below = np.append(0.0, np.cumsum(self.weights))
        found: np.ndarray = below[np.searchsorted(self.distances, radii, side="right")]
        return found

    def quantile(self, q: float) -> float:
        """A quantile of the distances, um; not a number where there are none."""
        if not len(self.distances):
            return float("nan")
        at = np.searchsorted(np.cumsum(self.weights), q)
        return float(self.distances[min(int(at), len(self.distances) - 1)])

    @property
    def index(self) -> float:
        """Mean distance, divided by that of a random pattern: below 1 for clusters (Clark and Evans)."""
        if not len(self.distances) or not self.intensity:
            return float("nan")
        expected = special.gamma(1 + 1 / self.axes) / (self.intensity * ball(np.ones(()), self.axes)) ** (1 / self.axes)
        return float((self.weights * self.distances).sum() / expected)


def nearest(window: Window, points: np.ndarray, others: np.ndarray | None = None) -> Nearest:
    """Distances from each point to the nearest other one, or to the nearest of `others`."""
    targets, rank = (points, 2) if others is None else (others, 1)
    intensity = len(targets) / window.size if window.size else 0.0
    if not len(points) or len(targets) < rank:
        return Nearest(np.empty(0), np.empty(0), intensity, window.axes)
    distances = spatial.cKDTree(targets).query(points, [rank])[0][:, 0]
    seen = np.sort(distances[distances <= window.reach(points)])
    weights = 1 / window.eroded(seen)
    return Nearest(seen, weights / weights.sum() if len(seen) else weights, intensity, window.axes)


def mixing(window: Window, radius: float, points: np.ndarray, others: np.ndarray) -> float:
    """Normalised mixing score: neighbours among `others`, over those among `points`, each by their numbers.

    Cross-K over K at a radius (um): 1 if points have as many of the others around them as of themselves by their
    densities, below 1 if both kinds are apart. Not a number without two points that are neighbours.

    The score of Keren et al. (2018), normalised and with edge correction.
    """
    radii = np.array([radius])
    own, cross = ripley(window, radii, points)[0], ripley(window, radii, points, others)[0]
    return float(cross / own) if own > 0 else float("nan")


def envelope(
    window: Window,
    radii: np.ndarray,
    count: int,
    others: np.ndarray | None = None,
    *,
    simulations: int = 199,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest K of so many independent uniform points at each radius: float64 [radii] each.

    With 199 simulations, K of a further such pattern lies between them with a probability of 99% at a given radius.
    With `others`, cross-K with these, which stay where they are.
    """
    rng = np.random.default_rng(seed)
    found = [ripley(window, radii, window.scattered(count, rng), others) for _ in range(simulations)]
    return np.min(found, axis=0), np.max(found, axis=0)


def spread(points: np.ndarray, centre: np.ndarray, share: float = 0.95) -> float:
    """Radius around a centre that contains a share of the points, um; not a number without points."""
    if not len(points):
        return float("nan")
    return float(np.quantile(np.sqrt(((points - centre) ** 2).sum(axis=1)), share))
