"""`gpusim render`, `gpusim view`: pictures, movies, and the viewer."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import gpusim
from gpusim.cli.app import ResultArgument, SetOption, app, err, load, out
from gpusim.cli.progress import Log, LogOption, progress
from gpusim.errors import ResultError
from gpusim.viz import require

if TYPE_CHECKING:
    import numpy as np

    from gpusim.record import Result

_ENDINGS = (".png", ".mp4", ".gif", ".html")
_NOT_IN_PLANES = ("theme", "cut", "faces", "hide", "opacity", "view", "trait", "clones", "seconds", "turn")
"""Parameters that have no effect with --plane."""


@app.command()
def render(
    context: typer.Context,
    result: ResultArgument,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="picture.png, movie.mp4, movie.gif or page.html.")
    ] = Path("picture.png"),
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Simulated time, e.g. '3 day', or start, end, peak (the time at which the tumour contains most of the "
            "field); several times ('start, peak, end', or all) are drawn side by side; a page has a control for them.",
            show_default="end; all snapshots in a movie",
        ),
    ] = None,
    site: Annotated[
        str | None,
        typer.Option(metavar="SITE", help="Site to draw.", show_default="all of them; the first in a movie or a page"),
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(help="Field shown by the volume, or heat, flow-speed or room.", show_default="heat, if defined"),
    ] = None,
    trait: Annotated[
        str | None,
        typer.Option(
            help="Trait by which cells are coloured; without --field, no volume is drawn.", show_default="none"
        ),
    ] = None,
    clones: Annotated[
        bool,
        typer.Option(
            "--clones",
            help="Colour cells by clone, the largest clones in different colours. Clones that, with their descendants, "
            "stay below 1% of all cells have the colour of their parents. Without --field, no volume is drawn.",
        ),
    ] = False,
    streamlines: Annotated[
        bool,
        typer.Option(
            "--streamlines",
            help="Draw the streamlines of the interstitial fluid, coloured by its speed; with --plane, those of the "
            "velocity within the plane.",
        ),
    ] = False,
    span: Annotated[
        str | None,
        typer.Option(
            metavar="LOW,HIGH", help="Range of the colour map, in the unit of the field or, if given, the trait."
        ),
    ] = None,
    view: Annotated[
        str | None,
        typer.Option(metavar="VIEW", help="corner, front, side, top, or AZIMUTH,ELEVATION in degrees."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH", help="Size in pixels.", show_default="1920x1080; mp4 1280x720; page 960x540; gif 640x360"
        ),
    ] = None,
    theme: Annotated[str, typer.Option(help="dark, light or paper.")] = "dark",
    cut: Annotated[
        str,
        typer.Option(
            metavar="AXES",
            help="Part cut out on the side of the camera, up to the middle of the tumour: a quarter (xy), a half (x, y "
            "or z), an eighth (xyz), or nothing (none).",
        ),
    ] = "xy",
    faces: Annotated[
        str, typer.Option(metavar="cells|field", help="Content of the faces of the cut: the cells, or the field.")
    ] = "cells",
    hide: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAYER",
            help="Leave out one of field, surface, section, core, front, vessels, cells, streamlines, box.",
        ),
    ] = None,
    opacity: Annotated[float, typer.Option(min=0.01, max=100, help="Factor on the opacity of the volume.")] = 1.0,
    plane: Annotated[
        str | None,
        typer.Option(
            metavar="PLANE",
            help="Draw the field in a plane instead of the volume, with contours and a colour bar, and a panel for "
            "each time and site: x, y or z through the middle of the tumour; 'z = 120 um'; 'z of virus', in each panel "
            "the layer with the largest sum of a field; or all, three planes.",
        ),
    ] = None,
    logarithmic: Annotated[
        bool,
        typer.Option(
            "--log-scale",
            help="With --plane: a logarithmic colour scale, from 1/10,000 of the largest value (or --span).",
        ),
    ] = False,
    seconds: Annotated[float, typer.Option(min=0.1, max=3600, help="Length of a movie.")] = 8.0,
    turn: Annotated[
        float | None,
        typer.Option(
            min=-3600,
            max=3600,
            help="Rotation of the camera in a movie, or in a page with several times, in degrees.",
            show_default="movie 50; page 120",
        ),
    ] = None,
    sides: Annotated[
        int, typer.Option(min=1, max=72, help="Number of positions of the camera in a page with several times.")
    ] = 7,
    log: LogOption = Log.text,
) -> None:
    """Draw a result: tumour heat as a volume around the cut tumour, with its vessels and immune cells."""
    ending = output.suffix.lower()
    if clones and trait is not None:
        raise ResultError("clones: expected --clones or --trait, because a cell has one colour")
    if plane is not None:
        _refuse(context, _NOT_IN_PLANES, "with --plane")
        _refuse(context, ("log", "sides"), "with --plane")
        if plane == "all":
            _refuse(context, ("size",), "with --plane all")
        _planes(result, output, plane, at or "end", site, field, span, size, logarithmic, streamlines)
        return
    _refuse(context, ("logarithmic",), "without --plane")
    if ending not in _ENDINGS:
        raise ResultError(f"{output}: expected a name that ends in {', '.join(_ENDINGS)}")
    recorded = ending == ".html" and at is not None and ("," in at or at.strip() == "all")
    if ending in (".png", ".html"):
        _refuse(context, ("seconds",), f"in a {'picture' if ending == '.png' else 'page'}, only in a movie")
        if not recorded:
            _refuse(context, ("log", "turn"), "here, only in a movie or a page with several times")
    if not recorded:
        _refuse(context, ("sides",), "here, only in a page with several times")
    if ending == ".html" and not recorded:
        _refuse(context, ("size",), "in a page with one time")
    if cut == "none":
        _refuse(context, ("faces",), "with --cut none")
    if (clones or trait is not None) and field is None:
        _refuse(context, ("opacity",), f"with --{'clones' if clones else 'trait'} without --field")
        if clones and faces == "cells":
            _refuse(context, ("span",), "with --clones without --field")
    from gpusim.record import Result
    from gpusim.record.files import aside, explained

    found = Result(result, site)
    require()
    from gpusim.viz import film, moment, page, palette, recording, scene
    from gpusim.viz import render as rendering

    look = scene.Look(
        field=field,
        theme=palette.theme(theme),
        span=_span(span) if trait is None else None,
        trait=trait,
        trait_span=_span(span) if trait is not None else None,
        clones=clones,
        streamlines=streamlines,
        cut=cut,
        faces=faces,
        hidden=frozenset(hide or []),
        view=scene.view_of(view) if view else None,
        opacity=opacity,
    )
    if site is None and ending != ".png" and len(found.sites) > 1:
        err.print(f"gpusim: note: shows the site '{found.site}' (sites: {', '.join(found.sites)}; choose with --site)")
    standard = recording.SIZE if recorded else film.SIZES.get(ending, rendering.SIZE)
    pixels = _size(size) if size else standard
    if recorded or ending in film.SIZES:
        chosen = moment.snapshots_at(found, at or "all", field)
        moments = [lambda i=i: moment.moment_of_result(found, i) for i in chosen]
        first = moments[0]()  # a wrong name is reported before the film begins
        if field:
            first.values(field)
        if trait:
            first.trait(trait)
        if clones:
            first.shown_clones()
        if streamlines:
            first.shown_velocity()
        rate = film.FRAMES_PER_SECOND.get(ending, 0)
        turn = turn if turn is not None else recording.TURN if recorded else film.TURN
        if recorded:
            count = len(chosen) * sides
            pictures = recording.pictures(moments, look, pixels, sides, turn)
        else:
            count = max(round(seconds * rate), 2)
            pixels = (pixels[0] // 2 * 2, pixels[1] // 2 * 2)
            pictures = film.frames(moments, look, pixels, count, turn)
        pictures = _told(pictures, output.name, count, log)
        with explained(output), aside(output) as unready:
            if recorded:
                recording.save_recording(pictures, unready, found, chosen, look.theme, around=recording.is_around(turn))
            elif ending == ".mp4":
                film.save_mp4(pictures, unready, pixels, rate)
            else:
                film.save_gif(pictures, unready, rate)
    else:
        shown_sites = _chosen(found, result, site) if ending == ".png" else [found]
        drawn = [
            moment.moment_of_result(each, snapshot)
            for each in shown_sites
            for snapshot in moment.snapshots_at(each, at or "end", field)
        ]
        with explained(output), aside(output) as unready:
            if ending == ".png":
                shown = rendering.save_picture(drawn, unready, look, pixels)
            else:
                shown = [page.save_page(drawn[0], unready, look)]
        if shown[0].coarse > 1:
            err.print(
                f"gpusim: note: the lattice is too large for the memory: only every {shown[0].coarse}th voxel is drawn"
            )
    out.print(str(output))


def _chosen(found: "Result", folder: Path, site: str | None) -> "list[Result]":
    """The result of a site, or those of all."""
    from gpusim.record import Result

    return [found] if site is not None or len(found.sites) == 1 else [Result(folder, name) for name in found.sites]


def _planes(
    result: Path,
    output: Path,
    plane: str,
    at: str,
    site: str | None,
    field: str | None,
    span: str | None,
    size: str | None,
    log: bool,
    streamlines: bool,
) -> None:
    """Draw planes of a field, with Matplotlib."""
    from gpusim.record import Result
    from gpusim.record.files import aside, explained

    endings = (".png", ".pdf", ".svg")
    if output.suffix.lower() not in endings:
        raise ResultError(f"{output}: expected a name that ends in {', '.join(endings)}")
    found = Result(result, site)
    require()
    from matplotlib import pyplot as plt

    from gpusim.viz import moment, plots

    sites = _chosen(found, result, site)
    moments = [moment.moment_of_result(each, i) for each in sites for i in moment.snapshots_at(each, at, field)]
    name = field or moments[0].field_names[0]
    between = _span(span)
    if plane == "all":
        if len(moments) > 1:
            raise ResultError("plane: 'all' shows one time of one site; give --site, or a plane such as z")
        figure = plots.planes(moments[0], name, span=between, log=log, streamlines=streamlines)
    else:
        pixels = _size(size) if size else None
        page = (pixels[0] / 160, pixels[1] / 160) if pixels else plots.PAGE
        cut = plots.Cut.of(plane)
        figure = plots.panels(moments, name, cut, span=between, log=log, size=page, streamlines=streamlines)
    with explained(output), aside(output) as unready:
        figure.savefig(unready, dpi=160)
    plt.close(figure)
    out.print(str(output))


@app.command()
def view(
    results: Annotated[
        list[str], typer.Argument(metavar="OUT [OTHER]", help="One result, or two to compare; with --live, a scenario.")
    ],
    live: Annotated[bool, typer.Option("--live", help="Run a scenario and control it: pause, step, inject.")] = False,
    sets: SetOption = None,
    backend: Annotated[str, typer.Option(help="With --live: auto, cuda, cpu or numpy.")] = "auto",
    steps: Annotated[int, typer.Option(min=1, help="With --live: steps between two pictures.")] = 12,
    theme: Annotated[str, typer.Option(help="dark, light or paper.")] = "dark",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the server; 0: any free port.")] = 0,
    host: Annotated[str, typer.Option(help="Address of the server; if not 127.0.0.1, other machines can reach it.")] = (
        "127.0.0.1"
    ),
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """View a result or a running simulation in a browser: time, layers, section, curves; two results side by side.

    The server renders the pictures and needs no display; Ctrl-C stops it. Access requires the printed address, which
    contains a secret.
    """
    if len(results) > (1 if live else 2):
        raise ResultError(f"view: expected {'one scenario' if live else 'one result, or two'}; found {len(results)}")
    require("trame", "trame_vtk", "trame_vuetify")
    from gpusim.viz import palette
    from gpusim.viz.access import Access
    from gpusim.viz.app import App
    from gpusim.viz.sources import FromResult, FromSimulation

    palette.theme(theme)
    access = Access(host)
    if not access.local:
        err.print(
            f"gpusim: note: served at {host} to other machines, without encryption: anyone who has the address can "
            "view and control it"
        )

    def ready(address: str) -> None:
        out.print(f"{address}  (Ctrl-C to stop)")

    try:
        if not live:
            App([FromResult(each) for each in results], theme=theme).start(port, access, browser, ready)
            return
        with gpusim.Simulation(load(results[0], sets), backend) as simulation:
            App([FromSimulation(simulation)], theme=theme, steps=steps).start(port, access, browser, ready)
    except OSError as error:
        raise ResultError(f"view: cannot serve at {host}, port {port}: {error.strerror or error}") from None


def _refuse(context: typer.Context, names: Sequence[str], where: str) -> None:
    """Raise `ResultError` for the parameters among `names` that were given, as they have no effect `where`."""
    given = [
        option.opts[-1]
        for option in context.command.params
        if option.name in names
        and (source := context.get_parameter_source(option.name)) is not None
        and source.name == "COMMANDLINE"
    ]
    if given:
        raise ResultError(f"{', '.join(given)}: no effect {where}")


def _told(pictures: "Iterator[np.ndarray]", name: str, count: int, log: Log) -> "Iterator[np.ndarray]":
    """The same pictures, with progress reports."""
    with progress(name, count, "frames", log) as tell:
        for done, picture in enumerate(pictures, 1):
            yield picture
            tell(done)


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise ResultError(f"size '{text}': expected WIDTHxHEIGHT, such as 1920x1080") from None
    if not (64 <= width <= 8192 and 64 <= height <= 8192):
        raise ResultError(f"size '{text}': expected 64 to 8192 pixels each way")
    return width, height


def _span(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise ResultError(f"span '{text}': expected LOW,HIGH, such as 0,1") from None
    if not -1e30 < low < high < 1e30:
        raise ResultError(f"span '{text}': expected a low end below the high one")
    return low, high
