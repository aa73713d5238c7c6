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
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout
    processor = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(errors="replace").splitlines()
        processor += "".join(sorted({ln for ln in lines if ln.startswith(("flags", "model name", "Features"))}))
    return "\n".join([compiler, version, platform.machine(), processor])


def cache_folder() -> Path:
    """$GPUSIM_CACHE, or the user's cache folder; a temporary one where that can't be written."""
    wanted = Path(os.environ.get("GPUSIM_CACHE") or platformdirs.user_cache_dir("gpusim"))
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=wanted):
            return wanted
    except OSError:
        return _temporary_cache()


@functools.cache
def _temporary_cache() -> Path:
    return Path(tempfile.mkdtemp(prefix="gpusim-cache-"))


def load(source: str, extra_flags: tuple[str, ...] = ()) -> ctypes.CDLL:
    """Compile `source`, or take it from the cache, and load it. Raises `BackendError`."""
    compiler = find_compiler()
    flags = (*FLAGS, *extra_flags)
    key = hashlib.sha256("\0".join([source, *flags, _identity(compiler)]).encode()).hexdigest()
    library = cache_folder() / f"kernels-{key[:32]}.so"
    if library.exists():
        try:
            return ctypes.CDLL(str(library))
        except OSError:
            library.unlink(missing_ok=True)  # half a file of a full disk, say: made anew
    _compile(compiler, flags, source, library)
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise BackendError(f"{compiler} made kernels that do not load: {error}") from None


def _compile(compiler: str, flags: tuple[str, ...], source: str, library: Path) -> None:
    """Compile aside and rename, so that no other process sees half a library."""
    with tempfile.TemporaryDirectory(dir=library.parent, prefix="build-") as folder:
        text, built = Path(folder) / "kernels.cpp", Path(folder) / library.name
        text.write_text(source, encoding="utf-8")
        message = ""
        for native in (("-march=native",), ("-mcpu=native",), ()):
            command = [compiler, *flags, *native, str(text), "-o", str(built)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                os.replace(built, library)
                return
            message = done.stderr.strip()
        raise BackendError(f"{compiler} could not compile the kernels: {message[-2000:]}")
