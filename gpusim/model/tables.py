"""Tables that kernels and NumPy read; the layouts are those of the structs in kernels/."""

import enum
from collections.abc import Callable, Sequence
from typing import Any, assert_never

import numpy as np


class VariesBy(enum.IntEnum):
    """Which cell layers a number of a field depends on."""

    UNIFORM = 0
    TISSUE = 1
    TISSUE_AND_IMMUNE = 2


class Source(enum.IntEnum):
    """What a modulator looks at."""

    FIELD = 0
    NEIGHBOURS = 1
    CONTACT = 2
    BODY = 3
    ROOM = 4


class Shape(enum.IntEnum):
    """How the value that a modulator looks at becomes a factor."""

    HILL = 0
    LINEAR = 1
    STEP = 2
    RAMP = 3


class EffectKind(enum.IntEnum):
    """What an effect of a cell does to the field of its voxel."""

    SECRETION = 0
    LOSS = 1
    WALL = 2


class Form(enum.IntFlag):
    """How a solver reads the production p and the loss k of a voxel, for a time dt and a mass m (1, or 0 for steady).

    EXPLICIT: 1 - k dt and p dt; IMPLICIT: 1 / (1 + k dt) and p dt / (1 + k dt); OPERATOR: m + k dt and p dt.
    With WALLED, of either of the first two: k dt and p dt by all but walls.
    """

    EXPLICIT = 0
    IMPLICIT = 1
    OPERATOR = 2
    WALLED = 4


class Boundary(enum.IntFlag):
    """What a field meets at the sides of the lattice: periodic axes, and open sides.

    Of the sides z low, z high, y low, y high, x low, x high, the first is open where `FIRST_OPEN` is set, the others by
    the bits after it.
    """

    PERIODIC_Z = 1
    PERIODIC_Y = 2
    PERIODIC_X = 4
    FIRST_OPEN = 8
    OPEN = 63 * FIRST_OPEN


PERIODIC = (Boundary.PERIODIC_Z, Boundary.PERIODIC_Y, Boundary.PERIODIC_X)
"""By axis."""

NEIGHBOURHOODS = {6: 1, 18: 2, 26: 3}
"""Squared distance of the farthest of so many neighbours."""

PADE_CONSTANT, PADE_LINEAR, PADE_TOP = 12.0, 6.0, 3.46410161513775
"""Of `probability`."""

TRACE = 1e-34
"""Concentrations below it are held at 0."""

HELD_LOSS, FASTEST_LOSS, HELD_MASS = 3e38, 1e37, 2.0**64
"""Of voxels that hold a concentration. The loss, 1/min, marks them in the tables that maps are made from, where their
production is the concentration; it is above the fastest of any other voxel. The mass makes their row of the implicit
operator one of the identity; as it is a power of 2, the products of its right-hand side are exact."""

FLOW_WHOLE, FLOW_FRACTION = 2**20, 2**31
"""What crosses a wall into the body is counted in two integers: 2^-20 of a voxel's concentration, and 2^-31 of that."""

MOST_FLOW = 2.0**42
"""Of what a voxel gives at once."""


FACE, EDGE, CORNER = 10, 14, 17
"""Steps over a face, an edge and a corner of a voxel, in tenths of its edge: room is their sum."""
RIGID = 255
"""The room of a voxel that takes no cell and lets none through."""
FARTHEST_ROOM = 250
"""The most room that there is, tenths of a voxel."""


class Instead(enum.IntEnum):
    """In place of a daughter: a transition within its voxel, and one whose voxel is closed up by the cells around."""

    NO_DAUGHTER = -1
    CLOSES = -2


class Claim(enum.IntFlag):
    """What a mother, or what closes up, has claimed: RULE, the number of its rule among those of its state, from 1."""

    RULE = 63
    CLOSES = 64
    NEW = 128


class Region(enum.IntEnum):
    """What a voxel of a state is to closing."""

    NOT_FREE = 0
    FREE = 1
    OUTSIDE = 2


MOST_TRIES = 8
"""Directions in which what closes up looks for the outside."""

NO_REGION = 2**32 - 1
"""Label of voxels that are not free."""


MOST_DIVISION = 0.5
"""Hazard of a division over a step at which it is held."""

NO_BID = 2**32 - 1
"""Of mothers for a voxel, where there is none."""


MODULATOR = np.dtype(
    [
        ("source", "<i4"),
        ("index", "<i4"),
        ("shape", "<i4"),
        ("power", "<i4"),
        ("scale", "<f4"),
        ("low", "<f4"),
        ("high", "<f4"),
        ("offset", "<f4"),
        ("states", "<u4", (8,)),
    ]
)
NEIGHBOURHOOD = np.dtype([("states", "<u4", (8,)), ("reach", "<i4")])
EFFECT = np.dtype(
    [
        ("kind", "<i4"),
        ("rate", "<f4"),
        ("first_modulator", "<i4"),
        ("end_modulator", "<i4"),
        ("end_own", "<i4"),
        ("settles", "<i4"),
        ("wall", "<i4"),
    ]
)
WALL = np.dtype([("field", "<i4"), ("quantity", "<i4"), ("dilution", "<f4")])
TERM = np.dtype([("field", "<i4"), ("coefficient", "<f4")])
REACTION = np.dtype(
    [
        ("turnover", "<f4"),
        ("first_modulator", "<i4"),
        ("end_modulator", "<i4"),
        ("end_contact", "<i4"),
        ("first_consumed", "<i4"),
        ("first_made", "<i4"),
        ("end_made", "<i4"),
    ]
)
MOTILITY = np.dtype(
    [
        ("hop", "<f4"),
        ("turn", "<f4"),
        ("field", "<i4"),
        ("scale", "<f4"),
        ("sensitivity", "<f4"),
        ("first_modulator", "<i4"),
        ("end_modulator", "<i4"),
        ("enters", "<u4", (8,)),
    ]
)
FLOW = np.dtype(
    [
        ("leaves", "<i4"),
        ("enters", "<i4"),
        ("by", "<i4"),
        ("first_modulator", "<i4"),
        ("end_modulator", "<i4"),
    ]
)
RELEASE = np.dtype([("field", "<i4"), ("amount", "<f4")])
RULE = np.dtype(
    [
        ("to", "<i4"),
        ("daughter", "<i4"),
        ("reach", "<i4"),
        ("hazard", "<f4"),
        ("after", "<i4"),
        ("first_modulator", "<i4"),
        ("end_modulator", "<i4"),
        ("first_release", "<i4"),
        ("end_release", "<i4"),
    ]
)

STRUCTS = {
    "Modulator": MODULATOR,
    "Effect": EFFECT,
    "Wall": WALL,
    "Term": TERM,
    "Reaction": REACTION,
    "Motility": MOTILITY,
    "Flow": FLOW,
    "Release": RELEASE,
    "Rule": RULE,
}
"""Rows of the tables, by the name of their struct in kernels/."""


def slots(of: Sequence[int], fields: int) -> np.ndarray:
    """Places in arrays that have an entry for some fields alone, `of` in this order: int32 [F]; -1 for the others."""
    found = np.full(fields, -1, np.int32)
    found[list(of)] = np.arange(len(of))
    return found


def probability(hazard: np.ndarray) -> np.ndarray:
    """Pade approximant of 1 - exp(-hazard), held at its top from hazard = sqrt 12 on; in the dtype of the hazard."""
    h = np.where(hazard < hazard.dtype.type(PADE_TOP), hazard, hazard.dtype.type(PADE_TOP))
    found: np.ndarray = PADE_CONSTANT * h / (PADE_CONSTANT + PADE_LINEAR * h + h * h)
    return found


def response(modulator: np.void | np.ndarray, value: np.ndarray | np.floating) -> np.ndarray:
    """The factor that a modulator makes of what it finds; in the dtype of that, and in the order of the kernels."""
    number: Callable[[Any], Any] = value.dtype.type
    scale, low, high = number(modulator["scale"]), number(modulator["low"]), number(modulator["high"])
    match Shape(int(modulator["shape"])):
        case Shape.STEP:
            return np.where(value >= scale, high, low)
        case Shape.RAMP:
            along = (value - number(modulator["offset"])) * scale
            held = np.where(along > 0, np.where(along < 1, along, number(1)), number(0))
            ramp: np.ndarray = low + (high - low) * held
            return ramp
        case Shape.LINEAR:
            ratio: np.ndarray = value * scale
            return ratio
        case Shape.HILL:
            ratio = value * scale
            r = np.where(ratio < number(1e9), ratio, number(1e9))
            raised = r
            for _ in range(1, modulator["power"]):
                raised = raised * r
            rest = number(1) / (number(1) + raised)
            factor: np.ndarray = low * rest + high * (raised * rest)
            return factor
        case never:
            assert_never(never)


def state_set(states: list[int]) -> np.ndarray:
    """Bit set of states: uint32 [8], bit s % 32 of word s // 32."""
    words = np.zeros(8, np.uint32)
    for state in states:
        words[state // 32] |= np.uint32(1 << (state % 32))
    return words


def members(words: np.ndarray) -> np.ndarray:
    """uint8 [256]: 1 for each state in a bit set."""
    return np.unpackbits(words.view(np.uint8), bitorder="little")
