import numpy as np
import pytest

from gpusim import Scenario, ScenarioError
from gpusim.backends.source import folder
from gpusim.model import build
from gpusim.model.tables import EFFECT, MODULATOR, MOTILITY, RELEASE, RULE, SLOPE, WALL, Shape, Source, state_set
from gpusim.tissue.shapes import Uniform

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
    assert model.exchange.loss[0, 0, 0] == pytest.approx(2 / 1440)
    assert (model.step, model.rules_every, model.until) == (2.0, 2, 30)


def test_cells_of_both_layers_add_to_production_and_loss(model):
    infected, vessel, ctl = 2, 3, 1
    assert model.states.names == ("empty", "tumour", "infected", "vessel", "none", "ctl")
    assert model.exchange.production[1, infected, 0] == pytest.approx(1.0)
    assert model.exchange.production[1, infected, ctl] == pytest.approx(2.0)
    assert model.exchange.loss[0, infected, 0] == pytest.approx(1 + 2 / 1440)
    assert model.exchange.production[1, vessel, 0] == pytest.approx(1.5)
    assert model.exchange.loss[1, vessel, 0] == pytest.approx(0.51)


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
    # Lysis is 0.1 /min; infection can reach 0.01 * 2 * 18 / 2 = 0.18 /min, as both layers have neighbours.
    # A hazard of 0.1 a step is reached at 0.56 min.
    assert free.step == 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time": {"until": "31 min"}}, "time.until: expected a multiple of the step"),
        ({"therapies": {"dose": {"start": "11 min"}}}, "therapies.dose.start: expected a multiple of the step"),
        ({"therapies": {"dose": {"every": "7 min"}}}, "therapies.dose.every: expected a multiple of the step"),
        ({"time": {"at": ["7 min"]}}, r"time.at\[0\]: expected a multiple of the step"),
        ({"time": {"step": {"rules": "3 min"}}}, "time.step.rules: expected a multiple of time.step.field"),
        ({"rules": {"lysis": {"after": "900 year"}}}, "rules.lysis.after"),
        ({"therapies": {"dose": {"at": ["1 m", "1 m", "1 m"]}}}, "lies outside the grid"),
        ({"grid": {"spacing": "0 um"}}, "grid.spacing: expected 0.001 to"),
    ],
)
def test_numbers_that_contradict_are_refused(changes, message):
    with pytest.raises(ScenarioError, match=message):
        build(Scenario.parse(TEXT).with_(**changes))


def test_structs_and_dtypes_have_the_same_members():
    names = ("modulators.cuh", "transition.cuh", "motion.cu", "lookup.cuh", "exchange.cu")
    source = "".join((folder() / name).read_text() for name in names)
    tables = {"Modulator": MODULATOR, "Release": RELEASE, "Rule": RULE, "Motility": MOTILITY, "Slope": SLOPE}
    tables |= {"Effect": EFFECT, "Wall": WALL}
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


def built(**changes):
    return build(Scenario.parse(TEXT).with_(**changes))


def test_sides_come_in_the_order_of_the_arrays():
    """z low, z high, y low, y high, x low, x high."""
    sides = {
        "z": "periodic",
        "y_low": {"value": "2 ng/mL"},
        "y_high": {"permeability": "1 mm/h", "far": "3000 pg/mL"},
        "x": {"permeability": "6 um/min"},
        "x_high": "no-flux",
    }
    boundary = built(fields={"ifn": {"boundary": sides}}).fields.boundary
    assert boundary.periodic.tolist() == [[False] * 3, [True, False, False]]
    assert boundary.permeability[0].tolist() == boundary.far[0].tolist() == [0] * 6
    assert boundary.permeability[1] == pytest.approx([0, 0, np.inf, 1000 / 60, 6, 0])
    assert boundary.far[1] == pytest.approx([0, 0, 2, 3, 0, 0])
    everywhere = built(fields={"virus": {"boundary": {"all": "periodic"}}}).fields.boundary
    assert everywhere.periodic.tolist() == [[True] * 3, [False] * 3]


def test_a_field_has_its_numbers_by_state():
    spec = {
        "diffusion": {"default": "1 um^2/s", "infected": "30 um^2/min"},
        "initial": "2 pg/mL",
        "solver": "implicit",
        "clearance": {"a": "1 /min", "b": "120 /h", "c": {"rate": "7 /min", "modulators": [{"contact": "ctl"}]}},
    }
    model = built(fields={"ifn": spec}, states={"ctl": {"uptake": {"virus": "3 /min"}}})
    fields, loss = model.fields, model.exchange.loss
    assert fields.diffusion.tolist() == pytest.approx(np.array([[600] * 4, [60, 60, 30, 60]]))
    assert fields.initial == pytest.approx([0, 0.002])
    assert (fields.names, fields.units) == (("virus", "ifn"), ("PFU/mL", "ng/mL"))
    assert fields.solvers == ("auto", "implicit")
    assert loss[1, :3, 0] == pytest.approx(3.01)
    # A mobile cell takes up in whatever tissue it stands in.
    assert loss[0, :, 1] - loss[0, :, 0] == pytest.approx([3] * 4)


def test_a_moi_counts_the_targets_in_the_region_at_time_0():
    shapes = {"a": {"kind": "box", "state": "tumour", "lower": ["0 um"] * 3, "upper": ["20 um", "20 um", "30 um"]}}
    dose = {"amount": "3 MOI", "targets": ["tumour", "infected"], "radius": "1 mm", "doses": 1}
    (found,) = built(tissue={"shapes": shapes}, therapies={"dose": dose}).doses
    # 12 cells, 3 PFU for each; a voxel holds 1e-9 mL.
    assert found.amounts.sum() * 1e-9 == pytest.approx(36, rel=1e-6)
    with pytest.raises(ScenarioError, match=r"dose\.targets: none of the cells in the region is ctl at time 0"):
        built(therapies={"dose": dose | {"targets": "ctl"}})


def test_particles_are_turned_into_pfu_wherever_they_stand():
    of_particles = Scenario.parse(TEXT.replace("7 PFU", "140 vp") + "units: {vp: 0.05 PFU}\n")
    of_field = of_particles.with_(fields={"virus": {"initial": "2e9 vp/mL"}})
    assert build(of_particles).doses[0].amounts.sum() == pytest.approx(7e9)
    assert build(of_field).fields.initial[0] == pytest.approx(1e8)


def test_doses_are_spread_evenly_over_their_region():
    # Around (25, 20, 15) um: dy is 5; dx or dz may be 10 (11.2 um away), not both (15 um).
    dose, *_ = built(therapies={"dose": {"radius": "12 um"}}).doses
    z, y, x = np.unravel_index(dose.voxels, (3, 4, 5))
    expected = {(x, y, z) for y in (1, 2) for x, z in ((2, 1), (1, 1), (3, 1), (2, 0), (2, 2))}
    assert set(zip(x, y, z, strict=True)) == expected
    assert (dose.name, dose.field, len(dose.voxels)) == ("dose", 0, 10)
    assert dose.amounts == pytest.approx([7e8] * 10)


def test_infusions_and_resections_come_at_their_steps():
    model = built(
        body={"quantities": {"blood": {}, "drug": {"unit": "mg"}}},
        therapies={
            "drip": {"infuse": "drug", "amount": "2000 ug", "start": "6 min", "every": "4 min", "doses": 3},
            "cut": {
                "resect": ["infected", "ctl"],
                "radius": "5 um",
                "at": ["15 um", "15 um", "5 um"],
                "start": "4 min",
            },
        },
    )
    assert [(i.name, i.quantity, i.step, i.amount) for i in model.infusions] == [
        ("drip", 1, step, pytest.approx(2)) for step in (3, 5, 7)
    ]
    (cut,) = model.resections
    assert (cut.name, cut.states, cut.step, cut.voxels.tolist()) == ("cut", (2, 5), 2, [1 * 5 + 1])
    assert [dose.step for dose in model.doses] == [5, 15]


def test_grafts_are_strewn_anew_each_time():
    graft = {"inject": "ctl", "amount": "3 cell", "radius": "1 mm", "every": "10 min", "doses": 2}
    tumour = {"inject": "tumour", "amount": "1 cell", "radius": "1 mm", "into": ["infected", "vessel"]}
    therapies = {"dose": None, "a": graft, "b": graft | {"doses": 1}, "c": tumour}
    first, second, third, last = built(therapies=therapies).grafts
    assert [g.step for g in (first, second, third, last)] == [0, 5, 0, 0]
    assert {(g.name, g.state, g.count, g.replaces) for g in (first, second, third, last)} == {
        ("a", 5, 3, (4,)),
        ("b", 5, 3, (4,)),
        ("c", 1, 1, (0, 2, 3)),
    }
    orders = {tuple(g.voxels) for g in (first, second, third, last)}
    assert len(orders) == 4
    assert {tuple(sorted(order)) for order in orders} == {tuple(range(60))}
    assert {tuple(g.voxels) for g in built(therapies={"a": graft}, seed=1).grafts}.isdisjoint(orders)
    # Shapes draw from the first streams of the same seed.
    assert {tuple(np.argsort(Uniform(0, stream).draw(60))) for stream in range(3000)}.isdisjoint(orders)


@pytest.mark.parametrize(
    ("at", "voxel"),
    [
        (["0 um", "0 um", "0 um"], 0),
        (["49 um", "39 um", "29 um"], 59),
        (["10 um", "20 um", "20 um"], 2 * 20 + 2 * 5 + 1),
    ],
)
def test_a_point_is_the_voxel_around_it(at, voxel):
    assert built(therapies={"dose": {"at": at}}).doses[0].voxels.tolist() == [voxel]


@pytest.mark.parametrize("axis", range(3))
def test_a_point_beyond_any_side_is_refused(axis):
    at = ["1 um", "1 um", "1 um"]
    at[axis] = f"{[50, 40, 30][axis]} um"
    with pytest.raises(ScenarioError, match=r"therapies.dose.at: .* lies outside the grid \(50 x 40 x 30 um\)"):
        built(therapies={"dose": {"at": at}})


def test_rules_are_noted_where_their_step_is_too_large():
    # Infection goes by up to 0.18 /min: a hazard of 0.72 in a step of 4 min; at 0.5 min it is 0.09.
    (note,) = built().notes
    assert note.startswith("the rule step of 4 min is too large for rule 'infection': its hazard reaches 0.72 per step")
    assert built(time={"step": {"field": "0.5 min", "rules": "0.5 min"}}).notes == ()
    dose = {"start": "12 min", "every": "18 min"}
    (note,) = built(time={"step": {"field": "0.6 min", "rules": "0.6 min"}}, therapies={"dose": dose}).notes
    assert "hazard reaches 0.108 per step" in note


def test_a_quantity_that_can_not_be_converted_names_the_scenario():
    with pytest.raises(ScenarioError, match="unnamed: a quantity is too large in"):
        built(therapies={"dose": {"amount": "1e23 PFU"}}, grid={"spacing": "0.001 um"})


def test_transfers_are_noted_where_their_step_is_too_large():
    trait = {"of": "tumour", "unit": "PFU", "uptake": {"virus": {"rate": "0.6 /min", "ratio": 1}}}
    step = {"field": "0.5 min", "rules": "0.5 min"}
    (note,) = built(traits={"t": trait}, time={"step": step}).notes
    assert "uptake into traits or their secretion: the rate times the step reaches 0.3 per step" in note
