"""What a user can mend: every error of this kind is one clear message, and exit code 2."""


class GpusimError(Exception):
    """Something in the input, the machine or the files is not as it must be."""


class ScenarioError(GpusimError):
    """A scenario is wrong; the message names the file, the path in it, what was found and expected."""


class BackendError(GpusimError):
    """A backend can't be had on this machine."""


class ResultError(GpusimError):
    """A result folder can't be written or read."""


class NumericalError(GpusimError):
    """A concentration became negative, infinite or not a number."""
