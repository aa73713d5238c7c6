"""`gpusim sweep`, `sensitivity`, `fit`, `robustness`: many runs."""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpusim.cli.app import SetOption, app, err, load, new_table, out, stoppable, tell_notes
from gpusim.cli.progress import Log, LogOption, progress
from gpusim.errors import BackendError, ResultError

if TYPE_CHECKING:
    import pandas as pd

    from gpusim.scenario import Scenario
    from gpusim.study.design import Point
    from gpusim.study.execution import Connect, Ended, Setting, Workers
    from gpusim.study.robustness import Sets
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
_ROWS = 50
"""Rows of a printed table of points, at most."""
_USED_BY = {"design": "sweep", "sensitivity": "sensitivity", "fit": "fit"}
"""The command that a key of a study belongs to."""
FIGURES = "figures"
"""Folder of a study's figures."""
DashboardOption = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT",
        help="Address of the Dask dashboard; 0.0.0.0:PORT makes it accessible to other machines.",
    ),
]


@dataclass(frozen=True)
class _Loaded:
    """What is run many times.

    Attributes:
        text: to be kept in the folder.
        first: one of the scenarios, for the memory of a run.
        name: of the folder.
        sets: of a trial.
    """

    study: Study
    text: str
    first: Scenario
    notes: Sequence[str]
    name: str
    sets: Sets | None = None


def _study(study: StudyArgument) -> _Loaded:
    from gpusim.scenario import Scenario
    from gpusim.study.runs import Study

    found = Study.load(study)
    first = Scenario(found.scenario(next(iter(found.document.arms))))
    return _Loaded(found, study.read_text(encoding="utf-8"), first, found.notes, found.document.name)


def _trial(
    trial: Annotated[str, typer.Argument(help="A shipped scenario with arms, or a YAML file.", show_default=False)],
    sets: Annotated[
        int | None,
        typer.Option(metavar="N", help="Number of sets.", show_default="trial.vary.sets, or 24"),
    ] = None,
    changes: SetOption = None,
) -> _Loaded:
    from gpusim.study.robustness import Sets
    from gpusim.study.trial import trial_notes

    scenario = load(trial, changes)
    if sets is not None and scenario.arms:
        scenario = scenario.with_(trial={"vary": {"sets": sets}})
    found = Sets.of(scenario)
    first, name = scenario.arm(scenario.arms[0]), f"{scenario.document.name}-robustness"
    return _Loaded(found.study, scenario.to_yaml(), first, trial_notes(scenario), name, found)


class _Session:
    """A study with its folder and its workers."""

    def __init__(self, loaded: _Loaded, setting: Setting, connect: Connect, log: Log) -> None:
        self.loaded = loaded
        self.study = loaded.study
        self.setting = setting
        self.connect = connect
        self.log = log

    def run(self, study: Study, points: list[Point]) -> pd.DataFrame:
        """Run points of the session's study, or of one that differs by its replicates, and say how far that is."""
        from gpusim.study.sweep import sweep

        document = study.document
        total = len(points) * len(document.arms) * document.replicates
        out.print(
            f"{document.name}: {_several(len(points), 'point')}, {_several(len(document.arms), 'arm')}, "
            f"{_several(document.replicates, 'replicate')}: {_several(total, 'run')}"
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

    def draw(self) -> None:
        """Draw the figures of the study into its folder, if what draws is installed."""
        from gpusim.record.files import explained
        from gpusim.study.answer import Answer
        from gpusim.viz import require

        try:
            require()
        except ResultError as error:
            err.print(f"gpusim: note: no figures: {error}")
            return
        from gpusim.viz.report.studies import save_figures

        folder = self.setting.folder
        with explained(folder):
            for path in save_figures(Answer.open(folder), folder / FIGURES):
                out.print(f"figure   {path}")


@contextlib.contextmanager
def _session(
    loaded: _Loaded,
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
    """Take the folder of a study, start workers where they are needed. Ctrl-C ends it with what is finished kept."""
    from gpusim.study import execution
    from gpusim.study.folder import owned
    from gpusim.study.sweep import note_study

    if scheduler is not None and dashboard != _LOOPBACK:
        raise typer.BadParameter("--dashboard applies only to workers on this machine; a scheduler has its own")
    if scheduler is not None and workers is not None:
        raise typer.BadParameter("--workers applies only to workers on this machine; a scheduler has its own")
    folder = (output or Path("results") / loaded.name).absolute()
    count, each = execution.shares_of(loaded.first, backend, together, workers)
    threads = threads or (each if scheduler is None else 1)
    setting = execution.Setting(folder, backend, threads, together, rerun_changed)
    with stoppable("the same command continues with the others"), owned(folder), contextlib.ExitStack() as stack:
        note_study(folder, loaded.text)
        tell_notes(loaded.notes)

        @functools.cache
        def connect() -> Workers:
            started = stack.enter_context(execution.workers(count, scheduler, dashboard))
            seen = f", dashboard {started.page}" if started.page else ""
            out.print(f"on {started.count} worker{'s' if started.count != 1 else ''}{seen}")
            return started

        yield _Session(loaded, setting, connect, log)


def _unused(keys: Set[str], command: str) -> list[str]:
    """Notes on keys of a study that another command uses."""
    return [
        f"'{key}' of the study has no effect here; 'gpusim {other}' uses it"
        for key, other in _USED_BY.items()
        if key in keys and other != command
    ]


def _of_a_study(
    command: Callable[..., None], loading: Callable[..., _Loaded] = _study, without: Sequence[str] = ()
) -> None:
    """Make a command of a function of a session: with what is loaded, and the options that all of them share.

    Args:
        without: those of them that would have no effect.
    """
    loads = inspect.signature(loading, eval_str=True).parameters
    _, *every = inspect.signature(_session, eval_str=True).parameters.values()
    shared = [each for each in every if each.name not in without]
    _, *own = inspect.signature(command, eval_str=True).parameters.values()

    def run(**given: Any) -> None:
        try:
            if loading is _study:
                import pyarrow  # noqa: F401 -- for the tables, without which no run is worth its time
            loaded = loading(**{name: given.pop(name) for name in loads})
            if loading is _study:
                unused = _unused(loaded.study.document.model_fields_set, command.__name__)
                loaded = replace(loaded, notes=[*loaded.notes, *unused])
            with _session(loaded, **{each.name: given.pop(each.name) for each in shared}) as session:
                command(session, **given)
        except ImportError as error:
            raise BackendError(f"studies need {error.name}: pip install 'gpusim[study]'") from None

    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*loads.values(), *shared, *own)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    app.command(command.__name__, help=command.__doc__)(run)


@_of_a_study
def sweep(session: _Session) -> None:
    """Run a scenario at many points, in several arms, with replicates, and write one table.

    Finished runs are kept. After Ctrl-C, a kill or a change of the study, the same command runs only what is missing.
    """
    from gpusim.study.answer import RUNS, by_point
    from gpusim.study.design import points

    frame = session.run(session.study, points(session.study.document))
    path = session.save(frame, RUNS)
    points_of = by_point(frame, session.study.document)
    session.save(points_of, "points.parquet")
    _points_table(session.study, points_of)
    out.print(f"table    {path} ({len(frame):,} rows), points.parquet ({len(points_of):,} rows), and both as CSV")
    session.draw()
    _failures(frame)


@_of_a_study
def sensitivity(session: _Session) -> None:
    """Calculate sensitivity indices of the outcomes for the parameters (Morris, Sobol); can be resumed like 'sweep'."""
    from gpusim.study.answer import INDICES
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
    path = session.save(found, INDICES)
    names = list(found.columns[3:])
    shown = new_table("outcome", "arm", "parameter", *(name.replace("_", " ") for name in names))
    for row in found.to_dict("records"):
        shown.add_row(row["outcome"], row["arm"], row["parameter"], *(f"{row[name]:.3g}" for name in names))
    out.print(shown)
    out.print("noise: 95th percentile of the index of a parameter without effect")
    out.print(f"indices  {path}")
    session.draw()


@_of_a_study
def fit(
    session: _Session,
    data: Annotated[
        Path,
        typer.Option(metavar="TABLE.csv", help="Measured values: a column 'day', 'h' or 'min', then one per outcome."),
    ],
) -> None:
    """Estimate parameters from measured values over time, with 95% intervals; can be resumed like 'sweep'."""
    from gpusim.study.answer import AGAINST, ESTIMATES, PARTICLES
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
    path = session.save(frame(found.estimates), ESTIMATES)
    session.save(found.particles, PARTICLES)
    session.save(found.against, AGAINST)
    if found.trials is not None:
        session.save(found.trials, "trials.parquet")
    out.print(estimates)
    out.print(
        f"seeds      runs that differ by their seed alone differ by {found.seeds:.1%} (standard deviation of a value); "
        f"{found.share:.0%} of the variance of a measured value"
    )
    for note in found.notes:
        err.print(f"gpusim: note: {note}")
    out.print(f"estimates  {path}")
    session.draw()


def robustness(session: _Session) -> None:
    """Print the share of plausible sets of numbers in which each expected order of a trial holds.

    A set is drawn from the ranges of the scenario's numbers ('trial.vary'); all arms are run once for each set.

    Finished runs are kept. After Ctrl-C or a kill, or with more sets, the same command runs only what is missing.
    """
    from gpusim.study.robustness import HEAD, REFUSED, Robustness

    sets = session.loaded.sets
    assert sets is not None, "of a trial"
    free, tied = len(sets.study.document.parameters) - len(sets.tied), len(sets.tied)
    out.print(
        f"numbers  {free} vary, {tied} equal one of these, {sets.fixed} have a range of one value, {sets.unsourced} "
        "have no source"
    )
    found = Robustness(sets.scenario, sets.table(session.run))
    found.save(session.setting.folder)
    shown = new_table(*HEAD)
    for row in found.rows():
        shown.add_row(*row)
    out.print(shown)
    for remark in found.remarks():
        out.print(remark)
    out.print(f"tables   {session.setting.folder / 'sets.csv'}, orders.csv")
    _failures(found.table[~found.table["failure"].str.startswith(REFUSED)])


_of_a_study(robustness, _trial, without=["together"])  # one run of an arm at each set


def _several(count: int, what: str) -> str:
    """A number of things: "1 arm", "1,000 points"."""
    return f"{count:,} {what}" + "s" * (count != 1)


def _points_table(study: Study, points: pd.DataFrame) -> None:
    """A row for each point and arm: the parameters, then median and range of each outcome."""
    from gpusim.study.answer import label, spread

    parameters = list(study.document.parameters)
    arms = ["arm"] if len(study.document.arms) > 1 else []
    table = new_table(*arms, *(label(points, p) for p in parameters), *study.columns)
    for row in points.head(_ROWS).to_dict("records"):
        values = (row[p] if isinstance(row[p], str) else f"{row[p]:.4g}" for p in parameters)
        table.add_row(*(str(row[a]) for a in arms), *values, *(spread(row, name) for name in study.columns))
    out.print(table)
    out.print("median (lowest to highest) of the replicates")
    if len(points) > _ROWS:
        out.print(f"{len(points) - _ROWS:,} more rows are in points.csv")


def _failures(frame: pd.DataFrame, *, fatal: bool = True) -> None:
    """List the runs with no outcomes, and end with exit code 1 where there are any."""
    failed = frame[frame["failure"] != ""]
    for row in failed.to_dict("records"):
        run = ", ".join(f"{key} {row[key]!r}" for key in ("point", "set", "arm", "replicate") if key in row)
        err.print(f"gpusim: {run} failed: {row['failure']}")
    if len(failed) and fatal:
        err.print(f"gpusim: {len(failed)} of {len(frame)} runs failed; the same command repeats them")
        raise typer.Exit(1)
