"""The body's equations against closed solutions, and the books between body and tissue."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import gpusim
from gpusim import NumericalError, Scenario
from gpusim.backends import create
from gpusim.body import Circulation
from gpusim.model import build

NUMPY = create("numpy")
GRID = "grid: {shape: [2, 2, 2]}\ntime: {until: 1 day, step: {field: 6 min, rules: 6 min}}\n"


@pytest.fixture
def circulation(one_backend_each):
    backend = create(*one_backend_each)
    yield lambda body: Circulation([build(Scenario.parse(GRID + "body:\n" + body)).body], backend)
    backend.close()


def test_a_loss_is_exponential(circulation):
    drug = circulation("""
  quantities: {drug: {unit: mg, initial: 10}}
  processes: {loss: {transition: drug -> nothing, rate: 0.02 /min}}
""")
    for _ in range(50):
        drug.advance(6, 1)
    assert drug.values[0, 0] == pytest.approx(10 * math.exp(-0.02 * 300), rel=1e-5)


def test_growth_with_a_limit_is_logistic_like_and_equals_another_integrator(circulation):
    found = circulation("""
  quantities: {cells: {initial: 5}, drug: {unit: mg, initial: 3}}
  processes:
    growth:
      transition: nothing -> cells
      by: cells
      rate: 0.01 /min
      modulators: [{body: cells, half: 400, effect: inhibits, power: 2}]
    kill: {transition: cells -> nothing, rate: 0.02 /min, modulators: [{body: drug, half: 1 mg}]}
    loss: {transition: drug -> nothing, rate: 0.001 /min}
""")

    def slope(_, y):
        cells, drug = y
        return [
            0.01 * cells / (1 + (cells / 400) ** 2) - 0.02 * cells * drug / (1 + drug),
            -0.001 * drug,
        ]

    expected = solve_ivp(slope, (0, 6000), [5, 3], rtol=1e-10, atol=1e-12).y[:, -1]
    for _ in range(1000):
        found.advance(6, 1)
    assert found.values[:, 0] == pytest.approx(expected, rel=1e-4)


def after(value: float, brought: float, rate: float, minutes: float) -> float:
    """What a quantity is that a process clears, and that tissue has given to at a constant rate or taken from.

    What is taken is in proportion to value * exp(-rate * t), as the concentration is that tissue sees.
    """
    if value < 0 < brought and -value / brought < 1:
        paid = -value / brought
        return after(0.0, brought * (1 - paid), rate, minutes * (1 - paid))
    if (value <= 0 and brought <= 0) or value < 0:
        return value + brought
    left = value * math.exp(-rate * minutes)
    if brought >= 0:
        return left - brought * math.expm1(-rate * minutes) / (rate * minutes)
    most = -value * math.expm1(-rate * minutes) / (rate * minutes)
    share = min(-brought / most, 1)
    return left * (1 - share) + share * most + brought


CLEARED = """
  quantities: {drug: {unit: mg}, counted: {}, eliminated: {unit: mg}}
  processes: {clearance: {transition: drug -> eliminated, rate: RATE /min}}
"""


def signed(most: float) -> st.SearchStrategy[float]:
    """Numbers of all magnitudes, and 0."""
    return st.builds(lambda sign, e: sign * 10**e, st.sampled_from([-1, 0, 1]), st.floats(-3, math.log10(most)))


@settings(max_examples=200, deadline=None)
@given(value=signed(1e9), brought=signed(1e11), rate=st.floats(-4, 1).map(lambda e: 10**e))
def test_what_tissue_brings_within_a_step_is_integrated_with_the_processes(value, brought, rate):
    """Also where it takes far more than there is. What takes part in no process gains what was brought exactly."""
    drug = Circulation([build(Scenario.parse(GRID + "body:" + CLEARED.replace("RATE", str(rate)))).body], NUMPY)
    drug.add(0, value)
    drug.brought[:2, 0] = brought
    drug.advance(6, 1)
    scale = abs(value) + abs(brought)
    assert drug.values[0, 0] == pytest.approx(after(value, brought, rate, 6), abs=1e-7 * scale)
    assert drug.values[1, 0] == brought
    assert drug.values[0, 0] + drug.values[2, 0] == pytest.approx(value + brought, abs=1e-12 * scale)
    assert not drug.brought.any()


@pytest.mark.parametrize(
    ("value", "brought", "foreseen"),
    [
        (100, 0, 0),
        (100, 60, 10),  # 10 mg/min come and 60 are cleared
        (100, 1200, 60),  # 200 mg/min come: what is cleared at first is replaced, and no more is foreseen
        (100, -60, 0),  # clearance and tissue both take
        (-5, 60, 0),
    ],
)
def test_a_mean_foresees_a_supply_as_far_as_it_balances_the_processes(circulation, value, brought, foreseen):
    drug = circulation(CLEARED.replace("RATE", "0.6"))
    drug.brought[0, 0] = brought
    drug.advance(6, 1)
    drug.add(0, value - drug.values[0, 0])
    drug.foresee(6)
    steady = foreseen / 0.6
    mean = steady + (value - steady) * (1 - math.exp(-3.6)) / 3.6 if value > 0 else 0
    assert drug.mean[0, 0] == pytest.approx(mean, rel=1e-6)


def test_what_leaves_one_quantity_arrives_in_the_next(circulation):
    chain = circulation("""
  quantities: {a: {initial: 100}, b: {}, c: {}}
  processes:
    first: {transition: a -> b, rate: 1/(3 hour)}
    second: {transition: b -> c, rate: 1/(5 hour)}
""")
    for _ in range(100):
        chain.advance(6, 1)
        assert sum(chain.values[:, 0]) == pytest.approx(100, rel=1e-12)
    fast, slow, t = 1 / 180, 1 / 300, 600
    b = 100 * fast / (slow - fast) * (math.exp(-fast * t) - math.exp(-slow * t))
    assert chain.values[1, 0] == pytest.approx(b, rel=1e-5)


def test_means_over_a_step_follow_the_equations(circulation):
    """Of a loss, of what arises from it, of what is constant, and of what cells owe."""
    chain = circulation("""
  quantities: {a: {initial: 100}, b: {}, c: {initial: 0.1}, d: {initial: 7}}
  processes: {first: {transition: a -> b, rate: 0.6 /min}}
""")
    chain.add(3, -10)
    chain.foresee(5)
    mean = chain._backend.fetch([chain.mean])[0][:, 0]
    of_a = 100 * (1 - math.exp(-0.6 * 5)) / (0.6 * 5)
    assert mean == pytest.approx([of_a, 100 - of_a, 0.1, 0], rel=1e-6)
    assert chain.values[:, 0].tolist() == [100, 0, 0.1, -3]


def test_an_explosion_is_named(circulation):
    found = circulation("""
  quantities: {a: {initial: 1}}
  processes: {boom: {transition: nothing -> a, by: a, rate: 1e12 /min, modulators: [{body: a, per: 1}]}}
""")
    found.advance(60, 7)
    found.advance(60, 8)
    with pytest.raises(NumericalError, match=r"cannot be integrated in step 7: a process is too fast.* a 1$"):
        _ = found.values


TRAFFIC = """
grid: {shape: [12, 12, 12]}
time: {until: 2 day, step: {field: 5 min, rules: 5 min}}
record: {every: 2 day}
states: {vessel: {}, dc: {layer: immune}, ctl: {layer: immune, motility: {speed: 4 um/min}}}
rules:
  recruitment:
    transition: none -> ctl
    rate: 0.001 /min
    modulators: [{contact: vessel}, {body: ctl, half: 100}]
    from_body: ctl
  egress: {transition: dc -> none, rate: 1/(6 hour), to_body: node}
  death: {transition: ctl -> none, rate: 1/(2 day)}
tissue:
  shapes:
    vessel: {kind: cylinder, state: vessel, start: [0 um, 120 um, 120 um], end: [240 um, 120 um, 120 um], radius: 40 um}
    dc: {kind: everywhere, state: dc, fraction: 0.1}
body: {quantities: {ctl: {initial: 300}, node: {}}}
"""


def test_the_books_between_body_and_tissue_balance_to_the_last_cell(simulate):
    simulation = simulate(TRAFFIC)
    dendritic = simulation.count("dc")
    for _ in simulation.stretches("1 day"):
        assert simulation.count("dc") + simulation.body["node"] == dendritic
        assert simulation.count("ctl") + simulation.fired["death"] + simulation.body["ctl"] == 300
        assert np.bincount(simulation.immune.ravel(), minlength=5)[-1] == simulation.count("ctl")
    assert simulation.fired["recruitment"] > 20


def test_recruitment_stops_when_the_blood_is_empty(simulate):
    simulation = simulate(TRAFFIC, rules={"recruitment": {"rate": "0.1 /min"}})
    simulation.run(until="12 h")
    left = simulation.body["ctl"]
    assert -50 < left <= 0  # what one step took too many is owed, not lost
    assert simulation.fired["recruitment"] == 300 - left


FAST = """
grid: {shape: [3, 3, 3]}
time: {until: 1 hour, step: {field: 5 min, rules: 5 min}}
record: {every: 1 hour}
fields: {virus: {unit: PFU/voxel, diffusion: 30 um^2/min, solver: SOLVER}}
states: {vessel: {exchange: {virus: {permeability: 1e-6 /min, body: virus_blood, volume: 2 mL}}}}
tissue: {shapes: {all: {kind: everywhere, state: vessel}}}
body:
  quantities: {virus_blood: {unit: PFU}}
  processes: {neutralisation: {transition: virus_blood -> nothing, rate: 0.58 /min}}
therapies: {infusion: {infuse: virus_blood, amount: 1e9 PFU, start: 10 min}}
"""


@pytest.mark.parametrize("solver", ["explicit", "implicit", "implicit2"])
def test_what_is_lost_from_the_blood_within_a_step_does_not_reach_the_tissue(simulate, solver):
    """The amount is permeability * concentration * time, integrated over the exponential in the blood."""
    simulation = simulate(FAST.replace("SOLVER", solver))
    simulation.run()
    voxel, blood = 20.0**3 * 1e-12, 2.0  # mL
    arrived = 1e-6 * 1e9 / blood * voxel / 0.58 * 27
    assert simulation.fields["virus"].sum() == pytest.approx(arrived, rel=1e-3)


GIVEN = """
time: {until: 10 hour, step: {rules: 5 min, field: 5 min}}
record: {every: 10 hour}
fields: {drug: {unit: PFU/voxel, diffusion: 0 um^2/min}}
states:
  source: {secretion: {drug: 1 PFU/voxel/min}, exchange: {drug: {permeability: 0.1 /min, body: blood, volume: 1 mL}}}
  sink: {uptake: {drug: 0.1 /min}, exchange: {drug: {permeability: 0.1 /min, body: blood, volume: 1 mL}}}
body:
  quantities: {blood: {unit: PFU}}
  processes: {clearance: {transition: blood -> nothing, rate: RATE /min}}
sites:
  one: {grid: {spacing: 20 um, shape: [4, 4, 4]}, tissue: {background: source}}
  two: {grid: {spacing: 20 um, shape: [4, 4, 4]}, tissue: {background: sink}}
"""


@pytest.mark.parametrize("rate", [0.02, 0.6, 3])
def test_what_tissue_gives_to_a_quantity_that_is_cleared_within_a_step(simulate, rate):
    """The steady state: 64 voxels secrete 1 PFU/min, which the blood clears; the sink has half of its concentration."""
    simulation = simulate(GIVEN.replace("RATE", str(rate)))
    simulation.run()
    assert simulation.body["blood"] == pytest.approx(64 / rate, rel=1e-4)
    assert simulation.sites["two"].fields["drug"] == pytest.approx(64 / rate * 20.0**3 * 1e-12 / 2, rel=1e-4)


@pytest.mark.parametrize("crossing", [0.02, 0.16])
def test_what_tissue_takes_from_a_quantity_that_is_infused(simulate, crossing):
    """The steady state; the tissue takes up all that crosses its walls: a tenth of the blood per rule step, or 0.8."""
    volume = 0.1 * 64 * 20.0**3 * 1e-12 / crossing
    simulation = simulate(f"""
grid: {{spacing: 20 um, shape: [4, 4, 4]}}
time: {{until: 20 hour, step: {{rules: 5 min, field: 5 min}}}}
record: {{every: 20 hour}}
fields: {{drug: {{unit: PFU/voxel, diffusion: 0 um^2/min}}}}
states:
  sink:
    uptake: {{drug: 1e4 /min}}
    exchange: {{drug: {{permeability: 0.1 /min, body: blood, volume: {volume} mL}}}}
body:
  quantities: {{blood: {{unit: PFU}}}}
  processes: {{infusion: {{transition: nothing -> blood, rate: 100 PFU/min}}}}
tissue: {{background: sink}}
""")
    simulation.run()
    # At the end of a step it is what it was at its beginning, and on average.
    assert simulation.body["blood"] == pytest.approx(100 / crossing, rel=1e-4)


def test_recruitment_from_a_quantity_that_runs_empty(simulate):
    """Twenty cells an hour enter the blood; the tissue takes more than there are. None is lost or made."""
    simulation = simulate("""
grid: {shape: [16, 16, 16]}
time: {until: 10 hour, step: {rules: 5 min, field: 5 min}}
record: {every: 10 hour}
states: {stroma: {}, t_cell: {layer: immune}}
rules:
  recruitment: {transition: none -> t_cell, from_body: blood, rate: 0.01 /min, modulators: [{body: blood, per: 1}]}
body:
  quantities: {blood: {initial: 3}, dead: {}}
  processes:
    supply: {transition: nothing -> blood, rate: 20 cell/hour}
    contraction: {transition: blood -> dead, rate: 0.1 /min}
tissue: {background: stroma}
""")
    simulation.run()
    cells = simulation.count("t_cell")
    assert cells > 100
    assert sum(simulation.body.values()) + cells == pytest.approx(3 + 200, rel=1e-12)


def test_rules_and_traits_see_the_mean_of_a_rule_step(simulate):
    """Of 100 mg that are cleared at 0.6 /min: the integral of the concentration, not its value at the beginning."""
    simulation = simulate("""
grid: {shape: [24, 24, 24]}
time: {until: 1 hour, step: {rules: 5 min, field: 5 min}}
record: {every: 1 hour}
states: {a: {}, dead: {}}
traits: {dose: {of: [a, dead], changes: {gain: {gain: 1 /min, modulators: [{body: drug, per: 100 mg}]}}}}
rules: {kill: {transition: a -> dead, rate: 0.1 /min, modulators: [{body: drug, per: 100 mg}]}}
body:
  quantities: {drug: {unit: mg, initial: 100}}
  processes: {clearance: {transition: drug -> nothing, rate: 0.6 /min}}
tissue: {background: a}
""")
    simulation.run()
    assert simulation.trait("dose") == pytest.approx(1 / 0.6, rel=1e-4)
    share, expected = simulation.count("dead") / 24**3, 1 - math.exp(-0.1 / 0.6)
    assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / 24**3)


def test_a_note_says_that_an_infusion_comes_within_a_rule_step():
    text = FAST.replace("SOLVER", "explicit").replace("field: 5 min", "field: 1 min")
    assert not build(Scenario.parse(text)).notes
    (note,) = build(Scenario.parse(text.replace("start: 10 min", "start: 12 min"))).notes
    assert note.startswith("therapies.infusion: the infusion at 12 min comes within a rule step (5 min), so that ")


def test_an_infusion_comes_at_its_time():
    text = TRAFFIC + "therapies: {infusion: {infuse: ctl, amount: 50 cell, start: 10 min, every: 20 min, doses: 2}}\n"
    simulation = gpusim.Simulation(Scenario.parse(text).with_(rules=None), "numpy")
    found = []
    for _ in range(8):
        simulation.step()
        found.append(simulation.body["ctl"])
    assert found == [300, 300, 350, 350, 350, 350, 400, 400]


ONE = "quantities: {a: {}}\n  processes: {p: {transition: "


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("quantities: {nothing: {}}", "'nothing' is reserved for the outside of the body"),
        (
            ONE + "a -> b, rate: 1 /min}}",
            "unknown quantity of the body 'b'",
        ),
        (ONE + "a -> a, rate: 1 /min}}", "'a' is on both sides"),
        (
            ONE + "nothing -> a, rate: 1 /min}}",
            "expected a quantity in 'cell / min'",
        ),
        (
            "quantities: {a: {}, b: {unit: mg}}\n  processes: {p: {transition: a -> b, rate: 1 /min}}",
            "one unit on both sides",
        ),
        (
            ONE + "a -> nothing, rate: 1 /min, modulators: [{contact: empty}]}}",
            "depends only on quantities of the body",
        ),
    ],
)
def test_a_body_that_contradicts_itself_is_refused(body, message):
    with pytest.raises(gpusim.ScenarioError, match=message):
        Scenario.parse(GRID + "body:\n  " + body + "\n")


@pytest.mark.parametrize(
    ("body", "notes"),
    [
        (
            "quantities: {drug: {unit: mol, initial: 1e-12}}\n"
            "  processes: {loss: {transition: drug -> nothing, rate: 1 /min}}",
            ["body.quantities.drug: an amount of 1e-12 mol is too small"],
        ),
        (
            "quantities: {drug: {unit: pmol, initial: 1}}\n"
            "  processes: {loss: {transition: drug -> nothing, rate: 1 /min}}",
            [],
        ),
        (
            "quantities: {drug: {unit: mg}, enzyme: {unit: mg}}\n"
            "  processes: {digestion: {transition: drug -> nothing, by: enzyme, rate: 1 /min}}",
            ["body.processes.digestion: its rate does not depend on 'drug', which falls below 0"],
        ),
        (
            "quantities: {drug: {unit: mg}, enzyme: {unit: mg}}\n"
            "  processes: {digestion: {transition: drug -> nothing, by: enzyme, rate: 1 /min, "
            "modulators: [{body: drug, half: 1 mg}]}}",
            [],
        ),
    ],
)
def test_what_the_equations_of_a_body_cannot_follow_is_noted(body, notes):
    found = [note for note in build(Scenario.parse(f"{GRID}body:\n  {body}\n")).notes if note.startswith("body.")]
    assert len(found) == len(notes)
    assert all(note.startswith(start) for note, start in zip(found, notes, strict=True))


def test_a_process_far_faster_than_a_step_is_an_error_soon():
    """Explicit steps would need 1e12 of them."""
    body = build(Scenario.parse(GRID + "body:" + CLEARED.replace("RATE", "1e12"))).body
    drug = Circulation([body], create("cpu", 1))
    drug.add(0, 1.0)
    drug.advance(6, 3)
    with pytest.raises(NumericalError, match="cannot be integrated in step 3: a process is too fast"):
        _ = drug.values


@pytest.mark.parametrize("taken", [1e2, 1e5, 1e9])
def test_what_depends_on_a_quantity_that_is_overdrawn(circulation, taken):
    """Of 1 cell, cells take far more; antigen is made in proportion to it as long as it is there."""
    found = circulation("""
  quantities: {a: {initial: 1}, b: {unit: pg}}
  processes: {secretion: {transition: nothing -> b, by: a, rate: 1000 pg/min/cell}}
""")
    found.brought[0, 0] = -taken
    found.advance(6, 1)
    assert found.values[:, 0] == pytest.approx([1 - taken, 3000], rel=1e-6)
