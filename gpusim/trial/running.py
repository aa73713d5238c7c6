"""The runs of a trial, several at a time in processes of their own."""

import contextlib
import math
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gpusim.backends import availability
from gpusim.backends.cpu import available_threads
from gpusim.errors import ResultError, ScenarioError
from gpusim.record import layout, sums
from gpusim.record.files import explained, is_empty, locked, remove_unready, write_text
from gpusim.record.provenance import PROVENANCE, Provenance, agree
from gpusim.record.stopping import interrupts_held
from gpusim.scenario import Scenario
from gpusim.trial.folder import OUTCOMES, SCENARIO, TABLE, key_of, outcomes_of, require_names, run_of
from gpusim.trial.kept import keep, kept
from gpusim.trial.measuring import measured
from gpusim.trial.outcomes import columns

ENOUGH_ON_CPU, ENOUGH_ON_GPU = 2**15, 2**24
"""Voxels that keep a process busy between launches: eight lattices of 16^3, where the gain levels off; 64 of 64^3."""


@dataclass(frozen=True)
class Trial:
    """A finished trial in a folder; its runs are results in `ARM/SEED`.

    Attributes:
        table: columns `arm`, `seed`, then the outcomes.
    """

    folder: Path
    scenario: Scenario
    table: pd.DataFrame

    @classmethod
    def open(cls, folder: str | Path) -> "Trial":
        """Raises `ResultError` where there is none."""
        folder = Path(folder)
        if not (folder / TABLE).is_file():
            raise ResultError(f"{folder}: no finished trial (no {TABLE} in it)")
        if (folder / layout.SUMS).exists():
            for problem in sums.problems(folder, (TABLE, SCENARIO)):
                raise ResultError(problem)
        else:
            warnings.warn(f"{folder}: an older gpusim made it, without checksums", stacklevel=2)
        return cls(folder, Scenario.load(folder / SCENARIO), pd.read_csv(folder / TABLE))

    @property
    def outcomes(self) -> list[str]:
        """Columns of the outcomes."""
        return [str(column) for column in self.table.columns if column not in ("arm", "seed")]

    def spreads(self) -> Iterator[tuple[str, list[str]]]:
        """Each arm, with "median (lowest to highest)" of each outcome."""
        for arm, rows in self.table.groupby("arm", sort=False):
            values = (rows[column] for column in self.outcomes)
            yield str(arm), [f"{v.median():.4g} ({v.min():.4g} to {v.max():.4g})" for v in values]


def run_trial(
    scenario: Scenario,
    folder: str | Path,
    *,
    backend: str = "auto",
    jobs: int | None = None,
    together: int | None = None,
    resume: bool = False,
    rerun: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Trial:
    """Run every arm with every seed.

    Args:
        folder: of the trial; made if it is not there, and empty unless `resume`, which goes on with the
            runs that have not finished.
        jobs: processes at a time; one a core by default, or one on a GPU.
        together: seeds of an arm that a process steps in one go; by default more on small lattices, as long as
            every process has work. The result does not depend on it.
        rerun: on going on, run again what depends on a scenario, an input or a program that has changed since,
            instead of refusing.
        progress: called with the number of finished runs and of all.

    Raises `ScenarioError`, `ResultError`, and what a run raises.
    """
    trial = scenario.document.trial
    if trial is None:
        raise ScenarioError(f"{scenario.document.name}: has no arms; expected a 'trial'")
    folder = Path(folder)
    require_names(scenario)
    arms = {name: scenario.arm(name) for name in scenario.arms}
    with explained(folder), contextlib.ExitStack() as stack:
        folder.mkdir(parents=True, exist_ok=True)
        if not resume and not is_empty(folder):
            raise ResultError(f"{folder}: is not empty; give another folder with -o, or --resume {folder}")
        stack.callback(locked(folder).release)
        remove_unready(folder)
        agree(folder, Provenance.of(scenario), rerun=rerun)
        write_text(folder / SCENARIO, scenario.to_yaml())
        seeds = scenario.seeds(trial.replicates)
        keys = {(name, seed): key_of(scenario, name, seed) for name in arms for seed in seeds}
        found = {run: kept(outcomes_of(folder, *run), key, run_of(folder, *run)) for run, key in keys.items()}
        done = {run: outcomes for run, outcomes in found.items() if outcomes is not None}
        left = {run: key for run, key in keys.items() if run not in done}
        if left:
            for name in (layout.SUMS, TABLE):
                (folder / name).unlink(missing_ok=True)
            jobs = jobs or _processes(backend)
            batch = together or _together(scenario, len(left) // jobs, backend)
            runs = _carry_out(scenario, arms, left, folder, backend, jobs, batch)
            for outcomes in stack.enter_context(contextlib.closing(runs)):
                done |= outcomes
                progress(len(done), len(keys))
        rows = [{"arm": name, "seed": seed, **done[name, seed]} for name, seed in keys]
        table = pd.DataFrame(rows, columns=["arm", "seed", *columns(trial.outcomes)])
        text = table.to_csv(index=False)
        sums.write(folder, [SCENARIO, PROVENANCE], {TABLE: text.encode()})
        write_text(folder / TABLE, text)
    return Trial(folder, scenario, table)


def _carry_out(
    scenario: Scenario,
    arms: Mapping[str, Scenario],
    left: Mapping[tuple[str, int], str],
    folder: Path,
    backend: str,
    jobs: int,
    together: int,
) -> Generator[dict[tuple[str, int], dict[str, float]], None, None]:
    """Carry out the runs that are left, with their keys by arm and seed; outcomes of some as they have ended."""
    by_arm = {name: [seed for arm, seed in left if arm == name] for name in arms}
    longest = max(map(len, by_arm.values()))
    batches = [
        (name, seeds[i : i + together])
        for i in range(0, longest, together)
        for name, seeds in by_arm.items()
        if seeds[i : i + together]
    ]
    text = scenario.to_yaml()
    with _pool(jobs) as pool:
        with interrupts_held():
            futures: dict[Future[dict[int, dict[str, float]]], str] = {
                pool.submit(
                    _run, arms[name].to_yaml(), text, folder / name, {seed: left[name, seed] for seed in batch}, backend
                ): name
                for name, batch in batches
            }
        try:
            for future in as_completed(futures):
                yield {(futures[future], seed): outcomes for seed, outcomes in future.result().items()}
        except BrokenProcessPool:
            raise ResultError(
                f"{folder}: a process that carried out a run was killed, perhaps for want of memory; finished runs "
                f"are kept, to go on: gpusim run --resume {folder}"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _on_gpu(backend: str) -> bool:
    return backend == "cuda" or (backend == "auto" and availability("cuda").available)


def _processes(backend: str) -> int:
    return 1 if _on_gpu(backend) else available_threads()


def _together(scenario: Scenario, share: int, backend: str) -> int:
    """How many seeds to step in one go, where nobody says; at most half of a process's `share` of the runs."""
    shapes = (scenario.site(name).document.grid.shape for name in scenario.sites)
    voxels = sum(math.prod(shape) for shape in shapes if shape is not None)
    enough = ENOUGH_ON_GPU if _on_gpu(backend) else ENOUGH_ON_CPU
    return max(1, min(share // 2, enough // max(1, voxels)))


def _pool(jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin_worker,
    )


def _begin_worker() -> None:
    """Ctrl-C reaches the workers too: they end without a word, and what they were at is run again.

    Where the trial ignores it, as in a shell's background, so do they.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose trial was killed would go on, and then wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker"
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _run(arm: str, trial: str, folder: Path, keys: dict[int, str], backend: str) -> dict[int, dict[str, float]]:
    """Runs of an arm into their folders, together; keys and outcomes by seed."""
    document = Scenario.parse(trial).document
    assert document.trial is not None
    folders = [folder / str(seed) for seed in keys]
    wanted = columns(document.trial.outcomes)
    for into in folders:
        (into / OUTCOMES).unlink(missing_ok=True)
    outcomes = measured(Scenario.parse(arm), list(keys), wanted, backend, threads=1, folders=folders)
    for (_, key), into, values in zip(keys.items(), folders, outcomes, strict=True):
        with explained(into):
            keep(into / OUTCOMES, key, values)
    return dict(zip(keys, outcomes, strict=True))
