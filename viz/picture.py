"""One picture of a result: the tumour's surface, the virus as a volume, and a slice.

Also a script: `python -m gpusim.viz.picture OUT picture.png`.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyvista as pv

from gpusim.record import Result
from gpusim.units import duration

SIZE = (1920, 960)
SECONDS_AT_MOST = 300

# Colours of Okabe and Ito, which colour-blind readers can tell apart.
COLOURS = {
    "empty": "#ffffff",
    "healthy": "#f3dfc8",
    "tumour": "#0072b2",
    "exposed": "#e69f00",
    "infected": "#d55e00",
    "vessel": "#a8323e",
}
OTHERS = ("#009e73", "#cc79a7", "#56b4e9", "#f0e442", "#999999", "#5b3a8c", "#117733", "#882255")
_TUMOUR_CELLS = ("tumour", "exposed", "infected")


def draw_aside(folder: Path, target: Path) -> str | None:
    """Draw in a process of its own; returns what went wrong, or None.

    VTK ends the whole process where it finds no way to render at all; a finished run must outlive it.
    """
    command = [sys.executable, "-m", "gpusim.viz.picture", str(folder), str(target)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_AT_MOST, check=False)
    except subprocess.TimeoutExpired:
        return f"not drawn within {SECONDS_AT_MOST} s"
    if done.returncode == 0 and target.is_file():
        return None
    last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
    return f"{last[0] if last else 'the renderer stopped'} (exit code {done.returncode})"


def draw(result: Result, target: Path) -> None:
    """Draw the last snapshot into a PNG."""
    names = result.state_names
    tissue = result.array("tissue")
    spacing = result.spacing
    plotter = pv.Plotter(off_screen=True, shape=(1, 2), window_size=list(SIZE), border=False)
    plotter.set_background("white")

    plotter.subplot(0, 0)
    _scene(plotter, result, tissue, names, spacing)
    plotter.subplot(0, 1)
    _slice(plotter, result, tissue, names, spacing)
    plotter.screenshot(str(target))
    plotter.close()


def grid_of(values: np.ndarray, spacing: float, name: str) -> pv.ImageData:
    """An image whose points are the voxel centres, um; `values` are [z, y, x]."""
    nz, ny, nx = values.shape
    grid = pv.ImageData(dimensions=(nx, ny, nz), spacing=(spacing,) * 3, origin=(spacing / 2,) * 3)
    grid.point_data[name] = np.ascontiguousarray(values).reshape(-1)
    return grid


def surface_of(mask: np.ndarray, spacing: float, smooth: float = 1.2) -> pv.PolyData:
    """A smooth surface around the voxels of a mask, closed at the faces of the grid; um."""
    padded = np.pad(mask.astype(np.float32), 2)
    grid = grid_of(padded, spacing, "mask").translate((-2 * spacing,) * 3, inplace=False)
    if smooth:
        grid = grid.gaussian_smooth(std_dev=smooth, scalars="mask")
    return grid.contour([0.5 if not smooth else 0.3], scalars="mask")


def _scene(plotter: pv.Plotter, result: Result, tissue: np.ndarray, names: list[str], spacing: float) -> None:
    cells = [names.index(n) for n in _TUMOUR_CELLS if n in names]
    tumour = np.isin(tissue, cells)
    if tumour.any():
        surface = surface_of(tumour, spacing)
        middle = np.array(tissue.shape[::-1]) * spacing / 2
        # The quarter that looks at the camera is cut out, so that the inside shows.
        corner = (middle[0], middle[0] * 4, -middle[1] * 4, middle[1], -middle[2] * 4, middle[2] * 4)
        opened = surface.clip_box(corner, invert=True) if surface.n_points else surface
        if opened.n_points:
            plotter.add_mesh(opened, color=COLOURS["tumour"], opacity=0.6, smooth_shading=True)
    if "vessel" in names:
        vessels = surface_of(tissue == names.index("vessel"), spacing, smooth=0.7)
        if vessels.n_points:
            plotter.add_mesh(vessels, color=COLOURS["vessel"], opacity=0.35, smooth_shading=True)
    if "virus" in result.field_names:
        titre = result.array("virus")
        if titre.max() > 0 and min(titre.shape) > 1:
            top = float(titre.max())
            unit = result.unit("virus")
            plotter.add_volume(
                grid_of(titre, spacing, "virus"),
                scalars="virus",
                cmap="inferno",
                clim=(0, top),
                opacity=[0, 0.25, 0.5, 0.7, 0.85],
                shade=False,
                scalar_bar_args={
                    "title": f"virus titre, {unit}",
                    "color": "black",
                    "position_x": 0.25,
                    "position_y": 0.03,
                    "fmt": "%.3g",
                },
            )
    plotter.add_mesh(
        pv.Box([v for n in tissue.shape[::-1] for v in (0.0, n * spacing)]).extract_all_edges(),
        color="grey",
        line_width=1,
    )
    caption = f"tumour surface (blue), cut open; vessels (red); virus; {duration(result.times[-1])}"
    plotter.add_text(caption, font_size=11, color="black", position="upper_left")
    plotter.view_vector((1.0, -1.0, 0.6), viewup=(0, 0, 1))
    plotter.camera.zoom(1.05)


def _slice(plotter: pv.Plotter, result: Result, tissue: np.ndarray, names: list[str], spacing: float) -> None:
    middle = tissue.shape[0] // 2
    mobile = result.array("immune")[middle]
    # A mobile cell hides the resident one of its voxel.
    section = np.where(mobile == names.index("none"), tissue[middle], mobile)
    shown = [int(s) for s in np.unique(section)]
    colours, spare = {}, iter(OTHERS * 40)
    for number in range(len(names)):
        colours[number] = COLOURS.get(names[number]) or next(spare)
    # One cell of the picture is one voxel, coloured by its state as it is, with no interpolation.
    ny, nx = section.shape
    grid = pv.ImageData(dimensions=(nx + 1, ny + 1, 1), spacing=(spacing, spacing, 1))
    rgb = np.zeros((section.size, 3), np.uint8)
    for number in shown:
        rgb[section.reshape(-1) == number] = pv.Color(colours[number]).int_rgb
    grid.cell_data["colour"] = rgb
    plotter.add_mesh(grid, scalars="colour", rgb=True, lighting=False)
    _legend(plotter, [(names[n].replace("_", " "), colours[n]) for n in shown], nx * spacing, ny * spacing)
    plotter.add_text(
        f"cells in the slice z = {(middle + 0.5) * spacing:g} um, {duration(result.times[-1])}",
        font_size=11,
        color="black",
        position="upper_left",
    )
    length = _round_length(nx * spacing / 4)
    y = -0.03 * ny * spacing
    plotter.add_mesh(pv.Line((0, y, 0), (length, y, 0)), color="black", line_width=5)
    plotter.add_point_labels(
        [(length / 2, 2.2 * y, 0)],
        [f"{length:g} um"],
        font_size=16,
        text_color="black",
        shape=None,
        show_points=False,
        always_visible=True,
        justification_horizontal="center",
    )
    plotter.view_xy()
    plotter.enable_parallel_projection()
    plotter.camera.focal_point = (0.58 * nx * spacing, 0.5 * ny * spacing, 0)
    plotter.camera.position = (0.58 * nx * spacing, 0.5 * ny * spacing, 10 * spacing)
    plotter.camera.parallel_scale = 0.6 * max(nx, ny) * spacing


def _legend(plotter: pv.Plotter, entries: list[tuple[str, str]], width: float, height: float) -> None:
    """Squares of colour beside the slice, names in black: a pale colour stays readable."""
    left, side = 1.03 * width, 0.03 * height
    for i, (_, colour) in enumerate(entries):
        bottom = height - (i + 1) * 1.6 * side
        square = pv.Box((left, left + side, bottom, bottom + side, 0, 0))
        plotter.add_mesh(square, color=colour, lighting=False, show_edges=True, edge_color="black")
    points = [(left + 1.5 * side, height - (i + 1) * 1.6 * side + side / 2, 0.0) for i in range(len(entries))]
    plotter.add_point_labels(
        points,
        [name for name, _ in entries],
        font_size=16,
        text_color="black",
        shape=None,
        show_points=False,
        always_visible=True,
        justification_vertical="center",
    )


def _round_length(length: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above `length`."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(max(m * power for m in (1, 2, 5) if m * power <= length))


if __name__ == "__main__":
    draw(Result(sys.argv[1]), Path(sys.argv[2]))
