"""`gpusim compare`: a report on several results."""

from pathlib import Path
from typing import Annotated

import typer

from gpusim.cli.app import app, out
from gpusim.errors import ResultError
from gpusim.viz import require


@app.command()
def compare(
    results: Annotated[list[Path], typer.Argument(metavar="OUT...", help="Result folders of runs or trials.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="File to write.")] = Path(
        "report.html"
    ),
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Include pictures.")] = True,
) -> None:
    """Compare results, or the arms of trials, in one self-contained HTML page: curves, heat, response, pictures."""
    require()
    if output.suffix.lower() not in (".html", ".htm"):
        raise ResultError(f"{output}: expected a name that ends in .html")
    from gpusim.record.files import aside, explained
    from gpusim.viz.report import save_report

    with explained(output), aside(output) as unready:
        save_report(results, unready, pictures=pictures)
    out.print(f"report   {output}")
