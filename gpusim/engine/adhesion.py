"""The passes of which a sweep over all pairs of neighbouring voxels consists."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gpusim.model.adhesion import CERTAIN
from gpusim.model.tables import PERIODIC

BETWEEN_PAIRS = 3
"""Voxels from the first of a pair of a pass to the first of the next: what one pair reads, no other writes."""


class Pass(NamedTuple):
    """Pairs that are tried together.

    Attributes:
        axis: along which the voxels of a pair lie; 0 is z.
        first: place along it where a pair begins.
        attempt: probability that a pair is tried, in 2^-32.
    """

    axis: int
    first: int
    attempt: int


def passes(sweep: int, shape: Sequence[int], boundary: int, share: float) -> Iterator[Pass]:
    """The passes of a sweep over a lattice [z, y, x], which tries the given share of all pairs.

    Around a periodic axis of n voxels there is room for n // 3 pairs in a pass. Where 3 is no divisor of n, some pairs
    are left out of a sweep, in turn from sweep to sweep, and the others are tried more often instead. A periodic axis
    of one or two voxels has no pairs. Every other sweep goes backwards, so that there is no direction.
    """
    order = [(axis, phase) for axis in range(3) for phase in range(BETWEEN_PAIRS)]
    for axis, phase in order if sweep % 2 == 0 else reversed(order):
        n, tried = shape[axis], share
        if boundary & PERIODIC[axis]:
            at_once = n // BETWEEN_PAIRS
            if not at_once:
                continue
            tried, phase = share * n / (BETWEEN_PAIRS * at_once), (sweep + phase) % n
        yield Pass(axis, phase, min(round(tried * CERTAIN), int(CERTAIN) - 1))
