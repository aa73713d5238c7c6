"""Room: the distance of a voxel from the nearest voxel that can take a tissue cell, as divisions measure it."""

import functools

import numpy as np

from gpusim import backends, units
from gpusim.backends.groups import Ways
from gpusim.errors import ScenarioError
from gpusim.model import States
from gpusim.model.cells import boundary_of_cells
from gpusim.model.division import farthest_reach, room_within, ways_of_tissue
from gpusim.model.tables import FACE
from gpusim.scenario import Document
from gpusim.scenario.checks import NO_DIVISION, state_names


def room(document: Document, tissue: np.ndarray) -> np.ndarray:
    """Distance of each voxel from the nearest voxel that can take a tissue cell, um: float32 [z, y, x].

    It is measured from centre to centre across faces, edges and corners of voxels, in steps of 1, 1.4 and 1.7 voxels,
    as far as divisions reach: at most half a voxel farther than the farthest `reach`. Voxels beyond, and those of rigid
    cells, have a tenth of a voxel more than the largest room of a cell that can divide.

    Args:
        document: scenario of the site.
        tissue: states of the tissue layer, uint8 [z, y, x].

    Raises `ScenarioError` where no tissue cell divides.
    """
    spacing = units.number(document.grid.spacing, "um")
    return _tenths(document, tissue, spacing) * np.float32(spacing / FACE)


def within(document: Document, tissue: np.ndarray, distance: str | float) -> np.ndarray:
    """Voxels that have room within a distance, um where it has no unit, as within the reach of a division.

    Returns bool [z, y, x]. Raises `ScenarioError`.
    """
    spacing = units.number(document.grid.spacing, "um")
    most = min(room_within(units.number(distance, "um"), spacing), farthest_reach(document, spacing))
    near: np.ndarray = _tenths(document, tissue, spacing) <= most
    return near


def _tenths(document: Document, tissue: np.ndarray, spacing: float) -> np.ndarray:
    """Room in tenths of a voxel, uint16 [z, y, x]."""
    most = farthest_reach(document, spacing)
    if not most:
        raise ScenarioError(f"room {NO_DIVISION}")
    states = States(*map(tuple, state_names(document)))
    found = ways_of_tissue(document, states, spacing)
    machine, boundary = _machine(), boundary_of_cells(document.grid.sides)
    given = Ways(machine.array(found.yields), found.rounds, boundary, vacant=0)
    cells = machine.lattice(tissue[None])
    other = machine.lattice(np.full_like(tissue[None], states.none))
    source, target = (machine.lattice(np.zeros((1, *tissue.shape), np.uint16)) for _ in range(2))
    machine.launch("begin_room", given, cells=cells, other=other, room=source)
    machine.launch("spread_room", given, room=source, next=target, passes=2 * found.rounds)
    return np.minimum(machine.to_numpy(source)[0], np.uint16(most + 1))


@functools.cache
def _machine() -> backends.Backend:
    """A host, because cells may come from a result; its kernels where it can compile them."""
    return backends.create("cpu", 1) if backends.availability("cpu").available else backends.create("numpy")
