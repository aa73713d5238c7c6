"""Progress reports of long commands: a bar on a terminal, lines of JSON with `--log json`, otherwise nothing."""

import enum
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Any, Protocol

import typer
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from gpusim.cli.app import err
from gpusim.units import duration

_SECONDS = 0.5
"""Shortest interval between two reports, because counting takes time."""


class Log(enum.StrEnum):
    """Form of the progress reports on stderr."""

    text = "text"
    json = "json"


LogOption = Annotated[
    Log,
    typer.Option("--log", help="Progress reports. text: a bar on a terminal; json: machine-readable lines on stderr."),
]

Numbers = Callable[[], Mapping[str, Any]]
"""Returns the present numbers: `minutes` of simulated time, `counts` of cells by state, or others by name."""


class Tell(Protocol):
    """Receives the progress, and a function that returns the numbers, which is called for reports only."""

    def __call__(self, done: int, numbers: Numbers = ..., /) -> None:
        """Report what is done of the total."""


_Show = Callable[[int, float, Mapping[str, Any]], None]


@contextmanager
def progress(
    name: str, total: int, unit: str, log: Log = Log.text, *, done: int = 0, watched: Collection[str] = ()
) -> Iterator[Tell]:
    """Report progress.

    Args:
        name: of the task. total: the amount of work, in a unit such as "steps". done: what was done before.
        watched: states whose counts the bar shows.
    """
    if log is Log.text and not err.is_terminal:
        yield _silent
        return
    begun = time.monotonic()
    looked = -_SECONDS
    with _lines(name, total, unit) if log is Log.json else _bar(name, total, unit, watched) as show:

        def tell(now: int, numbers: Numbers = dict) -> None:
            nonlocal looked
            elapsed = time.monotonic() - begun
            if elapsed - looked >= _SECONDS or now >= total:
                looked = elapsed
                show(now, (now - done) / elapsed if elapsed > 0 else 0.0, numbers())

        yield tell


def _silent(done: int, numbers: Numbers = dict) -> None:
    pass


@contextmanager
def _lines(name: str, total: int, unit: str) -> Iterator[_Show]:
    begun = time.monotonic()

    def show(done: int, rate: float, numbers: Mapping[str, Any]) -> None:
        line = {
            "event": "progress",
            "name": name,
            "unit": unit,
            "done": done,
            "total": total,
            "per_second": float(f"{rate:.4g}"),
            "elapsed_seconds": round(time.monotonic() - begun, 2),
            "left_seconds": round((total - done) / rate, 1) if rate > 0 else None,
            **numbers,
        }
        err.file.write(json.dumps(line) + "\n")
        err.file.flush()

    yield show


@contextmanager
def _bar(name: str, total: int, unit: str, watched: Collection[str]) -> Iterator[_Show]:
    # Text that is too long for a narrow terminal is cut off at the right.
    text = TextColumn("{task.fields[text]}", table_column=Column(no_wrap=True, overflow="crop"))
    with Progress(TextColumn("{task.description}"), BarColumn(12), text, console=err) as bar:
        task = bar.add_task(name, total=total, text="")

        def show(done: int, rate: float, numbers: Mapping[str, Any]) -> None:
            speed = f"{rate:.3g}/s" if rate >= 1 else f"{rate * 60:.3g}/min"
            left = f"{timedelta(seconds=round((total - done) / rate))} left" if rate > 0 else ""
            parts = [f"{done:,} of {total:,} {unit}", speed, left, *_short(numbers, watched)]
            bar.update(task, completed=done, text=", ".join(filter(None, parts)))

        yield show


def _short(numbers: Mapping[str, Any], watched: Collection[str]) -> Iterator[str]:
    """Short forms of the numbers, for the bar."""
    for name, value in numbers.items():
        if name == "minutes":
            yield duration(value)
        elif isinstance(value, Mapping):
            yield from (f"{each} {value[each]:,}" for each in watched if each in value)
        elif isinstance(value, str):
            yield value
        elif value:
            yield f"{value:,} {name}"
