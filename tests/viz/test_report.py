"""The page that compares results: whole, and with nothing to load from elsewhere."""

import re

import pytest

pytest.importorskip("matplotlib")

import gpusim
from gpusim.record import Recorder
from gpusim.viz.report import groups, save_report

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
    row = re.search(r"<td>treated</td><td>[+-]\d+%</td><td>1 (CR|PR|SD|PD)</td>", text)
    assert row, text[text.index("Response") :][:600]


def test_what_is_no_result_is_refused(tmp_path):
    with pytest.raises(gpusim.ResultError, match="no such folder"):
        groups([tmp_path / "none"])
