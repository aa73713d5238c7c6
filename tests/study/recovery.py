"""Known parameters, found again from what a simulation with them measures.

python tests/study/recovery.py optuna 40 optuna.csv    # method, data sets, where the rows go

One process, one thread. Data sets that stand in the table are not fitted again, so that it may be stopped at any time.
Each has its own truth, drawn evenly from the middle nine tenths of the ranges, one tumour with random numbers of its
own, and lognormal errors of 10% on seven volumes.
"""

import csv
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import gpusim
from gpusim.study.execution import Connect, Setting, Workers
from gpusim.study.fit import Estimate, fit
from gpusim.study.measured import Data
from gpusim.study.problem import pose
from gpusim.study.runs import Study

SCENARIO = """
name: growth
grid: {shape: [18, 18, 18]}
time: {until: 84 h, step: {field: 2 h, rules: 2 h}}
states: {tumour: {}}
rules:
  division: {transition: empty -> tumour, rate: 1e-4 /min, modulators: [{neighbours: tumour, per: 1}]}
tissue: {shapes: {seed: {kind: sphere, state: tumour, radius: 50 um}}}
"""
STUDY = """
name: recovery
scenario: growth.yaml
parameters:
  rules.division.rate: {{from: 3e-5 /min, to: 3e-4 /min, scale: log}}
  tissue.shapes.seed.radius: {{from: 30 um, to: 100 um}}
outcomes: {{volume: {{volume: tumour}}}}
fit: {{method: {method}, error: 0.1, particles: {particles}, populations: {populations}, trials: 120}}
"""
HOURS = (12, 24, 36, 48, 60, 72, 84)


@dataclass(frozen=True)
class Recovery:
    """A parameter's estimate, and what it should be."""

    estimate: Estimate
    truth: float

    @property
    def inside(self) -> bool:
        """Whether the truth lies in the 95% interval."""
        return self.estimate.low <= self.truth <= self.estimate.high


def measure(study: Study, number: int, path: Path) -> list[float]:
    """Write data set `number`; returns its true parameters."""
    rng = np.random.default_rng([2026, number])
    cube = 0.05 + 0.9 * rng.random(2)
    rate, radius = 3e-5 * 10 ** cube[0], 30 + 70 * cube[1]
    scenario = gpusim.Scenario.load(
        path.parent / "growth.yaml",
        {"rules.division.rate": f"{rate} /min", "tissue.shapes.seed.radius": f"{radius} um"},
    )
    deviation = np.sqrt(np.log1p(study.document.fit.error**2))
    lines = ["h,volume"]
    with gpusim.Simulation(scenario, "numpy", seed=10_000 + number) as simulation:
        for hours in HOURS:
            simulation.run(until=f"{hours} h")
            volume = simulation.count("tumour") * 8e-6
            lines.append(f"{hours},{volume * np.exp(rng.normal(0, deviation)):.6g}")
    path.write_text("\n".join(lines) + "\n")
    return [rate, radius]


def recover(
    folder: Path, connect: Connect, number: int, method: str, backend: str, particles: int = 60, populations: int = 5
) -> list[Recovery]:
    """Fit data set `number`."""
    (folder / "growth.yaml").write_text(SCENARIO)
    path = folder / "study.yaml"
    path.write_text(STUDY.format(method=method, particles=particles, populations=populations))
    study = Study.load(path)
    truth = measure(study, number, folder / "data.csv")
    setting = Setting(folder / "runs-of-fit", backend, 1)
    found = fit(pose(study, Data.read(folder / "data.csv", study), setting), connect)
    return [Recovery(estimate, true) for estimate, true in zip(found.estimates, truth, strict=True)]


def main(method: str, sets: int, table: Path) -> None:
    """Fit what is missing in the table, and print how many truths lie inside."""
    from distributed import Client

    if not table.exists():
        table.write_text("set,parameter,truth,estimate,low,high,inside\n")
    done = {int(row["set"]) for row in csv.DictReader(table.open())}
    with Client(
        processes=False, n_workers=1, threads_per_worker=1, memory_limit=None, dashboard_address="127.0.0.1:0"
    ) as client:

        def connect() -> Workers:
            return Workers(client.get_executor(pure=False), 1)

        for number in sorted(set(range(sets)) - done):
            with tempfile.TemporaryDirectory() as folder:
                found = recover(Path(folder), connect, number, method, "auto")
            rows = [
                f"{number},{e.parameter},{each.truth:.5g},{e.estimate:.5g},{e.low:.5g},{e.high:.5g},{int(each.inside)}\n"
                for each in found
                for e in [each.estimate]
            ]
            with table.open("a") as file:
                file.write("".join(rows))
    inside: dict[str, list[int]] = {}
    for row in csv.DictReader(table.open()):
        inside.setdefault(row["parameter"], []).append(int(row["inside"]))
    print({name: f"{sum(of)} of {len(of)}" for name, of in inside.items()})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
