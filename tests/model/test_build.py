import numpy as np
import pytest

from gpusim import Scenario, ScenarioError
from gpusim.backends.source import folder
from gpusim.model import build
from gpusim.model.tables import EFFECT, MODULATOR, MOTILITY, RELEASE, RULE, Shape, Source, state_set

TEXT = """
grid: {shape: [5, 4, 3], spacing: 10 um}
time: {until: 1 h, step: {field: 2 min, rules: 4 min}}
record: {every: 1 h}
fields:
  virus: {unit: PFU/mL, diffusion: 10 um^2/s, decay: 2 /day}
  ifn: {unit: ng/mL, decay: 0.01 /min}
states:
  tumour: {}
  infected: {secretion: {ifn: 60 ng/mL/h}, uptake: {virus: 1 /min}}
  vessel: {exchange: {ifn: {permeability: 0.5 /min, blood: 3 ng/mL}}}
  ctl: {layer: immune, secretion: {ifn: 1 ng/mL/min}}
rules:
  infection:
    transition: tumour|empty -> infected
    rate: 0.01 /min
    modulators:
      - {field: virus, half: 1e9 PFU/mL, power: 2}
      - {neighbours: [infected, ctl], per: 2, neighbourhood: 18}
  lysis: {transition: infected -> empty, rate: 1/(10 min), after: 9 min, releases: {virus: 100 PFU, ifn: 2 ng/mL}}
therapies:
  dose: {inject: virus, amount: 7 PFU, start: 10 min, every: 20 min, doses: 2}
"""


@pytest.fixture(scope="module")
def model():
    return build(Scenario.parse(TEXT))


def test_arrays_are_z_y_x_and_lists_in_the_file_x_y_z(model):
    assert model.shape == (3, 4, 5)


def test_numbers_are_in_micrometres_and_minutes(model):
    assert model.fields.diffusion[0, 0] == pytest.approx(600)
    assert model.fields.loss[0, 0, 0] == pytest.approx(2 / 1440)
    assert (model.step, model.rules_every, model.until) == (2.0, 2, 30)


def test_cells_of_both_layers_add_to_production_and_loss(model):
    infected, vessel, ctl = 2, 3, 1
    assert model.states.names == ("empty", "tumour", "infected", "vessel", "none", "ctl")
    assert model.fields.production[1, infected, 0] == pytest.approx(1.0)
    assert model.fields.production[1, infected, ctl] == pytest.approx(2.0)
    assert model.fields.loss[0, infected, 0] == pytest.approx(1 + 2 / 1440)
    assert model.fields.production[1, vessel, 0] == pytest.approx(1.5)
    assert model.fields.loss[1, vessel, 0] == pytest.approx(0.51)


def test_a_release_in_pfu_is_diluted_in_the_voxel(model):
    # 100 PFU in (10 um)^3 = 1e-9 mL.
    amounts = model.cells.releases["amount"]
    assert amounts == pytest.approx([1e11, 2.0])


def test_rules_are_sorted_by_the_state_that_they_leave(model):
    rules = model.cells
    assert rules.rule_begin.tolist() == [0, 1, 2, 3, 3, 3, 3]
    assert rules.rules["to"].tolist() == [2, 2, 0]
    assert rules.rules["hazard"] == pytest.approx([0.04, 0.04, 0.4])
    assert rules.rules["after"].tolist() == [0, 0, 3]  # 9 min in steps of 4, rounded up


def test_modulators(model):
    hill, neighbours = model.cells.modulators
    assert (hill["source"], hill["shape"], hill["power"]) == (Source.FIELD, Shape.HILL, 2)
    assert hill["scale"] == pytest.approx(1e-9)
    assert (neighbours["source"], neighbours["index"], neighbours["scale"]) == (Source.NEIGHBOURS, 0, 0.5)
    assert model.cells.neighbourhoods["reach"].tolist() == [2]
    assert np.array_equal(model.cells.neighbourhoods["states"][0], neighbours["states"])
    assert neighbours["states"][0] == (1 << 2) | (1 << 5)


def test_doses(model):
    assert [dose.step for dose in model.doses] == [5, 15]
    assert all(float(dose.amounts.sum()) == pytest.approx(7e9) for dose in model.doses)


def test_steps_are_chosen_from_the_rates():
    free = build(Scenario.parse(TEXT).with_(time={"step": None}))
    # The fastest rule is 0.1 /min: a hazard of 0.1 a step is reached at 1 min.
    # Infection can reach 0.01 * 18 / 2 = 0.09 /min.
    assert free.step == 1.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time": {"until": "31 min"}}, "time.until: expected a multiple of the step"),
        ({"time": {"step": {"rules": "3 min"}}}, "time.step.rules: expected a multiple of time.step.field"),
        ({"rules": {"lysis": {"after": "9 year"}}}, "rules.lysis.after"),
        ({"therapies": {"dose": {"at": ["1 m", "1 m", "1 m"]}}}, "lies outside the grid"),
        ({"grid": {"spacing": "0 um"}}, "grid.spacing: expected 0.001 to"),
    ],
)
def test_numbers_that_contradict_are_refused(changes, message):
    with pytest.raises(ScenarioError, match=message):
        build(Scenario.parse(TEXT).with_(**changes))


def test_structs_and_dtypes_have_the_same_members():
    source = "".join((folder() / name).read_text() for name in ("modulators.cuh", "rules.cu", "motion.cu"))
    tables = {"Modulator": MODULATOR, "Release": RELEASE, "Rule": RULE, "Effect": EFFECT, "Motility": MOTILITY}
    for name, dtype in tables.items():
        body = source.split(f"struct {name} {{")[1].split("};")[0]
        members = []
        for line in body.splitlines():
            declared = line.split("//")[0].strip().rstrip(";")
            if declared:
                _, names = declared.split(" ", 1)
                members += [n.strip().split("[")[0] for n in names.split(",")]
        assert members == list(dtype.names)
        assert all(dtype[n].base.itemsize == 4 for n in dtype.names)


def test_state_set_has_one_bit_a_state():
    bits = np.unpackbits(state_set([0, 31, 32, 255]).view(np.uint8), bitorder="little")
    assert np.flatnonzero(bits).tolist() == [0, 31, 32, 255]
