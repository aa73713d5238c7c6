"""All kernels on randomised models, against NumPy, bit for bit."""

from collections.abc import Iterator
from random import Random
from typing import Any

import yaml

from gpusim.errors import NumericalError, ScenarioError
from gpusim.verification.case import Finding, Machine, near
from gpusim.verification.models import randomised

_REFUSALS = (
    "covers no voxel",
    "'steady' needs a decay",
    "moves a step",
    "does not conserve the mass",
    "nothing determines the",
)
"""What chance may bring together that no run can have."""


def outcome(machine: Machine, data: dict[str, Any]) -> object:
    """All that a run ends with: digest, firings, cells, body, sums. None where the model is refused."""
    try:
        simulation = machine.simulate(yaml.safe_dump(data))
    except ScenarioError as error:
        if any(reason in str(error) for reason in _REFUSALS):
            return None
        raise
    with simulation:
        for _ in simulation.stretches():
            pass
        totals: object
        try:
            noted = simulation.numbers_of(simulation.note())
            totals = simulation.totals(), noted.totals, noted.counts, noted.fired, noted.body
        except NumericalError as error:
            totals = str(error)
        return simulation.digest(), simulation.fired, simulation.counts, simulation.body, totals


def against_numpy(machine: Machine, first: int, end: int) -> Iterator[Finding]:
    """Models of the numbers `first` to `end` end in NumPy's bits."""
    tried, different = 0, 0
    for number in range(first, end):
        data = randomised(Random(number))
        expected = outcome(Machine("numpy"), data)
        if expected is not None:
            tried += 1
            different += outcome(machine, data) != expected
    yield near(f"randomised models of {tried} that differ", 0, different)
