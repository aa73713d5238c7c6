"""NumPy twin of kernels/changes.cu: the same operations in the same order."""

import numpy as np

from gpusim.backends.groups import Diffusion
from gpusim.backends.numpy.lots import row_lots, sum_by_lot
from gpusim.backends.numpy.random import Draw
from gpusim.backends.numpy.slabs import slabs
from gpusim.backends.numpy.stencil import Level, Stencil
from gpusim.model.tables import TRACE

_ZERO, _ONE, _TRACE = np.float32(0), np.float32(1), np.float32(TRACE)


def begin_changes(active: np.ndarray, base: np.ndarray, fields: np.ndarray) -> None:
    """Put the concentration (float32 [F, z, y, x]) into `base` [z, y, x]; its change is 0."""
    for field in active:
        base[...] = fields[field]
        fields[field] = 0


def apply_changes(
    active: np.ndarray,
    map_slots: np.ndarray,
    base: np.ndarray,
    fields: np.ndarray,
    target: np.ndarray,
    second_map: np.ndarray,
) -> None:
    """Put the concentration to which changes lead into `target`, and that from which they start into the second map."""
    for field in active:
        value = base + fields[field]
        target[field] = np.where(value > 0, value, _ZERO)
        second_map[map_slots[field]] = base


def combine_changes(
    active: np.ndarray,
    coupling: np.ndarray,
    coupling_by: np.ndarray,
    boundary: np.ndarray,
    resistance: np.ndarray,
    far: np.ndarray,
    times: np.ndarray,
    walls: np.ndarray,
    map_slots: np.ndarray,
    tissue: np.ndarray,
    body: np.ndarray,
    base: np.ndarray,
    second_map: np.ndarray,
    permeable: np.ndarray,
    first_map: np.ndarray,
    rhs: np.ndarray,
) -> None:
    """Make the right-hand side of changes, and of the map of losses that of masses."""
    level = Level(Diffusion(coupling, coupling_by, boundary, resistance, far))
    shape: tuple[int, int, int] = tissue.shape
    for field in active:
        slot = map_slots[field]
        for first, end in slabs(shape):
            planes = slice(first, end)
            b, lost, gained = base[planes], first_map[slot, planes], second_map[slot, planes]
            rate, net = np.zeros_like(b), np.zeros_like(b)
            for w in np.flatnonzero(walls["field"] == field):
                through = times[field] * permeable[w, planes]
                blood = body[walls[w]["quantity"]] * walls[w]["dilution"]
                returns = walls[w]["returns"]
                rate, net = rate + through * returns, net + through * (blood - returns * b)
            stencil = Stencil(shape, level, field, first, end, states=tissue)
            border = stencil.border() or (_ZERO, _ZERO)
            exchanged = (gained - lost * b) + net
            entered = stencil.inflow(base) + (border[1] - border[0] * b)
            rhs[field, planes] = exchanged + entered
            first_map[slot, planes] = _ONE + (lost + rate)


def add_changes(
    active: np.ndarray,
    seeds: np.ndarray,
    base: np.ndarray,
    fields: np.ndarray,
    share: np.float32,
    last: int,
    number: int,
    step: int,
    purpose: int,
    origin: int,
) -> None:
    """Add a share of the change to `base`, by lot: the concentration after the last stage, else the next `base`."""
    shape: tuple[int, int, int] = base.shape
    for field in active:
        draw = Draw(int(seeds), number, purpose + 256 * int(field), origin)
        for first, end in slabs(shape):
            planes = slice(first, end)
            lots = row_lots(first, end, shape, number, step, draw)
            value = sum_by_lot(base[planes], share * fields[field, planes], lots)
            target = fields[field] if last else base
            target[planes] = np.where(value < _TRACE, _ZERO, value)
