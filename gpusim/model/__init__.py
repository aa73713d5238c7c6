"""From a scenario to the arrays of numbers that the engine steps."""

from gpusim.model.build import Treatments, build, step_notes, treatments
from gpusim.model.model import (
    Body,
    Boundary,
    Cells,
    Dose,
    Exchange,
    Fields,
    Graft,
    Infusion,
    Model,
    Reactions,
    Resection,
    States,
)

__all__ = [
    "Body",
    "Boundary",
    "Cells",
    "Dose",
    "Exchange",
    "Fields",
    "Graft",
    "Infusion",
    "Model",
    "Reactions",
    "Resection",
    "States",
    "Treatments",
    "build",
    "step_notes",
    "treatments",
]
