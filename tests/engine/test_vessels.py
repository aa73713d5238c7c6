"""Vessels that live: connections through vessels, and the trails of cells that sprout."""

import numpy as np
import pytest
import yaml
from scipy import ndimage

import gpusim
from gpusim import Scenario, ScenarioError
from gpusim.model import build

NET = """
grid: {shape: [12, 9, 8]}
time: {until: 4 min, step: {field: 1 min, rules: 1 min}}
record: {every: 4 min}
fields:
  tracer:
    unit: ng/mL
states:
  vessel: {secretion: {tracer: {rate: 1 ng/mL/min, modulators: [{connected: [vessel], to: [x_low]}]}}}
tissue:
  shapes:
    trunk: {kind: box, state: vessel, lower: [0 um, 60 um, 60 um], upper: [240 um, 80 um, 80 um]}
    branch: {kind: box, state: vessel, lower: [80 um, 80 um, 60 um], upper: [100 um, 180 um, 80 um]}
    corner: {kind: box, state: vessel, lower: [100 um, 40 um, 80 um], upper: [120 um, 60 um, 100 um]}
    far: {kind: box, state: vessel, lower: [0 um, 140 um, 140 um], upper: [20 um, 160 um, 160 um]}
    cut: {kind: box, state: empty, lower: [140 um, 60 um, 60 um], upper: [160 um, 80 um, 80 um], into: vessel}
"""


def started(text, backend, **changes):
    return gpusim.Simulation(Scenario.parse(text).with_(**changes), backend[0], threads=backend[1])


def joined(tissue, links, ends):
    """Voxels of the states `links` that are joined over faces, edges and corners to `ends` (bool [z, y, x])."""
    regions, _ = ndimage.label(np.isin(tissue, links), np.ones((3, 3, 3)))
    return np.isin(regions, np.setdiff1d(np.unique(regions[ends]), [0]))


def test_what_is_behind_a_cut_is_not_perfused(one_backend_each):
    with started(NET, one_backend_each) as running:
        running.step(1)
        perfused = running.field("tracer") > 0
    expected = np.zeros((8, 9, 12), bool)
    expected[3, 3, :7] = True  # the trunk before its cut
    expected[3, 4:, 4] = True  # and its branch
    expected[4, 2, 5] = True  # which touches the trunk by a corner
    expected[7, 7, 0] = True  # and what begins at the side itself
    assert np.array_equal(perfused, expected)


RANDOM = """
grid: {{shape: [13, 11, 10], sides: {{y: periodic}}}}
time: {{until: 9 min, step: {{field: 1 min, rules: 1 min}}}}
record: {{every: 9 min}}
states: {{vessel: {{}}, artery: {{}}, dead: {{}}}}
rules:
  fails: {{transition: vessel -> dead, rate: 5 /min, modulators: [{{connected: [vessel], to: {to}, {function}}}]}}
tissue:
  shapes:
    vessels: {{kind: everywhere, state: vessel, fraction: 0.11}}
    arteries: {{kind: everywhere, state: artery, fraction: 0.004, into: empty}}
"""


@pytest.mark.parametrize(("to", "function"), [("[artery]", "at_zero: 1, at_saturation: 0"), ("[artery, z_high]", "")])
def test_connections_are_those_that_labels_of_regions_give(one_backend_each, to, function):
    text = RANDOM.format(to=to, function=function).replace(", }", "}")
    with started(text, one_backend_each) as running:
        before = running.tissue
        wide = np.concatenate([before] * 3, axis=1)  # along the periodic axis
        ends = wide == 2
        if "z_high" in to:
            ends[-1] = True
        perfused = joined(wide, [1, 2], ends)[:, 11:22]
        running.step(1)
        gone = (before == 1) & (running.tissue == 3)
    affected = (before == 1) & (perfused if not function else ~perfused)
    assert not gone[~affected].any()
    assert gone.sum() > 0.9 * affected.sum() > 20  # the hazard of a step is 5


def test_backends_and_resumed_runs_end_in_the_same_bits(one_backend_each):
    text = RANDOM.format(to="[artery]", function="at_zero: 1, at_saturation: 0").replace("rate: 5", "rate: 0.3")
    with started(text, ("numpy", None)) as expected, started(text, one_backend_each) as found:
        expected.step(3)
        numbers, arrays = expected.numbers, dict(expected.arrays())
        expected.step(4)
        found.restore(numbers, arrays)
        found.step(4)
        assert found.digest() == expected.digest()


SPROUT = """
grid: {shape: [24, 7, 7]}
time: {until: 200 min, step: {field: 1 min, rules: 1 min}}
record: {every: 200 min}
fields: {vegf: {unit: ng/mL, initial: {expression: "10 ng/mL * x / (480 um)"}}}
states:
  vessel: {}
  tip:
    motility:
      speed: 6 um/min
      persistence: 5 min
      trail: vessel
      chemotaxis: {field: vegf, half: 5 ng/mL, sensitivity: 2 mm}
tissue:
  shapes:
    wall: {kind: box, state: vessel, lower: [0 um, 0 um, 0 um], upper: [20 um, 140 um, 140 um]}
    tip: {kind: box, state: tip, lower: [20 um, 60 um, 60 um], upper: [40 um, 80 um, 80 um]}
"""


def test_a_tip_moves_up_a_field_and_leaves_a_vessel_that_joins_it_to_the_wall(one_backend_each):
    with started(SPROUT, one_backend_each) as running:
        for _ in range(4):
            running.step(40)
            tissue = running.tissue
            (tip,) = np.argwhere(tissue == 2)
            # The tip and all vessels are of one piece, which begins at the wall.
            assert joined(tissue, [1, 2], np.broadcast_to(np.arange(24) == 0, tissue.shape))[tissue > 0].all()
        assert tip[2] > 15
        assert (tissue == 1).sum() >= 49 + tip[2] - 1
        assert running.counts["vessel"] == (tissue == 1).sum()
        assert running.counts["empty"] == (tissue == 0).sum()
        with started(SPROUT, ("numpy", None)) as expected:
            expected.step(160)
            assert running.digest() == expected.digest()


def test_a_tip_without_a_vessel_is_noted():
    def notes(text):
        return [note for note in build(Scenario.parse(text)).notes if "trail" in note]

    assert not notes(SPROUT)
    (note,) = notes(SPROUT.replace("state: vessel, lower", "state: vessel, fraction: 0, lower"))
    assert note.startswith("states.tip.motility.trail: the tissue has 'tip' but no 'vessel'")


PACKED = SPROUT.replace("trail: vessel", "trail: vessel\n      crushes: soft").replace(
    "tissue:\n", "  soft: {}\n  hard: {}\ntissue:\n  background: soft\n"
)
HARD = "    hard: {kind: box, state: hard, lower: [100 um, 0 um, 0 um], upper: [120 um, 140 um, 100 um]}\n"


def test_a_tip_makes_its_way_through_cells_that_it_crushes_and_around_others(one_backend_each):
    with started(PACKED + HARD, one_backend_each) as running:
        for _ in range(4):
            running.step(60)
            tissue = running.tissue
            assert {name: (tissue == i).sum() for i, name in enumerate(running.model.states.names[:5])} == {
                name: running.counts[name] for name in ("empty", "vessel", "tip", "soft", "hard")
            }
            assert (tissue == 4).sum() == 7 * 5
            assert running.crushed["soft"] == (tissue != 3).sum() - 49 - 1 - 35
        (tip,) = np.argwhere(tissue == 2)
        assert joined(tissue, [1, 2], np.broadcast_to(np.arange(24) == 0, tissue.shape))[
            (tissue == 1) | (tissue == 2)
        ].all()
        assert tip[2] > 6  # beyond the hard cells
        with started(PACKED + HARD, ("numpy", None)) as expected:
            expected.step(240)
            assert running.digest() == expected.digest()


def test_cells_that_leave_through_an_open_side_leave_their_trail(one_backend_each):
    line = SPROUT.replace("[24, 7, 7]", "[24, 1, 1], sides: {x: open}").replace("60 um, 60 um", "0 um, 0 um")
    with started(line, one_backend_each) as running:
        running.step(200)
        assert (running.tissue == 1).all()
        assert (running.counts["vessel"], running.counts["empty"], running.left["tip"]) == (24, 0, 1)


PROBLEMS = {
    "states.tip.motility.trail = vessl": "states.tip.motility.trail: unknown state of the same layer 'vessl'; did you",
    "states.tip.motility.crushes = [vessl]": "motility.crushes: unknown state of the same layer 'vessl'; did you",
    "states.tip.motility.crushes = [empty]": "states.tip.motility.crushes: 'empty' is no cell",
    "states.tip.motility.crushes = [tip]": "states.tip.motility.crushes: 'tip' moves itself",
    "states.tip.motility.trail = empty": "states.tip.motility.trail: 'empty' is no cell",
    "states.vessel.barrier = true": "states.tip.motility.trail: 'vessel' is a barrier",
    "traits.age = {of: [vessel], most: 3}": "states.tip.motility.trail: cells in 'vessel' have the trait 'age'",
    "clones = {of: [vessel]}": "states.tip.motility.trail: cells in 'vessel' belong to clones",
    "states.tip.motility.modulators = [{connected: [vessel]}]": "'connected' and 'to' (",
    "states.tip.motility.modulators = [{connected: [vesel], to: [x_low]}]": "connected: unknown tissue state 'vesel'",
    "states.tip.motility.modulators = [{connected: [vessel], to: [left]}]": "to: unknown tissue state 'left'",
    "states.tip.motility.modulators = [{connected: [vessel], to: [x_low], half: 2}]": "'half' does not apply to 'conn",
}


@pytest.mark.parametrize(("change", "message"), PROBLEMS.items(), ids=PROBLEMS)
def test_what_has_no_meaning_is_refused_in_one_line(change, message):
    path, value = change.split(" = ")
    with pytest.raises(ScenarioError) as caught:
        gpusim.Simulation(Scenario.parse(SPROUT).overridden({path: yaml.safe_load(value)}), "numpy").close()
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


FED = """
grid: {shape: [6, 6, 6]}
time: {until: 1 hour, step: {field: 5 min, rules: 5 min}}
record: {every: 1 hour}
fields: {FIELD}
states:
  soft: {}
  vessel: {YIELDS}
  tip: {motility: {speed: 3 um/min, crushes: CRUSHED}}
rules: {division: {transition: tip -> tip + tip, rate: 0.1 /hour, reach: 60 um}}
tissue:
  background: soft
  shapes:
    vessels: {kind: everywhere, state: vessel, fraction: 0.1}
    tips: {kind: everywhere, state: tip, fraction: 0.1}
"""
LEAK = """
flow:
  field: p
  conductivity: 1e-7 cm^2/mmHg/s
  vessels: {vessel: {conductivity: 2e-6 cm/mmHg/s, surface: 200 /cm, pressure: 20 mmHg}}
"""


@pytest.mark.parametrize(
    ("crushed", "yields", "refused"),
    [
        ("soft", "", False),
        ("[soft, vessel]", "", True),
        ("soft", "yields: {how: crushed, resistance: 20 um}", True),
        ("soft", "yields: rigid", False),
    ],
)
def test_cells_that_others_crush_determine_no_pressure_or_steady_field(crushed, yields, refused):
    text = FED.replace("CRUSHED", crushed).replace("YIELDS", yields)
    steady = "c: {unit: mmHg, diffusion: 1e5 um^2/min, solver: steady, holds: {vessel: 40}}"
    for scenario in (text.replace("FIELD", "p: {unit: mmHg}") + LEAK, text.replace("FIELD", steady)):
        if refused:
            with pytest.raises(ScenarioError, match=r"nothing determines the pressure|needs a decay above 0"):
                gpusim.Simulation(Scenario.parse(scenario), "numpy")
        else:
            gpusim.Simulation(Scenario.parse(scenario), "numpy").close()
