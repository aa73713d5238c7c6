"""Numbers of the sources over time, beside the view: as a figure and as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from matplotlib.figure import Figure

from gpusim.viz.palette import THEMES
from gpusim.viz.sources import Source, curves_of

LEFT, RIGHT = 0.2, 0.96
"""Ends of the axis of time over the width of the figure."""
MOST_PANELS = 5
_INCHES = 4.0
_PANEL, _MOST_INCHES = 2.15, 7.5
"""Height of a panel and of the figure, inches."""


def panels(names: Sequence[str], sources: Sequence[Source], site: str) -> dict[str, list[str]]:
    """Names of curves by the axis of their panel, `MOST_PANELS` panels at most."""
    known = curves_of(sources[0].moment(0, site))
    found: dict[str, list[str]] = {}
    for name in names:
        if name in known:
            found.setdefault(known[name].axis, []).append(name)
    return dict(list(found.items())[:MOST_PANELS])


def figure(names: Sequence[str], sources: Sequence[Source], site: str, theme: str) -> Figure | None:
    """A panel for each axis of the curves; those of a second source are dashed. None without any curve."""
    of_axis = panels(names, sources, site)
    if not of_axis:
        return None
    known = curves_of(sources[0].moment(0, site))
    ink = "#e8ecf2" if THEMES[theme].dark else "#202020"
    height = min(_PANEL * len(of_axis) + 0.5, _MOST_INCHES)
    drawn = Figure(figsize=(_INCHES, height), dpi=110)
    axes = drawn.subplots(len(of_axis), 1, sharex=True, squeeze=False)[:, 0]
    drawn.subplots_adjust(left=LEFT, right=RIGHT, top=1 - 0.2 / height, bottom=0.5 / height, hspace=0.16)
    drawn.patch.set_alpha(0)
    for each, (label, of_panel) in zip(axes, of_axis.items(), strict=True):
        for source, style in zip(sources, ("-", "--"), strict=False):
            for name in of_panel:
                if series := source.series(name, site):
                    curve = known[name]
                    called = curve.label if style == "-" else None
                    each.plot(series[0] / 1440, series[1], style, color=curve.colour or ink, lw=1.5, label=called)
        each.set_ylabel(label, color=ink, fontsize=8)
        each.set_facecolor("none")
        each.tick_params(colors=ink, labelsize=8)
        each.margins(x=0)
        each.set_xlim(left=0)
        each.set_ylim(bottom=0)
        each.ticklabel_format(axis="y", style="sci", scilimits=(-2, 4))
        each.yaxis.get_offset_text().set(color=ink, fontsize=7)
        each.spines[:].set_color(ink)
        each.spines[["top", "right"]].set_visible(False)
        if len(of_panel) > 1:
            each.legend(frameon=False, fontsize=8, labelcolor=ink)
    axes[-1].set_xlabel("time, days", color=ink, fontsize=8)
    return drawn


def table(names: Sequence[str], sources: Sequence[Source], site: str) -> str:
    """The curves as CSV: source, curve, minutes, value."""
    known = curves_of(sources[0].moment(0, site))
    target = io.StringIO()
    rows = csv.writer(target, lineterminator="\n")
    rows.writerow(["source", "curve", "minutes", "value"])
    for source in sources:
        for name in names:
            if name in known and (series := source.series(name, site)):
                rows.writerows(
                    [source.title, name, f"{at:.10g}", f"{value:.10g}"] for at, value in zip(*series, strict=True)
                )
    return target.getvalue()
