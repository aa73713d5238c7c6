"""The table of the tracks of cells."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd

from gpusim.engine import Replicate
from gpusim.engine.site import Site
from gpusim.record import frames
from gpusim.record.tables import Table

COLUMNS = ("site", "track", "step", "minutes", "z_um", "y_um", "x_um", "state", "tissue")
"""Of the table: `state` of the cell, and that of the `tissue` cell in its voxel."""


class TrackWriter:
    """Writes the tracks of the cells of a replicate.

    Args:
        table: which may contain rows.
    """

    def __init__(self, replicate: Replicate, table: Table) -> None:
        self._replicate, self._table = replicate, table
        written = read(table.path)["site"].value_counts()
        self._written = {name: int(written.get(name, 0)) for name in replicate.sites}

    def write(self) -> None:
        """Write the positions since the last time."""
        rows = [row for _, site in sorted(self._replicate.sites.items()) for row in self._new(site)]
        if rows:
            self._table.add(*rows)

    def _new(self, site: Site) -> Iterator[Sequence[Any]]:
        new = site.positions[self._written[site.name] :]
        self._written[site.name] = len(site.positions)
        model, names = site.model, site.model.states.names
        places = (np.stack(np.unravel_index(new[:, 2], model.shape), axis=1) + 0.5) * model.spacing
        for (track, step, _, state, beside), place in zip(new.tolist(), places.tolist(), strict=True):
            minutes, where = f"{step * model.step:.10g}", [f"{each:.10g}" for each in place]
            yield site.name, track, step, minutes, *where, names[state], names[beside]


def read(source: Path | TextIO) -> pd.DataFrame:
    """A table of tracks. (The name of a site or a state may look like a number or a missing value.)"""
    return frames.read(source, ("site", "state", "tissue"))
