"""States that hold a concentration, and walls, against theory."""

import numpy as np
import pytest
from scipy.sparse import diags, identity, kron
from scipy.sparse.linalg import spsolve

from gpusim import Scenario, ScenarioError, Simulation
from gpusim.model import build
from gpusim.verification.case import begin_with

PLANES = """
grid: {{shape: [17, 3, 2], spacing: 20 um}}
time: {{until: 1000 h, step: {{field: {step} min}}}}
record: {{every: 1000 h}}
fields: {{c: {{unit: mmHg, diffusion: {D} um^2/min, solver: {solver}, holds: {{low: 10, high: 40 mmHg}}}}}}
states: {{low: {{}}, high: {{}}}}
tissue:
  shapes:
    low: {{kind: box, state: low, lower: [0 um, 0 um, 0 um], upper: [20 um, 60 um, 60 um]}}
    high: {{kind: box, state: high, lower: [320 um, 0 um, 0 um], upper: [340 um, 60 um, 60 um]}}
"""


@pytest.mark.parametrize(
    ("solver", "diffusion", "step", "steps"),
    [
        ("explicit", 2000, 1, 100),
        ("implicit", 2000, 3, 40),
        ("implicit", 1e5, 10, 10),
        ("implicit2", 2000, 3, 40),
        ("steady", 2000, 1, 4),
    ],
)
def test_between_two_held_planes_a_field_is_a_line(simulate, solver, diffusion, step, steps):
    simulation = simulate(PLANES.format(solver=solver, D=diffusion, step=step))
    for _ in range(2):
        c = simulation.field("c")[0, 0]
        assert (c[0], c[-1]) == (10, 40)
        simulation.step(steps // 2)
    c = simulation.field("c").astype(float)
    assert np.all(c[:, :, 0] == 10)
    assert np.all(c[:, :, -1] == 40)
    # After six times L^2 / (pi^2 D) what is left of the beginning is below 1e-4 of the difference at these steps.
    assert c == pytest.approx(np.broadcast_to(10 + 30 * np.arange(17) / 16, c.shape), abs=6e-3)


SHAPE = (9, 8, 11)
"""z, y, x"""
SCATTERED = """
grid: {{shape: [11, 8, 9], spacing: 20 um}}
time: {{until: 1000 h, step: {{field: {step} min, rules: 30 min}}}}
record: {{every: 1000 h}}
fields:
  c: {{unit: mmHg, diffusion: {D}, decay: {k} /min, solver: {solver}, holds: {{vessel: 40, sink: 0}},
      boundary: {{x_low: {{value: 7}}}}}}
states: {{vessel: {{}}, sink: {{}}, tumour: {{uptake: {{c: {uptake}}}}}}}
tissue:
  shapes:
    tumour: {{kind: everywhere, state: tumour, fraction: 0.4}}
    vessel: {{kind: everywhere, state: vessel, fraction: 0.04}}
    sink: {{kind: sphere, state: sink, radius: 45 um, centre: [150 um, 80 um, 90 um]}}
"""


def solution(simulation, diffusion, loss, dt, before):
    """A step of backward Euler, or with no dt the steady state, on the same lattice by a sparse direct solver."""
    a = diffusion / 20**2
    along = []
    for n in SHAPE:
        second = diags([np.ones(n - 1), -2 * np.ones(n), np.ones(n - 1)], [-1, 0, 1]).tolil()
        second[0, 0] = second[-1, -1] = -1
        along.append(second.tocsr())
    z, y, x = (identity(n) for n in SHAPE)
    laplace = kron(kron(along[0], y), x) + kron(kron(z, along[1]), x) + kron(kron(z, y), along[2])
    border = np.zeros(SHAPE)
    border[:, :, 0] = 2 * a  # half a voxel to the side
    rate = loss + border.ravel()
    production = 7 * border.ravel()
    if dt is None:
        matrix, right = diags(rate) - a * laplace, production
    else:
        matrix, right = identity(rate.size) + dt * (diags(rate) - a * laplace), before.ravel() + dt * production
    states = simulation.tissue.ravel()
    value = np.full(4, np.nan)
    value[[simulation.model.states.number(name) for name in ("vessel", "sink")]] = 40, 0
    held = ~np.isnan(value[states])
    matrix = diags((~held).astype(float)) @ matrix + diags(held.astype(float))
    found = np.where(held, value[states], spsolve(matrix.tocsc(), np.where(held, value[states], right)))
    return found.reshape(SHAPE), held.reshape(SHAPE)


@pytest.mark.parametrize(("solver", "step"), [("steady", 1), ("implicit", 5), ("implicit", 0.01)])
@pytest.mark.parametrize("diffusion", [2000, 1e5])
def test_scattered_held_voxels_agree_with_a_direct_solver(simulate, solver, step, diffusion):
    text = SCATTERED.format(
        solver=solver, D=f"{diffusion} um^2/min", k=0.001 if solver == "steady" else 0, step=step, uptake="3 /min"
    )
    simulation = simulate(text)
    before = np.full(SHAPE, 0.0)
    tumour = simulation.tissue == simulation.model.states.number("tumour")
    loss = 3.0 * tumour.ravel() + (0.001 if solver == "steady" else 0)
    simulation.step()
    # What is held at time 0 is held in the first step too.
    expected, held = solution(simulation, diffusion, loss, None if solver == "steady" else step, before)
    c = simulation.field("c")
    assert held.sum() > 50
    assert np.array_equal(c[held], expected[held])
    assert c == pytest.approx(expected, abs=4e-3)
    assert c.min() >= 0


@pytest.mark.parametrize("solver", ["explicit", "implicit", "implicit2", "steady"])
def test_modulated_rates_of_the_field_itself_leave_held_voxels_alone(simulate, solver):
    """Michaelis-Menten uptake: maps by voxel carry what is held. The steady state is that of a fixed point."""
    uptake = "{rate: 12 /min, modulators: [{field: c, half: 4, effect: inhibits}]}"
    text = SCATTERED.format(solver=solver, D="2000 um^2/min", k=0.001, step=0.5, uptake=uptake)
    simulation = simulate(text)
    tumour = (simulation.tissue == simulation.model.states.number("tumour")).ravel()
    expected = np.full(SHAPE, 10.0)
    for _ in range(60):
        loss = 0.001 + 12 * tumour * 4 / (4 + expected.ravel())
        expected, held = solution(simulation, 2000, loss, None, None)
    for _ in range(30):
        simulation.step()
        c = simulation.field("c")
        assert np.array_equal(c[held], expected[held])
    assert c == pytest.approx(expected, abs=0.02)


def test_what_is_held_goes_with_the_cells_and_takes_no_dose():
    text = (
        SCATTERED.format(solver="auto", D="100 um^2/min", k=0, step=1, uptake="0 /min")
        + """
rules:
  sprout: {transition: tumour -> vessel, rate: 0.02 /min}
  close: {transition: vessel -> empty, rate: 0.01 /min}
therapies: {dose: {inject: c, amount: 1e3 mmHg*voxel, radius: 100 um, start: 30 min}}
"""
    )
    text = text.replace("rules: 30 min", "rules: 3 min")
    with Simulation(Scenario.parse(text), "numpy") as simulation:
        vessel, sink = map(simulation.model.states.number, ("vessel", "sink"))
        seen = set()
        for _ in range(42):
            simulation.step()
            c, tissue = simulation.field("c"), simulation.tissue
            assert np.all(c[tissue == vessel] == 40)
            assert np.all(c[tissue == sink] == 0)
            seen.add(int((tissue == vessel).sum()))
        assert len(seen) > 5
        assert simulation.fired["close"] > 0


@pytest.mark.parametrize("radius", [25, 45, 90])
def test_a_steady_field_that_rests_on_a_ball_is_there_after_its_first_step(simulate, radius):
    simulation = simulate(f"""
grid: {{shape: [24, 24, 24], spacing: 20 um}}
time: {{until: 1 h, step: {{field: 1 min, rules: 1 min}}}}
fields: {{c: {{unit: mmHg, diffusion: 1e5 um^2/min, solver: steady, holds: {{vessel: 40}}}}}}
states: {{vessel: {{}}}}
tissue: {{shapes: {{v: {{kind: sphere, state: vessel, radius: {radius} um}}}}}}
""")
    simulation.step()
    assert simulation.field("c") == pytest.approx(np.full((24, 24, 24), 40), rel=2e-3)


def test_a_reaction_with_what_is_held_is_of_second_order(simulate):
    """B + A -> C with A held at 5: B falls as an exponential, and C takes what it loses."""
    text = """
grid: {{shape: [2, 1, 1], spacing: 20 um}}
time: {{until: 1000 h, step: {{field: {step} min, rules: {step} min}}}}
record: {{every: 1000 h}}
fields: {{a: {{unit: ng/mL, holds: {{source: 5}}}}, b: {{unit: ng/mL, initial: 2}}, c: {{unit: ng/mL}}}}
states: {{source: {{}}}}
tissue: {{background: source}}
reactions: {{bind: {{consumes: {{a: 1, b: 1}}, makes: {{c: 1}}, rate: 0.01 mL/ng/min}}}}
"""
    errors = []
    for step in (8, 4, 2):
        simulation = simulate(text.format(step=step))
        simulation.step(16 // step)
        assert np.all(simulation.field("a") == 5)
        made = simulation.field("c").astype(float)
        assert made == pytest.approx(2 - simulation.field("b").astype(float), rel=1e-6)
        errors.append(made[0, 0, 0] - 2 * (1 - np.exp(-0.05 * 16)))
    # The midpoint rule decays at the rate times 1 + q^2 / 12, with q = 0.05 /min * step.
    assert errors[0] == pytest.approx(2 * np.exp(-0.8) * 0.8 * 0.4**2 / 12, rel=0.05)
    assert np.log2(np.array(errors[:-1]) / np.array(errors[1:])) == pytest.approx([2, 2], abs=0.1)


@pytest.mark.parametrize("solver", ["explicit", "implicit", "implicit2", "steady"])
def test_a_state_with_no_diffusion_is_a_wall(simulate, solver):
    """Beyond a wall of one voxel, between a held plane and a closed side, nothing comes and nothing goes."""
    text = PLANES.format(solver=solver, D="2000", step=5).replace(
        "2000 um^2/min", "{default: 2000 um^2/min, wall: 0 um^2/min}"
    )
    text = text.replace("high: 40 mmHg", "high: 0").replace("states: {", "states: {wall: {}, ")
    text += "    wall: {kind: box, state: wall, lower: [100 um, 0 um, 0 um], upper: [120 um, 60 um, 60 um]}\n"
    if solver == "steady":  # beyond the wall, something must take what is there
        text = text.replace("solver: steady", "solver: steady, decay: 1e-4 /min")
    simulation = simulate(text)
    begin_with(simulation, c=np.where(np.arange(17) < 6, 3.0, 0.0) * np.ones((2, 3, 17)))
    simulation.step(10)
    c = simulation.field("c").astype(float)
    # Explicit passes let nothing through. What a solve has left of its error is below 1e-4 of the difference a step.
    assert np.all(c[:, :, 6:] <= (0 if solver == "explicit" else 1e-3 * 10))
    assert c[:, :, :5] == pytest.approx(10, rel=0.02)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"fields": {"c": {"holds": {"vesel": 3}}}},
            "fields.c.holds.vesel: unknown tissue state 'vesel'; did you mean",
        ),
        ({"fields": {"c": {"holds": {"ctl": 3}}}}, "fields.c.holds.ctl: expected a tissue state, found 'ctl'"),
        ({"fields": {"c": {"holds": {"vessel": "3 um"}}}}, "holds.vessel: expected a number or a quantity in 'mmHg'"),
        ({"fields": {"c": {"holds": {"vessel": -1}}}}, "holds.vessel: expected a number from 0"),
        ({"fields": {"c": {"holds": {"tumour": 1}}}}, "'states.tumour.uptake.c' would have no effect"),
        ({"states": {"vessel": {"secretion": {"c": 1}}}}, "'states.vessel.secretion.c' would have no effect"),
        (
            {"states": {"sink": {"exchange": {"c": {"permeability": "1 /min", "blood": 1}}}}},
            "'states.sink.exchange.c' would have no effect",
        ),
        (
            {"rules": {"r": {"transition": "tumour -> vessel", "rate": "1 /min", "releases": {"c": 1}}}},
            "fields.c.holds.vessel: 'rules.r.releases.c' would have no effect, because the rule ends in 'vessel'",
        ),
        (
            {"therapies": {"dose": {"inject": "c", "amount": "1 mmHg*voxel", "at": ["150 um", "80 um", "90 um"]}}},
            "therapies.dose: all 1 voxels of the region have a fixed concentration of c at time 0",
        ),
    ],
)
def test_what_would_have_no_effect_is_refused(changes, message):
    text = SCATTERED.format(solver="auto", D="100 um^2/min", k=0, step=1, uptake="1 /min")
    states = {"ctl": {"layer": "immune"}} | changes.pop("states", {})
    with pytest.raises(ScenarioError, match=message):
        build(Scenario.parse(text).with_(states=states, **changes))


def test_a_steady_field_without_decay_needs_a_state_that_holds_it_for_ever():
    text = SCATTERED.format(solver="steady", D="100 um^2/min", k=0, step=1, uptake="0 /min").replace(
        "x_low: {value: 7}", ""
    )
    Simulation(Scenario.parse(text), "numpy").close()
    lost = {"transition": "vessel|sink -> empty", "rate": "1e-3 /min"}
    with pytest.raises(ScenarioError, match="'steady' needs a decay above 0"):
        Simulation(Scenario.parse(text).with_(rules={"lost": lost}), "numpy")
