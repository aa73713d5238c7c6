"""Simulations and results with a method `plot`, which needs the extra `viz`."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image


class Plottable:
    """Base class of simulations and results. The drawing code is imported on the first use of `plot`."""

    def plot(self, field: str | None = None, *, site: str | None = None, **options: Any) -> "Image":
        """Draw the present state of all sites side by side. A notebook displays the image; `.save` writes it to a file.

        Args:
            field: the content of the volume, "heat" or a field; by default heat, if the scenario defines it.
            site: draw only this site.
            options: those of `gpusim render`: `theme` ("light", "dark", "paper"), `view`, `cut`, `faces`, `hide`
                (a list), `trait` (which cells are coloured by), `span` (low, high; of the trait, or else of the field),
                `opacity`, `size` (pixels), `streamlines` (True: those of the interstitial fluid); for a
                result also `at`, e.g. "start, peak, end", and `clones` (True: cells are coloured by their clones).

        Raises `ResultError`, also if PyVista or Matplotlib is not installed.
        """
        importlib.import_module("gpusim.viz").require()
        picture: Image = importlib.import_module("gpusim.viz.portrait").portrait(self, field, site, **options)
        return picture
