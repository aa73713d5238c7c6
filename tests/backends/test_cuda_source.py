"""The GPU's source, checked without a GPU: NVRTC and ptxas need no driver."""

import re

import pytest

from gpusim.backends.source import KERNELS
from gpusim.bench.resources import compiled

pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings is not installed")

MOST_REGISTERS = 96
"""With these, an SM still holds 5 blocks of 128 threads."""


between = [pytest.param(arch, marks=pytest.mark.campaign) for arch in ("sm_80", "sm_90", "sm_100")]


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["sm_75", *between, "sm_120"])
def test_kernels_compile_without_spills_and_without_contraction(arch):
    ptx, report = compiled(arch)
    for kernel in KERNELS:
        assert f".entry {kernel}(" in ptx
        assert f"Compiling entry function '{kernel}'" in report
    spilled = re.findall(r"(\d+) bytes spill", report)  # stores and loads, of functions that stand alone too
    assert len(spilled) >= 2 * len(KERNELS)
    assert set(spilled) == {"0"}
    assert not re.search(r"\bfma\.", ptx)
    assert set(re.findall(r"\bdiv\.\S*f32", ptx)) <= {"div.rn.f32"}
    assert max(int(n) for n in re.findall(r"Used (\d+) registers", report)) <= MOST_REGISTERS
