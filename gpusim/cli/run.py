"""`gpusim run`."""

from __future__ import annotations

import contextlib
import math
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

import gpusim
from gpusim.cli.app import SetOption, app, err, load, new_table, out, placements, shapes_of, tell_notes
from gpusim.cli.progress import Log, LogOption, Tell, progress
from gpusim.cli.trial import carry_out, go_on
from gpusim.errors import ScenarioError
from gpusim.units import duration

if TYPE_CHECKING:
    import pandas as pd

    from gpusim.backends.base import Backend
    from gpusim.model import Model
    from gpusim.scenario import Scenario

_PICTURE = ("--at", "start, peak, end", "--size", "2400x720")
_PICTURE_SECONDS = 300
"""Longest time for the picture at the end."""


@app.command()
def run(
    context: typer.Context,
    scenario: Annotated[
        str | None, typer.Argument(help="A shipped scenario (see 'gpusim presets') or a YAML file.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="OUT", help="Result folder.", show_default="results/NAME")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume", metavar="OUT", help="Continue a stopped run from its last checkpoint; without SCENARIO."
        ),
    ] = None,
    origin: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="OUT",
            help="Start from the state of an earlier run at the time --at, with the changes of --set or another "
            "--until; without SCENARIO.",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="With --from: simulated time.", show_default="the end of that run"),
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            help="auto, cuda, cpu or numpy; under mpirun, slabs or slabs:cuda to divide the lattice among processes."
        ),
    ] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads of the cpu backend.", show_default="all cores; slabs: one per process"),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed that replaces the scenario's.")] = None,
    replicates: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Run N seeds, the given seed and the next ones, together in one process, each with a result in "
            "OUT/SEED. For a scenario with arms: N seeds of each arm.",
        ),
    ] = None,
    together: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="For a scenario with arms: number of seeds that one process steps together.",
            show_default="depends on the size of the lattice",
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="For a scenario with arms: address of a running Dask scheduler, e.g. tcp://host:8786, whose workers "
            "have access to OUT.",
        ),
    ] = None,
    arm: Annotated[
        str | None, typer.Option(metavar="ARM", help="For a scenario with arms: run only this arm, once.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Duration that replaces the scenario's, e.g. '12 h'.")
    ] = None,
    sets: SetOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result in OUT.")] = False,
    rerun_changed: Annotated[
        bool,
        typer.Option(
            "--rerun-changed",
            help="With --resume: repeat the runs that depend on a changed scenario, input file or program, instead of "
            "stopping with an error.",
        ),
    ] = False,
    picture: Annotated[bool, typer.Option("--picture/--no-picture", help="Draw a picture at the end.")] = True,
    log: LogOption = Log.text,
) -> None:
    """Run a scenario, and write snapshots, counts, a summary and a picture to a folder.

    For a scenario with arms, run each arm with several seeds, and print whether the expected orders held.

    Ctrl-C stops after the present time step and writes a checkpoint; '--resume OUT' continues with the same bits.
    """
    from gpusim.analysis import watched_states
    from gpusim.backends import create, is_slabs
    from gpusim.record import Result, StopSignals, layout
    from gpusim.record.recorder import require_unfinished
    from gpusim.study.folder import is_trial
    from gpusim.study.trial import trial_notes

    if origin is not None:
        _require_only(context, _WITH_FROM, "--from goes on from the run of the folder")
    elif at is not None:
        raise typer.BadParameter("--at requires --from")
    if resume is not None:
        _require_resume_alone(context, resume)
    elif rerun_changed:
        raise typer.BadParameter("--rerun-changed requires --resume")
    # With slabs, all ranks but the first stay in this call and execute the orders of the first.
    machine = create(backend, threads) if is_slabs(backend) else backend
    if resume is not None:
        if is_trial(resume):
            _require_one_process(backend)
            go_on(resume, backend, threads, together, scheduler, log, rerun=rerun_changed)
            return
        require_unfinished(resume)
        loaded, folder = gpusim.Scenario.load(resume / layout.SCENARIO), resume
    elif origin is not None:
        if not sets and until is None:
            raise typer.BadParameter("--from: expected a change (--set) or another end (--until)")
        folder = output or Path("results") / f"{origin.absolute().name}-branch"
    elif scenario is None:
        raise typer.BadParameter("expected a SCENARIO, --resume OUT or --from OUT")
    else:
        loaded = load(scenario, sets, seed=seed)
        if arm is not None:
            loaded = _arm(loaded, arm)
        if until is not None:
            loaded = loaded.ending(until)
        if loaded.arms:
            _require_one_process(backend)
            if replicates is not None:
                loaded = loaded.with_(trial={"replicates": replicates})
            folder = output or Path("results") / loaded.document.name
            tell_notes(trial_notes(loaded))
            carry_out(loaded, folder, backend, threads, together, scheduler, log)
            return
        folder = output or Path("results") / loaded.document.name
    if together is not None:
        raise typer.BadParameter(
            "--together: applies only to a scenario with arms; --replicates are always stepped together"
        )
    if scheduler is not None:
        raise typer.BadParameter("--scheduler: applies only to a scenario with arms; a single run is carried out here")
    if origin is not None:
        simulation = _branch(origin, at, sets, until, machine, threads, log)
        loaded = simulation.scenario
    else:
        simulation = gpusim.Simulation(loaded, machine, threads=threads, seed=loaded.seeds(replicates or 1))
    model = simulation.model
    folders = [folder if replicates is None else folder / str(seed) for seed in simulation.seeds]
    with simulation:
        with contextlib.ExitStack() as stack:
            asked = stack.enter_context(StopSignals())
            tell: Tell | None = None

            def show(simulation: gpusim.Simulation) -> None:
                nonlocal tell
                if tell is None:
                    _head(simulation, loaded)
                    watched = watched_states(loaded.document)
                    tell = stack.enter_context(
                        progress(model.name, model.until, "steps", log, done=simulation.steps, watched=watched)
                    )
                first = simulation.replicates[0]
                tell(first.steps, lambda: {"minutes": first.minutes, "counts": first.counts})

            gpusim.run(
                simulation,
                folders,
                progress=show,
                stop=lambda _: asked.asked is not None,
                overwrite=overwrite,
                resume=bool(resume),
                rerun=rerun_changed,
            )
        results = folder if replicates is None else folder / "SEED"
        if simulation.steps < model.until and asked.asked:
            err.print(
                f"gpusim: stopped by {asked.asked.name} at {duration(simulation.minutes)} (step {simulation.steps}), "
                f"with a checkpoint; to continue: gpusim run --resume {quote(str(results))}"
            )
            raise typer.Exit(128 + asked.asked)
    found = [Result(each) for each in folders]
    summaries = [each.summary or {} for each in found]
    _report(model, [each.counts for each in found], summaries)
    drawn = _draw(folder) if picture and replicates is None else None
    out.print(f"results  {results}", markup=False)
    if drawn:
        out.print(f"picture  {drawn}", markup=False)
    for summary in summaries:
        of = "" if replicates is None else f"  seed {summary['seed']}"
        out.print(f"digest   {summary['digest']}{of}", markup=False)


_WITH_FROM = ("origin", "at", "sets", "until", "output", "overwrite", "backend", "threads", "log", "picture")
"""Parameters that have an effect with --from."""
_WITH_RESUME = {
    False: ("resume", "rerun_changed", "backend", "threads", "log", "picture"),
    True: ("resume", "rerun_changed", "backend", "threads", "log", "together", "scheduler"),
}
"""Parameters that have an effect with --resume, for a run and for a trial."""


def _require_resume_alone(context: typer.Context, folder: Path) -> None:
    """Raise an error for options that have no effect with --resume."""
    from gpusim.study.folder import is_trial

    _require_only(context, _WITH_RESUME[is_trial(folder)], "--resume uses the scenario of the folder")


def _require_only(context: typer.Context, allowed: Sequence[str], why: str) -> None:
    """Raise an error for options that have no effect beside the first of those allowed."""
    given = [
        option
        for option in context.command.params
        if (source := context.get_parameter_source(option.name or "")) and source.name == "COMMANDLINE"
    ]
    names = {option.name: option.opts[0] if option.opts[0].startswith("-") else "a scenario" for option in given}
    refused = [said for name, said in names.items() if name not in allowed]
    if refused:
        goes = ", ".join(f"--{'set' if name == 'sets' else name.replace('_', '-')}" for name in allowed[1:])
        raise typer.BadParameter(f"{why}, so {', '.join(refused)} would have no effect (allowed: {goes})")


def _branch(
    origin: Path,
    at: str | None,
    sets: list[str] | None,
    until: str | None,
    backend: str | Backend,
    threads: int | None,
    log: Log,
) -> gpusim.Simulation:
    """The simulation that goes on from an earlier run, brought to the time at which it does."""
    from gpusim.record import Result
    from gpusim.scenario import parse_set

    last = int(Result(origin).times[-1])
    with progress(f"the run of {origin}", last, "min", log) as tell:
        found = gpusim.branch(
            origin,
            at=at,
            changes=dict(parse_set(text) for text in sets or []),
            until=until,
            backend=backend,
            threads=threads,
            progress=lambda simulation: tell(int(simulation.minutes)),
        )
    where = f"its checkpoint at step {saved}" if (saved := found.origin["checkpoint_at_step"]) else "time 0"
    out.print(f"goes on from {origin} at {duration(found.minutes)}, reached from {where}, digest {found.digest()}")
    return found


def _require_one_process(backend: str) -> None:
    from gpusim.backends import is_slabs

    if is_slabs(backend):
        raise typer.BadParameter(f"--backend {backend}: runs one arm at a time; expected --arm")


def _arm(scenario: Scenario, name: str) -> Scenario:
    if name not in scenario.arms:
        known = ", ".join(map(repr, scenario.arms)) or "none"
        raise ScenarioError(f"--arm {name}: {scenario.document.name} has no such arm (known: {known})")
    return scenario.arm(name)


def _head(simulation: gpusim.Simulation, scenario: Scenario) -> None:
    """Print what is run."""
    model, seeds = simulation.model, simulation.seeds
    following = f" and the {len(seeds) - 1} that follow" if len(seeds) > 1 else ""
    out.print(
        f"{model.name}: {shapes_of(simulation.models)}, {model.until * model.step:g} min in {model.until} steps, "
        f"seed {seeds[0]}{following}, {_backend(simulation)}",
        markup=False,
    )
    if simulation.steps and not simulation.origin:
        out.print(f"resumed at {duration(simulation.minutes)}, step {simulation.steps}")
    for each in simulation.models.values():
        placements(each)
    tell_notes([*scenario.notes, *(note for each in simulation.models.values() for note in each.notes)])


def _backend(simulation: gpusim.Simulation) -> str:
    backend = simulation.backend
    ranks = f" on {backend.ranks} ranks" if backend.ranks > 1 else ""
    return f"backend {backend.name}{ranks}" + (f" with {backend.threads} threads" if backend.threads > 1 else "")


def _report(model: Model, counts: Sequence[pd.DataFrame], summaries: Sequence[dict[str, Any]]) -> None:
    """Print the outcome of a run, or of its replicates; `counts`: the table of each.

    A run that goes on from an earlier one (--from) begins with the firings of that one, which are not its own.
    """
    from gpusim.analysis import volume_label, whole

    start = [each.iloc[0] for each in counts]

    def of_all(what: str, name: str) -> list[float]:
        return [summary[what][name] for summary in summaries]

    spread = ", median (lowest to highest)" if len(summaries) > 1 else ""
    cells = new_table("cells", "at start", f"at end{spread}")
    for name in model.states.names:
        before, after = [float(row[f"cells.{name}"]) for row in start], of_all("counts", name)
        if name != "none" and any([*before, *after]):
            cells.add_row(name, _spread(before, ",.10g"), _spread(after, ",.10g"))
    since = f" since {duration(begin)}" if (begin := float(start[0]["minutes"])) else ""
    fired = new_table("rule", f"firings{since}{spread}")
    never = []
    for name in summaries[0]["fired"]:
        own = [after - row[f"fired.{name}"] for row, after in zip(start, of_all("fired", name), strict=True)]
        if any(own):
            fired.add_row(name, _spread(own, ",.10g"))
        else:
            never.append(name)
    sites = summaries[0]["sites"].values()
    numbers, spacings = [math.prod(site["shape_zyx"]) for site in sites], [site["spacing_um"] for site in sites]
    fields = new_table(f"field, in {volume_label(numbers, spacings)}", f"at end{spread}", "unit")
    for name, unit in zip(model.fields.names, model.fields.units, strict=True):
        told = whole(unit, numbers, spacings)
        fields.add_row(name, _spread([told.factor * total for total in of_all("totals", name)], ".4g"), told.label)
    traits = new_table("trait", f"mean at end{spread}", "lowest", "highest", "unit")
    for name, unit in zip(model.traits.names, model.traits.units, strict=True):
        held = [summary["traits"][name] for summary in summaries if summary["traits"][name]["cells"]]
        ends = [f"{end(each[key] for each in held):.4g}" for end, key in ((min, "lowest"), (max, "highest")) if held]
        middle = [_spread([each["mean"] for each in held], ".4g")] if held else ["no cell has it"]
        traits.add_row(name, *middle, *(ends or ["", ""]), unit.removesuffix("dimensionless"))
    body = new_table("body", "at start", f"at end{spread}", "unit")
    for name, unit in zip(model.body.names, model.body.units, strict=True):
        if any(each[f"body.{name}"].nunique() > 1 for each in counts):
            before = [float(row[f"body.{name}"]) for row in start]
            body.add_row(name, _spread(before, ".4g"), _spread(of_all("body", name), ".4g"), unit)
    by_site = new_table(f"cells at end{spread}, by site", *summaries[0]["sites"])
    for name in model.states.names if len(numbers) > 1 else ():
        of_sites = [[summary["sites"][site]["counts"][name] for summary in summaries] for site in summaries[0]["sites"]]
        if name != "none" and any(map(any, of_sites)):
            by_site.add_row(name, *(_spread(each, ",.10g") for each in of_sites))
    for table in (cells, by_site, fired, fields, traits, body):
        if table.row_count:
            out.print(table)
    if never:
        out.print(f"rules that never fired{since}: {', '.join(never)}")
    updates = sum(numbers) * len(model.fields) * summaries[0]["steps"] * len(summaries)
    seconds = sum(summary["seconds"] for summary in summaries)
    out.print(f"{seconds:.1f} s, {updates / max(seconds, 1e-9) / 1e6:.1f} million voxel-field steps/s")


def _spread(values: Sequence[float], form: str) -> str:
    """A number, or the median and range of several that differ."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:{form}}" + (f" ({low:{form}} to {high:{form}})" if low < high else "")


def _draw(folder: Path) -> Path | None:
    """Draw the picture of a run; return None, with a note, if that fails."""
    from gpusim.record import layout

    target = folder / layout.PICTURE
    # In a separate process: VTK ends the whole process if it cannot render.
    command = [sys.executable, "-m", "gpusim", "render", str(folder), "-o", str(target), *_PICTURE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PICTURE_SECONDS, check=False)
        problem = (done.stderr.strip().splitlines() or ["the renderer stopped"])[-1].removeprefix("gpusim: ")
    except subprocess.TimeoutExpired:
        problem = f"rendering took more than {_PICTURE_SECONDS} s"
    if target.is_file():
        return target
    err.print(f"gpusim: note: no picture: {problem}", markup=False)
    return None
