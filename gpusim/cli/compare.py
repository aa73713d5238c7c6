"""`gpusim compare`: a report on several results."""

from pathlib import Path
from typing import Annotated

import typer

from gpusim.cli.app import app, out
from gpusim.cli.spatial import TypesOption, is_table, types_for
from gpusim.errors import ResultError
from gpusim.viz import require


@app.command()
def compare(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="OUT|TABLE", help="Result folders of runs, trials, studies, robustness; tables of real cells."
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="File to write.")] = Path(
        "report.html"
    ),
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Include pictures.")] = True,
    types: TypesOption = "tissue-core",
    dose: Annotated[
        str | None, typer.Option(metavar="PATH", help="Parameter of a study over which Hill curves are fitted.")
    ] = None,
) -> None:
    """Report on results, the arms of trials, and studies, on one self-contained HTML page.

    For runs and trials: expected orders, outcomes, curves, heat, responses, times to events, CD8 cells in space,
    pictures, a paragraph on methods. For studies: a row for each point, maps, sensitivity, fits. A table of cells of a
    real section is compared with the results by the same code. If the result of gpusim robustness is given with that of
    its trial, the report includes the share of sets in which each order holds.
    """
    require()
    if output.suffix.lower() not in (".html", ".htm"):
        raise ResultError(f"{output}: expected a name that ends in .html")
    from gpusim.record.files import aside, explained
    from gpusim.viz.report import save_report

    with explained(output), aside(output) as unready:
        save_report(
            [source for source in results if not is_table(source)],
            unready,
            pictures=pictures,
            tables=[source for source in results if is_table(source)],
            types=lambda table: types_for(table, types),
            dose=dose,
        )
    out.print(f"report   {output}")
