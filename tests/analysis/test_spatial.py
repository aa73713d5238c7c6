"""Statistics of point patterns against theory, and against another program."""

import numpy as np
import pytest
from scipy import integrate

from gpusim.analysis import spatial
from gpusim.analysis.spatial import Nearest, Window, ball, envelope, mixing, nearest, ripley

TILE = 20.0
RADII = np.arange(20.0, 101.0, 20.0)
SIMULATIONS = 199


def rectangle():
    return Window(np.ones((20, 30), bool), TILE, (0.0, 0.0))


def ring():
    """A core with a hole, which lies away from the origin: much of it is near an edge."""
    y, x = np.ogrid[:30, :30]
    distance = np.hypot(y - 14.5, x - 14.5)
    return Window((distance < 15) & (distance > 5), TILE, (1000.0, -400.0))


def block():
    return Window(np.ones((10, 12, 14), bool), TILE, (0.0, 0.0, 0.0))


def _around(window, margin):
    """A wider box around a window: corner and extent, in x, y(, z)."""
    extent = np.array(window.mask.shape[::-1]) * window.tile
    return np.array(window.corner) - margin, extent + 2 * margin


def poisson(window, intensity, rng):
    corner, extent = _around(window, 0.0)
    points = corner + rng.random((rng.poisson(intensity * extent.prod()), window.axes)) * extent
    return points[window.contains(points)]


CLUSTERS, PER_CLUSTER, SPREAD = 1.5e-4, 6.0, 15.0


def thomas(window, rng):
    """Gaussian clusters around Poisson parents."""
    corner, extent = _around(window, 6 * SPREAD)
    parents = corner + rng.random((rng.poisson(CLUSTERS * extent.prod()), window.axes)) * extent
    each = rng.poisson(PER_CLUSTER, len(parents))
    points = np.repeat(parents, each, axis=0) + rng.normal(0, SPREAD, (each.sum(), window.axes))
    return points[window.contains(points)]


def k_of_thomas(radii):
    """Of a Thomas process in the plane: its pair correlation, integrated."""
    return np.pi * radii**2 + (1 - np.exp(-(radii**2) / (4 * SPREAD**2))) / CLUSTERS


CORE, PROPOSED = 18.0, 2e-3


def matern(window, rng):
    """Matern's second hard core: of Poisson points, those that no earlier one has within the core's distance."""
    corner, extent = _around(window, CORE)
    points = corner + rng.random((rng.poisson(PROPOSED * extent.prod()), window.axes)) * extent
    age = rng.random(len(points))
    pairs = spatial.spatial.cKDTree(points).query_pairs(CORE, output_type="ndarray")
    kept = np.ones(len(points), bool)
    kept[np.where(age[pairs[:, 0]] > age[pairs[:, 1]], pairs[:, 0], pairs[:, 1])] = False
    return points[kept & window.contains(points)]


def k_of_matern(radii):
    """By the probability that both points of a pair at a distance are kept, integrated."""
    disc = np.pi * CORE**2
    intensity = (1 - np.exp(-PROPOSED * disc)) / disc

    def density(r):
        if r < CORE:
            return 0.0
        lens = 0.0
        if r < 2 * CORE:
            lens = 2 * CORE**2 * np.arccos(r / (2 * CORE)) - r / 2 * np.sqrt(4 * CORE**2 - r**2)
        union = 2 * disc - lens
        top = 2 * union * (1 - np.exp(-PROPOSED * disc)) - 2 * disc * (1 - np.exp(-PROPOSED * union))
        return top / (disc * union * (union - disc))

    pair = [integrate.quad(lambda u: u * density(u), 0, r, points=[CORE, 2 * CORE])[0] for r in radii]
    return 2 * np.pi * np.array(pair) / intensity**2


@pytest.mark.parametrize(
    ("simulate", "expected"),
    [
        (lambda window, rng: poisson(window, 5e-4, rng), lambda radii: np.pi * radii**2),
        (thomas, k_of_thomas),
        (matern, k_of_matern),
    ],
    ids=["poisson", "thomas", "matern"],
)
def test_k_of_simulated_processes(simulate, expected):
    """Theory lies within the 99% envelope of 199 simulations, and their mean within three and a half of its errors."""
    place, rng = ring(), np.random.default_rng(20)
    found = np.array([ripley(place, RADII, simulate(place, rng)) for _ in range(SIMULATIONS)])
    theory = expected(RADII)
    assert (found.min(axis=0) <= theory).all()
    assert (theory <= found.max(axis=0)).all()
    # K is a ratio of two estimates, so that its bias falls only with the number of points.
    error = 3.5 * found.std(axis=0) / np.sqrt(SIMULATIONS) + 0.01 * theory
    assert (np.abs(found.mean(axis=0) - theory) < error).all()


def test_without_correction_the_edges_would_show():
    """The edges of the ring take a fifth of the pairs at 100 um: what the test above would notice."""
    place, rng = ring(), np.random.default_rng(1)
    found = [ripley(place, RADII, poisson(place, 5e-4, rng))[-1] for _ in range(50)]
    shifts = np.array([[100.0, 0.0]])
    assert place.overlap(shifts)[0] / place.size < 0.8
    assert np.mean(found) == pytest.approx(np.pi * 1e4, rel=0.05)


def test_k_in_three_dimensions_and_between_kinds():
    place, rng = block(), np.random.default_rng(4)
    radii = np.array([30.0, 60.0])
    found, cross = [], []
    for _ in range(SIMULATIONS):
        one, other = poisson(place, 3e-5, rng), poisson(place, 6e-5, rng)
        found.append(ripley(place, radii, one))
        cross.append(ripley(place, radii, one, other))
    for values in (np.array(found), np.array(cross)):
        theory = 4 / 3 * np.pi * radii**3
        assert (np.abs(values.mean(axis=0) - theory) < 3.5 * values.std(axis=0) / np.sqrt(SIMULATIONS)).all()


def test_k_is_that_of_another_program():
    """astropy 7.2's RipleysKEstimator with the translation correction, which knows rectangles alone."""
    golden, i = (5**0.5 - 1) / 2, np.arange(60)
    points = np.column_stack([(i * golden) % 1 * 400, (i**2 * 0.013) % 1 * 240])
    radii = np.array([10, 20, 30, 40, 50, 60.0])
    expected = [281.18416185, 1212.88539083, 2726.16910963, 4418.61297033, 7451.66881493, 10932.80313593]
    assert ripley(Window(np.ones((12, 20), bool), 20.0, (0.0, 0.0)), radii, points) == pytest.approx(expected, rel=1e-9)


def test_many_points_are_thinned_without_bias(monkeypatch):
    place = rectangle()
    points = poisson(place, 4e-3, np.random.default_rng(3))
    exact = ripley(place, RADII, points)
    monkeypatch.setattr(spatial, "_MOST", 400)
    assert ripley(place, RADII, points) == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize("window", [rectangle, ring, block], ids=["rectangle", "ring", "block"])
def test_nearest_neighbours_of_random_points(window):
    """G(r) = 1 - exp(-intensity * ball), and Clark and Evans's index is 1; the edges do not show."""
    place, rng = window(), np.random.default_rng(5)
    intensity = 5e-4 if place.axes == 2 else 3e-5
    radii = np.array([10.0, 20.0, 30.0])
    found = [nearest(place, poisson(place, intensity, rng)) for _ in range(SIMULATIONS)]
    shares = np.array([each.share(radii) for each in found])
    theory = 1 - np.exp(-intensity * ball(radii, place.axes))
    assert (shares.min(axis=0) <= theory).all()
    assert (theory <= shares.max(axis=0)).all()
    # In voxels of the size of the distances, few count at an edge: the estimate is a ratio with a bias of its own.
    assert shares.mean(axis=0) == pytest.approx(theory, abs=0.02)
    assert np.mean([each.index for each in found]) == pytest.approx(1, abs=0.03)


def test_nearest_neighbours_tell_clusters_from_a_hard_core():
    place, rng = rectangle(), np.random.default_rng(6)
    clustered, spaced = nearest(place, thomas(place, rng)), nearest(place, matern(place, rng))
    assert clustered.index < 0.8 < 1.2 < spaced.index
    assert spaced.share(np.array([CORE - 1e-9]))[0] == 0
    assert spaced.distances[0] >= CORE


def test_mixing_of_what_is_mixed_and_what_is_apart():
    place, rng = rectangle(), np.random.default_rng(7)
    points = poisson(place, 2e-3, rng)
    kind = rng.random(len(points)) < 0.3
    assert mixing(place, 30.0, points[kind], points[~kind]) == pytest.approx(1, abs=0.15)
    left = points[:, 0] < 300
    assert mixing(place, 30.0, points[left], points[~left]) < 0.1


def test_an_envelope_holds_what_is_random_and_not_what_is_clustered():
    place, rng = rectangle(), np.random.default_rng(8)
    points = poisson(place, 3e-4, rng)
    low, high = envelope(place, RADII, len(points), simulations=SIMULATIONS)
    inside = ripley(place, RADII, points)
    assert (low <= inside).all()
    assert (inside <= high).all()
    assert (ripley(place, RADII, thomas(place, rng)) > high)[:3].any()


def test_too_few_points_give_no_number():
    place, one, none = rectangle(), np.array([[100.0, 100.0]]), np.empty((0, 2))
    assert np.isnan(ripley(place, RADII, one)).all()
    assert np.isnan(ripley(place, RADII, none, one)).all()
    assert isinstance(nearest(place, none, one), Nearest)
    assert np.isnan(nearest(place, one).index)
    assert np.isnan(nearest(place, one, none).quantile(0.5))
    assert np.isnan(mixing(place, 30.0, one, one))
    assert np.isnan(spatial.spread(none, np.zeros(2)))


def test_a_window_and_its_shifts():
    """Of a rectangle of a x b, (a - x)(b - y) is left, between tiles too."""
    place = rectangle()
    shifts = np.array([[0.0, 0.0], [33.0, -47.5], [599.0, 0.0], [700.0, 0.0]])
    expected = [600 * 400, (600 - 33) * (400 - 47.5), 400.0, 0.0]
    assert place.overlap(shifts) == pytest.approx(expected)
    assert place.size == 600 * 400
    assert place.longest == 100
    points = np.array([[-0.1, 5.0], [0.1, 5.0], [599.9, 399.9], [5.0, 400.1]])
    assert place.contains(points).tolist() == [False, True, True, False]
