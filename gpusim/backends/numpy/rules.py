"""NumPy twin of kernels/rules.cu: the same operations in the same order.

It looks every hazard up and needs no ceilings, which so are held against it.
"""

import numpy as np

from gpusim.backends.numpy.modulators import Slab
from gpusim.backends.numpy.random import Draw, happens, unit_interval, voxel_random
from gpusim.backends.numpy.slabs import slabs
from gpusim.backends.numpy.tally import count
from gpusim.model.tables import MOST_DIVISION, Claim, Instead, probability


def apply_rules(
    rules: np.ndarray,
    rule_begin: np.ndarray,
    modulators: np.ndarray,
    releases: np.ndarray,
    seeds: np.ndarray,
    cells: np.ndarray,
    other: np.ndarray,
    counts: np.ndarray,
    body: np.ndarray,
    room: np.ndarray,
    next: np.ndarray,
    clock: np.ndarray,
    claim: np.ndarray,
    fields: np.ndarray,
    fired: np.ndarray,
    step: int,
    purpose: int,
    origin: int,
    first_counted: int,
    end_counted: int,
) -> None:
    """Let the layer's cells change state, into `next`, and release into `fields`; count into `fired`."""
    draw, counted = Draw(int(seeds), step, purpose, origin), (first_counted, end_counted)
    for first, end in slabs(cells.shape):
        slab = Slab.of(cells, other, fields, counts, body, modulators, first, end, room)
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
            for release in releases[rule["first_release"] : rule["end_release"]]:
                values = slab.fields[release["field"]]
                values[voxels + slab.offset] = values[voxels + slab.offset] + release["amount"]
            new_state[voxels] = rule["to"]
            new_clock[voxels] = 0
            if claim.size:
                claim.reshape(-1)[voxels + slab.offset] = 0
            count(fired, np.full(voxels.size, number), voxels + slab.offset, counted, cells.shape)


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
        hazards.append(np.where(time < rule["after"], np.float32(0), hazard))
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
