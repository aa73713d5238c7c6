"""`gpusim import`."""

from pathlib import Path
from typing import Annotated

import typer

from gpusim.cli.app import app, err, new_table, out
from gpusim.errors import GpusimError

importing = typer.Typer(no_args_is_help=True, help="Translate models of other programs into scenarios.")
app.add_typer(importing, name="import")


@importing.callback()
def _root() -> None:
    pass


@importing.command("physicell")
def import_physicell(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.xml", help="PhysiCell_settings.xml of a project.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Scenario to write; its tables are written to the same folder."
        ),
    ] = Path("scenario.yaml"),
    strict: Annotated[
        bool, typer.Option("--strict", help="If anything is lost, write nothing and exit with code 2.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
) -> None:
    """Translate a PhysiCell project: settings, rules, cells and initial substrates."""
    from gpusim.physicell import import_project
    from gpusim.physicell.report import FATES
    from gpusim.record.files import written_aside

    found = import_project(config, output.stem)
    table = new_table("part", "element", "result", "how, or why not")
    for row in found.report.rows:
        table.add_row(row.kind, row.element, row.fate, row.note)
    out.print(table)
    for title, rules in (("rules", True), ("other elements", False)):
        counts = found.report.counts(rules=rules)
        out.print(f"{title}: " + ", ".join(f"{counts[fate]} {fate}" for fate in FATES))
    lost = found.report.counts()["lost"]
    if strict and lost:
        raise GpusimError(f"{config}: {lost} elements are lost; nothing written (--strict)")
    # The scenario last: it is there only with all that it reads.
    files = {output.parent / name: text for name, text in found.tables.items()} | {output: found.text}
    taken = [path for path in files if path.exists()]
    if taken and not overwrite:
        raise GpusimError(f"{taken[0]} exists; use --overwrite to replace it")
    for path, text in files.items():
        with written_aside(path) as file:
            file.write(text.encode())
        err.print(f"gpusim: written: {path}", markup=False)
