"""A model: the numbers of a scenario, in micrometres, minutes and the fields' own units."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from gpusim.model.tables import Instead, Source, members
from gpusim.tissue import InitialTissue


@dataclass(frozen=True)
class Boundary:
    """What fields meet at the sides of the lattice, in the order z low, z high, y low, y high, x low, x high.

    Attributes:
        periodic: bool [F, 3], along z, y, x.
        permeability: float64 [F, 6], um/min; 0 for no flux, infinite for a fixed value.
        far: float64 [F, 6], concentration outside, in the field's unit.
    """

    periodic: np.ndarray
    permeability: np.ndarray
    far: np.ndarray


@dataclass(frozen=True)
class Fields:
    """Fields in the order of the scenario; F of them.

    Attributes:
        names, units: F texts.
        diffusion: float64 [F, tissue states], um^2/min.
        boundary: what the fields meet at the sides of the lattice.
        initial: F arrays, in the field's unit: one number, or float32 [z, y, x].
        solvers: F texts, as in the scenario.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    diffusion: np.ndarray
    boundary: Boundary
    initial: tuple[np.ndarray, ...]
    solvers: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class States:
    """Cell states by number: those of the tissue from 0 (`empty`), then the immune from `none` on."""

    tissue: tuple[str, ...]
    immune: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All states; a state's number is its place here."""
        return self.tissue + self.immune

    @property
    def none(self) -> int:
        """Number of the immune state `none`."""
        return len(self.tissue)

    def number(self, name: str) -> int:
        """Number of a state. Raises `ValueError`."""
        return self.names.index(name)


@dataclass(frozen=True)
class Exchange:
    """What cells, vessels and other fields do to the F concentrations: production p and loss k, as in p - k c.

    A field with an effect has a slot: p and k of its voxels are found anew each step.

    Attributes:
        production, loss: float64 [F, tissue states, immune states], unit/min and 1/min, what depends on nothing else.
        highest_loss: the same with the highest loss that effects can add; infinite where there is no such bound.
        steepest: float64 [F, tissue states, immune states], 1/min, the steepest fall of p - k c with c.
        held: float64 [F, tissue states], the concentration that voxels of a state hold; NaN where they hold none.
        slots: int32 [F], of the fields with effects; -1 for the others.
        own: bool [F], whether an effect depends on the field itself.
        effects: table of `tables.EFFECT`, whose modulators by the field itself are those that feed it, then those that
            hold it back; begin: int32 [slots * states + 1], the first of each slot and state.
        feeding: int32 [effects], how many feed the field, where others hold it back; else 0.
        walls: table of `tables.WALL`, between voxels and the body.
        by_fluid: bool [effects], whether fluid brings or takes it, through the walls of vessels or into the lymph;
            walls_of_fluid: bool [walls], likewise. None where no effect is.
    """

    production: np.ndarray
    loss: np.ndarray
    highest_loss: np.ndarray
    steepest: np.ndarray
    held: np.ndarray
    slots: np.ndarray
    own: np.ndarray
    effects: np.ndarray
    begin: np.ndarray
    feeding: np.ndarray
    walls: np.ndarray
    by_fluid: np.ndarray | None = None
    walls_of_fluid: np.ndarray | None = None

    def part(self, *, by_fluid: bool) -> "Exchange":
        """The effects that fluid brings or takes, alone; or all else. Walls of the other part are those of no field."""
        if self.by_fluid is None or self.walls_of_fluid is None:
            if not by_fluid:
                return self
            none = np.zeros(len(self.effects), bool), np.zeros(len(self.walls), bool)
            return replace(self, by_fluid=none[0], walls_of_fluid=none[1]).part(by_fluid=True)
        count = int((self.slots >= 0).sum())
        states = (len(self.begin) - 1) // count if count else 0
        chosen = self.by_fluid == by_fluid
        number = np.concatenate([[0], np.cumsum(chosen)])[self.begin].astype(np.int32)
        slots, begin = np.full_like(self.slots, -1), [np.zeros(1, np.int32)]
        for field in np.flatnonzero(self.slots >= 0):
            first = self.slots[field] * states
            if number[first + states] > number[first]:
                slots[field] = len(begin) - 1
                begin.append(number[first + 1 : first + states + 1])
        walls = self.walls.copy()
        walls["field"][self.walls_of_fluid != by_fluid] = -1
        left = replace(
            self,
            slots=slots,
            effects=self.effects[chosen],
            feeding=self.feeding[chosen],
            begin=np.concatenate(begin),
            walls=walls,
            by_fluid=None,
            walls_of_fluid=None,
        )
        if not by_fluid:
            return left
        plain = np.zeros_like(self.production)
        return replace(left, production=plain, loss=plain, own=np.zeros_like(self.own))

    @property
    def decay(self) -> np.ndarray:
        """What every voxel loses, float64 [F], 1/min: the loss where there are no cells that add to it."""
        least: np.ndarray = self.loss.min(axis=(1, 2))
        return least

    def drawn(self, field: int) -> np.ndarray:
        """Whether voxels of a tissue state lose a field by themselves, bool [tissue states]."""
        found: np.ndarray = self.loss[field].min(axis=1) > 0
        return found

    @property
    def holds(self) -> np.ndarray:
        """Whether voxels of a state hold a concentration, bool [F, tissue states]."""
        found: np.ndarray = ~np.isnan(self.held)
        return found


@dataclass(frozen=True)
class Flow:
    """Flow of fluid through the tissue, with the velocity -K grad p.

    The D of the field p is K, its production and loss are the sources of fluid, in the unit of p per minute.

    Attributes:
        field: number of p.
        every: steps between two solutions for p.
        speeds: float64 [F], velocity of a field relative to that of the fluid; 0 where flow does not carry it.
    """

    field: int
    every: int
    speeds: np.ndarray


@dataclass(frozen=True)
class Reactions:
    """Reactions between fields, in the order of the scenario, in which they take place in a step.

    Attributes:
        names: of the reactions.
        rows: table of `tables.REACTION`, one row each; `turnover` is rate * step, 1 or 1/unit of the second reactant.
        terms: table of `tables.TERM`, what the rows point into: fields with their coefficients.
    """

    names: tuple[str, ...]
    rows: np.ndarray
    terms: np.ndarray

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Ways:
    """How the cells of a layer make room for each other.

    Attributes:
        yields: uint16 [states, states], the room of a voxel by itself, by the states of its cell and of the one of the
            other layer; see `backends.base.Ways`.
        rounds: in which room is found.
    """

    yields: np.ndarray
    rounds: int


@dataclass(frozen=True)
class Closing:
    """How the cells of the tissue close up a voxel.

    Attributes:
        yields, regions, lines: see `backends.groups.Closing`.
    """

    yields: np.ndarray
    regions: np.ndarray
    lines: np.ndarray


@dataclass(frozen=True)
class Adhesion:
    """Swaps of neighbouring voxels of the tissue layer.

    Attributes:
        energies: int32 [tissue states, tissue states], of contacts, kT/1000; 0 of states that take no part.
        swaps: uint8 [tissue states], whether voxels of the state swap.
        acceptance: uint32, probability of a swap that raises the energy by 0, 1, ... kT/1000, in 2^-32; ends with 0.
        sweeps: over all pairs, for each application of the rules.
        share: of the pairs that a sweep tries.
    """

    energies: np.ndarray
    swaps: np.ndarray
    acceptance: np.ndarray
    sweeps: int
    share: float


@dataclass(frozen=True)
class Traits:
    """Numbers that cells carry, those of tissue cells first.

    Attributes:
        names, units: of the traits of the scenario; numbers: their rows. Other rows count steps (`model/waiting.py`).
        of_tissue: how many rows belong to tissue cells.
        rows: table of `tables.TRAIT`; where there are tracks, the last has their numbers.
        quantiles: float32 [traits, 2, 1025], of initial values and of mutations, in the trait's unit.
        laws: table of `tables.LAW`, rows sorted by state, then by trait; law_begin: int32 [states + 1].
        transfers: table of `tables.TRANSFER`, rows sorted by state; transfer_begin: int32 [states + 1].
        columns: of the cell table, with initial values; None where they come from the quantiles.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    numbers: tuple[int, ...]
    of_tissue: int
    rows: np.ndarray
    quantiles: np.ndarray
    laws: np.ndarray
    law_begin: np.ndarray
    transfers: np.ndarray
    transfer_begin: np.ndarray
    columns: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def named(self) -> dict[str, int]:
        """Rows of the traits of the scenario by name."""
        return dict(zip(self.names, self.numbers, strict=True))

    def of_layer(self, immune: bool) -> tuple[int, int]:
        """First and end of those of the tissue's, or of the immune layer's cells."""
        return (self.of_tissue, len(self)) if immune else (0, self.of_tissue)


@dataclass(frozen=True)
class Tracks:
    """Which cells are tracked.

    Attributes:
        states: bool [states], whose cells are; cells: how many at a time; every: steps between two positions.
    """

    states: np.ndarray
    cells: int
    every: int


@dataclass(frozen=True)
class Clones:
    """Whose cells belong to clones.

    Attributes:
        rows: table of `tables.LINEAGE`, one row, or none where there are no clones.
        immune: whether they are of immune cells.
        each: whether each cell founds a clone at time 0; else all are of one.
    """

    rows: np.ndarray
    immune: bool
    each: bool

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Cells:
    """What cells do, as tables (gpusim/model/tables.py); rows sorted by the state that they belong to.

    Attributes:
        rules: transitions; rule_begin: int32 [states + 1], first of each state.
        rule_names: name of the rule of each row; several rows where a rule leaves several states.
        ceilings: uint32 [states, states], by a cell's state and that of the cell beside it in the voxel: no rule
            fires where the first random word is not below.
        motilities: one row a state; trails: uint8 [states], what a cell leaves behind when it moves.
        modulators, releases, adjustments, egresses, slopes: what the others point into.
        neighbourhoods: counts of neighbours that modulators look at.
        moves: moves a step.
        ways: of the tissue's and of the immune layer's cells.
        closing: of the tissue's cells; None where no rule closes.
        adhesion: of the tissue's cells; None without.
        boundary: bits of the sides of the lattice, for cells, as of `backends.base.Diffusion.boundary`; `background`:
            tissue state beyond open ones.
    """

    rules: np.ndarray
    rule_begin: np.ndarray
    rule_names: tuple[str, ...]
    ceilings: np.ndarray
    motilities: np.ndarray
    trails: np.ndarray
    modulators: np.ndarray
    releases: np.ndarray
    adjustments: np.ndarray
    egresses: np.ndarray
    slopes: np.ndarray
    neighbourhoods: np.ndarray
    moves: int
    ways: tuple[Ways, Ways]
    closing: Closing | None
    adhesion: Adhesion | None
    boundary: int
    background: int

    @property
    def looks_at_connections(self) -> bool:
        """Whether a modulator does."""
        return bool((self.neighbourhoods["reach"] == 0).any())

    @property
    def replaces(self) -> bool:
        """Whether moving cells crush others or leave a trail."""
        for state in np.flatnonzero(self.motilities["hop"] > 0):
            free, *crushed = np.flatnonzero(members(self.motilities["replaces"][state]))
            if crushed or self.trails[state] != free:
                return True
        return False

    @property
    def leaves(self) -> np.ndarray:
        """State that each rule leaves, int64 [rules]."""
        return np.repeat(np.arange(len(self.rule_begin) - 1), np.diff(self.rule_begin))

    def look_at_room(self, rows: Iterable[np.void]) -> bool:
        """Whether a modulator of some rows (of any table) looks at room."""
        looked_at = [self.modulators[row["first_modulator"] : row["end_modulator"]] for row in rows]
        return any(bool((ms["source"] == Source.ROOM).any()) for ms in looked_at)

    def counts_for(self, rows: Iterable[np.void]) -> list[int]:
        """Neighbourhoods that the modulators of some rows (of any table) look at."""
        looked_at = [self.modulators[row["first_modulator"] : row["end_modulator"]] for row in rows]
        return sorted({int(m["index"]) for ms in looked_at for m in ms if m["source"] == Source.NEIGHBOURS})


@dataclass(frozen=True)
class Body:
    """Quantities outside the lattice, and what changes them.

    Attributes:
        names, units, initial: by quantity; float64.
        flows: table of `tables.FLOW`, a row a process: from which quantity to which, in proportion to which (-1: none);
            rates: float64 [processes], 1/min or unit/min; modulators: what the flows point into.
        transfers: float64 [rules, quantities], what a firing of a rule brings.
        exchanged: float64 [walls, quantities], what a concentration that leaves a voxel through a wall brings.
        carried: float64 [egresses, quantities], what a unit of a trait brings.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    initial: np.ndarray
    flows: np.ndarray
    rates: np.ndarray
    modulators: np.ndarray
    transfers: np.ndarray
    exchanged: np.ndarray
    carried: np.ndarray

    @cached_property
    def moved(self) -> tuple[list[tuple[int, int, float]], ...]:
        """What is not 0 in `transfers`, in `exchanged` and in `carried`: row, quantity, amount."""
        return tuple(
            [(int(row), int(q), float(table[row, q])) for row, q in np.argwhere(table)]
            for table in (self.transfers, self.exchanged, self.carried)
        )


@dataclass(frozen=True)
class Infusion:
    """An `amount` added to a `quantity` of the body at a step."""

    name: str
    quantity: int
    step: int
    amount: float


@dataclass(frozen=True)
class Dose:
    """Concentrations `amounts` (float32) added to `field` at flat indices `voxels` (int64) at a step.

    Attributes:
        steps: in how many steps, one after the other.
        fluid: that enters these voxels meanwhile, 1/min: its volume per volume of tissue.
    """

    name: str
    field: int
    step: int
    voxels: np.ndarray
    amounts: np.ndarray
    steps: int = 1
    fluid: float = 0.0

    def due(self, step: int) -> bool:
        """Whether a step gives it."""
        return self.step <= step < self.step + self.steps


@dataclass(frozen=True)
class Graft:
    """`count` cells of `state` that are put in at a step: the first free of `voxels`, flat indices (int64).

    Attributes:
        replaces: states of the same layer whose place they may take; the vacant one is always among them.
    """

    name: str
    state: int
    step: int
    voxels: np.ndarray
    count: int
    replaces: tuple[int, ...]


@dataclass(frozen=True)
class Resection:
    """Cells of `states` that are cut out of `voxels`, flat indices (int64), at a step, which puts `leaves` there."""

    name: str
    states: tuple[int, ...]
    step: int
    voxels: np.ndarray
    leaves: int = 0


@dataclass(frozen=True)
class Model:
    """Everything that a simulation needs, as numbers.

    Attributes:
        shape: voxels as (z, y, x); spacing: voxel edge, um.
        step: one step, min, of transport and exchange.
        rules_every: steps between two applications of the rules.
        until: steps of the whole run; record_every: steps between snapshots.
        doses, infusions, grafts, resections: therapies, in the order of the scenario.
        notes: what a user should know of the choices made.
        tracks: of cells, if there are any.
    """

    name: str
    shape: tuple[int, int, int]
    spacing: float
    seed: int
    step: float
    rules_every: int
    until: int
    record_every: int
    fields: Fields
    exchange: Exchange
    flow: Flow | None
    reactions: Reactions
    states: States
    cells: Cells
    traits: Traits
    clones: Clones
    body: Body
    doses: tuple[Dose, ...]
    infusions: tuple[Infusion, ...]
    grafts: tuple[Graft, ...]
    resections: tuple[Resection, ...]
    initial: InitialTissue
    notes: tuple[str, ...]
    tracks: Tracks | None = None

    @property
    def claims(self) -> tuple[bool, bool]:
        """Whether cells of the tissue and of the immune layer divide or close up, and so claim ways."""
        divisions = self.cells.rules["daughter"]
        of_immune = divisions >= self.states.none
        return bool(((divisions != Instead.NO_DAUGHTER) & ~of_immune).any()), bool(of_immune.any())

    @property
    def looks_at_room(self) -> bool:
        """Whether a rule does."""
        return self.cells.look_at_room(self.cells.rules)

    @property
    def voxels(self) -> int:
        """Voxels of the lattice."""
        nz, ny, nx = self.shape
        return nz * ny * nx
