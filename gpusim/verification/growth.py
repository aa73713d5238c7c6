"""Colonies of cells that divide and push."""

from collections.abc import Iterator

import numpy as np

from gpusim.verification.case import Finding, Machine, near

COLONY = """
grid: {{shape: [{n}, {n}, {n}]}}
time: {{until: 10000 h, step: {{field: {step} min, rules: {step} min}}}}
record: {{every: 10000 h}}
states: {{tumour: {{}}}}
rules: {{division: {{transition: tumour -> tumour + tumour, rate: {rate} /min, reach: {reach} um}}}}
tissue: {{shapes: {{seed: {{kind: sphere, state: tumour, radius: {radius} um}}}}}}
"""
"""A ball of cells in the middle of n^3 voxels of 20 um."""

_CONE = np.cos(np.radians(12))
_AXES = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1)])
_FACES = np.array([(1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1), (0, 1, 1), (0, 1, -1)]) / np.sqrt(2)
_BODIES = np.array([(1, 1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1)]) / np.sqrt(3)


def exponential(machine: Machine) -> Iterator[Finding]:
    """While all cells find room, N = N0 exp(b t). In this Yule process, ln N has a variance of (1 - exp(-b t)) / N0."""
    rate, step, steps, seeds = 0.002, 10, 100, 6
    grown, first = [], 0
    for seed in range(seeds):
        text = COLONY.format(n=24, step=step, rate=rate, reach=240, radius=80)
        with machine.simulate(text, seed=seed) as simulation:
            first = simulation.count("tumour")
            simulation.step(steps)
            grown.append(np.log(simulation.count("tumour") / first))
            barred = simulation.barred["division"]
    expected = rate * step * steps
    spread = np.sqrt((1 - np.exp(-expected)) / first / seeds)
    yield near("growth over the rate of division", 1, float(np.mean(grown) / expected), absolute=0.02 + 3 * spread / 2)
    yield near("divisions without room", 0, barred)


def rim(machine: Machine) -> Iterator[Finding]:
    """Cells at most r voxels deep divide, so dR/dt = b r (1 - r/R + r^2 / (3 R^2)): linear where R is far above r."""
    rate, step, reach = 0.002, 10, 4
    text = COLONY.format(n=64, step=step, rate=rate, reach=20 * reach, radius=200)
    with machine.simulate(text, seed=1) as simulation:
        radii = [_radius(simulation.count("tumour"))]
        for _ in range(14):
            simulation.step(20)
            radii.append(_radius(simulation.count("tumour")))
    expected = radii[0]
    for _ in range(14 * 20):
        shell = 1 - reach / expected + reach**2 / (3 * expected**2)
        expected += rate * step * reach * shell
    # A rim consists of whole layers of cells, and the front is rough: half a voxel of the rim's four.
    yield near("radius gained, voxels", expected - radii[0], radii[-1] - radii[0], relative=0.125)


def isotropy(machine: Machine) -> Iterator[Finding]:
    """A colony is a ball: volumes in cones of 12 degrees about axes and diagonals, over equivalent ones and seeds."""
    for reach, sizes in ((4, (20_000,)), (10, (20_000, 100_000))):
        found: dict[int, list[tuple[float, ...]]] = {size: [] for size in sizes}
        for seed in range(4):
            text = COLONY.format(n=85, step=10, rate=0.002, reach=20 * reach, radius=100)
            with machine.simulate(text, seed=seed) as simulation:
                for size in sizes:
                    while simulation.count("tumour") < size:
                        simulation.step(5)
                    found[size].append(in_cones(simulation.tissue == 1))
        for size, cones in found.items():
            axes, faces, bodies = np.mean(cones, axis=0)
            for name, other in (("face", faces), ("body", bodies)):
                what = f"axes / {name} diagonals, reach {reach}, {size:,} cells"
                yield near(what, 1, float(axes / other), absolute=0.03)


def _radius(cells: int) -> float:
    return float((3 * cells / (4 * np.pi)) ** (1 / 3))


def in_cones(cells: np.ndarray) -> tuple[float, float, float]:
    """Radii of a colony in cones of 12 degrees about axes, face diagonals and body diagonals, voxels.

    Each is the radius of the ball that has as many voxels in the cones, which are taken both ways.

    Args:
        cells: where the colony is, bool [z, y, x]; its centre is that of the lattice.
    """
    places = np.argwhere(cells) - (np.array(cells.shape) - 1) / 2
    distance = np.linalg.norm(places, axis=1)
    radii = []
    for axes in (_AXES, _FACES, _BODIES):
        inside = sum(int(np.sum(np.abs(places @ axis) >= _CONE * distance)) for axis in axes)
        radii.append(float((inside / (2 * len(axes)) * 3 / (2 * np.pi * (1 - _CONE))) ** (1 / 3)))
    return radii[0], radii[1], radii[2]
