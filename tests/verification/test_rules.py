"""Rules against the theory of hazards."""

import numpy as np
import pytest
from scipy import stats

CELLS = 24**3


def lattice(rules, fields="{}", extra=""):
    return f"""
grid: {{shape: [24, 24, 24]}}
time: {{until: 1000 h, step: {{field: 1 min, rules: 1 min}}}}
record: {{every: 1000 h}}
fields: {fields}
states: {{a: {{}}, b: {{}}, c: {{}}}}
tissue: {{background: a}}
rules: {rules}
{extra}
"""


@pytest.mark.parametrize(
    ("modulator", "expected"),
    [
        ("{field: f, half: 3, power: 2}", 0.64),  # 4^2 / (3^2 + 4^2)
        ("{field: f, half: 3, power: 2, effect: inhibits}", 0.36),
        ("{field: f, half: 4, at_zero: 1, at_saturation: 3}", 2.0),
        ("{field: f, per: 8}", 0.5),
        ("{field: f, above: 4}", 1.0),
        ("{field: f, above: 4.01}", 0.0),
        ("{field: f, below: 4.01, at_saturation: 0.25}", 1.0),
        ("{neighbours: a, per: 26}", 1.0),
        ("{neighbours: [a, b], neighbourhood: 18, per: 36}", 0.5),
        ("{neighbours: none, neighbourhood: 6}", 6.0),
        ("{contact: none}", 1.0),
        ("{field: f, half: 5, power: 8}", 0.14366),  # 0.8^8 / (1 + 0.8^8)
        ("{field: f, half: 5, power: 2.5}", 0.36403),  # 0.8^2.5 / (1 + 0.8^2.5)
        ("{field: f, half: 3, power: 100, effect: inhibits, at_saturation: 0.5}", 0.5),
        # u = (1 + 1) / (1 + 1 + 1), of 4 / 4 and 26 / 26; (u + 0.5) / 2
        (
            "{increases: [{field: f, half: 4}, {neighbours: a, half: 26}], decreases: [{field: f, half: 4, power: 3}], "
            "at_inhibition: 0.5}",
            7 / 12,
        ),
        (
            "{decreases: [{field: f, half: 4, power: 7}, {neighbours: a, half: 26}], at_zero: 2, at_inhibition: 0}",
            2 / 3,
        ),
    ],
)
def test_a_modulator_multiplies_the_hazard(simulate, modulator, expected):
    rate = 0.01
    rules = f"{{leave: {{transition: a -> b, rate: {rate} /min, modulators: [{modulator}]}}}}"
    simulation = simulate(lattice(rules, "{f: {unit: ng/mL, initial: 4}}"))
    simulation.step()
    # Only voxels away from the faces have all their neighbours.
    inside = np.s_[1:-1, 1:-1, 1:-1]
    gone = int((simulation.tissue[inside] == 2).sum())
    p = 1 - np.exp(-rate * expected)
    assert stats.binomtest(gone, 22**3, p).pvalue > 1e-3 if expected else gone == 0


def test_a_release_goes_into_the_voxel_where_it_happens(simulate):
    rules = "{leave: {transition: a -> b, rate: 0.1 /min, releases: {f: 2.5 ng/mL}}}"
    simulation = simulate(lattice(rules, "{f: {unit: ng/mL}}"))
    simulation.step(5)
    assert np.array_equal(simulation.field("f"), np.where(simulation.tissue == 2, np.float32(2.5), np.float32(0)))


def test_an_endless_rate_is_held_and_harms_nothing(simulate):
    rules = "{leave: {transition: a -> b, rate: 1e30 /min, modulators: [{field: f, per: 1e-30}]}}"
    simulation = simulate(lattice(rules, "{f: {unit: ng/mL, initial: 1e14}}"))
    simulation.step()
    share = simulation.fired["leave"] / CELLS
    assert share == pytest.approx(0.9282, abs=5 * np.sqrt(0.93 * 0.07 / CELLS))
