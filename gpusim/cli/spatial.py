"""`gpusim spatial`: where cells are, in results and in tables of real tissue."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpusim.cli.app import app, load, new_table, out
from gpusim.errors import ResultError, ScenarioError
from gpusim.viz import require

if TYPE_CHECKING:
    from rich.table import Table

    from gpusim.analysis.sections import Pattern
    from gpusim.scenario import Document

TABLES = (".csv", ".tsv", ".txt", ".parquet", ".pq", ".h5ad", ".gz")
"""Endings of tables of cells."""
TypesOption = Annotated[
    str,
    typer.Option(
        "--types",
        metavar="SCENARIO",
        help="Scenario whose tissue.types, tissue.table and tissue.columns assign states to the cells of tables.",
    ),
]


def is_table(source: Path) -> bool:
    """Whether a source is a table of cells, not a result folder."""
    return source.suffix.lower() in TABLES and not source.is_dir()


def types_for(source: Path, types: str) -> Document:
    """The scenario that gives the cells of a table their states. Raises `ScenarioError`."""
    if not source.is_file():
        raise ResultError(f"{source}: no such file")
    return load(types, None, tissue__cells=str(source.absolute())).document


@app.command()
def spatial(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="OUT|TABLE", help="Result folders and tables of cells (CSV, Parquet, AnnData)."),
    ],
    at: Annotated[
        str, typer.Option(metavar="TIMES", help='Times of the results, e.g. "start, 3 day, end" or "peak".')
    ] = "end",
    of: Annotated[
        str | None,
        typer.Option(metavar="STATES", help="States whose positions are analysed.", show_default="CD8 cells"),
    ] = None,
    site: Annotated[str | None, typer.Option(metavar="SITE", help="Site of the results, if there are several.")] = None,
    volume: Annotated[
        bool, typer.Option("--volume", help="Use the whole volume of the results instead of one section.")
    ] = False,
    types: TypesOption = "tissue-core",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FOLDER", help="Folder for figures and CSV tables.")
    ] = None,
) -> None:
    """Print and plot spatial statistics of results and real sections: infiltration, clustering, mixing, virus spread.

    The same code measures both. A result is measured in one section through the middle of the tumour, as seen by a
    pathologist. K, cross-K and nearest-neighbour distances are corrected for the edges of the tissue.
    """
    found = _patterns(sources, at, site, volume, types)
    states = _listed(of)
    out.print(_table(found, states))
    if output is not None:
        require()
        _write(output, found, states)


def _listed(of: str | None) -> list[str] | None:
    return None if of is None else [name.strip() for name in of.split(",")]


def _patterns(sources: Sequence[Path], at: str, site: str | None, volume: bool, types: str) -> list[Pattern]:
    from gpusim.analysis.sections import sections, table_section
    from gpusim.record import Result

    found = []
    names = [source.name for source in sources]
    for source in sources:
        if is_table(source):
            document = types_for(source, types)
            try:
                found.append(table_section(source, document))
            except ScenarioError as error:
                raise ScenarioError(f"{error}; the columns are those of '{types}': --types gives another") from None
            continue
        result = Result(source, site)
        label = source.name if names.count(source.name) == 1 else f"{source.parent.name}/{source.name}"
        snapshots = [-1]
        if at != "end":
            require()
            from gpusim.viz.moment import snapshots_at

            snapshots = snapshots_at(result, at)
        found += sections(result, snapshots, label=label, whole=volume)
    return found


def _table(patterns: Sequence[Pattern], states: Sequence[str] | None) -> Table:
    """A row for each measure, a column for each section."""
    from gpusim.analysis.sections import SUMMARY, summary

    table = new_table("", *(pattern.title for pattern in patterns))
    numbers = [summary(pattern, states) for pattern in patterns]
    for name, unit in SUMMARY.items():
        label = name.replace("cells", "cells" if name != "cells" else _cells(patterns[0], states))
        volume = unit.replace("mm²", "mm³") if name == "tissue" and patterns[0].window.axes == 3 else unit
        table.add_row(f"{label}, {volume}".removesuffix(", "), *(_number(each[name]) for each in numbers))
    return table


def _cells(pattern: Pattern, states: Sequence[str] | None) -> str:
    from gpusim.analysis.sections import cells_label

    return cells_label(pattern, states)


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _write(folder: Path, patterns: Sequence[Pattern], states: Sequence[str] | None) -> None:
    """Three tables with all sections, and two figures."""
    import pandas as pd
    from matplotlib import pyplot as plt

    from gpusim.analysis.sections import clustering, infiltration, summary
    from gpusim.record.files import aside, explained
    from gpusim.viz import plots

    def joined(of: Callable[[Pattern, Sequence[str] | None], pd.DataFrame]) -> pd.DataFrame:
        parts = [of(pattern, states) for pattern in patterns]
        return pd.concat([part.assign(section=p.title) for p, part in zip(patterns, parts, strict=True)])

    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        measured: dict[str, pd.DataFrame] = {
            "sections": joined(lambda pattern, states: pd.DataFrame([summary(pattern, states)])),
            "infiltration": joined(infiltration),
            "clustering": joined(clustering),
        }
        figures: dict[str, Callable[..., object]] = {"infiltration": plots.infiltration, "clustering": plots.clustering}
        # All of them or none.
        with aside(folder / "sections.csv") as table:
            for name, frame in measured.items():
                columns = ["section", *(column for column in frame.columns if column != "section")]
                frame[columns].to_csv(table.with_name(f"{name}.csv"), index=False)
            for name, draw in figures.items():
                draw(patterns, states)
                plt.savefig(table.with_name(f"{name}.png"), dpi=200)
                plt.close()
        for name in measured:
            out.print(f"table    {folder / name}.csv")
        for name in figures:
            out.print(f"figure   {folder / name}.png")
