"""Curves of a result or of its replicates over time, with a panel for each unit: `curves(result)`."""

from __future__ import annotations

import re
from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gpusim.analysis import field_label, quantity_label, whole
from gpusim.errors import ResultError
from gpusim.record import Result
from gpusim.scenario.schema import EMPTY, NONE
from gpusim.viz.plots.results import band, counts
from gpusim.viz.plots.style import LINES, colour

_MICRO = re.compile(r"\bu(?=[mgLM]\b)")
"""The prefix of units as they are written in scenarios."""
_WIDTH = 7.2
_CELLS, _PANEL = 4.0, 2.4
"""Height of the panel of cells and of the others, inches."""


def curves(results: Result | Sequence[Result]) -> Figure:
    """Cells by state, amounts of fields and quantities of the body over time, all sites together.

    Cells are in the first panel; then follow a panel for each unit of the fields (a mean where a field has no amount)
    and one for each unit of the body. What is 0, or does not change in the body, is left out. Of replicates, a line is
    the median, and a band reaches from the lowest to the highest.

    Args:
        results: one result or replicates of one scenario.

    Raises `ResultError` without a result.
    """
    replicates = [results] if isinstance(results, Result) else list(results)
    if not replicates:
        raise ResultError("curves: expected a result")
    tables = [result.counts for result in replicates]
    cells = [name for name in replicates[0].state_names if name not in (EMPTY, NONE)]
    states = [name for name in cells if any(table[f"cells.{name}"].max() > 0 for table in tables)]
    panels = _panels(replicates)
    heights = [_CELLS] + [_PANEL] * len(panels)
    with mpl.rc_context(LINES):
        figure = plt.figure(figsize=(_WIDTH, sum(heights)), layout="constrained")
        first, *others = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
        counts(replicates, states, axes=first)
        first.set(xlabel="")
        for axes, (title, lines) in zip(others, panels.items(), strict=True):
            for i, (column, (label, factor)) in enumerate(lines.items()):
                low, middle, high, days = band(tables, column)
                axes.plot(days, factor * middle, color=colour(i), linewidth=1.6, label=label)
                if len(tables) > 1:
                    axes.fill_between(days, factor * low, factor * high, color=colour(i), alpha=0.25, linewidth=0)
            _finish(axes, title)
        figure.axes[-1].set(xlabel="time, days")
    return figure


def _panels(replicates: Sequence[Result]) -> dict[str, dict[str, tuple[str, float]]]:
    """By the label of a panel: columns of the counts, each with its label and the factor that gives its unit."""
    first = replicates[0]
    document = first.scenario.document
    sizes = first.sizes
    found: dict[str, dict[str, tuple[str, float]]] = {}
    for name, field in document.fields.items():
        told, column = whole(field.unit, *sizes), f"total.{name}"
        if any((result.counts[column] != 0).any() for result in replicates):
            found.setdefault(f"fields, {told.label}", {})[column] = (field_label(document, name), told.factor)
    for name, quantity in document.body.quantities.items():
        column = f"body.{name}"
        if any(result.counts[column].nunique() > 1 for result in replicates):
            found.setdefault(f"body, {quantity.unit}", {})[column] = (quantity_label(document, name), 1.0)
    return {_MICRO.sub("µ", title).removesuffix(", dimensionless"): lines for title, lines in found.items()}


def _finish(axes: Axes, title: str) -> None:
    axes.set(ylabel=title)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 5))
    axes.margins(x=0)
    axes.set_ylim(bottom=min(0.0, float(axes.dataLim.ymin)))
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
