"""The command line: thin, and every error one clear message with exit code 2."""

import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

import gpusim
from gpusim.analysis import heat_of, lesions, phenotype_of_table
from gpusim.backends import NAMES, availability, create
from gpusim.engine.memory import of_copies, on_backend
from gpusim.engine.transport import MOST_PASSES, choices
from gpusim.errors import GpusimError, ResultError
from gpusim.memory import available, size
from gpusim.model import Model, build
from gpusim.record import Recorder, Result, StopSignals, layout, versions
from gpusim.scenario import Scenario, about, library, parse_set, presets
from gpusim.units import duration

app = typer.Typer(
    help="Simulate a tumour under oncolytic virotherapy. A research tool, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# Off a terminal nothing is folded. Markup is off: "gpusim[cuda12]" is a name, not a style.
_out = Console(highlight=False, soft_wrap=True, markup=False, width=None if sys.stdout.isatty() else 200)
_err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)

_LESIONS_SHOWN = 3
"""At each time, the largest; a lesion that falls apart leaves many."""

ScenarioArgument = Annotated[str, typer.Argument(help="A shipped scenario (see 'gpusim presets') or a YAML file.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override a value, as in fields.virus.decay='0.01 /min'."),
]
ResultArgument = Annotated[Path, typer.Argument(metavar="OUT", help="A result folder of 'gpusim run'.")]


def main() -> None:
    """Run the command line."""
    warnings.showwarning = _show_warning
    try:
        app(standalone_mode=True)
    except GpusimError as error:
        for line in str(error).splitlines():
            # What a file says never reaches the terminal as a command.
            plain = "".join(c if c.isprintable() else "?" for c in line)
            _err.print("gpusim: " + plain, markup=False)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(1)
    except MemoryError:
        _err.print("gpusim: not enough memory; 'gpusim check' says how much a scenario takes", markup=False)
        sys.exit(2)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    _err.print(f"gpusim: note: {message}", markup=False)


def _version(wanted: bool) -> None:
    if wanted:
        _out.print(f"gpusim {gpusim.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _scenario(name: str, sets: list[str] | None, **more: Any) -> Scenario:
    overrides = dict(parse_set(text) for text in sets or [])
    overrides.update({path.replace("__", "."): value for path, value in more.items() if value is not None})
    return Scenario.load(name, overrides)


@app.command()
def run(
    scenario: Annotated[
        str | None, typer.Argument(help="A shipped scenario (see 'gpusim presets') or a YAML file.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="OUT", help="Result folder [default: results/NAME].")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", metavar="OUT", help="Go on with a stopped run from its last checkpoint; no SCENARIO."),
    ] = None,
    backend: Annotated[str, typer.Option(help="auto, cuda, cpu or numpy.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the cpu backend [default: all cores].")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the scenario's seed.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Simulated time, as in '12 h'.")] = None,
    sets: SetOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result in OUT.")] = False,
    picture: Annotated[bool, typer.Option("--picture/--no-picture", help="Draw a picture at the end.")] = True,
) -> None:
    """Run a scenario; leaves snapshots, counts, a summary and a picture in a folder.

    Ctrl-C stops after the present step with a checkpoint; '--resume OUT' then goes on bit for bit.
    """
    if resume is not None:
        if any(given not in (None, False, []) for given in (scenario, output, seed, until, sets, overwrite)):
            raise typer.BadParameter("--resume takes the scenario of its folder; only --backend, --threads go with it")
        loaded, folder = _unfinished(resume), resume
    elif scenario is None:
        raise typer.BadParameter("expected a SCENARIO, or --resume OUT")
    else:
        loaded = _scenario(scenario, sets, seed=seed, time__until=until)
        folder = output or Path("results") / loaded.document.name
    simulation = gpusim.Simulation(loaded, backend, threads=threads)
    model = simulation.model
    start = dict(zip(model.states.names, model.initial.counts(len(model.states.names)).tolist(), strict=True))
    with (
        simulation,
        Recorder(simulation, folder, overwrite=overwrite, resume=resume is not None) as recorder,
        StopSignals() as stop,
    ):
        _out.print(
            f"{model.name}: {_shape(model)}, {model.until * model.step:g} min in {model.until} steps, "
            f"seed {model.seed}, {_backend(simulation)}",
            markup=False,
        )
        if simulation.steps:
            _out.print(f"resumed at {duration(simulation.minutes)}, step {simulation.steps}")
        _placements(model)
        for note in model.notes:
            _err.print(f"gpusim: note: {note}", markup=False)
        with _progress() as progress:
            task = progress.add_task(model.name, total=model.until, time="")
            for steps in simulation.stretches(at_most=1):
                recorder.record()
                progress.update(task, completed=steps, time=duration(simulation.minutes))
                if stop.asked and steps < model.until:
                    recorder.checkpoint()
                    break
        if simulation.steps < model.until and stop.asked:
            _err.print(
                f"gpusim: stopped by {stop.asked.name} at {duration(simulation.minutes)} (step {simulation.steps}), "
                f"with a checkpoint; to go on: gpusim run --resume {folder}"
            )
            raise typer.Exit(128 + stop.asked)
        summary = recorder.finish()
    _report(model, start, summary)
    drawn = _draw(folder) if picture else None
    _out.print(f"results  {folder}", markup=False)
    if drawn:
        _out.print(f"picture  {drawn}", markup=False)
    _out.print(f"digest   {summary['digest']}", markup=False)


def _unfinished(folder: Path) -> Scenario:
    """The scenario of a run to go on with. Raises `ResultError`."""
    if not (folder / layout.SCENARIO).is_file():
        raise ResultError(f"{folder}: no run to resume (no {layout.SCENARIO} in it)")
    if (folder / layout.SUMMARY).is_file():
        raise ResultError(f"{folder}: this run has finished; there is nothing to resume")
    return Scenario.load(folder / layout.SCENARIO)


@app.command()
def check(scenario: ScenarioArgument, sets: SetOption = None) -> None:
    """Check a scenario without running it: fields, rules, step sizes, memory."""
    loaded = _scenario(scenario, sets)
    model = build(loaded)
    document = loaded.document
    _out.print(f"{model.name}: {document.description}", markup=False)
    _out.print(
        f"{_shape(model)}, {size(on_backend(model))} on the backend, {size(of_copies(model))} to write "
        f"({size(available())} are free here)"
    )
    _out.print(
        f"step {model.step:g} min; rules every {model.step * model.rules_every:g} min; "
        f"{model.until} steps to {duration(model.until * model.step)}"
    )
    chosen = choices(model)
    fields = _table("field", "unit", "diffusion, um^2/min", "decay", "solver", "why")
    for i, (name, spec) in enumerate(document.fields.items()):
        fields.add_row(name, spec.unit, _diffusivity(model, i), spec.decay, chosen[i].solver, chosen[i].reason)
    _out.print(fields)
    states = _table("state", "layer", "cells at start")
    from_start = model.initial.counts(len(model.states.names))
    for name, count in zip(model.states.names, from_start, strict=True):
        states.add_row(name, "tissue" if name in model.states.tissue else "immune", f"{count:,}")
    _out.print(states)
    rules = _table("rule", "transition", "rate", "after", "modulators", "releases")
    for name, rule in document.rules.items():
        rules.add_row(
            name,
            rule.transition,
            rule.rate,
            rule.after,
            ", ".join(m.field or m.body or "/".join(m.neighbours or m.contact or ()) for m in rule.modulators),
            ", ".join(f"{field} {amount}" for field, amount in rule.releases.items()),
        )
    _out.print(rules)
    _placements(model)
    many = [f"{n} ({c.passes})" for n, c in zip(model.fields.names, chosen, strict=True) if c.passes > MOST_PASSES]
    if many:
        _err.print(
            f"gpusim: note: over {MOST_PASSES} explicit passes a step: {', '.join(many)}; "
            "this will be slow, 'solver: auto' would go implicit",
            markup=False,
        )
    for note in model.notes:
        _err.print(f"gpusim: note: {note}", markup=False)


@app.command("presets")
def list_presets() -> None:
    """List the shipped scenarios, and the parts that they are put together from."""
    table = _table("scenario", "what it is")
    for name, path in presets().items():
        table.add_row(name, Scenario.load(path).document.description)
    _out.print(table)
    for kind, parts in library().items():
        table = _table(f"{kind}, to be named under 'extends'", "what it is")
        for name, path in parts.items():
            table.add_row(name, about(path))
        _out.print(table)


@app.command()
def info() -> None:
    """Print versions, and which backends this machine has."""
    table = _table("what", "version")
    for package, found in versions().items():
        table.add_row(package, found)
    _out.print(table)
    backends = _table("backend", "here", "why")
    for name in NAMES:
        found_backend = availability(name)
        backends.add_row(name, "yes" if found_backend.available else "no", found_backend.reason)
    _out.print(backends)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chosen = create("auto")
    threads = f", {chosen.threads} threads" if chosen.threads > 1 else ""
    chosen.close()
    _out.print(f"auto takes {chosen.name}{threads}")


@app.command()
def show(result: ResultArgument, rows: Annotated[int, typer.Option(min=2, help="Rows of the table.")] = 20) -> None:
    """Show the counts of a result over time."""
    found = Result(result)
    counts = found.counts
    states = [c for c in counts.columns if c.startswith("cells.") and counts[c].max() > 0 and c != "cells.none"]
    totals = [c for c in counts.columns if c.startswith("total.")]
    last = len(counts) - 1
    shown = sorted({round(last * k / (rows - 1)) for k in range(rows)})
    for first, columns, form in (("cells at", states, ",.0f"), ("fields, total at", totals, ".4g")):
        table = _table(first, *(c.split(".", 1)[1] for c in columns))
        for i in shown:
            row = counts.iloc[i]
            table.add_row(duration(float(row["minutes"])), *(format(float(row[c]), form) for c in columns))
        _out.print(table)
    if found.summary is None:
        _err.print("gpusim: note: this run has not finished", markup=False)


@app.command("heat")
def show_heat(
    source: Annotated[Path, typer.Argument(metavar="OUT|TABLE.csv", help="A result folder, or a table of cells.")],
) -> None:
    """Tell how hot a tumour is: lesions, CD8 cells per mm^2 as pathologists count, immune phenotype."""
    if source.suffix == ".csv":
        section = phenotype_of_table(source)
        table = _table("section", "CD8 per mm2 in tumour", "in stroma", "phenotype")
        table.add_row(source.name, f"{section.core:.0f}", f"{section.margin:.0f}", section.phenotype)
        _out.print(table)
        return
    result = Result(source)
    document = result.scenario.document
    table = _table("at", "tumour cells", "diameter, um", "CD8 per mm2 in core", "in margin", "heat", "phenotype")
    for i, minutes in enumerate(result.times):
        fields = {name: result.array(name, i) for name in (document.heat.cytokines if document.heat else ())}
        tissue, immune = result.array("tissue", i), result.array("immune", i)
        found = lesions(document, tissue, immune, heat_of(document, tissue, immune, fields))
        for lesion in found[:_LESIONS_SHOWN]:
            table.add_row(
                duration(float(minutes)),
                f"{lesion.cells:,}",
                *(f"{value:.0f}" for value in (lesion.diameter, lesion.core, lesion.margin)),
                f"{lesion.heat:.3f}",
                lesion.phenotype,
            )
        if not found:
            table.add_row(duration(float(minutes)), "0", *[""] * 4, "no lesion left")
    _out.print(table)


@app.command("digest")
def print_digest(result: ResultArgument) -> None:
    """Print the digest of a result's last state: equal digests mean equal trajectories."""
    _out.print(Result(result).digest())


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "default", overflow="fold")
    return table


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TextColumn("{task.fields[time]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=_err,
        disable=not _err.is_terminal,
    )


def _shape(model: Model) -> str:
    nz, ny, nx = model.shape
    return f"{nx} x {ny} x {nz} voxels of {model.spacing:g} um, {len(model.fields)} fields"


def _diffusivity(model: Model, field: int) -> str:
    """One number, or the lowest and the highest by tissue state."""
    by_state = model.fields.diffusion[field]
    low, high = by_state.min(), by_state.max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}, by state"


def _backend(simulation: gpusim.Simulation) -> str:
    backend = simulation.backend
    return f"backend {backend.name}" + (f" with {backend.threads} threads" if backend.threads > 1 else "")


def _placements(model: Model) -> None:
    if not model.initial.placements:
        return
    table = _table("cells of the table", "rows", "placed", "moved to a free voxel", "left out")
    for p in model.initial.placements:
        table.add_row(p.state, f"{p.rows:,}", f"{p.placed:,}", f"{p.moved:,}", f"{p.left_out:,}")
    _out.print(table)


def _report(model: Model, start: dict[str, int], summary: dict[str, Any]) -> None:
    cells = _table("cells", "at start", "at end")
    for name, count in summary["counts"].items():
        if name != "none" and (count or start[name]):
            cells.add_row(name, f"{start[name]:,}", f"{count:,}")
    fired = _table("what happened", "times")
    for name, count in summary["fired"].items():
        fired.add_row(name.replace("_", " "), f"{count:,}")
    fields = _table("field", "total over voxels", "unit")
    for (name, total), unit in zip(summary["totals"].items(), model.fields.units, strict=True):
        fields.add_row(name, f"{total:.4g}", unit)
    for table in (cells, fired, fields):
        if table.row_count:
            _out.print(table)
    updates = model.voxels * len(model.fields) * summary["steps"]
    _out.print(
        f"{summary['seconds']:.1f} s, {updates / max(summary['seconds'], 1e-9) / 1e6:.1f} million voxel-field steps/s"
    )


def _draw(folder: Path) -> Path | None:
    """A picture of the last state; None, with a note, where it can't be drawn."""
    target = folder / layout.PICTURE
    try:
        from gpusim.viz.picture import draw_aside
    except ImportError:
        _err.print("gpusim: note: no picture: PyVista is not installed (pip install 'gpusim[viz]')", markup=False)
        return None
    problem = draw_aside(folder, target)
    if problem:
        _err.print(f"gpusim: note: no picture: {problem}", markup=False)
        return None
    return target


if __name__ == "__main__":
    main()
