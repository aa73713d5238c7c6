"""The arrays that a simulation steps."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpusim.backends.base import Backend
from gpusim.backends.groups import Array, Births, CellLayer, FlowState, Tally
from gpusim.engine.traits import initial_clones, initial_traits
from gpusim.model import Model
from gpusim.model.tables import EGRESS_PARTS

BYTES_PER_VOXEL = 8
"""Both cell layers: state, next state and clock; the `next` of the two layers is one."""
BYTES_PER_VOXEL_OF_MOTION = 3
"""Bids, and the headings of one layer with mobile cells."""
BYTES_PER_VOXEL_AND_COUNT = 1
"""Counts of neighbours; and once more for what they are counted from."""
BYTES_PER_VOXEL_AND_FIELD = 8
"""A field and its second buffer."""


BYTES_PER_VOXEL_OF_ROOM = 4
"""Room and its second buffer."""
BYTES_PER_VOXEL_OF_DIVISION = 4
"""Bids; and a byte for each layer whose cells divide or close up, their claims."""
BYTES_PER_VOXEL_AND_TRAIT = 4
BYTES_PER_VOXEL_OF_CLONES = 12
"""Labels, and births; of each trait, a byte more."""
MOST_BORN = 4096
"""Clones whose births are noted in an application of the rules; a quarter of the voxels more."""
BYTES_PER_VOXEL_OF_FLOW = 1
"""The tissue that the pressure was solved for."""
BYTES_PER_VOXEL_OF_LABELS = 4
"""Of regions, for closing and for connections."""


_FILLED_ANEW = (
    "body",
    "births.born",
    "births.births",
    "births.newborn",
    "spare",
    "next",
    "bid",
    "counts",
    "members",
    "room",
    "spare_room",
    "bids",
    "labels",
)
_LAYERS = ("tissue.", "immune.", "flow.")
_NUMBERS = ("tally.",)
"""Begin, and end, with the replicate; of other arrays it is the second axis."""


@dataclass
class State:
    """Arrays of the backend, for the R replicates of a lattice.

    Attributes:
        fields: float32 [F, R, z, y, x], and `spare`, its second buffer.
        traits: float32 [traits, R, z, y, x], of the cells of both layers.
        tissue, immune: the two layers of cells; `next` (uint8 [R, z, y, x]) receives new states.
        bid: uint16 [R, z, y, x], of moves; of size 0 where nothing moves.
        room: uint16 [R, z, y, x], and `spare_room`, its second buffer; bids: uint32 [R, z, y, x], of divisions and
            closing; labels: uint32 [R, z, y, x], of closing and of connections; of size 0 where there is none.
        counts: uint8 [counts, R, z, y, x], of neighbours; `members`: uint8 [R, z, y, x], what is counted.
        tally: of each row of the tables of rules and of walls, since the start.
        births: of clones, in one application of the rules.
        flow: of fluid.
        body: float32 [quantities, R], means over the rule step, as cells and vessels see them.
    """

    fields: Array
    spare: Array
    traits: Array
    tissue: CellLayer
    immune: CellLayer
    next: Array
    bid: Array
    room: Array
    spare_room: Array
    bids: Array
    labels: Array
    counts: Array
    members: Array
    tally: Tally
    births: Births
    flow: FlowState
    body: Array

    def kept(self, replicate: int) -> dict[str, Array]:
        """What a later step reads of one replicate, by name; the buffers that every step fills anew are left out."""
        return {
            name: array[replicate]
            if name.startswith(_LAYERS)
            else array[..., replicate]
            if name.startswith(_NUMBERS)
            else array[:, replicate]
            for name, array in _arrays(self, "")
            if name not in _FILLED_ANEW and not (name.startswith("flow.") and not array.size)
        }

    @classmethod
    def start(cls, models: Sequence[Model], backend: Backend) -> "State":
        """The state of each replicate at time 0."""
        model, replicates = models[0], len(models)
        shape = replicates, *model.shape
        initial = [float(each) if each.ndim == 0 else 0.0 for each in model.fields.initial]
        uniform = np.array(initial, np.float32)[:, None, None, None, None]
        fields = np.broadcast_to(uniform, (len(model.fields), *shape))  # takes no memory on the host
        clock = np.zeros(shape, np.uint16)
        tissue = np.stack([each.initial.tissue for each in models])
        immune = np.stack([each.initial.immune for each in models])
        nothing = _zeros(shape, False, np.uint8, backend)
        capacity = capacity_of_births(model)
        of_traits = shape if len(model.traits) else (replicates, 0, 0, 0)

        def layer(cells: np.ndarray, vacant: int) -> CellLayer:
            traits = model.traits.of_layer(immune=vacant > 0)
            labels = _zeros(shape, bool(len(model.clones)) and model.clones.immune == (vacant > 0), np.uint64, backend)
            return CellLayer(backend.lattice(cells), backend.lattice(clock), nothing, nothing, labels, vacant, traits)

        def numbers(rows: int, dtype: type) -> Array:
            return backend.array(np.zeros((max(1, rows), replicates), dtype))

        found = cls(
            fields=backend.lattice(fields),
            spare=backend.lattice(fields),
            traits=backend.lattice(np.zeros((len(model.traits), *of_traits), np.float32)),
            tissue=layer(tissue, 0),
            immune=layer(immune, model.states.none),
            next=backend.lattice(tissue),
            bid=nothing,
            room=nothing,
            spare_room=nothing,
            bids=nothing,
            labels=nothing,
            counts=nothing,
            members=nothing,
            tally=Tally(
                numbers(len(model.cells.rules), np.uint64),
                numbers(len(model.cells.rules), np.uint64),
                numbers(len(model.states.names), np.uint64),
                backend.array(np.zeros((3, len(model.states.names), replicates), np.uint64)),
                backend.array(np.zeros((2, max(1, len(model.exchange.walls)), replicates), np.uint64)),
                backend.array(np.zeros((EGRESS_PARTS, len(model.cells.egresses), replicates), np.uint64)),
            ),
            births=Births(
                backend.array(np.zeros(replicates, np.uint64)),
                backend.array(np.zeros((replicates, capacity, 2), np.uint64)),
                backend.array(np.zeros((replicates, capacity, len(model.traits)), np.float32)),
            ),
            flow=FlowState(_zeros(shape, model.flow is not None, np.uint8, backend)),
            body=numbers(len(model.body.names), np.float32),
        )
        for (f, values), r in itertools.product(enumerate(model.fields.initial), range(replicates)):
            if values.ndim:
                backend.write(found.fields[f, r], values)
        for r, each in enumerate(models):
            for number, values in enumerate(initial_traits(each)):
                backend.write(found.traits[number, r], values)
        if len(model.clones):
            of_layer = found.immune if model.clones.immune else found.tissue
            backend.write(of_layer.clone, np.stack([initial_clones(each) for each in models]))
        found.fit(model, replicates, backend)
        return found

    def fit(self, model: Model, replicates: int, backend: Backend) -> None:
        """Have the arrays that depend on what the cells look at and on whether they move; new ones hold zeros."""
        shape, (tissue, immune) = (replicates, *model.shape), mobile(model)
        counts = len(model.cells.neighbourhoods)
        for layer, moves in ((self.tissue, tissue), (self.immune, immune)):
            if bool(layer.heading.size) != moves:
                layer.heading = _zeros(shape, moves, np.uint8, backend)
        for layer, claims in zip((self.tissue, self.immune), model.claims, strict=True):
            if bool(layer.claim.size) != claims:
                layer.claim = _zeros(shape, claims, np.uint8, backend)
        makes_room = model.looks_at_room or any(model.claims)
        self.room, self.spare_room = (_zeros(shape, makes_room, np.uint16, backend) for _ in range(2))
        self.bids = _zeros(shape, any(model.claims), np.uint32, backend)
        self.labels = _zeros(shape, _labels(model), np.uint32, backend)
        if self.bids.size:
            backend.write(self.bids, np.full(shape, 2**32 - 1, np.uint32))
        self.bid = _zeros(shape, tissue or immune, np.uint16, backend)
        if bool(self.flow.tissue.size) != (model.flow is not None):
            self.flow.tissue = _zeros(shape, model.flow is not None, np.uint8, backend)
        self.counts = backend.lattice(np.zeros((counts, *shape), np.uint8))
        self.members = _zeros(shape, counts > 0, np.uint8, backend)


def _zeros(shape: tuple[int, ...], wanted: bool, dtype: type, backend: Backend) -> Array:
    """Zeros [R, z, y, x], or none for each replicate."""
    return backend.lattice(np.zeros(shape if wanted else (shape[0], 0, 0, 0), dtype))


def capacity_of_births(model: Model) -> int:
    """Births that are noted in one application of the rules."""
    return MOST_BORN + model.voxels // 4 if len(model.clones) else 0


def _labels(model: Model) -> bool:
    """Whether regions are labelled."""
    return model.cells.closing is not None or model.cells.looks_at_connections


def _arrays(part: Any, prefix: str) -> Iterator[tuple[str, Array]]:
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if dataclasses.is_dataclass(value):
            yield from _arrays(value, f"{prefix}{field.name}.")
        elif hasattr(value, "dtype"):
            yield prefix + field.name, value


def mobile(model: Model) -> tuple[bool, bool]:
    """Whether cells of the tissue and of the immune layer can move."""
    moves = model.cells.motilities["hop"] > 0
    return bool(moves[: model.states.none].any()), bool(moves[model.states.none :].any())


def memory(model: Model) -> int:
    """Bytes that the state of one replicate of the model takes on its backend."""
    layers = sum(mobile(model))
    motion = BYTES_PER_VOXEL_OF_MOTION + (layers - 1) if layers else 0
    counts = len(model.cells.neighbourhoods)
    claims = sum(model.claims)
    dividing = BYTES_PER_VOXEL_OF_DIVISION + claims if claims else 0
    dividing += BYTES_PER_VOXEL_OF_ROOM if claims or model.looks_at_room else 0
    traits = BYTES_PER_VOXEL_AND_TRAIT * len(model.traits)
    traits += BYTES_PER_VOXEL_OF_CLONES + len(model.traits) if len(model.clones) else 0
    dividing += BYTES_PER_VOXEL_OF_LABELS * _labels(model)
    counting = BYTES_PER_VOXEL_AND_COUNT * (counts + 1) if counts else 0
    counting += BYTES_PER_VOXEL_OF_FLOW if model.flow is not None else 0
    return model.voxels * (
        BYTES_PER_VOXEL + motion + dividing + counting + traits + BYTES_PER_VOXEL_AND_FIELD * len(model.fields)
    )
