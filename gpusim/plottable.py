"""What draws itself, where the extra `viz` is installed."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image


class Plottable:
    """A simulation or a result. Knows the name of what draws, which is imported when something is drawn."""

    def plot(self, field: str | None = None, *, site: str | None = None, **options: Any) -> "Image":
        """A picture of how it stands, of all its sites side by side; a notebook shows it, `.save` keeps it.

        Args:
            field: what the volume shows, "heat" or a field; by default heat, where the scenario has it.
            site: this one alone.
            options: as of `gpusim render`: `theme` ("light", "dark", "paper"), `view`, `cut`, `hide` (a list), `span`
                (low, high), `opacity`, `size` (pixels); of a result also `at`, as in "start, peak, end".

        Raises `ResultError`, also where PyVista and Matplotlib are not installed.
        """
        importlib.import_module("gpusim.viz").require()
        picture: Image = importlib.import_module("gpusim.viz.portrait").portrait(self, field, site, **options)
        return picture
