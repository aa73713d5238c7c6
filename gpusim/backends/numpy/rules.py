"""NumPy twin of kernels/rules.cu: the same operations in the same order.

It looks every hazard up and needs no ceilings, which so are held against it.
"""

import numpy as np

from gpusim.backends.numpy.clones import OF_PARTNER, Clones
from gpusim.backends.numpy.modulators import Slab
from gpusim.backends.numpy.random import Draw, happens, unit_interval, voxel_random
from gpusim.backends.numpy.slabs import slabs
from gpusim.backends.numpy.tally import count, counted_here
from gpusim.backends.numpy.traits import Traits
from gpusim.model.tables import EGRESS_BITS, MOST_DIVISION, Claim, Instead, probability


def apply_rules(
    rules: np.ndarray,
    rule_begin: np.ndarray,
    modulators: np.ndarray,
    releases: np.ndarray,
    adjustments: np.ndarray,
    egresses: np.ndarray,
    trait_rows: np.ndarray,
    quantiles: np.ndarray,
    lineage: np.ndarray,
    seeds: np.ndarray,
    cells: np.ndarray,
    counts: np.ndarray,
    body: np.ndarray,
    room: np.ndarray,
    next: np.ndarray,
    clock: np.ndarray,
    claim: np.ndarray,
    other: np.ndarray,
    other_clock: np.ndarray,
    other_claim: np.ndarray,
    clone: np.ndarray,
    other_clone: np.ndarray,
    fields: np.ndarray,
    traits: np.ndarray,
    fired: np.ndarray,
    carried: np.ndarray,
    born: np.ndarray,
    births: np.ndarray,
    newborn: np.ndarray,
    step: int,
    purpose: int,
    first_trait: int,
    end_trait: int,
    origin: int,
    first_counted: int,
    end_counted: int,
) -> None:
    """Let the layer's cells change state, into `next`, and release into `fields`; count into `fired`."""
    flat = traits.reshape(len(traits), cells.size)
    own = Traits(trait_rows, quantiles, flat, range(first_trait, end_trait))
    others = range(end_trait, len(flat)) if first_trait == 0 else range(first_trait)
    of_partner = Traits(trait_rows, quantiles, flat, others)
    clones = Clones(lineage, born, births, newborn)
    draw, counted = Draw(int(seeds), step, purpose, origin), (first_counted, end_counted)
    for first, end in slabs(cells.shape):
        slab = Slab.of(cells, other, fields, counts, body, modulators, traits, first, end, room)
        states = cells[first:end].reshape(-1)
        time_in_state = clock[first:end].reshape(-1).copy()
        new_state = next[first:end].reshape(-1)
        new_clock = clock[first:end].reshape(-1)
        new_state[:] = states
        np.add(time_in_state, time_in_state < 65535, out=new_clock, casting="unsafe")
        events = []
        for state in np.flatnonzero(np.diff(rule_begin)):
            voxels = np.flatnonzero(states == state)
            if voxels.size:
                begin = int(rule_begin[state])
                events += _fire(slab, rules[begin : rule_begin[state + 1]], begin, voxels, time_in_state, draw)
        # Releases come after every hazard of the slab has been read; a voxel reads its own fields alone.
        for number, voxels in events:
            rule = rules[number]
            if rule["daughter"] != Instead.NO_DAUGHTER:
                made = (number - int(rule_begin[states[voxels[0]]]) + 1) | Claim.NEW
                made |= Claim.CLOSES if rule["daughter"] == Instead.CLOSES else 0
                _claim(claim.reshape(-1), made, voxels + slab.offset)
                continue
            at = voxels + slab.offset
            for release in releases[rule["first_release"] : rule["end_release"]]:
                values = slab.fields[release["field"]]
                times = flat[release["trait"], at] if release["trait"] >= 0 else np.float32(1)
                values[at] = values[at] + release["amount"] * times
            here = counted_here(at, counted, cells.shape)
            for i in range(rule["first_egress"], rule["end_egress"]):
                _carry(flat[egresses["trait"][i], at[here]], egresses["scale"][i], carried[:, i])
            own.enter(at, states[voxels], int(rule["to"]), draw)
            new_state[voxels] = rule["to"]
            new_clock[voxels] = 0
            if claim.size:
                claim.reshape(-1)[at] = 0
            if rule["partner_to"] != rule["partner"]:
                of_partner.enter(at, other.reshape(-1)[at], int(rule["partner_to"]), draw)
                for array, value in ((other, rule["partner_to"]), (other_clock, 0), (other_claim, 0)):
                    if array.size:
                        array.reshape(-1)[at] = value
            for by in adjustments[rule["first_adjustment"] : rule["end_adjustment"]]:
                flat[by["trait"], at] = own.adjusted(by, flat[by["trait"], at])
            if clone.size:
                clones.enter(clone.reshape(-1), at, int(rule["to"]), bool(rule["founds"]), draw, own, here)
            if other_clone.size and rule["partner_to"] != rule["partner"]:
                clones.enter(
                    other_clone.reshape(-1), at, int(rule["partner_to"]), False, draw, of_partner, here, OF_PARTNER
                )
            count(fired, np.full(voxels.size, number), at, counted, cells.shape)


def _carry(values: np.ndarray, scale: np.float32, sums: np.ndarray) -> None:
    """Add values to integers, uint64 [`EGRESS_PARTS`]."""
    most = np.float32(2.0**EGRESS_BITS)
    left = np.minimum(values * scale, most)
    for i in range(len(sums)):
        whole = left.astype(np.uint64)
        sums[i] += whole.sum()
        left = (left - whole.astype(np.float32)) * most


def _claim(claim: np.ndarray, made: int, at: np.ndarray) -> None:
    """Note what cells at flat indices claim, where they have not claimed anything before."""
    claim[at[claim[at] == 0]] = made


def _fire(
    slab: Slab, rules: np.ndarray, begin: int, voxels: np.ndarray, time_in_state: np.ndarray, draw: Draw
) -> list[tuple[int, np.ndarray]]:
    """Numbers of the rules of one state that fire among its voxels in the slab, and where; `begin`: of the first."""
    time = time_in_state[voxels]
    hazards = []
    total = np.zeros(voxels.size, np.float32)
    for rule in rules:
        hazard = slab.modulated(rule["hazard"], rule, voxels)
        if rule["daughter"] >= 0:
            h = np.where(hazard < np.float32(MOST_DIVISION), hazard, np.float32(MOST_DIVISION))
            hazard = h / (np.float32(1) - h)
        hazard = np.where(hazard < np.float32(1e6), hazard, np.float32(1e6))
        waits = time < rule["after"]
        if rule["partner"] >= 0:
            waits |= slab.other[slab.first : slab.end].reshape(-1)[voxels] != rule["partner"]
        hazards.append(np.where(waits, np.float32(0), hazard))
        total = total + hazards[-1]
    live = total > 0
    voxels, total = voxels[live], total[live]
    words = voxel_random(voxels + slab.offset, draw)
    fires = happens(probability(total), words[0])
    voxels = voxels[fires]
    mark = unit_interval(words[1][fires]) * total[fires]
    running = np.zeros(voxels.size, np.float32)
    chosen = np.zeros(voxels.size, np.int64)
    for r, hazard in enumerate(hazards):
        h = hazard[live][fires]
        chosen = np.where((h > 0) & ~(mark < running), r, chosen)
        running = running + h
    return [(begin + r, voxels[chosen == r]) for r in range(len(hazards)) if np.any(chosen == r)]
