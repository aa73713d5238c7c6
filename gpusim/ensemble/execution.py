"""Runs of a study on Dask workers."""

import contextlib
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import Client, Future, LocalCluster, as_completed

from gpusim.backends import availability
from gpusim.backends.cpu import available_threads
from gpusim.ensemble import folder as on_disk
from gpusim.ensemble.study import Run
from gpusim.errors import BackendError, ResultError
from gpusim.record.stopping import interrupts_held
from gpusim.scenario import Scenario
from gpusim.scenario.loading import validated
from gpusim.scenario.reading import Read
from gpusim.scenario.schema import Outcome
from gpusim.trial.kept import keep, kept
from gpusim.trial.measuring import measured

_IN_FLIGHT = 4
"""Runs handed to the scheduler for each worker thread: none idles, and little waits in its memory."""


@dataclass(frozen=True)
class Setting:
    """What all runs of a study share.

    Attributes:
        folder: of the study, as the workers see it. Where they see none, outcomes come back over the
            network alone.
        columns: outcomes and their times.
        store: whether each run leaves a result folder.
        together: replicates that a worker steps in one go. Outcomes do not depend on it.
        rerun: run again what depends on an input or a program that has changed since, instead of refusing.
    """

    folder: Path
    columns: Mapping[str, tuple[Outcome, str]]
    backend: str = "auto"
    threads: int | None = None
    store: bool = False
    together: int = 1
    rerun: bool = False

    def finished(self, key: str) -> dict[str, float] | None:
        """Outcomes of a run that has left all that it should; None where it has not."""
        return kept(on_disk.outcomes(self.folder, key), key, on_disk.store(self.folder, key) if self.store else None)


LOOPBACK = "127.0.0.1:0"
"""Where the page on the workers is served where nobody says: to this machine alone, at a free port."""
_STARTS = 3

Ended = dict[str, float] | Exception
"""How a run has ended: outcomes by column, or why there are none."""
Tell = Callable[[Run, Ended], None]
"""Told of each run that has ended."""
Connect = Callable[[], Client]
"""Gives the cluster, which nothing starts before it is needed."""


def carry_out(data: Mapping[str, Any], seeds: Mapping[str, int], setting: Setting) -> dict[str, Ended]:
    """Run a scenario with the seeds of some runs, by key, but for those that have finished before; how each has ended.

    They are stepped together; where that fails, each is tried by itself, so that a failure costs its own run alone.
    Outcomes are on the disk before a run counts as finished, so that a worker that dies afterwards costs nothing.
    """
    seen = (setting.folder / on_disk.RUNS).is_dir()
    if setting.store and not seen:
        raise ResultError(f"{setting.folder}: the worker does not see it; 'keep: stores' needs a shared folder")

    def note(keys: Iterable[str], event: str) -> None:
        for key in keys if seen else ():
            on_disk.note(setting.folder, key, event)

    with warnings.catch_warnings(action="ignore"):  # damage is told where the study goes on, and not by each worker
        known = {key: setting.finished(key) if seen else None for key in seeds}
    found: dict[str, Ended] = {key: outcomes for key, outcomes in known.items() if outcomes is not None}
    note(found, "found")
    left = {key: seed for key, seed in seeds.items() if key not in found}
    if not left:
        return found
    note(left, "begun")
    try:
        scenario = Scenario(validated(Read(dict(data)), "run"))
        folders = [on_disk.store(setting.folder, key) for key in left] if setting.store else []
        taken = measured(
            scenario, list(left.values()), setting.columns, setting.backend, threads=setting.threads, folders=folders
        )
    except Exception as error:
        note(left, f"failed: {error}")
        if len(left) == 1:
            return found | dict.fromkeys(left, error)
        for key, seed in left.items():
            found |= carry_out(data, {key: seed}, setting)
        return found
    for key, outcomes in zip(left, taken, strict=True):
        if seen:
            keep(on_disk.outcomes(setting.folder, key), key, outcomes)
            note([key], "finished")
    return found | dict(zip(left, taken, strict=True))


def batches(runs: Iterable[Run], together: int) -> Iterator[list[Run]]:
    """Runs that differ by their seed alone and follow each other, so many at a time."""
    for _, same in itertools.groupby(runs, lambda run: (run.point, run.arm)):
        while batch := list(itertools.islice(same, together)):
            yield batch


def execute(
    connect: Connect, runs: Iterable[Run], setting: Setting, tell: Tell = lambda run, how: None
) -> dict[str, Ended]:
    """Carry out runs on a cluster; what came of each, by key. Runs whose worker dies are tried again.

    `tell` is called for each run, also for those that had finished before.
    """
    found: dict[str, Ended] = {}
    to_do: dict[str, list[Run]] = {}
    for run in runs:
        to_do.setdefault(run.key, []).append(run)
    for key in list(to_do):
        known = setting.finished(key)
        if known is not None:
            found[key] = known
            for run in to_do.pop(key):
                tell(run, known)
    if not to_do:
        return found
    client, waiting = connect(), batches((run for run, *_ in to_do.values()), setting.together)
    submitted: dict[str, list[Run]] = {}

    def submit(count: int) -> list[Future]:
        futures = []
        for batch in itertools.islice(waiting, count):
            key, seeds = batch[0].key, {run.key: run.seed for run in batch}
            submitted[key] = batch
            futures.append(client.submit(carry_out, batch[0].data, seeds, setting, key=key, pure=False))
        return futures

    threads = max(1, sum(client.nthreads().values()))
    in_flight = as_completed(submit(_IN_FLIGHT * threads))
    for future in in_flight:
        batch, error = submitted.pop(future.key), _error(future)
        ended = future.result() if error is None else {run.key: error for run in batch}
        for key, how in ended.items():
            found[key] = how
            if not isinstance(how, Exception):
                _keep_unseen(setting.folder, key, how)
            for run in to_do[key]:
                tell(run, how)
        for further in submit(1):
            in_flight.add(further)
    return found


def _keep_unseen(folder: Path, key: str, outcomes: dict[str, float]) -> None:
    """Keep the outcomes of a run whose worker does not see the folder."""
    path = on_disk.outcomes(folder, key)
    with warnings.catch_warnings(action="ignore"):
        if kept(path, key) is None:
            keep(path, key, outcomes)


def _error(future: Future) -> Exception | None:
    if future.status == "finished":
        return None
    return future.exception() if future.status == "error" else RuntimeError(f"{future.status} by the scheduler")


@contextlib.contextmanager
def cluster(scheduler: str | None, workers: int, dashboard: str = LOOPBACK) -> Iterator[Client]:
    """A client of the scheduler at an address, or of a cluster on this machine that ends with it.

    Each worker is one process that carries out one run at a time.

    Args:
        dashboard: where the page on the workers is served, HOST:PORT; port 0 takes a free one.

    Raises `BackendError` where there is no such scheduler, or no worker can be started.
    """
    import dask

    settings = {"distributed.scheduler.worker-saturation": 1.0, "distributed.comm.timeouts.connect": "20s"}
    with dask.config.set(settings), contextlib.ExitStack() as stack:
        # Ctrl-C reaches the whole group of processes; it is for this one to end the others, once they have started.
        with interrupts_held():
            if scheduler is None:
                address: Any = stack.enter_context(_local_cluster(workers, dashboard))
            else:
                address = scheduler
            try:
                client = stack.enter_context(Client(address))
            except (OSError, ValueError) as error:
                raise BackendError(f"--scheduler {scheduler}: no Dask scheduler there: {error}") from None
        yield client


def _local_cluster(workers: int, dashboard: str) -> LocalCluster:
    """Workers on this machine. One that is killed while it starts costs a further try."""
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
    raise BackendError(f"workers can't be started: {failure}")


def shares(memory: int, free: int, backend: str = "auto") -> tuple[int, int]:
    """Workers on this machine and threads of each: as many workers as there are cores and memory for.

    A GPU goes to one worker. `memory` is what one run takes, `free` what there is, bytes.
    """
    if backend == "cuda" or (backend == "auto" and availability("cuda").available):
        return 1, 1
    cores = available_threads()
    workers = max(1, min(cores, free // max(1, memory)))
    return workers, max(1, cores // workers)
