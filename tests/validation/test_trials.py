"""Shipped trials, all arms and eight seeds: what medicine sees must come out of the mechanisms.

The figures of all ten stand in docs/validation.md; these are the quickest of them.
"""

import pytest

import gpusim
from gpusim.backends import availability
from gpusim.trial import run_trial, verdicts


@pytest.mark.slow
@pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler: too slow on the numpy backend")
@pytest.mark.parametrize("name", ["combination", "delivery"])
def test_what_a_trial_expects_holds(name, tmp_path):
    trial = run_trial(gpusim.Scenario.load(name), tmp_path / name, backend="cpu")
    found = verdicts(trial)
    assert found
    assert all(verdict.held for verdict in found), "\n".join(map(str, found))
