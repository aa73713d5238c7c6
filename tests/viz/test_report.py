"""The page that compares results: whole, and with nothing to load from elsewhere."""

import html
import io
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from commands import run

pytest.importorskip("matplotlib")

from matplotlib import pyplot as plt

import gpusim
from gpusim.analysis.response import Reading
from gpusim.analysis.survival import Event, Times
from gpusim.record import Recorder, Result
from gpusim.scenario import wording
from gpusim.study.verdict import Comparison, Verdict
from gpusim.viz import plots
from gpusim.viz.moment import moment_of_result
from gpusim.viz.plots.style import from_zero
from gpusim.viz.plots.trials import change_of_diameters
from gpusim.viz.report import Given, courses, curves, methods, page, runs, save_report, space

pytestmark = pytest.mark.slow

SMALL = {
    "grid.shape": [12, 12, 12],
    "tissue.shapes.tumour.radius": "80 um",
    "tissue.shapes.dc.fraction": 0.02,
    "record.every": "6 hour",
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    base, made = tmp_path_factory.mktemp("compare"), []
    for name, more in (("treated", {}), ("<untreated>", {"therapies": None})):
        scenario = gpusim.Scenario.load("cold-to-hot", SMALL | more).ending("12 hour")
        with gpusim.Simulation(scenario) as simulation, Recorder(simulation, base / name) as recorder:
            for _ in simulation.stretches():
                recorder.record()
            recorder.finish()
        made.append(base / name)
    return made


def test_results_are_compared_on_one_page_that_loads_nothing(folders, tmp_path):
    save_report(folders, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    headings = re.findall(r"<h2>(.*?)</h2>", text)
    assert headings[:4] == ["All tumour cells", "Tumour heat", "Sum of diameters", "Response"]
    assert {"PD-L1", "Hits by T cells"} <= set(headings)
    assert "<h1>cold-to-hot</h1>" in text
    description = gpusim.Scenario.load("cold-to-hot").document.description
    assert text.count(f"<p>{html.escape(description)}</p>") == 1
    assert "Mean over cells: tumour; exposed; infected." in text
    traits = gpusim.Scenario.load("cold-to-hot").document.traits
    assert text.count("<svg") == 8 + len(
        traits
    )  # three curves, waterfall, spider, virus, body, infiltration; a curve each
    assert text.count("data:image/jpeg;base64,") == 2
    assert "treated" in text
    assert "&lt;untreated&gt;" in text
    assert "<untreated>" not in re.sub(r"<!--.*?-->", "", text)
    assert not re.search(r"""(src|href)=["'](https?:)?//""", text)
    row = re.search(r"<td>treated</td><td>[+-]\d+%</td><td></td><td>1 (CR|PR|SD|PD)</td>", text)
    assert row, text[text.index("Response") :][:600]
    sources = text[text.index("Sources of the numbers") :]
    assert re.search(r"<td>treated</td>(<td>\d+</td>){4}<td>1</td></tr>", sources)  # the fraction was changed
    assert "Immunity 44(2):233-245" in sources


def test_pictures_of_one_report_share_their_colours(folders, tmp_path, monkeypatch):
    """One span for all arms and times, above what any of them reaches but for a few voxels; the page says it."""
    looks = []

    def picture(moments, look, size):
        looks.append(look)
        return np.zeros((*size[::-1], 3), np.uint8), []

    monkeypatch.setattr(runs, "picture", picture)
    monkeypatch.setattr(runs, "_shown_field", lambda moment: ("virus", "virus, PFU/voxel"))
    save_report(folders, tmp_path / "report.html")
    assert len(looks) == 2
    (span,) = {look.span for look in looks}
    results = [Result(folder) for folder in folders]
    moments = [moment_of_result(result, i) for result in results for i in range(len(result.times))]
    top = max(float(np.quantile(moment.values("virus"), 0.999)) for moment in moments)
    assert 0 < top <= span[1] <= 2 * top
    assert {look.field for look in looks} == {"virus"}
    text = (tmp_path / "report.html").read_text()
    assert f"for all times: virus, PFU/voxel, from 0 to {span[1]:g}." in text
    assert "All tumour cells: tumour, exposed, infected." in text


def test_only_an_order_that_held_has_a_tick():
    def verdict(p, seeds, difference=1.0):
        return Verdict("left", {"a": 1.0, "b": 2.0}, (Comparison("a", "b", difference, (0, 2), 1.0, p),), seeds)

    text = runs.verdicts([verdict(0.01, 8), verdict(0.25, 2), verdict(0.5, 8)])
    assert re.findall(r"<li class=(\w+)>(\S+)", text) == [
        ("held", "held:"),
        ("too_few", "in"),
        ("not_held", "NOT"),
    ]
    assert re.findall(r"li\.(\w+)::marker {{ content: \"(\S+)", page.PAGE) == [
        ("held", "\\2713"),
        ("not_held", "\\2717"),
        ("too_few", "?"),
    ]


def test_the_lesions_of_each_site_stand_apart():
    start, end = {"injected": 100.0, "distant": 80.0, "lung": 0.0, "liver": 0.0}, {"injected": 10.0, "distant": 60.0}
    run = [Reading(0.0, start, {}, 0.0), Reading(1440.0, end | {"lung": 12.0, "liver": 0.0}, {}, 0.0)]
    assert "<td>-54%</td><td>injected -90%, distant -25%, lung new in 2 of 2, liver none</td>" in runs._responses(
        {"virus": [run, run]}
    )


def test_each_of_several_sites_has_its_curves():
    end = Reading(1440.0, {"primary": 50.0, "lung": 60.0}, {}, 0.0)
    two = [Reading(0.0, {"primary": 100.0, "lung": 50.0}, {}, 0.0), end]
    one = [Reading(0.0, {"primary": 80.0}, {}, 0.0), Reading(1440.0, {"primary": 90.0}, {}, 0.0)]
    text = runs._by_site({"virus": [two, two], "control": [one]}, lambda reading: reading.diameters, "um")
    assert re.findall("<h3>(.*?)</h3>", text) == ["primary", "lung"]
    assert text.count("<svg") == 2
    assert runs._by_site({"control": [one]}, lambda reading: reading.diameters, "um") == ""


def test_tumour_cells_have_curves_of_each_site():
    document = gpusim.Scenario.load("abscopal").document
    columns = ("cells.", "primary.cells.", "distant.cells.")
    counts = pd.DataFrame({"minutes": [0.0, 60.0]} | {f"{c}{s}": [9, 5] for c in columns for s in document.states})
    both = SimpleNamespace(counts=counts, sites=["primary", "distant"], scenario=SimpleNamespace(document=document))
    text = runs.tumour_cells_over_time({"virus": [both], "control": [both]}, "tumour cells")
    assert re.findall("<h3>(.*?)</h3>", text) == ["primary", "distant"]
    assert text.count("<svg") == 3


def test_arms_of_several_runs_have_a_volcano_of_their_rules():
    def result(seed, firings):
        counts = pd.DataFrame([{"minutes": 60.0, "fired.lysis": firings, "fired.death": 20 + seed % 3}])
        return SimpleNamespace(counts=counts, scenario=SimpleNamespace(document=SimpleNamespace(seed=seed)))

    arms = {"slow": [result(i, 10 + i) for i in (1, 2, 3)], "fast": [result(i, 50 + 3 * i) for i in (1, 2, 3)]}
    assert runs.firings(arms).count("<svg") == 1
    assert runs.firings({arm: results[:2] for arm, results in arms.items()}) == ""


def test_a_result_without_heat_or_fields_is_compared_and_drawn(tmp_path):
    text = "{grid: {shape: [4, 4, 4]}, time: {until: 12 min}, states: {tumour: {}}, tissue: {background: tumour}}"
    with gpusim.Simulation(gpusim.Scenario.parse(text), "numpy") as simulation:
        with Recorder(simulation, tmp_path / "plain") as recorder:
            simulation.run()
            recorder.record()
            recorder.finish()
        assert moment_of_result(Result(tmp_path / "plain"), -1).values("all tissue cells").sum() == 64
    save_report([tmp_path / "plain"], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "<h2>All tissue cells</h2>" in text
    assert "as the scenario has no 'heat': plain" in text
    assert "<h2>Response</h2>" not in text
    assert text.count("data:image/jpeg") >= 1


@pytest.mark.parametrize("name", [r"$\frac$", "$x", "a$^b$"])
def test_a_folder_may_have_the_name_of_a_formula(name):
    days = np.linspace(0, 1, 3)
    figure = runs._figure({name: (days, np.ones((2, 3)))}, "cells")
    figure.savefig(io.BytesIO(), format="svg")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [name]


def test_what_is_no_result_is_refused(tmp_path):
    with pytest.raises(gpusim.ResultError, match="no such folder"):
        Given.of([tmp_path / "none"])


@pytest.mark.parametrize(
    ("values", "bottom"), [([100, 110, 120], 98.5), ([100, 150, 210], 0), ([0, 5, 9], 0), ([3, 3, 3], 0)]
)
def test_differences_of_a_few_percent_fill_the_axis(values, bottom):
    days = np.arange(3.0)
    figure = runs._figure({"a": (days, np.array([values, values], float))}, "cells")
    assert figure.axes[0].get_ylim()[0] == pytest.approx(bottom, abs=0.6)


def test_an_axis_of_negative_values_is_left_as_it_is():
    assert not from_zero(np.array([-1.0, 5.0, np.nan]))
    assert from_zero(np.array([np.nan, np.inf]))


def test_the_virus_infected_cells_and_a_changing_body_have_panels(monkeypatch):
    scenario = gpusim.Scenario.load("cold-to-hot")
    document = scenario.document
    drawn = []
    monkeypatch.setattr(courses, "panels", lambda found, labels: drawn.append((found, labels)))
    monkeypatch.setattr(courses, "inline", lambda figure: "<svg>")
    monkeypatch.setattr(courses, "_of_virus", lambda result: iter([("virus, PFU", lambda c: c["total.virus"] * 2)]))
    zero = np.zeros(3)
    columns = {f"body.{name}": zero for name in document.body.quantities} | {"total.virus": [0.0, 5.0, 9.0]}
    changing = next(iter(document.body.quantities))
    counts = pd.DataFrame({"minutes": [0.0, 1440.0, 2880.0]} | columns | {f"body.{changing}": [0.0, 1.0, 0.0]})
    result = SimpleNamespace(counts=counts, scenario=scenario, document=document)
    text = courses.part({"a": [result, result], "b": [result]})
    assert re.findall("<h2>(.*?)</h2>", text) == ["Virus and infected cells", "Body"]
    assert "Infected cells: exposed; infected" in text
    (virus, labels), (body, _) = drawn
    assert labels == ["a", "b"]
    days, values = virus["virus, PFU"]["a"]
    assert days.tolist() == [0, 1, 2]
    assert values.tolist() == [[0, 10, 18]] * 2
    assert len(body) == 1
    assert next(iter(body)).startswith(document.body.quantities[changing].label or changing.replace("_", " "))


def test_panels_have_one_legend_and_a_wide_one_is_logarithmic():
    days = np.arange(4.0)
    few, wide = np.array([[1.0, 2, 3, 4]]), np.array([[0.0, 1e9, 1e3, 1e2]])
    figure = curves.panels({"few": {"b": (days, few)}, "wide": {"a": (days, wide), "b": (days, wide)}}, ["a", "b"])
    left, right = figure.axes
    assert (left.get_yscale(), right.get_yscale()) == ("linear", "symlog")
    assert left.lines[0].get_color() == right.lines[1].get_color()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    figure.draw_without_rendering()
    assert "10⁸" in [tick.get_text() for tick in right.get_yticklabels()]


def test_a_folder_with_an_underscore_has_its_place_in_the_legend():
    series = {"_out": (np.array([0.0, 1.0]), np.ones((1, 2)))}
    (legend,) = [axes.get_legend() for axes in runs._figure(series, "cells").axes]
    assert [text.get_text() for text in legend.get_texts()] == ["_out"]


def test_results_without_heat_give_no_figures_of_it(tmp_path, recwarn):
    empty = gpusim.Scenario.parse("grid: {shape: [4, 4, 4]}")
    with gpusim.Simulation(empty, "numpy") as simulation, Recorder(simulation, tmp_path / "out") as recorder:
        recorder.finish()
    save_report([tmp_path / "out"], tmp_path / "page.html", pictures=False)
    assert (tmp_path / "page.html").read_text().count("<svg") == 1
    assert not recwarn.list


def test_a_paragraph_on_methods_names_model_lattice_seeds_program_and_digest(folders):
    results = {name: [Result(folder)] for name, folder in zip(("a", "b"), folders, strict=True)}
    text = methods.paragraph(results)
    summary = Result(folders[0]).summary
    document = Result(folders[0]).scenario.document
    for expected in (
        f"gpusim {gpusim.__version__} ({summary['backend']} backend)",
        "scenario cold-to-hot, for 12 h on a lattice of 12 x 12 x 12 voxels of 20 um.",
        f"{len(document.states)} cell states, {len(document.fields)} fields",
        f"{len(document.rules)} stochastic rules",
        f"The 2 arms (a and b) were run with the same seed {document.seed}.",
        f"the digest of the last state of the first run (seed {document.seed}) is {summary['digest']}.",
    ):
        assert expected in text
    assert "  " not in text


def test_methods_name_the_lattices_of_sites_therapies_and_what_arms_change():
    def site(name, *shape):
        return SimpleNamespace(site=name, spacing=20.0, array=lambda *_: np.zeros(shape))

    large, small, same = site("primary", 28, 28, 24), site("lung", 10, 20, 20), site("liver", 28, 28, 24)
    assert methods._lattices([large, small, same]) == (
        "lattices of 24 x 28 x 28 voxels of 20 um (primary and liver) and 20 x 20 x 10 voxels of 20 um (lung)"
    )
    assert methods._lattices([large, same]).endswith(" at each of 2 sites (primary and liver)")
    treated = gpusim.Scenario.load("cold-to-hot")
    (name, therapy), *_ = treated.document.therapies.items()
    arms = {"treated": treated, "untreated": gpusim.Scenario.load("cold-to-hot", {"therapies": None})}
    found = methods._therapies({arm: [SimpleNamespace(scenario=scenario)] for arm, scenario in arms.items()})
    assert found[0].startswith(f"Therapies in treated: {name} (")
    assert wording.gives(therapy) in found[0]
    assert wording.schedule(therapy) in found[0]
    assert found[1] == "Therapies in untreated: none."
    immune = gpusim.Scenario.load("cold-to-hot", {"body.quantities.antibody.initial": "10 ug/mL"})
    hosts = {"naive": [SimpleNamespace(scenario=treated)], "immune": [SimpleNamespace(scenario=immune)]}
    naive, told = methods._at_the_start(hosts)
    assert "10 ug/mL" in told
    assert naive == "Initial quantities of the body in naive: none."
    assert methods._at_the_start({"naive": hosts["naive"]}) == []
    assert methods._changed("untreated", {"therapies": None, "fields.virus.decay": "1 /day"}) == (
        "untreated, without therapies and fields.virus.decay = 1 /day"
    )
    assert methods._changed("control", {}) == "control, nothing"


def runs_of(*diameters):
    return [[Reading(1440.0 * i, {"primary": d}, {}, 0.0) for i, d in enumerate(run)] for run in diameters]


def test_waterfall_and_spider_plots_have_the_changes_of_each_run():
    read = {"control": runs_of((100, 120, 150)), "virus": runs_of((100, 50, 80), (200, 0, 0))}
    (axes,) = plots.waterfall(read).axes
    # Then two empty bars, for the legend.
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([20, -50, -100, 0, 0])
    (axes,) = plots.spider(read).axes
    assert axes.lines[1].get_ydata().tolist() == pytest.approx([0, -50, -20])
    assert change_of_diameters(runs_of((0, 0, 30))[0]).tolist() == [0, 0, np.inf]
    plt.close("all")


def test_a_kaplan_meier_plot_has_the_shares_and_the_runs_at_risk():
    times = Times(np.array([1.0, 2.0, 4.0, 4.0]) * 1440, np.array([True, True, False, False]), (1, 2, 3, 4))
    axes, below = plots.survival({"virus": times}, Event.PROGRESSION).axes
    days, share = axes.lines[0].get_data()
    assert dict(zip(days, share, strict=True)) == pytest.approx({0: 1, 1: 0.75, 2: 0.5, 4: 0.5})
    assert [text.get_text() for text in below.texts] == ["4", "4", "3", "2", "2"]
    assert axes.get_ylabel() == "runs without progression"
    plt.close("all")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A swept study of a small grid, by the command."""
    pytest.importorskip("pyarrow")
    folder = tmp_path_factory.mktemp("study")
    (folder / "decay.yaml").write_text(
        "name: decay\ngrid: {shape: [6, 6, 6]}\ntime: {until: 2 hour, step: {rules: 10 min}}\n"
        "states: {tumour: {role: tumour}}\ntissue: {background: tumour}\n"
        "rules: {death: {transition: tumour -> empty, rate: 0.1 /hour}}\n"
    )
    (folder / "study.yaml").write_text(
        "name: decay\nscenario: decay.yaml\ndescription: Does <death> matter?\n"
        "parameters: {rules.death.rate: [0.1 /hour, 0.4 /hour], time.until: [1 hour, 2 hour]}\n"
        "replicates: 2\noutcomes: {left: {count: tumour}}\n"
    )
    done = run("sweep", "study.yaml", "--workers", "1", folder=folder)
    return folder, done


def test_a_sweep_prints_a_row_for_each_point_and_leaves_tables_and_figures(study):
    folder, done = study
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    (head,) = [i for i, line in enumerate(lines) if line.startswith("rules.death.rate, /hour")]
    assert lines[head].split()[-1] == "left"
    results = folder / "results" / "decay"
    points = pd.read_csv(results / "points.csv")
    for line, row in zip(lines[head + 1 :], points.to_dict("records"), strict=False):
        assert line.split()[:2] == [f"{row['rules.death.rate']:g}", f"{row['time.until']:g}"]
        assert f"{row['left median']:.4g}" in line
    runs_table = pd.read_parquet(results / "table.parquet")
    assert pd.read_csv(results / "table.csv").drop(columns="failure").shape == (8, runs_table.shape[1] - 1)
    assert points["left median"].tolist() == runs_table.groupby("point")["left"].median().tolist()
    assert {path.name for path in (results / "figures").iterdir()} == {"map.png", "variance.png", "effects.png"}
    # A rate of four times and twice the time: exp(-0.1) of 216 cells are left at first, exp(-0.8) at last.
    assert points["left median"].iloc[0] == pytest.approx(216 * np.exp(-0.1), abs=15)
    assert points["left median"].iloc[-1] == pytest.approx(216 * np.exp(-0.8), abs=22)


def test_a_report_on_a_study_has_its_points_and_figures(study, tmp_path):
    folder, _ = study
    save_report([folder / "results" / "decay"], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "Does &lt;death&gt; matter?" in text
    assert text.count("<svg") == 3
    assert text.count("<tr>") == 5
    assert "4 points, 8 runs, 0 failed" in text
    save_report([folder / "results" / "decay"], tmp_path / "report.html", dose="rules.death.rate")
    assert "expected 4 doses of 0 or more, found 2" in (tmp_path / "report.html").read_text()
    with pytest.raises(
        gpusim.ResultError, match=r"'rules.deth.rate' is no swept number .*did you mean 'rules.death.rate'"
    ):
        save_report([folder / "results" / "decay"], tmp_path / "report.html", dose="rules.deth.rate")


def test_a_study_without_a_table_or_with_a_changed_one_is_refused(study, tmp_path):
    folder, _ = study
    copy = tmp_path / "copy"
    shutil.copytree(folder / "results" / "decay", copy)
    with (copy / "table.parquet").open("ab") as file:
        file.write(b"x")
    with pytest.raises(gpusim.ResultError, match=r"table\.parquet"):
        save_report([copy], tmp_path / "report.html")
    (copy / "table.parquet").unlink()
    (copy / "SHA256SUMS").unlink()
    with pytest.raises(gpusim.ResultError, match="no table yet"):
        save_report([copy], tmp_path / "report.html")


def test_sections_are_of_the_last_time_at_which_all_have_tumour_cells():
    document = gpusim.Scenario.load("cold-to-hot").document

    def result(*cells, every=60.0):
        minutes = every * np.arange(len(cells))
        columns = {f"cells.{state}": np.zeros(len(cells)) for state in document.states} | {"cells.tumour": cells}
        counts = pd.DataFrame({"minutes": minutes} | columns)
        scenario = SimpleNamespace(document=document)
        return SimpleNamespace(counts=counts, times=minutes, site="a", sites=["a"], scenario=scenario)

    treated, control = result(9, 4, 1, 0, 0), result(9, 12, 15, 18, 21)
    assert space.snapshots({"treated": treated, "control": control}) == {"treated": 2, "control": 2}
    assert space.snapshots({"control": control}) == {"control": 4}
    assert space.snapshots({"treated": treated, "often": result(*[9] * 20, every=30.0)}) == {"treated": 2, "often": 4}
    assert space.snapshots({"healthy": result(0, 0)}) == {"healthy": 1}


def test_each_of_several_sites_has_its_section_and_its_heat(tmp_path):
    sites = {"sites": {"primary": {}, "distant": {"tissue": {"shapes": {"tumour": {"radius": "60 um"}}}}}}
    scenario = gpusim.Scenario.load("cold-to-hot", SMALL | sites).ending("2 hour")
    with gpusim.Simulation(scenario) as simulation, Recorder(simulation, tmp_path / "out") as recorder:
        for _ in simulation.stretches():
            recorder.record()
        recorder.finish()
    result = Result(tmp_path / "out")
    text = space.part({"out": [result]}, [], None)
    assert re.findall("<th[^>]*>(out.*?)</th>", text) == ["out, primary, 2 h", "out, distant, 2 h"]
    heat, diameters, *_ = runs.lesions({"out": [result]})
    assert re.findall("<h3>(.*?)</h3>", heat) == re.findall("<h3>(.*?)</h3>", diameters) == ["primary", "distant"]


def test_a_real_section_is_compared_with_a_result(folders, tmp_path):
    rows = [
        f"{20 * i + 5},{20 * j + 5},{'tumor' if i < 15 else 'stroma'},{int(i == 20)},{int(i == 20)},0"
        for i in range(30)
        for j in range(20)
    ]
    (tmp_path / "core.csv").write_text("x_um,y_um,region,CD3,CD8,FOXP3\n" + "\n".join(rows) + "\n")
    done = run("compare", str(folders[0]), "core.csv", "--no-pictures", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "report.html").read_text()
    space = text[text.index("CD8 cells in space") :]
    # 20 CD8 cells in 0.4 mm x 0.3 mm outside the tumour, and none inside.
    row = re.search(r"<td>outside, /mm²</td><td>(\d+)</td>", space)
    assert int(row[1]) == round(20 / (0.4 * 0.3))
    assert re.search(r"<td>in tumour, /mm²</td><td>0</td>", space)
    refused = run("compare", "core.csv", folder=tmp_path)
    assert refused.returncode == 2
    assert "expected one result" in refused.stderr
