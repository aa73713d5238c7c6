"""The app in the browser: the scene as the server draws it, time, layers, curves; on trame."""

from __future__ import annotations

import asyncio
import base64
import io
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import pyvista as pv
import vtkmodules.vtkInteractionStyle  # noqa: F401  gives interactors their style
from aiohttp import web
from matplotlib.figure import Figure
from PIL import Image
from pydantic import Field
from trame.app import get_server
from trame.ui.vuetify3 import SinglePageWithDrawerLayout
from trame.widgets import html, vtk
from trame.widgets import vuetify3 as v3
from vtkmodules.vtkInteractionStyle import vtkInteractorStyleTrackballCamera
from vtkmodules.vtkRenderingCore import vtkRenderWindowInteractor

from gpusim.analysis import main_field, whole
from gpusim.engine.dataset import CLONES
from gpusim.errors import GpusimError
from gpusim.units import duration
from gpusim.viz import curves, pointer, scene
from gpusim.viz.access import Access
from gpusim.viz.delivery import Delivery
from gpusim.viz.link import Link, Number
from gpusim.viz.moment import SPEED
from gpusim.viz.opengl import require_opengl
from gpusim.viz.overlay import ROOM, overlay
from gpusim.viz.palette import THEMES
from gpusim.viz.scene import Look
from gpusim.viz.sources import FromSimulation, Source, curves_of, usual

_SIZE = (1280, 800)
_LAYER_NAMES = {
    "field": "volume",
    "surface": "surface",
    "section": "cells on the cut",
    "core": "dead core",
    "front": "infected cells",
    "vessels": "vessels",
    "cells": "immune cells",
    "streamlines": "streamlines",
    "box": "edges",
}
_STREAMLINES = "streamlines"
_BY_STATE = "state"
"""What cells are coloured by, if not a trait or their clones, which leave out the volume."""
_COARSE = 0.5
"""Share of the width and height of a picture that follows a change at once."""
_REFINE_SECONDS = 0.25
_SAMPLES = 100
_SEND_SECONDS = 0.01
_NARROW = 800
"""Width of a window, pixels, in which the controls lie over the view instead of beside it."""
_PLAY_SECONDS = 0.35
_ASPECT = 1.05
"""Width over height of the view that all of a scene is to fit in: a narrow window's."""
_RANGES = {"opacity": (0.1, 5.0, 0.1), **{f"cut_{axis}": (2, 98, 1) for axis in "xyz"}}
"""Ends and steps of sliders."""
KEYS = (
    "space: play; left, right, home, end: time (live: right is a step); c: another cut; f: cells or field on its "
    "faces; x, y, z (with shift: back): move the cut; t: theme"
)
"""What keys do in the view."""
_POINTER_MS = 120
"""Between two questions of the page about what is under the pointer."""
_POINTED = (
    "if (!$event.buttons && !($event.timeStamp - ($event.currentTarget.dataset.asked || 0) < {ms})) {{"
    "$event.currentTarget.dataset.asked = $event.timeStamp;"
    "const box = $event.currentTarget.getBoundingClientRect();"
    "trigger('{ask}', [($event.clientX - box.left) / box.width, ($event.clientY - box.top) / box.height])}}"
)
_Share = Annotated[Number, Field(ge=-0.1, le=1.1)]
_WAIT_SECONDS = 0.01
"""For more changes, before they are drawn: a slider sends each of its steps."""


class App:
    """One source, or two side by side under one camera.

    Args:
        sources: what to look at. steps: of a live simulation between two pictures.
    """

    def __init__(self, sources: Sequence[Source], *, theme: str = "dark", steps: int = 12) -> None:
        self.sources = list(sources)
        self.live = sources[0] if isinstance(sources[0], FromSimulation) else None
        self.steps = steps
        self._room = ROOM if len(sources) == 1 else 0.38
        self.server = get_server(f"gpusim-{id(self)}", client_type="vue3")
        self.state, self.controller = self.server.state, self.server.controller
        look = Look(theme=THEMES[theme])
        require_opengl()
        self.plotter = pv.Plotter(
            off_screen=True, shape=(1, len(sources)), window_size=list(_SIZE), lighting="none", border=False
        )
        self._pens = range(len(sources))
        for i in self._pens:
            self.plotter.subplot(0, i)
            scene.light(self.plotter, look)
        if len(sources) > 1:
            self.plotter.link_views()
        self.plotter.render_window.SetMultiSamples(0)
        self._interactor = vtkRenderWindowInteractor()
        self._interactor.SetInteractorStyle(vtkInteractorStyleTrackballCamera())
        self._interactor.SetRenderWindow(self.plotter.render_window)
        self._delivery = Delivery(self.plotter.render_window)
        self._refining: asyncio.TimerHandle | None = None
        self._staged: list[scene.Shown] = []
        self._written: tuple[Any, ...] = ()
        self._spans: dict[str, tuple[float, float]] = {}
        self._fill_state(theme)
        self._aimed = self._waiting = self._serving = False
        self._turn = asyncio.Lock()  # a step runs in a thread, and alone
        self._player: asyncio.Task[None] | None = None
        self.refresh()
        self._build()

    # State

    def _fill_state(self, theme: str) -> None:
        first = self.sources[0].moment(0, self.sources[0].sites[0])
        size = first.size
        middle, main = scene.middle_of_tumour(first), main_field(first.document)
        told = whole(first.unit(main), [first.tissue.size], [first.spacing]) if main else None
        self.size = size
        self._injectable = list(first.document.fields) if self.live else []
        self.state.update(
            {
                "title": " against ".join(source.title for source in self.sources),
                "index": 0,
                "last": len(self.sources[0].minutes) - 1,
                "time": "",
                "playing": False,
                "field": first.field_names[0],
                "fields": first.field_names,
                "trait": _BY_STATE,
                "traits": [
                    _BY_STATE,
                    *(trait for trait in first.traits if self._in_all(trait)),
                    *([CLONES] if all(s.moment(0, s.sites[0]).has_clones for s in self.sources) else []),
                ],
                "layers": [name for name in scene.LAYERS if name != _STREAMLINES],
                "layer_items": [{"title": _LAYER_NAMES[name], "value": name} for name in self._layers],
                "opacity": 1.0,
                "cut": "xy",
                "cuts": [{"title": text, "value": cut} for cut, text in {**scene.CUTS, "none": "nothing"}.items()],
                "faces": "cells",
                **{f"cut_{axis}": round(100 * at / of) for axis, at, of in zip("xyz", middle, size, strict=True)},
                "site": self.sources[0].sites[0],
                "sites": list(self.sources[0].sites),
                "theme": theme,
                "writing": [],
                "curves": "",
                "curve_names": usual(first),
                "curve_items": [{"title": c.label, "value": n} for n, c in curves_of(first).items()],
                "pointed": "",
                "cursor": 0,
                "message": "",
                "busy": False,
                "dose_field": main or next(iter(self._injectable), None),
                "dose_fields": self._injectable,
                "dose": f"1e5 {told.unit}" if told and told.is_amount else "1",
                "dose_radius": "60 um",
                "dose_x": round(middle[0]),
                "dose_y": round(middle[1]),
                "dose_z": round(middle[2]),
            }
        )

    @property
    def _layers(self) -> list[str]:
        """Layers that can be shown: streamlines where fluid flows in each of the sources."""
        flows = all(source.moment(0, source.sites[0]).velocity is not None for source in self.sources)
        return [name for name in scene.LAYERS if flows or name != _STREAMLINES]

    def _in_all(self, trait: str) -> bool:
        return all(trait in source.moment(0, source.sites[0]).traits for source in self.sources)

    def _settable(self) -> dict[str, Any]:
        """The states that a page may set, with their types."""
        state, short, layer = self.state, Annotated[str, Field(max_length=80)], Literal[tuple(self._layers)]
        names = tuple(item["value"] for item in state.curve_items)
        types = {
            "index": Annotated[int, Field(ge=0, le=state.last)],
            "field": Literal[tuple(state.fields)],
            "trait": Literal[tuple(state.traits)],
            "site": Literal[tuple(state.sites)],
            "theme": Literal[tuple(THEMES)],
            "layers": Annotated[list[layer], Field(max_length=len(scene.LAYERS))],  # type: ignore[valid-type]
            "curve_names": Annotated[list[Literal[names]], Field(max_length=len(names))],  # type: ignore[valid-type]
            "playing": bool,
            "cut": Literal[(*scene.CUTS, "none")],
            "faces": Literal[scene.FACES],
            "main_drawer": bool,
        }
        ranges = {name: ends[:2] for name, ends in _RANGES.items()}
        if self._injectable:
            types |= {"dose_field": Literal[tuple(self._injectable)], "dose": short, "dose_radius": short}
            ranges |= {f"dose_{axis}": (0, length) for axis, length in zip("xyz", self.size, strict=True)}
        return types | {name: Annotated[Number, Field(ge=low, le=high)] for name, (low, high) in ranges.items()}

    def _acts(self) -> dict[str, Any]:
        """The names of what a page may have done, with the types of the arguments."""
        types: dict[Callable[..., Any], Any] = {
            self._go_to: tuple[_Share],
            self.point: tuple[_Share, _Share],
            self.press: tuple[Annotated[str, Field(max_length=20)]],
            self.curves_csv: tuple[()],
            self.curves_svg: tuple[()],
        }
        if self.live:
            types |= {self.step_once: tuple[()]}
        if self._injectable:
            types |= {self.inject: tuple[()]}
        return {self.controller.trigger_name(act): each for act, each in types.items()}

    def _look(self) -> Look:
        state = self.state
        trait = None if state.trait in (_BY_STATE, CLONES) else state.trait
        return Look(
            field=state.field if state.trait == _BY_STATE else None,
            theme=THEMES[state.theme],
            span=self._spans.get(state.field),
            trait=trait,
            clones=state.trait == CLONES,
            trait_span=self._spans.get(state.trait),
            cut=state.cut,
            centre=(
                state.cut_x / 100 * self.size[0],
                state.cut_y / 100 * self.size[1],
                state.cut_z / 100 * self.size[2],
            ),
            faces=state.faces,
            streamlines=_STREAMLINES in state.layers,
            speed_span=self._spans.get(SPEED),
            hidden=frozenset(scene.LAYERS) - set(state.layers),
            opacity=float(state.opacity),
            balls=0,
            samples=_SAMPLES,
        )

    def _index(self, source: Source) -> int:
        """The moment of a source that is nearest to the first source's time."""
        minutes = self.sources[0].minutes[min(int(self.state.index), len(self.sources[0].minutes) - 1)]
        return int(np.abs(source.minutes - minutes).argmin())

    def refresh(self, *_: object, **__: object) -> None:
        """Draw the present state."""
        state = self.state
        moments = [source.moment(self._index(source), state.site) for source in self.sources]
        look = self._look()
        shown_by = look.trait or (CLONES if look.clones else state.field)
        if look.streamlines and (SPEED not in self._spans or self.live):
            moving = scene.spanned(Look(hidden=frozenset(["field"]), streamlines=True), moments).speed_span
            self._spans[SPEED] = max(self._spans.get(SPEED, (0.0, 0.0)), moving or (0.0, 1.0))
            look = self._look()
        if shown_by not in self._spans or self.live:
            # One meaning of the colours over time and in both views.
            ends = [moments[0], *(s.moment(len(s.minutes) // 2, state.site) for s in self.sources), *moments]
            found = scene.spanned(replace(look, hidden=frozenset(), span=None, trait_span=None), ends)
            span = (found.span if look.trait is None else found.trait_span) or (0.0, 1.0)
            before = self._spans.get(shown_by, (0.0, 0.0))
            self._spans[shown_by] = (0.0, max(span[1], before[1])) if self.live else span
            look = self._look()
        staged = []
        for i, moment in enumerate(moments):
            self.plotter.subplot(0, i)
            shown = scene.fill(self.plotter, moment, look)
            self._needle(look)
            if not self._aimed and i == 0:
                scene.aim(
                    self.plotter,
                    moment.size,
                    scene.VIEWS["corner"],
                    slot=((0.0, 1 - self._room), (0.0, 1.0)),
                    aspect=_ASPECT / len(self.sources),
                )
            staged.append(shown)
        self._aimed = True
        self._delivery.scene_changed()
        self._staged = staged
        if self.controller.update_view.exists():
            self.controller.update_view()
        if self._serving:  # the picture is sent before its legend is drawn
            asyncio.get_running_loop().call_later(_SEND_SECONDS, self._write)
        else:
            self._write()
        state.busy = False
        state.time = duration(moments[0].minutes)
        last = self.sources[0].minutes[-1]
        share = 1.0 if self.live else moments[0].minutes / last if last else 0.0
        state.cursor = 100 * (curves.LEFT + share * (curves.RIGHT - curves.LEFT))

    def _write(self) -> None:
        """Draw time and legend, if they have changed."""
        written = tuple(
            (each.moment.minutes, tuple(each.cells.items()), *each.layers, each.span, replace(each.look, centre=None))
            for each in self._staged
        )
        if written != self._written:
            size = (round(1600 / len(self.sources)), 1000)
            with self.state:
                self.state.writing = [_png(overlay([each], size, None, self._room)) for each in self._staged]
            self._written = written

    def _refresh_soon(self, *_: object, **__: object) -> None:
        """Draw once for all changes that come together."""
        if self._serving and not self._waiting:
            self._waiting = self.state.busy = True
            asyncio.get_running_loop().call_later(_WAIT_SECONDS, self._refresh_now)

    def _refresh_now(self) -> None:
        self._waiting = False
        if self._turn.locked():  # drawn after the step
            return
        self._delivery.share = _COARSE
        with self.state:  # sends to the page what changes here
            self.refresh()
        if self._refining is not None:
            self._refining.cancel()
        self._refining = asyncio.get_running_loop().call_later(_REFINE_SECONDS, self._refine)

    def _refine(self) -> None:
        """Send the picture in full, after a while without changes."""
        self._delivery.share = 1.0
        self.controller.update_view()

    def _needle(self, look: Look) -> None:
        if not self._injectable:
            return
        place = [float(self.state[f"dose_{axis}"]) for axis in "xyz"]
        ball = pv.Sphere(radius=0.02 * max(self.size), center=place)
        self.plotter.add_mesh(ball, name="needle", color="#f0e442", render=False, reset_camera=False)

    def refresh_curves(self, *_: object, **__: object) -> None:
        """Draw the curves."""
        drawn = curves.figure(self.state.curve_names, self.sources, self.state.site, self.state.theme)
        self.state.curves = _as_png(drawn) if drawn else ""

    def curves_csv(self) -> str:
        """The curves that are shown as a table: source, curve, minutes, value."""
        return curves.table(self.state.curve_names, self.sources, self.state.site)

    def curves_svg(self) -> str:
        """The figure of the curves as SVG, on white."""
        target = io.StringIO()
        if drawn := curves.figure(self.state.curve_names, self.sources, self.state.site, "paper"):
            drawn.savefig(target, format="svg")
        return target.getvalue()

    # Acts

    async def press(self, key: str) -> None:
        """A key of the keyboard, pressed in the view (`KEYS`)."""
        state, last = self.state, int(self.state.last)
        if key in (" ", "k"):
            state.playing = not state.playing
        elif key == "ArrowRight" and self.live:
            await self.step_once()
        elif key in ("ArrowLeft", "ArrowRight", "Home", "End") and not self.live:
            moved = {"ArrowLeft": int(state.index) - 1, "ArrowRight": int(state.index) + 1, "Home": 0, "End": last}
            state.index = min(max(moved[key], 0), last)
        elif key == "c":
            state.cut = _after(state.cut, [*scene.CUTS, "none"])
        elif key == "f":
            state.faces = _after(state.faces, scene.FACES)
        elif len(key) == 1 and key in "xyzXYZ":
            name = f"cut_{key.lower()}"
            low, high, _ = _RANGES[name]
            state[name] = min(max(float(state[name]) + (5 if key.islower() else -5), low), high)
        elif key == "t":
            state.theme = _after(state.theme, list(THEMES))
        state.flush()

    def _retheme(self, theme: str, **_: object) -> None:
        for i in self._pens:
            self.plotter.subplot(0, i)
            low, high = THEMES[theme].background
            self.plotter.set_background(low, top=high)
        self.refresh_curves()
        self.refresh()

    def _playing(self, playing: bool, **_: object) -> None:
        """Begin to play; a player that is there already finds what has been clicked since."""
        if playing and (self._player is None or self._player.done()):
            self._player = asyncio.get_running_loop().create_task(self._play())

    async def _play(self) -> None:
        """Go on until told to stop: through the snapshots, or through the simulation's own time."""
        while self.state.playing:
            if self.live:
                await self._step()
            else:
                self.state.index = (int(self.state.index) + 1) % (self.state.last + 1)
            self.state.flush()
            await asyncio.sleep(_PLAY_SECONDS if not self.live else 0.01)

    async def _step(self) -> None:
        """Some steps of the live simulation, beside the server's own work."""
        assert self.live is not None
        simulation = self.live.simulation
        async with self._turn:
            self.state.busy = True
            self.state.flush()
            left = simulation.model.until - simulation.steps
            if left <= 0:
                self.state.playing = self.state.busy = False
                self.state.message = "the scenario's end is reached"
                return
            try:
                end = simulation.steps + min(self.steps, left)
                await asyncio.get_running_loop().run_in_executor(None, simulation.run, end)
            except GpusimError as error:
                self.state.playing = False
                self.state.message = str(error)
        self.live.note()
        self.refresh()
        self.refresh_curves()

    async def step_once(self) -> None:
        """A press on the button."""
        if self.live and not self.state.playing:
            await self._step()
            self.state.flush()

    async def inject(self) -> None:
        """A press on the button."""
        assert self.live is not None
        state = self.state
        async with self._turn:
            try:
                place = (float(state.dose_x), float(state.dose_y), float(state.dose_z))
                state.message = self.live.inject(state.dose_field, state.dose, state.dose_radius, place, state.site)
            except (GpusimError, ValueError) as error:
                state.message = str(error)
        self.refresh()
        self.refresh_curves()
        state.flush()

    def point(self, x: float, y: float) -> None:
        """Say what is under the pointer, at shares of the view's width and height, from its upper left corner."""
        if self._turn.locked():  # a step changes it
            return
        width, height = self.plotter.render_window.GetSize()
        number = min(max(int(x * len(self.sources)), 0), len(self.sources) - 1)
        shown, renderer = self._staged[number], self.plotter.renderers[number]
        pixel = (min(max(int(x * width), 0), width - 1), min(max(int((1 - y) * height), 0), height - 1))
        place = pointer.place_at(renderer, *pixel, pointer.INWARD * shown.moment.spacing)
        self.state.pointed = "" if place is None else pointer.description(shown.moment, shown.look, place)
        self.state.flush()

    def _go_to(self, share: float) -> None:
        """A click into the curves, at a share of their width."""
        if not self.live:
            minutes = (share - curves.LEFT) / (curves.RIGHT - curves.LEFT) * self.sources[0].minutes[-1]
            self.state.index = int(np.abs(self.sources[0].minutes - minutes).argmin())

    # Page

    def _build(self) -> None:
        state, change = self.state, self.state.change
        change("index", "field", "trait", "layers", "opacity", "cut", "faces", "site")(self._refresh_soon)
        change("cut_x", "cut_y", "cut_z")(self._refresh_soon)
        if self.live:
            change("dose_x", "dose_y", "dose_z")(self._refresh_soon)
        change("site", "curve_names")(self.refresh_curves)
        change("theme")(self._retheme)
        change("playing")(self._playing)
        self.refresh_curves()
        with SinglePageWithDrawerLayout(self.server) as page:
            page.root.theme = ("theme === 'dark' ? 'dark' : 'light'",)
            page.title.set_text("gpusim")
            page.footer.hide()
            with page.toolbar:
                html.Span("{{ title }}", classes="text-medium-emphasis mx-3 text-truncate")
                v3.VSpacer()
                self._button(("playing ? 'mdi-pause' : 'mdi-play'",), "playing = !playing", "play")
                if self.live:
                    self._button("mdi-skip-next", self.step_once, "step")
                else:
                    v3.VSlider(
                        v_model=("index",), min=0, max=("last",), step=1, hide_details=True, classes="mx-2",
                        style="max-width: 420px", density="compact", id="time",
                    )  # fmt: skip
                html.Span("{{ time }}", classes="text-h6 mx-4", style="min-width: 5em", id="now")
            with page.drawer as drawer:
                drawer.width = 300
                drawer.mobile_breakpoint = _NARROW
                self._controls()
            with page.content, html.Div(
                style="display: flex; width: 100%; height: 100%; outline: none", id="stage", title=KEYS,
                keydown=(self.press, "[$event.key]"), raw_attrs=['tabindex="0"', "autofocus"],
            ):  # fmt: skip
                v3.VProgressLinear(v_show=("busy",), model_value=100, absolute=True, id="busy")
                ask = self.controller.trigger_name(self.point)
                with html.Div(
                    style="position: relative; flex: 1; min-width: 0; height: 100%",
                    id="view",
                    mousemove=_POINTED.format(ask=ask, ms=_POINTER_MS),
                    mouseleave="pointed = ''",
                ):
                    view = vtk.VtkRemoteView(
                        self.plotter.render_window,
                        ref="scene",
                        interactive_ratio=0.5,
                        interactive_quality=60,
                        still_quality=92,
                    )
                    self.controller.update_view = view.update
                    html.Img(
                        v_for="image, i in writing", key="i", src=("image",),
                        style=(
                            "`position:absolute;top:0;height:100%;pointer-events:none;object-fit:contain;"
                            "object-position:right top;width:${100 / writing.length}%;"
                            "left:${100 * i / writing.length}%`",
                        ),
                    )  # fmt: skip
                    html.Div(
                        "{{ pointed }}",
                        v_show=("pointed",),
                        id="pointed",
                        classes="text-caption",
                        style="position: absolute; left: 8px; bottom: 4px; padding: 1px 6px; pointer-events: none; "
                        "background: rgba(20, 20, 20, 0.75); color: #eee; border-radius: 3px",
                    )
                with html.Div(
                    style="position: relative; width: 300px; flex: none; align-self: center", v_show=("curves",)
                ):
                    html.Img(
                        src=("curves",), style="width: 100%; cursor: pointer", id="curves",
                        click=(self._go_to, "[$event.offsetX / $event.target.clientWidth]"),
                    )  # fmt: skip
                    with html.Div(classes="text-caption text-right px-2", id="save"):
                        html.Span("save curves: ")
                        html.A("PNG", href=("curves",), download="curves.png", classes="mx-1", id="save_png")
                        for kind, mime in (("svg", "image/svg+xml"), ("csv", "text/csv")):
                            trigger = self.controller.trigger_name(getattr(self, f"curves_{kind}"))
                            html.A(
                                kind.upper(), href="#", classes="mx-1", id=f"save_{kind}",
                                click=f"$event.preventDefault(); utils.download('curves.{kind}', "
                                f"trigger('{trigger}'), '{mime}')",
                            )  # fmt: skip
                    html.Div(
                        style=(
                            "`position:absolute;top:0;bottom:0;width:1px;background:#888;pointer-events:none;"
                            "left:${cursor}%`",
                        )
                    )
        state.ready()

    def _button(self, icon: str | tuple[str], act: str | Callable[..., Any], name: str) -> None:
        v3.VBtn(icon=icon, click=act, id=name, title=name)

    def _slider(self, name: str, label: str, **more: Any) -> None:
        low, high, step = _RANGES[name]
        v3.VSlider(v_model=(name,), min=low, max=high, step=step, label=label, **more)

    def _controls(self) -> None:
        plain = {"density": "compact", "hide_details": True, "variant": "outlined", "classes": "ma-3"}
        slider = {"density": "compact", "hide_details": True, "classes": "mx-4 my-1", "thumb_size": 14}
        v3.VSelect(v_model=("field",), items=("fields",), label="volume shows", **plain)
        v3.VSelect(v_model=("trait",), items=("traits",), label="cells coloured by", v_if="traits.length > 1", **plain)
        v3.VSelect(v_model=("site",), items=("sites",), label="site", v_if="sites.length > 1", **plain)
        v3.VSelect(v_model=("layers",), items=("layer_items",), label="layers", multiple=True, **plain)
        v3.VSelect(v_model=("theme",), items=("themes", list(THEMES)), label="theme", **plain)
        self._slider("opacity", "opacity", **slider)
        v3.VSelect(v_model=("cut",), items=("cuts",), label="cut out", **plain)
        v3.VSelect(
            v_model=("faces",), items=("face_items", list(scene.FACES)), label="faces of the cut show",
            v_if="cut !== 'none'", **plain,
        )  # fmt: skip
        for axis in "xyz":
            self._slider(f"cut_{axis}", f"cut {axis}", v_if=f"cut.includes('{axis}')", **slider)
        v3.VSelect(v_model=("curve_names",), items=("curve_items",), label="curves", multiple=True, **plain)
        if self._injectable:
            html.Div("inject here", classes="text-subtitle-2 mx-4 mt-4")
            v3.VSelect(v_model=("dose_field",), items=("dose_fields",), label="what", **plain)
            v3.VTextField(v_model=("dose",), label="amount", **plain)
            v3.VTextField(v_model=("dose_radius",), label="radius", **plain)
            for axis, length in zip("xyz", self.size, strict=True):
                v3.VSlider(v_model=(f"dose_{axis}",), min=0, max=length, step=1, label=f"{axis}, um", **slider)
            v3.VBtn("inject", click=self.inject, classes="ma-4", id="inject", variant="tonal")
        html.Div("{{ message }}", classes="mx-4 text-caption", id="message")

    def start(self, port: int, access: Access, open_browser: bool, ready: Callable[[str], None]) -> None:
        """Serve until interrupted; `ready` gets the address. Raises `OSError` where the port is taken."""

        def told(**_: object) -> None:
            self._serving = True
            address = access.address(self.server.port)
            ready(address)
            if open_browser:
                asyncio.get_running_loop().call_later(0.1, webbrowser.open, address)

        async def session(request: web.Request) -> web.Response:
            # The page asks a launcher for its session first; here it is the one there is.
            return web.json_response({"sessionURL": f"ws://{request.host}/socket", "secret": access.token})

        def join(server: Any) -> None:
            link = Link(self.server.protocol, server, access, self.state.sceneId, self._settable(), self._acts())
            access.protect(server.app)
            self._delivery.join(self.server.protocol)
            server.app.router.add_post("/paraview/", session)
            server.app.router.add_get("/socket", link.handleWsRequest)

        self.server.cli.set_defaults(nows=True)  # trame's own socket, which takes any message
        self.controller.on_server_bind.add(join)
        self.controller.on_server_ready.add(told)
        self.server.start(
            port=port,
            host=access.host,
            open_browser=False,
            show_connection_info=False,
            timeout=0,
            backend="aiohttp",
            exec_mode="main",
        )


def _png(pixels: np.ndarray) -> str:
    """A picture as text that a page can hold."""
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "png", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(target.getvalue()).decode()


def _after(value: str, values: Sequence[str]) -> str:
    """The value after another one, the first after the last."""
    return values[(list(values).index(value) + 1) % len(values)]


def _as_png(figure: Figure) -> str:
    """A figure as text that a page can hold."""
    target = io.BytesIO()
    figure.savefig(target, format="png")
    return "data:image/png;base64," + base64.b64encode(target.getvalue()).decode()
