"""All kernels on randomised models, against NumPy, bit for bit."""

from collections.abc import Iterator
from random import Random
from typing import Any

import yaml

from gpusim.errors import NumericalError, ScenarioError
from gpusim.verification.case import Finding, Machine, near
from gpusim.verification.models import randomised


def outcome(machine: Machine, data: dict[str, Any]) -> object:
    """All that a run ends with: digest, firings, cells, body, sums. None where a shape covers no voxel.

    Also None where a field can't be solved to its steady state.
    """
    try:
        simulation = machine.simulate(yaml.safe_dump(data))
    except ScenarioError as error:
        if "covers no voxel" in str(error) or "'steady' needs a decay" in str(error):
            return None
        raise
    with simulation:
        for _ in simulation.stretches():
            pass
        totals: object
        try:
            totals = simulation.totals()
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
