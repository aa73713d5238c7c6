"""Tables as data frames: names that look like numbers or missing values, and numbers that are missing."""

import io

import numpy as np
import pandas as pd
import pytest

from gpusim.record import frames

TEXT = "site,arm,cells,mean\nNA,nan,3,\n1,None,4,nan\n,null,5,inf\n"


@pytest.mark.parametrize("from_file", [True, False])
def test_names_stay_text_and_missing_numbers_are_nan(from_file, tmp_path):
    source = io.StringIO(TEXT)
    if from_file:
        source = tmp_path / "table.csv"
        source.write_text(TEXT)
    found = frames.read(source, ("site", "arm", "unused"), {"cells": np.uint64})
    assert found["site"].tolist() == ["NA", "1", ""]
    assert found["arm"].tolist() == ["nan", "None", "null"]
    assert found["cells"].dtype == np.uint64
    np.testing.assert_array_equal(found["mean"], [np.nan, np.nan, np.inf])


@pytest.mark.parametrize("rows", ["1,2,3\n", "1,2\n1,2,3\n", "1,2,\n"])
def test_a_row_with_too_many_fields_is_refused(rows):
    with pytest.raises(pd.errors.ParserError):
        frames.read(io.StringIO(f"a,b\n{rows}"), ())
