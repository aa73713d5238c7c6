"""The machine's C++ compiler."""

import ctypes
import functools
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gpusim.backends import cache
from gpusim.errors import BackendError

FLAGS = (
    "-std=c++17",
    "-O3",
    "-fPIC",
    # float32 arithmetic must round as NumPy's and a GPU's does.
    "-ffp-contract=off",
    "-fno-trapping-math",
    "-fno-math-errno",
    # A case that a switch forgets is a mistake.
    "-Werror=switch",
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


def load(units: str | Sequence[str], extra_flags: tuple[str, ...] = ()) -> ctypes.CDLL:
    """Compile translation units into one library, or take it from the cache, and load it. Raises `BackendError`.

    Compiling is announced by a warning, for it may take a while.
    """
    units = [units] if isinstance(units, str) else units
    compiler = find_compiler()
    flags = (*FLAGS, *extra_flags)
    entry = cache.name(*units, *flags, _identity(compiler))
    for library in cache.found(entry, ".so"):
        try:
            return ctypes.CDLL(str(library))
        except OSError:
            continue
    warnings.warn(f"compiling kernels with {compiler} (once, about 20 s)", stacklevel=2)
    try:
        return ctypes.CDLL(str(cache.keep(entry, ".so", _compile(compiler, flags, units))))
    except OSError as error:
        raise BackendError(f"the kernels compiled by {compiler} cannot be stored or loaded: {error}") from None


def _compile(compiler: str, flags: tuple[str, ...], units: Sequence[str]) -> bytes:
    """A shared library; as many units are compiled at once as there are cores."""
    with (
        tempfile.TemporaryDirectory(prefix="gpusim-build-") as folder,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        texts = [Path(folder) / f"{i}.cpp" for i in range(len(units))]
        for text, unit in zip(texts, units, strict=True):
            text.write_text(unit, encoding="utf-8")
        objects = [text.with_suffix(".o") for text in texts]
        built = Path(folder) / "kernels.so"
        for native in (("-march=native",), ("-mcpu=native",), ()):
            command = [compiler, *flags, *native]
            steps = [[*command, "-c", str(text), "-o", str(made)] for text, made in zip(texts, objects, strict=True)]
            done = list(pool.map(_run, steps))
            if not any(each.returncode for each in done):
                done.append(_run([*command, "-shared", *map(str, objects), "-o", str(built)]))
            failed = [each for each in done if each.returncode]
            if not failed:
                return built.read_bytes()
        raise BackendError(f"{compiler} could not compile the kernels: {failed[0].stderr.strip()[-2000:]}")
