"""`render`: a result, or a simulation, as a picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from gpusim.viz import scene
from gpusim.viz.moment import Moment
from gpusim.viz.overlay import ROOM, composed, overlay
from gpusim.viz.scene import Look, Shown

SIZE = (1920, 1080)


class Stage:
    """A plotter with its camera and its writing: moments go in, pictures come out.

    Args:
        size: width and height, pixels. title: written below the time. legend: whether anything is written.
    """

    def __init__(self, size: tuple[int, int], look: Look, title: str = "", *, legend: bool = True) -> None:
        self.size, self.look, self.title, self.legend = size, look, title, legend
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
        scene.aim(self.plotter, self.shown.moment.size, view, room=ROOM if self.legend else 0.0)

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
            self._writing = overlay(self.shown, self.size, self.pixels_per_um, self.title)
        return composed(pixels, self._writing)


def save_picture(moment: Moment, target: Path, look: Look, size: tuple[int, int] = SIZE, title: str = "") -> Shown:
    """Draw a moment into a PNG. Raises `ResultError`."""
    with Stage(size, look, title) as stage:
        shown = stage.show(moment)
        Image.fromarray(stage.picture()).save(target, compress_level=4)
    return shown
