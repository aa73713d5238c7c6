"""Each kernel's time, in each of its cases."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from gpusim.backends.compiled import CompiledBackend
from gpusim.bench.costs import COSTS, Cost
from gpusim.bench.workloads import CASES, launches, simulation

_REPEATS = 7


@dataclass(frozen=True)
class Timing:
    """The largest launch of a kernel in a case: its voxels (times fields), and its seconds."""

    cost: Cost
    voxels: int
    seconds: float


def time_kernels(backend: CompiledBackend, edge: int, fields: int) -> Iterator[Timing]:
    """All kernels on cubes of `edge` voxels, the best of several launches each.

    `fields` of them at least 2. Raises `ScenarioError` where that does not fit into memory.
    """
    backend.voxels_at_once, backend.settles_room = 0, False  # costs are those of one pass
    for case in CASES:
        running = simulation(case, edge, fields, backend)
        found = launches(running, backend)
        for cost in (cost for cost in COSTS if cost.case == case):
            launch = found[cost.kernel]
            voxels = cost.voxels(edge, launch.named["active"].size if "active" in launch.named else fields)
            if cost.kernel == "deposit":  # of the voxels of a dose
                voxels = launch.named["voxels"].size
            action = partial(backend.launch, cost.kernel, *launch.groups, **launch.named)
            seconds = min(backend.seconds(action) for _ in range(_REPEATS))
            yield Timing(cost, voxels, seconds)
        del running, found
