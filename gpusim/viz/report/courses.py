"""Parts of a report on the virus, on infected cells and on the body over time."""

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from gpusim.analysis import field_label, quantity_label, state_label, states_with
from gpusim.analysis.amount import whole
from gpusim.record import Result
from gpusim.viz.plots.style import DAY
from gpusim.viz.report.curves import Series, panels
from gpusim.viz.report.page import inline

Groups = Mapping[str, Sequence[Result]]
Value = Callable[[pd.DataFrame], pd.Series]
"""One quantity over time, from the table of counts."""


def part(compared: Groups) -> str:
    """Totals of the virus with the infected cells, and the quantities of the body that change; empty without both."""
    tables = {label: [result.counts for result in results] for label, results in compared.items()}
    virus = _courses(compared, tables, _of_virus)
    body = _courses(compared, tables, _of_body)
    parts = []
    if virus:
        states = dict.fromkeys(
            state_label(results[0].document, state) for results in compared.values() for state in _infected(results[0])
        )
        note = f"At all sites. Infected cells: {'; '.join(states) or 'none in the scenario'}."
        figure = inline(panels(virus, list(compared)))
        parts.append(f"<h2>Virus and infected cells</h2>{figure}<p class=note>{html.escape(note)}</p>")
    if body:
        parts.append(f"<h2>Body</h2>{inline(panels(body, list(compared)))}")
    return "".join(parts)


def _courses(
    compared: Groups,
    tables: Mapping[str, Sequence[pd.DataFrame]],
    quantities: Callable[[Result], Iterator[tuple[str, Value]]],
) -> dict[str, dict[str, Series]]:
    """Curves by quantity and label; without quantities that are constant in each run."""
    found: dict[str, dict[str, Series]] = {}
    for label, results in compared.items():
        length = min(map(len, tables[label]))
        days = tables[label][0]["minutes"].to_numpy()[:length] / DAY
        for name, value in quantities(results[0]):
            try:
                values = np.array([value(table).to_numpy(float)[:length] for table in tables[label]])
            except KeyError:  # of an older result
                continue
            found.setdefault(name, {})[label] = days, values
    return {
        name: series
        for name, series in found.items()
        if any((values != values[:, :1]).any() for _, values in series.values())
    }


def _of_virus(result: Result) -> Iterator[tuple[str, Value]]:
    document = result.scenario.document
    names = [name for name, field in document.fields.items() if field.role == "virus"]
    if not names:
        return
    sizes = result.sizes
    for name in names:
        told = whole(document.fields[name].unit, *sizes)
        title = f"{field_label(document, name)}, {told.label}".removesuffix(", ")
        yield title, partial(_sum, [f"total.{name}"], told.factor)
    if infected := _infected(result):
        yield "infected cells", partial(_sum, [f"cells.{state}" for state in infected], 1.0)


def _of_body(result: Result) -> Iterator[tuple[str, Value]]:
    document = result.scenario.document
    for name, quantity in document.body.quantities.items():
        told = quantity_label(document, name)
        unit = "cells" if quantity.unit == "cell" else quantity.unit
        title = f"{told}, {unit}".removesuffix(", dimensionless")
        yield title, partial(_sum, [f"body.{name}"], 1.0)


def _sum(columns: Sequence[str], factor: float, counts: pd.DataFrame) -> pd.Series:
    return counts[list(columns)].sum(axis=1) * factor


def _infected(result: Result) -> list[str]:
    return states_with(result.scenario.document, "exposed", "infected")
