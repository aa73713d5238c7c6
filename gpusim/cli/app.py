"""The application: messages, errors, and what several commands share.

Commands import their dependencies when they run, so that `gpusim --help` loads none of them.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core
from rich.console import Console
from rich.table import Table

import gpusim
from gpusim.errors import GpusimError

if TYPE_CHECKING:
    from gpusim.model import Model
    from gpusim.scenario import Scenario

COMMANDS = {
    "Models": ("presets", "check", "edit", "import"),
    "Runs and studies": ("run", "sweep", "sensitivity", "fit", "robustness"),
    "Results": ("show", "heat", "spatial", "tracks", "lineage", "compare", "digest"),
    "Pictures and export": ("render", "view", "export"),
    "This machine": ("info", "verify", "bench"),
}
"""Order of the commands in `gpusim --help`, by panel."""


class _Panels(typer.core.TyperGroup):
    """Lists the commands in the order of `COMMANDS`."""

    def list_commands(self, ctx: Any) -> list[str]:
        for panel, names in COMMANDS.items():
            for name in names:
                self.commands[name].rich_help_panel = panel  # type: ignore[attr-defined]
        return [name for names in COMMANDS.values() for name in names]


app = typer.Typer(
    cls=_Panels,
    help="Simulate a tumour under oncolytic virotherapy. A research tool, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# Outside a terminal no line is wrapped. Markup is off: "gpusim[cuda12]" is a name, not a style.
out = Console(highlight=False, soft_wrap=True, markup=False, width=None if sys.stdout.isatty() else 200)
err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)

_LONGEST_NAME = 100
_UsageError: Any = typer.BadParameter.__base__  # of click, or of the copy of it within Typer

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a value, e.g. fields.virus.decay='0.01 /min'."),
]
ResultArgument = Annotated[Path, typer.Argument(metavar="OUT", help="Result folder of 'gpusim run'.")]


def main() -> None:
    """Run the command line."""
    warnings.showwarning = _show_warning
    try:
        sys.exit(app(prog_name="gpusim", standalone_mode=False))
    except typer.Abort:
        sys.exit(1)
    except _UsageError as error:
        _say(_usage(error, sys.argv[1:]))
        sys.exit(error.exit_code)
    except GpusimError as error:
        _say(str(error))
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        # Errors of the system that no other code has explained, such as a file name that is too long.
        named = str(error.filename or "").splitlines() or [""]
        name = named[0] if len(named[0]) <= _LONGEST_NAME else f"{named[0][:_LONGEST_NAME]}..."
        _say(f"{name}: {error.strerror}" if name and error.strerror else str(error) or type(error).__name__)
        sys.exit(2)
    except MemoryError:
        err.print("gpusim: not enough memory; 'gpusim check' prints the memory that a scenario needs", markup=False)
        sys.exit(2)


def _usage(error: Any, given: Sequence[str]) -> str:
    """A mistake on the command line in one line: where, what was found, what was expected, a suggestion.

    Args:
        given: the words of the command line.
    """
    path = error.ctx.command_path.split() if error.ctx else ["gpusim", *given[:1]]
    if type(error).__name__ == "NoArgsIsHelpError":
        out.print(error.ctx.get_help())
        return "expected a command"
    message = " ".join(error.format_message().split()).rstrip(".")
    message = message.removeprefix("Invalid value: ").removeprefix("Invalid value for ")
    message = message.replace(": Input should be", ": expected").replace(": Value error,", ":")
    names = getattr(getattr(error, "param", None), "opts", ())
    for before, word in itertools.pairwise(["", *given]):
        name, _, value = word.partition("=")
        value = word if before in names else value if name in names else ""
        if value and repr(value) not in message:
            message += f", found {value!r}"
    where = "".join(f"{part}: " for part in path[1:])
    return f"{where}{message[:1].lower()}{message[1:]}; see '{' '.join(path)} -h'"


def _say(message: str) -> None:
    for line in message.splitlines():
        # Control characters in a file must not reach the terminal.
        plain = "".join(c if c.isprintable() else "?" for c in line)
        err.print("gpusim: " + plain, markup=False)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    err.print(f"gpusim: note: {message}", markup=False)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"gpusim {gpusim.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def load(name: str, sets: list[str] | None, **more: Any) -> Scenario:
    """A scenario with its `--set` overrides, and others in `more`, e.g. `time__until`. Raises `ScenarioError`."""
    from gpusim.scenario import Scenario, parse_set

    overrides = dict(parse_set(text) for text in sets or [])
    overrides.update({path.replace("__", "."): value for path, value in more.items() if value is not None})
    return Scenario.load(name, overrides)


def tell_notes(notes: Iterable[str]) -> None:
    """Print notes, each once."""
    for note in dict.fromkeys(notes):
        err.print(f"gpusim: note: {note}", markup=False)


@contextlib.contextmanager
def stoppable(how: str) -> Iterator[None]:
    """Ctrl-C or SIGTERM ends what is within, and says `how` to go on with it."""
    asked = [signal.SIGINT]

    def stop(number: int, _: object) -> None:
        asked.append(signal.Signals(number))
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        err.print(f"gpusim: stopped; finished runs are kept; {how}")
        raise typer.Exit(128 + asked[-1]) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def new_table(*columns: str) -> Table:
    """A table without a box, which is readable outside a terminal too."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "default", overflow="fold")
    return table


_GAP = 2
"""Characters between two columns."""


def print_wide(first: Mapping[str, Sequence[str]], columns: Mapping[str, Sequence[str]]) -> None:
    """Print a table; where it would be wider than the terminal, several, each with the `first` columns."""
    widths = {name: max(map(len, (name, *cells))) + _GAP for name, cells in (*first.items(), *columns.items())}
    free = out.width + _GAP - sum(widths[name] for name in first)
    blocks: list[list[str]] = [[]]
    taken = 0
    for name in columns:
        if blocks[-1] and taken + widths[name] > free:
            blocks.append([])
            taken = 0
        blocks[-1].append(name)
        taken += widths[name]
    for block in blocks:
        table = new_table(*first, *block)
        shown = [*first.values(), *(columns[name] for name in block)]
        for row in zip(*shown, strict=True):
            table.add_row(*row)
        out.print(table)


def shapes_of(models: Mapping[str, Model]) -> str:
    """Text with the lattices of all sites."""
    several = len(models) > 1
    shapes = (
        " x ".join(map(str, reversed(model.shape))) + f" voxels of {model.spacing:g} um" + f" at {name}" * several
        for name, model in models.items()
    )
    return ", ".join(shapes) + f", {len(next(iter(models.values())).fields)} fields"


def placements(model: Model) -> None:
    """Print how many rows of a table of cells were placed, moved and left out."""
    if not model.initial.placements:
        return
    table = new_table("cells of the table", "rows that fit", "rows", "placed", "moved to a free voxel", "left out")
    for p in model.initial.placements:
        table.add_row(p.state, p.where, f"{p.rows:,}", f"{p.placed:,}", f"{p.moved:,}", f"{p.left_out:,}")
    out.print(table)
    if model.initial.repeated > 1:
        times = model.initial.repeated
        out.print(
            f"The section is repeated in {times} planes: counts of cells are {times} times those of the table, "
            "cells per mm² of a section are the same."
        )
