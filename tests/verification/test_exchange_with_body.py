"""A wall between voxels and the body, against closed solutions, and its books."""

import numpy as np
import pytest

import gpusim
from gpusim.model import build

TEXT = """
grid: {{shape: [5, 4, 3], spacing: 20 um}}
time: {{until: 10 hour, step: {{field: 1 min, rules: 1 min}}}}
fields: {{drug: {{unit: ng/mL, diffusion: {diffusion}, initial: {initial}}}}}
states:
  vessel: {{exchange: {{drug: {{permeability: 0.02 /min, body: blood, volume: {volume}}}}}}}
body: {{quantities: {{blood: {{unit: ng, initial: {blood}}}}}}}
tissue: {{background: {background}, shapes: {{v: {{kind: everywhere, state: vessel, fraction: 0.3}}}}}}
"""


def run(simulate, until="2 hour", **values):
    defaults = {"diffusion": "0 um^2/min", "initial": 0, "volume": "1 mL", "blood": 1, "background": "vessel"}
    simulation = simulate(TEXT.format(**{**defaults, **values}))
    simulation.run(until)
    return simulation


def test_a_voxel_fills_from_the_blood_exponentially(simulate):
    # 1 ng in 1 mL, and 60 voxels of 8 pL take next to nothing of it; two of Heun's steps a minute.
    simulation = run(simulate)
    expected = 1 - (1 - 0.01 + 0.01**2 / 2) ** 240
    assert simulation.field("drug") == pytest.approx(np.full((3, 4, 5), expected), rel=1e-5)


def test_with_little_blood_both_sides_come_to_the_mixture(simulate):
    # 60 voxels are 480 pL; as much blood, with 3 ng/mL: half of it comes over.
    simulation = run(simulate, until="10 hour", volume="4.8e-7 mL", blood="1.44e-6")
    assert simulation.field("drug") == pytest.approx(np.full((3, 4, 5), 1.5), rel=1e-3)
    assert simulation.body["blood"] == pytest.approx(0.72e-6, rel=1e-3)


def test_the_books_balance(simulate):
    simulation = run(
        simulate,
        initial=2,
        volume="1e-6 mL",
        blood="1e-6",
        diffusion="300 um^2/min",
        background="empty",
        until="3 hour",
    )
    voxel = 8e-9  # mL
    before = 2 * 60 * voxel + 1e-6
    after = simulation.totals()["drug"] * voxel + simulation.body["blood"]
    assert simulation.body["blood"] > 1.05e-6
    assert after == pytest.approx(before, rel=1e-5)


def drift(solver, diffusion, steps, *, opened=True, backend="cpu", **values):
    """How far the sum of a field and the blood goes away from what it was, of itself, and what the field loses."""
    defaults = {"initial": 2, "volume": "1e-6 mL", "blood": "1e-6", "background": "empty"}
    text = TEXT.format(diffusion=f"{diffusion} um^2/min", **{**defaults, **values})
    text = text.replace("initial: 2", f"initial: 2, solver: {solver}").replace("10 hour", "10000 min")
    if "permeability" in values:
        text = text.replace("0.02 /min", values["permeability"])
    scenario = gpusim.Scenario.parse(text)
    if opened:  # a wall that another field and the field itself open
        modulators = [{"field": "key", "half": "1 ng/mL"}, {"field": "drug", "half": "1 ng/mL"}]
        scenario = scenario.with_(
            fields={"key": {"unit": "ng/mL", "initial": 1, "decay": "0.001 /min"}},
            states={"vessel": {"exchange": {"drug": {"modulators": modulators}}}},
        )
    with gpusim.Simulation(scenario, backend, threads=1 if backend == "cpu" else None) as simulation:
        voxel = 8e-9  # mL
        begun = simulation.totals()["drug"] * voxel
        before = begun + simulation.body["blood"]
        simulation.step(steps)
        now = simulation.totals()["drug"] * voxel
        return (now + simulation.body["blood"]) / before - 1, 1 - now / begun


SOLVERS = [("explicit", 300, 1e-5), ("explicit", 2, 1e-5), ("implicit", 300, 1e-4), ("implicit2", 300, 1e-4)]
"""With D of 2 um^2/min by Heun's method."""


@pytest.mark.parametrize(("solver", "diffusion", "room"), SOLVERS)
def test_every_solver_keeps_the_books(solver, diffusion, room):
    off, lost = drift(solver, diffusion, 500)
    assert abs(off) < room / 4
    assert lost > 0.02


@pytest.mark.slow
@pytest.mark.parametrize(("solver", "diffusion", "room"), SOLVERS)
def test_the_books_balance_over_ten_thousand_steps(solver, diffusion, room):
    off, lost = drift(solver, diffusion, 10_000, opened=diffusion == 2)
    assert abs(off) < room
    assert lost > 0.2


@pytest.mark.slow
@pytest.mark.parametrize("diffusion", [300, 2])
def test_voxels_lose_a_flow_of_a_ten_millionth_a_step(diffusion):
    """That is less than two of the last digits of what they have, which numbers rounded to nearest would not follow."""
    off, lost = drift("explicit", diffusion, 10_000, opened=False, permeability="1e-7 /min", volume="1 mL", blood="0")
    vessels = 0.25  # of 60 voxels
    assert abs(off) < 1e-5
    assert lost == pytest.approx(vessels * 1e-3, rel=0.05)


def test_a_flow_of_a_ten_millionth_a_step_arrives(simulate):
    # 60 voxels lose 1e-7 ng/mL each in a step of 1 min.
    text = TEXT.format(diffusion="0 um^2/min", initial="1e-4", volume="1 mL", blood=0, background="vessel")
    simulation = simulate(text.replace("0.02 /min", "0.001 /min"))
    simulation.step(100)
    lost = 60 * 1e-4 * (1 - (1 - 0.0005 + 0.0005**2 / 2) ** 200)
    assert simulation.body["blood"] == pytest.approx(lost * 8e-9, rel=1e-5)


def test_other_sites_are_supplied_through_the_blood(simulate):
    text = (
        TEXT.format(diffusion="0 um^2/min", initial=0, volume="4.8e-7 mL", blood="0", background="vessel")
        + "sites: {a: {}, b: {}}\ntherapies: {dose: {inject: drug, amount: 1e-6 ng, radius: 1 mm, site: a}}\n"
    )
    simulation = simulate(text)
    simulation.run("10 hour")
    for site in simulation.sites.values():
        # Three equal parts: two sites and the blood.
        assert site.totals(0)["drug"] * 8e-9 == pytest.approx(1e-6 / 3, rel=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("body: blood, ", ""), "expected exactly one of 'blood' (a concentration), 'body' (a quantity)"),
        ((", volume: 1 mL", ""), "'body' and 'volume' go together"),
        (("volume: 1 mL", "volume: 0 mL"), "expected a 'volume' above 0"),
        (("volume: 1 mL", "volume: 1 um"), "volume: expected a quantity in 'mL'"),
        (("body: blood,", "body: blod,"), "unknown quantity of the body 'blod'; did you mean 'blood'?"),
        (
            ("unit: ng,", "unit: cell,"),
            "expected a quantity in 'ng/mL * mL' or a convertible unit; 'blood' is in 'cell'",
        ),
    ],
)
def test_a_mistake_is_named(change, message):
    text = TEXT.format(diffusion="0 um^2/min", initial=0, volume="1 mL", blood=1, background="vessel")
    assert change[0] in text
    with pytest.raises(gpusim.ScenarioError) as caught:
        gpusim.Scenario.parse(text.replace(*change))
    assert message in str(caught.value)


def test_a_wall_with_a_threshold_on_the_field_itself_is_refused():
    text = TEXT.format(diffusion="0 um^2/min", initial=0, volume="1 mL", blood=1, background="vessel")
    for shape in ("above", "below"):
        opened = {"modulators": [{"field": "drug", shape: 3}]}
        scenario = gpusim.Scenario.parse(text).with_(states={"vessel": {"exchange": {"drug": opened}}})
        with pytest.raises(gpusim.ScenarioError, match="states.vessel.exchange.drug: a wall to the body can't open"):
            build(scenario)
