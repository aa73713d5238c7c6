"""Messages between ranks, from and to the arrays of the backend that each works with."""

import ctypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpusim.backends.base import Backend
from gpusim.backends.groups import Array


@dataclass(frozen=True)
class Message:
    """An array, contiguous in memory, that goes to a rank or comes from it; `tag` tells those of a pair apart."""

    array: Array
    rank: int
    tag: int


class Messages:
    """What a rank sends and receives.

    An array in a GPU's memory is given to MPI as it is where MPI takes those. Else it goes through the host.

    Args:
        inner: has the arrays.
        world: an mpi4py communicator of all ranks.
        takes_device: whether MPI takes arrays in a GPU's memory, see `takes_device`.
    """

    def __init__(self, inner: Backend, world: Any, *, takes_device: bool) -> None:
        self._inner, self._world = inner, world
        self._on_device = inner.free_memory() is not None
        self._as_they_are = takes_device or not self._on_device

    def exchange(self, sent: Sequence[Message], received: Sequence[Message]) -> None:
        """Send and receive; over where both are done."""
        if self._as_they_are:
            if self._on_device:
                self._inner.fetch([])  # MPI does not know what the device is still about to do
            outgoing, incoming = [m.array for m in sent], [m.array for m in received]
        else:
            outgoing = self._inner.fetch([m.array for m in sent])
            incoming = [np.empty(m.array.shape, m.array.dtype) for m in received]
        requests = [self._world.Irecv(a, m.rank, m.tag) for a, m in zip(incoming, received, strict=True)]
        requests += [self._world.Isend(a, m.rank, m.tag) for a, m in zip(outgoing, sent, strict=True)]
        for request in requests:
            request.Wait()
        if not self._as_they_are:
            for values, message in zip(incoming, received, strict=True):
                self._inner.write(message.array, values)

    def put_together(self, arrays: Iterable[Array], parts: Sequence[slice], rank: int) -> None:
        """Fill each array [n, ...] with what each rank has found of it: rank number i, of `parts[i]`."""
        arrays = list(arrays)
        found = self._inner.fetch([array[parts[rank]] for array in arrays])
        for array, mine in zip(arrays, found, strict=True):
            whole = np.empty(array.shape, array.dtype)
            each = whole[0].size
            counts, starts = zip(*((each * (p.stop - p.start), each * p.start) for p in parts), strict=True)
            self._world.Allgatherv(mine, [whole, (counts, starts)])
            self._inner.write(array, whole)

    def add(self, total: Array, part: Array) -> None:
        """Add to `total` the sum of all ranks' `part`."""
        before, mine = self._inner.fetch([total, part])
        of_all = np.empty_like(mine)
        self._world.Allreduce(mine, of_all)
        self._inner.write(total, before + of_all)


def takes_device(MPI: Any) -> bool:
    """Whether the MPI of a process takes arrays in the memory of an NVIDIA GPU, by what it says of itself.

    MPI 4.1 has the kinds of memory among the hints of a communicator; Open MPI and MPICH 4 a function of their own.
    """
    kinds = MPI.COMM_WORLD.Get_info().get("mpi_memory_alloc_kinds") or ""
    if any(kind.split(":")[0] == "cuda" for kind in kinds.split(",")):
        return True
    query = getattr(ctypes.CDLL(MPI.__file__), "MPIX_Query_cuda_support", None)
    return query is not None and query() == 1
