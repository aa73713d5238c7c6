"""Runs the code of the docs, page by page, as a reader would who types it all in.

A YAML block with a title is written to that file and loaded; Python is run; of a console block, each
`$ gpusim` command is run and what it prints compared (`...` stands for anything). All of a page share a
folder, in which OUT is a small result.

`python docs/blocks.py` shows what differs; with `--update` it writes what the commands print into the pages.
"""

import contextlib
import doctest
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

import gpusim
from gpusim.cli import app
from gpusim.errors import GpusimError

FOLDER = Path(__file__).parent
FENCE = re.compile(r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<code>.*?)^```$", re.S | re.M)
SAME_ANYWHERE = (
    (re.compile(r"backend \w+( with \d+ threads)?$", re.M), "backend ..."),
    (re.compile(r"^[\d.]+ s, [\d.]+ million voxel-field steps/s$", re.M), "..."),
    (re.compile(r" +$", re.M), ""),
)
"""What another machine prints otherwise; left open in the pages."""


@dataclass(frozen=True)
class Command:
    """A command of a console block, what the page says it prints, and what it prints."""

    text: str
    shown: str
    printed: str

    @property
    def agrees(self) -> bool:
        """Whether the page tells the truth."""
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        return doctest.OutputChecker().check_output(self.shown, self.printed, flags)


def pages() -> list[Path]:
    """The pages with code in them."""
    return [page for page in sorted(FOLDER.glob("*.md")) if FENCE.search(page.read_text(encoding="utf-8"))]


def run(page: Path, folder: Path) -> list[Command]:
    """Run all blocks of a page in a folder; a block that fails raises what it raises."""
    text = page.read_text(encoding="utf-8")
    commands: list[Command] = []
    names: dict[str, Any] = {}
    files: dict[str, str] = {}
    with contextlib.chdir(folder):
        if re.search(r"\bOUT\b", text):
            _small_result(Path("OUT"))
        for block in FENCE.finditer(text):
            code, language = block["code"], block["language"]
            if language == "yaml" and block["title"]:
                Path(block["title"]).write_text(code, encoding="utf-8")
                files[block["title"]] = code
            elif language == "python":
                exec(compile(code, f"{page.name}, line {text.count(chr(10), 0, block.start()) + 1}", "exec"), names)
            elif language == "console":
                commands += [Command(line, shown, _output(line)) for line, shown in _commands(code)]
            elif language == "sh":
                for line in code.splitlines():
                    _known(line)
        _load(files)
    return commands


def _commands(code: str) -> Iterator[tuple[str, str]]:
    for chunk in re.split(r"^\$ ", code, flags=re.M)[1:]:
        line, _, shown = chunk.partition("\n")
        yield line, shown


def _load(files: dict[str, str]) -> None:
    """Load each scenario of a page that no other one there extends. Raises `ScenarioError`."""
    for file in files:
        if not any(file in text for other, text in files.items() if other != file):
            gpusim.Scenario.load(file)


def _output(line: str) -> str:
    """What a command prints; an error as the command line prints it."""
    program, *arguments = shlex.split(line)
    if program != "gpusim":
        raise ValueError(f"a console block runs gpusim alone, not {program!r}")
    done = CliRunner().invoke(app, arguments)
    if isinstance(done.exception, GpusimError):
        return f"{done.stdout}gpusim: {done.exception}\n"
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def _known(line: str) -> None:
    """Raise where a command or an option of gpusim is none."""
    words = shlex.split(line, comments=True)
    if words[:1] != ["gpusim"] or len(words) < 2:
        return
    command = typer.main.get_command(app).commands[words[1]]  # type: ignore[attr-defined]
    command.make_parser(typer.Context(command)).parse_args(list(words[2:]))


def _small_result(folder: Path) -> None:
    """A result of cold-to-hot, on a small grid."""
    shape: dict[str, Any] = {"tissue.shapes.tumour.radius": "100 um", "record.every": "1 h", "time.until": "2 h"}
    scenario = gpusim.Scenario.load("cold-to-hot", {"grid.shape": [16, 16, 16], **shape})
    gpusim.run(scenario, folder).close()


def update(page: Path, commands: list[Command]) -> None:
    """Write what the commands print into a page."""
    text = page.read_text(encoding="utf-8")
    for command in commands:
        if not command.agrees:
            printed = command.printed
            for pattern, instead in SAME_ANYWHERE:
                printed = pattern.sub(instead, printed)
            text = text.replace(f"$ {command.text}\n{command.shown}", f"$ {command.text}\n{printed.rstrip()}\n", 1)
    page.write_text(text, encoding="utf-8")


def main() -> None:
    """Run every page."""
    differs = False
    os.environ.setdefault("COLUMNS", "200")
    for page in pages():
        with tempfile.TemporaryDirectory() as folder:
            commands = run(page, Path(folder))
        if "--update" in sys.argv:
            update(page, commands)
        for command in commands:
            if not command.agrees:
                differs = True
                print(f"{page.name}: $ {command.text}\n{command.printed}")
    sys.exit(1 if differs and "--update" not in sys.argv else 0)


if __name__ == "__main__":
    main()
