"""Room against distances in closed form, as an outcome, and as a field to draw."""

import itertools

import numpy as np
import pytest

import gpusim
from gpusim.analysis.outcomes import measure
from gpusim.analysis.room import room, within
from gpusim.errors import ResultError, ScenarioError
from gpusim.record import Result
from gpusim.scenario.schema import Outcome

SPACING, REACH = 10.0, 60.0
COLONY = """
grid: {shape: [11, 10, 9], spacing: 10 um, sides: {x: periodic, z: open}}
time: {until: 10 min, step: {field: 5 min, rules: 5 min}}
states: {cell: {}, soft: {yields: {how: crushed, resistance: 25 um}}, guest: {layer: immune}}
rules: {division: {transition: cell -> cell + cell, rate: 0.004 /min, reach: 60 um}}
tissue:
  background: cell
  shapes:
    hole: {kind: box, state: empty, lower: [20 um, 30 um, 40 um], upper: [30 um, 40 um, 50 um]}
    soft: {kind: box, state: soft, lower: [80 um, 80 um, 40 um], upper: [90 um, 90 um, 50 um]}
    guest: {kind: sphere, state: guest, radius: 30 um}
"""
QUIET = "{grid: {shape: [4, 4, 4]}, states: {a: {}}}"


def length(step):
    """Of the shortest way over faces, edges and corners, tenths of a voxel: corners first, then edges, then faces."""
    a, b, c = sorted(map(abs, step), reverse=True)
    return 17 * c + 14 * (b - c) + 10 * (a - b)


def expected(cells, sources):
    """Room in um, where all cells give way: x is periodic, and cells leave across the sides along z."""
    nz, _, nx = cells.shape
    found = np.empty(cells.shape)
    for z, y, x in np.ndindex(*cells.shape):
        ways = [10 * (1 + min(z, nz - 1 - z))]
        for (sz, sy, sx), resistance in sources:
            ways += [resistance + length((z - sz, y - sy, x - sx + turn)) for turn in (-nx, 0, nx)]
        found[z, y, x] = min(ways)
    return np.minimum(found, 65)


@pytest.fixture(scope="module")
def simulation():
    with gpusim.Simulation(gpusim.Scenario.parse(COLONY), "numpy") as made:
        yield made


def test_room_is_the_shortest_way_over_faces_edges_and_corners(simulation):
    tissue, soft = simulation.tissue, simulation.model.states.number("soft")
    sources = [(place, 0) for place in np.argwhere(tissue == 0)] + [
        (place, 25) for place in np.argwhere(tissue == soft)
    ]
    assert len(sources) == 2
    found = room(simulation.scenario.document, tissue)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected(tissue, sources) * SPACING / 10, rtol=1e-6)


def test_beyond_the_reach_room_is_half_a_voxel_more():
    text = """
    grid: {shape: [30, 3, 3], spacing: 10 um}
    states: {a: {}, wall: {yields: rigid}}
    rules: {division: {transition: a -> a + a, rate: 0.001 /min, reach: 60 um}}
    """
    tissue = np.ones((3, 3, 30), np.uint8)
    tissue[..., 0], tissue[..., 4] = 0, 2
    tissue[0, 0, 4] = 1
    found = room(gpusim.Scenario.parse(text).document, tissue)
    np.testing.assert_allclose(found[0, 0, :9], [0, 10, 20, 30, 40, 50, 60, 65, 65], rtol=1e-6)
    assert found[1, 1, 4] == found[2, 2, 5] == pytest.approx(65)


def test_the_engine_finds_the_same_room():
    """A rule that looks at room fires sooner or later where it is at most 22 um, and nowhere else."""
    mark = (
        "rate: 0 /min, reach: 60 um}, "
        "mark: {transition: cell -> marked, rate: 1 /min, modulators: [{room: true, below: 22 um}]}"
    )
    text = COLONY.replace("rate: 0.004 /min, reach: 60 um}", mark).replace("{cell: {}", "{cell: {}, marked: {}")
    scenario = gpusim.Scenario.parse(text)
    with gpusim.Simulation(scenario, "numpy") as marked:
        cells, near = marked.tissue == 1, room(scenario.document, marked.tissue) < 22
        marked.step(12)
        np.testing.assert_array_equal(marked.tissue == marked.model.states.number("marked"), cells & near)


@pytest.mark.parametrize("distance", ["10 um", "34 um", "60 um"])
@pytest.mark.parametrize("states", [["cell"], ["guest"], ["cell", "soft", "guest"]])
def test_an_outcome_is_the_share_of_cells_that_have_room(simulation, states, distance):
    found = measure(Outcome(room=states, within=distance), simulation)
    numbers = [simulation.model.states.number(state) for state in states]
    layers = [simulation.tissue, simulation.immune]
    rooms = np.concatenate([room(simulation.scenario.document, layers[0])[np.isin(layer, numbers)] for layer in layers])
    # The nearest side of the voxel that can take a cell is half a voxel nearer than its centre.
    assert 0 < found == np.mean(rooms - SPACING / 2 < float(distance.split()[0]) * (1 - 1e-6))


def test_the_share_with_room_is_of_what_a_division_reaches():
    """Without a `reach`: the 26 neighbours of a free voxel, and none of those beyond."""
    text = QUIET.replace("states", "rules: {r: {transition: a -> a + a, rate: 1e-4 /min}}, states")
    tissue = np.ones((5, 5, 5), np.uint8)
    tissue[2, 2, 2] = 0
    near = within(gpusim.Scenario.parse(text).document, tissue, "34 um")
    assert near[1:4, 1:4, 1:4].all()
    assert near.sum() == 27


@pytest.mark.parametrize("reach", [1, 2, 3, 4, 6, 10])
@pytest.mark.parametrize("normal", [(1, 0, 0), (1, 1, 0), (1, 1, 1)])
def test_a_rim_as_deep_as_the_reach_has_room_whatever_way_the_surface_lies(reach, normal):
    """Layers of cells under a plane surface, which is half a layer outside the centres of the first."""
    division = f"r: {{transition: a -> a + a, rate: 0.01 /h, reach: {20 * reach} um}}"
    text = f"{{grid: {{shape: [31, 31, 31]}}, states: {{a: {{}}}}, rules: {{{division}}}}}"
    layer = np.einsum("i,i...", normal, np.indices((31, 31, 31))) - 20  # from 1 on
    near = within(gpusim.Scenario.parse(text).document, (layer > 0).astype(np.uint8), f"{20 * reach} um")
    assert layer[near].max() / np.linalg.norm(normal) == pytest.approx(reach, abs=0.5)


def test_without_cells_the_share_is_0(simulation):
    document = simulation.scenario.with_(tissue={"background": "empty", "shapes": {"hole": None, "soft": None}})
    with gpusim.Simulation(document, "numpy") as empty:
        assert measure(Outcome(room=("cell",), within="20 um"), empty) == 0


@pytest.mark.parametrize(
    ("outcome", "place", "reason"),
    [
        ("{room: cell, within: 70 um}", "within", "expected 10 um to 60 um (one voxel to the farthest reach"),
        ("{room: cell, within: 5 um}", "within", "found 5 um"),
        ("{room: cell, within: 5 min}", "within", "um"),
        ("{room: cells, within: 20 um}", "room", "did you mean 'cell'"),
        ("{room: empty, within: 20 um}", "room", "is not a cell"),
        ("{room: cell}", "o", "'room' and 'within' go together"),
        ("{count: cell, within: 20 um}", "o", "'room' and 'within' go together"),
    ],
)
def test_a_wrong_outcome_is_refused_where_it_stands(outcome, place, reason):
    with pytest.raises(ScenarioError) as caught:
        gpusim.Scenario.parse(COLONY + f"trial: {{arms: {{all: {{}}}}, outcomes: {{o: {outcome}}}}}")
    assert place in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_where_nothing_divides_there_is_no_room():
    with pytest.raises(ScenarioError, match=r"outcomes.o.room: is not defined, because no tissue cell divides"):
        gpusim.Scenario.parse(QUIET[:-1] + ", trial: {arms: {all: {}}, outcomes: {o: {room: a, within: 20 um}}}}")
    with pytest.raises(ScenarioError, match=r"^room is not defined, because no tissue cell divides"):
        room(gpusim.Scenario.parse(QUIET).document, np.zeros((4, 4, 4), np.uint8))


class TestDrawing:
    """Of a simulation and of its result."""

    def test_room_is_one_of_the_fields(self, simulation, tmp_path):
        moments = pytest.importorskip("gpusim.viz.moment", reason="the pictures' packages are not installed")
        gpusim.run(simulation.scenario, tmp_path / "out", backend="numpy")
        result = Result(tmp_path / "out")
        for moment in (moments.moment_of_simulation(simulation), moments.moment_of_result(result, 0)):
            assert moment.field_names == ["all tissue cells", "room"]
            assert moment.unit("room") == "um"
            np.testing.assert_array_equal(moment.values("room"), room(result.document, simulation.tissue))

    def test_coarse_voxels_have_the_mean_room_of_their_parts(self, simulation):
        moments = pytest.importorskip("gpusim.viz.moment", reason="the pictures' packages are not installed")
        moment = moments.moment_of_simulation(simulation)
        values = moment.values("room")
        found = moment.coarsened(2).values("room")
        for z, y, x in itertools.product(range(4), repeat=3):
            block = np.s_[2 * z : 2 * z + 2, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
            assert found[z, y, x] == pytest.approx(values[block].mean())

    def test_where_nothing_divides_it_is_refused(self):
        moments = pytest.importorskip("gpusim.viz.moment", reason="the pictures' packages are not installed")
        with gpusim.Simulation(gpusim.Scenario.parse(QUIET), "numpy") as quiet:
            moment = moments.moment_of_simulation(quiet)
            assert "room" not in moment.field_names
            with pytest.raises(ResultError, match="field 'room' is not defined, because no tissue cell divides"):
                moment.values("room")
