"""Trials: arms that share seeds, verdicts, and going on."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from typer.testing import CliRunner

import gpusim
from gpusim.cli import app
from gpusim.record import Result, layout
from gpusim.record.files import read_sealed, write_sealed
from gpusim.study import execution, folder
from gpusim.study.trial import Trial, run_trial
from gpusim.study.verdict import alike, compare, verdicts

TEXT = """
name: decay
seed: 5
grid: {shape: [6, 6, 6]}
time: {until: 60 min, step: {field: 5 min, rules: 5 min}}
record: {every: 20 min}
states: {cell: {}}
rules: {death: {transition: cell -> empty, rate: 0.005 /min}}
tissue: {background: cell}
trial:
  replicates: 5
  arms:
    slow: {}
    fast: {rules.death.rate: 0.02 /min}
    none: {rules.death: null}
  outcomes:
    left: {count: cell}
    lost: {fired: death, at: [20 min, 60 min]}
    most: {count: empty, take: highest}
  expected:
    - {outcome: left, arms: [fast, slow, none]}
    - {outcome: lost, arms: [fast, slow]}
    - {outcome: lost, arms: [slow, fast], at: 60 min}
    - {outcome: lost, arms: [slow], at: [20 min, 60 min]}
"""


def scenario(text=TEXT):
    return gpusim.Scenario.parse(text)


def outcomes_of(trial, arm, seed):
    """The file of the outcomes of a run."""
    return trial.folder / arm / str(seed) / folder.OUTCOMES


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    return run_trial(scenario(), tmp_path_factory.mktemp("trial") / "out", backend="numpy", jobs=2)


def test_every_arm_is_run_with_every_seed(trial):
    assert list(trial.table.columns) == ["arm", "seed", "left", "lost@20 min", "lost@60 min", "most"]
    assert list(trial.table.arm) == ["slow"] * 5 + ["fast"] * 5 + ["none"] * 5
    assert sorted(set(trial.table.seed)) == [5, 6, 7, 8, 9]
    table = trial.table.set_index("arm")
    assert (table.loc["none", "left"] == 216).all()
    assert table.loc["slow", "left"].mean() == pytest.approx(216 * np.exp(-0.3), rel=0.06)
    assert table.loc["fast", "left"].mean() == pytest.approx(216 * np.exp(-1.2), rel=0.12)
    assert (table["most"] == table["lost@60 min"]).all()
    assert (table.loc["none", "lost@60 min"] == 0).all()  # of a rule that the arm leaves out


def test_seeds_that_are_stepped_together_end_as_by_themselves(trial, tmp_path, connect, monkeypatch):
    out = tmp_path / "out"
    told, stepped = [], []
    measured = execution.measured
    monkeypatch.setattr(
        execution,
        "measured",
        lambda arm, seeds, *more, **by: stepped.append(len(seeds)) or measured(arm, seeds, *more, **by),
    )
    options = {"backend": "numpy", "connect": connect, "progress": lambda *done: told.append(done)}
    together = run_trial(trial.scenario, out, together=3, **options)
    pd.testing.assert_frame_equal(together.table, trial.table)
    assert told == [(n, 15) for n in range(1, 16)]
    assert stepped == [3, 2] * 3
    for path in trial.folder.rglob("*.csv"):
        if path.name != folder.LOG:
            assert (out / path.relative_to(trial.folder)).read_bytes() == path.read_bytes()
    outcomes_of(together, "slow", 6).unlink()
    again = run_trial(trial.scenario, out, together=5, resume=True, **options)
    pd.testing.assert_frame_equal(again.table, trial.table)


def test_the_workers_of_a_scheduler_give_the_same_table(trial, tmp_path, connect):
    address = connect().executor._client.scheduler.address
    elsewhere = run_trial(trial.scenario, tmp_path / "out", backend="numpy", scheduler=address)
    pd.testing.assert_frame_equal(elsewhere.table, trial.table)


def test_what_is_for_a_trial_alone_is_refused_of_a_single_run(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "single.yaml"
    path.write_text(TEXT[: TEXT.index("trial:")])
    for option in (["--together", "2"], ["--scheduler", "tcp://a:1"]):
        refused = CliRunner().invoke(app, ["run", str(path), "-o", str(tmp_path / "out"), *option])
        assert refused.exit_code == 2
        assert f"{option[0]}: applies only to a scenario with arms" in refused.output
    assert not (tmp_path / "out").exists()


def test_an_arm_is_the_scenario_with_its_overrides(trial):
    alone = scenario().arm("fast").with_(seed=7)
    with gpusim.Simulation(alone, "numpy") as simulation:
        simulation.run()
        row = trial.table[(trial.table.arm == "fast") & (trial.table.seed == 7)]
        assert simulation.count("cell") == row["left"].item()


def test_a_verdict_says_what_held_and_what_did_not(trial):
    first, second, third, fourth, fifth = verdicts(trial)
    # With 5 seeds, all in order, the one-sided signed-rank test gives 1/32.
    assert first.held
    assert [c.p for c in first.comparisons] == [pytest.approx(1 / 32)] * 2
    assert str(first).startswith("held: fast < slow < none in left (medians of 5 seeds")
    assert not second.held
    assert not third.held
    assert str(third).startswith("NOT HELD: fast < slow in lost@60 min")
    assert str(fourth).startswith("held: slow < fast in lost@60 min")
    assert str(fifth).startswith("held: 20 min < 60 min in lost of slow (medians of 5 seeds")


def test_a_suspended_order_is_told_and_not_required(trial):
    trial_spec = trial.scenario.document.trial
    orders = [dict(order.model_dump(exclude_unset=True), suspended="not fitted") for order in trial_spec.expected]
    suspended = Trial(trial.folder, trial.scenario.with_(trial={"expected": orders}), trial.table)
    third = verdicts(suspended)[2]
    assert not third.held
    assert third.as_required
    assert str(third).startswith("NOT HELD: ")
    assert str(third).endswith("; not required at present: not fitted")
    assert not verdicts(trial)[2].as_required


def test_few_seeds_can_only_be_in_order(trial):
    few = Trial(trial.folder, trial.scenario, trial.table[trial.table.seed < 9])
    first, second, *_ = verdicts(few)
    assert not first.held
    assert str(first).startswith("in order, with too few seeds to tell: fast < slow < none in left (medians of 4 seeds")
    assert str(second).startswith("NOT HELD")


def test_a_trial_goes_on_where_it_stopped(trial, connect):
    outcomes_of(trial, "slow", 6).unlink()
    early = trial.folder / "slow" / "7"
    shutil.rmtree(early)
    (early / (layout.UNREADY + "abc") / layout.SNAPSHOTS).mkdir(parents=True)  # killed before its store was whole
    marked = outcomes_of(trial, "fast", 6)
    found = read_sealed(marked)
    write_sealed(marked, found | {"outcomes": found["outcomes"] | {"left": -1.0}})
    with pytest.raises(gpusim.BackendError, match="no Dask scheduler there"):
        run_trial(trial.scenario, trial.folder, backend="numpy", scheduler="nowhere", resume=True)
    with pytest.raises(gpusim.ResultError, match="no finished trial"):
        Trial.open(trial.folder)
    assert "slow/6" not in "".join(folder.damages(trial.folder)), "not finished, and not damaged"
    resumed = run_trial(trial.scenario, trial.folder, backend="numpy", connect=connect, resume=True)
    assert resumed.table[(resumed.table.arm == "fast") & (resumed.table.seed == 6)]["left"].item() == -1
    rest = ~((trial.table.arm == "fast") & (trial.table.seed == 6))
    pd.testing.assert_frame_equal(resumed.table[rest], trial.table[rest])
    pd.testing.assert_frame_equal(Trial.open(trial.folder).table, resumed.table)

    def nobody():
        raise AssertionError("workers were started, and nothing was left to run")

    run_trial(trial.scenario, trial.folder, backend="numpy", connect=nobody, resume=True)
    with pytest.raises(gpusim.ResultError, match="is not empty"):
        run_trial(trial.scenario, trial.folder, backend="numpy")
    with pytest.raises(gpusim.ResultError, match="(?s)has changed since.*seed: 5 then, 1 now"):
        run_trial(trial.scenario.with_(seed=1), trial.folder, backend="numpy", resume=True)


def test_a_field_is_taken_as_an_amount_or_a_mean(tmp_path, connect):
    """A sum of a pressure is no number; of a concentration it is an amount, in voxels of 20 um (8e-9 mL)."""
    text = """
    grid: {shape: [2, 3, 4]}
    time: {until: 10 min, step: {field: 10 min, rules: 10 min}}
    fields:
      oxygen: {unit: mmHg, initial: 38}
      drug: {unit: ng/mL, initial: 2}
      virus: {unit: PFU/voxel, initial: 5}
    states: {cell: {}}
    trial:
      replicates: 1
      arms: {a: {}}
      outcomes: {pressure: {mean: oxygen}, drug: {total: drug}, level: {mean: drug}, virus: {total: virus}}
    """
    table = run_trial(scenario(text), tmp_path / "out", backend="numpy", connect=connect).table
    assert table[["pressure", "drug", "level", "virus"]].iloc[0].tolist() == pytest.approx(
        [38, 24 * 2 * 8e-9, 2, 24 * 5], rel=1e-6
    )
    with pytest.raises(gpusim.ScenarioError) as caught:
        scenario(text.replace("mean: oxygen", "total: oxygen"))
    assert "trial.outcomes.pressure.total: a sum of 'mmHg' over voxels is not an amount; use 'mean: oxygen'" in str(
        caught.value
    )


def test_a_comparison_is_by_seed():
    rng = np.random.default_rng(1)
    low = rng.normal(0, 10, 12)
    high = low + rng.normal(1, 0.5, 12)  # hidden by the spread between seeds, plain seed by seed
    found = compare("a", "b", low, high)
    assert found.p == pytest.approx(stats.wilcoxon(high, low, alternative="greater").pvalue)
    assert found.p < 0.01
    assert found.interval[0] < found.difference < found.interval[1]
    assert compare("a", "b", low, low).p == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("left: {count: cell}", "left: {count: sell}"), "trial.outcomes.left.count: unknown state 'sell'"),
        (("left: {count: cell}", "left: {}"), "expected exactly one of 'count', 'volume'"),
        (("left: {count: cell}", "left: {count: cell, site: x}"), "unknown site 'x'"),
        (("left: {count: cell}", "left: {lesion: cells}"), "needs 'heat' in the scenario"),
        (
            ("{outcome: left,", "{outcome: lft,"),
            "trial.expected[0].outcome: unknown outcome 'lft'; did you mean 'left'?",
        ),
        (("[fast, slow, none]", "[fast, slw]"), "unknown arm 'slw'; did you mean 'slow'?"),
        (("60 min]}", "70 min]}"), "'70 min' is after the end of the run"),
        (("at: 60 min}", "at: 50 min}"), "trial.expected[2].at: unknown time of 'lost' '50 min'"),
        (("[slow], at: [20 min, 60 min]", "[slow]"), "expected two arms or more, or two times"),
    ],
)
def test_a_mistake_is_named(change, message):
    assert change[0] in TEXT
    with pytest.raises(gpusim.ScenarioError) as caught:
        scenario(TEXT.replace(*change))
    assert message in str(caught.value)


def test_a_mistake_in_an_arm_is_named():
    with pytest.raises(gpusim.ScenarioError, match=r"trial.arms.fast: .*rules.death.rat: unknown key"):
        scenario(TEXT.replace("rules.death.rate", "rules.death.rat")).arm("fast")


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ("{rules.death: null, states.cell: null, states.other: {}, tissue.background: other}", "unknown state 'cell'"),
        ("{time.until: 30 min}", "'60 min' is after the end of the run (30 min)"),
    ],
)
def test_an_arm_without_what_is_measured_is_refused_before_anything_is_run(tmp_path, arm, message):
    changed = scenario(TEXT.replace("none: {rules.death: null}", f"none: {arm}"))
    with pytest.raises(gpusim.ScenarioError, match=re.escape(message)) as caught:
        run_trial(changed, tmp_path / "out", backend="numpy")
    assert str(caught.value).startswith("trial.arms.none: outcomes.")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["", "{}", '{"left": 1'])
def test_damaged_outcomes_are_told_and_run_again(tmp_path, connect, text):
    small = scenario().with_(trial={"replicates": 1, "expected": []})
    whole = run_trial(small, tmp_path / "out", backend="numpy", connect=connect)
    outcomes_of(whole, "fast", 5).write_text(text)
    counts = tmp_path / "out" / "slow" / "5" / layout.COUNTS
    counts.write_text(counts.read_text().replace("216", "217", 1))
    assert len(list(folder.damages(tmp_path / "out"))) == 2
    with pytest.warns(UserWarning, match="is damaged.*this run is repeated"):
        again = run_trial(small, tmp_path / "out", backend="numpy", connect=connect, resume=True)
    pd.testing.assert_frame_equal(again.table, whole.table)
    assert not list(folder.damages(tmp_path / "out"))
    table = tmp_path / "out" / folder.TABLE
    table.write_text(table.read_text().replace("216", "217", 1))
    with pytest.raises(gpusim.ResultError, match="is damaged"):
        Trial.open(tmp_path / "out")


def test_only_the_arm_that_has_changed_is_run_again(tmp_path, connect):
    small = scenario().with_(trial={"replicates": 1, "expected": []})
    told = []
    options = {"backend": "numpy", "connect": connect, "progress": lambda *done: told.append(done)}
    run_trial(small, tmp_path / "out", **options)
    changed = small.with_(trial={"arms": {"fast": {"rules.death.rate": "0.03 /min"}}})
    said = r'trial.arms.fast.rules.death.rate: "0.02 /min" then, "0.03 /min" now'
    with pytest.raises(gpusim.ResultError, match=said):
        run_trial(changed, tmp_path / "out", resume=True, **options)
    told.clear()
    before = (tmp_path / "out" / folder.LOG).read_text()
    with pytest.warns(UserWarning, match="is run again"):
        run_trial(changed, tmp_path / "out", resume=True, rerun=True, **options)
    assert told == [(1, 3), (2, 3), (3, 3)]
    added = (tmp_path / "out" / folder.LOG).read_text().removeprefix(before)
    assert [line.split(",")[2] for line in added.splitlines()] == ["begun", "finished"]
    with pytest.warns(UserWarning, match="is run again"):
        again = run_trial(small, tmp_path / "out", resume=True, rerun=True, **options)
    counts = {arm: Result(tmp_path / "out" / arm / "5").summary["counts"]["cell"] for arm in small.arms}
    table = dict(zip(again.table["arm"], again.table["left"], strict=True))
    assert table == counts, "results of the scenario in between"
    assert not list(folder.damages(tmp_path / "out"))
    shutil.rmtree(tmp_path / "out" / "slow")
    (problem,) = folder.damages(tmp_path / "out")
    assert "slow/5/outcomes.json: is damaged" in problem


@pytest.mark.parametrize("name", ["outcomes.csv", "Trial.yaml", "SHA256SUMS", "log.csv", "SLOW"])
def test_an_arm_whose_folder_is_taken_is_refused_before_anything_is_run(tmp_path, name):
    with pytest.raises(gpusim.ScenarioError, match=f"trial.arms.{name}: its folder would be the same as that of"):
        run_trial(scenario(TEXT.replace("fast: {rules", f"{name}: {{rules").replace("fast", name)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_arms_that_end_alike_are_named():
    """As where a dose has no effect in some seeds."""
    rows = [
        ("untreated", 1, 5.0),
        ("untreated", 2, 6.0),
        ("dose", 1, 5.0),
        ("dose", 2, 4.0),
        ("both", 1, 1.0),
        ("both", 2, 2.0),
    ]
    table = pd.DataFrame(rows, columns=["arm", "seed", "left"])
    found = alike(Trial(folder=None, scenario=scenario(), table=table))
    assert found == ["dose: every outcome equals that of untreated in 1 of 2 seeds"]
