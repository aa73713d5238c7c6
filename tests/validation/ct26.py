"""CT26 tumours in mice, untreated and under vesicular stomatitis virus.

    PYTHONPATH=tests python tests/validation/ct26.py --folder results/ct26 [--jobs 2] [--seeds 8] [--radius 412]
        [--fold 10.7] [--arms PBS VSV] [--figure docs/images/validation/ct26.png [--measured ct26_vsv_mice.csv]]

runs `ct26-vsv` until the tumour has grown as from 18.7 to 200 mm^3, or by another factor, and prints the figures of
docs/validation.md. Runs are kept in the folder, so that a stopped campaign goes on. The measured mice are those of Int.
J. Mol. Sci. 2024, 25, 211: two arms of eight. A tumour of another radius has the same virus for each mm^3.

Further arms have T cells (`-T`), clots in the vessels (`-C`), or both. One of them is the prediction for a virus with
the genes of GM-CSF and interleukin 12, whose measurements are kept back.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from validation.growth import START
from validation.mice import campaign, days_to, follow

import gpusim
from gpusim.scenario import library
from gpusim.scenario.parts import contents
from gpusim.scenario.reading import read_file
from gpusim.scenario.walking import value_at

FIRST_DAY = 11
"""Day of the first dose, after the injection of tumour cells."""
FOLD = 200 / START
"""From the median volume on this day to 200 mm^3."""
MICE = {
    "PBS": (16.0, 17.5, 18.0, 18.5, 21.4, 21.6, 30.6, 32.3),
    "VSV": (16.4, 19.6, 26.9, 27.3, 28.2, 31.2, 44.3, np.inf),
}
"""Days to 200 mm^3 of the mice of each arm, between the days of measurement along an exponential; one was cured."""
SPREAD = 0.36
"""Standard deviation of the logarithm of the growth of the eight mice without virus, where all cells divide (0.18 to
0.49 /day; `growth.py --depth`)."""
RADIUS = 412
"""um, of the shipped scenario."""
BESIDE = 172
"""um of healthy tissue that are left beside a tumour that has grown, as in the shipped scenario."""
PARTS = {
    "PBS": "[ct26-vsv]",
    "VSV": "[ct26-vsv]",
    "VSV-T": "[ct26-vsv, desert]",
    "VSV-C": "[ct26-vsv, clotting]",
    "VSV-TC": "[ct26-vsv, desert, clotting]",
    "armed-T": "[hsv1-gmcsf, hsv1-il12, ct26-vsv, desert]",
}
"""What the scenario of an arm extends. The genes of the armed virus have the numbers of a herpes simplex virus."""
OF_BODY = (
    "rules.ctl_recruitment.modulators[1].half",
    "rules.helper_recruitment.modulators[1].half",
    "body.processes.recall.modulators[0].half",
    "body.processes.expansion.modulators[0].half",
    "body.processes.expansion.modulators[1].half",
)
"""Numbers in proportion to the lattice's share of the body."""
ANTIBODY = "body.processes.secretion_of_antibody.rate"
"""In inverse proportion to it."""
OF_LIBRARY = 48
"""Voxels along the lattice for which the library has these numbers."""


def scenario(arm: str, seed: int, radius: float, fold: float = FOLD) -> gpusim.Scenario:
    """Of a mouse, whose growth rate belongs to the seed: all arms have the same mice."""
    shipped = gpusim.Scenario.draft(f"extends: {PARTS[arm]}\nname: {arm}\n", Path("mouse.yaml"))
    rate = float(np.exp(SPREAD * np.random.default_rng(seed).standard_normal()))
    n = round((radius * fold ** (1 / 3) + BESIDE) / 20)
    factors = {"rules.division.rate": rate}
    changes = {
        "grid.shape": [n] * 3,
        "tissue.shapes.tumour.radius": f"{radius} um",
        "time.until": "35 day",
    }
    if arm == "PBS":
        changes["therapies"] = None
    else:
        factors["therapies.injection.amount"] = (radius / RADIUS) ** 3
        changes["therapies.injection.radius"] = f"{radius / 2} um"
    if "clotting" in PARTS[arm]:
        # the other three sides are mirrors
        changes["rules.stasis.modulators[0].to"] = ["x_high", "y_high", "z_high"]
    if "desert" in PARTS[arm]:
        share = (n / OF_LIBRARY) ** 3
        factors |= dict.fromkeys(OF_BODY, share) | {ANTIBODY: 1 / share}
        host = gpusim.Scenario.draft("extends: [ct26, vsv]\n", Path("host.yaml")).data
        _, lacking = contents(read_file(library()["immunity"]["immunodeficient"]).data)
        changes |= {path: value_at(host, tuple(path.split("."))) for path in lacking}
    written = {number.path: str(number.value).split(maxsplit=1) for number in shipped.numbers}
    for path, factor in factors.items():
        value, unit = written[path]
        changes[path] = f"{float(value) * factor:.4g} {unit}"
    return shipped.overridden(changes)


def run(
    arm: str, seed: int, radius: float = RADIUS, fold: float = FOLD, folder: Path | None = None, threads: int = 1
) -> pd.DataFrame:
    """As of `mice.follow`, from the day of the first dose on."""
    kept = folder and folder / f"{arm}-{radius:g}-{fold:.3g}-{seed}.json"
    return follow(scenario(arm, seed, radius, fold), seed, fold, FIRST_DAY, kept, threads)


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
            volume = START * frame["cells"] / frame["cells"][0]
            label = f"{arm}, model" if frame is runs[arm][0] else None
            left.plot(frame["day"], volume, color=colour, linewidth=0.9, label=label)
        if measured is not None:
            mice = measured[(measured["arm"] == "PBS") == (arm == "PBS")]
            days, volume = mice["day_after_inoculation"], mice["volume_mm3"]
            left.plot(days, volume, "o" if arm == "PBS" else "^", color=colour, mfc="none", ms=4, label=f"{arm}, mice")
        for days, style, name in ((MICE[arm], "--", "mice"), ([days_to(f, FOLD) for f in runs[arm]], "-", "model")):
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


def main() -> None:
    """Run what is missing, and print a row for each arm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("results/ct26"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--radius", type=float, default=RADIUS, help="um")
    parser.add_argument("--fold", type=float, default=FOLD, help="by which it grows")
    parser.add_argument("--threads", type=int, default=1, help="of each run")
    parser.add_argument("--arms", nargs="+", choices=list(PARTS), default=list(MICE))
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--measured", type=Path, help="a table of the mice's volumes, for points in the figure")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    seeds, folder = range(1, arguments.seeds + 1), arguments.folder
    radius, fold = arguments.radius, arguments.fold
    one = partial(run, radius=radius, fold=fold, folder=folder, threads=arguments.threads)
    runs = campaign(one, arguments.arms, seeds, arguments.jobs)
    for arm in arguments.arms:
        days = np.array([days_to(frame, fold) for frame in runs[arm]])
        print(f"{arm}: median day of {fold:.3g} times the cells {np.median(days):.1f} ", end="")
        print(f"({days.min():.1f} to {days.max():.1f}); ", end="")
        print(f"without cells {sum(not frame['cells'].iloc[-1] for frame in runs[arm])} of {len(days)}", end="")
        if arm in MICE and fold == FOLD:
            low, high = interval(np.array(MICE[arm]))
            print(f"; mice {np.median(MICE[arm]):.1f} ({low:.1f} to {high:.1f})", end="")
        print()
    if arguments.figure:
        figure(runs, arguments.figure, pd.read_csv(arguments.measured) if arguments.measured else None)


if __name__ == "__main__":
    main()
