"""Points of the parameters' space."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import qmc

from gpusim.study.schema import Range, StudyDocument

Point = dict[str, Any]
"""The value of each parameter, as a scenario takes it, by its path."""


def points(study: StudyDocument) -> list[Point]:
    """The points of a study's design, in the order of its table."""
    parameters, design = study.parameters, study.design
    if design.kind == "grid":
        columns = [_levels(parameter) for parameter in parameters.values()]
        return [dict(zip(parameters, row, strict=True)) for row in itertools.product(*columns)]
    assert design.points is not None
    sampler = {"latin-hypercube": qmc.LatinHypercube, "sobol": qmc.Sobol}[design.kind]
    return at(parameters, sampler(max(1, len(parameters)), rng=study.seed).random(design.points))


def at(parameters: Mapping[str, Range | list[Any]], cube: np.ndarray) -> list[Point]:
    """The points at float64 [points, parameters], each number from 0 to 1."""
    return [
        {path: value_at(parameter, float(u)) for (path, parameter), u in zip(parameters.items(), row, strict=False)}
        for row in cube
    ]


def value_at(parameter: Range | Sequence[Any], u: float) -> Any:
    """The value of a parameter at a share `u` of its range, from 0 to 1; or that one of its list."""
    if not isinstance(parameter, Range):
        return parameter[min(int(u * len(parameter)), len(parameter) - 1)]
    low, high = parameter.ends
    # Rounding may take a value past an end, and never short of one.
    value = low * (high / low) ** u if parameter.scale == "log" else low + u * (high - low)
    value = high if u == 1.0 else min(max(value, low), high)
    return f"{value!r} {parameter.unit}" if parameter.unit else value


def _levels(parameter: Range | list[Any]) -> list[Any]:
    if isinstance(parameter, Range):
        return [value_at(parameter, i / (parameter.levels - 1)) for i in range(parameter.levels)]
    return parameter
