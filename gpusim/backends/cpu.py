"""The kernels on the processor's cores."""

import ctypes
import os
import struct
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from gpusim.backends.compiled import CompiledBackend
from gpusim.backends.compiler import find_compiler, load
from gpusim.backends.groups import Array
from gpusim.backends.launching import Call, Prepared
from gpusim.backends.source import host_units
from gpusim.backends.worker import Worker, after_fork
from gpusim.errors import BackendError

_SLOTS = {"int32": "i4x", "int64": "q", "uint32": "I4x", "uint64": "Q", "float32": "f4x", "float64": "d"}
"""How a number is laid out in its 8 bytes; an array goes as an address."""

_SMALLEST_SHARE = 65_536
"""Voxels (roughly) of a launch below which another thread costs more than it brings."""


_VOXELS_IN_CACHE = 2**15
"""Of a field, its second buffer and what its cells do: half a MiB, a half or less of the nearer cache."""

_LINE = 64
"""Bytes of a line of cache, at which arrays begin."""


def available_threads() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Room:
    """A kernel's launcher, and room for its arguments: 8 bytes each, and a pointer to each."""

    def __init__(self, function: Any, call: Call) -> None:
        self.function = function
        numbers = (*call.numbers, *call.sizes)
        self._layout = struct.Struct(
            "=" + "Q" * len(call.arrays) + "".join(_SLOTS[each.dtype.name] for each in numbers)
        )
        self._bytes = ctypes.create_string_buffer(self._layout.size)
        start, count = ctypes.addressof(self._bytes), len(call.arrays) + len(numbers)
        self.pointers = (ctypes.c_void_p * count)(*(start + 8 * i for i in range(count)))

    def fill(self, *values: float) -> None:
        """Addresses, numbers, sizes."""
        self._layout.pack_into(self._bytes, 0, *values)


class CpuBackend(CompiledBackend):
    """Kernels through the machine's C++ compiler; each thread takes a range of blocks."""

    name = "cpu"
    fields_together = False
    voxels_at_once = _VOXELS_IN_CACHE
    settles_room = True

    def __init__(self, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise BackendError(f"threads: expected 1 or more, found {threads}")
        self._library = load(host_units())
        if not hasattr(self._library, "launch_explicit_step"):
            raise BackendError(f"the library that {find_compiler()} makes has no kernels in it; is it a C++ compiler?")
        super().__init__()
        self._rooms: dict[str, _Room] = {}
        self.worker = Worker()
        self.threads = threads or available_threads()
        self.forked()
        after_fork(self)

    def forked(self) -> None:
        """Take threads of this process."""
        self._launching = threading.Lock()
        self._pool = ThreadPoolExecutor(self.threads - 1) if self.threads > 1 else None

    def free_memory(self) -> int | None:
        return None

    def array(self, values: np.ndarray) -> np.ndarray:
        room = np.empty(values.nbytes + _LINE, np.uint8)
        start = -room.ctypes.data % _LINE
        aligned = room[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
        aligned[...] = values
        return aligned

    def fetch(self, arrays: Sequence[Array]) -> list[np.ndarray]:
        return [np.array(array) for array in arrays]

    def write(self, array: Array, values: np.ndarray) -> None:
        array[...] = values

    def bind(self, call: Call, arrays: Sequence[Array], sizes: Sequence[int]) -> tuple[list[int], Sequence[int]]:
        return [array.ctypes.data for array in arrays], sizes

    def run(self, call: Call, prepared: Prepared, numbers: Sequence[float]) -> None:
        addresses, sizes = prepared.bound
        blocks, threads = prepared.blocks, prepared.threads
        with self._launching:  # a kernel's room for arguments is for one launch at a time
            room = self._rooms.get(call.kernel.name)
            if room is None:
                function = getattr(self._library, f"launch_{call.kernel.name}")
                room = self._rooms[call.kernel.name] = _Room(function, call)
            room.fill(*addresses, *numbers, *sizes)
            function, pointers = room.function, room.pointers
            shares = max(1, min(self.threads, blocks * threads // _SMALLEST_SHARE, blocks))
            edges = [blocks * i // shares for i in range(shares + 1)]
            others = []
            if self._pool is not None:
                others = [self._pool.submit(function, pointers, blocks, *edges[i : i + 2]) for i in range(1, shares)]
            try:
                function(pointers, blocks, edges[0], edges[1])
            finally:  # no thread is left behind that works on arrays which may be gone
                for other in others:
                    other.result()

    def copy(self, target: Array, source: Array) -> None:
        parts = zip(*(np.array_split(array.reshape(-1), self.threads) for array in (target, source)), strict=True)
        (first, *rest) = parts
        others = [self._pool.submit(np.copyto, *part) for part in rest] if self._pool is not None else []
        np.copyto(*first)
        for other in others:
            other.result()

    def mark(self) -> float:
        return time.perf_counter()

    def between(self, begun: float, ended: float) -> float:
        return ended - begun

    def seconds(self, action: Callable[[], object]) -> float:
        # Of the processor, stalls included, by thread: others on the machine count less.
        begun = time.process_time()
        action()
        return (time.process_time() - begun) / self.threads

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
            self.threads = 1
