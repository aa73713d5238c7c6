"""The backend of the first rank, which runs the program: the others do what it tells them.

So nothing to the right of the backends knows of ranks: recording, checkpoints, signals and clocks are the first
rank's affair, and so are the tables, the initial tissue and the whole arrays that it asks for.
"""

import atexit
import functools
import io
import math
import operator
import pickle
import signal
import sys
import traceback
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from gpusim import backends
from gpusim.backends.base import Backend, Window
from gpusim.backends.cuda import use_device
from gpusim.backends.signatures import kernels
from gpusim.backends.slabs.cut import Cut
from gpusim.backends.slabs.messages import Messages, takes_device
from gpusim.backends.slabs.rank import Rank
from gpusim.backends.worker import Worker
from gpusim.errors import BackendError


class Handle:
    """An array that the ranks hold, as the first one names it; `shape` is that of the whole.

    `whole` is the handle of the array that this is a part of, which lives as long.
    """

    def __init__(
        self,
        number: int,
        shape: tuple[int, ...],
        dtype: np.dtype,
        indices: tuple[Any, ...] = (),
        whole: "Handle | None" = None,
    ) -> None:
        self.number, self.shape, self.dtype, self.indices, self.whole = number, shape, dtype, indices, whole

    def __getitem__(self, index: Any) -> "Handle":
        shape = np.broadcast_to(np.empty((), self.dtype), self.shape)[index].shape  # takes no memory
        return Handle(self.number, shape, self.dtype, (*self.indices, index), self.whole or self)

    @property
    def size(self) -> int:
        """Entries of the whole array."""
        return math.prod(self.shape)


class _Writer(pickle.Pickler):
    def persistent_id(self, value: object) -> tuple[int, tuple[Any, ...]] | None:
        return (value.number, value.indices) if isinstance(value, Handle) else None


class _Reader(pickle.Unpickler):
    def __init__(self, message: bytes, arrays: dict[int, Any]) -> None:
        super().__init__(io.BytesIO(message))
        self._arrays = arrays

    def persistent_load(self, name: tuple[int, tuple[Any, ...]]) -> Any:
        number, indices = name
        return functools.reduce(operator.getitem, indices, self._arrays[number])


class _Member:
    """What a rank has: its share of the operations, and arrays by number."""

    def __init__(self, job: "_Job", inner: str, threads: int) -> None:
        # Only where it may be asked for: to look for a GPU is to start CuPy.
        sharers = use_device(job.place, job.processes) if inner in ("auto", "cuda") else 1
        self.inner = backends.create(inner, threads)
        messages = Messages(self.inner, job.world, takes_device=job.takes_device)
        self._rank = Rank(self.inner, job.world, messages, sharers)
        self._arrays: dict[int, Any] = {}

    def carry_out(self, message: bytes, whole: np.ndarray | None = None) -> Any:
        """Do one order; `whole` is what the first rank hands out in it."""
        operation, arguments, gone = _Reader(message, self._arrays).load()
        for number in gone:
            self._arrays.pop(number, None)
        if operation == "table":
            number, values = arguments
            self._arrays[number] = self._rank.table(values)
        elif operation == "allocate":
            number, *about = arguments
            self._arrays[number] = self._rank.allocate(*about)
        elif operation == "scatter":
            (array,) = arguments
            self._rank.scatter(array, whole)
        else:
            return getattr(self._rank, operation)(*arguments)
        return None


@dataclass
class _Job:
    """The MPI job.

    Attributes:
        world: an mpi4py communicator of all ranks.
        place: of this process among the `processes` of the job on its machine.
        takes_device: whether MPI takes arrays in the memory of a GPU.
        backend: on the first rank, the one that the others work for.
        inside: whether all are in an operation.
    """

    world: Any
    place: int
    processes: int
    takes_device: bool
    backend: "SlabsBackend | None" = None
    inside: bool = False

    def dismiss(self) -> None:
        """Let the other ranks end; all at once where an operation was cut short, for they wait inside it."""
        if self.inside:
            sys.stdout.flush()
            sys.stderr.flush()
            self.world.Abort(1)
        self.world.bcast(None)


class SlabsBackend(Backend):
    """One lattice, cut into slabs along z that the ranks of an MPI job share out; made by `create`.

    Args:
        inner: name of the backend that each rank works with; "auto" is the one that the first rank finds.
        threads: of each rank.

    Raises `BackendError` where a rank can't have it.
    """

    def __init__(self, job: _Job, inner: str, threads: int) -> None:
        self._member = _Member(job, inner, threads)  # the others then find its kernels in the cache
        here = self._member.inner
        chosen = here.name if inner == "auto" else inner
        self.name = f"{backends.SLABS}:{chosen}"
        self.ranks: int = job.world.size
        self.threads = here.threads
        self.fields_together = here.fields_together
        self.settles_room = here.settles_room
        self.worker = Worker(here.worker.begin, forks=False)
        self._job = job
        self._numbers = 0
        self._gone: list[int] = []
        """Arrays that nobody has any more, of which the ranks are told with the next order."""
        job.world.bcast((chosen, threads))
        for rank, reason in enumerate(job.world.gather(None)):
            if reason is not None:
                raise BackendError(f"backend '{self.name}': rank {rank} of {self.ranks}: {reason}")
        job.backend = self

    def _order(self, operation: str, *arguments: Any, whole: np.ndarray | None = None) -> Any:
        """Let all ranks carry out an operation; whole, or the ranks would wait for each other for ever."""
        return self.worker.do(lambda: self._all(operation, *arguments, whole=whole))

    def _all(self, operation: str, *arguments: Any, whole: np.ndarray | None = None) -> Any:
        if self._job.backend is not self:
            raise BackendError("the slabs backend runs one simulation at a time, and its ranks work for another one")
        if self._job.inside:
            raise BackendError("an operation failed on some of the ranks; start the job anew, by --resume if recorded")
        gone, self._gone = self._gone, []
        message = io.BytesIO()
        _Writer(message, pickle.HIGHEST_PROTOCOL).dump((operation, arguments, gone))
        self._job.inside = True
        self._job.world.bcast(message.getvalue())
        answer = self._member.carry_out(message.getvalue(), whole)
        self._job.inside = False
        return answer

    def _new(self, values: np.ndarray) -> Handle:
        self._numbers += 1
        handle, number = Handle(self._numbers, values.shape, values.dtype), self._numbers
        weakref.finalize(handle, lambda: self._gone.append(number)).atexit = False
        return handle

    def array(self, values: np.ndarray) -> Handle:
        handle = self._new(values)
        self._order("table", handle.number, values)
        return handle

    def lattice(self, values: np.ndarray, finest: int | None = None) -> Handle:
        planes = finest or values.shape[-3]
        if not planes:
            return self.array(values)
        Cut.of(planes, self.ranks, 0)  # refused here, before the others hear of it
        handle = self._new(values)
        self._order("allocate", handle.number, values.shape, values.dtype, planes)
        self.write(handle, values)
        return handle

    def free_memory(self) -> int | None:
        free: int | None = self._order("free_memory")
        return free

    def write(self, array: Handle, values: np.ndarray) -> None:
        self._order("scatter", array, whole=values)

    def copy(self, target: Handle, source: Handle) -> None:
        self._order("copy", target, source)

    def fetch(self, arrays: Sequence[Handle]) -> list[np.ndarray]:
        return [self._order("gather", array) for array in arrays]

    def launch(self, kernel: str, *groups: object, window: Window | None = None, **named: Any) -> None:
        self._order("launch", kernel, kernels()[kernel].given(groups, named))

    def close(self) -> None:
        if self._job.backend is self:
            self._order("close")
            self._job.backend = None


def create(threads: int | None = None, inner: str = "auto") -> SlabsBackend:
    """The backend on the first rank. On the others this never returns: they follow, and the process ends.

    Args:
        threads: of each rank; one by default.
        inner: the backend that each rank works with. Ranks on one machine take its GPUs in turn.

    Raises `BackendError` where there is no MPI, or one rank alone, or a rank can't have its backend.
    """
    job = _job()
    if job.world.rank > 0:
        _follow(job)
    return SlabsBackend(job, inner, threads or 1)


@functools.cache
def _job() -> _Job:
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise BackendError(f"backend 'slabs' needs mpi4py and an MPI (pip install 'gpusim[mpi]'): {reason}") from None
    world = MPI.COMM_WORLD
    if world.size == 1:
        raise BackendError(
            "backend 'slabs' found one rank, expected two or more: mpirun -n 4 gpusim run SCENARIO --backend slabs, "
            f"with the mpirun of the MPI that mpi4py has found ({MPI.get_vendor()[0]}); the mpirun of another MPI "
            "library starts unconnected ranks"
        )
    neighbours = world.Split_type(MPI.COMM_TYPE_SHARED)
    job = _Job(world, neighbours.rank, neighbours.size, takes_device(MPI))
    if world.rank == 0:
        atexit.register(job.dismiss)
    return job


def _follow(job: _Job) -> NoReturn:
    """Do what the first rank says, until it ends."""
    world = job.world
    for each in (signal.SIGINT, signal.SIGTERM):  # it is for the first rank to stop, after its checkpoint
        signal.signal(each, signal.SIG_IGN)
    try:
        member: _Member | None = None
        while (order := world.bcast(None)) is not None:
            if isinstance(order, bytes):
                assert member is not None, "made before it is told what to do"
                member.carry_out(order)
            else:
                member, reason = None, None
                try:
                    member = _Member(job, *order)
                except BackendError as error:
                    reason = str(error)
                world.gather(reason)
    except BaseException:
        traceback.print_exc()
        world.Abort(1)
    sys.exit(0)
