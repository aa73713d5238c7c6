"""Figures of one result or of its replicates: `counts(result)`, `counts([result, result, ...])`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from gpusim.analysis import state_label, states_with
from gpusim.analysis.ancestry import Ancestry
from gpusim.analysis.regions import depth
from gpusim.analysis.roles import tumour_name
from gpusim.errors import ResultError
from gpusim.record import Result
from gpusim.scenario.schema import EMPTY, NONE
from gpusim.units import duration
from gpusim.viz import scene
from gpusim.viz.moment import Moment, moment_of_result
from gpusim.viz.overlay import field_label, length_label, round_length
from gpusim.viz.palette import NAMED_CLONES, THEMES, clone_colours, state_colours
from gpusim.viz.plots.style import DAY, LINES, dark, from_zero, new_axes
from gpusim.viz.scene import Look


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
    with mpl.rc_context(LINES):
        axes = axes or new_axes()
        for state in wanted:
            low, middle, high, days = band(tables, f"cells.{state}")
            axes.plot(days, middle, color=dark(colours[state]), linewidth=1.6, label=state_label(document, state))
            if len(tables) > 1:
                axes.fill_between(days, low, high, color=dark(colours[state]), alpha=0.25, linewidth=0)
        if log:
            axes.set_yscale("symlog", linthresh=10)
            axes.yaxis.set_major_formatter("{x:,.0f}")  # powers of ten would be mathematical text, which is off
        axes.set(xlabel="time, days", ylabel="cells")
        axes.margins(x=0)
        drawn = [table[f"cells.{state}"].to_numpy(float) for state in wanted for table in tables]
        if log or not drawn or from_zero(np.concatenate(drawn)):
            axes.set_ylim(bottom=0)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    return axes


def _worth_showing(result: Result, table: pd.DataFrame) -> list[str]:
    passive = {EMPTY, NONE, *states_with(result.scenario.document, "healthy", "stroma", "vessel")}
    return [s for s in result.state_names if s not in passive and table[f"cells.{s}"].max() > 0]


def band(tables: Sequence[pd.DataFrame], column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
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
        raise ResultError(f"there is no edge of a {tumour_name(moment.document)} at {duration(moment.minutes)}")
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
    with mpl.rc_context(LINES):
        axes = axes or new_axes()
        spare = iter(["#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"])
        for name in names:
            values = profile(moment, name, beyond, edges)
            top = np.nanmax(values)
            is_state = name in moment.states
            unit = "cells/mm³" if is_state else moment.unit(name).replace("um", "µm")
            label = f"{moment.label(name)} (1 = {f'{top:.3g} {unit}'.rstrip()})"
            colour = dark(colours[name]) if is_state else next(spare)
            style = "-" if is_state else "--"
            axes.plot((edges[1:] + edges[:-1]) / 2, values / (top or 1), style, color=colour, label=label)
        axes.axvline(0, color="#808080", linewidth=0.8)
        axes.text(
            0,
            1.02,
            f" {tumour_name(moment.document)} →",
            fontsize=8,
            color="#606060",
            transform=axes.get_xaxis_transform(),
        )
        axes.set(xlabel=f"distance from the {tumour_name(moment.document)}'s edge, µm", ylabel="of the largest mean")
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
    with mpl.rc_context(LINES):
        axes = axes or new_axes()
        colours = "Greys" if is_state else first.map(name, THEMES["paper"])
        image = axes.pcolormesh(
            bounds, edges, np.array(columns).T, cmap=colours, shading="flat", vmin=0, rasterized=True
        )
        axes.axhline(0, color="#808080", linewidth=0.8, linestyle=":")
        axes.set(xlabel="time, days", ylabel="distance from the first edge, µm\n(inside above 0)")
        label = f"{first.label(name)}, cells/mm³" if is_state else field_label(first, name)
        axes.figure.colorbar(image, ax=axes, label=label)
    return axes


def muller(result: Result, *, least: float = 0.01, axes: Axes | None = None) -> Axes:
    """Shares of clones over time (a Muller plot): the area of a clone lies within that of its parent.

    A clone is drawn if its family (itself and its descendants) has at least the share `least` of all cells at some
    snapshot. Other clones are drawn as parts of their parents. The largest clones have colours and numbers, others are
    grey. Raises `ResultError`, also for a result without clones, or with a single snapshot.
    """
    ancestry = Ancestry.of(result)
    if len(result.times) < 2:
        raise ResultError(f"{result.folder}: expected at least two snapshots; found 1")
    into = ancestry.gathered(ancestry.large(least))
    colours = clone_colours(ancestry.ranked(into))
    shares, low = _nested(ancestry, into)
    days, drawn = result.times / DAY, np.unique(into).tolist()
    with mpl.rc_context(LINES):
        axes = axes or new_axes(6.4, 3.8)
        for clone in drawn:
            colour = colours.get(clone, "#d0d0d0")
            top = low[clone] + shares[clone]
            here = shares[clone] > 0
            here[:-1] |= here[1:]  # from the snapshot before its birth on
            axes.fill_between(days, low[clone], top, here, facecolor=colour, edgecolor="white", linewidth=0.3)
        named = [Patch(facecolor=colours[clone], label=f"clone {clone}") for clone in list(colours)[:NAMED_CLONES]]
        if len(colours) > NAMED_CLONES:
            named.append(Patch(facecolor=list(colours.values())[-1], label=f"{len(colours) - NAMED_CLONES} others"))
        axes.set(xlabel="time, days", ylabel="share of cells", ylim=(0, 1), xlim=(days[0], days[-1]))
        small = len(ancestry.parents) - len(drawn) - (0 not in drawn)
        axes.set_title(
            f"{small:,} clones with families below {least:.3g} of all cells are shown as parts of their parents",
            fontsize=8,
            loc="left",
        )
        axes.legend(handles=named, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    return axes


def _nested(ancestry: Ancestry, into: np.ndarray) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
    """Shares of the families of the clones that others are gathered into, and the lower edges of their areas."""
    drawn = sorted({0, *into.tolist()})
    totals = np.array([ancestry.families(ancestry.cells(i))[drawn] for i in range(len(ancestry.present))], float)
    all_cells = np.maximum(totals[:, :1], 1.0)
    shares = dict(zip(drawn, (totals / all_cells).T, strict=True))
    children: dict[int, list[int]] = {clone: [] for clone in drawn}
    for clone in drawn[1:]:
        children[int(ancestry.parents[clone])].append(clone)  # its family is smaller, so that the parent is drawn too
    low = {0: np.zeros(len(totals))}
    for clone in drawn:
        own = shares[clone] - sum((shares[child] for child in children[clone]), np.zeros(len(totals)))
        gap = own / (len(children[clone]) + 1)
        edge = low[clone] + gap
        for child in children[clone]:
            low[child] = edge
            edge = edge + shares[child] + gap
    return shares, low


def section(
    moment: Moment,
    *,
    z: float | None = None,
    trait: str | None = None,
    axes: Axes | None = None,
    legend: bool = True,
) -> Axes:
    """What a pathologist sees: the cells in a plane across z (um; by default through the tumour's middle).

    A mobile cell hides the resident one of its voxel. With a trait, cells that have it are coloured by its value.
    Raises `ResultError` for an unknown trait.
    """
    layer = _layer(moment, z)
    none = moment.states.index(NONE)
    shown = np.where(moment.immune[layer] == none, moment.tissue[layer], moment.immune[layer])
    look = scene.spanned(Look(trait=trait, theme=THEMES["paper"], hidden=frozenset(["field"])), [moment])
    colours = scene.colours_of(moment, look) | {EMPTY: look.theme.gap}
    width, height, _ = moment.size
    with mpl.rc_context(LINES):
        axes = axes or new_axes(5.2, 4.2)
        painted = scene.painter(moment, look)(shown, layer)
        axes.imshow(painted, origin="lower", extent=(0, width, 0, height), interpolation="nearest")
        present = [name for i, name in enumerate(moment.states) if (shown == i).any()]
        if trait is not None:
            with_trait = moment.states_with(trait)
            present = [name for name in present if name not in with_trait]
            scale = ScalarMappable(Normalize(*(look.trait_span or (0, 1))), moment.map(trait, look.theme))
            label = f"{field_label(moment, trait)}\n({'; '.join(map(moment.label, with_trait))})"
            axes.figure.colorbar(scale, ax=axes, label=label, location="bottom", fraction=0.05, pad=0.02)
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
    with mpl.rc_context(LINES):
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
