"""NumPy twin of kernels/modulators.cuh."""

from dataclasses import dataclass
from typing import assert_never

import numpy as np

from gpusim.model.tables import Source, Sums, factor, members


@dataclass
class Slab:
    """Planes first to end of the lattice, as modulators see them.

    Attributes:
        own, other: uint8 [z, y, x], the whole layers.
        fields: float32 [F, voxels]; counts: uint8 [counts, voxels]; body: float32 [quantities].
        modulators: table of `model.tables.MODULATOR`; traits: float32 [traits, voxels], of both layers; room: uint8
            [voxels], at which rules alone look.
    """

    own: np.ndarray
    other: np.ndarray
    fields: np.ndarray
    counts: np.ndarray
    body: np.ndarray
    first: int
    end: int
    modulators: np.ndarray
    traits: np.ndarray
    room: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        own: np.ndarray,
        other: np.ndarray,
        fields: np.ndarray,
        counts: np.ndarray,
        body: np.ndarray,
        modulators: np.ndarray,
        traits: np.ndarray,
        first: int,
        end: int,
        room: np.ndarray | None = None,
    ) -> "Slab":
        """The same from fields [F, z, y, x], counts [counts, z, y, x], traits [traits, z, y, x] and room [z, y, x]."""
        flat, counted = fields.reshape(len(fields), own.size), counts.reshape(len(counts), own.size)
        of_cells = traits.reshape(len(traits), own.size)
        around = None if room is None else room.reshape(-1)
        return cls(own, other, flat, counted, body, first, end, modulators, of_cells, around)

    @property
    def offset(self) -> int:
        """Flat index of the slab's first voxel."""
        return self.first * self.own.shape[1] * self.own.shape[2]

    @property
    def end_offset(self) -> int:
        """Flat index behind its last."""
        return self.end * self.own.shape[1] * self.own.shape[2]

    def modulated(self, rate: np.float32, row: np.void, voxels: np.ndarray) -> np.ndarray:
        """float32: a rate times the modulators of `row` at `voxels`, flat indices in the slab; 0 or more."""
        return self.times(np.full(voxels.size, rate, np.float32), row["first_modulator"], row["end_modulator"], voxels)

    def times(self, value: np.ndarray, first: int, end: int, voxels: np.ndarray) -> np.ndarray:
        """The same of rates by voxel and the modulators `first` to `end`."""
        sums = Sums()
        for modulator in self.modulators[first:end]:
            value = value * factor(modulator, self._value(modulator, voxels), sums)
        return np.where(value > 0, value, np.float32(0))

    def _value(self, modulator: np.void, voxels: np.ndarray) -> np.ndarray:
        index = modulator["index"]
        match Source(int(modulator["source"])):
            case Source.FIELD:
                return self.fields[index][voxels + self.offset]
            case Source.NEIGHBOURS:
                return self.counts[index][voxels + self.offset].astype(np.float32)
            case Source.BODY:
                return np.full(voxels.size, self.body[index], np.float32)
            case Source.TRAIT:
                return self.traits[index][voxels + self.offset]
            case Source.ROOM:
                assert self.room is not None
                return self.room[voxels + self.offset].astype(np.float32)
            case Source.NOTHING:
                return np.zeros(voxels.size, np.float32)
            case Source.CONTACT:
                cells = self.other[self.first : self.end].reshape(-1)[voxels]
                return members(modulator["states"])[cells].astype(np.float32)
            case never:
                assert_never(never)
