"""A run on any number of ranks equals a run on one, bit for bit. Needs mpi4py and an mpirun."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import gpusim
from gpusim.backends import availability
from gpusim.record import Result

MPIRUN = shutil.which("mpirun", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
JOB = Path(__file__).with_name("job.py")
INTERRUPTS = Path(__file__).parents[2] / "engine" / "interrupts.py"
# Open MPI asks before it does what a small machine, or a container, needs; others read none of this.
CONSENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}
pytestmark = pytest.mark.slow
needs_mpi = pytest.mark.skipif(
    MPIRUN is None or importlib.util.find_spec("mpi4py") is None,
    reason="needs mpi4py and mpirun: pip install 'gpusim[mpi]'",
)
needs_cpu = pytest.mark.skipif(not availability("cpu").available, reason=availability("cpu").reason)


def gpusim_on(ranks, *arguments):
    return job(ranks, "-m", "gpusim", "run", *map(str, arguments))


def job(ranks, *arguments):
    command = [MPIRUN, "-n", str(ranks)] if ranks > 1 else []
    return subprocess.run(
        [*command, sys.executable, *map(str, arguments)],
        env=os.environ | CONSENT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


@needs_mpi
@pytest.mark.parametrize(
    ("inner", "ranks", "first", "end"),
    [
        pytest.param("cpu", 2, 0, 3, marks=needs_cpu),
        pytest.param("cpu", 4, 6, 7, marks=needs_cpu),
        ("numpy", 3, 7, 8),
        pytest.param("played", 2, 1, 2, marks=needs_cpu),
        pytest.param("played-direct", 4, 8, 9, marks=needs_cpu),
        pytest.param("played", 4, 8, 9, marks=[needs_cpu, pytest.mark.campaign]),
        pytest.param("played-direct", 2, 0, 4, marks=[needs_cpu, pytest.mark.campaign]),
        pytest.param("cpu", 2, 9, 17, marks=[needs_cpu, pytest.mark.campaign]),
        pytest.param("cpu", 4, 17, 20, marks=[needs_cpu, pytest.mark.campaign]),
    ],
)
def test_randomised_models_end_in_the_same_bits_on_slabs(inner, ranks, first, end):
    done = job(ranks, JOB, inner, first, end)
    assert done.returncode == 0, done.stderr
    assert "DIFFERENT" not in done.stdout
    assert done.stdout.count("same") >= 2 * (end - first) // 3


@needs_mpi
@needs_cpu
def test_a_handler_that_raises_at_random_moments_leaves_whole_steps():
    done = job(2, INTERRUPTS, "slabs", 2)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "slabs: 2 runs cut, 0 ended elsewhere, 0 miscounted\n"


@needs_mpi
@needs_cpu
@pytest.mark.parametrize("ranks", [2, 4])
def test_a_shipped_scenario_has_the_digest_of_one_process(ranks, tmp_path):
    changes = {"grid.shape": [12, 14, 17], "time.until": "30 min"}
    with gpusim.Simulation(gpusim.Scenario.load("cold-to-hot", changes), "cpu") as simulation:
        simulation.run()
        expected, counts = simulation.digest(), simulation.counts
    sets = [f"--set={path}={value}" for path, value in changes.items()]
    out = tmp_path / "out"
    done = gpusim_on(ranks, "cold-to-hot", "--backend", "slabs:cpu", *sets, "-o", out, "--no-picture")
    assert done.returncode == 0, done.stderr
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["digest"], summary["counts"]) == (expected, counts)
    assert f"backend slabs:cpu on {ranks} ranks" in done.stdout
    assert len(re.findall("digest", done.stdout)) == 1  # the first rank alone talks


TRAITS = """
grid: {shape: [9, 8, 10]}
time: {until: 1 hour, step: {rules: 6 min}}
record: {every: 30 min}
states: {one: {}, t: {layer: immune, motility: {speed: 4 um/min}}}
traits:
  load: {of: one, most: 90, initial: {uniform: {low: 1, high: 4}}, changes: {a: {growth: 0.3 /hour}}}
  kills: {of: t, most: 20}
rules: {hit: {transition: t -> t, rate: 1 /hour, partner: one -> empty, add: {kills: 1}}}
tissue: {background: one, shapes: {few: {kind: everywhere, state: t, fraction: 0.2}}}
"""


@needs_mpi
@needs_cpu
def test_recorded_traits_are_those_of_one_process(tmp_path):
    (tmp_path / "traits.yaml").write_text(TRAITS)
    done = gpusim_on(2, tmp_path / "traits.yaml", "--backend", "slabs:cpu", "-o", tmp_path / "two", "--no-picture")
    assert done.returncode == 0, done.stderr
    gpusim.run(tmp_path / "traits.yaml", tmp_path / "one", backend="cpu")
    tables = [(tmp_path / name / "counts.csv").read_bytes() for name in ("one", "two")]
    assert tables[0] == tables[1]
    one, two = (Result(tmp_path / name) for name in ("one", "two"))
    assert one.digest() == two.digest()
    assert one.summary["traits"] == two.summary["traits"]


def snake(columns, planes):
    """Boxes of vessels along z, joined in turn at the top and at the bottom, so that each crosses all slabs."""
    ends = [(0, planes) if x % 2 == 0 else (planes - 1, planes) if x % 4 == 1 else (0, 1) for x in range(columns)]
    boxes = {f"part{x}": (x, x + 1, *of) for x, of in enumerate(ends)}
    return {name: box("vessel", *edges) for name, edges in boxes.items()}


def box(state, x, end_x, z, end_z, **more):
    lower, upper = ([f"{20 * i} um" for i in at] for at in ((x, 0, z), (end_x, 1, end_z)))
    return {"kind": "box", "state": state, "lower": lower, "upper": upper, **more}


REGIONS = {
    "grid": {"shape": [17, 14, 16], "sides": dict.fromkeys("xyz", "open")},
    "time": {"until": "8 h", "step": {"rules": "12 min"}},
    "record": {"every": "8 h"},
    "states": {"vessel": {"yields": "rigid"}, "dead": {"yields": "rigid"}, "a": {}},
    "rules": {
        "fails": {
            "transition": "vessel -> dead",
            "rate": "100 /h",
            "modulators": [{"connected": ["vessel"], "to": ["x_high"], "at_zero": 1, "at_saturation": 0}],
        },
        "closing": {"transition": "empty -> outside", "rate": "0.1 /h", "reach": "130 um"},
    },
}


@needs_mpi
@needs_cpu
@pytest.mark.parametrize(("ranks", "inner"), [(4, "cpu"), (3, "numpy")])
def test_regions_go_across_slabs(ranks, inner, tmp_path):
    ball = {"kind": "sphere", "state": "a", "radius": "130 um", "fraction": 0.8, "into": "empty"}
    cut = box("empty", 7, 8, 0, 1, into="vessel")  # between the fourth and the fifth column
    model = REGIONS | {"tissue": {"shapes": snake(17, 16) | {"ball": ball, "cut": cut}}}
    (tmp_path / "regions.yaml").write_text(yaml.safe_dump(model, sort_keys=False))
    runs = [tmp_path / "slabs", tmp_path / "whole"]
    done = gpusim_on(ranks, tmp_path / "regions.yaml", "--backend", f"slabs:{inner}", "-o", runs[0], "--no-picture")
    assert done.returncode == 0, done.stderr
    gpusim.run(tmp_path / "regions.yaml", runs[1], backend="cpu")
    slabs, whole = map(Result, runs)
    assert slabs.digest() == whole.digest()
    assert slabs.summary["counts"] == whole.summary["counts"]
    assert whole.summary["counts"]["dead"] == 4 * 16 + 3  # four columns, and what joins them
    assert whole.summary["fired"]["closing"] > 100


OPEN_Z = """
grid: {shape: [4, 4, 24], sides: {z: open}}
time: {until: 30 min, step: {rules: 6 min}}
record: {every: 30 min}
states: {one: {}, t: {layer: immune, motility: {speed: 3 um/min}}}
rules: {division: {transition: one -> one + one, rate: 1 /hour, reach: 100 um}}
tissue:
  shapes:
    some: {kind: everywhere, state: one, fraction: 0.6}
    few: {kind: everywhere, state: t, fraction: 0.2}
"""


@needs_mpi
@needs_cpu
def test_a_rank_between_two_others_counts_what_leaves_at_their_sides(tmp_path):
    (tmp_path / "open.yaml").write_text(OPEN_Z)
    runs = [tmp_path / "slabs", tmp_path / "whole"]
    done = gpusim_on(3, tmp_path / "open.yaml", "--backend", "slabs:cpu", "-o", runs[0], "--no-picture")
    assert done.returncode == 0, done.stderr
    gpusim.run(tmp_path / "open.yaml", runs[1], backend="cpu")
    slabs, whole = (Result(run).summary for run in runs)
    assert [slabs[key] for key in ("digest", "counts", "left")] == [whole[key] for key in ("digest", "counts", "left")]
    assert all(whole["left"][state] > 0 for state in ("one", "t"))


THROUGH_ALL = """
grid: {shape: [5, 6, 26]}
time: {until: 2 hour, step: {rules: 6 min}}
record: {every: 2 hour}
states: {mother: {}, other: {}, wall: {yields: rigid}}
rules: {division: {transition: mother -> mother + other, rate: 0.1 /hour, reach: 600 um}}
traits: {number: {of: [mother, other], initial: {lognormal: {median: 1, fold: 1.5}}}}
tissue:
  background: other
  shapes:
    some: {kind: everywhere, state: mother, fraction: 0.3}
    wall: {kind: everywhere, state: wall, fraction: 0.15}
    free: {kind: box, lower: [0 um, 0 um, 500 um], upper: [100 um, 120 um, 520 um], state: empty}
"""
"""Room is at one end alone, so that ways lead through all slabs."""


@needs_mpi
@needs_cpu
@pytest.mark.parametrize("inner", ["cpu", "numpy"])
def test_cells_are_displaced_through_several_slabs(inner, tmp_path):
    (tmp_path / "through.yaml").write_text(THROUGH_ALL)
    runs = [tmp_path / "slabs", tmp_path / "whole"]
    done = gpusim_on(4, tmp_path / "through.yaml", "--backend", f"slabs:{inner}", "-o", runs[0], "--no-picture")
    assert done.returncode == 0, done.stderr
    gpusim.run(tmp_path / "through.yaml", runs[1], backend="cpu")
    slabs, whole = (Result(run).summary for run in runs)
    for key in ("digest", "counts", "barred"):
        assert slabs[key] == whole[key]
    assert whole["fired"]["division"] > 20


ONE_RANK_WITHOUT = """
from mpi4py import MPI
from gpusim import backends
from gpusim.errors import BackendError

def cuda(threads):
    if MPI.COMM_WORLD.rank == 1:
        raise BackendError("CuPy finds no NVIDIA GPU")
    return backends.create("numpy")

backends._CREATE["cuda"] = cuda
try:
    backends.create("slabs:cuda")
except BackendError as error:
    print(error)
"""


@needs_mpi
def test_a_rank_that_cannot_have_its_backend_is_named_and_all_end():
    done = job(2, "-c", ONE_RANK_WITHOUT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "backend 'slabs:cuda': rank 1 of 2: CuPy finds no NVIDIA GPU\n"


@needs_mpi
@pytest.mark.parametrize(
    ("ranks", "arguments", "message"),
    [
        (1, ["cold-to-hot"], "backend 'slabs' found one rank, expected two or more: mpirun -n 4 gpusim run"),
        (2, ["nothing"], "nothing: neither a shipped scenario nor a file"),
        (2, ["abscopal"], "runs one arm at a time"),
        (2, ["cold-to-hot", "--replicates", "3"], "takes one replicate at a time, found 3"),
        (2, ["cold-to-hot", "--set=grid.shape=[8, 8, 3]"], "3 planes along z for 2 ranks; expected 2 or more for each"),
        (2, ["cold-to-hot", "--set=fields.oxygen.boundary.z=periodic"], "fields.oxygen.boundary.z: 'periodic'"),
    ],
)
def test_what_cannot_be_run_on_slabs_is_told_once_and_ends_all_ranks(ranks, arguments, message, tmp_path):
    done = gpusim_on(ranks, *arguments, "--backend", "slabs", "-o", tmp_path / "out")
    assert done.returncode == 2
    assert re.sub(r"[\s│]+", " ", done.stderr).count(message) == 1
    assert "Traceback" not in done.stderr
