"""NVIDIA's run-time compiler: the kernels for a GPU, with these options and no others.

CuPy's own compilation appends `-ftz=true`, which flushes subnormal numbers to 0 and so gives other bits than NumPy's.
"""

import functools
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpusim.backends import cache
from gpusim.backends.source import kernel_source
from gpusim.errors import BackendError

OPTIONS = (
    "--std=c++17",
    # float32 arithmetic must round as NumPy's does.
    "--fmad=false",
    "--prec-div=true",
    "--prec-sqrt=true",
    "--ftz=false",
    # Lambdas bear no mark of a device function; NVRTC before 13.1 takes them for the host's and refuses them.
    "--device-as-default-execution-space",
    # Registers and spills, for the log.
    "--ptxas-options=-v",
)


@dataclass(frozen=True)
class Compilation:
    """What one call of the compiler makes.

    Attributes:
        ptx: the virtual instructions that the machine code is made of.
        code: machine code (a cubin) for a real architecture; for a virtual one the PTX, which the driver translates.
        log: of both compilers.
    """

    ptx: str
    code: bytes
    log: str


def _bindings() -> Any:
    """NVRTC. Raises `BackendError` where it or its Python bindings are not installed."""
    advice = "pip install 'gpusim[cuda12]' or 'gpusim[cuda13]', with 'nvidia-cuda-nvrtc' where there is no CUDA toolkit"
    try:
        from cuda.bindings import nvrtc

        nvrtc.nvrtcVersion()  # finds the library
    except (ImportError, RuntimeError) as error:
        raise BackendError(f"the GPU's compiler NVRTC does not load ({str(error).splitlines()[0]}); {advice}") from None
    return nvrtc


@functools.cache
def _versions() -> tuple[str, ...]:
    """Of the bindings and of NVRTC."""
    nvrtc = _bindings()
    _, major, minor = nvrtc.nvrtcVersion()
    return f"{major}.{minor}", *map(str, _known())


@functools.cache
def _known() -> tuple[int, ...]:
    """Compute capabilities that NVRTC makes code for, ascending: 75, 80, ..."""
    _, capabilities = _bindings().nvrtcGetSupportedArchs()
    return tuple(sorted(capabilities))


def architecture(capability: int) -> str:
    """The architecture to compile for on a GPU of a compute capability such as 90 (of 9.0).

    "sm_90" where NVRTC knows it; for a later GPU the latest that it knows, "compute_90", which the driver translates.
    Raises `BackendError` where the GPU is older than all that NVRTC knows.
    """
    known = _known()
    if capability in known:
        return f"sm_{capability}"
    earlier = [each for each in known if each < capability]
    if not earlier:
        raise BackendError(
            f"the GPU's compute capability is {capability / 10:.1f}, NVRTC {_versions()[0]} makes code from "
            f"{known[0] / 10:.1f} on: take an older CUDA, or another backend"
        )
    return f"compute_{earlier[-1]}"


def compile_kernels(architecture: str) -> Compilation:
    """Compile all kernels for an architecture such as "sm_90". Needs no GPU. Raises `BackendError`."""
    nvrtc = _bindings()
    _, program = nvrtc.nvrtcCreateProgram(kernel_source().encode(), b"gpusim.cu", 0, [], [])
    options = [option.encode() for option in (*OPTIONS, f"--gpu-architecture={architecture}")]
    (failed,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    log = _text(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program).decode()
    if failed != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise BackendError(f"NVRTC could not compile the kernels for {architecture}: {log[-2000:]}")
    ptx = _text(nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX, program)
    code = ptx
    if architecture.startswith("sm_"):
        code = _text(nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN, program)
    nvrtc.nvrtcDestroyProgram(program)
    return Compilation(ptx.rstrip(b"\0").decode(), code, log)


def _text(size: Any, get: Any, program: Any) -> bytes:
    _, length = size(program)
    room = bytes(length)
    get(program, room)
    return room


def kernels(capability: int) -> Path:
    """A file to load on a GPU of a compute capability, made or taken from the cache. Raises `BackendError`."""
    target = architecture(capability)
    entry = cache.name(kernel_source(), *OPTIONS, target, *_versions())
    suffix = ".cubin" if target.startswith("sm_") else ".ptx"
    for path in cache.found(entry, suffix):
        return path
    warnings.warn(f"compiling kernels with NVRTC for {target} (once)", stacklevel=2)
    try:
        return cache.keep(entry, suffix, compile_kernels(target).code)
    except OSError as error:
        raise BackendError(f"the kernels compiled by NVRTC cannot be stored: {error}") from None
