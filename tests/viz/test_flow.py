"""Streamlines, the speed of the fluid, and vessels in several states."""

import numpy as np
import pytest

pytest.importorskip("pyvista", reason="PyVista is not installed")
mpl = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
mpl.use("Agg")

from commands import run  # noqa: E402
from matplotlib.colors import to_rgb  # noqa: E402

import gpusim  # noqa: E402
from gpusim.errors import ResultError  # noqa: E402
from gpusim.viz import geometry, scene  # noqa: E402
from gpusim.viz.moment import SPEED, Moment, moment_of_simulation  # noqa: E402
from gpusim.viz.scene import Look  # noqa: E402

TEXT = """
name: through
grid: {shape: [12, 8, 8], spacing: 20 um}
time: {until: 10 min, step: {field: 1 min, rules: 10 min}}
record: {every: 10 min}
fields: {p: {unit: mmHg, boundary: {x_low: {value: 24}, x_high: {value: 0}}}}
states: {vessel: {role: vessel}, unperfused: {role: vessel}}
"""
FLOW = "flow: {field: p, conductivity: 100 um^2/mmHg/min}\n"


def through(text=TEXT + FLOW):
    with gpusim.Simulation(gpusim.Scenario.parse(text), "numpy") as simulation:
        moment = moment_of_simulation(simulation)
        velocity = simulation.velocity() if simulation.scenario.document.flow else None
    return moment, velocity


def rotation(n):
    """A rotation about the axis along z through the middle of a cube, with an angular velocity of 0.01 /min."""
    x = (np.arange(n) + 0.5) * 20 - n * 10
    found = np.zeros((3, n, n, n), np.float32)
    found[0], found[1] = -0.01 * x[:, None], 0.01 * x
    return found


def test_streamlines_of_a_rotation_are_circles_in_its_direction():
    lines = geometry.streamlines(rotation(16), 20.0, 40.0)
    assert lines.n_cells > 5
    middle = lines.points - 160
    assert lines.point_data["speed"] == pytest.approx(0.01 * np.hypot(middle[:, 0], middle[:, 1]), rel=0.01)
    for line in (lines.get_cell(i) for i in range(lines.n_cells)):
        radius = np.hypot(*(line.points[:, :2] - 160).T)
        assert np.ptp(radius) < 1
        assert np.ptp(line.points[:, 2]) < 1
        (x, y), step = (line.points[0, :2] - 160), line.points[1] - line.points[0]
        assert x * step[1] - y * step[0] > 0


def test_streamlines_of_a_sink_end(tmp_path):
    x = (np.arange(20) - 9.5) * 20
    z, y, x = np.meshgrid(x, x, x, indexing="ij")
    inwards = -np.stack([x, y, z]) / np.sqrt(x**2 + y**2 + z**2) ** 3
    lines = geometry.streamlines(inwards.astype(np.float32), 20.0, 40.0)
    assert 0 < lines.n_points < 1e5


def test_fluid_at_rest_has_no_streamlines():
    assert geometry.streamlines(np.zeros((3, 4, 4, 4), np.float32), 20.0, 40.0).n_points == 0


def test_a_picture_has_the_colour_of_the_speed():
    moment, velocity = through()  # 100 * 24 / 240 um/min
    assert moment.values(SPEED) == pytest.approx(np.full((8, 8, 12), 10), rel=1e-4)
    assert moment.coarsened(2).values(SPEED) == pytest.approx(np.full((4, 4, 6), 10), rel=1e-4)
    assert velocity.shape == (3, 8, 8, 12)
    shown = scene.stage(moment, Look(streamlines=True))
    assert shown.look.speed_span == (0, 10)
    part = next(part for part in scene.parts(shown.moment, shown.look) if part.layer == "streamlines")
    top = np.array(moment.map(SPEED, shown.look.theme)(1.0)[:3]) * 255
    assert np.abs(part.mesh.cell_data["colour"] - top).max() < 2
    assert "streamlines" not in {part.layer for part in scene.parts(*stage_of(moment, Look()))}


def stage_of(moment, look):
    shown = scene.stage(moment, look)
    return shown.moment, shown.look


def test_a_moment_without_a_flow_has_no_streamlines():
    moment, _ = through(TEXT)
    assert SPEED not in moment.field_names
    with pytest.raises(ResultError, match="streamlines: the scenario has no flow"):
        scene.stage(moment, Look(streamlines=True))


def test_vessels_have_the_colours_of_their_states():
    document = gpusim.Scenario.parse(TEXT).document
    states = ["empty", "vessel", "unperfused", "none"]
    tissue = np.zeros((9, 9, 24), np.uint8)
    tissue[4, 4, :12], tissue[4, 4, 12:] = 1, 2
    moment = Moment(document, tissue, np.full_like(tissue, 3), lambda name: tissue, states, 20.0, 0.0)
    look = Look(cut="none")
    mesh = next(part for part in scene.parts(*stage_of(moment, look)) if part.layer == "vessels").mesh
    left = mesh.cell_centers().points[:, 0] < 240
    for side, name in ((left, "vessel"), (~left, "unperfused")):
        colour = np.round(np.array(to_rgb(moment.colours[name])) * 255)
        assert side.any()
        assert (mesh.cell_data["colour"][side] == colour).all()
    alone = Moment(document, np.minimum(tissue, 1), moment.immune, lambda name: tissue, states, 20.0, 0.0)
    part = next(part for part in scene.parts(*stage_of(alone, look)) if part.layer == "vessels")
    assert part.colour == moment.colours["vessel"]


@pytest.mark.slow
def test_the_command_line_draws_streamlines_or_says_in_one_line_why_not(tmp_path):
    for name, text in (("flow", TEXT + FLOW), ("still", TEXT)):
        (tmp_path / f"{name}.yaml").write_text(text)
        assert run("run", f"{name}.yaml", "-o", name, "--backend", "numpy", folder=tmp_path).returncode == 0
    for options in (["-o", "a.png", "--size", "160x90"], ["-o", "b.png", "--plane", "z", "--field", "flow-speed"]):
        done = run("render", "flow", *options, "--streamlines", folder=tmp_path)
        assert done.returncode == 0, done.stderr
        refused = run("render", "still", *options[:2], *options[2:4], "--streamlines", folder=tmp_path)
        assert refused.returncode == 2
        assert len(refused.stderr.strip().splitlines()) == 1
        assert "the scenario has no flow of fluid" in refused.stderr
