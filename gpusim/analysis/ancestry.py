"""Ancestry of clones: families, gathering of small clones into their parents, and trees in the Newick format."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gpusim.record import Result


@dataclass(frozen=True)
class Ancestry:
    """The clones of a site, by their numbers; 0 stands for the parent of those that have none.

    Attributes:
        parents: int64 [clones + 1], each below its child; that of 0 is 0.
        born: float64 [clones + 1], min.
        minutes: float64 [snapshots].
        present: clones with cells at each snapshot, and their cells, int64.
    """

    parents: np.ndarray
    born: np.ndarray
    minutes: np.ndarray
    present: list[tuple[np.ndarray, np.ndarray]]

    @classmethod
    def of(cls, result: Result) -> Ancestry:
        """That of a result. Raises `ResultError`."""
        births, cells = result.births, result.clones
        starts = np.searchsorted(cells["snapshot"], np.arange(len(result.times) + 1))
        columns = cells["clone"].to_numpy(np.int64), cells["cells"].to_numpy(np.int64)
        return cls(
            np.concatenate([[0], births["parent"].to_numpy(np.int64)]),
            np.concatenate([[0.0], births["minutes"].to_numpy(float)]),
            result.times,
            [(columns[0][a:b], columns[1][a:b]) for a, b in itertools.pairwise(starts)],
        )

    @cached_property
    def _generations(self) -> list[np.ndarray]:
        """Clones by their number of ancestors, those without any first."""
        depth = [0]
        for parent in self.parents[1:].tolist():
            depth.append(depth[parent] + 1)
        order = np.argsort(depth, kind="stable")
        return np.split(order, np.cumsum(np.bincount(depth))[:-1])[1:]

    def cells(self, snapshot: int) -> np.ndarray:
        """Cells of each clone at a snapshot, int64 [clones + 1]."""
        found = np.zeros(len(self.parents), np.int64)
        clones, cells = self.present[snapshot]
        found[clones] = cells
        return found

    def families(self, cells: np.ndarray) -> np.ndarray:
        """Cells of each clone and all of its descendants, int64 [clones + 1]; of 0: all cells."""
        totals = cells.copy()
        for clones in reversed(self._generations):
            np.add.at(totals, self.parents[clones], totals[clones])
        return totals

    def large(self, least: float) -> np.ndarray:
        """Whether each family has at least this share of all cells at some snapshot, bool [clones + 1]; true of 0."""
        found = np.zeros(len(self.parents), bool)
        for snapshot in range(len(self.present)):
            totals = self.families(self.cells(snapshot))
            found |= (totals > 0) & (totals >= least * totals[0])
        found[0] = True
        return found

    def gathered(self, shown: np.ndarray) -> np.ndarray:
        """Each clone itself if it is shown, or its nearest ancestor that is: int64 [clones + 1]."""
        found = np.arange(len(self.parents))
        for clones in self._generations:
            hidden = clones[~shown[clones]]
            found[hidden] = found[self.parents[hidden]]
        return found

    def ranked(self, into: np.ndarray) -> list[int]:
        """Clones that others are gathered `into`, by their most cells at a snapshot, the largest first; without 0."""
        most = np.zeros(len(self.parents), np.int64)
        for clones, cells in self.present:
            most = np.maximum(most, np.bincount(into[clones], cells, len(most)).astype(np.int64))
        shown = np.unique(into)
        return sorted(shown[shown > 0].tolist(), key=lambda clone: (-most[clone], clone))

    def newick(self) -> str:
        """The tree of all clones: named clone1, clone2, ...; lengths are times from the birth of the parent, min.

        (Other programs take the bare number of a node with children for a confidence.)
        """
        below: list[list[str]] = [[] for _ in self.parents]
        for clone in range(len(self.parents) - 1, 0, -1):
            parent, children = self.parents[clone], ",".join(reversed(below[clone]))
            below[clone].clear()
            length = self.born[clone] - self.born[parent]
            below[parent].append(f"{f'({children})' if children else ''}clone{clone}:{length:.10g}")
        roots = below[0]
        return (roots[0] if len(roots) == 1 else f"({','.join(reversed(roots))})") + ";\n"
