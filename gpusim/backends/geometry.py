"""Blocks and threads of a launch, from the sizes of the axes of its arrays.

A block of a GPU takes a row of voxels along x, several rows, or the columns of a tile. A block of a host is one
thread, which has a row; of what it is told, the threads of a GPU say how much work there is in it.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

Axes = Mapping[str, int]
"""Sizes by the names that axes have in a signature; "active" is the number of fields of a launch."""


class Blocks(NamedTuple):
    """What a launch consists of; `sizes` are those of its parameters that it decides."""

    blocks: int
    threads: int
    sizes: Mapping[str, int] = {}


Geometry = Callable[[Axes, bool], Blocks]
"""Of axes, and of whether a block is a thread of a host."""

_ROW_THREADS = 256
_COLUMN_THREADS = 256
_MOST_WIDTH = 64
_ENOUGH_BLOCKS = 4096
"""Several times as many as a large GPU holds at once."""
_ENOUGH_RUNS = 1024
"""As many as it holds."""
MOST_TOGETHER = 8
"""Rows that a block of a host takes at most."""
_ENOUGH_ROWS = 64
"""As many blocks of rows as the threads of a host share out evenly."""
_LEAST_PLANES, _MOST_PLANES = 4, 64


def rows(axes: Axes, host: bool) -> Blocks:
    """A block for each row of each field."""
    return _rows(axes, axes["z"], axes["y"], axes["x"])


def coarse_rows(axes: Axes, host: bool) -> Blocks:
    """A block for each row of the coarser of two levels."""
    return _rows(axes, axes["cz"], axes["cy"], axes["cx"])


def _rows(axes: Axes, nz: int, ny: int, nx: int) -> Blocks:
    return Blocks(axes.get("active", 1) * axes["R"] * nz * ny, _whole_warps(nx))


def columns(together: int = 1) -> Geometry:
    """Blocks whose threads take columns of voxels, so many together along x; a host takes rows.

    Few planes make enough blocks for all of a GPU, many planes make what a thread finds before its first voxel worth
    while.
    """

    def found(axes: Axes, host: bool) -> Blocks:
        fields, nx = axes.get("active", 1), _parts(axes["x"], together)
        width = _even_part(nx, _MOST_WIDTH)
        in_y = _even_part(axes["y"], _COLUMN_THREADS // width)
        tiles = fields * axes["R"] * _parts(axes["y"], in_y) * _parts(nx, width)
        planes = min(axes["z"], max(_LEAST_PLANES, min(_MOST_PLANES, axes["z"] * tiles // _ENOUGH_BLOCKS)))
        tile = {"tile_width": width, "tile_rows": in_y, "tile_planes": planes}
        if host:
            return rows(axes, host)._replace(sizes=tile)
        return Blocks(tiles * _parts(axes["z"], planes), _parts(width * in_y, 32) * 32, tile)

    return found


def passes(axes: Axes, host: bool) -> Blocks:
    """Columns for one pass. On a host, which may take several at once, these are blocks of whole lattices."""
    if axes["end"] - axes["first"] == 1:
        return columns()(axes, host)
    work = axes["z"] * axes["y"] * axes["x"] * (axes["end"] - axes["first"])
    return columns()(axes, host)._replace(blocks=axes["active"] * axes["R"], threads=work)


def rooms(axes: Axes, host: bool) -> Blocks:
    """Rows for one pass. On a host, which may take all at once, these are blocks of whole lattices."""
    if axes["passes"] == 1:
        return rows(axes, host)
    return Blocks(axes["R"], axes["z"] * axes["y"] * axes["x"])


def runs(most: int = 2048) -> Geometry:
    """Blocks of rows that follow each other, up to so many voxels, or one row; a host takes one."""
    return lambda axes, host: _runs(axes["R"] * axes["z"] * axes["y"], axes, 1, 1 if host else most)


def together(axes: Axes, host: bool) -> Blocks:
    """A block for each row; a host takes several together, if that leaves enough blocks for its threads."""
    total = axes["R"] * axes["z"] * axes["y"]
    in_block = max(1, min(MOST_TOGETHER, total // _ENOUGH_ROWS)) if host else 1
    return Blocks(_parts(total, in_block), _whole_warps(axes["x"]), {"block_rows": in_block})


def runs_of_each_field(most: int) -> Geometry:
    """The same of one replicate of each field."""
    return lambda axes, host: _runs(axes["z"] * axes["y"], axes, axes["F"], 1 if host else most)


def _runs(total: int, axes: Axes, fields: int, most: int) -> Blocks:
    in_block = max(1, min(most // axes["x"], fields * total // _ENOUGH_RUNS))
    return Blocks(fields * _parts(total, in_block), _whole_warps(in_block * axes["x"]), {"block_rows": in_block})


def one_each(axis: str, threads: int) -> Geometry:
    """A thread for each entry along an axis."""
    return lambda axes, host: Blocks(_parts(axes[axis], 1 if host else threads), 1 if host else threads)


def one_block(axes: Axes, host: bool) -> Blocks:
    """One block, of one warp."""
    return Blocks(1, 1 if host else 32)


def _parts(n: int, size: int) -> int:
    """How many parts of a size, the last of them smaller, make n."""
    return -(-n // size)


def _even_part(n: int, most: int) -> int:
    """Size of the parts of n, as even as can be, none larger than `most`."""
    return _parts(n, _parts(n, most))


def _whole_warps(nx: int) -> int:
    """Threads of a block that takes a row of nx voxels: whole warps, 256 at most."""
    return min(_ROW_THREADS, _parts(nx, 32) * 32)
