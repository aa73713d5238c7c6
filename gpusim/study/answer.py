"""What a study has found, from the tables in its folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gpusim.errors import ResultError
from gpusim.record import layout, sums
from gpusim.scenario.loading import checked
from gpusim.scenario.reading import read_file
from gpusim.scenario.schema import columns
from gpusim.study.folder import STUDY
from gpusim.study.schema import StudyDocument
from gpusim.study.sweep import FAILURE

RUNS, INDICES, ESTIMATES, PARTICLES, AGAINST = (
    "table.parquet",
    "sensitivity.parquet",
    "estimates.parquet",
    "particles.parquet",
    "fit.parquet",
)
"""Tables of a sweep, of sensitivity, and of a fit."""


@dataclass(frozen=True, eq=False)
class Answer:
    """The tables of a study; None for those that it does not have.

    Attributes:
        runs: a row for each run of a sweep. indices: of sensitivity.
        estimates, particles, against: of a fit: parameters, draws of their posterior, and simulated values against
            measured ones.
    """

    folder: Path
    document: StudyDocument
    runs: pd.DataFrame | None
    indices: pd.DataFrame | None
    estimates: pd.DataFrame | None
    particles: pd.DataFrame | None
    against: pd.DataFrame | None

    @classmethod
    def open(cls, folder: Path | str) -> "Answer":
        """Read the folder of a study. Raises `ResultError` where nothing has been written yet, or was changed."""
        folder = Path(folder)
        names = (RUNS, INDICES, ESTIMATES, PARTICLES, AGAINST)
        there = [name for name in names if (folder / name).is_file()]
        if not {RUNS, INDICES, ESTIMATES} & set(there):
            raise ResultError(f"{folder}: the study has no table yet; 'gpusim sweep', 'sensitivity' or 'fit' writes it")
        if (folder / layout.SUMS).exists():
            for problem in sums.problems(folder, (STUDY, *there)):
                raise ResultError(problem)
        document = checked(StudyDocument, read_file(folder / STUDY), str(folder / STUDY), lambda _: ())
        tables = [_read(folder / name) if name in there else None for name in names]
        return cls(folder, document, *tables)

    @property
    def outcomes(self) -> list[str]:
        """Columns of the outcomes."""
        return list(columns(self.document.outcomes))


def _read(path: Path) -> pd.DataFrame:
    try:
        found = pd.read_parquet(path)
    except ImportError as error:
        raise ResultError(f"{path}: {error.name} is needed to read it: pip install 'gpusim[study]'") from None
    except (OSError, ValueError) as error:
        raise ResultError(f"{path}: can't be read: {error}") from None
    return found


def by_point(table: pd.DataFrame, document: StudyDocument) -> pd.DataFrame:
    """A row for each point and arm: point, arm, the parameters, runs, and median, lowest, highest of each outcome.

    `runs` counts those with outcomes. The columns of an outcome are `NAME median`, `NAME lowest` and `NAME highest`.
    """
    outcomes, parameters = list(columns(document.outcomes)), list(document.parameters)
    groups = table.groupby(["point", "arm"], sort=False)
    found = groups[parameters].first() if parameters else pd.DataFrame(index=groups.size().index)
    found["runs"] = groups[FAILURE].agg(lambda failures: int((failures == "").sum()))
    for name in outcomes:
        for title, how in (("median", "median"), ("lowest", "min"), ("highest", "max")):
            found[f"{name} {title}"] = groups[name].agg(how)
    found.attrs["units"] = table.attrs.get("units", {})
    return found.reset_index()


def spread(row: Mapping[Any, Any], name: str) -> str:
    """Median and range of an outcome at a point; a single value without a range."""
    middle, low, high = (row[f"{name} {title}"] for title in ("median", "lowest", "highest"))
    if pd.isna(middle):
        return ""
    return f"{middle:.4g}" + (f" ({low:.4g} to {high:.4g})" if low < high else "")


def variance(table: pd.DataFrame, document: StudyDocument) -> pd.DataFrame | None:
    """Shares of the variance of each outcome in each arm: by each parameter alone, interactions, and the seeds.

    Omega squared of an analysis of variance of the whole grid: what chance alone would give to a parameter is taken
    off. Columns: outcome, arm, the parameters with several values, interactions (of several parameters), seeds.
    None unless every point of a grid has the same number of runs, of two or more, without failures.
    """
    parameters = [p for p in document.parameters if table[p].nunique() > 1]
    runs = table.groupby(["arm", "point"]).size()
    if document.design.kind != "grid" or not parameters or runs.nunique() > 1 or runs.iloc[0] < 2:
        return None
    if (table[FAILURE] != "").any():
        return None
    rows: list[dict[str, Any]] = []
    for name in columns(document.outcomes):
        for arm in document.arms:
            of_arm = table[table["arm"] == arm]
            values = of_arm[name].to_numpy(float)
            total = float(((values - values.mean()) ** 2).sum())
            if not total:
                continue
            points = of_arm.groupby("point")[name].transform("mean").to_numpy(float)
            freedom = len(values) - of_arm["point"].nunique()
            chance = float(((values - points) ** 2).sum()) / freedom
            shares = {}
            left = (float(((points - values.mean()) ** 2).sum()), of_arm["point"].nunique() - 1)
            for parameter in parameters:
                means = of_arm.groupby(parameter)[name].transform("mean").to_numpy(float)
                squares, levels = float(((means - values.mean()) ** 2).sum()), of_arm[parameter].nunique() - 1
                shares[parameter] = max(0.0, squares - levels * chance) / (total + chance)
                left = left[0] - squares, left[1] - levels
            if len(parameters) > 1:
                shares["interactions"] = max(0.0, left[0] - left[1] * chance) / (total + chance)
            rows.append({"outcome": name, "arm": arm, **shares, "seeds": 1 - sum(shares.values())})
    return pd.DataFrame(rows) if rows else None


def varied(table: pd.DataFrame, parameters: Sequence[str]) -> list[str]:
    """Parameters that are numbers and have more than one value in a table."""
    return [p for p in parameters if pd.api.types.is_numeric_dtype(table[p]) and table[p].nunique() > 1]


def label(table: pd.DataFrame, parameter: str) -> str:
    """A parameter with its unit."""
    unit = table.attrs.get("units", {}).get(parameter)
    return f"{parameter}, {unit}" if unit else parameter
