"""What a GPU gets of the kernels, its own branches and launches, without a GPU: the same bits in an adverse order."""

import math
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from backends.played import PlayedDevice
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gpusim
from gpusim import backends
from gpusim.backends import availability, geometry
from gpusim.backends.signatures import kernels
from gpusim.verification import Machine
from gpusim.verification.bits import outcome
from gpusim.verification.models import randomised

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler"),
]


@pytest.fixture(scope="module", autouse=True)
def device():
    played = PlayedDevice()
    made = played.backend()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(backends._CREATE, "device", lambda threads: made)
        yield played


@settings(deadline=None, max_examples=8, suppress_health_check=list(HealthCheck))
@given(data=st.randoms(use_true_random=False).map(randomised))
def test_randomised_models_end_in_the_same_bits(data):
    expected = outcome(Machine("numpy"), data)
    if expected:
        assert outcome(Machine("device"), data) == expected


@settings(deadline=None, max_examples=6, suppress_health_check=list(HealthCheck))
@given(
    data=st.randoms(use_true_random=False).map(randomised),
    width=st.integers(1, 9),
    threads=st.sampled_from([9, 20, 64]),
    planes=st.integers(1, 6),
)
def test_the_tiles_of_a_lattice_do_not_matter(data, width, threads, planes):
    expected = outcome(Machine("cpu", 1), data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geometry, "_MOST_WIDTH", width)
        patch.setattr(geometry, "_COLUMN_THREADS", threads)
        patch.setattr(geometry, "_LEAST_PLANES", planes)
        patch.setattr(geometry, "_ENOUGH_RUNS", threads)
        if expected:
            assert outcome(Machine("device"), data) == expected


def test_every_voxel_of_a_lattice_is_in_one_column():
    for shape in [(1, 1, 1, 1), (2, 3, 5, 7), (1, 48, 48, 48), (1, 96, 96, 96), (3, 17, 130, 67), (1, 512, 512, 512)]:
        replicates, nz, ny, nx = shape
        axes = {"active": 2, "R": replicates, "z": nz, "y": ny, "x": nx}
        blocks, threads, sizes = geometry.columns()(axes, host=False)
        width, rows, planes = sizes.values()
        assert blocks == 2 * replicates * math.ceil(nz / planes) * math.ceil(ny / rows) * math.ceil(nx / width)
        assert width * rows <= threads <= 256
        assert threads % 32 == 0


def test_every_kernel_is_tried(device):
    device.reset()
    for number in range(12):
        data = randomised(Random(number))
        assert outcome(Machine("device"), data) == outcome(Machine("cpu", 1), data)
    assert set(device.launched) == kernels().keys()


def test_replicates_of_a_shipped_scenario_end_in_the_bits_of_single_runs():
    small = {"grid.shape": [12, 16, 20], "tissue.shapes.tumour.radius": "100 um"}
    scenario = gpusim.Scenario.load("cold-to-hot", small)
    together = gpusim.Simulation(scenario, "device", seed=[1, 2])
    together.step(12)
    for seed, replicate in zip([1, 2], together.replicates, strict=True):
        alone = gpusim.Simulation(scenario, "numpy", seed=seed)
        alone.step(12)
        assert replicate.digest() == alone.digest()


def test_the_tests_of_a_gpu_run_on_a_played_one():
    tests = Path(__file__).parents[1]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "backends.played", "-m", "gpu", str(tests / "engine")]
    environment = {**os.environ, "PYTHONPATH": str(tests)}
    done = subprocess.run(command, env=environment, cwd=tests.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
