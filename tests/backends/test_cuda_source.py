"""What will run on a GPU, checked without one: NVRTC and ptxas need no driver."""

import re
import sys

import pytest

from gpusim.backends import nvrtc
from gpusim.backends.signatures import kernels
from gpusim.bench.costs import COSTS
from gpusim.bench.costs import threads as threads_of
from gpusim.bench.resources import of_log
from gpusim.errors import BackendError

pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings is not installed")

BOUNDS = {
    "explicit_step": (48, 0.62),
    "walled_step": (64, 0.5),
    "combine": (32, 1.0),
    "begin_changes": (32, 1.0),
    "apply_changes": (32, 1.0),
    "combine_changes": (64, 0.5),
    "add_changes": (32, 1.0),
    "smooth_finest": (56, 0.56),
    "smooth_coarse": (72, 0.43),
    "restrict_finest": (96, 0.31),
    "restrict_coarse": (96, 0.31),
    "restrict_mass": (32, 1.0),
    "restrict_coupling": (32, 1.0),
    "restrict_mean": (32, 0.5),
    "prolong": (32, 1.0),
    "measure_outflow": (64, 0.5),
    "advect": (80, 0.37),
    "exchange_rates": (96, 0.31),
    "count_exchange": (32, 1.0),
    "react": (48, 0.62),
    "deposit": (32, 1.0),
    "hold": (32, 1.0),
    "mark_members": (32, 1.0),
    "count_members": (48, 0.62),
    "apply_rules": (40, 0.75),
    "change_traits": (40, 0.75),
    "transfer": (40, 0.75),
    "propose_moves": (64, 0.5),
    "move": (32, 1.0),
    "begin_room": (32, 1.0),
    "spread_room": (96, 0.31),
    "bid_for_room": (48, 0.62),
    "settle_bids": (48, 0.62),
    "divide": (80, 0.37),
    "begin_regions": (32, 1.0),
    "join_regions": (32, 1.0),
    "settle_regions": (24, 1.0),
    "mark_outside": (32, 1.0),
    "bid_for_lines": (56, 0.5),
    "settle_lines": (40, 0.75),
    "close_up": (56, 0.5),
    "swap_cells": (48, 0.62),
    "sum_fields": (32, 1.0),
    "note_tally": (24, 0.5),
    "exchange_with_body": (40, 0.5),
    "circulate": (108, 0.25),
    "foresee": (114, 0.25),
    "begin_connections": (24, 1.0),
    "mark_connections": (16, 1.0),
}
"""On capability 9.0, at rows of 128 voxels: registers a thread at most, and the occupancy that they leave at least."""


@pytest.mark.slow
@pytest.mark.parametrize("capability", [75, 90, pytest.param(120, marks=pytest.mark.campaign)])
def test_kernels_compile_without_spills_contraction_and_flushing(capability):
    architecture = nvrtc.architecture(capability)
    made = nvrtc.compile_kernels(architecture)
    assert made.code.startswith(b"\x7fELF")
    for kernel in kernels():
        assert f".entry {kernel}(" in made.ptx
        assert f"Compiling entry function '{kernel}'" in made.log
    spilled = re.findall(r"(\d+) bytes spill", made.log)  # stores and loads, of functions that stand alone too
    assert len(spilled) >= 2 * len(kernels())
    assert set(spilled) == {"0"}
    assert ".ftz" not in made.ptx
    assert not re.search(r"\bfma\.", made.ptx)
    assert set(re.findall(r"\bdiv\.\S*f32", made.ptx)) <= {"div.rn.f32"}
    if capability == 90:
        threads = {name: threads_of(name, 128) for name in kernels()}
        threads |= {each.kernel: each.threads(128) for each in COSTS}
        found = {name: (each.registers, each.occupancy(threads[name])) for name, each in of_log(made.log).items()}
        assert found.keys() == BOUNDS.keys()
        past = {name: have for name, have in found.items() if have[0] > BOUNDS[name][0] or have[1] < BOUNDS[name][1]}
        assert past == {}


def test_a_gpu_later_than_the_compiler_gets_virtual_instructions_of_the_latest_that_it_knows():
    latest = nvrtc._known()[-1]
    assert nvrtc.architecture(latest) == f"sm_{latest}"
    assert nvrtc.architecture(latest + 80) == f"compute_{latest}"
    with pytest.raises(BackendError, match=r"compute capability is 3.5, NVRTC \d+\.\d+ makes code from \d\.\d on"):
        nvrtc.architecture(35)


@pytest.fixture
def compilations(monkeypatch, tmp_path):
    """Architectures that were compiled for, in a cache of one's own."""
    asked = []

    def compile_kernels(architecture):
        asked.append(architecture)
        return nvrtc.Compilation("ptx", f"made for {architecture}".encode(), "")

    monkeypatch.setenv("GPUSIM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(nvrtc, "compile_kernels", compile_kernels)
    return asked


def test_kernels_are_compiled_once_for_an_architecture_its_options_and_its_compiler(compilations, monkeypatch):
    first = nvrtc.kernels(90)
    assert (nvrtc.kernels(90), first.read_bytes(), first.suffix) == (first, b"made for sm_90", ".cubin")
    assert nvrtc.kernels(200).suffix == ".ptx"
    monkeypatch.setattr(nvrtc, "OPTIONS", (*nvrtc.OPTIONS, "--use_fast_math"))
    assert nvrtc.kernels(90).stem[:40] != first.stem[:40]
    monkeypatch.setattr(nvrtc, "_versions", lambda: ("14.0",))
    nvrtc.kernels(90)
    assert compilations == ["sm_90", f"compute_{nvrtc._known()[-1]}", "sm_90", "sm_90"]


def test_a_damaged_entry_is_compiled_anew(compilations):
    path = nvrtc.kernels(90)
    path.write_bytes(b"made for sm_91")
    assert nvrtc.kernels(90).read_bytes() == b"made for sm_90"
    assert compilations == ["sm_90", "sm_90"]


@pytest.mark.parametrize("missing", ["cuda.bindings", "cuda.bindings.nvrtc"])
def test_without_the_compiler_one_message_says_what_to_install(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delattr("cuda.bindings.nvrtc", raising=False)
    with pytest.raises(BackendError, match=r"NVRTC does not load .*; pip install 'gpusim\[cuda12\]' or"):
        nvrtc.compile_kernels("sm_90")


def test_a_mistake_in_the_source_is_one_message(monkeypatch):
    monkeypatch.setattr(nvrtc, "kernel_source", lambda: "this is not C++")
    with pytest.raises(BackendError, match="NVRTC could not compile the kernels for sm_90: gpusim.cu"):
        nvrtc.compile_kernels("sm_90")
