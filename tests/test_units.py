import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusim import units


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("30 um^2/min", "um^2/min", 30.0),
        ("10 um^2/s", "um^2/min", 600.0),
        ("0.8 mm^2/day", "um^2/min", 0.8e6 / 1440),
        ("1/(18 hour)", "1/min", 1 / 1080),
        ("0.002 /min", "1/min", 0.002),
        ("2 /day", "1/min", 2 / 1440),
        ("1.5 h", "min", 90.0),
        ("300", "PFU", 300.0),
        ("2 (3 um)", "um", 6.0),  # as if there were a sign of multiplication
        ("5(0.2 PFU)/voxel", "PFU/voxel", 1.0),
        (3, "um", 3.0),
        ("5 %", "dimensionless", 0.05),
        ("50", "%", 50.0),
        ("0.5 dimensionless", "%", 50.0),
        ("50 %/h", "1/min", 0.5 / 60),
        ("3 mm/um", "dimensionless", 3000.0),
        ("7 pfu", "PFU", 7.0),
        ("3 MOI", "PFU/cell", 3.0),
        ("2 TU", "TU", 2.0),
        ("1 kIU/mL", "IU/mL", 1000.0),
    ],
)
def test_number(text, unit, expected):
    assert units.number(text, unit) == pytest.approx(expected, rel=1e-12)


def test_a_titre_of_one_pfu_per_20_um_voxel_is_1_25e8_per_ml():
    assert units.number("1.25e8 PFU/mL", "PFU/voxel", 20.0**3) == pytest.approx(1.0, rel=1e-12)
    assert units.number("1 PFU/voxel", "PFU/mL", 20.0**3) == pytest.approx(1.25e8, rel=1e-12)
    assert units.number("300 PFU", "PFU/voxel * voxel", 20.0**3) == pytest.approx(300.0, rel=1e-12)


def test_a_mass_dilutes_in_the_voxel():
    # 8 fg in (20 um)^3 = 8e-9 mL is 1e-6 ng / mL * 1e3... 8e-6 ng / 8e-9 mL = 1000 ng/mL.
    assert units.number("8 fg", "ng/mL * voxel", 20.0**3) == pytest.approx(1000.0, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "9**9**9**9",
        "um^9^9",
        "9^(9)",
        "1 parrot",
        "__import__('os')",
        "nan um",
        "inf um",
        "1e999 um",
        "(" * 70,
        "",
        "x" * 999,
    ],
)
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(units.UnitError):
        units.parse(text)


@given(st.text(max_size=90))
def test_any_text_is_read_or_refused(text):
    try:
        units.parse(text)
    except units.UnitError:
        pass


@pytest.mark.parametrize("text", ["5 %", "5 ppm", "38 dimensionless", "5 mm/um", "5 rad mmHg", "5 count"])
def test_a_share_an_angle_or_a_count_is_no_concentration(text):
    with pytest.raises(units.UnitError, match="not a quantity in 'mmHg'"):
        units.number(text, "mmHg")


@pytest.mark.parametrize("text", ["1 degree/min", "60 rpm", "1 Bq"])
def test_an_angle_or_a_count_is_no_rate(text):
    with pytest.raises(units.UnitError):
        units.number(text, "1/min")


def test_a_tcid50_is_the_dose_that_infects_half_of_all_cultures():
    # Poisson's distribution: no infectious unit reaches a culture with probability exp(-n).
    assert math.exp(-units.number("1 TCID50", "PFU")) == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize("text", ["2e9 vp", "2e9 VP", "2e9vp"])
def test_viral_particles_become_pfu_by_the_stated_ratio(text):
    assert units.number(units.in_pfu(text, {"vp": "1/20 PFU"}), "PFU") == pytest.approx(1e8, rel=1e-12)
    with pytest.raises(units.UnitError):
        units.number(text, "PFU")


@pytest.mark.parametrize("text", ["vpx 3", "the rvp", "5 vp_2"])
def test_a_word_with_a_unit_in_it_is_left_alone(text):
    assert units.in_pfu(text, {"vp": "1 PFU"}) == text


def test_a_wrong_dimension_is_refused():
    with pytest.raises(units.UnitError, match="not a quantity in 'um'"):
        units.number("3 min", "um")


@pytest.mark.parametrize(("minutes", "text"), [(90, "90 min"), (720, "12 h"), (4320, "3 day"), (2885, "2 day")])
def test_a_duration_reads_well(minutes, text):
    assert units.duration(minutes) == text
