"""Slabs of whole planes, small enough that a slab's temporaries stay in cache."""

from collections.abc import Iterator

SLAB_VOXELS = 32_768


def slabs(shape: tuple[int, int, int]) -> Iterator[tuple[int, int]]:
    """First and end plane of each slab."""
    nz, ny, nx = shape
    planes = max(1, SLAB_VOXELS // (ny * nx))
    for first in range(0, nz, planes):
        yield first, min(first + planes, nz)
