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
        (3, "um", 3.0),
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


def test_a_wrong_dimension_is_refused():
    with pytest.raises(units.UnitError, match="not a quantity in 'um'"):
        units.number("3 min", "um")


@pytest.mark.parametrize(("minutes", "text"), [(90, "90 min"), (720, "12 h"), (4320, "3 day"), (2885, "2 day")])
def test_a_duration_reads_well(minutes, text):
    assert units.duration(minutes) == text
