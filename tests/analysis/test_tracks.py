import math

import numpy as np
import pandas as pd
import pytest

import gpusim
from gpusim.analysis.tracks import Paths
from gpusim.export import export
from gpusim.record import Result


def paths(places, every=2.0, tissue=None):
    """Paths of tracks with given places, [times, 3] each."""
    parts = []
    for track, each in enumerate(places, 1):
        table = pd.DataFrame(np.asarray(each, float), columns=["z_um", "y_um", "x_um"])
        parts.append(table.assign(track=track, minutes=every * np.arange(len(table)), state="ctl", tissue="empty"))
    joined = pd.concat(parts, ignore_index=True)
    if tissue is not None:
        joined["tissue"] = tissue
    return Paths(joined, every)


def test_a_straight_path_has_its_speed_and_a_square_law():
    line = np.arange(9)[:, None] * np.array([[0.0, 6.0, 8.0]])  # 10 um in 2 min
    found = paths([line])
    (row,) = found.summary().to_dict("records")
    assert row["speed_um_per_min"] == pytest.approx(5)
    assert row["straightness"] == pytest.approx(1)
    assert row["displacement_um"] == pytest.approx(80)
    squares = found.mean_square_displacement()
    assert squares["um2"].tolist() == pytest.approx((25 * squares["minutes"] ** 2).tolist())
    assert squares["pairs"].tolist() == [8, 7, 6, 5]


def test_there_and_back_is_not_straight():
    found = paths([[[0, 0, 0], [0, 0, 10], [0, 0, 0]]])
    (row,) = found.summary().to_dict("records")
    assert (row["length_um"], row["displacement_um"], row["straightness"]) == (20, 0, 0)


def test_contacts_last_as_many_intervals_as_positions():
    tissue = ["tumour", "empty", "tumour", "tumour", "empty", "tumour", *["tumour"] * 2, *["empty"] * 4]
    still = np.zeros((6, 3))
    found = paths([still, still], tissue=tissue).contacts(["tumour"])
    assert found["track"].tolist() == [1, 1, 1, 2]
    assert found["minutes"].tolist() == [2, 4, 2, 4]
    assert found["whole"].tolist() == [False, True, False, False]


SMALL = {
    "grid.shape": [24, 10, 10],
    "tissue.shapes.walkers.lower": ["60 um", "0 um", "0 um"],
    "tissue.shapes.walkers.upper": ["140 um", "100 um", "100 um"],
    "time.until": "20 min",
    "record.tracks": {"of": "walker", "cells": 10, "every": "1 min"},
}


def test_recorded_tracks_are_read_go_on_beyond_periodic_sides_and_are_exported(tmp_path):
    gpusim.run(gpusim.Scenario.load("random-walk", SMALL), tmp_path / "out", backend="numpy")
    result = Result(tmp_path / "out")
    table = result.tracks
    assert table["minutes"].max() == 20
    found = Paths.of(result)
    steps = found.table.groupby("track")[["z_um", "y_um", "x_um"]].diff().abs().sum(axis=1)
    assert steps.max() <= 20  # two moves of 10 um in a minute
    export(result, tmp_path / "napari.tracks.csv")
    napari = pd.read_csv(tmp_path / "napari.tracks.csv")
    assert napari.columns[:5].tolist() == ["track_id", "t", "z", "y", "x"]
    assert len(napari) == len(table)
    ordered = napari.sort_values(["track_id", "t"])
    assert napari.equals(ordered)  # as napari demands


@pytest.mark.slow
def test_the_mean_square_displacement_of_the_random_walk_is_that_of_theory(tmp_path):
    """Fuerth (1920), with what the lattice adds; see the preset."""
    changes = {"record.tracks": {"of": "walker", "cells": 1000, "every": "1 min"}, "time.until": "30 min"}
    gpusim.run(gpusim.Scenario.load("random-walk", changes), tmp_path / "out", backend="cpu")
    table = Paths.of(Result(tmp_path / "out")).mean_square_displacement().set_index("minutes")
    speed, persistence, spacing, hop = 8.0, 5.0, 10.0, 0.4
    for lag in (1, 2, 4, 8):
        expected = 2 * speed**2 * persistence * (lag - persistence * (1 - math.exp(-lag / persistence)))
        expected += speed * spacing * lag * (1 - hop)
        assert abs(table["um2"][lag] - expected) < 4 * table["sem_um2"][lag]
