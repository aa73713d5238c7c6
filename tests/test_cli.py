import os
import re
import signal
import subprocess
import sys

import pytest
from commands import run as gpusim

SMALL = ["--set", "grid.shape=[16,16,16]", "--set", "tissue.shapes.tumour.radius=100 um", "--backend", "numpy"]


def digest_line(done):
    (digest,) = re.findall(r"^digest +([0-9a-f]{64})$", done.stdout, re.M)
    return digest


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, gpusim("run", "cold-to-hot", "-o", "out", "--until", "1 h", *SMALL, folder=folder)


@pytest.mark.slow
def test_run_leaves_a_result_a_picture_and_a_digest(ran):
    folder, done = ran
    assert done.returncode == 0, done.stderr
    assert {"snapshots.zarr", "counts.csv", "summary.json", "scenario.yaml", "picture.png"} <= set(
        os.listdir(folder / "out")
    )
    assert gpusim("digest", "out", folder=folder).stdout.strip() == digest_line(done)


@pytest.mark.slow
def test_show_prints_counts_over_time(ran):
    folder, _ = ran
    shown = gpusim("show", "out", folder=folder)
    assert shown.returncode == 0, shown.stderr
    assert "tumour" in shown.stdout
    assert "60 min" in shown.stdout


@pytest.mark.slow
def test_replicates_leave_a_result_each_and_one_goes_on_by_itself(ran, tmp_path):
    arguments = ["run", "cold-to-hot", "-o", "out", "--until", "1 h", "--no-picture", "--replicates", "2", *SMALL]
    done = gpusim(*arguments, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "seed 1 and the 1 that follow" in done.stdout
    assert re.search(r"^tumour +[\d,.]+ \([\d,]+ to [\d,]+\)", done.stdout, re.M)
    digests = dict(re.findall(r"^digest +([0-9a-f]{64})  seed (\d+)$", done.stdout, re.M))
    assert digests[digest_line(ran[1])] == "1"
    counts = [(folder / "counts.csv").read_bytes() for folder in (tmp_path / "out" / "1", ran[0] / "out")]
    assert counts[0] == counts[1]
    alone = ["run", "cold-to-hot", "-o", "second", "--until", "1 h", "--no-picture", "--seed", "2", *SMALL]
    second = gpusim(*alone, folder=tmp_path)
    assert digests[digest_line(second)] == "2"
    again = gpusim(*arguments, folder=tmp_path)
    assert again.returncode == 2
    assert "out/1: is not empty" in again.stderr


@pytest.mark.slow
def test_a_second_run_into_the_folder_is_refused(ran):
    folder, _ = ran
    again = gpusim("run", "cold-to-hot", "-o", "out", "--until", "1 h", *SMALL, folder=folder)
    assert again.returncode == 2
    assert "is not empty" in again.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_with_a_checkpoint_and_the_run_can_go_on(ran, tmp_path, number):
    # The run sends the signal to itself after its third step.
    code = (
        "import os, gpusim.cli; from gpusim.engine import Simulation; step = Simulation.step\n"
        "def stepped(self, count=1):\n"
        f"    step(self, count); self.steps == 3 and os.kill(os.getpid(), {int(number)})\n"
        "Simulation.step = stepped; gpusim.cli.main()"
    )
    arguments = ["run", "cold-to-hot", "-o", "out", "--until", "1 h", *SMALL]
    stopped = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert stopped.returncode == 128 + number, stopped.stderr
    assert f"stopped by {number.name} at 15 min (step 3)" in stopped.stderr
    assert "gpusim run --resume out" in stopped.stderr
    assert "or continue the run (--resume out)" in gpusim(*arguments, folder=tmp_path).stderr
    resumed = gpusim("run", "--resume", "out", "--backend", "numpy", "--no-picture", folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "resumed at 15 min, step 3" in resumed.stdout
    assert digest_line(resumed) == digest_line(ran[1])
    counts = [(folder / "out" / "counts.csv").read_bytes() for folder in (tmp_path, ran[0])]
    assert counts[0] == counts[1]
    again = gpusim("run", "--resume", "out", folder=tmp_path)
    assert again.returncode == 2
    assert "has finished; there is nothing to resume" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "expected a SCENARIO, --resume OUT or --from OUT"),
        (["run", "cold-to-hot", "--resume", "out"], "--resume uses the scenario of the"),
        (["run", "--replicates", "2", "--resume", "out"], "--replicates would have no effect"),
        (["run", "--arm", "a", "--until", "99 h", "--resume", "out"], "--arm, --until would have no effect"),
        (["run", "cold-to-hot", "--rerun-changed"], "--rerun-changed requires --resume"),
        (["run", "cold-to-hot", "--replicates", "0"], "--replicates"),
        (["run", "--resume", "out"], "no run to resume"),
        (["run", "cold-to-hott"], "did you mean 'cold-to-hot'"),
        (["run", "cold-to-hot", "--set", "fields.virus.decai=1 /min"], "did you mean 'decay'"),
        (["run", "cold-to-hot", "--until", "3 parrots"], "unknown unit 'parrots'"),
        (["run", "cold-to-hot", "--backend", "tpu"], "expected one of auto"),
        (["run", "cold-to-hot", "--seed", "-1"], "--seed"),
        (["show", "nowhere"], "no such folder"),
        (["digest", "."], "not a result"),
        (["fly"], "no such command"),
    ],
)
def test_a_mistake_is_a_line_and_exit_code_2(tmp_path, arguments, message):
    done = gpusim(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_check_prints_fields_rules_steps_and_memory(tmp_path):
    done = gpusim("check", "cold-to-hot", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for text in ("virus", "um^2/min", "lysis", "infected -> empty", "MiB", "step 5 min", "passes"):
        assert text in done.stdout
    together = gpusim("check", "cold-to-hot", "--replicates", "8", folder=tmp_path)
    assert "9 fields, 8 replicates\nmemory: 129 MiB on the backend" in together.stdout
    assert "9 fields\nmemory: 16.1 MiB on the backend" in done.stdout


def test_check_says_how_often_pairs_of_cells_are_tried(tmp_path):
    done = gpusim("check", "cell-sorting", "--set", "adhesion.rate=2.5 /h", folder=tmp_path)
    assert "adhesion: sweeps per rule step: 3, each tries 0.0833 of all pairs" in done.stdout


def test_check_says_which_solver_a_field_gets_and_warns_of_a_slow_one(tmp_path):
    fast = ["--set", "fields.ifn1.diffusion=1e5 um^2/min"]
    done = gpusim("check", "cold-to-hot", *fast, folder=tmp_path)
    assert re.search(r"ifn1 .* implicit +240 passes \(stages\), over 60", done.stdout)
    done = gpusim("check", "cold-to-hot", *fast, "--set", "fields.ifn1.solver=explicit", folder=tmp_path)
    assert "more than 60 explicit passes per time step: ifn1 (240)" in done.stderr


@pytest.mark.slow
def test_presets_and_info(tmp_path):
    assert "cold-to-hot" in gpusim("presets", folder=tmp_path).stdout
    done = gpusim("info", folder=tmp_path, CXX="no-such-compiler")
    assert "no C++ compiler found (no-such-compiler)" in done.stdout
    assert re.search(r"auto selects \w+", done.stdout)
    if "CuPy is not installed" in done.stdout:
        assert "pip install 'gpusim[cuda12]' or 'gpusim[cuda13]'" in done.stdout


@pytest.mark.slow
def test_without_a_compiler_run_says_so_once(tmp_path):
    arguments = [a for a in SMALL if a not in ("--backend", "numpy")]
    done = gpusim(
        "run", "cold-to-hot", "--until", "30 min", "--no-picture", *arguments, folder=tmp_path, CXX="no-such-compiler"
    )
    assert done.returncode == 0
    assert done.stderr.count("slower numpy backend") <= 1
