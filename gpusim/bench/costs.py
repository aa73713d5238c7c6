"""The costs that kernels declare (`backends/launches.py`), and the voxels and threads that they are of."""

from dataclasses import dataclass

from gpusim.backends import launches
from gpusim.backends.launches import LAUNCHES, launch_of
from gpusim.backends.signatures import kernels


@dataclass(frozen=True)
class Cost(launches.Cost):
    """What a kernel has to do in one case."""

    kernel: str = ""

    @property
    def by_field(self) -> bool:
        """Whether it is launched for fields."""
        return self.kernel == "sum_fields" or any("active" in each.axes for each in kernels()[self.kernel].parameters)

    def row(self, edge: int) -> int:
        """Voxels in a row, where a row of the finest level has `edge`."""
        return -(-edge // 2**self.level)

    def threads(self, edge: int) -> int:
        """Threads of a block on a GPU, for one field."""
        return threads(self.kernel, self.row(edge))

    def voxels(self, edge: int, fields: int) -> int:
        """Voxels (times fields) of a launch on a cube of `edge` voxels."""
        return self.row(edge) ** 3 * (fields if self.by_field else 1)


def threads(kernel: str, edge: int) -> int:
    """Threads of a block on a GPU, for one field and a cube of `edge` voxels."""
    axes = dict.fromkeys(("z", "y", "x"), edge) | dict.fromkeys(("cz", "cy", "cx"), -(-edge // 2))
    axes |= {"F": 1, "active": 1, "R": 1, "count": edge**3, "first": 1, "end": 2, "passes": 1}
    return launch_of(kernel).geometry(axes, False).threads


COSTS = tuple(Cost(**vars(cost), kernel=kernel) for kernel, launch in LAUNCHES.items() for cost in launch.costs)
