"""The table of modulators: what rates depend on, and by which factor."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import assert_never

import numpy as np

from gpusim import units
from gpusim.model.model import States
from gpusim.model.tables import (
    FACE,
    HILL_POWERS,
    MODULATOR,
    NEIGHBOURHOOD,
    NEIGHBOURHOODS,
    RIGID,
    TRACE,
    Boundary,
    Shape,
    Source,
    fixed,
    response,
    state_set,
)
from gpusim.model.tables import members as membership
from gpusim.scenario import Document
from gpusim.scenario.checks import state_names
from gpusim.scenario.limits import LARGEST
from gpusim.scenario.schema import SIDES, Modulator, Signal, Trait

RAMP = 0.1
"""Width of a threshold on the own concentration, as a part of it. A step has no steady state where the concentration
falls below it while the rate acts, and rises above it while it does not."""

_COSTS = {
    Source.NOTHING: 0,
    Source.CONTACT: 0,
    Source.BODY: 1,
    Source.TRAIT: 2,
    Source.ROOM: 2,
    Source.FIELD: 2,
    Source.NEIGHBOURS: 3,
}


def numbered(document: Document) -> list[str]:
    """Traits in the order of their numbers: those of tissue cells first."""
    tissue, _ = state_names(document)
    return sorted(document.traits, key=lambda name: document.traits[name].of[0] not in tissue)


def greatest(trait: Trait, volume: float) -> float:
    """Greatest value of a trait, in its unit."""
    return LARGEST if trait.most is None else units.number(trait.most, trait.unit, volume)


def modulator_rows(modulator: Modulator, document: Document, states: States | None, volume: float) -> list[np.ndarray]:
    """Rows of the table of modulators, several of a joint response; `states` is None if only the body counts."""
    if not modulator.signals:
        return [_row_of_one(modulator, document, states, volume)]
    end = np.zeros((), MODULATOR)
    end["source"], end["shape"] = Source.NOTHING, Shape.JOINT
    low = 1.0 if modulator.increases is None else 0.0
    end["low"] = modulator.at_zero if modulator.at_zero is not None else low
    end["high"] = modulator.at_saturation if modulator.at_saturation is not None else 1.0
    end["offset"] = modulator.at_inhibition if modulator.at_inhibition is not None else 0.0
    if modulator.increases is None:
        end["high"] = end["low"]
    rows = []
    for shape, signals in ((Shape.INCREASES, modulator.increases), (Shape.DECREASES, modulator.decreases)):
        for signal in signals or ():
            row, value = _argument(signal, document, states, volume)
            row["shape"], row["power"], row["scale"] = shape, fixed(signal.power), 1.0 / value(signal.half)
            row["low"] = row["high"] = 1.0
            rows.append(row)
    return [*rows, end]


def _argument(
    argument: Modulator | Signal, document: Document, states: States | None, volume: float
) -> tuple[np.ndarray, Callable[[float | str], float]]:
    """A row with what is looked at, and the number that a quantity in its unit stands for."""
    row = np.zeros((), MODULATOR)
    unit = "dimensionless"
    if argument.field is not None:
        unit = document.fields[argument.field].unit
        row["source"], row["index"] = Source.FIELD, list(document.fields).index(argument.field)
    elif argument.body is not None:
        unit = document.body.quantities[argument.body].unit
        row["source"], row["index"] = Source.BODY, list(document.body.quantities).index(argument.body)
    elif argument.trait is not None:
        unit = document.traits[argument.trait].unit
        row["source"], row["index"] = Source.TRAIT, numbered(document).index(argument.trait)
    elif argument.room is not None:
        unit = "um"
        row["source"] = Source.ROOM
    else:
        assert states is not None
        row["source"] = Source.CONTACT if argument.contact is not None else Source.NEIGHBOURS
        named = argument.neighbours or argument.contact or argument.connected or ()
        row["states"] = state_set([states.number(s) for s in named])

    def value(given: float | str) -> float:
        number = units.number(given, unit, volume)
        return round(number * FACE / volume ** (1 / 3), 6) if argument.room else number  # a threshold may be a room

    return row, value


def _row_of_one(modulator: Modulator, document: Document, states: States | None, volume: float) -> np.ndarray:
    row, value = _argument(modulator, document, states, volume)
    row["power"] = 1
    turned = modulator.effect == "inhibits" or modulator.below is not None
    low = modulator.at_zero if modulator.at_zero is not None else float(turned)
    high = modulator.at_saturation if modulator.at_saturation is not None else float(not turned)
    row["low"], row["high"] = low, high
    if modulator.half is not None:
        table = modulator.power in HILL_POWERS
        row["shape"], row["scale"] = Shape.HILL if table else Shape.POWER, 1.0 / value(modulator.half)
        row["power"] = modulator.power if table else fixed(modulator.power)
    elif modulator.above is not None or modulator.below is not None:
        threshold = modulator.above if modulator.above is not None else modulator.below
        assert threshold is not None
        row["shape"], row["scale"] = Shape.STEP, value(threshold)
    elif modulator.per is None and (modulator.at_zero is not None or modulator.at_saturation is not None):
        # A contact or count without a shape, but with ends: there, or not.
        row["shape"], row["scale"] = Shape.STEP, 1.0
    else:
        row["shape"], row["scale"] = Shape.LINEAR, 1.0 / (value(modulator.per) if modulator.per is not None else 1.0)
    return row


def highest(modulator: Modulator, row: np.ndarray, states: States, document: Document, volume: float) -> np.ndarray:
    """The most that a row of a modulator multiplies by: float64 [states], by that of the cell beside.

    inf where it has no bound.
    """
    if row["shape"] >= Shape.INCREASES:
        return np.full(len(states.names), max(float(row["low"]), float(row["high"]), float(row["offset"])))
    held = membership(row["states"])[: len(states.names)] > 0
    if row["source"] == Source.CONTACT:
        return np.maximum(response(row, held.astype(float)), 0.0)
    match Shape(int(row["shape"])):
        case Shape.HILL | Shape.POWER | Shape.STEP | Shape.RAMP:
            most = max(float(row["low"]), float(row["high"]), 0.0)
        case Shape.LINEAR if modulator.connected is not None:
            most = 1.0
        case Shape.LINEAR if row["source"] == Source.NEIGHBOURS:
            # A voxel around has a cell in each layer.
            layers = int(held[: states.none].any()) + int(held[states.none :].any())
            most = layers * modulator.neighbourhood * float(row["scale"])
        case Shape.LINEAR if modulator.trait is not None:
            most = greatest(document.traits[modulator.trait], volume) * float(row["scale"])
        case Shape.LINEAR:
            most = RIGID * float(row["scale"]) if row["source"] == Source.ROOM else math.inf
        case Shape.INCREASES | Shape.DECREASES | Shape.JOINT:
            raise AssertionError("above")
        case never:
            assert_never(never)
    return np.full(len(states.names), most)


def together(highest: Sequence[np.ndarray] | np.ndarray, states: int) -> np.ndarray:
    """The most that modulators multiply by, float64 [states] by that of the cell beside; 0 where one of them bars."""
    factors = np.reshape(highest, (-1, states))
    barred = (factors == 0).any(axis=0)
    return np.where(barred, 0.0, np.where(barred, 1.0, factors).prod(axis=0))


class Modulators:
    """Gathers the rows that rules, motility and exchange point into, and the neighbours that must be counted."""

    def __init__(self, document: Document, states: States, volume: float) -> None:
        self._document, self._states, self._volume = document, states, volume
        self._rows: list[np.ndarray] = []
        self._highest: list[np.ndarray] = []
        self._neighbourhoods: dict[tuple[bytes, int, bytes, int], int] = {}

    def add(self, modulators: Iterable[Modulator]) -> tuple[int, int]:
        """First and end of the rows of some modulators, the cheapest to look at first; a 0 ends the product."""
        found = [(m, self._rows_of(m)) for m in modulators]
        first = len(self._rows)
        for modulator, rows in sorted(found, key=lambda pair: sum(_COSTS[Source(int(r["source"]))] for r in pair[1])):
            for row in rows:
                self._rows.append(row)
                self._highest.append(highest(modulator, row, self._states, self._document, self._volume))
        return first, len(self._rows)

    def add_own(self, modulators: Iterable[Modulator], *, falls: bool) -> tuple[int, int, int]:
        """The same of modulators that look at the field whose rate they modulate: thresholds become ramps.

        First come those that feed what they look at; then, from the second number on, those that hold it back: their
        factor falls with the concentration where `falls`, as of a secretion, else it rises, as of a loss.
        """
        rows: dict[bool, list[Modulator]] = {False: [], True: []}
        for modulator in modulators:
            row = _row_of_one(modulator, self._document, self._states, self._volume)
            rise = math.inf if row["shape"] == Shape.LINEAR else float(row["high"]) - float(row["low"])
            rows[rise <= 0 if falls else rise >= 0].append(modulator)
        first, holding = self.add(rows[False])
        _, end = self.add(rows[True])
        for row in self._rows[first:end]:
            # Below a trace there are no concentrations that could cross a threshold.
            if row["shape"] == Shape.STEP and row["scale"] > TRACE:
                threshold = float(row["scale"])
                row["shape"] = Shape.RAMP
                row["scale"] = 1.0 / (RAMP * threshold)
                row["offset"] = (1.0 - RAMP / 2) * threshold
        return first, holding, end

    def add_difference(self, field: int, start: float, end: float) -> tuple[int, int]:
        """First and end of the row of a factor that rises from 0, where a field is `start`, to |end - start| at `end`.

        It is 0 on the other side of `start`, and does not rise beyond `end`.
        """
        row, (low, high) = np.zeros((), MODULATOR), sorted((start, end))
        row["source"], row["index"], row["shape"], row["power"] = Source.FIELD, field, Shape.RAMP, 1
        row["scale"], row["offset"] = 1.0 / (high - low), low
        row["low" if start > end else "high"] = high - low
        self._rows.append(row)
        self._highest.append(np.full(len(self._states.names), high - low))
        return len(self._rows) - 1, len(self._rows)

    def _rows_of(self, modulator: Modulator) -> list[np.ndarray]:
        rows = modulator_rows(modulator, self._document, self._states, self._volume)
        for argument, row in zip(modulator.arguments, rows, strict=False):
            if argument.neighbours is not None:
                key = (row["states"].tobytes(), NEIGHBOURHOODS[argument.neighbourhood], state_set([]).tobytes(), 0)
                row["index"] = self._neighbourhoods.setdefault(key, len(self._neighbourhoods))
            elif argument.connected is not None:
                ends = state_set([self._states.number(s) for s in argument.to or () if s not in SIDES]).tobytes()
                sides = sum(Boundary.FIRST_OPEN << SIDES.index(s) for s in argument.to or () if s in SIDES)
                key = (row["states"].tobytes(), 0, ends, sides)
                row["index"] = self._neighbourhoods.setdefault(key, len(self._neighbourhoods))
        return rows

    @property
    def table(self) -> np.ndarray:
        """All rows so far, of `tables.MODULATOR`."""
        return np.array(self._rows, MODULATOR)

    @property
    def highest(self) -> np.ndarray:
        """The most that each row multiplies by, float64 [rows, states]; see `highest`."""
        return np.reshape(self._highest, (-1, len(self._states.names)))

    @property
    def neighbourhoods(self) -> np.ndarray:
        """The neighbours that they look at, of `tables.NEIGHBOURHOOD`."""
        rows = [
            (np.frombuffer(states, np.uint32), reach, np.frombuffer(ends, np.uint32), sides)
            for states, reach, ends, sides in self._neighbourhoods
        ]
        return np.array(rows, NEIGHBOURHOOD)
