"""Runs on Dask workers, or, where Dask is not installed, on a pool of processes."""

import contextlib
import importlib.util
import itertools
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpusim.analysis.outcomes import measured
from gpusim.backends import availability
from gpusim.backends.cpu import available_threads
from gpusim.engine.memory import of_copies, on_backend
from gpusim.errors import BackendError, GpusimError, ResultError
from gpusim.memory import available
from gpusim.model import build
from gpusim.record.provenance import PROVENANCE
from gpusim.record.stopping import interrupts_held
from gpusim.scenario import Scenario
from gpusim.scenario.loading import validated
from gpusim.scenario.reading import Read
from gpusim.study.folder import keep, note
from gpusim.study.runs import Run

LOOPBACK = "127.0.0.1:0"
"""Where Dask's page on the workers is served where nobody says: to this machine alone, at a free port."""
_IN_FLIGHT = 4
"""Batches handed out for each worker: none idles, and little waits in the scheduler's memory."""
_STARTS = 3


@dataclass(frozen=True)
class Setting:
    """What all runs of a study or a trial share.

    Attributes:
        folder: of the study, as the workers see it. Where they see none, outcomes come back over the
            network alone.
        together: replicates that a worker steps in one go. Outcomes do not depend on it.
        rerun: run again what depends on an input or a program that has changed since, instead of refusing.
        go_on: the command that goes on with what has not finished.
    """

    folder: Path
    backend: str = "auto"
    threads: int | None = None
    together: int = 1
    rerun: bool = False
    go_on: str = "the same command"


@dataclass(frozen=True)
class Workers:
    """Processes that carry out runs, one at a time each.

    Attributes:
        page: the address of Dask's page on them, if there is one.
    """

    executor: Executor
    count: int
    page: str | None = None


Ended = dict[str, float] | Exception
"""How a run has ended: outcomes by column, or why there are none."""
Tell = Callable[[Run, Ended], None]
"""Told of each run that has ended."""
Connect = Callable[[], Workers]
"""Gives the workers, which nothing starts before they are needed."""


def carry_out(runs: Sequence[Run], setting: Setting) -> dict[str, Ended]:
    """Carry out runs that differ by their seed alone, but for those that have finished; how each has ended, by key.

    They are stepped together; where that fails, each is tried by itself, so that a failure costs its own run alone.
    Outcomes are on the disk before a run counts as finished, so that a worker that dies afterwards costs nothing.
    """
    folder, first = setting.folder, runs[0]
    seen = (folder / PROVENANCE).is_file()
    if first.store and not seen:
        raise ResultError(f"{folder}: the worker has no access to it; results of runs need a shared folder")

    def log(runs: Iterable[Run], event: str) -> None:
        for run in runs if seen else ():
            note(folder, run.key, event)

    found: dict[str, Ended] = {}
    with warnings.catch_warnings(action="ignore"):  # damage is told where the study goes on, and not by each worker
        for run in runs if seen else ():
            if (taken := run.finished(folder)) is not None:
                found[run.key] = taken
    log((run for run in runs if run.key in found), "found")
    left = [run for run in runs if run.key not in found]
    if not left:
        return found
    log(left, "begun")
    try:
        for run in left:  # damaged: a kill must not leave them beside another result
            (folder / run.outcomes).unlink(missing_ok=True)
        scenario = Scenario(validated(Read(dict(first.data)), "run"))
        seeds, stores = [run.seed for run in left], [folder / run.store for run in left if run.store]
        all_taken = measured(scenario, seeds, first.columns, setting.backend, threads=setting.threads, folders=stores)
    except Exception as error:
        log(left, f"failed: {error}")
        for run in left:
            found |= carry_out([run], setting) if len(left) > 1 else {run.key: error}
        return found
    for run, taken in zip(left, all_taken, strict=True):
        found[run.key] = taken
        if seen:
            keep(folder / run.outcomes, run.key, taken)
            log([run], "finished")
    return found


def batches(runs: Iterable[Run], together: int) -> Iterator[list[Run]]:
    """Runs that differ by their seed alone and follow each other, so many at a time."""
    for _, same in itertools.groupby(runs, lambda run: (run.point, run.arm)):
        while batch := list(itertools.islice(same, together)):
            yield batch


def execute(
    connect: Connect, runs: Iterable[Run], setting: Setting, tell: Tell = lambda run, how: None
) -> dict[str, Ended]:
    """Carry out runs; what came of each, by key. On Dask, runs whose worker dies are tried again.

    `tell` is called for each run, also for those that had finished before; what it raises ends all. Raises
    `ResultError` where a process of a pool was killed.
    """
    found: dict[str, Ended] = {}
    to_do: dict[str, list[Run]] = {}
    for run in runs:
        to_do.setdefault(run.key, []).append(run)

    def end(key: str, how: Ended) -> None:
        found[key] = how
        for run in to_do[key]:
            tell(run, how)

    for key, (run, *_) in to_do.items():
        if (known := run.finished(setting.folder)) is not None:
            end(key, known)
    if len(found) == len(to_do):
        return found
    workers, pending = connect(), dict[Future[dict[str, Ended]], list[Run]]()
    waiting = batches([run for key, (run, *_) in to_do.items() if key not in found], setting.together)
    try:
        while True:
            for batch in itertools.islice(waiting, _IN_FLIGHT * workers.count - len(pending)):
                with interrupts_held():  # a process may start
                    pending[workers.executor.submit(carry_out, batch, setting)] = batch
            if not pending:
                return found
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                for key, how in _ended(future, pending.pop(future)).items():
                    path = setting.folder / to_do[key][0].outcomes
                    if not isinstance(how, Exception) and not path.exists():
                        keep(path, key, how)  # of a worker that does not see the folder
                    end(key, how)
    except BrokenProcessPool:
        raise ResultError(
            f"{setting.folder}: a worker process was killed, perhaps because of too little memory; finished runs are "
            f"kept; to continue: {setting.go_on}"
        ) from None


def _ended(future: Future[dict[str, Ended]], batch: Sequence[Run]) -> dict[str, Ended]:
    """How the runs of a batch have ended. Raises `BrokenProcessPool`."""
    error = RuntimeError("cancelled by the scheduler") if future.cancelled() else future.exception()
    if isinstance(error, BrokenProcessPool):
        raise error
    return dict.fromkeys((run.key for run in batch), error) if isinstance(error, Exception) else future.result()


def reason(error: Exception) -> str:
    """Why a run has no outcomes, in a line."""
    if type(error).__name__ == "KilledWorker":
        return "its worker died, again and again"
    text = " ".join(str(error).split())
    return text if isinstance(error, GpusimError) else f"{type(error).__name__}: {text}"


def on_gpu(backend: str) -> bool:
    """Whether a backend, by its name, takes a GPU here."""
    return backend == "cuda" or (backend == "auto" and availability("cuda").available)


def shares(memory: int, free: int, backend: str = "auto") -> tuple[int, int]:
    """Workers on this machine and threads of each: as many workers as there are cores and memory for.

    A GPU goes to one worker. `memory` is what one run takes, `free` what there is, bytes.
    """
    if on_gpu(backend):
        return 1, 1
    cores = available_threads()
    workers = max(1, min(cores, free // max(1, memory)))
    return workers, max(1, cores // workers)


def shares_of(scenario: Scenario, backend: str, together: int, workers: int | None = None) -> tuple[int, int]:
    """Workers on this machine, where they are not given, and threads of each, for runs of a scenario."""
    models = [build(scenario.site(name)) for name in scenario.sites]
    needed = together * sum(map(on_backend, models)) + max(map(of_copies, models))
    own, each = shares(needed, available(), backend)
    return (own, each) if workers is None else (workers, max(1, own * each // workers))


@contextlib.contextmanager
def workers(count: int, scheduler: str | None = None, dashboard: str = LOOPBACK) -> Iterator[Workers]:
    """Workers on this machine, which end with the context, or those of the Dask scheduler at an address.

    Each is one process that carries out one run at a time.

    Args:
        dashboard: where Dask's page on the workers is served, HOST:PORT; port 0 takes a free one.

    Raises `BackendError` where there is no such scheduler, or no worker can be started.
    """
    if importlib.util.find_spec("distributed"):
        with _dask(count, scheduler, dashboard) as found:
            yield found
    elif scheduler is not None or dashboard != LOOPBACK:
        raise BackendError("--scheduler and --dashboard need distributed: pip install 'gpusim[study]'")
    else:
        with _processes(count) as found:
            yield found


@contextlib.contextmanager
def _dask(count: int, scheduler: str | None, dashboard: str) -> Iterator[Workers]:
    import dask
    from distributed import Client

    settings = {"distributed.scheduler.worker-saturation": 1.0, "distributed.comm.timeouts.connect": "20s"}
    with dask.config.set(settings), contextlib.ExitStack() as stack:
        # Ctrl-C reaches the whole group of processes; it is for this one to end the others, once they have started.
        with interrupts_held():
            address = stack.enter_context(_left(_local_cluster(count, dashboard))) if scheduler is None else scheduler
            try:
                client = stack.enter_context(_left(Client(address)))
            except (OSError, ValueError) as error:
                raise BackendError(f"--scheduler {scheduler}: no Dask scheduler there: {error}") from None
        threads = sum(client.nthreads().values())
        yield Workers(client.get_executor(pure=False), max(1, threads), client.dashboard_link)


@contextlib.contextmanager
def _left(started: Any) -> Iterator[Any]:
    """A part of Dask that is closed at the end. If that takes too long, why the end has come remains what is told."""
    try:
        yield started.__enter__()
    finally:
        with contextlib.suppress(Exception):
            started.__exit__(None, None, None)


def _local_cluster(workers: int, dashboard: str) -> Any:
    """Workers on this machine. One that is killed while it starts costs a further try."""
    from distributed import LocalCluster

    failure: Exception | None = None
    for _ in range(_STARTS):
        try:
            return LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                memory_limit=None,
                dashboard_address=dashboard,
                silence_logs="CRITICAL",
            )
        except Exception as error:  # whatever the first of its many parts to notice raises
            failure = error
    raise BackendError(f"workers cannot be started: {failure}")


@contextlib.contextmanager
def _processes(count: int) -> Iterator[Workers]:
    """A pool of processes, which end with the context, whatever they are at, or with this process."""
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)  # no other process has ours
    with ProcessPoolExecutor(count, mp_context=context, initializer=_begin_process, initargs=(theirs,)) as pool, ours:
        yield Workers(pool, count)


def _begin_process(parent: multiprocessing.connection.Connection) -> None:
    """Ctrl-C reaches the processes too: they end without a word, and what they were at is run again.

    Where the main process ignores it, as in a shell's background, so do they.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: multiprocessing.connection.Connection) -> None:
    multiprocessing.connection.wait([parent])
    os._exit(1)
