"""The machine's C++ compiler, and a per-user cache of what it made."""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import platformdirs

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


def _cache() -> Path:
    """$GPUSIM_CACHE, or the user's cache folder."""
    return Path(os.environ.get("GPUSIM_CACHE") or platformdirs.user_cache_dir("gpusim"))


def _writable_cache() -> Path:
    """The cache; a temporary folder where it can't be written."""
    try:
        _cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=_cache()):
            return _cache()
    except OSError:
        return Path(_temporary_cache().name)


@functools.cache
def _temporary_cache() -> tempfile.TemporaryDirectory[str]:
    """Goes when the process ends."""
    return tempfile.TemporaryDirectory(prefix="gpusim-cache-", ignore_cleanup_errors=True)


def load(source: str, extra_flags: tuple[str, ...] = ()) -> ctypes.CDLL:
    """Compile `source`, or take it from the cache, and load it. Raises `BackendError`.

    A library's name ends in the hash of its bytes: a damaged one is noticed before it is loaded, and made anew.
    """
    compiler = find_compiler()
    flags = (*FLAGS, *extra_flags)
    key = hashlib.sha256("\0".join([source, *flags, _identity(compiler)]).encode()).hexdigest()
    name = f"kernels-{key[:32]}"
    for library in sorted(_cache().glob(f"{name}-*.so")):
        try:
            if library.stem == f"{name}-{_hash(library)}":
                return ctypes.CDLL(str(library))
            library.unlink(missing_ok=True)
        except OSError:
            continue
    try:
        library = _compile(compiler, flags, source, _writable_cache(), name)
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise BackendError(f"the kernels that {compiler} makes can't be kept or loaded: {error}") from None


def _hash(library: Path) -> str:
    return hashlib.sha256(library.read_bytes()).hexdigest()[:32]


def _compile(compiler: str, flags: tuple[str, ...], source: str, cache: Path, name: str) -> Path:
    """Compile aside and rename, so that no other process sees half a library."""
    with tempfile.TemporaryDirectory(dir=cache, prefix="build-") as folder:
        text, built = Path(folder) / "kernels.cpp", Path(folder) / "kernels.so"
        text.write_text(source, encoding="utf-8")
        message = ""
        for native in (("-march=native",), ("-mcpu=native",), ()):
            done = _run([compiler, *flags, *native, str(text), "-o", str(built)])
            if done.returncode == 0:
                library = cache / f"{name}-{_hash(built)}.so"
                os.replace(built, library)
                return library
            message = done.stderr.strip()
        raise BackendError(f"{compiler} could not compile the kernels: {message[-2000:]}")
