"""What a rank finds out about its machine, without MPI."""

import ctypes
from types import SimpleNamespace

import numpy as np
import pytest

from gpusim import backends
from gpusim.backends import cuda
from gpusim.backends.numpy import NumpyBackend
from gpusim.backends.slabs.messages import Messages, takes_device
from gpusim.backends.slabs.rank import Rank
from gpusim.errors import BackendError


def test_the_processes_of_a_machine_take_its_gpus_in_turn(monkeypatch):
    used = []
    device = SimpleNamespace(
        runtime=SimpleNamespace(getDeviceCount=lambda: 2),
        Device=lambda number: SimpleNamespace(use=lambda: used.append(number)),
    )
    monkeypatch.setattr(cuda, "_cupy", lambda: SimpleNamespace(cuda=device))
    assert [cuda.use_device(place, 5) for place in range(5)] == [3, 2, 3, 2, 3]
    assert used == [0, 1, 0, 1, 0]


def test_a_machine_without_a_gpu_has_none_to_share(monkeypatch):
    def nothing():
        raise BackendError("CuPy finds no NVIDIA GPU or driver")

    monkeypatch.setattr(cuda, "_cupy", nothing)
    assert cuda.use_device(3, 4) == 1


@pytest.mark.parametrize(
    ("kinds", "functions", "taken"),
    [
        (None, {}, False),
        ("mpi,system", {}, False),
        ("mpi,system,cuda:device", {}, True),
        (None, {"MPIX_Query_cuda_support": lambda: 0}, False),
        (None, {"MPIX_Query_cuda_support": lambda: 1}, True),
        ("mpi,system", {"MPIX_Query_cuda_support": lambda: 1}, True),
    ],
)
def test_an_mpi_says_whether_it_takes_arrays_of_a_gpu(monkeypatch, kinds, functions, taken):
    monkeypatch.setattr(ctypes, "CDLL", lambda path: SimpleNamespace(**functions))
    info = {} if kinds is None else {"mpi_memory_alloc_kinds": kinds}
    mpi = SimpleNamespace(COMM_WORLD=SimpleNamespace(Get_info=lambda: info), __file__="MPI.so")
    assert takes_device(mpi) == taken


def test_what_is_free_is_an_even_share_of_the_fullest_gpu():
    inner, world = NumpyBackend(), SimpleNamespace(size=3, rank=0, allgather=lambda free: [free, 700, 900])
    messages = Messages(inner, world, takes_device=False)
    assert Rank(inner, world, messages).free_memory() is None
    inner.free_memory = lambda: 1200
    assert Rank(inner, world, messages, sharers=2).free_memory() == 3 * 600
    assert Rank(inner, world, messages).free_memory() == 3 * 700


def test_a_table_is_the_same_on_both_sides():
    inner, world = NumpyBackend(), SimpleNamespace(size=2, rank=0, Bcast=lambda values: None)
    rank = Rank(inner, world, Messages(inner, world, takes_device=False))
    table = rank.table(np.arange(3))
    rank.scatter(table[1:], np.array([7, 8]))
    assert table.host.tolist() == table.values.tolist() == [0, 7, 8]


def test_a_backend_that_ranks_cannot_have_is_refused_by_name():
    with pytest.raises(
        BackendError, match=r"backend 'slabs:gpu': expected one of auto, .*, slabs, slabs:cuda, slabs:cpu"
    ):
        backends.create("slabs:gpu")
