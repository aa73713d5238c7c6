"""Moving cells against the theory of random walks."""

import math
from collections.abc import Iterator

import numpy as np

from gpusim.engine import Simulation
from gpusim.verification.case import Finding, Machine, begin_with, near

_SIDE, _SPACING, _MINUTES = 65, 20.0, 60
_SEEDS = range(1, 5)
_HALF, _SLOPE = 2.0, 4e-4
"""Of the bait: ng/mL; rise of the receptors' occupancy, 1/um."""
_WALKERS = """
grid: {{shape: [{n}, {n}, {n}]}}
time: {{until: 100 h, step: {{field: 1 min, rules: 1 min, motion: {motion} min}}}}
record: {{every: 100 h}}
fields: {{bait: {{unit: ng/mL}}}}
states: {{walker: {{layer: immune, motility: {motility}}}}}
tissue: {{shapes: {{walkers: {{kind: box, state: walker, fraction: 0.05, lower: {lower}, upper: {upper}}}}}}}
"""


def _walked(machine: Machine, motility: str, axis: str, move: float = 1.0) -> tuple[np.ndarray, np.ndarray, int]:
    """Mean and variance of x, y, z that walkers gain in `_MINUTES`, um and um^2: float64 [3]; their number.

    They start in a plate of 5 voxels across the `axis`, so few that they are seldom in each other's way: a
    fifth of the voxels would make the variance grow by 11% more. The occupancy by bait rises along x.
    """
    lower, upper = [200, 200, 200], [1100, 1100, 1100]
    lower["xyz".index(axis)], upper["xyz".index(axis)] = 600, 700
    corners = {"lower": [f"{x} um" for x in lower], "upper": [f"{x} um" for x in upper]}
    text = _WALKERS.format(n=_SIDE, motion=move, motility=motility, **corners)
    occupancy = 0.1 + _SLOPE * _SPACING * np.arange(_SIDE)
    gained = []
    for seed in _SEEDS:
        with machine.simulate(text, seed) as simulation:
            begin_with(simulation, bait=_HALF * occupancy / (1 - occupancy))
            start = _positions(simulation)
            simulation.step(_MINUTES)
            end = _positions(simulation)
        along = end["xyz".index(axis)]
        met_a_wall = along.min() == 0 or along.max() == (_SIDE - 1) * _SPACING
        variance = end.var(axis=1) - start.var(axis=1)
        gained.append((end.mean(axis=1) - start.mean(axis=1), np.nan if met_a_wall else variance, end.shape[1]))
    means, variances, cells = zip(*gained, strict=True)
    return np.mean(means, axis=0), np.mean(variances, axis=0), sum(cells)


def _positions(simulation: Simulation) -> np.ndarray:
    """x, y, z of the walkers, um: float64 [3, cells]."""
    places = np.nonzero(simulation.immune == simulation.model.states.number("walker"))
    return np.array(places[::-1]) * _SPACING


def _expected_square(speed: float, persistence: float, move: float) -> float:
    """Mean square displacement of a walker that hops with speed * move / spacing a move and turns."""
    moves = round(_MINUTES / move)
    p = speed * move / _SPACING
    stays = math.exp(-move / persistence) if persistence else 0.0
    lags = np.arange(1, moves)
    together = 2 * p * p * float(np.sum((moves - lags) * stays**lags))
    return (moves * p + together) * _SPACING**2


def random_walk(machine: Machine) -> Iterator[Finding]:
    """The mean square displacement follows from speed and persistence; its limit is 6 D t.

    D = speed^2 persistence / 3 + speed dx / 6, as docs/scenarios.md has it, less the evenness of the hops.
    """
    for speed, persistence, move, axis in ((4, 0, 1.0, "x"), (4, 10, 1.0, "y"), (12, 3, 0.5, "z")):
        motility = f"{{speed: {speed} um/min, persistence: {persistence} min}}"
        _, variance, cells = _walked(machine, motility, axis, move)
        found = 3 * variance["xyz".index(axis)]
        expected = _expected_square(speed, persistence, move)
        # A variance of n cells has the relative error sqrt(2 / n).
        error = expected * math.sqrt(2 / cells)
        yield near(f"square at {speed} um/min kept {persistence} min, um^2", expected, found, absolute=4 * error)
    turning = 1 - math.exp(-_MINUTES / persistence)
    diffusivity = speed**2 * persistence / 3 * (1 - persistence / _MINUTES * turning) + speed * _SPACING / 6
    yield near("the last by 6 D t, um^2", 6 * diffusivity * _MINUTES, expected, relative=0.1)


def chemotaxis(machine: Machine) -> Iterator[Finding]:
    """Up a gradient of the receptors' occupancy, cells drift at speed * sensitivity / 3 * gradient, or by a bias."""
    speed, sensitivity = 5.0, 1000.0
    for persistence in (0, 5):
        motility = (
            f"{{speed: {speed} um/min, persistence: {persistence} min, "
            f"chemotaxis: {{field: bait, half: {_HALF} ng/mL, sensitivity: {sensitivity} um}}}}"
        )
        gained, variance, cells = _walked(machine, motility, "x")
        drift, error = gained / _MINUTES, 4 * np.sqrt(variance / cells) / _MINUTES
        along = speed * sensitivity / 3 * _SLOPE
        yield near(f"drift when headings last {persistence} min, um/min", along, drift[0], absolute=error[0])
        for name, i in (("y", 1), ("z", 2)):
            yield near(f"drift along {name}, um/min", 0, drift[i], absolute=error[i])
    motility = f"{{speed: {speed} um/min, persistence: 5 min, chemotaxis: {{along: {{bait: -3}}, bias: 0.4}}}}"
    gained, variance, cells = _walked(machine, motility, "x")
    error = 4 * np.sqrt(variance / cells) / _MINUTES
    for name, i, expected in (("x", 0, -0.4 * speed), ("y", 1, 0), ("z", 2, 0)):
        yield near(f"drift along {name} down a gradient, um/min", expected, gained[i] / _MINUTES, absolute=error[i])
