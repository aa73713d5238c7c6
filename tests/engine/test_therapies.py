"""Cells put in, cells cut out, and doses that are refused."""

import numpy as np
import pytest

import gpusim
from gpusim.model import build
from gpusim.record import Recorder

TEXT = """
grid: {shape: [12, 11, 10]}
time: {until: 60 min, step: {field: 5 min, rules: 5 min}}
fields: {c: {unit: ng/mL}}
states: {healthy: {}, tumour: {}, wall: {}, t: {layer: immune, motility: {speed: 2 um/min, enters: [tumour, healthy]}}}
tissue:
  background: healthy
  shapes:
    wall: {kind: box, state: wall, lower: [0 um, 0 um, 0 um], upper: [60 um, 1 mm, 1 mm]}
therapies:
"""


def therapy(text):
    return gpusim.Scenario.parse(TEXT + "  x: " + text)


def run(scenario, until="60 min"):
    simulation = gpusim.Simulation(scenario, "numpy")
    simulation.run(until)
    return simulation


def number(simulation, state):
    return simulation.model.states.number(state)


def test_cells_are_put_in_where_they_may(one_backend_each):
    scenario = therapy("{inject: tumour, amount: 40 cell, radius: 70 um, into: healthy, start: 10 min}")
    simulation = gpusim.Simulation(scenario, *one_backend_each[:1])
    simulation.run("10 min")
    assert simulation.count("tumour") == 0
    simulation.run("20 min")
    assert simulation.count("tumour") == (simulation.tissue == number(simulation, "tumour")).sum() == 40
    assert simulation.count("healthy") == (simulation.tissue == number(simulation, "healthy")).sum()
    z, y, x = np.nonzero(simulation.tissue == number(simulation, "tumour"))
    middle = np.array([6, 5.5, 5]) * 20
    distance = np.linalg.norm(np.stack([x, y, z], 1) * 20 + 10 - middle, axis=1)
    assert distance.max() <= 70
    simulation.close()


def test_a_dose_within_the_last_step_is_given():
    scenario = therapy("{inject: c, amount: 8 fg, start: 25 min, every: 30 min, doses: 2}")
    assert [dose.step for dose in build(scenario).doses] == [5, 11]
    # 8 fg in a voxel of 8 pL are 1000 ng/mL.
    assert run(scenario).totals()["c"] == pytest.approx(2000, rel=1e-6)


def test_mobile_cells_come_dose_by_dose_and_move():
    scenario = therapy("{inject: t, amount: 30 cell, radius: 80 um, every: 20 min, doses: 2}")
    simulation = run(scenario)
    assert simulation.count("t") == (simulation.immune == number(simulation, "t")).sum() == 60


def test_a_needle_leaves_its_track():
    scenario = therapy(
        "{inject: c, amount: 1 fg, at: [100 um, 110 um, 20 um], to: [100 um, 110 um, 160 um], radius: 12 um}"
    )
    hit = np.argwhere(run(scenario, "5 min").field("c") > 0)
    assert set(hit[:, 0]) == set(range(1, 8))
    assert {tuple(row) for row in hit[:, 1:]} == {(5, 4), (5, 5)}


def test_too_little_room_is_said():
    scenario = therapy("{inject: tumour, amount: 30 cell, at: [60 um, 100 um, 100 um], radius: 45 um, into: healthy}")
    with pytest.warns(UserWarning, match=r"therapies.x: \d+ of 30 cells found no free voxel"):
        simulation = run(scenario, "5 min")
    assert 10 < simulation.count("tumour") < 30


def test_surgery_cuts_out_what_it_names():
    text = "{resect: [tumour, t], radius: 60 um, start: 20 min}\n"
    text += "  y: {inject: tumour, amount: 200 cell, radius: 90 um, into: healthy}\n"
    text += "  z: {inject: t, amount: 100 cell, radius: 90 um}"
    simulation = run(therapy(text), "20 min")
    assert simulation.count("tumour") == 200
    simulation.step()
    left = simulation.count("tumour")
    assert 20 < left < 180
    assert left == (simulation.tissue == number(simulation, "tumour")).sum()
    assert simulation.count("empty") == 200 - left
    assert simulation.count("t") == (simulation.immune == number(simulation, "t")).sum() < 100


def test_a_resumed_run_knows_what_was_put_in(tmp_path):
    scenario = therapy("{inject: t, amount: 30 cell, radius: 80 um, every: 20 min, doses: 2}")
    with gpusim.Simulation(scenario, "numpy") as first, Recorder(first, tmp_path / "a") as recorder:
        first.step(6)
        recorder.checkpoint()
        counts = first.counts
    with gpusim.Simulation(scenario, "numpy") as second, Recorder(second, tmp_path / "a", resume=True):
        assert second.counts == counts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{inject: c, amount: 0 fg}", "expected an 'amount' above 0"),
        ("{inject: c, amount: 1 fg, site: lung}", "therapies.x.site: unknown site 'lung'"),
        (
            "{inject: c, amount: 1 fg, start: 2 day}",
            "therapies.x.start: the last dose is due at 2 day, not before the end",
        ),
        ("{inject: c, amount: 1 fg, start: 60 min}", "therapies.x.start: the last dose is due at 60 min, not before"),
        ("{inject: c, amount: 1 fg, every: 30 min, doses: 9}", "therapies.x.doses: the last dose is due at 4 h"),
        ("{inject: c, amount: 3 cell}", "therapies.x.amount: expected an amount in 'ng/mL * voxel', found '3 cell'"),
        ("{inject: tumor, amount: 3 cell}", "unknown field or state 'tumor'; did you mean 'tumour'?"),
        ("{inject: tumour, amount: 3 mg}", "therapies.x.amount: expected an amount in 'cell'"),
        ("{inject: c, amount: 1 fg, into: tumour}", "therapies.x.into: applies only to the injection of cells"),
        ("{resect: tumour, radius: 1 mm, amount: 3}", "'resect' takes none"),
        ("{resect: tumour}", "'resect' needs a 'radius'"),
        ("{resect: tumour, inject: c, amount: 3}", "expected exactly one of 'inject', 'infuse', 'resect'"),
        ("{inject: c, amount: 1 fg, every: -3 min, doses: 2}", "expected a quantity of 0 or more"),
    ],
)
def test_a_mistake_is_refused_before_anything_runs(text, message):
    with pytest.raises(gpusim.ScenarioError) as caught:
        therapy(text)
    assert message in str(caught.value)


def test_more_cells_than_voxels_are_refused():
    with pytest.raises(gpusim.ScenarioError, match="200 cells do not fit into the 4 voxels of the region"):
        gpusim.Simulation(therapy("{inject: tumour, amount: 200 cell, radius: 18 um}"), "numpy")


def test_a_shorter_run_leaves_later_doses_out():
    scenario = therapy("{inject: c, amount: 1 fg, every: 10 min, doses: 3, start: 5 min}")
    assert scenario.ending("20 min").document.therapies["x"].doses == 2
    assert scenario.ending("25 min").document.therapies["x"].doses == 2
    assert scenario.ending("30 min").document.therapies["x"].doses == 3
    assert not scenario.ending("5 min").document.therapies
    assert scenario.ending("2 hour").document.therapies == scenario.document.therapies
