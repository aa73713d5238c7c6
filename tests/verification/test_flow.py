"""Flow of interstitial fluid and the fields that it carries, against theory."""

import numpy as np
import pytest

from gpusim.errors import NumericalError
from gpusim.verification.case import begin_with

K = 256.0  # um^2/mmHg/min


def text(shape, pressure, c="", flow="", spacing=20.0, step="1 min", extra=""):
    return f"""
grid: {{shape: {list(shape)}, spacing: {spacing} um}}
time: {{until: 1000 h, step: {{field: {step}}}}}
record: {{every: 1000 h}}
fields:
  p: {{unit: mmHg, {pressure}}}
  c: {{unit: PFU/voxel, advection: true, {c}}}
flow: {{field: p, conductivity: {K} um^2/mmHg/min, {flow}}}
{extra}
"""


def through_x(velocity, voxels, spacing=20.0):
    """The pressure at both ends of a lattice that drives a velocity, um/min, along x."""
    high = velocity * voxels * spacing / K
    low, high = (0, high) if velocity > 0 else (-high, 0)
    return f"boundary: {{x_low: {{value: {high}}}, x_high: {{value: {low}}}}}"


def vessels(state, conductance, pressure):
    """Vessels with a conductance, 1/mmHg/min."""
    return f"{state}: {{conductivity: {conductance * 1e4} um/mmHg/min, surface: 1e-4 /um, pressure: {pressure} mmHg}}"


def test_two_layers_in_series_conduct_by_darcys_law(simulate):
    cells, dx, layers = 8, 20.0, (250.0, 25.0)
    half = f"[{cells // 2 * dx} um, 0 um, 0 um], upper: [{cells * dx} um, 99 um, 99 um]"
    simulation = simulate(f"""
grid: {{shape: [{cells}, 2, 1], spacing: {dx} um}}
time: {{until: 100 h, step: {{field: 1 min}}}}
record: {{every: 100 h}}
fields:
  p: {{unit: mmHg, boundary: {{x_low: {{value: 30}}, x_high: {{value: 10}}}}}}
  c: {{unit: PFU/voxel, advection: true, initial: 1, boundary: {{x_low: {{value: 1}}}}}}
flow: {{field: p, conductivity: {{default: {layers[0]} um^2/mmHg/min, dense: {layers[1]} um^2/mmHg/min}}}}
states: {{dense: {{}}}}
tissue: {{shapes: {{s: {{kind: box, state: dense, lower: {half}}}}}}}
""")
    resistance = dx / np.repeat(layers, cells // 2)
    to_centre = np.cumsum(resistance) - resistance / 2
    assert simulation.field("p")[0, 1] == pytest.approx(30 - 20 * to_centre / resistance.sum(), rel=1e-5)
    # What enters on one side is what leaves on the other: a concentration of 1 everywhere stays.
    simulation.step(50)
    assert simulation.field("c") == pytest.approx(np.ones((1, 2, cells)), rel=2e-5)


def shells(radius, alpha, cells):
    """Scenario of a leaky ball in tissue without pressure, and Baxter and Jain's pressure in its voxels."""
    dx, pressure = 20.0, 20.0
    edge = radius * dx
    leak = vessels("tumour", K * (alpha / edge) ** 2, pressure)
    scenario = f"""
grid: {{shape: [{cells}, {cells}, {cells}], spacing: {dx} um}}
time: {{until: 100 h, step: {{field: 1 min}}}}
record: {{every: 100 h}}
fields: {{p: {{unit: mmHg, holds: {{empty: 0}}}}}}
flow:
  field: p
  conductivity: {{tumour: {K} um^2/mmHg/min, default: {1e4 * K} um^2/mmHg/min}}
  vessels: {{{leak}}}
states: {{tumour: {{}}}}
tissue: {{shapes: {{s: {{kind: sphere, state: tumour, centre: [0 um, 0 um, 0 um], radius: {edge} um}}}}}}
"""
    z, y, x = np.indices((cells,) * 3) + 0.5
    r = np.sqrt(z**2 + y**2 + x**2) / radius
    return scenario, pressure, r, pressure * (1 - np.sinh(alpha * r) / (r * np.sinh(alpha)))


def in_shells(simulation, radius, r, values):
    """The mean of values in shells, one voxel deep, of the ball."""
    ball = simulation.tissue > 0
    shell = np.minimum((r[ball] * radius).astype(int), radius - 1)
    return np.bincount(shell, values[ball]) / np.bincount(shell)


@pytest.mark.parametrize(("radius", "tolerance"), [(12, 0.03), pytest.param(24, 0.012, marks=pytest.mark.slow)])
def test_the_pressure_in_a_leaky_ball_is_that_of_baxter_and_jain(simulate, radius, tolerance):
    alpha = 5.0
    scenario, inside, r, expected = shells(radius, alpha, radius + 2)  # an octant
    simulation = simulate(scenario)
    p = simulation.field("p").astype(float)
    found = in_shells(simulation, radius, r, p)
    assert np.abs(found - in_shells(simulation, radius, r, expected)).max() < tolerance * inside
    # The fluid leaks in a rim: by theory, 72% of it within R / alpha of the surface.
    leaked = in_shells(simulation, radius, r, inside - p)
    assert leaked[-1] > 5 * leaked[: radius // 2].max()
    ball = simulation.tissue > 0
    rim = r[ball] > 1 - 1 / alpha

    def leaks_below(x):
        return alpha * x * np.cosh(alpha * x) - np.sinh(alpha * x)

    expected = 1 - leaks_below(1 - 1 / alpha) / leaks_below(1)
    assert ((inside - p[ball])[rim]).sum() / (inside - p[ball]).sum() == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("velocity", [10.0, -10.0])
def test_at_a_courant_number_of_1_a_pulse_is_shifted(simulate, velocity):
    # Two passes of a voxel each in a step of 4 min.
    simulation = simulate(text([40, 2, 2], through_x(velocity, 40), step="4 min"))
    start = np.zeros((2, 2, 40), np.float32)
    start[..., 18:23] = [1, 5, 2, 7, 3]
    begin_with(simulation, c=start)
    simulation.step(5)
    expected = np.roll(start, 10 if velocity > 0 else -10, axis=-1)
    assert simulation.field("c") == pytest.approx(expected, abs=7e-4)


def test_a_smooth_pulse_keeps_its_shape_to_second_order(simulate):
    errors, steep = [], []
    for cells in (40, 80, 160):
        dx = 1600 / cells
        simulation = simulate(
            text([cells, 1, 1], through_x(8.0, cells, dx), INFLOW, spacing=dx, step=f"{100 / cells} min")
        )
        x = (np.arange(cells) + 0.5) * dx
        begin_with(simulation, c=2 + np.cos(np.pi * np.clip((x - 400) / 300, -1, 1)))
        simulation.step(cells * 8 // 10)  # 80 min, 640 um
        expected = 2 + np.cos(np.pi * np.clip((x - 1040) / 300, -1, 1))
        error = np.abs(simulation.field("c")[0, 0] - expected)
        errors.append(error.mean())
        steep.append(
            error[np.abs(np.abs(x - 1040) - 150) < 60].max()
        )  # away from extrema, by a fifth of their distance
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert errors[0] < 0.02
    assert (orders > 1.8).all()
    assert np.log2(steep[0] / steep[-1]) / 2 > 2.5


INFLOW = "boundary: {x_low: {value: 1}}"

MIXED = """
states: {arteriole: {}, venule: {}}
tissue:
  shapes:
    one: {kind: everywhere, state: arteriole, fraction: 0.1}
    two: {kind: everywhere, state: venule, fraction: 0.1, into: empty}
"""
"""Fluid goes from some vessels to others, through tissue whose sides are closed."""


def mixed(shape, c):
    flow = f"vessels: {{{vessels('arteriole', 0.01, 40)}, {vessels('venule', 0.01, 0)}}}"
    return text(shape, "label: pressure", c, flow, extra=MIXED)


def test_what_flows_from_vessels_to_vessels_keeps_its_mass_and_its_sign(simulate):
    simulation = simulate(mixed([9, 8, 7], "diffusion: 1 um^2/min"))
    rng = np.random.default_rng(1)
    start = np.where(rng.random((7, 8, 9)) < 0.1, 100 * rng.random((7, 8, 9)), 0).astype(np.float32)
    begin_with(simulation, c=start)
    for _ in range(20):
        simulation.step(25)
        c = simulation.field("c")
        assert c.min() >= 0
        assert c.sum(dtype=float) == pytest.approx(start.sum(dtype=float), rel=1e-6)


@pytest.mark.parametrize("slower", [0.5, 0.005])
def test_changes_below_the_last_digit_add_up_over_ten_thousand_steps(simulate, slower):
    scenario = mixed([9, 8, 7], "").replace("conductivity: 100.0", f"conductivity: {100 * slower}")
    simulation = simulate(scenario)
    start = np.random.default_rng(1).uniform(1, 100, (7, 8, 9)).astype(np.float32)
    begin_with(simulation, c=start)
    simulation.step(10_000)
    c = simulation.field("c")
    assert np.abs(c - start).max() > 0.5
    assert c.sum(dtype=float) == pytest.approx(start.sum(dtype=float), rel=1e-6)


def test_a_field_that_is_solved_implicitly_and_carried_keeps_its_mass(simulate):
    simulation = simulate(mixed([9, 8, 7], "diffusion: 100 um^2/min, solver: implicit"))
    start = np.zeros((7, 8, 9), np.float32)
    start[2, 3, 4] = 1000
    begin_with(simulation, c=start)
    for _ in range(4):
        simulation.step(25)
        assert simulation.field("c").sum(dtype=float) == pytest.approx(1000, rel=2e-6)


def test_a_pulse_keeps_its_mass_over_ten_thousand_steps(simulate):
    simulation = simulate(text([3000, 1, 1], through_x(5.0, 3000)))
    start = np.zeros((1, 1, 3000), np.float32)
    start[..., 40:49] = np.random.default_rng(1).random(9)
    begin_with(simulation, c=start)
    simulation.step(10_000)  # 2,500 voxels
    c = simulation.field("c").astype(float)
    assert c.min() >= 0
    assert c.sum() == pytest.approx(start.sum(dtype=float), rel=1e-6)
    moved = (c * np.arange(3000)).sum() / c.sum() - (start * np.arange(3000)).sum(dtype=float) / start.sum(dtype=float)
    assert moved == pytest.approx(2500, rel=1e-4)


def test_a_uniform_concentration_stays_uniform(simulate):
    sides = "boundary: {x_low: {value: 20}, y_high: {value: 5}}"
    tissue = """
states: {dense: {}}
tissue: {shapes: {s: {kind: everywhere, state: dense, fraction: 0.3}}}
"""
    scenario = text([12, 10, 8], sides, "initial: 1, boundary: {x_low: {value: 1}}", extra=tissue).replace(
        f"conductivity: {K} um^2/mmHg/min", f"conductivity: {{default: {K} um^2/mmHg/min, dense: 2.5 um^2/mmHg/min}}"
    )
    simulation = simulate(scenario)
    simulation.step(200)
    assert simulation.field("c") == pytest.approx(np.ones((8, 10, 12)), abs=1e-4)


@pytest.mark.parametrize("step", ["1 min", "6 min"])
def test_a_uniform_concentration_stays_uniform_where_fluid_leaks_and_drains(simulate, step):
    """At the concentration of the fluid that leaks; in a step of 6 min, up to 1.2 of a voxel's volume."""
    wall = "exchange: {c: {permeability: 0 /min, blood: 1, reflection: 0}}"
    extra = f"""
states: {{tumour: {{{wall}}}, healthy: {{{wall}}}}}
tissue: {{background: healthy, shapes: {{s: {{kind: sphere, state: tumour, radius: 80 um}}}}}}
"""
    flow = f"vessels: {{{vessels('tumour', 0.01, 20)}, {vessels('healthy', 0.001, 10)}}}, "
    flow += "lymphatics: {healthy: {conductance: 0.003 /mmHg/min}}"
    sides = "boundary: {x: {value: 0}}"
    solute = "initial: 1, boundary: {x: {value: 1}}, diffusion: 10 um^2/min"
    simulation = simulate(text([12, 11, 10], sides, solute, flow, step=step, extra=extra))
    simulation.step(100)
    assert simulation.field("c") == pytest.approx(np.ones((10, 11, 12)), abs=1e-4)


@pytest.mark.parametrize("peclet", [2.0, 4.0, 10.0])
def test_a_boundary_layer_that_is_thinner_than_a_voxel_is_monotone(simulate, peclet):
    cells, velocity = 24, 2.0
    solute = f"diffusion: {velocity * 20 / peclet} um^2/min, boundary: {{x_low: {{value: 0}}, x_high: {{value: 1}}}}"
    simulation = simulate(text([cells, 1, 1], through_x(velocity, cells), solute))
    simulation.step(2000)
    c = simulation.field("c")[0, 0]
    assert (np.diff(c) >= 0).all()
    assert c[0] == pytest.approx(0, abs=1e-6)
    assert 0 < c[-1] < 1


@pytest.mark.parametrize("peclet", [0.25, 1.0])
def test_a_boundary_layer_against_the_flow_is_exponential(simulate, peclet):
    cells, dx, velocity = 24, 20.0, 2.0
    diffusion = velocity * dx / peclet
    # Fluid enters without the solute, which diffuses in from the side where it leaves.
    solute = f"diffusion: {diffusion} um^2/min, boundary: {{x_low: {{value: 0}}, x_high: {{value: 1}}}}"
    simulation = simulate(text([cells, 1, 1], through_x(velocity, cells), solute, step="0.25 min"))
    simulation.step(4000)
    x = (np.arange(cells) + 0.5) * dx
    expected = np.expm1(velocity * x / diffusion) / np.expm1(velocity * cells * dx / diffusion)
    assert simulation.field("c")[0, 0] == pytest.approx(expected, abs=0.01)
    assert (np.diff(simulation.field("c")[0, 0]) >= 0).all()


def test_lymph_takes_its_solute_along_and_leaking_fluid_brings_its_own(simulate):
    extra = """
states: {both: {exchange: {c: {permeability: 0 /min, blood: 5, reflection: 0.6}}}}
tissue: {background: both}
"""
    # Between 30 and 10 mmHg by conductances of 0.001 and 0.003, the tissue is at 15: 0.015 of its volume a minute.
    flow = f"vessels: {{{vessels('both', 0.001, 30)}}}, "
    flow += "lymphatics: {both: {conductance: 0.003 /mmHg/min, pressure: 10 mmHg}}"
    simulation = simulate(text([3, 2, 2], "label: pressure", "initial: 0", flow, extra=extra))
    assert simulation.field("p") == pytest.approx(np.full((2, 2, 3), 15.0), rel=1e-5)
    for steps in (40, 60):
        simulation.step(steps)
        expected = 0.4 * 5 * (1 - np.exp(-0.015 * simulation.steps))
        assert simulation.field("c") == pytest.approx(np.full((2, 2, 3), expected), rel=2e-3)


def test_fluid_that_leaks_brings_a_quantity_of_the_body_which_loses_it(simulate):
    extra = """
states: {both: {exchange: {c: {permeability: 0 /min, body: drug, volume: 2 mL, reflection: 0.6}}}}
tissue: {background: both}
body: {quantities: {drug: {unit: PFU, initial: 1e9}}}
"""
    flow = f"vessels: {{{vessels('both', 0.001, 30)}}}, "
    flow += "lymphatics: {both: {conductance: 0.003 /mmHg/min, pressure: 10 mmHg}}"
    simulation = simulate(
        text([3, 2, 2], "label: pressure", "initial: 0", flow, step="1 min, rules: 5 min", extra=extra)
    )
    blood = 1e9 / 2e12 * 8000  # PFU/voxel
    simulation.step(100)
    minutes = simulation.steps
    expected = 0.4 * blood * (1 - np.exp(-0.015 * minutes))
    assert simulation.field("c") == pytest.approx(np.full((2, 2, 3), expected), rel=2e-3)
    before = simulation.body["drug"]
    simulation.step(400)
    assert before - simulation.body["drug"] == pytest.approx(12 * 0.4 * blood * 0.015 * 400, rel=1e-5)


@pytest.mark.parametrize(("solver", "books"), [("explicit", 1e-5), ("implicit", 1e-4)])
def test_fluid_that_returns_to_vessels_takes_its_share_to_the_body(simulate, solver, books):
    wall = "exchange: {c: {permeability: 0 /min, body: drug, volume: 0.002 uL, reflection: 0.25}}"
    extra = f"""
states: {{artery: {{{wall}}}, vein: {{{wall}}}}}
tissue:
  background: artery
  shapes: {{half: {{kind: everywhere, state: vein, fraction: 0.5}}}}
body: {{quantities: {{drug: {{unit: PFU, initial: 1e5}}}}}}
"""
    flow = f"vessels: {{{vessels('artery', 0.002, 30)}, {vessels('vein', 0.002, 10)}}}"
    solute = f"initial: 0, diffusion: 1000 um^2/min, solver: {solver}"
    simulation = simulate(text([6, 5, 4], "label: pressure", solute, flow, step="1 min, rules: 5 min", extra=extra))
    kept = []
    for steps in (50, 400, 400):
        simulation.step(steps)
        kept.append(simulation.field("c").mean(dtype=float))
        assert simulation.body["drug"] + 120 * kept[-1] == pytest.approx(1e5, rel=books)
    # Steady when as much returns as comes: then the concentration is that of the blood, of which fluid brought 0.75.
    blood = simulation.body["drug"] / 2e6 * 8000
    assert kept[-1] == pytest.approx(blood, rel=0.02)
    assert kept[0] < 0.7 * kept[-1]


def test_available_volume_and_retardation_change_the_velocity(simulate):
    scenario = text([40, 1, 1], through_x(2.0, 40), step="2 min")
    simulation = simulate(scenario.replace("advection: true", "advection: {volume: 0.25, retardation: 0.5}"))
    start = np.zeros((1, 1, 40), np.float32)
    start[..., 8:12] = 1
    begin_with(simulation, c=start)
    simulation.step(40)
    c = simulation.field("c")[0, 0].astype(float)
    assert (c * np.arange(40)).sum() / c.sum() == pytest.approx(9.5 + 2.0 * 0.5 / 0.25 * 80 / 20, abs=0.02)


def needle(cells, rate, minutes, extra=""):
    """An octant of tissue, into whose corner a needle of 100 um infuses an eighth of a rate, uL/min."""
    open_sides = "boundary: {x_high: {value: 0}, y_high: {value: 0}, z_high: {value: 0}}"
    therapy = f"inject: c, amount: 1000 PFU, volume: {rate * minutes / 8} uL, duration: {minutes} min, radius: 100 um"
    dose = f"{{{therapy}, at: [0 um, 0 um, 0 um], {extra}}}"
    return text([cells] * 3, open_sides, extra=f"therapies: {{needle: {dose}}}", step="0.5 min")


@pytest.mark.parametrize("cells", [20, pytest.param(40, marks=pytest.mark.slow)])
def test_fluid_flows_away_from_a_needle_as_from_a_point(simulate, cells):
    rate, dx = 0.001, 20.0
    simulation = simulate(needle(cells, rate, 100))
    simulation.step(1)
    p = simulation.field("p").astype(float)
    # Through faces along an axis, from 4 voxels beyond the ball's 5 on, and far from the sides.
    for line in (p[0, 0], p[0, :, 0], p[:, 0, 0]):
        velocity = -K * np.diff(line) / dx
        # A face lies on the plane between two centres, whose distance from the axis is half a voxel each way.
        x, aside = np.arange(1, cells) * dx, dx / 2
        r = np.sqrt(x**2 + 2 * aside**2)
        expected = rate * 1e9 / (4 * np.pi * r**2) * x / r
        near = slice(8, cells // 2)
        assert velocity[near] == pytest.approx(expected[near], rel=0.05)
    # All of it leaves through the three open sides.
    leaving = sum(2 * K / dx * np.take(p, -1, axis).sum() * dx**2 for axis in range(3))
    assert leaving == pytest.approx(rate / 8 * 1e9, rel=1e-4)


def test_a_needle_brings_its_amount_while_it_is_on_and_no_flow_afterwards(simulate):
    simulation = simulate(needle(12, 5e-4, 10, "start: 2 min"))
    simulation.step(4)
    assert simulation.field("p").max() == 0
    for minutes in (2.5, 5, 10):
        simulation.step(round(2 * (2 + minutes)) - simulation.steps)
        assert simulation.field("c").sum(dtype=float) == pytest.approx(100 * minutes, rel=1e-5)
        assert simulation.field("p").max() > 0.1
    simulation.step(1)
    assert simulation.field("p").max() < 1e-3
    still = simulation.field("c")
    simulation.step(5)
    assert simulation.field("c") == pytest.approx(still, rel=1e-3)


def test_flow_that_is_too_fast_is_refused(simulate):
    simulation = simulate(text([4, 1, 1], "boundary: {x_low: {value: 2e6}, x_high: {value: 0}}"))
    with pytest.raises(NumericalError, match=r"flow: 'c' takes [\d,]+ passes .* at most 1,000"):
        simulation.step(1)
