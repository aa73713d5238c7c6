"""What a user can mend: every error of this kind is one clear message, and exit code 2."""

from collections.abc import Iterator
from contextlib import contextmanager


class GpusimError(Exception):
    """Something in the input, the machine or the files is not as it must be."""


class ScenarioError(GpusimError):
    """A scenario is wrong; the message names the file, the path in it, what was found and expected."""


class BackendError(GpusimError):
    """A backend can't be had on this machine."""


class StateError(GpusimError):
    """A simulation is not known to be whole, as a step has failed in its middle."""


class ResultError(GpusimError):
    """A result folder can't be written or read."""


class NumericalError(GpusimError):
    """A concentration became negative, infinite or not a number."""


@contextmanager
def extra(name: str, purpose: str) -> Iterator[None]:
    """Turn a failing import within into a `GpusimError` that names the extra to install."""
    try:
        yield
    except ImportError as error:
        package = (error.name or "a package").partition(".")[0]
        raise GpusimError(f"{package} is needed {purpose}: pip install 'gpusim[{name}]'") from None
