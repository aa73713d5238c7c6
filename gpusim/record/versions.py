"""What software made a result."""

import functools
import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import gpusim
from gpusim.backends import source

_AFTERWARDS = ("verification", "bench", "record", "study", "export", "viz", "cli", "presets", "kernels")
"""Folders of the package that decide no number of a run; any other does, those still to come included."""


def versions() -> dict[str, str]:
    """Versions of Python, the machine and the packages that decide a result."""
    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for package in ("gpusim", "numpy", "zarr", "pint", "pydantic", "pyvista"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


@functools.cache
def program() -> str:
    """Version of what decides the numbers of a run: that of gpusim, and SHA-256 over kernels and modules."""
    package, kernels = Path(gpusim.__file__).parent, source.folder()
    modules = (path for path in package.rglob("*.py") if path.relative_to(package).parts[0] not in _AFTERWARDS)
    files = {path.relative_to(package).as_posix(): path for path in modules}
    files |= {f"kernels/{path.name}": path for path in kernels.iterdir() if path.is_file()}
    sha = hashlib.sha256()
    for name in sorted(files):
        sha.update(f"{name}\n{hashlib.sha256(files[name].read_bytes()).hexdigest()}\n".encode())
    return f"{gpusim.__version__} {sha.hexdigest()}"
