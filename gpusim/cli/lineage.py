"""`gpusim lineage`: the clones of a result."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpusim.cli.app import ResultArgument, app, new_table, out
from gpusim.units import duration
from gpusim.viz import require

if TYPE_CHECKING:
    from rich.table import Table

    from gpusim.analysis.ancestry import Ancestry
    from gpusim.record import Result

PLOT, TREE = "muller.png", "clones.nwk"
"""Names of the files."""


@app.command()
def lineage(
    result: ResultArgument,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help=f"Folder for {PLOT} and {TREE}.")
    ] = Path("lineage"),
    site: Annotated[str | None, typer.Option(metavar="SITE", help="Site, if there are several.")] = None,
    least: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Share of all cells below which the plot shows clones as parts of their parents."
        ),
    ] = 0.01,
    rows: Annotated[int, typer.Option(min=1, help="Number of clones in the printed table.")] = 10,
) -> None:
    """Plot the clones of a result over time, write their tree in the Newick format, and print the largest ones.

    The plot is a Muller plot: the area of a clone lies within that of its parent. It shows clones that have, together
    with their descendants, at least the share --least of all cells at some snapshot; other clones are shown as parts of
    their parents. The tree contains all clones, as clone1, clone2, ... with the numbers of births.csv; the length of a
    branch is the time from the birth of the parent, in min.
    """
    from gpusim.analysis.ancestry import Ancestry
    from gpusim.record import Result
    from gpusim.record.files import aside, explained

    found = Result(result, site)
    ancestry = Ancestry.of(found)
    require()
    from matplotlib import pyplot as plt

    from gpusim.viz import plots

    plots.muller(found, least=least)
    with explained(output):
        output.mkdir(parents=True, exist_ok=True)
        with aside(output / PLOT) as unready:  # both of them or none
            plt.savefig(unready, dpi=200)
            plt.close()
            unready.with_name(TREE).write_text(ancestry.newick(), encoding="utf-8")
    out.print(_largest(found, ancestry, rows))
    out.print(f"plot     {output / PLOT}")
    out.print(f"tree     {output / TREE}")


def _largest(result: "Result", ancestry: "Ancestry", rows: int) -> "Table":
    """The clones with the most cells at the last snapshot."""
    births, cells = result.births, ancestry.cells(-1)
    families, whole = ancestry.families(cells), max(int(cells.sum()), 1)
    traits = [column for column in births.columns if column.startswith("trait.")]
    units = {name: trait.unit for name, trait in result.document.traits.items()}
    names = [name.removeprefix("trait.") for name in traits]
    labels = [f"{name}, {units[name]}".removesuffix(", dimensionless") for name in names]
    table = new_table("clone", "parent", "born", "cells", "share", "with descendants", *labels)
    order = sorted(range(1, len(cells)), key=lambda clone: (-cells[clone], clone))
    for clone in order[:rows]:
        row = births.iloc[clone - 1]
        table.add_row(
            str(clone),
            str(int(row["parent"]) or ""),
            duration(float(row["minutes"])),
            f"{cells[clone]:,}",
            f"{cells[clone] / whole:.2%}",
            f"{families[clone] / whole:.2%}",
            *("" if row[trait] != row[trait] else f"{row[trait]:.4g}" for trait in traits),
        )
    return table
