"""Human melanomas in mice under herpes simplex virus."""

import pytest
from validation import melanoma


def test_days_to_four_times_the_volume_are_those_of_the_mice():
    """As in the description of the data: 12.9, 12.1, 16.3 and 39.4 days."""
    days = [melanoma.measured(arm) for arm in melanoma.MICE]
    assert days == pytest.approx([12.9, 12.1, 16.3, 39.4], abs=0.2)


def test_the_dose_per_volume_does_not_depend_on_the_radius():
    doses = {
        radius: melanoma.scenario("HSV", radius).document.therapies["injection"]
        for radius in (melanoma.RADIUS, 2 * melanoma.RADIUS)
    }
    amounts = [float(str(dose.amount).split()[0]) for dose in doses.values()]
    assert amounts[1] / amounts[0] == pytest.approx(8, rel=1e-3)
    # 2.4e5 PFU/mm^3 in an eighth of a ball of a third of the radius
    volume = 4 / 3 * 3.14159 * (melanoma.RADIUS / 3000) ** 3 / 8
    assert amounts[0] / volume == pytest.approx(2.4e5, rel=0.02)
