"""A trial: a study of a scenario's arms, each with the same seeds, whose results are kept and expected in an order."""

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import pandas as pd

from gpusim.errors import GpusimError, ResultError, ScenarioError
from gpusim.record import frames, layout, sums
from gpusim.record.files import explained, is_empty
from gpusim.record.provenance import Provenance, agree
from gpusim.scenario import Scenario
from gpusim.scenario.schema import columns
from gpusim.study.execution import Connect, Ended, Setting, Workers, execute, on_gpu, reason, shares_of, workers
from gpusim.study.folder import TABLE, TRIAL, owned, put
from gpusim.study.runs import Run, notes_on_steps, runs_of_trial
from gpusim.study.sweep import table

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
            for problem in sums.problems(folder, (TABLE, TRIAL)):
                raise ResultError(problem)
        else:
            warnings.warn(f"{folder}: an older gpusim made it, without checksums", stacklevel=2)
        return cls(folder, Scenario.load(folder / TRIAL), frames.read(folder / TABLE, ("arm",)))

    @property
    def outcomes(self) -> list[str]:
        """Columns of the outcomes."""
        return [str(column) for column in self.table.columns if column not in ("arm", "seed")]

    def spreads(self) -> Iterator[tuple[str, list[str]]]:
        """Each arm, with "median (lowest to highest)" of each outcome."""
        for arm, rows in self.table.groupby("arm", sort=False):
            values = (rows[column] for column in self.outcomes)
            yield str(arm), [f"{v.median():.4g} ({v.min():.4g} to {v.max():.4g})" for v in values]


def trial_notes(scenario: Scenario) -> list[str]:
    """The notes of a scenario with arms, also on rule steps that are too large in an arm. Raises `ScenarioError`."""
    return [*scenario.notes, *notes_on_steps({arm: scenario.arm(arm) for arm in scenario.arms})]


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
    scheduler: str | None = None,
    connect: Connect | None = None,
) -> Trial:
    """Run every arm with every seed.

    Args:
        folder: of the trial; made if it is not there, and empty unless `resume`, which goes on with the
            runs that have not finished.
        jobs: processes at a time, of one thread each; by default one a core, or one on a GPU; fewer, of several threads
            each, where the memory would not do.
        together: seeds of an arm that a process steps in one go; by default more on small lattices, as long as
            every process has work. The result does not depend on it.
        rerun: on going on, run again what depends on a scenario, an input or a program that has changed since,
            instead of refusing.
        progress: called with the number of finished runs and of all.
        scheduler: the address of a Dask scheduler whose workers see the folder, instead of new ones on this machine.
        connect: gives the workers.

    Raises `ScenarioError`, `ResultError`, `BackendError`, and what a run raises.
    """
    trial = scenario.document.trial
    if trial is None:
        raise ScenarioError(f"{scenario.document.name}: has no arms; expected a 'trial'")
    folder = Path(folder)
    runs = runs_of_trial(scenario)
    jobs, threads = (jobs, 1) if jobs else shares_of(scenario.arm(scenario.arms[0]), backend, together or 1)
    go_on = f"gpusim run --resume {quote(str(folder))}"
    done = 0

    def tell(run: Run, how: Ended) -> None:
        nonlocal done
        if isinstance(how, GpusimError):
            raise how
        if isinstance(how, Exception):
            raise ResultError(
                f"{folder}: arm '{run.arm}', seed {run.seed}: {reason(how)}; finished runs are kept; "
                f"to continue: {go_on}"
            )
        done += 1
        progress(done, len(runs))

    with contextlib.ExitStack() as stack:
        if not resume and folder.is_dir() and not is_empty(folder):
            raise ResultError(f"{folder}: is not empty; give another folder with -o, or --resume {quote(str(folder))}")
        stack.enter_context(owned(folder))
        with explained(folder):
            agree(folder, Provenance.of(scenario), rerun=rerun)
        put(folder, TRIAL, scenario.to_yaml())
        batch = together or (1 if scheduler else _together(scenario, len(runs) // jobs, backend))
        setting = Setting(folder.absolute(), backend, 1 if scheduler else threads, batch, go_on=go_on)

        def begin() -> Workers:
            """Something is missing: the trial has not finished."""
            (folder / TABLE).unlink(missing_ok=True)
            sums.add(folder)
            return connect() if connect else stack.enter_context(workers(min(jobs, len(runs)), scheduler))

        frame = table(runs, execute(begin, runs, setting, tell), {})[["arm", "seed", *columns(trial.outcomes)]]
        put(folder, TABLE, frame.to_csv(index=False))
    return Trial(folder, scenario, frame)


def _together(scenario: Scenario, share: int, backend: str) -> int:
    """How many seeds to step in one go, where nobody says; at most half of a process's `share` of the runs."""
    shapes = (scenario.site(name).document.grid.shape for name in scenario.sites)
    voxels = sum(math.prod(shape) for shape in shapes if shape is not None)
    enough = ENOUGH_ON_GPU if on_gpu(backend) else ENOUGH_ON_CPU
    return max(1, min(share // 2, enough // max(1, voxels)))
