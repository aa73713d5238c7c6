"""Which rows of a table fit the conditions of a scenario."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from gpusim.errors import ScenarioError
from gpusim.scenario.conditions import ORDERS, Test, number, parse
from gpusim.scenario.schema import Condition

_MISSING = ("", "na", "n/a", "#n/a", "nan", "null", "none", "true", "false")
_SHOWN = 6
"""Values of a column that a message lists."""


def fits(frame: pd.DataFrame, where: Mapping[str, Condition], label: str) -> np.ndarray:
    """Rows in which every column fits its condition, bool [rows]. A missing value fits none.

    Raises `ScenarioError` where a threshold stands for a column without numbers.
    """
    found = np.ones(len(frame), bool)
    for column, condition in where.items():
        found &= _column_fits(frame[column], condition, f"{label}.{column}")
    return found


def unread(frame: pd.DataFrame, where: Mapping[str, Condition], label: str) -> list[str]:
    """Values that a threshold can't be compared with, in words; those that stand for a missing one need none."""
    said = []
    for column, condition in where.items():
        texts = [c for c in (condition if isinstance(condition, tuple) else (condition,)) if isinstance(c, str)]
        if any(test.kind in ORDERS for text in texts for test in parse(text)):
            values = frame[column].dropna().astype(str).str.strip()
            wrong = values[pd.to_numeric(values, errors="coerce").isna() & ~values.str.lower().isin(_MISSING)]
            if len(wrong):
                said.append(f"{label}.{column}: {len(wrong):,} rows hold no number ({_listed(_unique(wrong))})")
    return said


def _unique(texts: pd.Series) -> pd.Series:
    return pd.Series(texts.unique())


def misfit(frame: pd.DataFrame, where: Mapping[str, Condition]) -> str:
    """Why no row fits: the columns whose condition alone fits none, with what they hold."""
    said = [
        f"column '{column}' holds {_values(frame[column])}"
        for column, condition in where.items()
        if not _column_fits(frame[column], condition, column).any()
    ]
    return "; ".join(said) or "each condition fits some rows, all together none"


def told(where: Mapping[str, Condition]) -> str:
    """Conditions in words, such as "CD8 > 20, region Tumor or Stroma"; "all others" without any."""
    texts = []
    for column, condition in where.items():
        values = condition if isinstance(condition, tuple) else (condition,)
        texts.append(f"{column} {' or '.join(str(value) for value in values)}")
    return ", ".join(texts) or "all others"


def held(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """What rows hold in some columns, in words, and how many hold it, the most frequent first; the rest as one.

    Numbers of many values are given as a range.
    """
    if frame.empty:
        return ()
    few = [column for column in dict.fromkeys(columns) if frame[column].nunique(dropna=False) <= _SHOWN]
    many = [f"{column} {_values(frame[column])}" for column in dict.fromkeys(columns) if column not in few]
    if not few:
        return ((", ".join(many), len(frame)),)
    counts = frame[few].astype(object).where(frame[few].notna(), "missing").value_counts(sort=True)
    found = []
    for key, count in list(counts.items())[:_SHOWN]:
        values = key if isinstance(key, tuple) else (key,)
        words = [f"{column} {value}" for column, value in zip(few, values, strict=True)]
        found.append((", ".join([*words, *many]), int(count)))
    rest = len(frame) - sum(count for _, count in found)
    return (*found, ("other values", rest)) if rest else tuple(found)


def _column_fits(column: pd.Series, condition: Condition, label: str) -> np.ndarray:
    # Few values stand in many rows.
    codes, values = pd.factorize(
        column.to_numpy(object) if column.dtype == "category" else column, use_na_sentinel=True
    )
    unique = pd.Series(np.asarray(values))
    numbers = pd.to_numeric(unique, errors="coerce").to_numpy(float)
    texts = unique.astype(str).str.strip()
    fit = np.zeros(len(unique) + 1, bool)  # the last one is that of missing values, code -1
    for each in condition if isinstance(condition, tuple) else (condition,):
        fit[:-1] |= _value_fits(texts, numbers, each, label)
    found: np.ndarray = fit[codes]
    return found


def _value_fits(texts: pd.Series, numbers: np.ndarray, value: str | bool | int | float, label: str) -> np.ndarray:
    if isinstance(value, bool):
        found: np.ndarray = (numbers == value) | (texts.str.lower() == str(value).lower()).to_numpy(bool)
        return found
    if isinstance(value, int | float):
        return numbers == value
    found = np.ones(len(texts), bool)
    for test in parse(value):
        found &= _passes(texts, numbers, test, label)
    return found


def _passes(texts: pd.Series, numbers: np.ndarray, test: Test, label: str) -> np.ndarray:
    if test.kind in ORDERS:
        assert isinstance(test.value, float)
        if len(numbers) and np.isnan(numbers).all():
            raise ScenarioError(
                f"{label}: '{test.kind} {test.value:g}' needs numbers; the column holds {_listed(texts)}"
            )
        return np.asarray(ORDERS[test.kind](numbers, test.value))  # type: ignore[arg-type]
    text = str(test.value)
    if test.kind == "*":
        pattern = ".*".join(map(re.escape, text.split("*")))
        return texts.str.fullmatch(pattern, flags=re.DOTALL).to_numpy(bool)
    equal: np.ndarray = (texts == text).to_numpy(bool)
    as_number = number(text)
    if as_number is not None:
        equal = equal | (numbers == as_number)
    return equal if test.kind == "=" else ~equal


def _values(column: pd.Series) -> str:
    numbers = pd.to_numeric(column, errors="coerce")
    if len(column) and numbers.notna().all() and numbers.nunique() > _SHOWN:
        return f"{numbers.min():g} to {numbers.max():g}"
    return _listed(_unique(column.dropna().astype(str)))


def _listed(texts: pd.Series) -> str:
    shown = sorted(texts)[:_SHOWN]
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return (", ".join(repr(text[:60]) for text in shown) or "nothing") + more
