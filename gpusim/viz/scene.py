"""The scene: what of a moment becomes which shape, colour and light."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import psutil
import pyvista as pv
from matplotlib.colors import to_rgb
from scipy import ndimage, spatial
from vtkmodules.vtkCommonCore import vtkLogger
from vtkmodules.vtkRenderingCore import vtkPolyDataMapper
from vtkmodules.vtkRenderingOpenGL2 import vtkOpenGLSphereMapper

from gpusim.analysis.regions import smoothed
from gpusim.errors import ResultError
from gpusim.scenario.schema import EMPTY, NONE, StateRole
from gpusim.viz import geometry
from gpusim.viz.moment import HEAT, SPEED, Moment
from gpusim.viz.opengl import require_opengl
from gpusim.viz.palette import SMALL_CLONE, THEMES, Theme, clone_colours, mixed

# It warns of a display that is not there, and then does without.
vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_ERROR)

LAYERS = ("field", "surface", "section", "core", "front", "vessels", "cells", "streamlines", "box")
"""The field as a volume; the tumour's surface; the faces of the cut, cell by cell; the necrotic core; the
infected cells; the vessels; the immune cells; the streamlines of the fluid; the edges of the lattice."""
VIEWS = {"corner": (-52.0, 24.0), "front": (-90.0, 0.0), "side": (0.0, 0.0), "top": (-90.0, 90.0)}
"""Azimuth and elevation of the camera, degrees: from the x axis towards y, and above the xy plane."""
CUTS = {
    "xy": "a quarter",
    "x": "a half, across x",
    "y": "a half, across y",
    "z": "a half, across z",
    "xyz": "an eighth",
}
"""What is cut out, by the axes across which it has a face."""
FACES = ("cells", "field")
"""What the faces of the cut show."""
_BYTES_PER_VOXEL = 16
"""Of a volume while it is drawn: its texture, its gradients, and copies on their way."""
OPACITY = 0.7 * np.linspace(0, 1, 9) ** 0.8
"""Of a volume, from the low to the high end of its span."""
_PIXELS_PER_CELL = 9
"""Edge of a voxel on a face of the cut, pixels of its texture, at most."""
_PIXELS_OF_A_FACE = 700
_FADED = 0.6
"""Share of the gaps' colour in that of cells without the trait that others are coloured by."""
_NO_TISSUE = 0.85
"""... and in that of barriers."""

_LINES_ACROSS = 12
"""Streamlines beside each other over the longest edge of the lattice."""
_THICKNESS = 0.003
"""Radius of a streamline over the longest edge of the lattice."""

Paint = Callable[[np.ndarray, Any], np.ndarray]
"""RGB of cells, 0 to 1, by their states and by an index of where they are."""


@dataclass(frozen=True)
class Look:
    """What to show and how.

    Args:
        field: heat or a field; by default the first of `Moment.field_names`.
        span: lowest and highest value of the field's colours; by default 0 and a round number above its largest.
        trait: what cells are coloured by, instead of their state; without `field`, there is no volume then.
        trait_span: lowest and highest value of its colours, as `span`.
        clones: whether cells are coloured by their clones, instead of a trait; no volume either.
        streamlines: whether those of the interstitial fluid are drawn, coloured by its speed.
        speed_span: lowest and highest speed of their colours, um/min, as `span`.
        cut: what is cut out, on the side of the camera: one of `CUTS`, or "none".
        centre: a point of all faces of the cut, um (x, y, z); by default the tumour's middle.
        faces: what they show, one of `FACES`.
        view: azimuth and elevation, degrees; by default from a corner, from above where the lattice is flat.
        hidden: layers left out. opacity: of the volume, 1 as it comes.
        memory: bytes that a volume may take; a larger one is thinned.
        balls: cells of a layer above which balls are computed for each pixel, rougher at their rim, but faster.
        samples: of a volume along the longest edge of the lattice, at least, where software draws it.

    Raises `ResultError` where a layer, the cut or the faces are none of those.
    """

    field: str | None = None
    theme: Theme = THEMES["dark"]
    span: tuple[float, float] | None = None
    trait: str | None = None
    trait_span: tuple[float, float] | None = None
    clones: bool = False
    streamlines: bool = False
    speed_span: tuple[float, float] | None = None
    cut: str = "xy"
    centre: tuple[float, float, float] | None = None
    faces: str = "cells"
    hidden: frozenset[str] = frozenset()
    view: tuple[float, float] | None = None
    opacity: float = 1.0
    memory: int | None = None
    balls: int = 30_000
    samples: int = 250

    def __post_init__(self) -> None:
        unknown = sorted(self.hidden - set(LAYERS))
        if unknown:
            raise ResultError(f"hide '{unknown[0]}': expected one of {', '.join(LAYERS)}")
        if self.cut not in (*CUTS, "none"):
            raise ResultError(f"cut '{self.cut}': expected one of {', '.join(CUTS)}, none")
        if self.faces not in FACES:
            raise ResultError(f"faces '{self.faces}': expected one of {', '.join(FACES)}")

    @property
    def has_volume(self) -> bool:
        """Whether a field is shown."""
        return "field" not in self.hidden and (not self.by_cell or self.field is not None)

    @property
    def has_colours_of_field(self) -> bool:
        """Whether the field is shown as a volume or on the faces of the cut."""
        return self.has_volume or (self.faces == "field" and "section" not in self.hidden)

    @property
    def by_cell(self) -> bool:
        """Whether cells of one state have different colours."""
        return self.trait is not None or self.clones


@dataclass(frozen=True)
class Part:
    """A shape of a scene: one layer's mesh, in one colour or, where that is None, in its own array "colour" (RGB).

    Args:
        radius: of the ball at each point, um, where the mesh is a cloud of points; else 0.
        flat: whether its colours are shown as they are, without light.
    """

    layer: str
    mesh: pv.PolyData
    colour: str | None
    opacity: float = 1.0
    radius: float = 0.0
    flat: bool = False


@dataclass(frozen=True)
class Shown:
    """What a scene shows, for its legend.

    Args:
        cells: in each state, also where they are hidden. coarse: voxels' edges that one of the volume stands for.
    """

    moment: Moment
    look: Look
    field: str
    span: tuple[float, float]
    layers: list[str]
    cells: dict[str, int]
    coarse: int


def new_plotter(size: tuple[int, int], look: Look) -> pv.Plotter:
    """An off-screen plotter with the theme's ground and light, width and height in pixels. Raises `ResultError`."""
    require_opengl()
    plotter = pv.Plotter(off_screen=True, window_size=list(size), lighting="none", border=False)
    light(plotter, look)
    return plotter


def light(plotter: pv.Plotter, look: Look) -> None:
    """Give a plotter's present part the theme's ground, and light."""
    low, high = look.theme.background
    plotter.set_background(low, top=high)
    for position, strength in (((-0.6, 0.9, 1.0), 0.85), ((1.0, 0.3, 0.2), 0.35), ((-0.8, -0.6, -0.3), 0.22)):
        light = pv.Light(light_type="camera light", intensity=strength)
        light.position = position
        plotter.add_light(light, only_active=True)
    # Supersampling would lose the volume, in software.
    plotter.enable_anti_aliasing("msaa", multi_samples=4)


def fill(plotter: pv.Plotter, moment: Moment, look: Look) -> Shown:
    """Put a moment into a plotter, in place of the one that is there. Raises `ResultError`."""
    shown = stage(moment, look)
    for name in LAYERS:
        plotter.renderer.remove_actor(name, render=False, reset_camera=False)
    for part in parts(shown.moment, shown.look):
        _add(plotter, part, shown.look)
        shown.layers.append(part.layer)
    if shown.look.has_volume:
        _add_volume(plotter, shown)
    return shown


def stage(moment: Moment, look: Look) -> Shown:
    """A moment made ready: thinned where it is too large, with the cut and the span chosen. Raises `ResultError`."""
    factor = coarsening(moment.tissue.shape, look.memory)
    numbers = np.bincount(np.concatenate([moment.tissue, moment.immune], axis=None), minlength=len(moment.states))
    name = look.field or moment.field_names[0]
    centre = look.centre or middle_of_tumour(moment)
    view = look.view or VIEWS["top" if moment.is_flat else "corner"]
    look = replace(look, centre=centre, view=view)
    if moment.is_flat:  # the cells lie open on its floor
        look = replace(look, cut="none", hidden=look.hidden | {"surface", "core", "front"})
    if not look.streamlines:
        look = replace(look, hidden=look.hidden | {"streamlines"})
    elif "streamlines" not in look.hidden:
        moment.shown_velocity()  # refused here where there is none
    coarse = moment.coarsened(factor)
    look = spanned(look, [coarse])
    return Shown(
        coarse,
        look,
        name,
        look.span or (0.0, 1.0),
        [],
        dict(zip(moment.states, map(int, numbers), strict=True)),
        factor,
    )


def parts(moment: Moment, look: Look) -> Iterator[Part]:
    """The shapes of a moment, those that are hidden or empty left out."""
    colours, paint = colours_of(moment, look), painter(moment, look)
    spacing, kept = moment.spacing, _kept(moment, look)
    front = moment.having("exposed", "infected")
    if look.by_cell and look.cut == "none" and not moment.is_flat:  # no section shows these
        front = list(dict.fromkeys([*front, *states_by_cell(moment, look)]))
    body = functools.cache(lambda: moment.body)
    makers: dict[str, Callable[[], Part]] = {
        "box": lambda: Part("box", _box(moment, look), look.theme.faint, 0.5, flat=True),
        "surface": lambda: Part(
            "surface",
            opened(geometry.rounded(body(), spacing), moment, look),
            look.theme.surface,
            (0.36 if look.theme.dark else 0.3) * (0.4 if look.by_cell else 1.0),
        ),
        "core": lambda: Part(
            "core",
            geometry.rounded(smoothed(moment.cells(moment.having("dead")) & kept), spacing),
            _first(moment, "dead", colours, look),
        ),
        "front": lambda: _balls("front", moment, moment.tissue, front, kept, paint),
        "vessels": lambda: Part(
            "vessels",
            *_vessels(moment, kept, colours),
        ),
        "streamlines": lambda: Part("streamlines", _streamlines(moment, look), None),
        "section": lambda: Part("section", _section(moment, look, body, paint), None, flat=True),
        "cells": lambda: _balls("cells", moment, moment.immune, moment.immune_states, kept, paint),
    }
    for name, make in makers.items():
        if name not in look.hidden and (part := make()).mesh.n_points:
            yield part


def colours_of(moment: Moment, look: Look) -> dict[str, str]:
    """The colour of each state, "#rrggbb"; faded for states without the trait or clones that cells are coloured by, and
    for barriers, which are no tissue.
    """
    of_cells = set(states_by_cell(moment, look) if look.by_cell else moment.colours)
    colours = {n: c if n in of_cells else mixed(c, look.theme.gap, _FADED) for n, c in moment.colours.items()}
    barriers = [name for name, state in moment.document.states.items() if state.barrier]
    return colours | {name: mixed(colours[name], look.theme.gap, _NO_TISSUE) for name in barriers}


def states_by_cell(moment: Moment, look: Look) -> list[str]:
    """States whose cells have colours of their own: those with the trait, or with clones."""
    if look.trait is not None:
        return moment.states_with(look.trait)
    clones = moment.document.clones
    return [name for name in clones.of if name in moment.states] if look.clones and clones is not None else []


def painter(moment: Moment, look: Look) -> Paint:
    """The colours of cells, by their states and by where they are: RGB, 0 to 1."""
    colours = colours_of(moment, look)
    palette = np.array([to_rgb(colours[name]) for name in moment.states])
    if EMPTY in moment.states:
        palette[moment.states.index(EMPTY)] = to_rgb(look.theme.gap)
    has = np.isin(np.arange(len(moment.states)), [moment.states.index(n) for n in states_by_cell(moment, look)])
    if look.clones:
        return _painter_of_clones(moment, palette, has)
    if look.trait is None:
        return lambda states, _: palette[states]
    values, colour_map = moment.trait(look.trait), moment.map(look.trait, look.theme)
    low, high = look.trait_span or (0.0, 1.0)

    def paint(states: np.ndarray, where: Any) -> np.ndarray:
        found, coloured = palette[states], has[states]
        found[coloured] = colour_map(np.clip((values[where][coloured] - low) / (high - low), 0.0, 1.0))[..., :3]
        return found

    return paint


def _painter_of_clones(moment: Moment, palette: np.ndarray, has: np.ndarray) -> Paint:
    clones = moment.shown_clones()
    colours = clone_colours(clones.ranked)
    table = np.tile(to_rgb(SMALL_CLONE), (int(clones.numbers.max(initial=0)) + 1, 1))
    for clone, colour in colours.items():
        if clone < len(table):
            table[clone] = to_rgb(colour)

    def paint(states: np.ndarray, where: Any) -> np.ndarray:
        found, coloured = palette[states], has[states]
        found[coloured] = table[clones.numbers[where][coloured]]
        return found

    return paint


def _vessels(moment: Moment, kept: np.ndarray, colours: dict[str, str]) -> tuple[pv.PolyData, str | None]:
    """The vessels, and their colour, or None where each part has that of its state."""
    there = moment.cells(moment.having("vessel")) & kept
    present = {name: moment.cells([name]) & there for name in moment.having("vessel")}
    present = {name: cells for name, cells in present.items() if cells.any()}
    mesh = geometry.tubes(there, moment.spacing)
    if len(present) < 2 or not mesh.n_points:
        return mesh, next((colours[name] for name in present), None)
    mesh = mesh.triangulate()
    voxels = np.concatenate([np.argwhere(cells) for cells in present.values()])
    of_each = np.array([to_rgb(colours[name]) for name in present]).repeat(
        [np.count_nonzero(cells) for cells in present.values()], axis=0
    )
    _, nearest = spatial.KDTree((voxels[:, ::-1] + 0.5) * moment.spacing).query(mesh.cell_centers().points)
    mesh.cell_data["colour"] = (of_each[nearest] * 255).round().astype(np.uint8)
    return mesh, None


def _streamlines(moment: Moment, look: Look) -> pv.PolyData:
    """Tubes with a cone in their direction, coloured by the speed."""
    size = max(moment.size)
    lines = geometry.streamlines(moment.shown_velocity(), moment.spacing, size / _LINES_ACROSS)
    lines = opened(lines, moment, look)
    if not lines.n_points:
        return pv.PolyData()
    tubes = lines.tube(radius=_THICKNESS * size, n_sides=8, capping=True).triangulate().point_data_to_cell_data()
    mesh = pv.merge([tubes, geometry.arrows(lines, 8 * _THICKNESS * size)])
    low, high = look.speed_span or (0.0, 1.0)
    shares = np.clip((mesh.cell_data["speed"] - low) / (high - low), 0.0, 1.0)
    colours = moment.map(SPEED, look.theme)(shares)[:, :3]
    mesh.cell_data["colour"] = (colours * 255).round().astype(np.uint8)
    return mesh


def _first(moment: Moment, role: StateRole, colours: dict[str, str], look: Look) -> str:
    """The colour of the first state with a role."""
    return next((colours[name] for name in moment.having(role)), look.theme.ink)


def _add(plotter: pv.Plotter, part: Part, look: Look) -> None:
    plotter.add_actor(_actor(part, look), name=part.layer, reset_camera=False, render=False)


def _actor(part: Part, look: Look) -> pv.Actor:
    mesh = part.mesh
    if part.radius and mesh.n_points > look.balls:
        return _balls_by_pixel(part)
    if part.radius:
        ball = pv.Icosphere(radius=part.radius, nsub=2 if mesh.n_points < 5_000 else 1)
        ball = ball.compute_normals(cell_normals=False)
        mesh = mesh.glyph(geom=ball, scale=False, orient=False)
    elif not part.flat and mesh.GetPointData().GetNormals() is None:
        mesh = mesh.triangulate().compute_normals(cell_normals=False, split_vertices=False)
    # The mapper itself: pyvista's makes tables of colours, which nothing here needs, and takes longer for it.
    mapper = vtkPolyDataMapper()
    mapper.SetInputData(mesh)
    actor = pv.Actor()
    actor.SetMapper(mapper)
    if part.colour is None:
        mapper.SetColorModeToDirectScalars()
        by_point = "colour" in mesh.point_data
        mapper.SelectColorArray("colour")
        mapper.SetScalarModeToUsePointFieldData() if by_point else mapper.SetScalarModeToUseCellFieldData()
    else:
        mapper.ScalarVisibilityOff()
        actor.prop.color = part.colour
    actor.prop.opacity = part.opacity
    actor.prop.lighting = not part.flat
    actor.prop.interpolation = "flat" if part.flat else "phong"
    actor.prop.line_width = 1.5
    actor.prop.specular, actor.prop.ambient = (0.0, 0.0) if part.flat else (0.4, 0.2)
    actor.prop.specular_power = 25
    if part.layer == "surface":
        actor.prop.culling = "back"
    return actor


Slot = tuple[tuple[float, float], tuple[float, float]]
"""From and to a share of a window's width, and of its height, from below."""
WHOLE: Slot = ((0.0, 1.0), (0.0, 1.0))
_MARGIN = 1.02
"""By which what a camera sees is larger than the lattice."""


def aim(
    plotter: pv.Plotter,
    size: tuple[float, float, float],
    view: tuple[float, float],
    *,
    slot: Slot = WHOLE,
    aspect: float | None = None,
    least: tuple[float, float] = (0.0, 0.0),
) -> None:
    """Point a parallel camera at the middle of a lattice, so that it fits at any azimuth.

    It fits into a slot of the window. `aspect`: width over height, the plotter's by default.
    `least`: width and height, um, that the camera sees at least.
    """
    azimuth, elevation = np.radians(view)
    direction = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    middle = np.array(size) / 2
    reach = float(np.linalg.norm(size))
    camera = plotter.camera
    camera.focal_point = middle
    camera.position = middle + 2 * reach * direction
    camera.up = (0, 0, 1) if abs(view[1]) < 89 else (0, 1, 0)
    camera.parallel_projection = True
    across, upright = map(max, extent(size, view), least)
    width, height = plotter.window_size
    (left, right), (bottom, top) = slot
    free = (aspect or width / height) * (right - left)
    camera.parallel_scale = max(upright / (top - bottom), across / free) / 2 * _MARGIN
    camera.SetWindowCenter(1 - left - right, 1 - bottom - top)
    camera.clipping_range = (0.5 * reach, 3.5 * reach)


def extent(size: tuple[float, float, float], view: tuple[float, float]) -> tuple[float, float]:
    """Width and height, um, of a lattice in a view, at any azimuth; from above as it lies."""
    flat = abs(view[1]) >= 89
    across = max(size[:2]) if flat else float(np.hypot(size[0], size[1]))
    elevation = np.radians(view[1])
    return across, abs(np.cos(elevation)) * size[2] + abs(np.sin(elevation)) * across


def view_of(text: str) -> tuple[float, float]:
    """A view by its name, or as "azimuth,elevation" in degrees. Raises `ResultError`."""
    if text in VIEWS:
        return VIEWS[text]
    try:
        azimuth, elevation = (float(part) for part in text.split(","))
    except ValueError:
        raise ResultError(f"view '{text}': expected {', '.join(VIEWS)}, or AZIMUTH,ELEVATION in degrees") from None
    if not (abs(azimuth) <= 360 and abs(elevation) <= 90):
        raise ResultError(f"view '{text}': expected an azimuth to 360 and an elevation to 90 degrees")
    return azimuth, elevation


def graphics_memory() -> int:
    """Bytes that a volume may take: a quarter of the memory that is free, where software draws as on a GPU of 8 GB."""
    return min(psutil.virtual_memory().available // 4, 2**31)


@functools.cache
def draws_in_software() -> bool:
    """Whether OpenGL is drawn by the processor, where casting rays through a volume without OpenGL takes a third."""
    require_opengl()
    plotter = pv.Plotter(off_screen=True, window_size=[8, 8])
    plotter.render_window.Render()
    said = plotter.render_window.ReportCapabilities()
    plotter.close()
    return any(name in said for name in ("llvmpipe", "softpipe", "swrast", "SwiftShader"))


def coarsening(shape: tuple[int, ...], memory: int | None = None) -> int:
    """By how much a volume must be thinned along each axis to fit."""
    room = graphics_memory() if memory is None else memory
    factor = 1
    while np.prod([-(-n // factor) for n in shape], dtype=float) * _BYTES_PER_VOXEL > room:
        factor += 1
    return factor


def spanned(look: Look, moments: Iterable[Moment]) -> Look:
    """A look with the spans of colours that it lacks, for all moments, which are read one after the other."""
    of_field = look.has_colours_of_field and look.span is None
    of_trait = look.trait is not None and look.trait_span is None
    of_speed = look.streamlines and look.speed_span is None
    fields, traits, speeds = [0.0], [0.0], [0.0]
    for moment in moments if of_field or of_trait or of_speed else ():
        if of_field:
            fields.append(top_of(moment, look.field or moment.field_names[0]))
        if of_trait and look.trait is not None and (values := moment.of_cells(look.trait)).size:
            traits.append(_top(values))
        if of_speed and moment.velocity is not None:
            speeds.append(_top(moment.values(SPEED)))
    look = replace(look, span=_up_to(max(fields))) if of_field else look
    look = replace(look, speed_span=_up_to(max(speeds))) if of_speed else look
    return replace(look, trait_span=_up_to(max(traits))) if of_trait else look


_LEAST_HEAT = 0.1
"""Of 1: up to here the colours of heat reach at least, so that a cold tumour is dark."""


def _top(values: np.ndarray) -> float:
    return float(np.quantile(values, 0.999))


def _up_to(top: float) -> tuple[float, float]:
    return 0.0, round_up(top) if top > 0 else 1.0


def span_of(moments: Iterable[Moment], name: str) -> tuple[float, float]:
    """Of the colours of a field: from 0 to a round number that no more than a few voxels pass."""
    return _up_to(max(top_of(moment, name) for moment in moments))


def top_of(moment: Moment, name: str) -> float:
    """What no more than a few voxels of a field pass."""
    return max(_top(moment.values(name)), _LEAST_HEAT if name == HEAT else 0.0)


def round_up(value: float) -> float:
    """The smallest of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten that is not below `value`."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(f"{min(m * power for m in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if m * power >= value * (1 - 1e-9)):.6g}")


def middle_of_tumour(moment: Moment) -> tuple[float, float, float]:
    """Where the tumour is cut open, um: its middle, on a corner of voxels; without one, that of the lattice."""
    tumour = moment.cells(moment.tumour_states)
    columns, layers = np.argwhere(tumour.any(axis=0)), np.flatnonzero(tumour.any(axis=(1, 2)))
    shape = tumour.shape
    middle = [layers.mean() + 0.5, *columns.mean(axis=0) + 0.5] if len(layers) else [n / 2 for n in shape]
    z, y, x = (float(min(max(round(c), 1), n - 1)) for c, n in zip(middle, shape, strict=True))
    return x * moment.spacing, y * moment.spacing, z * moment.spacing


@dataclass(frozen=True)
class _Cut:
    """What is cut out: the voxels `beyond` along each of the axes (x 0, y 1, z 2)."""

    axes: Sequence[int]
    at: Sequence[int]
    """Voxels before the face across each of x, y and z."""
    side: Sequence[int]
    """1 if voxels after the face are cut out, -1 if those before it are."""
    counts: Sequence[int]

    @classmethod
    def of(cls, moment: Moment, look: Look) -> "_Cut":
        """On the side of the camera."""
        assert look.centre is not None
        azimuth, elevation = np.radians(look.view or VIEWS["corner"])
        side = (
            1 if np.cos(azimuth) >= -1e-9 else -1,
            1 if np.sin(azimuth) >= 1e-9 else -1,
            1 if elevation >= -1e-9 else -1,
        )
        counts = moment.tissue.shape[::-1]
        at = [min(max(round(c / moment.spacing), 1), n - 1) for c, n in zip(look.centre, counts, strict=True)]
        axes = [] if look.cut == "none" else ["xyz".index(axis) for axis in look.cut]
        return cls(axes, at, side, counts)

    def beyond(self, axis: int) -> slice:
        """The voxels that are cut out along one of the axes, all along another."""
        if axis not in self.axes:
            return slice(0, self.counts[axis])
        return slice(self.at[axis], self.counts[axis]) if self.side[axis] > 0 else slice(0, self.at[axis])


def _kept(moment: Moment, look: Look) -> np.ndarray:
    """What the cut leaves: bool [z, y, x], or [1, y, x] where it is the same along z."""
    cut = _Cut.of(moment, look)
    nx, ny, nz = cut.counts
    kept = np.ones((nz if 2 in cut.axes else 1, ny, nx), bool)
    if cut.axes:
        kept[tuple(cut.beyond(axis) if axis in cut.axes or axis < 2 else slice(None) for axis in (2, 1, 0))] = False
    return kept


def _balls_by_pixel(part: Part) -> pv.Actor:
    """Balls that are computed for each pixel: rougher at the rim, and with no triangles to keep."""
    mapper = vtkOpenGLSphereMapper()
    mapper.SetInputData(part.mesh)
    mapper.SetRadius(part.radius)
    mapper.SetScalarModeToUsePointFieldData()
    mapper.SelectColorArray("colour")
    mapper.SetColorModeToDirectScalars()
    actor = pv.Actor()
    actor.SetMapper(mapper)
    actor.prop.ambient, actor.prop.specular = 0.2, 0.4
    return actor


def opened(mesh: pv.PolyData, moment: Moment, look: Look) -> pv.PolyData:
    """A mesh without what is cut out."""
    cut = _Cut.of(moment, look)
    if not cut.axes or not mesh.n_points:
        return mesh
    depths = [(mesh.points[:, axis] - cut.at[axis] * moment.spacing) * cut.side[axis] for axis in cut.axes]
    mesh.point_data["depth"] = np.min(depths, axis=0)
    return mesh.clip_scalar(scalars="depth", value=0.0, invert=True)


def _box(moment: Moment, look: Look) -> pv.PolyData:
    """Edges of what the cut leaves of the lattice."""
    cut = _Cut.of(moment, look)
    ends = [
        np.array([0, cut.at[axis], n] if axis in cut.axes else [0, n]) * moment.spacing
        for axis, n in enumerate(cut.counts)
    ]
    blocks = pv.RectilinearGrid(*ends).cast_to_unstructured_grid()
    if cut.axes:
        gone = [cut.side[axis] > 0 if axis in cut.axes else 0 for axis in range(3)]
        number = int(np.ravel_multi_index(gone[::-1], [len(each) - 1 for each in ends[::-1]]))
        blocks = blocks.extract_cells(np.setdiff1d(np.arange(blocks.n_cells), number))
    surface = blocks.extract_surface(algorithm="dataset_surface")
    return surface.extract_feature_edges(30, boundary_edges=False, non_manifold_edges=False, manifold_edges=False)


def _section(moment: Moment, look: Look, body: Callable[[], np.ndarray], paint: Paint) -> pv.PolyData:
    """The faces of the cut: within the tumour a disc for each cell, in its state's colour; or the field, everywhere.

    Of a flat lattice, its middle plane as a floor.
    """
    cut = _Cut.of(moment, look)
    faces = [(axis, cut.at[axis] - (cut.side[axis] > 0), cut.at[axis], cut.beyond) for axis in cut.axes]
    if moment.is_flat:
        nz = moment.tissue.shape[0]
        faces = [(2, nz // 2, 0, lambda axis: slice(0, cut.counts[axis]))]
    pieces = []
    for axis, last, at, beyond in faces:
        # The last voxels that the cut leaves.
        plane = tuple(last if other == axis else beyond(other) for other in (2, 1, 0))
        lowest = [at if other == axis else beyond(other).start for other in range(3)]
        origin = [float(n * moment.spacing) for n in lowest]
        if look.faces == "field":
            piece = _coloured(moment, look, plane, axis, origin)
        else:
            piece = _discs(moment, look, plane, axis, origin, body, paint)
        if piece.n_cells:
            pieces.append(piece)
    return pv.merge(pieces, merge_points=False) if pieces else pv.PolyData()


def _coloured(moment: Moment, look: Look, plane: Any, axis: int, origin: list[float]) -> pv.PolyData:
    """Voxels of a plane across an axis in the colours of the field."""
    name = look.field or moment.field_names[0]
    low, high = look.span or (0.0, 1.0)
    shares = np.clip((moment.values(name)[plane] - low) / (high - low), 0.0, 1.0)
    if not shares.size:  # the cut is at the lattice's side
        return pv.PolyData()
    colours = moment.map(name, look.theme)(shares)[..., :3]
    return _squares(colours, np.ones(shares.shape, bool), axis, origin, moment.spacing)


def _discs(
    moment: Moment,
    look: Look,
    plane: Any,
    axis: int,
    origin: list[float],
    body: Callable[[], np.ndarray],
    paint: Paint,
) -> pv.PolyData:
    """Cells of a plane across an axis, within the tumour's body; of a flat lattice, all of them."""
    gap = np.array(to_rgb(look.theme.gap))
    if moment.is_flat:
        layer = moment.tissue[plane]
        return _face(paint(layer, plane), np.ones(layer.shape), gap, axis, origin, moment.spacing)
    tissue, immune = moment.tissue[plane], moment.immune[plane]
    shown = np.where(immune == moment.states.index(NONE), tissue, immune)
    return _face(paint(shown, plane), body()[plane], gap, axis, origin, moment.spacing)


def _face(
    colours: np.ndarray,
    density: np.ndarray,
    gap: np.ndarray,
    axis: int,
    lowest: list[float],
    spacing: float,
) -> pv.PolyData:
    """Discs on a plane across an axis (x 0, y 1, z 2), where the density is the body's; colours: [up, across, RGB]."""
    if not density.size:  # the cut is at the lattice's side
        return pv.PolyData()
    fine = min(_PIXELS_PER_CELL, max(2 * _PIXELS_OF_A_FACE // (sum(density.shape) + 1), 3))
    aside = np.abs(np.arange(fine) - (fine - 1) / 2) / (fine / 2)
    distance = np.hypot(aside[:, None], aside)
    weight = np.where(distance < 0.75, 1.0, np.where(distance < 1.0, 0.8, 0.0)).astype(np.float32)[:, None, :, None]
    height, width = density.shape
    colour = colours.astype(np.float32)[:, None, :, None] * weight + gap.astype(np.float32) * (1 - weight)
    inside = ndimage.zoom(np.pad(density, 1, mode="edge"), fine, order=1, grid_mode=True, mode="grid-constant")
    inside = inside[fine:-fine, fine:-fine] >= geometry.LEVEL
    return _squares(colour.reshape(height * fine, width * fine, 3), inside, axis, lowest, spacing / fine)


def _squares(colours: np.ndarray, inside: np.ndarray, axis: int, lowest: list[float], spacing: float) -> pv.PolyData:
    """Squares on a plane across an axis (x 0, y 1, z 2) where `inside`, in colours: RGB, 0 to 1, [up, across, 3]."""
    if not inside.any():
        return pv.PolyData()
    across, up = ((1, 2), (0, 2), (0, 1))[axis]
    height, width = inside.shape
    points = np.empty((height + 1, width + 1, 3), np.float32)
    points[..., axis] = lowest[axis]
    points[..., across] = lowest[across] + spacing * np.arange(width + 1)
    points[..., up] = (lowest[up] + spacing * np.arange(height + 1))[:, None]
    rows, columns = np.nonzero(inside)
    corner = rows * (width + 1) + columns
    corners = np.stack([corner, corner + 1, corner + width + 2, corner + width + 1], axis=1)
    mesh = pv.PolyData.from_regular_faces(points.reshape(-1, 3), corners)
    mesh.cell_data["colour"] = np.rint(colours[inside] * 255).astype(np.uint8)
    return mesh


def _balls(layer: str, moment: Moment, cells: np.ndarray, states: list[str], kept: np.ndarray, paint: Paint) -> Part:
    """A ball in the place of each cell in these states."""
    numbers = [moment.states.index(state) for state in states if state in moment.states]
    found = np.argwhere(np.isin(cells, numbers) & kept)
    cloud = pv.PolyData((found[:, ::-1] + 0.5) * moment.spacing) if len(found) else pv.PolyData()
    if len(found):
        where = tuple(found.T)
        cloud.point_data["colour"] = (paint(cells[where], where) * 255).round().astype(np.uint8)
    return Part(layer, cloud, None, radius=0.42 * moment.spacing)


def volume(shown: Shown) -> np.ndarray:
    """The field as the volume shows it: 0 to 255 over its span, 0 where it is cut out; uint8 [z, y, x]."""
    low, high = shown.span
    scaled = np.clip((shown.moment.values(shown.field) - low) * (255.0 / (high - low)), 0, 255)
    return np.rint(scaled * _kept(shown.moment, shown.look)).astype(np.uint8)


def _add_volume(plotter: pv.Plotter, shown: Shown) -> None:
    moment, look = shown.moment, shown.look
    if min(moment.tissue.shape) < 2:
        return
    # Points are voxel centres: a further one beyond each side, cropped to the box, holds the value up to its faces.
    grid = geometry.grid_of(np.pad(volume(shown), 1, mode="edge"), moment.spacing, shown.field)
    grid.origin = (-moment.spacing / 2,) * 3
    in_software = draws_in_software()
    actor = plotter.add_volume(
        grid,
        name="field",
        mapper="fixed_point" if in_software else "gpu",
        scalars=shown.field,
        cmap=moment.map(shown.field, look.theme),
        clim=(0, 255),
        opacity=list(OPACITY),
        shade=False,
        show_scalar_bar=False,
        reset_camera=False,
        render=False,
    )
    actor.prop.interpolation_type = "linear"
    actor.mapper.SetCropping(True)
    actor.mapper.SetCroppingRegionFlagsToSubVolume()
    actor.mapper.SetCroppingRegionPlanes(*(end for length in moment.size for end in (0.0, length)))
    actor.mapper.SetAutoAdjustSampleDistances(False)
    if in_software:
        # Without random starts of rays, their steps show on faces that are seen at a small angle.
        step = min(moment.spacing / 2, max(moment.size) / look.samples)
        actor.mapper.SetSampleDistance(step)
        actor.mapper.SetInteractiveSampleDistance(step)
        actor.mapper.SetImageSampleDistance(1.0)
    else:
        actor.mapper.SetSampleDistance(moment.spacing)
        actor.mapper.SetUseJittering(True)
    actor.prop.opacity_unit_distance = opacity_length(shown)
    shown.layers.append("field")


def opacity_length(shown: Shown) -> float:
    """Length over which `OPACITY` holds, um: a picture does not change with the fineness of the lattice."""
    return 0.12 * max(shown.moment.size) / max(shown.look.opacity, 1e-3)
