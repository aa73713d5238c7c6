"""Planes of a field: contours, colour bar, the tumour's edge; orthogonal planes; one panel for each time and site."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from gpusim.analysis.roles import tumour_name
from gpusim.errors import ResultError
from gpusim.scenario.checks import barriers
from gpusim.units import UnitError, duration, number
from gpusim.viz.layout import arrangement
from gpusim.viz.moment import Moment
from gpusim.viz.overlay import field_label, length_label, round_length
from gpusim.viz.palette import THEMES
from gpusim.viz.plots.style import LINES, new_axes, power_of_ten

AXES = "xyz"
LEVELS = 5
"""Contours, about."""
PAGE = (12.0, 6.75)
"""Size of a page of panels, inches."""
_BAR, _TITLE = 1.0, 0.3
"""Width of a colour bar and height of a line of a title, inches."""
_DECADES = 1e4
"""Highest over lowest value of a logarithmic scale."""
_NO_TISSUE = "#d8dce0"
_LABEL = 6.5
"""Size of the labels of contours, points."""
_STREAMLINES = 0.9
"""Density, as matplotlib counts it."""


@dataclass(frozen=True)
class Cut:
    """A plane across an axis, through the middle of the tumour, at a place, um, or where there is most of a field."""

    axis: str = "z"
    at: float | None = None
    most: str | None = None

    @classmethod
    def of(cls, text: str) -> Cut:
        """Read "z", "z = 120 um" or "z of virus". Raises `ResultError`."""
        expected = f"plane '{text}': expected x, y, z or all, a place such as 'z = 120 um', or 'z of FIELD'"
        axis, of, most = (part.strip() for part in text.partition(" of "))
        if of:
            if axis not in tuple(AXES) or not most:
                raise ResultError(expected)
            return cls(axis, most=most)
        axis, equals, place = (part.strip() for part in text.partition("="))
        try:
            at = number(place, "um") if equals else None
        except UnitError as error:
            raise ResultError(f"plane '{text}': a place {error}") from None
        if axis not in tuple(AXES):
            raise ResultError(expected)
        return cls(axis, at)

    def layer(self, moment: Moment) -> int:
        """Index of the plane of voxels. Raises `ResultError` outside the lattice, and for an unknown field."""
        axis = AXES.index(self.axis)
        count, size = moment.tissue.shape[2 - axis], moment.size[axis]
        if self.at is not None:
            if not 0 <= self.at <= size:
                raise ResultError(f"plane {self.axis} = {self.at:g} um: outside the lattice, which ends at {size:g} um")
            return min(int(self.at / moment.spacing), count - 1)
        others = tuple(i for i in range(3) if i != 2 - axis)
        if self.most is not None:
            sums = moment.values(self.most).sum(axis=others, dtype=np.float64)
            if sums.any():
                return int(sums.argmax())
        tumour = moment.cells(moment.tumour_states).sum(axis=others)
        return int(np.average(np.arange(count), weights=tumour).round()) if tumour.any() else count // 2

    def fixed(self, moment: Moment) -> Cut:
        """The same, at its place in a moment; one that looks for a field goes on doing so."""
        if self.at is not None or self.most is not None:
            return self
        return replace(self, at=(self.layer(moment) + 0.5) * moment.spacing)

    def of_array(self, values: np.ndarray, layer: int) -> np.ndarray:
        """The plane of an array [z, y, x]: [up, right]; up is z, or y across z."""
        return values.take(layer, axis=2 - AXES.index(self.axis))

    @property
    def directions(self) -> tuple[str, str]:
        """Axes to the right and up."""
        right, up = (axis for axis in AXES if axis != self.axis)
        return right, up


def span_of(moments: Sequence[Moment], name: str) -> tuple[float, float]:
    """From 0, or the lowest value if it is negative, to the value that 0.1% of the voxels above 0 exceed.

    A few voxels, such as those of lysed cells, would else leave all others dark. Raises `ResultError`.
    """
    values = np.concatenate([moment.values(name).ravel() for moment in moments])
    low, above = min(0.0, float(values.min())), values[values > 0]
    high = float(np.quantile(above, 0.999)) if above.size else 0.0
    return low, high if high > low else low + 1.0


def norm_of(
    moments: Sequence[Moment], name: str, span: tuple[float, float] | None = None, *, log: bool = False
) -> Normalize:
    """The scale of the colours: linear over `span`, by default that of `span_of`, or logarithmic.

    A logarithmic one runs from 1/10,000 of the largest value to this value, or over `span`. Raises `ResultError` where
    `span` begins at 0 or below.
    """
    if not log:
        return Normalize(*(span or span_of(moments, name)))
    if span is None:
        high = max(float(moment.values(name).max()) for moment in moments)
        high = high if high > 0 else 1.0
        return LogNorm(high / _DECADES, high)
    if span[0] <= 0:
        raise ResultError(f"span: expected a low end above 0 on a logarithmic scale; found {span[0]:g}")
    return LogNorm(*span)


def ends_of(norm: Normalize) -> tuple[float, float]:
    """The lowest and the highest value of a scale."""
    assert norm.vmin is not None
    assert norm.vmax is not None
    return norm.vmin, norm.vmax


def plane(
    moment: Moment,
    name: str,
    cut: Cut = Cut(),
    *,
    span: tuple[float, float] | None = None,
    log: bool = False,
    axes: Axes | None = None,
    bar: bool = True,
    streamlines: bool = False,
    title: str = "",
    frame: tuple[float, float] | None = None,
) -> Axes:
    """A field in a plane, with contours (dotted among streamlines), their values, and the tumour's edge (dashed).

    Args:
        name: a field, heat or room. cut: by default across z, through the middle of the tumour. span: of the colours,
            by default that of `span_of`. log: whether their scale is logarithmic, as in `norm_of`. bar: whether there
            is a colour bar. streamlines: whether those of the interstitial fluid are drawn, of its velocity within the
            plane. title: a line above place and time.
        frame: lengths to the right and up that the axes show, um; by default those of the lattice.

    Raises `ResultError`.
    """
    layer = cut.layer(moment)
    values = cut.of_array(moment.values(name), layer).astype(float)
    norm = norm_of([moment], name, span, log=log)
    low, high = ends_of(norm)
    walls = cut.of_array(moment.cells(barriers(moment.document)), layer)
    right, up = (moment.size[AXES.index(axis)] for axis in cut.directions)
    wide, high_up = frame or (right, up)
    x, y = ((np.arange(n) + 0.5) * moment.spacing for n in values.shape[::-1])
    with mpl.rc_context(LINES):
        axes = axes or new_axes(5.2, 4.2)
        colours = moment.map(name, THEMES["paper"]).with_extremes(bad=_NO_TISSUE)
        axes.imshow(
            # A logarithm of 0 would be drawn as no tissue.
            np.ma.masked_array(np.maximum(values, low) if log else values, walls),
            origin="lower",
            extent=(0, right, 0, up),
            cmap=colours,
            norm=norm,
            interpolation="nearest",
        )
        left, below = (right - wide) / 2, (up - high_up) / 2
        axes.set(xlim=(left, left + wide), ylim=(below, below + high_up), xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        ticks = LogLocator() if log else MaxNLocator(LEVELS)
        levels = [each for each in ticks.tick_values(low, high) if low < each < high]
        reached = [each for each in levels if values.min() < each < values.max()]
        if reached and min(values.shape) > 1:
            inks = [_ink(colours(float(norm(each)))) for each in reached]
            lines = axes.contour(
                x,
                y,
                np.ma.masked_array(values, walls),
                levels=reached,
                colors=inks,
                linewidths=1.0 if streamlines else 0.7,
                linestyles=["dotted"] if streamlines else None,
            )
            label_contours(axes, lines, inks, (right, up), power_of_ten if log else "{:g}".format)
        if streamlines:
            _streamlines(axes, moment, cut, layer)
        body = cut.of_array(moment.body, layer)
        if min(body.shape) > 1 and body.min() < 0.5 < body.max():
            # White under black: it shows on each colour.
            for colour, width, style in (("white", 1.8, "solid"), ("black", 1.0, (0, (3, 2)))):
                axes.contour(x, y, body, levels=[0.5], colors=colour, linewidths=width, linestyles=[style])
            axes.plot([], [], label=f"dashed: edge of the {tumour_name(moment.document)}")  # for the colour bar
        length = round_length(wide / 4)
        start, foot = 0.04 * right, 0.04 * up
        for ink, thick in (("white", 4.5), ("black", 2.5)):
            axes.plot([start, start + length], [foot] * 2, color=ink, linewidth=thick, solid_capstyle="butt")
        axes.annotate(
            length_label(length),
            (start, foot + 0.02 * up),
            fontsize=8,
            va="bottom",
            bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1},
        )
        place = f"{cut.axis} = {(layer + 0.5) * moment.spacing:g} µm, {duration(moment.minutes)}"
        axes.set_title("\n".join(filter(None, (title, place))), fontsize=9, loc="left")
        if bar:
            _bar(axes.figure, [axes], moment, name, norm)
    return axes


def _ink(colour: Sequence[float]) -> str:
    """White or black, whichever shows better on a colour."""
    red, green, blue, *_ = colour
    return "white" if 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.5 else "black"


def label_contours(
    axes: Axes,
    lines: ContourSet,
    inks: Sequence[str],
    size: tuple[float, float],
    write: Callable[[float], str] = "{:g}".format,
) -> None:
    """Write the values of contours beside each other, outlined, where they fit.

    A contour that is too small for its label has none, and no label leaves the lattice or covers another.

    Args:
        inks: "white" or "black", of each level. size: lengths of the lattice to the right and up, um. write: a level.
    """
    box = axes.get_window_extent()
    (left, end), (foot, top) = axes.get_xlim(), axes.get_ylim()
    point = axes.figure.dpi / 72 / min(box.width / (end - left), box.height / (top - foot))  # um
    height = _LABEL * point
    taken: list[tuple[float, float, float]] = []
    for level, path, ink in zip(lines.levels, lines.get_paths(), inks, strict=True):
        told = write(float(level))
        width = 0.65 * len(told) * height
        for line in sorted(map(np.asarray, path.to_polygons(closed_only=False)), key=len, reverse=True):
            small, large = sorted(np.ptp(line, axis=0))
            if large < 2 * width or (small < 2 * height and np.array_equal(line[0], line[-1])):
                continue
            free = [
                (x, y)
                for x, y in line.tolist()
                if 0.6 * width < x < size[0] - 0.6 * width
                and height < y < size[1] - height
                and all(abs(x - a) > 0.55 * (width + w) or abs(y - b) > 1.2 * height for a, b, w in taken)
            ]
            if not free:
                continue
            x, y = free[len(free) // 2]
            taken.append((x, y, width))
            other = "black" if ink == "white" else "white"
            outline = [withStroke(linewidth=1.6, foreground=other)]
            axes.text(x, y, told, fontsize=_LABEL, color=ink, ha="center", va="center", path_effects=outline)
            break


def _streamlines(axes: Axes, moment: Moment, cut: Cut, layer: int) -> None:
    """Streamlines of the velocity within a plane, wider where it is faster. Raises `ResultError`."""
    velocity = moment.shown_velocity()
    across, along = (cut.of_array(velocity[AXES.index(axis)], layer).astype(float) for axis in cut.directions)
    speed = np.hypot(across, along)
    if min(speed.shape) < 2 or not speed.any():
        return
    x, y = ((np.arange(n) + 0.5) * moment.spacing for n in speed.shape[::-1])
    for ink, more in (("black", 0.5), ("white", 0.0)):  # it shows on each colour
        axes.streamplot(
            x,
            y,
            across,
            along,
            density=_STREAMLINES,
            color=ink,
            linewidth=0.4 + 1.4 * speed / speed.max() + more,
            arrowsize=0.8,
        )


def planes(
    moment: Moment,
    name: str,
    *,
    span: tuple[float, float] | None = None,
    log: bool = False,
    streamlines: bool = False,
) -> Figure:
    """A field in three planes through the middle of the tumour, at one scale; lines show where they cross.

    Raises `ResultError`.
    """
    cuts = [Cut("z"), Cut("y"), Cut("x")]
    layers = {cut.axis: cut.layer(moment) for cut in cuts}
    norm = norm_of([moment], name, span, log=log)
    wide, deep, high = moment.size
    with mpl.rc_context(LINES):
        scale = 9.0 / (wide + max(deep, 0.25 * wide))
        figure = plt.figure(figsize=((wide + deep) * scale + 1.2, (deep + high) * scale + 0.9), layout="constrained")
        # As in a drawing: front below the plan, side to its right.
        grid = figure.add_gridspec(2, 2, width_ratios=(wide, deep), height_ratios=(deep, high))
        places = {"z": grid[0, 0], "y": grid[1, 0], "x": grid[1, 1]}
        drawn = []
        for cut in cuts:
            axes = plane(
                moment,
                name,
                cut,
                span=ends_of(norm),
                log=log,
                axes=figure.add_subplot(places[cut.axis]),
                bar=False,
                streamlines=streamlines,
            )
            right, up = cut.directions
            axes.axvline((layers[right] + 0.5) * moment.spacing, color="white", linewidth=0.6, alpha=0.8)
            axes.axhline((layers[up] + 0.5) * moment.spacing, color="white", linewidth=0.6, alpha=0.8)
            axes.set(xlabel=right, ylabel=up)
            drawn.append(axes)
        _bar(figure, drawn, moment, name, norm)
        figure.suptitle(f"{moment.title}, {duration(moment.minutes)}".lstrip(", "), fontsize=10)
    return figure


def panels(
    moments: Sequence[Moment],
    name: str,
    cut: Cut = Cut(),
    *,
    span: tuple[float, float] | None = None,
    log: bool = False,
    size: tuple[float, float] = PAGE,
    streamlines: bool = False,
) -> Figure:
    """A field in a plane at several times and sites, with one colour bar and one scale of length.

    A plane through the middle of the tumour stays, at each site, where it is in the first panel. The panels are as
    large as the page allows.

    Args:
        log: whether the scale of the colours is logarithmic, as in `norm_of`.
        size: of the page, inches; the figure is cut to the panels.

    Raises `ResultError`.
    """
    if not moments:
        raise ResultError("panels: expected at least one time")
    norm = norm_of(moments, name, span, log=log)
    right, up = (max(m.size[AXES.index(axis)] for m in moments) for axis in cut.directions)
    rows, columns = arrangement(len(moments), right / up, size[0] / size[1])
    sites = len({moment.title for moment in moments}) > 1
    above = _TITLE + 0.2 * sites
    wide = min((size[0] - _BAR) / columns, (size[1] / rows - above) * right / up)
    fitted = (columns * wide + _BAR, rows * (wide * up / right + above))
    with mpl.rc_context(LINES):
        figure, grid = plt.subplots(rows, columns, figsize=fitted, squeeze=False, layout="constrained")
        drawn = list(grid.flat)
        cuts: dict[tuple[str, tuple[int, ...]], Cut] = {}
        for moment, axes in zip(moments, drawn, strict=False):
            plane(
                moment,
                name,
                cuts.setdefault((moment.title, moment.tissue.shape), cut.fixed(moment)),
                span=ends_of(norm),
                log=log,
                axes=axes,
                bar=False,
                title=moment.title if sites else "",
                streamlines=streamlines,
                frame=(right, up),
            )
        for axes in drawn[len(moments) :]:
            axes.remove()
        _bar(figure, drawn[: len(moments)], moments[0], name, norm)
    return figure


def _bar(figure: object, axes: Sequence[Axes], moment: Moment, name: str, norm: Normalize) -> None:
    scale = ScalarMappable(norm, moment.map(name, THEMES["paper"]))
    log = isinstance(norm, LogNorm)
    edges = dict.fromkeys(label for each in axes for label in each.get_legend_handles_labels()[1])
    label = "\n".join([field_label(moment, name), *edges])
    bar = figure.colorbar(  # type: ignore[attr-defined]
        scale, ax=list(axes), label=label, extend="both" if log else "max", aspect=30
    )
    if log:
        bar.ax.yaxis.set_major_locator(LogLocator())
        bar.ax.yaxis.set_minor_locator(NullLocator())
        bar.ax.yaxis.set_major_formatter(FuncFormatter(power_of_ten))
