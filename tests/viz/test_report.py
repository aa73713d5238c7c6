"""The page that compares results: whole, and with nothing to load from elsewhere."""

import io
import re

import numpy as np
import pytest

pytest.importorskip("matplotlib")

import gpusim
from gpusim.analysis.response import Reading
from gpusim.record import Recorder, Result
from gpusim.study.verdict import Comparison, Verdict
from gpusim.viz import report
from gpusim.viz.moment import TUMOUR_CELLS, moment_of_result
from gpusim.viz.report import _figure, _responses, _verdicts, groups, save_report

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
    page = tmp_path / "report.html"
    save_report(folders, page)
    text = page.read_text()
    assert text.count("<svg") == 3
    assert text.count("data:image/png;base64,") == 2
    assert "treated" in text
    assert "&lt;untreated&gt;" in text
    assert "<untreated>" not in re.sub(r"<!--.*?-->", "", text)
    assert not re.search(r"""(src|href)=["'](https?:)?//""", text)
    row = re.search(r"<td>treated</td><td>[+-]\d+%</td><td></td><td>1 (CR|PR|SD|PD)</td>", text)
    assert row, text[text.index("Response") :][:600]


def test_pictures_of_one_report_share_their_colours(folders, tmp_path, monkeypatch):
    """One span for all arms and times, above what any of them reaches but for a few voxels; the page says it."""
    looks = []

    def save_picture(moment, path, look, size):
        looks.append(look)
        path.write_bytes(b"")

    monkeypatch.setattr(report, "save_picture", save_picture)
    monkeypatch.setattr(report, "_shown_field", lambda moment: ("virus", "virus, PFU/voxel"))
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
    assert "All tumour cells: tumour, tumour_pdl1, exposed, infected." in text


def test_only_an_order_that_held_has_a_tick():
    def verdict(p, seeds, difference=1.0):
        return Verdict("left", {"a": 1.0, "b": 2.0}, (Comparison("a", "b", difference, (0, 2), 1.0, p),), seeds)

    page = _verdicts([verdict(0.01, 8), verdict(0.25, 2), verdict(0.5, 8)])
    assert re.findall(r"<li class=(\w+)>(\S+)", page) == [
        ("held", "held:"),
        ("too_few", "in"),
        ("not_held", "NOT"),
    ]
    assert re.findall(r"li\.(\w+)::marker {{ content: \"(\S+)", report._PAGE) == [
        ("held", "\\2713"),
        ("not_held", "\\2717"),
        ("too_few", "?"),
    ]


def test_the_lesions_of_each_site_stand_apart():
    start, end = {"injected": 100.0, "distant": 80.0, "lung": 0.0, "liver": 0.0}, {"injected": 10.0, "distant": 60.0}
    run = [Reading(0.0, start, 0.0), Reading(1440.0, end | {"lung": 12.0, "liver": 0.0}, 0.0)]
    assert "<td>-54%</td><td>injected -90%, distant -25%, lung new in 2 of 2, liver none</td>" in _responses(
        {"virus": [run, run]}
    )


def test_a_result_without_heat_or_fields_is_compared_and_drawn(tmp_path):
    text = "{grid: {shape: [4, 4, 4]}, time: {until: 12 min}, states: {tumour: {}}, tissue: {background: tumour}}"
    with gpusim.Simulation(gpusim.Scenario.parse(text), "numpy") as simulation:
        with Recorder(simulation, tmp_path / "plain") as recorder:
            simulation.run()
            recorder.record()
            recorder.finish()
        assert moment_of_result(Result(tmp_path / "plain"), -1).values(TUMOUR_CELLS).sum() == 64
    save_report([tmp_path / "plain"], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "as the scenario has no 'heat': plain" in page
    assert "<h2>Response</h2>" not in page
    assert page.count("data:image/png") >= 1


@pytest.mark.parametrize("name", [r"$\frac$", "$x", "a$^b$"])
def test_a_folder_may_have_the_name_of_a_formula(name):
    days = np.linspace(0, 1, 3)
    figure = _figure({name: (days, np.ones((2, 3)))}, "cells")
    figure.savefig(io.BytesIO(), format="svg")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [name]


def test_what_is_no_result_is_refused(tmp_path):
    with pytest.raises(gpusim.ResultError, match="no such folder"):
        groups([tmp_path / "none"])


def test_a_folder_with_an_underscore_has_its_place_in_the_legend():
    series = {"_out": (np.array([0.0, 1.0]), np.ones((1, 2)))}
    (legend,) = [axes.get_legend() for axes in _figure(series, "cells").axes]
    assert [text.get_text() for text in legend.get_texts()] == ["_out"]


def test_results_without_heat_give_no_figures_of_it(tmp_path, recwarn):
    empty = gpusim.Scenario.parse("grid: {shape: [4, 4, 4]}")
    with gpusim.Simulation(empty, "numpy") as simulation, Recorder(simulation, tmp_path / "out") as recorder:
        recorder.finish()
    save_report([tmp_path / "out"], tmp_path / "page.html", pictures=False)
    assert (tmp_path / "page.html").read_text().count("<svg") == 1
    assert not recwarn.list
