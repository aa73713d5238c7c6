"""Checks of the free memory before allocation."""

from collections.abc import Sequence
from pathlib import Path

import psutil

from gpusim.errors import ScenarioError

_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""Limit and usage of a container or a queue; cgroups of version 2 and 1."""


def available() -> int:
    """Bytes that this process can still allocate without swapping."""
    free = psutil.virtual_memory().available
    for limit, usage in _LIMITS:
        try:
            free = min(free, int(Path(limit).read_text()) - int(Path(usage).read_text()))
        except (OSError, ValueError):  # another system, or "max"
            continue
    return max(0, free)


def require(needed: int, free: int, what: str, shape: Sequence[int], spacing: float) -> None:
    """Raise `ScenarioError` if `needed` bytes for a lattice (z, y, x) of `spacing` um are not free."""
    if needed <= free:
        return
    scale = (free / needed) ** (1 / 3)
    smaller = " x ".join(str(max(1, int(n * scale))) for n in reversed(shape))
    raise ScenarioError(
        f"grid: {' x '.join(map(str, reversed(shape)))} voxels need {size(needed)} {what}, "
        f"{size(free)} are free; {smaller} voxels would fit (the same tissue at {spacing / scale:.3g} um)"
    )


def size(count: int) -> str:
    """Text for a number of bytes: "3.2 GiB"."""
    value, unit = float(count), "bytes"
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"
