"""The state of a simulation and the schedule of its steps."""

from gpusim.engine.actions import Action
from gpusim.engine.replicate import Replicate
from gpusim.engine.simulation import Simulation

__all__ = ["Action", "Replicate", "Simulation"]
