"""The kernels on an NVIDIA GPU, through CuPy."""

import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpusim.backends import nvrtc
from gpusim.backends.base import Known
from gpusim.backends.compiled import CompiledBackend
from gpusim.backends.groups import Array
from gpusim.backends.launching import Call, Prepared
from gpusim.backends.staging import Staging
from gpusim.backends.worker import Worker
from gpusim.errors import BackendError

_SHORT = 1e-3
"""Seconds: what takes less is timed several times in a row, behind other work."""
_MOST_REPEATS = 100
_WORK = 64 * 2**20
"""Bytes to set to 0, as other work."""
_FEWEST_OF_GRAPH = 3
"""Launches of a CUDA graph; a smaller one would not be faster."""


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


def use_device(place: int, processes: int) -> int:
    """Let this thread use one of the machine's GPUs, which so many processes take in turn; this one has a place.

    Returns how many of them have the same GPU; 1 where there is none.
    """
    try:
        cupy = _cupy()
    except BackendError:
        return 1
    devices = cupy.cuda.runtime.getDeviceCount()
    cupy.cuda.Device(place % devices).use()
    return len(range(place % devices, processes, devices))


class _Captured(list[Any]):
    """Launches, and the CUDA graph that was made of them."""

    graph: Any = None


class CudaBackend(CompiledBackend):
    """Kernels compiled by NVRTC for the device at hand.

    Attributes:
        graphs: whether launches that are repeated become CUDA graphs; not with `GPUSIM_GRAPHS=0` in the environment.
    """

    name = "cuda"
    threads = 1
    host = False
    fields_together = True
    rows_at_once = 512

    def __init__(self) -> None:
        super().__init__()
        self.graphs = os.environ.get("GPUSIM_GRAPHS") != "0"
        self._cupy = _cupy()
        self.worker = Worker(self._cupy.cuda.Device().use, forks=False)
        path = nvrtc.kernels(int(self._cupy.cuda.Device().compute_capability))
        try:
            module = self._cupy.RawModule(path=str(path))
            self._kernels = {name: module.get_function(name) for name in self.calls}
        except self._cupy.cuda.driver.CUDADriverError as error:
            raise BackendError(f"the driver rejects {path.name}, which NVRTC compiled: {error}") from None
        self._staging = Staging(self._cupy)

    def free_memory(self) -> int | None:
        pooled = self._cupy.get_default_memory_pool().free_bytes()
        return int(self._cupy.cuda.Device().mem_info[0]) + int(pooled)

    def array(self, values: np.ndarray) -> Array:
        if values.dtype.fields:  # CuPy has no structured dtypes; the kernels see bytes
            values = values.view(np.uint8) if values.size else np.zeros(1, np.uint8)
        made = self._cupy.empty(values.shape, values.dtype)
        self.write(made, values)
        return made

    def fetch(self, arrays: Sequence[Array]) -> list[np.ndarray]:
        copies = [np.empty(array.shape, array.dtype) for array in arrays]
        for array, copy in zip(arrays, copies, strict=True):
            self._staging.receive(array, copy)
        self._staging.wait()
        return copies

    def write(self, array: Array, values: np.ndarray) -> None:
        self._staging.send(array, values)

    def repeat(self, action: Callable[[], None], known: Known, *of: object) -> None:
        """As it is; from the second time on as one CUDA graph, whose launches have the arguments of the first."""
        key = tuple(map(id, of))
        kept, launches = known.get(key, (of, ()))
        if not self.graphs or len(launches) < _FEWEST_OF_GRAPH:
            super().repeat(action, known, *of)
            return
        if not isinstance(launches, _Captured):
            try:
                graph = self._captured(launches)
            except Exception as error:  # CuPy's or the driver's; the launches go on one by one
                self.graphs = False
                warnings.warn(f"no CUDA graphs, which would save time between launches: {error}", stacklevel=2)
                super().repeat(action, known, *of)
                return
            launches = _Captured(launches)
            launches.graph = graph
            known[key] = kept, launches
        launches.graph.launch(self._cupy.cuda.get_current_stream())

    def _captured(self, launches: Sequence[tuple[Call, Prepared, list[Any]]]) -> Any:
        """A CUDA graph of launches, in their order; nothing is carried out."""
        # Nothing is captured from the default stream; and one that does not wait for it hinders nothing there.
        stream = self._cupy.cuda.Stream(non_blocking=True)
        with stream:
            stream.begin_capture()
            try:
                for launch in launches:
                    self.run(*launch)
            finally:
                graph = stream.end_capture()  # in any case, or the stream would stay in the mode of capture
        return graph

    def bind(self, call: Call, arrays: Sequence[Array], sizes: Sequence[int]) -> tuple[Any, ...]:
        # Addresses, as arrays would not go as long as they are in here.
        return (
            self._kernels[call.kernel.name],
            tuple(np.uint64(array.data.ptr) for array in arrays),
            [each.dtype.type for each in call.numbers],
            tuple(each.dtype.type(size) for each, size in zip(call.sizes, sizes, strict=True)),
        )

    def run(self, call: Call, prepared: Prepared, numbers: Sequence[float]) -> None:
        kernel, addresses, types, sizes = prepared.bound
        typed = [kind(number) for kind, number in zip(types, numbers, strict=True)]
        kernel((prepared.blocks,), (prepared.threads,), (*addresses, *typed, *sizes))

    def copy(self, target: Array, source: Array) -> None:
        target.data.copy_from_device_async(source.data, source.nbytes)

    def mark(self) -> Any:
        event = self._cupy.cuda.Event()
        event.record()
        return event

    def between(self, begun: Any, ended: Any) -> float:
        ended.synchronize()
        return float(self._cupy.cuda.get_elapsed_time(begun, ended)) / 1000

    def seconds(self, action: Callable[[], object]) -> float:
        begun = self.mark()
        action()
        once = self.between(begun, self.mark())
        if once > _SHORT:
            return once
        # Between two events on an idle device there are some 10 us more than the action takes. So the device gets
        # other work first, and meanwhile the action several times.
        repeats = min(_MOST_REPEATS, int(_SHORT / max(once, 1e-6)) + 1)
        room = self._cupy.empty(_WORK, np.uint8)
        for _ in range(repeats):
            room.data.memset_async(0, room.nbytes)
        begun = self.mark()
        for _ in range(repeats):
            action()
        return self.between(begun, self.mark()) / repeats
