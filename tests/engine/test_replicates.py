"""Replicates that are stepped together: each ends in the bits of a run by itself."""

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from machines import backend_parameters

import gpusim
from gpusim import memory
from gpusim.backends import availability, cpu
from gpusim.backends.numpy import NumpyBackend
from gpusim.errors import NumericalError
from gpusim.record import Recorder, Result
from gpusim.verification import Machine
from gpusim.verification.bits import outcome
from gpusim.verification.models import randomised

SEEDS = (2**64 - 1, 0, 7)

BUSY = """
name: busy
grid: {shape: [9, 7, 5]}
time: {until: 40 min, step: {field: 2 min, rules: 4 min}}
record: {every: 20 min}
fields:
  c: {unit: ng/mL, diffusion: 60 um^2/min, decay: 0.01 /min}
  oxygen: {unit: mmHg, diffusion: 1e5 um^2/min, decay: 1 /min, solver: steady, boundary: {z: {value: 38}}}
states:
  source: {secretion: {c: 1 ng/mL/min}, exchange: {c: {body: drug, volume: 1 mL, permeability: 0.1 /min}}}
  t: {layer: immune, motility: {speed: 9 um/min, chemotaxis: {field: c, half: 1, sensitivity: 100 um}}}
rules:
  grow: {transition: empty -> source, rate: 0.01 /min, modulators: [{neighbours: [source], neighbourhood: 26, per: 26}]}
  leave: {transition: t -> none, rate: 0.03 /min, to_body: blood}
  enter: {transition: none -> t, rate: 0.002 /min, modulators: [{body: blood, half: 10}], from_body: blood}
body:
  quantities: {blood: {initial: 5}, drug: {unit: ng, initial: 1e-6}}
tissue:
  shapes:
    source: {kind: everywhere, state: source, fraction: 0.2}
    t: {kind: everywhere, state: t, fraction: 0.1}
sites:
  lung: {}
  liver: {grid: {shape: [4, 9, 3], spacing: 30 um}}
therapies:
  dose: {inject: c, amount: 5 fg, site: liver, start: 10 min, every: 10 min, doses: 2}
  cells: {inject: t, amount: 9 cell, site: lung, radius: 60 um, start: 20 min}
  knife: {resect: [source, t], site: lung, radius: 40 um, start: 30 min}
  drip: {infuse: drug, amount: 2e-6 ng, start: 12 min}
"""


@pytest.fixture(scope="module", autouse=True)
def share_small_launches():
    """Let threads share even the small lattices of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "_SMALLEST_SHARE", 64)
        yield


def state_of(replicate):
    """All that a run ends with."""
    try:
        totals = replicate.totals()
    except NumericalError:
        totals = None
    return replicate.digest(), replicate.fired, replicate.counts, replicate.body, totals


@pytest.mark.slow
@pytest.mark.parametrize("machine", backend_parameters())
@settings(deadline=None, max_examples=4, suppress_health_check=list(HealthCheck))
@given(data=st.randoms(use_true_random=False).map(randomised))
def test_each_replicate_of_a_randomised_model_ends_as_by_itself(machine, data):
    single = "cpu" if availability("cpu").available else "numpy"  # of the same bits (tests/backends)
    if outcome(Machine(single, 1), data) is None:
        return
    scenario, alone = gpusim.Scenario.parse(yaml.safe_dump(data)), []
    for seed in SEEDS:
        with gpusim.Simulation(scenario, single, threads=1, seed=seed) as simulation:
            simulation.step(6)
            alone.append(state_of(simulation))
    with gpusim.Simulation(scenario, machine[0], threads=machine[1], seed=SEEDS) as simulation:
        simulation.step(6)
        assert [state_of(replicate) for replicate in simulation.replicates] == alone


def test_bodies_sites_and_therapies_are_each_replicates_own(backend):
    name, threads = backend
    alone = []
    for seed in SEEDS:
        with gpusim.Simulation(gpusim.Scenario.parse(BUSY), name, threads=threads, seed=seed) as simulation:
            simulation.run()
            alone.append((state_of(simulation), {n: site.counts for n, site in simulation.sites.items()}))
    with gpusim.Simulation(gpusim.Scenario.parse(BUSY), name, threads=threads, seed=SEEDS) as simulation:
        simulation.run()
        together = [(state_of(r), {n: s.counts for n, s in r.sites.items()}) for r in simulation.replicates]
    assert together == alone
    assert len({digest for (digest, *_), _ in alone}) == len(SEEDS)


def test_a_simulation_holds_its_replicates():
    with gpusim.Simulation(gpusim.Scenario.parse(BUSY), "numpy", seed=[4, 5]) as simulation:
        simulation.step(3)
        first, second = simulation.replicates
        assert [each.seed for each in (first, second)] == [4, 5] == list(simulation.seeds)
        assert simulation.minutes == 6.0
        assert simulation.model.until == first.model.until
        assert second.scenario.document.seed == 5
        assert (second.steps, second.minutes, second.seconds) == (3, 6.0, simulation.seconds)
        assert not np.array_equal(first.tissue, second.tissue)


@pytest.mark.parametrize(
    "ask",
    [
        lambda simulation: simulation.counts,
        lambda simulation: simulation.field("c"),
        lambda simulation: simulation.digest(),
        lambda simulation: simulation.body,
        lambda simulation: simulation.seed,
        lambda simulation: simulation.dataset(),
        lambda simulation: simulation.actions,
        lambda simulation: dict(simulation.arrays()),
    ],
)
def test_several_replicates_have_nothing_that_belongs_to_one(ask):
    with gpusim.Simulation(gpusim.Scenario.parse(BUSY), "numpy", seed=[4, 5]) as simulation:
        message = r"this simulation has 2 replicates; use one of them, e.g. simulation.replicates\[0\].counts"
        with pytest.raises(gpusim.GpusimError, match=f"^{message}$"):
            ask(simulation)
        for replicate in simulation.replicates:
            ask(replicate)


def test_a_recorder_of_several_replicates_is_refused(tmp_path):
    with gpusim.Simulation(gpusim.Scenario.parse(BUSY), "numpy", seed=[4, 5]) as simulation:
        with pytest.raises(gpusim.GpusimError, match="has 2 replicates"):
            Recorder(simulation, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_a_simulation_says_what_it_is():
    with gpusim.Simulation(gpusim.Scenario.parse(BUSY), "numpy", seed=[4, 5]) as simulation:
        simulation.step(6)
        lattices = "9 x 7 x 5 voxels of 20 um at lung, 4 x 9 x 3 voxels of 30 um at liver, 2 fields, 4 states"
        now = "at 12 min (step 6 of 20), backend numpy>"
        assert repr(simulation) == f"<Simulation of busy: {lattices}, 2 replicates, seeds 4, 5, {now}"
        assert repr(simulation.replicates[1]) == f"<Replicate 1 of busy: {lattices}, seed 5, {now}"


def test_a_replicate_goes_on_by_itself_and_back(one_backend_each):
    name = one_backend_each[0]
    scenario = gpusim.Scenario.parse(BUSY)
    with gpusim.Simulation(scenario, name, seed=SEEDS) as together:
        together.step(10)
        saved = [(replicate.numbers, dict(replicate.arrays())) for replicate in together.replicates]
        together.step(10)
        expected = [replicate.digest() for replicate in together.replicates]
        for replicate, state in zip(together.replicates, saved, strict=True):
            replicate.restore(*state)
        together.step(10)
        assert [replicate.digest() for replicate in together.replicates] == expected
    with gpusim.Simulation(scenario, name, seed=SEEDS[1]) as alone:
        alone.restore(*saved[1])
        alone.step(10)
        assert alone.digest() == expected[1]


def test_replicates_are_recorded_each_in_a_folder_as_by_themselves(tmp_path):
    def files(folder):
        # Times of the clock, and the sums of files that hold them, differ.
        same = [p for p in folder.rglob("*") if p.is_file() and p.suffix != ".json" and p.name != "SHA256SUMS"]
        return {p.relative_to(folder): p.read_bytes() for p in same}

    scenario = gpusim.Scenario.parse(BUSY)
    with gpusim.Simulation(scenario, "numpy", seed=[1, 2]) as simulation:
        recorders = [Recorder(r, tmp_path / "together" / str(r.seed)) for r in simulation.replicates]
        for _ in simulation.stretches():
            for recorder in recorders:
                recorder.record()
        for recorder in recorders:
            with recorder:
                recorder.finish()
    for seed in (1, 2):
        folder = tmp_path / "alone" / str(seed)
        with gpusim.Simulation(scenario, "numpy", seed=seed) as simulation, Recorder(simulation, folder) as recorder:
            for _ in simulation.stretches():
                recorder.record()
            recorder.finish()
        together = tmp_path / "together" / str(seed)
        assert files(together) == files(folder)
        assert Result(together).summary["digest"] == Result(folder).summary["digest"]
        assert Result(together).summary["seed"] == seed


def test_a_replicate_that_was_stopped_goes_on_by_itself(tmp_path):
    scenario = gpusim.Scenario.parse(BUSY)
    with gpusim.Simulation(scenario, "numpy", seed=[1, 2]) as simulation:
        recorders = [Recorder(r, tmp_path / str(r.seed)) for r in simulation.replicates]
        simulation.step(7)
        for recorder in recorders:
            with recorder:
                recorder.record()
                recorder.checkpoint()
        simulation.run()
        expected = simulation.replicates[1].digest()
    folder = tmp_path / "2"
    with (
        gpusim.Simulation(Result(folder).scenario, "numpy") as simulation,
        Recorder(simulation, folder, resume=True) as recorder,
    ):
        assert (simulation.seed, simulation.steps) == (2, 7)
        for _ in simulation.stretches():
            recorder.record()
        assert recorder.finish()["digest"] == expected


def test_a_fault_is_named_with_its_seed():
    with gpusim.Simulation(gpusim.Scenario.parse(BUSY), "numpy", seed=[4, 5]) as simulation:
        simulation.replicates[0].sites["lung"].stack.state.fields[0, 1, 2, 3, 4] = np.nan
        with pytest.raises(NumericalError, match=r"^seed 5: field 'c' at voxel x=4, y=3, z=2 .* is nan"):
            simulation.replicates[1].check()
        simulation.replicates[0].check()
        with pytest.raises(NumericalError, match=r"^seed 5: field 'c'"):
            simulation.check()
        with pytest.raises(NumericalError, match=r"^seed 5: field 'c'"):
            simulation.run()


def test_replicates_are_counted_before_they_take_memory(monkeypatch):
    scenario = gpusim.Scenario.parse("{grid: {shape: [64, 64, 64]}, fields: {a: {unit: ng/mL}}}")
    monkeypatch.setattr(memory, "available", lambda: 20 * 2**20)
    gpusim.Simulation(scenario, "numpy", seed=[1, 2, 3]).close()  # 3 * 16 + 28 bytes a voxel
    with pytest.raises(gpusim.ScenarioError, match="need 23 MiB for 1 fields and 4 replicates on the numpy backend"):
        gpusim.Simulation(scenario, "numpy", seed=[1, 2, 3, 4])


def test_what_makes_no_replicates_is_refused():
    scenario = gpusim.Scenario.parse(BUSY)
    with pytest.raises(gpusim.ScenarioError, match="seed: expected one or more, found none"):
        gpusim.Simulation(scenario, "numpy", seed=[])
    cut = NumpyBackend()
    cut.name, cut.ranks = "slabs", 2
    with pytest.raises(gpusim.BackendError, match="backend 'slabs' takes one replicate at a time, found 3"):
        gpusim.Simulation(scenario, cut, seed=SEEDS)


def test_a_fault_in_any_replicate_is_found_by_the_check_of_all(monkeypatch):
    text = (
        "{grid: {shape: [3, 4, 5]}, time: {until: 10 min, step: {field: 1 min, rules: 1 min}}, fields: {a: {unit: ng}}}"
    )
    simulation = gpusim.Simulation(gpusim.Scenario.parse(text.replace("ng", "ng/mL")), "numpy", seed=[4, 5, 6])
    simulation.check()
    simulation.replicates[1].site.deposit("a", np.array([7]), np.array([np.nan], np.float32))
    with pytest.raises(gpusim.NumericalError, match="seed 5: field 'a' at voxel x=1, y=2, z=0"):
        simulation.check()
    with pytest.raises(gpusim.NumericalError, match="seed 5"):
        simulation.run()


def test_tallies_are_fetched_once_after_a_step(monkeypatch):
    simulation = gpusim.Simulation(gpusim.Scenario.parse(BUSY), "numpy", seed=[4, 5])
    stacks, fetched = {site.stack for site in simulation.replicates[0].sites.values()}, []
    original = simulation.backend.fetch

    def counted(arrays):
        fetched.extend(stack for stack in stacks for array in arrays if array is stack.state.tally.fired)
        return original(arrays)

    monkeypatch.setattr(simulation.backend, "fetch", counted)
    for _ in range(3):
        fetched.clear()
        simulation.step(simulation.model.rules_every)
        for replicate in simulation.replicates:
            assert replicate.counts
            assert replicate.fired
        assert len(fetched) == len(stacks) == len(set(fetched))
