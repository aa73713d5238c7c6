"""What a backend must do: hold arrays and carry out the operations of a step.

Arrays are the backend's own (NumPy's, or CuPy's on a device); shapes and dtypes are the same on all,
and so are the bits that come out.

Operations are on the R replicates of a lattice at once: runs that differ by their seed and share all tables.
None sees another, and each gets the bits of a run by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gpusim.backends.worker import Worker

Array = Any
"""An array of the backend: numpy.ndarray or cupy.ndarray."""


@dataclass(frozen=True)
class Diffusion:
    """What diffuses between voxels and through the sides of the lattice, for a given dt.

    Attributes:
        coupling: float32 [F, tissue states, tissue states], dt D / dx^2 of a face by the states on
            both sides; on the diagonal that of a state itself.
        by: int32 [F], of `model.tables.VariesBy`: whether D is the same for all states.
        boundary: int32 [F], bits: periodic along z, y, x; open at z low, z high, y low, y high, x low,
            x high.
        resistance: float32 [F, 6], of open sides: 2 dx / (dt permeability), 0 for a fixed value.
        far: float32 [F, 6], concentration outside.
    """

    coupling: Array
    by: Array
    boundary: Array
    resistance: Array
    far: Array


@dataclass(frozen=True)
class Maps:
    """Production and loss by voxel, of the fields that have effects, in the form in which their solvers read them.

    Attributes:
        slots: int32 [F]; -1 for a field without effects, whose tables are read instead.
        first, second: float32 [slots, R, z, y, x], see `model.tables.Form`; of a field with an effect on itself and the
            form OPERATOR, `second` is the right-hand side without its production.
        permeable: float32 [walls, R, z, y, x], 1/min, of walls between voxels and the body.
    """

    slots: Array
    first: Array
    second: Array
    permeable: Array

    def of(self, field: int) -> tuple[Array | None, Array | None]:
        """Both maps of a field, on the host; none where it has none."""
        slot = self.slots[field]
        return (self.first[slot], self.second[slot]) if slot >= 0 else (None, None)


@dataclass(frozen=True)
class Conditions:
    """What production and loss depend on besides concentrations.

    Attributes:
        tissue, immune: uint8 [R, z, y, x].
        counts: uint8 [counts, R, z, y, x], of neighbours.
        body: float32 [quantities, R].
    """

    tissue: Array
    immune: Array
    counts: Array
    body: Array


@dataclass(frozen=True)
class ExchangeTables:
    """What makes the maps, as arrays of the backend; layouts as in model/tables.py.

    Attributes:
        effects, begin: by slot and state; modulators: what effects point into; walls.
        production, loss: float32 [F, tissue states, immune states], unit/min and 1/min.
        forms: int32 [F], of `model.tables.Form`; own: int32 [F], whether an effect depends on the field itself.
        times: float32 [F], dt, min; masses: float32 [F], m.
        diffusion: for the same times.
    """

    effects: Array
    begin: Array
    modulators: Array
    walls: Array
    production: Array
    loss: Array
    forms: Array
    own: Array
    times: Array
    masses: Array
    diffusion: Diffusion


@dataclass(frozen=True)
class ReactionTables:
    """Reactions between fields, as arrays of the backend; layouts as in model/tables.py.

    Attributes:
        count: of the reactions, in the order in which they take place; terms, modulators: what they point into.
        held: float32 [F, tissue states], the concentration that a state holds, below 0 where it holds none.
        holds: whether any field is held anywhere.
    """

    count: int
    reactions: Array
    terms: Array
    modulators: Array
    held: Array
    holds: bool


@dataclass(frozen=True)
class ExplicitTables:
    """Numbers of the explicit step, as arrays of the backend.

    Attributes:
        diffusion: for the dt of the field's pass.
        keep, gain: float32 [F, tissue states, immune states].
        exchange_by: int32 [F], of `model.tables.VariesBy`.
        maps: of `keep` and `gain`, where a field has them.
        implicit_exchange: int32 [F], whether cells take of what a voxel holds at the end of a pass.
        passes: int32 [F], of a step; momenta: float32 [F, most passes].
    """

    diffusion: Diffusion
    keep: Array
    gain: Array
    exchange_by: Array
    maps: Maps
    implicit_exchange: Array
    passes: Array
    momenta: Array


@dataclass(frozen=True)
class MassByCells:
    """The mass of the implicit operator on the finest level: a table by the cells of a voxel, or a map.

    Attributes:
        tissue, immune: uint8 [R, z, y, x].
        table: float32 [F, tissue states, immune states].
        exchange_by: int32 [F], of `model.tables.VariesBy`.
        maps: of mass and gain, where a field has them.
    """

    tissue: Array
    immune: Array
    table: Array
    exchange_by: Array
    maps: Maps


@dataclass(frozen=True)
class Means:
    """The implicit operator on a coarse level: means over the voxels of the finest.

    Attributes:
        mass: float32 [slots, R, z, y, x], see `Level`.
        coupling: the voxels' own, dt D / dx^2 with the finest dx: float32 [slots, R, z, y, x] of the fields whose D
            varies, which have the first slots.
    """

    mass: Array
    coupling: Array


@dataclass(frozen=True)
class Level:
    """One level of multigrid, and the diffusive part of the implicit operator on it.

    Arrays of the finest level have an entry for each field, [F, R, z, y, x]; those of coarser ones a slot for each
    field that is solved by cycles, [slots, R, z, y, x].

    Attributes:
        diffusion: on the finest level.
        edge: of a voxel against the finest level's, a power of 2.
        last_widths: width of the last voxel along z, y, x, against the others of the level; on the
            finest level 1, on coarser ones of odd lattices less.
        slots: int32 [F], on coarse levels; -1 for a field without.
    """

    diffusion: Diffusion
    edge: float
    last_widths: tuple[float, float, float]
    slots: Array

    @property
    def finest(self) -> bool:
        """Whether it is that of the lattice itself."""
        return self.edge == 1


@dataclass(frozen=True)
class Share:
    """rhs = c * concentration + rhs * rhs + gain * (gain by cells and inflow through open sides)."""

    c: float
    rhs: float
    gain: float


@dataclass(frozen=True)
class CellTables:
    """What cells do, as arrays of the backend; layouts as in model/tables.py.

    Attributes:
        rules, rule_begin: transitions, by the state that they leave.
        ceilings: uint32 [states, states], by a cell's state and that of the cell beside it in the voxel: no rule
            fires where the first random word is not below.
        motilities: one row a state.
        modulators, releases: what the others point into.
    """

    rules: Array
    rule_begin: Array
    ceilings: Array
    motilities: Array
    modulators: Array
    releases: Array


@dataclass(frozen=True, eq=False)
class Equations:
    """What changes the quantities of a body, as arrays of the backend; layouts as in model/tables.py.

    Attributes:
        flows: one row a process; rates: float64 [processes], 1/min or unit/min; modulators: what flows point into.
        room: float64 [8, quantities, R], for a kernel to work in.
    """

    flows: Array
    rates: Array
    modulators: Array
    room: Array


@dataclass
class CellLayer:
    """One layer of cells.

    Attributes:
        cells: uint8 [R, z, y, x], states.
        clock: uint16 [R, z, y, x], applications of the rules in the present state.
        heading: uint8 [R, z, y, x], 0 or the direction of a mobile cell; of size 0 where none can move.
        claim: uint8 [R, z, y, x], 0 or what a mother claims (`model.tables.Claim`); of size 0 where none can divide.
        vacant: the state that stands for no cell.
    """

    cells: Array
    clock: Array
    heading: Array
    claim: Array
    vacant: int


@dataclass(frozen=True)
class Surroundings:
    """What the cells of a layer react to, by the `tables`.

    Attributes:
        other: uint8 [R, z, y, x], the other layer.
        counts: uint8 [counts, R, z, y, x], of neighbours.
        body: float32 [quantities, R].
        room: uint8 [R, z, y, x], see `Backend.measure_room`.
    """

    other: Array
    counts: Array
    body: Array
    room: Array
    tables: CellTables


@dataclass(frozen=True)
class Ways:
    """How the cells of a layer make room for each other.

    Attributes:
        yields: uint8 [states, states], the room of a voxel by itself, by the states of its cell and of the one of the
            other layer: that of a voxel that can take a cell, or the farthest there is, or `model.tables.RIGID`.
        rounds: of two voxels each, in which room is found.
        boundary: bits as of `Diffusion.boundary`, of the sides for cells.
        vacant: the state that stands for no cell.
    """

    yields: Array
    rounds: int
    boundary: int
    vacant: int


@dataclass
class Tally:
    """What is counted since the start.

    Attributes:
        fired: uint64 [rules, R], firings.
        barred: uint64 [rules, R], divisions for which there was no room.
        taken: uint64 [states, R], voxels that daughters, or the cells that they displaced, took, by what was in them.
        left: uint64 [2, states, R], cells that left the lattice through open sides: pushed out, and by moves.
        flowed: uint64 [2, walls, R], what has left voxels for the body, in units of a concentration divided by
            `model.tables.FLOW_WHOLE`, and in `FLOW_FRACTION`ths of these; both in two's complement.
        planes: first and end of those that are counted; None for all.
    """

    fired: Array
    barred: Array
    taken: Array
    left: Array
    flowed: Array
    planes: tuple[int, int] | None = None


@dataclass(frozen=True)
class Draw:
    """What picks the random numbers of one operation: the voxel's index in the whole lattice joins it.

    `purpose` is below 256. `seeds` are uint64 [R]; `origin` is the index of the arrays' first voxel, where they are a
    part of a lattice.
    """

    seeds: Array
    step: int
    purpose: int
    origin: int = 0


@dataclass(frozen=True)
class FieldSums:
    """Exact sums of one replicate: `whole` + `fraction` / 2^32, uint64 [F]; `fault`: lowest bad voxel, or 2^64 - 1."""

    whole: np.ndarray
    fraction: np.ndarray
    fault: np.ndarray


class Backend(Protocol):
    """One machine's way to do the operations."""

    name: str
    threads: int
    ranks: int
    """Processes that share the lattice out among them."""
    fields_together: bool
    """Whether one launch with all fields is better than one a field (which stays in cache)."""
    worker: Worker
    """Works on the arrays, so that no two threads of a program do and nothing cuts it off."""
    voxels_at_once: int
    """Of a lattice, up to which `explicit_step` takes several passes in one go; 0 where it takes one."""

    def free_memory(self) -> int | None:
        """Bytes free on the device; None where the backend works in the host's memory."""
        ...

    def array(self, values: np.ndarray) -> Array:
        """A copy of `values`, in C order, in the backend's memory."""
        ...

    def lattice(self, values: np.ndarray, finest: int | None = None) -> Array:
        """A copy of `values` [..., z, y, x], which have an entry for each voxel of a lattice.

        `finest`: planes of the lattice where this is a coarser level of it.
        """
        ...

    def to_numpy(self, array: Array) -> np.ndarray:
        """A copy of an array, or of a part of one, in host memory."""
        ...

    def fetch(self, arrays: Sequence[Array]) -> list[np.ndarray]:
        """Copies of several arrays, or of parts of them, in host memory; a device is waited for once."""
        ...

    def explicit_step(
        self,
        fields: Array,
        spare: Array,
        tissue: Array,
        immune: Array,
        active: Array,
        tables: ExplicitTables,
        first: int,
        end: int,
    ) -> None:
        """Passes `first` to `end` over those in `active` (int32) of `fields` (float32 [F, R, z, y, x]) that have them.

        Passes count from 1; an odd one goes from `fields` to `spare`, an even one back:
        target = e + momentum * (e - target), with e an Euler step of the source, (c + inflow) * keep + gain or,
        where exchange is not implicit, c * keep + inflow + gain; 0 where that is below 1e-34.
        """
        ...

    def walled_step(
        self,
        source: Array,
        target: Array,
        tissue: Array,
        body: Array,
        active: Array,
        tables: ExplicitTables,
        times: Array,
        walls: Array,
        number: int,
        draw: Draw,
    ) -> None:
        """Pass `number` over fields with walls to the body, of the maps' form WALLED: as `explicit_step`, by lot.

        `times`: float32 [F], min of a pass. Purposes of random numbers from that of the draw on, in steps of 256, are
        the operation's own.
        """
        ...

    def combine(
        self, c: Array, rhs: Array, cells: MassByCells, active: Array, gain: Array, diffusion: Diffusion, share: Share
    ) -> None:
        """Set rhs (float32 [F, R, z, y, x], not below zero) from what `share` says; `gain` is by cells, or a map."""
        ...

    def smooth(self, c: Array, rhs: Array, mass: MassByCells | Means, active: Array, level: Level, colour: int) -> None:
        """One colour of a sweep of Gauss-Seidel on `c`, in place."""
        ...

    def restrict(
        self,
        c: Array,
        rhs: Array,
        mass: MassByCells | Means,
        coarse_c: Array,
        coarse_rhs: Array,
        active: Array,
        level: Level,
    ) -> None:
        """Mean residual of the children into `coarse_rhs`, zero into `coarse_c`."""
        ...

    def restrict_mass(self, cells: MassByCells, coarse: Array, active: Array, level: Level) -> None:
        """Mean mass of the children on the finest level, `level`, into `coarse`."""
        ...

    def restrict_coupling(self, cells: MassByCells, coarse: Array, active: Array, level: Level) -> None:
        """Mean of the children's own couplings on the finest level, `level`, into `coarse`."""
        ...

    def restrict_mean(self, values: Array, coarse: Array, active: Array, level: Level) -> None:
        """Mean of the children on a coarser level, `level`, into `coarse`."""
        ...

    def prolong(self, c: Array, coarse: Array, active: Array, level: Level) -> None:
        """Add to `c`, on `level`, the correction interpolated from `coarse`; on the finest, not below zero."""
        ...

    def exchange_rates(
        self,
        fields: Array,
        source: Array,
        rhs: Array,
        conditions: Conditions,
        active: Array,
        tables: ExchangeTables,
        maps: Maps,
        from_c: float,
        from_second: float,
    ) -> None:
        """Make the maps of the fields in `active`.

        Modulators look at `fields`, those of the own concentration at `source` (float32 [F, R, z, y, x]). Where an
        effect depends on it and the form is OPERATOR, `second` becomes from_c * c + from_second * second, and `rhs`
        that and what is produced.
        """
        ...

    def count_exchange(
        self,
        fields: Array,
        body: Array,
        counted: Array,
        times: Array,
        walls: Array,
        maps: Maps,
        tally: Tally,
    ) -> None:
        """Count what voxels give to the body through walls `counted` (int32) over `times` (float32 [F], min)."""
        ...

    def react(self, fields: Array, conditions: Conditions, tables: ReactionTables, draw: Draw) -> None:
        """Let the fields of each voxel (float32 [F, R, z, y, x], in place) react with each other over a step.

        Purposes of random numbers from that of the draw on, in steps of 256, are the operation's own.
        """
        ...

    def deposit(self, field: Array, voxels: Array, amounts: Array) -> None:
        """Add `amounts` (float32) at flat indices `voxels` (int64, each once) of `field` [R, z, y, x]."""
        ...

    def hold(self, fields: Array, tissue: Array, active: Array, held: Array) -> None:
        """Set the fields in `active` where the tissue's state holds a concentration.

        `held`: float32 [F, tissue states], below 0 where it holds none.
        """
        ...

    def write(self, array: Array, values: np.ndarray) -> None:
        """Copy host `values` into an array of the backend, or a part of one, of the same shape and dtype."""
        ...

    def copy(self, target: Array, source: Array) -> None:
        """Copy an array, or a part of one in one piece, onto another of the same shape and dtype."""
        ...

    def count_neighbours(
        self,
        own: Array,
        other: Array,
        states: Array,
        reach: int,
        members: Array,
        counts: Array,
        boundary: int = 0,
        beyond: int = 0,
    ) -> None:
        """Cells of either layer that are in a set, among the nearest 6, 18 or 26 voxels, into `counts`.

        `reach` is 1, 2 or 3, the largest squared distance; `states` a bit set (uint32 [8]); the others are
        uint8 [R, z, y, x], `members` is overwritten. `boundary`: see `Ways`; `beyond`: cells of the set in a voxel
        beyond an open side. Nothing stands beyond a closed one.
        """
        ...

    def apply_rules(
        self, layer: CellLayer, next: Array, around: Surroundings, fields: Array, tally: Tally, draw: Draw
    ) -> None:
        """Let the layer's cells change state, into `next`, and release into `fields`; count into `tally`."""
        ...

    def propose_moves(
        self, layer: CellLayer, bid: Array, around: Surroundings, fields: Array, draw: Draw, boundary: int = 0
    ) -> None:
        """Each cell's heading, and its bid (uint16 [R, z, y, x]) for the voxel it wants to move to."""
        ...

    def move(self, layer: CellLayer, bid: Array, tally: Tally, boundary: int = 0) -> None:
        """Carry out the moves; of the cells that want one voxel, the lowest bid gets it."""
        ...

    def measure_room(self, layer: CellLayer, other: Array, room: Array, next: Array, ways: Ways) -> None:
        """Distance of each voxel from the nearest that can take a cell of the layer, into `room` (uint8 [R, z, y, x]).

        In tenths of a voxel, by steps of 10, 14 and 17 over faces, edges and corners; `next`, of the same shape, is
        overwritten.
        """
        ...

    def divide(
        self, layer: CellLayer, room: Array, bids: Array, ways: Ways, tables: CellTables, tally: Tally, draw: Draw
    ) -> None:
        """Let the mothers that have claimed `room` divide, as far as there is any.

        `bids`: uint32 [R, z, y, x], 2^32 - 1 in each voxel before and after.
        """
        ...

    def circulate(self, values: np.ndarray, equations: Equations, minutes: float) -> tuple[np.ndarray, np.ndarray]:
        """Let the bodies' quantities (float64 [quantities, R], on the host) change over some time.

        Returns them, and whether the equations of each replicate could be followed, bool [R].
        """
        ...

    def sum_fields(self, fields: Array, replicate: int) -> FieldSums:
        """Exact sums over the voxels of one replicate in float32 [F, R, z, y, x]."""
        ...

    def close(self) -> None:
        """Give back threads and memory."""
        ...
