"""Planes of a field, colours that can be told apart, profiles of several sections."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pyvista", reason="PyVista is not installed")
mpl = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
mpl.use("Agg")

from matplotlib import pyplot as plt  # noqa: E402

import gpusim  # noqa: E402
from gpusim.errors import ResultError  # noqa: E402
from gpusim.viz import plots  # noqa: E402
from gpusim.viz.moment import Moment  # noqa: E402
from gpusim.viz.palette import THEMES, apart, field_map, state_colours, virus_map  # noqa: E402
from gpusim.viz.plots.planes import arrangement, span_of  # noqa: E402


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def slope(minutes=0.0, shape=(16, 24, 20), title=""):
    """A ball in 20 x 24 x 16 voxels (x, y, z), with a field that is 100 z + 10 y + x by index."""
    z, y, x = np.indices(shape)
    tissue = ((x - 10) ** 2 + (y - 12) ** 2 + (z - 8) ** 2 <= 25).astype(np.uint8)
    immune = np.full(tissue.shape, 2, np.uint8)
    values = (100 * z + 10 * y + x).astype(np.float32)
    document = gpusim.Scenario.load("cold-to-hot").document
    return Moment(
        document, tissue, immune, lambda name: values, ["healthy", "tumour", "none"], 20.0, minutes, title=title
    )


@pytest.mark.parametrize(("axis", "index"), [("x", 5), ("y", 7), ("z", 11)])
def test_a_plane_shows_its_voxels(axis, index):
    moment = slope()
    axes = plots.plane(moment, "virus", plots.Cut(axis, (index + 0.5) * 20))
    shown = np.asarray(axes.images[0].get_array())
    values = moment.values("virus")
    assert np.array_equal(shown, {"x": values[:, :, index], "y": values[:, index], "z": values[index]}[axis])


def test_contours_lie_where_the_field_has_their_value():
    axes = plots.plane(slope(), "virus", plots.Cut("y", 250), span=(0, 1600))
    lines = next(c for c in axes.collections if len(c.get_paths()) > 2)
    for level, path in zip(lines.levels, lines.get_paths(), strict=True):
        x, z = path.vertices.T / 20 - 0.5
        # Linear between voxel centres: 100 z + 10 * 12 + x.
        assert 100 * z + 120 + x == pytest.approx(np.full(len(x), level))


def test_planes_go_through_the_middle_of_the_tumour():
    titles = [axes.get_title(loc="left") for axes in plots.planes(slope(), "virus").axes]
    assert [title.split(",")[0] for title in titles[:3]] == ["z = 170 µm", "y = 250 µm", "x = 210 µm"]


def test_panels_share_a_scale_and_have_one_bar():
    moments = [slope(60.0 * i) for i in range(5)]
    figure = plots.panels(moments, "virus")
    images = [axes.images[0] for axes in figure.axes if axes.images]
    assert len(images) == 5
    assert {image.get_clim() for image in images} == {span_of(moments, "virus")}
    assert len(figure.axes) == 6


def test_the_colour_bar_says_what_the_dashed_line_is():
    figure = plots.panels([slope(), slope(60.0)], "virus")
    assert figure.axes[-1].get_ylabel() == "virus, PFU/voxel\ndashed: edge of the tumour"
    none = dataclasses.replace(slope(), tissue=np.zeros((16, 24, 20), np.uint8))
    assert plots.panels([none], "virus").axes[-1].get_ylabel() == "virus, PFU/voxel"


def test_each_panel_says_where_its_plane_is():
    figure = plots.panels([slope(0.0), slope(60.0)], "virus", plots.Cut("y", 250))
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["y = 250 µm, 0 min", "y = 250 µm, 60 min"]
    figure = plots.panels([slope(title="a, primary"), slope(title="a, lung")], "virus")
    assert figure.axes[1].get_title(loc="left") == "a, lung\nz = 170 µm, 0 min"


def test_a_plane_through_the_tumour_stays_where_it_is_at_first():
    first = slope(60.0)
    later = dataclasses.replace(first, tissue=np.roll(first.tissue, 4, axis=0))
    figure = plots.panels([slope(), later], "virus")
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["z = 170 µm, 0 min", "z = 170 µm, 60 min"]


def test_sites_of_different_sizes_have_one_scale_of_length():
    figure = plots.panels([slope(), slope(shape=(12, 12, 14))], "virus")
    large, small = figure.axes[:2]
    assert np.ptp(large.get_xlim()) == np.ptp(small.get_xlim()) == 400
    assert np.ptp(large.get_ylim()) == np.ptp(small.get_ylim()) == 480
    assert small.images[0].get_extent() == [0, 280, 0, 240]
    assert sum(small.get_xlim()) / 2 == 140
    bar = small.lines[-1]
    assert 0 < min(bar.get_xdata()) < max(bar.get_xdata()) < 280
    assert 0 < bar.get_ydata()[0] < 240


def test_labels_of_contours_are_outlined_and_within_the_lattice():
    axes = plots.plane(slope(), "virus", plots.Cut("y", 250), span=(0, 1600))
    labels = [text for text in axes.texts if text.get_text().isdigit()]
    assert len(labels) >= 3
    axes.figure.draw_without_rendering()
    frame = axes.get_window_extent()
    boxes = [label.get_window_extent() for label in labels]
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)
    assert all(frame.y0 <= box.y0 and box.y1 <= frame.y1 for box in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(label.get_path_effects() for label in labels)


def test_a_contour_that_is_too_small_has_no_label():
    moment = slope()
    spot = np.zeros(moment.tissue.shape, np.float32)
    spot[8, 12, 10] = 1.0
    moment._fields["virus"] = spot
    axes = plots.plane(moment, "virus")
    assert [text.get_text() for text in axes.texts] == ["100 µm"]


def spot(voxel, others=0.0):
    """A field of 1 in a voxel [z, y, x]."""
    moment = slope()
    moment._fields["virus"] = np.full(moment.tissue.shape, others, np.float32)
    moment._fields["virus"][voxel] = 1.0
    return moment


def test_a_plane_goes_through_the_layer_with_most_of_a_field():
    moments = [spot((3, 5, 7)), spot((12, 1, 2)), spot((0, 0, 0), others=1.0)]
    for axis, of in (("z", 0), ("y", 1), ("x", 2)):
        cut = plots.Cut.of(f"{axis} of virus")
        assert [cut.layer(moment) for moment in moments[:2]] == [(3, 5, 7)[of], (12, 1, 2)[of]]
    titles = [axes.get_title(loc="left") for axes in plots.panels(moments[:2], "virus", cut).axes[:2]]
    assert titles == ["x = 150 µm, 0 min", "x = 50 µm, 0 min"]
    nothing = slope()
    nothing._fields["virus"] = np.zeros(nothing.tissue.shape, np.float32)
    assert cut.layer(nothing) == plots.Cut("x").layer(nothing)
    with pytest.raises(ResultError, match=r"expected x, y, z or all.*or 'z of FIELD'"):
        plots.Cut.of("z off virus")
    with pytest.raises(ResultError, match="did you mean 'virus'"):
        plots.Cut.of("z of virsu").layer(slope())


def test_a_logarithmic_scale_spans_four_powers_of_ten_below_the_largest_value():
    figure = plots.panels([spot((8, 12, 10))], "virus", log=True)
    axes, bar = figure.axes
    image = axes.images[0]
    assert image.norm.vmin == pytest.approx(1e-4)
    assert image.norm.vmax == 1.0
    # Values below the scale have its lowest colour, not that of missing tissue.
    assert np.ma.count_masked(image.get_array()) == 0
    assert image.norm(image.get_array()).min() == pytest.approx(0.0, abs=1e-9)
    figure.draw_without_rendering()
    assert [tick.get_text() for tick in bar.get_yticklabels()][-3:-1] == ["10⁻¹", "10⁰"]
    (image, *_) = plots.planes(slope(), "virus", span=(0.5, 50), log=True).axes[0].images
    assert (image.norm.vmin, image.norm.vmax) == (0.5, 50)
    with pytest.raises(ResultError, match="low end above 0 on a logarithmic scale; found 0"):
        plots.plane(slope(), "virus", span=(0, 50), log=True)


@given(st.integers(1, 40), st.floats(0.2, 5), st.floats(0.5, 3))
def test_no_other_arrangement_has_larger_panels(count, panel, page):
    rows, columns = arrangement(count, panel, page)
    assert rows * columns >= count > (rows - 1) * columns

    def width(n):
        return min(page / n, panel / -(-count // n))

    assert width(columns) >= max(map(width, range(1, count + 1))) - 1e-12


@pytest.mark.parametrize("text", ["w", "z = 3 min", "xy", "", "z of ", "xy of virus", "all of virus"])
def test_a_plane_that_is_none_is_refused(text):
    with pytest.raises(ResultError, match="plane"):
        plots.Cut.of(text)


def test_a_plane_beyond_the_lattice_is_refused():
    with pytest.raises(ResultError, match="outside the lattice, which ends at 320 um"):
        plots.plane(slope(), "virus", plots.Cut.of("z = 400 um"))


@pytest.mark.parametrize("name", ["viridis", "cividis", "inferno", "magma", "plasma"])
def test_maps_run_from_dark_to_light_in_every_theme(name):
    for theme in THEMES.values():
        red, green, blue, _ = field_map(name, theme)(np.linspace(0, 1, 33)).T
        assert (np.diff(0.2126 * red + 0.7152 * green + 0.0722 * blue) > 0).all()


def test_states_without_a_colour_get_distinct_ones():
    states = {f"s{i}": {} for i in range(14)} | {"own": {"colour": "#117733"}}
    colours = state_colours(gpusim.Scenario.parse(f"grid: {{shape: [4, 4, 4]}}\nstates: {states}").document)
    listed = [colour for name, colour in colours.items() if name not in ("empty", "none")]
    assert colours["own"] == "#117733"
    # A distance of 2 is just seen.
    assert min(apart([a], [b]) for i, a in enumerate(listed) for b in listed[:i]) > 10


def test_the_colours_of_a_virus_are_not_those_of_infected_cells():
    # Of the library: bluish green, which viridis contains.
    assert virus_map(["#009e73"]) != "viridis"
    assert virus_map([]) == "viridis"
