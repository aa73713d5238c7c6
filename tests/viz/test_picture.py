"""Pictures are held to the numbers that they show."""

import dataclasses

import imageio_ffmpeg
import numpy as np
import pytest

pv = pytest.importorskip("pyvista", reason="PyVista is not installed")

from matplotlib.colors import to_rgb  # noqa: E402
from PIL import Image  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

import gpusim  # noqa: E402
from gpusim.analysis.regions import smoothed  # noqa: E402
from gpusim.cli import app  # noqa: E402
from gpusim.record import Recorder, Result  # noqa: E402
from gpusim.viz import film, geometry, overlay, page, pointer, scene  # noqa: E402
from gpusim.viz.moment import (  # noqa: E402
    Moment,
    block_mean,
    moment_of_result,
    moment_of_simulation,
    snapshots_at,
)
from gpusim.viz.palette import THEMES, state_colours  # noqa: E402
from gpusim.viz.render import Stage, picture  # noqa: E402
from gpusim.viz.scene import LAYERS, Look  # noqa: E402

pytestmark = pytest.mark.slow

SIZE = (320, 180)
STATES = state_colours(gpusim.Scenario.load("cold-to-hot").document)
SPACING = 20.0


def distance(n):
    """Of voxel centres from the middle of a cube of n voxels, um."""
    offset = (np.arange(n) - (n - 1) / 2) * SPACING
    return np.sqrt(offset[:, None, None] ** 2 + offset[:, None] ** 2 + offset**2)


def only(*layers):
    return frozenset(LAYERS) - set(layers)


def moment(tissue, immune=None, virus=None):
    """A moment of these states, on the fields of cold-to-hot."""
    document = gpusim.Scenario.load("cold-to-hot").document
    states = ["empty", "healthy", "tumour", "necrotic", "vessel", "infected", "none", "ctl", "nk"]
    layer = np.full(tissue.shape, states.index("none"), np.uint8) if immune is None else immune
    values = np.zeros(tissue.shape, np.float32) if virus is None else virus
    return Moment(document, tissue.astype(np.uint8), layer, lambda name: values, states, SPACING, 0.0)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    scenario = gpusim.Scenario.load(
        "cold-to-hot",
        {"grid.shape": [24, 20, 16], "tissue.shapes.tumour.radius": "120 um", "record.every": "15 min"},
    )
    folder = tmp_path_factory.mktemp("viz") / "out"
    with gpusim.Simulation(scenario, "numpy") as simulation, Recorder(simulation, folder) as recorder:
        for _ in simulation.stretches("30 min"):
            recorder.record()
        recorder.finish()
    return folder


def test_the_surface_of_a_sphere_stands_where_the_sphere_is():
    surface = geometry.rounded(smoothed(distance(40) <= 240), SPACING)
    radius = np.linalg.norm(surface.points - 400, axis=1)
    assert np.array(surface.center) == pytest.approx([400, 400, 400], abs=2)
    assert radius.mean() == pytest.approx(240, abs=0.25 * SPACING)
    assert np.abs(radius - radius.mean()).max() < 0.5 * SPACING


@pytest.mark.parametrize("view", ["corner", "front", "top"])
def test_a_known_sphere_of_heat_has_its_silhouette(view):
    # A ball with a sharp edge in the field: its shadow is a disc of the same radius, the camera being parallel.
    radius = 260.0
    virus = np.where(distance(40) <= radius, 10.0, 0.0).astype(np.float32)
    look = Look(field="virus", span=(0, 10), cut="none", hidden=only("field"), opacity=50, view=scene.VIEWS[view])
    with Stage(SIZE, dataclasses.replace(look, theme=THEMES["paper"]), legend=False) as stage:
        stage.show(moment(np.ones((40, 40, 40)), virus=virus))
        picture, scale = stage.picture(), stage.pixels_per_um
    shadow = (picture < 200).any(axis=2)
    rows, columns = np.nonzero(shadow)
    # Between the last voxel inside and the first one outside the field falls to 0: one voxel, and a pixel.
    slack = SPACING * scale + 1
    for found in (rows, columns):
        assert (np.ptp(found) + 1) / 2 == pytest.approx(radius * scale, abs=slack)
    assert columns.mean() == pytest.approx(SIZE[0] / 2 - 0.5, abs=1)
    assert rows.mean() == pytest.approx(SIZE[1] / 2 - 0.5, abs=1)
    assert np.sqrt(shadow.sum() / np.pi) == pytest.approx(radius * scale, abs=slack)


@pytest.mark.parametrize("theme", list(THEMES))
@pytest.mark.parametrize("value", [4.0, 7.0, 10.0])
def test_a_value_has_the_colour_that_the_legend_gives_it(theme, value):
    virus = np.full((16, 16, 16), value, np.float32)
    look = Look(theme=THEMES[theme], field="virus", span=(0, 10), cut="none", hidden=only("field"), opacity=1000)
    with Stage((64, 64), look, legend=False) as stage:
        stage.show(moment(np.ones((16, 16, 16)), virus=virus))
        middle = stage.picture()[32, 32]
    # A volume has 255 steps: the colour is that of the value or of the next step.
    colours = moment(np.ones((16, 16, 16)), virus=virus).map("virus", THEMES[theme])
    near = [colours(value / 10 + step / 255)[:3] for step in (-1, 0, 1)]
    low, high = np.min(near, axis=0) * 255 - 1, np.max(near, axis=0) * 255 + 1
    assert (middle >= low).all(), (middle, low, high)
    assert (middle <= high).all(), (middle, low, high)


def test_cells_on_the_cut_have_the_colours_of_their_states():
    tissue = np.full((16, 16, 16), 2)
    tissue[:, :, 8:] = 5  # the right half is infected
    immune = np.full((16, 16, 16), 6, np.uint8)
    immune[8, 8, 12] = 7  # a T cell just behind the cut hides the cell below it
    look = Look(centre=(160, 160, 160), hidden=only("section"), view=(-90, 0))
    with Stage((320, 320), look, legend=False) as stage:
        stage.show(moment(tissue, immune))
        picture, scale = stage.picture(), stage.pixels_per_um

    def at(x, z):
        return picture[round(160 - (z - 160) * scale), round(160 + (x - 160) * scale)]

    for (x, z), state in (((190, 90), "infected"), ((290, 250), "infected"), ((250, 170), "ctl")):
        assert at(x, z) == pytest.approx(np.array(to_rgb(STATES[state])) * 255, abs=2), (x, z)


@pytest.mark.parametrize(
    ("cut", "share", "edges"),
    [("none", 1, 12), ("x", 1 / 2, 10), ("z", 1 / 2, 10), ("xy", 3 / 4, 14), ("xyz", 7 / 8, 15)],
)
@pytest.mark.parametrize("view", [(-52, 24), (130, -30)])
def test_each_cut_leaves_its_share_of_a_cube_and_the_edges_of_the_rest(cut, share, edges, view):
    cube = moment(np.full((16, 16, 16), 2))
    look = Look(cut=cut, centre=(160, 160, 160), view=view)
    kept = np.broadcast_to(scene._kept(cube, look), (16, 16, 16))
    assert kept.mean() == share
    box = scene._box(cube, look)
    assert box.compute_cell_sizes()["Length"].sum() == pytest.approx(edges * 320)
    # The corner that looks at the camera is gone, the one behind stays.
    azimuth = np.radians(view[0])
    near = (-1 if view[1] > 0 else 0, -1 if np.sin(azimuth) > 0 else 0, -1 if np.cos(azimuth) > 0 else 0)
    assert not kept[near] or cut == "none"
    assert kept[tuple(-1 - n for n in near)]


@pytest.mark.parametrize(("cut", "view"), [("x", "side"), ("y", "front"), ("z", "top")])
def test_the_faces_of_a_cut_show_the_field_in_the_colours_of_its_bar(cut, view):
    z, y, x = np.indices((16, 16, 16))
    virus = {"x": y, "y": z, "z": x}[cut].astype(np.float32) * np.float32(0.5)
    shown = moment(np.full((16, 16, 16), 2), virus=virus)
    look = Look(
        field="virus", span=(0, 8), cut=cut, faces="field", centre=(160, 160, 160), hidden=only("section"),
        view=scene.VIEWS[view],
    )  # fmt: skip
    with Stage((320, 320), look, legend=False) as stage:
        stage.show(shown)
        image, scale = stage.picture(), stage.pixels_per_um
    for number in (2, 9, 14):
        offset = ((number + 0.5) * SPACING - 160) * scale
        row, column = {"x": (170, 160 + offset), "y": (160 - offset, 170), "z": (170, 160 + offset)}[cut]
        colour = shown.map("virus", look.theme)(number * 0.5 / 8)[:3]
        assert image[round(row), round(column)] == pytest.approx(np.array(colour) * 255, abs=2)


def test_a_cut_beside_the_tumour_has_no_faces_with_cells():
    tissue = np.ones((16, 16, 16))
    tissue[6:10, 6:10, 6:10] = 2
    shown = moment(tissue)
    for cut in scene.CUTS:
        parts = list(scene.parts(shown, Look(cut=cut, centre=(300, 20, 300), hidden=only("section", "box"))))
        assert [part.layer for part in parts] == ["box"]


def test_what_is_under_the_pointer_is_said():
    tissue = np.full((16, 16, 16), 2)
    tissue[:, :, 8:] = 5
    immune = np.full((16, 16, 16), 6, np.uint8)
    immune[8, 8, 12] = 7
    virus = np.arange(16**3, dtype=np.float32).reshape(16, 16, 16)
    shown = moment(tissue, immune, virus)
    look = Look(field="virus", span=(0, 10), centre=(160, 160, 160), hidden=only("section"), view=(-90, 0))
    with Stage((320, 320), look, legend=False) as stage:
        stage.plotter.render_window.SetMultiSamples(0)  # as in the app; depths of samples cannot be read
        stage.show(shown)
        stage.picture()
        scale, renderer = stage.pixels_per_um, stage.plotter.renderer

        def at(x, z):
            pixel = round(160 + (x - 160) * scale), round(160 + (z - 160) * scale)
            place = pointer.place_at(renderer, *pixel, pointer.INWARD * SPACING)
            return None if place is None else pointer.description(shown, look, place)

        assert at(2, -30) is None
        assert at(250, 170).startswith("(250, 170, 170) µm: infected, CD8 T cells; virus, PFU/voxel: 2,188")
        assert at(190, 90).startswith("(190, 170, 90) µm: infected; virus, PFU/voxel: 1,161")
        assert at(90, 90) is None  # the other half of the box has no face on this side


@pytest.mark.parametrize("theme", THEMES)
def test_a_barrier_is_closer_to_the_gaps_than_to_its_own_colour(theme):
    text = "name: core\ngrid: {shape: [4, 4, 1]}\ntime: {until: 1 min}\nstates:\n  tumour: {colour: '#ff0000'}\n"
    scenario = gpusim.Scenario.parse(
        text + "  glass: {barrier: true, colour: '#00ff00'}\ntissue: {background: glass}\n"
    )
    with gpusim.Simulation(scenario, "numpy") as simulation:
        shown = moment_of_simulation(simulation)
        colours = scene.colours_of(shown, Look(theme=THEMES[theme]))
    assert colours["tumour"] == "#ff0000"
    gap, faint = (np.array(to_rgb(colour)) for colour in (THEMES[theme].gap, colours["glass"]))
    assert np.abs(faint - gap).max() < np.abs(faint - to_rgb("#00ff00")).max() / 4


def test_vessels_are_tubes_along_their_middle_as_thick_as_they_are():
    mask = np.zeros((24, 24, 24), bool)
    mask[12, 12, :] = True
    thin = geometry.tubes(mask, SPACING)
    away = np.linalg.norm(thin.points[:, 1:] - 250, axis=1)
    assert away.max() == pytest.approx(SPACING / 2, rel=0.05)
    assert np.ptp(thin.points[:, 0]) == pytest.approx(23 * SPACING, abs=SPACING)
    mask[10:15, 10:15, :] = True
    thick = geometry.tubes(mask, SPACING)
    inner = np.abs(thick.points[:, 0] - 240) < 60
    assert np.linalg.norm(thick.points[inner][:, 1:] - 250, axis=1).max() == pytest.approx(2.5 * SPACING, rel=0.05)


def test_a_bend_is_one_line_and_a_fork_is_three():
    line = np.zeros((5, 8, 8), bool)
    line[2, 2, 1:5] = True
    line[2, [3, 4, 5], [5, 6, 6]] = True
    assert len(geometry._edges(line)) == line.sum() - 1
    corner = np.zeros((3, 3, 3), bool)
    corner[1, 1, 0] = corner[1, 1, 1] = corner[1, 2, 1] = True  # a diagonal would close a triangle
    assert len(geometry._edges(corner)) == 2


def test_what_is_too_large_is_thinned_and_keeps_its_means():
    assert scene.coarsening((256, 256, 256), memory=2**31) == 1
    assert scene.coarsening((1024, 1024, 1024), memory=2**31) == 2
    values = np.arange(6 * 6 * 6, dtype=np.float32).reshape(6, 6, 6)
    assert block_mean(values, 2).mean() == values.mean()
    assert block_mean(values, 2)[0, 0, 0] == values[:2, :2, :2].mean()
    assert block_mean(np.ones((7, 5, 4), np.float32), 2).shape == (3, 2, 2)
    tissue = np.where(distance(40) <= 260, 2, 1)
    shown = scene.stage(moment(tissue), Look(field="virus", memory=40**3 * 4))
    assert shown.coarse == 2
    assert shown.moment.size == pytest.approx((800, 800, 800))


@pytest.mark.parametrize("theme", list(THEMES))
def test_a_picture_is_not_blank(result, tmp_path, theme):
    target = tmp_path / "picture.png"
    done = CliRunner().invoke(app, ["render", str(result), "-o", str(target), "--theme", theme, "--size", "640x360"])
    assert done.exit_code == 0, done.output
    pixels = pv.read(str(target)).active_scalars.reshape(360, 640, 3)
    scene_part, legend = pixels[:, :480], pixels[:, 480:]
    assert len(np.unique(scene_part.reshape(-1, 3), axis=0)) > 500
    assert len(np.unique(legend.reshape(-1, 3), axis=0)) > 100


def test_the_peak_is_when_most_of_a_field_stands_in_the_tumour(result):
    found = Result(result)
    moments = [moment_of_result(found, i) for i in range(len(found.times))]
    sums = [m.values("virus")[m.cells(m.tumour_states)].sum() for m in moments]
    peak = int(np.argmax(sums))
    assert snapshots_at(found, "peak", "virus") == [peak]
    assert snapshots_at(found, "end, start, 15 min, 0 h") == [2, 0, 1]
    with pytest.warns(UserWarning, match="nearest snapshot is of 15 min"):
        assert snapshots_at(found, "14 min") == [1]


def test_moments_stand_side_by_side_each_as_it_is_alone():
    tumour = np.where(distance(20) <= 120, 2, 1)
    cold, hot = moment(tumour), moment(tumour, virus=np.where(distance(20) <= 150, 10.0, 0.0).astype(np.float32))
    hidden = frozenset({"box", "section", "vessels", "core", "front", "cells"})
    look = Look(field="virus", hidden=hidden, theme=THEMES["paper"])
    pixels, shown = picture([cold, hot], look, (640, 240))
    assert [each.span for each in shown] == [(0, 10)] * 2
    rows = slice(40, 200)  # without time and scale bar
    for each, left in ((cold, 0), (hot, 240)):
        alone, _ = picture([each], dataclasses.replace(look, span=(0, 10)), (320, 240))
        assert np.abs(pixels[rows, left : left + 240].astype(int) - alone[rows, :240]).max() <= 2
    assert (pixels[rows, :240] != pixels[rows, 240:480]).any()


def test_sites_have_a_row_each_and_one_scale():
    """Balls of 100 um in lattices of 20 and of 12 voxels are equally large in all panels."""

    def of(voxels, title):
        return dataclasses.replace(moment(np.where(distance(voxels) <= 100, 2, 1)), title=title)

    moments = [of(20, "a, large"), of(20, "a, large"), of(12, "a, small"), of(12, "a, small")]
    look = Look(hidden=only("surface"), cut="none", theme=THEMES["paper"])
    pixels, _ = picture(moments, look, (640, 480))
    widths, middles = [], []
    for row, column in np.ndindex(2, 2):
        panel = pixels[row * 240 + 60 : row * 240 + 200, column * 240 : column * 240 + 240]
        across = np.flatnonzero((panel < 250).any(axis=(0, 2)))
        widths.append(np.ptp(across))
        middles.append(across.mean())
    assert np.ptp(widths) <= 2
    assert middles == pytest.approx([120] * 4, abs=3)


def test_a_cold_tumour_is_dark():
    cold = moment(np.where(distance(20) <= 100, 2, 1))
    assert scene.span_of([cold], "heat") == (0, 0.1)


def test_every_layer_shows(result):
    tissue = np.where(distance(20) <= 150, 2, 1)
    tissue[distance(20) <= 60] = 3
    tissue[(distance(20) > 60) & (distance(20) < 90)] = 5
    tissue[5, 5, :] = 4
    immune = np.full(tissue.shape, 6, np.uint8)
    immune[::5, ::5, ::5] = 7
    virus = distance(20).astype(np.float32)
    for layer in (name for name in LAYERS if name != "streamlines"):  # those are in test_flow.py
        look = Look(field="virus", hidden=only(layer))
        with Stage((96, 96), look, legend=False) as stage:
            assert stage.show(moment(tissue, immune, virus)).layers == [layer]
            with_it = stage.picture()
            stage.look = dataclasses.replace(stage.look, hidden=frozenset(LAYERS))
            stage.show(moment(tissue, immune, virus))
            assert (with_it != stage.picture()).any()


def test_an_mp4_has_the_size_that_is_asked_for(tmp_path):
    path = tmp_path / "movie.mp4"
    film.save_mp4(iter([np.zeros((202, 198, 3), np.uint8)] * 3), path, (198, 202), 24)
    assert next(imageio_ffmpeg.read_frames(str(path)))["size"] == (198, 202)


def test_a_film_turns_and_a_gif_and_an_mp4_hold_it(result, tmp_path):
    for name, magic in (("movie.mp4", b"ftyp"), ("movie.gif", b"GIF89a")):
        target = tmp_path / name
        options = ["--size", "160x90", "--seconds", "0.3", "--hide", "cells"]
        done = CliRunner().invoke(app, ["render", str(result), "-o", str(target), *options])
        assert done.exit_code == 0, done.output
        assert magic in target.read_bytes()[:16]
    now = moment_of_simulation(gpusim.Simulation("cold-to-hot", "numpy"))
    pictures = list(film.frames([lambda: now], Look(hidden=only("box", "vessels")), (160, 90), 3, turn=360))
    assert (pictures[0] != pictures[1]).any()
    assert (pictures[0] != pictures[2]).mean() < 0.01


def test_a_gif_keeps_the_colours_of_the_few_and_the_shades_of_the_many(tmp_path):
    ground = np.linspace(10, 60, 200)[:, None, None] * np.array([0.6, 0.8, 1.0]) * np.ones((1, 320, 1))
    frames = np.repeat(ground[None].round().astype(np.uint8), 2, axis=0)
    states = ("infected", "ctl", "vessel", "nk", "treg")
    colours = [np.round(np.array(to_rgb(STATES[state])) * 255) for state in states]
    for i, colour in enumerate(colours):
        frames[:, 20 * i : 20 * i + 3, 50:53] = colour
    film.save_gif(iter(frames), tmp_path / "movie.gif", 10)
    with Image.open(tmp_path / "movie.gif") as movie:
        found = np.asarray(movie.convert("RGB")).astype(int)
    assert np.abs(found - frames[0]).max() <= 12
    for i, colour in enumerate(colours):
        assert np.abs(found[20 * i + 1, 51] - colour).max() <= 4


def test_a_page_needs_nothing_from_elsewhere(tmp_path):
    now = moment_of_simulation(gpusim.Simulation("cold-to-hot", "numpy"))
    target = tmp_path / "scene.html"
    shown = page.save_page(now, target, Look(field="oxygen"))
    assert {"surface", "vessels", "field", "cells"} <= set(shown.layers)
    text = target.read_text(encoding="utf-8")
    assert 'src="http' not in text
    assert 'href="http' not in text
    assert f"bar at the foot: {round(page._length(shown))} µm" in text
    assert len(text) > 1_000_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--field", "virsu"], "did you mean 'virus'"),
        (["--at", "9 day"], "the result ends at 30 min"),
        (["--at", "soon"], "expected a time, or start, peak, end"),
        (["--size", "big"], "expected WIDTHxHEIGHT"),
        (["--view", "behind"], "expected corner, front"),
        (["--theme", "pink"], "expected one of dark, light, paper"),
        (["--hide", "everything"], "expected one of field, surface"),
        (["--span", "2,1"], "below the high one"),
        (["-o", "picture.jpg"], "expected a name that ends in .png"),
        (["--plane", "z", "--theme", "dark"], "--theme: no effect with --plane"),
        (["--plane", "z", "--cut", "xy", "--faces", "field"], "--cut, --faces: no effect with --plane"),
        (["--plane", "z", "--hide", "box", "--opacity", "2"], "--hide, --opacity: no effect with --plane"),
        (["--plane", "z", "--view", "top", "--trait", "load"], "--trait, --view: no effect with --plane"),
        (["--plane", "z", "--clones"], "--clones: no effect with --plane"),
        (["--plane", "z", "--seconds", "3", "--turn", "9"], "--seconds, --turn: no effect with --plane"),
        (["--plane", "all", "--size", "640x480"], "--size: no effect with --plane all"),
        (["--seconds", "3", "-o", "picture.png"], "--seconds: no effect in a picture, only in a movie"),
        (["--log", "json", "-o", "picture.png"], "--log: no effect here, only in a movie"),
        (["--sides", "3", "-o", "scene.html"], "--sides: no effect here, only in a page with several times"),
        (["--seconds", "3", "--at", "all", "-o", "page.html"], "--seconds: no effect in a page, only in a movie"),
        (["--log-scale"], "--log-scale: no effect without --plane"),
        (["--plane", "z of nothing"], "field 'nothing': unknown field"),
        (["--turn", "90", "-o", "scene.html"], "--turn: no effect here, only in a movie or a page with several"),
        (["--size", "640x480", "-o", "scene.html"], "--size: no effect in a page with one time"),
        (["--cut", "none", "--faces", "field"], "--faces: no effect with --cut none"),
        (["--clones", "--span", "0,1"], "--span: no effect with --clones without --field"),
        (["--trait", "load", "--opacity", "2"], "--opacity: no effect with --trait without --field"),
    ],
)
def test_a_mistake_is_one_line(result, options, message):
    done = CliRunner().invoke(app, ["render", str(result), *options])
    assert isinstance(done.exception, gpusim.ResultError)
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 3, 1), (4, 1, 1)])
def test_the_thinnest_lattices_have_pictures(shape):
    pixels, _ = picture([moment(np.full(shape, 1, np.uint8))], Look(), (320, 240))
    assert pixels.shape == (240, 320, 3)
    assert pixels.std() > 0


def test_a_long_name_of_a_field_stays_in_the_picture():
    """Nothing is written on the right edge, and names that fit keep their size."""
    ends = {}
    tissue = np.ones((4, 4, 4), np.uint8)
    for label in ("virus", "pressure of the interstitial fluid in the tissue"):
        document = gpusim.Scenario.load("cold-to-hot", {"fields.virus.label": label}).document
        moment = Moment(
            document, tissue, tissue + 1, lambda name: np.zeros(tissue.shape), ["healthy", "tumour", "none"], 20.0, 0.0
        )
        shown = scene.Shown(moment, Look(field="virus"), "virus", (0.0, 1.0), ["field"], {}, 1)
        writing = overlay.overlay([shown], (960, 540), None)
        ends[label] = np.flatnonzero(writing[:40, ..., 3].any(axis=0)).max()
    margin = round(0.035 * 540)
    assert ends["virus"] < 960 - 5 * margin
    assert 960 - 2 * margin < max(ends.values()) <= 960 - margin
