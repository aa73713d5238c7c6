"""Rules against the theory of hazards."""

from collections.abc import Iterator

import numpy as np
from scipy import stats

from gpusim.verification.case import Finding, Machine, at_most, near

_CELLS = 24**3
_CONFIDENCE = 0.999


def _lattice(rules: str) -> str:
    return f"""
grid: {{shape: [24, 24, 24]}}
time: {{until: 1000 h, step: {{field: 1 min, rules: 1 min}}}}
record: {{every: 1000 h}}
states: {{a: {{}}, b: {{}}, c: {{}}}}
tissue: {{background: a}}
rules: {rules}
"""


def _survival(machine: Machine, rule: str, minutes: int) -> np.ndarray:
    """Share of the cells that have left `a`, by minute from 1: float64 [minutes]."""
    left = []
    with machine.simulate(_lattice(f"{{leave: {{transition: a -> b, {rule}}}}}")) as simulation:
        for _ in range(minutes):
            simulation.step()
            left.append(simulation.fired["leave"])
    return np.array(left) / _CELLS


def survival(machine: Machine) -> Iterator[Finding]:
    """A rate alone gives exponential survival, after a minimum time a shifted one (Kolmogorov-Smirnov)."""
    # The largest gap between the empirical and the true distribution, read at the ends of the steps.
    band = stats.kstwo(_CELLS).ppf(_CONFIDENCE)
    minutes = np.arange(1, 151)
    gap = np.abs(_survival(machine, "rate: 0.02 /min", 150) - (1 - np.exp(-0.02 * minutes))).max()
    yield at_most("gap to exponential survival", band, gap)
    shifted = _survival(machine, "rate: 0.05 /min, after: 30 min", 100)
    minutes = np.arange(1, 101)
    gap = np.abs(shifted - np.clip(1 - np.exp(-0.05 * (minutes - 30)), 0, None)).max()
    yield at_most("gap to survival shifted by 30 min", band, gap)
    yield at_most("share gone within the 30 min", 0, shifted[29])


def competition(machine: Machine) -> Iterator[Finding]:
    """Of two hazards, each takes its share by rate, and together they empty the state by their sum."""
    rules = "{to_b: {transition: a -> b, rate: 0.03 /min}, to_c: {transition: a -> c, rate: 0.01 /min}}"
    with machine.simulate(_lattice(rules)) as simulation:
        simulation.step(25)
        early = simulation.count("a") / _CELLS
        simulation.step(475)
        fired = simulation.fired
    width = stats.norm.ppf(0.5 + _CONFIDENCE / 2) / np.sqrt(_CELLS)
    left = np.exp(-0.04 * 25)
    yield near("share left after 25 min", left, early, absolute=width * np.sqrt(left * (1 - left)))
    share = fired["to_b"] / (fired["to_b"] + fired["to_c"])
    yield near("share of a hazard of 3 against 1", 0.75, share, absolute=width * np.sqrt(0.75 * 0.25))
    yield near("cells that left, of all", 1, sum(fired.values()) / _CELLS)
