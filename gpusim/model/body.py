"""The body as numbers: quantities, flows between them, and the cells that rules send and fetch."""

import numpy as np

from gpusim import units
from gpusim.model.cells import modulator_row
from gpusim.model.model import Body, Cells
from gpusim.model.tables import FLOW, FLOW_UNITS, MODULATOR, EffectKind
from gpusim.scenario import Document
from gpusim.scenario.checks import flow_unit


def build_body(document: Document, cells: Cells, volume: float) -> Body:
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
        modulators += [modulator_row(m, document, None, volume) for m in process.modulators]
        flows.append((index(leaves), index(enters), index(process.by or leaves), first, len(modulators)))
        rates.append(units.number(process.rate, flow_unit(document, process)))
    transfers = np.zeros((len(cells.rule_names), len(names)))
    for row, name in enumerate(cells.rule_names):
        rule = document.rules[name]
        for quantity, sign in ((rule.to_body, 1.0), (rule.from_body, -1.0)):
            if quantity is not None:
                cell = units.number("1 cell", quantities[quantity].unit)
                transfers[row, names.index(quantity)] += sign * cell
    return Body(
        names=tuple(names),
        units=tuple(q.unit for q in quantities.values()),
        initial=np.array([units.number(q.initial, q.unit) for q in quantities.values()], float),
        flows=np.array(flows, FLOW),
        rates=np.array(rates, float),
        modulators=np.array(modulators, MODULATOR),
        transfers=transfers,
        exchanged=_exchanged(document, cells, volume),
    )


def _exchanged(document: Document, cells: Cells, volume: float) -> np.ndarray:
    """What a unit of each effect's exchange is in the unit of its quantity: float64 [effects, quantities]."""
    quantities, fields = list(document.body.quantities.values()), list(document.fields.values())
    found = np.zeros((len(cells.effects), len(quantities)))
    for row, effect in enumerate(cells.effects):
        if effect["kind"] == EffectKind.EXCHANGE:
            field, quantity = fields[effect["field"]], quantities[effect["quantity"]]
            found[row, effect["quantity"]] = units.number(f"1 {field.unit} * voxel", quantity.unit, volume) / FLOW_UNITS
    return found
