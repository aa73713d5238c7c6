"""What is done to a running simulation from outside: it equals a therapy, is recorded, and can be repeated."""

import warnings

import numpy as np
import pytest

import gpusim
from gpusim.record import Recorder, Result

TEXT = """
name: acted
seed: 3
grid: {shape: [7, 6, 5]}
time: {until: 40 min, step: {field: 2 min, rules: 4 min}}
record: {every: 20 min, checkpoints: {every: 8 min}}
fields:
  c: {unit: ng/mL, diffusion: 60 um^2/min, decay: 0.01 /min, initial: 1}
  oxygen: {unit: mmHg, diffusion: 1e5 um^2/min, decay: 1 /min, solver: steady, boundary: {z: {value: 38}}}
states:
  source: {secretion: {c: 1 ng/mL/min}}
  t: {layer: immune, motility: {speed: 9 um/min}}
rules:
  grow: {transition: empty -> source, rate: 0.01 /min, modulators: [{field: c, half: 1}]}
  leave: {transition: t -> none, rate: 0.03 /min, to_body: blood}
body: {quantities: {blood: {initial: 5}}}
tissue: {shapes: {source: {kind: everywhere, state: source, fraction: 0.2}}}
therapies:
  first: {inject: t, amount: 4 cell, radius: 60 um, start: 8 min}
"""
MIDDLE = ["70 um", "50 um", "50 um"]
ACTS = {
    "dose": ({"inject": "c", "amount": "5 fg", "at": MIDDLE}, lambda sim: sim.inject("c", "5 fg", at=MIDDLE)),
    "cells": ({"inject": "t", "amount": 9, "radius": "60 um"}, lambda sim: sim.inject("t", 9, radius="60 um")),
    "knife": ({"resect": ["source", "t"], "radius": "40 um"}, lambda sim: sim.resect(["source", "t"], "40 um")),
    "drip": ({"infuse": "blood", "amount": 2}, lambda sim: sim.infuse("blood", 2)),
}


def scenario(**changes):
    return gpusim.Scenario.parse(TEXT).with_(**changes)


@pytest.mark.parametrize("act", ACTS)
def test_an_act_is_a_therapy_of_the_scenario_at_its_step(one_backend_each, act):
    name, threads = one_backend_each
    therapy, verb = ACTS[act]
    with gpusim.Simulation(scenario(therapies={act: {**therapy, "start": "20 min"}}), name, threads=threads) as planned:
        planned.run()
        expected = planned.digest(), planned.counts, planned.body
    with gpusim.Simulation(scenario(), name, threads=threads, seed=[2, 3]) as simulation:
        simulation.run("20 min")
        verb(simulation)
        simulation.run()
        second = simulation.replicates[1]
        assert (second.digest(), second.counts, second.body) == expected
        assert [action.step for each in simulation.replicates for action in each.actions] == [10, 10]


def test_acts_draw_as_the_therapies_that_they_would_be():
    both = {f"more{i}": {"inject": "t", "amount": 6, "radius": "80 um", "start": "12 min"} for i in (0, 1)}
    with gpusim.Simulation(scenario(therapies=both), "numpy") as planned, gpusim.Simulation(scenario(), "numpy") as one:
        planned.run("20 min")
        one.run("12 min")
        for _ in both:
            one.inject("t", 6, radius="80 um")
        one.run("20 min")
        assert one.digest() == planned.digest()


def test_one_replicate_of_several_is_acted_on_by_itself():
    with gpusim.Simulation(scenario(), "numpy", seed=[2, 3]) as simulation:
        before = [each.totals()["c"] for each in simulation.replicates]
        simulation.replicates[1].inject("c", "8 fg")
        after = [each.totals()["c"] for each in simulation.replicates]
        # 8 fg in a voxel of 8 pL are 1000 ng/mL.
        assert np.subtract(after, before) == pytest.approx([0, 1000], rel=1e-6)
        assert [len(each.actions) for each in simulation.replicates] == [0, 1]


def test_targets_are_counted_as_they_stand_now():
    with gpusim.Simulation(scenario(), "numpy") as simulation:
        with pytest.raises(gpusim.ScenarioError, match="^inject: targets: none of the cells in the region is t; take"):
            simulation.inject("c", "1 fg/cell", targets="t", radius="1 mm")
        simulation.inject("t", 10, radius="1 mm")
        simulation.inject("c", "8 fg/cell", targets="t", radius="1 mm")
        assert simulation.totals()["c"] == pytest.approx(210 + 10 * 1000, rel=1e-6)


def test_a_field_is_set(one_backend_each):
    with gpusim.Simulation(scenario(), one_backend_each[0], seed=[2, 3]) as simulation:
        values = np.arange(210.0).reshape(5, 6, 7)
        simulation.set("c", values)
        for replicate in simulation.replicates:
            assert np.array_equal(replicate.field("c"), values.astype(np.float32))
        simulation.replicates[0].set("c", 2)
        assert simulation.replicates[0].field("c").min() == simulation.replicates[0].field("c").max() == 2
        assert simulation.replicates[1].field("c").max() == 209


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda s: s.set("d", 1), r"set: no field 'd' \(known: c, oxygen\)"),
        (
            lambda s: s.set("oxygen", 1),
            "set: field 'oxygen' takes its steady state in each time step and cannot be set",
        ),
        (lambda s: s.set("c", np.ones((7, 6, 5))), r"set: expected one number or an array of shape \(5, 6, 7\)"),
        (lambda s: s.set("c", -1), "set: expected numbers from 0 to 1e.15 for field 'c'"),
        (lambda s: s.set("c", np.full((5, 6, 7), np.nan)), "set: expected numbers from 0"),
        (lambda s: s.set("c", "much"), "set: expected numbers for field 'c', found str"),
        (lambda s: s.set("c", 1, site="lung"), r"set: no site 'lung' \(known: primary\)"),
        (lambda s: s.inject("d", 1), "inject: unknown field or state 'd'"),
        (lambda s: s.inject("c", "1 mm"), "inject: amount: expected an amount in 'ng/mL . voxel', found '1 mm'"),
        (lambda s: s.inject("c", 0), "inject: expected an 'amount' above 0"),
        (
            lambda s: s.inject("oxygen", 1),
            "inject: fields.oxygen.solver: found steady, .* .here by inject.; expected auto",
        ),
        (lambda s: s.inject("c", 1, at=["1 m", "0 um", "0 um"]), "inject: at: .* lies outside the grid"),
        (lambda s: s.inject("c", 1, site="lung"), "inject: site: unknown site 'lung'"),
        (lambda s: s.inject("t", 300, radius="1 mm"), "inject: amount: 300 cells do not fit"),
        (lambda s: s.infuse("bood", 1), "infuse: unknown quantity of the body 'bood'; did you mean 'blood'"),
        (lambda s: s.resect("source", "0 um"), "resect: 'resect' needs a 'radius'"),
        (lambda s: s.change({}), "change: expected a path and its value, found none"),
        (lambda s: s.change({"rules.grow.rte": 1}), "change: rules.grow.rte: unknown key; did you mean 'rate'"),
        (lambda s: s.change({"grid.spacing": "10 um"}), "change grid.spacing: cannot be changed during a run"),
        (
            lambda s: s.change({"time.until": "1 h"}),
            "change time.until: cannot be changed during a run; expected a number in",
        ),
        (lambda s: s.change({"fields.d": {"unit": "ng/mL"}}), "change: the fields and their units cannot be changed"),
        (lambda s: s.change({"fields.c.unit": "g/mL"}), "expected .* found '1 ng/mL/min'|the fields and their units"),
        (lambda s: s.change({"states.x": {}}), "change: the states and their layers cannot be changed during a run"),
        (lambda s: s.change({"rules.grow": None}), "change: the rules and their transitions cannot be changed"),
        (lambda s: s.change({"rules.grow.transition": "source -> empty"}), "change: the rules and their transitions"),
        (lambda s: s.resect("source", "60 um", leaves="nobody"), "resect: leaves: unknown state 'nobody'|nobody"),
        (lambda s: s.change({"fields.c.initial": 2}), "change: has no effect on the rest of the run"),
        (lambda s: s.change({"rules.grow.rate": "0.01 /min"}), "change: has no effect"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(act, message):
    with gpusim.Simulation(scenario(), "numpy") as simulation:
        simulation.step(2)
        before = simulation.digest()
        with pytest.raises(gpusim.ScenarioError, match=message) as caught:
            act(simulation)
        assert "\n" not in str(caught.value)
        assert simulation.digest() == before
        assert not simulation.actions


def test_a_change_goes_on_as_the_changed_scenario_from_the_same_state(one_backend_each):
    changes = {
        "rules.grow.rate": "0.03 /min",
        "rules.grow.modulators": [{"neighbours": ["source"], "per": 26}],  # counts that nothing looked at before
        "fields.c.diffusion": "30 um^2/min",
        "states.t.motility": None,
        "states.source.motility": {"speed": "3 um/min"},
    }
    other = scenario(therapies=None).overridden(changes)
    with (
        gpusim.Simulation(scenario(therapies=None), one_backend_each[0], seed=[2, 3]) as changed,
        gpusim.Simulation(other, one_backend_each[0], seed=[2, 3]) as expected,
    ):
        changed.inject("t", 9, radius="60 um")
        changed.step(4)
        for one, two in zip(changed.replicates, expected.replicates, strict=True):
            arrays = dict(one.arrays())
            arrays["primary.immune.heading"] = np.zeros((0, 0, 0), np.uint8)  # they stand still from now on
            arrays["primary.tissue.heading"] = np.zeros((5, 6, 7), np.uint8)
            two.restore(one.numbers, arrays)
        changed.change(changes)
        for simulation in (changed, expected):
            simulation.run()
        assert [each.digest() for each in changed.replicates] == [each.digest() for each in expected.replicates]
        assert [each.counts for each in changed.replicates] == [each.counts for each in expected.replicates]
        assert changed.models["primary"].cells.neighbourhoods.size == 1


def test_a_change_of_therapies_counts_for_those_still_to_come():
    with gpusim.Simulation(scenario(), "numpy") as simulation:
        simulation.step(2)
        simulation.change({"therapies.first.amount": "7 cell", "therapies.late": {"infuse": "blood", "amount": 3}})
        simulation.run("10 min")
        assert simulation.count("t") + simulation.fired["leave"] == 7
        with pytest.raises(gpusim.ScenarioError, match="has no effect"):
            simulation.change({"therapies.first.amount": "8 cell"})


def test_a_change_warns_where_the_rule_step_is_too_large_for_the_new_rate():
    """The step stays as it is; a note that was there before is not told again."""
    divides = {"divide": {"transition": "source -> source + source", "rate": "0.004 /min"}}
    with gpusim.Simulation(scenario(rules=divides), "numpy") as simulation:
        with pytest.warns(
            UserWarning, match="change: the rule step of 4 min .* rule 'divide': its hazard .* 0.024 per"
        ):
            simulation.change({"rules.divide.rate": "0.006 /min"})
        with warnings.catch_warnings(action="error"):
            simulation.change({"rules.grow.rate": "0.02 /min"})
            simulation.change({"rules.divide.rate": "0.005 /min"})


def acted(folder=None, **more):
    """A run that is acted on at three times."""

    def act(simulation):
        if simulation.steps == 2:
            simulation.inject("c", "5 fg")
        if simulation.steps == 6:
            simulation.change({"rules.grow.rate": "0.03 /min"})
        if simulation.steps == 10:
            simulation.resect("source", "40 um")

    return gpusim.run(scenario(), folder, backend="numpy", every={"4 min": act}, **more)


def test_actions_are_recorded_and_can_be_repeated(tmp_path):
    with acted(tmp_path / "out") as simulation:
        digest = simulation.digest()
    result = Result(tmp_path / "out")
    assert [(action.step, action.verb) for action in result.actions] == [(2, "inject"), (6, "change"), (10, "resect")]
    assert result.summary["actions"][1]["arguments"] == {"rules.grow.rate": "0.03 /min"}
    assert result.digest() == result.summary["digest"] == digest
    with gpusim.run(result.scenario, backend="numpy", repeat=result.actions) as again:
        assert again.digest() == digest
    with gpusim.run(result.scenario, backend="numpy") as plain:
        assert plain.digest() != digest


@pytest.mark.parametrize("stopped", [5, 7, 10, 15])
def test_a_run_goes_on_after_acts_bit_for_bit(tmp_path, stopped):
    with acted(tmp_path / "whole") as simulation:
        digest = simulation.digest()
    acted(tmp_path / "out", stop=lambda simulation: simulation.steps == stopped).close()
    assert not (tmp_path / "out" / "summary.json").exists()
    with acted(tmp_path / "out", resume=True) as simulation:
        assert simulation.digest() == digest
    one, two = (Result(tmp_path / name) for name in ("whole", "out"))
    assert one.actions == two.actions
    assert one.counts.equals(two.counts)
    assert two.summary["resumed_at_step"] == stopped


def test_what_is_done_to_the_last_state_is_recorded_with_it(tmp_path):
    def act(simulation):
        if simulation.steps == 20:
            simulation.inject("c", "5 fg")

    gpusim.run(scenario(), tmp_path / "out", backend="numpy", every={"40 min": act}).close()
    result = Result(tmp_path / "out")
    assert result.digest() == result.summary["digest"]
    assert list(result.times[-2:]) == [40, 40]
    assert result.array("c", -1).sum() - result.array("c", -2).sum() == pytest.approx(625, rel=1e-4)


def test_a_state_from_before_a_change_brings_the_model_back():
    with gpusim.Simulation(scenario(), "numpy") as simulation:
        simulation.step(3)
        kept = simulation.numbers, dict(simulation.arrays()), list(simulation.actions)
        simulation.run()
        digest = simulation.digest()
        simulation.restore(*kept)
        simulation.change({"rules.grow.rate": "0.03 /min"})
        simulation.run()
        assert simulation.digest() != digest
        simulation.restore(*kept)
        simulation.run()
        assert simulation.digest() == digest
        assert not simulation.actions


def test_a_set_that_is_repeated_asks_for_its_array():
    with gpusim.Simulation(scenario(), "numpy") as simulation:
        simulation.set("c", 1)
        with pytest.raises(
            gpusim.ScenarioError, match="repeat: only the checksum of the array of 'set' at step 0 is stored"
        ):
            simulation.repeat(simulation.actions[0])


def test_the_present_state_is_a_dataset(tmp_path):
    with gpusim.run(scenario(), tmp_path / "out", backend="numpy", until="12 min") as simulation:
        now, recorded = simulation.dataset(), Result(tmp_path / "out").dataset().isel(time=-1)
        assert now["c"].dims == ("z", "y", "x")
        assert (float(now.time), int(now.step), float(now.x[0])) == (12, 6, 10)
        for name in ("c", "oxygen", "tissue", "immune"):
            assert np.array_equal(now[name], recorded[name])
            assert now[name].attrs == recorded[name].attrs
        assert now["c"].attrs["units"] == "ng/mL"
        assert now.x.attrs["units"] == "um"


def test_a_recorder_knows_what_was_done_before_and_after_a_checkpoint(tmp_path):
    with gpusim.Simulation(scenario(), "numpy") as one, Recorder(one, tmp_path / "out") as recorder:
        one.step(2)
        recorder.checkpoint()
        one.inject("c", "5 fg")
        recorder.checkpoint()
        digest = one.digest()
    with gpusim.Simulation(scenario(), "numpy") as two, Recorder(two, tmp_path / "out", resume=True):
        assert two.digest() == digest
        assert two.actions == one.actions


HOLDING = """
grid: {shape: [4, 4, 4]}
time: {until: 10 min, step: {field: 1 min, rules: 1 min}}
fields: {o: {unit: mmHg, diffusion: 1000 um^2/min, solver: steady, holds: {vessel: 40}}}
states: {vessel: {}, tumour: {}}
tissue:
  background: tumour
  shapes: {corner: {kind: box, state: vessel, lower: [0 um, 0 um, 0 um], upper: [40 um, 40 um, 40 um]}}
"""


def test_cells_that_a_steady_field_rests_on_are_not_taken_away():
    with gpusim.Simulation(gpusim.Scenario.parse(HOLDING), "numpy") as simulation:
        simulation.step(2)
        before = simulation.digest()
        for act in (
            lambda: simulation.resect("vessel", radius="500 um"),
            lambda: simulation.inject("tumour", 2, radius="500 um", into="vessel"),
        ):
            with pytest.raises(gpusim.ScenarioError, match="'steady' needs a decay above 0"):
                act()
        assert simulation.digest() == before


def test_a_field_that_every_voxel_holds_is_not_set():
    text = HOLDING.replace("solver: steady", "solver: explicit").replace("[40 um, 40 um, 40 um]", "[1 m, 1 m, 1 m]")
    with gpusim.Simulation(gpusim.Scenario.parse(text), "numpy") as simulation:
        with pytest.raises(gpusim.ScenarioError, match="^set: field 'o' has a fixed concentration in every voxel"):
            simulation.set("o", 0)
        assert not simulation.actions


def test_the_rate_of_a_reaction_changes_in_mid_run():
    reactions = {"rot": {"consumes": {"c": 1}, "rate": "0.01 /min"}}
    slow = scenario(reactions=reactions)
    quick = slow.overridden({"reactions.rot.rate": "0.1 /min"})
    with gpusim.Simulation(slow, "numpy") as changed, gpusim.Simulation(quick, "numpy") as expected:
        changed.step(3)
        expected.restore(changed.numbers, dict(changed.arrays()))
        changed.change({"reactions.rot.rate": "0.1 /min"})
        for simulation in (changed, expected):
            simulation.run()
        assert changed.digest() == expected.digest()
        with pytest.raises(gpusim.ScenarioError, match="change: the reactions and their fields cannot be changed"):
            changed.change({"reactions.rot": None})


def test_held_voxels_have_their_concentration_after_each_act(one_backend_each):
    name, threads = one_backend_each
    scenario = gpusim.Scenario.parse(HOLDING.replace("solver: steady", "solver: explicit"))
    with gpusim.Simulation(scenario, name, threads=threads) as simulation:
        for act in (
            lambda: simulation.set("o", 0),
            lambda: simulation.inject("o", "100 mmHg*voxel", radius="500 um"),
        ):
            act()
            held = simulation.tissue == simulation.model.states.number("vessel")
            assert held.sum() == 8
            assert (simulation.field("o")[held] == 40).all()


def test_a_change_takes_dotted_paths():
    with gpusim.Simulation(scenario(), "numpy") as simulation, pytest.raises(gpusim.ScenarioError, match="dotted"):
        simulation.change({1: 2})
