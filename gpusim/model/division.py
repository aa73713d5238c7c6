"""Division and closing: how far cells push or are drawn, and which give way."""

import math

import numpy as np

from gpusim import units
from gpusim.errors import ScenarioError
from gpusim.model.model import Closing, States, Ways
from gpusim.model.tables import CORNER, FACE, FARTHEST_ROOM, RIGID, Claim, Instead, Region
from gpusim.scenario import Document
from gpusim.scenario.checks import barriers, is_rigid, state_names
from gpusim.scenario.schema import Rule, Yielding

_MOST_VOXELS = 2**31
"""Numbers that tell the bids of mothers apart."""


def reach(name: str, rule: Rule, spacing: float) -> int:
    """The most room of a division or of closing, tenths of a voxel; 0 of another rule. Raises `ScenarioError`.

    Args:
        spacing: edge of a voxel, um.
    """
    if not rule.waits:
        return 0
    if rule.reach is None:
        return CORNER
    distance = units.number(rule.reach, "um")
    found, most = room_within(distance, spacing), (FARTHEST_ROOM - FACE // 2) / FACE
    if distance < spacing * (1 - 1e-9) or found >= FARTHEST_ROOM:
        raise ScenarioError(
            f"rules.{name}.reach: expected {spacing:g} um to {spacing * most:g} um (1 to {most:g} voxels), "
            f"found {rule.reach}"
        )
    return found


def room_within(distance: float, spacing: float) -> int:
    """The most room within a distance, tenths of a voxel: the voxel that takes a cell begins nearer than the distance.

    Room is measured between centres of voxels, and the centre of a free voxel is half a voxel outside the surface of
    the cells. Without this half, cells would divide a whole number of layers deep along the axes, but not along the
    diagonals.

    Args:
        distance, spacing: um.
    """
    return math.ceil(FACE * (distance / spacing + 0.5) - 1e-6) - 1


def ways(document: Document, states: States, rules: np.ndarray, spacing: float, voxels: int) -> tuple[Ways, Ways]:
    """How the cells of the tissue and of the immune layer make room. Raises `ScenarioError`."""
    if (rules["daughter"] != Instead.NO_DAUGHTER).any() and voxels > _MOST_VOXELS:
        raise ScenarioError(f"grid: {voxels:,} voxels; expected at most {_MOST_VOXELS:,} where cells divide or close")
    return ways_of_tissue(document, states, spacing), _of_immune(document, states, rules)


def farthest_reach(document: Document, spacing: float) -> int:
    """The farthest reach of a division of tissue cells, tenths of a voxel; 0 where none divides."""
    tissue, _ = state_names(document)
    return max(
        (reach(name, rule, spacing) for name, rule in document.rules.items() if rule.daughter in tissue), default=0
    )


def ways_of_tissue(document: Document, states: States, spacing: float) -> Ways:
    """How the cells of the tissue layer make room. Raises `ScenarioError`."""
    most = farthest_reach(document, spacing)
    yields = _all_displaced(states, most)
    yields[0] = 0
    for name, spec in document.states.items():
        if spec.barrier:
            yields[states.number(name)] = RIGID
        elif spec.yields is not None:
            yields[states.number(name)] = _by_itself(name, spec.yields, most, spacing)
    return _ways(yields, most)


def closing(document: Document, states: States, rules: np.ndarray) -> Closing | None:
    """How cells close up; None where none do."""
    of_closing = rules["daughter"] == Instead.CLOSES
    if not of_closing.any():
        return None
    most = int(rules["reach"][of_closing].max())
    yields, regions = _all_displaced(states, most), np.full(len(states.names), Region.NOT_FREE, np.uint8)
    regions[0] = Region.FREE
    for name, spec in document.states.items():
        if is_rigid(document, name):
            yields[states.number(name)] = RIGID
        if spec.outside:
            regions[states.number(name)] = Region.OUTSIDE
    return Closing(yields, regions, lines(most))


_DIRECTIONS = 1024


def lines(most: int) -> np.ndarray:
    """Lines in directions that are evenly spread over a sphere, as of `Closing.lines`, up to a distance in tenths.

    The directions are those of a Fibonacci lattice.
    """
    z = (2 * np.arange(_DIRECTIONS) + 1) / _DIRECTIONS - 1
    angle = np.pi * (3 - math.sqrt(5)) * np.arange(_DIRECTIONS)
    ways = np.stack([z, np.sqrt(1 - z * z) * np.sin(angle), np.sqrt(1 - z * z) * np.cos(angle)], axis=1)
    # In 4096ths, so that the last bit of a sine, which differs between machines, changes nothing.
    ways = np.rint(ways / np.abs(ways).max(axis=1, keepdims=True) * 4096) / 4096
    steps = np.arange(1, most // FACE + 1)[:, None]
    places = np.floor(ways[:, None] * steps + 0.5)
    lengths = np.rint(FACE * np.sqrt((ways * ways).sum(axis=1))[:, None] * steps[:, 0])
    return np.concatenate([places, lengths[..., None]], axis=2).astype(np.int32)


def _by_itself(name: str, yields: Yielding, most: int, spacing: float) -> int:
    """Room of a voxel with a cell of a state, were there no other."""
    if yields.how == "rigid":
        return RIGID
    if yields.how == "displaced":
        return most + 1
    resistance = units.number(yields.resistance, "um") * FACE / spacing if yields.resistance is not None else 0.0
    farthest = most - FACE  # a mother beside the cell is a face of a voxel away
    if farthest < 0:
        raise ScenarioError(
            f"states.{name}.yields: no cell of the tissue layer divides, so that none is crushed; expected no 'yields'"
        )
    if resistance > farthest + 1e-6:
        raise ScenarioError(
            f"states.{name}.yields.resistance: {yields.resistance} is beyond the reach of every division, so that the "
            f"cell is never crushed; expected at most {farthest * spacing / FACE:g} um, or 'displaced'"
        )
    return round(resistance)


def _of_immune(document: Document, states: States, rules: np.ndarray) -> Ways:
    """Daughters take voxels that all mothers of the layer may enter."""
    enterable = ~np.isin(states.names, barriers(document))
    for rule in document.rules.values():
        for mother in rule.leaves if rule.daughter in states.immune else ():
            motility = document.states[mother].motility
            if motility is not None and motility.enters is not None:
                enterable &= np.isin(states.names, motility.enters)
    yields = _all_displaced(states, CORNER)
    yields[states.none] = np.where(enterable, 0, RIGID)
    return _ways(yields, CORNER)


def _all_displaced(states: States, most: int) -> np.ndarray:
    return np.full((len(states.names),) * 2, most + 1, np.uint16)


def _ways(yields: np.ndarray, most: int) -> Ways:
    steps = most // FACE
    return Ways(yields, rounds=max(1, -(-steps // 2)))


def require_claimable(name: str, number: int) -> None:
    """Raise `ScenarioError` where a claim can't hold the number of a rule among those that leave a state, from 0 on."""
    if number >= Claim.RULE:
        raise ScenarioError(
            f"rules.{name}: {number} rules of the mother's state stand before it; expected at most {Claim.RULE - 1}"
        )
