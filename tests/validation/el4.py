"""EL4 lymphoma in mice with transferred T cells: which mechanism makes it regress.

    PYTHONPATH=tests python tests/validation/el4.py [--seeds 3] [--figure docs/images/validation/el4.png]

prints the figures of docs/validation.md. Breart et al. 2008 (J. Clin. Invest. 118, 1390) transferred T cells on day 5
and measured their density in the tumour two and three days later, and how long one T cell takes to kill a cell. Beck et
al. 2019 (Cancer Res. 79, 3406) read off the volumes and argued that contact killing does not suffice. Here the tumour
begins on day 7 as an eighth of a ball. It has 1e6 cells per mm^3, as in Beck et al.: a cell of the lattice stands for
eight, T cells too. T cells are kept at the measured density.
"""

import argparse
from pathlib import Path

import numpy as np
from validation.published import simulation

START = 7
"""Day after the injection of tumour cells."""
TREATED = {7: (1.072, 1.072, 2.788, 3.619), 10: (0.134, 0.0168, 0.134, 0.262), 12: (0.0565, 0.0565, 0.0565, 0.01)}
"""Volumes of four mice with transferred T cells by day, mm^3."""
UNTREATED = {7: (2.788, 0.134, 0.134), 10: (28.95, 14.37, 12.21), 12: (56.55, 32.73, 56.55), 14: (93.7, 166.5, 277.8)}
"""Volumes of three mice without, mm^3."""
DENSITY = {7: 1.3e4, 8: 2.5e4}
"""T cells per mm^3 by day (standard error 0.2e4 and 0.3e4); later ones were not measured."""
SPACING = 20
"""um."""
KILLS = 4
"""Per T cell and day: 6 h for each."""
PER_MM3 = 1e-6
"""Volume of a cell, mm^3: T cells per tumour cell are the density times this."""
SCENARIO = """
grid: {{shape: [{n}, {n}, {n}], spacing: {spacing} um}}
time: {{until: 30 day, step: {{field: 10 min, rules: 10 min}}}}
fields:
  ifng: {{unit: ng/mL, diffusion: 600 um^2/min, decay: {decay} /min}}
states:
  tumour: {{}}
  ctl:
    layer: immune
    motility: {{speed: 0.4 um/min, persistence: 10 min, enters: tumour}}
    secretion: {{ifng: 8 ng/mL/min}}
traits:
  hits: {{of: tumour, most: 10, at_division: share}}
rules:
  division:
    transition: tumour -> tumour + tumour
    rate: {division} /day
    reach: {reach} um
    modulators: [{{field: ifng, half: 0.5 ng/mL, effect: inhibits}}]
  hit: {{transition: ctl -> ctl, rate: 1/(2 hour), partner: tumour, add: {{hits: 1}}}}
  killing: {{transition: tumour -> empty, rate: 1/(1 hour), modulators: [{{trait: hits, above: 3}}]}}
tissue:
  shapes:
    tumour: {{kind: sphere, state: tumour, centre: [0 um, 0 um, 0 um], radius: {radius} um}}
    ctl: {{kind: sphere, state: ctl, centre: [0 um, 0 um, 0 um], radius: {radius} um, fraction: {ctl}}}
"""
"""Numbers of 'biology' with the same names; eight T cells secrete eight times as much."""
REACH = 498
"""um: all cells of a ball of this radius divide."""
DECAY = {"far": 0.005, "near": 0.49}
"""Of interferon gamma, 1/min: as in 'biology' (a reach of 350 um), and with uptake by cells (35 um). Both reaches are
reported (Hoekstra et al. 2020, Nat. Cancer 1, 291)."""
ARMS = {
    "untreated": {"ctl": False},
    "killing": {"arrest": False},
    "arrest": {"killing": False},
    "both": {},
    "both, near": {"decay": "near"},
}


LABELS = {
    "untreated": "without T cells",
    "killing": "contact killing alone",
    "arrest": "interferon gamma alone",
    "both": "both",
    "both, near": "both, interferon reaches 35 um",
}


def growth_rate() -> float:
    """Of the three untreated mice: slope of the logarithm of the geometric mean, 1/day."""
    return float(_line()[0])


def _line() -> np.ndarray:
    return np.polyfit(list(UNTREATED), [np.log(each).mean() for each in UNTREATED.values()], 1)


def run(arm: str, seed: int = 1, volume: float = 0.134, days: float = 3, n: int = 44) -> tuple[np.ndarray, np.ndarray]:
    """Days and volume, mm^3, of an arm from day 7 on."""
    ctl, killing, arrest, decay = (
        ARMS[arm].get(key, default)
        for key, default in (("ctl", True), ("killing", True), ("arrest", True), ("decay", "far"))
    )
    radius = 1000 * (3 * volume / (4 * np.pi)) ** (1 / 3)
    text = SCENARIO.format(
        n=n,
        spacing=SPACING,
        decay=DECAY[decay],
        division=growth_rate(),
        reach=REACH,
        radius=radius,
        ctl=DENSITY[START] * PER_MM3 if ctl else 0,
    )
    if not killing:
        text = text.replace("rate: 1/(2 hour)", "rate: 0 /hour")
    if not arrest:
        text = text.replace("modulators: [{field: ifng, half: 0.5 ng/mL, effect: inhibits}]", "")
    times, cells = [0.0], []
    with simulation(text, seed) as running:
        cells.append(running.count("tumour"))
        while running.minutes < days * 1440 and cells[-1]:
            if ctl:
                _enter(running)
            running.step(12)
            times.append(running.minutes / 1440)
            cells.append(running.count("tumour"))
    return START + np.array(times), 8 * (SPACING / 1000) ** 3 * np.array(cells)


def _enter(running) -> None:
    """Bring T cells to the density of this time."""
    day = START + running.minutes / 1440
    tumour = running.count("tumour")
    missing = round(np.interp(day, list(DENSITY), list(DENSITY.values())) * PER_MM3 * tumour) - running.count("ctl")
    if missing > 0:
        radius = SPACING * (6 * tumour / np.pi) ** (1 / 3)
        running.inject("ctl", f"{missing} cell", at=["0 um"] * 3, radius=f"{radius} um")


def killed(days: float = 3) -> float:
    """Logarithm of what contact killing takes of a tumour from day 7 on: 4 kills per T cell and day, at the density."""
    times = np.linspace(0, days, 1000)
    density = np.interp(START + times, list(DENSITY), list(DENSITY.values()))
    return float(KILLS * PER_MM3 * np.trapezoid(density, times))


def figure(curves: dict[str, list[tuple[np.ndarray, np.ndarray]]], path: Path) -> None:
    """Volume by day relative to day 7: the runs of each arm, and the mice."""
    import matplotlib.pyplot as plt

    drawn, panel = plt.subplots(figsize=(5.2, 3.6), layout="constrained")
    colours = ("#54433c", "#0072b2", "#e69f00", "#cc79a7", "#009e73")
    for colour, (arm, runs) in zip(colours, curves.items(), strict=False):
        for days, volume in runs:
            panel.plot(days, volume / volume[0], color=colour, label=LABELS[arm] if days is runs[0][0] else None)
    for mice, marker, label in ((UNTREATED, "o", "mice, untreated"), (TREATED, "v", "mice, T cells transferred")):
        mean = {day: np.exp(np.log(each).mean()) for day, each in mice.items()}
        start = np.exp(np.polyval(_line(), START)) if mice is UNTREATED else mean[START]
        shown = [day for day in mean if day <= 12]
        panel.plot(shown, [mean[day] / start for day in shown], marker, color="#000000", mfc="none", label=label)
    panel.set(xlabel="days after the injection of tumour cells", ylabel="volume, relative to day 7", yscale="log")
    panel.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    drawn.savefig(path, dpi=110)


def main() -> None:
    """Print a row for each arm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--arms", nargs="*", default=list(ARMS))
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    print(f"growth without T cells: {growth_rate():.3f} /day")
    print(f"contact killing alone, expected: {np.exp(3 * growth_rate() - killed()):.3g}")
    curves = {}
    for arm in arguments.arms:
        curves[arm] = [run(arm, seed) for seed in range(1, arguments.seeds + 1)]
        folds = [volume[-1] / volume[0] for _, volume in curves[arm]]
        print(f"{arm}: {min(folds):.3g} to {max(folds):.3g} of the volume of day 7 on day 10", flush=True)
    if arguments.figure:
        figure(curves, arguments.figure)


if __name__ == "__main__":
    main()
