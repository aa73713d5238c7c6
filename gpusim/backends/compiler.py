"""The machine's C++ compiler."""

import ctypes
import functools
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from gpusim.backends import cache
from gpusim.errors import BackendError

FLAGS = (
    "-std=c++17",
    "-O3",
    "-fPIC",
    "-shared",
    # float32 arithmetic must round as NumPy's and a GPU's does.
    "-ffp-contract=off",
    "-fno-trapping-math",
    "-fno-math-errno",
)


@functools.cache
def find_compiler() -> str:
    """Path of a C++ compiler: $CXX, c++, g++ or clang++. Raises `BackendError` where there is none."""
    candidates = [os.environ["CXX"]] if os.environ.get("CXX") else ["c++", "g++", "clang++"]
    for candidate in candidates:
        path = shutil.which(candidate)
        if path:
            return path
    tried = " or ".join(candidates)
    raise BackendError(f"no C++ compiler found ({tried}); install g++ or clang to use the fast CPU kernels")


@functools.cache
def _identity(compiler: str) -> str:
    """What decides the machine code besides source and flags: compiler and processor."""
    version = _run([compiler, "--version"]).stdout
    processor = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(errors="replace").splitlines()
        processor += "".join(sorted({ln for ln in lines if ln.startswith(("flags", "model name", "Features"))}))
    return "\n".join([compiler, version, platform.machine(), processor])


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise BackendError(f"the C++ compiler {command[0]} does not start: {error.strerror}") from None


def load(source: str, extra_flags: tuple[str, ...] = ()) -> ctypes.CDLL:
    """Compile `source`, or take it from the cache, and load it. Raises `BackendError`."""
    compiler = find_compiler()
    flags = (*FLAGS, *extra_flags)
    entry = cache.name(source, *flags, _identity(compiler))
    for library in cache.found(entry, ".so"):
        try:
            return ctypes.CDLL(str(library))
        except OSError:
            continue
    try:
        return ctypes.CDLL(str(cache.keep(entry, ".so", _compile(compiler, flags, source))))
    except OSError as error:
        raise BackendError(f"the kernels that {compiler} makes can't be kept or loaded: {error}") from None


def _compile(compiler: str, flags: tuple[str, ...], source: str) -> bytes:
    """A shared library."""
    with tempfile.TemporaryDirectory(prefix="gpusim-build-") as folder:
        text, built = Path(folder) / "kernels.cpp", Path(folder) / "kernels.so"
        text.write_text(source, encoding="utf-8")
        message = ""
        for native in (("-march=native",), ("-mcpu=native",), ()):
            done = _run([compiler, *flags, *native, str(text), "-o", str(built)])
            if done.returncode == 0:
                return built.read_bytes()
            message = done.stderr.strip()
        raise BackendError(f"{compiler} could not compile the kernels: {message[-2000:]}")
