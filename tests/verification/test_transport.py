"""Transport against theory, beside the cases of gpusim/verification; each test says what its tolerance follows from."""

import numpy as np
import pytest
from scipy.fft import idctn
from scipy.special import eval_gegenbauer

import gpusim
from gpusim.engine.transport.explicit import INDEX, LARGEST_COURANT, Method, schemes
from gpusim.verification.case import begin_with


def box(shape, spacing, diffusion, decay="0 /min", step="1 min", extra=""):
    return f"""
grid: {{shape: {shape}, spacing: {spacing} um}}
time: {{until: 1000 h, step: {{field: {step}}}}}
record: {{every: 1000 h}}
fields:
  c: {{unit: PFU/voxel, diffusion: {diffusion} um^2/min, decay: {decay}}}
{extra}
"""


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
    begin_with(simulation, c=np.ones((1, 1, 1)))
    simulation.step(100)
    # Second order: (k dt / 2)^2 / 6 over a decay time, 4e-6, and 400 roundings.
    assert simulation.field("c")[0, 0, 0] == pytest.approx(np.exp(-1.0), rel=2e-5)


SOLVERS = ["explicit", "implicit", "implicit2"]


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
    steady.step(9)  # follows in later steps what the first has left
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
"""
    simulation = simulate(box([17, 9, 6], 20, 1e5, "0.1 /min", "1 min", extra), fields={"c": {"solver": solver}})
    peak = np.zeros((6, 9, 17))
    peak[3, 4, 8] = 1e9
    for _ in range(3):
        begin_with(simulation, c=simulation.field("c") + peak)
        for _ in range(2):
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
    # Even along each axis, so that the first half of 64 frequencies tells all.
    cosine = np.cos(2 * np.pi * np.arange(33) / 64)
    mean = (cosine[:, None, None] + cosine[None, :, None] + cosine[None, None, :]) / 3
    pieces = Method.STAGES.pieces(passes)
    for share in (0.2, 0.6, 1.0):  # of the largest courant number
        euler = 1 - 6 * LARGEST_COURANT * share * (1 - mean)
        before, now = np.ones_like(euler), np.ones_like(euler)
        for number in range(1, passes + 1):
            before, now = now, euler * now + Method.STAGES.momentum(number) * (euler * now - before)
        expected = eval_gegenbauer(passes, INDEX, euler) / eval_gegenbauer(passes, INDEX, 1.0)
        assert np.abs(now - expected).max() < 1e-12
        assert idctn(now, type=1).min() > -1e-14
        # The slope at 1 is the time that the stages cover.
        slow = euler[0, 0, 1] - 1
        assert (now[0, 0, 1] - 1) / slow == pytest.approx(pieces, rel=abs(slow) * pieces)


def test_stages_are_more_exact_than_backward_euler(simulate):
    # One step of 5 min of the slowest mode, against its exact decay on the lattice: the polynomial's
    # second coefficient is near 7/18 where the exponential has 1/2 and backward Euler has 1.
    x = np.cos(np.pi * (np.arange(16) + 0.5) / 16)
    rate = 1000 * 2 * (1 - np.cos(np.pi / 16)) / 400
    errors = []
    for solver in ("explicit", "implicit"):
        simulation = simulate(box([16, 1, 1], 20, 1000, step="5 min").replace("decay: 0 /min", f"solver: {solver}"))
        begin_with(simulation, c=(1 + x)[None, None, :])
        simulation.step()
        errors.append(2 * np.mean(simulation.field("c")[0, 0].astype(float) * x) - np.exp(-rate * 5))
    assert abs(errors[0]) < 0.35 * abs(errors[1])


@pytest.mark.parametrize(
    ("diffusion", "solver"),
    [
        ("10 um^2/min", "auto"),  # by Heun's method
        ("2000 um^2/min", "auto"),  # in stages
        ("{default: 2000 um^2/min, dense: 500 um^2/min}", "explicit"),  # in substeps
        ("2000 um^2/min", "implicit"),
    ],
)
def test_a_field_decays_exactly_where_there_are_no_cells(simulate, diffusion, solver):
    simulation = simulate(
        f"""
        grid: {{shape: [4, 4, 4]}}
        time: {{until: 6 h, step: {{field: 5 min}}}}
        record: {{every: 6 h}}
        fields:
          c: {{unit: ng/mL, diffusion: {diffusion}, decay: 0.02 /min, initial: 1 ng/mL, solver: {solver}}}
        states: {{dense: {{}}}}
        tissue: {{shapes: {{one: {{kind: sphere, state: dense, radius: 25 um}}}}}}
        """
    )
    simulation.run()
    (scheme,) = schemes(simulation.model)
    # What a pass keeps is rounded to 2^-25 of itself, and counts as often as there are pieces.
    pieces = scheme.method.pieces(scheme.passes) if solver != "implicit" else 16
    assert simulation.field("c") == pytest.approx(np.exp(-0.02 * 360), rel=72 * pieces * 2**-24)
