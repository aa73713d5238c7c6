"""Neutral mutations in colonies, smaller and fewer than in the campaign that they are made for."""

import numpy as np
import pytest
from validation import neutral

from gpusim.backends import availability


def test_the_line_of_frequencies_in_theory_has_the_probability_as_its_slope():
    exact = np.repeat(1 / np.arange(1, 2_000), 100)  # M(f) = 100 / f, rounded down
    found = neutral.line([exact])
    assert found.slope == pytest.approx(100, rel=0.02)
    assert found.fit > 0.999


@pytest.mark.slow
@pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler: too slow on the numpy backend")
def test_mutations_grow_as_the_inverse_of_their_frequency():
    """R^2 as in Williams et al. (2016); the slope is p within three standard errors of a pure birth process."""
    seeds, cells = 12, 1_000
    mean, deviation = neutral.spread(cells, 100)
    assert mean == pytest.approx(neutral.PROBABILITY, abs=3 * deviation / 10)
    found = neutral.line(neutral.grow(range(seeds), cells, 23))
    assert found.fit > 0.98
    assert found.slope == pytest.approx(neutral.PROBABILITY, abs=3 * deviation / np.sqrt(seeds))
