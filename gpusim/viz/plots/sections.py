"""Figures of sections: where cells are, by distance from the edge of the tumour and from each other."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gpusim.analysis.phenotype import SECTION
from gpusim.analysis.sections import Pattern, cells_label
from gpusim.analysis.sections import clustering as clustering_of
from gpusim.analysis.sections import infiltration as infiltration_of
from gpusim.units import duration
from gpusim.viz.plots.style import LINES, colour, new_axes


def infiltration(patterns: Sequence[Pattern], states: Sequence[str] | None = None, *, axes: Axes | None = None) -> Axes:
    """Density of some cells, by default CD8 cells, by distance from the edge of the tumour, with 95% intervals.

    With more than three patterns and no `axes`, a panel for each source: its times in colour over the others in grey.
    Sections without an edge are not drawn, and the legend says so. Returns the first panel.
    """
    sources = list(dict.fromkeys(pattern.label for pattern in patterns))
    with mpl.rc_context(LINES):
        if axes is not None or len(patterns) <= _TOGETHER or len(sources) == 1:
            panels = [axes or new_axes(7.2, 3.8)]
            of_panel = [list(patterns)]
        else:
            columns = min(3, len(sources))
            rows = -(-len(sources) // columns)
            figure, grid = plt.subplots(
                rows, columns, figsize=(3.4 * columns, 2.7 * rows), squeeze=False, layout="constrained"
            )
            panels = list(grid.flat)[: len(sources)]
            for spare in list(grid.flat)[len(sources) :]:
                spare.remove()
            of_panel = [[p for p in patterns if p.label == source] for source in sources]
            _name_axes(figure, patterns, states)
        measured = {id(pattern): infiltration_of(pattern, states) for pattern in patterns}
        highest = max((float(found["per_mm2"].max()) for found in measured.values() if len(found)), default=0.0)
        for panel, own in zip(panels, of_panel, strict=True):
            for other in patterns:
                if other not in own:
                    found = measured[id(other)]
                    panel.plot(_middle(found), found["per_mm2"], color="#d0d0d0", linewidth=0.7, zorder=0)
            for i, pattern in enumerate(own):
                _profile(panel, measured[id(pattern)], pattern, colour(i), alone=len(panels) == 1)
            panel.axvline(0, color="#808080", linewidth=0.8)
            panel.text(
                0, 0.98, " tumour →", fontsize=7, color="#606060", va="top", transform=panel.get_xaxis_transform()
            )
            # An empty band of little tissue has a wide interval, which must not set the scale.
            panel.set_ylim(0, 1.4 * highest or 1)
            drawn = [found for pattern in own if len(found := measured[id(pattern)])]
            if drawn:
                panel.set_xlim(min(f["from_um"].min() for f in drawn), max(f["to_um"].max() for f in drawn))
            if len(panels) > 1:
                panel.set_title(own[0].label, fontsize=8, loc="left")
                # Below the word at the line of the edge.
                panel.legend(loc="upper right", bbox_to_anchor=(1, 0.93), fontsize=7)
            else:
                panel.set(xlabel=_DISTANCE, ylabel=_density(patterns, states))
                panel.legend(
                    loc="upper left",
                    bbox_to_anchor=(1.01, 1),
                    borderaxespad=0,
                    fontsize=8,
                    title=("dashed: real, line: simulated\n" if _both(patterns) else "") + "bands: 95% intervals",
                    title_fontsize=8,
                    alignment="left",
                )
    return panels[0]


_TOGETHER = 3
"""Profiles that one panel holds without being crowded."""
_DISTANCE = "distance from the edge of the tumour, µm"


def _middle(found: pd.DataFrame) -> np.ndarray:
    return (found["from_um"] + found["to_um"]).to_numpy() / 2


def _density(patterns: Sequence[Pattern], states: Sequence[str] | None) -> str:
    return f"{cells_label(patterns[0], states)} per mm²\nof a section of {SECTION:g} µm"


def _name_axes(figure: Figure, patterns: Sequence[Pattern], states: Sequence[str] | None) -> None:
    figure.supxlabel(_DISTANCE, fontsize=9)
    figure.supylabel(_density(patterns, states), fontsize=9)
    told = "dashed: real, lines: simulated; " if _both(patterns) else ""
    figure.suptitle(f"{told}bands: 95% intervals of the counts; grey: the other sections", fontsize=8)


def _profile(axes: Axes, found: pd.DataFrame, pattern: Pattern, shade: str, *, alone: bool) -> None:
    label = pattern.title if alone else duration(pattern.minutes) if pattern.minutes is not None else "real"
    if found.empty:
        axes.plot([], [], color=shade, label=f"{label}: no edge in the section")
        return
    style = "-" if pattern.minutes is not None else "--"
    axes.plot(_middle(found), found["per_mm2"], style, marker="o", markersize=3, color=shade, label=label)
    axes.fill_between(_middle(found), found["low"], found["high"], color=shade, alpha=0.15, linewidth=0)


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
