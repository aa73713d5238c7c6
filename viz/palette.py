"""Colours: themes, cell states, fields. All of them can be told apart by colour-blind readers."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap, to_hex, to_rgb

from gpusim.errors import ResultError


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

# The eight colours of Okabe and Ito go to what stands side by side; necrosis and healthy tissue differ in lightness.
STATES = {
    "empty": "#ffffff",
    "healthy": "#d9cbb4",
    "tumour": "#6d89a8",
    "tumour_pdl1": "#3f5f86",
    "necrotic": "#54433c",
    "stroma": "#a08c74",
    "vessel": "#b3253a",
    "exposed": "#a8d5a2",
    "infected": "#009e73",
    "exposed_healthy": "#c9dca8",
    "ctl": "#56b4e9",
    "exhausted": "#0072b2",
    "nk": "#f0e442",
    "dc": "#cc79a7",
    "dc_mature": "#8e3f73",
    "helper": "#e69f00",
    "treg": "#d55e00",
    "tam": "#7a5c3e",
    "macrophage": "#d9b38c",
}
_OTHERS = ("#117733", "#882255", "#44aa99", "#ddcc77", "#aa4499", "#332288", "#88ccee", "#cc6677")

NAMES = {
    "ctl": "CD8 T cells",
    "exhausted": "exhausted T cells",
    "helper": "CD4 helper cells",
    "treg": "regulatory T cells",
    "nk": "NK cells",
    "dc": "dendritic cells",
    "dc_mature": "mature dendritic cells",
    "tam": "tumour-side macrophages",
    "macrophage": "macrophages",
    "tumour_pdl1": "tumour, PD-L1 up",
    "exposed_healthy": "exposed, healthy",
}

# Maps of one hue order and steady lightness; on a light ground they run from pale to dark.
_FIELDS = {"heat": "inferno", "virus": "viridis", "oxygen": "cividis"}
_LIGHT = {
    "inferno": LinearSegmentedColormap.from_list(
        "heat_on_light", ["#fff3d6", "#fdc66b", "#f0763b", "#b52c4b", "#4f1160"]
    )
}


def theme(name: str) -> Theme:
    """A theme by its name. Raises `ResultError`."""
    if name not in THEMES:
        raise ResultError(f"theme '{name}': expected one of {', '.join(THEMES)}")
    return THEMES[name]


def state_colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each state, "#rrggbb"; states that are not shipped take spare ones in their order."""
    spare = iter(_OTHERS * 32)
    return {name: STATES.get(name) or next(spare) for name in names}


def state_label(name: str) -> str:
    """A state as a reader calls it."""
    return NAMES.get(name, name.replace("_", " "))


def field_map(field: str, ground: Theme) -> Colormap:
    """The colour map of a field; its low end fades into the ground."""
    name = _FIELDS.get(field, "viridis")
    if ground.dark:
        # Without their darkest part, which nobody would see.
        return ListedColormap(colormaps[name](np.linspace(0.22, 1.0, 256)), name)
    return _LIGHT.get(name, colormaps[name].reversed())


def mixed(colour: str, other: str, share: float) -> str:
    """`colour` with a share of another, 0 to 1."""
    return to_hex([(1 - share) * a + share * b for a, b in zip(to_rgb(colour), to_rgb(other), strict=True)])
