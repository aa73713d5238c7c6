"""NumPy twin of kernels/clones.cuh."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gpusim.backends.numpy.random import Draw, voxel_random
from gpusim.backends.numpy.traits import Traits
from gpusim.model.tables import members

OF_PARTNER, OF_SECOND = 1 << 30, 1 << 31
"""Occasions in a label, as in kernels/clones.cuh."""


@dataclass(frozen=True)
class Clones:
    """The table of the clones that are born, of one replicate.

    Attributes:
        lineage: table of `model.tables.LINEAGE`, of one row or none.
        born: uint64, how many; births: uint64 [capacity, 2]; newborn: float32 [capacity, traits].
    """

    lineage: np.ndarray
    born: np.ndarray
    births: np.ndarray
    newborn: np.ndarray

    def has(self, states: np.ndarray | int) -> np.ndarray:
        """Whether cells of states belong to clones, bool."""
        found: np.ndarray = members(self.lineage["states"][0])[states] > 0
        return found

    def labels(self, voxels: np.ndarray, draw: Draw) -> np.ndarray:
        """Labels of clones that are founded at flat indices now, uint64."""
        return np.uint64(draw.step << 32) | (voxels.astype(np.uint64) + np.uint64(draw.origin))

    def note(self, labels: np.ndarray, parents: np.ndarray, of: range, traits: Sequence[np.ndarray]) -> None:
        """Note births, with the values, float32 [births] each, of some traits."""
        first, capacity = int(self.born), len(self.births)
        rows = np.arange(first, first + labels.size)
        kept = rows < capacity
        self.births[rows[kept]] = np.stack([labels, parents], axis=1)[kept]
        for number, values in zip(of, traits, strict=True):
            self.newborn[rows[kept], number] = values[kept]
        self.born[...] += np.uint64(labels.size)

    def enter(
        self,
        clone: np.ndarray,
        voxels: np.ndarray,
        state: int,
        founds: bool,
        draw: Draw,
        traits: Traits,
        counted: np.ndarray,
        occasion: int = 0,
    ) -> None:
        """Cells enter a state: they leave their clone, keep it, or found one; `counted`: whose births are noted."""
        parents = clone[voxels]
        if not self.has(state):
            clone[voxels] = 0
            return
        new = np.ones(voxels.size, bool) if founds else parents == 0
        at = voxels[new]
        clone[at] = self.labels(at, draw) | np.uint64(occasion)
        noted = counted[new]
        of_newborn = [traits.values[t, at[noted]] for t in traits.numbers]
        self.note(clone[at[noted]], parents[new][noted], traits.numbers, of_newborn)

    def divided(
        self,
        mothers: np.ndarray,
        before: np.ndarray,
        rule: np.void,
        draw: Draw,
        traits: Traits,
        of_daughters: Sequence[np.ndarray],
        counted: np.ndarray,
        stays: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Labels of mothers, which had `before`, and of their daughters after a division by one rule.

        Notes births of clones; `of_daughters`: float32 [mothers] for each trait; `counted`: whose births are noted;
        `stays`: which daughters are in the lattice.
        """
        has_mother, has_daughter = bool(self.has(int(rule["to"]))), bool(self.has(int(rule["daughter"])))
        # A mother who belongs to none and enters a state whose cells do founds one too, before her daughter.
        enters = (before == 0) & has_mother
        parents = np.where(enters, self.labels(mothers, draw), before)
        founds = parents == 0
        if rule["founds"]:
            founds = np.ones_like(founds)
        founds |= voxel_random(mothers, draw)[1] < np.uint64(self.lineage["mutates"][0])
        for t in traits.numbers:
            if traits.rows["founds"][t]:
                founds |= traits.drawn(t, draw, mothers)[1] < np.uint64(traits.rows["mutates"][t])
        founds &= has_daughter
        found = np.where(enters, parents | np.uint64(OF_SECOND), self.labels(mothers, draw))
        daughters = np.where(founds, found, parents)
        noted = enters & counted
        of_mothers = [traits.values[t, mothers[noted]] for t in traits.numbers]
        self.note(parents[noted], before[noted], traits.numbers, of_mothers)
        noted = founds & counted & stays
        self.note(daughters[noted], parents[noted], traits.numbers, [values[noted] for values in of_daughters])
        nothing = np.zeros_like(before)
        return parents if has_mother else nothing, daughters if has_daughter else nothing
