"""Regions of the grid that cells are put into. Lengths in um; arrays [z, y, x].

Only + - * / and sqrt, and random numbers from raw words, so that every machine builds the same.
"""

import numpy as np

from gpusim import units
from gpusim.errors import ScenarioError
from gpusim.scenario.schema import Box, Cylinder, Position, Shape, Sphere, Vessels

Point = tuple[float, float, float]


class Uniform:
    """Uniform numbers in [0, 1) from the raw words of Philox, whose stream NumPy keeps for ever."""

    def __init__(self, seed: int, stream: int) -> None:
        self._bits = np.random.Philox(key=np.array([seed % 2**64, stream], np.uint64))

    def draw(self, count: int) -> np.ndarray:
        """float64 [count]."""
        return (self._bits.random_raw(count) >> np.uint64(11)) * 2.0**-53


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
        lower, upper = point(spec.lower, shape, spacing), point(spec.upper, shape, spacing)
        mask = np.ones(shape, bool)
        for a, low, high in zip(_offsets(shape, spacing, (0, 0, 0)), lower, upper, strict=True):
            mask &= (a >= low) & (a < high)
    elif isinstance(spec, Cylinder):
        start, end = point(spec.start, shape, spacing), point(spec.end, shape, spacing)
        mask = near_segment(shape, spacing, start, end, units.number(spec.radius, "um"))
    elif isinstance(spec, Vessels):
        mask = _vessels(spec, shape, spacing, uniform)
    else:
        mask = np.ones(shape, bool)
    picked = uniform.draw(mask.size).reshape(shape) < spec.fraction if spec.fraction < 1 else None
    return mask, picked


def _direction(uniform: Uniform) -> np.ndarray:
    """A random unit vector, by rejection from the cube."""
    while True:
        v: np.ndarray = 2.0 * uniform.draw(3) - 1.0
        square = float(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
        if 0.01 < square <= 1.0:
            return v / np.sqrt(square)


def _vessels(spec: Vessels, shape: tuple[int, int, int], spacing: float, uniform: Uniform) -> np.ndarray:
    """Walks with persistent direction from face to face, one to distance^2 of section by axis."""
    radius, distance = units.number(spec.radius, "um"), units.number(spec.distance, "um")
    if distance < spacing:
        raise ScenarioError(f"tissue.shapes: 'distance' of vessels is below the voxel edge ({spacing:g} um)")
    nz, ny, nx = shape
    size = np.array([nx, ny, nz]) * spacing
    mask = np.zeros(shape, bool)
    for axis in range(3):
        across = [a for a in range(3) if a != axis]
        count = max(1, round(size[across[0]] * size[across[1]] / distance**2 / 3))
        for _ in range(count):
            position = uniform.draw(3) * size
            position[axis] = 0.0
            heading = _direction(uniform) * 0.5
            heading[axis] = abs(heading[axis]) + 0.5
            for _ in range(int(6 * size.max() / spacing)):
                _mark(mask, position, radius, spacing)
                heading = heading + 0.15 * _direction(uniform)
                norm = heading[0] * heading[0] + heading[1] * heading[1] + heading[2] * heading[2]
                heading = heading / np.sqrt(norm)
                position = position + heading * (spacing / 2)
                if np.any(position < 0) or np.any(position >= size):
                    break
    return mask


def _mark(mask: np.ndarray, position: np.ndarray, radius: float, spacing: float) -> None:
    """Set the voxels whose centres lie within `radius`, and the one that holds the point."""
    reach = int(radius / spacing) + 1
    centre = (position / spacing).astype(int)[::-1]
    low = np.maximum(centre - reach, 0)
    high = np.minimum(centre + reach + 1, mask.shape)
    z, y, x = ((np.arange(a, b) + 0.5) * spacing for a, b in zip(low, high, strict=True))
    dz, dy, dx = z - position[2], y - position[1], x - position[0]
    square = (dz * dz)[:, None, None] + (dy * dy)[None, :, None] + (dx * dx)[None, None, :]
    mask[low[0] : high[0], low[1] : high[1], low[2] : high[2]] |= square <= radius * radius
    if np.all(centre < mask.shape):
        mask[tuple(centre)] = True
