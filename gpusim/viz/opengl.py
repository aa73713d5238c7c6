"""Whether VTK finds an OpenGL library; without one, it ends the process."""

import ctypes
import os
import sys

from gpusim.errors import ResultError

LIBRARIES = ("libEGL.so.1", "libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so")
"""One of these draws without a display."""


def require_opengl() -> None:
    """Raise `ResultError` if there is neither a display nor a library that draws without one (on Linux)."""
    if sys.platform != "linux" or os.environ.get("DISPLAY") or any(map(_loads, LIBRARIES)):
        return
    raise ResultError(
        "pictures need OpenGL, and without a display the library EGL or OSMesa, which are not installed; "
        "on Debian and Ubuntu: apt install libegl1; on Fedora: dnf install mesa-libEGL"
    )


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
