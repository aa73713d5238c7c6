"""Neutral mutations in a growing colony: their number grows as the inverse of their frequency.

    PYTHONPATH=tests python tests/validation/neutral.py [--seeds 24] [--cells 2000]

Every cell divides at one rate. With probability p, the daughter founds a clone: it carries the mutations of its mother
and one more. The frequency of a mutation is the share of all cells that carry it.

Theory. A mutation that arises while the colony grows from n to n + 1 cells is carried by one of n + 1 cells. From then
on, each division takes a random cell, as in Polya's urn, so that its final frequency has the distribution Beta(1, n):
P(frequency > f) = (1 - f)^n. There are p mutations for each n, from n = 1 on. Their expected number above f is

    M(f) = p sum_n (1 - f)^n = p (1 / f - 1),

which is M(f) = mu / beta (1 / f - 1 / f_max) of Williams et al. (2016), Nature Genetics 48, 238, with p mutations for
each division that survives and f_max = 1. The slope over 1 / f is p.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import gpusim
from gpusim.analysis.ancestry import Ancestry

PROBABILITY = 0.2
"""Of a mutation, at each division."""
LOW, HIGH = 0.02, 0.25
"""Frequencies between which the line is fitted."""
_INVERSE = np.linspace(1 / HIGH, 1 / LOW, 47)
RATE, STEP = 0.002, 5.0
"""Of a division, 1/min; rule step, min."""
COLONY = """
name: neutral
grid: {{shape: [{n}, {n}, {n}], spacing: 20 um}}
time: {{until: 200 day, step: {{rules: {step} min}}}}
states: {{tumour: {{}}}}
clones: {{of: tumour, mutation: {probability}}}
rules: {{division: {{transition: tumour -> tumour + tumour, rate: {rate} /min, reach: {reach} um}}}}
tissue: {{shapes: {{first: {{kind: sphere, radius: 9 um, state: tumour}}}}}}
"""


@dataclass(frozen=True)
class Line:
    """Least squares of the mean of M(f) over 1 / f.

    Attributes:
        slope; fit: R^2.
    """

    slope: float
    fit: float


def above(frequencies: np.ndarray) -> np.ndarray:
    """Mutations of a colony above frequencies from `HIGH` to `LOW`, float64, evenly spaced in 1 / f."""
    return (frequencies[:, None] > 1 / _INVERSE).sum(axis=0).astype(float)


def line(colonies: Sequence[np.ndarray]) -> Line:
    """The line through the mean over colonies, each as their frequencies."""
    mean = np.mean([above(each) for each in colonies], axis=0)
    slope, start = np.polyfit(_INVERSE, mean, 1)
    rest = mean - (slope * _INVERSE + start)
    return Line(float(slope), float(1 - rest.var() / mean.var()))


def grow(seeds: Sequence[int], cells: int, n: int = 23, probability: float = PROBABILITY) -> list[np.ndarray]:
    """Frequencies of the mutations in colonies of at least `cells` cells, float64 [mutations] each."""
    text = COLONY.format(n=n, step=STEP, rate=RATE, probability=probability, reach=10 * n)
    found = []
    for seed in seeds:
        with gpusim.Simulation(gpusim.Scenario.parse(text), "cpu", threads=1, seed=seed) as simulation:
            while simulation.count("tumour") < cells:
                simulation.step(4)
            faces = [simulation.tissue.take(side, axis) for axis in range(3) for side in (0, -1)]
            assert not any(face.any() for face in faces), "the colony has met a side of the lattice"
            found.append(frequencies(simulation))
    return found


def frequencies(simulation: gpusim.Simulation) -> np.ndarray:
    """Share of the cells that carry each mutation, float64, those that are lost left out."""
    (founder,), _ = simulation.site.founders()
    births, clones = simulation.site.lineage.births, simulation.site.clones()
    labels = np.concatenate([[0, founder], births[:, 0]])
    parents = np.searchsorted(labels, np.concatenate([[0, 0], births[:, 1]]))
    present, cells = np.unique(clones[clones > 0], return_counts=True)
    tree = Ancestry(parents, np.zeros(len(parents)), np.zeros(1), [(np.searchsorted(labels, present), cells)])
    carriers = tree.families(tree.cells(0))
    return carriers[2:][carriers[2:] > 0] / carriers[0]


def yule(cells: int, random: np.random.Generator, probability: float = PROBABILITY) -> np.ndarray:
    """The same of a pure birth process without space: frequencies of its mutations."""
    clone_of, parents = [1], [0, 0]
    for n in range(1, cells):
        mother = clone_of[random.integers(n)]
        if random.random() < probability:
            parents.append(mother)
            mother = len(parents) - 1
        clone_of.append(mother)
    own = np.bincount(clone_of, minlength=len(parents))
    tree = Ancestry(np.array(parents), np.zeros(len(parents)), np.zeros(1), [(np.flatnonzero(own), own[own > 0])])
    carriers = tree.families(own)
    return carriers[2:][carriers[2:] > 0] / carriers[0]


def spread(cells: int, samples: int = 200, seed: int = 1, probability: float = PROBABILITY) -> tuple[float, float]:
    """Mean and standard deviation of the slope of single colonies in the pure birth process."""
    random = np.random.default_rng(seed)
    slopes = [line([yule(cells, random, probability)]).slope for _ in range(samples)]
    return float(np.mean(slopes)), float(np.std(slopes, ddof=1))


def main(arguments: Sequence[str] | None = None) -> None:
    """Grow the colonies and print their line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--cells", type=int, default=2_000)
    parser.add_argument("--voxels", type=int, default=27)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--probability", type=float, default=PROBABILITY)
    given = parser.parse_args(arguments)
    found = line(grow(range(given.first, given.first + given.seeds), given.cells, given.voxels, given.probability))
    mean, deviation = spread(given.cells, probability=given.probability)
    print(
        f"{given.seeds} colonies of {given.cells:,} cells: slope {found.slope:.3f}, R^2 {found.fit:.4f}; theory "
        f"{given.probability:g}; pure birth process {mean:.3f}, standard error {deviation / np.sqrt(given.seeds):.3f}"
    )


if __name__ == "__main__":
    main()
