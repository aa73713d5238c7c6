import numpy as np
import pytest

import gpusim
from gpusim.errors import ScenarioError

WALK = {
    "grid.shape": [24, 10, 10],
    "tissue.shapes.walkers.lower": ["60 um", "0 um", "0 um"],
    "tissue.shapes.walkers.upper": ["140 um", "100 um", "100 um"],
    "tissue.shapes.walkers.fraction": 0.2,
    "time.until": "20 min",
}
TRACKED = WALK | {"record.tracks": {"of": "walker", "cells": 30, "every": "1 min"}}
DYING = {
    "rules.death": {"transition": "walker -> none", "rate": "0.05 /min"},
    "rules.division": {"transition": "walker -> walker + walker", "rate": "0.02 /min"},
}


def run(changes, backend="numpy", until=None, **more):
    simulation = gpusim.Simulation(gpusim.Scenario.load("random-walk", changes), backend, **more)
    simulation.run(until)
    return simulation


def positions(simulation):
    return simulation.sites["primary"].positions


def test_tracks_change_nothing():
    with run(WALK | DYING) as plain, run(TRACKED | DYING) as tracked:
        assert np.array_equal(plain.immune, tracked.immune)
        assert plain.digest() == tracked.digest()


def test_every_cell_has_its_own_track_which_goes_on_by_moves():
    with run(TRACKED) as simulation:
        found, shape = positions(simulation), simulation.model.shape
        every = np.unique(found[:, 1])
        assert np.array_equal(every, np.arange(21))
        for step in every:
            now = found[found[:, 1] == step]
            assert np.unique(now[:, 0]).size == len(now) == 30
            assert np.unique(now[:, 2]).size == 30  # no two cells in a voxel
        places = np.stack(np.unravel_index(found[:, 2], shape), axis=1)
        for track in range(1, 31):
            moved = np.abs(np.diff(places[found[:, 0] == track], axis=0))
            moved = np.minimum(moved, np.array(shape) - moved)  # y and z are periodic
            assert moved.sum(axis=1).max() <= simulation.model.cells.moves  # one voxel a move
        layer = simulation.immune.reshape(-1)
        assert (layer[found[found[:, 1] == 20][:, 2]] == simulation.model.states.none + 1).all()


def test_tracks_end_with_death_and_division_and_others_begin():
    with run(TRACKED | DYING) as simulation:
        found = positions(simulation)
        last = found[found[:, 1] == 20]
        assert len(last) == 30
        gone = set(found[:, 0]) - set(last[:, 0])
        assert gone
        assert set(found[:, 0]) == set(range(1, 31 + len(gone)))
        for track in gone:  # without a gap
            steps = found[found[:, 0] == track][:, 1]
            assert np.array_equal(steps, np.arange(steps[0], steps[-1] + 1))


def test_all_backends_track_the_same_cells():
    with run(TRACKED | DYING) as one, run(TRACKED | DYING, "cpu", threads=2) as other:
        assert np.array_equal(positions(one), positions(other))


def test_a_replicate_and_a_restored_run_have_the_tracks_of_a_run_of_their_own():
    with run(TRACKED | DYING) as whole, run(TRACKED | DYING, seed=[5, 32]) as several:
        assert np.array_equal(several.replicates[1].sites["primary"].positions, positions(whole))
        with run(TRACKED | DYING, until="7 min") as half, run(TRACKED | DYING, until="3 min") as resumed:
            resumed.restore(half.numbers, dict(half.arrays()))
            resumed.run()
            assert np.array_equal(positions(resumed), positions(whole))


def test_only_mobile_cells_at_steps_are_tracked():
    with pytest.raises(ScenarioError, match="record.tracks.of: expected states of the layer 'immune', found 'empty'"):
        gpusim.Scenario.load("random-walk", {"record.tracks": {"of": "empty"}})
    changes = {"record.tracks": {"of": "walker", "every": "90 s"}}
    with pytest.raises(ScenarioError, match="record.tracks.every"):
        gpusim.Simulation(gpusim.Scenario.load("random-walk", changes), "numpy")
