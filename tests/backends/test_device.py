"""What a GPU gets of the kernels, its own branches and launches, without a GPU: the same bits in an adverse order."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gpusim
from gpusim import backends
from gpusim.backends import availability
from gpusim.backends.compiler import load
from gpusim.backends.cpu import CpuBackend, _Call
from gpusim.backends.source import KERNELS, kernel_source
from gpusim.verification import Machine
from gpusim.verification.bits import outcome
from gpusim.verification.models import randomised

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler"),
]


class Device(CpuBackend):
    """The source and the launches of the cuda backend, played by one thread of the host."""

    name = "device"
    fields_together = True
    voxels_at_once = 0

    def __init__(self):
        super().__init__(threads=1)
        launchers = "\n".join(f"LAUNCHER({kernel})" for kernel in KERNELS)
        shim = (Path(__file__).parent / "device.hpp").read_text().replace("#pragma once", "")
        self._library = load("\n".join([shim, kernel_source(host=False), launchers]))
        self.launched = set()

    def launch(self, kernel, blocks, threads, arguments):
        call = _Call(getattr(self._library, f"launch_{kernel}"), arguments)
        call.fill(arguments)
        call.function(call.pointers, blocks, threads)
        self.launched.add(kernel)


@pytest.fixture(scope="module", autouse=True)
def device():
    made = Device()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(backends._CREATE, made.name, lambda threads: made)
        yield made


@settings(deadline=None, max_examples=8, suppress_health_check=list(HealthCheck))
@given(data=st.randoms(use_true_random=False).map(randomised))
def test_randomised_models_end_in_the_same_bits(data):
    expected = outcome(Machine("numpy"), data)
    if expected:
        assert outcome(Machine("device"), data) == expected


def test_every_kernel_is_tried(device):
    device.launched.clear()
    for number in range(12):
        data = randomised(Random(number))
        assert outcome(Machine("device"), data) == outcome(Machine("cpu", 1), data)
    assert device.launched == set(KERNELS)


def test_replicates_of_a_shipped_scenario_end_in_the_bits_of_single_runs():
    small = {"grid.shape": [12, 16, 20], "tissue.shapes.tumour.radius": "100 um"}
    scenario = gpusim.Scenario.load("cold-to-hot", small)
    together = gpusim.Simulation(scenario, "device", seed=[1, 2])
    together.step(12)
    for seed, replicate in zip([1, 2], together.replicates, strict=True):
        alone = gpusim.Simulation(scenario, "numpy", seed=seed)
        alone.step(12)
        assert replicate.digest() == alone.digest()
