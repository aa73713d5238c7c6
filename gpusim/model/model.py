"""A model: the numbers of a scenario, in micrometres, minutes and the fields' own units."""

from dataclasses import dataclass

import numpy as np

from gpusim.tissue import InitialTissue


@dataclass(frozen=True)
class Fields:
    """Fields in the order of the scenario; F of them.

    Attributes:
        names, units: F texts.
        diffusion: float64 [F], um^2/min.
        initial: float64 [F], in the field's unit.
        production: float64 [F, tissue states, immune states], unit/min.
        loss: float64 [F, tissue states, immune states], 1/min.
        solvers: F texts, as in the scenario.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    diffusion: np.ndarray
    initial: np.ndarray
    production: np.ndarray
    loss: np.ndarray
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
class Rules:
    """Rules as tables, sorted by the state that they leave (gpusim/model/tables.py).

    Attributes:
        names: counted names; `counter` of a rule points here.
        begin: int32 [states + 1], first rule of each state.
        leaves: int64 [rules], state that each rule leaves.
        has_tissue, has_immune: whether a layer has rules at all.
    """

    names: tuple[str, ...]
    rules: np.ndarray
    begin: np.ndarray
    leaves: np.ndarray
    modulators: np.ndarray
    releases: np.ndarray
    has_tissue: bool
    has_immune: bool


@dataclass(frozen=True)
class Dose:
    """Concentrations `amounts` (float32) added to `field` at flat indices `voxels` (int64) at a step."""

    name: str
    field: int
    step: int
    voxels: np.ndarray
    amounts: np.ndarray


@dataclass(frozen=True)
class Model:
    """Everything that a simulation needs, as numbers.

    Attributes:
        shape: voxels as (z, y, x); spacing: voxel edge, um.
        step: one step, min, of transport and exchange.
        rules_every: steps between two applications of the rules.
        until: steps of the whole run; record_every: steps between snapshots.
        doses: therapies, in the order in which they come.
        notes: what a user should know of the choices made.
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
    states: States
    rules: Rules
    doses: tuple[Dose, ...]
    initial: InitialTissue
    notes: tuple[str, ...]

    @property
    def voxels(self) -> int:
        """Voxels of the lattice."""
        nz, ny, nx = self.shape
        return nz * ny * nx
