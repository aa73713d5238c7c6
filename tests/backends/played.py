"""The cuda backend without a GPU: its own code, on a CuPy that one thread of the host plays.

What is told to the device is done as late as possible, when it is waited for: copies from page-locked memory
too. Fresh memory of the device holds rubbish. Launches, copies and waits are counted.
"""

import ctypes
import threading
import time
import weakref
from collections import Counter, deque
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from gpusim import backends
from gpusim.backends import cuda
from gpusim.backends.compiler import load
from gpusim.backends.cpu import _Room
from gpusim.backends.cuda import CudaBackend
from gpusim.backends.launching import Call
from gpusim.backends.signatures import kernels
from gpusim.backends.source import kernel_source

WAITING = {
    "restrict_finest", "restrict_coarse", "restrict_mass", "restrict_coupling", "restrict_mean", "sum_fields",
    "propose_moves", "move", "count_exchange", "bid_for_room", "settle_bids", "divide",
    "swap_cells", "bid_for_lines", "settle_lines", "close_up", "measure_outflow",
}  # fmt: skip
"""Kernels in which the threads of a block wait for each other; the player stops at any other that does."""


class CUDADriverError(RuntimeError):
    """As CuPy's."""


class Pointer:
    """As `cupy.cuda.MemoryPointer`."""

    def __init__(self, device, held):
        self._device, self._held, self.ptr = device, held, held.ctypes.data

    def copy_from_host_async(self, address, size):
        self._device.do("to device", lambda: ctypes.memmove(self.ptr, address, size), size)

    def copy_to_host_async(self, address, size):
        self._device.do("to host", lambda: ctypes.memmove(address, self.ptr, size), size)

    def copy_from_device_async(self, source, size):
        self._device.do("on device", lambda: ctypes.memmove(self.ptr, source.ptr, size), size)

    def memset_async(self, value, size):
        self._device.do("on device", lambda: ctypes.memset(self.ptr, value, size), size)


class Array:
    """As `cupy.ndarray`: only what a host can see of it."""

    def __init__(self, device, held):
        self._device, self._held = device, held
        self.shape, self.dtype, self.size, self.ndim = held.shape, held.dtype, held.size, held.ndim
        self.nbytes, self.flags = held.nbytes, held.flags
        # What is told before it goes is done later: its memory stays until then.
        weakref.finalize(self, device._due.append, partial(id, held)).atexit = False

    @property
    def __cuda_array_interface__(self):
        return self._held.__array_interface__ | {"version": 3}

    @property
    def data(self):
        return Pointer(self._device, self._held)

    def __len__(self):
        return len(self._held)

    def __getitem__(self, index):
        return Array(self._device, np.asarray(self._held[index]))

    def __array__(self, *_, **__):
        raise TypeError("an array of the device is not NumPy's")


class PinnedMemory:
    """As CuPy's. To give it back is to wait for the device."""

    def __init__(self, device, size):
        self.held = type("Held", (ctypes.c_ubyte * size,), {"__del__": lambda held: device.catch_up()})()
        self.ptr = ctypes.addressof(self.held)
        ctypes.memset(self.ptr, 0xA5, size)


class Kernel:
    """As `cupy.RawKernel`; a dimension of 0 becomes 1, as there."""

    def __init__(self, device, name):
        self._device, self.name = device, name
        self._room = partial(_Room, getattr(device.kernels, f"launch_{name}"), Call(kernels()[name], host=False))
        kernel = kernels()[name]
        numbers = kernel.of("numbers", "sizes")
        addresses = len(kernel.parameters) - len(numbers)
        self._types = [np.dtype(np.uint64)] * addresses + [each.dtype for each in numbers]

    def __call__(self, grid, block, arguments):
        (blocks,), (threads,) = grid, block
        assert [each.dtype for each in arguments] == self._types, f"{self.name}: arguments of other types"

        def run():
            room = self._room()
            room.fill(*arguments)
            room.function(room.pointers, max(1, blocks), max(1, threads))

        self._device.launched[self.name] += self._device.captured is None
        self._device.do("launches", run if self._device.working else lambda: None)


class PlayedDevice:
    """A device, and the module `cupy` for it.

    Attributes:
        counts: "launches", "graphs", "waits", copies "to device", "to host" and "on device".
        launched: launches by kernel.
        captured: what is captured for a graph; None where nothing is.
        working: whether launches do anything; where only counts are asked for, they need not.
        allocated: bytes of all arrays made so far; largest: of the largest copy between host and device.
    """

    def __init__(self):
        launchers = "\n".join(f"LAUNCHER({kernel}, {str(kernel in WAITING).lower()})" for kernel in kernels())
        shim = (Path(__file__).parent / "played.hpp").read_text().replace("#pragma once", "")
        self.kernels = load("\n".join([shim, kernel_source(), launchers]))
        self.working = True
        self.captured = None
        self.reset()
        self._due = deque()
        self._turn = threading.RLock()
        self.cupy = SimpleNamespace(
            empty=self._empty,
            RawModule=lambda path: SimpleNamespace(get_function=lambda name: Kernel(self, name)),
            get_default_memory_pool=lambda: SimpleNamespace(free_bytes=lambda: 0),
            cuda=SimpleNamespace(
                driver=SimpleNamespace(CUDADriverError=CUDADriverError),
                Device=lambda: SimpleNamespace(
                    compute_capability="90", id=0, mem_info=(2**34, 2**34), use=lambda: None
                ),
                PinnedMemory=lambda size: PinnedMemory(self, size),
                PinnedMemoryPointer=lambda memory, offset: memory.held,
                Event=lambda: Event(self),
                get_elapsed_time=lambda begun, ended: 1e3 * (ended.at - begun.at),
                get_current_stream=lambda: SimpleNamespace(synchronize=self.synchronize),
                Stream=lambda non_blocking: Stream(self),
            ),
        )

    def reset(self):
        """Count from 0."""
        self.counts, self.launched = Counter(), Counter()
        self.allocated = self.largest = 0

    def _empty(self, shape, dtype):
        made = np.empty(shape, dtype)
        made.reshape(-1).view(np.uint8)[...] = 0xA5
        self.allocated += made.nbytes
        return Array(self, made)

    def do(self, what, action, size=0):
        if self.captured is not None:
            assert what == "launches", "only launches are captured"
            self.captured.append(action)
            return
        self.counts[what] += 1
        if what in ("to device", "to host"):
            self.largest = max(self.largest, size)
        self._due.append(action)

    def synchronize(self):
        self.counts["waits"] += 1
        self.catch_up()

    def catch_up(self):
        """Do all that is due; one thread at a time, as pinned memory is given back by whichever collects garbage."""
        with self._turn:
            while self._due:
                self._due.popleft()()

    def backend(self):
        """The cuda backend on this device."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cuda, "_cupy", lambda: self.cupy)
            patch.setattr(cuda.nvrtc, "kernels", lambda capability: Path("played.cubin"))
            return CudaBackend()


class Stream:
    """As `cupy.cuda.Stream`, beside the default one, for capture alone."""

    def __init__(self, device):
        self._device = device

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def begin_capture(self):
        assert self._device.captured is None
        self._device.captured = []

    def end_capture(self):
        actions, self._device.captured = self._device.captured, None
        return Graph(self._device, actions)


class Graph:
    """As `cupy.cuda.Graph`: the launches in their order."""

    def __init__(self, device, actions):
        self._device, self._actions = device, actions

    def launch(self, stream):
        for i, action in enumerate(self._actions):
            self._device.do("graphs", action)
            self._device.counts["graphs"] -= i > 0


class Event:
    """As `cupy.cuda.Event`."""

    def __init__(self, device):
        self._device, self.at = device, None

    def record(self):
        self._device._due.append(lambda: setattr(self, "at", time.perf_counter()))

    def synchronize(self):
        self._device.synchronize()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests():
    """As a plugin: let every test of the cuda backend have a played device. Before the tests ask what there is."""
    found = backends.availability

    def availability(name):
        return backends.Availability(name, True, "played by the processor") if name == "cuda" else found(name)

    backends.availability = availability
    backends._CREATE["cuda"] = lambda threads: PlayedDevice().backend()
