"""What the backends have in common whose kernels are compiled: time can be measured on them."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from gpusim.backends.launching import LocalBackend


class CompiledBackend(LocalBackend):
    """The cpu and the cuda backend."""

    @abstractmethod
    def seconds(self, action: Callable[[], object]) -> float:
        """Time that the machine itself spends on an action: its launches, its copies. It may be repeated."""

    @abstractmethod
    def mark(self) -> Any:
        """The present moment in the sequence of launches."""

    @abstractmethod
    def between(self, begun: Any, ended: Any) -> float:
        """Seconds between two moments; waits for the later one."""
