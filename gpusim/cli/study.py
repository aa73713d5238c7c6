"""`gpusim sweep`, `sensitivity`, `fit`: many runs."""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpusim.cli.app import app, err, new_table, out, stoppable, tell_notes
from gpusim.cli.progress import Log, LogOption, progress
from gpusim.errors import BackendError, ResultError

if TYPE_CHECKING:
    import pandas as pd

    from gpusim.study.design import Point
    from gpusim.study.execution import Connect, Ended, Setting, Workers
    from gpusim.study.runs import Run, Study

StudyArgument = Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="A study file.")]
OutputOption = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="OUT", help="Result folder of the study.", show_default="results/NAME"),
]
BackendOption = Annotated[str, typer.Option(help="auto, cuda, cpu or numpy.")]
WorkersOption = Annotated[
    int | None,
    typer.Option(min=1, help="Worker processes on this machine.", show_default="one per core; one with a GPU"),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(min=1, help="Threads of the cpu backend in each worker.", show_default="an equal share of the cores"),
]
TogetherOption = Annotated[
    int,
    typer.Option(
        min=1, metavar="N", help="Number of replicates that a worker steps together, for small lattices and GPUs."
    ),
]
RerunOption = Annotated[
    bool,
    typer.Option(
        "--rerun-changed",
        help="Repeat the runs that depend on a changed input file or program, instead of stopping with an error.",
    ),
]
SchedulerOption = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Address of a running Dask scheduler, e.g. tcp://host:8786.")
]

_LOOPBACK = "127.0.0.1:0"
DashboardOption = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT",
        help="Address of the Dask dashboard; 0.0.0.0:PORT makes it accessible to other machines.",
    ),
]


class _Session:
    """A study with its folder and its workers."""

    def __init__(self, study: Study, setting: Setting, connect: Connect, log: Log) -> None:
        self.study = study
        self.setting = setting
        self.connect = connect
        self.log = log

    def run(self, study: Study, points: list[Point]) -> pd.DataFrame:
        """Run points of the session's study, or of one that differs by its replicates, and say how far that is."""
        from gpusim.study.sweep import sweep

        document = study.document
        total = len(points) * len(document.arms) * document.replicates
        out.print(
            f"{document.name}: {len(points):,} points, {len(document.arms)} arms, {document.replicates} replicates: "
            f"{total:,} runs"
        )
        with progress(document.name, total, "runs", self.log) as tell:
            done = failed = 0

            def ended(run: Run, how: Ended) -> None:
                nonlocal done, failed
                done, failed = done + 1, failed + isinstance(how, Exception)
                tell(done, lambda: {"failed": failed})

            return sweep(study, points, self.setting, self.connect, ended)

    def save(self, frame: pd.DataFrame, name: str) -> Path:
        """Write a table into the study's folder."""
        from gpusim.study.sweep import save

        return save(frame, self.setting.folder / name)


@contextlib.contextmanager
def _session(
    study: StudyArgument,
    output: OutputOption = None,
    backend: BackendOption = "auto",
    workers: WorkersOption = None,
    threads: ThreadsOption = None,
    together: TogetherOption = 1,
    scheduler: SchedulerOption = None,
    dashboard: DashboardOption = _LOOPBACK,
    rerun_changed: RerunOption = False,
    log: LogOption = Log.text,
) -> Iterator[_Session]:
    """Load a study, take its folder, start workers where they are needed. Ctrl-C ends it with what is finished kept."""
    import pyarrow  # noqa: F401 -- for the tables, without which no run is worth its time

    from gpusim.scenario import Scenario
    from gpusim.study import execution
    from gpusim.study.folder import owned
    from gpusim.study.runs import Study
    from gpusim.study.sweep import note_study

    if scheduler is not None and dashboard != _LOOPBACK:
        raise typer.BadParameter("--dashboard applies only to workers on this machine; a scheduler has its own")
    if scheduler is not None and workers is not None:
        raise typer.BadParameter("--workers applies only to workers on this machine; a scheduler has its own")
    loaded = Study.load(study)
    folder = (output or Path("results") / loaded.document.name).absolute()
    first = Scenario(loaded.scenario(next(iter(loaded.document.arms))))
    count, each = execution.shares_of(first, backend, together, workers)
    threads = threads or (each if scheduler is None else 1)
    setting = execution.Setting(folder, backend, threads, together, rerun_changed)
    with stoppable("the same command continues with the others"), owned(folder), contextlib.ExitStack() as stack:
        note_study(folder, study.read_text(encoding="utf-8"))
        tell_notes(loaded.notes)

        @functools.cache
        def connect() -> Workers:
            started = stack.enter_context(execution.workers(count, scheduler, dashboard))
            seen = f", dashboard {started.page}" if started.page else ""
            out.print(f"on {started.count} worker{'s' if started.count != 1 else ''}{seen}")
            return started

        yield _Session(loaded, setting, connect, log)


def _of_a_study(command: Callable[..., None]) -> None:
    """Make a command of a function of a session: with the study, and the options that all of them share."""
    shared = inspect.signature(_session, eval_str=True).parameters
    _, *own = inspect.signature(command, eval_str=True).parameters.values()

    def run(**given: Any) -> None:
        try:
            with _session(**{name: given.pop(name) for name in shared}) as session:
                command(session, **given)
        except ImportError as error:
            raise BackendError(f"studies need {error.name}: pip install 'gpusim[study]'") from None

    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*shared.values(), *own)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    app.command(command.__name__, help=command.__doc__)(run)


@_of_a_study
def sweep(session: _Session) -> None:
    """Run a scenario at many points, in several arms, with replicates, and write one table.

    Finished runs are kept. After Ctrl-C, a kill or a change of the study, the same command runs only what is missing.
    """
    from gpusim.study.design import points

    frame = session.run(session.study, points(session.study.document))
    path = session.save(frame, "table.parquet")
    _summary(session.study, frame)
    out.print(f"table    {path} ({len(frame):,} rows)")
    _failures(frame)


@_of_a_study
def sensitivity(session: _Session) -> None:
    """Calculate sensitivity indices of the outcomes for the parameters (Morris, Sobol); can be resumed like 'sweep'."""
    from gpusim.study.sensitivity import analyse, table

    study, method = session.study, session.study.document.sensitivity
    if method is None or not study.document.parameters:
        raise ResultError(f"{study.document.name}: needs 'parameters', and 'sensitivity: {{method: morris}}' or sobol")
    frame, repeats = table(study, method, session.run)
    session.save(frame, "sensitivity-runs.parquet")
    _failures(frame, fatal=False)
    if repeats is not None:
        session.save(repeats, "sensitivity-repeats.parquet")
        _failures(repeats, fatal=False)
    found = analyse(study, method, frame, repeats)
    path = session.save(found, "sensitivity.parquet")
    names = list(found.columns[3:])
    shown = new_table("outcome", "arm", "parameter", *(name.replace("_", " ") for name in names))
    for row in found.to_dict("records"):
        shown.add_row(row["outcome"], row["arm"], row["parameter"], *(f"{row[name]:.3g}" for name in names))
    out.print(shown)
    out.print("noise: 95th percentile of the index of a parameter without effect")
    out.print(f"indices  {path}")


@_of_a_study
def fit(
    session: _Session,
    data: Annotated[
        Path,
        typer.Option(metavar="TABLE.csv", help="Measured values: a column 'day', 'h' or 'min', then one per outcome."),
    ],
) -> None:
    """Estimate parameters from measured values over time, with 95% intervals; can be resumed like 'sweep'."""
    from gpusim.study.fit import fit as fitted
    from gpusim.study.fit import frame
    from gpusim.study.measured import Data
    from gpusim.study.problem import pose

    document = session.study.document
    table = Data.read(data, session.study)
    posed = pose(session.study, table, session.setting)
    spec = document.fit
    by_abc = spec.method == "abc"
    what = (
        f"at most {spec.populations} populations of {spec.particles} particles" if by_abc else f"{spec.trials} trials"
    )
    out.print(f"{document.name}: {len(table.values)} measured values; {spec.method}, {what}")
    total = spec.particles * (spec.populations + 1) if by_abc else spec.trials
    with progress(document.name, total, "particles" if by_abc else "trials", session.log) as tell:
        done = itertools.count(1)
        found = fitted(posed, session.connect, lambda: tell(next(done)))
    estimates = new_table("parameter", "unit", "estimate", "95% from", "to")
    for row in found.estimates:
        estimates.add_row(row.parameter, row.unit, *(f"{x:.4g}" for x in (row.estimate, row.low, row.high)))
    path = session.save(frame(found.estimates), "estimates.parquet")
    session.save(found.points, "particles.parquet" if by_abc else "trials.parquet")
    out.print(estimates)
    out.print(
        f"seeds      runs that differ by their seed alone differ by {found.seeds:.1%} (standard deviation of a value); "
        f"{found.share:.0%} of the variance of a measured value"
    )
    for note in found.notes:
        err.print(f"gpusim: note: {note}")
    out.print(f"estimates  {path}")


def _summary(study: Study, frame: pd.DataFrame) -> None:
    """Each outcome by arm: mean and spread over points and replicates."""
    table = new_table("outcome", "arm", "runs", "mean", "standard deviation", "lowest", "highest")
    for name in study.columns:
        for arm in study.document.arms:
            values = frame.loc[frame["arm"] == arm, name].dropna()
            spread = values.std() if len(values) > 1 else 0.0
            numbers: list[Any] = [values.mean(), spread, values.min(), values.max()]
            table.add_row(name, arm, f"{len(values):,}", *(f"{number:.4g}" for number in numbers))
    out.print(table)


def _failures(frame: pd.DataFrame, *, fatal: bool = True) -> None:
    """List the runs with no outcomes, and end with exit code 1 where there are any."""
    failed = frame[frame["failure"] != ""]
    for row in failed.to_dict("records"):
        err.print(
            f"gpusim: point {row['point']}, arm '{row['arm']}', replicate {row['replicate']} failed: {row['failure']}"
        )
    if len(failed) and fatal:
        err.print(f"gpusim: {len(failed)} of {len(frame)} runs failed; the same command repeats them")
        raise typer.Exit(1)
