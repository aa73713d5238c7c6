"""Regions of the grid that cells are put into. Lengths in um; arrays [z, y, x].

Only + - * / and sqrt, and random numbers from raw words, so that every machine builds the same.
"""

import bisect
import copy
import itertools
import math
from collections.abc import Iterator

import numpy as np

from gpusim import units
from gpusim.errors import ScenarioError
from gpusim.scenario.schema import Box, Cylinder, Extent, Position, Shape, Sphere, Vessels

Point = tuple[float, float, float]


class Uniform:
    """Uniform numbers in [0, 1) from the raw words of Philox, whose stream NumPy keeps for ever."""

    def __init__(self, seed: int, stream: int) -> None:
        self._bits = np.random.Philox(key=np.array([seed % 2**64, stream], np.uint64))

    def draw(self, count: int) -> np.ndarray:
        """float64 [count]."""
        return (self._bits.random_raw(count) >> np.uint64(11)) * 2.0**-53

    def skip(self, count: int) -> None:
        """Go on behind the next `count` numbers."""
        self._bits.random_raw(count, output=False)

    def copy(self) -> "Uniform":
        """One that draws the same numbers from here on."""
        return copy.deepcopy(self)


def point(position: Position, shape: tuple[int, int, int], spacing: float) -> Point:
    """A position as x, y, z in um from the grid's corner."""
    if position == "centre":
        nz, ny, nx = shape
        return nx * spacing / 2, ny * spacing / 2, nz * spacing / 2
    x, y, z = (units.number(p, "um") for p in position)
    return x, y, z


def _offsets(shape: tuple[int, int, int], spacing: float, origin: Point) -> tuple[np.ndarray, ...]:
    """x, y, z of voxel centres less `origin`, um, to be broadcast over [z, y, x]."""
    nz, ny, nx = shape
    return (
        ((np.arange(nx) + 0.5) * spacing - origin[0])[None, None, :],
        ((np.arange(ny) + 0.5) * spacing - origin[1])[None, :, None],
        ((np.arange(nz) + 0.5) * spacing - origin[2])[:, None, None],
    )


def within(shape: tuple[int, int, int], spacing: float, centre: Point, radius: float) -> np.ndarray:
    """Voxels with their centre within a sphere, bool [z, y, x]."""
    x, y, z = _offsets(shape, spacing, centre)
    inside: np.ndarray = x * x + y * y + z * z <= radius * radius
    return inside


def in_box(shape: tuple[int, int, int], spacing: float, box: Extent) -> np.ndarray:
    """Voxels with their centre in a box, bool [z, y, x]."""
    lower, upper = point(box.lower, shape, spacing), point(box.upper, shape, spacing)
    mask = np.ones(shape, bool)
    for a, low, high in zip(_offsets(shape, spacing, (0, 0, 0)), lower, upper, strict=True):
        mask &= (a >= low) & (a < high)
    return mask


def near_segment(shape: tuple[int, int, int], spacing: float, start: Point, end: Point, radius: float) -> np.ndarray:
    """Voxels with their centre within `radius` of a segment, bool [z, y, x]."""
    x, y, z = _offsets(shape, spacing, start)
    ux, uy, uz = (e - s for s, e in zip(start, end, strict=True))
    length = ux * ux + uy * uy + uz * uz
    along = np.clip((x * ux + y * uy + z * uz) / length, 0.0, 1.0) if length > 0 else np.zeros(shape)
    dx, dy, dz = x - along * ux, y - along * uy, z - along * uz
    near: np.ndarray = dx * dx + dy * dy + dz * dz <= radius * radius
    return near


def region(
    spec: Shape, tissue: np.ndarray, spacing: float, seed: int, number: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Voxels of the `number`-th shape of a scenario, bool [z, y, x]; and which its fraction picks, None for all."""
    nz, ny, nx = tissue.shape
    shape = (nz, ny, nx)
    uniform = Uniform(seed, 1 + number)
    if isinstance(spec, Sphere):
        mask = within(shape, spacing, point(spec.centre, shape, spacing), units.number(spec.radius, "um"))
    elif isinstance(spec, Box):
        mask = in_box(shape, spacing, spec)
    elif isinstance(spec, Cylinder):
        start, end = point(spec.start, shape, spacing), point(spec.end, shape, spacing)
        mask = near_segment(shape, spacing, start, end, units.number(spec.radius, "um"))
    elif isinstance(spec, Vessels):
        mask = _vessels(spec, shape, spacing, uniform)
    else:
        mask = np.ones(shape, bool)
    picked = uniform.draw(mask.size).reshape(shape) < spec.fraction if spec.fraction < 1 else None
    return mask, picked


def _vessels(spec: Vessels, shape: tuple[int, int, int], spacing: float, uniform: Uniform) -> np.ndarray:
    """Walks with persistent direction from face to face, one to distance^2 of section by axis."""
    radius, distance = units.number(spec.radius, "um"), units.number(spec.distance, "um")
    if distance < spacing:
        raise ScenarioError(f"tissue.shapes: 'distance' of vessels is below the voxel edge ({spacing:g} um)")
    nz, ny, nx = shape
    size = nx * spacing, ny * spacing, nz * spacing
    mask = np.zeros(shape, bool)
    triples = _Triples(uniform.copy())
    for axis in range(3):
        u, v = (size[a] for a in range(3) if a != axis)
        for _ in range(max(1, round(u * v / distance**2 / 3))):
            _mark(mask, _walk(axis, size, spacing, triples), radius, spacing)
    uniform.skip(3 * triples.taken)
    return mask


class _Triples:
    """Random numbers by three: a point of the unit cube, or a direction by rejection from it.

    Read in blocks, as walks take millions of them one at a time; `taken` are used up.
    """

    _BLOCK = 1 << 14

    def __init__(self, uniform: Uniform) -> None:
        self._uniform = uniform
        self.taken, self._first = 0, -self._BLOCK
        self._read()

    def point(self) -> list[float]:
        """The next three numbers, each in [0, 1)."""
        if self.taken == self._first + self._BLOCK:
            self._read()
        point: list[float] = self._points[self.taken - self._first].tolist()
        self.taken += 1
        return point

    def directions(self) -> Iterator[tuple[float, float, float]]:
        """Unit vectors, from those that are next on."""
        while True:
            passed = bisect.bisect_left(self._numbers, self.taken)
            for number, direction in itertools.islice(zip(self._numbers, self._units, strict=True), passed, None):
                self.taken = number + 1
                yield direction
            self._read()

    def _read(self) -> None:
        self._first += self._BLOCK
        self._points = self._uniform.draw(3 * self._BLOCK).reshape(-1, 3)
        v = 2.0 * self._points.T - 1.0
        square = v[0] * v[0] + v[1] * v[1] + v[2] * v[2]
        accepted = np.flatnonzero((square > 0.01) & (square <= 1.0))
        self._numbers: list[int] = (accepted + self._first).tolist()
        x, y, z = (v[:, accepted] / np.sqrt(square[accepted])).tolist()
        self._units = list(zip(x, y, z, strict=True))


def _walk(axis: int, size: Point, spacing: float, triples: _Triples) -> np.ndarray:
    """One vessel from a random point of the face across `axis` until it leaves the grid: float64 [steps, 3], x, y, z.

    In plain floats, which are quicker one at a time than arrays of three.
    """
    x, y, z = (0.0 if a == axis else p * s for a, (p, s) in enumerate(zip(triples.point(), size, strict=True)))
    directions = triples.directions()
    hx, hy, hz = (abs(0.5 * d) + 0.5 if a == axis else 0.5 * d for a, d in enumerate(next(directions)))
    (sx, sy, sz), half, path = size, spacing / 2, []
    for dx, dy, dz in itertools.islice(directions, int(6 * max(size) / spacing)):
        path.append((x, y, z))
        hx, hy, hz = hx + 0.15 * dx, hy + 0.15 * dy, hz + 0.15 * dz
        norm = math.sqrt(hx * hx + hy * hy + hz * hz)
        hx, hy, hz = hx / norm, hy / norm, hz / norm
        x, y, z = x + hx * half, y + hy * half, z + hz * half
        if x < 0 or y < 0 or z < 0 or x >= sx or y >= sy or z >= sz:
            break
    return np.array(path)


def _mark(mask: np.ndarray, path: np.ndarray, radius: float, spacing: float) -> None:
    """Set the voxels whose centres lie within `radius` of a point of a path, and those that hold the points."""
    reach = int(radius / spacing) + 1
    offsets = np.arange(-reach, reach + 1)
    voxels, squares = [], []  # by axis z, y, x: those around each point, and their distances along the axis
    for points, n in zip(path.T[::-1], mask.shape, strict=True):
        around = (points / spacing).astype(int)[:, None] + offsets
        apart = (around + 0.5) * spacing - points[:, None]
        voxels.append(around)
        squares.append(np.where((around >= 0) & (around < n), apart * apart, np.inf))
    for k, j, i in itertools.product(range(len(offsets)), repeat=3):
        near = squares[0][:, k] + squares[1][:, j] + squares[2][:, i] <= radius * radius
        if k == j == i == reach:
            near |= np.isfinite(squares[0][:, k]) & np.isfinite(squares[1][:, j]) & np.isfinite(squares[2][:, i])
        mask[voxels[0][near, k], voxels[1][near, j], voxels[2][near, i]] = True
