"""What cells, vessels and other fields do to a concentration: its production p and its loss k, as in p - k c."""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from gpusim import units
from gpusim.errors import ScenarioError
from gpusim.model.conversion import concentration
from gpusim.model.flow import Source, highest_pressure, sources, speed
from gpusim.model.model import Exchange, States
from gpusim.model.modulators import Modulators, together
from gpusim.model.tables import EFFECT, WALL, EffectKind, Shape, begins, response, slots
from gpusim.scenario import Document
from gpusim.scenario.checks import secretion_units
from gpusim.scenario.schema import Exchange as Wall
from gpusim.scenario.schema import Modulator

_OWN = np.concatenate([[0.0], np.geomspace(1e-12, 1e12, 4801)])
"""Concentrations, in the scale of a modulator, at which a dependence on the own field is looked at."""


class ExchangeTables:
    """Gathers plain rates by the cells of a voxel, and those with modulators as effects of states."""

    def __init__(self, document: Document, states: States, volume: float, modulators: Modulators) -> None:
        self._document, self._states, self._volume = document, states, volume
        self._modulators = modulators
        self._names = list(document.fields)
        shape = (len(self._names), len(states.tissue), len(states.immune))
        self._production, self._loss = np.zeros(shape), np.zeros(shape)
        self._effects: list[list[list[tuple[int | float, ...]]]] = [[[] for _ in states.names] for _ in self._names]
        self._feeding: list[list[list[int]]] = [[[] for _ in states.names] for _ in self._names]
        self._by_fluid: list[list[list[bool]]] = [[[] for _ in states.names] for _ in self._names]
        self._walls: dict[tuple[int, int, float, int, bool], int] = {}

    def build(self) -> Exchange:
        """All tables."""
        for field, spec in self._document.fields.items():
            self._loss[self._names.index(field)] += units.number(spec.decay, "1/min")
            for loss in spec.clearance.values():  # by the tissue's states: each voxel has one
                self._lose(field, self._states.tissue, units.number(loss.rate, "1/min"), loss.modulators)
        for name, state in self._document.states.items():
            for field, secretion in state.secretion.items():
                unit = secretion_units(self._document.fields[field].unit)
                rate = concentration(secretion.rate, unit, self._volume)
                self._secrete(field, name, rate, secretion.modulators)
            for field, uptake in state.uptake.items():
                self._lose(field, [name], units.number(uptake.rate, "1/min"), uptake.modulators)
            for field, wall in state.exchange.items():
                permeability = units.number(wall.permeability, "1/min")
                if wall.blood is not None:
                    blood = units.number(wall.blood, self._document.fields[field].unit, self._volume)
                    self._lose(field, [name], permeability, wall.modulators)
                    self._secrete(field, name, permeability * blood, wall.modulators)
                else:
                    number = self._wall(field, wall)
                    self._add(field, [name], EffectKind.WALL, permeability, wall.modulators, number)
        self._exchange_fluid()
        return self._gathered()

    def _exchange_fluid(self) -> None:
        """What vessels and lymphatics give to the pressure, and what the fluid brings and takes of other fields."""
        flow, most = self._document.flow, highest_pressure(self._document)
        if flow is None:
            return
        for source in sources(self._document):
            self._production[self._cells(flow.field, source.state)] += source.conductance * source.pressure
            self._lose(flow.field, [source.state], source.conductance, ())
            state = self._document.states.get(source.state)
            for field, spec in self._document.fields.items():
                wall = state.exchange.get(field) if state is not None else None
                taken = source.conductance * speed(spec.advection)
                if source.drains:
                    self._by_pressure(field, source, most, EffectKind.LOSS, taken)
                elif wall is not None and wall.reflection is not None:
                    taken *= 1 - wall.reflection
                    brought = (1 - wall.reflection) * source.conductance
                    if wall.blood is not None:
                        brought *= units.number(wall.blood, spec.unit, self._volume)
                        self._by_pressure(field, source, 0.0, EffectKind.SECRETION, brought)
                        self._by_pressure(field, source, most, EffectKind.LOSS, taken)
                    else:
                        entrance = self._wall(field, wall, returns=False, by_fluid=True)
                        exit = self._wall(field, wall, enters=False, by_fluid=True)
                        self._by_pressure(field, source, 0.0, EffectKind.WALL, brought, entrance)
                        self._by_pressure(field, source, most, EffectKind.WALL, taken, exit)

    def _by_pressure(
        self, field: str, source: Source, end: float, kind: EffectKind, rate: float, wall: int = -1
    ) -> None:
        """An effect in proportion to the difference from the pressure of a source, on the side of `end` alone."""
        flow = self._document.flow
        assert flow is not None, "asked for by a flow"
        if rate and source.pressure != end:
            first, last = self._modulators.add_difference(self._names.index(flow.field), source.pressure, end)
            at = self._names.index(field), self._states.number(source.state)
            self._effects[at[0]][at[1]].append((kind, rate, first, last, last, False, wall))
            self._feeding[at[0]][at[1]].append(0)
            self._by_fluid[at[0]][at[1]].append(True)

    def _secrete(self, field: str, state: str, rate: float, modulators: Sequence[Modulator]) -> None:
        if modulators:
            self._add(field, [state], EffectKind.SECRETION, rate, modulators)
        else:
            self._production[self._cells(field, state)] += rate

    def _lose(self, field: str, states: Iterable[str], rate: float, modulators: Sequence[Modulator]) -> None:
        if modulators:
            self._add(field, states, EffectKind.LOSS, rate, modulators)
        else:
            for state in states:
                self._loss[self._cells(field, state)] += rate

    def _cells(self, field: str, state: str) -> tuple[int, int | slice, int | slice]:
        """Entries [field, tissue state, immune state] of a voxel with a cell of the state."""
        f, states = self._names.index(field), self._states
        if state in states.tissue:
            return f, states.tissue.index(state), slice(None)
        return f, slice(None), states.immune.index(state)

    def _wall(self, field: str, wall: Wall, enters: bool = True, returns: bool = True, by_fluid: bool = False) -> int:
        """The number of a wall to the body, through which a solute enters a voxel, returns from it, or both."""
        quantities, quantity = self._document.body.quantities, wall.body or ""
        diluted = f"1 {quantities[quantity].unit} / ({wall.volume})"
        dilution = units.number(diluted, self._document.fields[field].unit, self._volume) if enters else 0.0
        key = (self._names.index(field), list(quantities).index(quantity), dilution, int(returns), by_fluid)
        return self._walls.setdefault(key, len(self._walls))

    def _add(
        self,
        field: str,
        states: Iterable[str],
        kind: EffectKind,
        rate: float,
        modulators: Sequence[Modulator],
        wall: int = -1,
    ) -> None:
        first, end = self._modulators.add(m for m in modulators if m.field != field)
        own = [m for m in modulators if m.field == field]
        if any(signal.field == field for m in modulators for signal in m.signals):
            raise ScenarioError(
                f"states.{', '.join(states)}: a joint response of '{field}' can't depend on '{field}' itself; expected "
                "modulators of one argument each"
            )
        if kind == EffectKind.WALL and any(m.above is not None or m.below is not None for m in own):
            raise ScenarioError(
                f"states.{', '.join(states)}.exchange.{field}: a wall to the body can't open or close at a threshold "
                f"of '{field}' itself, about which it would go to and fro; expected 'half' in place of 'above' or "
                "'below'"
            )
        _, holding, end_own = self._modulators.add_own(own, falls=kind == EffectKind.SECRETION)
        # What goes through a wall is counted from a concentration that its permeability is not solved with.
        settles = kind != EffectKind.WALL and holding < end_own
        feeding = holding - end if settles else 0
        for state in states:
            at = self._names.index(field), self._states.number(state)
            self._effects[at[0]][at[1]].append((kind, rate, first, end, end_own, settles, wall))
            self._feeding[at[0]][at[1]].append(feeding)
            self._by_fluid[at[0]][at[1]].append(False)

    def _gathered(self) -> Exchange:
        mapped = [f for f, by_state in enumerate(self._effects) if any(by_state)]
        by_slot_and_state = [rows for f in mapped for rows in self._effects[f]]
        effects = np.array([row for rows in by_slot_and_state for row in rows], EFFECT)
        begin = begins(by_slot_and_state)
        feeding = np.array([n for f in mapped for counts in self._feeding[f] for n in counts], np.int32)
        by_fluid = np.array([each for f in mapped for of_state in self._by_fluid[f] for each in of_state], bool)
        own = np.zeros(len(self._names), bool)
        most, steepest = self._loss.copy(), self._loss.copy()
        table, highest = self._modulators.table, self._modulators.highest
        for f in mapped:
            for state, rows in enumerate(self._effects[f]):
                found = np.array(rows, EFFECT)
                own[f] |= bool((found["end_own"] > found["end_modulator"]).any())
                bounds = [
                    self._bounds(row, n, table, highest) for row, n in zip(found, self._feeding[f][state], strict=True)
                ]
                at = self._cells(self._names[f], self._states.names[state])
                most[at] += sum(loss for loss, _ in bounds)
                steepest[at] += sum(slope for _, slope in bounds)
        held = self._held()
        most[~np.isnan(held)] = steepest[~np.isnan(held)] = np.inf
        return Exchange(
            production=self._production,
            loss=self._loss,
            highest_loss=most,
            steepest=steepest,
            held=held,
            slots=slots(mapped, len(self._names)),
            own=own,
            effects=effects,
            feeding=feeding,
            begin=begin,
            walls=np.array([key[:-1] for key in self._walls], WALL),
            by_fluid=by_fluid if by_fluid.any() else None,
            walls_of_fluid=np.array([key[-1] for key in self._walls], bool) if by_fluid.any() else None,
        )

    def _held(self) -> np.ndarray:
        """Concentrations that tissue states hold, float64 [F, tissue states], NaN elsewhere."""
        held = np.full(self._loss.shape[:2], np.nan)
        for f, spec in enumerate(self._document.fields.values()):
            for state, value in spec.holds.items():
                held[f, self._states.tissue.index(state)] = units.number(value, spec.unit, self._volume)
        return held

    def _bounds(self, effect: np.void, feeding: int, table: np.ndarray, highest: np.ndarray) -> tuple[float, float]:
        """The highest loss of an effect, 1/min, and the steepest fall of p - k c with c; infinite where unbounded."""
        others = highest[effect["first_modulator"] : effect["end_modulator"]]
        most = float(effect["rate"]) * float(together(others, len(self._states.names)).max())
        rows = table[effect["end_modulator"] : effect["end_own"]]
        wall = list(self._walls)[effect["wall"]] if effect["kind"] == EffectKind.WALL else None
        loses = effect["kind"] != EffectKind.SECRETION if wall is None else bool(wall[3])
        if not len(rows):
            return (most, most) if loses else (0.0, 0.0)
        if any(row["shape"] == Shape.LINEAR for row in (rows if loses else rows[:feeding])):
            return math.inf, math.inf
        c = _concentrations(rows)
        fed, held = _product(rows[:feeding], c), _product(rows[feeding:], c)
        # Together, and with the feeding ones as they were before, at their highest.
        slopes = [
            float(np.max(np.diff(c * factor if loses else -factor) / np.diff(c)))
            for factor in (fed * held, fed.max() * held)
        ]
        slope = max(*slopes, 0.0)
        return (most * float((fed * held).max()) if loses else 0.0), most * slope if slope else 0.0


def _concentrations(rows: np.ndarray) -> np.ndarray:
    """Concentrations on the scale of some modulators of the own field, with their ramps."""
    c = _OWN / max(float(rows["scale"][0]), 1e-300)
    for row in rows:
        if row["shape"] == Shape.RAMP:
            edge = float(row["offset"]) + np.linspace(-0.1, 1.1, 121) / float(row["scale"])
            c = np.union1d(c, edge[edge >= 0])
    return c


def _product(rows: np.ndarray, c: np.ndarray) -> np.ndarray:
    """The factors of some modulators of the own field, multiplied, at some concentrations."""
    factor = np.ones(len(c))
    for row in rows:
        factor = factor * np.maximum(response(row, c), 0.0)
    return factor


def effects_by_state(exchange: Exchange, states: int) -> Iterator[tuple[int, int, np.void]]:
    """Field, state and row of each effect."""
    for field in np.flatnonzero(exchange.slots >= 0):
        slot = exchange.slots[field]
        for state in range(states):
            begin, end = exchange.begin[slot * states + state : slot * states + state + 2]
            for row in exchange.effects[begin:end]:
                yield int(field), state, row
