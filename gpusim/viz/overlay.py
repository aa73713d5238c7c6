"""What is written on a picture: time, scale bar, and a legend with units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Rectangle

from gpusim.scenario.schema import EMPTY, NONE, StateRole
from gpusim.units import duration
from gpusim.viz.moment import SPEED, Moment
from gpusim.viz.palette import NAMED_CLONES, SMALL_CLONE, clone_colours, mixed
from gpusim.viz.scene import Shown, colours_of, states_by_cell

ROOM = 0.25
"""Share of a picture's width, at its right, that the legend takes."""
_TEXT = 0.0215
"""Size of the letters over the picture's height."""
_COLUMN = 5.2
"""Width of a column of numbers, letters, at least."""
_MOST_COUNTED = 4
"""Scenes up to which the legend has numbers of cells, which would be too small to read with more."""


def round_length(length: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above `length`."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(max(m * power for m in (1, 2, 5) if m * power <= length))


def length_label(length: float) -> str:
    """A length to read, from um: "200 um", "1 mm"."""
    return f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} µm"


def number_label(value: float) -> str:
    """A number of a colour bar: "0.25", "10,000", "1e+06"."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def field_label(moment: Moment, name: str) -> str:
    """A field or a trait as a legend calls it, with its unit."""
    unit = moment.unit(name).replace("um", "µm")
    return f"{moment.label(name)}, {unit}".removesuffix(", ")


def overlay(
    shown: Sequence[Shown],
    size: tuple[int, int],
    scale: float | None,
    room: float = ROOM,
    panel: tuple[float, float] | None = None,
) -> np.ndarray:
    """The writing for a picture of `size` (width, height) pixels: uint8 RGBA [height, width, 4], clear elsewhere.

    Args:
        shown: what stands in it, row by row. scale: pixels per um; without it there is no scale bar.
        room: share of the width, at the right, for the legend.
        panel: width and height of each scene, pixels; by default what the legend leaves.
    """
    width, height = size
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    canvas = FigureCanvasAgg(figure)
    figure.patch.set_alpha(0)
    pen = _Pen(figure, shown, width, height, room, panel or ((1 - room) * width, height))
    pen.times()
    if scale is not None:
        pen.scale_bar(scale)
    pen.legend()
    canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()


def composed(picture: np.ndarray, writing: np.ndarray) -> np.ndarray:
    """A picture (uint8 RGB) with writing (uint8 RGBA) on it."""
    alpha = writing[..., 3:].astype(np.uint16)
    mixture = picture.astype(np.uint16) * (255 - alpha) + writing[..., :3].astype(np.uint16) * alpha
    whole: np.ndarray = ((mixture + 127) // 255).astype(np.uint8)
    return whole


class _Pen:
    """Writes in pixels, from the upper left corner."""

    def __init__(
        self, figure: Figure, shown: Sequence[Shown], width: int, height: int, room: float, panel: tuple[float, float]
    ) -> None:
        self.figure, self.shown, self.width, self.height = figure, shown, width, height
        self.room, self.panel = room, panel
        self.counted = list(shown) if len(shown) <= _MOST_COUNTED else []
        longest = max(len(shown[0].moment.label(name)) for name in shown[0].moment.states)
        letters = max(21, 7.5 + 0.55 * longest)
        self.column = max(_COLUMN, 1 + 0.6 * max(map(len, self._labels()), default=0))
        self.letter = min(_TEXT * height, room * width / (letters + self.column * max(0, len(self.counted) - 1)))
        theme = shown[0].look.theme
        self.ink, self.faint = theme.ink, theme.faint
        self.edge = 0.035 * height

    def text(self, x: float, y: float, text: str, size: float = 1.0, most: float | None = None, **how: Any) -> None:
        """Write, in smaller letters where it would be wider than `most` pixels."""
        how.setdefault("color", self.ink)
        written = self.figure.text(
            x / self.width, 1 - y / self.height, text, fontsize=size * self.letter * 0.72, va="center", **how
        )
        wide = written.get_window_extent().width if most is not None else 0.0
        if most is not None and wide > most:
            written.set_fontsize(size * self.letter * 0.72 * most / wide)

    def add(self, artist: Rectangle | Circle | Line2D) -> None:
        artist.set_transform(self.figure.transFigure)
        self.figure.add_artist(artist)

    def box(self, x: float, y: float, width: float, height: float, colour: object, edge: str = "none") -> None:
        self.add(
            Rectangle(
                (x / self.width, 1 - (y + height) / self.height),
                width / self.width,
                height / self.height,
                facecolor=colour,
                edgecolor=edge,
                linewidth=0.04 * self.letter,
            )
        )

    def corner(self, number: int) -> tuple[float, float]:
        """Where the writing on one of the scenes begins."""
        row, column = divmod(number, max(1, round((1 - self.room) * self.width / self.panel[0])))
        return self.edge + column * self.panel[0], self.edge + row * self.panel[1]

    def times(self) -> None:
        for i, shown in enumerate(self.shown):
            moment = shown.moment
            left, top = self.corner(i)
            large = 1.9 if self.panel[1] > 0.9 * self.height else 1.4
            self.text(left, top + self.letter, duration(moment.minutes), large, weight="bold")
            if i == 0 or moment.title != self.shown[i - 1].moment.title:
                self.text(left, top + (1 + large) * self.letter, moment.title, 1.0, color=self.faint)

    def scale_bar(self, scale: float) -> None:
        length = round_length(0.2 * self.panel[1] / scale)
        left, y, thick = self.corner(0)[0], self.height - self.edge, 0.28 * self.letter
        self.box(left, y - thick, length * scale, thick, self.ink)
        self.text(left, y - 1.3 * self.letter, length_label(length))

    def legend(self) -> None:
        left = self.width * (1 - self.room) + 0.5 * self.letter
        y = self.edge + self.letter
        layers = {layer for shown in self.shown for layer in shown.layers}
        moment, look = self.shown[0].moment, self.shown[0].look
        by_field = "field" in layers or (look.faces == "field" and "section" in layers)
        if by_field:
            y = self._colour_bar(left, y, self.shown[0].field, self.shown[0].span)
        if look.trait is not None and look.trait_span is not None:
            y = self._colour_bar(left, y, look.trait, look.trait_span)
        above = (by_field, self.shown[0].field, self.shown[0].span)
        if "streamlines" in layers and look.speed_span is not None and above != (True, SPEED, look.speed_span):
            y = self._colour_bar(left, y, SPEED, look.speed_span)
        colours: dict[str, str | Colormap] = {**colours_of(moment, look)}
        if look.trait is not None:
            colours |= dict.fromkeys(moment.states_with(look.trait), moment.map(look.trait, look.theme))
        if look.clones:
            clones = self._clones()
            y = self._states(left, y, "clones", clones)
            several = ListedColormap([colour for colour, _ in clones.values() if isinstance(colour, str)])
            colours |= dict.fromkeys(states_by_cell(moment, look), several)
        names = moment.states[: moment.states.index(NONE)]
        drawn: dict[str, tuple[StateRole, ...]] = {
            "front": ("exposed", "infected"),
            "core": ("dead",),
            "vessels": ("vessel",),
        }
        known = {name for layer in layers for name in moment.having(*drawn.get(layer, ()))}
        on_faces = "section" in layers and look.faces == "cells"
        if on_faces:
            known |= {name for name in names if name != EMPTY}
        numbers = {moment.label(name): (colours[name], self._numbers([name])) for name in names if name in known}
        if "surface" in layers and not on_faces:
            numbers = {
                moment.tumour_cells: (self.shown[0].look.theme.surface, self._numbers(moment.tumour_states)),
                **numbers,
            }
        y = self._states(left, y, "tissue cells", numbers)
        if "cells" in layers:
            immune = {moment.label(name): (colours[name], self._numbers([name])) for name in moment.immune_states}
            self._states(left, y, "immune cells", immune)

    def _clones(self) -> dict[str, tuple[str | Colormap, list[int]]]:
        """The largest clones and the others, each with its colour and its cells in each of the scenes."""
        of_each = [shown.moment.shown_clones() for shown in self.shown]
        named = list(of_each[0].ranked[:NAMED_CLONES])
        found: dict[str, tuple[str | Colormap, list[int]]] = {
            f"clone {clone}": (colour, [int(clones.cells[clone]) for clones in of_each])
            for clone, colour in clone_colours(named).items()
        }
        others = [int(clones.cells.sum() - clones.cells[named].sum()) for clones in of_each]
        return found | {"other clones": (SMALL_CLONE, others)}

    def _numbers(self, states: Sequence[str]) -> list[int]:
        """Cells in some states, of each scene."""
        return [sum(shown.cells[name] for name in states) for shown in self.shown]

    def _colour_bar(self, left: float, y: float, name: str, span: tuple[float, float]) -> float:
        shown = self.shown[0]
        self.text(left, y, field_label(shown.moment, name), most=self.width - self.edge - left, weight="bold")
        width, thick = self.width - left - self.edge - 0.5 * self.letter, 0.9 * self.letter
        y += 1.1 * self.letter
        self._gradient(left, y, width, thick, shown.moment.map(name, shown.look.theme), 256)
        low, high = span
        for share in (0.0, 0.5, 1.0):
            at = left + share * width
            self.box(at - 0.5, y + thick, 1, 0.25 * self.letter, self.faint)
            self.text(at, y + thick + 0.85 * self.letter, number_label(low + share * (high - low)), 0.9, ha="center")
        return y + thick + 3.0 * self.letter

    def _gradient(self, x: float, y: float, width: float, height: float, colours: Colormap, steps: int) -> None:
        axes = self.figure.add_axes(
            (x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height)
        )
        axes.axis("off")
        axes.imshow(colours((np.arange(steps) + 0.5) / steps)[None], aspect="auto", interpolation="nearest")

    def _states(
        self, left: float, y: float, heading: str, given: Mapping[str, tuple[str | Colormap, list[int]]]
    ) -> float:
        """Kinds of cell that occur, by label, each with its colour and how many there are in each of the scenes."""
        numbers = {label: of for label, of in given.items() if any(of[1])}
        if not numbers:
            return y
        self.text(left, y, heading, weight="bold")
        radius = 0.42 * self.letter
        last = self.width - self.edge - 0.5 * self.letter
        columns = [last - self.column * self.letter * i for i in reversed(range(len(self.counted)))]
        for right, head in zip(columns, self._labels(), strict=True):
            self.text(right, y, head, 0.95, ha="right", color=self.faint)
        for label, (colour, of_each) in numbers.items():
            y += 1.5 * self.letter
            if isinstance(colour, str):
                # Round at any shape of the picture: pixels, not shares of it.
                self.figure.add_artist(
                    Circle(
                        (left + radius, self.height - y),
                        radius,
                        transform=None,
                        facecolor=colour,
                        edgecolor=mixed(colour, self.ink, 0.45),
                        linewidth=0.05 * self.letter,
                    )
                )
            else:
                self._gradient(left, y - 0.6 * radius, 2.2 * radius, 1.2 * radius, colour, 16)
            self.text(left + 3.2 * radius, y, label, 0.95)
            for right, number in zip(columns, of_each if self.counted else (), strict=True):
                self.text(right, y, f"{number:,}", 0.95, ha="right", color=self.faint)
        return y + 2.4 * self.letter

    def _labels(self) -> list[str]:
        """What tells the scenes apart: their times, their sites, or both."""
        moments = [shown.moment for shown in self.counted]
        if len(moments) <= 1:
            return [""] * len(moments)
        sites, times = ([m.title.rpartition(", ")[2] for m in moments], [duration(m.minutes) for m in moments])
        if len(set(sites)) == 1:
            return times
        if len(set(times)) == 1:
            return sites
        return [f"{site}, {time}" for site, time in zip(sites, times, strict=True)]
