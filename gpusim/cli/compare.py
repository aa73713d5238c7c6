"""`gpusim compare`: results side by side on one page."""

from pathlib import Path
from typing import Annotated

import typer

from gpusim.cli.app import app, out
from gpusim.errors import ResultError
from gpusim.viz import require


@app.command()
def compare(
    results: Annotated[list[Path], typer.Argument(metavar="OUT...", help="Result folders, or folders of trials.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The page.")] = Path("report.html"),
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="With a picture of each.")] = True,
) -> None:
    """Compare results, or the arms of trials, on one page that needs no network: curves, heat, response, pictures."""
    require()
    if output.suffix.lower() not in (".html", ".htm"):
        raise ResultError(f"{output}: expected a name that ends in .html")
    from gpusim.record.files import aside, explained
    from gpusim.viz.report import save_report

    with explained(output), aside(output) as unready:
        save_report(results, unready, pictures=pictures)
    out.print(f"report   {output}")
