"""How far the replicates of a simulation are, and whether they are whole."""

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from gpusim.backends.base import Backend
from gpusim.errors import StateError

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Clock:
    """What the replicates have in common, which are stepped together.

    Attributes:
        steps: taken so far; seconds: spent on them, by replicate; changes: of the state so far, steps among them.
        broken: replicates that a change was begun of and not ended; `cause`: in words.
    """

    steps: int = 0
    seconds: float = 0.0
    changes: int = 0
    broken: set[int] = field(default_factory=set)
    cause: str = ""

    def require_whole(self) -> None:
        """Raise `StateError` where the state is not known."""
        if self.broken:
            raise StateError(
                f"{self.cause}: a time step was interrupted, so the state is undefined; create a new simulation, or "
                "restore a checkpoint"
            )

    @contextmanager
    def changing(self, what: str, replicates: Iterable[int]) -> Iterator[None]:
        """Within it, `replicates` are in the middle of a change; they remain so where it fails."""
        before = self.cause
        self.changes += 1
        self.cause, self.broken = f"{what} was cut off by a fork of the process", self.broken.union(replicates)
        try:
            yield
        except BaseException as error:
            self.cause = f"{what} failed in its middle ({type(error).__name__}: {error})"
            raise
        self.cause, self.broken = before, self.broken.difference(replicates)


class _AtRest(Protocol):
    @property
    def backend(self) -> Backend: ...

    @property
    def clock(self) -> Clock: ...


S = TypeVar("S", bound=_AtRest)


def between_steps(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """A method that sees the simulation as it is between two steps, whichever thread calls it, and changes it whole.

    Raises `StateError` where that is not known.
    """

    @functools.wraps(method)
    def called(self: S, /, *arguments: P.args, **named: P.kwargs) -> T:
        def checked() -> T:
            self.clock.require_whole()
            return method(self, *arguments, **named)

        return self.backend.worker.do(checked)

    return called
