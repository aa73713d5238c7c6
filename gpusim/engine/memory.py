"""What a simulation takes."""

from collections.abc import Sequence

from gpusim import memory
from gpusim.backends import staging
from gpusim.backends.base import Backend
from gpusim.engine import state, transport
from gpusim.model import Model

COPY_PER_VOXEL = 24
COPY_PER_VOXEL_AND_NUMBER = 4
"""What counting and writing take on the host for a moment; a number is a field or a trait."""
COPY_PER_VOXEL_OF_CLONES = 40
"""What counting the cells of clones takes: the labels, those of cells, and these in order."""


def on_backend(model: Model) -> int:
    """Bytes that one replicate of a model takes on its backend."""
    return state.memory(model) + transport.memory(model)


def of_copies(model: Model) -> int:
    """Bytes that a model takes on the host while its state is counted and written, one replicate at a time."""
    of_numbers = COPY_PER_VOXEL_AND_NUMBER * (len(model.fields) + len(model.traits))
    return model.voxels * (COPY_PER_VOXEL + of_numbers + COPY_PER_VOXEL_OF_CLONES * len(model.clones))


def require(models: Sequence[Model], replicates: int, backend: Backend) -> None:
    """Raise `ScenarioError` where the replicates of all sites, each a model, do not fit into what is free."""
    needed, copies = replicates * sum(map(on_backend, models)), max(map(of_copies, models))
    model = max(models, key=lambda each: each.voxels)
    several = [f"{n} {what}" for n, what in ((len(models), "sites"), (replicates, "replicates")) if n > 1]
    what = f"for {' and '.join([f'{len(model.fields)} fields', *several])} on the {backend.name} backend"
    free = backend.free_memory()
    if free is None:
        memory.require(needed + copies, memory.available(), what, model.shape, model.spacing)
    else:
        memory.require(needed, free, what, model.shape, model.spacing)
        copies += staging.BYTES
        memory.require(copies, memory.available(), "on the host for writing", model.shape, model.spacing)
