"""From a scenario to the arrays of numbers that the engine steps."""

from gpusim.model.build import build
from gpusim.model.model import Dose, Fields, Model, Rules, States

__all__ = ["Dose", "Fields", "Model", "Rules", "States", "build"]
