"""`gpusim sweep`, `sensitivity`, `fit`: many runs."""

from __future__ import annotations

import contextlib
import functools
import importlib
import itertools
import signal
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpusim.cli.app import app, err, new_table, out, tell_notes
from gpusim.cli.progress import Log, LogOption, progress
from gpusim.errors import BackendError, ResultError
from gpusim.memory import available

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

    from gpusim.ensemble.design import Point
    from gpusim.ensemble.execution import Connect, Ended, Setting
    from gpusim.ensemble.study import Run, Study

StudyArgument = Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="A study file.")]
OutputOption = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="OUT", help="Folder of the study.", show_default="results/NAME")
]
BackendOption = Annotated[str, typer.Option(help="auto, cuda, cpu or numpy.")]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        min=1, help="Worker processes on this machine.", show_default="one a core, or one where there is a GPU"
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(min=1, help="Threads of the cpu backend in each worker.", show_default="its share of the cores"),
]
TogetherOption = Annotated[
    int,
    typer.Option(
        min=1, metavar="N", help="Replicates that a worker steps in one go; for small lattices, and on a GPU."
    ),
]
RerunOption = Annotated[
    bool,
    typer.Option(
        "--rerun-changed",
        help="Run again what depends on an input file or a program that has changed since; refused without it.",
    ),
]
SchedulerOption = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="A running Dask scheduler, as in tcp://host:8786.")
]

_LOOPBACK = "127.0.0.1:0"
DashboardOption = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT",
        help="Where Dask's page on the workers of this machine is served; 0.0.0.0:PORT shows it to others too.",
    ),
]


@app.command()
def sweep(
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
) -> None:
    """Run a scenario at many points, in several arms, with replicates; leaves one table.

    Finished runs are kept: after Ctrl-C, a kill or a change of the study, the same command runs only
    what is missing.
    """
    design = _module("design")
    with _session(
        study, output, backend, workers, threads, together, scheduler, dashboard, rerun_changed, log
    ) as session:
        frame = session.run(session.study, design.points(session.study.document))
        path = session.save(frame, "table.parquet")
    _summary(session.study, frame)
    out.print(f"table    {path} ({len(frame):,} rows)")
    _failures(frame)


@app.command()
def sensitivity(
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
) -> None:
    """Tell which parameters the outcomes of a study depend on (Morris, Sobol); resumes as 'sweep' does."""
    module = _module("sensitivity")
    with _session(
        study, output, backend, workers, threads, together, scheduler, dashboard, rerun_changed, log
    ) as session:
        method = session.study.document.sensitivity
        if method is None or not session.study.document.parameters:
            raise ResultError(f"{study}: needs 'parameters', and 'sensitivity: {{method: morris}}' or sobol")
        frame, repeats = module.table(session.study, method, session.run)
        session.save(frame, "sensitivity-runs.parquet")
        _failures(frame, fatal=False)
        if repeats is not None:
            session.save(repeats, "sensitivity-repeats.parquet")
            _failures(repeats, fatal=False)
        found = module.analyse(session.study, method, frame, repeats)
        path = session.save(found, "sensitivity.parquet")
    names = list(found.columns[3:])
    table = new_table("outcome", "arm", "parameter", *(name.replace("_", " ") for name in names))
    for row in found.to_dict("records"):
        table.add_row(row["outcome"], row["arm"], row["parameter"], *(f"{row[name]:.3g}" for name in names))
    out.print(table)
    out.print("noise: what a parameter without any effect stays below with a probability of 0.95, by its seeds alone")
    out.print(f"indices  {path}")


@app.command()
def fit(
    study: StudyArgument,
    data: Annotated[
        Path,
        typer.Option(metavar="TABLE.csv", help="Measured values: a column 'day', 'h' or 'min', then one per outcome."),
    ],
    output: OutputOption = None,
    backend: BackendOption = "auto",
    workers: WorkersOption = None,
    threads: ThreadsOption = None,
    together: TogetherOption = 1,
    scheduler: SchedulerOption = None,
    dashboard: DashboardOption = _LOOPBACK,
    rerun_changed: RerunOption = False,
    log: LogOption = Log.text,
) -> None:
    """Estimate a study's parameters from measured values over time, with 95% intervals; resumes as 'sweep' does."""
    module, problem = _module("fit"), _module("problem")
    with _session(
        study, output, backend, workers, threads, together, scheduler, dashboard, rerun_changed, log
    ) as session:
        table = _module("measured").Data.read(data, session.study)
        posed = problem.pose(session.study, table, session.setting)
        spec = session.study.document.fit
        by_abc = spec.method == "abc"
        what = (
            f"at most {spec.populations} populations of {spec.particles} particles"
            if by_abc
            else f"{spec.trials} trials"
        )
        out.print(f"{session.study.document.name}: {len(table.values)} measured values; {spec.method}, {what}")
        total = spec.particles * (spec.populations + 1) if by_abc else spec.trials
        with progress(session.study.document.name, total, "particles" if by_abc else "trials", log) as tell:
            done = itertools.count(1)
            found = module.fit(posed, session.connect, lambda: tell(next(done)))
        estimates = new_table("parameter", "unit", "estimate", "95% from", "to")
        for row in found.estimates:
            numbers = (row.estimate, row.low, row.high)
            estimates.add_row(row.parameter, row.unit, *(f"{number:.4g}" for number in numbers))
        frame = module.frame(found.estimates)
        path = session.save(frame, "estimates.parquet")
        session.save(found.points, "particles.parquet" if by_abc else "trials.parquet")
    out.print(estimates)
    out.print(
        f"seeds      runs that differ by their seed alone differ by {found.seeds:.1%} (standard deviation of a value); "
        f"{found.share:.0%} of the variance of a measured value"
    )
    for note in found.notes:
        err.print(f"gpusim: note: {note}")
    out.print(f"estimates  {path}")


class _Session:
    """A study with its folder and its cluster."""

    def __init__(self, study: Study, setting: Setting, connect: Connect, log: Log) -> None:
        self.study = study
        self.setting = setting
        self.connect = connect
        self.log = log

    def run(self, study: Study, points: list[Point]) -> pd.DataFrame:
        """Run points of the session's study, or of one that differs by its replicates, and say how far that is."""
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

            return _module("sweep").sweep(study, points, self.setting, self.connect, ended)

    def save(self, frame: pd.DataFrame, name: str) -> Path:
        """Write a table into the study's folder."""
        from gpusim.record import sums
        from gpusim.record.files import explained

        path = self.setting.folder / name
        with explained(self.setting.folder):
            _module("sweep").save(frame, path)
            sums.add(self.setting.folder, name)
        return path


@contextlib.contextmanager
def _session(
    path: Path,
    output: Path | None,
    backend: str,
    workers: int | None,
    threads: int | None,
    together: int,
    scheduler: str | None,
    dashboard: str,
    rerun: bool,
    log: Log,
) -> Iterator[_Session]:
    """Load a study, take its folder, start its workers. Ctrl-C and SIGTERM end it with what is finished kept."""
    from gpusim.record.files import explained, locked

    if scheduler is not None and dashboard != _LOOPBACK:
        raise typer.BadParameter("--dashboard is that of this machine's workers; --scheduler has its own")
    if scheduler is not None and workers is not None:
        raise typer.BadParameter("--workers are those of this machine; --scheduler has its own")
    study: Study = _module("study").Study.load(path)
    execution = _module("execution")
    folder = (output or Path("results") / study.document.name).absolute()
    own, each = _shares(study, backend, together)
    if workers is not None:
        own, each = workers, max(1, own * each // workers)
    threads = threads or (each if scheduler is None else 1)
    stores = study.document.keep == "stores"
    setting = execution.Setting(folder, study.columns, backend, threads, stores, together, rerun)
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = locked(folder)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _note_study(folder, path)
        tell_notes(study.notes)
        with contextlib.ExitStack() as stack:
            connect = functools.cache(
                lambda: _connected(stack.enter_context(execution.cluster(scheduler, own, dashboard)))
            )
            yield _Session(study, setting, connect, log)
    except KeyboardInterrupt:
        err.print("gpusim: stopped; finished runs are kept, and the same command goes on with the others")
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)
        lock.release()


def _note_study(folder: Path, path: Path) -> None:
    """Keep the study file; refuse a folder that holds something else."""
    from gpusim.record import sums
    from gpusim.record.files import explained, is_empty, remove_unready, write_text

    names = _module("folder")
    if not is_empty(folder) and not (folder / names.RUNS).is_dir():
        raise ResultError(f"{folder}: holds other files than a study; give another folder with -o")
    with explained(folder):
        remove_unready(folder)
        (folder / names.RUNS).mkdir(exist_ok=True)
        write_text(folder / names.STUDY, path.read_text(encoding="utf-8"))
        sums.add(folder, names.STUDY)


def _shares(study: Study, backend: str, together: int) -> tuple[int, int]:
    """Workers and threads for the runs of a study on this machine."""
    from gpusim.engine.memory import of_copies, on_backend
    from gpusim.model import build
    from gpusim.scenario import Scenario

    first = {path: p.low if hasattr(p, "low") else p[0] for path, p in study.document.parameters.items()}
    scenario = Scenario(study.scenario(next(iter(study.document.arms)), first))
    models = [build(scenario.site(name)) for name in scenario.sites]
    needed = together * sum(map(on_backend, models)) + max(map(of_copies, models))
    return _module("execution").shares(needed, available(), backend)


def _connected(client: Client) -> Client:
    count = len(client.nthreads())
    out.print(f"on {count} worker{'s' if count != 1 else ''}, seen at {client.dashboard_link}")
    return client


def _module(name: str) -> ModuleType:
    """A module of the ensemble layer; raises `BackendError` where its libraries are not installed."""
    try:
        return importlib.import_module(f"gpusim.ensemble.{name}")
    except ImportError as error:
        raise BackendError(f"studies need {error.name}: pip install 'gpusim[study]'") from None


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
        err.print(f"gpusim: {len(failed)} of {len(frame)} runs failed; the same command tries them again")
        raise typer.Exit(1)
