"""A trial that is stopped or killed half-way, on Dask and on a pool of processes."""

import json
import multiprocessing
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool

import pytest
from distributed import KilledWorker

import gpusim as package
from gpusim.study.execution import Workers, _left, workers
from gpusim.study.folder import OUTCOMES, TABLE
from gpusim.study.trial import run_trial

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
import multiprocessing, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background of a shell it would be ignored
sys.modules.update({modules})
from gpusim.study import execution
wait, done, acted = execution.wait, 0, False
def watched(pending, **options):
    global done, acted
    if done >= {runs} and not acted:  # two runs may end at once
        acted = True
        {act}
    found = wait(pending, **options)
    done += len(found.done)
    return found
execution.wait = watched
import gpusim.cli
gpusim.cli.main()
"""
CTRL_C = "os.killpg(0, signal.SIGINT)"
KILLED = "os.kill(os.getpid(), signal.SIGKILL)"
TERMINATED = "os.kill(os.getpid(), signal.SIGTERM)"
WORKERS_KILLED = "[worker.kill() for worker in multiprocessing.active_children()]"
DASK, POOL = {}, {"distributed": None}
STOPPED = "gpusim: stopped; finished runs are kept; to continue: gpusim run --resume out\n"


def gpusim(folder, *arguments, code="import gpusim.cli; gpusim.cli.main()"):
    """Comes back when no process is left that could write into the pipes: workers included."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,  # a busy machine starts workers slowly
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory, connect):
    out = tmp_path_factory.mktemp("whole") / "out"
    run_trial(package.Scenario.parse(TEXT), out, backend="numpy", connect=connect)
    return (out / TABLE).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("modules", "runs", "act", "exit_code", "says"),
    [
        pytest.param(DASK, 0, CTRL_C, 130, STOPPED, id="Ctrl-C while workers start"),
        pytest.param(DASK, 2, KILLED, -signal.SIGKILL, "", id="killed"),
        pytest.param(DASK, 1, TERMINATED, 143, STOPPED, id="terminated"),
        pytest.param(DASK, 1, WORKERS_KILLED, 0, "", id="workers killed"),
        pytest.param(POOL, 0, CTRL_C, 130, STOPPED, id="Ctrl-C while processes start"),
        pytest.param(POOL, 2, KILLED, -signal.SIGKILL, "", id="killed, with a pool"),
        pytest.param(POOL, 1, WORKERS_KILLED, 2, "out: a worker process was killed", id="processes killed"),
    ],
)
def test_a_trial_that_ends_half_way_leaves_no_process_and_no_traceback_and_goes_on(
    whole, tmp_path, connect, modules, runs, act, exit_code, says
):
    (tmp_path / "decay.yaml").write_text(TEXT)
    code = AFTER.format(modules=modules, runs=runs, act=act)
    stopped = gpusim(tmp_path, "run", "decay.yaml", "-o", "out", "--backend", "numpy", code=code)
    assert stopped.returncode == exit_code, stopped.stderr
    assert says in stopped.stderr
    assert "Traceback" not in stopped.stderr
    out = tmp_path / "out"
    kept = {path: path.stat().st_mtime_ns for path in out.glob(f"*/*/{OUTCOMES}")}
    assert len(kept) >= runs
    assert all(json.loads(path.read_text())["outcomes"]["left"] > 0 for path in kept)
    assert (out / TABLE).exists() == (exit_code == 0)
    run_trial(package.Scenario.load(out / "trial.yaml"), out, backend="numpy", connect=connect, resume=True)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert (out / TABLE).read_bytes() == whole


class Failing(Executor):
    """Runs end with an error."""

    def __init__(self, error):
        self.error = error

    def submit(self, function, *arguments):
        future = Future()
        future.set_exception(self.error)
        return future


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            KilledWorker("run", None, 3),
            r"out: arm '(slow|fast)', seed \d: its worker died, again and again; finished",
        ),
        (BrokenProcessPool(), r"out: a worker process was killed, perhaps because of too little memory"),
    ],
)
def test_a_trial_whose_workers_die_again_and_again_says_so(tmp_path, error, says):
    with pytest.raises(package.ResultError, match=says):
        run_trial(
            package.Scenario.parse(TEXT), tmp_path / "out", backend="numpy", connect=lambda: Workers(Failing(error), 1)
        )
    assert not (tmp_path / "out" / TABLE).exists()


class Slow:
    """A part of Dask on a busy machine."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        raise TimeoutError


def test_a_slow_close_does_not_hide_why_the_end_has_come():
    with pytest.raises(KeyboardInterrupt), _left(Slow()):
        raise KeyboardInterrupt


def test_processes_end_with_what_started_them_whatever_they_are_at(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with workers(1) as found:
        future = found.executor.submit(time.sleep, 600)
        while not future.running():
            time.sleep(0.01)
    assert not multiprocessing.active_children()
