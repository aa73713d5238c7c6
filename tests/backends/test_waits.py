"""What the cuda backend tells the device, and how often it waits for it: counted on a played one."""

import gc
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from backends import played
from backends.played import CUDADriverError, PlayedDevice

import gpusim
from gpusim.backends import availability, staging
from gpusim.errors import BackendError

pytestmark = pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler")

SMALL = {"grid.shape": [12, 12, 12], "tissue.shapes.tumour.radius": "80 um"}
WITHOUT_BODY = """
grid: {shape: [6, 5, 4]}
time: {until: 60 min, step: {field: 1 min, rules: 2 min}}
record: {every: 60 min}
fields: {a: {unit: ng/mL, diffusion: 100 um^2/min, decay: 0.1 /min, initial: 1}}
states: {one: {}, two: {secretion: {a: 0.1 ng/mL/min}}}
rules: {turn: {transition: one -> two, rate: 0.05 /min}}
tissue: {shapes: {all: {kind: everywhere, state: one}}}
"""


@pytest.fixture(scope="module")
def device():
    return PlayedDevice()


def test_a_step_waits_for_nothing_though_there_is_a_body(device):
    simulation = gpusim.Simulation(gpusim.Scenario.load("cold-to-hot", SMALL), device.backend(), seed=[1, 2])
    simulation.step()
    device.reset()
    simulation.step(3)
    assert simulation.model.rules_every == 1
    assert device.counts.keys() <= {"launches", "graphs"}
    assert device.launched["foresee"] == device.launched["circulate"] == device.launched["exchange_with_body"] == 3


def test_a_check_of_the_fields_and_the_body_is_one_wait(device, monkeypatch):
    monkeypatch.setattr(device, "working", False)
    simulation = gpusim.Simulation("cold-to-hot", device.backend())
    simulation.step(2)
    device.reset()
    simulation.check()
    assert device.counts["waits"] == 1


def test_all_sites_give_to_one_body_without_a_wait(device):
    simulation = gpusim.Simulation(gpusim.Scenario.load("abscopal"), device.backend())
    simulation.step()
    device.reset()
    simulation.step()
    assert len(simulation.sites) == 2
    assert device.counts["waits"] == 0
    assert device.launched["exchange_with_body"] == 2


def test_a_run_without_a_body_waits_at_its_end_alone(device):
    simulation = gpusim.Simulation(gpusim.Scenario.parse(WITHOUT_BODY), device.backend())
    device.reset()
    simulation.step(10)
    assert device.counts.keys() <= {"launches", "graphs"}
    simulation.run()
    # Its end is a record's time as well.
    assert device.counts["waits"] == 1
    assert device.launched["apply_rules"] == 30


def test_a_scenario_without_fields_launches_nothing_of_0_blocks(device):
    text = WITHOUT_BODY.replace("fields:", "#").replace("two: {secretion: {a: 0.1 ng/mL/min}}", "two: {}")
    ends = []
    for backend in (device.backend(), "cpu", "numpy"):
        device.reset()
        with gpusim.Simulation(gpusim.Scenario.parse(text), backend) as simulation:
            simulation.run()
            assert simulation.totals() == {}
            ends.append(simulation.digest())
        assert device.launched["sum_fields"] == 0
    assert len(set(ends)) == 1


@pytest.mark.parametrize("seeds", [[1], [1, 2]])
def test_a_restored_state_takes_its_own_place_in_pieces(device, seeds, monkeypatch):
    monkeypatch.setattr(staging, "BYTES", 5000)
    scenario = gpusim.Scenario.load("cold-to-hot", SMALL)
    first, second = (gpusim.Simulation(scenario, device.backend(), seed=seeds) for _ in range(2))
    first.step(2)
    for old, new in zip(first.replicates, second.replicates, strict=True):
        saved = dict(old.arrays())
        device.reset()
        new.restore(old.numbers, saved)
        assert device.allocated == 0
        assert new.digest() == old.digest()
        assert 4000 < device.largest <= 5000
    first.step(2)
    second.step(2)
    assert [each.digest() for each in first.replicates] == [each.digest() for each in second.replicates]


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (700,), (3, 1, 40, 9), (2, 3, 5, 7)])
def test_arrays_and_parts_of_them_come_back_as_they_went(device, shape, monkeypatch):
    monkeypatch.setattr(staging, "BYTES", 512)
    backend = device.backend()
    values = np.random.default_rng(1).random(shape, np.float32)
    array = backend.array(values)
    assert np.array_equal(backend.to_numpy(array), values)
    if len(shape) > 1:
        backend.write(array[:, 0], -values[:, 0])
        assert np.array_equal(backend.to_numpy(array[:, 0]), -values[:, 0])
        assert np.array_equal(backend.to_numpy(array)[:, 1:], values[:, 1:])
        repeated = np.broadcast_to(values[:1], shape)
        assert np.array_equal(backend.to_numpy(backend.array(repeated)), repeated)
    one, other = backend.fetch([array, array])
    assert np.array_equal(one, other)
    del array
    gc.collect()


def test_a_driver_that_refuses_the_kernels_is_one_message(device, monkeypatch):
    def refuse(path):
        raise CUDADriverError("CUDA_ERROR_NO_BINARY_FOR_GPU: no kernel image")

    monkeypatch.setattr(device.cupy, "RawModule", refuse)
    with pytest.raises(BackendError, match=r"the driver rejects played.cubin, .*: CUDA_ERROR_NO_BINARY_FOR_GPU"):
        device.backend()


def test_short_actions_are_timed_behind_other_work(device, monkeypatch):
    """By a clock that goes on by a microsecond each time it is looked at, whatever else the machine does."""
    clock = SimpleNamespace(perf_counter=map((1e-6).__mul__, itertools.count()).__next__)
    monkeypatch.setattr(played, "time", clock)
    backend = device.backend()
    array = backend.array(np.zeros(8, np.float32))
    device.reset()
    assert 0 < backend.seconds(lambda: backend.copy(array, array)) < 1e-3
    assert device.counts["on device"] > 100


def test_what_was_sent_arrives_though_the_backend_is_gone(device):
    backend = device.backend()
    values = np.arange(1000.0)
    array = backend.array(values)
    del backend
    gc.collect()
    assert np.array_equal(array._held, values)
