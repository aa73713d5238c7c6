"""What a backend is: a machine that holds arrays and launches kernels.

Kernels are those of kernels/*.cu, on all backends; shapes and dtypes of arrays are the same, and so are the bits that
come out. They are on the R replicates of a lattice at once: runs that differ by their seed and share all tables. None
sees another, and each gets the bits of a run by itself.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gpusim.backends.groups import Array
from gpusim.backends.worker import Worker

Known = dict[tuple[int, ...], tuple[tuple[object, ...], list[Any]]]
"""Launches by the identity of what they were given, which lives on beside them."""


class Window(NamedTuple):
    """Where arrays lie that hold some planes of a lattice: the index of their first voxel, and which are counted."""

    origin: int
    first_counted: int
    end_counted: int


class Backend(ABC):
    """One machine."""

    name: str
    threads: int
    ranks = 1
    """Processes that share the lattice out among them."""
    fields_together: bool
    """Whether one launch with all fields is better than one a field (which stays in cache)."""
    worker: Worker
    """Works on the arrays, so that no two threads of a program do and nothing cuts it off."""
    rows_at_once = 1
    """Rows of counts that are best fetched at once, as the host waits each time."""
    voxels_at_once = 0
    """Of a lattice, up to which `explicit_step` takes several passes in one go; 0 where it takes one."""
    settles_room = False
    """Whether `spread_room`, asked for more passes than one, finds all room in place."""

    @abstractmethod
    def free_memory(self) -> int | None:
        """Bytes free on the device; None where the backend works in the host's memory."""

    @abstractmethod
    def array(self, values: np.ndarray) -> Array:
        """A copy of `values`, in C order, in the backend's memory."""

    def lattice(self, values: np.ndarray, finest: int | None = None) -> Array:
        """A copy of `values` [..., z, y, x], which have an entry for each voxel of a lattice.

        `finest`: planes of the lattice where this is a coarser level of it.
        """
        return self.array(values)

    def to_numpy(self, array: Array) -> np.ndarray:
        """A copy of an array, or of a part of one, in host memory."""
        return self.fetch([array])[0]

    @abstractmethod
    def fetch(self, arrays: Sequence[Array]) -> list[np.ndarray]:
        """Copies of several arrays, or of parts of them, in host memory; a device is waited for once."""

    @abstractmethod
    def write(self, array: Array, values: np.ndarray) -> None:
        """Copy host `values` into an array of the backend, or a part of one, of the same shape and dtype."""

    @abstractmethod
    def copy(self, target: Array, source: Array) -> None:
        """Copy an array, or a part of one in one piece, onto another of the same shape and dtype, as fast as can be."""

    @abstractmethod
    def launch(self, kernel: str, *groups: object, window: Window | None = None, **named: Any) -> None:
        """Run a kernel.

        Args:
            groups: objects of `groups.py`, whose attributes have the names of parameters.
            window: where the arrays lie in a lattice of which they hold a part.
            named: further arrays and numbers by the names that they have in the kernel's signature.

        Raises `TypeError` or `ValueError` where a name, dtype or shape is not the signature's.
        """

    def repeat(self, action: Callable[[], None], known: Known, *of: object) -> None:
        """Carry out `action`, whose launches are the same whenever it is given the same arrays and groups, `of`.

        A backend may keep in `known`, which belongs to the action, what it then does again; `of` with it.
        """
        action()

    @abstractmethod
    def close(self) -> None:
        """Give back threads and memory."""
