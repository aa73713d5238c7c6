"""`gpusim show`, `gpusim heat`, `gpusim digest`."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from gpusim.cli.app import ResultArgument, app, err, new_table, out
from gpusim.units import duration

if TYPE_CHECKING:
    from gpusim.record import Result

_LESIONS_SHOWN = 3
"""Largest number of lesions printed for a time, because a shrinking lesion can break into many."""


@app.command()
def show(
    result: ResultArgument, rows: Annotated[int, typer.Option(min=2, help="Number of rows of the table.")] = 20
) -> None:
    """Print cell counts and field amounts of a result over time."""
    from gpusim.analysis import volume_label, whole
    from gpusim.record import Result

    found = Result(result)
    counts = found.counts
    states = [c for c in counts.columns if c.startswith("cells.") and counts[c].max() > 0 and c != "cells.none"]
    units = {name: field.unit for name, field in found.scenario.document.fields.items()}
    lattices = [Result(result, site) for site in found.sites]
    sizes = [math.prod(each.array("tissue", 0).shape) for each in lattices], [each.spacing for each in lattices]
    told = {name: whole(unit, *sizes) for name, unit in units.items()}
    named = {f"{name}, {each.label}": counts[f"total.{name}"] * each.factor for name, each in told.items()}
    last = len(counts) - 1
    shown = sorted({round(last * k / (rows - 1)) for k in range(rows)})
    cells = {state.split(".", 1)[1]: counts[state] for state in states}
    for first, columns, form in (
        ("cells at", cells, ",.0f"),
        (f"fields, in {volume_label(*sizes)}, at", named, ".4g"),
    ):
        table = new_table(first, *columns)
        for i in shown:
            minutes = duration(float(counts["minutes"].iloc[i]))
            table.add_row(minutes, *(format(float(values.iloc[i]), form) for values in columns.values()))
        out.print(table)
    if found.summary is None:
        err.print("gpusim: note: this run has not finished", markup=False)


@app.command("heat")
def show_heat(
    source: Annotated[
        Path, typer.Argument(metavar="OUT|TABLE.csv", help="A result folder, or a table of cells of a section.")
    ],
) -> None:
    """Print the lesions of a tumour over time: size, CD8 cells per mm^2 of section, tumour heat, immune phenotype."""
    from gpusim.analysis import phenotype_of_table
    from gpusim.record import Result

    if source.suffix == ".csv":
        section = phenotype_of_table(source)
        table = new_table("section", "CD8 per mm2 in tumour", "in stroma", "phenotype")
        table.add_row(source.name, f"{section.core:.0f}", f"{section.margin:.0f}", section.phenotype)
        out.print(table)
        return
    for site in Result(source).sites:
        out.print(_heat_table(Result(source, site)))


def _heat_table(result: Result) -> Table:
    """Lesions of a site over time."""
    from gpusim.analysis import ALL_TUMOUR_CELLS, read_lesions

    document = result.document
    first = "at" if len(result.sites) == 1 else f"{result.site}, at"
    table = new_table(first, ALL_TUMOUR_CELLS, "diameter, um", "CD8 per mm2 in core", "in margin", "heat", "phenotype")
    for i, minutes in enumerate(result.times):
        found = read_lesions(document, partial(result.array, snapshot=i))
        for lesion in found[:_LESIONS_SHOWN]:
            table.add_row(
                duration(float(minutes)),
                f"{lesion.cells:,}",
                *(f"{value:.0f}" for value in (lesion.diameter, lesion.core, lesion.margin)),
                f"{lesion.heat:.3f}",
                lesion.phenotype,
            )
        if not found:
            table.add_row(duration(float(minutes)), "0", *[""] * 4, "no lesion left")
    return table


@app.command("digest")
def print_digest(result: ResultArgument) -> None:
    """Print the digest of the last state of a result; equal digests mean equal trajectories."""
    from gpusim.record import Result

    out.print(Result(result).digest())
