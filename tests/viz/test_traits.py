"""Cells coloured by a trait: the colours are those of the values."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("pyvista", reason="PyVista is not installed")

from matplotlib import pyplot as plt
from typer.testing import CliRunner

import gpusim
from gpusim import ResultError
from gpusim.cli import app
from gpusim.record import Recorder, Result
from gpusim.viz import page, plots, scene
from gpusim.viz.moment import moment_of_result, moment_of_simulation
from gpusim.viz.overlay import field_label, number_label
from gpusim.viz.palette import THEMES
from gpusim.viz.report import save_report
from gpusim.viz.scene import Look

TEXT = """
name: small
grid: {shape: [12, 12, 12]}
time: {until: 4 min, step: {field: 2 min, rules: 2 min}}
fields: {virus: {unit: PFU/voxel, initial: 1}}
states:
  tumour: {role: tumour, colour: "#ff0000"}
  infected: {role: infected, colour: "#00ff00"}
  ctl: {layer: immune, colour: "#0000ff"}
traits:
  load: {of: infected, unit: vp, most: 50 vp, initial: {uniform: {low: 0 vp, high: 20 vp}}, label: viral load}
  antigen: {of: [tumour, infected], most: 5, initial: 1}
  kills: {of: ctl, initial: 3}
record: {traits: [load, antigen]}
tissue:
  shapes:
    ball: {kind: sphere, radius: 90 um, state: tumour}
    core: {kind: sphere, radius: 60 um, state: infected}
    few: {kind: everywhere, state: ctl, fraction: 0.1}
"""


@pytest.fixture(scope="module")
def simulation():
    with gpusim.Simulation(gpusim.Scenario.parse(TEXT), "numpy") as simulation:
        yield simulation


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traits") / "small"
    with gpusim.Simulation(gpusim.Scenario.parse(TEXT), "numpy") as simulation, Recorder(simulation, folder) as writer:
        for _ in simulation.stretches():
            writer.record()
        writer.finish()
    return Result(folder)


@pytest.fixture(scope="module")
def moment(simulation):
    return moment_of_simulation(simulation)


def values_of(simulation, trait, state):
    return simulation.trait(trait)[simulation.tissue == simulation.model.states.number(state)]


def colour(moment, trait, value, span, theme="dark"):
    return np.round(np.array(moment.map(trait, THEMES[theme])(value / span[1])[:3]) * 255)


def test_balls_have_the_colours_of_their_values(moment, simulation):
    shown = scene.stage(moment, Look(trait="load"))
    parts = {part.layer: part for part in scene.parts(shown.moment, shown.look)}
    front = parts["front"]
    assert shown.look.trait_span == (0.0, 20.0)
    number = simulation.model.states.number("infected")
    for point, found in zip(front.mesh.points, front.mesh.point_data["colour"], strict=True):
        x, y, z = (int(c // moment.spacing) for c in point)
        assert simulation.tissue[z, y, x] == number
        expected = colour(moment, "load", simulation.trait("load")[z, y, x], (0, 20))
        assert np.abs(found.astype(float) - expected).max() <= 1
    faded = set(map(tuple, parts["cells"].mesh.point_data["colour"].tolist()))
    assert len(faded) == 1
    assert faded != {(0, 0, 255)}  # cells without the trait recede


def test_the_section_and_the_tissue_without_a_cut_show_tumour_cells_by_their_trait(moment):
    look = Look(trait="antigen", trait_span=(0.0, 4.0))
    expected = colour(moment, "antigen", 1.0, (0, 4))
    shown = scene.stage(moment, look)
    section = next(part for part in scene.parts(shown.moment, shown.look) if part.layer == "section")
    share = (np.abs(section.mesh.cell_data["colour"] - expected).max(axis=1) <= 1).mean()
    assert share > 0.4  # discs without their rims, less the immune cells
    shown = scene.stage(moment, dataclasses.replace(look, cut="none"))
    front = next(part for part in scene.parts(shown.moment, shown.look) if part.layer == "front")
    assert front.mesh.n_points == (moment.tissue > 0).sum()


def test_a_volume_is_drawn_with_a_trait_only_if_its_field_is_named():
    assert Look().has_volume
    assert not Look(trait="load").has_volume
    assert Look(trait="load", field="virus").has_volume


def test_spans_are_of_all_moments_and_of_cells_alone(moment):
    other = dataclasses.replace(moment, read=lambda name: 3 * moment.read(name), _fields={})
    assert scene.spanned(Look(trait="load"), [moment, other]).trait_span == (0.0, 60.0)
    none = dataclasses.replace(moment, tissue=np.zeros_like(moment.tissue), _fields={})
    assert scene.spanned(Look(trait="load"), [none]).trait_span == (0.0, 1.0)
    both = scene.spanned(Look(trait="load", field="virus"), [none, moment])
    assert (both.span, both.trait_span) == ((0.0, 1.0), (0.0, 20.0))


def test_a_thinned_lattice_keeps_values_of_single_cells(moment):
    coarse = moment.coarsened(3)
    assert np.array_equal(coarse.trait("load"), moment.trait("load")[1::3, 1::3, 1::3])
    assert np.array_equal(coarse.tissue, moment.tissue[1::3, 1::3, 1::3])


def test_labels_have_the_unit_and_no_word_for_none(moment):
    assert field_label(moment, "load") == "viral load, vp"
    assert field_label(moment, "antigen") == "antigen"
    assert [number_label(v) for v in (0, 0.25, 5000, 10000, 2e7)] == ["0", "0.25", "5,000", "10,000", "2e+07"]


def test_a_section_has_the_colours_of_values_and_of_states(moment):
    axes = plots.section(moment, z=130, trait="load")
    pixels, layer = axes.images[0].get_array(), moment.tissue[6]
    infected = (layer == moment.states.index("infected")) & (moment.immune[6] == moment.states.index("none"))
    expected = moment.map("load", THEMES["paper"])(moment.trait("load")[6][infected] / 20)[:, :3]
    assert np.allclose(pixels[infected], expected, atol=1e-6)
    assert axes.figure.axes[1].get_xlabel() == "viral load, vp\n(infected)"
    plt.close(axes.figure)


def test_a_mistaken_trait_is_named(result, simulation, tmp_path):
    recorded = moment_of_result(result)
    assert np.array_equal(recorded.trait("load"), simulation.trait("load"))
    with pytest.raises(ResultError, match=r"trait 'lood': unknown trait; did you mean 'load'\?"):
        recorded.trait("lood")
    for trait, message in (("kills", "is not recorded"), ("lod", "did you mean 'load'")):
        done = CliRunner().invoke(app, ["render", str(result.folder), "--trait", trait, "-o", str(tmp_path / "a.png")])
        assert message in str(done.exception)
        assert not (tmp_path / "a.png").exists()


def test_a_report_shows_the_means_of_traits(result, tmp_path):
    save_report([result.folder], tmp_path / "report.html", pictures=False)
    text = (tmp_path / "report.html").read_text()
    assert "<h2>Viral load</h2>" in text
    assert "Mean over cells: infected." in text
    assert "<h2>Kills</h2>" in text  # its mean is in the table of counts, though its snapshots are left out


@pytest.mark.slow
def test_pictures_films_and_pages_are_coloured_by_a_trait(result, tmp_path):
    pytest.importorskip("k3d")
    shown = page.save_page(moment_of_result(result), tmp_path / "a.html", Look(trait="load"))
    assert "field" not in shown.layers
    for name in ("a.png", "a.gif"):
        target = tmp_path / name
        movie = ["--seconds", "0.3"] if name.endswith("gif") else []
        options = ["--trait", "load", "--span", "0,10", "--size", "160x120", *movie]
        done = CliRunner().invoke(app, ["render", str(result.folder), *options, "-o", str(target)])
        assert done.exit_code == 0, done.output
        assert target.stat().st_size > 1000


@pytest.mark.slow
def test_the_app_offers_the_traits_of_all_results(result, simulation):
    pytest.importorskip("trame")
    from gpusim.viz.app import App
    from gpusim.viz.sources import FromResult, FromSimulation

    both = App([FromResult(result.folder), FromSimulation(simulation)])
    assert both.state.traits == ["state", "load", "antigen"]  # snapshots of the first leave out 'kills'
    by_state = both.state.writing
    both.state.trait = "load"
    both.refresh()
    assert both.state.writing != by_state
    assert both._look().trait_span == (0.0, 20.0)
    assert not both._look().has_volume
