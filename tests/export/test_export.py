"""Each format is read back by the library of the tools that it is for."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import gpusim
from gpusim import GpusimError, ResultError
from gpusim.export import FORMATS, export
from gpusim.record import Recorder, Result

TEXT = """
name: small
grid: {shape: [70, 5, 4]}
time: {until: 10 min, step: {field: 1 min, rules: 2 min}}
record: {every: 4 min}
fields:
  virus: {unit: PFU/voxel, diffusion: 100 um^2/min, initial: 2, decay: 0.1 /min}
  gmcsf: {unit: µg/mL, initial: 38}
states: {tumour: {}, ctl: {layer: immune, motility: {speed: 4 um/min}}}
traits:
  load: {of: tumour, unit: µg, most: 9 µg, initial: {uniform: {low: 1 µg, high: 3 µg}}}
rules:
  growth: {transition: empty -> tumour, rate: 0.1 /min}
tissue:
  shapes: {ctl: {kind: everywhere, state: ctl, fraction: 0.3}}
therapies:
  dose: {inject: virus, amount: 100 PFU, start: 4 min}
"""
TIMES = [0, 4, 8, 10]


def record(text, folder):
    simulation = gpusim.Simulation(gpusim.Scenario.parse(text), "numpy")
    with Recorder(simulation, folder) as recorder:
        for _ in simulation.stretches():
            recorder.record()
        recorder.finish()
    return Result(folder)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return record(TEXT, tmp_path_factory.mktemp("run") / "out")


def vtk_images(path):
    """The images of a file by time, as ParaView's own reader sees them."""
    import pyvista
    import vtk

    images = {}
    if path.suffix == ".pvd":
        reader = pyvista.get_reader(path)
        for time in reader.time_values:
            reader.set_active_time_value(time)
            images[time] = reader.read()[0]
    else:
        reader = vtk.vtkHDFReader()
        reader.SetFileName(str(path))
        reader.UpdateInformation()
        times = reader.GetOutputInformation(0).Get(vtk.vtkStreamingDemandDrivenPipeline.TIME_STEPS())
        for time in times or [None]:  # VTK takes a file of one time for one without
            if time is not None:
                reader.UpdateTimeStep(time)
            reader.Update()
            images[time] = pyvista.wrap(reader.GetOutput()).copy()
    return images


@pytest.mark.parametrize("name", ["a.vtkhdf", "a.pvd"])
def test_paraview_gets_every_time_and_voxel(result, tmp_path, name):
    export(result, tmp_path / name)
    images = vtk_images(tmp_path / name)
    assert list(images) == TIMES
    for i, image in enumerate(images.values()):
        assert image.bounds == (0, 1400, 0, 100, 0, 80)
        assert image.dimensions == (71, 6, 5)
        for field in ("virus", "gmcsf", "tissue", "immune", "load"):
            values = image.cell_data[field]
            assert values.dtype == result.array(field, i).dtype
            assert np.array_equal(values.reshape(4, 5, 70), result.array(field, i))
        names = image.GetFieldData().GetAbstractArray("states")
        assert [names.GetValue(k) for k in range(names.GetNumberOfValues())] == result.state_names
        units = image.GetFieldData().GetAbstractArray("units")
        assert [units.GetValue(k) for k in range(3)] == ["virus: PFU/voxel", "gmcsf: ug/mL", "load: ug"]


FLOW = """
name: flow
grid: {shape: [6, 5, 4]}
time: {until: 2 min, step: {field: 1 min, rules: 1 min}}
record: {every: 1 min}
fields:
  p: {unit: mmHg, boundary: {x_low: {value: 5}, y_high: {value: 1}, z_low: {value: 3}}}
flow: {field: p, conductivity: 100 um^2/mmHg/min}
"""


@pytest.fixture(scope="module")
def with_flow(tmp_path_factory):
    return record(FLOW, tmp_path_factory.mktemp("flow") / "out")


@pytest.mark.parametrize(("name", "at"), [("a.vtkhdf", None), ("a.vtkhdf", 1.0), ("a.pvd", None)])
def test_paraview_gets_the_velocity_of_the_fluid_as_vectors(with_flow, tmp_path, name, at):
    export(with_flow, tmp_path / name, at=at)
    images = list(vtk_images(tmp_path / name).values())
    assert len(images) == (3 if at is None else 1)
    for i, image in enumerate(images):
        velocity = image.cell_data["velocity"].reshape(4, 5, 6, 3)
        assert velocity.dtype == np.float32
        assert np.array_equal(np.moveaxis(velocity, -1, 0), with_flow.velocity(i if at is None else 1))
        # From the sides with a high pressure to that with a low one: towards higher x and y.
        assert velocity[..., 0].sum() > 0
        assert velocity[..., 1].sum() > 0
        units = image.GetFieldData().GetAbstractArray("units")
        assert [units.GetValue(k) for k in range(2)] == ["p: mmHg", "velocity: um/min"]


def test_napari_gets_the_components_of_the_velocity_as_channels(with_flow, tmp_path):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    export(with_flow, tmp_path / "a.ome.zarr")
    found = {node.zarr.basename(): node for node in Reader(parse_url(tmp_path / "a.ome.zarr"))()}
    image = found["a.ome.zarr"]
    assert image.metadata["channel_names"] == ["p", "velocity_x", "velocity_y", "velocity_z"]
    for i in range(3):
        assert np.array_equal(np.asarray(image.data[0][i, 1:]), with_flow.velocity(i))
    attributes = json.loads((tmp_path / "a.ome.zarr" / "zarr.json").read_text())["attributes"]
    assert attributes["gpusim"]["units"]["velocity_z"] == "um/min"


def test_napari_gets_channels_labels_units_and_a_pyramid(result, tmp_path):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    assert export(result, tmp_path / "a.ome.zarr") == "ome-zarr"
    found = {node.zarr.basename(): node for node in Reader(parse_url(tmp_path / "a.ome.zarr"))()}
    image = found["a.ome.zarr"]
    assert image.metadata["channel_names"] == ["virus", "gmcsf", "load"]
    assert {a["name"]: a.get("unit") for a in image.metadata["axes"]} == {
        "t": "minute",
        "c": None,
        **dict.fromkeys("zyx", "micrometer"),
    }
    full, half = image.data
    assert full.shape == (4, 3, 4, 5, 70)
    assert half.shape[-1] == 35
    for i in range(len(TIMES)):
        assert np.array_equal(np.asarray(full[i, 0]), result.array("virus", i))
        assert np.array_equal(np.asarray(full[i, 2]), result.trait("load", i))
    blocks = result.array("virus", 1).reshape(2, 2, 5, 35, 2).mean(axis=(1, 4))
    assert np.allclose(np.asarray(half[1, 0]), blocks, rtol=1e-6)
    scale, translation = image.metadata["coordinateTransformations"][1]
    assert scale["scale"][2:] == [40, 20, 40]
    assert translation["translation"][2:] == [10, 0, 10]  # from the first voxel to the middle of the first pair
    tissue, immune = (found[layer].data[0] for layer in ("tissue", "immune"))
    assert np.array_equal(np.asarray(tissue[-1]), result.array("tissue"))
    none, ctl = (result.state_names.index(name) for name in ("none", "ctl"))
    assert set(np.unique(np.asarray(immune))) == {0, ctl}
    assert np.array_equal(np.asarray(immune[-1]) == 0, result.array("immune") == none)
    assert found["tissue"].metadata["properties"] == {1: {"state": "tumour"}, ctl: {"state": "ctl"}}
    attributes = json.loads((tmp_path / "a.ome.zarr" / "zarr.json").read_text())["attributes"]
    assert attributes["gpusim"]["times_min"] == TIMES


def test_the_image_is_valid_ngff(result, tmp_path):
    import zarr
    from ome_zarr_models.v05 import Image
    from ome_zarr_models.v05.image_label import ImageLabel

    export(result, tmp_path / "a.ome.zarr")
    image = Image.from_zarr(zarr.open_group(tmp_path / "a.ome.zarr", mode="r"))
    assert image.ome_attributes.version == "0.5"
    assert image.labels.ome_attributes.labels == ["tissue", "immune"]
    for layer in ("tissue", "immune"):
        found = ImageLabel.from_zarr(zarr.open_group(tmp_path / "a.ome.zarr" / "labels" / layer, mode="r"))
        described = found.ome_attributes.image_label
        labels = [part.label_value for part in described.properties]
        assert labels == [part.label_value for part in described.colors]
        colours = {part.rgba for part in described.colors}
        assert len(colours) == len(labels)
        assert all(colour[3] == 255 for colour in colours)


@pytest.mark.parametrize(("name", "read"), [("a.csv", pd.read_csv), ("a.parquet", pd.read_parquet)])
def test_pandas_gets_every_cell(result, tmp_path, name, read):
    export(result, tmp_path / name)
    table = read(tmp_path / name)
    assert list(table) == ["time_min", "x_um", "y_um", "z_um", "layer", "state", "load"]
    assert table["time_min"].unique().tolist() == TIMES
    for i, minutes in enumerate(TIMES):
        now = table[table["time_min"] == minutes]
        for layer in ("tissue", "immune"):
            states = result.array(layer, i)
            rows = now[now["layer"] == layer]
            z, y, x = (((rows[f"{axis}_um"] - 10) / 20).to_numpy(int) for axis in "zyx")
            rebuilt = np.full_like(states, result.state_names.index({"tissue": "empty", "immune": "none"}[layer]))
            rebuilt[z, y, x] = [result.state_names.index(state) for state in rows["state"]]
            assert np.array_equal(rebuilt, states)
            loads = rows["load"].to_numpy(np.float32)
            assert (
                np.array_equal(loads, result.trait("load", i)[z, y, x]) if layer == "tissue" else np.isnan(loads).all()
            )


def test_physicell_gets_its_columns_about_the_middle(result, tmp_path):
    export(result, tmp_path / "cells.csv", "physicell")
    lines = (tmp_path / "cells.csv").read_text().splitlines()
    # PhysiCell tells its newer format by the x that a table begins with.
    assert lines[0] == "x,y,z,type,custom:load"
    table = pd.read_csv(tmp_path / "cells.csv")
    cells = int((result.array("tissue") == 1).sum() + (result.array("immune") == 2 + 1).sum())
    assert len(table) == cells == len(lines) - 1
    assert set(table["type"]) == {"tumour", "ctl"}
    assert (table["custom:load"] >= 1).equals(table["type"] == "tumour")
    assert table[["x", "y", "z"]].min().tolist() == [-690, -40, -30]
    assert table[["x", "y", "z"]].max().tolist() == [690, 40, 30]


def test_pcdl_gets_what_physicell_would_have_written(result, tmp_path):
    pcdl = pytest.importorskip("pcdl")
    assert export(result, tmp_path / "a.multicellds") == "multicellds"
    for i, time in enumerate(TIMES):
        step = pcdl.TimeStep(str(tmp_path / "a.multicellds" / f"output{i:08d}.xml"), verbose=False)
        assert step.get_time() == time
        cells = step.get_cell_df()
        tissue, immune = result.array("tissue", i), result.array("immune", i)
        assert dict(cells.cell_type.value_counts()) == {
            name: count for name, count in (("tumour", (tissue == 1).sum()), ("ctl", (immune == 3).sum())) if count
        }
        # The middle of the grid is the origin.
        spacing, shape = result.spacing, np.array(tissue.shape)
        at = (
            (cells[["position_z", "position_y", "position_x"]].to_numpy() / spacing + shape / 2 - 0.5)
            .round()
            .astype(int)
        )
        of_tissue = (cells.cell_type == "tumour").to_numpy()
        assert (tissue[tuple(at[of_tissue].T)] == 1).all()
        assert (immune[tuple(at[~of_tissue].T)] == 3).all()
        assert np.allclose(cells.load[of_tissue], result.trait("load", i)[tuple(at[of_tissue].T)])
        assert not cells.dead.any()
        values = step.get_conc_df().sort_values(["voxel_k", "voxel_j", "voxel_i"]).virus.to_numpy()
        assert np.allclose(values, result.array("virus", i).ravel())
        assert step.get_unit_dict()["virus"] == "PFU/voxel"
        graph = step.get_neighbor_graph_dict()
        lattice = {cell: tuple(voxel) for cell, voxel in zip(cells.index, at, strict=True)}
        for cell, others in list(graph.items())[::50]:
            assert all(np.abs(np.subtract(lattice[cell], lattice[other])).max() <= 1 for other in others)


def test_one_time_can_be_chosen(result, tmp_path):
    export(result, tmp_path / "a.csv", at=4.0)
    assert pd.read_csv(tmp_path / "a.csv")["time_min"].unique().tolist() == [4]
    export(result, tmp_path / "a.vtkhdf", at=8.0)
    (image,) = vtk_images(tmp_path / "a.vtkhdf").values()
    assert np.array_equal(image.cell_data["virus"].reshape(4, 5, 70), result.array("virus", 2))
    assert image.field_data["TimeValue"].tolist() == [8]
    with pytest.raises(ResultError, match="no snapshot at 5 min; there are 4 from 0 min to 10 min, the nearest at 4"):
        export(result, tmp_path / "b.csv", at=5.0)


@pytest.mark.parametrize("name", ["a.csv", "a.pvd", "a.ome.zarr"])
def test_what_stands_there_is_kept_unless_told(result, tmp_path, name):
    export(result, tmp_path / name)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ResultError, match="already exists"):
        export(result, tmp_path / name)
    export(result, tmp_path / name, overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before


def test_paraview_gets_its_files_without_vtk(result, tmp_path, monkeypatch):
    for name in ("pyvista", "vtk", "vtkmodules"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("a.pvd", "a.vtkhdf"):
        export(result, tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == {"a.pvd", "a_vti", "a.vtkhdf"}


@pytest.mark.parametrize("name", ["thesis", "thesis.pvd"])
def test_a_folder_of_other_files_is_never_overwritten(result, tmp_path, name):
    folder = tmp_path / name.replace(".pvd", "_vti")
    folder.mkdir()
    (folder / "chapter.tex").write_text("years of work")
    with pytest.raises(ResultError, match="with other files; not overwritten"):
        export(result, tmp_path / name, "vti" if name.endswith(".pvd") else "ome-zarr", overwrite=True)
    assert (folder / "chapter.tex").read_text() == "years of work"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"attributes": 3}', '{"attributes": {}}'])
def test_a_store_that_is_not_known_for_an_image_is_never_overwritten(result, tmp_path, text):
    target = tmp_path / "a.ome.zarr"
    target.mkdir()
    (target / "zarr.json").write_text(text)
    with pytest.raises(ResultError, match="with other files; not overwritten"):
        export(result, target, overwrite=True)
    assert (target / "zarr.json").read_text() == text


def test_a_failure_leaves_nothing(result, tmp_path, monkeypatch):
    with pytest.raises(ResultError, match="unknown format; give --format, or"):
        export(result, tmp_path / "a.doc")
    with pytest.raises(ResultError, match="with other files; not overwritten"):
        export(result, result.folder.parent, "ome-zarr", overwrite=True)
    with pytest.raises(ResultError, match="snapshots.zarr: a folder with other files"):
        export(result, result.folder / "snapshots.zarr", overwrite=True)
    with pytest.raises(ResultError, match=r"must end in \.pvd"):
        export(result, tmp_path / "a", "vti")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(GpusimError, match=r"h5py is needed to write VTKHDF: pip install 'gpusim\[formats\]'"):
        export(result, tmp_path / "a.vtkhdf")
    assert not list(tmp_path.iterdir())


def test_the_command_guesses_the_format_and_explains_a_mistake(result, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from gpusim.cli import app

    def run(*arguments):
        return CliRunner().invoke(app, ["export", str(result.folder), *arguments])

    monkeypatch.chdir(tmp_path)
    assert run("-o", "a.csv", "--at", "8 min").exit_code == 0
    assert pd.read_csv("a.csv")["time_min"].unique().tolist() == [8]
    assert "parrots" in run("-o", "b.csv", "--at", "8 parrots").output.replace("\n", "")
    assert str(run("-o", "a.csv").exception) == "a.csv: already exists; give another name, or --overwrite"
    assert str(run("-o", "b.csv", "--format", "excel").exception) == f"'excel': expected one of {', '.join(FORMATS)}"


@pytest.mark.parametrize(
    ("format", "column", "trait"), [("csv", "state", "load"), ("physicell", "type", "custom:load")]
)
def test_a_table_goes_out_and_in_again(result, tmp_path, format, column, trait):
    export(result, tmp_path / "cells.csv", format, at=10.0)
    types = [{"state": state, "where": {column: state}} for state in ("tumour", "ctl")]
    tissue = {"shapes": None, "cells": str(tmp_path / "cells.csv"), "types": types}
    traits = {"load": {"initial": {"uniform": None, "column": trait}}}
    scenario = gpusim.Scenario.parse(TEXT).with_(tissue=tissue, traits=traits)
    with gpusim.Simulation(scenario, "numpy") as simulation:
        for layer in ("tissue", "immune"):
            assert np.array_equal(getattr(simulation, layer), result.array(layer))
        assert np.array_equal(simulation.trait("load"), result.trait("load"))


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_of_a_table_with_all_times_one_goes_in_again(result, tmp_path, format):
    target = tmp_path / f"cells.{format}"
    export(result, target, format)
    types = [{"state": state, "where": {"state": state}} for state in ("tumour", "ctl")]
    scenario = gpusim.Scenario.parse(TEXT).with_(tissue={"shapes": None, "cells": str(target), "types": types})
    with pytest.raises(gpusim.ScenarioError, match=r"holds 4 times \(0 min, 4 min, 8 min, 10 min\).*time: 10 min'"):
        gpusim.Simulation(scenario, "numpy")
    for i in (1, 3):
        chosen = scenario.with_(tissue={"table": {"time": f"{TIMES[i]} min"}})
        with gpusim.Simulation(chosen, "numpy") as simulation:
            for layer in ("tissue", "immune"):
                assert np.array_equal(getattr(simulation, layer), result.array(layer, i))


def test_labels_go_out_and_in_again_one_time_and_one_layer_at_once(result, tmp_path):
    export(result, tmp_path / "a.ome.zarr", at=10.0)
    export(result, tmp_path / "all.ome.zarr")
    image = {"file": str(tmp_path / "a.ome.zarr" / "labels" / "tissue"), "labels": {1: "tumour"}}
    scenario = gpusim.Scenario.parse(TEXT).with_(tissue={"shapes": None, "image": image})
    with gpusim.Simulation(scenario, "numpy") as simulation:
        assert np.array_equal(simulation.tissue, result.array("tissue"))
    for file, message in (
        ("a.ome.zarr", "holds several images of labels .tissue, immune."),
        ("all.ome.zarr/labels/tissue", "4 of t; 'gpusim export --at' writes one time"),
    ):
        with pytest.raises(gpusim.ScenarioError, match=message):
            gpusim.Simulation(scenario.with_(tissue={"image": {"file": str(tmp_path / file)}}), "numpy")


def test_a_site_among_several_is_exported_by_its_name(tmp_path):
    sites = "sites:\n  skin: {}\n  lung: {grid: {shape: [8, 6, 4]}}\n"
    record(TEXT + sites, tmp_path / "out")
    for site, shape in (("skin", (4, 5, 70)), ("lung", (4, 6, 8))):
        one = Result(tmp_path / "out", site)
        for name in ("vtkhdf", "ome-zarr"):
            export(one, tmp_path / f"{site}.{name}", name)
        image = vtk_images(tmp_path / f"{site}.vtkhdf")[8]
        assert np.array_equal(image.cell_data["immune"].reshape(shape), one.array("immune", 2))


@pytest.mark.parametrize("name", ["a.vtkhdf", "a.csv"])
def test_a_full_disk_is_said_and_leaves_what_stood_there(result, tmp_path, name):
    """HDF5 ends its process where a write fails; played by a limit on the size of files."""
    (tmp_path / name).write_text("good")
    (tmp_path / (name + ".part")).write_text("a user's own")
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "import gpusim.cli; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)); gpusim.cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "export", str(result.folder), "-o", str(tmp_path / name), "--overwrite"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "cannot be written: File too large" in done.stderr
    assert sorted(os.listdir(tmp_path)) == [name, name + ".part"]
    assert (tmp_path / name).read_text() == "good"


def test_images_are_written_in_this_process_whatever_scheduler_dask_has(tmp_path, result):
    import dask
    import zarr

    def elsewhere(*_, **__):
        raise AssertionError("another scheduler")

    with dask.config.set(scheduler=elsewhere):
        export(result, tmp_path / "out.ome.zarr")
    assert zarr.open_group(tmp_path / "out.ome.zarr", mode="r")["labels"]
