"""`render`: one moment as a picture, or several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from gpusim.viz import scene
from gpusim.viz.layout import arrangement, of_sites
from gpusim.viz.moment import Moment
from gpusim.viz.overlay import ROOM, composed, overlay
from gpusim.viz.scene import Look, Shown

SIZE = (1920, 1080)


class Stage:
    """A plotter with its camera and its writing: moments go in, pictures come out.

    Args:
        size: width and height, pixels. legend: whether anything is written.
        slot: where the scene stands in the window; left of the legend by default.
        extent: width and height, um, that the camera sees at least, so that several stages have one scale.
    """

    def __init__(
        self,
        size: tuple[int, int],
        look: Look,
        *,
        legend: bool = True,
        slot: scene.Slot | None = None,
        extent: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.size, self.look, self.legend, self.extent = size, look, legend, extent
        self.slot = slot or (((0.0, 1 - ROOM), (0.0, 1.0)) if legend else scene.WHOLE)
        self.plotter = scene.new_plotter(size, look)
        self.shown: Shown | None = None
        self._writing: np.ndarray | None = None

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *error: object) -> None:
        self.plotter.close()

    def show(self, moment: Moment) -> Shown:
        """Put a moment on the stage. Raises `ResultError`."""
        if self.look.centre is None:  # stays where it is, whatever the tumour does later
            self.look = replace(self.look, centre=scene.middle_of_tumour(moment))
        self.shown = scene.fill(self.plotter, moment, self.look)
        self._writing = None
        self.turn(0.0)
        return self.shown

    def turn(self, azimuth: float) -> None:
        """Point the camera as the look says, and on by an azimuth in degrees."""
        assert self.shown is not None
        start = self.shown.look.view or scene.VIEWS["corner"]
        view = (start[0] + azimuth, start[1])
        scene.aim(self.plotter, self.shown.moment.size, view, slot=self.slot, least=self.extent)

    @property
    def pixels_per_um(self) -> float:
        """Scale of the picture; the camera is parallel, so that it holds at every depth."""
        return self.size[1] / (2 * self.plotter.camera.parallel_scale)

    def picture(self) -> np.ndarray:
        """What is on the stage: uint8 [height, width, RGB]."""
        assert self.shown is not None
        self.plotter.render()
        pixels = np.asarray(self.plotter.screenshot(return_img=True))[..., :3]
        if not self.legend:
            return pixels
        if self._writing is None:
            self._writing = overlay([self.shown], self.size, self.pixels_per_um)
        return composed(pixels, self._writing)


def picture(moments: Sequence[Moment], look: Look, size: tuple[int, int]) -> tuple[np.ndarray, list[Shown]]:
    """Moments in rows and columns beside one legend: uint8 [height, width, RGB], and what is shown of each.

    Their colours and lengths mean the same, and all of one place are cut open where the first of them is. Several times
    of several sites have a row for each site. Raises `ResultError`.
    """
    look = scene.spanned(look, moments)
    width, height = size
    views = [scene.extent(moment.size, look.view or scene.VIEWS["corner"]) for moment in moments]
    largest = max(view[0] for view in views), max(view[1] for view in views)
    rows, columns = of_sites([moment.title for moment in moments]) or arrangement(
        len(moments), largest[0] / largest[1], (1 - ROOM) * width / height
    )
    wide, high = (1 - ROOM) / columns, 1 / rows
    pixels = np.zeros((height, width, 3), np.uint8)
    centres: dict[str, tuple[float, float, float]] = {}
    shown: list[Shown] = []
    scale = 1.0
    for i, moment in enumerate(moments):
        centre = look.centre or centres.setdefault(moment.title, scene.middle_of_tumour(moment))
        row, column = divmod(i, columns)
        slot = (column * wide, (column + 1) * wide), (1 - (row + 1) * high, 1 - row * high)
        with Stage(size, replace(look, centre=centre), legend=False, slot=slot, extent=largest) as stage:
            shown.append(stage.show(moment))
            # What is at the right of and below a panel is overwritten by the next ones, or is background.
            here = np.s_[round(row * high * height) :, round(column * wide * width) :]
            pixels[here] = stage.picture()[here]
            scale = stage.pixels_per_um
    return composed(pixels, overlay(shown, size, scale, panel=(wide * width, high * height))), shown


def save_picture(
    moments: Moment | Sequence[Moment], target: Path, look: Look, size: tuple[int, int] = SIZE
) -> list[Shown]:
    """Draw one moment, or several side by side, into a PNG. Raises `ResultError`."""
    pixels, shown = picture([moments] if isinstance(moments, Moment) else moments, look, size)
    Image.fromarray(pixels).save(target, compress_level=4)
    return shown
