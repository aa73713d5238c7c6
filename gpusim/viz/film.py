"""A result as a film: a turn of the camera while the simulated time runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image

from gpusim.viz import scene
from gpusim.viz.moment import LOOKED_AT, Moment, some_of
from gpusim.viz.render import Stage
from gpusim.viz.scene import Look

FRAMES_PER_SECOND = {".mp4": 24, ".gif": 10}
SIZES = {".mp4": (1280, 720), ".gif": (640, 360)}
TURN = 50.0
"""Degrees by which the camera turns."""
Moments = Sequence[Callable[[], Moment]]
"""Moments in the order of time, each made when it is called."""


def frames(moments: Moments, look: Look, size: tuple[int, int], count: int, turn: float = TURN) -> Iterator[np.ndarray]:
    """Yield `count` pictures, uint8 [height, width, RGB]: the camera swings by `turn` degrees and back.

    A full turn, 360, goes round instead. Colours mean the same in all of them.
    """
    look = scene.spanned(look, (moments[i]() for i in some_of(len(moments), LOOKED_AT)))
    with Stage(size, look) as stage:
        on_stage = -1
        for number in range(count):
            share = number / max(count - 1, 1)
            wanted = round(share * (len(moments) - 1))
            if wanted != on_stage:
                stage.show(moments[wanted]())
                on_stage = wanted
            whole = abs(turn) >= 360
            stage.turn(turn * share if whole else turn / 2 * float(np.sin(2 * np.pi * share)))
            yield stage.picture()


def save_mp4(pictures: Iterator[np.ndarray], target: Path, size: tuple[int, int], rate: int) -> None:
    """Write pictures as H.264, `rate` a second; `size` in even pixels. Raises `OSError`."""
    writer = imageio_ffmpeg.write_frames(
        str(target),
        size,
        fps=rate,
        codec="libx264",
        quality=None,
        macro_block_size=2,  # 16 by default, to which sizes would be raised
        ffmpeg_log_level="quiet",  # what is wrong is said below
        output_params=["-crf", "20", "-preset", "medium"],
    )
    writer.send(None)
    sent = 0
    try:
        for picture in pictures:
            frame = np.ascontiguousarray(picture)
            try:
                writer.send(frame)
            except OSError:  # its message is a page long
                raise OSError(f"ffmpeg ended after {sent} frames; is the disk full?") from None
            sent += 1
    finally:
        writer.close()
    try:
        kept, _ = imageio_ffmpeg.count_frames_and_secs(str(target))
    except RuntimeError:
        kept = 0
    if kept != sent:  # ffmpeg ends without an error that could be seen from here
        raise OSError(f"ffmpeg kept {kept} of {sent} frames; is the disk full?")


def save_gif(pictures: Iterator[np.ndarray], target: Path, rate: int) -> None:
    """Write pictures as an endless GIF of one palette."""
    images = [Image.fromarray(picture) for picture in pictures]
    # The palette of a few frames side by side, so that it does not flicker.
    some = images[:: max(len(images) // 6, 1)]
    sheet = Image.new("RGB", (images[0].width, images[0].height * len(some)))
    for i, image in enumerate(some):
        sheet.paste(image, (0, i * image.height))
    # Half of the colours by how different they are, for the few cells; half by how many
    # pixels have them, for the ground.
    colours: list[int] = []
    for method in (Image.Quantize.MAXCOVERAGE, Image.Quantize.MEDIANCUT):
        colours += (sheet.quantize(128, method=method, dither=Image.Dither.NONE).getpalette() or [])[: 3 * 128]
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours)
    flat = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    flat[0].save(
        target, save_all=True, append_images=flat[1:], duration=round(1000 / rate), loop=0, optimize=True, disposal=1
    )
