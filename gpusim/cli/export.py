"""`gpusim export`."""

from pathlib import Path
from typing import Annotated

import typer

from gpusim.cli.app import ResultArgument, app, out
from gpusim.export import FORMATS, export, format_of
from gpusim.units import UnitError, number

_LISTED = "; ".join(f"{name}: {format.about} ({format.ending})" for name, format in FORMATS.items())


def _time(text: str) -> float:
    try:
        return number(text, "min")
    except UnitError as error:
        raise typer.BadParameter(f"'{text}' {error}") from None


@app.command("export")
def export_result(
    result: ResultArgument,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE", help="Target; its ending determines the format."),
    ],
    format: Annotated[str | None, typer.Option(help=_LISTED + ".", metavar="|".join(FORMATS))] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="One snapshot, e.g. '12 h'.", show_default="all; physicell: the last"),
    ] = None,
    site: Annotated[str | None, typer.Option(help="Site to export.", show_default="the first")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Write a result for other tools: ParaView, napari, pandas, PhysiCell, pcdl."""
    from gpusim.record import Result

    written = export(
        Result(result, site), output, format or format_of(output), _time(at) if at else None, overwrite=overwrite
    )
    out.print(f"{written}  {output}", markup=False)
