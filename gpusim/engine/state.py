"""The arrays that a simulation steps."""

from dataclasses import dataclass

import numpy as np

from gpusim.backends.base import Array, Backend
from gpusim.model import Model

BYTES_PER_VOXEL = 8
"""Both cell layers: state, next state and clock; the `next` of the two layers is one."""
BYTES_PER_VOXEL_AND_FIELD = 8
"""A field and its second buffer."""


@dataclass
class State:
    """Arrays of the backend.

    Attributes:
        fields: float32 [F, z, y, x], and `spare`, its second buffer.
        tissue, immune: uint8 [z, y, x], cell states; `next` receives a layer's new states.
        tissue_clock, immune_clock: uint16 [z, y, x], rule steps in the present state.
        fired: uint64 [rules], firings since the start.
    """

    fields: Array
    spare: Array
    tissue: Array
    immune: Array
    next: Array
    tissue_clock: Array
    immune_clock: Array
    fired: Array

    @classmethod
    def start(cls, model: Model, backend: Backend) -> "State":
        """The state at time 0."""
        fields = np.empty((len(model.fields), *model.shape), np.float32)
        for f, value in enumerate(model.fields.initial):
            fields[f] = value
        clock = np.zeros(model.shape, np.uint16)
        return cls(
            fields=backend.array(fields),
            spare=backend.array(fields),
            tissue=backend.array(model.initial.tissue),
            immune=backend.array(model.initial.immune),
            next=backend.array(model.initial.tissue),
            tissue_clock=backend.array(clock),
            immune_clock=backend.array(clock),
            fired=backend.array(np.zeros(max(1, len(model.rules.names)), np.uint64)),
        )


def memory(model: Model) -> int:
    """Bytes that the state of the model takes on its backend."""
    return model.voxels * (BYTES_PER_VOXEL + BYTES_PER_VOXEL_AND_FIELD * len(model.fields))
