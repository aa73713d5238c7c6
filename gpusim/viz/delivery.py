"""Images of the scene for the page."""

from __future__ import annotations

import time
from typing import Any

from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOImage import vtkJPEGWriter
from vtkmodules.vtkRenderingCore import vtkRenderWindow, vtkWindowToImageFilter

_SMALLEST = 10
"""Pixels; a page that is being laid out asks for less."""


class Delivery:
    """JPEG images of a render window, drawn anew only after a change of the scene, the camera or the size.

    Takes the place of trame's own images: those are encoded in threads, and the page gets the image before the last
    one until the scene has been drawn a second time, half a second later.

    Attributes:
        share: of the width and height that the page asks for.
    """

    def __init__(self, window: vtkRenderWindow) -> None:
        self.share = 1.0
        self._window = window
        self._key: tuple[Any, ...] = ()
        self._image = b""
        self._serial = 0

    def scene_changed(self) -> None:
        """The next image is drawn anew."""
        self._key = ()

    def image(self, size: tuple[int, int], quality: int) -> bytes:
        """The scene at a size, pixels, in a quality of 0 to 100."""
        if min(size) >= _SMALLEST and tuple(self._window.GetSize()) != size:
            self._window.SetSize(*size)
        key = (tuple(self._window.GetSize()), quality, *self._cameras())
        if key != self._key:
            self._key, self._image = key, self._drawn(quality)
            self._serial += 1
        return self._image

    def _cameras(self) -> list[int]:
        return [renderer.GetActiveCamera().GetMTime() for renderer in self._window.GetRenderers()]

    def _drawn(self, quality: int) -> bytes:
        self._window.Render()
        pixels = vtkWindowToImageFilter()
        pixels.SetInput(self._window)
        pixels.ReadFrontBufferOff()
        pixels.ShouldRerenderOff()
        writer = vtkJPEGWriter()
        writer.SetInputConnection(pixels.GetOutputPort())
        writer.SetQuality(quality)
        writer.WriteToMemoryOn()
        writer.Write()
        return vtk_to_numpy(writer.GetResult()).tobytes()

    def still_render(self, options: dict[str, Any]) -> dict[str, Any]:
        """The answer to a page that asks for an image, as trame's own protocol gives it."""
        began = time.monotonic()
        size = options.get("size") or self._window.GetSize()
        width, height = (round(pixels * self.share) for pixels in size[:2])
        image = self.image((width, height), int(options.get("quality", 100)))
        return {
            "image": image,
            "stale": False,
            "mtime": self._serial,
            "size": list(self._window.GetSize()),
            "memsize": len(image),
            "format": "jpeg",
            "global_id": options["view"],
            "localTime": options.get("localTime", 0),
            "workTime": round(1000 * (time.monotonic() - began)),
        }

    def join(self, protocol: Any) -> None:
        """Give the images of a server's protocol."""
        for each in protocol.getLinkProtocols():
            if hasattr(each, "still_render"):
                each.still_render = self.still_render
