import dataclasses
import re

import numpy as np
import pytest

import gpusim
from gpusim.engine.transport.explicit import LARGEST_COURANT, Method, schemes
from gpusim.model import build

DECAY = """
grid: {shape: [6, 5, 4]}
time: {until: 10 min, step: {field: 1 min, rules: 1 min}}
record: {every: 10 min}
fields:
  a: {unit: ng/mL, diffusion: 100 um^2/min, initial: 2}
states:
  source: {secretion: {a: 1 ng/mL/min}}
"""


def test_time_and_steps(simulate):
    simulation = simulate(DECAY)
    simulation.run(until="4 min")
    assert (simulation.steps, simulation.minutes) == (4, 4.0)
    simulation.run()
    assert simulation.steps == 10


def test_in_one_go_or_in_pieces_is_the_same(simulate):
    whole, pieces = simulate(DECAY), simulate(DECAY)
    whole.run()
    for _ in pieces.stretches():
        pieces.field("a")
    assert whole.digest() == pieces.digest()


def test_a_dose_comes_at_its_time_and_in_full(simulate):
    text = DECAY + "therapies: {dose: {inject: a, amount: 8 fg, start: 3 min, radius: 25 um, every: 2 min, doses: 2}}"
    simulation = simulate(text)
    totals = []
    for _ in range(8):
        simulation.step()
        totals.append(simulation.totals()["a"])
    before = 2.0 * 120
    # 8 fg in voxels of 8e-9 mL is 1000 ng/mL in all.
    assert totals == pytest.approx([before] * 3 + [before + 1000] * 2 + [before + 2000] * 3, rel=1e-6)


SOURCE = "tissue: {shapes: {s: {kind: box, state: source, lower: [0 um, 0 um, 0 um], upper: [20 um, 20 um, 20 um]}}}"
RULE = {"burst": {"transition": "source -> empty", "rate": "1000 /min", "releases": {"a": 1e20}}}
DOSE = {"dose": {"inject": "a", "amount": "1e9 g", "at": ["10 um", "10 um", "10 um"]}}


@pytest.mark.parametrize(
    ("changes", "source"),
    [
        ({"states": {"source": {"secretion": {"a": 1e30}}}}, "state 'source', which adds 1e+30 ng/mL a step"),
        ({"rules": RULE}, "rule 'burst', which releases 1e+20 ng/mL at each of 1 firings"),
        ({"therapies": DOSE}, "therapy 'dose', which adds 1.25e+26 ng/mL"),
    ],
)
def test_a_runaway_ends_with_its_place_and_its_source(simulate, changes, source):
    # It is looked for where a record is due.
    simulation = simulate(DECAY + SOURCE, record={"every": "2 min"}, **changes)
    message = r"field 'a' at voxel x=0, y=0, z=0 \((source|empty) and none\) is .* at 2 min \(step 2\).*"
    with pytest.raises(gpusim.NumericalError, match=message + re.escape(source)):
        simulation.run()


@pytest.mark.parametrize("value", [np.nan, -1, np.inf])
def test_a_fault_is_found_wherever_it_is(simulate, value):
    simulation = simulate(DECAY)
    values = simulation.field("a")
    values[3, 4, 5] = value
    simulation.site.stack.state.fields = simulation.backend.array(values[None, None])
    with pytest.raises(gpusim.NumericalError, match=rf"x=5, y=4, z=3 \(empty and none\) is {value:g} .* at 0 min"):
        simulation.check()


def test_a_step_too_large_for_its_rules_is_noted(simulate):
    text = DECAY + "rules: {leave: {transition: source -> empty, rate: 0.3 /min}}"
    assert "rule step of 1 min is too large for rule 'leave': its hazard reaches 0.3" in simulate(text).model.notes[0]
    assert not simulate(text, time={"step": {"rules": "0.2 min", "field": "0.2 min"}}).model.notes


def test_looking_does_not_touch(simulate):
    simulation = simulate(DECAY)
    simulation.field("a")[...] = -1
    simulation.tissue[...] = 9
    simulation.run()
    assert simulation.totals()["a"] == pytest.approx(240, rel=1e-6)
    with pytest.raises(KeyError, match="no field 'b'"):
        simulation.field("b")


def test_counts_add_up_to_the_lattice(simulate):
    simulation = simulate(DECAY)
    counts = simulation.counts
    assert counts == {"empty": 120, "source": 0, "none": 120}


def test_passes_keep_the_courant_number_and_are_even():
    model = gpusim.Simulation(gpusim.Scenario.load("cold-to-hot"), "numpy").model
    found = schemes(model)
    assert all(scheme.passes % 2 == 0 for scheme in found)
    courant = model.fields.diffusion.max(1) * [scheme.time for scheme in found] / model.spacing**2
    assert courant.max() <= LARGEST_COURANT + 1e-12


def test_a_field_takes_the_scheme_that_suits_it():
    built = build(gpusim.Scenario.parse(DECAY))

    def scheme(diffusion, loss):
        losses = np.array([[[0.0], [loss]]])
        fields = dataclasses.replace(built.fields, diffusion=np.full((1, 2), float(diffusion)))
        exchange = dataclasses.replace(built.exchange, loss=losses, highest_loss=losses, steepest=losses)
        found = schemes(dataclasses.replace(built, spacing=20, step=1, fields=fields, exchange=exchange))[0]
        return found.method, found.passes

    assert scheme(1, 0) == (Method.HEUN, 4)
    assert scheme(120, 0) == (Method.HEUN, 4)  # two Euler steps of 6 * 0.15
    assert scheme(120, 0.01) == (Method.EULER, 2)
    assert scheme(1, 1000) == (Method.EULER, 2)
    assert scheme(1000, 0) == (Method.STAGES, 10)  # 10 * 16 / 7 = 22.9 Euler steps for the 16.7 needed
    assert scheme(1000, 1000) == (Method.EULER, 18)  # too unequal a loss for stages


def test_a_new_field_and_rule_need_no_new_code(simulate):
    """DESIGN promise 1: the model is data."""
    simulation = simulate(
        """
        grid: {shape: [8, 8, 8]}
        time: {until: 1 h}
        record: {every: 1 h}
        fields:
          moonlight: {unit: ng/mL, diffusion: 50 um^2/min, initial: 1}
        states:
          werewolf: {secretion: {moonlight: 0.5 ng/mL/min}}
          human: {}
        rules:
          turning: {transition: human -> werewolf, rate: 0.1 /min, modulators: [{field: moonlight, half: 1}]}
        tissue: {background: human}
        """
    )
    simulation.run()
    assert simulation.fired["turning"] == simulation.count("werewolf") > 400
    assert simulation.totals()["moonlight"] > 512


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"scenario": None}, TypeError),
        ({"scenario": {"name": "x"}}, TypeError),
        ({"backend": None}, gpusim.BackendError),
        ({"backend": "cpu", "threads": 1.5}, gpusim.BackendError),
        ({"threads": True}, gpusim.BackendError),
    ],
)
def test_what_is_no_scenario_no_backend_and_no_number_is_refused(wrong, error):
    with pytest.raises(error, match="expected"):
        gpusim.Simulation(**{"scenario": "cold-to-hot", "backend": "numpy"} | wrong)


@pytest.mark.parametrize("count", [-1, 1.5, "1", None])
def test_half_a_step_and_a_step_back_are_refused(count):
    with gpusim.Simulation(gpusim.Scenario.parse("grid: {shape: [2, 2, 2]}"), "numpy") as simulation:
        with pytest.raises((TypeError, ValueError)):
            simulation.step(count)
        assert simulation.steps == 0


def test_a_scenario_is_taken_from_a_path(tmp_path):
    (tmp_path / "small.yaml").write_text("grid: {shape: [2, 2, 2]}")
    with gpusim.Simulation(tmp_path / "small.yaml", "numpy") as simulation:
        assert simulation.model.shape == (2, 2, 2)


def test_an_arm_that_is_not_there_is_said():
    with pytest.raises(gpusim.ScenarioError, match=r"has no arm 'x' \(known: none\)"):
        gpusim.Scenario.parse("grid: {shape: [2, 2, 2]}").arm("x")
