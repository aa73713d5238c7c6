"""NumPy twin of kernels/traits.cuh and kernels/traits.cu: the same operations in the same order."""

from dataclasses import dataclass

import numpy as np

from gpusim.backends.numpy.lots import sum_by_lot, voxel_lots
from gpusim.backends.numpy.modulators import Slab
from gpusim.backends.numpy.random import Draw, voxel_random
from gpusim.backends.numpy.slabs import slabs
from gpusim.model.tables import (
    MOST_GROWTH,
    PADE_CONSTANT,
    PADE_LINEAR,
    PADE_TOP,
    PURPOSES,
    Adjusted,
    AtDivision,
    Mutation,
    TransferKind,
    members,
    probability,
)
from gpusim.scenario.limits import LARGEST

_ZERO, _ONE, _HALF = np.float32(0), np.float32(1), np.float32(0.5)
_LOW_BITS, _HIGH_BITS = np.uint64(0x3FFFFF), np.uint64(22)


@dataclass(frozen=True)
class Traits:
    """The traits of the cells of one layer, as kernels/traits.cuh has them.

    Attributes:
        rows: table of `model.tables.TRAIT`; quantiles: float32 [traits, 2, steps + 1].
        values: float32 [traits, voxels]; numbers: those of the layer.
    """

    rows: np.ndarray
    quantiles: np.ndarray
    values: np.ndarray
    numbers: range

    def has(self, trait: int, states: np.ndarray | int) -> np.ndarray:
        """Whether states have a trait, bool."""
        found: np.ndarray = members(self.rows["states"][trait])[states] > 0
        return found

    def held(self, trait: int, values: np.ndarray) -> np.ndarray:
        """Values, in the range of a trait."""
        most = self.rows["most"][trait]
        return np.where(values > 0, np.where(values < most, values, most), _ZERO)

    def _quantile(self, trait: int, mutation: int, words: np.ndarray) -> np.ndarray:
        table = self.quantiles[trait, mutation]
        step = (words >> _HIGH_BITS).astype(np.int64)
        along = (words & _LOW_BITS).astype(np.float32) * np.float32(2.0**-22)
        found: np.ndarray = table[step] + (table[step + 1] - table[step]) * along
        return found

    def initial(self, trait: int, words: np.ndarray) -> np.ndarray:
        """Initial values by random words."""
        return self.held(trait, self._quantile(trait, 0, words))

    def mutated(self, trait: int, values: np.ndarray, words: np.ndarray) -> np.ndarray:
        """Values after a mutation."""
        drawn = self._quantile(trait, 1, words)
        match Mutation(int(self.rows["mutation"][trait])):
            case Mutation.ADDED:
                drawn = values + drawn
            case Mutation.MULTIPLIED:
                drawn = values * drawn
        return self.held(trait, drawn)

    def drawn(self, trait: int, draw: Draw, voxels: np.ndarray) -> tuple[np.ndarray, ...]:
        """The random words of a trait."""
        purpose = draw.purpose + PURPOSES * (trait + 1)
        return voxel_random(voxels, Draw(draw.seed, draw.step, purpose, draw.origin))

    def enter(self, voxels: np.ndarray, before: np.ndarray, after: np.ndarray | int, draw: Draw) -> None:
        """The cells go from one state to another."""
        for t in self.numbers:
            had, has = self.has(t, before), np.broadcast_to(self.has(t, after), voxels.shape)
            new = voxels[has & ~had]
            self.values[t, voxels[~has]] = 0
            self.values[t, new] = self.initial(t, self.drawn(t, draw, new)[0])

    def adjusted(self, by: np.void, values: np.ndarray) -> np.ndarray:
        """Values after an adjustment."""
        changed = values + by["amount"] if by["kind"] == Adjusted.ADD else np.full_like(values, by["amount"])
        return self.held(int(by["trait"]), changed)

    def divided(
        self, trait: int, mothers: np.ndarray, states: np.ndarray, rule: np.void, adjustments: np.ndarray, draw: Draw
    ) -> tuple[np.ndarray, np.ndarray]:
        """What mothers, whose states before are given, and their daughters then have."""
        words, row = self.drawn(trait, draw, mothers), self.rows[trait]
        kept = self.has(trait, states) & (row["at_division"] != AtDivision.RESET)
        value = self.values[trait, mothers]
        for by in adjustments[rule["first_adjustment"] : rule["end_adjustment"]]:
            value = self.adjusted(by, value) if by["trait"] == trait else value
        shared = row["at_division"] == AtDivision.SHARE
        given = _HALF * value if shared else value
        daughter = np.where(kept, given, self.initial(trait, words[3]))
        mutates = words[1] < np.uint64(row["mutates"])
        daughter = np.where(mutates, self.mutated(trait, daughter, words[2]), daughter)
        mother = np.where(kept, value - given if shared else value, self.initial(trait, words[0]))
        nothing = np.zeros_like(value)
        return (
            mother if self.has(trait, int(rule["to"])) else nothing,
            daughter if self.has(trait, int(rule["daughter"])) else nothing,
        )


def change_traits(
    trait_rows: np.ndarray,
    laws: np.ndarray,
    law_begin: np.ndarray,
    modulators: np.ndarray,
    cells: np.ndarray,
    other: np.ndarray,
    fields: np.ndarray,
    counts: np.ndarray,
    body: np.ndarray,
    traits: np.ndarray,
) -> None:
    """Change the traits of a layer's cells by their laws."""
    own = Traits(trait_rows, np.zeros(0), traits.reshape(len(traits), cells.size), range(0))
    for first, end in slabs(cells.shape):
        slab = Slab.of(cells, other, fields, counts, body, modulators, traits, first, end)
        states = cells[first:end].reshape(-1)
        for state in np.flatnonzero(np.diff(law_begin)):
            voxels = np.flatnonzero(states == state)
            here = laws[law_begin[state] : law_begin[state + 1]]
            for trait in dict.fromkeys(here["trait"].tolist()):
                gain, loss = np.zeros(voxels.size, np.float32), np.zeros(voxels.size, np.float32)
                for law in here[here["trait"] == trait]:
                    factor = slab.modulated(_ONE, law, voxels)
                    gain, loss = gain + factor * law["gain"], loss + factor * law["loss"]
                at = voxels + slab.offset
                own.values[trait, at] = own.held(trait, _changed(own.values[trait, at], gain, loss))


def _changed(value: np.ndarray, gain: np.ndarray, loss: np.ndarray) -> np.ndarray:
    above = np.where(loss > np.float32(-MOST_GROWTH), loss, np.float32(-MOST_GROWTH))
    h = np.where(above < np.float32(PADE_TOP), above, np.float32(PADE_TOP))
    constant, linear = np.float32(PADE_CONSTANT), np.float32(PADE_LINEAR)
    changed: np.ndarray = value + (gain - h * value) * (constant / (constant + linear * h + h * h))
    return changed


def transfer(
    trait_rows: np.ndarray,
    transfers: np.ndarray,
    transfer_begin: np.ndarray,
    modulators: np.ndarray,
    held: np.ndarray,
    seeds: np.ndarray,
    tissue: np.ndarray,
    immune: np.ndarray,
    counts: np.ndarray,
    body: np.ndarray,
    fields: np.ndarray,
    traits: np.ndarray,
    step: int,
    purpose: int,
    origin: int,
) -> None:
    """Transfer shares of fields into traits of cells, and the reverse."""
    draw, size = Draw(int(seeds), step, purpose, origin), tissue.size
    flat, values = fields.reshape(len(fields), size), traits.reshape(len(traits), size)
    for first, end in slabs(tissue.shape):
        seen = (flat, counts.reshape(len(counts), size), body, first, end, modulators, values)
        for own, other in ((tissue, immune), (immune, tissue)):
            slab = Slab(own, other, *seen)
            states = own[first:end].reshape(-1)
            for state in np.flatnonzero(np.diff(transfer_begin)):
                voxels = np.flatnonzero(states == state)
                for number in range(transfer_begin[state], transfer_begin[state + 1]):
                    _transfer(slab, transfers[number], number, voxels, trait_rows, held, tissue, draw)


def _transfer(
    slab: Slab,
    row: np.void,
    number: int,
    voxels: np.ndarray,
    trait_rows: np.ndarray,
    held: np.ndarray,
    tissue: np.ndarray,
    draw: Draw,
) -> None:
    """One transfer of the cells at some voxels."""
    taken_up = row["kind"] == TransferKind.UPTAKE
    c, value = slab.fields[row["field"]], slab.traits[row["trait"]]
    voxels = voxels[(c if taken_up else value)[voxels + slab.offset] > 0]
    turnover = slab.modulated(row["turnover"], row, voxels)
    voxels, turnover = voxels[turnover > 0], turnover[turnover > 0]
    at = voxels + slab.offset
    lots = voxel_lots(at, number, draw)[:2]
    holds = held[row["field"]][tissue.reshape(-1)[at]] >= 0 if held.size else np.zeros(at.size, bool)
    share = probability(turnover)
    if not taken_up and holds.any():
        lost = -value[at] * share
        value[at[holds]] = sum_by_lot(value[at], lost, lots[0])[holds]
        at, share, lots, holds = at[~holds], share[~holds], tuple(lot[~holds] for lot in lots), holds[~holds]
    source, target = (c, value) if taken_up else (value, c)
    most = trait_rows["most"][row["trait"]] if taken_up else np.float32(LARGEST)
    wanted, room = source[at] * share, (most - target[at]) / row["ratio"]
    moved = np.where(wanted < room, wanted, room)
    moves = moved > 0
    at, moved, holds, lots = at[moves], moved[moves], holds[moves], tuple(lot[moves] for lot in lots)
    left = sum_by_lot(source[at], -moved, lots[0])
    lost = np.where(holds, moved, source[at] - left)
    source[at] = np.where(holds, source[at], np.where(left > 0, left, _ZERO))
    gained = sum_by_lot(target[at], lost * row["ratio"], lots[1])
    target[at] = np.where(gained < most, gained, most)
