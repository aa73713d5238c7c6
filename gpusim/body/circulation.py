"""What is in the bodies, what tissue brings and takes, and how it changes by itself."""

from collections.abc import Sequence

import numpy as np

from gpusim.backends.base import Backend
from gpusim.backends.groups import Array, Equations
from gpusim.errors import NumericalError
from gpusim.model import Body


class Circulation:
    """Quantities of the bodies of some replicates over time. They stay on the backend until they are asked for.

    Args:
        bodies: of each replicate; their equations are the same.

    Attributes:
        on_backend: float64 [quantities, R]. A quantity that more cells leave within a step than it holds
            goes below 0 and pays back later, so that no cell is lost or made; rates see it as 0.
        failed: int32 [R], the time step in which the equations of a body could not be integrated; 0 for none.
        mean: float32 [quantities, R], means over the rule step that begins or goes on, as cells and vessels see the
            quantities, which may fall by much within a step; of one row where there are none.
        brought: float64 [quantities, R], what tissue has brought, less what it took, when a rule step ends; else 0.
        supply: float64 [quantities, R], the same in the last rule step, unit/min.
    """

    def __init__(self, bodies: Sequence[Body], backend: Backend) -> None:
        self._backend = backend
        values = np.stack([body.initial for body in bodies], axis=1)
        rows, replicates = values.shape
        self.on_backend: Array = backend.array(values)
        self.failed: Array = backend.array(np.zeros(replicates, np.int32))
        self.mean: Array = backend.array(np.zeros((max(1, rows), replicates), np.float32))
        self.brought: Array = backend.array(np.zeros(values.shape))
        self.supply: Array = backend.array(np.zeros(values.shape))
        self._scratch = backend.array(np.zeros((34, rows, replicates)))
        self._foreseen = False
        self._fetched: np.ndarray | None = None
        self.remodel(bodies[0])
        self._put(values)

    def remodel(self, body: Body) -> None:
        """Follow the equations of another body from now on, of the same quantities."""
        self._body = body
        flows, rates, modulators = map(self._backend.array, (body.flows, body.rates, body.modulators))
        self._equations = Equations(flows, rates, modulators, self._scratch)
        self._foreseen = False

    @property
    def values(self) -> np.ndarray:
        """The quantities on the host: float64 [quantities, R], not to be changed.

        Raises `NumericalError` where the equations have run away.
        """
        if self._fetched is None:
            values, failed = self._backend.fetch([self.on_backend, self.failed])
            self.require_followed(values, failed)
            self._fetched = values
        return self._fetched

    def require_followed(self, values: np.ndarray, failed: np.ndarray) -> None:
        """Raise `NumericalError` where `on_backend` and `failed`, as they were fetched, say that equations ran away."""
        if failed.any():
            first = int(np.argmax(failed > 0))
            raise NumericalError(
                f"the equations of the body cannot be integrated in step {failed[first]}: a process is too fast, or it "
                + "changes a quantity that is at a threshold ('above', 'below') of the process. "
                + "Quantities: "
                + ", ".join(f"{n} {v:g}" for n, v in zip(self._body.names, values[:, first], strict=True))
            )

    def add(self, quantity: int, amount: float, replicate: int | None = None) -> None:
        """Add an amount to a quantity of one body, or of all."""
        values = self.values.copy()
        values[quantity, slice(None) if replicate is None else replicate] += amount
        self._put(values)

    def restore(self, replicate: int, quantities: np.ndarray, supply: np.ndarray) -> None:
        """Let a body hold these quantities after this supply (unit/min): float64 [quantities] both."""
        values, failed = self._backend.fetch([self.on_backend, self.failed])
        values[:, replicate], failed[replicate] = quantities, 0
        self._backend.write(self.failed, failed)
        if len(values):
            self._backend.write(self.supply[:, replicate], supply)
            self._backend.write(self.brought[:, replicate], np.zeros_like(supply))
        self._put(values)
        self._fetched = None if failed.any() else values

    def _put(self, values: np.ndarray) -> None:
        self._backend.write(self.on_backend, values)
        self._fetched = values
        self._foreseen = False

    def foresee(self, minutes: float) -> None:
        """Have `mean` over a rule step of this length from the present quantities."""
        if not self._foreseen:
            arrays = {"values": self.on_backend, "supply": self.supply, "failed": self.failed, "mean": self.mean}
            self._backend.launch("foresee", self._equations, **arrays, minutes=minutes)
            self._foreseen = True

    def advance(self, minutes: float, step: int) -> None:
        """Go on over a rule step, with what was `brought`; where that fails, `values` says so from then on."""
        self.foresee(minutes)
        self._fetched, self._foreseen = None, False
        arrays = {"mean": self.mean, "values": self.on_backend, "brought": self.brought, "supply": self.supply}
        self._backend.launch(
            "circulate", self._equations, **arrays, failed=self.failed, minutes=minutes, step_number=step
        )
