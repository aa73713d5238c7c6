"""Tables that gpusim has written, as data frames."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

_MISSING = ["", "nan", "NaN"]
"""Numbers that are not there."""


def read(source: Path | TextIO, text: Collection[str], dtype: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """A CSV table.

    Args:
        text: columns of names, which may look like numbers or missing values, such as a site 'NA'.
        dtype: of some other columns.

    Raises:
        pandas.errors.ParserError: a row has more fields than the table has columns.
    """
    begins = None if isinstance(source, Path) else source.tell()
    columns = pd.read_csv(source, nrows=0).columns
    if begins is not None and not isinstance(source, Path):
        source.seek(begins)
    names = [each for each in columns if each in text]
    found = pd.read_csv(
        source,
        dtype={**dict.fromkeys(names, str), **(dtype or {})},
        keep_default_na=False,
        na_values={each: _MISSING for each in columns if each not in text},
    )
    if not isinstance(found.index, pd.RangeIndex):  # pandas takes the first cells for names of rows
        raise pd.errors.ParserError(f"expected {len(columns)} fields a row, found more")
    return found
