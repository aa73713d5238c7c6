"""What a machine can do at best: move bytes, and do arithmetic."""

from dataclasses import dataclass

import numpy as np

from gpusim.backends.compiled import CompiledBackend
from gpusim.bench.costs import Cost

_REPEATS = 10
_PRODUCT = 1024
"""Edge of the matrices of the product that arithmetic is measured by."""


@dataclass(frozen=True)
class Machine:
    """A machine by its roofline (Williams et al. 2009).

    Attributes:
        name: of what was measured, or of a data sheet.
        bandwidth: bytes/s, read and written.
        arithmetic: float32 operations/s. Kernels fuse no product with a sum, which leaves them half of it where
            the units for both are one.
    """

    name: str
    bandwidth: float
    arithmetic: float

    def seconds(self, cost: Cost, voxels: int) -> float:
        """Time that a launch takes at best."""
        return voxels * max(cost.bytes / self.bandwidth, cost.operations / self.arithmetic)

    def limit(self, cost: Cost) -> str:
        """What decides that time."""
        return "memory" if cost.bytes / self.bandwidth > cost.operations / self.arithmetic else "arithmetic"


H100 = Machine("NVIDIA H100 SXM", 3.35e12, 67e12)
"""By its data sheet: 3.35 TB/s, 67 TFLOP/s in float32."""


def measured(backend: CompiledBackend, edge: int, fields: int) -> Machine:
    """The machine at hand: the best of several copies of as many fields of `edge`^3, and of several matrix products."""
    shape = (fields, edge, edge, edge)
    source, target = backend.array(np.ones(shape, np.float32)), backend.array(np.zeros(shape, np.float32))
    copy = min(backend.seconds(lambda: backend.copy(target, source)) for _ in range(_REPEATS))
    matrix = backend.array(np.ones((_PRODUCT, _PRODUCT), np.float32))
    product = min(backend.seconds(lambda: matrix @ matrix) for _ in range(_REPEATS))
    return Machine(backend.name, 2 * source.nbytes / copy, 2 * _PRODUCT**3 / product)
