"""Powers of any size and joint responses: against double-precision powers, and what of them is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusim import Scenario, ScenarioError
from gpusim.model import build
from gpusim.model.tables import HILL_POWERS, Shape, fixed, power_of, raised_to

TEXT = """
grid: {shape: [3, 3, 3], spacing: 10 um}
time: {until: 1 h}
fields: {virus: {unit: PFU/mL}, drug: {unit: ng/mL}}
states: {tumour: {}, ctl: {layer: immune}}
rules: {death: {transition: tumour -> empty, rate: 1 /day, modulators: [MODULATOR]}}
"""


def built(modulator):
    return build(Scenario.parse(TEXT.replace("MODULATOR", modulator)))


@given(ratio=st.floats(1e-6, 1e6), power=st.one_of(st.floats(0.01, 1000), st.integers(1, 1000).map(float)))
def test_a_ratio_is_raised_to_any_power(ratio, power):
    exact = np.exp(np.clip(power * np.log(ratio), -690, 690))
    for number, rounding in ((np.float32, 2**-24), (np.float64, 2**-53)):
        found = float(raised_to(number(ratio), fixed(power)))
        # The ratio and each product are rounded; the power by at most 2^-21.
        error = (4 * power + 60) * rounding + 2**-21 * abs(np.log(ratio))
        if exact > 1e17:
            assert found > 0.9e17
        elif exact > 1e-30:
            assert found == pytest.approx(exact, rel=max(2 * error, 1e-12))


def test_ends_and_ones():
    for number in (np.float32, np.float64):
        for power in (0.5, 7.0, 1000.0):
            values = raised_to(np.array([0, 1, 1e30], number), fixed(power))
            assert values.dtype == number
            assert values[0] == 0
            assert values[1] == 1
            assert np.isfinite(values).all()


@pytest.mark.parametrize("power", [1, 2, 3, 4, 5, 0.5, 1.22, 1000])
def test_whole_powers_up_to_4_keep_their_products(power):
    (row,) = built(f"{{field: virus, half: 2, power: {power}}}").cells.modulators
    assert row["shape"] == (Shape.HILL if power in HILL_POWERS else Shape.POWER)
    assert power_of(row) == pytest.approx(power, abs=2**-21)


def test_a_joint_response_has_a_row_for_each_signal_and_one_for_the_whole():
    found = built(
        "{increases: [{field: virus, half: 4, power: 8}, {neighbours: ctl, half: 2}], "
        "decreases: [{field: drug, half: 5}], at_zero: 0.5, at_saturation: 3, at_inhibition: 0.25}"
    ).cells
    rows = found.modulators
    assert [Shape(int(row["shape"])) for row in rows] == [
        Shape.INCREASES,
        Shape.INCREASES,
        Shape.DECREASES,
        Shape.JOINT,
    ]
    assert rows["scale"][:3].tolist() == [0.25, 0.5, pytest.approx(0.2)]
    assert (rows["low"][3], rows["high"][3], rows["offset"][3]) == (0.5, 3, 0.25)
    # The most that it multiplies by is its limit at saturation.
    assert found.ceilings[1].max() > 0


@pytest.mark.parametrize(
    ("modulator", "message"),
    [
        ("{field: virus, half: 1, power: 0}", "power: expected a number of 0.01 or more|greater than or equal to 0.01"),
        ("{field: virus, half: 1, power: 1001}", "1000"),
        ("{field: virus, half: 1, power: true}", "expected a number, found true"),
        ("{increases: []}", "expected one or more"),
        ("{increases: [{field: virus, half: 1}], field: drug}", "expected exactly one of"),
        ("{increases: [{field: virus, half: 1}], half: 2}", "'half' belongs to each of the signals"),
        ("{increases: [{field: virus, half: 0}]}", "expected 'half' above 0"),
        ("{increases: [{field: virus, trait: a, half: 1}]}", "expected exactly one of"),
        ("{increases: [{field: viruss, half: 1}]}", "increases.*unknown field 'viruss'; did you mean 'virus'?"),
        ("{increases: [{field: virus, half: 1 mmHg}]}", r"increases\[0\].half: expected a number or a quantity in"),
        (
            "{decreases: [{field: virus, half: 1}], at_saturation: 2}",
            "'at_saturation' applies only to a joint response",
        ),
        (
            "{increases: [{field: virus, half: 1}], at_inhibition: 0}",
            "'at_inhibition' applies only to a joint response",
        ),
        ("{field: virus, half: 1, at_inhibition: 0}", "'at_inhibition' applies only to a joint response"),
    ],
)
def test_what_makes_no_sense_is_refused(modulator, message):
    with pytest.raises(ScenarioError, match=message):
        built(modulator)


def test_a_joint_response_of_a_field_cannot_depend_on_itself():
    text = TEXT.replace("MODULATOR", "{contact: ctl}").replace(
        "tumour: {}",
        "tumour: {uptake: {virus: {rate: 1 /min, modulators: [{increases: [{field: virus, half: 1}]}]}}}",
    )
    with pytest.raises(ScenarioError, match="a joint response of 'virus' can't depend on 'virus' itself"):
        build(Scenario.parse(text))
