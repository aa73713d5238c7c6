"""CT26 tumours in mice, untreated and under vesicular stomatitis virus.

    PYTHONPATH=tests python tests/validation/ct26.py --folder results/ct26 [--jobs 2] [--seeds 8] [--radius 412]
        [--arms PBS VSV] [--figure docs/images/validation/ct26.png [--measured ct26_vsv_mice.csv]]

runs `ct26-vsv` until the tumour has grown as from 18.7 to 200 mm^3 and prints the figures of docs/validation.md. Runs
are kept in the folder, so that a stopped campaign goes on. The measured mice are those of Int. J. Mol. Sci. 2024, 25,
211: two arms of eight. A tumour of another radius has the same virus for each mm^3.

Two arms more have T cells: the prediction for a virus with the genes of GM-CSF and interleukin 12, whose measurements
are kept back, and the same without these genes.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import pandas as pd

import gpusim

FIRST_DAY = 11
"""Day of the first dose, after the injection of tumour cells."""
FOLD = 200 / 18.7
"""From the median volume on this day to 200 mm^3."""
MICE = {
    "PBS": (16.0, 17.5, 18.0, 18.5, 21.4, 21.6, 30.6, 32.3),
    "VSV": (16.4, 19.6, 26.9, 27.3, 28.2, 31.2, 44.3, np.inf),
}
"""Days to 200 mm^3 of the mice of each arm, between the days of measurement along an exponential; one was cured."""
SPREAD = 0.18
"""Standard deviation of the logarithm of the growth rates of the eight mice without virus (0.145 to 0.247 /day)."""
RADIUS = 412
"""um, of the shipped scenario."""
PARTS = {
    "PBS": "[ct26-vsv]",
    "VSV": "[ct26-vsv]",
    "VSV-T": "[ct26-vsv, desert]",
    "armed-T": "[hsv1-gmcsf, hsv1-il12, ct26-vsv, desert]",
}
"""What the scenario of an arm extends. The genes of the armed virus have the numbers of a herpes simplex virus."""
OF_BODY = {
    "rules.ctl_recruitment.modulators[1].half": "1000 cell",
    "rules.helper_recruitment.modulators[1].half": "1000 cell",
    "body.processes.recall.modulators[0].half": "5 cell",
    "body.processes.expansion.modulators[0].half": "15 cell",
    "body.processes.expansion.modulators[1].half": "10000 cell",
}
"""Numbers in proportion to the lattice's share of the body, for 48^3 voxels; that of antibody is inversely so."""


def scenario(arm: str, seed: int, radius: float) -> gpusim.Scenario:
    """Of a mouse, whose growth rate belongs to the seed: all arms have the same mice."""
    shipped = gpusim.Scenario.draft(f"extends: {PARTS[arm]}\nname: {arm}\n", Path("mouse.yaml"))
    rate = float(np.exp(SPREAD * np.random.default_rng(seed).standard_normal()))
    division = shipped.document.rules["division"].rate
    n = round(54 * (radius + 60) / (RADIUS + 60))
    changes = {
        "grid.shape": [n] * 3,
        "tissue.shapes.tumour.radius": f"{radius} um",
        "rules.division.rate": f"{float(division.split()[0]) * rate:.4g} /min",
        "therapies.injection.amount": f"{3900 * (radius / RADIUS) ** 3:.4g} PFU",
        "therapies.injection.radius": f"{radius / 2} um",
        "time.until": "35 day",
    }
    if arm == "PBS":
        changes = {k: v for k, v in changes.items() if not k.startswith("therapies")} | {"therapies": None}
    if "desert" in PARTS[arm]:
        share = (n / 48) ** 3
        changes |= {path: f"{float(value.split()[0]) * share:.4g} cell" for path, value in OF_BODY.items()}
        changes["body.processes.secretion_of_antibody.rate"] = f"{0.01 / share:.4g} ug/mL/day/cell"
    return shipped.overridden(changes)


def run(arm: str, seed: int, radius: float = RADIUS, fold: float = FOLD) -> pd.DataFrame:
    """Columns `day`, `cells` of the tumour (dead ones too), `infections`, until it has some multiple of its cells."""
    rows = []
    with gpusim.Simulation(scenario(arm, seed, radius), "cpu", seed=seed, threads=1) as running:
        while True:
            cells = sum(running.counts[state] for state in ("tumour", "exposed", "infected", "necrotic"))
            day = FIRST_DAY + running.minutes / 1440
            rows.append({"day": day, "cells": cells, "infections": running.fired["infection"]})
            if not cells or cells >= fold * rows[0]["cells"] or running.steps >= running.model.until:
                return pd.DataFrame(rows)
            running.run(until=f"{running.minutes / 60 + 6:.0f} h")


def days_to(frame: pd.DataFrame, fold: float = FOLD) -> float:
    """Day on which a tumour has reached some multiple of its start; infinite where it has not."""
    cells = frame["cells"].to_numpy(float)
    above = np.flatnonzero(cells >= fold * cells[0])
    if not len(above):
        return np.inf
    last = above[0]
    share = np.log(fold * cells[0] / cells[last - 1]) / np.log(cells[last] / cells[last - 1])
    return float(frame["day"][last - 1] + share * (frame["day"][last] - frame["day"][last - 1]))


def interval(days: np.ndarray, draws: int = 20_000) -> tuple[float, float]:
    """Of the median, 95%, by bootstrap."""
    drawn = np.median(np.random.default_rng(1).choice(days, (draws, len(days))), axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5], method="nearest")
    return float(low), float(high)


def figure(runs: dict[str, list[pd.DataFrame]], path: Path, measured: pd.DataFrame | None) -> None:
    """Volumes by day, and the share of the tumours below 200 mm^3: mice and model."""
    import matplotlib.pyplot as plt

    drawn, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for arm, colour in (("PBS", "#54433c"), ("VSV", "#0072b2")):
        for frame in runs[arm]:
            volume = 18.7 * frame["cells"] / frame["cells"][0]
            label = f"{arm}, model" if frame is runs[arm][0] else None
            left.plot(frame["day"], volume, color=colour, linewidth=0.9, label=label)
        if measured is not None:
            mice = measured[(measured["arm"] == "PBS") == (arm == "PBS")]
            days, volume = mice["day_after_inoculation"], mice["volume_mm3"]
            left.plot(days, volume, "o" if arm == "PBS" else "^", color=colour, mfc="none", ms=4, label=f"{arm}, mice")
        for days, style, name in ((MICE[arm], "--", "mice"), ([days_to(f) for f in runs[arm]], "-", "model")):
            known = np.sort([day for day in days if np.isfinite(day)])
            share = 1 - np.arange(len(known) + 1) / len(days)
            right.step([FIRST_DAY, *known, 45], [*share, share[-1]], style, where="post", color=colour)
            right.plot([], [], style, color=colour, label=f"{arm}, {name}")
    left.axhline(200, color="#000000", linewidth=0.8, linestyle=":")
    left.set(xlabel="days after the injection of tumour cells", ylabel="volume, mm$^3$", yscale="log")
    left.set(xlim=(10, 46), ylim=(5, 6000))
    left.legend(frameon=False, fontsize=8)
    right.set(xlabel="days after the injection of tumour cells", ylabel="share below 200 mm$^3$", ylim=(0, 1.05))
    right.legend(frameon=False, fontsize=8)
    drawn.savefig(path, dpi=110)


def kept(folder: Path, arm: str, seed: int, radius: float) -> pd.DataFrame:
    """A run, from the folder where it is there."""
    file = folder / f"{arm}-{radius:g}-{seed}.csv"
    if not file.exists():
        frame = run(arm, seed, radius)
        part = file.with_suffix(".part")
        frame.to_csv(part, index=False)
        part.rename(file)
    return pd.read_csv(file)


def main() -> None:
    """Run what is missing, and print a row for each arm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("results/ct26"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--radius", type=float, default=RADIUS, help="um")
    parser.add_argument("--arms", nargs="+", choices=list(PARTS), default=list(MICE))
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--measured", type=Path, help="a table of the mice's volumes, for points in the figure")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(arguments.jobs) as pool:
        waiting = {
            pool.submit(kept, arguments.folder, arm, seed, arguments.radius): (arm, seed)
            for seed in range(1, arguments.seeds + 1)
            for arm in arguments.arms
        }
        for done in as_completed(waiting):
            print(*waiting[done], f"{days_to(done.result()):.1f}", flush=True)
    runs = {
        arm: [kept(arguments.folder, arm, seed, arguments.radius) for seed in range(1, arguments.seeds + 1)]
        for arm in arguments.arms
    }
    for arm in arguments.arms:
        days = np.array([days_to(frame) for frame in runs[arm]])
        print(f"{arm}: median day of 200 mm^3 {np.median(days):.1f} ({days.min():.1f} to {days.max():.1f}); ", end="")
        print(f"without cells {sum(not frame['cells'].iloc[-1] for frame in runs[arm])} of {len(days)}", end="")
        if arm in MICE:
            low, high = interval(np.array(MICE[arm]))
            print(f"; mice {np.median(MICE[arm]):.1f} ({low:.1f} to {high:.1f})", end="")
        print()
    if arguments.figure:
        figure(runs, arguments.figure, pd.read_csv(arguments.measured) if arguments.measured else None)


if __name__ == "__main__":
    main()
