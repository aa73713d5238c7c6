"""Figures hold the numbers of the result."""

import numpy as np
import pandas as pd
import pytest
from commands import run

pytest.importorskip("pyvista", reason="PyVista is not installed")
mpl = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
mpl.use("Agg")

from matplotlib import pyplot as plt  # noqa: E402

import gpusim  # noqa: E402
from gpusim.record import Recorder, Result  # noqa: E402
from gpusim.viz import plots  # noqa: E402
from gpusim.viz.moment import Moment, moment_of_result  # noqa: E402
from gpusim.viz.palette import THEMES, state_colours  # noqa: E402
from gpusim.viz.plots import results as results_plots  # noqa: E402


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    scenario = gpusim.Scenario.load(
        "cold-to-hot",
        {"grid.shape": [20, 20, 12], "tissue.shapes.tumour.radius": "80 um", "record.every": "15 min"},
    )
    found = []
    for seed in (1, 2, 3):
        folder = tmp_path_factory.mktemp("plots") / "out"
        with gpusim.Simulation(scenario, "numpy", seed=seed) as simulation, Recorder(simulation, folder) as recorder:
            for _ in simulation.stretches("45 min"):
                recorder.record()
            recorder.finish()
        found.append(Result(folder))
    return found


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def ball():
    """A tumour of 200 um in a lattice of 640 um, with a field that is its distance from the middle."""
    offset = (np.arange(32) - 15.5) * 20.0
    distance = np.sqrt(offset[:, None, None] ** 2 + offset[:, None] ** 2 + offset**2).astype(np.float32)
    tissue = np.where(distance <= 200, 1, 0).astype(np.uint8)
    immune = np.full(tissue.shape, 2, np.uint8)
    immune[distance <= 60] = 3
    document = gpusim.Scenario.load("cold-to-hot").document
    states = ["healthy", "tumour", "none", "ctl"]
    return Moment(document, tissue, immune, lambda name: distance, states, 20.0, 1440.0)


def test_a_profile_goes_by_the_distance_from_the_edge():
    moment = ball()
    depth = plots.depth_in_tumour(moment)
    edges = np.arange(-100.0, 201.0, 20.0)
    distance = plots.profile(moment, "virus", depth, edges)
    middles = (edges[1:] + edges[:-1]) / 2
    # A field that is the distance from the centre, by depth below a sphere of 200 um, is 200 um - depth.
    # Half a voxel off at most, but for the last two shells, which are of a few voxels.
    assert distance[middles < 140] == pytest.approx(200 - middles[middles < 140], abs=10)
    cells = plots.profile(moment, "ctl", depth, edges)
    assert cells[(middles > 150) & (middles < 180)] == pytest.approx(1 / 0.02**3)  # full voxels of 20 um, per mm^3
    assert cells[middles < 120] == pytest.approx(0)


def test_a_band_spans_the_replicates(results):
    axes = plots.counts(results, ["tumour", "infected"])
    line, band = axes.lines[0], axes.collections[0]
    tables = [result.counts["cells.tumour"] for result in results]
    assert list(line.get_ydata()) == list(np.median(tables, axis=0))
    drawn = band.get_paths()[0].vertices[:, 1]
    assert drawn.min() == np.min(tables)
    assert drawn.max() == np.max(tables)
    assert axes.get_xlabel() == "time, days"
    assert len(plots.counts(results[0]).collections) == 0
    with pytest.raises(gpusim.ResultError, match="expected a result"):
        plots.counts([])


def test_curves_are_in_a_panel_for_each_unit(results):
    figure = plots.curves(results)
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels[:4] == ["tissue cells", "immune cells", "fields, mmHg, mean", "fields, ng"]
    assert len(set(labels)) == len(labels)
    lines = {line.get_label(): line.get_ydata() for axes in figure.axes for line in axes.lines}
    totals = [result.counts["total.virus"] for result in results]
    assert list(lines["virus"]) == list(np.median(totals, axis=0))
    figure.canvas.draw()
    columns: dict[bool, list[tuple[float, str]]] = {}
    for axes in figure.axes:
        box = axes.get_window_extent()
        columns.setdefault(box.x0 > figure.bbox.width / 2, []).append((box.y0, axes.get_xlabel()))
    assert len(figure.axes) > 5
    assert set(columns) == {False, True}
    for column in columns.values():
        assert [label for _, label in sorted(column)] == ["time, days", *[""] * (len(column) - 1)]
    assert {"0", "10"} <= {tick.get_text() for tick in figure.axes[0].get_yticklabels()}
    panel = next(axes for axes in figure.axes if "PFU" in axes.get_ylabel())
    drawn = panel.collections[0].get_paths()[0].vertices[:, 1]
    assert drawn.max() == np.max(totals)
    changing = [c for c in results[0].counts if c.startswith("body.") and results[0].counts[c].nunique() > 1]
    assert sum(len(axes.lines) for axes in figure.axes if axes.get_ylabel().startswith("body")) >= len(changing) > 0
    with pytest.raises(gpusim.ResultError, match="expected a result"):
        plots.curves([])


def test_a_logarithmic_axis_ends_near_the_highest_value(results, monkeypatch):
    """Also where the lowest are beyond all measure."""
    table = results[0].counts.copy()
    table["total.virus"] = np.geomspace(1e-200, 5e4, len(table))
    monkeypatch.setattr(Result, "counts", table)
    figure = plots.curves(results[0])
    panel = next(axes for axes in figure.axes if "PFU" in axes.get_ylabel())
    assert panel.get_yscale() == "log"
    assert panel.get_ylim() == pytest.approx((5e-2, 1e5))


def test_show_draws_curves_into_a_file(results, tmp_path):
    folder = str(results[0].folder)
    for name in ("curves.png", "curves.svg", "curves.pdf"):
        done = run("show", folder, "-o", name, folder=tmp_path)
        assert (done.returncode, done.stdout) == (0, f"{name}\n"), done.stderr
        assert (tmp_path / name).stat().st_size > 1000
    for arguments, message in (
        (["-o", "curves.txt"], "gpusim: curves.txt: expected a name that ends in .png, .svg, .pdf\n"),
        (["-o", "a.png", "--means"], "--means would have no effect"),
    ):
        refused = run("show", folder, *arguments, folder=tmp_path)
        assert refused.returncode == 2
        assert message in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


def test_show_draws_replicates_and_refuses_other_results_together(tmp_path):
    text = "grid: {shape: [4, 4, 4]}\ntime: {until: 1 h}\nstates: {a: {}}\ntissue: {background: a}\n"
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\n{text}")
        arguments = ["--backend", "numpy", "--no-picture", "-o", f"runs/{name}"]
        assert run("run", f"{name}.yaml", *arguments, folder=tmp_path).returncode == 0
    refused = run("show", "runs", "-o", "a.png", folder=tmp_path)
    assert refused.returncode == 2
    assert "2 results that are not replicates of one run; -o is for one, such as runs/one" in refused.stderr
    arguments = ["--backend", "numpy", "--no-picture", "-o", "seeds", "--replicates", "2"]
    assert run("run", "one.yaml", *arguments, folder=tmp_path).returncode == 0
    assert run("show", "seeds", "-o", "a.png", folder=tmp_path).stdout == "a.png\n"


def test_a_kymograph_has_a_column_for_each_snapshot(results):
    axes = plots.kymograph(results[0], "virus")
    values = axes.collections[0].get_array()
    assert values.shape[1] == len(results[0].times)
    moment = moment_of_result(results[0], -1)
    depth = plots.depth_in_tumour(moment_of_result(results[0], 0))
    edges = results_plots._edges(depth, moment.spacing)
    last = plots.profile(moment, "virus", depth, edges)
    assert np.ma.filled(values[:, -1], np.nan) == pytest.approx(last, nan_ok=True)


def test_a_phase_map_has_the_median_and_the_range_of_each_cell():
    rows = [(dose, day, dose + day + noise) for dose in (1, 2, 3) for day in (0, 5) for noise in (-1, 0, 5)]
    table = pd.DataFrame(rows, columns=["dose", "day", "left"])
    axes = plots.phase_map(table, "dose", "day", "left")
    assert axes.images[0].get_array().tolist() == [[1, 2, 3], [6, 7, 8]]
    assert [text.get_text() for text in axes.texts][:2] == ["1\n0 to 6", "2\n1 to 7"]
    with pytest.raises(gpusim.ResultError, match="no column 'doses'"):
        plots.phase_map(table, "doses", "day", "left")


def test_a_section_shows_each_cell_in_its_colour(results):
    moment = moment_of_result(results[0])
    axes = plots.section(moment, z=130)
    pixels = np.asarray(axes.images[0].get_array())
    shown = np.where(moment.immune[6] == moment.states.index("none"), moment.tissue[6], moment.immune[6])
    colours = state_colours(moment.document) | {"empty": THEMES["paper"].gap}
    assert np.allclose(pixels, [[mpl.colors.to_rgb(colours[moment.states[n]]) for n in row] for row in shown])
    assert colours["tumour"] == "#6d89a8"
    with pytest.raises(gpusim.ResultError, match="outside the lattice"):
        plots.section(moment, z=900)


def test_a_tumour_without_an_edge_is_said():
    moment = ball()
    moment.tissue[:] = 0
    with pytest.raises(gpusim.ResultError, match="no edge of a tumour"):
        plots.depth_in_tumour(moment)


def test_a_summary_is_four_figures(results):
    assert len(plots.summary(results[0]).axes) >= 4


def test_sensitivity_is_drawn_with_its_noise():
    rows = [
        {"outcome": "left", "arm": "a", "parameter": p, "mu_star": m, "mu_star_half_width": 0.5, "mu_star_noise": 2.0}
        for p, m in (("rate", 7.0), ("idle", 1.0))
    ]
    (panel,) = plots.sensitivity(pd.DataFrame(rows)).axes
    widths = [bar.get_width() for bar in panel.patches]
    assert widths == [7.0, 1.0, 2.0, 2.0]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["rate", "idle"]
    with pytest.raises(gpusim.ResultError, match="no outcome 'lost' in the table"):
        plots.sensitivity(pd.DataFrame(rows), "lost")


def test_the_arms_of_a_trial_are_dots_at_their_values(tmp_path):
    from gpusim.study.trial import Trial

    scenario = gpusim.Scenario.parse(
        """
        grid: {shape: [4, 4, 4]}
        states: {cell: {}}
        trial:
          replicates: 3
          arms: {few: {}, many: {}}
          outcomes: {left: {count: cell}, other: {count: empty}}
          expected: [{outcome: left, arms: [few, many]}]
        """
    )
    table = pd.DataFrame({"arm": ["few"] * 3 + ["many"] * 3, "seed": [1, 2, 3] * 2, "left": [1.0, 2, 6, 8, 9, 10]})
    (panel,) = plots.arms(Trial(tmp_path, scenario, table.assign(other=0.0))).axes
    drawn = [line.get_xdata() for line in panel.lines]
    np.testing.assert_array_equal(np.concatenate([drawn[0], drawn[2]]), table["left"])
    assert [drawn[1][0], drawn[3][0]] == [2, 9]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["few", "many"]
    with pytest.raises(gpusim.ResultError, match="no outcome 'lost' in the trial"):
        plots.arms(Trial(tmp_path, scenario, table), ["lost"])


def test_names_in_a_volcano_do_not_cover_each_other():
    names = [f"recruitment_of_cells_{i}" for i in range(14)]
    fold = np.linspace(1.0, 1.05, 14) * np.where(np.arange(14) % 2, 1, -1)
    table = pd.DataFrame({"rule": names, "log2_fold": fold, "q": np.linspace(0.001, 0.0012, 14)})
    axes = plots.volcano(table, "one", "other")
    axes.figure.draw_without_rendering()
    frame = axes.get_window_extent()
    named = [text for text in axes.texts if text.get_text()]
    boxes = [text.get_window_extent() for text in named]
    assert 6 <= len(boxes) <= 12
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)
    assert {text.get_text() for text in named} <= set(names)
