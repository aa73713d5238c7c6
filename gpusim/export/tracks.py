"""Tracks of cells as napari reads them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gpusim.record import Result


def write(result: Result, snapshots: Sequence[int], target: Path) -> None:
    """Write the tracks between the first and the last of some snapshots, as napari's tracks layer takes them.

    Columns: track_id, t (number of the time, from 0 on), z, y, x (um), then minutes and state. Rows are sorted by
    track, then by time.
    """
    found = result.tracks
    times = result.times[list(snapshots)]
    if len(snapshots) > 1:
        found = found[found["minutes"].between(times.min() - 1e-9, times.max() + 1e-9)]
    else:
        found = found[np.isclose(found["minutes"], times[0])]
    steps = np.unique(found["step"])
    table = found.assign(t=np.searchsorted(steps, found["step"]))
    table = table.rename(columns={"track": "track_id"} | {f"{axis}_um": axis for axis in "zyx"})
    table = table.sort_values(["track_id", "t"])[["track_id", "t", "z", "y", "x", "minutes", "state"]]
    table.to_csv(target, index=False)
