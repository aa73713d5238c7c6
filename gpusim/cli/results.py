"""`gpusim show`, `gpusim heat`, `gpusim digest`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from gpusim.cli.app import ResultArgument, app, err, new_table, out, print_wide
from gpusim.errors import ResultError
from gpusim.units import duration

if TYPE_CHECKING:
    import pandas as pd

    from gpusim.record import Result

_PICTURES = (".png", ".svg", ".pdf")
_LESIONS_SHOWN = 3
"""Largest number of lesions printed for a time, because a shrinking lesion can break into many."""


@app.command()
def show(
    result: ResultArgument,
    rows: Annotated[int, typer.Option(min=2, help="Largest number of rows of the table.")] = 20,
    site: Annotated[
        str | None, typer.Option(metavar="SITE", help="Site, if there are several.", show_default="all sites together")
    ] = None,
    means: Annotated[
        bool, typer.Option("--means", help="Print means of fields, in their units, instead of amounts.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Draw the curves of cells, fields and the body instead: curves.png, curves.svg or curves.pdf.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Print cell counts, amounts of fields, means of traits and quantities of the body of a result over time.

    Quantities of the body that do not change are left out.

    For several results (replicates, a trial, a study that keeps its stores), print a row for the end of each. With -o,
    draw the curves of one result, or the medians of replicates with bands from the lowest to the highest value.
    """
    if output is not None:
        if site is not None or means:
            raise typer.BadParameter(
                "-o draws amounts, of all sites together, so --site and --means would have no effect"
            )
        _draw_curves(result, output)
        return
    from gpusim.analysis import volume_label, whole
    from gpusim.analysis.amount import Whole
    from gpusim.record import Result, results_below

    if several := results_below(result):
        if site is not None or means:
            raise ResultError(
                f"{result}: contains {len(several)} results; --site and --means are for one, such as "
                f"{quote(str(several[0]))}"
            )
        _show_ends(result, several)
        return
    found = Result(result, site)
    counts = found.counts
    if site is not None and len(found.sites) > 1:
        own = counts[[column for column in counts.columns if column.startswith(f"{site}.")]]
        counts = counts[["minutes"]].join(own.rename(columns=lambda column: column.removeprefix(f"{site}.")))
    states = [c for c in counts.columns if c.startswith("cells.") and counts[c].max() > 0 and c != "cells.none"]
    units = {name: field.unit for name, field in found.scenario.document.fields.items()}
    sizes = found.sizes if site is None else ([found.voxels], [found.spacing])
    voxels = sum(sizes[0])
    told = {
        name: Whole(1 / voxels, unit, is_amount=False) if means else whole(unit, *sizes) for name, unit in units.items()
    }
    named = {
        f"{name}, {each.label}".removesuffix(", mean" if means else ""): counts[f"total.{name}"] * each.factor
        for name, each in told.items()
    }
    shown = _rows(found, rows)
    units_of_traits = {name: trait.unit for name, trait in found.scenario.document.traits.items()}
    of_traits = {
        f"{name}, {unit}".removesuffix(", dimensionless"): counts[f"mean.{name}"]
        for name, unit in units_of_traits.items()
    }
    cells = {state.split(".", 1)[1]: counts[state] for state in states}
    of_body = {
        f"{name}, {quantity.unit}".removesuffix(", dimensionless"): found.counts[f"body.{name}"]
        for name, quantity in found.scenario.document.body.quantities.items()
        if found.counts[f"body.{name}"].nunique() > 1
    }
    for first, columns, form in (
        ("cells at", cells, ",.0f"),
        (f"fields, {'mean over' if means else 'in'} {volume_label(*sizes)}, at", named, ".4g"),
        ("traits, mean over their cells, at", of_traits, ".4g"),
        ("body, at", of_body, ".4g"),
    ):
        if not columns:
            continue
        times = [duration(float(counts["minutes"].iloc[i])) for i in shown]
        print_wide(
            {first: times},
            {name: [_number(float(values.iloc[i]), form) for i in shown] for name, values in columns.items()},
        )
    if len(found.sites) > 1 and site is None:
        out.print(f"all sites together; one of them: --site {' or '.join(map(quote, found.sites))}", markup=False)
    if found.summary is None:
        err.print("gpusim: note: this run has not finished", markup=False)


def _draw_curves(folder: Path, output: Path) -> None:
    """Draw the curves of a result or of its replicates."""
    from gpusim.record import Result, results_below
    from gpusim.record.files import aside, explained
    from gpusim.viz import require

    if output.suffix.lower() not in _PICTURES:
        raise ResultError(f"{output}: expected a name that ends in {', '.join(_PICTURES)}")
    several = results_below(folder)
    found = [Result(path) for path in several] or [Result(folder)]
    but_for_seeds = [result.scenario.document.model_copy(update={"seed": 0}) for result in found]
    if any(document != but_for_seeds[0] for document in but_for_seeds[1:]):
        raise ResultError(
            f"{folder}: contains {len(several)} results that are not replicates of one run; -o is for one, such as "
            f"{quote(str(several[0]))}, or for replicates; 'gpusim compare' draws arms"
        )
    require()
    from matplotlib import pyplot as plt

    from gpusim.viz import plots

    figure = plots.curves(found)
    with explained(output), aside(output) as unready:
        figure.savefig(unready, dpi=160)
    plt.close(figure)
    out.print(str(output))


def _rows(result: Result, count: int) -> list[int]:
    """At most so many rows of the counts, evenly spread, with the first and the last.

    They are at the times of snapshots, which are round, unless there are fewer of these.
    """
    import numpy as np

    minutes = result.counts["minutes"].to_numpy()
    of_snapshots = set(np.flatnonzero(np.isin(minutes.round(6), result.times.round(6))).tolist()) | {
        0,
        len(minutes) - 1,
    }
    among = sorted(of_snapshots) if len(of_snapshots) >= count else list(range(len(minutes)))
    return sorted({among[round((len(among) - 1) * k / (count - 1))] for k in range(count)})


def _show_ends(folder: Path, several: list[Path]) -> None:
    """Cells at the end of each result, and the time of that."""
    from gpusim.record import Result

    found = {path.relative_to(folder).as_posix(): Result(path) for path in several}
    last = {label: result.counts.iloc[-1] for label, result in found.items()}
    names = dict.fromkeys(name for result in found.values() for name in result.state_names if name != "none")
    states = [name for name in names if any(row.get(f"cells.{name}", 0) > 0 for row in last.values())]
    print_wide(
        {"result": list(last), "cells at": [duration(float(row["minutes"])) for row in last.values()]},
        {name: [_cells(row, name) for row in last.values()] for name in states},
    )
    out.print(f"one of them over time: gpusim show {quote(str(several[0]))}")
    for label, result in found.items():
        if result.summary is None:
            err.print(f"gpusim: note: {label}: this run has not finished", markup=False)


def _cells(row: pd.Series[float], state: str) -> str:
    """Cells of a state as text; blank for a result without this state."""
    return f"{row[f'cells.{state}']:,.0f}" if f"cells.{state}" in row else ""


def _number(value: float, form: str) -> str:
    """A number of a table; blank for the mean of a trait that no cell has."""
    return "" if math.isnan(value) else format(value, form)


@app.command("heat")
def show_heat(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="OUT|TABLE", help="Result folders, and tables of cells of sections.", show_default=False
        ),
    ],
) -> None:
    """Print the lesions of a tumour over time: size, CD8 cells per mm^2 of section, tumour heat, immune phenotype.

    For several results (several folders, replicates, a trial, a study that keeps its stores), print the lesions at the
    end of each. For tables of real sections, print the phenotype.
    """
    from gpusim.analysis import phenotype_of_table
    from gpusim.record import Result, results_below

    tables = [source for source in sources if source.suffix == ".csv"]
    folders = [source for source in sources if source not in tables]
    sections = [(source.name, phenotype_of_table(source)) for source in tables]
    several = {folder: results_below(folder) for folder in folders}
    if folders and (len(folders) > 1 or several[folders[0]]):
        everywhere = {
            ", ".join([_label(each, folder, folders), *([site] if len(sites) > 1 else [])]): Result(each, site)
            for folder in folders
            for each in several[folder] or [folder]
            for sites in [Result(each).sites]
            for site in sites
        }
        out.print(_heat_table(everywhere, last=True))
    else:
        for folder in folders:
            for site in Result(folder).sites:
                out.print(_heat_table({"": Result(folder, site)}))
    if sections:
        table = new_table("section", "CD8 per mm2 in tumour", "in stroma", "phenotype")
        for name, section in sections:
            table.add_row(name, f"{section.core:.0f}", f"{section.margin:.0f}", section.phenotype)
        out.print(table)


def _label(result: Path, folder: Path, folders: Sequence[Path]) -> str:
    """Of a result in one of several folders: its path in it, after the folder's where there are several."""
    inner = result.relative_to(folder).as_posix()
    return inner if len(folders) == 1 else str(folder) if inner == "." else f"{folder}/{inner}"


def _heat_table(results: Mapping[str, Result], *, last: bool = False) -> Table:
    """Lesions of a site over time; or at the end of several results, by their labels."""
    from gpusim.analysis import read_lesions, tumour_cells_label

    one = next(iter(results.values()))
    first = "at" if last or len(one.sites) == 1 else f"{one.site}, at"
    labels = ("result",) if last else ()
    cells = tumour_cells_label(one.document)
    table = new_table(*labels, first, cells, "diameter, um", "CD8 per mm2 in core", "in margin", "heat", "phenotype")
    for label, result in results.items():
        for i, minutes in list(enumerate(result.times))[-1 if last else 0 :]:
            at = (label, duration(float(minutes))) if last else (duration(float(minutes)),)
            found = read_lesions(result.document, partial(result.array, snapshot=i))
            for lesion in found[:_LESIONS_SHOWN]:
                table.add_row(
                    *at,
                    f"{lesion.cells:,}",
                    *(f"{value:.0f}" for value in (lesion.diameter, lesion.core, lesion.margin)),
                    f"{lesion.heat:.3f}",
                    lesion.phenotype,
                )
            if not found:
                table.add_row(*at, "0", *[""] * 4, "no lesion left")
    return table


@app.command("digest")
def print_digest(result: ResultArgument) -> None:
    """Print the digest of the last state of a result, or of each of several; equal digests mean equal trajectories."""
    from gpusim.record import Result, results_below

    if several := results_below(result):
        for each in several:
            out.print(f"{Result(each).digest()}  {each.relative_to(result).as_posix()}", markup=False)
        return
    out.print(Result(result).digest())
