"""Closing: what is outside, holes that leave, and books of cells."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import gpusim

FREE, _, _, MARKED = range(4)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_outside_is_what_a_cube_reaches(every_machine, data):
    shape = data.draw(st.tuples(*[st.integers(1, 9)] * 3))
    taken = data.draw(st.sampled_from([0.0, 0.02, 0.1, 0.5]))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    cells = random.choice(4, (1, *shape), p=[0.99 - taken, taken / 2, taken / 2, 0.01])
    sides = data.draw(st.tuples(*[st.sampled_from(["closed", "periodic", "open"])] * 3))
    boundary = sum((1 << a) * (s == "periodic") + (24 << 2 * a) * (s == "open") for a, s in enumerate(sides))
    about = {"regions": every_machine.array(np.array([1, 0, 0, 2], np.uint8)), "boundary": boundary}
    about["cells"] = every_machine.lattice(cells.astype(np.uint8))
    labels = every_machine.lattice(np.zeros((1, *shape), np.uint32))
    found = every_machine.lattice(np.zeros((1, *shape), np.uint16))
    every_machine.launch("begin_regions", **about, labels=labels)
    every_machine.launch("join_regions", labels=labels, boundary=boundary, corners=0)
    every_machine.launch("settle_regions", labels=labels)
    every_machine.launch("mark_outside", **about, labels=labels, outside=found)
    np.testing.assert_array_equal(every_machine.to_numpy(found)[0] != 0, reached(cells[0], sides))


def reached(cells, sides):
    """Marked voxels, and free ones that a cube of 3 voxels reaches from these or from an open side."""
    copies = [3 if side == "periodic" else 1 for side in sides]
    middle = tuple(slice(n, 2 * n) if c == 3 else slice(None) for n, c in zip(cells.shape, copies, strict=True))
    tiled = np.tile(cells, copies)  # of three copies along a periodic axis, the middle one has neighbours
    free, cube = np.isin(tiled, (FREE, MARKED)), np.ones((3, 3, 3))
    middles = np.tile(ndimage.binary_erosion(free, cube, border_value=1)[middle], copies)
    joined = middles & (tiled == MARKED)
    for axis, side in enumerate(sides):
        for end in (0, -1) if side == "open" else ():
            at = tuple(slice(None) if a != axis else end for a in range(3))
            joined[at] |= middles[at]
    before = -1
    while before != (before := int(joined.sum())):
        joined = ndimage.binary_propagation(joined, mask=middles)
        for axis, count in enumerate(copies):
            joined = np.concatenate([np.any(np.split(joined, count, axis=axis), axis=0)] * count, axis=axis)
    return ((ndimage.binary_dilation(joined, cube) & free) | (tiled == MARKED))[middle]


PORES = """
grid: {{shape: [{n}, {n}, {n}], sides: {{x: open, y: open, z: open}}}}
time: {{until: 60 h, step: {{field: 12 min, rules: 12 min}}}}
states: {{a: {{}}, cavity: {{outside: true}}}}
rules: {{closing: {{transition: empty -> outside, rate: 0.1 /h, reach: 400 um}}}}
tissue:
  background: empty
  shapes:
    ball: {{kind: sphere, state: a, radius: {radius} um, fraction: {fraction}}}
    hole: {{kind: sphere, state: {inside}, radius: {hole} um}}
therapies: {therapies}
"""


def enclosed(simulation):
    """Free voxels that are not joined over faces to a side of the lattice."""
    free = np.pad(simulation.tissue == 0, 1, constant_values=True)
    regions, _ = ndimage.label(free)
    return int((free & (regions != regions[0, 0, 0])).sum())


def filled(simulation, share):
    """Share of voxels with a cell about the middle of a ball, up to a share of the radius that its cells would have."""
    cells = simulation.tissue == simulation.model.states.number("a")
    places = np.indices(cells.shape).reshape(3, -1) - np.argwhere(cells).mean(axis=0)[:, None]
    radius = (cells.sum() * 3 / 4 / np.pi) ** (1 / 3)
    return float(cells.reshape(-1)[np.sqrt((places**2).sum(axis=0)) < share * radius].mean())


@pytest.mark.parametrize(
    ("radius", "fraction", "hole"),
    [
        (150, 0.8, 18),
        (150, 1, 75),
        pytest.param(300, 0.8, 18, marks=pytest.mark.slow),
        pytest.param(300, 1, 150, marks=pytest.mark.slow),
    ],
)
def test_holes_leave_a_ball(machine, radius, fraction, hole):
    """After 5 times the mean waiting time, at most 2% of its volume."""
    if radius > 200 and machine.name == "numpy":
        pytest.skip("takes minutes")
    text = PORES.format(n=radius // 10 + 4, radius=radius, fraction=fraction, hole=hole, inside="empty", therapies={})
    with gpusim.Simulation(gpusim.Scenario.parse(text), machine, seed=3) as simulation:
        volume, cells, before = 4 / 3 * np.pi * (radius / 20) ** 3, simulation.count("a"), enclosed(simulation)
        assert before > 0.1 * volume
        simulation.step(5 * 50)
        assert enclosed(simulation) <= 0.02 * volume
        assert simulation.count("a") == cells == (simulation.tissue == simulation.model.states.number("a")).sum()
        assert filled(simulation, 0.8) > 0.95


@pytest.mark.parametrize("leaves", ["", "leaves: cavity, "])
def test_what_surgery_leaves_stays(machine, leaves):
    """A cavity that is marked as outside; free voxels would be closed up."""
    cut = "{surgery: {resect: [a], " + leaves + "radius: 60 um, start: 1 h}}"
    text = PORES.format(n=20, radius=150, fraction=1, hole=18, inside="a", therapies=cut)
    with gpusim.Simulation(gpusim.Scenario.parse(text), machine) as simulation:
        cells = simulation.count("a")
        simulation.step(6)
        removed = cells - simulation.count("a")
        assert removed > 80
        simulation.step(200)
        if leaves:
            assert simulation.count("cavity") == removed
            assert simulation.fired["closing"] == 0
        else:
            assert filled(simulation, 0.5) > 0.95


CROWD = """
grid: {{shape: [11, 8, 9], sides: {sides}}}
time: {{until: 100 h, step: {{field: 5 min, rules: 5 min}}}}
states:
  mother: {{motility: {{speed: 0.3 um/min}}}}
  dead: {{}}
  lumen: {{outside: true}}
  wall: {{yields: rigid}}
rules:
  division: {{transition: mother -> mother + mother, rate: 0.002 /min, reach: 80 um}}
  death: {{transition: mother -> dead, rate: 0.002 /min}}
  clearing: {{transition: dead -> outside, rate: 0.01 /min, reach: 100 um}}
  closing: {{transition: empty -> outside, rate: 0.004 /min, reach: 100 um}}
tissue:
  background: empty
  shapes:
    mother: {{kind: everywhere, state: mother, fraction: {filled}}}
    lumen: {{kind: everywhere, state: lumen, fraction: 0.02}}
    wall: {{kind: everywhere, state: wall, fraction: 0.1}}
"""


@settings(max_examples=15, deadline=None)
@given(
    sides=st.tuples(*[st.sampled_from(["closed", "periodic", "open"])] * 3),
    filled=st.sampled_from([0.5, 0.9]),
    seed=st.integers(0, 2**63),
)
def test_no_cell_is_lost_or_doubled(machine, sides, filled, seed):
    text = CROWD.format(sides=dict(zip("xyz", sides, strict=True)), filled=filled)
    with gpusim.Simulation(gpusim.Scenario.parse(text), machine, seed=seed) as simulation:
        names = simulation.model.states.names
        before, walls = simulation.counts, simulation.tissue == names.index("wall")
        simulation.step(30)
        lattice = dict(zip(names, np.bincount(simulation.tissue.reshape(-1), minlength=5), strict=False))
        site, fired = simulation.site, simulation.fired
        lost = {state: site.crushed[state] + site.left[state] for state in names[1:4]}
        assert lattice["mother"] == before["mother"] + fired["division"] - fired["death"] - lost["mother"]
        assert lattice["dead"] == fired["death"] - fired["clearing"] - lost["dead"]
        assert lattice["lumen"] == before["lumen"] - lost["lumen"]
        assert {state: int(lattice[state]) for state in names[:5]} == {s: simulation.counts[s] for s in names[:5]}
        np.testing.assert_array_equal(simulation.tissue == names.index("wall"), walls)


@pytest.mark.parametrize("normal", [(1, 1, 1), (1, 1, 0), (0, 0, 1)])
def test_nothing_closes_up_through_a_wall(machine, normal):
    """Holes on the far side of an oblique wall one voxel thick stay, as the nearest outside is beyond it."""
    text = """
    grid: {shape: [12, 12, 12], sides: {x: open}}
    time: {until: 100 h, step: {field: 5 min, rules: 5 min}}
    states: {a: {}, wall: {yields: rigid}}
    rules: {closing: {transition: empty -> outside, rate: 0.004 /min, reach: 400 um}}
    tissue: {background: a}
    """
    with gpusim.Simulation(gpusim.Scenario.parse(text), machine) as simulation:
        z, y, x = np.indices(simulation.tissue.shape)
        height = normal[0] * z + normal[1] * y + normal[2] * x
        arrays = dict(simulation.arrays())
        cells = arrays[f"{simulation.site.name}.tissue.cells"]
        cells[np.random.default_rng(1).random(cells.shape) < 0.1] = 0
        cells[:, :, [0, -1]] = simulation.model.states.number("a")
        sealed = height > 7 * sum(normal)
        cells[sealed & ((x == 0) | (x == 11))] = simulation.model.states.number("wall")
        cells[height == 7 * sum(normal)] = simulation.model.states.number("wall")
        simulation.restore(simulation.numbers, arrays)
        holes = (cells == 0) & sealed
        simulation.step(300)
        np.testing.assert_array_equal((simulation.tissue == 0) & sealed, holes)
        assert simulation.site.barred["closing"] > 0
        assert ((simulation.tissue == 0) & ~sealed & (x > 1) & (x < 10)).sum() < 5


def test_surgery_in_mid_run_leaves_a_state(machine):
    scenario = gpusim.Scenario.parse(PORES.format(n=20, radius=150, fraction=1, hole=18, inside="a", therapies={}))
    with gpusim.Simulation(scenario, machine) as simulation, gpusim.Simulation(scenario, machine) as again:
        cells = simulation.count("a")
        simulation.step(3)
        simulation.resect("a", "60 um", leaves="cavity")
        removed = cells - simulation.count("a")
        assert simulation.count("cavity") == removed > 80
        again.step(3)
        again.repeat(simulation.actions[0])
        assert again.digest() == simulation.digest()


def test_a_run_goes_on_where_it_stopped(machine):
    text = CROWD.format(sides="{x: open, y: open}", filled=0.8)
    scenario = gpusim.Scenario.parse(text)
    with gpusim.Simulation(scenario, machine) as simulation:
        simulation.step(8)
        numbers, arrays = simulation.numbers, dict(simulation.arrays())
        simulation.step(10)
        expected = simulation.digest()
    with gpusim.Simulation(scenario, machine) as again:
        again.restore(numbers, arrays)
        again.step(10)
        assert again.digest() == expected
