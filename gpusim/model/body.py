"""The body as numbers: quantities, flows between them, and what rules send and fetch."""

from collections.abc import Iterable, Iterator

import numpy as np

from gpusim import units
from gpusim.model.model import Body, Cells, Exchange, Infusion
from gpusim.model.modulators import modulator_rows
from gpusim.model.tables import ABSOLUTE_ERROR, FLOW, MODULATOR
from gpusim.scenario import Document
from gpusim.scenario.checks import carried_units, convertible, flow_unit
from gpusim.scenario.schema import TraitRelease

_FAINT = 1e4 * ABSOLUTE_ERROR
"""Amounts below this have an error of more than 1e-4 in each step of the integration."""


def build_body(document: Document, cells: Cells, exchange: Exchange, volume: float) -> Body:
    """The body of a scenario; empty where it has none."""
    quantities = document.body.quantities
    names = list(quantities)

    def index(name: str | None) -> int:
        return -1 if name is None else names.index(name)

    flows: list[tuple[int, ...]] = []
    rates: list[float] = []
    modulators: list[np.ndarray] = []
    for process in document.body.processes.values():
        leaves, enters = process.ends
        first = len(modulators)
        modulators += [row for m in process.modulators for row in modulator_rows(m, document, None, volume)]
        flows.append((index(leaves), index(enters), index(process.by or leaves), first, len(modulators)))
        rates.append(units.number(process.rate, flow_unit(document, process)))
    transfers = np.zeros((len(cells.rule_names), len(names)))
    for row, name in enumerate(cells.rule_names):
        rule = document.rules[name]
        for quantity, amount in rule.brings.items():
            if not isinstance(amount, TraitRelease):
                transfers[row, names.index(quantity)] += units.number(amount, quantities[quantity].unit)
        if rule.from_body is not None:
            transfers[row, names.index(rule.from_body)] -= units.number("1 cell", quantities[rule.from_body].unit)
    return Body(
        names=tuple(names),
        units=tuple(q.unit for q in quantities.values()),
        initial=np.array([units.number(q.initial, q.unit) for q in quantities.values()], float),
        flows=np.array(flows, FLOW),
        rates=np.array(rates, float),
        modulators=np.array(modulators, MODULATOR),
        transfers=transfers,
        exchanged=_exchanged(document, exchange, volume),
        carried=_carried(document, volume),
    )


def body_notes(document: Document, body: Body, infusions: Iterable[Infusion]) -> Iterator[str]:
    """Sentences on amounts that the equations do not resolve, and on losses that do not end with what is lost."""
    largest = body.initial.copy()
    for infusion in infusions:
        largest[infusion.quantity] = max(largest[infusion.quantity], infusion.amount)
    flowing = {end for leaves, enters, *_ in body.flows.tolist() for end in (leaves, enters)}
    for number, (name, unit, amount) in enumerate(zip(body.names, body.units, largest.tolist(), strict=True)):
        if number in flowing and 0 < amount < _FAINT:
            yield (
                f"body.quantities.{name}: an amount of {amount:g} {unit} is too small for the equations of the body, "
                f"which are solved with an error of {ABSOLUTE_ERROR:g} {unit}; use a smaller unit"
            )
    for name, process in document.body.processes.items():
        leaves, _ = process.ends
        seen = {process.by or leaves} | {each.body for m in process.modulators for each in m.arguments}
        if leaves is not None and leaves not in seen:
            yield (
                f"body.processes.{name}: its rate does not depend on '{leaves}', which falls below 0 and owes what is "
                f"added later; leave out 'by' and use a modulator ('body: {process.by}'), or add one ('body: {leaves}')"
            )


def _exchanged(document: Document, exchange: Exchange, volume: float) -> np.ndarray:
    """What a concentration of a voxel is in the unit of each wall's quantity: float64 [walls, quantities]."""
    quantities, fields = list(document.body.quantities.values()), list(document.fields.values())
    found = np.zeros((len(exchange.walls), len(quantities)))
    for row, wall in enumerate(exchange.walls):
        field, quantity = fields[wall["field"]], quantities[wall["quantity"]]
        found[row, wall["quantity"]] = units.number(f"1 {field.unit} * voxel", quantity.unit, volume)
    return found


def _carried(document: Document, volume: float) -> np.ndarray:
    """What a unit of a trait brings, in the unit of each quantity: float64 [egresses, quantities]."""
    quantities = document.body.quantities
    carried = [each for rule in document.rules.values() for each in rule.carries]
    found = np.zeros((len(carried), len(quantities)))
    for row, (name, release) in zip(found, carried, strict=True):
        wanted = carried_units(document, name, release)
        unit = convertible(release.each, wanted)
        assert unit is not None, "checked on loading"
        row[list(quantities).index(name)] = units.number(release.each, unit, volume)
    return found
