"""A run as one HTML file without a server: pictures of each time from several sides, and curves beside them."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from gpusim.record import Result
from gpusim.units import duration
from gpusim.viz import curves, scene
from gpusim.viz.film import Moments
from gpusim.viz.moment import LOOKED_AT, some_of
from gpusim.viz.palette import Theme
from gpusim.viz.render import Stage
from gpusim.viz.scene import Look
from gpusim.viz.sources import FromResult, usual

SIZE = (960, 540)
TURN = 120.0
"""Degrees from the first side to the last, so that the cut is seen from all of them."""
_QUALITY = 75
"""Of the pictures (WebP)."""


def is_around(turn: float) -> bool:
    """Whether a turn, in degrees, goes all around."""
    return abs(turn) >= 360


def pictures(
    moments: Moments, look: Look, size: tuple[int, int], sides: int, turn: float = TURN
) -> Iterator[np.ndarray]:
    """Yield pictures of each moment from each side, the sides of the first moment first: uint8 [height, width, RGB].

    The sides are spread over `turn` degrees around the view of the look, or all around, from 360 on. Colours mean the
    same in all of them. Raises `ResultError`.
    """
    numbers = np.arange(sides)
    angles = 360 * numbers / sides if is_around(turn) else turn * (numbers - (sides - 1) / 2) / max(sides - 1, 1)
    look = scene.spanned(look, (moments[i]() for i in some_of(len(moments), LOOKED_AT)))
    with Stage(size, look) as stage:
        for moment in moments:
            stage.show(moment())
            for angle in angles.tolist():
                stage.turn(angle)
                yield stage.picture()


def save_recording(
    drawn: Iterator[np.ndarray],
    target: Path,
    result: Result,
    snapshots: Sequence[int],
    theme: Theme,
    *,
    around: bool = False,
) -> None:
    """Write a page that shows the `pictures` of some snapshots of a result, as many of each, with its usual curves.

    Args:
        around: whether the first side follows the last.
    """
    source, site = FromResult(result.folder), result.site
    moment = source.moment(snapshots[-1], site)
    minutes = source.minutes[list(snapshots)]
    figure = curves.figure(usual(moment), [source], site, theme.name)
    images = [_webp(each) for each in drawn]
    last = float(source.minutes[-1]) or 1.0
    data = {
        "images": images,
        "around": around,
        "sides": len(images) // len(minutes),
        "times": [duration(each) for each in minutes.tolist()],
        # Where the times are on the axis of the curves, in shares of the width of the figure.
        "places": [curves.LEFT + (curves.RIGHT - curves.LEFT) * each / last for each in minutes.tolist()],
    }
    drawing = io.StringIO()
    if figure:
        figure.savefig(drawing, format="svg")
    plot = drawing.getvalue()[drawing.getvalue().find("<svg") :] if figure else ""
    document = moment.document
    name = document.name if len(source.sites) == 1 else f"{document.name}, {site}"
    page = _PAGE.format(
        title=html.escape(name),
        description=html.escape(document.description or ""),
        curves=plot,
        data=json.dumps(data).replace("</", "<\\/"),
        background=theme.background[0],
        ink=theme.ink,
        images=len(minutes) - 1,
    )
    target.write_text(page, encoding="utf-8")


def _webp(pixels: np.ndarray) -> str:
    """A picture, uint8 RGB, as a data address."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "webp", quality=_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 1rem; background: {background}; color: {ink} }}
main {{ display: grid; grid-template-columns: minmax(0, 3fr) minmax(16rem, 1fr); gap: 1rem; align-items: center }}
@media (max-width: 60rem) {{ main {{ grid-template-columns: minmax(0, 1fr) }} }}
h1 {{ font-size: 1.3rem; font-weight: 600; margin: 0 }} p {{ margin: .2rem 0 .8rem }}
#view {{ width: 100%; touch-action: pan-y; cursor: ew-resize; user-select: none; display: block }}
#curves {{ position: relative; max-width: 26rem; cursor: pointer }} #curves svg {{ width: 100%; height: auto }}
#now {{ position: absolute; top: 2%; bottom: 4%; width: 1px; background: {ink}; opacity: .6 }}
form {{ display: flex; gap: .8rem; align-items: center; margin-top: .5rem; flex-wrap: wrap }}
#time {{ flex: 1; min-width: 12rem }} output {{ min-width: 6rem }}
button {{ font: inherit; min-width: 5rem }}
small {{ opacity: .7 }}
</style>
<h1>{title}</h1>
<p>{description}</p>
<main>
<div>
<img id=view alt="" draggable=false>
<form>
<button type=button id=play aria-pressed=false>play</button>
<input type=range id=time min=0 max={images} value=0 aria-label="simulated time">
<output id=label for=time></output>
<label>side <input type=range id=side min=0 value=0 aria-label="side of the camera"></label>
</form>
</div>
<div id=curves>{curves}<span id=now></span></div>
</main>
<p><small>Drag the picture to turn it; click the curves to select a time. Simulated with gpusim, a research tool, not a
medical device.</small></p>
<script id=data type="application/json">{data}</script>
<script>
const data = JSON.parse(document.getElementById("data").textContent);
const [view, time, side, label, play, curves, now] =
  ["view", "time", "side", "label", "play", "curves", "now"].map((id) => document.getElementById(id));
side.max = data.sides - 1;
side.value = Math.floor((data.sides - 1) / 2);
side.parentElement.hidden = data.sides < 2;
now.hidden = !curves.querySelector("svg");
function show() {{
  const t = Number(time.value), s = Number(side.value);
  view.src = data.images[t * data.sides + s];
  view.alt = document.title + ", " + data.times[t];
  label.textContent = data.times[t];
  time.setAttribute("aria-valuetext", data.times[t]);
  now.style.left = 100 * data.places[t] + "%";
}}
time.oninput = side.oninput = show;
let from = null;
view.onpointerdown = (event) => {{
  from = [event.clientX, Number(side.value)];
  view.setPointerCapture(event.pointerId);
}};
view.onpointermove = (event) => {{
  if (!from) return;
  const moved = Math.round((from[0] - event.clientX) / view.clientWidth * data.sides);
  const last = Number(side.max), to = from[1] + moved;
  side.value = data.around ? ((to % data.sides) + data.sides) % data.sides : Math.max(0, Math.min(last, to));
  show();
}};
view.onpointerup = view.onpointercancel = () => {{ from = null; }};
curves.onclick = (event) => {{
  const box = curves.getBoundingClientRect(), at = (event.clientX - box.left) / box.width;
  const away = data.places.map((place) => Math.abs(place - at));
  time.value = away.indexOf(Math.min(...away));
  show();
}};
let running = 0;
function stop() {{ clearInterval(running); running = 0; play.textContent = "play"; play.ariaPressed = "false"; }}
play.onclick = () => {{
  if (running) return stop();
  if (time.value === time.max) time.value = 0;
  play.textContent = "pause"; play.ariaPressed = "true"; show();
  running = setInterval(() => {{
    if (time.value === time.max) return stop();
    time.value = Number(time.value) + 1; show();
  }}, 500);
}};
show();
</script>
</html>
"""
