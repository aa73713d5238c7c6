"""Transport against theory. Tolerances follow from the order of the scheme, as each test says."""

import numpy as np
import pytest

import gpusim


def box(shape, spacing, diffusion, decay="0 /min", step="1 min", extra=""):
    return f"""
grid: {{shape: {shape}, spacing: {spacing} um}}
time: {{until: 1000 h, step: {{field: {step}}}}}
record: {{every: 1000 h}}
fields:
  c: {{unit: PFU/voxel, diffusion: {diffusion} um^2/min, decay: {decay}}}
{extra}
"""


def start_from(simulation, values):
    """Begin with a field of one's own, float32 [z, y, x]."""
    simulation._state.fields = simulation.backend.array(values[None].astype(np.float32))


def test_mass_is_conserved(simulate):
    simulation = simulate(box([13, 11, 9], 20, 400, extra="therapies: {dose: {inject: c, amount: 1e6 PFU}}"))
    simulation.step(10)
    first = simulation.totals()["c"]
    assert first == pytest.approx(1e6, rel=1e-6)
    simulation.step(1250)  # of 8 substeps each: 10,000 in all
    assert simulation.totals()["c"] == pytest.approx(first, rel=1e-6)


def test_a_point_spreads_as_a_gaussian(simulate):
    spacing, diffusion, minutes = 10.0, 60.0, 15
    simulation = simulate(
        box(
            [41, 41, 41], 10, 60, extra="therapies: {dose: {inject: c, amount: 1000 PFU, at: [205 um, 205 um, 205 um]}}"
        )
    )
    simulation.step(minutes)
    c = simulation.field("c").astype(float)
    offset = (np.arange(41) - 20) * spacing
    for axis in range(3):
        profile = c.sum(axis=tuple(a for a in range(3) if a != axis))
        # The explicit scheme spreads the second moment by 2 D dt a step exactly.
        assert (profile * offset**2).sum() / profile.sum() == pytest.approx(2 * diffusion * minutes, rel=1e-4)
        expected = np.exp(-(offset**2) / (4 * diffusion * minutes))
        # The kernel on a lattice differs from the Gaussian by dx^2 / (16 D t) = 0.7% of its height.
        assert profile / profile.max() == pytest.approx(expected, abs=0.01)


LENGTH, DIFFUSION, DECAY, MINUTES = 320.0, 100.0, 0.2, 16.0
WAVE_NUMBER = np.pi / LENGTH


def cosine_amplitude(simulate, cells, step):
    """Amplitude to which a cosine mode has decayed, and the substep, min."""
    spacing = LENGTH / cells
    simulation = simulate(box([cells, 1, 1], spacing, DIFFUSION, f"{DECAY} /min", f"{step} min"))
    x = (np.arange(cells) + 0.5) * spacing
    mode = np.cos(WAVE_NUMBER * x)
    start_from(simulation, (1 + mode)[None, None, :])
    simulation.step(round(MINUTES / step))
    return 2 * np.mean(simulation.field("c")[0, 0].astype(float) * mode), step / simulation._solver.substeps[0]


def test_a_cosine_mode_decays_with_first_order_in_time(simulate):
    cells = 16
    spacing = LENGTH / cells
    # On the lattice the mode decays by its own rate; against that, what is left is the error in time.
    rate = DIFFUSION * 2 * (1 - np.cos(WAVE_NUMBER * spacing)) / spacing**2 + DECAY
    errors = [abs(cosine_amplitude(simulate, cells, step)[0] - np.exp(-rate * MINUTES)) for step in (1, 0.5, 0.25)]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all((orders > 0.9) & (orders < 1.1)), orders


def test_a_cosine_mode_decays_with_second_order_in_space(simulate):
    errors = []
    for cells in (4, 8, 16):
        found, dt = cosine_amplitude(simulate, cells, 0.25)
        # What the scheme would give with no error in space: its amplification factor at the true rate.
        exact_in_space = ((1 - DIFFUSION * WAVE_NUMBER**2 * dt) / (1 + DECAY * dt)) ** (MINUTES / dt)
        errors.append(abs(found - exact_in_space))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all((orders > 1.85) & (orders < 2.15)), orders


@pytest.mark.slow
def test_a_plane_source_decays_over_the_length_sqrt_d_over_k(simulate):
    # L = 5 dx. A plane that holds its value: exchange so fast that it is the blood's.
    spacing, length = 20.0, 100.0
    decay = 0.05
    diffusion = length**2 * decay
    text = (
        box([61, 3, 3], 20, diffusion, f"{decay} /min", "5 min")
        + """
states:
  wall: {exchange: {c: {permeability: 1e6 /min, blood: 1}}}
tissue:
  shapes:
    wall: {kind: box, state: wall, lower: [0 um, 0 um, 0 um], upper: [20 um, 60 um, 60 um]}
"""
    )
    simulation = simulate(text)
    simulation.step(200)
    profile = simulation.field("c")[1, 1].astype(float)
    slope = np.diff(np.log(profile[:30])).mean()
    # On a lattice cosh(dx / L') = 1 + dx^2 / (2 L^2): L' differs from L by dx^2 / (24 L^2) = 0.17%.
    assert -spacing / slope == pytest.approx(length, rel=0.01)


def test_the_steady_state_does_not_depend_on_the_step(simulate):
    extra = """
states:
  source: {secretion: {c: 3 PFU/voxel/min}, uptake: {c: 0.7 /min}}
tissue:
  shapes: {source: {kind: box, state: source, lower: [0 um, 0 um, 0 um], upper: [40 um, 40 um, 40 um]}}
"""
    results = []
    for step, count in (("1 min", 600), ("6 min", 100)):
        simulation = simulate(box([9, 7, 5], 20, 60, "0.1 /min", step, extra))
        simulation.step(count)
        results.append(simulation.field("c"))
    assert results[0] == pytest.approx(results[1], rel=2e-5)


def test_books_balance_with_sources_and_sinks(simulate):
    # Uniform: c' = p - k c has the exact steady state p / k.
    extra = "states: {cell: {secretion: {c: 0.3 PFU/voxel/min}}}\ntissue: {background: cell}"
    simulation = simulate(box([5, 5, 5], 20, 100, "0.05 /min", "1 min", extra))
    simulation.step(600)
    assert simulation.field("c") == pytest.approx(np.full((5, 5, 5), 6.0), rel=1e-5)


@pytest.mark.parametrize("diffusion", [1, 59, 60, 61, 1000, 12345])
def test_no_concentration_falls_below_zero(simulate, diffusion):
    simulation = simulate(
        box(
            [7, 5, 3], 20, diffusion, extra="therapies: {dose: {inject: c, amount: 1e9 PFU, at: [70 um, 50 um, 30 um]}}"
        )
    )
    for _ in range(5):
        simulation.step()
        assert simulation.field("c").min() >= 0


def test_a_lone_voxel_only_decays():
    simulation = gpusim.Simulation(gpusim.Scenario.parse(box([1, 1, 1], 20, 600, "0.1 /min", "0.1 min")), "numpy")
    start_from(simulation, np.ones((1, 1, 1)))
    simulation.step(100)
    # First order in dt: (1 + k dt / 2)^-2 against exp(-k dt), 0.25% over a decay time.
    assert simulation.field("c")[0, 0, 0] == pytest.approx(np.exp(-1.0), rel=0.003)
