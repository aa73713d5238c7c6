"""EL4 lymphoma with transferred T cells at the measured density, against Beck et al. 2019 and a rate of kills."""

from functools import cache

import numpy as np
import pytest
from validation import el4

from gpusim.backends import availability

needs_cpu = pytest.mark.skipif(
    not availability("cpu").available, reason="no C++ compiler: too slow on the numpy backend"
)


@cache
def folds(arm):
    """Volume one, two and three days after day 7, relative to it."""
    days, volume = el4.run(arm)
    return np.interp(el4.START + np.arange(1, 4), days, volume / volume[0])


def test_growth_of_the_untreated_mice_is_that_of_beck_et_al():
    assert el4.growth_rate() == pytest.approx(0.859, abs=5e-4)


@pytest.mark.campaign
@needs_cpu
def test_contact_killing_at_the_measured_rate_and_density_is_insufficient():
    """As Beck et al. found; on the third day, when cells have gathered hits, as much as 4 kills per T cell and day."""
    gap = np.log(folds("untreated") / folds("killing"))
    assert gap[2] - gap[1] == pytest.approx(el4.killed(3) - el4.killed(2), rel=1 / 3)
    assert folds("killing")[2] > 8


@pytest.mark.campaign
@needs_cpu
def test_interferon_gamma_slows_growth_far_more_than_killing_does():
    """As Beck et al. found; and farther-reaching interferon slows it more."""
    both, near, killing = (folds(arm)[2] for arm in ("both", "both, near", "killing"))
    assert both < near < killing
    assert np.log(folds("arrest")[2]) < np.log(killing) / 2
