"""Cells coloured by their clones, and numbers of clones in exports."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pyvista", reason="PyVista is not installed")

from matplotlib.colors import to_rgb
from typer.testing import CliRunner

import gpusim
from gpusim import ResultError
from gpusim.analysis.ancestry import Ancestry
from gpusim.cli import app
from gpusim.export import export
from gpusim.record import Result
from gpusim.viz import scene
from gpusim.viz.moment import LEAST_CLONE, moment_of_result, moment_of_simulation
from gpusim.viz.palette import SMALL_CLONE, clone_colours
from gpusim.viz.scene import Look

TEXT = """
name: small
grid: {shape: [9, 10, 11]}
time: {until: 4 hour, step: {rules: 10 min}}
record: {every: 2 hour}
states: {tumour: {role: tumour}, ctl: {layer: immune}}
clones: {of: tumour, founders: each, mutation: 0.3}
rules: {division: {transition: tumour -> tumour + tumour, rate: 0.5 /hour, reach: 200 um}}
tissue:
  shapes:
    ball: {kind: sphere, radius: 35 um, state: tumour}
    few: {kind: everywhere, state: ctl, fraction: 0.1}
"""


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clones")
    for name, chosen in (("out", ""), ("without", ", clones: false")):
        (folder / f"{name}.yaml").write_text(TEXT.replace("every: 2 hour", f"every: 2 hour{chosen}"))
        gpusim.run(folder / f"{name}.yaml", folder / name, backend="numpy")
    return Result(folder / "out")


def test_numbers_of_clones_are_those_of_the_labels(result):
    label = result.births["label"].to_numpy(np.uint64)
    numbers, labels = result.clone_numbers(1), result.array("clones", 1)
    assert np.array_equal(numbers > 0, labels > 0)
    assert np.array_equal(label[numbers[numbers > 0] - 1], labels[labels > 0])


def test_cells_have_the_colours_of_their_clones_or_of_larger_ancestors(result):
    moment, look = moment_of_result(result), Look(clones=True)
    ancestry = Ancestry.of(result)
    into = ancestry.gathered(ancestry.large(LEAST_CLONE))
    colours = clone_colours(ancestry.ranked(into))
    tumour = moment.tissue == moment.states.index("tumour")
    painted = scene.painter(moment, look)(moment.tissue[tumour], tumour)
    expected = [to_rgb(colours[int(into[clone])]) for clone in result.clone_numbers()[tumour]]
    assert np.allclose(painted, expected)
    assert len({tuple(colour) for colour in expected}) == 9  # eight named ones, and grey
    assert to_rgb(SMALL_CLONE) in expected
    immune = moment.immune == moment.states.index("ctl")
    (faded,) = np.unique(scene.painter(moment, look)(moment.immune[immune], immune), axis=0)
    assert tuple(faded) not in {tuple(colour) for colour in expected}
    assert not look.has_volume


def test_plots_colour_cells_by_their_clones(result):
    size = {"size": (200, 160)}
    pictures = [np.asarray(result.plot(hide=["field"], **size)), np.asarray(result.plot(clones=True, **size))]
    assert not np.array_equal(*pictures)
    with pytest.raises(ResultError, match="expected 'clones' or a 'trait'"):
        result.plot(clones=True, trait="load")
    without = Result(result.folder.parent / "without")
    with pytest.raises(ResultError, match=r"\(record\.clones\)"):
        without.plot(clones=True)
    assert moment_of_result(result).has_clones
    assert not moment_of_result(without).has_clones


def test_the_viewer_offers_clones_of_results_that_contain_them(result):
    pytest.importorskip("trame")
    from gpusim.viz.app import App
    from gpusim.viz.sources import FromResult

    shown = App([FromResult(result.folder)])
    assert shown.state.traits == ["state", "clones"]
    before, spans = shown._look(), dict(shown._spans)
    shown.state.trait = "clones"
    shown.refresh()
    assert (before.clones, shown._look().clones, shown._look().field) == (False, True, None)
    assert {name: shown._spans[name] for name in spans} == spans
    both = App([FromResult(result.folder), FromResult(result.folder.parent / "without")])
    assert both.state.traits == ["state"]


def test_a_thinned_lattice_keeps_clones_of_single_cells_and_numbers_of_all(result):
    moment = moment_of_result(result)
    whole, coarse = moment.shown_clones(), moment.coarsened(3).shown_clones()
    assert np.array_equal(coarse.numbers, whole.numbers[1::3, 1::3, 1::3])
    assert coarse.cells.sum() == whole.cells.sum() == (moment.tissue > 0).sum()


def test_tables_and_images_contain_the_numbers(result, tmp_path):
    export(result, tmp_path / "cells.csv", "csv")
    cells = pd.read_csv(tmp_path / "cells.csv")
    last = cells[cells["time_min"] == 240]
    numbers = result.clone_numbers()
    tissue = last[last["layer"] == "tissue"]
    z, y, x = ((tissue[f"{axis}_um"] // 20).astype(int) for axis in "zyx")
    assert (tissue["clone"] == numbers[z, y, x]).all()
    assert cells["clone"][cells["layer"] == "immune"].isna().all()
    h5py = pytest.importorskip("h5py")
    export(result, tmp_path / "a.vtkhdf", "vtkhdf")
    with h5py.File(tmp_path / "a.vtkhdf") as file:
        assert np.array_equal(file["VTKHDF/CellData/clone"][-1], numbers)
    pyvista = pytest.importorskip("pyvista")
    export(result, tmp_path / "a.pvd", "vti")
    image = pyvista.read(sorted((tmp_path / "a_vti").iterdir())[-1])
    assert np.array_equal(image.cell_data["clone"].reshape(numbers.shape), numbers)


def test_labels_and_cells_of_other_tools_contain_the_numbers(result, tmp_path):
    export(result, tmp_path / "cells.csv", "physicell")
    cells = pd.read_csv(tmp_path / "cells.csv")
    numbers = result.clone_numbers()
    centres = np.array([[9, 10, 11]]) * 10.0  # um
    x, y, z = ((cells[["x", "y", "z"]] + centres) // 20).astype(int).to_numpy().T
    assert list(cells) == ["x", "y", "z", "type", "custom:clone"]
    assert (cells["custom:clone"] == np.where(cells["type"] == "tumour", numbers[z, y, x], 0)).all()
    zarr = pytest.importorskip("zarr")
    pytest.importorskip("ome_zarr")
    export(result, tmp_path / "a.ome.zarr")
    labels = zarr.open_group(tmp_path / "a.ome.zarr" / "labels", mode="r")
    assert labels.attrs["ome"]["labels"] == ["tissue", "immune", "clone"]
    assert np.array_equal(labels["clone/0" if "0" in labels["clone"] else "clone/s0"][-1], numbers)
    without = Result(result.folder.parent / "without")
    export(without, tmp_path / "b.ome.zarr")
    assert "clone" not in zarr.open_group(tmp_path / "b.ome.zarr" / "labels", mode="r")


def test_what_has_no_clones_is_told(result, tmp_path):
    without = Result(result.folder.parent / "without")
    with pytest.raises(ResultError, match=r"clones are not recorded \(record\.clones\)"):
        without.clone_numbers()
    assert without.births.equals(result.births)
    with pytest.raises(ResultError, match=r"\(record\.clones\)"):
        moment_of_result(without).shown_clones()
    with gpusim.Simulation(gpusim.Scenario.parse(TEXT), "numpy") as simulation:
        moment = moment_of_simulation(simulation)
    with pytest.raises(ResultError, match="only of a result"):
        moment.shown_clones()
    plain = moment.document.model_copy(update={"clones": None})
    with pytest.raises(ResultError, match="the scenario has no clones"):
        dataclasses.replace(moment, document=plain).shown_clones()
    done = CliRunner().invoke(app, ["render", str(result.folder), "--clones", "--trait", "a"])
    assert "expected --clones or --trait" in str(done.exception)
    done = CliRunner().invoke(app, ["render", str(without.folder), "--clones", "-o", str(tmp_path / "a.png")])
    assert "(record.clones)" in str(done.exception)
    assert not (tmp_path / "a.png").exists()


@pytest.mark.slow
def test_pictures_and_films_show_clones(result, tmp_path):
    for name in ("a.png", "a.gif"):
        movie = ["--seconds", "0.3"] if name.endswith("gif") else []
        options = ["--clones", "--size", "160x120", *movie, "-o", str(tmp_path / name)]
        done = CliRunner().invoke(app, ["render", str(result.folder), *options])
        assert done.exit_code == 0, done.output
        assert (tmp_path / name).stat().st_size > 1000
