"""The kernels on the processor's cores."""

import ctypes
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from gpusim.backends.base import Array
from gpusim.backends.compiled import CompiledBackend
from gpusim.backends.compiler import load
from gpusim.backends.source import kernel_source
from gpusim.errors import BackendError

_CTYPES: dict[type, Any] = {
    np.int32: ctypes.c_int32,
    np.int64: ctypes.c_int64,
    np.uint32: ctypes.c_uint32,
    np.uint64: ctypes.c_uint64,
    np.float32: ctypes.c_float,
}

_SMALLEST_SHARE = 65_536
"""Voxels (roughly) of a launch below which another thread costs more than it brings."""


def available_threads() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class CpuBackend(CompiledBackend):
    """Kernels through the machine's C++ compiler; each thread takes a range of blocks."""

    name = "cpu"
    fields_together = False

    def __init__(self, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise BackendError(f"threads: expected 1 or more, found {threads}")
        self._library = load(kernel_source(host=True))
        self.threads = threads or available_threads()
        self._pool = ThreadPoolExecutor(self.threads - 1) if self.threads > 1 else None

    def array(self, values: np.ndarray) -> np.ndarray:
        return np.array(values, order="C")

    def to_numpy(self, array: Array) -> np.ndarray:
        return np.array(array)

    def write(self, array: Array, values: np.ndarray) -> None:
        array[...] = values

    def launch(self, kernel: str, blocks: int, threads: int, arguments: Sequence[Array | np.generic]) -> None:
        # The kernels take an array by its address and a scalar by its value, each behind a pointer.
        held = [
            ctypes.c_void_p(a.ctypes.data) if isinstance(a, np.ndarray) else _CTYPES[type(a)](a.item())
            for a in arguments
        ]
        pointers = (ctypes.c_void_p * len(held))(*(ctypes.addressof(h) for h in held))
        function = getattr(self._library, f"launch_{kernel}")
        shares = max(1, min(self.threads, blocks * threads // _SMALLEST_SHARE, blocks))
        edges = [blocks * i // shares for i in range(shares + 1)]
        others = []
        if self._pool is not None:
            others = [self._pool.submit(function, pointers, *edges[i : i + 2]) for i in range(1, shares)]
        function(pointers, edges[0], edges[1])
        for other in others:
            other.result()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
            self.threads = 1
