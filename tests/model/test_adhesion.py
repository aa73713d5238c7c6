"""The tables of adhesion, and what is refused."""

import numpy as np
import pytest
import yaml

import gpusim
from gpusim.engine.adhesion import passes
from gpusim.errors import ScenarioError
from gpusim.model import build
from gpusim.model.adhesion import acceptance

TEXT = """
grid: {shape: [4, 4, 4]}
time: {until: 60 min, step: {rules: 5 min, field: 5 min}}
record: {every: 60 min}
states: {a: {}, b: {}, wall: {yields: rigid}, other: {}, ctl: {layer: immune}}
adhesion:
  rate: 4 /h
  energies:
    a: {a: -1, b: -0.25, empty: 0, wall: 0.5}
    b: {b: -0.75, empty: 0, wall: 0}
    wall: {wall: 0, empty: 0}
"""


def changed(**adhesion):
    """The text with other values of adhesion; None takes one away."""
    data = yaml.safe_load(TEXT)
    data["adhesion"] |= adhesion
    return yaml.safe_dump(data)


def test_energies_are_symmetric_and_in_thousandths():
    adhesion = build(gpusim.Scenario.parse(TEXT)).cells.adhesion
    # empty, a, b, wall, other
    expected = [[0, 0, 0, 0, 0], [0, -1000, -250, 500, 0], [0, -250, -750, 0, 0], [0, 500, 0, 0, 0], [0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(adhesion.energies, expected)
    np.testing.assert_array_equal(adhesion.swaps, [1, 1, 1, 0, 0])


@pytest.mark.parametrize(("rate", "sweeps"), [("0 /h", 0), ("0.6 /h", 1), ("1.2 /h", 1), ("4 /h", 4), ("2 /min", 100)])
def test_a_high_rate_takes_several_sweeps(rate, sweeps):
    adhesion = build(gpusim.Scenario.parse(changed(rate=rate))).cells.adhesion
    assert adhesion.sweeps == sweeps
    attempts = gpusim.units.number(rate, "1/min") * 5
    assert adhesion.share * sweeps == pytest.approx(attempts)
    assert adhesion.share <= 0.1 * (1 + 1e-9)


def test_the_acceptance_is_that_of_a_heat_bath():
    table = acceptance()
    assert table[0] == 2**31
    assert table[-1] == 0 < table[-2]
    rises = np.array([1, 250, 1000, 5000])
    np.testing.assert_allclose(table[rises] / 2**32, np.exp(-rises / 1000) / (1 + np.exp(-rises / 1000)), rtol=1e-7)


@pytest.mark.parametrize(("n", "periodic"), [(1, 0), (2, 0), (7, 0), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (12, 1)])
def test_all_pairs_are_tried_equally_often_and_those_of_a_pass_do_not_see_each_other(n, periodic):
    share, tries = 0.05, np.zeros(n)
    for sweep in range(3 * n):
        for axis, first, attempt in passes(sweep, (n, 1, 1), periodic, share):
            if axis:
                continue
            begin = [i % n for i in range(first, first + n if periodic else n - 1, 3)]
            if periodic:
                begin = begin[: n // 3]
            read = [(i + d) % n for i in begin for d in (-1, 2) if periodic or 0 <= i + d < n]
            written = [(i + d) % n for i in begin for d in (0, 1)]
            assert len(set(written)) == len(written)
            assert not set(written) & set(read)
            tries[begin] += attempt / 2**32
    pairs = n if periodic and n > 2 else 0 if periodic else n - 1
    np.testing.assert_allclose(tries[:pairs], 3 * n * share, rtol=1e-6)
    assert not tries[pairs:].any()


ENERGIES = {"a": {"a": -1, "b": 0, "empty": 0}, "b": {"b": -1, "empty": 0}}


@pytest.mark.parametrize(
    ("adhesion", "place", "message"),
    [
        ({"energies": ENERGIES | {"b": {"b": -1}}}, "energies", "found none for 'b: {empty: ...}'"),
        ({"energies": ENERGIES | {"c": {"a": 1}}}, "energies.c", "unknown tissue state 'c'"),
        ({"energies": {"a": {"a": 0, "ctl": 1}}}, "energies.a.ctl", "expected a tissue state, found 'ctl'"),
        ({"energies": ENERGIES | {"b": {"a": 1, "b": 0, "empty": 0}}}, "energies.b.a", "is given twice"),
        ({"energies": {"a": {"a": float("nan"), "b": 0}, "b": {"b": 0}}}, "energies.a.a", "number"),
        ({"energies": {"a": {"a": -101, "b": 0}, "b": {"b": 0}}}, "energies.a.a", "100"),
        ({"energies": {"a": {"a": True, "b": 0}, "b": {"b": 0}}}, "energies.a.a", "expected a number, found true"),
        ({"energies": {"a": {"a": 1}}}, "energies", "expected two states or more that are not 'rigid'"),
        ({"energies": {"a": {"a": 1, "wall": 0}, "wall": {"wall": 0}}}, "energies", "found 1"),
        ({"energies": {"a": {"a": 1, "b": 1}, "b": {"b": 1}}}, "energies", "have no effect"),
        ({"energies": {"a": {"a": 1e-4, "b": 0}, "b": {"b": 0}}}, "energies", "have no effect"),
        ({"energies": {}}, "energies", "expected one or more"),
        ({"rate": 3}, "rate", "with its unit"),
        ({"rate": "3 um"}, "rate", "1/min"),
        ({"rate": "1000 /min"}, "rate", "attempts in a rule step"),
        ({"temperature": 1}, "temperature", "unknown key"),
    ],
)
def test_bad_input_is_refused_in_a_line_with_its_place(adhesion, place, message):
    with pytest.raises(ScenarioError) as error:
        build(gpusim.Scenario.parse(changed(**adhesion)))
    assert f"adhesion.{place}: " in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_run_with_more_sweeps_than_random_numbers_is_refused():
    scenario = gpusim.Scenario.parse(changed(rate="20 /min")).with_(time={"until": "20 year"})
    with pytest.raises(ScenarioError, match=r"time\.until: .* sweeps of adhesion in all; expected at most"):
        build(scenario)
