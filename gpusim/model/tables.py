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
    TRAIT = 5
    NOTHING = 6


class Shape(enum.IntEnum):
    """How the value that a modulator looks at becomes a factor.

    HILL has a power of 1, 2, 3 or 4, POWER any. INCREASES and DECREASES are the signals of a joint response, with a
    factor of 1; JOINT follows them, and looks at nothing else.
    """

    HILL = 0
    LINEAR = 1
    STEP = 2
    RAMP = 3
    POWER = 4
    INCREASES = 5
    DECREASES = 6
    JOINT = 7


HILL_POWERS = (1, 2, 3, 4)
"""Those of `Shape.HILL`."""
POWER_BITS = 20
"""Of the fraction of a power, of `POWER`, `INCREASES` and `DECREASES`: an integer, in 2^-20."""
LEAST_RAISED = 1e-18
"""The reciprocal of the most that a ratio above 1 to some power comes to."""


class EffectKind(enum.IntEnum):
    """What an effect of a cell does to the field of its voxel."""

    SECRETION = 0
    LOSS = 1
    WALL = 2


class Form(enum.IntFlag):
    """How a solver reads the production p and the loss k of a voxel, for a time dt and a mass m (1, or 0 for steady).

    EXPLICIT: 1 - k dt and p dt; IMPLICIT: 1 / (1 + k dt) and p dt / (1 + k dt); OPERATOR: m + k dt and p dt.
    With WALLED, of any of them: k dt and p dt by all but walls.
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

EGRESS_PARTS, EGRESS_BITS = 3, 36
"""What of a trait goes to the body is counted in so many integers: a scaled value, at most 2^36, without its fraction,
that in 2^-36, and so on."""

RELATIVE_ERROR, ABSOLUTE_ERROR = 1e-8, 1e-10
"""Of a quantity of the body, in one step of the integration: a share of it, or an amount in its own unit."""


FACE, EDGE, CORNER = 10, 14, 17
"""Steps over a face, an edge and a corner of a voxel, in tenths of its edge: room is their sum."""
RIGID = 65535
"""The room of a voxel that takes no cell and lets none through."""
FARTHEST_ROOM = 2505
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


class Link(enum.IntEnum):
    """What a voxel of a state is to connections: apart from them, a link, or an end to which others are joined."""

    APART = 0
    LINK = 1
    END = 2


MOST_TRIES = 8
"""Directions in which what closes up looks for the outside."""

NO_REGION = 2**32 - 1
"""Label of voxels that are not free."""


MOST_DIVISION = 0.5
"""Hazard of a division over a step at which it is held."""

NO_BID = 2**32 - 1
"""Of mothers for a voxel, where there is none."""


class TransferKind(enum.IntEnum):
    """Between a trait and a field of the voxel, from the cell's side."""

    UPTAKE = 0
    RELEASE = 1


class AtDivision(enum.IntEnum):
    """What a daughter gets of a trait of her mother.

    COPY: the same; SHARE: half, which the mother loses; RESET: both begin with initial values.
    """

    COPY = 0
    SHARE = 1
    RESET = 2


class Mutation(enum.IntEnum):
    """What is drawn for a mutation of a trait: a sum, a factor, or the value itself."""

    ADDED = 0
    MULTIPLIED = 1
    REPLACED = 2


class Adjusted(enum.IntEnum):
    """What a rule does to a trait."""

    ADD = 0
    SET = 1


QUANTILE_STEPS = 1024
"""Between two quantiles of a table, of equal probability."""

PURPOSES = 256
"""Apart in random numbers: of one trait, or of four lots, and of the next."""

MOST_SLOPE = 1e9
"""Of a field between two voxels, relative to the concentration by which slopes are told."""

ALMOST_SURE = 1.0 - 2.0**-24
"""Highest probability that float32 and 32 random bits can tell from 1."""

MOST_GROWTH = 1.0
"""Growth of a trait over a step, relative to its value, at which it is held."""


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
NEIGHBOURHOOD = np.dtype([("states", "<u4", (8,)), ("reach", "<i4"), ("ends", "<u4", (8,)), ("sides", "<i4")])
"""What is counted around each voxel: cells in some states within a reach. Without a reach, 1 where the voxel is joined
to states or sides (`ends`, `sides`: bits of `Boundary`) through voxels in these states, else 0."""
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
WALL = np.dtype([("field", "<i4"), ("quantity", "<i4"), ("dilution", "<f4"), ("returns", "<f4")])
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
        ("turning", "<f4"),
        ("bias", "<f4"),
        ("stray", "<f4"),
        ("first_modulator", "<i4"),
        ("end_modulator", "<i4"),
        ("end_speed", "<i4"),
        ("end_turning", "<i4"),
        ("end_bias", "<i4"),
        ("first_slope", "<i4"),
        ("end_slope", "<i4"),
        ("enters", "<u4", (8,)),
        ("replaces", "<u4", (8,)),
    ]
)
SLOPE = np.dtype(
    [
        ("field", "<i4"),
        ("weight", "<f4"),
        ("scale", "<f4"),
        ("first_modulator", "<i4"),
        ("end_modulator", "<i4"),
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
RELEASE = np.dtype([("field", "<i4"), ("trait", "<i4"), ("amount", "<f4")])
TRAIT = np.dtype(
    [
        ("most", "<f4"),
        ("at_division", "<i4"),
        ("mutation", "<i4"),
        ("mutates", "<u4"),
        ("founds", "<i4"),
        ("states", "<u4", (8,)),
    ]
)
LINEAGE = np.dtype([("states", "<u4", (8,)), ("mutates", "<u4")])
EGRESS = np.dtype([("trait", "<i4"), ("scale", "<f4")])
ADJUSTMENT = np.dtype([("trait", "<i4"), ("kind", "<i4"), ("amount", "<f4")])
TRANSFER = np.dtype(
    [
        ("kind", "<i4"),
        ("trait", "<i4"),
        ("field", "<i4"),
        ("turnover", "<f4"),
        ("ratio", "<f4"),
        ("first_modulator", "<i4"),
        ("end_modulator", "<i4"),
    ]
)
LAW = np.dtype(
    [
        ("trait", "<i4"),
        ("gain", "<f4"),
        ("loss", "<f4"),
        ("first_modulator", "<i4"),
        ("end_modulator", "<i4"),
    ]
)
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
        ("first_adjustment", "<i4"),
        ("end_adjustment", "<i4"),
        ("first_egress", "<i4"),
        ("end_egress", "<i4"),
        ("founds", "<i4"),
        ("partner", "<i4"),
        ("partner_to", "<i4"),
    ]
)

STRUCTS = {
    "Modulator": MODULATOR,
    "Effect": EFFECT,
    "Wall": WALL,
    "Term": TERM,
    "Reaction": REACTION,
    "Motility": MOTILITY,
    "Slope": SLOPE,
    "Flow": FLOW,
    "Release": RELEASE,
    "Egress": EGRESS,
    "Rule": RULE,
    "Trait": TRAIT,
    "Lineage": LINEAGE,
    "Adjustment": ADJUSTMENT,
    "Law": LAW,
    "Transfer": TRANSFER,
}
"""Rows of the tables, by the name of their struct in kernels/."""


def begins(groups: Sequence[Sequence[object]]) -> np.ndarray:
    """Where each group of rows begins in a table of all of them, and the end of the last: int32 [groups + 1]."""
    return np.cumsum([0, *map(len, groups)]).astype(np.int32)


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


def fixed(power: float) -> int:
    """A power as `raised_to` reads it."""
    return round(power * 2**POWER_BITS)


def power_of(row: np.void | np.ndarray) -> float:
    """The power of a row of the table of modulators."""
    return float(row["power"]) / (2**POWER_BITS if row["shape"] > Shape.RAMP else 1)


def raised_to(ratio: np.ndarray | np.floating, power: int) -> np.ndarray:
    """`ratio` (0 or more) to a power in 2^-20, by squares and square roots; in the order of the kernels.

    Above 1, that of the reciprocal, held at 1e18: no result overflows.
    """
    number: Callable[[Any], Any] = ratio.dtype.type
    one = number(1)
    large = ratio > 1
    with np.errstate(divide="ignore"):
        base = np.where(large, one / ratio, np.where(ratio > 0, ratio, number(0)))
    found, factor = np.full_like(base, one), base
    whole, part = power >> POWER_BITS, power & (1 << POWER_BITS) - 1
    with np.errstate(under="ignore"):
        while whole > 0:
            if whole & 1:
                found = found * factor
            factor = factor * factor
            whole >>= 1
        factor = base
        while part:
            factor = np.sqrt(factor)
            part <<= 1
            if part >> POWER_BITS:
                found = found * factor
            part &= (1 << POWER_BITS) - 1
    least = number(LEAST_RAISED)
    raised: np.ndarray = np.where(large, one / np.where(found > least, found, least), found)
    return raised


class Sums:
    """What the signals of a joint response add up to, until its last row."""

    def __init__(self) -> None:
        self.increases: Any = 0
        self.decreases: Any = 0


def joint(row: np.void | np.ndarray, value: np.ndarray | np.floating, sums: Sums) -> np.ndarray:
    """The factor of a row of a joint response, 1 of all but its last; adds its signal to `sums`."""
    number: Callable[[Any], Any] = value.dtype.type
    one = number(1)
    shape = Shape(int(row["shape"]))
    if shape == Shape.INCREASES:
        sums.increases = sums.increases + raised_to(value * number(row["scale"]), int(row["power"]))
        return np.full_like(value, one)
    if shape == Shape.DECREASES:
        sums.decreases = sums.decreases + raised_to(value * number(row["scale"]), int(row["power"]))
        return np.full_like(value, one)
    up, down = number(0) + sums.increases, number(0) + sums.decreases
    sums.increases = sums.decreases = number(0)
    rest_of_up, rest_of_down = one / (one + up), one / (one + down)
    above = number(row["low"]) * rest_of_up + number(row["high"]) * (up * rest_of_up)
    factor: np.ndarray = above * rest_of_down + number(row["offset"]) * (down * rest_of_down)
    return factor


def response(modulator: np.void | np.ndarray, value: np.ndarray | np.floating) -> np.ndarray:
    """The factor of a modulator that is no joint response; in the dtype of what it finds, in the order of the kernels.

    Raises `ValueError` for a row of a joint response.
    """
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
        case Shape.POWER:
            raised = raised_to(value * scale, int(modulator["power"]))
            rest = number(1) / (number(1) + raised)
            of_power: np.ndarray = low * rest + high * (raised * rest)
            return of_power
        case Shape.INCREASES | Shape.DECREASES | Shape.JOINT:
            raise ValueError("a row of a joint response")
        case never:
            assert_never(never)


def factor(row: np.void | np.ndarray, value: np.ndarray | np.floating, sums: Sums) -> np.ndarray:
    """The factor of any row of the table of modulators; see `response` and `joint`."""
    return joint(row, value, sums) if row["shape"] >= Shape.INCREASES else response(row, value)


def state_set(states: list[int]) -> np.ndarray:
    """Bit set of states: uint32 [8], bit s % 32 of word s // 32."""
    words = np.zeros(8, np.uint32)
    for state in states:
        words[state // 32] |= np.uint32(1 << (state % 32))
    return words


def members(words: np.ndarray) -> np.ndarray:
    """uint8 [256]: 1 for each state in a bit set."""
    return np.unpackbits(words.view(np.uint8), bitorder="little")
