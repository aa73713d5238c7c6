"""The limit in which space does not matter: ordinary differential equations."""

from collections.abc import Iterator

import numpy as np
from scipy.integrate import solve_ivp

from gpusim.verification.case import Finding, Machine, near

_SIDE = 16
_CELLS = _SIDE**3
_SEEDS = range(1, 5)
_INFECTION = """
grid: {{shape: [16, 16, 16]}}
time: {{until: 1000 h, step: {{field: {step} min, rules: {step} min}}}}
record: {{every: 1000 h}}
fields:
  virus: {{unit: PFU/voxel, diffusion: 1e4 um^2/min, decay: {c} /min, initial: {start}}}
states:
  target: {{}}
  infected: {{secretion: {{virus: {p} PFU/voxel/min}}}}
  dead: {{}}
rules:
  infection: {{transition: target -> infected, rate: {b} /min, modulators: [{{field: virus, per: 1 PFU/voxel}}]}}
  death: {{transition: infected -> dead, rate: {d} /min}}
tissue: {{background: target}}
"""


def target_cells(machine: Machine) -> Iterator[Finding]:
    """With fast virus, the mean of seeds follows T' = -bTV, I' = bTV - dI, V' = pI - cV."""
    b, c, d, p, start, step = 0.01, 0.1, 0.04, 0.8, 1.0, 0.5  # R0 = b p / (c d) = 2
    times = (40, 80, 120)
    text = _INFECTION.format(b=b, c=c, d=d, p=p, start=start, step=step)
    found = []
    for seed in _SEEDS:
        with machine.simulate(text, seed) as simulation:
            rows = []
            for _ in times:
                simulation.step(round(40 / step))
                counts = simulation.counts
                rows.append([counts["target"], counts["infected"], simulation.totals()["virus"]])
            found.append(np.array(rows) / _CELLS)

    def change(_: float, y: np.ndarray) -> list[float]:
        t, i, v = y
        return [-b * t * v, b * t * v - d * i, p * i - c * v]

    exact = solve_ivp(change, (0, times[-1]), [1, 0, start], t_eval=times, rtol=1e-9, atol=1e-12).y.T
    mean, spread = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
    for k, what in enumerate(("target cells", "infected cells", "virus")):
        for j, minutes in enumerate(times):
            # Four standard errors, and what steps of first order miss: c dt / 2 of the number.
            room = 4 * spread[j, k] / np.sqrt(len(found)) + c * step / 2 * exact[j, k]
            yield near(f"{what} a voxel at {minutes} min", exact[j, k], mean[j, k], absolute=room)


def extinction(machine: Machine) -> Iterator[Finding]:
    """With R0 = b p / (c d) = 0.5 an infection dies out, after 1 / (1 - R0) times what the first virus infects."""
    b, c, d, p, start, step = 0.002, 0.1, 0.04, 1.0, 2.0, 2.0
    text = _INFECTION.format(b=b, c=c, d=d, p=p, start=start, step=step)
    infected, alive = [], 0
    for seed in _SEEDS:
        with machine.simulate(text, seed) as simulation:
            simulation.step(300)
            infected.append(simulation.fired["infection"])
            alive += simulation.count("infected")
    yield near("infected cells in the end, all seeds", 0, alive)
    # ln(T0 / T) = R0 (1 - T) + b V0 / c, the final size of these equations.
    share = 0.0
    for _ in range(200):
        share = 1 - np.exp(-(b * p / (c * d)) * share - b * start / c)
    # An infected cell lives d dt / 2 too long.
    room = 4 * np.std(infected, ddof=1) / np.sqrt(len(infected)) + d * step / 2 * share * _CELLS
    yield near("cells ever infected", share * _CELLS, float(np.mean(infected)), absolute=room)
