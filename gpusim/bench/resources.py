"""What the GPU compiler gives each kernel: registers, spills, and so how many of its blocks a processor holds.

Needs NVRTC and its Python bindings, and no GPU.
"""

import re
from dataclasses import dataclass

from gpusim.backends.cuda import OPTIONS
from gpusim.backends.source import KERNELS, kernel_source
from gpusim.errors import BackendError

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


def compiled(architecture: str) -> tuple[str, str]:
    """PTX of all kernels for an architecture such as "sm_90", and the report of ptxas. Raises `BackendError`."""
    try:
        from cuda.bindings import nvrtc
    except ImportError:
        raise BackendError(
            "registers come from NVRTC: pip install 'cuda-bindings>=13' 'nvidia-cuda-nvrtc>=13'"
        ) from None
    _, program = nvrtc.nvrtcCreateProgram(kernel_source(host=False).encode(), b"gpusim.cu", 0, [], [])
    options = [*(o.encode() for o in OPTIONS), f"--gpu-architecture={architecture}".encode(), b"--ptxas-options=-v"]
    (failed,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    _, size = nvrtc.nvrtcGetProgramLogSize(program)
    log = b" " * size
    nvrtc.nvrtcGetProgramLog(program, log)
    if failed != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise BackendError(f"NVRTC could not compile the kernels for {architecture}: {log.decode()[-2000:]}")
    _, size = nvrtc.nvrtcGetPTXSize(program)
    ptx = b" " * size
    nvrtc.nvrtcGetPTX(program, ptx)
    return ptx.decode(), log.decode()


def resources(architecture: str) -> dict[str, Resources]:
    """By kernel. Raises `BackendError`."""
    _, report = compiled(architecture)
    parts = re.split(r"Compiling entry function '(\w+)'", report)[1:]
    found = {}
    for kernel, text in zip(parts[::2], parts[1::2], strict=True):
        spills = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", text)
        registers = re.search(r"Used (\d+) registers", text)
        assert spills
        assert registers
        found[kernel] = Resources(int(registers[1]), int(spills[1]) + int(spills[2]))
    return {kernel: found[kernel] for kernel in KERNELS}
