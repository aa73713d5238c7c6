"""A scene as one HTML file that turns in any browser, with nothing to load from elsewhere (K3D)."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import k3d
import numpy as np
import pyvista as pv
from matplotlib.colors import to_hex
from PIL import Image

from gpusim.viz import geometry, scene
from gpusim.viz.moment import Moment
from gpusim.viz.overlay import length_label, overlay, round_length
from gpusim.viz.scene import Look, Part, Shown

_SHELLS = (0.2, 0.4, 0.6, 0.8)
"""Shares of the field's span at which a surface stands for the volume."""
_LEGEND = (1600, 1000)
"""Size that the legend is drawn for, pixels."""


def save_page(moment: Moment, target: Path, look: Look) -> Shown:
    """Write a moment as a page to turn and to zoom. Raises `ResultError`."""
    shown = scene.stage(moment, look)
    plot = k3d.plot(
        background_color=_number(look.theme.background[0]),
        grid_visible=False,
        camera_auto_fit=False,
        menu_visibility=False,
        axes_helper=0,
        name=moment.title or "gpusim",
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Given trait value dtype")  # uint32 is told from uint32 by k3d
        for part in scene.parts(shown.moment, shown.look):
            plot += _object(part)
            shown.layers.append(part.layer)
        if shown.look.has_volume and min(shown.moment.tissue.shape) > 1:
            for shell in _shells(shown):
                plot += shell
            shown.layers.append("field")
    plot += _scale_bar(shown)
    middle, reach = np.array(shown.moment.size) / 2, float(np.linalg.norm(shown.moment.size))
    azimuth, elevation = np.radians(shown.look.view or scene.VIEWS["corner"])
    away = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    plot.camera = [*(middle + 1.35 * reach * away), *middle, 0.0, 0.0, 1.0]
    plot.camera_fov = 40.0
    plot.colorbar_object_id = 0
    plot.snapshot_type = "full"
    html = plot.get_snapshot(9)
    target.write_text(html.replace("</body>", _writing(shown) + "</body>"), encoding="utf-8")
    return shown


def _number(colour: str) -> int:
    return int(colour.lstrip("#"), 16)


def _packed(colours: np.ndarray) -> np.ndarray:
    """RGB bytes as the numbers 0xrrggbb."""
    parts = colours.astype(np.uint32)
    return parts[:, 0] << 16 | parts[:, 1] << 8 | parts[:, 2]


def _object(part: Part) -> object:
    mesh = part.mesh
    if part.radius:
        return k3d.points(
            np.asarray(mesh.points, np.float32),
            colors=_packed(mesh.point_data["colour"]),
            point_size=2 * part.radius,
            shader="3dSpecular",
            name=part.layer,
        )
    if not mesh.n_strips and mesh.n_lines:
        return _lines(part)
    triangles = mesh.triangulate()
    faces = triangles.regular_faces
    if part.colour is None:
        # K3D colours corners; each square of a face needs its own.
        colours = _packed(np.repeat(triangles.cell_data["colour"], 3, axis=0))
        corners = np.asarray(triangles.points, np.float32)[faces].reshape(-1, 3)
        return k3d.mesh(
            corners,
            np.arange(len(corners), dtype=np.uint32).reshape(-1, 3),
            colors=colours,
            flat_shading=True,
            side="double",
            name=part.layer,
        )
    return k3d.mesh(
        np.asarray(triangles.points, np.float32),
        faces.astype(np.uint32),
        color=_number(part.colour),
        opacity=part.opacity,
        flat_shading=False,
        side="double",
        name=part.layer,
    )


def _lines(part: Part) -> object:
    segments = pv.PolyData(part.mesh.points, lines=part.mesh.lines).lines
    pairs, at = [], 0
    while at < len(segments):
        count = int(segments[at])
        path = segments[at + 1 : at + 1 + count]
        pairs.append(np.column_stack([path[:-1], path[1:]]))
        at += count + 1
    assert part.colour is not None
    return k3d.lines(
        np.asarray(part.mesh.points, np.float32),
        np.concatenate(pairs).astype(np.uint32),
        indices_type="segment",
        color=_number(part.colour),
        width=0.002 * float(np.ptp(part.mesh.points)),
        shader="simple",
        name=part.layer,
    )


def _shells(shown: Shown) -> Iterator[object]:
    """Surfaces of equal value, for a volume in the browser would hide what stands before it."""
    moment, look = shown.moment, shown.look
    colours = moment.map(shown.field, look.theme)
    low, high = shown.span
    for share in _SHELLS:
        mesh = geometry.surface(moment.values(shown.field), moment.spacing, low + share * (high - low))
        mesh = scene.opened(mesh, moment, look)
        if mesh.n_points:
            yield _object(Part("field", mesh, to_hex(colours(share)), min(0.1 + 0.35 * share, 1) * look.opacity))


def _length(shown: Shown) -> float:
    """Of the scale bar, um."""
    return round_length(shown.moment.size[0] / 3)


def _scale_bar(shown: Shown) -> object:
    """A bar along x at the foot of the lattice: in perspective, it holds at its place."""
    size, front = max(shown.moment.size), -0.04 * max(shown.moment.size)
    ends = np.array([[0.0, front, 0.0], [_length(shown), front, 0.0]], np.float32)
    return k3d.line(ends, color=_number(shown.look.theme.ink), width=0.008 * size, shader="mesh", name="scale bar")


def _writing(shown: Shown) -> str:
    """Time, legend and the length of the scale bar, over the scene; the mouse reaches through them."""
    image = io.BytesIO()
    Image.fromarray(overlay([shown], _LEGEND, None)).save(image, "png", optimize=True)
    data = base64.b64encode(image.getvalue()).decode()
    return (
        '<img alt="legend" style="position:fixed;inset:0;width:100%;height:100%;object-fit:contain;'
        f'object-position:right top;pointer-events:none" src="data:image/png;base64,{data}">'
        f'<div style="position:fixed;left:24px;bottom:18px;font:15px sans-serif;color:{shown.look.theme.ink};'
        f'pointer-events:none">bar at the foot: {length_label(_length(shown))}</div>'
    )
