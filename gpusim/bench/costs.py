"""What each kernel has to move and to compute, a voxel: the least, whatever the machine.

Bytes: each array counts once, as read or as written, in whole lines; what a block reads again is in a cache.
Tables by state are in a cache. Operations: arithmetic and comparisons on values; none for addresses, loops
or the choice of a branch.
"""

from dataclasses import dataclass

from gpusim.backends.compiled import DEPOSIT_THREADS, columns, row_threads


@dataclass(frozen=True)
class Cost:
    """One kernel in one case.

    Attributes:
        kernel: its name.
        case: of `workloads.CASES`, where it is launched so.
        bytes, operations: a voxel, and field where the kernel is launched for fields.
        why: what they consist of.
        rows: of voxels that a block takes; 0 where 256 threads take voxels, whatever their rows.
        in_columns: whether each thread takes a column of voxels instead.
        level: of multigrid on which the voxels are counted; 0 is the finest.
        by_field: whether it is launched for fields.
    """

    kernel: str
    case: str
    bytes: float
    operations: float
    why: str
    rows: int = 1
    level: int = 0
    by_field: bool = True
    in_columns: bool = False

    def row(self, edge: int) -> int:
        """Voxels in a row, where a row of the finest level has `edge`."""
        return -(-edge // 2**self.level)

    def threads(self, edge: int) -> int:
        """Threads of a block on a GPU: a restriction's are along the coarse row."""
        if self.in_columns:
            return columns((1, *[self.row(edge)] * 3))[1]
        return row_threads(-(-self.row(edge) // (2 if self.rows == 4 else 1))) if self.rows else DEPOSIT_THREADS

    def voxels(self, edge: int, fields: int) -> int:
        """Voxels (times fields) of a launch on a cube of `edge` voxels."""
        return self.row(edge) ** 3 * (fields if self.by_field else 1)


_INFLOW = 12  # 6 differences, 5 sums, times coupling
_WEIGHTED_INFLOW = _INFLOW + 4  # a weight for each face in y and z
_EULER = 3  # joins c, times keep, plus gain
_MOST = 1  # a comparison with the lowest value allowed
_MOMENTUM = 3
_RESIDUAL = _WEIGHTED_INFLOW + 3
_SMOOTHED = _RESIDUAL + 8 + _MOST  # the sum of couplings, the diagonal, a division, a sum
_RANDOM = 80  # Philox: 10 rounds of 2 products, 4 xor, 2 sums
_HILL = 8  # times scale, two comparisons, 1 / (1 + r), times r, times both ends, their sum

COSTS = (
    Cost("explicit_step", "open side", 8, _INFLOW + _EULER + _MOST, "field read, and written", in_columns=True),
    Cost(
        "explicit_step",
        "stage",
        12,
        _INFLOW + _EULER + _MOST + _MOMENTUM,
        "field read, the stage before the last read, field written",
        in_columns=True,
    ),
    Cost(
        "explicit_step",
        "by cells",
        9,
        _INFLOW + _EULER + _MOST,
        "field read, and written; tissue read",
        in_columns=True,
    ),
    Cost(
        "explicit_step",
        "D by state",
        9,
        _INFLOW + 5 + _EULER + _MOST,
        "field read, and written; tissue read; a coupling for each face",
        in_columns=True,
    ),
    Cost(
        "walled_step",
        "by cells",
        20,
        _INFLOW + 6 + 14 + 20,
        "field and three maps read, field written; what crosses a wall; a sum and its rounding",
    ),
    Cost("combine", "fast", 10, 6, "field read, right-hand side written; both cell layers read"),
    Cost(
        "smooth_finest",
        "fast",
        13,
        _SMOOTHED / 2,
        "field read, and written; right-hand side and tissue read; every other voxel computed",
    ),
    Cost(
        "smooth_coarse",
        "fast",
        16,
        _SMOOTHED / 2,
        "correction read, and written; right-hand side and mass read; every other voxel computed",
        level=1,
    ),
    Cost(
        "restrict_finest",
        "fast",
        10,
        _RESIDUAL + 2,
        "field, right-hand side and tissue read; two eighths of a value written",
        rows=4,
    ),
    Cost(
        "restrict_coarse",
        "fast",
        13,
        _RESIDUAL + 2,
        "correction, right-hand side and mass read; two eighths of a value written",
        rows=4,
        level=1,
    ),
    Cost("restrict_mass", "fast", 2.5, 7, "both cell layers read; an eighth of a value written", rows=4),
    Cost("restrict_coupling", "D by state", 1.5, 2, "tissue read; an eighth of a value written", rows=4),
    Cost("restrict_mean", "fast", 4.5, 2, "value read; an eighth of a value written", rows=4, level=1),
    Cost("prolong", "fast", 8.5, 18, "field read, and written; an eighth of a value read"),
    Cost(
        "exchange_rates",
        "by cells",
        18,
        _HILL + 9,
        "both cell layers and a field read; production, loss and permeability written; a secretion with a Hill "
        "function and a wall in each voxel",
    ),
    Cost("count_exchange", "by cells", 8, 12, "field and permeability read"),
    Cost(
        "react",
        "by cells",
        16,
        _RANDOM + 24 + 2 * 20,
        "two fields read, and written; the extent of a reaction, two sums and their rounding",
        by_field=False,
    ),
    Cost("deposit", "by cells", 20, 1, "index and amount read; field read, and written", rows=0, by_field=False),
    Cost("hold", "D by state", 5, 1, "tissue read; field written where a state holds it, in half of the voxels"),
    Cost("mark_members", "by cells", 3, 7, "both cell layers read; members written", by_field=False),
    Cost(
        "count_members",
        "by cells",
        2,
        26,
        "members read; counts written; 26 neighbours",
        by_field=False,
        in_columns=True,
    ),
    Cost(
        "apply_rules",
        "by cells",
        7,
        _RANDOM,
        "state and clock read, and written; the other layer read; of rules the random number, as few fire",
        by_field=False,
    ),
    Cost(
        "propose_moves",
        "by cells",
        10,
        0.2 * (_RANDOM + 6 * 14 + 10),
        "both layers and a field read; headings read, and written; bids written; a fifth of the voxels holds a "
        "cell, which weighs 6 headings",
        rows=0,
        by_field=False,
    ),
    Cost(
        "move",
        "by cells",
        10,
        2,
        "bids read; cells, clocks and headings read, and written; a tenth of the voxels holds a cell that moves",
        rows=0,
        by_field=False,
    ),
    Cost(
        "begin_room",
        "crowded",
        3,
        1,
        "both cell layers read; room written",
        by_field=False,
    ),
    Cost(
        "spread_room",
        "crowded",
        2,
        32,
        "room read, and written; the least over 26 neighbours, and three steps",
        by_field=False,
    ),
    *(
        Cost(
            kernel,
            "crowded",
            1,
            0.01 * 3 * (_RANDOM + 26 * 4),
            "claims read; a hundredth of the voxels holds a mother, whose way has three steps",
            rows=0,
            by_field=False,
        )
        for kernel in ("bid_for_room", "settle_bids", "divide")
    ),
    Cost("sum_fields", "by cells", 4, 7, "field read", rows=0),
)
