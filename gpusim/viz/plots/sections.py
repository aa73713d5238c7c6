"""Figures of sections: where cells are, by distance from the edge of the tumour and from each other."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gpusim.analysis.phenotype import SECTION
from gpusim.analysis.sections import BAND, Pattern, cells_label
from gpusim.analysis.sections import clustering as clustering_of
from gpusim.analysis.sections import infiltration as infiltration_of
from gpusim.viz.plots.style import LINES, colour, new_axes


def infiltration(patterns: Sequence[Pattern], states: Sequence[str] | None = None, *, axes: Axes | None = None) -> Axes:
    """Density of some cells, by default CD8 cells, by distance from the edge of the tumour, with 95% intervals.

    Sections without an edge are not drawn, and the legend says so.
    """
    with mpl.rc_context(LINES):
        axes = axes or new_axes(7.2, 3.8)
        highest = 0.0
        for i, pattern in enumerate(patterns):
            found = infiltration_of(pattern, states)
            if found.empty:
                axes.plot([], [], color=colour(i), label=f"{pattern.title}: no edge in the section")
                continue
            middle = (found["from_um"] + found["to_um"]).to_numpy() / 2
            style = "-" if pattern.minutes is not None else "--"
            shift = (i - (len(patterns) - 1) / 2) * 0.6 * BAND / len(patterns)
            axes.plot(
                middle + shift, found["per_mm2"], style, marker="o", markersize=3, color=colour(i), label=pattern.title
            )
            axes.vlines(middle + shift, found["low"], found["high"], color=colour(i), alpha=0.45, linewidth=0.8)
            # An empty band of little tissue has a wide interval, which must not set the scale.
            highest = max(highest, float(found["per_mm2"].max()))
        axes.axvline(0, color="#808080", linewidth=0.8)
        axes.text(0, 1.02, " tumour →", fontsize=8, color="#606060", transform=axes.get_xaxis_transform())
        axes.set(
            xlabel="distance from the edge of the tumour, µm",
            ylabel=f"{cells_label(patterns[0], states)} per mm²\nof a section of {SECTION:g} µm",
            ylim=(0, 1.5 * highest or 1),
        )
        axes.margins(x=0.01)
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(1.01, 1),
            borderaxespad=0,
            fontsize=8,
            title=("dashed: real, line: simulated\n" if _both(patterns) else "") + "bars: 95% intervals of the counts",
            title_fontsize=8,
            alignment="left",
        )
    return axes


def _both(patterns: Sequence[Pattern]) -> bool:
    return len({pattern.minutes is None for pattern in patterns}) > 1


def clustering(patterns: Sequence[Pattern], states: Sequence[str] | None = None) -> Figure:
    """K of some cells, cross-K of these and tumour cells, and the nearest tumour cell; a row for each section.

    K is divided by that of random cells; the grey band is the 99% envelope of random cells in the same tissue.
    """
    cells = cells_label(patterns[0], states)
    with mpl.rc_context(LINES):
        figure, rows = plt.subplots(
            len(patterns), 3, figsize=(9.6, 0.6 + 2.1 * len(patterns)), squeeze=False, sharex=True, layout="constrained"
        )
        for i, (pattern, row) in enumerate(zip(patterns, rows, strict=True)):
            found = clustering_of(pattern, states)
            at = found["radius_um"]
            for axes, name, kind in zip(row, ("", "cross_"), ("K", "cross-K with tumour cells"), strict=False):
                axes.fill_between(at, found[f"{name}low"], found[f"{name}high"], color="#c0c0c0", linewidth=0)
                axes.axhline(1, color="#808080", linewidth=0.8)
                axes.plot(at, found[f"{name}k"], color=colour(i), linewidth=1.6)
                axes.set_title(kind if i == 0 else "", fontsize=9)
                # The envelope of a few cells is very wide at small distances.
                shown = found.loc[at >= 3 * at.min(), [f"{name}k", f"{name}low", f"{name}high"]].to_numpy()
                top = float(np.nanmax(shown)) if np.isfinite(shown).any() else 1.0
                axes.set_ylim(0, max(1.5, 1.1 * top))
            row[2].plot(at, found["nearest"], color=colour(i), linewidth=1.6)
            row[2].set_ylim(0, 1.02)
            row[2].set_title("share with a tumour cell within the distance" if i == 0 else "", fontsize=9)
            row[0].set_ylabel(f"{pattern.title}\n{cells}: {len(_cells(pattern, states))}", fontsize=8)
        for axes in rows[-1]:
            axes.set_xlabel("distance, µm")
        figure.suptitle(f"{cells}, K over that of random cells (99% envelope: grey)", fontsize=10)
    return figure


def _cells(pattern: Pattern, states: Sequence[str] | None) -> np.ndarray:
    return pattern.of(pattern.cd8 if states is None else states)
