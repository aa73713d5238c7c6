"""Sections of results and of tables: one code, one definition of the edge, densities per area of a section."""

import textwrap

import numpy as np
import pytest
from commands import run

import gpusim
from gpusim.analysis.sections import infiltration, section, sections, summary, table_section
from gpusim.errors import ScenarioError
from gpusim.record import Recorder, Result

TYPES = """
extends: [biology, hsv1]
name: typed
grid: {spacing: 20 um}
time: {until: 12 min}
record: {every: 12 min}
fields: {oxygen: {boundary: {z: {value: 30 mmHg}}}}
tissue:
  background: empty
  cells: core.csv
  types:
    - {state: ctl, where: {kind: cd8}}
    - {state: infected, where: {kind: infected}}
    - {state: tumour, where: {kind: tumour}}
    - {state: stroma, where: {kind: stroma}}
  depth: {mode: slab, thickness: 40 um}
  margin: 0 um
"""
RADIUS, OUTER = 200.0, 400.0


def core(shift=0.0):
    """A round core of a tumour of 200 um in stroma, a cell in each tile of 20 um; CD8 cells in every fourth outside."""
    rows = ["x_um,y_um,kind"]
    for i in range(44):
        for j in range(44):
            x, y = 20.0 * i + 10 + shift, 20.0 * j + 10 + shift
            distance = np.hypot(i - 21.5, j - 21.5) * 20
            if distance < OUTER:
                rows.append(f"{x},{y},{'tumour' if distance < RADIUS else 'stroma'}")
                if distance >= RADIUS and i % 2 == j % 2 == 0:
                    rows.append(f"{x},{y},cd8")
    return "\n".join(rows) + "\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    here = tmp_path_factory.mktemp("sections")
    (here / "core.csv").write_text(core())
    (here / "typed.yaml").write_text(TYPES)
    scenario = gpusim.Scenario.load(here / "typed.yaml")
    with gpusim.Simulation(scenario, "numpy") as simulation, Recorder(simulation, here / "out") as recorder:
        for _ in simulation.stretches():
            recorder.record()
        recorder.finish()
    return here


def document(folder):
    return gpusim.Scenario.load(folder / "typed.yaml").document


def test_infiltration_by_distance_from_the_edge(folder):
    """2,500 / 4 CD8 cells per mm^2 outside the tumour, none inside; the core's own outline is no edge."""
    pattern = table_section(folder / "core.csv", document(folder))
    found = infiltration(pattern)
    inside, outside = found[found["from_um"] >= 0], found[found["to_um"] <= 0]
    assert (inside["cells"] == 0).all()
    assert found["from_um"].min() == pytest.approx(RADIUS - OUTER, abs=20)
    assert found["to_um"].max() == pytest.approx(RADIUS, abs=20)
    assert outside["cells"].sum() / outside["tissue_mm2"].sum() == pytest.approx(625, rel=0.03)
    assert found["tissue_mm2"].sum() == pytest.approx(np.pi * OUTER**2 * 1e-6, rel=0.03)
    # The exact interval of no cells ends at -ln(0.025) of them.
    empty = inside.iloc[0]
    assert empty["high"] == pytest.approx(-np.log(0.025) / empty["tissue_mm2"])
    of_ten = found[found["cells"] > 0].iloc[0]
    assert of_ten["low"] < of_ten["per_mm2"] < of_ten["high"]


def test_the_edge_does_not_depend_on_where_the_core_lies(folder, tmp_path):
    (tmp_path / "core.csv").write_text(core(shift=-1000.0))
    one, other = (infiltration(table_section(f / "core.csv", document(folder))) for f in (folder, tmp_path))
    assert one.equals(other)


def test_a_result_and_the_table_that_it_was_made_from_have_the_same_numbers(folder):
    """The plane of a slab is the section itself, of which the slab is a repetition."""
    pattern = section(Result(folder / "out"), 0)
    of_table = table_section(folder / "core.csv", document(folder))
    assert pattern.window.size == of_table.window.size
    assert infiltration(pattern).equals(infiltration(of_table))
    one, other = summary(pattern), summary(of_table)
    for name in one:
        assert one[name] == pytest.approx(other[name], nan_ok=True), name


def test_a_plane_of_voxels_is_seen_as_a_section_of_4_um(tmp_path):
    """One CD8 cell in 8 voxels of 20 um: 15,625 per mm^3, of which a section of 4 um shows those of 12 um."""
    text = """
      name: plane
      grid: {shape: [16, 16, 16], spacing: 20 um}
      time: {until: 12 min}
      states:
        tumour: {role: tumour}
        stroma: {role: stroma}
        killer: {layer: immune, role: effector}
        poxed: {role: infected}
      tissue:
        background: stroma
        shapes:
          tumour: {kind: sphere, state: tumour, radius: 100 um}
          killer: {kind: box, state: killer, lower: [0 um, 0 um, 0 um], upper: [1 mm, 1 mm, 1 mm], fraction: 0.125}
          poxed: {kind: sphere, state: poxed, radius: 60 um}
    """
    scenario = gpusim.Scenario.parse(textwrap.dedent(text))
    with gpusim.Simulation(scenario, "numpy") as simulation, Recorder(simulation, tmp_path / "out") as recorder:
        simulation.run()
        recorder.record()
        recorder.finish()
    result = Result(tmp_path / "out")
    (flat,), (whole,) = sections(result), sections(result, whole=True)
    expected = 0.125 / 8e-6 * 0.012
    for pattern in (flat, whole):
        found, voxels = summary(pattern), pattern.window.mask.sum()
        tumour = pattern.tumour.sum()
        assert tumour == pytest.approx((np.pi if pattern is flat else 4 / 3 * np.pi * 5) * 25, rel=0.1)
        for name, size in (("in tumour", tumour), ("outside", voxels - tumour)):
            assert found[name] == pytest.approx(expected, rel=3.5 / np.sqrt(0.125 * size)), name
        # 95% of a disc lie within sqrt(0.95) of its radius, of a ball within its cube root.
        ideal = 60 * 0.95 ** (1 / pattern.window.axes)
        assert found["virus spread"] == pytest.approx(ideal, abs=10)
    assert whole.window.axes == 3
    assert whole.from_edge.max() == pytest.approx(100 - 17, abs=20)  # the innermost centres lie 17 um from the middle


def test_no_tumour_and_nothing_but_tumour_have_no_edge(folder, tmp_path):
    for kind in ("tumour", "stroma"):
        (tmp_path / "core.csv").write_text("x_um,y_um,kind\n" + f"1,1,{kind}\n50,50,{kind}\n1,50,{kind}\n" * 4)
        pattern = table_section(tmp_path / "core.csv", document(folder))
        assert infiltration(pattern).empty
        assert summary(pattern)["cells"] == 0


def test_the_command_prints_and_draws_results_and_tables(folder):
    pytest.importorskip("matplotlib")
    pytest.importorskip("pyvista")
    done = run(
        "spatial", "core.csv", "out", "--types", "typed.yaml", "--at", "start,end", "-o", "figures", folder=folder
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [name in lines[0] for name in ("core", "out, 0 min", "out, 12 min")] == [True] * 3
    cells = next(line for line in lines if line.startswith("CD8 cells"))
    assert cells.split()[2] == cells.split()[3] == str(core().count("cd8"))
    names = {path.name for path in (folder / "figures").iterdir()}
    assert names == {"sections.csv", "infiltration.csv", "clustering.csv", "infiltration.png", "clustering.png"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv"], "none.csv: no such file"),
        (["none"], "none: no such folder"),
        (["out", "--of", "ctls"], "no state 'ctls'; did you mean 'ctl'?"),
        (["core.csv"], "no column 'CD8'"),
        (["core.csv", "--types", "cold-to-hot"], "needs 'types'"),
    ],
)
def test_mistakes_are_told_in_one_line(folder, arguments, message):
    done = run("spatial", *arguments, folder=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_state_is_an_error(folder):
    with pytest.raises(ScenarioError, match="no state 'T cell'"):
        table_section(folder / "core.csv", document(folder)).of(["T cell"])
