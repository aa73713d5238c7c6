"""The library's tumours double as fast as measured, while they are small."""

import pytest
from validation import growth

from gpusim.backends import availability


@pytest.mark.campaign
@pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler: too slow on the numpy backend")
@pytest.mark.parametrize("tumour", growth.MEASURED)
def test_a_tumour_doubles_as_fast_as_measured(tumour):
    """From a radius of 200 um to twice the cells, the mean of three seeds, whose vessels differ."""
    times = [growth.doubling(*growth.grow(tumour, seed, until=2, n=40)).item() for seed in (1, 2, 3)]
    assert sum(times) / len(times) == pytest.approx(growth.MEASURED[tumour], rel=0.15), times
