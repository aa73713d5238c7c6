"""Velocity of the interstitial fluid, against theory."""

import numpy as np
import pytest

import gpusim
from gpusim.record import Recorder, Result

DX = 20.0


def text(shape, boundary, flow, rest="", every="1 h"):
    return f"""
grid: {{shape: {list(shape)}, spacing: {DX} um}}
time: {{until: 2 h, step: {{field: 10 min}}}}
record: {{every: 1 h}}
fields: {{p: {{unit: mmHg, boundary: {{{boundary}}}}}}}
flow: {{field: p, every: {every}, {flow}}}
{rest}
"""


@pytest.fixture
def velocity():
    def found(scenario):
        with gpusim.Simulation(gpusim.Scenario.parse(scenario), "numpy") as simulation:
            return simulation.velocity()

    return found


@pytest.mark.parametrize(("axis", "number"), [("x", 0), ("y", 1), ("z", 2)])
@pytest.mark.parametrize("down", [1, -1])
def test_a_uniform_gradient_drives_a_uniform_velocity_along_its_axis(velocity, axis, number, down):
    # 30 mmHg over 6 voxels; all other sides are closed.
    shape = [4, 4, 4]
    shape[number] = 6
    high, low = ("low", "high") if down > 0 else ("high", "low")
    boundary = f"{axis}_{high}: {{value: 40}}, {axis}_{low}: {{value: 10}}"
    found = velocity(text(shape, boundary, "conductivity: 200 um^2/mmHg/min"))
    expected = np.zeros((3, *shape[::-1]))
    expected[number] = down * 200 * 30 / (6 * DX)
    assert found.dtype == np.float32
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-3)


def test_two_layers_in_series_conduct_by_darcys_law(velocity):
    halves = f"{{kind: box, state: dense, lower: [{4 * DX} um, 0 um, 0 um], upper: [{8 * DX} um, 99 um, 99 um]}}"
    found = velocity(
        text(
            [8, 2, 1],
            "x_low: {value: 30}, x_high: {value: 10}",
            "conductivity: {default: 250 um^2/mmHg/min, dense: 25 um^2/mmHg/min}",
            f"states: {{dense: {{}}}}\ntissue: {{shapes: {{s: {halves}}}}}",
        )
    )
    # The same in both layers, and also in the voxels on both sides of the border: K of a face is a harmonic mean.
    assert found[0] == pytest.approx(np.full((1, 2, 8), 20 / (4 * DX / 250 + 4 * DX / 25)), rel=1e-4)
    assert found[1:] == pytest.approx(np.zeros((2, 1, 2, 8)), abs=1e-4)  # p is a float32


def test_a_side_with_a_permeability_is_a_further_resistance(velocity):
    found = velocity(
        text(
            [6, 1, 1], "x_low: {value: 20}, x_high: {permeability: 5 um/min, far: 0}", "conductivity: 300 um^2/mmHg/min"
        )
    )
    assert found[0] == pytest.approx(np.full((1, 1, 6), 20 / (6 * DX / 300 + 1 / 5)), rel=1e-4)


def test_around_a_periodic_axis_fluid_takes_both_ways(velocity):
    # A source in one voxel of a ring of 8, a sink in the opposite one: half of the fluid flows each way.
    shapes = "one: {kind: box, state: source, lower: [40 um, 0 um, 0 um], upper: [60 um, 99 um, 99 um]}"
    shapes += ", two: {kind: box, state: sink, lower: [120 um, 0 um, 0 um], upper: [140 um, 99 um, 99 um]}"
    leaks = ", ".join(
        f"{state}: {{conductivity: 1 um/mmHg/min, surface: 0.01 /um, pressure: {pressure} mmHg}}"
        for state, pressure in (("source", 40), ("sink", 0))
    )
    found = velocity(
        text(
            [8, 1, 1],
            "x: periodic",
            f"conductivity: 200 um^2/mmHg/min, vessels: {{{leaks}}}",
            f"states: {{source: {{}}, sink: {{}}}}\ntissue: {{shapes: {{{shapes}}}}}",
        )
    )[0, 0, 0]
    # In series: out of the vessels (0.01 /mmHg/min over a voxel), four steps on two parallel ways, into the vessels.
    through = 40 / (1 / (0.01 * DX) + 4 * DX / 200 / 2 + 1 / (0.01 * DX))
    assert found == pytest.approx(np.array([-0.5, -0.5, 0, 0.5, 0.5, 0.5, 0, -0.5]) * through, rel=1e-4, abs=1e-4)


def test_fluid_leaves_a_leaky_ball_at_the_velocity_of_baxter_and_jain(velocity):
    # An octant; the tissue around conducts so well that the pressure at the surface is 0.
    radius, alpha, k, inside = 12, 5.0, 256.0, 20.0
    edge = radius * DX
    wall = k * (alpha / edge) ** 2
    found = velocity(
        text(
            [radius + 2] * 3,
            "",
            f"conductivity: {{tumour: {k} um^2/mmHg/min, default: {1e4 * k} um^2/mmHg/min}}, vessels: {{tumour: "
            f"{{conductivity: {wall * 1e4} um/mmHg/min, surface: 1e-4 /um, pressure: {inside} mmHg}}}}",
            "states: {tumour: {}}\ntissue: {shapes: {s: {kind: sphere, state: tumour, centre: [0 um, 0 um, 0 um], "
            f"radius: {edge} um}}}}}}",
        ).replace("boundary: {}", "holds: {empty: 0}")
    )
    z, y, x = np.indices((radius + 2,) * 3) + 0.5
    r = np.sqrt(z**2 + y**2 + x**2) / radius
    outwards = (found[0] * x + found[1] * y + found[2] * z) / (r * radius)
    across = np.sqrt(np.maximum((found.astype(float) ** 2).sum(axis=0) - outwards**2, 0))
    # -K dp/dr of p = inside (1 - sinh(alpha r) / (r sinh(alpha))), r over the radius of the ball.
    theory = k * inside / edge * (alpha * np.cosh(alpha * r) - np.sinh(alpha * r) / r) / (r * np.sinh(alpha))
    within = r < 0.75  # the surface is one of steps, which disturb the flow over two or three voxels
    assert (outwards[within] > 0).all()
    fastest = theory[within].max()
    assert np.abs(outwards - theory)[within].max() < 0.06 * fastest
    assert across[within].max() < 0.06 * fastest


def test_a_result_has_the_velocity_of_its_snapshots_also_after_a_change_of_the_conductivity(tmp_path):
    scenario = gpusim.Scenario.parse(
        text([6, 2, 1], "x_low: {value: 30}, x_high: {value: 0}", "conductivity: 200 um^2/mmHg/min", every="10 min")
    )
    seen = []
    with gpusim.Simulation(scenario, "numpy") as simulation, Recorder(simulation, tmp_path / "out") as recorder:
        for _ in simulation.stretches():
            recorder.record()
            seen.append(simulation.velocity())
            if not simulation.actions:
                simulation.change({"flow.conductivity": "100 um^2/mmHg/min"})
                assert simulation.velocity() == pytest.approx(seen[0] / 2)  # the pressure has been solved again
        recorder.finish()
    result = Result(tmp_path / "out")
    for i, expected in enumerate((50, 25, 25)):
        assert result.velocity(i) == pytest.approx(seen[i])
        assert result.velocity(i)[0] == pytest.approx(np.full((1, 2, 6), expected), rel=1e-4)


def test_without_a_flow_there_is_no_velocity():
    scenario = gpusim.Scenario.parse("grid: {shape: [4, 4, 4]}\ntime: {until: 1 h, step: {field: 1 min}}")
    match = "the scenario has no flow of fluid"
    with gpusim.Simulation(scenario, "numpy") as simulation, pytest.raises(gpusim.GpusimError, match=match):
        simulation.velocity()


def test_a_snapshot_that_is_not_there_is_said(tmp_path):
    flow = text([4, 2, 1], "x_low: {value: 30}, x_high: {value: 0}", "conductivity: 200 um^2/mmHg/min")
    gpusim.run(gpusim.Scenario.parse(flow), tmp_path / "out", backend="numpy")
    result = Result(tmp_path / "out")
    assert len(result.times) == 3
    for read in (result.velocity, lambda number: result.array("p", number)):
        assert np.array_equal(read(np.int64(0)), read(-3))
        for wrong in (3, -4, 1.0, "1", None):
            with pytest.raises(gpusim.GpusimError, match=rf"no snapshot {wrong!r}; expected 0 to 2, or -1 to -3"):
                read(wrong)
