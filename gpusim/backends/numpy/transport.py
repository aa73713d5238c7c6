"""NumPy twin of kernels/transport.cu: the same operations in the same order."""

import numpy as np

from gpusim.backends.groups import Diffusion
from gpusim.backends.numpy.lots import row_lots, sum_by_lot
from gpusim.backends.numpy.random import Draw
from gpusim.backends.numpy.slabs import slabs
from gpusim.backends.numpy.stencil import Level, Stencil, difference_sum, of_field
from gpusim.model.tables import FASTEST_LOSS, TRACE, VariesBy

_TRACE, _FASTEST = np.float32(TRACE), np.float32(FASTEST_LOSS)


def explicit_step(
    source: np.ndarray,
    target: np.ndarray,
    tissue: np.ndarray,
    immune: np.ndarray,
    active: np.ndarray,
    coupling: np.ndarray,
    coupling_by: np.ndarray,
    boundary: np.ndarray,
    resistance: np.ndarray,
    far: np.ndarray,
    keep: np.ndarray,
    gain: np.ndarray,
    exchange_by: np.ndarray,
    map_slots: np.ndarray,
    first_map: np.ndarray,
    second_map: np.ndarray,
    implicit_exchange: np.ndarray,
    passes: np.ndarray,
    momenta: np.ndarray,
    first: int,
) -> None:
    """Pass number `first` over those in `active` that have it, from `source` to `target` (float32 [F, z, y, x])."""
    number = first
    diffusion = Diffusion(coupling, coupling_by, boundary, resistance, far)
    shape: tuple[int, int, int] = tissue.shape
    planes = max(end - first for first, end in slabs(shape))
    scratch = np.empty((3, planes + 1, *shape[1:]), np.float32)
    for first, end in slabs(shape):
        cells = (tissue, immune, first, end)
        for field in active[passes[active] >= number]:
            momentum = momenta[field, number - 1]
            before, c = target[field, first:end], source[field]
            slab = scratch[2, : end - first] if momentum else before
            border = None
            if _plain(diffusion, field):
                total = difference_sum(c, first, end, slab, scratch)
                np.multiply(total, coupling[field, 0, 0], out=total)
            else:
                stencil = Stencil(shape, Level(diffusion), field, first, end, states=tissue)
                total, border = stencil.inflow(c), stencil.border()
            by, slot = exchange_by[field], map_slots[field]
            keep_map, gain_map = (first_map[slot], second_map[slot]) if slot >= 0 else (None, None)
            if implicit_exchange[field]:
                np.add(c[first:end], total, out=slab)
                kept = of_field(keep[field], keep_map, by, *cells, out=scratch[0])
                np.multiply(slab, kept, out=slab)
            else:
                kept = of_field(keep[field], keep_map, by, *cells, out=scratch[1])
                np.multiply(c[first:end], kept, out=slab)
                np.add(slab, total, out=slab)
            np.add(slab, of_field(gain[field], gain_map, by, *cells, out=scratch[1]), out=slab)
            if border is not None:
                rate, inflow = border
                slab[...] = (slab + kept * inflow) / (np.float32(1) + kept * rate)
            if momentum:
                np.subtract(slab, before, out=before)
                np.multiply(before, momentum, out=before)
                np.add(slab, before, out=before)
            np.copyto(before, np.float32(0), where=before < _TRACE)


def walled_step(
    source: np.ndarray,
    target: np.ndarray,
    tissue: np.ndarray,
    body: np.ndarray,
    active: np.ndarray,
    coupling: np.ndarray,
    coupling_by: np.ndarray,
    boundary: np.ndarray,
    resistance: np.ndarray,
    far: np.ndarray,
    implicit_exchange: np.ndarray,
    times: np.ndarray,
    walls: np.ndarray,
    map_slots: np.ndarray,
    seeds: np.ndarray,
    first_map: np.ndarray,
    second_map: np.ndarray,
    permeable: np.ndarray,
    first: int,
    step: int,
    purpose: int,
    origin: int,
) -> None:
    """Pass number `first` over fields with walls to the body, from `source` to `target` (float32 [F, z, y, x])."""
    number, level = first, Level(Diffusion(coupling, coupling_by, boundary, resistance, far))
    shape: tuple[int, int, int] = tissue.shape
    zero, one = np.float32(0), np.float32(1)
    for field in active:
        draw = Draw(int(seeds), number, purpose + 256 * int(field), origin)
        implicit, slot = bool(implicit_exchange[field]), map_slots[field]
        for first, end in slabs(shape):
            planes = slice(first, end)
            c, lost, gained = (each[planes] for each in (source[field], first_map[slot], second_map[slot]))
            rate, brought, net = (np.zeros_like(c) for _ in range(3))
            for w in np.flatnonzero(walls["field"] == field):
                through = times[field] * permeable[w, planes]
                blood = body[walls[w]["quantity"]] * walls[w]["dilution"]
                returns = walls[w]["returns"]
                rate, brought = rate + through * returns, brought + through * blood
                net = net + through * (blood - returns * c)
            stencil = Stencil(shape, level, field, first, end, states=tissue)
            inflow, border = stencil.inflow(source[field]), stencil.border() or (zero, zero)
            exchanged = (gained - lost * c) + net
            net = exchanged + (inflow + (border[1] - border[0] * c))
            whole = one + ((lost + rate) + border[0])
            change = net / whole if implicit else net
            if not implicit and number % 2 == 0:
                change = np.float32(0.5) * ((target[field, planes] - c) + change)
            value = sum_by_lot(c, change, row_lots(first, end, shape, number, step, draw))
            if implicit:
                rest = ((c + (gained + brought)) + (inflow + border[1])) / whole
                value = np.where(change < np.float32(-0.5) * c, rest, value)
            value = np.where(value < _TRACE, zero, value)
            target[field, planes] = np.where(lost > _FASTEST, gained, value)


def _plain(diffusion: Diffusion, field: int) -> bool:
    """Whether one D and closed sides are all there is."""
    return bool(diffusion.coupling_by[field] == VariesBy.UNIFORM and diffusion.boundary[field] == 0)
