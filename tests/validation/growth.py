"""Untreated tumours of the library: how fast they grow, compared with measurements.

    PYTHONPATH=tests python tests/validation/growth.py [--seeds 1] [--figure docs/images/validation/growth.png]

prints the figures of docs/validation.md. A tumour begins as a sphere with a radius of 200 um in a lattice of 1.3 mm and
grows to eight times its number of cells. With `--depth`, it fits the growth and the depth of the dividing rim to the
volumes of mice with CT26, whose tumours are larger than a lattice, and draws them instead.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.integrate import cumulative_trapezoid
from scipy.optimize import least_squares
from validation.published import simulation

MEASURED = {"melanoma": 7.4, "b16": 2.8, "ct26": 2.1}
"""Doubling times while all cells divide, day: McKee et al. 2006 (human melanoma in mice, to ten times the volume), B16
in mice, and the fit to eight mice with CT26 below."""
XENOGRAFT = {0: 1, 4.8: 2, 13.2: 4.1, 18.1: 6, 21.4: 8.1}
"""Volume of untreated human melanoma in mice by day, relative to the beginning: McKee et al. 2006, mean of the mice."""
FOLDS = (1, 2, 4, 8)
CONTROLS = Path(__file__).parent / "ct26_controls.csv"
START = 18.7
"""mm^3, the median volume of the mice with CT26 on the first day."""
DEPTHS = np.geomspace(0.1, 10, 81)
"""mm."""
SCENARIO = """
extends: {tumour}
name: growth
grid: {{shape: [{n}, {n}, {n}]}}
tissue: {{shapes: {{tumour: {{radius: 200 um}}}}}}
time: {{until: 60 day, step: {{field: 15 min, rules: 15 min}}}}
"""


def grow(tumour: str, seed: int = 1, until: float = FOLDS[-1], n: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Days, and cells relative to the start, of a tumour of the library until it has some multiple of its cells."""
    with simulation(SCENARIO.format(tumour=tumour, n=n), seed) as running:
        cells = [running.count("tumour")]
        while cells[-1] < until * cells[0]:
            running.step(16)
            cells.append(running.count("tumour"))
        days = running.minutes / 1440 * np.linspace(0, 1, len(cells))
    return days, np.array(cells) / cells[0]


def doubling(days: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Days from each of `FOLDS` that is reached to the next."""
    reached = [each for each in FOLDS if each <= fold[-1]]
    return np.diff(np.interp(np.log(reached), np.log(fold), days))


# A ball of which only a rim divides


_IN_DEPTHS = np.linspace(1, 200, 200_000)
_TIMES = cumulative_trapezoid(_IN_DEPTHS**2 / (_IN_DEPTHS**2 - _IN_DEPTHS + 1 / 3), _IN_DEPTHS, initial=0)
"""Time at which a ball has grown to so many depths of its rim, times the growth; 0 where the rim is the whole ball."""


def volumes(days: np.ndarray, first: float, growth: float, depth: float) -> np.ndarray:
    """Volume of a ball, mm^3, whose cells divide down to a depth.

    With the radius R, dR/dt = growth / 3 R while R is below the depth d, and then growth d (1 - d / R + d^2 / (3 R^2)).

    Args:
        days: float64 [n], since the volume was `first`, mm^3.
        growth: of the volume that divides, 1/day.
        depth: mm.
    """
    ratio = (3 * first / (4 * np.pi)) ** (1 / 3) / depth
    start = 3 * np.log(ratio) if ratio < 1 else np.interp(ratio, _IN_DEPTHS, _TIMES)
    time = start + growth * days
    radii = np.where(time < 0, np.exp(np.minimum(time, 0) / 3), np.interp(time, _TIMES, _IN_DEPTHS))
    return np.asarray(4 / 3 * np.pi * (depth * radii) ** 3)


@dataclass(frozen=True)
class Rim:
    """Fits at all `DEPTHS`.

    Attributes:
        growth, first: float64 [depths, mice], 1/day and mm^3.
        squares: float64 [depths, mice], of differences of the logarithm of the volume.
        likelihood: float64 [depths], logarithm, where the variance is that of the fit.
    """

    growth: np.ndarray
    first: np.ndarray
    squares: np.ndarray
    likelihood: np.ndarray

    @property
    def best(self) -> int:
        """Of the depths."""
        return int(np.argmax(self.likelihood))

    @property
    def interval(self) -> tuple[float, float]:
        """Of the depth, 95%, mm: where the logarithm of the likelihood is less than 1.92 below the largest."""
        within = DEPTHS[self.likelihood > self.likelihood.max() - 1.92]
        return float(within[0]), float(within[-1])


def mice() -> list[pd.DataFrame]:
    """Columns `day`, `volume_mm3` of each mouse."""
    return [each for _, each in pd.read_csv(CONTROLS, comment="#").groupby("mouse")]


def fit(measured: Sequence[pd.DataFrame], depths: np.ndarray = DEPTHS) -> Rim:
    """Growth and first volume of each mouse by least squares of the logarithms, with one depth for all mice."""
    growth, first, squares = np.zeros((3, len(depths), len(measured)))
    for m, each in enumerate(measured):
        days = each["day"].to_numpy(float) - each["day"].iloc[0]
        logs = np.log(each["volume_mm3"].to_numpy(float))
        start = np.array([logs[0], np.log(0.2)])
        for d in reversed(range(len(depths))):  # the next depth starts where the last has ended

            def off(given: np.ndarray, d: int = d, days: np.ndarray = days, logs: np.ndarray = logs) -> np.ndarray:
                return np.log(volumes(days, np.exp(given[0]), np.exp(given[1]), depths[d])) - logs

            found = least_squares(off, start)
            first[d, m], growth[d, m], squares[d, m] = *np.exp(found.x), 2 * found.cost
            start = found.x
    n = sum(map(len, measured))
    return Rim(growth, first, squares, -n / 2 * np.log(squares.sum(axis=1) / n))


def mean_doubling(days: np.ndarray, volume: np.ndarray) -> float:
    """By a regression of the logarithm of the volume, days."""
    return float(np.log(2) / np.polyfit(days, np.log(volume), 1)[0])


def figure_of_depth(found: Rim, measured: Sequence[pd.DataFrame], path: Path) -> None:
    """The mice with their curves, and the likelihood by depth."""
    import matplotlib.pyplot as plt

    drawn, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for m, each in enumerate(measured):
        colour = f"C{m}"
        days = np.linspace(0, each["day"].iloc[-1] - each["day"].iloc[0])
        curve = volumes(days, found.first[found.best, m], found.growth[found.best, m], DEPTHS[found.best])
        left.plot(days + each["day"].iloc[0], curve, color=colour, linewidth=1)
        left.plot(each["day"], each["volume_mm3"], "o", color=colour, mfc="none", ms=4)
    left.set(xlabel="days after the injection of tumour cells", ylabel="volume, mm$^3$", yscale="log")
    right.plot(DEPTHS, found.likelihood - found.likelihood.max(), color="#0072b2")
    right.axhline(-1.92, color="#000000", linewidth=0.8, linestyle=":")
    right.set(xlabel="depth of the dividing rim, mm", ylabel="log likelihood, below the best", xscale="log")
    right.set(ylim=(-12, 0.5))
    drawn.savefig(path, dpi=110)


def depth_of_rim(path: Path | None) -> None:
    """Print what the mice with CT26 tell of the depth."""
    measured = mice()
    found = fit(measured)
    growth = np.sort(found.growth[found.best])
    print(f"depth {DEPTHS[found.best]:.2f} mm ({found.interval[0]:.2f} to {found.interval[1]:.2f})")
    print(f"growth {np.median(growth):.3f} ({growth[0]:.3f} to {growth[-1]:.3f}) /day, ", end="")
    print(f"standard deviation of its logarithm {np.std(np.log(growth), ddof=1):.2f}")
    for depth in (0.2, 1.0, 10.0):
        d = int(np.argmin(np.abs(DEPTHS - depth)))
        days = np.linspace(0, 28, 29)
        curve = volumes(days, START, float(np.median(found.growth[d])), DEPTHS[d])
        doubling = [mean_doubling(days[:n], curve[:n]) for n in (12, 25)]
        print(f"depth {DEPTHS[d]:.2f} mm: log likelihood {found.likelihood[d] - found.likelihood.max():.2f}; ", end="")
        print(f"doubling to day 22 in {doubling[0]:.2f}, to day 35 in {doubling[1]:.2f} days; ", end="")
        print(f"200 mm^3 on day {11 + np.interp(200, curve, days):.1f}")
    if path:
        figure_of_depth(found, measured, path)


def figure(curves: dict[str, list[tuple[np.ndarray, np.ndarray]]], path: Path) -> None:
    """A panel for each tumour: its runs, and what was measured."""
    import matplotlib.pyplot as plt

    drawn, panels = plt.subplots(1, len(curves), figsize=(3.6 * len(curves), 3), sharey=True, layout="constrained")
    for panel, (tumour, runs) in zip(np.atleast_1d(panels), curves.items(), strict=True):
        for days, fold in runs:
            panel.plot(days, fold, color="#0072b2", label="model" if days is runs[0][0] else None)
        if tumour == "melanoma":
            panel.plot(list(XENOGRAFT), list(XENOGRAFT.values()), "o", color="#d55e00", label="McKee et al. 2006")
        else:
            days = np.linspace(0, 3 * MEASURED[tumour], 2)
            label = f"doubling in {MEASURED[tumour]} days, as measured"
            panel.plot(days, 2 ** (days / MEASURED[tumour]), "--", color="#d55e00", label=label)
        panel.set(title=tumour, xlabel="days", yscale="log", yticks=FOLDS, yticklabels=FOLDS)
        panel.minorticks_off()
        panel.legend(frameon=False, fontsize=8)
    np.atleast_1d(panels)[0].set_ylabel("tumour, relative to the start")
    drawn.savefig(path, dpi=110)


def main() -> None:
    """Print a row for each tumour."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--tumours", nargs="*", default=list(MEASURED))
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--depth", action="store_true", help="of the dividing rim, from mice")
    arguments = parser.parse_args()
    if arguments.depth:
        depth_of_rim(arguments.figure)
        return
    curves = {}
    for tumour in arguments.tumours:
        curves[tumour] = [grow(tumour, seed) for seed in range(1, arguments.seeds + 1)]
        times = np.array([doubling(*curve) for curve in curves[tumour]])
        found = ", ".join(f"{low:.2f} to {high:.2f}" for low, high in zip(times.min(0), times.max(0), strict=True))
        print(f"{tumour}: measured {MEASURED[tumour]} days; doubling of cells in {found} days", flush=True)
    if arguments.figure:
        figure(curves, arguments.figure)


if __name__ == "__main__":
    main()
