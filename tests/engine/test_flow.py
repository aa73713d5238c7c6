"""Flow of fluid in a simulation: when the pressure is solved, resuming, replicates, changes, and what is refused."""

import numpy as np
import pytest
import yaml

import gpusim
from gpusim import Scenario, ScenarioError
from gpusim.engine.memory import on_backend
from gpusim.model import build

SCENARIO = """
grid: {shape: [9, 8, 7]}
time: {until: 40 min, step: {field: 1 min, rules: 1 min}}
record: {every: 40 min}
fields:
  pressure: {unit: mmHg, boundary: {x_low: {value: 0}}}
  drug: {unit: ng/mL, diffusion: 3 um^2/min, advection: true, initial: 1}
flow:
  field: pressure
  conductivity: {default: 250 um^2/mmHg/min, dense: 25 um^2/mmHg/min}
  vessels: {vessel: {conductivity: 3e-6 cm/mmHg/s, surface: 200 /cm, pressure: 20 mmHg, oncotic: 5 mmHg}}
  lymphatics: {empty: {conductance: 1e-5 /mmHg/s}}
  every: 10 min
states: {vessel: {}, dense: {}}
rules:
  collapse: {transition: vessel -> dense, rate: 0.02 /min, modulators: [{field: pressure, half: 4 mmHg}]}
tissue:
  shapes:
    vessels: {kind: everywhere, state: vessel, fraction: 0.3}
    stroma: {kind: everywhere, state: dense, fraction: 0.3, into: empty}
"""


def simulation(backend=("numpy", None), seed=None, **changes):
    return gpusim.Simulation(Scenario.parse(SCENARIO).with_(**changes), backend[0], threads=backend[1], seed=seed)


def test_the_pressure_is_solved_at_the_start_and_at_the_interval(one_backend_each):
    with simulation(one_backend_each) as running:
        at_start = running.field("pressure")
        assert 0 < at_start.max() < 15
        running.step(1)
        first = running.field("pressure")
        running.step(9)
        assert np.array_equal(running.field("pressure"), first)
        running.step(1)
        assert running.fired["collapse"] > 5
        assert running.field("pressure").mean() < 0.99 * first.mean()


def test_check_counts_the_passes_while_a_needle_infuses_and_changes_nothing(one_backend_each):
    infusion = {"inject": "drug", "amount": "1 ng", "volume": "0.002 uL", "duration": "5 min", "start": "20 min"}
    with simulation(one_backend_each, therapies={"n": infusion}) as running:
        (site,) = running.replicates[0].sites.values()
        running.step(12)
        assert site.passes_of_advection > 5 * simulation().replicates[0].sites["primary"].passes_of_advection
        running.step(3)
        with simulation(one_backend_each, therapies={"n": infusion}) as expected:
            expected.step(15)
            assert running.digest() == expected.digest()


def test_an_infusion_that_is_too_fast_names_its_duration():
    infusion = {"inject": "drug", "amount": "1 ng", "volume": "500 uL", "duration": "5 min", "start": "20 min"}
    with (
        simulation(therapies={"n": infusion}) as running,
        pytest.raises(gpusim.NumericalError, match=r"'drug' takes .* or a longer 'therapies.n.duration'"),
    ):
        assert next(iter(running.replicates[0].sites.values())).passes_of_advection


def test_backends_end_in_the_same_bits(one_backend_each):
    with simulation() as expected, simulation(one_backend_each) as found:
        expected.step(15)
        found.step(15)
        assert found.digest() == expected.digest()


def test_replicates_with_flows_of_their_own_end_in_the_bits_of_single_runs(one_backend_each):
    with gpusim.Simulation(Scenario.parse(SCENARIO), one_backend_each[0], seed=[1, 2]) as together:
        together.step(12)
        for seed, replicate in zip([1, 2], together.replicates, strict=True):
            with simulation(seed=seed) as alone:
                alone.step(12)
                assert replicate.digest() == alone.digest()


@pytest.mark.parametrize("changed", [False, True])
def test_a_resumed_run_ends_in_the_same_bits(tmp_path, changed):
    with simulation() as whole:
        whole.step(6)
        if changed:
            whole.change({"flow.conductivity.default": "300 um^2/mmHg/min"})
        whole.step(7)
        numbers, arrays = whole.numbers, dict(whole.arrays())
        whole.step(10)
        with simulation() as resumed:
            resumed.step(2)
            if changed:
                resumed.change({"flow.conductivity.default": "300 um^2/mmHg/min"})
            resumed.restore(numbers, arrays)
            resumed.step(10)
            assert resumed.digest() == whole.digest()


NEEDLE = {"inject": "drug", "amount": "1 ng", "volume": "1e-3 uL", "duration": "10 min", "start": "5 min"}


@pytest.mark.parametrize("resumed_at", [3, 8, 17])
def test_a_run_is_resumed_before_during_and_after_an_infusion(one_backend_each, resumed_at):
    with simulation(one_backend_each, therapies={"needle": NEEDLE}) as whole:
        whole.step(resumed_at)
        numbers, arrays = whole.numbers, dict(whole.arrays())
        whole.step(20 - resumed_at)
        with simulation(therapies={"needle": NEEDLE}) as resumed:
            resumed.restore(numbers, arrays)
            resumed.step(20 - resumed_at)
            assert resumed.digest() == whole.digest()


def test_a_change_leaves_an_infusion_on_or_ends_it():
    with simulation(therapies={"needle": NEEDLE}) as running:
        running.step(5)
        off = running.field("pressure")[3, 4, 4]
        running.step(3)
        on = running.field("pressure")[3, 4, 4]
        assert on > off + 1
        running.change({"flow.lymphatics.empty.conductance": "1.001e-5 /mmHg/s"})
        assert running.field("pressure")[3, 4, 4] == pytest.approx(on, rel=0.02)
        running.change({"therapies.needle": None})
        assert running.field("pressure")[3, 4, 4] == pytest.approx(off, rel=0.1)


def test_a_changed_flow_acts_at_once():
    with simulation() as running:
        running.step(2)
        before = running.field("pressure").mean()
        running.change({"flow.vessels.vessel.pressure": "40 mmHg"})
        assert running.field("pressure").mean() > 2 * before


def test_without_flow_a_checkpoint_has_nothing_of_it():
    without = Scenario.parse("{grid: {shape: [3, 3, 3]}, time: {until: 1 min}}")
    with gpusim.Simulation(without, "numpy") as running:
        assert not [name for name, _ in running.arrays() if "flow." in name]


PROBLEMS = {
    "flow.field = oxygen": "flow.field: unknown field 'oxygen' (known: pressure, drug)",
    "flow.field = drug": "fields.drug.unit: expected a pressure, as 'mmHg', because 'flow' names the field",
    "flow.conductivity.stroma = 1 um^2/mmHg/min": "flow.conductivity.stroma: unknown tissue state 'stroma'",
    "flow.conductivity.dense = 0 um^2/mmHg/min": "flow.conductivity.dense: expected a conductivity above 0; for",
    "flow.conductivity.dense = 1 um^2/min": "flow.conductivity.dense: expected a quantity in 'um^2/mmHg/min'",
    "flow.vessels.vessel.oncotic = 25 mmHg": "flow.vessels.vessel: the effective pressure, ",
    "flow.vessels.vessel.reflection = 1.5": "flow.vessels.vessel.reflection: ",
    "flow.lymphatics.vesel = {conductance: 1 /mmHg/min}": "unknown tissue state 'vesel'; did you mean 'vessel'?",
    "flow.every = 90 s": "flow.every: expected a multiple of the step (1 min), found 1.5 min",
    "flow = null": "fields.drug.advection: has no effect without 'flow'",
    "fields.pressure.diffusion = 1 um^2/min": "fields.pressure.diffusion: does not apply to the field of the pressure",
    "fields.pressure.solver = explicit": "fields.pressure.solver: found explicit; expected auto or steady",
    "fields.pressure.advection = true": "fields.pressure.advection: does not apply to the field of the pressure",
    "states.dense.secretion.pressure = 1 mmHg/min": "'states.dense.secretion.pressure' does not apply to the field",
    "therapies.dose = {inject: pressure, amount: 1 mmHg*voxel}": "'therapies.dose' does not apply to the field",
    "fields.drug.solver = implicit2": "fields.drug.solver: found implicit2, which does not conserve the mass",
    "fields.drug.boundary.y = periodic": "fields.drug.boundary: expected 'y' to be periodic for both",
    "fields.drug.advection = {volume: 0}": "fields.drug.advection.volume: ",
    "states.dense.exchange.drug = {permeability: 1 /min, blood: 1, reflection: 1}": "has no effect, because 'flow.vess",
    (
        "fields.drug.advection = false; states.vessel.exchange.drug = {permeability: 1 /min, blood: 1, reflection: 1}"
    ): "states.vessel.exchange.drug.reflection: needs 'advection' in fields.drug",
    "therapies.n = {inject: drug, amount: 1 ng, volume: 1 uL}": "'volume' and 'duration' of an infusion",
    "therapies.n = {inject: drug, amount: 1 ng, volume: 0 uL, duration: 5 min}": "expected a 'volume' above 0",
    "therapies.n = {inject: drug, amount: 1 ng, volume: 1 ng, duration: 5 min}": "therapies.n.volume: expected a quan",
    "therapies.n = {inject: drug, amount: 1 ng, volume: 1 uL, duration: 90 s}": "therapies.n.duration: expected a mult",
    "therapies.n = {inject: dense, amount: 1 cell, volume: 1 uL, duration: 5 min}": "therapies.n.volume: applies only",
    "therapies.n = {inject: drug, amount: 1 ng, volume: 1 uL, duration: 9 min, every: 5 min, doses: 2}": "of 9 min has",
    "fields.drug.advection = false; therapies.n = {inject: drug, amount: 1 ng, volume: 1 uL, duration: 5 min}": "needs",
    "fields.pressure.boundary = {}; flow.lymphatics = {}": "flow: nothing determines the pressure 'pressure'",
}


def started(changes):
    gpusim.Simulation(Scenario.parse(SCENARIO).overridden(changes), "numpy").close()


@pytest.mark.parametrize(("changes", "message"), PROBLEMS.items(), ids=PROBLEMS)
def test_what_has_no_meaning_is_refused_in_one_line(changes, message):
    pairs = (change.split(" = ") for change in changes.split("; "))
    with pytest.raises(ScenarioError) as caught:
        started({path: yaml.safe_load(value) for path, value in pairs})
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_memory_of_flow_is_counted():
    scenario = Scenario.parse(SCENARIO)
    carried, still = (build(each) for each in (scenario, scenario.overridden({"fields.drug.advection": False})))
    # Rates out of voxels, and the effect of lymph on the drug: two maps.
    assert on_backend(carried) - on_backend(still) == (4 + 8) * carried.voxels
