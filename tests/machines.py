"""The backends that tests run on."""

import pytest

from gpusim.backends import availability


def backend_parameters() -> list:
    """NumPy, cpu with one and two threads, and, under its mark, cuda."""
    cpu, cuda = availability("cpu"), availability("cuda")
    no_cpu = pytest.mark.skipif(not cpu.available, reason=cpu.reason)
    no_cuda = pytest.mark.skipif(not cuda.available, reason=cuda.reason)
    return [
        pytest.param(("numpy", None), id="numpy"),
        pytest.param(("cpu", 1), id="cpu1", marks=no_cpu),
        pytest.param(("cpu", 2), id="cpu2", marks=no_cpu),
        pytest.param(("cuda", None), id="cuda", marks=[pytest.mark.gpu, no_cuda]),
    ]


def first_backend(*names: str) -> list:
    """The backends of these names; those that a quicker one stands for are marked `campaign`."""
    quickest = "cpu2" if availability("cpu").available else "numpy"
    return [
        pytest.param(
            *p.values, id=p.id, marks=p.marks if p.id in (quickest, "cuda") else [*p.marks, pytest.mark.campaign]
        )
        for p in backend_parameters()
        if p.id in names
    ]
