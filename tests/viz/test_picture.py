import numpy as np
import pytest

pv = pytest.importorskip("pyvista", reason="PyVista is not installed")

import gpusim  # noqa: E402
from gpusim.record import Recorder, Result  # noqa: E402
from gpusim.viz.picture import draw_aside, surface_of  # noqa: E402


def test_the_surface_of_a_sphere_stands_where_the_sphere_is():
    z, y, x = (np.arange(40)[s] - 19.5 for s in (np.s_[:, None, None], np.s_[None, :, None], np.s_[None, None, :]))
    surface = surface_of(x * x + y * y + z * z <= 12**2, spacing=20.0)
    assert np.array(surface.center) == pytest.approx([400, 400, 400], abs=2)
    radius = np.linalg.norm(surface.points - 400, axis=1)
    assert radius.mean() == pytest.approx(240, abs=20)


def test_a_picture_is_drawn_and_is_not_blank(tmp_path):
    scenario = gpusim.Scenario.load(
        "cold-to-hot", {"grid.shape": [24, 20, 16], "tissue.shapes.tumour.radius": "120 um"}
    )
    simulation = gpusim.Simulation(scenario, "numpy")
    with Recorder(simulation, tmp_path / "out") as recorder:
        simulation.run(until="30 min")
        recorder.finish()
    target = tmp_path / "picture.png"
    assert draw_aside(Result(tmp_path / "out").folder, target) is None
    pixels = pv.read(str(target)).active_scalars.reshape(-1, 3)
    assert len(pixels) == 1920 * 960
    assert len(np.unique(pixels, axis=0)) > 200


def test_what_can_not_be_drawn_is_said(tmp_path):
    assert "no such folder" in draw_aside(tmp_path / "nowhere", tmp_path / "p.png")
