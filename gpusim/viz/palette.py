"""Colours: themes, cell states, fields. All of them can be told apart by colour-blind readers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap, to_hex, to_rgb

from gpusim.errors import ResultError
from gpusim.scenario import Document
from gpusim.scenario.checks import state_names
from gpusim.scenario.schema import EMPTY, NONE


@dataclass(frozen=True)
class Theme:
    """What a picture stands on: its ground (two ends of a gradient), ink, the tumour's surface, gaps of cells."""

    name: str
    background: tuple[str, str]
    ink: str
    faint: str
    surface: str
    gap: str
    dark: bool


THEMES = {
    "dark": Theme("dark", ("#05070c", "#1b2433"), "#e8ecf2", "#6f7c90", "#9fb4cf", "#11161f", dark=True),
    "light": Theme("light", ("#dfe5ec", "#f7f9fb"), "#1c2530", "#8a95a3", "#7288a3", "#f4f1ec", dark=False),
    "paper": Theme("paper", ("#ffffff", "#ffffff"), "#000000", "#808080", "#7288a3", "#f4f1ec", dark=False),
}

_OTHERS = ("#117733", "#882255", "#44aa99", "#ddcc77", "#aa4499", "#332288", "#88ccee", "#cc6677")
"""For states without a colour of their own, in their order."""
SMALL_CLONE = "#9a9a9a"
"""For clones that are not among the largest."""
_VACANT = "#ffffff"

# Maps of one hue order and steady lightness; on a light ground they run from pale to dark.
HEAT_MAP, MAP, TRAIT_MAP = "inferno", "viridis", "magma"
"""Names of the map of heat, of a field without one of its own, and of traits."""
_LIGHT = {
    "inferno": LinearSegmentedColormap.from_list(
        "heat_on_light", ["#fff3d6", "#fdc66b", "#f0763b", "#b52c4b", "#4f1160"]
    ),
    # Its low end stands out from the ground and from faded cells.
    "magma": LinearSegmentedColormap.from_list(
        "trait_on_light", ["#fcd7a0", "#f79a5e", "#dd4f6a", "#9c179e", "#2d0a8c"]
    ),
}


def theme(name: str) -> Theme:
    """A theme by its name. Raises `ResultError`."""
    if name not in THEMES:
        raise ResultError(f"theme '{name}': expected one of {', '.join(THEMES)}")
    return THEMES[name]


def state_colours(document: Document) -> dict[str, str]:
    """A colour for each state, "#rrggbb": its own, or one that no state has."""
    names, given = [name for layer in state_names(document) for name in layer], document.states
    own = {name: given[name].colour for name in names if name in given and given[name].colour}
    spare = (colour for colour in _OTHERS * 32 if colour not in own.values())
    return {name: own.get(name) or (_VACANT if name in (EMPTY, NONE) else next(spare)) for name in names}


def clone_colours(ranked: Sequence[int]) -> dict[int, str]:
    """A colour for each clone, "#rrggbb": distinct ones for the first, which are the largest, grey for the others."""
    return {clone: _OTHERS[i] if i < len(_OTHERS) else SMALL_CLONE for i, clone in enumerate(ranked)}


NAMED_CLONES = len(_OTHERS)
"""Clones with a colour of their own, at most."""


def field_map(name: str, ground: Theme) -> Colormap:
    """A colour map by its name, whose low end fades into the ground."""
    if ground.dark:
        # Without their darkest part, which nobody would see.
        return ListedColormap(colormaps[name](np.linspace(0.22, 1.0, 256)), name)
    return _LIGHT.get(name, colormaps[name].reversed())


def mixed(colour: str, other: str, share: float) -> str:
    """`colour` with a share of another, 0 to 1."""
    return to_hex([(1 - share) * a + share * b for a, b in zip(to_rgb(colour), to_rgb(other), strict=True)])
