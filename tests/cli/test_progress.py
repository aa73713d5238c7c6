"""How long work says how far it is, to people and to programs."""

import io
import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from gpusim.cli import app
from gpusim.cli import progress as module
from gpusim.cli.progress import Log, progress

SMALL = ["--set", "grid.shape=[12,12,12]", "--set", "tissue.shapes.tumour.radius=60 um", "--backend", "numpy"]


def lines(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@pytest.fixture
def stderr(monkeypatch):
    """What is written, to what is or is no terminal."""

    def at(*, terminal):
        file = io.StringIO()
        monkeypatch.setattr(
            module, "err", Console(file=file, force_terminal=terminal, width=120, highlight=False, markup=False)
        )
        return file

    return at


def test_off_a_terminal_nothing_is_written_and_nothing_counted(stderr):
    file = stderr(terminal=False)
    with progress("work", 3, "steps") as tell:
        tell(1, lambda: pytest.fail("counted"))
    assert file.getvalue() == ""


def test_a_bar_shows_time_rate_and_counts(stderr):
    file = stderr(terminal=True)
    with progress("work", 2, "steps", watched=["tumour", "ctl"]) as tell:
        tell(2, lambda: {"minutes": 90.0, "counts": {"empty": 5, "tumour": 1234, "ctl": 7}, "failed": 0})
    last = file.getvalue()
    for part in ("work", "2 of 2 steps", "90 min", "tumour 1,234", "ctl 7"):
        assert part in last
    assert "empty" not in last
    assert "failed" not in last


def test_lines_are_seldom_and_the_last_is_certain(stderr):
    file = stderr(terminal=True)
    with progress("work", 1000, "runs", Log.json, done=10) as tell:
        for done in range(11, 1001):
            tell(done, lambda: {"failed": 2})
    found = lines(file.getvalue())
    assert (found[0]["done"], found[-1]["done"]) == (11, 1000)
    assert len(found) < 100
    assert found[-1]["left_seconds"] == 0
    assert found[-1]["failed"] == 2


def test_a_run_tells_programs_its_steps_time_and_counts(tmp_path):
    target = tmp_path / "out"
    arguments = ["run", "cold-to-hot", "-o", str(target), "--until", "1 h", "--no-picture", "--log", "json", *SMALL]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    last = lines(done.stderr)[-1]
    assert (last["event"], last["unit"], last["done"], last["minutes"]) == ("progress", "steps", 12, 60)
    counts = json.loads((target / "summary.json").read_text())["counts"]
    assert last["counts"] == counts
