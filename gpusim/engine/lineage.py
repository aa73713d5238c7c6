"""The clones that were born since the start, and what their labels tell."""

from dataclasses import dataclass

import numpy as np

from gpusim.model import Model

PUT_IN = np.uint64(1 << 63)
"""In the labels of clones that begin with cells that a therapy puts in."""
FOUNDERS = np.uint64(1)
"""Label of all founders, where they are of one clone; else each has its voxel's number, from 1 on."""
_OF_VOXEL = np.uint64(2**30 - 1)


@dataclass
class Lineage:
    """Births of clones, in the order of their labels, which is that of time, then of voxels.

    Attributes:
        births: uint64 [births, 2], label and parent; a parent of 0 stands for none.
        newborn: float32 [births, traits], traits of the first cell; not numbers where several cells were the first.
    """

    births: np.ndarray
    newborn: np.ndarray

    @classmethod
    def of(cls, traits: int) -> "Lineage":
        """One without births yet, of cells with so many traits."""
        return cls(np.zeros((0, 2), np.uint64), np.zeros((0, traits), np.float32))

    def add(self, births: np.ndarray, newborn: np.ndarray) -> None:
        """Take over births, in any order."""
        joined, values = np.concatenate([self.births, births]), np.concatenate([self.newborn, newborn])
        order = np.argsort(joined[:, 0], kind="stable")
        self.births, self.newborn = joined[order], values[order]


def origins(labels: np.ndarray, model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Time steps at which clones were founded, and flat indices of the voxels, int64 [labels].

    The voxel is that of the mother in a division; -1 where all founders are of one clone.
    """
    labels = np.asarray(labels, np.uint64)
    time = ((labels & ~PUT_IN) >> np.uint64(32)).astype(np.int64)
    steps = np.where(labels >= PUT_IN, time - 1, time * model.rules_every)
    voxels = (labels & _OF_VOXEL).astype(np.int64)
    of_founders = voxels - 1 if model.clones.each else np.full_like(voxels, -1)
    return steps, np.where(time > 0, voxels, of_founders)
