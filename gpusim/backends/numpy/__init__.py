"""The operations in NumPy alone: the reference that kernels are held against."""

import numpy as np

from gpusim.backends.base import Array
from gpusim.backends.numpy import multigrid
from gpusim.backends.numpy.exchange import deposit
from gpusim.backends.numpy.measure import sum_fields
from gpusim.backends.numpy.motion import move, propose_moves
from gpusim.backends.numpy.neighbours import count_neighbours
from gpusim.backends.numpy.rules import apply_rules
from gpusim.backends.numpy.transport import explicit_step


class NumpyBackend:
    """Needs no compiler and no GPU; works slab by slab, so that temporaries stay in cache."""

    name = "numpy"
    threads = 1
    ranks = 1
    fields_together = False

    def free_memory(self) -> int | None:
        return None

    def array(self, values: np.ndarray) -> np.ndarray:
        return np.array(values, order="C")

    def lattice(self, values: np.ndarray, finest: int | None = None) -> np.ndarray:
        return self.array(values)

    def to_numpy(self, array: Array) -> np.ndarray:
        return np.array(array)

    def write(self, array: Array, values: np.ndarray) -> None:
        array[...] = values

    explicit_step = staticmethod(explicit_step)
    combine = staticmethod(multigrid.combine)
    smooth = staticmethod(multigrid.smooth)
    restrict = staticmethod(multigrid.restrict)
    restrict_mass = staticmethod(multigrid.restrict_mass)
    restrict_coupling = staticmethod(multigrid.restrict_coupling)
    restrict_mean = staticmethod(multigrid.restrict_mean)
    prolong = staticmethod(multigrid.prolong)
    deposit = staticmethod(deposit)
    count_neighbours = staticmethod(count_neighbours)
    apply_rules = staticmethod(apply_rules)
    propose_moves = staticmethod(propose_moves)
    move = staticmethod(move)
    sum_fields = staticmethod(sum_fields)

    def close(self) -> None:
        """Nothing to give back."""
