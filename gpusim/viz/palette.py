"""Colours: themes, cell states, fields. All of them can be told apart by colour-blind readers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap, ListedColormap, to_hex, to_rgb

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

# Maps of one hue order and steady lightness, which run from dark to light on each ground.
HEAT_MAP, MAP, TRAIT_MAP, SPEED_MAP = "inferno", "viridis", "magma", "plasma"
"""Names of the map of heat, of a field without one of its own, of traits, and of the speed of the fluid."""
_VIRUS_MAPS = ("viridis", "plasma", "inferno")
_APART = 20.0
"""Least distance in CIELAB between a state's spare colour and the colours of others; a step of 2 is just seen."""


def theme(name: str) -> Theme:
    """A theme by its name. Raises `ResultError`."""
    if name not in THEMES:
        raise ResultError(f"theme '{name}': expected one of {', '.join(THEMES)}")
    return THEMES[name]


def state_colours(document: Document) -> dict[str, str]:
    """A colour for each state, "#rrggbb": its own, or one that no state has."""
    names, given = [name for layer in state_names(document) for name in layer], document.states
    found = {name: colour for name in names if name in given and (colour := given[name].colour) is not None}
    for name in names:
        if name not in found:
            found[name] = _VACANT if name in (EMPTY, NONE) else _spare([*found.values(), _VACANT])
    return {name: found[name] for name in names}


def _spare(taken: Sequence[str]) -> str:
    """A colour that differs from those taken: the first of `_OTHERS` that does, or else the farthest of a cube."""
    nearest = {colour: apart([colour], taken) for colour in _OTHERS}
    for colour, distance in nearest.items():
        if distance >= _APART:
            return colour
    steps = (0.1, 0.35, 0.6, 0.85)
    cube = [to_hex((r, g, b)) for r in steps for g in steps for b in steps]
    return max(cube, key=lambda colour: apart([colour], taken))


def apart(colours: Sequence[str], others: Sequence[str]) -> float:
    """Least distance between two sets of colours in CIELAB."""
    one, two = _lab(colours), _lab(others)
    return float(np.sqrt(((one[:, None] - two[None]) ** 2).sum(axis=2)).min())


def _lab(colours: Sequence[str]) -> np.ndarray:
    """CIELAB coordinates (D65) of sRGB colours: float64 [colours, 3]."""
    rgb = np.array([to_rgb(colour) for colour in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ to_xyz.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def virus_map(infected: Sequence[str]) -> str:
    """Name of the map, in the upper half of which no colour of infected cells is hard to tell."""
    if not infected:
        return MAP

    def distance(name: str) -> float:
        return apart([to_hex(colour) for colour in colormaps[name](np.linspace(0.4, 1, 13))], infected)

    return max(_VIRUS_MAPS, key=distance)


def clone_colours(ranked: Sequence[int]) -> dict[int, str]:
    """A colour for each clone, "#rrggbb": distinct ones for the first, which are the largest, grey for the others."""
    return {clone: _OTHERS[i] if i < len(_OTHERS) else SMALL_CLONE for i, clone in enumerate(ranked)}


NAMED_CLONES = len(_OTHERS)
"""Clones with a colour of their own, at most."""


def field_map(name: str, ground: Theme) -> Colormap:
    """A colour map by its name, dark for low values and light for high ones on each ground.

    Without the end that the ground would hide: the darkest part on a dark one, the lightest on a light one.
    """
    low, high = (0.22, 1.0) if ground.dark else (0.0, 0.92)
    return ListedColormap(colormaps[name](np.linspace(low, high, 256)), name)


def mixed(colour: str, other: str, share: float) -> str:
    """`colour` with a share of another, 0 to 1."""
    return to_hex([(1 - share) * a + share * b for a, b in zip(to_rgb(colour), to_rgb(other), strict=True)])
