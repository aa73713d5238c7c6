"""Step sizes, chosen from the scenario's own rates where it does not give them."""

import math

from gpusim import units
from gpusim.errors import ScenarioError
from gpusim.scenario import Document

ROUND_MINUTES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 6.0)
"""Steps that divide an hour."""

_SHORTEST = 1e-6
"""Shortest step, min."""
MOST_HAZARD = 0.1
"""Largest hazard of a rule over a step: two events of one cell then rarely fall into one step."""


def choose(document: Document, highest_rate: float) -> tuple[float, int]:
    """Step in minutes, and steps between two applications of the rules.

    `highest_rate` is the largest hazard rate that a rule of the scenario can reach, 1/min.
    """
    given = document.time.step
    fitting = _fitting(MOST_HAZARD, highest_rate)
    field = units.number(given.field, "min") if given.field else None
    if given.rules:
        rules = units.number(given.rules, "min")
    else:
        rules = fitting if not field else field * max(1, int(fitting / field + 1e-9))
    field = rules if field is None else field
    for name, value in (("rules", rules), ("field", field)):
        if value < _SHORTEST:
            raise ScenarioError(f"time.step.{name}: expected {_SHORTEST:g} min or more, found {value:g} min")
    return field, whole(rules, field, "time.step.rules", "time.step.field")


def _fitting(most: float, rate: float) -> float:
    fitting = [step for step in ROUND_MINUTES if step * rate <= most]
    return fitting[-1] if fitting else ROUND_MINUTES[0]


def whole(time: float, step: float, name: str, step_name: str = "the step") -> int:
    """`time` / `step` as a whole number of 1 or more; raises `ScenarioError` where it is none."""
    count = round(time / step)
    if count < 1 or not math.isclose(count * step, time, rel_tol=1e-9):
        raise ScenarioError(f"{name}: expected a multiple of {step_name} ({step:g} min), found {time:g} min")
    return count


_MOST_HOP = 0.5
"""Most voxels that a cell covers in a move, on average; two moves of one step then seldom collide."""


def moves(document: Document, step: float, fastest: float) -> int:
    """Moves a step; `fastest` is the highest speed of a cell, voxels a minute."""
    if document.time.step.motion is None:
        return max(1, math.ceil(fastest * step / _MOST_HOP - 1e-9))
    given = units.number(document.time.step.motion, "min")
    if given < _SHORTEST:
        raise ScenarioError(f"time.step.motion: expected {_SHORTEST:g} min or more, found {given:g} min")
    return whole(step, given, "time.step.field", "time.step.motion")
