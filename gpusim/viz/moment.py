"""What is drawn: one site at one time, as arrays. Nothing after this module knows where they came from."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from gpusim.analysis import (
    field_label,
    heat_of,
    main_field,
    state_label,
    states_with,
    trait_label,
    tumour_cells_label,
    tumour_states,
)
from gpusim.analysis.ancestry import Ancestry
from gpusim.analysis.regions import body_of
from gpusim.analysis.room import room
from gpusim.engine.flow import UNIT
from gpusim.errors import ResultError
from gpusim.record import Result, layout
from gpusim.scenario.checks import NO_DIVISION, nearest, tissue_divides
from gpusim.scenario.schema import NONE
from gpusim.units import UnitError, duration, number
from gpusim.viz.palette import HEAT_MAP, MAP, SPEED_MAP, TRAIT_MAP, Theme, field_map, state_colours, virus_map

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

    from gpusim.engine import Replicate
    from gpusim.scenario import Document, Scenario
    from gpusim.scenario.schema import StateRole

HEAT = "heat"
ROOM = "room"
SPEED = "flow-speed"
"""Of the interstitial fluid."""
_LABELS = {HEAT: "tumour heat", ROOM: "distance to room", SPEED: "speed of the fluid"}
_UNITS = {ROOM: "um", SPEED: UNIT}
LOOKED_AT = 24
"""Snapshots whose fields are read to say something of all of them, at most."""


LEAST_CLONE = 0.01
"""Share of all cells that a family of clones has at some snapshot; smaller ones are shown as parts of their parents."""


@dataclass(frozen=True)
class Clones:
    """Clones of cells.

    Args:
        numbers: int64 [z, y, x], of the clone or of the ancestor that it is shown as a part of; 0: none.
        cells: int64 [clones + 1], of each number; ranked: clones that are shown, by their most cells at a snapshot, the
            largest first.
    """

    numbers: np.ndarray
    cells: np.ndarray
    ranked: Sequence[int]

    def at(self, voxels: tuple[slice, ...]) -> Clones:
        """The same at some of the voxels; `cells` are those of all."""
        return replace(self, numbers=np.ascontiguousarray(self.numbers[voxels]))


@dataclass(frozen=True)
class Moment:
    """One site at one time.

    Args:
        tissue, immune: states by number, uint8 [z, y, x].
        read: a field or a trait by its name, float32 [z, y, x], in its own unit.
        states: their names, by number. spacing: voxel edge, um. minutes: simulated time.
        traits: names of those that can be read.
        clones: those of its cells; None if they cannot be read.
        velocity: that of the interstitial fluid, float32 [3, z, y, x], um/min, along x, y and z; None without a flow.
        title: of the scenario, and of the site where there are several.
        thinned: whether voxels stand for blocks of smaller ones. Heat and room are then read as fields are, because
            the coarse voxels have lost most of the cells.
    """

    document: Document
    tissue: np.ndarray
    immune: np.ndarray
    read: Callable[[str], np.ndarray]
    states: list[str]
    spacing: float
    minutes: float
    traits: Sequence[str] = ()
    clones: Callable[[], Clones] | None = None
    velocity: Callable[[], np.ndarray] | None = None
    title: str = ""
    thinned: bool = False
    _fields: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def field_names(self) -> list[str]:
        """What a volume can be made of: heat where the scenario says what it is, every field, the main one first, the
        speed of the fluid where it flows, and room where tissue cells divide.

        Without heat and fields, it is made of the tumour's cells.
        """
        fields = sorted(self.document.fields, key=lambda name: name != main_field(self.document))
        shown = [*([HEAT] if self.document.heat else []), *fields] or [self.tumour_cells]
        shown += [SPEED] if self.velocity is not None else []
        return [*shown, *([ROOM] if tissue_divides(self.document) and ROOM not in shown else [])]

    @property
    def tumour_states(self) -> list[str]:
        """States that make up a tumour, living and infected."""
        return [name for name in tumour_states(self.document) if name in self.states]

    @property
    def tumour_cells(self) -> str:
        """Label of the cells in `tumour_states`; also of the volume of a scenario without fields and heat."""
        return tumour_cells_label(self.document)

    def having(self, *roles: StateRole) -> list[str]:
        """States with one of these roles."""
        return [name for name in states_with(self.document, *roles) if name in self.states]

    @cached_property
    def colours(self) -> dict[str, str]:
        """Colour of each state, "#rrggbb"."""
        return state_colours(self.document)

    def label(self, name: str) -> str:
        """A state, a trait, a field or heat as a reader calls it."""
        if name in self.states:
            return state_label(self.document, name)
        if name in self.traits:
            return trait_label(self.document, name)
        return field_label(self.document, name) if name in self.document.fields else _LABELS.get(name, name)

    def map(self, name: str, ground: Theme) -> Colormap:
        """The colour map of heat, of a field or of a trait."""
        if name in self.traits:
            return field_map(TRAIT_MAP, ground)
        spec = self.document.fields.get(name)
        if name == HEAT:
            chosen = HEAT_MAP
        elif name == SPEED:
            chosen = SPEED_MAP
        elif spec is not None and spec.role == "virus" and spec.colours is None:
            chosen = virus_map([self.colours[state] for state in self.having("exposed", "infected")])
        else:
            chosen = (spec.colours if spec is not None else None) or MAP
        return field_map(chosen, ground)

    @property
    def body(self) -> np.ndarray:
        """The tumour, with what is dead in it, as a smooth body: float32 [z, y, x]."""
        return body_of(self.cells([*self.tumour_states, *self.having("dead")]))

    @property
    def immune_states(self) -> list[str]:
        """States of the mobile layer but `none`, in their order."""
        return self.states[self.states.index(NONE) + 1 :]

    @property
    def size(self) -> tuple[float, float, float]:
        """Lengths of the lattice along x, y, z, um."""
        nz, ny, nx = self.tissue.shape
        return nx * self.spacing, ny * self.spacing, nz * self.spacing

    @property
    def is_flat(self) -> bool:
        """Whether the lattice is too thin to look into from the side."""
        return self.tissue.shape[0] * 4 < min(self.tissue.shape[1:])

    def cells(self, names: Iterable[str]) -> np.ndarray:
        """Where cells of these states are: bool [z, y, x]."""
        wanted = np.isin(np.arange(len(self.states)), [self.states.index(n) for n in names if n in self.states])
        return wanted[self.tissue] | wanted[self.immune]

    def values(self, name: str) -> np.ndarray:
        """Heat, a field, a trait, the fluid's speed, room or, without heat and fields, the tumour's cells.

        float32 [z, y, x].

        Raises `ResultError`.
        """
        if name not in self._fields:
            self._fields[name] = self._values(name)
        return self._fields[name]

    def trait(self, name: str) -> np.ndarray:
        """A trait: float32 [z, y, x], in its unit; 0 where no cell has it. Raises `ResultError`."""
        if name not in self.traits:
            known = ", ".join(self.traits) or "none"
            unrecorded = name in self.document.traits
            why = "is not recorded (record.traits)" if unrecorded else f"unknown trait{nearest(name, self.traits)}"
            raise ResultError(f"trait '{name}': {why} (known: {known})")
        return self.values(name)

    def states_with(self, trait: str) -> list[str]:
        """States whose cells have a trait."""
        return [name for name in self.document.traits[trait].of if name in self.states]

    @property
    def has_clones(self) -> bool:
        """Whether pictures can show clones."""
        return self.document.clones is not None and self.clones is not None

    def shown_clones(self) -> Clones:
        """Clones of its cells. Raises `ResultError`."""
        if self.document.clones is None:
            raise ResultError("clones: the scenario has no clones ('clones: {of: STATES}')")
        if self.clones is None:
            raise ResultError("clones: pictures show them only of a result that contains them (record.clones)")
        return self.clones()

    def shown_velocity(self) -> np.ndarray:
        """Velocity of the interstitial fluid, float32 [3, z, y, x], um/min. Raises `ResultError`."""
        if self.velocity is None:
            raise ResultError("streamlines: the scenario has no flow of fluid ('flow: {field: PRESSURE, ...}')")
        return self.velocity()

    def of_cells(self, trait: str) -> np.ndarray:
        """Values of a trait of the cells that have it: float32 [cells], in its unit. Raises `ResultError`."""
        values = self.trait(trait)
        return values[self.cells(self.states_with(trait))]

    def _values(self, name: str) -> np.ndarray:
        if name in self.traits:
            return self.read(name)
        if name == ROOM and name not in self.document.fields and not tissue_divides(self.document):
            raise ResultError(f"field '{name}' {NO_DIVISION}")
        if name not in self.field_names:
            raise ResultError(
                f"field '{name}': unknown field{nearest(name, self.field_names)} (known: {', '.join(self.field_names)})"
            )
        if name == self.tumour_cells:
            return self.cells(self.tumour_states).astype(np.float32)
        if name == HEAT and self.document.heat is not None and not self.thinned:
            cytokines = {each: self.read(each) for each in self.document.heat.cytokines}
            return heat_of(self.document, self.tissue, self.immune, cytokines)
        if name == ROOM and name not in self.document.fields and not self.thinned:
            return room(self.document, self.tissue)
        if name == SPEED and self.velocity is not None and not self.thinned:
            return np.sqrt((self.velocity() ** 2).sum(axis=0))
        return self.read(name)

    def unit(self, name: str) -> str:
        """Unit of a field, a trait, the fluid's speed or room; heat and cells have none."""
        if name in self.traits:
            return self.document.traits[name].unit.removeprefix("dimensionless")
        if name in self.document.fields:
            return self.document.fields[name].unit
        return _UNITS.get(name, "")

    def coarsened(self, factor: int) -> Moment:
        """The same with voxels `factor` times as large: means of fields, the middle one of cells and traits."""
        if factor == 1:
            return self
        middle = np.s_[factor // 2 :: factor]
        thinned = (middle, middle, middle)
        return replace(
            self,
            tissue=np.ascontiguousarray(self.tissue[thinned]),
            immune=np.ascontiguousarray(self.immune[thinned]),
            read=lambda name: (
                np.ascontiguousarray(self.values(name)[thinned])
                if name in self.traits
                else block_mean(self.values(name), factor)
            ),
            clones=self.clones and (lambda: self.shown_clones().at(thinned)),
            velocity=self.velocity
            and (lambda: np.stack([block_mean(component, factor) for component in self.shown_velocity()])),
            spacing=self.spacing * factor,
            thinned=True,
            _fields={},
        )


def block_mean(values: np.ndarray, factor: int) -> np.ndarray:
    """Means over blocks of `factor` voxels along each axis; a rest that does not reach its middle voxel is left out."""
    whole = [(n + (factor + 1) // 2 - 1) // factor for n in values.shape]
    padding = [(0, max(0, w * factor - n)) for w, n in zip(whole, values.shape, strict=True)]
    padded = np.pad(values, padding, mode="edge")[tuple(slice(w * factor) for w in whole)]
    split = [part for w in whole for part in (w, factor)]
    means: np.ndarray = padded.reshape(split).mean(axis=(1, 3, 5), dtype=np.float32)
    return means


def snapshots_at(result: Result, at: str, field: str | None = None) -> list[int]:
    """Numbers of the snapshots nearest to some times, each once, such as "3 day" or "start, peak, end"; or of all.

    The peak is that of a field (as in `Moment.values`, by default the first of `Moment.field_names`) summed over the
    tumour's cells: it is high where both are there. Raises `ResultError`.
    """
    named = {
        "start": lambda: 0,
        "peak": lambda: _peak(result, field),
        "end": lambda: len(result.times) - 1,
    }
    if at.strip() == "all":
        return list(range(len(result.times)))
    times = [text.strip() for text in at.split(",")]
    found = [named[text]() if text in named else _nearest(result, text) for text in times]
    return list(dict.fromkeys(found))


def some_of(count: int, most: int) -> list[int]:
    """Numbers below `count` from the first to the last, evenly spread, `most` of them at most."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(most, count))})


def _peak(result: Result, field: str | None) -> int:
    def in_tumour(snapshot: int) -> float:
        moment = moment_of_result(result, snapshot)
        values = moment.values(field or moment.field_names[0])
        return float(values[moment.cells(moment.tumour_states)].sum(dtype=np.float64))

    return max(some_of(len(result.times), LOOKED_AT), key=in_tumour)


def _nearest(result: Result, at: str) -> int:
    try:
        wanted = number(at, "min")
    except UnitError as error:
        raise ResultError(f"at: {at!r} {error}; expected a time, or start, peak, end, all") from None
    last = float(result.times[-1])
    if not 0 <= wanted <= last * (1 + 1e-9):
        raise ResultError(f"at: {at}: the result ends at {duration(last)}")
    found = int(np.abs(result.times - wanted).argmin())
    if not np.isclose(wanted, result.times[found], atol=1e-6):
        warnings.warn(f"at {at}: the nearest snapshot is of {duration(float(result.times[found]))}", stacklevel=2)
    return found


def moment_of_result(result: Result, snapshot: int = -1) -> Moment:
    """One snapshot of a result, at the site that it was opened for."""
    return Moment(
        document=result.document,
        tissue=result.array("tissue", snapshot),
        immune=result.array("immune", snapshot),
        read=lambda name: result.array(name, snapshot),
        states=result.state_names,
        spacing=result.spacing,
        minutes=float(result.times[snapshot]),
        traits=result.trait_names,
        clones=(lambda: _clones(result, snapshot)) if layout.records_clones(result.document) else None,
        velocity=(lambda: result.velocity(snapshot)) if result.document.flow is not None else None,
        title=_title(result.scenario, result.site),
    )


@lru_cache(maxsize=4)
def _ancestry(result: Result) -> tuple[np.ndarray, Sequence[int]]:
    """What clones of a result are shown as, and these by their size."""
    found = Ancestry.of(result)
    into = found.gathered(found.large(LEAST_CLONE))
    return into, found.ranked(into)


def _clones(result: Result, snapshot: int) -> Clones:
    into, ranked = _ancestry(result)
    numbers = into[result.clone_numbers(snapshot)]
    cells = np.bincount(numbers[numbers > 0], minlength=len(into))
    return Clones(numbers, cells, ranked)


def moment_of_simulation(simulation: Replicate, site: str | None = None) -> Moment:
    """The present state of one site of a simulation, or of one of its replicates; by default the first site."""
    here = simulation.site if site is None else simulation.sites[site]
    return Moment(
        document=simulation.scenario.site(here.name).document,
        tissue=here.tissue,
        immune=here.immune,
        read=here.array,
        states=list(here.model.states.names),
        spacing=here.model.spacing,
        minutes=simulation.minutes,
        traits=here.model.traits.names,
        velocity=(lambda: simulation.velocity(here.name)) if simulation.scenario.document.flow is not None else None,
        title=_title(simulation.scenario, here.name),
    )


def _title(scenario: Scenario, site: str) -> str:
    return scenario.document.name + (f", {site}" if len(scenario.sites) > 1 else "")
