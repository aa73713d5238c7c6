import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusim.backends.slabs.cut import HALO, MOST_LEVELS, Cut
from gpusim.engine.transport.multigrid import level_shapes
from gpusim.errors import BackendError


def levels(cut):
    while cut is not None:
        yield cut
        cut = cut.coarser()


@given(ranks=st.integers(2, 9), data=st.data())
def test_every_plane_has_one_owner_on_every_level_that_is_shared_out(ranks, data):
    planes = data.draw(st.integers(HALO * ranks, 40 * ranks))
    shapes = [shape[0] for shape in level_shapes((planes, 1, 1))]
    for level, cut in enumerate(levels(Cut.of(planes, ranks, 0))):
        seen = [cut.seen_by(rank) for rank in range(ranks)]
        assert [plane for each in seen for plane in range(each.first, each.end)] == list(range(shapes[level]))
        for each in seen:
            # The halo is the neighbour's own, and a voxel keeps its colour and its parent.
            assert each.end - each.first >= HALO
            assert each.first % 2 == each.low % 2 == 0
            assert each.own_children.start * 2 == each.first
            assert each.children.start * 2 == each.low
        assert seen[-1].own_children.stop == (shapes[level] + 1) // 2
        assert level < MOST_LEVELS


def test_slabs_are_even_to_a_block_of_eight_planes():
    assert Cut.of(512, 4, 0).bounds == (0, 128, 256, 384, 512)
    assert Cut.of(100, 3, 0).bounds == (0, 32, 64, 100)
    assert [cut.bounds for cut in levels(Cut.of(20, 3, 1))] == [(0, 4, 12, 20), (0, 2, 6, 10)]


def test_a_level_is_found_by_its_planes_and_is_whole_where_it_is_too_thin():
    cut = Cut.of(64, 4, 2)
    assert [cut.at(n) and cut.at(n).bounds for n in (64, 32, 16, 8, 4)] == [
        (0, 16, 32, 48, 64),
        (0, 8, 16, 24, 32),
        (0, 4, 8, 12, 16),
        None,
        None,
    ]


def test_a_lattice_too_thin_for_its_ranks_is_refused():
    with pytest.raises(BackendError, match="7 planes along z for 4 ranks; expected 2 or more for each, 8 in all"):
        Cut.of(7, 4, 0)
