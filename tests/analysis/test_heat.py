"""Heat and phenotype against what can be counted by hand, and on real cores."""

import math
from pathlib import Path

import numpy as np
import pytest

import gpusim
from gpusim.analysis import Phenotype, heat_of, lesions, phenotype, phenotype_of_table
from gpusim.analysis.heat import HALF_DENSITY

DATA = Path(__file__).parents[3] / "shared" / "data"
TEXT = """
grid: {shape: [40, 40, 40], spacing: 20 um}
fields: {ifng: {unit: ng/mL}, il: {unit: ng/mL}}
states: {tumour: {}, ctl: {layer: immune}, nk: {layer: immune}}
heat: {tumour: tumour, effectors: [ctl, nk], cd8: ctl, cytokines: {ifng: 2 ng/mL, il: 500 pg/mL}}
"""
TUMOUR, NONE, CTL, NK = 1, 2, 3, 4


@pytest.fixture(scope="module")
def document():
    return gpusim.Scenario.parse(TEXT).document


def still(value=0.0):
    return {name: np.full((40, 40, 40), value, np.float32) for name in ("ifng", "il")}


def test_a_uniform_tissue_has_the_heat_of_the_formula(document):
    tissue = np.zeros((40, 40, 40), np.uint8)
    immune = np.full((40, 40, 40), NK, np.uint8)
    fields = {"ifng": np.full((40, 40, 40), 1.0, np.float32), "il": np.full((40, 40, 40), 0.25, np.float32)}
    density = 1 / 0.02**3
    expected = density / (HALF_DENSITY + density) * 0.5  # 1 / 2 + 0.25 / 0.5 = 1
    assert heat_of(document, tissue, immune, fields) == pytest.approx(expected, rel=1e-5)


def test_no_cells_or_no_cytokine_is_no_heat(document):
    tissue = np.zeros((40, 40, 40), np.uint8)
    nobody, everybody = (np.full((40, 40, 40), state, np.uint8) for state in (NONE, CTL))
    assert not heat_of(document, tissue, nobody, still(5)).any()
    assert not heat_of(document, tissue, everybody, still(0)).any()


def test_heat_lies_around_the_cell_as_a_gaussian(document):
    immune = np.full((40, 40, 40), NONE, np.uint8)
    immune[20, 20, 20] = CTL
    heat = heat_of(document, np.zeros_like(immune), immune, still(1e6)).astype(float)
    # One cell in a Gaussian of 40 um: its density at the middle, per mm^3.
    density = 1 / ((2 * math.pi) ** 1.5 * 0.04**3)
    assert heat[20, 20, 20] == pytest.approx(density / (HALF_DENSITY + density), rel=0.05)
    found = HALF_DENSITY * heat / (1 - heat)
    assert found[20, 20, 22] / found[20, 20, 20] == pytest.approx(math.exp(-0.5), rel=0.02)


def ball(radius, centre=(20, 20, 20)):
    z, y, x = np.ogrid[:40, :40, :40]
    return (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= radius**2


def test_a_lesion_is_counted_and_measured(document):
    tissue = np.where(ball(18), TUMOUR, 0).astype(np.uint8)
    immune = np.where(ball(3), CTL, NONE).astype(np.uint8)
    (lesion,) = lesions(document, tissue, immune, np.zeros(tissue.shape, np.float32))
    assert lesion.cells == ball(18).sum()
    assert lesion.diameter == pytest.approx(720, rel=0.03)
    # All CD8 cells stand in the core of half the radius, to within half a voxel; a section of 4 um
    # shows 12 um of them.
    for edge, bound in ((8.5, lesion.core.__le__), (9.5, lesion.core.__ge__)):
        assert bound(ball(3).sum() / (4 / 3 * math.pi * (edge * 0.02) ** 3) * 0.012)
    assert (lesion.margin, lesion.phenotype) == (0, Phenotype.INFLAMED)


def test_cells_around_a_lesion_exclude_it(document):
    tissue = np.where(ball(10), TUMOUR, 0).astype(np.uint8)
    immune = np.where(ball(13) & ~ball(11), CTL, NONE).astype(np.uint8)
    (lesion,) = lesions(document, tissue, immune, np.zeros(tissue.shape, np.float32))
    assert lesion.core == 0
    assert lesion.phenotype == Phenotype.EXCLUDED


def test_lesions_are_told_apart_the_largest_first(document):
    tissue = np.where(ball(4, (8, 8, 8)) | ball(7, (28, 28, 28)), TUMOUR, 0).astype(np.uint8)
    tissue[2, 38, 38] = TUMOUR  # a lone cell is none
    found = lesions(document, tissue, np.full(tissue.shape, NONE, np.uint8), np.zeros(tissue.shape, np.float32))
    assert [lesion.cells for lesion in found] == [ball(7).sum(), ball(4).sum()]
    assert {lesion.phenotype for lesion in found} == {Phenotype.DESERT}


def test_a_grid_full_of_tumour_is_all_core(document):
    tissue = np.full((40, 40, 40), TUMOUR, np.uint8)
    (lesion,) = lesions(document, tissue, np.full(tissue.shape, NONE, np.uint8), np.zeros(tissue.shape, np.float32))
    assert (lesion.cells, lesion.core) == (64000, 0)


@pytest.mark.parametrize(
    ("core", "margin", "expected"),
    [(0, 0, "desert"), (49, 51, "excluded"), (51, 0, "inflamed"), (300, 900, "inflamed")],
)
def test_phenotypes(core, margin, expected):
    assert phenotype(core, margin) == expected


@pytest.mark.skipif(not DATA.is_dir(), reason="the real cores are not here")
def test_real_cores_rank_as_pathologists_rank_them():
    found = {name: phenotype_of_table(DATA / f"tumour_core_{name}.csv") for name in ("TMA1_3B", "TMA3_7B", "TMA3_9K")}
    cores = [section.core for section in found.values()]
    assert cores == sorted(cores)
    assert cores[0] < cores[1] < cores[2]
    assert [section.phenotype for section in found.values()] == ["desert", "desert", "inflamed"]


def test_a_table_that_does_not_fit_is_refused(tmp_path):
    table = tmp_path / "core.csv"
    table.write_text("x_um,y_um,region,cd8\n1,2,tumor,0\n")
    with pytest.raises(gpusim.ScenarioError, match=r"no column 'CD8'; did you mean 'cd8'\?|no column 'CD8'"):
        phenotype_of_table(table)
    with pytest.raises(gpusim.ScenarioError, match="no such file"):
        phenotype_of_table(tmp_path / "none.csv")


def test_a_scenario_without_heat_says_so():
    document = gpusim.Scenario.parse(TEXT.replace("heat:", "description: x #")).document
    with pytest.raises(gpusim.ScenarioError, match="heat: is missing"):
        heat_of(document, np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 2), np.uint8), {})
