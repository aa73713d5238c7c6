from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from machines import first_backend

import gpusim
from gpusim import Scenario, ScenarioError
from gpusim.model import build

CORES = Path(__file__).parents[2].parent / "shared" / "data"

TEXT = """
grid: {spacing: 10 um}
states: {tumour: {}, stroma: {}, ctl: {layer: immune}}
tissue:
  cells: cells.csv
  margin: 20 um
  depth: {thickness: 10 um}
  types:
    - {state: tumour, where: {region: tumor}}
    - {state: stroma, where: {region: stroma, CD8: 0}}
    - {state: ctl, where: {CD8: 1}}
"""


def scenario(folder, rows, **changes):
    pd.DataFrame(rows, columns=["x_um", "y_um", "region", "CD8"]).to_csv(folder / "cells.csv", index=False)
    (folder / "a.yaml").write_text(TEXT)
    loaded = Scenario.load(folder / "a.yaml")
    return loaded.with_(**changes) if changes else loaded


def test_cells_land_where_they_are(tmp_path):
    found = build(scenario(tmp_path, [(0, 0, "tumor", 0), (30, 0, "stroma", 0), (0, 20, "stroma", 1)])).initial
    assert found.shape == (1, 7, 8)
    assert np.argwhere(found.tissue == 1)[0].tolist() == [0, 2, 2]
    assert np.argwhere(found.tissue == 2)[0].tolist() == [0, 2, 5]
    assert np.argwhere(found.immune == 4)[0].tolist() == [0, 4, 2]


def test_an_origin_keeps_positions(tmp_path):
    rows = [(-45, 12, "tumor", 0), (30, 0, "stroma", 0), (-60, 0, "tumor", 0)]
    changes = {"grid.shape": [10, 5, 1], "tissue.origin": ["-50 um", "-10 um", "0 um"]}
    found = build(scenario(tmp_path, rows).overridden(changes)).initial
    # Voxels of 10 um: (-45 + 50) / 10 and (12 + 10) / 10; the last lies outside.
    assert np.argwhere(found.tissue == 1).tolist() == [[0, 2, 0]]
    assert np.argwhere(found.tissue == 2).tolist() == [[0, 1, 8]]
    assert found.placements[0].left_out == 1


@pytest.mark.parametrize(
    ("origin", "message"),
    [(["1", "1 um", "1 um"], "expected a quantity"), (["-1 min", "1 um", "1 um"], "expected a quantity in 'um'")],
)
def test_an_origin_has_lengths(tmp_path, origin, message):
    with pytest.raises(ScenarioError, match=message):
        scenario(tmp_path, [(0, 0, "tumor", 0)]).overridden({"tissue.origin": origin})


def test_cells_that_collide_are_moved_or_left_out_and_all_counted(tmp_path):
    rows = [(50, 50, "stroma", 0)] * 3 + [(50, 50, "tumor", 0)] * 9
    found = build(scenario(tmp_path, rows)).initial
    tumour, stroma, ctl = found.placements
    # Nine voxels in reach: the tumour stands first in the list of types.
    assert (tumour.rows, tumour.placed, tumour.moved, tumour.left_out) == (9, 1, 8, 0)
    assert (stroma.rows, stroma.placed, stroma.moved, stroma.left_out) == (3, 0, 0, 3)
    assert ctl.rows == 0
    assert (found.tissue == 1).sum() == 9


def test_rows_of_no_type_are_counted(tmp_path):
    found = build(scenario(tmp_path, [(0, 0, "tumor", 0), (9, 9, "skin", 0)])).initial
    assert found.placements[-1].state == "(no type)"
    assert found.placements[-1].left_out == 1


def test_a_section_becomes_a_slab(tmp_path):
    loaded = scenario(tmp_path, [(0, 0, "tumor", 0), (90, 90, "tumor", 0)])
    found = build(loaded.with_(tissue={"depth": {"thickness": "40 um"}})).initial
    assert found.shape[0] == 4
    assert np.array_equal(found.tissue[0], found.tissue[3])


def test_a_section_is_swept_about_its_axis(tmp_path):
    disk = [(x, 0, "tumor", 0) for x in range(0, 201, 10)] + [(100, 200, "stroma", 0)]
    found = build(scenario(tmp_path, disk, tissue={"depth": {"mode": "sweep"}})).initial
    plane = (found.tissue == 1).any(axis=1)
    assert found.shape[0] == found.shape[2]
    # A line through the axis, turned, is a disk of its length.
    assert plane.sum() == pytest.approx(np.pi * 10.5**2, rel=0.05)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x_um,y_um,region,CD8\n1,a,tumor,0\n", "cells.csv:2: column 'y_um': expected a number, found 'a'"),
        ("x_um,y_um,region,CD8\n1,inf,tumor,0\n", "expected a number, found"),
        ("x_um,y,region,CD8\n1,2,tumor,0\n", "no column 'y_um'"),
        ("x_um,y_um,region,CD8\n", "has no rows"),
        ("", "not a table"),
    ],
)
def test_a_bad_table_is_named_with_its_place(tmp_path, text, message):
    loaded = scenario(tmp_path, [(0, 0, "tumor", 0)])
    (tmp_path / "cells.csv").write_text(text)
    with pytest.raises(ScenarioError, match=message):
        build(loaded)


def test_a_missing_table_is_named(tmp_path):
    loaded = scenario(tmp_path, [(0, 0, "tumor", 0)])
    (tmp_path / "cells.csv").unlink()
    with pytest.raises(ScenarioError, match="no such file"):
        build(loaded)


@pytest.mark.skipif(not CORES.is_dir(), reason="the folder of real tumour cores is not here")
@pytest.mark.parametrize("machine", first_backend("numpy", "cpu2"))
@pytest.mark.parametrize(("core", "rows", "cd8"), [("TMA1_3B", 3803, 7), ("TMA3_7B", 1850, 6), ("TMA3_9K", 1803, 83)])
def test_a_real_tumour_core_runs(core, rows, cd8, machine):
    table = CORES / f"tumour_core_{core}.csv"
    loaded = Scenario.load("tissue-core", {"tissue.cells": str(table), "time.until": "2 h", "record.every": "2 h"})
    with gpusim.Simulation(loaded, machine[0], threads=machine[1]) as simulation:
        placements = simulation.model.initial.placements
        assert sum(p.rows for p in placements) == rows
        assert all(p.rows == p.placed + p.moved + p.left_out for p in placements)
        assert sum(p.left_out for p in placements) < 0.02 * rows
        assert sum(p.rows for p in placements if p.state in ("ctl", "bystander")) == cd8
        simulation.run()
        assert simulation.fired["infection"] > 0


def test_a_table_is_found_from_its_file_and_in_an_override_from_here(tmp_path, monkeypatch):
    scenario(tmp_path, [(0, 0, "tumor", 0)])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert build(Scenario.load(tmp_path / "a.yaml")).initial.shape
    (tmp_path / "cells.csv").rename("here.csv")
    assert build(Scenario.load(tmp_path / "a.yaml", {"tissue.cells": "here.csv"})).initial.shape
    with pytest.raises(ScenarioError, match=r"tissue\.cells: core\.csv: no such file"):
        build(Scenario.load("tissue-core"))


def test_usual_columns_need_not_be_named(tmp_path):
    text = TEXT.replace("  margin: 20 um", "  margin: 10 um")
    (tmp_path / "a.yaml").write_text(text)
    for names, z in ((("x_um", "y_um", "z_um"), 30), (("x", "y", "z"), 30), (("x", "y", "z"), 0)):
        rows = [(0, 0, 0, "tumor", 0), (30, 20, z, "stroma", 0)]
        pd.DataFrame(rows, columns=[*names, "region", "CD8"]).to_csv(tmp_path / "cells.csv", index=False)
        found = build(Scenario.load(tmp_path / "a.yaml")).initial
        assert found.shape == ((z + 20) // 10 + 1 if z else 1, 5, 6)
        assert (found.tissue > 0).sum() == 2


@pytest.mark.parametrize("header", ["x,y,z,type\n", "x,y,z,type,volume,cycle entry,custom:GFP\n", ""])
def test_cells_of_physicell_are_read_with_and_without_header(tmp_path, header):
    rows = ["-20,0,5,1", "20,0,-5,2"]
    extra = ",2494,,1" if "volume" in header else ""
    (tmp_path / "cells.csv").write_text(header + "".join(f"{row}{extra}\n" for row in rows))
    scenario = Scenario.parse("""
    states: {tumour: {}, ctl: {layer: immune}}
    tissue:
      cells: cells.csv
      types: [{state: tumour, where: {type: 1}}, {state: ctl, where: {type: 2}}]
    """).with_(tissue={"cells": str(tmp_path / "cells.csv")})
    found = build(scenario).initial
    assert found.shape == (5, 5, 7)
    assert np.argwhere(found.tissue == 1).tolist() == [[2, 2, 2]]
    assert np.argwhere(found.immune == 3).tolist() == [[2, 2, 4]]
    (tmp_path / "cells.csv").write_text(header + f"1,2,3,1{extra}\n1,2,a,1{extra}\n")
    line = 3 if header else 2
    with pytest.raises(ScenarioError, match=rf"cells.csv:{line}: column 'z': expected a number, found 'a'"):
        build(scenario)


ANNDATA = """
grid: {spacing: 10 um}
states: {tumour: {}, ctl: {layer: immune}}
tissue:
  cells: cells.h5ad
  length_unit: 0.5 um
  margin: 20 um
  depth: {thickness: 10 um}
  types: [{state: tumour, where: {cell_type: Tumour}}, {state: ctl, where: {CD8: 1}}]
"""


def write_anndata(path, spatial):
    import anndata

    obs = pd.DataFrame(
        {"cell_type": pd.Categorical(["Tumour", "T cell", "B cell"]), "CD8": [0, 1, 0]}, index=["a", "b", "c"]
    )
    anndata.AnnData(np.zeros((3, 2), np.float32), obs=obs, obsm=spatial).write_h5ad(path)


def test_cells_of_anndata_lie_where_obsm_says(tmp_path):
    (tmp_path / "a.yaml").write_text(ANNDATA)
    write_anndata(tmp_path / "cells.h5ad", {"spatial": np.array([[0, 0], [60, 0], [0, 40.0]])})
    found = build(Scenario.load(tmp_path / "a.yaml")).initial
    assert found.shape == (1, 7, 8)
    assert np.argwhere(found.tissue == 1).tolist() == [[0, 2, 2]]
    assert np.argwhere(found.immune == 3).tolist() == [[0, 2, 5]]
    assert found.placements[-1].rows == 1  # of no type
    write_anndata(tmp_path / "cells.h5ad", {"spatial": np.array([[0, 0, 0], [60, 0, 0], [0, 40, 80.0]])})
    assert build(Scenario.load(tmp_path / "a.yaml")).initial.shape == (9, 7, 8)


def test_an_anndata_file_without_places_or_that_is_none_is_named(tmp_path):
    (tmp_path / "a.yaml").write_text(ANNDATA)
    loaded = Scenario.load(tmp_path / "a.yaml")
    for spatial, message in (
        ({}, r"expected obsm\['spatial'\] with 2 or 3 columns, found none"),
        ({"spatial": np.zeros((3, 4))}, r"found one of shape \(3, 4\)"),
        ({"spatial": np.array([[0, 0], [np.nan, 0], [1, 1]])}, "cells.h5ad:b: column 'spatial x': expected a number"),
    ):
        write_anndata(tmp_path / "cells.h5ad", spatial)
        with pytest.raises(ScenarioError, match=message):
            build(loaded)
    (tmp_path / "cells.h5ad").write_text("no")
    with pytest.raises(ScenarioError, match="can't be read as AnnData"):
        build(loaded)


def test_cells_of_anndata_lie_where_columns_of_obs_or_another_array_say(tmp_path):
    import anndata

    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical(["Tumour", "T cell", "B cell"]),
            "CD8": [0, 1, 0],
            "X_centroid": [0, 60, 0.0],
            "Y_centroid": [0, 0, 40.0],
        },
        index=["a", "b", "c"],
    )
    far = np.array([[0, 0, 7], [600, 0, 7], [0, 400, 7.0]])
    (tmp_path / "a.yaml").write_text(ANNDATA)
    loaded = Scenario.load(tmp_path / "a.yaml")
    for obsm, changes, note in (
        (
            {"spatial": far},
            {"columns": {"x": "X_centroid", "y": "Y_centroid"}},
            "positions of MCMICRO in units of 0.5 um",
        ),
        ({"spatial": far}, {"table": {"format": "mcmicro"}}, "positions of MCMICRO in units of 0.5 um"),
        ({}, {}, "positions of MCMICRO in units of 0.5 um"),
        ({"spatial": far}, {"length_unit": "0.05 um"}, "centres from obsm['spatial']"),
        ({"X_spatial": far}, {"length_unit": "0.05 um"}, "centres from obsm['X_spatial']"),
        ({"spatial": far * 9, "fine": far}, {"length_unit": "0.05 um", "table": {"obsm": "fine"}}, None),
    ):
        anndata.AnnData(np.zeros((3, 2), np.float32), obs=obs, obsm=obsm).write_h5ad(tmp_path / "cells.h5ad")
        found = build(loaded.with_(tissue=changes)).initial
        assert found.shape == (1, 7, 8)
        assert np.argwhere(found.tissue == 1).tolist() == [[0, 2, 2]]
        assert np.argwhere(found.immune == 3).tolist() == [[0, 2, 5]]
        assert found.notes == ((f"tissue.cells: cells.h5ad: read with {note}",) if note else ())
    with pytest.raises(ScenarioError, match=r"no obsm\['coarse'\] \(found: 'fine', 'spatial'\)"):
        build(loaded.with_(tissue={"table": {"obsm": "coarse"}}))


def test_an_anndata_file_that_leads_to_others_or_claims_too_much_is_refused(tmp_path):
    import h5py

    (tmp_path / "a.yaml").write_text(ANNDATA)
    for key, message in (
        ("obs/CD8", "'obs/CD8' lies in another file"),
        ("obsm/spatial", "'obsm/spatial' lies in another"),
    ):
        write_anndata(tmp_path / "cells.h5ad", {"spatial": np.zeros((3, 2))})
        with h5py.File(tmp_path / "cells.h5ad", "a") as file:
            del file[key]
            file[key] = h5py.ExternalLink("other.h5", "/x")
        with pytest.raises(ScenarioError, match=message):
            build(Scenario.load(tmp_path / "a.yaml"))
    write_anndata(tmp_path / "cells.h5ad", {"spatial": np.zeros((3, 2))})
    with h5py.File(tmp_path / "cells.h5ad", "a") as file:
        file["obs"].create_dataset("more", shape=(1 << 45,), dtype="f8", chunks=(1 << 10,))
    with pytest.raises(
        ScenarioError, match=r"cells.h5ad: 'obs' of 256 TiB need 1.02e\+03 TiB|'obs' of 256 TiB need 1024 TiB"
    ):
        build(Scenario.load(tmp_path / "a.yaml"))
