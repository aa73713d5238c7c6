"""Diffusion by tissue state, and the sides of the lattice, against theory."""

import numpy as np
import pytest

import gpusim

SOLVERS = ["explicit", "implicit", "implicit2"]

TO_STEADY = {
    "explicit": ("10 min", 18),
    "implicit": ("1000 min", 4),
    "implicit2": ("1000 min", 4),
    "steady": ("1 min", 3),
}
"""Step and number of steps for what settles within 20 min."""


def text(shape, spacing=20, until="1000 h", step="1 min", tissue="", **field):
    spec = {"unit": "PFU/voxel", "diffusion": "100 um^2/min"} | field
    return f"""
grid: {{shape: {shape}, spacing: {spacing} um}}
time: {{until: {until}, step: {{field: {step}}}}}
record: {{every: {until}}}
fields: {{c: {spec}}}
states: {{stroma: {{}}, wall: {{}}}}
tissue:
{tissue or "  background: empty"}
"""


def set_field(simulation, values):
    simulation.site.stack.state.fields = simulation.backend.array(np.asarray(values, np.float32)[None, None])


def set_tissue(simulation, values):
    simulation.site.stack.state.tissue.cells = simulation.backend.array(np.asarray(values, np.uint8)[None])


def half_stroma(cells, spacing):
    side = f"{cells * spacing} um"
    return (
        f"  shapes: {{s: {{kind: box, state: stroma, lower: [{cells // 2 * spacing} um, 0 um, 0 um], "
        f"upper: [{side}, {side}, {side}]}}}}"
    )


@pytest.mark.parametrize("layers", [(100, 1), (1, 100)])
@pytest.mark.parametrize("solver", [*SOLVERS, "steady"])
def test_two_layers_between_fixed_values_conduct_in_series(simulate, solver, layers):
    cells, spacing = 8, 20.0
    simulation = simulate(
        text(
            [cells, 1, 1],
            tissue=half_stroma(cells, 20),
            step="100 min" if solver == "explicit" else "5000 min",
            solver=solver,
            diffusion={"default": f"{layers[0]} um^2/min", "stroma": f"{layers[1]} um^2/min"},
            boundary={"x_low": {"value": 3}, "x_high": {"value": 1}},
        )
    )
    # The slower layer of 80 um settles over 4 L^2 / (pi^2 D), 43 h.
    simulation.step(300 if solver == "explicit" else 12)
    resistance = spacing / np.repeat(layers, cells // 2)
    to_centre = np.cumsum(resistance) - resistance / 2
    expected = 3 - 2 * to_centre / resistance.sum()
    assert simulation.field("c")[0, 0] == pytest.approx(expected, rel=2e-4)


@pytest.mark.parametrize(("solver", "tolerance"), [("explicit", 1e-6), ("implicit", 1e-4), ("implicit2", 1e-4)])
def test_hindered_diffusion_conserves(simulate, solver, tolerance):
    simulation = simulate(
        text(
            [13, 10, 9],
            solver=solver,
            diffusion={"default": "2000 um^2/min", "stroma": "20 um^2/min", "wall": "0 um^2/min"},
            boundary={"y": "periodic"},
        )
    )
    rng = np.random.default_rng(5)
    set_tissue(simulation, rng.choice([0, 1, 2], (9, 10, 13), p=[0.6, 0.3, 0.1]))
    # Not from peaks: the second stage of implicit2 is held at 0 or above, and that would add.
    set_field(simulation, 100 + 20 * rng.random((9, 10, 13)))
    before = simulation.totals()["c"]
    simulation.step(20)
    assert simulation.totals()["c"] == pytest.approx(before, rel=tolerance)


@pytest.mark.parametrize("solver", ["explicit", "implicit"])
def test_nothing_passes_a_wall(simulate, solver):
    simulation = simulate(text([9, 5, 4], solver=solver, diffusion={"default": "900 um^2/min", "wall": "0 um^2/min"}))
    tissue = np.zeros((4, 5, 9), np.uint8)
    tissue[:, :, 4] = simulation.model.states.number("wall")
    set_tissue(simulation, tissue)
    start = np.zeros((4, 5, 9))
    start[1, 1, 1] = 8000
    start[:, :, 4] = 7
    set_field(simulation, start)
    simulation.step(100)
    c = simulation.field("c")
    # The coarse levels see through the wall; what they bring across, the finest level takes back.
    assert np.abs(c[:, :, 5:]).max() < 1e-3 * 8000 / 80
    assert c[:, :, 4] == pytest.approx(np.full((4, 5), 7.0), rel=1e-3)
    assert c[:, :, :4] == pytest.approx(np.full((4, 5, 4), 100.0), rel=2e-3)


def test_d_follows_the_tissue(simulate):
    simulation = simulate(text([8, 1, 1], diffusion={"default": "600 um^2/min", "wall": "0 um^2/min"}))
    start = np.zeros((1, 1, 8))
    start[..., :4] = 1
    set_field(simulation, start)
    walled = np.zeros((1, 1, 8), np.uint8)
    walled[..., 4] = simulation.model.states.number("wall")
    set_tissue(simulation, walled)
    simulation.step(20)
    assert np.array_equal(simulation.field("c"), start.astype(np.float32))
    set_tissue(simulation, np.zeros((1, 1, 8)))
    simulation.step(200)
    assert simulation.field("c") == pytest.approx(np.full((1, 1, 8), 0.5), rel=1e-3)


def test_substeps_follow_the_fastest_state():
    slow = {"default": "1 um^2/min", "stroma": "600 um^2/min"}
    simulation = gpusim.Simulation(gpusim.Scenario.parse(text([4, 4, 4], diffusion=slow)), "numpy")
    assert simulation.site.transport.choices[0].passes == 10  # 600 / 20^2 / 0.15


@pytest.mark.parametrize("axis", "xyz")
@pytest.mark.parametrize("solver", [*SOLVERS, "steady"])
def test_between_fixed_values_the_profile_is_a_line(simulate, solver, axis):
    sides = {f"{axis}_low": {"value": 5}, f"{axis}_high": {"value": "1 PFU/voxel"}}
    shape = [3, 2, 4]
    shape["xyz".index(axis)] = 9
    step, count = TO_STEADY[solver]
    simulation = simulate(text(shape, solver=solver, diffusion="1000 um^2/min", boundary=sides, step=step))
    simulation.step(count)
    expected = 5 - 4 * (np.arange(9) + 0.5) / 9
    profile = np.moveaxis(simulation.field("c"), 2 - "xyz".index(axis), -1)
    assert profile == pytest.approx(np.broadcast_to(expected, profile.shape), rel=2e-4)


@pytest.mark.parametrize("solver", [*SOLVERS, "steady"])
def test_a_leak_lets_through_what_its_permeability_says(simulate, solver):
    d, p, length, far = 1000.0, 5.0, 200.0, 2.0
    sides = {"x_low": {"value": 10}, "x_high": {"permeability": f"{p} um/min", "far": far}}
    step, count = TO_STEADY[solver]
    simulation = simulate(text([10, 1, 1], solver=solver, diffusion=f"{d} um^2/min", boundary=sides, step=step))
    simulation.step(count)
    flux = (10 - far) / (length / d + 1 / p)
    expected = 10 - flux / d * (np.arange(10) + 0.5) * 20
    assert simulation.field("c")[0, 0] == pytest.approx(expected, rel=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_mixed_slab_leaks_away_exponentially(simulate, solver):
    # Well mixed (P L / D = 0.03), so c' = -P c / L, by a hundredth less for the way to the side.
    p, d, length, minutes = 2.0, 2e4, 320.0, 160
    simulation = simulate(
        text(
            [16, 1, 1],
            solver=solver,
            diffusion=f"{d} um^2/min",
            initial=1,
            boundary={"x_high": {"permeability": f"{p} um/min"}},
        )
    )
    simulation.step(minutes)
    rate = 1 / (length / p + length**2 / (3 * d))
    assert simulation.field("c").mean() == pytest.approx(np.exp(-rate * minutes), rel=0.005)


@pytest.mark.parametrize("cells", [12, 15])
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_cosine_goes_around_a_periodic_axis(simulate, solver, cells):
    spacing, d, minutes = 20.0, 200.0, 20
    simulation = simulate(
        text([3, cells, 3], solver=solver, diffusion=f"{d} um^2/min", step="0.5 min", boundary={"y": "periodic"})
    )
    # Of no symmetry about the side, so that a closed side would bend it.
    phase = 2 * np.pi * (np.arange(cells) / cells) + 0.7
    set_field(simulation, np.broadcast_to((1 + np.cos(phase))[:, None], (3, cells, 3)))
    before = simulation.totals()["c"]
    simulation.step(2 * minutes)
    c = simulation.field("c")
    assert np.ptp(c, axis=(0, 2)).max() < 1e-5
    rate = d * 2 * (1 - np.cos(2 * np.pi / cells)) / spacing**2
    amplitude = 2 * np.mean(c[0, :, 0] * np.cos(phase))
    # First order in time: (rate dt)^2 / 2 a step at most.
    assert amplitude == pytest.approx(np.exp(-rate * minutes), rel=rate**2 * 0.5 * minutes / 2 + 1e-4)
    assert 2 * np.mean(c[0, :, 0] * np.sin(phase)) == pytest.approx(0, abs=2e-5)
    assert simulation.totals()["c"] == pytest.approx(before, rel=2e-6 if solver == "explicit" else 1e-4)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_steady_state_with_open_sides_does_not_depend_on_the_step(simulate, solver):
    sides = {"x_low": {"value": 4}, "z_high": {"permeability": "3 um/min", "far": 9}, "y": "periodic"}
    results = []
    for step, count in (("2 min", 80), ("20 min", 12)):
        simulation = simulate(
            text([7, 6, 5], solver=solver, step=step, decay="0.05 /min", diffusion="500 um^2/min", boundary=sides)
        )
        simulation.step(count)
        results.append(simulation.field("c"))
    assert results[0] == pytest.approx(results[1], rel=1e-4)
    assert np.ptp(results[0], axis=1).max() < 1e-4


def test_at_all_sides_open_no_concentration_falls_below_zero(simulate):
    simulation = simulate(
        text([3, 2, 1], diffusion="12345 um^2/min", initial=1, boundary={"all": {"value": 0}}, solver="explicit")
    )
    for _ in range(5):
        simulation.step()
        assert simulation.field("c").min() >= 0
