"""Runs of a study on Dask workers."""

import contextlib
import itertools
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import Client, Future, LocalCluster, as_completed

from gpusim.backends import availability
from gpusim.backends.cpu import available_threads
from gpusim.engine import Simulation
from gpusim.ensemble import folder as on_disk
from gpusim.ensemble.study import Run
from gpusim.errors import BackendError, ResultError
from gpusim.record import Recorder, layout
from gpusim.scenario import Scenario
from gpusim.scenario.loading import validated
from gpusim.scenario.reading import Read
from gpusim.scenario.schema import Outcome
from gpusim.trial.outcomes import Outcomes

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
    """

    folder: Path
    columns: Mapping[str, tuple[Outcome, str]]
    backend: str = "auto"
    threads: int | None = None
    store: bool = False

    def finished(self, key: str) -> dict[str, float] | None:
        """Outcomes of a run that has left all that it should; None where it has not."""
        if self.store and not (on_disk.store(self.folder, key) / layout.SUMMARY).is_file():
            return None
        return on_disk.finished(self.folder, key)


def carry_out(data: Mapping[str, Any], seed: int, key: str, setting: Setting) -> dict[str, float]:
    """Run one simulation, unless it has finished before; its outcomes by column.

    They are on the disk before the run counts as finished, so that a worker that dies afterwards
    costs nothing. Raises `GpusimError`.
    """
    seen = (setting.folder / on_disk.RUNS).is_dir()
    if setting.store and not seen:
        raise ResultError(f"{setting.folder}: the worker does not see it; 'keep: stores' needs a shared folder")
    log = (lambda event: on_disk.note(setting.folder, key, event)) if seen else (lambda event: None)
    known = setting.finished(key) if seen else None
    if known is not None:
        log("found")
        return known
    log("begun")
    try:
        outcomes = _simulate(Scenario(validated(Read({**data, "seed": seed}), "run")), key, setting)
    except Exception as error:
        log(f"failed: {error}")
        raise
    if seen:
        on_disk.finish(setting.folder, key, outcomes)
        log("finished")
    return outcomes


def _simulate(scenario: Scenario, key: str, setting: Setting) -> dict[str, float]:
    with contextlib.ExitStack() as stack:
        simulation = stack.enter_context(Simulation(scenario, setting.backend, threads=setting.threads))
        recorder = None
        if setting.store:
            folder = on_disk.store(setting.folder, key)
            recorder = stack.enter_context(Recorder(simulation, folder, overwrite=True))
        stops = Outcomes(simulation, setting.columns)
        stops.take()
        for steps in simulation.stretches(at_most=1 if stops.between_rules else None):
            if recorder:
                recorder.record()
            else:
                simulation.check()
            stops.take()
            if steps >= stops.last and not recorder:
                break
        if recorder:
            recorder.finish()
        return stops.values


Ended = dict[str, float] | Exception
"""How a run has ended: outcomes by column, or why there are none."""
Tell = Callable[[Run, Ended], None]
"""Told of each run that has ended."""
Connect = Callable[[], Client]
"""Gives the cluster, which nothing starts before it is needed."""


def execute(
    connect: Connect, runs: Iterable[Run], setting: Setting, tell: Tell = lambda run, how: None
) -> dict[str, Ended]:
    """Carry out runs on a cluster; what came of each, by key. A run whose worker dies is tried again.

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
    client, waiting = connect(), iter(to_do.values())

    def submit(count: int) -> list[Future]:
        return [
            client.submit(carry_out, run.data, run.seed, run.key, setting, key=run.key, pure=False)
            for run, *_ in itertools.islice(waiting, count)
        ]

    threads = max(1, sum(client.nthreads().values()))
    in_flight = as_completed(submit(_IN_FLIGHT * threads))
    for future in in_flight:
        key, error = future.key, _error(future)
        if error is None:
            found[key] = outcomes = future.result()
            if on_disk.finished(setting.folder, key) is None:  # the worker does not see the folder
                on_disk.finish(setting.folder, key, outcomes)
        else:
            found[key] = error
        for run in to_do[key]:
            tell(run, found[key])
        for further in submit(1):
            in_flight.add(further)
    return found


def _error(future: Future) -> Exception | None:
    if future.status == "finished":
        return None
    return future.exception() if future.status == "error" else RuntimeError(f"{future.status} by the scheduler")


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def cluster(scheduler: str | None, workers: int) -> Iterator[Client]:
    """A client of the scheduler at an address, or of a cluster on this machine that ends with it.

    Each worker is one process that carries out one run at a time. Raises `BackendError` where there
    is no such scheduler.
    """
    import dask

    settings = {"distributed.scheduler.worker-saturation": 1.0, "distributed.comm.timeouts.connect": "20s"}
    with dask.config.set(settings), contextlib.ExitStack() as stack:
        if scheduler is None:
            local = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                memory_limit=None,
                dashboard_address=":0",
                silence_logs="ERROR",
            )
            client = stack.enter_context(Client(stack.enter_context(local)))
            # Ctrl-C reaches the whole group of processes; it is for this one to end the others.
            client.run(_ignore_interrupts)
        else:
            try:
                client = stack.enter_context(Client(scheduler))
            except (OSError, ValueError) as error:
                raise BackendError(f"--scheduler {scheduler}: no Dask scheduler there: {error}") from None
        yield client


def shares(memory: int, free: int, backend: str = "auto") -> tuple[int, int]:
    """Workers on this machine and threads of each: as many workers as there are cores and memory for.

    A GPU goes to one worker. `memory` is what one run takes, `free` what there is, bytes.
    """
    if backend == "cuda" or (backend == "auto" and availability("cuda").available):
        return 1, 1
    cores = available_threads()
    workers = max(1, min(cores, free // max(1, memory)))
    return workers, max(1, cores // workers)
