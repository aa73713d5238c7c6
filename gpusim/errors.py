"""Errors that users can correct. Each has a clear message; the command line prints it and ends with exit code 2."""

from collections.abc import Iterator
from contextlib import contextmanager


class GpusimError(Exception):
    """Base class: an error in the input, on the machine or in the files."""


class ScenarioError(GpusimError):
    """An error in a scenario. The message gives the file, the path in it, and the found and expected values."""


class BackendError(GpusimError):
    """A backend is not available on this machine."""


class StateError(GpusimError):
    """The state of a simulation is undefined, because a time step has failed."""


class ResultError(GpusimError):
    """A result folder cannot be written or read."""


class NumericalError(GpusimError):
    """A concentration became negative, infinite or not a number."""


@contextmanager
def extra(name: str, purpose: str) -> Iterator[None]:
    """Convert a failed import into a `GpusimError` with the extra to install."""
    try:
        yield
    except ImportError as error:
        package = (error.name or "a package").partition(".")[0]
        raise GpusimError(f"{package} is needed {purpose}: pip install 'gpusim[{name}]'") from None
