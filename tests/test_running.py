"""One loop: record, callbacks, stop, progress, resume."""

import pytest

import gpusim
from gpusim.record import Result

TEXT = """
name: run
grid: {shape: [4, 3, 2]}
time: {until: 12 min, step: {field: 1 min, rules: 2 min}}
record: {every: 6 min}
fields: {a: {unit: ng/mL, diffusion: 60 um^2/min, initial: 1}}
"""


def scenario():
    return gpusim.Scenario.parse(TEXT)


def test_callbacks_come_at_their_times_and_progress_after_each_step():
    seen, told = [], []
    with gpusim.run(
        scenario(),
        backend="numpy",
        every={"3 min": lambda sim: seen.append(sim.minutes), "6 min": lambda sim: seen.append("six")},
        progress=lambda sim: told.append(sim.steps),
    ) as simulation:
        assert seen == [0, "six", 3, 6, "six", 9, 12, "six"]
        assert told == list(range(13))
        with gpusim.Simulation(scenario(), "numpy") as alone:
            alone.run()
            assert simulation.digest() == alone.digest()


def test_a_simulation_goes_on_from_where_it_stands(tmp_path):
    seen = []
    with gpusim.Simulation(scenario(), "numpy") as simulation:
        every = {"4 min": lambda sim: seen.append(sim.minutes)}
        assert gpusim.run(simulation, until="4 min", every=every) is simulation
        gpusim.run(simulation, tmp_path / "out", until="8 min", every=every)
    assert seen == [0, 4, 8]
    assert list(Result(tmp_path / "out").times) == [4, 6, 8]


def test_a_run_that_was_stopped_goes_on(tmp_path):
    gpusim.run(scenario(), tmp_path / "out", backend="numpy", stop=lambda sim: sim.steps == 5).close()
    assert [path.name for path in (tmp_path / "out" / "checkpoints").iterdir()] == ["000000000005.zip"]
    begun = []
    with gpusim.run(
        tmp_path / "out" / "scenario.yaml",
        tmp_path / "out",
        backend="numpy",
        resume=True,
        progress=lambda sim: begun.append(sim.steps),
    ) as simulation:
        assert begun[0] == 5
        assert Result(tmp_path / "out").summary["digest"] == simulation.digest()
    with pytest.raises(gpusim.ResultError, match="out: this run has finished; there is nothing to resume"):
        gpusim.run(scenario(), tmp_path / "out", backend="numpy", resume=True)


def test_an_interrupt_leaves_a_checkpoint_and_is_passed_on(tmp_path):
    def interrupt(simulation):
        if simulation.steps == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gpusim.run(scenario(), tmp_path / "out", backend="numpy", progress=interrupt)
    assert [path.name for path in (tmp_path / "out" / "checkpoints").iterdir()] == ["000000000007.zip"]


def test_seeds_have_a_folder_each(tmp_path):
    gpusim.run(scenario(), tmp_path / "out", backend="numpy", seed=[4, 5], until="2 min").close()
    assert [Result(tmp_path / "out" / str(seed)).summary["seed"] for seed in (4, 5)] == [4, 5]
    gpusim.run(scenario(), [tmp_path / "a", tmp_path / "b"], backend="numpy", seed=[4, 5], until="2 min").close()
    assert Result(tmp_path / "b").summary["seed"] == 5
    with pytest.raises(gpusim.ScenarioError, match="folder: expected one for each of 2 seeds, found 1"):
        gpusim.run(scenario(), [tmp_path / "c"], backend="numpy", seed=[4, 5])
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("every", "message"),
    [
        ("90 s", "every '90 s': expected a multiple of the step .1 min., found 1.5 min"),
        ("soon", "every 'soon': "),
        ("1 mm", "every '1 mm': "),
    ],
)
def test_a_time_that_is_none_is_refused_before_anything_runs(tmp_path, every, message):
    with pytest.raises(gpusim.ScenarioError, match=message):
        gpusim.run(scenario(), tmp_path / "out", backend="numpy", every={every: print})
    assert not (tmp_path / "out").exists()


def test_what_is_repeated_is_done_at_its_step_or_refused():
    with gpusim.Simulation(scenario(), "numpy") as first:
        first.step(2)
        first.set("a", 3)
        first.change({"fields.a.decay": "0.1 /min"})
        first.run()
        acts = [act for act in first.actions if act.verb == "change"]
        assert [act.step for act in acts] == [2]
    with gpusim.Simulation(scenario(), "numpy") as here:
        here.step(2)
        gpusim.run(here, repeat=acts)
        assert list(here.actions) == acts
    with gpusim.Simulation(scenario(), "numpy") as late:
        late.step(3)
        with pytest.raises(gpusim.ScenarioError, match="'change' at step 2; expected a step from 3"):
            gpusim.run(late, repeat=acts)
    with pytest.raises(gpusim.ScenarioError, match="to 1, the end"):
        gpusim.run(scenario(), backend="numpy", until="1 min", repeat=acts)


def test_arguments_without_effect_are_refused():
    with gpusim.Simulation(scenario(), "numpy") as simulation, pytest.raises(TypeError, match="has its own seed"):
        gpusim.run(simulation, seed=3)
    with pytest.raises(TypeError, match="need a folder"):
        gpusim.run(scenario(), resume=True)
