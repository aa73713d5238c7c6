"""Figures for papers, on matplotlib: each function draws into axes and gives them back.

Lengths in um, times in days. A figure of a result: `counts(result)`; of replicates: `counts([result, result, ...])`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from gpusim.analysis import state_label, states_with
from gpusim.analysis.regions import depth
from gpusim.errors import ResultError
from gpusim.record import Result
from gpusim.scenario.schema import EMPTY, NONE
from gpusim.study.trial import Trial
from gpusim.units import duration
from gpusim.viz.moment import Moment, moment_of_result
from gpusim.viz.overlay import field_label, length_label, round_length
from gpusim.viz.palette import THEMES, mixed, state_colours

DAY = 1440.0
_LINES = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "text.parse_math": False,  # a folder may be called $x$
}


def counts(
    results: Result | Sequence[Result],
    states: Iterable[str] | None = None,
    *,
    axes: Axes | None = None,
    log: bool = True,
) -> Axes:
    """Cells over time, by state: the median of the replicates, and a band from their lowest to their highest.

    Args:
        results: one result or replicates of one scenario. states: those that occur in the tumour, and immune ones.

    Raises `ResultError` where there is nothing to draw.
    """
    replicates = [results] if isinstance(results, Result) else list(results)
    if not replicates:
        raise ResultError("counts: expected a result")
    tables = [result.counts for result in replicates]
    wanted = list(states) if states is not None else _worth_showing(replicates[0], tables[0])
    document = replicates[0].scenario.document
    colours = state_colours(document)
    with mpl.rc_context(_LINES):
        axes = axes or _axes()
        for state in wanted:
            low, middle, high, days = _band(tables, f"cells.{state}")
            axes.plot(days, middle, color=_line(colours[state]), linewidth=1.6, label=state_label(document, state))
            if len(tables) > 1:
                axes.fill_between(days, low, high, color=_line(colours[state]), alpha=0.25, linewidth=0)
        if log:
            axes.set_yscale("symlog", linthresh=10)
        axes.set(xlabel="time, days", ylabel="cells")
        axes.margins(x=0)
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    return axes


def _worth_showing(result: Result, table: pd.DataFrame) -> list[str]:
    passive = {EMPTY, NONE, *states_with(result.scenario.document, "healthy", "stroma", "vessel")}
    return [s for s in result.state_names if s not in passive and table[f"cells.{s}"].max() > 0]


def _band(tables: Sequence[pd.DataFrame], column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Lowest, median and highest of replicates at the times of the first; and those times, days."""
    minutes = tables[0]["minutes"].to_numpy(float)
    last = min(float(table["minutes"].iloc[-1]) for table in tables)
    minutes = minutes[minutes <= last]
    values = np.array([np.interp(minutes, table["minutes"], table[column]) for table in tables])
    return values.min(axis=0), np.median(values, axis=0), values.max(axis=0), minutes / DAY


def depth_in_tumour(moment: Moment) -> np.ndarray:
    """Distance of voxel centres from the tumour's edge, um, above 0 inside: float [z, y, x]. Raises `ResultError`."""
    found = depth(moment.body >= 0.5, moment.spacing)
    if np.isinf(found).any():
        raise ResultError(f"there is no edge of a tumour at {duration(moment.minutes)}")
    return found


def profile(moment: Moment, name: str, depth: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Mean of a field, or cells of a state per mm^3, by distance from an edge: float [len(edges) - 1].

    Where no voxel has such a distance it is not a number. Raises `ResultError`.
    """
    per_voxel = (moment.spacing * 1e-3) ** -3
    values = moment.cells([name]) * per_voxel if name in moment.states else moment.values(name)
    inside = (depth >= edges[0]) & (depth < edges[-1])
    bins = np.digitize(depth[inside], edges) - 1
    voxels = np.bincount(bins, minlength=len(edges) - 1)
    sums = np.bincount(bins, weights=values[inside], minlength=len(edges) - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: np.ndarray = np.where(voxels > 0, sums / voxels, np.nan)
    return means


def radial_profiles(moment: Moment, names: Sequence[str], *, axes: Axes | None = None) -> Axes:
    """Fields (relative to their largest) and densities of cells against the distance from the tumour's edge."""
    beyond = depth_in_tumour(moment)
    edges = _edges(beyond, moment.spacing)
    colours = moment.colours
    with mpl.rc_context(_LINES):
        axes = axes or _axes()
        spare = iter(["#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"])
        for name in names:
            values = profile(moment, name, beyond, edges)
            top = np.nanmax(values)
            is_state = name in moment.states
            unit = "cells/mm³" if is_state else moment.unit(name).replace("um", "µm")
            label = f"{moment.label(name)} (1 = {f'{top:.3g} {unit}'.rstrip()})"
            colour = _line(colours[name]) if is_state else next(spare)
            style = "-" if is_state else "--"
            axes.plot((edges[1:] + edges[:-1]) / 2, values / (top or 1), style, color=colour, label=label)
        axes.axvline(0, color="#808080", linewidth=0.8)
        axes.text(0, 1.02, " tumour →", fontsize=8, color="#606060", transform=axes.get_xaxis_transform())
        axes.set(xlabel="distance from the tumour's edge, µm", ylabel="of the largest mean")
        axes.set_ylim(bottom=0)
        axes.margins(x=0)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0, fontsize=8)
    return axes


def kymograph(result: Result, name: str, *, axes: Axes | None = None) -> Axes:
    """A field, or the density of a state, by distance from the tumour's first edge, over time."""
    first = moment_of_result(result, 0)
    beyond = depth_in_tumour(first)
    edges = _edges(beyond, first.spacing)
    columns = [profile(moment_of_result(result, i), name, beyond, edges) for i in range(len(result.times))]
    days = result.times / DAY
    bounds = np.concatenate([[days[0]], (days[1:] + days[:-1]) / 2, [days[-1]]]) if len(days) > 1 else [0, 1]
    is_state = name in first.states
    with mpl.rc_context(_LINES):
        axes = axes or _axes()
        colours = "Greys" if is_state else first.map(name, THEMES["paper"])
        image = axes.pcolormesh(
            bounds, edges, np.array(columns).T, cmap=colours, shading="flat", vmin=0, rasterized=True
        )
        axes.axhline(0, color="#808080", linewidth=0.8, linestyle=":")
        axes.set(xlabel="time, days", ylabel="distance from the first edge, µm\n(inside above 0)")
        label = f"{first.label(name)}, cells/mm³" if is_state else field_label(first, name)
        axes.figure.colorbar(image, ax=axes, label=label)
    return axes


def phase_map(
    table: pd.DataFrame, x: str, y: str, value: str, *, axes: Axes | None = None, label: str | None = None
) -> Axes:
    """The mean of a column over two swept ones, such as the outcome over dose and time of injection.

    Raises `ResultError` where a column is missing.
    """
    for column in (x, y, value):
        if column not in table.columns:
            raise ResultError(f"no column '{column}' in the table (it has: {', '.join(map(str, table.columns))})")
    grid = table.pivot_table(index=y, columns=x, values=value, aggfunc="mean")
    with mpl.rc_context({**_LINES, "axes.spines.top": True, "axes.spines.right": True}):
        axes = axes or _axes()
        image = axes.imshow(grid.to_numpy(float), origin="lower", aspect="auto", cmap="cividis")
        axes.set_xticks(range(grid.shape[1]), [f"{v:g}" if np.isreal(v) else str(v) for v in grid.columns])
        axes.set_yticks(range(grid.shape[0]), [f"{v:g}" if np.isreal(v) else str(v) for v in grid.index])
        axes.set(xlabel=x, ylabel=y)
        low, high = np.nanmin(grid.to_numpy(float)), np.nanmax(grid.to_numpy(float))
        for (row, column), number in np.ndenumerate(grid.to_numpy(float)):
            if np.isfinite(number) and grid.size <= 100:
                bright = (number - low) > 0.6 * ((high - low) or 1)
                axes.text(column, row, f"{number:.3g}", ha="center", va="center", color="black" if bright else "white")
        axes.figure.colorbar(image, ax=axes, label=label or value)
    return axes


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
    with mpl.rc_context(_LINES):
        size = (2.2 + 2.0 * len(wanted), 0.9 + 0.34 * len(names))
        figure, panels = plt.subplots(1, len(wanted), figsize=size, sharey=True, squeeze=False, layout="constrained")
        for panel, column in zip(panels[0], wanted, strict=True):
            for row, arm in enumerate(names):
                values = trial.table[trial.table["arm"] == arm][column].to_numpy(float)
                shift = np.linspace(-0.22, 0.22, len(values)) if len(values) > 1 else np.zeros(1)
                colour = f"C{row}"
                panel.plot(values, row + shift, "o", color=colour, alpha=0.55, markersize=3.5, markeredgewidth=0)
                panel.plot([np.median(values)] * 2, [row - 0.34, row + 0.34], color=colour, linewidth=2)
            panel.set(xlabel=column.replace("_", " "), xlim=(0, None) if (trial.table[column] >= 0).all() else None)
            panel.tick_params(axis="y", length=0)
        panels[0][0].set_yticks(range(len(names)), names)
        panels[0][0].invert_yaxis()
    return figure


def sensitivity(table: pd.DataFrame, outcome: str | None = None) -> Figure:
    """Indices of each parameter, their 95% intervals, and the noise that an index must pass to show an effect.

    Args:
        table: as `gpusim sensitivity` leaves it. outcome: one of its outcomes; the first where left out.

    Raises `ResultError` where the table has no such outcome.
    """
    known = list(dict.fromkeys(table["outcome"]))
    if outcome is not None and outcome not in known:
        raise ResultError(f"no outcome '{outcome}' in the table (it has: {', '.join(known)})")
    chosen = table[table["outcome"] == (outcome or known[0])]
    shown = [name for name in ("mu_star", "first", "total") if name in table]
    names = list(dict.fromkeys(chosen["arm"]))
    with mpl.rc_context(_LINES):
        size = (2.6 + 3.2 * len(shown), 1.1 + 0.34 * len(chosen))
        figure, panels = plt.subplots(1, len(shown), figsize=size, sharey=True, squeeze=False, layout="constrained")
        for panel, index in zip(panels[0], shown, strict=True):
            rows = np.arange(len(chosen))
            colours = [f"C{names.index(arm)}" for arm in chosen["arm"]]
            widths = chosen[f"{index}_half_width"].to_numpy(float)
            panel.barh(rows, chosen[index], xerr=widths, color=colours, height=0.6, error_kw={"elinewidth": 1})
            noise = chosen[f"{index}_noise"].to_numpy(float)
            panel.barh(rows, noise, color="none", edgecolor="#404040", hatch="////", height=0.8, linewidth=0.8)
            panel.set(xlabel={"mu_star": "mean absolute effect (mu*)"}.get(index, f"{index} index"))
            panel.axvline(0, color="#808080", linewidth=0.8)
        several = len(names) > 1
        labels = [f"{p}, {arm}" if several else p for p, arm in zip(chosen["parameter"], chosen["arm"], strict=True)]
        panels[0][0].set_yticks(range(len(chosen)), labels)
        panels[0][0].invert_yaxis()
        hatched = Patch(facecolor="none", edgecolor="#404040", hatch="////", label="noise of seeds (95%)")
        figure.legend(handles=[hatched], loc="outside lower right", fontsize=8)
        figure.suptitle(outcome or known[0], fontsize=10)
    return figure


def section(moment: Moment, *, z: float | None = None, axes: Axes | None = None, legend: bool = True) -> Axes:
    """What a pathologist sees: the cells in a plane across z (um; by default through the tumour's middle).

    A mobile cell hides the resident one of its voxel.
    """
    layer = _layer(moment, z)
    none = moment.states.index(NONE)
    shown = np.where(moment.immune[layer] == none, moment.tissue[layer], moment.immune[layer])
    colours = moment.colours | {EMPTY: THEMES["paper"].gap}
    width, height, _ = moment.size
    with mpl.rc_context(_LINES):
        axes = axes or _axes(5.2, 4.2)
        table = ListedColormap([colours[name] for name in moment.states])
        norm = BoundaryNorm(np.arange(len(moment.states) + 1) - 0.5, len(moment.states))
        axes.imshow(shown, origin="lower", extent=(0, width, 0, height), cmap=table, norm=norm, interpolation="nearest")
        present = [name for i, name in enumerate(moment.states) if (shown == i).any()]
        if legend:
            patches = [
                Patch(facecolor=colours[n], edgecolor="#606060", linewidth=0.4, label=moment.label(n)) for n in present
            ]
            axes.legend(handles=patches, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, fontsize=8)
        length = round_length(width / 4)
        axes.plot([0.04 * width, 0.04 * width + length], [0.04 * height] * 2, color="black", linewidth=3)
        axes.text(0.04 * width, 0.06 * height, length_label(length), fontsize=9, va="bottom")
        axes.set_title(f"z = {(layer + 0.5) * moment.spacing:g} µm, {duration(moment.minutes)}", fontsize=9, loc="left")
        axes.set_axis_off()
    return axes


def summary(result: Result, *, snapshot: int = -1) -> Figure:
    """One page of a result: section, counts, profiles, kymograph of what the volume would show."""
    moment = moment_of_result(result, snapshot)
    with mpl.rc_context(_LINES):
        figure, axes = plt.subplots(2, 2, figsize=(12, 8), layout="constrained")
        section(moment, axes=axes[0, 0])
        counts(result, axes=axes[0, 1])
        field = moment.field_names[0]
        try:
            names = [n for n in moment.having("infected", "effector") if moment.cells([n]).any()]
            radial_profiles(moment, [field, *names], axes=axes[1, 0])
            kymograph(result, field, axes=axes[1, 1])
        except ResultError:  # a tumour that is gone has no edge
            for each in axes[1]:
                each.set_axis_off()
    return figure


def _layer(moment: Moment, z: float | None) -> int:
    depth = moment.tissue.shape[0]
    if z is not None:
        if not 0 <= z <= moment.size[2]:
            raise ResultError(f"z: {z:g} um is outside the lattice, which is {moment.size[2]:g} um high")
        return min(int(z / moment.spacing), depth - 1)
    tumour = moment.cells(moment.tumour_states).sum(axis=(1, 2))
    return int(np.average(np.arange(depth), weights=tumour).round()) if tumour.any() else depth // 2


def _edges(depth: np.ndarray, spacing: float) -> np.ndarray:
    low = max(float(depth.min()), -20 * spacing)
    steps = np.arange(np.floor(low / spacing), np.ceil(float(depth.max()) / spacing) + 1)
    edges: np.ndarray = steps * spacing
    return edges


def _line(colour: str) -> str:
    """A colour that is dark enough for a line on white."""
    return mixed(colour, "#000000", 0.18)


def _axes(width: float = 5.6, height: float = 3.4) -> Axes:
    figure = plt.figure(figsize=(width, height), layout="constrained")
    return figure.subplots()
