"""The outline of a tissue, and barriers that nothing enters."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpusim
from gpusim import Scenario, ScenarioError
from gpusim.analysis.phenotype import lesions
from gpusim.analysis.sections import infiltration, section
from gpusim.backends import availability
from gpusim.model import build
from gpusim.record import Result
from gpusim.tissue.outline import closed, in_polygon

CORES = Path(__file__).parents[2].parent / "shared" / "data"

TEXT = """
grid: {spacing: 10 um}
time: {until: 4 hour, step: {rules: 5 min, field: 1 min}}
fields:
  virus: {unit: PFU/voxel, diffusion: 100 um^2/min, initial: 1}
states:
  tumour: {role: tumour}
  ctl: {layer: immune, role: effector, motility: {speed: 8 um/min, persistence: 5 min}}
  glass: {barrier: true}
rules:
  growth: {transition: tumour -> tumour + tumour, rate: 0.003 /min, reach: 60 um}
  entry: {transition: none -> ctl, rate: 0.0005 /min}
  proliferation: {transition: ctl -> ctl + ctl, rate: 0.002 /min}
heat: {tumour: tumour, effectors: ctl, cd8: ctl, cytokines: {virus: 1}}
tissue:
  cells: cells.csv
  margin: 40 um
  depth: {thickness: 30 um}
  types:
    - {state: ctl, where: {CD8: 1}}
    - {state: tumour}
  outline: {beyond: glass, radius: 20 um}
"""


def disc(folder, text=TEXT, radius=100.0):
    """A table of cells every 10 um within a disc."""
    at = np.arange(-radius, radius + 1, 10.0)
    rows = [(x, y, int((x + y) % 50 == 0)) for x in at for y in at if x * x + y * y <= radius * radius]
    pd.DataFrame(rows, columns=["x_um", "y_um", "CD8"]).to_csv(folder / "cells.csv", index=False)
    (folder / "a.yaml").write_text(text)
    return Scenario.load(folder / "a.yaml")


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 4))
def test_a_closing_holds_what_no_empty_disc_reaches(seed, radius):
    mask = np.random.default_rng(seed).random((13, 11)) < 0.1
    far = 6
    padded = np.pad(mask, far)
    offsets = np.arange(-far, far + 1)
    ball = offsets[:, None] ** 2 + offsets[None, :] ** 2 <= radius**2
    # By the definition: beyond is the union of all discs without a cell.
    beyond = np.zeros(padded.shape, bool)
    wide, cells = np.pad(beyond, far), np.pad(padded, far)
    for y in range(padded.shape[0]):
        for x in range(padded.shape[1]):
            window = (slice(y, y + len(ball)), slice(x, x + len(ball)))
            if not (cells[window] & ball).any():
                wide[window] |= ball
    expected = ~wide[2 * far : -2 * far, 2 * far : -2 * far] if mask.any() else mask
    assert np.array_equal(closed(mask, radius), expected)


def test_a_polygon_is_filled_by_the_even_odd_rule():
    square = in_polygon(np.array([[2, 1], [6, 1], [6, 5], [2, 5]], float), (8, 9))
    assert np.array_equal(np.argwhere(square), [(y, x) for y in range(1, 5) for x in range(2, 6)])
    star = in_polygon(np.array([[0, 0], [100, 0], [100, 100], [50, 50], [0, 100]], float), (100, 100))
    assert star.sum() == pytest.approx(7500, rel=0.01)
    assert not star[90, 50]


@pytest.mark.parametrize("backend", ["numpy", "cpu"])
def test_nothing_enters_a_barrier(tmp_path, backend):
    if not availability(backend).available:
        pytest.skip(f"no {backend}")
    scenario = disc(tmp_path)
    with gpusim.Simulation(scenario, backend) as simulation:
        names = list(simulation.model.states.names)
        before = simulation.tissue == names.index("glass")
        # Gauss's circle problem: a disc with a radius of 10 contains 317 points of the lattice.
        assert before[0].sum() == before[0].size - 317
        simulation.run()
        fired = simulation.fired
        assert min(fired["growth"], fired["entry"], fired["proliferation"]) > 20
        after = simulation.tissue == names.index("glass")
        assert np.array_equal(before, after)
        assert (simulation.immune[after] == names.index("none")).all()
        virus = simulation.field("virus")
        assert (virus[after] == 0).all()
        # Nothing takes it up, so that all stays in the tissue.
        assert virus[~after].sum() == pytest.approx((~after).sum(), rel=1e-4)


def test_backends_agree_beside_a_barrier(tmp_path):
    if not availability("cpu").available:
        pytest.skip("no compiler")
    digests = []
    for backend in ("numpy", "cpu"):
        with gpusim.Simulation(disc(tmp_path), backend) as simulation:
            simulation.run()
            digests.append(simulation.digest())
    assert digests[0] == digests[1]


def test_a_field_diffuses_in_a_barrier_that_its_diffusion_names(tmp_path):
    text = TEXT.replace("diffusion: 100 um^2/min", "diffusion: {default: 100 um^2/min, glass: 50 um^2/min}")
    with gpusim.Simulation(disc(tmp_path, text), "numpy") as simulation:
        simulation.run()
        glass = simulation.tissue == simulation.model.states.names.index("glass")
        assert simulation.field("virus")[glass].mean() > 0.1


def test_an_outline_is_given_in_the_coordinates_of_the_table(tmp_path):
    square = "{beyond: glass, polygon: [[-45 um, -45 um], [45 um, -45 um], [45 um, 45 um], [-45 um, 45 um]]}"
    found = build(disc(tmp_path, TEXT.replace("{beyond: glass, radius: 20 um}", square))).initial
    inside = np.argwhere(found.tissue[0] != 2)
    # Of 29 voxels along an axis, whose middle is that of the table, 9 have their centres within 45 um of it.
    assert (inside.min(axis=0).tolist(), inside.max(axis=0).tolist()) == ([10, 10], [18, 18])


def test_shapes_end_at_the_outline(tmp_path):
    text = TEXT + "  shapes: {all: {kind: everywhere, state: tumour}, cells: {kind: everywhere, state: ctl}}\n"
    found = build(disc(tmp_path, text)).initial
    assert set(np.unique(found.tissue)) == {1, 2}
    assert np.array_equal(found.immune == 4, found.tissue == 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"states.glass.yields": "rigid"}, "a barrier is 'rigid'"),
        ({"states.ctl.barrier": True}, "expected a tissue state"),
        ({"tissue.outline.beyond": "glas"}, "did you mean 'glass'"),
        ({"tissue.outline.radius": None}, "expected either 'radius'"),
        ({"rules.growth.transition": "glass -> glass + tumour"}, "is a barrier and cannot divide"),
        ({"tissue.types": [{"state": "tumour", "fraction": 1.5}]}, "less than or equal to 1"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, change, message):
    with pytest.raises(ScenarioError, match=message):
        disc(tmp_path).overridden(change)


def test_an_outline_needs_cells():
    with pytest.raises(ScenarioError, match="applies only to an image or a table of cells"):
        Scenario.parse(
            "grid: {shape: [4, 4, 4]}\nstates: {glass: {barrier: true}}\n"
            "tissue: {outline: {beyond: glass, radius: 9 um}}"
        )


def test_a_dose_is_shared_out_among_the_voxels_that_are_no_barrier(tmp_path):
    dose = "therapies: {shot: {inject: virus, amount: 90 PFU, at: [40 um, 145 um, 15 um], radius: 30 um}}\n"
    scenario = disc(tmp_path, TEXT.replace("initial: 1", "initial: 0") + dose)
    model = build(scenario)
    glass = model.initial.tissue.ravel() == model.states.names.index("glass")
    assert not glass[model.doses[0].voxels].any()
    assert model.doses[0].amounts.sum() == pytest.approx(90)
    with pytest.raises(ScenarioError, match="all voxels of the region are barriers"):
        build(scenario.overridden({"therapies.shot.radius": "10 um", "therapies.shot.at": ["5 um", "5 um", "5 um"]}))


def test_a_type_takes_a_fraction_of_its_rows(tmp_path):
    types = "    - {state: ctl, where: {CD8: 0}, fraction: 0.25}\n    - {state: tumour}\n"
    text = TEXT.replace("    - {state: ctl, where: {CD8: 1}}\n    - {state: tumour}\n", types)
    scenario = disc(tmp_path, text, radius=200)
    counts = [{p.state: p.rows for p in build(s).initial.placements} for s in (scenario, scenario.with_(seed=2))]
    rows = len(pd.read_csv(tmp_path / "cells.csv").query("CD8 == 0"))
    for each in counts:
        # Five standard deviations of the binomial distribution.
        assert abs(each["ctl"] - rows / 4) < 5 * (rows * 3 / 16) ** 0.5
    assert counts[0] != counts[1]


def test_a_section_as_a_slab_has_the_diameter_of_its_outline_and_the_densities_of_its_table(tmp_path):
    text = TEXT.replace("thickness: 30 um", "thickness: 50 um").replace("margin: 40 um", "margin: 150 um")
    scenario = disc(tmp_path, text, radius=200)
    model = build(scenario)
    initial, document = model.initial, scenario.site(scenario.sites[0]).document
    assert initial.repeated == 5
    lesion = lesions(document, initial.tissue, initial.immune, np.zeros(initial.shape, np.float32))[0]
    assert lesion.diameter == pytest.approx(400, rel=0.06)
    # A fifth of the cells are CD8 cells, at 10,000 cells per mm^2.
    assert lesion.core == pytest.approx(2000, rel=0.1)


@pytest.mark.slow
@pytest.mark.skipif(not CORES.is_dir(), reason="the folder of real tumour cores is not here")
@pytest.mark.parametrize("core", ["TMA1_3B", "TMA3_7B", "TMA3_9K"])
def test_a_real_core_keeps_its_architecture_for_a_day(tmp_path, core):
    table = CORES / f"tumour_core_{core}.csv"
    changes = {"tissue.cells": str(table), "time.until": "1 day", "record.every": "1 day", "therapies.injection": None}
    gpusim.run(Scenario.load("tissue-core", changes), tmp_path / "out")
    result = Result(tmp_path / "out")
    names = result.state_names
    start, end = ({k: result.array(k, i) for k in ("tissue", "immune")} for i in (0, -1))
    glass = end["tissue"] == names.index("glass")
    assert (end["immune"][glass] == names.index("none")).all()
    tumour = [(each["tissue"] == names.index("tumour")).sum() for each in (start, end)]
    # Doubling times of 6 to 10 days, the range of the rate of division, and killing by a few T cells.
    assert 0.95 < tumour[1] / tumour[0] < 2 ** (1 / 6) * 1.05
    profiles = infiltration(section(result, 0)).merge(infiltration(section(result, -1)), on=["from_um", "to_um"])
    cells = profiles[profiles.cells_x > 0]
    assert ((cells.low_x <= cells.high_y) & (cells.low_y <= cells.high_x)).all()
