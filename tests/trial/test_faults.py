"""A trial that is stopped or killed half-way."""

import json
import signal
import subprocess
import sys

import pytest

from gpusim.trial.folder import OUTCOMES, TABLE

TEXT = """
name: decay
grid: {shape: [6, 6, 6]}
time: {until: 60 min, step: {field: 5 min, rules: 5 min}}
record: {every: 20 min}
states: {cell: {}}
rules: {death: {transition: cell -> empty, rate: 0.005 /min}}
tissue: {background: cell}
trial:
  replicates: 3
  arms: {slow: {}, fast: {rules.death.rate: 0.02 /min}}
  outcomes: {left: {count: cell}}
"""

AFTER = """
import os, signal
from gpusim.trial import running
completed = running.as_completed
def watched(futures):
    for done, future in enumerate(completed(futures)):
        if done == {runs}:
            {act}
        yield future
running.as_completed = watched
import gpusim.cli
gpusim.cli.main()
"""

KILL_WORKERS = "import multiprocessing; [worker.kill() for worker in multiprocessing.active_children()]"

AT_ONCE = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background of a shell it would be ignored
from gpusim.trial import running
completed = running.as_completed
def watched(futures):
    os.killpg(0, signal.SIGINT)
    return completed(futures)
running.as_completed = watched
import gpusim.cli
gpusim.cli.main()
"""


def gpusim(folder, *arguments, code="import gpusim.cli; gpusim.cli.main()"):
    """Comes back when no process is left that could write into the pipes: workers included."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    (folder / "decay.yaml").write_text(TEXT)
    done = gpusim(folder, "run", "decay.yaml", "-o", "out", "--backend", "numpy")
    assert done.returncode == 0, done.stderr
    return (folder / "out" / TABLE).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "exit_code", "says"),
    [
        (AT_ONCE, 130, "gpusim: stopped; finished runs are kept, to go on: gpusim run --resume out\n"),
        (AFTER.format(runs=2, act="os.kill(os.getpid(), signal.SIGKILL)"), -signal.SIGKILL, ""),
        (AFTER.format(runs=1, act="os.kill(os.getpid(), signal.SIGTERM)"), -signal.SIGTERM, ""),
        (AFTER.format(runs=1, act=KILL_WORKERS), 2, "out: a process that carried out a run was killed"),
    ],
    ids=["Ctrl-C while workers start", "killed", "terminated", "workers killed"],
)
def test_a_trial_that_ends_half_way_leaves_no_process_and_no_traceback_and_goes_on(
    whole, tmp_path, code, exit_code, says
):
    (tmp_path / "decay.yaml").write_text(TEXT)
    stopped = gpusim(tmp_path, "run", "decay.yaml", "-o", "out", "--backend", "numpy", code=code)
    assert stopped.returncode == exit_code
    assert says in stopped.stderr
    assert "Traceback" not in stopped.stderr
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob(f"*/*/{OUTCOMES}")}
    assert len(kept) >= code.count("done == 2") * 2
    assert all(json.loads(path.read_text())["outcomes"]["left"] > 0 for path in kept)
    assert not (tmp_path / "out" / TABLE).exists()
    resumed = gpusim(tmp_path, "run", "--resume", "out", "--backend", "numpy")
    assert resumed.returncode == 0, resumed.stderr
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert (tmp_path / "out" / TABLE).read_bytes() == whole
