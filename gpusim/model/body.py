"""The body as numbers: quantities, flows between them, and the cells that rules send and fetch."""

import numpy as np

from gpusim import units
from gpusim.model.cells import modulator_row
from gpusim.model.model import Body, Cells, Process
from gpusim.model.tables import MODULATOR
from gpusim.scenario import Document
from gpusim.scenario.checks import flow_unit


def build_body(document: Document, cells: Cells, volume: float) -> Body:
    """The body of a scenario; empty where it has none."""
    quantities = document.body.quantities
    names = list(quantities)

    def index(name: str | None) -> int | None:
        return None if name is None else names.index(name)

    processes = []
    for process in document.body.processes.values():
        leaves, enters = process.ends
        rows = [modulator_row(m, document, None, volume) for m in process.modulators]
        processes.append(
            Process(
                leaves=index(leaves),
                enters=index(enters),
                by=index(process.by or leaves),
                rate=units.number(process.rate, flow_unit(document, process)),
                modulators=np.array(rows, MODULATOR),
            )
        )
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
        processes=tuple(processes),
        transfers=transfers,
    )
