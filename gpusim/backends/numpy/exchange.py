"""NumPy twin of kernels/exchange.cu: the same operations in the same order."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gpusim.backends.groups import Diffusion, ExchangeTables, Maps
from gpusim.backends.numpy.modulators import Slab
from gpusim.backends.numpy.slabs import slabs
from gpusim.backends.numpy.stencil import Level, Stencil
from gpusim.model.tables import (
    FASTEST_LOSS,
    FLOW_FRACTION,
    FLOW_WHOLE,
    HELD_MASS,
    MOST_FLOW,
    EffectKind,
    Form,
    response,
)

_MOST_FLOW = np.float32(MOST_FLOW)
_ZERO, _ONE = np.float32(0), np.float32(1)
_ROUNDINGS = np.float32(2.0**-20)
_HALVINGS = 24
_FASTEST = np.float32(FASTEST_LOSS)


def exchange_rates(
    active: np.ndarray,
    effects: np.ndarray,
    begin: np.ndarray,
    modulators: np.ndarray,
    walls: np.ndarray,
    production: np.ndarray,
    loss: np.ndarray,
    map_slots: np.ndarray,
    forms: np.ndarray,
    own: np.ndarray,
    times: np.ndarray,
    masses: np.ndarray,
    coupling: np.ndarray,
    coupling_by: np.ndarray,
    boundary: np.ndarray,
    resistance: np.ndarray,
    far: np.ndarray,
    tissue: np.ndarray,
    immune: np.ndarray,
    fields: np.ndarray,
    source: np.ndarray,
    counts: np.ndarray,
    body: np.ndarray,
    traits: np.ndarray,
    first_map: np.ndarray,
    second_map: np.ndarray,
    rhs: np.ndarray,
    permeable: np.ndarray,
    from_c: np.float32,
    from_second: np.float32,
) -> None:
    """Make the maps of the fields in `active`."""
    diffusion = Diffusion(coupling, coupling_by, boundary, resistance, far)
    rates = (effects, begin, modulators, walls, production, loss)
    tables = ExchangeTables(*rates, forms, own, times, masses, diffusion)
    conditions = Conditions(tissue, immune, counts, body, traits)
    maps = Maps(map_slots, first_map, second_map, permeable)
    for field in active:
        for first, end in slabs(conditions.tissue.shape):
            _Rates(fields, source, rhs, conditions, tables, maps, int(field), first, end).make(from_c, from_second)


@dataclass(frozen=True)
class Conditions:
    """What production and loss depend on besides concentrations, of one replicate."""

    tissue: np.ndarray
    immune: np.ndarray
    counts: np.ndarray
    body: np.ndarray
    traits: np.ndarray


class _Rates:
    """Production and loss of one field in planes first to end."""

    def __init__(
        self,
        fields: np.ndarray,
        source: np.ndarray,
        rhs: np.ndarray,
        conditions: Conditions,
        tables: ExchangeTables,
        maps: Maps,
        field: int,
        first: int,
        end: int,
    ) -> None:
        tissue, immune = conditions.tissue, conditions.immune
        size = tissue.size
        flat = (fields.reshape(len(fields), size), conditions.counts.reshape(len(conditions.counts), size))
        traits = conditions.traits.reshape(len(conditions.traits), size)
        seen = (*flat, conditions.body, first, end, tables.modulators, traits)
        self._of_tissue, self._of_immune = Slab(tissue, immune, *seen), Slab(immune, tissue, *seen)
        self._tables, self._maps, self._body, self._field = tables, maps, conditions.body, field
        self._shape, self._planes, self._states = tissue.shape, slice(first, end), tissue
        self._source, self._rhs = source[field], rhs[field, first:end].reshape(-1)
        self._tissue, self._immune = tissue[first:end].reshape(-1), immune[first:end].reshape(-1)
        form = Form(int(tables.forms[field]))
        self._own, self._form, self._walled = bool(tables.own[field]), form & ~Form.WALLED, Form.WALLED in form
        self._solved = self._own and self._form != Form.EXPLICIT
        self._c = self._source[first:end].reshape(-1)

    def make(self, from_c: np.float32, from_second: np.float32) -> None:
        tables, f, slot = self._tables, self._field, self._maps.map_slots[self._field]
        dt, mass = tables.times[f], tables.masses[f]
        first, second = (each[slot, self._planes].reshape(-1) for each in (self._maps.first_map, self._maps.second_map))
        here = (f, self._tissue, self._immune - tables.production.shape[1])
        production, loss = tables.production[here], tables.loss[here]
        across = (np.zeros_like(production), np.zeros_like(loss)) if self._walled else (production, loss)
        self._add_effects((production, loss), across)
        border = None
        if self._solved:
            stencil = Stencil(
                self._shape, Level(tables.diffusion), f, self._planes.start, self._planes.stop, states=self._states
            )
            border = stencil.border()
        rate, through = (np.zeros(1, np.float32),) * 2 if border is None else (each.reshape(-1) for each in border)
        held = np.zeros(1, np.float32)
        if self._solved:
            held = self._c
            if self._form == Form.OPERATOR:
                held = second + from_c * (self._c - second) if from_second else from_c * self._c
            settling = self._settling()
            if settling:
                inflow = stencil.inflow(self._source).reshape(-1) + through
                own_and_across = (production, loss)
                if self._walled:
                    own_and_across = (production + across[0], loss + across[1])
                capacity = mass + (dt * own_and_across[1] + rate)
                supply = (held + dt * own_and_across[0]) + inflow
                for effects, voxels in settling:
                    equation = _OwnEquation(effects, capacity[voxels], dt, supply[voxels])
                    added, taken = equation.settled(self._c[voxels])
                    production[voxels] = production[voxels] + added
                    loss[voxels] = loss[voxels] + taken
        gained, lost = dt * production, dt * loss
        if self._walled:
            first[:], second[:] = lost, gained
        elif self._form == Form.EXPLICIT:
            first[:], second[:] = _ONE - lost, gained
        elif self._form == Form.IMPLICIT:
            keep = _ONE / (_ONE + lost)
            first[:], second[:] = keep, gained * keep
        else:
            first[:] = mass + lost
            second[:] = held if self._own else gained
            if self._own:
                value = held + (gained + through)
                self._rhs[:] = np.where(value > 0, value, _ZERO)
        self._hold(tables.loss[here] > _FASTEST, tables.production[here], first, second)
        if self._walled:
            first[tables.loss[here] > _FASTEST] = tables.loss[here][tables.loss[here] > _FASTEST]

    def _hold(self, there: np.ndarray, value: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
        """Replace what was found in voxels that hold a concentration."""
        if self._form != Form.OPERATOR:
            first[there], second[there] = _ZERO, value[there]
        else:
            right = np.float32(HELD_MASS) * value[there]
            first[there] = np.float32(HELD_MASS)
            second[there] = _ZERO if self._own else right
            if self._own:
                self._rhs[there] = right
        for wall in np.flatnonzero(self._tables.walls["field"] == self._field):
            self._maps.permeable[wall, self._planes].reshape(-1)[there] = _ZERO

    def _rows(self, state: int) -> np.ndarray:
        """The effects of a state on the field."""
        states = self._tables.production.shape[1] + self._tables.production.shape[2]
        begin, end = self._tables.begin[self._maps.map_slots[self._field] * states + state :][:2]
        rows: np.ndarray = self._tables.effects[begin:end]
        return rows

    def _add_effects(self, own: tuple[np.ndarray, np.ndarray], across: tuple[np.ndarray, np.ndarray]) -> None:
        """Add all effects but those that the voxels' own equations are solved for: to production and loss, by walls."""
        for wall in np.flatnonzero(self._tables.walls["field"] == self._field):
            self._maps.permeable[wall, self._planes] = 0
        for layer, slab in ((self._tissue, self._of_tissue), (self._immune, self._of_immune)):
            for state in np.unique(layer):
                voxels = np.flatnonzero(layer == state)
                for effect in self._rows(int(state)):
                    if self._solved and effect["settles"]:
                        continue
                    rate = slab.modulated(effect["rate"], effect, voxels)
                    if effect["end_own"] > effect["end_modulator"]:
                        rate = rate * _own_factor(self._tables.modulators, effect, self._c[voxels])
                    production, loss = across if effect["kind"] == EffectKind.WALL else own
                    if effect["kind"] == EffectKind.SECRETION:
                        production[voxels] = production[voxels] + rate
                        continue
                    if effect["kind"] == EffectKind.LOSS:
                        loss[voxels] = loss[voxels] + rate
                        continue
                    wall = self._tables.walls[effect["wall"]]
                    loss[voxels] = loss[voxels] + rate * wall["returns"]
                    blood = self._body[wall["quantity"]] * wall["dilution"]
                    production[voxels] = production[voxels] + rate * blood
                    permeable = self._maps.permeable[effect["wall"], self._planes].reshape(-1)
                    permeable[voxels] = permeable[voxels] + rate

    def _settling(self) -> list[tuple[list["_Settling"], np.ndarray]]:
        """Effects that are solved for, and the voxels that have them, by the two cells of a voxel."""
        found = []
        for tissue in np.unique(self._tissue):
            of_tissue = [row for row in self._rows(int(tissue)) if row["settles"]]
            there = self._tissue == tissue
            for immune in np.unique(self._immune[there]):
                of_immune = [row for row in self._rows(int(immune)) if row["settles"]]
                if not of_tissue and not of_immune:
                    continue
                voxels = np.flatnonzero(there & (self._immune == immune))
                rows = [(row, self._of_tissue) for row in of_tissue] + [(row, self._of_immune) for row in of_immune]
                effects = [
                    _Settling(row, slab.modulated(row["rate"], row, voxels), self._tables.modulators)
                    for row, slab in rows
                ]
                found.append((effects, voxels))
        return found


def _own_factor(modulators: np.ndarray, effect: np.void, c: np.ndarray) -> np.ndarray:
    value = np.ones(c.size, np.float32)
    for modulator in modulators[effect["end_modulator"] : effect["end_own"]]:
        value = value * response(modulator, c)
    return np.where(value > 0, value, _ZERO)


@dataclass
class _Settling:
    """An effect, and the amount that modulators by all but the field itself leave of it, by voxel."""

    effect: np.void
    amount: np.ndarray
    modulators: np.ndarray

    def at(self, c: np.ndarray, voxels: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = self.amount[voxels] * _own_factor(self.modulators, self.effect, c)
        return scaled


_Exchanged = tuple[np.ndarray, np.ndarray]
"""Production and loss."""


@dataclass
class _OwnEquation:
    """Equations of voxels, mass * c + dt * (taken - added) = supply."""

    effects: list[_Settling]
    mass: np.ndarray
    dt: np.float32
    supply: np.ndarray

    def _each(self, use: Callable[[_Settling], _Exchanged], count: int) -> _Exchanged:
        production, loss = np.zeros(count, np.float32), np.zeros(count, np.float32)
        for effect in self.effects:
            added, taken = use(effect)
            production, loss = production + added, loss + taken
        return production, loss

    def _settling(self, c: np.ndarray, voxels: np.ndarray) -> _Exchanged:
        def use(each: _Settling) -> _Exchanged:
            scaled, none = each.at(c, voxels), np.zeros(1, np.float32)
            return (scaled, none) if each.effect["kind"] == EffectKind.SECRETION else (none, scaled * c)

        return self._each(use, c.size)

    def _excess(self, c: np.ndarray, at: _Exchanged, voxels: np.ndarray) -> np.ndarray:
        excess: np.ndarray = (self.mass[voxels] * c + self.dt * (at[1] - at[0])) - self.supply[voxels]
        return excess

    def linear(self, c: np.ndarray, other: np.ndarray) -> _Exchanged:
        """The settling effects as p - k c, right at `c` and at `other`."""
        voxels = np.arange(c.size)
        step = other - c

        def use(each: _Settling) -> _Exchanged:
            here, there = each.at(c, voxels), each.at(other, voxels)
            rise = there - here
            if each.effect["kind"] == EffectKind.SECRETION:
                slope = np.where(np.abs(rise) <= here * _ROUNDINGS, _ZERO, -rise / step)
                fall = np.where(slope > 0, slope, _ZERO)
                return here + fall * c, fall
            slope = np.where(step == 0, here, (there * other - here * c) / step)
            steep = np.where(slope > here, slope, here)
            return (steep - here) * c, steep

        return self._each(use, c.size)

    def settled(self, c: np.ndarray) -> _Exchanged:
        """The settling effects as p - k c, right at `c` and at the root."""
        root = self._root(c)
        return self.linear(root, np.where(root == c, c + c * np.float32(2.0**-8), c))

    def _root(self, c: np.ndarray) -> np.ndarray:
        """The root, or c itself where that is near it."""
        everywhere = np.arange(c.size)
        at = self._settling(c, everywhere)
        beyond = self._excess(c, at, everywhere)
        near = (self.mass + self.dt * self.linear(c, c + c * np.float32(2.0**-8))[1]) * c * _ROUNDINGS
        low = np.where(beyond < 0, c, _ZERO)
        high = np.where(beyond < 0, (self.supply + self.dt * at[0]) / self.mass, c)
        stays = (np.where(beyond < 0, -beyond, beyond) <= near) | ((beyond < 0) & ~(self.mass > 0))
        voxels = np.flatnonzero(~stays)
        low, high = low[voxels], high[voxels]
        for _ in range(_HALVINGS):
            half = np.where(high > np.float32(4) * low, np.sqrt(low) * np.sqrt(high), np.float32(0.5) * (low + high))
            middle = np.where(low > 0, half, high * np.float32(2.0**-6))
            under = self._excess(middle, self._settling(middle, voxels), voxels) < 0
            low, high = np.where(under, middle, low), np.where(under, high, middle)
        found = c.copy()
        found[voxels] = np.where(beyond[voxels] < 0, high, low)
        return found


def hold(fields: np.ndarray, tissue: np.ndarray, active: np.ndarray, held: np.ndarray) -> None:
    """Set fields (float32 [F, z, y, x]) where the tissue's state holds a concentration."""
    for field in active:
        value = held[field][tissue]
        np.copyto(fields[field], value, where=value >= 0)


def count_exchange(
    fields: np.ndarray,
    body: np.ndarray,
    counted: np.ndarray,
    times: np.ndarray,
    walls: np.ndarray,
    permeable: np.ndarray,
    flowed: np.ndarray,
    first_counted: int,
    end_counted: int,
) -> None:
    """Count what voxels give to the body through some walls."""
    planes = slice(first_counted, end_counted)
    for number in counted:
        wall = walls[number]
        through = permeable[number, planes]
        there = through > 0
        blood = body[wall["quantity"]] * wall["dilution"]
        left = wall["returns"] * fields[wall["field"], planes][there]
        flow = (times[wall["field"]] * through[there]) * (left - blood)
        bounded = np.where(flow < _MOST_FLOW, np.where(flow > -_MOST_FLOW, flow, -_MOST_FLOW), _MOST_FLOW)
        scaled = bounded * np.float32(FLOW_WHOLE)
        whole = scaled.astype(np.int64)
        left = (scaled - whole.astype(np.float32)) * np.float32(FLOW_FRACTION)
        fraction = (left + np.where(left < 0, np.float32(-0.5), np.float32(0.5))).astype(np.int64)
        for row, part in enumerate((whole, fraction)):
            flowed[row, number : number + 1] += np.sum(part).view(np.uint64)  # of an array: it may go around


def deposit(field: np.ndarray, voxels: np.ndarray, amounts: np.ndarray) -> None:
    """Add `amounts` (float32) at flat indices `voxels` (int64, each once) of `field` [z, y, x]."""
    flat = field.reshape(-1)
    flat[voxels] = flat[voxels] + amounts
