"""Escape from T cells by loss of antigen, for fewer seeds than in the campaign; and the branching process."""

import numpy as np
import pytest
from validation import escape

from gpusim.backends import availability

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler: too slow on the numpy backend"),
]


def test_relapses_are_as_many_and_as_late_as_in_a_branching_process():
    courses = escape.follow(range(8))
    found = escape.compared(courses)
    assert 0 < found["found"] < 8
    assert abs(found["found"] - found["expected"]) < 3.3 * found["sd"]
    assert found["p"] > 0.001


def test_no_tumour_relapses_that_does_not_mutate():
    courses = escape.follow(range(2), {"traits.antigen.mutation.probability": 0})
    assert escape.relapses(courses) == [None, None]


def test_the_branching_process_has_its_closed_forms():
    """One clone of median size: the median of W is mean * ln 2, and W exp((b - d) t) = n gives its time."""
    expected = np.zeros((1, 1))
    expected[0, 0] = 0.02
    drawn = escape.times(expected, 500, 100_000)
    relapsing = drawn[np.isfinite(drawn)]
    assert relapsing.size / drawn.size == pytest.approx(1 - np.exp(-0.02), rel=0.08)
    growth = escape.DIVISION - escape.DEATH
    median = np.log(500 * growth / escape.DIVISION / np.log(2)) / growth + 0.125
    assert np.median(relapsing) == pytest.approx(median, abs=0.1)
