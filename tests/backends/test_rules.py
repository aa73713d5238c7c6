"""One application of the rules, by hand, at the ends of what its numbers hold."""

import numpy as np
import pytest
from backends.nothing import no_births, no_trait_tables, no_traits
from scipy import stats

from gpusim.backends import create
from gpusim.backends.base import Window
from gpusim.backends.groups import CellTables
from gpusim.model.tables import ADJUSTMENT, EGRESS, MODULATOR, MOTILITY, RELEASE, RULE, SLOPE, Shape, Source

SHAPE = (4, 16, 16)
VOXELS = 4 * 16 * 16


@pytest.fixture
def backend(one_backend_each):
    found = create(*one_backend_each)
    yield found
    found.close()


class Applied:
    """Cells of state 0 in `clock` (uint16 [z, y, x]), to which tables were applied once. Arrays are of NumPy."""

    def __init__(self, backend, rules=(), modulators=(), releases=(), clock=0, fields=0.0, body=(0,), planes=None):
        tables = CellTables(
            backend.array(np.array([*rules], RULE)),
            backend.array(np.array([0, len(rules), *[len(rules)] * 3], np.int32)),
            backend.array(np.full((4, 4), 2**32 - 1, np.uint32)),
            backend.array(np.zeros(4, MOTILITY)),
            backend.array(np.zeros(4, np.uint8)),
            backend.array(np.array([*modulators], MODULATOR)),
            backend.array(np.array([(field, -1, amount) for field, amount in releases], RELEASE)),
            backend.array(np.zeros(0, ADJUSTMENT)),
            backend.array(np.zeros(0, EGRESS)),
            backend.array(np.zeros(0, SLOPE)),
        )
        one = (1, *SHAPE)
        clock = backend.lattice(np.broadcast_to(np.asarray(clock, np.uint16), one).copy())
        after, cells, other, values, counts = (
            backend.lattice(np.full(shape, value, dtype))
            for shape, value, dtype in (
                (one, 99, np.uint8),
                (one, 0, np.uint8),
                (one, 3, np.uint8),
                ((1, *one), fields, np.float32),
                ((1, *one), 0, np.uint8),
            )
        )
        fired = backend.array(np.zeros((max(1, len(rules)), 1), np.uint64))
        nothing, nothing_long, no_clones = (
            backend.array(np.zeros((1, 0, 0, 0), dtype)) for dtype in (np.uint8, np.uint16, np.uint64)
        )
        backend.launch(
            "apply_rules",
            tables,
            no_trait_tables(backend),
            no_births(backend),
            window=Window(0, *planes) if planes else None,
            seeds=backend.array(np.array([1], np.uint64)),
            step=2,
            purpose=3,
            cells=cells,
            other=other,
            other_clock=nothing_long,
            other_claim=nothing,
            clone=no_clones,
            other_clone=no_clones,
            traits=no_traits(backend),
            first_trait=0,
            end_trait=0,
            counts=counts,
            body=backend.array(np.array(body, np.float32)[:, None]),
            room=nothing_long,
            next=after,
            clock=clock,
            claim=nothing,
            fields=values,
            fired=fired,
            carried=backend.array(np.zeros((3, 0, 1), np.uint64)),
        )
        self.cells, self.clock, self.field = (backend.to_numpy(a) for a in (after[0], clock[0], values[:, 0]))
        self.fired = backend.to_numpy(fired)[:, 0].astype(int).tolist()


def test_a_launch_of_no_blocks_does_nothing(backend):
    field = backend.array(np.zeros((1, 1, 1, 2), np.float32))
    for count in (0, 1):
        voxels, amounts = backend.array(np.zeros(count, np.int64)), backend.array(np.ones(count, np.float32))
        backend.launch("deposit", field=field, voxels=voxels, amounts=amounts)
        assert backend.to_numpy(field).sum() == count


def rule(to, hazard, after=0, modulators=(0, 0), releases=(0, 0)):
    return (to, -1, 0, hazard, after, *modulators, *releases, 0, 0, 0, 0, 0, -1, -1)


def test_a_clock_counts_up_and_is_held_at_its_end(backend):
    clock = np.zeros(SHAPE, np.uint16)
    clock[0], clock[1], clock[2] = 7, 65534, 65535
    applied = Applied(backend, clock=clock, rules=[rule(1, 0)])
    assert np.all(applied.cells == 0)
    assert [set(plane.ravel().tolist()) for plane in applied.clock] == [{8}, {65535}, {65535}, {1}]


def test_a_least_time_is_reached_by_the_clock_before_it_ticks(backend):
    clock = np.zeros(SHAPE, np.uint16)
    clock[0], clock[1], clock[2], clock[3] = 65533, 65534, 65535, 0
    applied = Applied(backend, clock=clock, rules=[rule(1, 50, after=65534)])
    gone = applied.cells == 1
    assert not gone[0].any()
    assert not gone[3].any()
    assert stats.binomtest(int(gone[1:3].sum()), 512, 0.9282).pvalue > 1e-3
    assert np.all(applied.clock[gone] == 0)
    assert applied.fired == [gone.sum()]


@pytest.mark.parametrize(
    ("hazards", "share"),
    [((1e30, 1e30), 1 / 2), ((np.inf, 1e30), 1 / 2), ((5e5, 3e38), 1 / 3), ((2e6, 1e6), 1 / 2), ((3, 1), 3 / 4)],
)
def test_hazards_are_held_at_a_million_and_share_what_happens(backend, hazards, share):
    applied = Applied(backend, rules=[rule(1, hazards[0]), rule(2, hazards[1])])
    first, second = applied.fired
    assert stats.binomtest(first, first + second, share).pvalue > 1e-3
    p = 12 * 4 / (12 + 6 * 4 + 16) if hazards == (3, 1) else 0.9282
    assert stats.binomtest(first + second, VOXELS, min(p, 0.9282)).pvalue > 1e-3
    assert [(applied.cells == to).sum() for to in (1, 2)] == [first, second]


def test_a_hazard_that_is_not_above_0_or_not_a_number_never_fires(backend):
    by_field = (Source.FIELD, 0, Shape.LINEAR, 1, 1, 0, 1, 0, [0] * 8)
    for field in (0, -1, np.nan):
        applied = Applied(
            backend, rules=[rule(1, 5, modulators=(0, 1)), rule(2, 0)], modulators=[by_field], fields=field
        )
        assert applied.fired == [0, 0]
        assert not applied.cells.any()


def test_only_planes_of_ones_own_are_counted_and_all_are_carried_out(backend):
    applied = Applied(backend, rules=[rule(1, 0.5)], planes=(1, 3))
    by_plane = [(plane == 1).sum() for plane in applied.cells]
    assert min(by_plane) > 50
    assert applied.fired == [by_plane[1] + by_plane[2]]


def test_what_a_rule_releases_joins_what_is_there(backend):
    applied = Applied(backend, rules=[rule(1, 50, releases=(0, 2))], releases=[(0, 5), (0, 0.5)], fields=1)
    expected = np.where(applied.cells == 1, 6.5, 1)
    assert np.array_equal(applied.field[0], expected.astype(np.float32))
