"""gpusim: a spatial simulator of the tumour microenvironment under oncolytic virotherapy."""

from gpusim.engine import Simulation
from gpusim.errors import (
    BackendError,
    GpusimError,
    NumericalError,
    ResultError,
    ScenarioError,
)
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
    "presets",
]
