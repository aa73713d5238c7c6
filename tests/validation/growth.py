"""Untreated tumours of the library: how fast they grow, compared with measurements.

    PYTHONPATH=tests python tests/validation/growth.py [--seeds 1] [--figure docs/images/validation/growth.png]

prints the figures of docs/validation.md. A tumour begins as a sphere with a radius of 200 um in a lattice of 1.3 mm and
grows to eight times its number of cells.
"""

import argparse
from pathlib import Path

import numpy as np
from validation.published import simulation

MEASURED = {"melanoma": 7.4, "b16": 2.8, "ct26": 3.6}
"""Doubling times, day: McKee et al. 2006 (human melanoma in mice, to ten times the volume), B16 in mice, and the median
of eight mice with CT26 until day 35 (Int. J. Mol. Sci. 2024, 25, 211)."""
XENOGRAFT = {0: 1, 4.8: 2, 13.2: 4.1, 18.1: 6, 21.4: 8.1}
"""Volume of untreated human melanoma in mice by day, relative to the beginning: McKee et al. 2006, mean of the mice."""
FOLDS = (1, 2, 4, 8)
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
    arguments = parser.parse_args()
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
