"""gpusim: a spatial simulator of the tumour microenvironment under oncolytic virotherapy."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpusim.engine import Simulation
    from gpusim.errors import BackendError, GpusimError, NumericalError, ResultError, ScenarioError
    from gpusim.running import branch, run
    from gpusim.scenario import Scenario, presets

__version__ = "0.1.0"
__all__ = [
    "BackendError",
    "GpusimError",
    "NumericalError",
    "ResultError",
    "Scenario",
    "ScenarioError",
    "Simulation",
    "branch",
    "presets",
    "run",
]
_HOMES = {"Simulation": "engine", "Scenario": "scenario", "presets": "scenario", "run": "running", "branch": "running"}
"""Modules of the public names; names that are not listed are in `errors`."""


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that `import gpusim` takes milliseconds."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f"gpusim.{_HOMES.get(name, 'errors')}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
