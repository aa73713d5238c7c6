"""Room and division, held against shortest paths of another program and against books that must balance."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

import gpusim
from gpusim.model.tables import RIGID

STEPS = [step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)]
FAR = 101
FREE, GIVES, WALL, SOFT = range(4)
YIELDS = np.array([0, FAR, RIGID, 25], np.uint16)
"""Room of a voxel by itself, by state."""


def shortest(cells, boundary, far=FAR):
    """Room by Dijkstra's method: from each voxel that can take a cell, over faces, edges and corners."""
    shape, count = np.array(cells.shape), cells.size
    periodic = [bool(boundary & 1 << axis) for axis in range(3)]
    edges = {}
    for place in np.ndindex(*cells.shape):
        for step in STEPS:

            def at(part, place=place):
                there = np.array(place) + part
                there = np.where(periodic, there % shape, there)
                return tuple(there) if ((there >= 0) & (there < shape)).all() else None

            parts = itertools.product(*((0, d) if d else (0,) for d in step))
            passed = [at(part) for part in parts]
            if all(p is not None and cells[p] != WALL for p in passed):
                edge = tuple(np.ravel_multi_index(p, cells.shape) for p in (place, at(step)))
                length = (10, 14, 17)[sum(map(abs, step)) - 1]
                edges[edge] = min(length, edges.get(edge, length))
    start = np.where(cells == GIVES, far, YIELDS[cells].astype(int)).reshape(-1)
    for axis, end in itertools.product(range(3), (0, 1)):
        if boundary & 8 << 2 * axis + end:
            side = [slice(None)] * 3
            side[axis] = -end
            at_side = np.zeros(cells.shape, bool)
            at_side[tuple(side)] = True
            start = np.where(at_side.reshape(-1) & (start != RIGID), np.minimum(start, 10), start)
    for source in np.flatnonzero(start < far):  # from a node that stands for all voxels that can take a cell
        edges[count, source] = start[source] + 1
    rows, columns = zip(*edges, strict=True) if edges else ((), ())
    graph = coo_array((list(edges.values()), (rows, columns)), (count + 1, count + 1)).tocsr()
    found = dijkstra(graph, indices=count)[:count].reshape(cells.shape) - 1
    return np.where(cells == WALL, RIGID, np.minimum(found, far)).astype(np.uint16)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_room_is_the_shortest_way_to_a_voxel_that_can_take_a_cell(every_machine, data):
    shape = data.draw(st.tuples(*[st.integers(1, 4)] * 2, st.sampled_from([1, 2, 3, 9, 10, 13])))
    cells = np.random.default_rng(data.draw(st.integers(0, 2**32))).choice(4, (1, *shape), p=[0.1, 0.6, 0.2, 0.1])
    sides = data.draw(st.tuples(*[st.sampled_from(["closed", "periodic", "open"])] * 3))
    boundary = sum((1 << a) * (s == "periodic") + (24 << 2 * a) * (s == "open") for a, s in enumerate(sides))
    yields = every_machine.array(np.repeat(YIELDS[:, None], 4, axis=1))
    own, other = (every_machine.lattice(a.astype(np.uint8)) for a in (cells, 0 * cells))
    room, spare = (every_machine.lattice(np.zeros(cells.shape, np.uint16)) for _ in range(2))
    begun = {"yields": yields, "cells": own, "other": other, "boundary": boundary}
    every_machine.launch("begin_room", room=room, **begun)
    for source, target in [(room, spare), (spare, room)] * 5:
        every_machine.launch("spread_room", room=source, next=target, passes=1, boundary=boundary)
    np.testing.assert_array_equal(every_machine.to_numpy(room)[0], shortest(cells[0], boundary))
    if every_machine.settles_room:
        every_machine.launch("begin_room", room=room, **begun)
        every_machine.launch("spread_room", room=room, next=spare, passes=10, boundary=boundary)
        np.testing.assert_array_equal(every_machine.to_numpy(room)[0], shortest(cells[0], boundary))


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_room_is_found_over_hundreds_of_voxels(every_machine, data):
    far = 2401
    shape = data.draw(st.sampled_from([(1, 2, 240), (240, 1, 2), (2, 120, 1), (3, 9, 40)]))
    kinds = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    cells = kinds.choice(4, (1, *shape), p=[0.005, 0.98, 0.01, 0.005])
    boundary = data.draw(st.sampled_from([0, 1, 7]))
    yields = YIELDS.copy()
    yields[GIVES] = far
    own, other = (every_machine.lattice(a.astype(np.uint8)) for a in (cells, 0 * cells))
    room, spare = (every_machine.lattice(np.zeros(cells.shape, np.uint16)) for _ in range(2))
    given = every_machine.array(np.repeat(yields[:, None], 4, axis=1))
    begun = {"yields": given, "cells": own, "other": other, "boundary": boundary}
    every_machine.launch("begin_room", room=room, **begun)
    expected = shortest(cells[0], boundary, far)
    if every_machine.settles_room:
        every_machine.launch("spread_room", room=room, next=spare, passes=240, boundary=boundary)
    else:
        for source, target in [(room, spare), (spare, room)] * 120:
            every_machine.launch("spread_room", room=source, next=target, passes=1, boundary=boundary)
    np.testing.assert_array_equal(every_machine.to_numpy(room)[0], expected)


def test_a_long_row_of_cells_moves_up_for_one_daughter(machine):
    text = """
    grid: {shape: [1, 1, 240], spacing: 20 um}
    time: {until: 100 h, step: {field: 1 hour, rules: 1 hour}}
    states: {mother: {}, other: {}, marked: {}}
    rules: {division: {transition: mother -> other + mother, rate: 0.9 /h, reach: 4.8 mm}}
    traits: {number: {of: [other, marked], initial: {lognormal: {median: 1, fold: 1.5}}}}
    tissue:
      shapes:
        row: {kind: everywhere, state: other}
        mother: {kind: sphere, centre: [10 um, 10 um, 10 um], radius: 5 um, state: mother}
        marked: {kind: sphere, centre: [10 um, 10 um, 2.01 mm], radius: 5 um, state: marked}
        free: {kind: sphere, centre: [10 um, 10 um, 4.79 mm], radius: 5 um, state: empty}
    """
    with gpusim.Simulation(gpusim.Scenario.parse(text), machine) as simulation:
        states = np.array(simulation.model.states.names)
        before = simulation.trait("number").reshape(-1)
        simulation.step(20)
        assert simulation.fired["division"] == 1
        cells = states[simulation.tissue.reshape(-1)]
        assert list(np.flatnonzero(cells == "marked")) == [101]
        assert list(np.flatnonzero(cells == "mother")) == [1]
        np.testing.assert_array_equal(simulation.trait("number").reshape(-1)[2:], before[1:-1])


CROWD = """
grid: {{shape: [12, 9, 10], sides: {sides}}}
time: {{until: 100 h, step: {{field: 5 min, rules: 5 min}}}}
states:
  mother: {{motility: {{speed: 0.3 um/min}}}}
  daughter: {{}}
  soft: {{yields: {{how: crushed, resistance: 30 um}}}}
  wall: {{yields: rigid}}
rules:
  division: {{transition: mother -> mother + daughter, rate: 0.004 /min, reach: 80 um}}
  death: {{transition: daughter -> empty, rate: 0.0005 /min}}
tissue:
  shapes:
    mother: {{kind: everywhere, state: mother, fraction: {filled}}}
    soft: {{kind: everywhere, state: soft, fraction: 0.1}}
    wall: {{kind: everywhere, state: wall, fraction: 0.1}}
"""


@settings(max_examples=15, deadline=None)
@given(
    sides=st.tuples(*[st.sampled_from(["closed", "periodic", "open"])] * 3),
    filled=st.sampled_from([0.05, 0.5, 0.9]),
    seed=st.integers(0, 2**63),
)
def test_no_cell_is_lost_or_doubled(machine, sides, filled, seed):
    text = CROWD.format(sides=dict(zip("xyz", sides, strict=True)), filled=filled)
    with gpusim.Simulation(gpusim.Scenario.parse(text), machine, seed=seed) as simulation:
        names = simulation.model.states.names
        before, walls = simulation.counts, simulation.tissue == names.index("wall")
        simulation.step(30)
        lattice = dict(zip(names, np.bincount(simulation.tissue.reshape(-1), minlength=6), strict=False))
        site, fired = simulation.site, simulation.fired
        expected = {state: before[state] - site.crushed[state] - site.left[state] for state in names[1:5]}
        expected["daughter"] += fired["division"] - fired["death"]
        assert {state: int(lattice[state]) for state in names[1:5]} == expected
        assert simulation.counts["empty"] == lattice["empty"]
        np.testing.assert_array_equal(simulation.tissue == names.index("wall"), walls)


@pytest.mark.parametrize("normal", [(1, 1, 1), (1, 1, 0), (0, 1, 1)])
def test_an_oblique_wall_one_voxel_thick_lets_nothing_through(machine, normal):
    text = """
    grid: {shape: [12, 12, 12]}
    time: {until: 100 h, step: {field: 5 min, rules: 5 min}}
    states: {a: {}, wall: {yields: rigid}}
    rules: {division: {transition: a -> a + a, rate: 0.004 /min, reach: 200 um}}
    tissue: {shapes: {seed: {kind: sphere, centre: [50 um, 50 um, 50 um], radius: 30 um, state: a}}}
    """
    with gpusim.Simulation(gpusim.Scenario.parse(text), machine) as simulation:
        z, y, x = np.indices(simulation.tissue.shape)
        height = normal[0] * x + normal[1] * y + normal[2] * z
        arrays = dict(simulation.arrays())
        name = f"{simulation.site.name}.tissue.cells"
        plane = 5 * sum(normal)
        arrays[name][height == plane] = simulation.model.states.number("wall")
        simulation.restore(simulation.numbers, arrays)
        simulation.step(250)
        cells = simulation.tissue == simulation.model.states.number("a")
        assert cells[height < plane].mean() > 0.9
        assert not cells[height > plane].any()


def test_a_cycle_of_phases_grows_as_renewal_theory_says(machine):
    """N(t) = 1 - F(t) + 2 int f(u) N(t - u) du, F of the time from birth to mitosis: 10 h and two exponential times."""
    text = """
    grid: {shape: [20, 20, 20]}
    time: {until: 100 h, step: {field: 10 min, rules: 10 min}}
    states: {g1: {}, g2m: {}}
    rules:
      growth: {transition: g1 -> g2m, after: 6 h, rate: 0.01 /min}
      mitosis: {transition: g2m -> g1 + g1, after: 4 h, rate: 0.004 /min, reach: 300 um}
    tissue: {shapes: {seed: {kind: sphere, state: g1, radius: 50 um}}}
    """
    step, steps = 10.0, 60 * 6
    later = (np.arange(steps) + 0.5) * step - 600
    density = 0.01 * 0.004 / 0.006 * (np.exp(-0.004 * later) - np.exp(-0.01 * later)) * (later > 0) * step
    cells = np.ones(steps + 1)
    for n in range(1, steps + 1):
        cells[n] = 1 - density[:n].sum() + 2 * (density[:n] * cells[n - 1 :: -1]).sum()
    found = []
    for seed in range(3):
        with gpusim.Simulation(gpusim.Scenario.parse(text), machine, seed=seed) as simulation:
            before = simulation.count("g1")
            simulation.step(steps)
            counts, fired = simulation.counts, simulation.fired
            assert counts["g1"] + counts["g2m"] == before + fired["mitosis"]
            assert counts["g1"] == before - fired["growth"] + 2 * fired["mitosis"]
            found.append((counts["g1"] + counts["g2m"]) / before)
    assert np.mean(found) == pytest.approx(cells[-1], rel=0.03)


def test_a_run_goes_on_with_its_claims(machine):
    """Mothers that lost a bid for room keep their claims, which are a part of the state."""
    text = """
    grid: {shape: [20, 20, 1]}
    time: {until: 100 h, step: {field: 5 min, rules: 5 min}}
    states: {a: {}}
    rules:
      division: {transition: a -> a + a, rate: 0.01 /min, reach: 80 um}
      death: {transition: a -> empty, rate: 0.001 /min}
    tissue: {background: a}
    """
    scenario = gpusim.Scenario.parse(text)
    with gpusim.Simulation(scenario, machine) as simulation:
        simulation.step(8)
        numbers, arrays = simulation.numbers, dict(simulation.arrays())
        assert any(name.endswith("tissue.claim") and array.any() for name, array in arrays.items())
        simulation.step(10)
        expected = simulation.digest()
    with gpusim.Simulation(scenario, machine) as again:
        again.restore(numbers, arrays)
        again.step(10)
        assert again.digest() == expected
