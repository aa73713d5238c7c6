"""Transport against theory. Tolerances follow from the order of the scheme, as each test says."""

import numpy as np
import pytest
from scipy.special import eval_gegenbauer

import gpusim
from gpusim.engine.transport.explicit import INDEX, LARGEST_COURANT, Method, Scheme, schemes


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
    simulation.site.state.fields = simulation.backend.array(values[None].astype(np.float32))


def test_mass_is_conserved(simulate):
    simulation = simulate(box([13, 11, 9], 20, 400, extra="therapies: {dose: {inject: c, amount: 1e6 PFU}}"))
    simulation.step(10)
    first = simulation.totals()["c"]
    assert first == pytest.approx(1e6, rel=1e-6)
    simulation.step(1667)  # of 6 passes each: 10,000 in all
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


def cosine_amplitude(simulate, cells, step, diffusion=DIFFUSION, minutes=MINUTES):
    """Amplitude to which a cosine mode has decayed, and the scheme that took it there."""
    spacing = LENGTH / cells
    simulation = simulate(box([cells, 1, 1], spacing, diffusion, f"{DECAY} /min", f"{step} min"))
    x = (np.arange(cells) + 0.5) * spacing
    mode = np.cos(WAVE_NUMBER * x)
    start_from(simulation, (1 + mode)[None, None, :])
    simulation.step(round(minutes / step))
    (scheme,) = schemes(simulation.model.fields, spacing, step)
    return 2 * np.mean(simulation.field("c")[0, 0].astype(float) * mode), scheme


@pytest.mark.parametrize(
    ("diffusion", "minutes", "method", "order"),
    [(100.0, 16, Method.HEUN, 2), (2000.0, 4, Method.STAGES, 1)],
    ids=["Heun", "stages"],
)
def test_a_cosine_mode_decays_with_the_order_of_the_method(simulate, diffusion, minutes, method, order):
    cells = 16
    spacing = LENGTH / cells
    # On the lattice the mode decays by its own rate; against that, what is left is the error in time.
    rate = diffusion * 2 * (1 - np.cos(WAVE_NUMBER * spacing)) / spacing**2 + DECAY
    errors = []
    for step in (1, 0.5, 0.25):
        found, scheme = cosine_amplitude(simulate, cells, step, diffusion, minutes)
        assert scheme.method is method
        errors.append(abs(found - np.exp(-rate * minutes)))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    # Stages are even in number, so theirs don't cover steps of half the length in quite the same way.
    assert np.all(np.abs(orders - order) < 0.2), (orders, errors)


def test_a_cosine_mode_decays_with_second_order_in_space(simulate):
    errors = []
    for cells in (4, 8, 16):
        found, scheme = cosine_amplitude(simulate, cells, 0.25)
        assert scheme.method is Method.HEUN
        # What the scheme would give with no error in space: its amplification factor at the true rate.
        euler = 1 - (DIFFUSION * WAVE_NUMBER**2 + DECAY) * 0.25 / scheme.pieces
        exact_in_space = ((1 + euler**2) / 2) ** (scheme.pieces * MINUTES / 0.25)
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
    # Second order: (k dt / 2)^2 / 6 over a decay time, 4e-6, and 400 roundings.
    assert simulation.field("c")[0, 0, 0] == pytest.approx(np.exp(-1.0), rel=2e-5)


SOLVERS = ["explicit", "implicit", "implicit2"]


@pytest.mark.parametrize(("solver", "order"), [("implicit", 1), ("implicit2", 2)])
def test_implicit_steps_have_their_order_in_time(simulate, solver, order):
    cells, length, decay = 32, 640.0, 0.02
    spacing, wave = length / cells, np.pi / length
    # A mode that lives for about 20 min, and one that the solver must damp in a fraction of a step.
    rate = 800.0 * 2 * (1 - np.cos(wave * spacing)) / spacing**2 + decay
    x = (np.arange(cells) + 0.5) * spacing
    errors = []
    for step in (6, 3, 1.5):
        simulation = simulate(
            box([cells, 1, 1], spacing, 800, f"{decay} /min", f"{step} min"),
            fields={"c": {"solver": solver}},
        )
        start_from(simulation, (1 + np.cos(wave * x))[None, None, :])
        simulation.step(round(24 / step))
        amplitude = 2 * np.mean(simulation.field("c")[0, 0].astype(float) * np.cos(wave * x))
        errors.append(abs(amplitude - np.exp(-rate * 24)))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all(np.abs(orders - order) < 0.25), (orders, errors)


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_finds_the_same_steady_state(simulate, solver):
    extra = """
states:
  source: {secretion: {c: 3 PFU/voxel/min}}
  sink: {uptake: {c: 5 /min}}
tissue:
  background: sink
  shapes:
    source: {kind: box, state: source, lower: [0 um, 0 um, 0 um], upper: [60 um, 60 um, 60 um]}
"""
    text = box([13, 11, 9], 20, 2000, "0.05 /min", "1 min", extra)
    steady = simulate(text, fields={"c": {"solver": "steady"}})
    steady.step(3)
    other = simulate(text, fields={"c": {"solver": solver}})
    other.step(60)
    assert other.field("c") == pytest.approx(steady.field("c"), rel=2e-4)


@pytest.mark.slow
def test_oxygen_enters_a_consuming_half_space_to_its_depth(simulate):
    # First-order uptake: c = exp(-x / L), L = sqrt(D / q) = 100 um, at the step of 1 min that
    # explicit steps would need 1,700 substeps for.
    extra = """
states:
  cell: {uptake: {c: 10 /min}}
  blood: {exchange: {c: {permeability: 1e6 /min, blood: 38}}}
tissue:
  background: cell
  shapes: {blood: {kind: box, state: blood, lower: [0 um, 0 um, 0 um], upper: [20 um, 60 um, 60 um]}}
"""
    simulation = simulate(box([41, 3, 3], 20, 1e5, "0 /min", "1 min", extra))
    assert simulation.site.transport.choices[0].solver == "implicit"
    simulation.step(5)
    profile = simulation.field("c")[1, 1].astype(float)
    depth = -20 / np.diff(np.log(profile[1:30])).mean()
    # On a lattice of dx = L / 5: 0.17% off.
    assert depth == pytest.approx(100, rel=0.01)


@pytest.mark.parametrize("solver", ["implicit", "implicit2", "steady"])
def test_implicit_concentrations_stay_positive(simulate, solver):
    extra = """
states: {sink: {uptake: {c: 1000 /min}}}
tissue: {shapes: {sink: {kind: everywhere, state: sink, fraction: 0.3}}}
therapies: {dose: {inject: c, amount: 1e9 PFU, every: 2 min, doses: 3}}
"""
    simulation = simulate(box([17, 9, 6], 20, 1e5, "0.1 /min", "1 min", extra), fields={"c": {"solver": solver}})
    for _ in range(6):
        simulation.step()
        assert simulation.field("c").min() >= 0


def test_implicit_books_balance(simulate):
    # No sinks: backward Euler conserves; what is left is the remainder of the multigrid cycles.
    simulation = simulate(
        box([12, 11, 9], 20, 1e5, extra="therapies: {dose: {inject: c, amount: 1e6 PFU}}"),
        fields={"c": {"solver": "implicit"}},
    )
    simulation.step(50)
    assert simulation.totals()["c"] == pytest.approx(1e6, rel=1e-3)


@pytest.mark.parametrize("passes", range(2, 62, 2))
def test_stages_spread_a_point_as_the_polynomial_and_keep_it_above_zero(passes):
    # The exact amplification factors on a periodic lattice, by Fourier: what each voxel gets of a point.
    n = 64
    cosine = np.cos(2 * np.pi * np.arange(n) / n)
    mean = (cosine[:, None, None] + cosine[None, :, None] + cosine[None, None, :]) / 3
    scheme = Scheme(Method.STAGES, passes)
    for share in (0.2, 0.6, 1.0):  # of the largest courant number
        euler = 1 - 6 * LARGEST_COURANT * share * (1 - mean)
        before, now = np.ones_like(euler), np.ones_like(euler)
        for number in range(1, passes + 1):
            before, now = now, euler * now + scheme.momentum(number) * (euler * now - before)
        expected = eval_gegenbauer(passes, INDEX, euler) / eval_gegenbauer(passes, INDEX, 1.0)
        assert now == pytest.approx(expected, abs=1e-12)
        assert np.fft.ifftn(now).real.min() > -1e-14
        # The slope at 1 is the time that the stages cover.
        slow = euler[0, 0, 1] - 1
        assert (now[0, 0, 1] - 1) / slow == pytest.approx(scheme.pieces, rel=abs(slow) * scheme.pieces)


def test_stages_are_more_exact_than_backward_euler(simulate):
    # One step of 5 min of the slowest mode, against its exact decay on the lattice: the polynomial's
    # second coefficient is near 7/18 where the exponential has 1/2 and backward Euler has 1.
    x = np.cos(np.pi * (np.arange(16) + 0.5) / 16)
    rate = 1000 * 2 * (1 - np.cos(np.pi / 16)) / 400
    errors = []
    for solver in ("explicit", "implicit"):
        simulation = simulate(box([16, 1, 1], 20, 1000, step="5 min").replace("decay: 0 /min", f"solver: {solver}"))
        start_from(simulation, (1 + x)[None, None, :])
        simulation.step()
        errors.append(2 * np.mean(simulation.field("c")[0, 0].astype(float) * x) - np.exp(-rate * 5))
    assert abs(errors[0]) < 0.35 * abs(errors[1])
