"""The kernels on an NVIDIA GPU, through CuPy and NVRTC."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpusim.backends.base import Array
from gpusim.backends.compiled import CompiledBackend
from gpusim.backends.source import KERNELS, kernel_source
from gpusim.backends.worker import Worker
from gpusim.errors import BackendError

OPTIONS = ("--std=c++17", "--fmad=false", "--prec-div=true", "--prec-sqrt=true", "--ftz=false")
"""float32 arithmetic must round as NumPy's does."""


def _cupy() -> Any:
    """CuPy with a device. Raises `BackendError` that says what is missing."""
    try:
        import cupy
    except ImportError as error:
        if error.name in ("cupy", None):
            raise BackendError("CuPy is not installed (pip install 'gpusim[cuda12]' or 'gpusim[cuda13]')") from None
        raise BackendError(f"CuPy does not load: {error}") from None
    if not cupy.cuda.is_available():
        raise BackendError("CuPy finds no NVIDIA GPU or driver")
    return cupy


def device_description() -> str:
    """Name and memory of the device in use. Raises `BackendError` where there is none."""
    cupy = _cupy()
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    return f"{properties['name'].decode()}, {properties['totalGlobalMem'] / 2**30:.0f} GiB"


class CudaBackend(CompiledBackend):
    """Kernels compiled by NVRTC for the device at hand."""

    name = "cuda"
    threads = 1
    fields_together = True

    def __init__(self) -> None:
        self._cupy = _cupy()
        self.worker = Worker(self._cupy.cuda.Device().use, forks=False)
        module = self._cupy.RawModule(code=kernel_source(host=False), options=OPTIONS)
        self._kernels = {name: module.get_function(name) for name in KERNELS}

    def free_memory(self) -> int | None:
        pooled = self._cupy.get_default_memory_pool().free_bytes()
        return int(self._cupy.cuda.Device().mem_info[0]) + int(pooled)

    def array(self, values: np.ndarray) -> Array:
        if values.dtype.fields:  # CuPy has no structured dtypes; the kernels see bytes
            values = values.view(np.uint8) if values.size else np.zeros(1, np.uint8)
        return self._cupy.array(values, order="C")

    def to_numpy(self, array: Array) -> np.ndarray:
        copied: np.ndarray = self._cupy.asnumpy(array)
        return copied

    def write(self, array: Array, values: np.ndarray) -> None:
        array[...] = self._cupy.asarray(values)

    def launch(self, kernel: str, blocks: int, threads: int, arguments: Sequence[Array | np.generic]) -> None:
        self._kernels[kernel]((blocks,), (threads,), tuple(arguments))

    def copy(self, target: Array, source: Array) -> None:
        target[...] = source

    def seconds(self, action: Callable[[], object]) -> float:
        begun, ended = self._cupy.cuda.Event(), self._cupy.cuda.Event()
        begun.record()
        action()
        ended.record()
        ended.synchronize()
        return float(self._cupy.cuda.get_elapsed_time(begun, ended)) / 1000
