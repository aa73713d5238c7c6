"""Curves of what a report compares: medians of replicates over days, with bands."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator, SymmetricalLogLocator

from gpusim.viz.plots.style import colour, from_zero, power_of_ten

# A folder may be called $x$; it is no formula.
PLAIN = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "text.parse_math": False}

Series = tuple[np.ndarray, np.ndarray]
"""Times, days: [times]; and values: [replicates, times]."""

_PER_ROW = 3
_WIDE = 100.0
"""Highest value over the median of those above 0, from which on an axis is logarithmic."""
_DECADES = 1e4
"""Highest value over the one below which such an axis is linear."""


def draw(axes: Axes, series: Mapping[str, Series], colours: Sequence[int] | None = None) -> list[Line2D]:
    """Medians over days, with a band from the lowest to the highest replicate; returns the lines.

    Args:
        colours: number of the colour of each; by default its place.
    """
    lines: list[Line2D] = []
    for i, (days, values) in zip(colours or range(len(series)), series.values(), strict=False):
        there = ~np.isnan(values).all(axis=0)  # some mean is not there at every time
        middle, low, high = (np.full(values.shape[1], np.nan) for _ in range(3))
        middle[there] = np.nanmedian(values[:, there], axis=0)
        lines += axes.plot(days, middle, color=colour(i), linewidth=1.8)
        if len(values) > 1:
            low[there], high[there] = np.nanmin(values[:, there], axis=0), np.nanmax(values[:, there], axis=0)
            axes.fill_between(days, low, high, color=colour(i), alpha=0.15, linewidth=0)
    if from_zero(np.concatenate([values.ravel() for _, values in series.values()])):
        axes.set_ylim(bottom=0)
    return lines


def panels(courses: Mapping[str, Mapping[str, Series]], labels: Sequence[str]) -> Figure:
    """A panel for each quantity, with one legend; logarithmic where most values are far below the highest.

    Args:
        courses: the curves of each quantity, by its name with its unit, and by label. labels: of all curves.
    """
    count = len(courses)
    rows, columns = -(-count // _PER_ROW), min(count, _PER_ROW)
    with mpl.rc_context(PLAIN | {"font.size": 8}):
        figure = Figure(figsize=(7.5, 0.5 + 2.0 * rows), layout="constrained")
        lines: dict[str, Line2D] = {}
        for i, (name, series) in enumerate(courses.items()):
            axes = figure.add_subplot(rows, columns, i + 1)
            drawn = draw(axes, series, [labels.index(label) for label in series])
            lines |= dict(zip(series, drawn, strict=True))
            axes.set_title(name, fontsize=8, loc="left")
            if i + columns >= count:
                axes.set_xlabel("time, days")
            _scale(axes, np.concatenate([values.ravel() for _, values in series.values()]))
        shown = [label for label in labels if label in lines]
        if len(shown) > 1:
            handles = [lines[label] for label in shown]
            figure.legend(handles, shown, frameon=False, loc="outside lower center", ncols=min(len(shown), 4))
    return figure


def _scale(axes: Axes, values: np.ndarray) -> None:
    """A logarithmic axis, linear near 0, where most values are far below the highest."""
    above = values[np.isfinite(values) & (values > 0)]
    if above.size == 0 or np.nanmin(values) < 0 or above.max() < _WIDE * np.median(above):
        return
    lowest = 10.0 ** np.floor(np.log10(above.max() / _DECADES))
    axes.set_yscale("symlog", linthresh=lowest, linscale=0.5)
    axes.set_ylim(0, 2 * above.max())
    axes.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=lowest))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(value) if value > 0 else f"{value:g}"))
