"""Neutral mutations in cultures of cells that all divide: mutants per culture, and frequencies of mutations.

    PYTHONPATH=tests python tests/validation/mutations.py [--folder results/mutations] [--seeds 64] [--figure FILE]

prints the figures of docs/validation.md. A mutation is a trait that becomes 1 in the daughter of a division, so all
descendants of the daughter have it. Finished cultures are kept in the folder and not grown again, unless their first
steps have other digests than those of the stored ones.
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

import gpusim
from gpusim.record.files import write_text

SCENARIO = """
grid: {{shape: [{n}, {n}, {n}]}}
time: {{until: 10000 h, step: {{field: 10 min, rules: 10 min}}}}
record: {{every: 10000 h}}
states: {{cell: {{}}}}
rules: {{division: {{transition: cell -> cell + cell, rate: 0.002 /min, reach: {reach} um}}}}
traits:
{traits}
tissue: {{shapes: {{seed: {{kind: sphere, state: cell, radius: 10 um}}}}}}
"""
"""One cell in the middle of n^3 voxels of 20 um. All of them find room while the reach exceeds the colony's radius."""
FIRST_CELLS = 1
MUTATIONS, LOCI = 1.5, 12
"""Expected per culture at a locus; loci, which mutate independently."""
FREQUENCIES = np.geomspace(0.005, 0.1, 20)
_FIRST = 40
"""Steps whose digests tell whether stored cultures are of the present program."""


@dataclass(frozen=True)
class Cultures:
    """Cultures at a number of cells.

    Attributes:
        probability: of a mutation at a locus in a division.
        cells: of each culture.
        mutants: by locus and culture.
    """

    probability: float
    cells: list[int]
    mutants: list[list[int]]


def grow(cells: int, n: int, seeds: Sequence[int], kept: Path | None = None) -> Cultures:
    """Grow cultures, each until it has as many `cells`, on n^3 voxels; `kept`: the file that stores them."""
    loci = [f"locus_{i}" for i in range(LOCI)]
    probability = MUTATIONS / (cells - FIRST_CELLS)
    mutation = f"{{probability: {probability}, becomes: 1}}"
    traits = "\n".join(f"  {locus}: {{of: cell, most: 1, mutation: {mutation}}}" for locus in loci)
    text = SCENARIO.format(n=n, reach=10 * n, traits=traits)
    with gpusim.Simulation(gpusim.Scenario.parse(text), "cpu", threads=1, seed=list(seeds)) as simulation:
        simulation.step(_FIRST)
        digests = "".join(each.digest() for each in simulation.replicates)
        key = hashlib.sha256(f"{text} {cells} {list(seeds)} {digests}".encode()).hexdigest()
        if kept is not None and kept.exists():
            stored = json.loads(kept.read_text(encoding="utf-8"))
            if stored.pop("key") == key:
                return Cultures(**stored)
        found: dict[int, tuple[int, list[int]]] = {}
        while len(found) < len(seeds):
            simulation.step(1)
            for i, each in enumerate(simulation.replicates):
                if i not in found and each.count("cell") >= cells:
                    assert each.barred["division"] == 0, "a cell has found no room"
                    found[i] = each.count("cell"), [int(np.count_nonzero(each.trait(locus))) for locus in loci]
    sizes, mutants = zip(*(found[i] for i in range(len(seeds))), strict=True)
    cultures = Cultures(probability, list(sizes), [list(locus) for locus in zip(*mutants, strict=True)])
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_text(kept, json.dumps({"key": key} | vars(cultures)))
    return cultures


def expected_mutations(cultures: Cultures) -> float:
    """At a locus, per culture."""
    return cultures.probability * float(np.mean(cultures.cells) - FIRST_CELLS)


def luria_delbrueck(mutations: float, most: int) -> np.ndarray:
    """Probabilities of 0 to `most` mutants in a culture with this mean number of mutations, float64 [most + 1].

    The distribution of Lea and Coulson (1949), by the recursion of Ma, Sandri and Sarkar (1992).
    """
    found = np.zeros(most + 1)
    found[0] = np.exp(-mutations)
    for r in range(1, most + 1):
        found[r] = mutations / r * np.sum(found[:r] / np.arange(r + 1, 1, -1))
    return found


def finite(mutation: float, first: int, cells: int) -> np.ndarray:
    """Probabilities of 0 to `cells` mutants among `cells` that divide at the same rate, float64 [cells + 1].

    Exact for a finite culture: each division is that of a mutant with the mutants' share of the cells, and else gives
    a mutant with the probability of a `mutation`.
    """
    found = np.zeros(cells + 1)
    found[0] = 1
    for size in range(first, cells):
        share = np.arange(size + 1) / size
        more = found[: size + 1] * (share + (1 - share) * mutation)
        found[: size + 1] -= more
        found[1 : size + 2] += more
    return found


def chi_square(mutants: Sequence[int], probabilities: np.ndarray) -> float:
    """p of numbers of mutants under a distribution, in classes in which at least 5 cultures are expected."""
    expected, edges, gathered = len(mutants) * probabilities, [0], 0.0
    for r, each in enumerate(expected):
        gathered += each
        if gathered >= 5 and len(mutants) - expected[: r + 1].sum() >= 5:
            edges.append(r + 1)
            gathered = 0.0
    counted = np.histogram(mutants, [*edges, np.inf])[0]
    below = np.concatenate([[0], np.cumsum(expected)])[edges]
    return float(stats.chisquare(counted, np.diff([*below, len(mutants)])).pvalue)


def by_cultures_without(cultures: Cultures) -> tuple[float, float]:
    """Probability of a mutation at locus 0 by the P0 method, -ln P0 / (N - N0), and its standard error."""
    counts = np.array(cultures.mutants[0])
    without, divisions = np.mean(counts == 0), np.mean(cultures.cells) - FIRST_CELLS
    error = np.sqrt((1 - without) / without / len(counts))
    return float(-np.log(without) / divisions), float(error / divisions)


def frequent(cultures: Cultures, share: float) -> tuple[float, float, float]:
    """Number of loci at which at least this share of a culture is mutated: mean, its standard error, that expected."""
    cells = np.array(cultures.cells)
    counts = np.sum(np.array(cultures.mutants) >= share * cells, axis=0)
    size = round(cells.mean())
    expected = LOCI * finite(cultures.probability, FIRST_CELLS, size)[int(np.ceil(share * size)) :].sum()
    return float(counts.mean()), float(counts.std(ddof=1) / np.sqrt(len(counts))), float(expected)


def line(cultures: Cultures, shares: np.ndarray) -> float:
    """R^2 of the number of mutations over 1 / frequency as a straight line."""
    return float(stats.linregress(1 / shares, [frequent(cultures, share)[0] for share in shares]).rvalue ** 2)


def draw(cultures: Cultures, file: Path) -> None:
    """Both distributions beside those of theory."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    at, mean = np.arange(300), expected_mutations(cultures)
    for i, counts in enumerate(np.sort(cultures.mutants, axis=1)):
        shares = np.searchsorted(counts, at, side="right") / len(counts)
        label = f"{len(counts)} cultures, {LOCI} loci" if i == 0 else None
        left.step(at, shares, where="post", color="#6d89a8", lw=0.8, alpha=0.7, label=label)
    left.plot(at, np.cumsum(luria_delbrueck(mean, 299)), color="#d55e00", label="Luria and Delbrück")
    left.plot(at, stats.poisson.cdf(at, mean), color="#555555", ls=":", label="Poisson")
    left.set(
        xscale="symlog", xlim=(0, 300), xlabel="mutants in a culture", ylabel="share of cultures with at most these"
    )
    shares = FREQUENCIES
    found, errors, expected = np.transpose([frequent(cultures, share) for share in shares])
    right.errorbar(1 / shares, found, errors, fmt="o", ms=4, color="#6d89a8", label="mean of the cultures")
    right.plot(1 / shares, expected, color="#d55e00", label="theory")
    right.set(xlabel="1 / frequency", ylabel="mutations of at least this frequency")
    for axes in (left, right):
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    """Grow what has not been grown, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("results/mutations"))
    parser.add_argument("--seeds", type=int, default=64)
    parser.add_argument("--cells", type=int, default=4_000)
    parser.add_argument("--voxels", type=int, default=25)
    parser.add_argument("--figure", type=Path, default=None)
    given = parser.parse_args(arguments)
    cultures = grow(given.cells, given.voxels, range(given.seeds), given.folder / f"{given.cells}-cells.json")
    mean, most = expected_mutations(cultures), max(map(max, cultures.mutants))
    print(f"{given.seeds} cultures, {np.mean(cultures.cells):,.0f} cells, {mean:.2f} mutations expected at a locus")
    for name, law in (
        ("Luria and Delbrueck", luria_delbrueck(mean, most)),
        ("finite", finite(cultures.probability, FIRST_CELLS, round(np.mean(cultures.cells)))),
        ("Poisson", stats.poisson.pmf(np.arange(most + 1), mean)),
    ):
        found = [chi_square(counts, law) for counts in cultures.mutants]
        print(f"{name}: p {found[0]:.2g} at locus 0, {min(found):.2g} to {max(found):.2g} at all")
    estimate, error = by_cultures_without(cultures)
    print(f"probability of a mutation by P0: {estimate:.2e} ({error:.0e}), given {cultures.probability:.2e}")
    for share in (0.003, 0.01, 0.03, 0.1):
        found, error, expected = frequent(cultures, share)
        print(f"mutations of a frequency of at least {share}: {found:.2f} ({error:.2f}), expected {expected:.2f}")
    print(f"R^2 of a line over 1 / frequency: {line(cultures, FREQUENCIES):.3f}")
    if given.figure is not None:
        draw(cultures, given.figure)


if __name__ == "__main__":
    main()
