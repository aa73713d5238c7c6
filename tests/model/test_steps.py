"""A step that is chosen ends at the times that the user gave."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusim import Scenario, ScenarioError, Simulation
from gpusim.model import build, steps

TEXT = """
grid: {shape: [2, 2, 2]}
fields: {drug: {unit: mg/L, diffusion: 1 um^2/min}}
states: {tumour: {}}
tissue: {background: tumour}
"""
RATE = 0.1 / 6
"""The highest rate that a step of 6 min takes, 1/min."""


def built(**changes):
    return build(Scenario.parse(TEXT).with_(**changes))


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"time": {"until": "12 h"}}, 6),
        ({"time": {"until": "10 min"}}, 5),
        ({"time": {"until": "7 min"}}, 3.5),
        ({"time": {"until": "1 min"}}, 1),
        ({"time": {"until": "20 s"}}, 1 / 3),
        # 360 min, the snapshots that nobody asked for, lie within the run.
        ({"time": {"until": "367 min"}}, 1),
        ({"time": {"until": "12 h"}, "record": {"every": "50 min"}}, 5),
        ({"time": {"until": "12 h", "at": ["1 h", "100 min"]}}, 5),
        ({"time": {"until": "12 h", "at": "3.371 h"}}, 0.06),
        ({"time": {"until": "1 day"}, "therapies": {"a": {"inject": "drug", "amount": 1, "start": "45 min"}}}, 5),
        (
            {
                "time": {"until": "1 day"},
                "therapies": {"a": {"inject": "drug", "amount": 1, "every": "32 min", "doses": 2}},
            },
            4,
        ),
        ({"time": {"until": "1 day", "step": {"rules": "8 min"}}}, 8),
    ],
)
def test_the_step_divides_what_the_user_gave(changes, step):
    model = built(**changes)
    assert model.step * model.rules_every == pytest.approx(step, rel=1e-12)


def test_doses_are_due_when_the_scenario_says():
    therapy = {"inject": "drug", "amount": 1, "start": "7 min", "every": "14 min", "doses": 3}
    model = built(time={"until": "70 min"}, therapies={"a": therapy})
    assert [dose.step * model.step for dose in model.doses] == pytest.approx([7, 21, 35])


def test_sites_keep_one_step():
    sites = {"a": {}, "b": {"grid": {"shape": [3, 3, 3]}}}
    therapies = {"d": {"inject": "drug", "amount": 1, "start": "7 min", "site": "b"}}
    scenario = Scenario.parse(TEXT + f"sites: {sites}\ntherapies: {therapies}\ntime: {{until: 56 min}}\n")
    assert {build(scenario.site(name)).step for name in scenario.sites} == {3.5}


def test_arms_end_a_step_at_the_times_of_the_outcomes():
    trial = {"arms": {"a": {}, "b": {"states.tumour.uptake": {"drug": "1 /min"}}}}
    outcomes = {"left": {"count": "tumour", "at": ["1 h", "74 min"]}}
    scenario = Scenario.parse(TEXT).with_(time={"until": "2 h"}, trial=trial | {"outcomes": outcomes})
    assert [build(scenario.arm(name)).step for name in scenario.arms] == [2, 2]


def test_a_much_shorter_step_is_noted():
    (note,) = built(time={"until": "12 h", "at": ["61 min"]}).notes
    assert note.startswith("the time step is 1 min, so that it divides all times")
    assert "6 min" in note
    assert built(time={"until": "12 h", "at": ["63 min"]}).notes == ()


@pytest.mark.parametrize("until", ["1 s", "0.1 s", "0.05 min", "0.0333 min"])
def test_a_time_shorter_than_any_usual_step_is_a_step(until):
    assert built(time={"until": until}, record={"every": until}).until == 1


def test_times_without_a_common_step_are_refused():
    with pytest.raises(ScenarioError, match=r"time\.at\[0\]: no step of 0\.06 min or more divides 61\.23457 min"):
        built(time={"until": "12 h", "at": ["61.23457 min"]})


def test_run_says_how_to_get_to_a_time_between_steps():
    message = r"until: expected a multiple .*6 min.*found 10 min; .*'time\.at'"
    short = Scenario.parse(TEXT).with_(time={"until": "1 h"})
    with Simulation(short, "numpy") as simulation, pytest.raises(ScenarioError, match=message):
        simulation.run(until="10 min")
    with Simulation(Scenario.parse(TEXT).with_(time={"until": "1 h", "at": "10 min"}), "numpy") as simulation:
        simulation.run(until="10 min")
        assert simulation.minutes == 10


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=4), st.sampled_from(steps.ROUND_MINUTES))
def test_any_whole_minutes_are_multiples_of_the_step(times, most):
    try:
        step = steps.dividing(most, {f"t{i}": float(t) for i, t in enumerate(times)})
    except ScenarioError:
        pytest.fail("whole minutes always have a step of a minute or its part")
    assert 0 < step <= most
    for time in times:
        assert math.isclose(round(time / step) * step, time, rel_tol=1e-9)
