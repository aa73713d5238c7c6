"""The thread that a backend works on.

Python runs signal handlers between any two instructions of the main thread, and a handler may raise, as that of Ctrl-C
does. On a thread of its own, a piece of work is carried out whole. One thread takes one piece after the other, so that
several threads of a program can share a backend.
"""

import contextvars
import os
import queue
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from gpusim.errors import BackendError

T = TypeVar("T")


class Worker:
    """Carries out pieces of work, in the order in which they come, on one thread.

    Args:
        begin: what the thread does first.
        forks: whether a forked process can go on with the backend, on a thread of its own.
    """

    def __init__(self, begin: Callable[[], object] | None = None, *, forks: bool = True) -> None:
        self.begin, self._forks = begin or _nothing, forks
        self._starting = threading.Lock()
        self._line: _Line | None = None
        self._usable = True
        after_fork(self)

    def do(self, action: Callable[[], T]) -> T:
        """Carry out `action` on the thread, and return or raise what it does; at once where this is the thread.

        An exception that reaches the caller meanwhile, from a signal handler say, is passed on when `action` has ended,
        or before it has begun. Raises `BackendError` in a forked process that can't use the backend.
        """
        line = self._line or self._start()
        if line.thread == threading.get_ident():
            return action()
        job = _Job(action)
        try:
            line.jobs.put(job)
            job.wait()
        except BaseException:
            job.unwanted = True
            _settle(line)
            raise
        return job.result()

    @property
    def unwanted(self) -> bool:
        """Within an action: whether its caller has got an exception, and waits for it to end."""
        return self._line is not None and self._line.present is not None and self._line.present.unwanted

    def _start(self) -> "_Line":
        with self._starting:
            if not self._usable:
                raise BackendError(
                    "a forked process cannot use the GPU or MPI of its parent; create the simulation in the new "
                    "process, or start the process with 'spawn'"
                )
            if self._line is None:
                line = _Line()
                try:
                    threading.Thread(target=_work, args=(line,), name="gpusim", daemon=True).start()
                    first = _Job(self.begin)
                    line.jobs.put(first)
                    first.wait()
                    first.result()
                    weakref.finalize(self, line.jobs.put, None)
                    self._line = line
                except BaseException:
                    line.jobs.put(None)
                    raise
            return self._line

    def forked(self) -> None:
        """Leave the thread, which a forked process does not have."""
        self._starting, self._line, self._usable = threading.Lock(), None, self._forks


class _Job:
    """A piece of work; `unwanted` where its caller has got an exception meanwhile."""

    def __init__(self, action: Callable[[], Any]) -> None:
        self.unwanted = False
        self._action = action
        self._context = contextvars.copy_context()  # NumPy's error state among it
        self._answer: Any = None
        self._error: BaseException | None = None
        self._over = False
        # Waiting for a lock is one call, which a signal handler ends at any time and leaves nothing undone.
        self._done = threading.Lock()
        self._done.acquire()

    def carry_out(self) -> None:
        try:
            if not self.unwanted:
                self._answer = self._context.run(self._action)
        except BaseException as error:
            self._error = error
        finally:
            self._over = True
            self._done.release()

    def wait(self) -> None:
        while not self._over:
            self._done.acquire()

    def result(self) -> Any:
        error, self._error = self._error, None
        if error is None:
            return self._answer
        try:
            raise error
        finally:
            del error  # else it holds this frame, and the frame it


class _Line:
    """Jobs that wait, the one that is carried out, and the thread that does."""

    def __init__(self) -> None:
        self.jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self.present: _Job | None = None
        self.thread: int | None = None


def _work(line: _Line) -> None:
    line.thread = threading.get_ident()
    while (job := line.jobs.get()) is not None:
        line.present = job
        job.carry_out()
        line.present = None
        del job  # and what it holds, while there is nothing to do


def _settle(line: _Line) -> None:
    """Wait until all that is in line is over, whatever exceptions arrive meanwhile."""
    while True:
        try:
            last = _Job(_nothing)
            line.jobs.put(last)
            last.wait()
            return
        except BaseException:
            continue


def _nothing() -> None:
    pass


class _Forked(Protocol):
    def forked(self) -> None: ...


_owners: weakref.WeakSet[_Forked] = weakref.WeakSet()


def after_fork(owner: _Forked) -> None:
    """Let `owner.forked()` be called in every process that is forked from this one."""
    _owners.add(owner)


def _renew() -> None:
    for each in list(_owners):
        each.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
