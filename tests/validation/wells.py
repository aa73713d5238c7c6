"""Experiments in wells and dishes, held against published measurements.

    PYTHONPATH=tests python tests/validation/wells.py --figure docs/images/validation/wells.png

prints the figures of docs/validation.md. Measured values: measles virus, titre and viability as in the repository
AdrianneJennerQUT/insilico-clinical-trial-MV-BiTEs; glioblastoma cells under herpes simplex virus C134, index of an
impedance reader, as in mconte93/CAR-OV-study_ConteEtAl2025 (Conte et al. 2025); plaques of herpes simplex virus 1 on
rabbit lens cells, "Differentiation of herpes simplex virus types 1 and 2 by plaque appearances on semicontinuous
rabbit lens epithelial cells in the clinical laboratory" (abstract); infected nuclei in pieces of a glioblastoma, as in
adriannejnner/PhysiCell-GBM-oHSV1 (Jenner et al. 2022, iScience 25, 104395).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import gpusim

SEEDS = range(1, 9)

# Measles virus

TITRE = {12: (400, 1250), 24: (2000, 12500), 36: (80_000, 575_000), 48: (10_000, 300_000), 72: (350, 4000)}
"""Lowest and highest of three wells, per mL, by hours after infection."""
VIABILITY = {24: 107.8, 48: 67.2, 72: 65.6, 96: 71.6}
"""Median of eight or nine wells, % of cells without virus."""
CELLS_PER_ML = 1e5
"""Assumed: it is not stated."""


def measles(seed: int) -> tuple[dict[int, float], dict[int, float]]:
    """Titre of the medium, PFU/mL, and living cells, % of those at the start, by hours after infection.

    Without virus, no cell dies, so that the living cells are also relative to a run without virus.
    """
    titre, viability = {}, {}
    with gpusim.Simulation("measles-wells", seed=seed) as running:
        cells = sum(_living(running))
        for hour in sorted(TITRE | VIABILITY):
            running.run(until=f"{hour} h")
            free = running.body["supernatant"] + running.totals()["virus"]
            titre[hour] = free / (cells / CELLS_PER_ML)
            viability[hour] = 100 * sum(_living(running)) / cells
    return titre, viability


def _living(running: gpusim.Simulation) -> list[int]:
    return [running.counts.get(state, 0) for state in ("tumour", "resistant", "exposed", "infected")]


# Glioblastoma cells under herpes simplex virus


class Index(NamedTuple):
    """Of three wells: hours, and the lowest, the median and the highest index; float64 [times]."""

    hours: np.ndarray
    lowest: np.ndarray
    median: np.ndarray
    highest: np.ndarray


_INDEX = {
    "control": (
        "4.5 8.5 12.5 16.5 20.5 24.5 28.5 32.5 36.5 40.5 44.5 49.8 53.8 57.9 61.8 65.8 69.8",
        "1.69 2 2.29 2.55 2.77 2.93 3.15 3.38 3.68 3.85 4.06 4.2 4.48 4.64 4.65 4.59 4.45",
        "1.88 2.25 2.48 2.67 2.87 3.02 3.23 3.48 3.83 4.04 4.23 4.42 4.49 4.64 4.7 4.69 4.6",
        "2.2 2.4 2.55 2.76 3.01 3.16 3.45 3.65 3.9 4.14 4.26 4.77 4.91 5.04 5.06 4.98 4.95",
    ),
    "0.0008": (
        "4.5 8.5 12.5 16.5 20.5 24.5 28.5 32.5 36.5 40.5 44.5 50.8 54.8 58.8 62.8 66.8 70.8",
        "1.78 2.21 2.48 2.69 2.97 3.08 3.27 3.42 3.48 3.44 3.31 3.03 2.67 2.32 1.87 1.4 0.98",
        "1.86 2.22 2.52 2.8 2.97 3.16 3.29 3.44 3.52 3.63 3.68 3.44 3.25 2.85 2.5 2.07 1.53",
        "1.9 2.24 2.61 2.88 3.12 3.28 3.42 3.66 3.82 3.99 4.13 4.17 4.21 4.08 3.87 3.64 3.3",
    ),
    "0.002": (
        "4.5 8.5 12.5 16.5 20.5 24.5 28.5 32.5 36.5 40.5 44.5 50.6 54.6 58.6 62.6 66.6 70.6",
        "1.65 2.03 2.26 2.45 2.56 2.53 2.48 2.37 2.07 1.72 1.37 0.92 0.64 0.41 0.25 0.13 0.04",
        "1.74 2.04 2.35 2.61 2.84 2.96 3.09 3.14 3.07 2.93 2.57 1.93 1.37 0.87 0.64 0.42 0.21",
        "1.78 2.2 2.49 2.78 2.99 3.11 3.18 3.15 3.11 3.08 3.03 2.5 2.13 1.51 1.05 0.75 0.46",
    ),
}
INDEX = {arm: Index(*(np.array(row.split(), float) for row in rows)) for arm, rows in _INDEX.items()}
"""By multiplicity of infection, at every second of the published times."""
ATTACHED = 8
"""Hour from which on the index of the controls follows the number of cells; before, they attach and spread."""
QUARTER = {"grid.shape": [111, 111, 4], "states.interface.exchange.virus.volume": "37.5 uL"}
"""A quarter of a well."""


def glioblastoma(arm: str, seed: int, changes: dict = QUARTER) -> np.ndarray:
    """Share of the places of a well that living cells take, at the times of the measured index: float64 [times]."""
    infected = {"tissue.shapes.infected": None} if arm == "control" else {"tissue.shapes.infected.fraction": float(arm)}
    scenario = gpusim.Scenario.load("glioblastoma-wells", changes | infected)
    shares = []
    with gpusim.Simulation(scenario, seed=seed) as running:
        places = running.tissue[0].size
        for hour in INDEX[arm].hours:
            running.run(until=f"{round(hour * 10) * 6} min")
            shares.append(sum(_living(running)) / places)
    return np.array(shares)


class Scale(NamedTuple):
    """The index of an empty well, and what a full one adds."""

    offset: float
    slope: float

    def __call__(self, shares: np.ndarray) -> np.ndarray:
        """The index at shares of the places."""
        return self.offset + self.slope * shares


def scale(control: np.ndarray) -> Scale:
    """Least squares of the controls' median index over their simulated cells, from hour 8 on."""
    late = INDEX["control"].hours > ATTACHED
    slope, offset = np.polyfit(control[late], INDEX["control"].median[late], 1)
    return Scale(float(offset), float(slope))


def within(arm: str, index: np.ndarray) -> float:
    """Share of the times at which an index is in the range of the wells, widened by a tenth of the controls' peak."""
    wide = 0.1 * INDEX["control"].median.max()
    of = INDEX[arm]
    return float(np.mean((index >= of.lowest - wide) & (index <= of.highest + wide)))


# Plaques

PLAQUE = (1.29, 0.37)
"""Mean and standard deviation of the diameter on the third day, mm, over 179 strains."""


def plaque(seed: int, diffusion: str = "30 um^2/min") -> float:
    """Diameter of a disc as large as the area without uninfected cells after 72 h, mm."""
    scenario = gpusim.Scenario.load("plaque", {"fields.virus.diffusion": diffusion})
    with gpusim.Simulation(scenario, seed=seed) as running:
        running.run(until="72 h")
        lost = running.tissue[0].size - running.count("tumour")
        return float(2 * np.sqrt(lost / np.pi) * running.model.spacing * 1e-3)


# Pieces of a glioblastoma

BAND = 50
"""Width of the bands of depth, um."""
NUCLEI = {
    24: (283, 547, 207, 109, 53, 16),
    48: (305, 442, 622, 291, 109, 61),
    72: (121, 355, 229, 187, 208, 70),
}
"""Median of three pieces by band from the surface to 300 um, infected nuclei per mm^2, by hours."""
IN_ALL = {24: (849, 1468), 48: (987, 4236), 72: (847, 2418)}
"""Lowest and highest sum over all bands of a piece."""
CELLS_PER_MM2 = 4495
"""In sections of viable glioblastoma: Eidel et al. 2017, PLOS ONE 12, e0169292."""


def slices(seed: int) -> dict[int, np.ndarray]:
    """Infected cells by band of depth, per mm^2 of a section: float64 [bands], by hours."""
    found = {}
    with gpusim.Simulation("glioblastoma-slices", seed=seed) as running:
        number, spacing = running.model.states.number, running.model.spacing
        depth = (np.arange(running.tissue.shape[2] - 1) + 0.5) * spacing  # beyond the interface
        bands = (depth // BAND).astype(int)
        for hour in NUCLEI:
            running.run(until=f"{hour} h")
            infected = np.isin(running.tissue[:, :, 1:], [number("exposed"), number("infected")])
            share = infected.mean(axis=(0, 1))
            found[hour] = CELLS_PER_MM2 * np.bincount(bands, share) / np.bincount(bands)
    return found


def off(profile: np.ndarray, measured: Sequence[float]) -> float:
    """Largest factor between a profile and the measured one, down to 300 um."""
    return float(np.exp(np.abs(np.log(np.maximum(profile[: len(measured)], 1) / np.array(measured))).max()))


# Figures


def draw(wells: dict, file: Path) -> None:
    """Measured values as points or bands, the model as lines, one for each seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.2), layout="constrained")
    (left, middle, right), below = figure.subplots(2, 3)
    for titre, viability in wells["measles"]:
        left.plot(*zip(*sorted(titre.items()), strict=True), color="#3f5f86", lw=0.8)
        middle.plot(*zip(*sorted(viability.items()), strict=True), color="#3f5f86", lw=0.8)
    for hour, (low, high) in TITRE.items():
        left.plot([hour, hour], [low, high], color="#d55e00", lw=2, marker="_")
    middle.plot(*zip(*VIABILITY.items(), strict=True), "o", color="#d55e00")
    left.set(yscale="log", xlabel="hour", ylabel="measles virus, PFU/mL")
    middle.set(ylim=(0, 125), xlabel="hour", ylabel="living cells, % of those without virus")
    for (arm, of), colour in zip(INDEX.items(), ("#777777", "#3f5f86", "#d55e00"), strict=True):
        right.fill_between(of.hours, of.lowest, of.highest, color=colour, alpha=0.25, lw=0)
        for line in wells[arm]:
            right.plot(of.hours, line, color=colour, lw=0.8)
        right.plot([], [], color=colour, label=arm if arm == "control" else f"multiplicity {arm}")
    right.set(xlabel="hour", ylabel="index of glioblastoma cells")
    right.legend(frameon=False)
    for axes, (hour, nuclei) in zip(below, NUCLEI.items(), strict=True):
        for profile in wells["slices"]:
            axes.plot(BAND * (np.arange(len(profile[hour])) + 0.5), profile[hour], color="#3f5f86", lw=0.8)
        axes.plot(BAND * (np.arange(len(nuclei)) + 0.5), nuclei, "o", color="#d55e00")
        axes.set(yscale="log", ylim=(3, 3000), xlim=(0, 600), xlabel="depth, um", title=f"{hour} h")
    below[0].set(ylabel="infected nuclei per mm^2")
    for axes in (left, middle, right, *below):
        axes.spines[["top", "right"]].set_visible(False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)


def _span(values: Sequence[float], digits: str = ",.0f") -> str:
    return f"{np.median(values):{digits}} ({min(values):{digits}} to {max(values):{digits}})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate all seeds, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    parser.add_argument("--figure", type=Path, default=None)
    given = parser.parse_args(arguments)
    seeds = range(1, given.seeds + 1)
    wells = {"measles": [measles(seed) for seed in seeds]}
    for hour, (low, high) in TITRE.items():
        print(f"measles, hour {hour}: {_span([t[hour] for t, _ in wells['measles']])} PFU/mL, measured {low} to {high}")
    for hour, percent in VIABILITY.items():
        print(f"living cells, hour {hour}: {_span([v[hour] for _, v in wells['measles']])}%, measured {percent}")
    to_index = scale(np.mean([glioblastoma("control", seed) for seed in seeds], axis=0))
    print(f"index of an empty well {to_index.offset:.2f}, a full one {to_index.offset + to_index.slope:.2f}")
    for arm in INDEX:
        wells[arm] = [to_index(glioblastoma(arm, seed)) for seed in seeds]
        print(f"{arm}: median of the seeds within the wells' range at {within(arm, np.median(wells[arm], axis=0)):.0%}")
    for diffusion in ("10 um^2/min", "30 um^2/min", "60 um^2/min", "197 um^2/min"):
        print(
            f"plaque, {diffusion}: {_span([plaque(seed, diffusion) for seed in seeds], '.2f')} mm, measured 1.29 (0.37)"
        )
    wells["slices"] = [slices(seed) for seed in seeds]
    for hour, nuclei in NUCLEI.items():
        profile = np.median([each[hour] for each in wells["slices"]], axis=0)
        constant = np.exp(np.mean(np.log(nuclei)))
        errors = [np.sqrt(np.mean(np.log(each / np.array(nuclei)) ** 2)) for each in (profile[: len(nuclei)], constant)]
        print(
            f"slices, hour {hour}: {np.round(profile[: len(nuclei)])}, measured {nuclei}; largest factor "
            f"{off(profile, nuclei):.1f}; error of the logarithm {errors[0]:.2f}, of a constant {errors[1]:.2f}; "
            f"in all {profile.sum():.0f}, measured {IN_ALL[hour]}"
        )
    if given.figure is not None:
        draw(wells, given.figure)


if __name__ == "__main__":
    main()
