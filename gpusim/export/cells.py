"""Tables of cells: one row a cell of either layer, at the centre of its voxel."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gpusim.errors import extra
from gpusim.record import Result, layout
from gpusim.scenario.schema import EMPTY, NONE


def cells_of(result: Result, snapshot: int) -> pd.DataFrame:
    """The cells of one snapshot: time_min, x_um, y_um, z_um (float64), layer, state (categorical).

    Coordinates run from the corner of the grid. Tissue comes first; within a layer x runs fastest.
    """
    names = result.state_names
    parts = []
    for number, name in enumerate(layout.LAYERS):
        states = result.array(name, snapshot)
        z, y, x = np.nonzero(~np.isin(states, [names.index(EMPTY), names.index(NONE)]))
        centres = ((axis + 0.5) * result.spacing for axis in (x, y, z))
        parts.append(
            pd.DataFrame(
                {
                    "time_min": float(result.times[snapshot]),
                    **dict(zip(("x_um", "y_um", "z_um"), centres, strict=True)),
                    "layer": pd.Categorical.from_codes(np.full(len(x), number), pd.Index(layout.LAYERS)),
                    "state": pd.Categorical.from_codes(states[z, y, x].astype(np.int16), pd.Index(names)),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def write_csv(result: Result, snapshots: Sequence[int], target: Path) -> None:
    """All cells as comma-separated values."""
    with target.open("w", encoding="utf-8", newline="") as file:
        for i in snapshots:
            cells_of(result, i).to_csv(file, index=False, header=i == snapshots[0])


def write_parquet(result: Result, snapshots: Sequence[int], target: Path) -> None:
    """All cells as Parquet, a row group for each snapshot; `layer` and `state` as dictionaries."""
    with extra("formats", "to write Parquet"):
        import pyarrow
        import pyarrow.parquet

    tables = (pyarrow.Table.from_pandas(cells_of(result, i), preserve_index=False) for i in snapshots)
    first = next(tables)
    with pyarrow.parquet.ParquetWriter(target, first.schema) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table)


def write_physicell(result: Result, snapshots: Sequence[int], target: Path) -> None:
    """The cells of one snapshot as PhysiCell's initial conditions: x, y, z (um), type.

    The middle of the grid is the origin, as in PhysiCell's own domains; types are our states, so that
    the cell definitions of the PhysiCell model must bear their names.
    """
    (snapshot,) = snapshots
    found = cells_of(result, snapshot)
    middle = np.array(result.array("tissue", snapshot).shape[::-1]) * result.spacing / 2
    centred = {axis: found[f"{axis}_um"] - middle[i] for i, axis in enumerate("xyz")}
    pd.DataFrame({**centred, "type": found["state"]}).to_csv(target, index=False)
