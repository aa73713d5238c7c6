"""Paths of cells: displacements, speeds, mean square displacement, contact times."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gpusim.record import Result

_AXES = ("z_um", "y_um", "x_um")


@dataclass(frozen=True)
class Paths:
    """The paths of cells of a site.

    Attributes:
        table: rows in the order of tracks, then of time: track, minutes, z_um, y_um, x_um (a path goes on beyond
            periodic sides), state, tissue.
        every: interval, min.
    """

    table: pd.DataFrame
    every: float

    @classmethod
    def of(cls, result: Result) -> "Paths":
        """Those that a result has recorded. Raises `ResultError`."""
        table = result.tracks.sort_values(["track", "step"], kind="stable").reset_index(drop=True)
        sides, shape = result.document.grid.sides, result.array("immune", 0).shape
        places = table[list(_AXES)].to_numpy(float)
        first = table["track"].ne(table["track"].shift()).to_numpy()
        for axis, name in enumerate("zyx"):
            if getattr(sides, name) == "periodic":
                size = shape[axis] * result.spacing
                turns = -np.round(np.diff(places[:, axis], prepend=places[:1, axis]) / size)
                # The first position of a track has none before it.
                total = np.cumsum(np.where(first, 0.0, turns))
                start = np.maximum.accumulate(np.where(first, np.arange(first.size), 0))
                places[:, axis] += size * (total - total[start])
        table = table.assign(**dict(zip(_AXES, places.T, strict=True)))
        times = np.unique(table["minutes"])
        return cls(table, float(np.diff(times).min()) if times.size > 1 else 0.0)

    def summary(self) -> pd.DataFrame:
        """A row for each track.

        Columns: track, state (at the end), begin_min, duration_min, length_um (sum of the displacements between two
        positions), displacement_um (from the first position to the last), speed_um_per_min (length over duration; it
        depends on the interval), straightness (displacement over length, 0 to 1).
        """
        grouped = self.table.groupby("track", sort=True)
        ends = grouped[["minutes", *_AXES]].agg(["first", "last"])
        moved = np.sqrt(sum((ends[axis, "last"] - ends[axis, "first"]) ** 2 for axis in _AXES))
        steps = np.sqrt((grouped[list(_AXES)].diff() ** 2).sum(axis=1))
        length = steps.groupby(self.table["track"]).sum()
        duration = ends["minutes", "last"] - ends["minutes", "first"]
        found = pd.DataFrame({"state": grouped["state"].last(), "begin_min": ends["minutes", "first"]})
        found["duration_min"], found["length_um"], found["displacement_um"] = duration, length, moved
        found["speed_um_per_min"] = length / duration.where(duration > 0)
        found["straightness"] = moved / length.where(length > 0)
        return found.reset_index()

    def mean_square_displacement(self, most: float | None = None) -> pd.DataFrame:
        """Mean square displacement by lag, over all pairs of positions of a track with this lag.

        Columns: minutes (lag), um2, sem_um2 (standard error between tracks, whose pairs overlap and are one sample
        each), pairs, tracks.

        Args:
            most: longest lag, min; by default, half of the longest track.
        """
        tracks = [group[list(_AXES)].to_numpy() for _, group in self.table.groupby("track", sort=True)]
        longest = max((len(each) for each in tracks), default=0)
        last = longest // 2 if most is None else min(longest - 1, int(most / self.every + 1e-9))
        rows = []
        for lag in range(1, last + 1):
            squares = [((each[lag:] - each[:-lag]) ** 2).sum(axis=1) for each in tracks if len(each) > lag]
            pairs = np.array([each.size for each in squares])
            means = np.array([each.mean() for each in squares])
            mean = float((pairs * means).sum() / pairs.sum())
            share = pairs / pairs.sum()
            error = float(np.sqrt((share**2 * (means - mean) ** 2).sum())) if pairs.size > 1 else np.nan
            rows.append((lag * self.every, mean, error, int(pairs.sum()), pairs.size))
        return pd.DataFrame(rows, columns=["minutes", "um2", "sem_um2", "pairs", "tracks"])

    def contacts(self, states: Sequence[str]) -> pd.DataFrame:
        """Contacts of tracked cells with tissue cells in some states: consecutive positions in voxels of such cells.

        Columns: track, begin_min, minutes, whole (whether both begin and end were seen). A contact at `n` positions
        lasted `n` intervals.
        """
        touching = self.table["tissue"].isin(states)
        track = self.table["track"]
        first, last = track.ne(track.shift()), track.ne(track.shift(-1))
        run = (touching.ne(touching.shift()) | first).cumsum()
        ends = pd.DataFrame({"track": track, "minutes": self.table["minutes"], "edge": first | last})[touching]
        grouped = ends.groupby(run[touching], sort=True)
        found = grouped.agg(track=("track", "first"), begin_min=("minutes", "first"), count=("minutes", "size"))
        found["minutes"] = found.pop("count") * self.every
        found["whole"] = ~grouped["edge"].any()
        return found.reset_index(drop=True)
