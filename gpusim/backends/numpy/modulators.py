"""NumPy twin of kernels/modulators.cuh."""

from dataclasses import dataclass

import numpy as np

from gpusim.backends.base import Surroundings
from gpusim.model.tables import Shape, Source, members


@dataclass
class Slab:
    """Planes first to end of the lattice, as modulators see them.

    Attributes:
        own, other: uint8 [z, y, x], the whole layers.
        fields: float32 [F, voxels]; counts: uint8 [counts, voxels]; body: float32 [quantities].
        modulators: table of `model.tables.MODULATOR`; room: uint8 [voxels], at which rules alone look.
    """

    own: np.ndarray
    other: np.ndarray
    fields: np.ndarray
    counts: np.ndarray
    body: np.ndarray
    first: int
    end: int
    modulators: np.ndarray
    room: np.ndarray | None = None

    @classmethod
    def of(cls, own: np.ndarray, around: Surroundings, fields: np.ndarray, first: int, end: int) -> "Slab":
        """Planes first to end of a layer; arrays as the backend has them."""
        flat, counts = fields.reshape(len(fields), own.size), around.counts.reshape(len(around.counts), own.size)
        room = around.room.reshape(-1)
        return cls(own, around.other, flat, counts, around.body, first, end, around.tables.modulators, room)

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
        for modulator in self.modulators[first:end]:
            with np.errstate(all="ignore"):
                value = value * response(modulator, self._value(modulator, voxels))
        return np.where(value > 0, value, np.float32(0))

    def _value(self, modulator: np.void, voxels: np.ndarray) -> np.ndarray:
        if modulator["source"] == Source.FIELD:
            return self.fields[modulator["index"]][voxels + self.offset]
        if modulator["source"] == Source.NEIGHBOURS:
            return self.counts[modulator["index"]][voxels + self.offset].astype(np.float32)
        if modulator["source"] == Source.BODY:
            return np.full(voxels.size, self.body[modulator["index"]], np.float32)
        if modulator["source"] == Source.ROOM:
            assert self.room is not None
            return self.room[voxels + self.offset].astype(np.float32)
        cells = self.other[self.first : self.end].reshape(-1)[voxels]
        return members(modulator["states"])[cells].astype(np.float32)


def response(modulator: np.void, value: np.ndarray) -> np.ndarray:
    """float32: the factor that a modulator makes of what it finds."""
    low, high, scale = modulator["low"], modulator["high"], modulator["scale"]
    if modulator["shape"] == Shape.STEP:
        return np.where(value >= scale, high, low)
    if modulator["shape"] == Shape.RAMP:
        along = (value - modulator["offset"]) * scale
        held = np.where(along > 0, np.where(along < 1, along, np.float32(1)), np.float32(0))
        ramp: np.ndarray = low + (high - low) * held
        return ramp
    ratio: np.ndarray = value * scale
    if modulator["shape"] == Shape.LINEAR:
        return ratio
    r = np.where(ratio < np.float32(1e9), ratio, np.float32(1e9))
    raised = r
    for _ in range(1, modulator["power"]):
        raised = raised * r
    rest = np.float32(1) / (np.float32(1) + raised)
    factor: np.ndarray = low * rest + high * (raised * rest)
    return factor
