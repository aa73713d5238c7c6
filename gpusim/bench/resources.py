"""What the GPU compiler gives each kernel: registers, spills, and so how many of its blocks a processor holds.

Needs NVRTC and its Python bindings, and no GPU.
"""

import functools
import re
from dataclasses import dataclass

from gpusim.backends.nvrtc import compile_kernels
from gpusim.backends.signatures import kernels

_REGISTERS = 65_536
_WARPS = 64
_BLOCKS = 32
_PER_WARP = 256
_SCHEDULERS = 4
"""Of a streaming multiprocessor of compute capability 9.0: registers, warps, blocks, registers that are
given out together, parts that share the registers (CUDA C++ Programming Guide, "Compute Capabilities")."""


@dataclass(frozen=True)
class Resources:
    """What the compiler gave to a kernel, by thread."""

    registers: int
    spilled: int

    def occupancy(self, threads: int) -> float:
        """Share of the warps of a multiprocessor of capability 9.0 that blocks of so many threads keep there."""
        warps = -(-threads // 32)
        by_warp = -(-self.registers * 32 // _PER_WARP) * _PER_WARP
        held = _REGISTERS // _SCHEDULERS // by_warp * _SCHEDULERS
        blocks = min(held // warps, _WARPS // warps, _BLOCKS)
        return blocks * warps / _WARPS


@functools.cache
def resources(architecture: str) -> dict[str, Resources]:
    """By kernel, on an architecture such as "sm_90". Raises `BackendError`."""
    return of_log(compile_kernels(architecture).log)


def of_log(report: str) -> dict[str, Resources]:
    """By kernel, of what the compiler's log says."""
    parts = re.split(r"Compiling entry function '(\w+)'", report)[1:]
    found = {}
    for kernel, text in zip(parts[::2], parts[1::2], strict=True):
        spills = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", text)
        registers = re.search(r"Used (\d+) registers", text)
        assert spills
        assert registers
        found[kernel] = Resources(int(registers[1]), int(spills[1]) + int(spills[2]))
    return {kernel: found[kernel] for kernel in kernels()}
