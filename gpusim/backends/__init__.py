"""Backends by name, and the choice among them."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

from gpusim.backends.base import Backend
from gpusim.errors import BackendError

__all__ = ["NAMES", "SLABS", "Availability", "Backend", "availability", "create"]

NAMES = ("cuda", "cpu", "numpy")
"""Best first: `auto` takes the first that this machine has."""

SLABS = "slabs"
"""Shares one lattice out among the ranks of an MPI job; only where it is asked for."""


def _cuda(threads: int | None) -> Backend:
    from gpusim.backends.cuda import CudaBackend

    return CudaBackend()


def _cpu(threads: int | None) -> Backend:
    from gpusim.backends.cpu import CpuBackend

    return CpuBackend(threads)


def _numpy(threads: int | None) -> Backend:
    from gpusim.backends.numpy import NumpyBackend

    return NumpyBackend()


def _slabs(threads: int | None) -> Backend:
    from gpusim.backends.slabs import create

    return create(threads)


_CREATE: dict[str, Callable[[int | None], Backend]] = {"cuda": _cuda, "cpu": _cpu, "numpy": _numpy, SLABS: _slabs}


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


def create(name: str = "auto", threads: int | None = None) -> Backend:
    """Make a backend. `auto` takes the best that works here; it warns where that is NumPy or where a better one failed.

    Raises `BackendError` where the named one can't be had.
    """
    if name in _CREATE:
        return _CREATE[name](threads)
    if name != "auto":
        raise BackendError(f"backend '{name}': expected one of auto, {', '.join(_CREATE)}")
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
