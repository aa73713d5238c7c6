"""NumPy twin of kernels/rules.cu: the same operations in the same order."""

from dataclasses import dataclass, field

import numpy as np

from gpusim.backends.base import Draw, RuleTables
from gpusim.backends.numpy.random import happens, probability, unit_interval, voxel_random
from gpusim.backends.numpy.slabs import slabs
from gpusim.model.tables import Shape, Source

_REACH = {6: 1, 18: 2, 26: 3}


def apply_rules(
    own: np.ndarray,
    other: np.ndarray,
    next: np.ndarray,
    clock: np.ndarray,
    fields: np.ndarray,
    tables: RuleTables,
    fired: np.ndarray,
    draw: Draw,
) -> None:
    """Apply the rules to layer `own`, into `next`; count firings into `fired` (uint64)."""
    _, ny, nx = own.shape
    leaving = np.flatnonzero(np.diff(tables.begin))
    flat_fields = fields.reshape(len(fields), own.size)
    for first, end in slabs(own.shape):
        slab = _Slab(own, other, flat_fields, first, end, tables.modulators)
        states = own[first:end].reshape(-1)
        time_in_state = clock[first:end].reshape(-1).copy()
        new_state = next[first:end].reshape(-1)
        new_clock = clock[first:end].reshape(-1)
        new_state[:] = states
        np.add(time_in_state, time_in_state < 65535, out=new_clock, casting="unsafe")
        events = []
        for state in leaving:
            voxels = np.flatnonzero(states == state)
            if voxels.size:
                events += _fire(slab, int(state), voxels, time_in_state, tables, first * ny * nx, draw)
        # Fields change only after every hazard of the slab has been read; a voxel reads its own alone.
        for rule, voxels in events:
            for release in tables.releases[rule["first_release"] : rule["end_release"]]:
                values = flat_fields[release["field"]]
                values[voxels + first * ny * nx] = values[voxels + first * ny * nx] + release["amount"]
            new_state[voxels] = rule["to"]
            new_clock[voxels] = 0
            fired[rule["counter"]] += np.uint64(voxels.size)


def _fire(
    slab: "_Slab",
    state: int,
    voxels: np.ndarray,
    time_in_state: np.ndarray,
    tables: RuleTables,
    offset: int,
    draw: Draw,
) -> list[tuple[np.void, np.ndarray]]:
    """Rules that fire among the slab's voxels of one state, and where."""
    begin, end = tables.begin[state], tables.begin[state + 1]
    rules = tables.rules[begin:end]
    time = time_in_state[voxels]
    hazards = [slab.hazard(rule, voxels, time) for rule in rules]
    total = np.zeros(voxels.size, np.float32)
    for hazard in hazards:
        total = total + hazard
    live = total > 0
    voxels, total = voxels[live], total[live]
    words = voxel_random(voxels + offset, draw)
    fires = happens(probability(total), words[0])
    voxels = voxels[fires]
    mark = unit_interval(words[1][fires]) * total[fires]
    running = np.zeros(voxels.size, np.float32)
    chosen = np.zeros(voxels.size, np.int64)
    for r, hazard in enumerate(hazards):
        h = hazard[live][fires]
        chosen = np.where((h > 0) & ~(mark < running), r, chosen)
        running = running + h
    return [(rule, voxels[chosen == r]) for r, rule in enumerate(rules) if np.any(chosen == r)]


@dataclass
class _Slab:
    """Planes first to end of the lattice, as the modulators see them."""

    own: np.ndarray
    other: np.ndarray
    fields: np.ndarray
    first: int
    end: int
    modulators: np.ndarray
    _counts: dict[tuple[bytes, int], np.ndarray] = field(default_factory=dict)

    def hazard(self, rule: np.void, voxels: np.ndarray, time: np.ndarray) -> np.ndarray:
        """float32: hazard of a rule over the step at `voxels`, flat indices in the slab."""
        hazard = np.full(voxels.size, rule["hazard"], np.float32)
        for modulator in self.modulators[rule["first_modulator"] : rule["end_modulator"]]:
            with np.errstate(all="ignore"):
                hazard = hazard * self._factor(modulator, voxels)
        hazard = np.where(hazard > 0, hazard, np.float32(0))
        hazard = np.where(hazard < np.float32(1e6), hazard, np.float32(1e6))
        return np.where(time < rule["after"], np.float32(0), np.where(hazard > 0, hazard, np.float32(0)))

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
        _, ny, nx = self.own.shape
        if modulator["source"] == Source.FIELD:
            return self.fields[modulator["index"]][voxels + self.first * ny * nx]
        if modulator["source"] == Source.NEIGHBOURS:
            return self._neighbours(modulator)[voxels].astype(np.float32)
        cells = self.other[self.first : self.end].reshape(-1)[voxels]
        return _members(modulator["states"])[cells].astype(np.float32)

    def _neighbours(self, modulator: np.void) -> np.ndarray:
        """uint8 [slab voxels]: cells in the set among the nearest 6, 18 or 26 voxels."""
        key = (modulator["states"].tobytes(), int(modulator["index"]))
        if key not in self._counts:
            nz, ny, nx = self.own.shape
            low, high = max(self.first - 1, 0), min(self.end + 1, nz)
            members = _members(modulator["states"])
            padded = np.zeros((self.end - self.first + 2, ny + 2, nx + 2), np.uint8)
            at = low - (self.first - 1)
            inner = padded[at : at + high - low, 1:-1, 1:-1]
            np.add(members[self.own[low:high]], members[self.other[low:high]], out=inner)
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


def _members(words: np.ndarray) -> np.ndarray:
    """uint8 [256]: 1 for each state in a bit set."""
    return np.unpackbits(words.view(np.uint8), bitorder="little")
