"""A trajectory changes only on purpose: `python tests/regression/digests.py --update` says what did."""

import pytest
from regression.digests import found, stored

from gpusim.scenario import presets


@pytest.mark.parametrize("name", presets())
def test_a_shipped_scenario_goes_as_it_went(name):
    assert found(name) == stored()[name]


def test_no_digest_is_left_over():
    assert stored().keys() == presets().keys()
