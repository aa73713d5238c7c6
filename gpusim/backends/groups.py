"""What launches are given in groups: tables that live as long as the solver or the model that they belong to.

The attributes of a group have the names of the kernels' parameters (kernels/*.cu): a launch that is given a group
finds those in it that the kernel takes. What changes from step to step is given by name. Arrays are the backend's own
(NumPy's, or CuPy's on a device).
"""

from dataclasses import dataclass
from typing import Any

Array = Any
"""An array of the backend: numpy.ndarray or cupy.ndarray."""


@dataclass(frozen=True, eq=False)
class Diffusion:
    """What diffuses between voxels and through the sides of the lattice, for a given dt.

    Attributes:
        coupling: float32 [F, tissue states, tissue states], dt D / dx^2 of a face by the states on
            both sides; on the diagonal that of a state itself.
        coupling_by: int32 [F], of `model.tables.VariesBy`: whether D is the same for all states.
        boundary: int32 [F], bits: periodic along z, y, x; open at z low, z high, y low, y high, x low,
            x high.
        resistance: float32 [F, 6], of open sides: 2 dx / (dt permeability), 0 for a fixed value.
        far: float32 [F, 6], concentration outside.
    """

    coupling: Array
    coupling_by: Array
    boundary: Array
    resistance: Array
    far: Array


@dataclass(frozen=True, eq=False)
class Maps:
    """Production and loss by voxel, of the fields that have effects, in the form in which their solvers read them.

    Attributes:
        map_slots: int32 [F]; -1 for a field without effects, whose tables are read instead.
        first_map, second_map: float32 [maps, R, z, y, x], see `model.tables.Form`; of a field with an effect on itself
            and the form OPERATOR, the second is the right-hand side without its production.
        permeable: float32 [walls, R, z, y, x], 1/min, of walls between voxels and the body.
    """

    map_slots: Array
    first_map: Array
    second_map: Array
    permeable: Array


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
class ReactionTables:
    """Reactions between fields, as arrays of the backend; layouts as in model/tables.py.

    Attributes:
        reactions: in the order in which they take place; terms, modulators: what they point into.
        held: float32 [F, tissue states], the concentration that a state holds, below 0 where it holds none; without
            states where no field is held anywhere.
    """

    reactions: Array
    terms: Array
    modulators: Array
    held: Array


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
class Masses:
    """The mass of the implicit operator on the finest level, by the cells of a voxel.

    Attributes:
        mass: float32 [F, tissue states, immune states].
        exchange_by: int32 [F], of `model.tables.VariesBy`.
    """

    mass: Array
    exchange_by: Array


@dataclass(frozen=True, eq=False)
class Means:
    """The implicit operator on a coarse level: means over the voxels of the finest.

    Attributes:
        mass: float32 [slots, R, z, y, x], see `Level`.
        couplings: the voxels' own, dt D / dx^2 with the finest dx: float32 [coupled, R, z, y, x] of the fields whose D
            varies, which have the first slots.
    """

    mass: Array
    couplings: Array


@dataclass(frozen=True, eq=False)
class Level:
    """One level of multigrid.

    Arrays of the finest level have an entry for each field, [F, R, z, y, x]; those of coarser ones a slot for each
    field that is solved by cycles, [slots, R, z, y, x].

    Attributes:
        edge: of a voxel against the finest level's, a power of 2.
        wz, wy, wx: width of the last voxel along z, y, x, against the others of the level; on the finest level 1, on
            coarser ones of odd lattices less.
        slots: int32 [F], on coarse levels; -1 for a field without.
    """

    edge: float
    wz: float
    wy: float
    wx: float
    slots: Array


@dataclass(frozen=True, eq=False)
class CellTables:
    """What cells do, as arrays of the backend; layouts as in model/tables.py.

    Attributes:
        rules, rule_begin: transitions, by the state that they leave.
        ceilings: uint32 [states, states], by a cell's state and that of the cell beside it in the voxel: no rule
            fires where the first random word is not below.
        motilities: one row a state; trails: uint8 [states], what a cell leaves behind when it moves.
        modulators, releases, adjustments, egresses, slopes: what the others point into.
    """

    rules: Array
    rule_begin: Array
    ceilings: Array
    motilities: Array
    trails: Array
    modulators: Array
    releases: Array
    adjustments: Array
    egresses: Array
    slopes: Array


@dataclass(frozen=True, eq=False)
class TraitTables:
    """Traits of the cells of both layers, as arrays of the backend; layouts as in model/tables.py.

    Attributes:
        trait_rows: traits, those of tissue cells first.
        quantiles: float32 [traits, 2, 1025], of initial values and of mutations.
        laws: of their change, by state; law_begin: int32 [states + 1].
        transfers: between traits and fields, by state; transfer_begin: int32 [states + 1].
        lineage: whose cells belong to clones; one row or none.
    """

    trait_rows: Array
    quantiles: Array
    laws: Array
    law_begin: Array
    transfers: Array
    transfer_begin: Array
    lineage: Array


@dataclass(frozen=True, eq=False)
class Equations:
    """What changes the quantities of a body, as arrays of the backend; layouts as in model/tables.py.

    Attributes:
        flows: one row a process; rates: float64 [processes], 1/min or unit/min; modulators: what flows point into.
        scratch: float64 [34, quantities, R], for a kernel to work in.
    """

    flows: Array
    rates: Array
    modulators: Array
    scratch: Array


@dataclass(frozen=True, eq=False)
class Moved:
    """What a site moves into the bodies, as arrays of the backend.

    Attributes:
        moved: int32 [entries, 3], 0 (a rule), 1 (a wall between voxels and body) or 2 (an egress of a trait), its row,
            a quantity.
        amounts: float64 [entries], of the quantity for a firing, a concentration or a unit of the trait.
        given_fired: uint64 [rules, R], given_flowed: uint64 [2, walls, R], given_carried: uint64 [3, egresses, R], of a
            tally, what the bodies have taken in since the start.
    """

    moved: Array
    amounts: Array
    given_fired: Array
    given_flowed: Array
    given_carried: Array


@dataclass
class FlowState:
    """What a flow of fluid goes on with; the pressure is among the fields.

    Attributes:
        tissue: uint8 [R, z, y, x], that the pressure was solved for; of size 0 where no fluid flows.
    """

    tissue: Array


TRAVELLING = ("clock", "heading", "claim", "clone")
"""Arrays of a layer that travel with its cells, as its traits do. A voxel without a cell has 0 in all of them."""


@dataclass
class CellLayer:
    """One layer of cells.

    Attributes:
        cells: uint8 [R, z, y, x], states.
        clock: uint32 [R, z, y, x], applications of the rules in the present state.
        heading: uint8 [R, z, y, x], 0 or the direction of a mobile cell; of size 0 where none can move.
        claim: uint8 [R, z, y, x], 0 or what a mother claims (`model.tables.Claim`); of size 0 where none can divide.
        clone: uint64 [R, z, y, x], labels of clones, 0 for none; of size 0 where the layer has none.
        vacant: the state that stands for no cell.
        traits: first and end of those of its cells.
    """

    cells: Array
    clock: Array
    heading: Array
    claim: Array
    clone: Array
    vacant: int
    traits: tuple[int, int]

    @property
    def travelling(self) -> dict[str, Array]:
        """What travels with its cells, by name, beside the traits."""
        return {name: getattr(self, name) for name in TRAVELLING}


@dataclass(frozen=True, eq=False)
class Ways:
    """How the cells of a layer make room for each other.

    Attributes:
        yields: uint16 [states, states], the room of a voxel by itself, by the states of its cell and of the one of the
            other layer: that of a voxel that can take a cell, or the farthest there is, or `model.tables.RIGID`.
        rounds: of two voxels each, in which room is found.
        boundary: of `model.tables.Boundary`, the sides for cells.
        vacant: the state that stands for no cell.
    """

    yields: Array
    rounds: int
    boundary: int
    vacant: int


@dataclass(frozen=True, eq=False)
class Closing:
    """How the cells of the tissue close up, as arrays of the backend.

    Attributes:
        yields: uint16 [states, states], as of `Ways`: `model.tables.RIGID` where nothing passes.
        regions: uint8 [states], of `model.tables.Region`.
        lines: int32 [directions, steps, 4], voxels along z, y, x from the start of a line after each step, and distance
            from there, tenths of a voxel.
    """

    yields: Array
    regions: Array
    lines: Array


@dataclass(frozen=True, eq=False)
class Adhesion:
    """By what energies voxels of the tissue swap their cells.

    Attributes:
        energies: int32 [states, states], of contacts, kT/1000.
        swaps: uint8 [states], whether voxels of a state swap.
        acceptance: uint32 [changes], probability of a swap that raises the energy by so many kT/1000, in 2^-32.
        boundary: of `model.tables.Boundary`, the sides for cells; background: the state beyond open ones.
    """

    energies: Array
    swaps: Array
    acceptance: Array
    boundary: int
    background: int


@dataclass
class Births:
    """Clones that were born in an application of the rules.

    Attributes:
        born: uint64 [R], how many; births: uint64 [R, capacity, 2], label and parent of each, in no order.
        newborn: float32 [R, capacity, traits], traits of the first cell.
    """

    born: Array
    births: Array
    newborn: Array


@dataclass
class Tally:
    """What is counted since the start.

    Attributes:
        fired: uint64 [rules, R], firings.
        barred: uint64 [rules, R], divisions for which there was no room.
        taken: uint64 [states, R], voxels that daughters, or the cells that they displaced, took, by what was in them;
            and those that moving cells took, where these crush others or leave a trail.
        left: uint64 [3, states, R], cells that left the lattice through open sides: pushed out, and by moves; and what
            the latter moving cells left behind.
        flowed: uint64 [2, walls, R], what has left voxels for the body, in units of a concentration divided by
            `model.tables.FLOW_WHOLE`, and in `FLOW_FRACTION`ths of these; both in two's complement.
        carried: uint64 [3, egresses, R], what of traits has gone to the body, in units of 1 / `scale` of the egress, in
            2^-36 of these, and in 2^-72.
    """

    fired: Array
    barred: Array
    taken: Array
    left: Array
    flowed: Array
    carried: Array
