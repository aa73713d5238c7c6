"""Escape of a tumour from T cells by loss of antigen, in `escape`: how often, when, and what theory expects.

    PYTHONPATH=tests python tests/validation/escape.py [--folder results/escape] [--seeds 64] [--figure FILE]

prints the figures of docs/validation.md. Finished courses are kept in the folder and not simulated again, unless their
first steps have other digests than those of the stored ones.
"""

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import gpusim
from gpusim.record.files import write_text

DIVISION, DEATH, MUTATION = 1.0, 0.3, 1.2e-3
"""Of `escape`: per day, per day, and per division."""
DETECTED = 200
"""Cells without antigen at which a relapse is detected."""
_EVERY = 0.25
"""Days between counts."""
_FIRST = 40
"""Steps whose digests tell whether stored courses are of the present program."""


@dataclass(frozen=True)
class Courses:
    """Courses of tumours, by seed.

    Attributes:
        visible, lost: numbers of tumour cells with and without antigen over time, until the outcome is decided.
    """

    visible: list[list[int]]
    lost: list[list[int]]


def follow(
    seeds: Sequence[int],
    changes: Mapping[str, Any] | None = None,
    detected: int = DETECTED,
    kept: Path | None = None,
) -> Courses:
    """Simulate until each tumour is cleared or detected again; `kept`: the file that stores the courses."""
    scenario = gpusim.Scenario.load("escape", changes or {})
    with gpusim.Simulation(scenario, "cpu", threads=1, seed=list(seeds)) as simulation:
        simulation.step(_FIRST)
        digests = "".join(each.digest() for each in simulation.replicates)
        key = hashlib.sha256(f"{scenario.to_yaml()} {detected} {list(seeds)} {digests}".encode()).hexdigest()
        if kept is not None and kept.exists():
            stored = json.loads(kept.read_text(encoding="utf-8"))
            if stored.pop("key") == key:
                return Courses(**stored)
        courses = Courses([[] for _ in seeds], [[] for _ in seeds])
        days = 0.0
        while not all(_decided(*each, detected) for each in zip(courses.visible, courses.lost, strict=True)):
            days += _EVERY
            simulation.run(until=f"{days} day")
            for i, each in enumerate(simulation.replicates):
                if not _decided(courses.visible[i], courses.lost[i], detected):
                    tumour, visible = each.count("tumour"), int(np.count_nonzero(each.trait("antigen")))
                    courses.visible[i].append(visible)
                    courses.lost[i].append(tumour - visible)
                    assert each.barred["division"] == 0, "a cell has found no room"
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_text(kept, json.dumps({"key": key} | vars(courses)))
    return courses


def _decided(visible: Sequence[int], lost: Sequence[int], detected: int) -> bool:
    return bool(visible) and visible[-1] == 0 and (lost[-1] == 0 or lost[-1] >= detected)


def relapses(courses: Courses, detected: int = DETECTED) -> list[float | None]:
    """Days at which the cells without antigen reach the number that is `detected`; None: they die out."""
    return [
        next((_EVERY * (i + 1) for i, cells in enumerate(lost) if cells >= detected), None) for lost in courses.lost
    ]


def clones(courses: Courses, mutation: float = MUTATION) -> np.ndarray:
    """Expected numbers of clones without antigen that do not die out, float64 [seeds, times].

    A division gives a cell without antigen with the probability of a `mutation`, and the clone of this cell survives
    with the probability 1 - death / division.
    """
    longest = max(map(len, courses.visible))
    visible = np.array([each + [0] * (longest - len(each)) for each in courses.visible], float)
    return mutation * DIVISION * (1 - DEATH / DIVISION) * _EVERY * visible


def times(expected: np.ndarray, detected: int = DETECTED, draws: int = 2_000) -> np.ndarray:
    """Days of relapse in a branching process, float64 [seeds, draws]; inf: none.

    Clones begin as a Poisson process with the `expected` numbers. A clone that survives has W exp((division - death) t)
    cells after a time t, with an exponentially distributed W of mean division / (division - death).
    """
    random, growth = np.random.default_rng(1), DIVISION - DEATH
    begun = _EVERY * (np.arange(expected.shape[1]) + 0.5)
    cells = np.zeros((len(expected), draws))  # at time 0, if they had grown since then
    for at, mean in zip(begun, expected.T, strict=True):
        many = random.poisson(np.repeat(mean[:, None], draws, axis=1))
        cells += random.gamma(many, DIVISION / growth) * np.exp(-growth * at)
    with np.errstate(divide="ignore"):
        return np.log(detected / cells) / growth


def compared(courses: Courses, mutation: float = MUTATION, detected: int = DETECTED) -> dict[str, float]:
    """Relapses and their times beside those of the branching process.

    Returns:
        `found`, `expected`: numbers of seeds with a relapse; `sd`: standard deviation of this number in theory;
        `day`, `expected_day`: medians of the day of relapse; `p`: of these days (Kolmogorov and Smirnov).
    """
    days = [day for day in relapses(courses, detected) if day is not None]
    share = 1 - np.exp(-clones(courses, mutation).sum(axis=1))
    drawn = times(clones(courses, mutation), detected)
    drawn = drawn[np.isfinite(drawn)]
    return {
        "found": len(days),
        "expected": float(share.sum()),
        "sd": float(np.sqrt((share * (1 - share)).sum())),
        "day": float(np.median(days)),
        "expected_day": float(np.median(drawn)),
        "p": float(stats.kstest(days, np.sort(drawn)).pvalue),
    }


def draw(courses: Courses, file: Path) -> None:
    """All courses, and the days of relapse beside those of theory."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for visible, lost in zip(courses.visible, courses.lost, strict=True):
        at = _EVERY * (np.arange(len(lost)) + 1)
        left.plot(at, visible, color="#6d89a8", lw=0.7)
        left.plot(at, lost, color="#d55e00", lw=0.7)
    left.plot([], [], color="#6d89a8", label="with antigen")
    left.plot([], [], color="#d55e00", label="without antigen")
    left.set(yscale="log", ylim=(0.8, 2e3), xlabel="day", ylabel="tumour cells")
    days = np.sort([np.inf if day is None else day for day in relapses(courses)])
    drawn, at = np.sort(times(clones(courses)).ravel()), np.linspace(5, 18, 200)
    right.step(at, np.searchsorted(days, at, side="right") / len(days), color="#3f5f86", label=f"{len(days)} seeds")
    right.plot(at, np.searchsorted(drawn, at) / len(drawn), color="#d55e00", label="branching process")
    right.set(xlabel="day", ylabel="share of seeds with a relapse", ylim=(0, 1))
    for axes in (left, right):
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate what has not been simulated, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("results/escape"))
    parser.add_argument("--seeds", type=int, default=64)
    parser.add_argument("--figure", type=Path, default=None)
    given = parser.parse_args(arguments)
    courses = follow(range(given.seeds), kept=given.folder / f"{given.seeds}-seeds.json")
    largest = [max(each) for each in courses.visible]
    alone = np.sum(1 - np.exp(-MUTATION * np.array(largest)))
    print(f"{given.seeds} seeds, {np.median(largest):,.0f} cells at the highest ({min(largest):,} to {max(largest):,})")
    print("relapses in {found} seeds, expected {expected:.1f} ({sd:.1f})".format(**compared(courses)), end="; ")
    print(f"{alone:.1f} by the mutations before therapy alone")
    print("day {day:.1f}, expected {expected_day:.1f} (medians); p {p:.2g}".format(**compared(courses)))
    if given.figure is not None:
        draw(courses, given.figure)


if __name__ == "__main__":
    main()
