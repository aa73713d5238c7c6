"""NumPy twin of kernels/modulators.cuh."""

from dataclasses import dataclass, field

import numpy as np

from gpusim.model.tables import Shape, Source

_REACH = {6: 1, 18: 2, 26: 3}


@dataclass
class Slab:
    """Planes first to end of the lattice, as modulators see them.

    Attributes:
        own, other: uint8 [z, y, x], the whole layers.
        fields: float32 [F, voxels]; body: float32 [quantities].
        modulators: table of `model.tables.MODULATOR`.
    """

    own: np.ndarray
    other: np.ndarray
    fields: np.ndarray
    body: np.ndarray
    first: int
    end: int
    modulators: np.ndarray
    _counts: dict[tuple[bytes, int], np.ndarray] = field(default_factory=dict)

    @property
    def offset(self) -> int:
        """Flat index of the slab's first voxel."""
        return self.first * self.own.shape[1] * self.own.shape[2]

    def modulated(self, rate: np.float32, row: np.void, voxels: np.ndarray) -> np.ndarray:
        """float32: a rate times the modulators of `row` at `voxels`, flat indices in the slab; 0 or more."""
        value = np.full(voxels.size, rate, np.float32)
        for modulator in self.modulators[row["first_modulator"] : row["end_modulator"]]:
            with np.errstate(all="ignore"):
                value = value * self._factor(modulator, voxels)
        return np.where(value > 0, value, np.float32(0))

    def _factor(self, modulator: np.void, voxels: np.ndarray) -> np.ndarray:
        low, span, scale = modulator["low"], modulator["span"], modulator["scale"]
        value = self._value(modulator, voxels)
        if modulator["shape"] == Shape.STEP:
            return np.where(value >= scale, low + span, low)
        ratio = value * scale
        if modulator["shape"] == Shape.LINEAR:
            return ratio
        r = np.where(ratio < np.float32(1e9), ratio, np.float32(1e9))
        raised = r
        for _ in range(1, modulator["power"]):
            raised = raised * r
        factor: np.ndarray = low + span * (raised / (np.float32(1) + raised))
        return factor

    def _value(self, modulator: np.void, voxels: np.ndarray) -> np.ndarray:
        if modulator["source"] == Source.FIELD:
            return self.fields[modulator["index"]][voxels + self.offset]
        if modulator["source"] == Source.NEIGHBOURS:
            return self._neighbours(modulator)[voxels].astype(np.float32)
        if modulator["source"] == Source.BODY:
            return np.full(voxels.size, self.body[modulator["index"]], np.float32)
        cells = self.other[self.first : self.end].reshape(-1)[voxels]
        return members(modulator["states"])[cells].astype(np.float32)

    def _neighbours(self, modulator: np.void) -> np.ndarray:
        """uint8 [slab voxels]: cells in the set among the nearest 6, 18 or 26 voxels."""
        key = (modulator["states"].tobytes(), int(modulator["index"]))
        if key not in self._counts:
            nz, ny, nx = self.own.shape
            low, high = max(self.first - 1, 0), min(self.end + 1, nz)
            wanted = members(modulator["states"])
            padded = np.zeros((self.end - self.first + 2, ny + 2, nx + 2), np.uint8)
            at = low - (self.first - 1)
            inner = padded[at : at + high - low, 1:-1, 1:-1]
            np.add(wanted[self.own[low:high]], wanted[self.other[low:high]], out=inner)
            count = np.zeros((self.end - self.first, ny, nx), np.uint8)
            for dz in range(3):
                for dy in range(3):
                    for dx in range(3):
                        distance = (dz - 1) ** 2 + (dy - 1) ** 2 + (dx - 1) ** 2
                        if 0 < distance <= _REACH[key[1]]:
                            depth = self.end - self.first
                            count += padded[dz : dz + depth, dy : dy + ny, dx : dx + nx]
            self._counts[key] = count.reshape(-1)
        return self._counts[key]


def members(words: np.ndarray) -> np.ndarray:
    """uint8 [256]: 1 for each state in a bit set."""
    return np.unpackbits(words.view(np.uint8), bitorder="little")
