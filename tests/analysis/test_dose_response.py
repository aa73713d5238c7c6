"""Hill curves: known parameters are found, and their intervals contain them."""

import numpy as np
import pytest

import gpusim
from gpusim.analysis.dose_response import fit, hill

DOSES = np.repeat([0.0, 1, 3, 10, 30, 100, 300], 6)


def outcomes(noise, seed):
    exact = hill(DOSES, 1000.0, 100.0, np.log(20.0), np.log(1.5))
    return exact + noise * np.random.default_rng(seed).standard_normal(len(DOSES))


def test_exact_data_give_the_parameters():
    found = fit(DOSES, outcomes(0.0, 0))
    assert [estimate for estimate, _, _ in found.parameters.values()] == pytest.approx([1000, 100, 20, 1.5], rel=1e-4)
    assert found(np.array([0.0, 20.0, 1e12])) == pytest.approx([1000, 550, 100], rel=1e-4)


def test_intervals_contain_the_truth():
    """In about 95% of 200 data sets: 180 or more would be missed with a probability of 0.2% at 95%."""
    hits = 0
    for seed in range(200):
        found = fit(DOSES, outcomes(60.0, seed))
        _, low, high = found.parameters["ec50"]
        hits += low <= 20 <= high
    below, above = found.band(np.array([10.0]))
    assert below[0] < found(np.array([10.0]))[0] < above[0]
    assert 180 <= hits <= 199


@pytest.mark.parametrize("doses", [[1.0, 2, 3], [-1.0, 1, 2, 3]])
def test_too_few_doses_are_refused(doses):
    with pytest.raises(gpusim.ResultError, match="expected 4 doses of 0 or more"):
        fit(np.array(doses), np.ones(len(doses)))
