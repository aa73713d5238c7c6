"""What is in the bodies, what tissue brings and takes, and how it changes by itself."""

from collections.abc import Sequence

import numpy as np

from gpusim.backends.base import Backend
from gpusim.backends.groups import Equations
from gpusim.errors import NumericalError
from gpusim.model import Body


class Circulation:
    """Quantities of the bodies of some replicates over time.

    Args:
        bodies: of each replicate; their equations are the same.

    Attributes:
        values: float64 [quantities, R]. A quantity that more cells leave within a step than it holds
            goes below 0 and pays back later, so that no cell is lost or made; rates see it as 0.
    """

    def __init__(self, bodies: Sequence[Body], backend: Backend) -> None:
        self._body, self._backend = bodies[0], backend
        self.values = np.stack([body.initial for body in bodies], axis=1)
        body, scratch = self._body, np.zeros((8, *self.values.shape))
        self._on_backend = backend.array(self.values)
        self._followed = backend.array(np.ones(self.values.shape[1], np.int32))
        self._equations = Equations(*map(backend.array, (body.flows, body.rates, body.modulators, scratch)))

    def exchange(self, body: Body, fired: np.ndarray, flowed: np.ndarray, carried: np.ndarray) -> None:
        """Take in and give out what sites, to which `body` belongs, have moved since the last call.

        Args:
            fired: int64 [rules, R], firings. flowed: float64 [walls, R], concentrations of a voxel. carried: float64
                [egresses, R], in the units of traits.
        """
        for entries, counts in zip(body.moved, (fired, flowed, carried), strict=True):
            for row, quantity, amount in entries:
                self.values[quantity] += amount * counts[row].astype(float)

    def advance(self, minutes: float) -> None:
        """Integrate over some time. Raises `NumericalError` where the equations run away."""
        if not len(self._body.rates):
            return
        backend, values, followed = self._backend, self._on_backend, self._followed
        backend.write(values, self.values)
        backend.write(followed, np.ones(followed.shape, np.int32))
        backend.launch("circulate", self._equations, values=values, followed=followed, minutes=minutes)
        self.values, good = backend.fetch([values, followed])
        if not good.all():
            values = self.values[:, int(np.argmin(good))]
            raise NumericalError(
                "the equations of the body cannot be integrated: a process is too fast. Quantities: "
                + ", ".join(f"{n} {v:g}" for n, v in zip(self._body.names, values, strict=True))
            )
