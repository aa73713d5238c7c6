"""Adhesion, held against Boltzmann shares by enumeration, against random walks, and against the books of cells."""

import itertools

import numpy as np
import pytest
from backends.nothing import no_traits
from backends.played import PlayedDevice
from hypothesis import given, settings
from hypothesis import strategies as st
from machines import backend_parameters, first_backend
from scipy.stats import chi2

import gpusim
from gpusim import backends
from gpusim.backends import cpu
from gpusim.backends.base import Window
from gpusim.backends.slabs.cut import Cut
from gpusim.engine.adhesion import passes
from gpusim.engine.purpose import Purpose
from gpusim.model.adhesion import acceptance

EMPTY, A, B, WALL = range(4)
ENERGIES = np.array([[0, 0, 100, -50], [0, -400, 150, 300], [100, 150, -250, 0], [-50, 300, 0, 0]], np.int32)
"""kT/1000; no two contacts are alike, so that a mistaken one shows."""
SWAPS = np.array([1, 1, 1, 0], np.uint8)
SIDES = ["closed", "periodic", "open"]


@pytest.fixture(scope="module", autouse=True)
def share_small_launches():
    """Let threads share even the small lattices of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "_SMALLEST_SHARE", 4)
        yield


def boundary_of(z, y, x):
    return sum((1 << a) * (s == "periodic") + (24 << 2 * a) * (s == "open") for a, s in enumerate((z, y, x)))


def swapped(backend, arrays, boundary, *, sweeps, share, background=B, energies=ENERGIES):
    """What becomes of cells, clock, heading and claim, [R, z, y, x], in some sweeps."""
    layer = {name: backend.lattice(values) for name, values in arrays.items()}
    replicates, *shape = arrays["cells"].shape
    given = tables(backend, replicates, energies) | {"boundary": boundary, "background": background}
    for sweep in range(sweeps):
        for each in passes(sweep, shape, boundary, share):
            drawn = {"step": 3 * sweep + each.axis, "purpose": Purpose.ADHESION}
            backend.launch("swap_cells", **given, **layer, **drawn, **each._asdict())
    return {name: backend.to_numpy(array) for name, array in layer.items()}


def tables(backend, replicates, energies=ENERGIES):
    seeds = np.arange(replicates, dtype=np.uint64) + np.uint64(2**33)
    found = {"energies": energies, "swaps": SWAPS, "acceptance": acceptance(), "seeds": seeds}
    arrays = {name: backend.array(values) for name, values in found.items()}
    return arrays | {"traits": no_traits(backend, replicates), "first_trait": 0, "end_trait": 0}


def one_pass(backend, cells, cut, boundary, sweep, each):
    """The planes that a rank holds, [1, z, y, x], after one pass."""
    layer = {name: backend.lattice(values) for name, values in with_nothing_else(cells).items()}
    sides = {"boundary": cut.sides_met(boundary), "background": B}
    drawn = {"step": 3 * sweep + each.axis, "purpose": Purpose.ADHESION}
    window = Window(cut.low * cells[0, 0].size, cut.own.start, cut.own.stop)
    backend.launch("swap_cells", window=window, **tables(backend, 1), **layer, **sides, **drawn, **each._asdict())
    return backend.to_numpy(layer["cells"])


def with_nothing_else(cells):
    """Cells of which nothing but the state is told."""
    none = np.zeros((len(cells), 0, 0, 0), np.uint8)
    return {
        "cells": cells,
        "clock": np.zeros(cells.shape, np.uint16),
        "heading": none,
        "claim": none,
        "clone": none.astype(np.uint64),
    }


PLAYED = pytest.param("played", marks=[pytest.mark.slow, *backend_parameters()[1].marks])


@pytest.fixture(scope="module", params=[*backend_parameters(), PLAYED])
def backend(request):
    found = PlayedDevice().backend() if request.param == "played" else backends.create(*request.param)
    yield found
    found.close()


@pytest.fixture(scope="module", params=first_backend("cpu2", "cuda"))
def machine(request):
    found = backends.create(*request.param)
    yield found
    found.close()


def contacts(shape, boundary):
    """Pairs of voxels that are neighbours, as flat indices, and the voxels with neighbours beyond open sides."""
    inside, outside = [], []
    for place, step in itertools.product(np.ndindex(*shape), itertools.product((-1, 0, 1), repeat=3)):
        there, opens = np.array(place) + step, True
        for axis in range(3):
            if boundary & 1 << axis:
                there[axis] %= shape[axis]
            elif not 0 <= there[axis] < shape[axis]:
                opens &= bool(boundary & 8 << 2 * axis + (there[axis] > 0))
        if any(step) and ((there >= 0) & (there < shape)).all():
            inside.append((np.ravel_multi_index(place, shape), np.ravel_multi_index(there, shape)))
        elif any(step) and opens:
            outside.append(np.ravel_multi_index(place, shape))
    return np.array(inside).T, np.array(outside, int)


def boltzmann(start, boundary, background):
    """All arrangements of the cells of a lattice [z, y, x], as rows of states, and their probabilities."""
    (one, other), outside = contacts(start.shape, boundary)
    mobile = np.flatnonzero(start.reshape(-1) != WALL)
    states = np.tile(start.reshape(-1), (1, 1))
    for kind, count in zip(*np.unique(start[start != WALL], return_counts=True), strict=True):
        free = [[v for v in mobile if row[v] < 10] for row in states]  # 10 more where it is settled
        rows = []
        for row, voxels in zip(states, free, strict=True):
            for chosen in itertools.combinations(voxels, count):
                rows.append(row.copy())
                rows[-1][list(chosen)] = kind + 10
        states = np.array(rows)
    states = states - 10 * (states >= 10)
    energy = ENERGIES[states[:, one], states[:, other]].sum(axis=1) / 2
    energy = energy + ENERGIES[states[:, outside], background].sum(axis=1)
    weights = np.exp(-energy / 1000)
    return states, weights / weights.sum()


@pytest.mark.parametrize(
    ("cells", "sides"),
    [
        pytest.param([[[A, B, A], [B, A, B]], [[B, B, A], [B, A, B]]], ("closed",) * 3, id="closed"),
        pytest.param([[[A, B, A, B], [B, A, B, B], [B, B, A, B]]], ("closed", "periodic", "periodic"), id="periodic"),
        pytest.param([[[A, EMPTY, B, EMPTY], [B, WALL, A, EMPTY]]], ("closed", "closed", "periodic"), id="obstacle"),
        pytest.param([[[A, A, EMPTY]], [[A, EMPTY, B]]], ("closed", "periodic", "open"), id="open"),
        pytest.param([[[A, A, B, B, B], [B, A, B, A, B]]], ("closed", "closed", "periodic"), id="seam of five"),
    ],
)
def test_arrangements_have_boltzmanns_shares(machine, cells, sides):
    samples, boundary = 10_000, boundary_of(*sides)
    start = np.array(cells, np.uint8)
    begun = with_nothing_else(np.tile(start, (samples, 1, 1, 1)))
    ends = swapped(machine, begun, boundary, sweeps=100, share=0.5, background=A)["cells"]
    states, shares = boltzmann(start, boundary, A)
    assert shares.max() > 5 * shares.min()  # the energies matter
    keys = 4 ** np.arange(start.size)
    order = np.argsort(states @ keys)
    places = np.searchsorted((states @ keys)[order], ends.reshape(samples, -1).astype(int) @ keys)
    found = np.bincount(order[places], minlength=len(states))
    seldom = samples * shares < 10
    pooled = [np.append(each[~seldom], each[seldom].sum()) for each in (found, samples * shares)]
    found, expected = (each[pooled[1] > 0] for each in pooled)
    statistic = ((found - expected) ** 2 / expected).sum()
    assert chi2.sf(statistic, len(found) - 1) > 1e-3


def test_a_lone_cell_walks_at_random(machine):
    # A pair that is tried swaps in half of the cases, so the mean square of the way is one square voxel an attempt.
    sweeps, share, samples, n = 200, 0.1, 6000, 61
    cells = np.zeros((samples, 1, 1, n), np.uint8)
    cells[..., n // 2] = A
    none = np.zeros((4, 4), np.int32)
    ends = swapped(machine, with_nothing_else(cells), 0, sweeps=sweeps, share=share, energies=none)["cells"]
    way = np.argmax(ends.reshape(samples, n), axis=1) - n // 2
    assert abs(way.mean()) < 4 * np.sqrt(sweeps * share / samples)
    spread = 4 * np.sqrt(2 / samples)
    assert (way**2).mean() / (sweeps * share) == pytest.approx(1, abs=0.05 + spread)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 7)] * 3),
    sides=st.tuples(*[st.sampled_from(SIDES)] * 3),
    replicates=st.integers(1, 2),
    seed=st.integers(0, 2**32),
)
def test_no_cell_is_lost_or_doubled_and_all_backends_agree(backend, shape, sides, replicates, seed):
    random, boundary = np.random.default_rng(seed), boundary_of(*sides)
    size = (replicates, *shape)
    begun = {
        "cells": random.choice(4, size, p=[0.3, 0.3, 0.3, 0.1]).astype(np.uint8),
        "clock": random.integers(0, 2**16, size).astype(np.uint16),
        "heading": random.integers(0, 7, size).astype(np.uint8),
        "claim": random.integers(0, 64, size).astype(np.uint8),
        "clone": random.integers(0, 2**63, size).astype(np.uint64),
    }
    ends = swapped(backend, begun, boundary, sweeps=2, share=0.8)
    for before, after in zip(*(zip(*each.values(), strict=True) for each in (begun, ends)), strict=True):
        assert sorted(zip(*map(np.ravel, before), strict=True)) == sorted(zip(*map(np.ravel, after), strict=True))
    walls = begun["cells"] == WALL
    for name, array in begun.items():
        np.testing.assert_array_equal(ends[name][walls], array[walls])
    expected = swapped(backends.create("numpy"), begun, boundary, sweeps=2, share=0.8)
    for name, array in expected.items():
        np.testing.assert_array_equal(ends[name], array)


def contact(tissue, one, other):
    """Contacts of two states over the faces of voxels."""
    found = 0
    for axis in range(3):
        low, high = (np.delete(tissue, end, axis) for end in (-1, 0))
        found += int(((low == one) & (high == other)).sum() + ((low == other) & (high == one)).sum())
    return found


SORTING = """
grid: {shape: [14, 14, 14], sides: {x: periodic}}
time: {until: 1000 h, step: {field: 6 min, rules: 6 min}}
record: {every: 1000 h}
states: {a: {}, b: {}}
adhesion: {rate: 4 /h, energies: {a: {a: -0.25, b: 0}, b: {b: -0.25}}}
tissue: {background: b, shapes: {a: {kind: everywhere, state: a, fraction: 0.5}}}
"""


def test_two_kinds_of_cells_sort(machine):
    with gpusim.Simulation(gpusim.Scenario.parse(SORTING), machine) as simulation:
        before, counts = contact(simulation.tissue, 1, 2), simulation.counts
        simulation.step(300)
        assert simulation.counts == counts
        assert contact(simulation.tissue, 1, 2) < before / 2


def test_a_ragged_cluster_rounds_up(machine):
    text = SORTING.replace("a: {a: -0.25, b: 0}, b: {b: -0.25}", "a: {a: -0.7, empty: 0}").replace(", b: {}", "")
    text = text.replace("background: b, ", "").replace("kind: everywhere", "kind: sphere, radius: 100 um")
    with gpusim.Simulation(gpusim.Scenario.parse(text), machine) as simulation:
        before, count = contact(simulation.tissue, 0, 1), simulation.count("a")
        simulation.step(300)
        assert simulation.count("a") == count
        assert contact(simulation.tissue, 0, 1) < before * 0.6


@settings(max_examples=15, deadline=None)
@given(
    planes=st.lists(st.integers(2, 4), min_size=2, max_size=3),
    sides=st.tuples(st.sampled_from(["closed", "open"]), *[st.sampled_from(SIDES)] * 2),
    seed=st.integers(0, 2**32),
)
def test_both_ranks_decide_alike_on_a_pair_that_their_cut_divides(planes, sides, seed):
    backend, boundary = backends.create("numpy"), boundary_of(*sides)
    ends = np.cumsum(planes)
    shape = (int(ends[-1]), 3, 4)
    cells = np.random.default_rng(seed).choice(4, (1, *shape), p=[0.3, 0.3, 0.3, 0.1]).astype(np.uint8)
    expected = swapped(backend, with_nothing_else(cells), boundary, sweeps=2, share=0.8)["cells"]
    order = [(sweep, each) for sweep in range(2) for each in passes(sweep, shape, boundary, 0.8)]
    cuts = [Cut((0, *map(int, ends)), rank, 1) for rank in range(len(planes))]
    for sweep, each in order:
        held = ((cut, cells[:, cut.low : cut.high]) for cut in cuts)
        parts = [one_pass(backend, part, cut, boundary, sweep, each)[:, cut.own] for cut, part in held]
        cells = np.concatenate(parts, axis=1)
    np.testing.assert_array_equal(cells, expected)


def test_the_more_adhesive_cells_end_inside(machine):
    # By the interfacial energies of the shipped scenario: 0.75 kT of dark and free > 0.45 of light and free + 0.15.
    with gpusim.Simulation("cell-sorting", machine) as simulation:
        dark, light = map(simulation.model.states.number, ("dark_cell", "light_cell"))
        before = [contact(simulation.tissue, *pair) for pair in ((dark, light), (dark, 0), (light, 0))]
        simulation.run()
        after = [contact(simulation.tissue, *pair) for pair in ((dark, light), (dark, 0), (light, 0))]
        assert after[0] < before[0] / 2
        assert after[1] < before[1] / 10
        assert after[2] > 1.5 * before[2]


def test_adhesion_may_change_during_a_run(machine):
    with gpusim.Simulation(gpusim.Scenario.parse(SORTING), machine) as simulation:
        simulation.step(10)
        simulation.change({"adhesion.rate": "0 /h"})
        still = simulation.tissue.copy()
        simulation.step(10)
        np.testing.assert_array_equal(simulation.tissue, still)
        simulation.change({"adhesion.rate": "4 /h", "adhesion.energies.a.b": 0.5})
        simulation.step(10)
        assert (simulation.tissue != still).any()
