"""Measured values to fit a study to."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gpusim.errors import ScenarioError
from gpusim.scenario.checks import nearest
from gpusim.study.runs import Study
from gpusim.units import UnitError, number


@dataclass(frozen=True)
class Data:
    """Measured values.

    Attributes:
        names, times, arms: outcome, time ("3 day") and arm of each value.
        values: float64 [values], above 0.
    """

    names: tuple[str, ...]
    times: tuple[str, ...]
    arms: tuple[str, ...]
    values: np.ndarray

    @classmethod
    def read(cls, path: Path, study: Study) -> "Data":
        """Read a CSV table: a first column of times, headed by their unit (`day`), then one for each outcome.

        Blank cells are skipped; rows at the same time are measurements of their own. A column `arm`
        says which arm a row is of. Raises `ScenarioError`, with the line of what is wrong.
        """
        try:
            frame = pd.read_csv(path)
        except (OSError, ValueError) as error:
            raise ScenarioError(f"{path}: not a table: {error}") from None
        frame.columns = [str(name).strip() for name in frame.columns]
        outcomes, arms = study.document.outcomes, list(study.document.arms)
        unit = frame.columns[0]
        try:
            number(1.0 if unit == "min" else f"1 {unit}", "min")
        except UnitError:
            raise ScenarioError(f"{path}:1: expected a first column of times, headed 'day', 'h' or 'min'") from None
        named = [name for name in frame.columns[1:] if name != "arm"]
        for name in named:
            if name not in outcomes:
                raise ScenarioError(
                    f"{path}:1: '{name}' is no outcome of the study"
                    + (nearest(name, outcomes) or f" (outcomes: {', '.join(outcomes)})")
                )
        if not named:
            raise ScenarioError(f"{path}:1: expected a column for an outcome of the study ({', '.join(outcomes)})")
        if "arm" not in frame.columns and len(arms) > 1:
            raise ScenarioError(f"{path}:1: expected a column 'arm': the study has {', '.join(arms)}")
        found: list[tuple[str, str, str, float]] = []
        for i, row in enumerate(frame.to_dict("records"), start=2):
            arm = str(row.get("arm", arms[0]))
            if arm not in arms:
                raise ScenarioError(f"{path}:{i}: unknown arm '{arm}'{nearest(arm, arms)}")
            for name in named:
                if pd.isna(row[name]):
                    continue
                for cell in (row[unit], row[name]):
                    if isinstance(cell, str) or not np.isfinite(cell):
                        raise ScenarioError(f"{path}:{i}: expected a number, found {cell!r}")
                if row[name] <= 0:
                    raise ScenarioError(f"{path}:{i}: {name}: expected a value above 0, found {row[name]:g}")
                found.append((name, f"{float(row[unit]):g} {unit}", arm, float(row[name])))
        if not found:
            raise ScenarioError(f"{path}: holds no values")
        of_outcome, times, of_arm, values = zip(*found, strict=True)
        return cls(of_outcome, times, of_arm, np.array(values))
