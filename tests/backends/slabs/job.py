"""What the tests start under mpirun: models on slabs, held against one process.

mpirun -n 4 python tests/backends/slabs/job.py INNER FIRST END       # randomised models, by number
"""

import sys
from random import Random
from typing import Any

import gpusim
from gpusim.backends.slabs import create
from gpusim.verification import Machine
from gpusim.verification.bits import outcome
from gpusim.verification.models import randomised


class Slabs(Machine):
    """All ranks, each with the backend of this name."""

    def simulate(self, text: str, seed: int | None = None) -> gpusim.Simulation:
        return gpusim.Simulation(gpusim.Scenario.parse(text), create(self.threads, self.backend), seed=seed)


def on_slabs(number: int, ranks: int) -> dict[str, Any]:
    """A randomised model that can be cut: high enough, and not periodic along z."""
    random = Random(number)
    data = randomised(random)
    nx, ny, _ = data["grid"]["shape"]
    data["grid"]["shape"] = [min(nx, 8), min(ny, 8), random.choice([2, 3, 4, 5, 8, 9]) * ranks + random.randint(0, 3)]
    for field in data["fields"].values():
        if field["boundary"].get("z") == "periodic":
            del field["boundary"]["z"]
    return data


def main(inner: str, first: int, end: int) -> None:
    ranks = create(None, inner).ranks  # other ranks stay in here
    for number in range(first, end):
        data = on_slabs(number, ranks)
        expected = outcome(Machine("numpy"), data)
        if expected:
            same = outcome(Slabs(inner), data) == expected
            print(number, data["grid"]["shape"], "same" if same else "DIFFERENT", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
