"""CT26 tumours in mice under vesicular stomatitis virus: the medians of the mice."""

import json

import numpy as np
import pandas as pd
import pytest
from validation import ct26
from validation.mice import days_to

from gpusim.backends import availability


@pytest.mark.campaign
@pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler: too slow on the numpy backend")
def test_days_to_200_mm3_are_as_in_the_mice():
    """The median of four seeds, an eighth of the radius: within the interval of the mice, and later under virus."""
    days = {
        arm: float(np.median([days_to(ct26.run(arm, seed, 206), ct26.FOLD) for seed in (1, 2, 3, 4)]))
        for arm in ct26.MICE
    }
    for arm, mice in ct26.MICE.items():
        low, high = ct26.interval(np.array(mice))
        assert low <= days[arm] <= high, arm
    assert days["VSV"] > days["PBS"]


@pytest.mark.slow
@pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler: too slow on the numpy backend")
def test_a_run_is_kept_and_that_of_another_program_is_not_taken(tmp_path):
    first = ct26.run("PBS", 1, 206, fold=1.1, folder=tmp_path)
    (kept,) = tmp_path.glob("*.json")
    stored = json.loads(kept.read_text())
    stored["rows"][0]["cells"] = 7
    kept.write_text(json.dumps(stored))
    assert ct26.run("PBS", 1, 206, fold=1.1, folder=tmp_path)["cells"][0] == 7
    kept.write_text(json.dumps(stored | {"key": "of another program"}))
    pd.testing.assert_frame_equal(ct26.run("PBS", 1, 206, fold=1.1, folder=tmp_path), first)


def test_the_intervals_of_the_medians_of_the_mice():
    """As in the description of the data: medians of 20.0 and 27.8 days."""
    assert np.median(ct26.MICE["PBS"]) == pytest.approx(20.0, abs=0.1)
    assert np.median(ct26.MICE["VSV"]) == pytest.approx(27.8, abs=0.1)
    assert ct26.interval(np.array(ct26.MICE["PBS"])) == pytest.approx((17.5, 30.6), abs=0.2)
