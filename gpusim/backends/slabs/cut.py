"""Which planes of a lattice each rank has."""

from dataclasses import dataclass

from gpusim.errors import BackendError
from gpusim.model.tables import Boundary

HALO = 2
"""Planes beyond its own that a rank holds on either side: a cell looks at its rivals for the voxel that it
wants, and they stand up to two away. Everything else looks at the next voxel."""

MOST_LEVELS = 3
"""Levels of multigrid that are shared out; a further one has 1/512 of the voxels."""


@dataclass(frozen=True)
class Side:
    """Where a rank meets one beside it.

    Attributes:
        rank: the other one.
        halo: planes held that are the other's, of `HALO`.
        edge: own planes that the other holds as its halo.
        tag: of messages from the other, 1 from below and 2 from above; 3 less that to the other.
    """

    rank: int
    halo: slice
    edge: slice
    tag: int


@dataclass(frozen=True)
class Cut:
    """A lattice cut across z into a slab for each rank, as one of the ranks sees it.

    Attributes:
        bounds: first plane of each rank, and the end of the last.
        rank: whose view this is.
        levels: of multigrid that are shared out, this one included: so often can all bounds be halved, less one.
        halo: planes beyond its own that a rank holds on either side.
    """

    bounds: tuple[int, ...]
    rank: int
    levels: int
    halo: int = HALO

    @classmethod
    def of(cls, planes: int, ranks: int, rank: int) -> "Cut":
        """Nearly equal slabs that begin at multiples of 2^levels. Raises `BackendError` where they get too thin."""
        if planes < HALO * ranks:
            raise BackendError(
                f"{planes} planes along z for {ranks} ranks; expected {HALO} or more for each, {HALO * ranks} in all"
            )
        levels = min(MOST_LEVELS, (planes // ranks).bit_length() - 1)
        block = 2**levels
        inner = (planes // block * rank // ranks * block for rank in range(ranks))
        return cls((*inner, planes), rank, levels)

    def seen_by(self, rank: int) -> "Cut":
        """The same cut, as another rank sees it."""
        return Cut(self.bounds, rank, self.levels, self.halo)

    def wider(self, halo: int) -> "Cut":
        """The same cut with another halo."""
        return Cut(self.bounds, self.rank, self.levels, halo)

    def coarser(self) -> "Cut | None":
        """The next coarser level; None where every rank has the whole of it."""
        if self.levels == 1:
            return None
        return Cut(tuple(-(-bound // 2) for bound in self.bounds), self.rank, self.levels - 1)

    def at(self, planes: int) -> "Cut | None":
        """The level with so many planes; None where every rank has the whole of it."""
        cut: Cut | None = self
        while cut is not None and cut.planes != planes:
            cut = cut.coarser()
        return cut

    @property
    def planes(self) -> int:
        """Of the whole lattice."""
        return self.bounds[-1]

    @property
    def first(self) -> int:
        """First plane of the rank's own."""
        return self.bounds[self.rank]

    @property
    def end(self) -> int:
        """End of the rank's own planes."""
        return self.bounds[self.rank + 1]

    @property
    def low(self) -> int:
        """First plane that the rank holds, halo included."""
        return max(self.first - self.halo, 0)

    @property
    def high(self) -> int:
        """End of the planes that the rank holds, halo included."""
        return min(self.end + self.halo, self.planes)

    @property
    def own(self) -> slice:
        """The rank's own planes among those that it holds."""
        return slice(self.first - self.low, self.end - self.low)

    def sides_met(self, boundary: int) -> int:
        """Of a boundary of the lattice, what the planes held meet: where they end before it, no side is open."""
        cut_off = (self.low > 0, self.high < self.planes)
        return boundary & ~sum(Boundary.FIRST_OPEN << end for end, is_cut in enumerate(cut_off) if is_cut)

    @property
    def neighbours(self) -> list[Side]:
        """Where it meets other ranks, of a cut whose halo is `HALO` planes wide."""
        first, end, held = self.own.start, self.own.stop, self.high - self.low
        below = Side(self.rank - 1, slice(0, first), slice(first, first + HALO), 1)
        above = Side(self.rank + 1, slice(end, held), slice(end - HALO, end), 2)
        return [below] * (self.rank > 0) + [above] * (self.end < self.planes)

    @property
    def children(self) -> slice:
        """Planes of the next coarser level that the planes held are the children of."""
        return slice(self.low // 2, -(-self.high // 2))

    @property
    def own_children(self) -> slice:
        """The same of the rank's own planes."""
        return slice(self.first // 2, -(-self.end // 2))
