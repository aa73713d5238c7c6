"""The numbers of the library on which the small nodule of `turning-hot` depends most.

    PYTHONPATH=tests python tests/validation/screening.py --jobs 2 --folder results/screening

runs the arm with the virus and prints the figures of docs/validation.md; `--update` keeps the table beside this file
and draws the figure. First, all numbers of a group are drawn from their ranges (a scrambled Sobol sequence);
then each number of the five groups with the largest effect is set to either end of its range. The response is the mean
over 14 days of log10(1 + cancer cells). Finished runs are kept in the folder.
"""

import argparse
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import chi2, qmc

import gpusim
from gpusim.scenario.sources import KINDS
from gpusim.study.design import Point, at
from gpusim.study.execution import Setting, workers
from gpusim.study.robustness import Sets
from gpusim.study.runs import Study
from gpusim.study.sweep import FAILURE, sweep

TABLE = Path(__file__).parent / "screening.csv"
SEEDS, DRAWS, REPEATS, TOP, SHOWN = 16, 8, 2, 5, 10
"""Runs with the shipped numbers; draws of a group; seeds at either end of a number; groups whose numbers are screened;
numbers in the figure."""
GROUPS = {
    "oxygen": r"oxygen|rules\.starvation|rules\.clearing|rules\.division\.modulators\[0\]",
    "growth": r"rules\.division\.(rate|reach)|rules\.regrowth|rules\.turnover|yields",
    "antibody": r"antibody|plasma",
    "virus in the blood": r"body\.processes\.(clearance_of_virus|neutralisation)|vessel\.exchange\.virus",
    "dose": r"therapies\.",
    "virus in the tissue": r"fields\.virus|uptake\.virus",
    "infection": r"traits\.bound|rules\.infection\.rate|states\..*uptake\.virus",
    "replication": r"traits\.load|rules\.lysis\.releases",
    "eclipse phase and lysis": r"rules\.(eclipse_end|lysis)",
    "off-target infection": r"off_target|abortion|exposed_healthy",
    "interferon": r"ifn1|antiviral|rules\.infection\.modulators",
    "interferon gamma": r"ifng|rules\.division\.modulators\[1\]",
    "PD-L1": r"pdl1|rules\.exhaustion|rules\.reinvigoration|rules\.hit\.modulators\[0\]",
    "fatigue": r"rules\.fatigue",
    "TGF-beta": r"tgfb|treg|polarisation|rules\.hit\.modulators\[1\]|ctl_recruitment\.modulators\[3\]",
    "macrophages": r"tam|macrophage",
    "chemokine": r"chemokine",
    "GM-CSF": r"gmcsf",
    "DAMPs and antigen": r"damp|antigen",
    "maturation of dendritic cells": r"maturation",
    "dendritic cells": r"\.dc|dc_|rules\.egress|body\.processes\.arrival",
    "priming": r"body\.processes\.",
    "NK cells": r"nk",
    "T cell recruitment": r"(ctl|helper)_recruitment",
    "T cells in the tissue": r"ctl|exhausted|helper",
    "killing": r"rules\.(hit|killing)",
    "architecture": r"tissue\.",
}
"""Patterns of paths; a number belongs to the first group with one that is found in its path."""


@dataclass(frozen=True)
class Screening:
    """The numbers of a scenario that have a range, by group.

    Attributes:
        members: by group, its free numbers; with: for each, those that equal it.
    """

    study: Study
    members: dict[str, list[str]]
    together: dict[str, list[str]]

    @classmethod
    def of(cls, name: str, arm: str) -> "Screening":
        """Of an arm of a shipped trial."""
        scenario = gpusim.Scenario.load(name).with_(trial={"vary": {"kinds": list(KINDS)}})
        sets = Sets.of(scenario)
        free = [path for path in sets.study.document.parameters if path not in sets.tied]
        together = {path: [path] for path in free}
        for number in scenario.numbers:
            if number.equals in together and number.path in sets.tied:
                together[number.equals].append(number.path)
        members: dict[str, list[str]] = {group: [] for group in GROUPS}
        for path in free:
            if not path.startswith("heat."):  # a scale of the response's colours alone
                members[next(group for group, pattern in GROUPS.items() if re.search(pattern, path))].append(path)
        days = [f"{day} day" for day in range(15)]
        outcome = scenario.document.trial.outcomes["tumour"].model_copy(update={"at": tuple(days)})
        document = sets.study.document.model_copy(
            update={"arms": {arm: sets.study.document.arms[arm]}, "outcomes": {"tumour": outcome}}
        )
        return cls(replace(sets.study, document=document), {k: v for k, v in members.items() if v}, together)

    def point(self, shares: dict[str, float]) -> Point:
        """The point at which some numbers have shares of their ranges, and all others the shipped values."""
        parameters = {
            path: (self.study.document.parameters[path], share)
            for root, share in shares.items()
            for path in self.together[root]
        }
        return at({path: p for path, (p, _) in parameters.items()}, np.array([[u for _, u in parameters.values()]]))[0]

    def groups(self) -> Iterator[tuple[str, Point]]:
        """Draws of each group."""
        for group, members in self.members.items():
            sampler = qmc.Sobol(len(members), rng=self.study.document.seed)
            for shares in sampler.random(DRAWS):
                yield group, self.point(dict(zip(members, map(float, shares), strict=True)))

    def ends(self, group: str) -> Iterator[tuple[str, Point]]:
        """Both ends of each number of a group."""
        for path in self.members[group]:
            for end in (0.0, 1.0):
                yield path, self.point({path: end})


def response(frame: pd.DataFrame) -> np.ndarray:
    """Mean over the days of log10(1 + cancer cells), float64 [runs]; not a number where a run has no outcomes."""
    columns = [column for column in frame.columns if column.startswith("tumour")]
    values = np.log10(1 + frame[columns].to_numpy(float))
    return np.trapezoid(values, axis=1) / (values.shape[1] - 1)


def screen(screening: Screening, run: Callable[[Study, list[Point]], pd.DataFrame]) -> pd.DataFrame:
    """Effects: columns `group`, `number` (empty for a group), `low`, `high`, `effect`, `noise`, `n` runs.

    Of a group, `effect` is the standard deviation over its draws without that of the seeds, and `low` and `high` are
    the least and the greatest response. Of a number, `effect` is the difference between the means at the ends of its
    range, and `low` and `high` are these means. `noise`: what no effect would exceed with a probability of 0.95.
    """

    def responses(points: list[tuple[str, Point]], seeds: int) -> dict[str, list[float]]:
        document = screening.study.document.model_copy(update={"replicates": seeds})
        frame = run(replace(screening.study, document=document), [point for _, point in points])
        for reason in frame[FAILURE][frame[FAILURE] != ""].unique():
            print(f"no outcomes: {reason}", flush=True)
        found: dict[str, list[float]] = {}
        for index, value in zip(frame["point"], response(frame), strict=True):
            found.setdefault(f"{points[index][0]}", []).append(float(value))
        return found

    base = np.array(responses([("", {})], SEEDS)[""])
    spread = float(base.std(ddof=1))
    rows = [
        {"group": "", "number": "", "low": base.min(), "high": base.max(), "effect": 0.0, "noise": spread, "n": SEEDS}
    ]
    for group, values in responses(list(screening.groups()), 1).items():
        drawn = np.array([value for value in values if np.isfinite(value)])
        squares = float(((drawn - base.mean()) ** 2).mean())
        effect = np.sqrt(max(0.0, squares - spread**2))
        noise = spread * np.sqrt(max(0.0, chi2.ppf(0.95, len(drawn)) / len(drawn) - 1))
        rows.append(
            {
                "group": group,
                "number": "",
                "low": drawn.min(),
                "high": drawn.max(),
                "effect": effect,
                "noise": noise,
                "n": len(drawn),
            }
        )
    top = sorted(rows[1:], key=lambda row: -row["effect"])[:TOP]
    for group in (row["group"] for row in top):
        ends = [(f"{path} {i % 2}", point) for i, (path, point) in enumerate(screening.ends(group))]
        found = responses(ends, REPEATS)
        for path in screening.members[group]:
            low, high = (float(np.nanmean(found[f"{path} {end}"])) for end in (0, 1))
            noise = 1.96 * spread * np.sqrt(2 / REPEATS)
            rows.append(
                {
                    "group": group,
                    "number": path,
                    "low": low,
                    "high": high,
                    "effect": high - low,
                    "noise": noise,
                    "n": 2 * REPEATS,
                }
            )
    return pd.DataFrame(rows)


def figure(table: pd.DataFrame, path: Path) -> None:
    """Groups by effect, and the ten numbers with the largest effect, with the noise."""
    import matplotlib.pyplot as plt

    groups = table[(table["number"] == "") & (table["group"] != "")].sort_values("effect").tail(15)
    numbers = table[table["number"] != ""].copy()
    numbers["size"] = numbers["effect"].abs()
    numbers = numbers.sort_values("size").tail(SHOWN)
    drawn, (left, right) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    left.barh(groups["group"], groups["effect"], color="#0072b2")
    left.axvline(groups["noise"].max(), color="#d55e00", linestyle="--", label="noise")
    left.set(xlabel="standard deviation of the response", title="groups of numbers")
    left.legend(frameon=False)
    right.barh(numbers["number"], numbers["effect"], color=np.where(numbers["effect"] < 0, "#009e73", "#cc79a7"))
    for sign in (-1, 1):
        right.axvline(sign * numbers["noise"].max(), color="#d55e00", linestyle="--")
    right.axvline(0, color="#000000", linewidth=0.8)
    right.set(xlabel="response at the upper end - at the lower end", title="single numbers")
    drawn.savefig(path, dpi=100)


def main() -> None:
    """Screen, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("results/screening"))
    parser.add_argument("--update", action="store_true", help="keep the table and draw the figure")
    arguments = parser.parse_args()
    screening = Screening.of("turning-hot", "virus")
    setting = Setting(arguments.folder.resolve(), backend="cpu", threads=1)
    setting.folder.mkdir(parents=True, exist_ok=True)
    with workers(arguments.jobs) as pool:
        table = screen(screening, lambda study, points: sweep(study, points, setting, lambda: pool, _Told()))
    print(table.to_string(float_format="%.3f"))
    if arguments.update:
        table.to_csv(TABLE, index=False, float_format="%.4g")
        figure(table, Path("docs/images/validation/screening.png"))


class _Told:
    """Counts runs."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, run: object, how: object) -> None:
        self.count += 1
        if not self.count % 20:
            print(f"{self.count} runs", flush=True)


if __name__ == "__main__":
    main()
