"""`render`: one moment as a picture, or several side by side."""

from __future__ import annotations

from collections.abc import Sequence
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
        size: width and height, pixels. legend: whether anything is written.
        slot: where the scene stands, from and to a share of the width; left of the legend by default.
    """

    def __init__(
        self,
        size: tuple[int, int],
        look: Look,
        *,
        legend: bool = True,
        slot: tuple[float, float] | None = None,
    ) -> None:
        self.size, self.look, self.legend = size, look, legend
        self.slot = slot or (0.0, 1 - ROOM if legend else 1.0)
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
        scene.aim(self.plotter, self.shown.moment.size, view, slot=self.slot)

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
            self._writing = overlay([self.shown], self.size, [self.pixels_per_um])
        return composed(pixels, self._writing)


def picture(moments: Sequence[Moment], look: Look, size: tuple[int, int]) -> tuple[np.ndarray, list[Shown]]:
    """Moments side by side, from the left, under one legend: uint8 [height, width, RGB], and what is shown of each.

    Their colours mean the same, and all of one place are cut open where the first of them is. Raises `ResultError`.
    """
    look = scene.spanned(look, moments)
    width, height = size
    share = (1 - ROOM) / len(moments)
    pixels = np.zeros((height, width, 3), np.uint8)
    centres: dict[str, tuple[float, float, float]] = {}
    shown: list[Shown] = []
    scales: list[float] = []
    for i, moment in enumerate(moments):
        centre = look.centre or centres.setdefault(moment.title, scene.middle_of_tumour(moment))
        slot = (i * share, (i + 1) * share)
        with Stage(size, replace(look, centre=centre), legend=False, slot=slot) as stage:
            shown.append(stage.show(moment))
            here = round(slot[0] * width)
            pixels[:, here:] = stage.picture()[:, here:]
            scales.append(stage.pixels_per_um)
    return composed(pixels, overlay(shown, size, scales)), shown


def save_picture(
    moments: Moment | Sequence[Moment], target: Path, look: Look, size: tuple[int, int] = SIZE
) -> list[Shown]:
    """Draw one moment, or several side by side, into a PNG. Raises `ResultError`."""
    pixels, shown = picture([moments] if isinstance(moments, Moment) else moments, look, size)
    Image.fromarray(pixels).save(target, compress_level=4)
    return shown
