import contextlib
import subprocess
import sys
import tracemalloc

import pytest

import gpusim
from gpusim import memory
from gpusim.backends import create
from gpusim.engine import transport
from gpusim.engine.memory import of_copies, on_backend
from gpusim.engine.transport import Transport
from gpusim.model import build
from gpusim.record import Recorder
from gpusim.tissue import BUILDING_PER_VOXEL

SIDE = 64


def scenario(**overrides):
    return gpusim.Scenario.load("cold-to-hot", {"grid.shape": [SIDE] * 3, **overrides})


@pytest.mark.slow
@pytest.mark.parametrize("diffusion", ["600 um^2/min", "1e5 um^2/min"], ids=["explicit", "implicit"])
@pytest.mark.parametrize("backend", ["numpy", "cpu"])
def test_a_run_takes_what_is_estimated(tmp_path, backend, diffusion):
    wanted = scenario(**{"fields.ifn1.diffusion": diffusion, "record.checkpoints": {"wall": "0 s"}})
    tracemalloc.start()
    try:
        with gpusim.Simulation(wanted, backend) as simulation, Recorder(simulation, tmp_path / "out") as recorder:
            for _ in range(2):
                simulation.step()
                recorder.record()
            simulation.digest()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    buffers = 20 * 2**20  # of the file formats, whatever the size
    estimate = on_backend(simulation.model) + of_copies(simulation.model)
    assert peak < estimate + buffers
    assert peak > on_backend(simulation.model)


@pytest.mark.slow
def test_replicates_take_as_many_times_what_one_takes(tmp_path):
    tracemalloc.start()
    try:
        with gpusim.Simulation(scenario(), "cpu", seed=[1, 2, 3]) as simulation, contextlib.ExitStack() as stack:
            for replicate in simulation.replicates:
                stack.enter_context(Recorder(replicate, tmp_path / str(replicate.seed)))
            simulation.step()
            for replicate in simulation.replicates:
                replicate.digest()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    buffers = 20 * 2**20  # of the file formats, whatever the size
    assert (
        3 * on_backend(simulation.model)
        < peak
        < 3 * on_backend(simulation.model) + of_copies(simulation.model) + buffers
    )


FIELDS_AND_CELLS = """
import gpusim, psutil
from gpusim.backends import create
from gpusim.engine import transport
from gpusim.engine.memory import on_backend

def run(side):
    slow = {"unit": "ng/mL", "diffusion": "600 um^2/min", "decay": "0.01 /min"}
    fields = {name: slow for name in "abcdefg"} | {"oxygen": slow | {"diffusion": "1e5 um^2/min"}}
    states = {"tumour": {"uptake": {"oxygen": "10 /min"}}}
    killer = {"layer": "immune", "motility": {"speed": "4 um/min"}}
    shapes = {
        "ball": {"kind": "sphere", "state": "tumour", "radius": "300 um"},
        "strewn": {"kind": "everywhere", "state": "killer", "fraction": 0.1},
    }
    scenario = gpusim.Scenario.parse("grid: {shape: [1, 1, 1]}").with_(
        grid={"shape": [side] * 3}, fields=fields, states=states | {"killer": killer}, tissue={"shapes": shapes}
    )
    with gpusim.Simulation(scenario, "cpu", threads=2) as simulation:
        assert {choice.solver for choice in simulation.site.transport.choices} == {"explicit", "implicit"}
        simulation.step(2)
        simulation.totals()
        return on_backend(simulation.model)

run(32)
before = psutil.Process().memory_info().rss
estimate = run(112)
# Not getrusage: its peak also counts what the process that started this one had at the time.
peak = 1024 * int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
print(estimate, peak - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_eight_fields_take_twelve_bytes_a_voxel_and_field_at_most():
    done = subprocess.run([sys.executable, "-c", FIELDS_AND_CELLS], capture_output=True, text=True, check=True)
    estimate, taken = map(int, done.stdout.split())
    assert taken == pytest.approx(estimate, rel=0.15)
    assert max(estimate, taken) <= 12 * 8 * 112**3


SOLVED = """
grid: {shape: [9, 6, 5]}
fields:
  slow: {unit: ng/mL, diffusion: 40 um^2/min}
  swept: {unit: ng/mL, diffusion: 10 um^2/min, solver: implicit}
  fast: {unit: ng/mL, diffusion: 1e5 um^2/min, solver: implicit}
  hindered: {unit: ng/mL, diffusion: {default: 1e5 um^2/min, stroma: 1e4 um^2/min}, decay: 1 /min, solver: steady}
  passed: {unit: ng/mL, diffusion: {default: 40 um^2/min, stroma: 4 um^2/min}}
states: {stroma: {}}
"""


def test_coarse_levels_have_a_place_for_the_fields_that_take_cycles():
    model, backend, made = build(gpusim.Scenario.parse(SOLVED)), create("numpy"), []
    lattice = backend.lattice
    backend.lattice = lambda values, finest=None: made.append(lattice(values, finest)) or made[-1]
    Transport([model], backend)
    # Above 5 x 6 x 9 voxels are 3 x 3 x 5, 2 x 2 x 3, 1 x 1 x 2, 1: three numbers each of "fast", four of "hindered".
    assert sum(array.nbytes for array in made) == transport.memory(model) == 4 * 7 * (45 + 12 + 2 + 1)


POINTS = {"start": ["0 um", "0 um", "0 um"], "end": ["900 um", "800 um", "300 um"]}


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [
        {"kind": "sphere", "radius": "400 um"},
        {"kind": "cylinder", "radius": "90 um", **POINTS},
        {"kind": "box", "lower": POINTS["start"], "upper": POINTS["end"]},
        {"kind": "vessels", "distance": "200 um", "fraction": 0.9, "into": "healthy"},
    ],
    ids=lambda shape: shape["kind"],
)
def test_building_takes_what_is_estimated(shape):
    wanted = scenario(**{"tissue.shapes": {"s": {"state": "tumour", **shape}}})
    tracemalloc.start()
    try:
        build(wanted)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < BUILDING_PER_VOXEL * SIDE**3


def still(side):
    """Five slow fields and nothing that moves: by voxel 8 + 5 * 8 on the backend, 24 + 5 * 4 for copies."""
    slow = "{unit: ng/mL, diffusion: 10 um^2/min}"
    fields = ", ".join(f"{name}: {slow}" for name in "abcde")
    return gpusim.Scenario.parse(f"{{grid: {{shape: [{side}, {side}, {side}]}}, fields: {{{fields}}}}}")


def test_what_does_not_fit_is_refused_with_what_would(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 20 * 2**20)
    with pytest.raises(gpusim.ScenarioError) as caught:
        gpusim.Simulation(still(SIDE), "numpy")
    message = str(caught.value)
    # 64^3 * 92 bytes; (20 / 23)^(1/3) of 64 is 61.
    assert "grid: 64 x 64 x 64 voxels need 23 MiB for 5 fields on the numpy backend, 20 MiB are free" in message
    assert "61 x 61 x 61 voxels would fit (the same tissue at 21 um)" in message
    gpusim.Simulation(still(61), "numpy")


def test_a_huge_grid_is_refused_at_once():
    with pytest.raises(gpusim.ScenarioError, match=r"4096 x 4096 x 4096 voxels need 3.25 TiB to build the tissue"):
        gpusim.Simulation(scenario(**{"grid.shape": [4096] * 3}), "numpy")


def test_less_than_nothing_is_never_free(monkeypatch, tmp_path):
    limit, usage = tmp_path / "limit", tmp_path / "usage"
    monkeypatch.setattr(memory, "_LIMITS", ((limit, usage),))
    assert memory.available() > 0
    for text, expected in (("1000", 900), ("50", 0)):
        limit.write_text(text)
        usage.write_text("100")
        assert memory.available() == expected
    limit.write_text("max")
    assert memory.available() > 10**6
