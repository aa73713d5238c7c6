"""The library's tumours double as fast as measured, while they are small."""

from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from validation import growth

import gpusim
from gpusim import units
from gpusim.backends import availability


@pytest.mark.campaign
@pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler: too slow on the numpy backend")
@pytest.mark.parametrize("tumour", growth.MEASURED)
def test_a_tumour_doubles_as_fast_as_measured(tumour):
    """From a radius of 200 um to twice the cells, the mean of three seeds, whose vessels differ."""
    times = [growth.doubling(*growth.grow(tumour, seed, until=2, n=40)).item() for seed in (1, 2, 3)]
    assert sum(times) / len(times) == pytest.approx(growth.MEASURED[tumour], rel=0.15), times


def test_volumes_follow_the_equation_of_a_dividing_rim():
    days, growth_rate, depth = np.linspace(0, 40, 9), 0.3, 0.8

    def by_radius(_, radius):
        inside = max(radius[0] - depth, 0.0)
        return growth_rate * (radius**3 - inside**3) / (3 * radius**2)

    start = (3 * 0.5 / (4 * np.pi)) ** (1 / 3)
    radii = solve_ivp(by_radius, (0, 40), [start], t_eval=days, rtol=1e-9, atol=1e-12, max_step=0.1).y[0]
    assert start < depth < radii[-1]
    found = growth.volumes(days, 0.5, growth_rate, depth)
    np.testing.assert_allclose(found, 4 / 3 * np.pi * radii**3, rtol=1e-4)


@pytest.fixture(scope="module")
def rim():
    return growth.fit(growth.mice(), growth.DEPTHS[::4])


def test_the_library_has_the_depth_and_the_growth_of_the_mice(rim):
    scenario = gpusim.Scenario.draft("extends: ct26\nname: x\n", Path("x.yaml"))
    numbers = {each.path: each for each in scenario.numbers}
    reach = units.number(str(numbers["rules.division.reach"].value), "mm")
    d = int(np.argmin(np.abs(growth.DEPTHS[::4] - reach)))
    assert rim.likelihood[d] > rim.likelihood.max() - 0.5
    assert np.median(rim.growth[d]) == pytest.approx(np.log(2) / growth.MEASURED["ct26"], rel=0.02)


def test_volumes_of_mice_tell_the_depth_from_none(rim):
    """All cells divide: no depth, or 10 mm; chi-squared with one degree of freedom."""
    assert rim.likelihood[-1] < rim.likelihood.max() - 1.92


def test_ct26_doubles_as_measured_at_the_size_of_the_mice(rim):
    """Until days 22 and 35: 2.9 and 3.6 days, medians of regressions of each mouse; 200 mm^3 on day 20."""
    days = np.linspace(0, 28, 29)
    curve = growth.volumes(days, growth.START, np.log(2) / growth.MEASURED["ct26"], 1.0)
    assert growth.mean_doubling(days[:12], curve[:12]) == pytest.approx(2.9, rel=0.1)
    assert growth.mean_doubling(days[:25], curve[:25]) == pytest.approx(3.6, rel=0.1)
    assert 17.5 < 11 + np.interp(200, curve, days) < 30.6
