"""What a backend must do: hold arrays and carry out the operations of a step.

Arrays are the backend's own (NumPy's, or CuPy's on a device); shapes and dtypes are the same on all,
and so are the bits that come out.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Array = Any
"""An array of the backend: numpy.ndarray or cupy.ndarray."""


@dataclass(frozen=True)
class ExplicitTables:
    """Numbers of the explicit step, as arrays of the backend.

    Attributes:
        courant: float32 [F], D dt / dx^2 of the field's substep.
        keep, gain: float32 [F, tissue states, immune states].
        exchange_by: int32 [F], of `model.tables.ExchangeBy`.
    """

    courant: Array
    keep: Array
    gain: Array
    exchange_by: Array


@dataclass(frozen=True)
class RuleTables:
    """Rules as arrays of the backend; `rules`, `modulators`, `releases` as in model/tables.py."""

    rules: Array
    begin: Array
    modulators: Array
    releases: Array


@dataclass(frozen=True)
class Draw:
    """What picks the random numbers of one operation: the voxel's index joins it."""

    seed: int
    step: int
    purpose: int


@dataclass(frozen=True)
class FieldSums:
    """Exact sums: `whole` + `fraction` / 2^32, uint64 [F]; `fault`: lowest bad voxel, or 2^64 - 1."""

    whole: np.ndarray
    fraction: np.ndarray
    fault: np.ndarray


class Backend(Protocol):
    """One machine's way to do the operations."""

    name: str
    threads: int

    def array(self, values: np.ndarray) -> Array:
        """A copy of `values`, in C order, in the backend's memory."""
        ...

    def to_numpy(self, array: Array) -> np.ndarray:
        """A copy in host memory."""
        ...

    def explicit_step(
        self, source: Array, target: Array, tissue: Array, immune: Array, active: Array, tables: ExplicitTables
    ) -> None:
        """One substep of the fields in `active` (int32) from `source` to `target` (float32 [F, z, y, x])."""
        ...

    def deposit(self, field: Array, voxels: Array, amounts: Array) -> None:
        """Add `amounts` (float32) at flat indices `voxels` (int64, each once) of `field` [z, y, x]."""
        ...

    def apply_rules(
        self,
        own: Array,
        other: Array,
        next: Array,
        clock: Array,
        fields: Array,
        tables: RuleTables,
        fired: Array,
        draw: Draw,
    ) -> None:
        """Apply the rules to layer `own`, into `next`; count firings into `fired` (uint64)."""
        ...

    def sum_fields(self, fields: Array) -> FieldSums:
        """Exact sums over voxels of float32 [F, z, y, x]."""
        ...

    def close(self) -> None:
        """Give back threads and memory."""
        ...
