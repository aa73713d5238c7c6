"""Backends by name, and the choice among them."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

from gpusim.backends.base import Backend
from gpusim.errors import BackendError

__all__ = ["NAMES", "SLABS", "Availability", "Backend", "availability", "create", "is_slabs"]

NAMES = ("cuda", "cpu", "numpy")
"""Best first: `auto` takes the first that this machine has."""

SLABS = "slabs"
"""Shares one lattice out among the ranks of an MPI job; only where it is asked for. `slabs:cuda` says what each works
with, which is else what `auto` finds."""


def _cuda(threads: int | None) -> Backend:
    from gpusim.backends.cuda import CudaBackend

    return CudaBackend()


def _cpu(threads: int | None) -> Backend:
    from gpusim.backends.cpu import CpuBackend

    return CpuBackend(threads)


def _numpy(threads: int | None) -> Backend:
    from gpusim.backends.numpy import NumpyBackend

    return NumpyBackend()


_CREATE: dict[str, Callable[[int | None], Backend]] = {"cuda": _cuda, "cpu": _cpu, "numpy": _numpy}


@dataclass(frozen=True)
class Availability:
    """Whether a backend can be had here; `reason` says why not, or with what."""

    name: str
    available: bool
    reason: str


def availability(name: str) -> Availability:
    """Look for what a backend needs, without building anything."""
    try:
        if name == "cuda":
            from gpusim.backends.cuda import device_description

            return Availability(name, True, device_description())
        if name == "cpu":
            from gpusim.backends.compiler import find_compiler

            return Availability(name, True, f"kernels through {find_compiler()}")
        return Availability(name, True, "no compiler needed")
    except BackendError as error:
        return Availability(name, False, str(error))


def is_slabs(name: str) -> bool:
    """Whether a backend of this name is for the ranks of an MPI job."""
    return name in (SLABS, *(f"{SLABS}:{inner}" for inner in NAMES))


def create(name: str | Backend = "auto", threads: int | None = None) -> Backend:
    """Make a backend; one that is made already stays.

    `auto` takes the best that works here; it warns where that is NumPy or where a better one failed.
    Raises `BackendError` where the named one can't be had.
    """
    if not isinstance(name, str):
        if not hasattr(name, "ranks"):
            raise BackendError(f"backend: expected its name, found {name!r}")
        return name
    if threads is not None and type(threads) is not int:
        raise BackendError(f"threads: expected a whole number, found {threads!r}")
    if name in _CREATE:
        return _CREATE[name](threads)
    if is_slabs(name):
        from gpusim.backends import slabs

        return slabs.create(threads, name.removeprefix(SLABS).removeprefix(":") or "auto")
    if name != "auto":
        known = ", ".join([*_CREATE, SLABS, *(f"{SLABS}:{inner}" for inner in NAMES)])
        raise BackendError(f"backend '{name}': expected one of auto, {known}")
    failed: dict[str, BackendError] = {}
    for candidate in NAMES:
        try:
            backend = _CREATE[candidate](threads)
        except BackendError as error:
            failed[candidate] = error
            continue
        if candidate == "numpy" or any(availability(name).available for name in failed):
            reasons = "; ".join(f"{name}: {error}" for name, error in failed.items())
            warnings.warn(f"running on the slower {candidate} backend ({reasons})", stacklevel=2)
        return backend
    raise AssertionError("numpy is always there")
