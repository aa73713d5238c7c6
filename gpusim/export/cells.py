"""Tables of cells: one row a cell of either layer, at the centre of its voxel."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gpusim.errors import extra
from gpusim.record import Result, layout
from gpusim.scenario.schema import EMPTY, NONE

CLONE = "clone"
"""Numbers of clones as in `births.csv`."""


def cells_of(result: Result, snapshot: int) -> pd.DataFrame:
    """The cells of one snapshot: time_min, x_um, y_um, z_um (float64), layer, state (categorical), traits (float32).

    If clones are recorded, `clone` (Int64) is the number as in `births.csv`, missing for cells without one. A trait is
    missing (not a number) where a cell does not have it. Coordinates run from the corner of
    the grid. Tissue comes first; within a layer x runs fastest.
    """
    names, traits = result.state_names, result.document.traits
    clones = result.clone_numbers(snapshot) if layout.records_clones(result.document) else None
    parts = []
    for number, name in enumerate(layout.LAYERS):
        states = result.array(name, snapshot)
        z, y, x = np.nonzero(~np.isin(states, [names.index(EMPTY), names.index(NONE)]))
        here = states[z, y, x]
        centres = ((axis + 0.5) * result.spacing for axis in (x, y, z))
        parts.append(
            pd.DataFrame(
                {
                    "time_min": float(result.times[snapshot]),
                    **dict(zip(("x_um", "y_um", "z_um"), centres, strict=True)),
                    "layer": pd.Categorical.from_codes(np.full(len(x), number), pd.Index(layout.LAYERS)),
                    "state": pd.Categorical.from_codes(here.astype(np.int16), pd.Index(names)),
                    **({} if clones is None else {CLONE: _clones(result, clones[z, y, x], here)}),
                    **{
                        trait: np.where(
                            np.isin(here, [names.index(state) for state in traits[trait].of]),
                            result.trait(trait, snapshot)[z, y, x],
                            np.float32(np.nan),
                        )
                        for trait in result.trait_names
                    },
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _clones(result: Result, numbers: np.ndarray, states: np.ndarray) -> pd.Series:
    """Numbers of the clones of cells in some states, Int64; missing for those in states without clones."""
    of = result.document.clones.of if result.document.clones is not None else ()
    has = np.isin(states, [result.state_names.index(state) for state in of])
    return pd.Series(numbers, dtype="Int64").where(has)


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
    """The cells of one snapshot as PhysiCell's initial conditions: x, y, z (um), type, traits and clone.

    A trait is a column `custom:NAME`, which PhysiCell assigns to the custom data NAME, and so is the number of the
    clone if clones are recorded; both are 0 for cells without. The middle of the grid is the origin, as in PhysiCell's
    own domains; types are our states, so that the cell definitions of the PhysiCell model must bear their names.
    """
    (snapshot,) = snapshots
    found = cells_of(result, snapshot)
    middle = np.array(result.array("tissue", snapshot).shape[::-1]) * result.spacing / 2
    centred = {axis: found[f"{axis}_um"] - middle[i] for i, axis in enumerate("xyz")}
    custom = {f"custom:{name}": found[name].fillna(0) for name in (*result.trait_names, CLONE) if name in found}
    pd.DataFrame({**centred, "type": found["state"], **custom}).to_csv(target, index=False)
