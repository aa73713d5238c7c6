"""`gpusim tracks`: the paths of cells of a result."""

from pathlib import Path
from typing import Annotated

import typer

from gpusim.cli.app import ResultArgument, app, new_table, out
from gpusim.errors import ResultError

TRACKS, MSD, CONTACTS, PLOT, NAPARI = "tracks.csv", "msd.csv", "contacts.csv", "msd.png", "napari.tracks.csv"
"""Names of the files."""


@app.command()
def tracks(
    result: ResultArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FOLDER", help=f"Folder for {TRACKS}, {MSD}, {CONTACTS}, {NAPARI} and {PLOT}."
        ),
    ] = None,
    site: Annotated[str | None, typer.Option(metavar="SITE", help="Site, if there are several.")] = None,
    contact: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STATE",
            help="State of tissue cells with which contacts are measured.",
            show_default="states with the roles tumour, exposed, infected",
        ),
    ] = None,
) -> None:
    """Print speeds, mean square displacement and contact times of the tracked cells (record.tracks).

    Displacements are measured over the interval of the tracks. A contact lasts as long as the cell is in the voxel of a
    tissue cell in one of the states of --contact.
    """
    from gpusim.analysis.tracks import Paths
    from gpusim.record import Result
    from gpusim.record.files import aside, explained

    found = Result(result, site)
    states = found.document.states
    if unknown := [name for name in contact or () if name not in found.state_names]:
        raise ResultError(f"{result}: no state '{unknown[0]}' (known: {', '.join(found.state_names)})")
    roles = ("tumour", "exposed", "infected")
    touched = contact or [name for name, state in states.items() if state.role in roles]
    paths = Paths.of(found)
    summary, squares, contacts = paths.summary(), paths.mean_square_displacement(), paths.contacts(touched)
    table = new_table("state at the end", "tracks", "duration, min", "speed, um/min", "straightness")
    for state, group in summary.groupby("state", sort=True):
        middle = group[["duration_min", "speed_um_per_min", "straightness"]].median()
        table.add_row(str(state), f"{len(group):,}", *(f"{value:.3g}" for value in middle))
    out.print(f"{len(summary):,} tracks, a position each {paths.every:g} min; medians:")
    out.print(table)
    chosen = squares[squares["minutes"].isin(_spread(squares["minutes"].tolist()))]
    lags = new_table("lag, min", "mean square displacement, um^2", "standard error")
    for lag, square, error in chosen[["minutes", "um2", "sem_um2"]].itertuples(index=False):
        lags.add_row(f"{lag:g}", f"{square:.4g}", f"{error:.2g}")
    out.print(lags)
    if len(contacts):
        whole = contacts.loc[contacts["whole"], "minutes"]
        seen = f", median {whole.median():g} min of {len(whole):,} seen from begin to end" if len(whole) else ""
        out.print(f"{len(contacts):,} contacts with {', '.join(touched)}{seen}", markup=False)
    if output is None:
        return
    from gpusim.export import export
    from gpusim.viz import require

    require()
    from matplotlib import pyplot as plt

    from gpusim.viz import plots

    with explained(output):
        output.mkdir(parents=True, exist_ok=True)
        with aside(output / PLOT) as unready:  # all of them or none
            for name, each in ((TRACKS, summary), (MSD, squares), (CONTACTS, contacts)):
                each.to_csv(unready.with_name(name), index=False)
            export(found, unready.with_name(NAPARI), "tracks")
            plots.mean_square_displacement(squares)
            plt.savefig(unready, dpi=200)
            plt.close()
    for name in (TRACKS, MSD, CONTACTS, NAPARI, PLOT):
        out.print(str(output / name), markup=False)


def _spread(lags: list[float]) -> list[float]:
    """A few of many lags, each about twice the one before."""
    return [lags[2**i - 1] for i in range(len(lags).bit_length()) if 2**i <= len(lags)]
