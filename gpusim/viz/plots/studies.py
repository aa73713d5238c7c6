"""Figures of studies, from their tables: outcomes by parameter, sensitivity indices, fits."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch

from gpusim.analysis import dose_response as doses
from gpusim.errors import ResultError, extra
from gpusim.study.answer import label
from gpusim.viz.plots.style import LINES, colour, new_axes

_NUMBERED = 100
"""Cells of a map up to which they have their numbers."""
_BINS = 8
"""Groups of a parameter with many values, whose medians are joined."""


def _require(table: pd.DataFrame, names: Sequence[str]) -> None:
    for name in names:
        if name not in table.columns:
            raise ResultError(f"no column '{name}' in the table (it has: {', '.join(map(str, table.columns))})")


def _arms(table: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(table["arm"])) if "arm" in table else [""]


def _of_arm(table: pd.DataFrame, arm: str) -> pd.DataFrame:
    return table[table["arm"] == arm] if "arm" in table else table


def by_parameter(table: pd.DataFrame, parameter: str, outcomes: Sequence[str]) -> Figure:
    """Outcomes over one parameter: medians of the runs, and a band from the lowest to the highest, by arm.

    Raises `ResultError` where a column is missing.
    """
    _require(table, [parameter, *outcomes])
    with mpl.rc_context(LINES):
        figure, panels = _panels(len(outcomes))
        for panel, outcome in zip(panels, outcomes, strict=False):
            for i, arm in enumerate(_arms(table)):
                groups = _of_arm(table, arm).groupby(parameter)[outcome]
                at, middle = np.array(list(groups.groups), float), groups.median().to_numpy(float)
                panel.plot(at, middle, "o-", color=colour(i), markersize=3.5, label=arm)
                panel.fill_between(at, groups.min(), groups.max(), color=colour(i), alpha=0.18, linewidth=0)
            _scale(panel, table[parameter], "x")
            panel.set(xlabel=label(table, parameter), ylabel=outcome)
        _legend(figure, _arms(table))
    return figure


def dose_response(table: pd.DataFrame, dose: str, outcomes: Sequence[str]) -> Figure:
    """Outcomes of runs over a dose, with a Hill curve, its 95% interval and EC50, by arm.

    A dose of 0 is drawn a decade below the lowest other one. Raises `ResultError` where a column is missing, or for
    doses to which no curve can be fitted.
    """
    _require(table, [dose, *outcomes])
    positive = table[dose][table[dose] > 0]
    if positive.empty:
        raise ResultError(f"dose-response: '{dose}' has no values above 0")
    zero = float(positive.min()) / 10
    with mpl.rc_context(LINES):
        figure, panels = _panels(len(outcomes), width=4.4, height=3.2)
        for panel, outcome in zip(panels, outcomes, strict=False):
            for i, arm in enumerate(_arms(table)):
                rows = _of_arm(table, arm).dropna(subset=[outcome])
                at, values = rows[dose].to_numpy(float), rows[outcome].to_numpy(float)
                fitted = doses.fit(at, values)
                drawn = np.geomspace(zero if (at == 0).any() else positive.min(), positive.max(), 200)
                low, high = fitted.band(drawn)
                middle, lower, upper = fitted.parameters["ec50"]
                told = f"{arm}: EC50 {middle:.3g} [{lower:.3g} to {upper:.3g}]".removeprefix(": ")
                panel.plot(np.where(at == 0, zero, at), values, "o", color=colour(i), markersize=3, alpha=0.5)
                panel.plot(drawn, fitted(drawn), color=colour(i), linewidth=1.6, label=told)
                panel.fill_between(drawn, low, high, color=colour(i), alpha=0.15, linewidth=0)
            panel.set_xscale("log")
            with_zero = f" (0 is drawn at {zero:.3g})" if (table[dose] == 0).any() else ""
            panel.set(xlabel=label(table, dose) + with_zero, ylabel=outcome)
            panel.legend(loc="lower left", bbox_to_anchor=(0, 1.0), fontsize=8, borderaxespad=0.2)
    return figure


def phase_map(
    table: pd.DataFrame, x: str, y: str, value: str, *, axes: Axes | None = None, label: str | None = None
) -> Axes:
    """The median of a column over two swept ones, with its range over the runs of a cell.

    Raises `ResultError` where a column is missing.
    """
    _require(table, [x, y, value])
    with mpl.rc_context({**LINES, "axes.spines.top": True, "axes.spines.right": True}):
        axes = axes or new_axes()
        image = _map(axes, table, x, y, value, None)
        axes.figure.colorbar(image, ax=axes, label=label or value)
    return axes


def _map(axes: Axes, table: pd.DataFrame, x: str, y: str, value: str, span: tuple[float, float] | None) -> AxesImage:
    grids = [table.pivot_table(index=y, columns=x, values=value, aggfunc=how) for how in ("median", "min", "max")]
    middle, low, high = (grid.to_numpy(float) for grid in grids)
    bottom, top = span or (float(np.nanmin(middle)), float(np.nanmax(middle)))
    top = top if bottom < top else bottom + 1  # one value everywhere has one colour
    image = axes.imshow(middle, origin="lower", aspect="auto", cmap="cividis", vmin=bottom, vmax=top)
    axes.set_xticks(range(middle.shape[1]), [_short(v) for v in grids[0].columns])
    axes.set_yticks(range(middle.shape[0]), [_short(v) for v in grids[0].index])
    axes.set(xlabel=label(table, x), ylabel=label(table, y))
    for (row, column), number in np.ndenumerate(middle):
        if np.isfinite(number) and middle.size <= _NUMBERED:
            bright = (number - bottom) > 0.6 * ((top - bottom) or 1)
            ends = low[row, column], high[row, column]
            told = _short(number) + (f"\n{_short(ends[0])} to {_short(ends[1])}" if ends[0] < ends[1] else "")
            ink = "black" if bright else "white"
            axes.text(column, row, told, ha="center", va="center", color=ink, fontsize=7)
    return image


def _short(value: object) -> str:
    if not isinstance(value, int | float | np.number):
        return str(value)
    shown = float(value)
    return f"{shown:,.0f}" if 100 <= abs(shown) < 1e6 else f"{shown:.3g}"


def phase_maps(table: pd.DataFrame, x: str, y: str, outcomes: Sequence[str]) -> Figure:
    """A map of each outcome (a row) in each arm (a column), with one scale of colours for a row."""
    _require(table, [x, y, *outcomes])
    names = _arms(table)
    cells = table[x].nunique(), table[y].nunique()
    size = (1.6 + max(2.4, 1.15 * cells[0]) * len(names), (0.9 + max(1.6, 0.42 * cells[1])) * len(outcomes))
    with mpl.rc_context({**LINES, "axes.spines.top": True, "axes.spines.right": True}):
        figure, grid = plt.subplots(len(outcomes), len(names), figsize=size, squeeze=False, layout="constrained")
        for row, outcome in zip(grid, outcomes, strict=True):
            medians = table.groupby([x, y, *(["arm"] if "arm" in table else [])])[outcome].median()
            span = float(medians.min()), float(medians.max())
            for axes, arm in zip(row, names, strict=True):
                image = _map(axes, _of_arm(table, arm), x, y, outcome, span)
                axes.set_title(arm if len(names) > 1 else "", fontsize=9)
            figure.colorbar(image, ax=list(row), label=outcome)
    return figure


def effects(table: pd.DataFrame, parameters: Sequence[str], outcomes: Sequence[str]) -> Figure:
    """Each outcome (a row) over each parameter (a column): a dot for each run, and medians, by arm.

    The other parameters vary too, so that a slope that stands out of the dots is an effect on its own.
    """
    _require(table, [*parameters, *outcomes])
    size = (1.2 + 2.2 * len(parameters), 0.8 + 1.8 * len(outcomes))
    with mpl.rc_context(LINES):
        figure, grid = plt.subplots(
            len(outcomes),
            len(parameters),
            figsize=size,
            squeeze=False,
            sharey="row",
            sharex="col",
            layout="constrained",
        )
        for row, outcome in zip(grid, outcomes, strict=True):
            for panel, parameter in zip(row, parameters, strict=True):
                for i, arm in enumerate(_arms(table)):
                    rows = _of_arm(table, arm)
                    panel.plot(rows[parameter], rows[outcome], "o", color=colour(i), markersize=2, alpha=0.35)
                    at, middle = _joined(rows[parameter], rows[outcome])
                    panel.plot(at, middle, color=colour(i), linewidth=1.6, label=arm)
                _scale(panel, table[parameter], "x")
            row[0].set_ylabel(outcome)
        for panel, parameter in zip(grid[-1], parameters, strict=True):
            panel.set_xlabel(label(table, parameter), fontsize=8)
        _legend(figure, _arms(table))
    return figure


def variance(shares: pd.DataFrame) -> Figure:
    """Shares of the variance of each outcome: by each parameter, their interactions, and the seeds.

    Args:
        shares: as `gpusim.study.answer.variance` gives it.
    """
    names = [f"{row.outcome}, {row.arm}" if shares["arm"].nunique() > 1 else row.outcome for row in shares.itertuples()]
    sources = [column for column in shares.columns if column not in ("outcome", "arm")]
    with mpl.rc_context(LINES):
        figure, axes = plt.subplots(figsize=(6.4, 1.2 + 0.34 * len(names)), layout="constrained")
        left = np.zeros(len(names))
        for i, source in enumerate(sources):
            grey = {"interactions": "#b0b0b0", "seeds": "#e0e0e0"}.get(source, colour(i))
            values = shares[source].to_numpy(float)
            axes.barh(names, values, left=left, color=grey, label=source, height=0.7)
            for row, value in enumerate(values):
                if value >= 0.06:
                    ink = "black" if source in ("interactions", "seeds") else "white"
                    axes.text(
                        left[row] + value / 2, row, f"{value:.0%}", ha="center", va="center", color=ink, fontsize=8
                    )
            left += values
        axes.set(xlim=(0, 1), xlabel="share of the variance")
        axes.invert_yaxis()
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0, fontsize=8)
    return figure


def _joined(values: pd.Series, outcomes: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Medians by value of a parameter, or by group of as many values."""
    groups = values if values.nunique() <= _BINS else pd.qcut(values, _BINS, labels=False, duplicates="drop")
    return values.groupby(groups).median().to_numpy(float), outcomes.groupby(groups).median().to_numpy(float)


def _scale(panel: Axes, values: pd.Series, axis: str) -> None:
    """A logarithmic scale where values spread over a decade or more, evenly by their logarithms."""
    low, high = float(values.min()), float(values.max())
    if low > 0 and high / low >= 10 and float(values.median()) < (low + high) / 3:
        panel.set(**{f"{axis}scale": "log"})


def _panels(count: int, width: float = 3.2, height: float = 2.6) -> tuple[Figure, Sequence[Axes]]:
    columns = min(count, 3)
    rows = -(-count // columns)
    size = (width * columns + 0.6, height * rows + 0.3)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for panel in grid.ravel()[count:]:
        panel.set_axis_off()
    return figure, list(grid.ravel())


def _legend(figure: Figure, names: Sequence[str]) -> None:
    if len(names) > 1:
        patches = [Patch(color=colour(i), label=name) for i, name in enumerate(names)]
        figure.legend(handles=patches, loc="outside upper right", ncols=min(4, len(names)), fontsize=8)


def sensitivity(table: pd.DataFrame, outcome: str | None = None) -> Figure:
    """Indices of each parameter, ranked, their 95% intervals, and the noise that an index must pass to show an effect.

    For Morris's method also sigma over mu*: effects below the line through the origin do not change sign.

    Args:
        table: as `gpusim sensitivity` leaves it. outcome: one of its outcomes; the first where left out.

    Raises `ResultError` where the table has no such outcome.
    """
    known = list(dict.fromkeys(table["outcome"]))
    if outcome is not None and outcome not in known:
        raise ResultError(f"no outcome '{outcome}' in the table (it has: {', '.join(known)})")
    shown = [name for name in ("mu_star", "first", "total") if name in table]
    chosen = table[table["outcome"] == (outcome or known[0])]
    names = list(dict.fromkeys(chosen["arm"]))
    # Ranked by the largest index of any arm, which keeps the arms of a parameter together.
    strongest = chosen.groupby("parameter")[shown[-1]].max().sort_values(ascending=False)
    rank = chosen["parameter"].map({parameter: i for i, parameter in enumerate(strongest.index)})
    chosen = chosen.assign(_rank=rank).sort_values(["_rank"], kind="stable")
    by_morris = "sigma" in chosen
    with mpl.rc_context(LINES):
        size = (2.6 + 3.2 * (len(shown) + by_morris), 1.1 + max(0.34 * len(chosen), 1.6 * by_morris))
        figure, grid = plt.subplots(1, len(shown) + by_morris, figsize=size, squeeze=False, layout="constrained")
        panels = grid[0]
        colours = [colour(names.index(arm)) for arm in chosen["arm"]]
        rows = np.arange(len(chosen))
        several = len(names) > 1
        labels = [f"{p}, {arm}" if several else p for p, arm in zip(chosen["parameter"], chosen["arm"], strict=True)]
        for panel, index in zip(panels, shown, strict=False):
            widths = chosen[f"{index}_half_width"].to_numpy(float)
            panel.barh(rows, chosen[index], xerr=widths, color=colours, height=0.6, error_kw={"elinewidth": 1})
            noise = chosen[f"{index}_noise"].to_numpy(float)
            panel.barh(rows, noise, color="none", edgecolor="#404040", hatch="////", height=0.8, linewidth=0.8)
            panel.set(xlabel={"mu_star": "mean absolute effect (mu*)"}.get(index, f"{index} index"))
            panel.axvline(0, color="#808080", linewidth=0.8)
            panel.set_yticks(rows, labels if panel is panels[0] else [""] * len(rows))
            panel.invert_yaxis()
        if by_morris:
            _scatter(panels[-1], chosen, colours, labels)
        hatched = Patch(facecolor="none", edgecolor="#404040", hatch="////", label="noise of seeds (95%)")
        figure.legend(handles=[hatched], loc="outside lower right", fontsize=8)
        figure.suptitle(outcome or known[0], fontsize=10)
    return figure


def _scatter(panel: Axes, chosen: pd.DataFrame, colours: Sequence[str], labels: Sequence[str]) -> None:
    """Sigma over mu* of Morris's method, with the noise floor of mu*."""
    x, y = chosen["mu_star"].to_numpy(float), chosen["sigma"].to_numpy(float)
    top = 1.15 * max(float(x.max()), float(y.max()), 1e-300)
    panel.axvspan(0, float(chosen["mu_star_noise"].max()), facecolor="none", edgecolor="#b0b0b0", hatch="////")
    panel.plot([0, top], [0, top], ":", color="#808080", linewidth=0.8)
    panel.scatter(x, y, c=colours, s=18, zorder=3)
    # Names of parameters within the noise would lie on each other.
    for name, at, up, noise in zip(labels, x, y, chosen["mu_star_noise"], strict=True):
        if at <= noise:
            continue
        short = ".".join(name.split(".")[-2:])
        panel.annotate(short, (at, up), (4, 3), fontsize=7, textcoords="offset points")
    panel.set(xlabel="mean absolute effect (mu*)", ylabel="sigma", xlim=(0, top), ylim=(0, top))


def fit(against: pd.DataFrame, outcomes: Sequence[str] | None = None) -> Figure:
    """Measured values over time, and what the model gives with the fitted parameters: median and 95% band, by arm.

    Args:
        against: as `gpusim fit` leaves it (`fit.parquet`). outcomes: by default, all.
    """
    wanted = list(outcomes or dict.fromkeys(against["outcome"]))
    with mpl.rc_context(LINES):
        figure, panels = _panels(len(wanted), width=4.0, height=3.0)
        arms = _arms(against)
        for panel, outcome in zip(panels, wanted, strict=False):
            rows = against[against["outcome"] == outcome]
            for i, arm in enumerate(arms):
                # One time may have several measured values.
                of_arm = _of_arm(rows, arm).sort_values("minutes", kind="stable")
                if of_arm.empty:
                    continue
                model = of_arm.drop_duplicates("minutes")
                days = model["minutes"] / 1440
                panel.fill_between(days, model["low"], model["high"], color=colour(i), alpha=0.2, linewidth=0)
                panel.plot(days, model["median"], color=colour(i), linewidth=1.6, label=arm)
                middle = of_arm["measured"].to_numpy(float)
                ends = [middle - of_arm["measured_low"], of_arm["measured_high"] - middle]
                panel.errorbar(
                    of_arm["minutes"] / 1440, middle, yerr=ends, fmt="o", color=colour(i), markersize=4, elinewidth=1
                )
            panel.set(xlabel="time, days", ylabel=outcome, ylim=(0, None))
        _legend(figure, arms)
        figure.suptitle("points: measured, 95% of the error\nlines and bands: median and 95% of the model", fontsize=8)
    return figure


def corner(particles: pd.DataFrame, parameters: Sequence[str]) -> Figure:
    """The posterior of a fit: each parameter, and each pair of them; dashed lines at 2.5, 50 and 97.5%."""
    _require(particles, [*parameters, "weight"])
    with extra("viz", "for corner plots"):
        import corner as library
    values = particles[list(parameters)].to_numpy(float)
    # A range of no width cannot be drawn.
    ends = zip(values.min(axis=0), values.max(axis=0), strict=True)
    span = [(low, high) if low < high else (0.99 * low - 1e-9, 1.01 * high + 1e-9) for low, high in ends]
    with mpl.rc_context(LINES):
        return library.corner(
            values,
            weights=particles["weight"].to_numpy(float),
            labels=[label(particles, name) for name in parameters],
            quantiles=[0.025, 0.5, 0.975],
            range=span,
            bins=20,
            smooth=0.8,
            plot_datapoints=len(values) < 2000,
            color=colour(0),
            label_kwargs={"fontsize": 8},
            labelpad=0.08,
        )
