"""What the tests start under mpirun: models on slabs, held against one process.

mpirun -n 4 python tests/backends/slabs/job.py INNER FIRST END       # randomised models, by number

INNER is a backend, or "played": the cuda backend on a GPU that the processor plays, whose arrays go through the host,
or, as "played-direct", are given to MPI as they are.
"""

import sys
from pathlib import Path
from random import Random
from typing import Any

import gpusim
from gpusim import backends
from gpusim.backends.slabs import backend, create
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
    for sides in (data["grid"]["sides"], *(field["boundary"] for field in data["fields"].values())):
        if sides.get("z") == "periodic":
            del sides["z"]
    return data


def play(direct: bool) -> None:
    """Let every rank's cuda backend have a played device of its own."""
    sys.path.append(str(Path(__file__).parents[2]))
    from backends.played import PlayedDevice

    backends._CREATE["cuda"] = lambda threads: PlayedDevice().backend()
    backend.takes_device = lambda MPI: direct
    backend.use_device = lambda place, processes: 1


def main(inner: str, first: int, end: int) -> None:
    if inner.startswith("played"):
        play(inner == "played-direct")
        inner = "cuda"
    ranks = create(None, inner).ranks  # other ranks stay in here
    for number in range(first, end):
        data = on_slabs(number, ranks)
        expected = outcome(Machine("numpy"), data)
        if expected:
            same = outcome(Slabs(inner), data) == expected
            print(number, data["grid"]["shape"], "same" if same else "DIFFERENT", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
