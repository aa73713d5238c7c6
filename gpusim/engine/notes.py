"""What is noted of a time step on the backend, and fetched later: a device is waited for once for many time steps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gpusim.backends.base import Backend
from gpusim.backends.groups import Array
from gpusim.body import Circulation
from gpusim.engine.stack import Stack, Tallied
from gpusim.model.tables import EGRESS_PARTS

_NO_FAULT = 2**64 - 1


@dataclass(frozen=True)
class FieldSums:
    """Exact sums of some fields or traits: `whole` + `fraction` / 2^32, uint64 [F]; `fault`: lowest bad voxel.

    The latter is 2^64 - 1 where there is none.
    """

    whole: np.ndarray
    fraction: np.ndarray
    fault: np.ndarray

    def bad(self, number: int) -> int | None:
        """The lowest voxel where a field has gone wrong."""
        return None if self.fault[number] == _NO_FAULT else int(self.fault[number])

    def total(self, number: int) -> float:
        """The sum of one, exact to 2^-32."""
        return float(self.whole[number]) + float(self.fraction[number]) * 2.0**-32


@dataclass(frozen=True)
class Numbers:
    """What has been fetched of a note, of one stack and replicate."""

    tallied: Tallied
    fields: FieldSums
    traits: FieldSums


class Note:
    """What was noted after a time step.

    Attributes:
        steps: taken until then.
        placed: by replicate and stack, int64 [states], see `Site.placed`.
        values: float64 [quantities, R], what bodies held; numbers: by stack and replicate; empty until it is fetched.
    """

    def __init__(self, steps: int, placed: list[list[np.ndarray]]) -> None:
        self.steps, self.placed = steps, placed
        self.values: np.ndarray | None = None
        self.numbers: list[list[Numbers]] = []


class _Room:
    """Room for the notes of one stack on the backend."""

    def __init__(self, stack: Stack, quantities: int, count: int) -> None:
        self._stack, backend = stack, stack.backend
        state, replicates, tally = stack.state, len(stack.models), stack.state.tally
        self._counts = [tally.fired, tally.barred, tally.taken, tally.left, tally.flowed, tally.carried]
        self._shapes = [tuple(each.shape[:-1]) for each in self._counts]
        rows = sum(int(np.prod(shape)) for shape in self._shapes)
        self._noted = backend.array(np.zeros((count, rows, replicates), np.uint64))
        self._values = backend.array(np.zeros((count, quantities, replicates)))
        self._columns = state.fields.shape[0], state.traits.shape[0]
        unset = np.zeros((count, replicates, 3, sum(self._columns)), np.uint64)
        unset[:, :, 2] = _NO_FAULT
        self._unset = unset
        self._sums = backend.array(unset)
        # Parts of arrays, which launches know again.
        self._parts = [
            (self._noted[i], self._values[i], [self._of(i, replicate) for replicate in range(replicates)])
            for i in range(count)
        ]

    def _of(self, note: int, replicate: int) -> list[tuple[Array, Array, Array]]:
        """Where the sums of fields and those of traits go."""
        fields, whole = self._columns[0], self._sums[note][replicate]
        ends = (slice(None, fields), slice(fields, None))
        return [(whole[0][part], whole[1][part], whole[2][part]) for part in ends]

    def take(self, number: int, quantities: Array) -> None:
        """Note the present numbers."""
        stack, launch = self._stack, self._stack.backend.launch
        noted, values, sums = self._parts[number]
        if number == 0:
            stack.backend.write(self._sums, self._unset)
        for replicate, of_kinds in enumerate(sums):
            arrays = (stack.state.fields, stack.state.traits)
            for array, (whole, fraction, fault) in zip(arrays, of_kinds, strict=True):
                if array.shape[0]:
                    given = {"whole": whole, "fraction": fraction, "fault": fault}
                    launch("sum_fields", fields=array, replicate=replicate, **given)
        given = {"values": quantities, "noted": noted, "noted_values": values}
        launch("note_tally", stack.state.tally, **given)

    def arrays(self, count: int) -> list[Array]:
        """What is to be fetched of so many notes."""
        return [self._noted[:count], self._values[:count], self._sums[:count]]

    def numbers(self, noted: np.ndarray, sums: np.ndarray) -> list[Numbers]:
        """Of each replicate, from what was fetched of a note."""
        model, fields = self._stack.models[0], self._columns[0]
        rules, walls = len(model.cells.rules), len(model.exchange.walls)
        ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes])[:-1]
        found = []
        for replicate, of_replicate in enumerate(sums):
            parts = np.split(noted[:, replicate].view(np.int64), ends)
            fired, barred, taken, left, flowed, carried = (
                part.reshape(shape) for part, shape in zip(parts, self._shapes, strict=True)
            )
            crossed = flowed[:, :walls].reshape(2 * walls)
            parted = carried.reshape(EGRESS_PARTS * len(model.cells.egresses))
            tallied = Tallied(fired[:rules], barred[:rules], taken, left, crossed, parted)
            found.append(Numbers(tallied, FieldSums(*of_replicate[:, :fields]), FieldSums(*of_replicate[:, fields:])))
        return found


class Notes:
    """Takes notes of the states of some stacks and of their bodies.

    Args:
        stacks: in the order of their names.
    """

    def __init__(self, stacks: Sequence[Stack], circulation: Circulation, backend: Backend) -> None:
        self._backend, self._circulation = backend, circulation
        self._stacks, self._rooms = list(stacks), list[_Room]()
        self._waiting: list[Note] = []

    def take(self, steps: int, placed: list[list[np.ndarray]]) -> Note:
        """Note the present state, in which so many steps are taken and cells placed; nothing is waited for."""
        values = self._circulation.on_backend
        if not self._rooms:
            self._rooms = [_Room(stack, values.shape[0], self._backend.rows_at_once) for stack in self._stacks]
        note = Note(steps, placed)
        for room in self._rooms:
            room.take(len(self._waiting), values)
        self._waiting.append(note)
        if len(self._waiting) == self._backend.rows_at_once:
            self.fetch()
        return note

    def fetch(self) -> None:
        """Complete all notes; a device is waited for once. Raises `NumericalError` where a body ran away."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        arrays = [array for room in self._rooms for array in room.arrays(len(waiting))]
        circulation = self._circulation
        *fetched, values, failed = self._backend.fetch([*arrays, circulation.on_backend, circulation.failed])
        circulation.require_followed(values, failed)
        for i, note in enumerate(waiting):
            note.values = fetched[1][i]
            for number, room in enumerate(self._rooms):
                noted, _, sums = fetched[3 * number : 3 * number + 3]
                note.numbers.append(room.numbers(noted[i], sums[i]))
