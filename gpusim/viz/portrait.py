"""`Simulation.plot` and `Result.plot`: a picture for a notebook."""

from __future__ import annotations

from collections.abc import Iterable

from PIL import Image

from gpusim.engine import Replicate
from gpusim.errors import ResultError
from gpusim.record import Result
from gpusim.viz import palette, scene
from gpusim.viz.layout import of_sites
from gpusim.viz.moment import Moment, moment_of_result, moment_of_simulation, snapshots_at
from gpusim.viz.overlay import ROOM
from gpusim.viz.render import picture

_HEIGHT = 540
"""Pixels."""


def portrait(
    subject: Replicate | Result,
    field: str | None = None,
    site: str | None = None,
    *,
    at: str = "end",
    theme: str = "light",
    view: str | None = None,
    cut: str = "xy",
    faces: str = "cells",
    hide: Iterable[str] = (),
    span: tuple[float, float] | None = None,
    trait: str | None = None,
    clones: bool = False,
    streamlines: bool = False,
    opacity: float = 1.0,
    size: tuple[int, int] | None = None,
) -> Image.Image:
    """What `gpusim.plottable.Plottable.plot` says. Raises `ResultError`."""
    if clones and trait is not None:
        raise ResultError("plot: expected 'clones' or a 'trait', because a cell has one colour")
    look = scene.Look(
        field=field,
        theme=palette.theme(theme),
        span=span if trait is None else None,
        trait=trait,
        clones=clones,
        streamlines=streamlines,
        trait_span=span if trait is not None else None,
        cut=cut,
        faces=faces,
        hidden=frozenset(hide),
        view=scene.view_of(view) if view else None,
        opacity=opacity,
    )
    if site is not None and site not in subject.sites:
        raise ResultError(f"plot: no site '{site}' (known: {', '.join(subject.sites)})")
    sites = [site] if site is not None else list(subject.sites)
    moments = [moment for each in sites for moment in _moments(subject, each, at, field)]
    if clones:
        moments[0].shown_clones()  # refused here where there are none
    if streamlines:
        moments[0].shown_velocity()
    rows, columns = of_sites([moment.title for moment in moments]) or (1, len(moments))
    fitting = (round(1.1 * _HEIGHT * columns / (1 - ROOM)), _HEIGHT * rows)
    return Image.fromarray(picture(moments, look, size or fitting)[0])


def _moments(subject: Replicate | Result, site: str, at: str, field: str | None) -> list[Moment]:
    if isinstance(subject, Replicate):
        if at != "end":
            raise ResultError(f"plot: at: {at}: a simulation has only its present state")
        return [moment_of_simulation(subject, site)]
    result = Result(subject.folder, site)
    return [moment_of_result(result, snapshot) for snapshot in snapshots_at(result, at, field)]
