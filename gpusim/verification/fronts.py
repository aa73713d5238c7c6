"""Fronts that spread: a reacting field, and cells that colonise what is beside them."""

from collections.abc import Iterator

import numpy as np

from gpusim.verification.case import Finding, Machine, at_most, begin_with, near

_FISHER = """
grid: {{shape: [{cells}, 1, 1], spacing: {spacing} um}}
time: {{until: 1000 h, step: {{field: {step} min, rules: {step} min}}}}
record: {{every: 1000 h}}
fields:
  u:
    unit: ng/mL
    diffusion: {diffusion} um^2/min
    clearance: {{crowding: {{rate: {rate} /min, modulators: [{{field: u, per: 1}}]}}}}
states: {{cell: {{secretion: {{u: {{rate: {rate} ng/mL/min, modulators: [{{field: u, per: 1}}]}}}}}}}}
tissue: {{background: cell}}
"""


def fisher(machine: Machine) -> Iterator[Finding]:
    """u' = D u'' + r u (1 - u): the front tends to 2 sqrt(r D) from below, as 1 - 3 / (4 r t).

    The approach: Bramson 1983; its next term, 3 sqrt(pi) / 4 (r t)^(-3/2): Ebert and van Saarloos 2000.
    """
    diffusion, rate, spacing, step = 100.0, 0.1, 8.0, 0.2
    speed = 2 * np.sqrt(rate * diffusion)
    text = _FISHER.format(cells=720, spacing=spacing, step=step, diffusion=diffusion, rate=rate)
    times, places = [], []
    with machine.simulate(text) as simulation:
        x = (np.arange(720) + 0.5) * spacing
        begin_with(simulation, u=(x < 100).astype(float))
        for _ in range(40):
            simulation.step(100)
            u = simulation.field("u")[0, 0].astype(float)
            last = np.flatnonzero(u > 0.5)[-1]
            times.append(simulation.minutes)
            places.append(x[last] + spacing * (u[last] - 0.5) / (u[last] - u[last + 1]))
    t, found = np.array(times), np.array(places)
    speeds, middles = np.diff(found) / np.diff(t), (t[1:] + t[:-1]) / 2
    approach = 1 - 3 / (4 * rate * middles) + 3 * np.sqrt(np.pi) / 4 * (rate * middles) ** -1.5
    late = rate * middles > 30
    # The lattice makes a front sqrt(D / r) = 4 dx wide (1 / 4)^2 / 24 = 0.3% faster, a step of r dt = 0.02 some 0.5%
    # slower; the next term of the approach is of the size 1 / (r t)^2, 0.1% at first.
    yield near("speed less its approach, um/min", speed, np.mean(speeds[late] / approach[late]), relative=0.015)
    yield Finding("highest speed on the way, um/min", speed, speeds.max(), 0.0, speed)
    slower = np.polyfit(1 / middles[late], speeds[late] / speed, 1)[0] * rate
    yield near("share lost at time t, times r t", -0.75, slower, absolute=0.25)


_EDEN = """
grid: {{shape: [{n}, {n}, {n}]}}
time: {{until: 1000 h, step: {{field: 1 min, rules: 1 min}}}}
record: {{every: 1000 h}}
states: {{tumour: {{}}}}
rules: {{division: {{transition: empty -> tumour, rate: 0.02 /min, modulators: [{{neighbours: tumour}}]}}}}
tissue: {{shapes: {{seed: {{kind: sphere, state: tumour, radius: 50 um}}}}}}
"""

_AXES = np.vstack([np.eye(3), -np.eye(3)])
_DIAGONALS = np.array([(x, y, z) for x in (1, -1) for y in (1, -1) for z in (1, -1)]) / np.sqrt(3)
_CONE = np.cos(np.radians(12))


def eden(machine: Machine) -> Iterator[Finding]:
    """A colony that colonises at a rate in proportion to the tumour cells among 26 neighbours: a ball.

    Its radius grows linearly. The lattice shows by 2% between axis and diagonal at 30 voxels; with the
    nearest 18 by 2% the other way, with the nearest 6 by 6%, which would fail here.
    """
    n, largest = 75, 30.0
    axes, diagonals, bends = [], [], []
    for seed in (1, 2):
        radii: list[float] = []
        with machine.simulate(_EDEN.format(n=n), seed=seed) as simulation:
            while not radii or radii[-1] < largest:
                simulation.step(4)
                radii.append((3 * simulation.count("tumour") / (4 * np.pi)) ** (1 / 3))
            cells = np.argwhere(simulation.tissue == simulation.model.states.number("tumour")) - n // 2
        distance = np.linalg.norm(cells, axis=1)
        axes.append(_radius(cells, distance, _AXES))
        diagonals.append(_radius(cells, distance, _DIAGONALS))
        grown = np.array(radii)[np.array(radii) > 10]
        times = np.arange(grown.size)
        bends.append(np.abs(np.polyval(np.polyfit(times, grown, 1), times) - grown).max())
    yield near("radius along axes / diagonals", 1, float(np.mean(axes) / np.mean(diagonals)), absolute=0.05)
    yield at_most("radius off a line in time, of the last", 0.01, max(bends) / largest)


def _radius(cells: np.ndarray, distance: np.ndarray, directions: np.ndarray) -> float:
    """Radius of the ball that has as many cells in cones about the directions."""
    inside = sum(int(np.sum(cells @ d >= _CONE * distance)) for d in directions)
    return float((inside / len(directions) * 3 / (2 * np.pi * (1 - _CONE))) ** (1 / 3))
