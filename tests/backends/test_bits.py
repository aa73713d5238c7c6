"""Every backend, the same bits: on randomised models, whatever the number of threads."""

from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from machines import backend_parameters

import gpusim
from gpusim.backends import cpu, create
from gpusim.backends.numpy import slabs
from gpusim.backends.signatures import kernels
from gpusim.engine.site import sum_fields
from gpusim.verification import Machine
from gpusim.verification.bits import outcome
from gpusim.verification.case import begin_with
from gpusim.verification.models import randomised

scenarios = st.randoms(use_true_random=False).map(randomised)
numpy = Machine("numpy")


@pytest.fixture(scope="module", autouse=True)
def share_small_launches():
    """Let threads share even the small lattices of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "_SMALLEST_SHARE", 64)
        yield


_, cpu1, cpu2, cuda = backend_parameters()


@pytest.mark.slow
@pytest.mark.parametrize(
    "others",
    [
        pytest.param([*cpu1.values, *cpu2.values], id="cpu", marks=cpu1.marks),
        pytest.param([*cuda.values], id="cuda", marks=cuda.marks),
    ],
)
@settings(deadline=None, max_examples=10, suppress_health_check=list(HealthCheck))
@given(data=scenarios)
def test_randomised_models_end_in_the_same_bits_on_every_backend(others, data):
    expected = outcome(numpy, data)
    for other in others if expected else ():
        assert outcome(Machine(*other), data) == expected, other


@pytest.mark.slow
@settings(deadline=None, max_examples=5, suppress_health_check=list(HealthCheck))
@given(data=scenarios, planes=st.integers(1, 4))
def test_the_slabs_of_numpy_do_not_matter(data, planes):
    nx, ny, nz = data["grid"]["shape"]
    data["grid"]["shape"][2] = min(nz, 5)  # a slab takes as long as many voxels
    expected = outcome(numpy, data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slabs, "SLAB_VOXELS", planes * nx * ny)
        assert outcome(numpy, data) == expected


@pytest.mark.parametrize("other", backend_parameters()[1:2])
def test_the_models_of_the_quick_verification_launch_every_kernel(other, monkeypatch):
    launched = set()
    launch = cpu.CpuBackend.launch

    def watched(self, kernel, *groups, **named):
        launched.add(kernel)
        launch(self, kernel, *groups, **named)

    monkeypatch.setattr(cpu.CpuBackend, "launch", watched)
    for number in range(8):
        outcome(Machine(*other), randomised(Random(number)))
    assert launched == kernels().keys()


def test_sums_are_exact_and_faults_are_found(one_backend_each):
    backend = create(*one_backend_each)
    values = np.random.default_rng(1).random((2, 3, 5, 7, 9)).astype(np.float32) * np.float32(1e4)
    sums = sum_fields(backend, backend.array(values), 1)
    exact = [sum(int(v * 2.0**32) for v in field[1].ravel().astype(float)) for field in values]
    assert [int(w) * 2**32 + int(f) for w, f in zip(sums.whole, sums.fraction, strict=True)] == exact
    assert np.all(sums.fault == np.uint64(2**64 - 1))
    values[1, 2, 2, 3, 4] = np.nan
    values[1, 2, 4, 0, 0] = -1
    values[0, 2, 0, 0, 1] = np.inf
    assert sum_fields(backend, backend.array(values), 2).fault.tolist() == [1, (2 * 7 + 3) * 9 + 4]
    assert np.all(sum_fields(backend, backend.array(values), 1).fault == sums.fault)
    backend.close()


def test_rows_that_go_past_the_cache_have_the_same_bits():
    # Over 32 MB a launch: the host then gathers lines (kernels/host/writing.hpp). Odd rows begin within a line.
    shape = (64, 127, 131)
    names = [f"f{i}" for i in range(4)]
    scenario = gpusim.Scenario.parse("grid: {shape: [131, 127, 64]}").with_(
        fields={name: {"unit": "ng/mL", "diffusion": "100 um^2/min", "decay": "0.1 /min"} for name in names}
    )
    start = np.random.default_rng(3).random((4, *shape), np.float32)
    results = []
    for backend, threads in (("numpy", None), ("cpu", 2)):
        with gpusim.Simulation(scenario, backend, threads=threads) as simulation:
            begin_with(simulation, **dict(zip(names, start, strict=True)))
            simulation.step()
            results.append(simulation.digest())
    assert results[0] == results[1]
