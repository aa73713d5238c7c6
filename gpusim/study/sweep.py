"""A study's points, run, and their table."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gpusim.errors import ResultError
from gpusim.record import sums
from gpusim.record.files import explained, is_empty, written_aside
from gpusim.record.provenance import agree
from gpusim.study import folder as on_disk
from gpusim.study.design import Point
from gpusim.study.execution import Connect, Ended, Setting, Tell, execute, reason
from gpusim.study.runs import Run, Study, depends_on
from gpusim.study.schema import Range, split
from gpusim.units import UnitError, number

FAILURE = "failure"
"""Column that says why a run has no outcomes; empty where it has."""


@dataclass(frozen=True)
class Column:
    """A parameter in a table: numbers of a `unit`, or text where its values are no quantities (unit None)."""

    unit: str | None

    def __call__(self, value: Any) -> float | str:
        """A value as the table holds it."""
        if self.unit is None:
            return value if isinstance(value, str) else json.dumps(value)
        return number(value, f"1 {self.unit}") if self.unit else split(value)[0]


def column(parameter: Range | Sequence[Any]) -> Column:
    """How a parameter stands in a table."""
    if isinstance(parameter, Range):
        return Column(parameter.unit)
    try:
        if any(isinstance(value, bool) or not isinstance(value, (int, float, str)) for value in parameter):
            return Column(None)
        found = Column(split(parameter[0])[1])
        for value in parameter:
            found(value)
    except UnitError:
        return Column(None)
    return found


def sweep(
    study: Study,
    points: Sequence[Point],
    setting: Setting,
    connect: Connect,
    tell: Tell = lambda run, how: None,
) -> pd.DataFrame:
    """Run points and return their table, one row a run, by point, arm and replicate.

    The table depends on the study alone: not on workers, nor on what had been run before. Units stand
    in its `attrs`. Raises `ResultError` where an input file or the program has changed since finished runs.
    """
    runs = list(study.runs(points))
    begin(runs, setting)
    found = execute(connect, runs, setting, tell)
    columns = {path: column(parameter) for path, parameter in study.document.parameters.items()}
    frame = table(runs, found, columns).astype({"seed": np.uint64})
    frame.attrs["units"] = {path: c.unit for path, c in columns.items() if c.unit}
    return frame


def begin(runs: Iterable[Run], setting: Setting) -> None:
    """Make the folder of a study. Raises `ResultError` where what its finished runs depend on has changed since."""
    finished = setting.folder / on_disk.RUNS
    finished.mkdir(parents=True, exist_ok=True)
    agree(setting.folder, depends_on(runs), rerun=setting.rerun or not any(finished.iterdir()))


def note_study(folder: Path, text: str) -> None:
    """Keep the study file. Raises `ResultError` where the folder holds something else."""
    if on_disk.is_trial(folder) or not (is_empty(folder) or (folder / on_disk.RUNS).is_dir()):
        raise ResultError(f"{folder}: contains other files than a study; give another folder with -o")
    with explained(folder):
        (folder / on_disk.RUNS).mkdir(exist_ok=True)
    on_disk.put(folder, on_disk.STUDY, text)


def table(runs: Iterable[Run], found: Mapping[str, Ended], parameters: Mapping[str, Column]) -> pd.DataFrame:
    """One row a run, with its outcomes; those with none say why, under `failure`."""
    rows = []
    for run in runs:
        how = found[run.key]
        rows.append(
            {"point": run.point, "arm": run.arm, "replicate": run.replicate, "seed": run.seed}
            | {path: parameters[path](value) for path, value in run.values.items()}
            | {name: np.nan if isinstance(how, Exception) else how[name] for name in run.columns}
            | {FAILURE: reason(how) if isinstance(how, Exception) else ""}
            | ({"store": str(run.store)} if run.store else {})
        )
    return pd.DataFrame(rows)


def save(frame: pd.DataFrame, path: Path) -> Path:
    """Write a table of a study as Parquet, and as CSV beside it, each whole or not at all."""
    with explained(path.parent):
        with written_aside(path) as file:
            frame.to_parquet(file, engine="pyarrow", index=False)
        sums.add(path.parent, path.name)
    on_disk.put(path.parent, path.with_suffix(".csv").name, frame.to_csv(index=False))
    return path
