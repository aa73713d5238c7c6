"""Human melanomas in mice, under herpes simplex virus with and without a collagenase.

    PYTHONPATH=tests python tests/validation/melanoma.py --folder results/melanoma [--jobs 2] [--seeds 8] [--radius 412]
        [--arms PBS HSV HSV-collagenase] [--figure docs/images/validation/melanoma.png]

runs `melanoma-hsv` until the tumour has four times its cells, and prints the figures of docs/validation.md. Runs are
kept in the folder, so that a stopped campaign goes on. The measured volumes are those of McKee et al. 2006, means of
mice without T cells. A tumour of another radius has the same virus for each mm^3.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from validation.mice import campaign, days_to, follow

import gpusim

FOLD = 4.0
"""Multiple of the first volume, to which the arms are compared."""
MICE = {
    "PBS": {0.0: 1.0, 4.8: 2.0, 13.2: 4.1, 18.1: 6.0},
    "collagenase": {0.0: 1.0, 7.2: 2.0, 12.1: 4.0, 15.5: 6.0},
    "HSV": {0.0: 1.0, 6.5: 2.0, 15.9: 3.9, 21.4: 6.0},
    "HSV-collagenase": {0.0: 1.0, 21.1: 2.0, 39.4: 4.0, 44.5: 6.0},
}
"""Volume by day, relative to the first, of the virus MGH2: McKee et al. 2006, means of the mice."""
ARMS = {
    "PBS": {"therapies": None},
    "HSV": {},
    "HSV-collagenase": {"fields.virus.diffusion": "164 um^2/min"},
}
"""Changes to the scenario. Without virus, the collagenase changes nothing in the model. Diffusion in digested collagen
is 600 * (1 - 0.33^0.29), by a fit of Pooladvand et al. 2022 to these mice; in that of the scenario, c is 0.85."""
RADIUS = 412
"""um, of the shipped scenario."""
BESIDE = 172
"""um of healthy tissue that are left beside a tumour that has grown, as in the shipped scenario."""


def scenario(arm: str, radius: float = RADIUS) -> gpusim.Scenario:
    """Of an arm, for a tumour of some radius."""
    changes = {
        "grid.shape": [round((radius * FOLD ** (1 / 3) + BESIDE) / 20)] * 3,
        "tissue.shapes.tumour.radius": f"{radius} um",
        "time.until": "45 day",
        **ARMS[arm],
    }
    if arm != "PBS":
        shipped = gpusim.Scenario.load("melanoma-hsv")
        dose = next(str(number.value) for number in shipped.numbers if number.path == "therapies.injection.amount")
        changes["therapies.injection.amount"] = f"{float(dose.split()[0]) * (radius / RADIUS) ** 3:.4g} PFU"
        changes["therapies.injection.radius"] = f"{radius / 3} um"
    return gpusim.Scenario.load("melanoma-hsv", changes)


def run(arm: str, seed: int, radius: float = RADIUS, folder: Path | None = None, threads: int = 1) -> pd.DataFrame:
    """As of `mice.follow`."""
    kept = folder and folder / f"{arm}-{radius:g}-{seed}.json"
    return follow(scenario(arm, radius), seed, FOLD, 0, kept, threads)


def measured(arm: str) -> float:
    """Day of four times the volume in the mice, along an exponential."""
    return days_to(pd.DataFrame(MICE[arm].items(), columns=["day", "cells"]), FOLD)


def figure(runs: dict[str, list[pd.DataFrame]], path: Path) -> None:
    """Volumes by day: a line for each seed, points for the mice."""
    import matplotlib.pyplot as plt

    colours = {"PBS": "#54433c", "collagenase": "#a08c74", "HSV": "#0072b2", "HSV-collagenase": "#d55e00"}
    names = {"HSV-collagenase": "HSV and collagenase"}
    drawn, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    for arm, colour in colours.items():
        name = names.get(arm, arm)
        for frame in runs.get(arm, []):
            label = f"{name}, model" if frame is runs[arm][0] else None
            axes.plot(frame["day"], frame["cells"] / frame["cells"][0], color=colour, linewidth=0.9, label=label)
        axes.plot(list(MICE[arm]), list(MICE[arm].values()), "o", color=colour, mfc="none", label=f"{name}, mice")
    axes.axhline(FOLD, color="#000000", linewidth=0.8, linestyle=":")
    axes.set(xlabel="days after the first injection", ylabel="volume, relative to the first", yscale="log")
    axes.set(xlim=(0, 46), ylim=(0.4, 10))
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    drawn.savefig(path, dpi=110)


def main() -> None:
    """Run what is missing, and print a row for each arm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("results/melanoma"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--radius", type=float, default=RADIUS, help="um")
    parser.add_argument("--threads", type=int, default=1, help="of each run")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    one = partial(run, radius=arguments.radius, folder=arguments.folder, threads=arguments.threads)
    runs = campaign(one, arguments.arms, range(1, arguments.seeds + 1), arguments.jobs)
    for arm in arguments.arms:
        days = np.array([days_to(frame, FOLD) for frame in runs[arm]])
        infections = np.array([frame["infections"].iloc[-1] for frame in runs[arm]])
        print(f"{arm}: median day of {FOLD:g} times the cells {np.median(days):.1f} ", end="")
        print(f"({days.min():.1f} to {days.max():.1f}; mice {measured(arm):.1f}); ", end="")
        print(f"infections {np.median(infections):.0f} ({infections.min()} to {infections.max()}); ", end="")
        print(f"without cells {sum(not frame['cells'].iloc[-1] for frame in runs[arm])} of {len(days)}")
    if arguments.figure:
        figure(runs, arguments.figure)


if __name__ == "__main__":
    main()
