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
        courant: float32 [F], D dt / dx^2 of the field's pass.
        keep, gain: float32 [F, tissue states, immune states].
        exchange_by: int32 [F], of `model.tables.ExchangeBy`.
    """

    courant: Array
    keep: Array
    gain: Array
    exchange_by: Array


@dataclass(frozen=True)
class MassByCells:
    """The mass of the implicit operator on the finest level: a table by the cells of a voxel.

    Attributes:
        tissue, immune: uint8 [z, y, x].
        table: float32 [F, tissue states, immune states].
        exchange_by: int32 [F], of `model.tables.ExchangeBy`.
    """

    tissue: Array
    immune: Array
    table: Array
    exchange_by: Array


@dataclass(frozen=True)
class Coupling:
    """The diffusive part of the implicit operator on one level.

    Attributes:
        by_field: float32 [F], dt D / dx^2 on the finest level.
        scale: what it is multiplied by on this level, a power of 1/4.
        last_widths: width of the last voxel along z, y, x, against the others of the level; on the
            finest level 1, on coarser ones of odd lattices less.
    """

    by_field: Array
    scale: float
    last_widths: tuple[float, float, float]


@dataclass(frozen=True)
class CellTables:
    """What cells do, as arrays of the backend; layouts as in model/tables.py.

    Attributes:
        effects, effect_begin: changes of fields, by state (int32 [states + 1]).
        rules, rule_begin: transitions, by the state that they leave.
        motilities: one row a state.
        modulators, releases: what the others point into.
    """

    effects: Array
    effect_begin: Array
    rules: Array
    rule_begin: Array
    motilities: Array
    modulators: Array
    releases: Array


@dataclass
class CellLayer:
    """One layer of cells.

    Attributes:
        cells: uint8 [z, y, x], states.
        clock: uint16 [z, y, x], applications of the rules in the present state.
        heading: uint8 [z, y, x], 0 or the direction of a mobile cell; of size 0 where none can move.
        vacant: the state that stands for no cell.
    """

    cells: Array
    clock: Array
    heading: Array
    vacant: int


@dataclass(frozen=True)
class Surroundings:
    """What the cells of a layer react to, by the `tables`.

    Attributes:
        other: uint8 [z, y, x], the other layer.
        counts: uint8 [counts, z, y, x], of neighbours.
        body: float32 [quantities].
    """

    other: Array
    counts: Array
    body: Array
    tables: CellTables


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
    fields_together: bool
    """Whether one launch with all fields is better than one a field (which stays in cache)."""

    def free_memory(self) -> int | None:
        """Bytes free on the device; None where the backend works in the host's memory."""
        ...

    def array(self, values: np.ndarray) -> Array:
        """A copy of `values`, in C order, in the backend's memory."""
        ...

    def to_numpy(self, array: Array) -> np.ndarray:
        """A copy in host memory."""
        ...

    def explicit_step(
        self,
        source: Array,
        target: Array,
        tissue: Array,
        immune: Array,
        active: Array,
        tables: ExplicitTables,
        momentum: float,
    ) -> None:
        """One pass over the fields in `active` (int32) from `source` to `target` (float32 [F, z, y, x]).

        target = e + momentum * (e - target), with e an Euler step of source; held at 0 or above.
        """
        ...

    def combine(
        self, c: Array, rhs: Array, cells: MassByCells, active: Array, gain: Array, from_c: float, from_rhs: float
    ) -> None:
        """rhs = from_c * c + from_rhs * rhs + gain (by cells), not below zero; float32 [F, z, y, x]."""
        ...

    def smooth(
        self, c: Array, rhs: Array, mass: MassByCells | Array, active: Array, coupling: Coupling, colour: int
    ) -> None:
        """Half a sweep of two-colour Gauss-Seidel on `c`, in place; `mass` is an array on coarse levels."""
        ...

    def restrict(
        self,
        c: Array,
        rhs: Array,
        mass: MassByCells | Array,
        coarse_c: Array,
        coarse_rhs: Array,
        active: Array,
        coupling: Coupling,
    ) -> None:
        """Mean residual of the children into `coarse_rhs`, zero into `coarse_c`."""
        ...

    def restrict_mass(self, mass: MassByCells | Array, coarse: Array, active: Array, coupling: Coupling) -> None:
        """Mean mass of the children into `coarse`."""
        ...

    def prolong(self, c: Array, coarse: Array, active: Array, *, floor_at_zero: bool) -> None:
        """Add to `c` the correction interpolated from `coarse`."""
        ...

    def deposit(self, field: Array, voxels: Array, amounts: Array) -> None:
        """Add `amounts` (float32) at flat indices `voxels` (int64, each once) of `field` [z, y, x]."""
        ...

    def write(self, array: Array, values: np.ndarray) -> None:
        """Copy host `values` into an array of the backend, of the same shape and dtype."""
        ...

    def count_neighbours(
        self, own: Array, other: Array, states: Array, reach: int, members: Array, counts: Array
    ) -> None:
        """Cells of either layer that are in a set, among the nearest 6, 18 or 26 voxels, into `counts`.

        `reach` is 1, 2 or 3, the largest squared distance; `states` a bit set (uint32 [8]); the others are
        uint8 [z, y, x], `members` is overwritten. Nothing stands outside.
        """
        ...

    def apply_rules(
        self, layer: CellLayer, next: Array, around: Surroundings, fields: Array, fired: Array, draw: Draw
    ) -> None:
        """Let the layer's cells act on `fields` and change state, into `next`; count firings into `fired`.

        `fired` is uint64 [rules].
        """
        ...

    def propose_moves(self, layer: CellLayer, bid: Array, around: Surroundings, fields: Array, draw: Draw) -> None:
        """Each cell's heading, and its bid (uint16 [z, y, x]) for the voxel it wants to move to."""
        ...

    def move(self, layer: CellLayer, bid: Array) -> None:
        """Carry out the moves; of the cells that want one voxel, the lowest bid gets it."""
        ...

    def sum_fields(self, fields: Array) -> FieldSums:
        """Exact sums over voxels of float32 [F, z, y, x]."""
        ...

    def close(self) -> None:
        """Give back threads and memory."""
        ...
