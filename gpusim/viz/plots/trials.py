"""Figures of trials: outcomes of their arms, times to events, responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from gpusim.analysis.response import PARTIAL, PROGRESSION, Reading
from gpusim.analysis.survival import Event, Times, kaplan_meier
from gpusim.errors import ResultError
from gpusim.study.trial import Trial
from gpusim.viz.plots.style import DAY, LINES, colour, from_zero, new_axes

_PER_ROW = 4
"""Panels in a row."""
FALSE_DISCOVERY = 0.05
"""Rate of false discoveries below which a rule has a colour in a volcano plot."""
_NAMED_RULES = 12
"""Rules that have their name in it, at most."""
_PLACES = [
    (5, 0),
    (-5, 0),
    *((away, up) for step in range(1, 8) for away in (8, -8) for up in (9 * step, -9 * step)),
]
"""Offsets of a name from its point, points: away from the middle, and up."""
_LEAD = {"arrowstyle": "-", "linewidth": 0.4, "color": "#808080", "shrinkA": 0, "shrinkB": 2}
"""The line from a point to its name."""


def volcano(table: pd.DataFrame, one: str, other: str, *, axes: Axes | None = None) -> Axes:
    """Rules by how much more often they fire in the second of two arms, and by the evidence for it.

    Args:
        table: of `gpusim.analysis.firings.fold_changes`. one, other: names of the arms.
    """
    with mpl.rc_context(LINES):
        axes = axes or new_axes(6.4, 4.2)
        tested = table[table["q"].notna()]
        fold, height = tested["log2_fold"].to_numpy(), -np.log10(np.maximum(tested["q"].to_numpy(), 1e-12))
        found = tested["q"].to_numpy() < FALSE_DISCOVERY
        axes.scatter(fold[~found], height[~found], s=14, color="#a0a0a0", linewidths=0)
        axes.scatter(fold[found], height[found], s=18, color=[colour(0 if f < 0 else 1) for f in fold[found]])
        axes.axhline(-np.log10(FALSE_DISCOVERY), color="#808080", linewidth=0.8, linestyle="--")
        axes.axvline(0, color="#808080", linewidth=0.8)
        strongest = sorted(np.flatnonzero(found), key=lambda i: -abs(fold[i]) * height[i])[:_NAMED_RULES]
        axes.margins(x=0.25)
        axes.set(
            xlabel=f"log₂ of the firings, {other} over {one}",
            ylabel="-log₁₀ of the adjusted p",
            ylim=(0, None),
        )
        names = tested["rule"].tolist()
        _name_points(axes, [(fold[i], height[i]) for i in strongest], [names[i] for i in strongest])
    return axes


def _name_points(axes: Axes, points: Sequence[tuple[float, float]], names: Sequence[str]) -> None:
    """Write names beside points, the first ones first; those that find no free place are left out.

    A name that is not right beside its point has a line to it.
    """
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()  # axes have their final size
    pixels = figure.dpi / 72
    frame = axes.get_window_extent()
    dots = axes.transData.transform(np.reshape(points, (-1, 2)))
    taken = [Bbox.from_bounds(x - 3 * pixels, y - 3 * pixels, 6 * pixels, 6 * pixels) for x, y in dots]
    for point, name in zip(points, names, strict=True):
        outwards = 1 if point[0] >= 0 else -1
        for away, up in _PLACES:
            text = axes.annotate(
                name,
                point,
                xytext=(away * outwards, up),
                textcoords="offset points",
                ha="left" if away * outwards > 0 else "right",
                va="center",
                fontsize=7,
            )
            text.set_in_layout(False)
            box = text.get_window_extent()
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                if up:
                    line = axes.annotate("", point, (away * outwards, up), textcoords="offset points", arrowprops=_LEAD)
                    line.set_in_layout(False)
                break
            text.remove()


def arms(trial: Trial, outcomes: Sequence[str] | None = None) -> Figure:
    """The arms of a trial: a panel for each outcome, a dot for each seed, a line at the median.

    Args:
        outcomes: columns of its table; those of the expected orders where left out, or all.

    Raises `ResultError` where the table has no such column.
    """
    spec = trial.scenario.document.trial
    assert spec is not None, "has arms"
    known = trial.outcomes
    ordered = {order.outcome for order in spec.expected}
    wanted = list(outcomes) if outcomes is not None else [c for c in known if c.split("@")[0] in ordered] or known
    for column in wanted:
        if column not in known:
            raise ResultError(f"no outcome '{column}' in the trial (it has: {', '.join(known)})")
    names = list(spec.arms)
    with mpl.rc_context(LINES):
        columns = min(len(wanted), _PER_ROW)
        rows = -(-len(wanted) // columns)
        size = (2.2 + 2.0 * columns, (0.9 + 0.34 * len(names)) * rows)
        figure, grid = plt.subplots(rows, columns, figsize=size, sharey=True, squeeze=False, layout="constrained")
        panels = grid.ravel()
        for panel in panels[len(wanted) :]:
            panel.set_axis_off()
        for panel, column in zip(panels, wanted, strict=False):
            for row, arm in enumerate(names):
                values = trial.table[trial.table["arm"] == arm][column].to_numpy(float)
                shift = np.linspace(-0.22, 0.22, len(values)) if len(values) > 1 else np.zeros(1)
                panel.plot(values, row + shift, "o", color=colour(row), alpha=0.55, markersize=3.5, markeredgewidth=0)
                panel.plot([np.median(values)] * 2, [row - 0.34, row + 0.34], color=colour(row), linewidth=2)
            begins = from_zero(trial.table[column].to_numpy(float))
            panel.set(xlabel=column.replace("_", " "), xlim=(0, None) if begins else None)
            panel.tick_params(axis="y", length=0)
        panels[0].set_yticks(range(len(names)), names)
        panels[0].invert_yaxis()
    return figure


def survival(arms: Mapping[str, Times], event: Event) -> Figure:
    """Kaplan-Meier curves of arms, with 95% intervals, ticks where runs end without the event, and runs at risk."""
    with mpl.rc_context(LINES):
        figure, (axes, below) = plt.subplots(
            2,
            1,
            figsize=(6.4, 3.4 + 0.2 * len(arms)),
            sharex=True,
            height_ratios=[1, 0.06 + 0.07 * len(arms)],
            layout="constrained",
        )
        last = max(float(times.minutes.max()) for times in arms.values()) / DAY
        ticks = [last * i / 4 for i in range(5)]
        for i, (name, times) in enumerate(arms.items()):
            curve = kaplan_meier(times)
            end = float(times.minutes.max()) / DAY
            days = np.append(curve["minutes"] / DAY, end)
            share, low, high = (np.append(curve[c], curve[c].iloc[-1]) for c in ("share", "low", "high"))
            axes.step(days, share, where="post", color=colour(i), linewidth=1.6, label=name)
            axes.fill_between(days, low, high, step="post", color=colour(i), alpha=0.12, linewidth=0)
            ended = curve[curve["censored"] > 0]
            axes.plot(ended["minutes"] / DAY, ended["share"], "|", color=colour(i), markersize=7)
            for day in ticks:
                at_risk = int((times.minutes / DAY >= day - 1e-9).sum())
                below.text(day, -i, str(at_risk), ha="center", va="center", fontsize=8, color=colour(i))
        axes.set(ylabel=f"runs without {event}", ylim=(0, 1.03))
        axes.set_xticks(ticks, [f"{day:.3g}" for day in ticks])
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
        below.set(ylim=(-len(arms) + 0.4, 0.6), yticks=[], xlabel="time, days", ylabel="at risk")
        below.spines[:].set_visible(False)
        below.tick_params(length=0)
        axes.tick_params(labelbottom=True)
        axes.margins(x=0.02)
    return figure


def change_of_diameters(run: Sequence[Reading]) -> np.ndarray:
    """Change of the sum of diameters from the first reading, %: float64 [readings]; infinite from 0 on."""
    sums = np.array([reading.total for reading in run])
    with np.errstate(divide="ignore", invalid="ignore"):
        found: np.ndarray = np.where(sums == sums[0], 0.0, 100 * (sums / sums[0] - 1))
    return found


def waterfall(read: Mapping[str, Sequence[Sequence[Reading]]]) -> Figure:
    """The best change of the sum of diameters of each run, the worst first, coloured by arm.

    Dotted lines: from 20% above, progression; from 30% below, partial response (RECIST 1.1).
    """
    best = [
        (float(change_of_diameters(run)[1:].min()), i)
        for i, runs in enumerate(read.values())
        for run in runs
        if len(run) > 1
    ]
    best.sort(reverse=True)
    with mpl.rc_context(LINES):
        figure, axes = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
        axes.bar(range(len(best)), [change for change, _ in best], color=[colour(i) for _, i in best], width=0.85)
        _thresholds(axes)
        axes.set(ylabel="best change of the\nsum of diameters, %", xlabel="runs", xticks=[])
        for i, name in enumerate(read):
            axes.bar(0, 0, color=colour(i), label=name)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    return figure


def spider(read: Mapping[str, Sequence[Sequence[Reading]]]) -> Figure:
    """The change of the sum of diameters of each run over time, coloured by arm."""
    with mpl.rc_context(LINES):
        figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
        for i, (name, runs) in enumerate(read.items()):
            for k, run in enumerate(runs):
                days = [reading.minutes / DAY for reading in run]
                label = name if k == 0 else None
                axes.plot(days, change_of_diameters(run), color=colour(i), linewidth=1, alpha=0.75, label=label)
        _thresholds(axes)
        axes.set(xlabel="time, days", ylabel="change of the\nsum of diameters, %")
        axes.margins(x=0.01)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    return figure


def _thresholds(axes: Axes) -> None:
    axes.axhline(0, color="#808080", linewidth=0.8)
    for limit in (PARTIAL, PROGRESSION):
        axes.axhline(100 * (limit - 1), color="#808080", linewidth=0.8, linestyle=":")
