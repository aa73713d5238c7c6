"""How each kernel is launched: its blocks, what slabs exchange after it, and what it has to move and to compute.

Costs are those of a voxel, and field where a kernel is launched for fields: the least, whatever the machine. Bytes:
each array counts once, as read or as written, in whole lines; what a block reads again is in a cache, and so are
tables by state. Operations: arithmetic and comparisons on values; none for addresses, loops or the choice of a branch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from gpusim.backends.geometry import (
    Geometry,
    coarse_rows,
    columns,
    one_block,
    one_each,
    passes,
    rooms,
    rows,
    runs,
    runs_of_each_field,
    together,
)
from gpusim.backends.groups import TRAVELLING
from gpusim.model.tables import FACE, RIGID


@dataclass(frozen=True)
class Cost:
    """What a kernel has to do in one case.

    Attributes:
        case: of `bench.workloads.CASES`, where it is launched so.
        bytes, operations: of a voxel.
        why: what they consist of.
        level: of multigrid on which the voxels are counted; 0 is the finest.
    """

    case: str
    bytes: float
    operations: float
    why: str
    level: int = 0


Tables = Mapping[str, np.ndarray]
"""Arrays of the model that a launch is given, by name."""


@dataclass(frozen=True)
class Launch:
    """How a kernel is launched.

    Attributes:
        geometry: of its blocks; by_numbers: what else than shapes decides them.
        halo: arrays of which it leaves the outermost planes of a slab wrong; slabs exchange them afterwards.
        beyond: of its tables, how many planes away from a voxel it looks and writes; slabs then work on copies with as
            many more planes. Without: no further than the halo.
        settles: the array that it finds to the end in place where it is asked for more `passes` than one; slabs then
            repeat it until none of them finds more.
        joins: whether what it finds of a voxel may depend on all others; slabs then repeat it until none of them finds
            more.
        sums: arrays that it adds to, over the planes that are counted.
        appends: whether it notes births of clones, over the planes that are counted.
        costs: for `gpusim bench`; a kernel without is not timed.
    """

    geometry: Geometry
    by_numbers: tuple[str, ...] = ()
    halo: tuple[str, ...] = ()
    beyond: Callable[[Tables], int] | None = None
    settles: str | None = None
    joins: bool = False
    sums: tuple[str, ...] = ()
    appends: bool = False
    costs: tuple[Cost, ...] = ()


_INFLOW = 12  # 6 differences, 5 sums, times coupling
_WEIGHTED_INFLOW = _INFLOW + 4  # a weight for each face in y and z
_EULER = 3  # joins c, times keep, plus gain
_MOST = 1  # a comparison with the lowest value allowed
_MOMENTUM = 3
_RESIDUAL = _WEIGHTED_INFLOW + 3
_SMOOTHED = _RESIDUAL + 8 + _MOST  # the sum of couplings, the diagonal, a division, a sum
_RANDOM = 80  # Philox: 10 rounds of 2 products, 4 xor, 2 sums
_HILL = 8  # times scale, two comparisons, 1 / (1 + r), times r, times both ends, their sum
_PASS = _INFLOW + _EULER + _MOST
_FACES = 12  # 6 differences of pressure, times the conductance of the face
_ADVECTED = 4  # fields that flow carries in the case of it

_OF_MOTHERS = Cost(
    "crowded",
    1,
    0.01 * 3 * (_RANDOM + 26 * 4),
    "claims read; a hundredth of the voxels holds a mother, whose way has three steps",
)


def _along_ways(tables: Tables) -> int:
    """The way of a mother, and a voxel beside it."""
    yields = tables["yields"]
    return int(yields[yields < RIGID].max(initial=0)) // FACE + 2


def _along_lines(tables: Tables) -> int:
    """A line that crosses one from a voxel that is kept, and a voxel beside it."""
    return 2 * int(np.abs(tables["lines"][..., 0]).max(initial=0)) + 1


LAUNCHES = {
    "explicit_step": Launch(
        passes,
        by_numbers=("first", "end"),
        halo=("target",),
        costs=(
            Cost("open side", 8, _PASS, "field read, and written"),
            Cost("stage", 12, _PASS + _MOMENTUM, "field read, the stage before the last read, field written"),
            Cost("by cells", 9, _PASS, "field read, and written; tissue read"),
            Cost("D by state", 9, _PASS + 5, "field read, and written; tissue read; a coupling for each face"),
        ),
    ),
    "walled_step": Launch(
        rows,
        halo=("target",),
        costs=(
            Cost(
                "by cells",
                20,
                _INFLOW + 6 + 14 + 20,
                "field and three maps read, field written; what crosses a wall; a sum and its rounding",
            ),
        ),
    ),
    "measure_outflow": Launch(
        rows,
        halo=("outflow",),
        costs=(Cost("flowing", 9, _FACES + 11, "pressure and tissue read; the rates out of a voxel added up"),),
    ),
    "advect": Launch(
        together,
        halo=("target",),
        costs=(
            Cost(
                "flowing",
                9 + _ADVECTED * 8,
                _FACES + _ADVECTED * (6 * 14 + 8 + 20),
                f"pressure, tissue and outflow read; {_ADVECTED} fields read, and written; a limited slope for each "
                "face, and a sum with its rounding",
            ),
        ),
    ),
    "begin_changes": Launch(rows, costs=(Cost("with body", 12, 0, "field read; its copy and 0 written"),)),
    "combine_changes": Launch(
        rows, costs=(Cost("with body", 14, _RESIDUAL + 6, "field read, right-hand side written; maps and tissue read"),)
    ),
    "add_changes": Launch(
        rows, costs=(Cost("with body", 16, 20, "field and change read, both written; rounding by lot"),)
    ),
    "apply_changes": Launch(
        rows, costs=(Cost("with body", 12, 4, "field and change read, what crosses a wall written"),)
    ),
    "combine": Launch(rows, costs=(Cost("fast", 10, 6, "field read, right-hand side written; both cell layers read"),)),
    "smooth_finest": Launch(
        rows,
        halo=("c",),
        costs=(
            Cost(
                "fast",
                13,
                _SMOOTHED / 2,
                "field read, and written; right-hand side and tissue read; every other voxel computed",
            ),
        ),
    ),
    "smooth_coarse": Launch(
        rows,
        halo=("c",),
        costs=(
            Cost(
                "fast",
                16,
                _SMOOTHED / 2,
                "correction read, and written; right-hand side and mass read; every other voxel computed",
                level=1,
            ),
        ),
    ),
    "restrict_finest": Launch(
        coarse_rows,
        halo=("coarse_rhs",),
        costs=(
            Cost("fast", 10, _RESIDUAL + 2, "field, right-hand side and tissue read; two eighths of a value written"),
        ),
    ),
    "restrict_coarse": Launch(
        coarse_rows,
        halo=("coarse_rhs",),
        costs=(
            Cost(
                "fast",
                13,
                _RESIDUAL + 2,
                "correction, right-hand side and mass read; two eighths of a value written",
                level=1,
            ),
        ),
    ),
    "restrict_mass": Launch(
        coarse_rows,
        halo=("coarse",),
        costs=(Cost("fast", 2.5, 7, "both cell layers read; an eighth of a value written"),),
    ),
    "restrict_coupling": Launch(
        coarse_rows,
        halo=("coarse",),
        costs=(Cost("D by state", 1.5, 2, "tissue read; an eighth of a value written"),),
    ),
    "restrict_mean": Launch(
        coarse_rows,
        halo=("coarse",),
        costs=(Cost("fast", 4.5, 2, "value read; an eighth of a value written", level=1),),
    ),
    "prolong": Launch(
        rows,
        halo=("c",),
        costs=(Cost("fast", 8.5, 18, "field read, and written; an eighth of a value read"),),
    ),
    # Maps are right on a slab's own planes, which is where they are read.
    "exchange_rates": Launch(
        rows,
        costs=(
            Cost(
                "by cells",
                18,
                _HILL + 9,
                "both cell layers and a field read; production, loss and permeability written; a secretion with a Hill "
                "function and a wall in each voxel",
            ),
        ),
    ),
    "count_exchange": Launch(
        rows,
        sums=("flowed",),
        costs=(Cost("by cells", 8, 12, "field and permeability read"),),
    ),
    "react": Launch(
        rows,
        costs=(
            Cost(
                "by cells",
                16,
                _RANDOM + 24 + 2 * 20,
                "two fields read, and written; the extent of a reaction, two sums and their rounding",
            ),
        ),
    ),
    "deposit": Launch(
        one_each("count", threads=256),
        costs=(Cost("by cells", 20, 1, "index and amount read; field read, and written"),),
    ),
    "hold": Launch(
        rows,
        costs=(Cost("D by state", 5, 1, "tissue read; field written where a state holds it, in half of the voxels"),),
    ),
    "mark_members": Launch(rows, costs=(Cost("by cells", 3, 7, "both cell layers read; members written"),)),
    "count_members": Launch(
        columns(together=4),
        halo=("counts",),
        costs=(Cost("by cells", 2, 26, "members read; counts written; 26 neighbours"),),
    ),
    "apply_rules": Launch(
        rows,
        sums=("fired", "carried"),
        appends=True,
        costs=(
            Cost(
                "by cells",
                7,
                _RANDOM,
                "state and clock read, and written; the other layer read; of rules the random number, as few fire",
            ),
        ),
    ),
    "change_traits": Launch(
        rows,
        costs=(Cost("with traits", 9, 0.9 * (_HILL + 14), "cells read; a trait read, and written; 9 of 10 have it"),),
    ),
    "transfer": Launch(
        rows,
        costs=(
            Cost(
                "with traits",
                18,
                0.9 * (_RANDOM + 24 + 2 * 20),
                "both cell layers read; a field and a trait read, and written; of 9 of 10 cells a share, and two sums "
                "with their rounding",
            ),
        ),
    ),
    "propose_moves": Launch(
        runs(),
        halo=("bid",),
        costs=(
            Cost(
                "by cells",
                10,
                0.2 * (_RANDOM + 6 * 14 + 10),
                "both layers and a field read; headings read, and written; bids written; a fifth of the voxels holds a "
                "cell, which weighs 6 headings",
            ),
        ),
    ),
    "move": Launch(
        runs(),
        halo=("cells", *TRAVELLING, "traits"),
        sums=("left", "taken", "laid"),
        costs=(
            Cost(
                "by cells",
                10,
                2,
                "bids read; cells, clocks and headings read, and written; a tenth of the voxels holds a cell that "
                "moves",
            ),
        ),
    ),
    "begin_room": Launch(rows, costs=(Cost("crowded", 4, 1, "both cell layers read; room written"),)),
    "spread_room": Launch(
        rooms,
        by_numbers=("passes",),
        halo=("next",),
        settles="room",
        costs=(Cost("crowded", 4, 32, "room read, and written; the least over 26 neighbours, and three steps"),),
    ),
    "bid_for_room": Launch(runs(), beyond=_along_ways, costs=(_OF_MOTHERS,)),
    "settle_bids": Launch(runs(), beyond=_along_ways, sums=("barred",), costs=(_OF_MOTHERS,)),
    "begin_regions": Launch(rows, costs=(Cost("crowded", 5, 3, "cells read; labels written"),)),
    "join_regions": Launch(rows, joins=True, costs=(Cost("crowded", 4, 1, "labels read; few are of free voxels"),)),
    "settle_regions": Launch(rows, costs=(Cost("crowded", 4, 1, "labels read; few are of free voxels"),)),
    "mark_outside": Launch(rows, costs=(Cost("crowded", 2, 1, "cells read, and labels of few; marks written"),)),
    "bid_for_lines": Launch(
        runs(),
        beyond=_along_lines,
        sums=("barred",),
        costs=(Cost("crowded", 1, 0.002 * 8 * (_RANDOM + 3 * 40), "claims read; of 0.2%, eight lines of 3 voxels"),),
    ),
    "settle_lines": Launch(
        runs(),
        beyond=_along_lines,
        costs=(Cost("crowded", 2, 0.1, "claims read; marks written"),),
    ),
    "close_up": Launch(
        runs(),
        beyond=_along_lines,
        sums=("fired",),
        costs=(Cost("crowded", 5, 0.1, "marks read; bids written"),),
    ),
    "divide": Launch(runs(), beyond=_along_ways, sums=("fired", "taken", "left"), appends=True, costs=(_OF_MOTHERS,)),
    "swap_cells": Launch(
        rows,
        halo=("cells", *TRAVELLING, "traits"),
        costs=(
            Cost(
                "crowded",
                1,
                0.06 * _RANDOM,
                "cells read; one in three voxels begins a pair, a fifth of which differ and are drawn for",
            ),
        ),
    ),
    "sum_fields": Launch(runs_of_each_field(16_384), costs=(Cost("by cells", 4, 7, "field read"),)),
    "note_tally": Launch(one_block),
    "exchange_with_body": Launch(one_each("R", threads=32)),
    "circulate": Launch(one_each("R", threads=32)),
    "foresee": Launch(one_each("R", threads=32)),
}
"""By the kernel's name."""


def launch_of(kernel: str) -> Launch:
    """How a kernel is launched: one that is not named above with a block for each row, and it leaves halos right."""
    return LAUNCHES.get(kernel, Launch(rows))
