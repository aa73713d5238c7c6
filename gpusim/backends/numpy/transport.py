"""NumPy twin of kernels/transport.cu: the same operations in the same order."""

from dataclasses import replace

import numpy as np

from gpusim.backends.base import Diffusion, Draw, ExplicitTables
from gpusim.backends.numpy.exchange import FASTEST
from gpusim.backends.numpy.lots import row_lots, sum_by_lot
from gpusim.backends.numpy.slabs import slabs
from gpusim.backends.numpy.stencil import Stencil, difference_sum, finest, of_field
from gpusim.model.tables import VariesBy

_TRACE = np.float32(1e-34)


def explicit_step(
    source: np.ndarray,
    target: np.ndarray,
    tissue: np.ndarray,
    immune: np.ndarray,
    active: np.ndarray,
    tables: ExplicitTables,
    number: int,
) -> None:
    """Pass `number` over those in `active` that have it, from `source` to `target` (float32 [F, z, y, x])."""
    shape: tuple[int, int, int] = tissue.shape
    planes = max(end - first for first, end in slabs(shape))
    scratch = np.empty((3, planes + 1, *shape[1:]), np.float32)
    for first, end in slabs(shape):
        cells = (tissue, immune, first, end)
        for field in active[tables.passes[active] >= number]:
            momentum = tables.momenta[field, number - 1]
            before, c = target[field, first:end], source[field]
            slab = scratch[2, : end - first] if momentum else before
            border = None
            if _plain(tables.diffusion, field):
                total = difference_sum(c, first, end, slab, scratch)
                np.multiply(total, tables.diffusion.coupling[field, 0, 0], out=total)
            else:
                stencil = Stencil(shape, finest(tables.diffusion), field, first, end, states=tissue)
                total, border = stencil.inflow(c), stencil.border()
            by, (keep, gain) = tables.exchange_by[field], tables.maps.of(field)
            if tables.implicit_exchange[field]:
                np.add(c[first:end], total, out=slab)
                kept = of_field(tables.keep[field], keep, by, *cells, out=scratch[0])
                np.multiply(slab, kept, out=slab)
            else:
                kept = of_field(tables.keep[field], keep, by, *cells, out=scratch[1])
                np.multiply(c[first:end], kept, out=slab)
                np.add(slab, total, out=slab)
            np.add(slab, of_field(tables.gain[field], gain, by, *cells, out=scratch[1]), out=slab)
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
    tables: ExplicitTables,
    times: np.ndarray,
    walls: np.ndarray,
    number: int,
    draw: Draw,
) -> None:
    """Pass `number` over fields with walls to the body, from `source` to `target` (float32 [F, z, y, x])."""
    shape: tuple[int, int, int] = tissue.shape
    maps, zero, one = tables.maps, np.float32(0), np.float32(1)
    with np.errstate(all="ignore"):
        for field in active:
            drawn = replace(draw, purpose=draw.purpose + 256 * int(field))
            implicit, slot = bool(tables.implicit_exchange[field]), maps.slots[field]
            for first, end in slabs(shape):
                planes = slice(first, end)
                c, lost, gained = (each[planes] for each in (source[field], maps.first[slot], maps.second[slot]))
                rate, brought, net = (np.zeros_like(c) for _ in range(3))
                for w in np.flatnonzero(walls["field"] == field):
                    through = times[field] * maps.permeable[w, planes]
                    blood = body[walls[w]["quantity"]] * walls[w]["dilution"]
                    rate, brought = rate + through, brought + through * blood
                    net = net + through * (blood - c)
                stencil = Stencil(shape, finest(tables.diffusion), field, first, end, states=tissue)
                inflow, border = stencil.inflow(source[field]), stencil.border() or (zero, zero)
                exchanged = (gained - lost * c) + net
                net = exchanged + (inflow + (border[1] - border[0] * c))
                whole = one + ((lost + rate) + border[0])
                change = net / whole if implicit else net
                if not implicit and number % 2 == 0:
                    change = np.float32(0.5) * ((target[field, planes] - c) + change)
                value = sum_by_lot(c, change, row_lots(first, end, shape, number, drawn))
                if implicit:
                    rest = ((c + (gained + brought)) + (inflow + border[1])) / whole
                    value = np.where(change < np.float32(-0.5) * c, rest, value)
                value = np.where(value < _TRACE, zero, value)
                target[field, planes] = np.where(lost > FASTEST, gained, value)


def _plain(diffusion: Diffusion, field: int) -> bool:
    """Whether one D and closed sides are all there is."""
    return bool(diffusion.by[field] == VariesBy.UNIFORM and diffusion.boundary[field] == 0)
