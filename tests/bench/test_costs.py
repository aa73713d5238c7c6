import pytest

from gpusim.backends import create
from gpusim.backends.signatures import kernels
from gpusim.bench import COSTS, H100, Cost, Machine, time_kernels
from gpusim.bench.resources import Resources
from gpusim.bench.workloads import CASES


def test_every_kernel_is_counted():
    # All but those of the body and of tallies, which are on no lattice, and of connections, whose work is in the rounds
    # of labels between these two.
    on_no_lattice, of_connections = (
        {"circulate", "exchange_with_body", "foresee", "note_tally"},
        {"begin_connections", "mark_connections"},
    )
    assert {cost.kernel for cost in COSTS} == kernels().keys() - on_no_lattice - of_connections
    assert {cost.case for cost in COSTS} == set(CASES)
    assert len({(cost.kernel, cost.case) for cost in COSTS}) == len(COSTS)


def test_the_roofline_is_the_slower_of_memory_and_arithmetic():
    machine = Machine("a", bandwidth=100.0, arithmetic=10.0)
    heavy, light = (Cost("c", bytes=8, operations=n, why="") for n in (4, 0.4))
    assert (machine.seconds(heavy, 5), machine.limit(heavy)) == (2.0, "arithmetic")
    assert (machine.seconds(light, 5), machine.limit(light)) == (0.4, "memory")
    # 8 bytes of 8 fields of 128^3 voxels at 3.35 TB/s.
    assert H100.seconds(light, 8 * 128**3) == pytest.approx(40.06e-6, rel=1e-3)


@pytest.mark.parametrize(
    ("registers", "threads", "expected"),
    # As NVIDIA's occupancy calculator has them for capability 9.0 without shared memory.
    [(32, 256, 1.0), (64, 256, 0.5), (96, 256, 0.25), (96, 128, 0.3125), (128, 256, 0.25), (255, 256, 0.125)],
)
def test_occupancy(registers, threads, expected):
    assert Resources(registers, 0).occupancy(threads) == expected


def test_a_restriction_has_a_block_for_each_coarse_row():
    threads = {cost.kernel: cost.threads(128) for cost in COSTS}
    assert threads["smooth_finest"] == 128
    assert threads["restrict_finest"] == threads["smooth_coarse"] == 64
    assert threads["restrict_coarse"] == 32


def test_all_kernels_are_timed_on_their_largest_lattice():
    edge, fields = 16, 2
    backend = create("cpu", 1)
    timings = list(time_kernels(backend, edge, fields))
    backend.close()
    assert {timing.cost for timing in timings} == set(COSTS)
    for timing in timings:
        assert timing.seconds > 0
        together = timing.cost.voxels(edge, fields)
        if timing.cost.kernel == "deposit":
            assert 0 < timing.voxels < together
        else:  # some launches are of one field
            assert timing.voxels in (together, together // fields)
