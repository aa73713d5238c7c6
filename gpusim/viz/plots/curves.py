"""Curves of a result or of its replicates over time, with a panel for each unit: `curves(result)`."""

from __future__ import annotations

import re
from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from gpusim.analysis import field_label, quantity_label, whole
from gpusim.errors import ResultError
from gpusim.record import Result
from gpusim.scenario.checks import state_names
from gpusim.scenario.schema import EMPTY, NONE
from gpusim.viz.plots.results import band, counts
from gpusim.viz.plots.style import LINES, colour, power_of_ten

_MICRO = re.compile(r"\bu(?=[mgLM]\b)")
"""The prefix of units as they are written in scenarios."""
_WIDTH = 7.2
_CELLS, _PANEL = 3.2, 2.4
"""Height of a panel of cells and of the others, inches."""
_MOST_ROWS = 5
"""Panels of one column; more are in two columns."""
_DECADES = 6
"""Of a logarithmic axis, below the highest value."""
_WIDE = 1e3
"""Ratio of the highest to the median value above 0 from which on an axis is logarithmic."""


def curves(results: Result | Sequence[Result]) -> Figure:
    """Cells by state, amounts of fields and quantities of the body over time, all sites together.

    Cells of the two layers are in the first panels; then follow a panel for each unit of the fields (a mean where a
    field has no amount) and one for each unit of the body. What is 0, or does not change in the body, is left out. Of
    replicates, a line is the median, and a band reaches from the lowest to the highest. The axis of a quantity that is
    far below its peak most of the time is logarithmic. More than five panels are in two columns.

    Args:
        results: one result or replicates of one scenario.

    Raises `ResultError` without a result.
    """
    replicates = [results] if isinstance(results, Result) else list(results)
    if not replicates:
        raise ResultError("curves: expected a result")
    tables = [result.counts for result in replicates]
    layers = state_names(replicates[0].scenario.document)
    cells = {
        title: [name for name in names if name not in (EMPTY, NONE) and _largest(tables, f"cells.{name}") > 0]
        for title, names in zip(("tissue cells", "immune cells"), layers, strict=True)
    }
    cells = {title: names for title, names in cells.items() if names}
    panels = _panels(replicates)
    heights = [_CELLS] * len(cells) + [_PANEL] * len(panels)
    with mpl.rc_context(LINES):
        figure, every = _columns(heights)
        for axes, (title, names) in zip(every, cells.items(), strict=False):
            below = axes.get_xlabel()
            counts(replicates, names, axes=axes).set(xlabel=below, ylabel=title)
        others = every[len(cells) :]
        for axes, (title, lines) in zip(others, panels.items(), strict=True):
            for i, (column, (label, factor)) in enumerate(lines.items()):
                low, middle, high, days = band(tables, column)
                axes.plot(days, factor * middle, color=colour(i), linewidth=1.6, label=label)
                if len(tables) > 1:
                    axes.fill_between(days, factor * low, factor * high, color=colour(i), alpha=0.25, linewidth=0)
            drawn = [factor * table[column] for column, (_, factor) in lines.items() for table in tables]
            _finish(axes, title, np.concatenate(drawn))
    return figure


def _columns(heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """Panels of these heights, inches, one below the other, in two columns where there are many."""
    parts = [list(heights)]
    if len(heights) > _MOST_ROWS:
        split = min(range(1, len(heights)), key=lambda k: max(sum(heights[:k]), sum(heights[k:])))
        parts = [list(heights[:split]), list(heights[split:])]
    tallest = max(map(sum, parts))
    figure = plt.figure(figsize=(_WIDTH * len(parts), tallest), layout="constrained")
    panels: list[Axes] = []
    for column, part in zip(figure.subfigures(1, len(parts), squeeze=False)[0], parts, strict=True):
        rest = [tallest - sum(part)] if sum(part) < tallest else []
        rows = column.subplots(len(part) + len(rest), 1, squeeze=False, height_ratios=[*part, *rest])[:, 0]
        for unused in rows[len(part) :]:
            unused.remove()
        panels += list(rows[: len(part)])
        panels[-1].set(xlabel="time, days")
    return figure, panels


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


def _largest(tables: Sequence[pd.DataFrame], column: str) -> float:
    return max(float(table[column].max()) for table in tables)


def _finish(axes: Axes, title: str, values: np.ndarray) -> None:
    axes.set(ylabel=title)
    axes.margins(x=0)
    above = values[values > 0]
    if above.size and above.max() > _WIDE * np.median(above):
        axes.set_yscale("log")
        axes.set_ylim(above.max() / 10**_DECADES, 2 * above.max())
        axes.yaxis.set_major_formatter(FuncFormatter(power_of_ten))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 5))
        axes.set_ylim(bottom=min(0.0, float(axes.dataLim.ymin)))
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
