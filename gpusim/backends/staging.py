"""Copies between host and device, in pieces through page-locked host memory of one size."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from gpusim.backends.groups import Array

BYTES = 64 * 2**20
"""Of page-locked memory. CuPy's own pool would round up each array to a power of two, and keep it."""

_ALIGNED = 256


class Staging:
    """Page-locked host memory that every copy goes through.

    A piece keeps its place until the device has read or written it. That is waited for where no place is left,
    and where an array is to be read on the host; small copies to the device wait for nothing.
    """

    def __init__(self, cupy: Any) -> None:
        self._cupy, self._size = cupy, BYTES
        memory = cupy.cuda.PinnedMemory(self._size)
        self._address = int(memory.ptr)
        self._bytes = np.frombuffer(cupy.cuda.PinnedMemoryPointer(memory, 0), np.uint8, self._size)
        self._taken = 0
        self._arriving: list[tuple[np.ndarray, np.ndarray]] = []

    def send(self, target: Array, values: np.ndarray) -> None:
        """Copy host `values` onto an array of the device, of the same shape and dtype."""
        for part, piece in _pieces(target, values, self._size):
            place, address = self._place(piece)
            place[...] = piece
            part.data.copy_from_host_async(address, piece.nbytes)

    def receive(self, source: Array, out: np.ndarray) -> None:
        """Copy an array of the device into `out`, of the same shape and dtype, which has it after the next `wait`."""
        for part, piece in _pieces(source, out, self._size):
            place, address = self._place(piece)
            part.data.copy_to_host_async(address, piece.nbytes)
            self._arriving.append((piece, place))

    def wait(self) -> None:
        """Wait until the device has done all that it was told."""
        self._cupy.cuda.get_current_stream().synchronize()
        for piece, place in self._arriving:
            piece[...] = place
        self._arriving.clear()
        self._taken = 0

    def _place(self, piece: np.ndarray) -> tuple[np.ndarray, int]:
        """Room for a piece, as an array of its shape, and its address."""
        if self._taken + piece.nbytes > self._size:
            self.wait()
        start, end = self._taken, self._taken + piece.nbytes
        self._taken = -(-end // _ALIGNED) * _ALIGNED
        return self._bytes[start:end].view(piece.dtype).reshape(piece.shape), self._address + start


def _pieces(array: Array, values: np.ndarray, most: int) -> Iterator[tuple[Array, np.ndarray]]:
    """Parts of an array of the device, each in one go in memory and of `most` bytes, with those of `values`."""
    together = array.flags.c_contiguous
    if together and array.nbytes <= most:
        yield array, values
        return
    rows = max(1, most * len(array) // array.nbytes) if together else 1
    for first in range(0, len(array), rows):
        at = slice(first, first + rows) if rows > 1 or array.ndim == 1 else first
        yield from _pieces(array[at], values[at], most)
