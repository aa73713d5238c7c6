"""Robustness: sets of plausible numbers, shares of sets in which orders hold, and going on."""

import contextlib
import csv
import html
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import gpusim
from gpusim.cli import app
from gpusim.study import execution
from gpusim.study.execution import Setting
from gpusim.study.robustness import Judgement, Robustness, Sets, _share
from gpusim.study.sweep import note_study, sweep
from gpusim.study.trial import run_trial

TEXT = """
name: decay
seed: 5
grid: {shape: [6, 6, 6]}
time: {until: 60 min, step: {field: 5 min, rules: 5 min}}
states: {cell: {}, other: {}}
rules:
  death: {transition: cell -> empty, rate: 0.005 /min}
  twin: {transition: other -> empty, rate: 1/(200 min)}
  slow: {transition: other -> cell, rate: 1/(50 hour)}
  never: {transition: other -> cell, rate: 0 /min}
tissue: {background: cell, shapes: {others: {kind: everywhere, state: other, fraction: 0.3}}}
trial:
  arms:
    slow: {}
    fast: {rules.death.rate: 0.02 /min}
    none: {rules.death: null}
  outcomes:
    left: {count: cell}
    lost: {fired: death, at: [20 min, 60 min]}
    other: {count: other}
  expected:
    - {outcome: left, arms: [fast, slow, none]}
    - {outcome: other, arms: [slow, none]}
    - {outcome: lost, arms: [slow], at: [20 min, 60 min]}
  vary: {sets: 4}
sources:
  rules.death.rate: {kind: assumed, range: 0.001 to 0.1 /min, note: a guess}
  rules.twin.rate: {equals: rules.death.rate}
  rules.slow.rate: {kind: measured, range: 20 to 90 hour, note: in a dish}
  tissue.shapes.others.fraction: {kind: fitted, range: 0.1 to 0.5, note: to a count}
"""
DEATH, TWIN, SLOW = (f"rules.{rule}.rate" for rule in ("death", "twin", "slow"))
OTHERS = "tissue.shapes.others.fraction"


def scenario(changes=()):
    return gpusim.Scenario.parse(TEXT).with_(**dict(changes))


def varied(**vary):
    return Sets.of(scenario({"trial": {"vary": vary}}))


def numbers(sets, path, unit="/min"):
    return [gpusim.units.number(point[path], unit) if unit else point[path] for point in sets.points]


def test_the_same_trial_has_the_same_sets_and_more_sets_continue_them():
    few, many = varied(sets=6), varied(sets=16)
    assert few.points == varied(sets=6).points == many.points[:6]
    assert [run.seed for run in few.study.runs(few.points)] == [run.seed for run in many.study.runs(many.points[:6])]
    assert Sets.of(scenario({"seed": 6})).points != Sets.of(scenario()).points


@settings(max_examples=20, deadline=None)
@given(power=st.integers(0, 6), seed=st.integers(0, 2**64 - 1))
def test_each_number_fills_its_range_evenly(power, seed):
    """In a scrambled Sobol sequence, 2^m points have one number in each of 2^m equal parts of a range's logarithm."""
    sets = Sets.of(scenario({"seed": seed, "trial": {"vary": {"sets": 2**power}}}))
    for path, unit, low, high in ((DEATH, "/min", 0.001, 0.1), (OTHERS, None, 0.1, 0.5)):
        shares = np.log(np.array(numbers(sets, path, unit)) / low) / np.log(high / low)
        assert sorted(np.floor(shares * 2**power).astype(int)) == list(range(2**power))


def test_numbers_that_are_equal_move_together_and_others_stay():
    sets = varied(sets=8)
    assert sets.tied == (TWIN,)
    assert [list(point) for point in sets.points] == [[DEATH, TWIN, OTHERS]] * 8
    assert numbers(sets, TWIN) == numbers(sets, DEATH)
    assert sets.unsourced == 0, "a rate of 0 needs no source"
    asked = varied(sets=8, kinds=["measured"])
    assert [list(point) for point in asked.points] == [[SLOW]] * 8
    assert all(1 / 90 <= rate <= 1 / 20 for rate in numbers(asked, SLOW, "/hour"))


def test_the_value_of_an_arm_stands_and_arms_share_the_seed_of_a_set():
    sets = varied(sets=3)
    runs = list(sets.study.runs(sets.points))
    assert [run.arm for run in runs] == ["slow", "fast", "none"] * 3
    assert len({run.seed for run in runs}) == 3
    for run in runs:
        rates = {name: rule["rate"] for name, rule in run.data["rules"].items()}
        drawn = sets.points[run.point]
        assert rates.get("death") == {"slow": drawn[DEATH], "fast": "0.02 /min", "none": None}[run.arm]
        assert rates["twin"] == drawn[TWIN]
        assert (rates["slow"], rates["never"]) == ("1/(50 hour)", "0 /min")


def test_a_range_from_zero_is_drawn_evenly_and_a_range_of_one_value_not_at_all():
    sources = {
        DEATH: {"kind": "assumed", "range": "0 to 0.1 /min", "note": "a guess"},
        OTHERS: {"kind": "assumed", "range": "0.3 to 0.3", "note": "by the formula"},
    }
    sets = Sets.of(scenario({"sources": sources, "trial": {"vary": {"sets": 8}}}))
    assert list(sets.points[0]) == [DEATH, TWIN]
    assert sets.fixed == 1
    assert sorted(np.floor(np.array(numbers(sets, DEATH)) / 0.1 * 8).astype(int)) == list(range(8))
    below = sources | {DEATH: {"kind": "assumed", "range": "-1 to 0.1 /min", "note": "a guess"}}
    with pytest.raises(gpusim.ScenarioError, match=f"sources.{DEATH}: a number whose range extends below 0 cannot"):
        Sets.of(scenario({"sources": below}))


def test_draws_of_a_posterior_stay_together(tmp_path):
    file = tmp_path / "draws.csv"
    file.write_text(f"{OTHERS}, {SLOW}\n0.2, 0.5\n0.3, 0.025 /hour\n0.4, 0.03 /hour\n")
    sets = varied(sets=16, posterior=str(file))
    found = {
        (point[OTHERS], round(rate, 9)) for point, rate in zip(sets.points, numbers(sets, SLOW, "/hour"), strict=True)
    }
    assert found == {(0.2, 0.01), (0.3, 0.025), (0.4, 0.03)}, (
        "a bare number is in the unit of the scenario: 1/(50 hour)"
    )
    assert len({point[DEATH] for point in sets.points}) == 16
    with pytest.raises(gpusim.ScenarioError, match="16 sets, but only 3 different ones"):
        varied(sets=16, posterior=str(file), kinds=["derived"])
    for text, message in (
        (
            "rules.deth.rate\n1\n",
            f"'rules.deth.rate' is not the path of a number of the scenario; did you mean '{DEATH}'",
        ),
        (f"{TWIN}\n1\n", f"'{TWIN}' equals '{DEATH}'; name that number"),
        (f"{DEATH}\n1 um\n", f"'{DEATH}': a value is not a quantity in"),
        (f"{DEATH}\n", "expected a column for each number and one row or more"),
        ("", "No columns to parse from file"),
    ):
        file.write_text(text)
        with pytest.raises(gpusim.ScenarioError, match=re.escape(f"trial.vary.posterior: {file}: {message}")):
            varied(posterior=str(file))


def by_hand(slow, fast, none, **vary):
    """Sets with given numbers of cells left, by arm, and with a number that is the first of them."""
    frames = [
        pd.DataFrame(
            {"set": range(len(slow)), "arm": arm, "seed": range(10, 10 + len(slow)), DEATH: slow, "left": left}
        )
        for arm, left in (("slow", slow), ("fast", fast), ("none", none))
    ]
    table = pd.concat(frames).assign(**{"lost@20 min": 5.0, "lost@60 min": 6.0, "other": 1.0, "failure": ""})
    return Robustness(scenario({"trial": {"vary": vary}}), table)


def test_orders_of_a_table_made_by_hand():
    nan = float("nan")
    found = by_hand([2, 2, 2, 0, 5, nan], [1, 2, 3, 0, 1, 1], [3, 3, 4, 0, 4, 9], filter={"slow": {"left": "> 0"}})
    first, second, third = found.found()
    assert first[0] == "fast < slow < none in left"
    np.testing.assert_array_equal(first[1], [1, 0.5, 0, 0.5, 0, nan])
    assert (second[1] == 0.5).all(), "all the same"
    assert third[0] == "20 min < 60 min in lost of slow"
    assert (third[1] == 1).all()
    orders = found.orders().set_index(["order", "sets"])
    assert orders.loc[("fast < slow < none in left", "all"), ["n", "held", "tied", "reversed"]].tolist() == [5, 1, 2, 2]
    filtered = orders.loc[("fast < slow < none in left", "filtered")]
    assert filtered[["n", "held", "tied", "reversed"]].tolist() == [4, 1, 1, 2]
    assert filtered["share"] == 0.25


HAND = by_hand([0] * 8, [0] * 8, [0] * 8)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=8, max_size=8))
def test_each_set_is_held_tied_or_reversed(values):
    fast, slow, none = np.array(values).T
    table = HAND.table.assign(left=np.concatenate([slow, fast, none]))
    counts = Robustness(HAND.scenario, table).orders().iloc[0]
    held = sum(a < b < c for a, b, c in values)
    reverse = sum(a > b or b > c for a, b, c in values)
    assert counts[["n", "held", "tied", "reversed"]].tolist() == [8, held, 8 - held - reverse, reverse]


@pytest.mark.parametrize(
    ("condition", "passed"),
    [
        ({"left": "2 to 4"}, [False, True, True, False]),
        ({"left": "> 1", "lost@60 min / lost@20 min": "1.1 to 1.3"}, [False, True, True, True]),
        ({"lost@60 min / lost@20 min": "> 1.3"}, [False] * 4),
        ({"left": ["< 2", "> 4"]}, [True, False, False, True]),
    ],
)
def test_a_filter_takes_the_sets_that_meet_all_conditions(condition, passed):
    found = by_hand([1, 2, 4, 8], [0] * 4, [9] * 4, filter={"slow": condition, "none": {"left": 9}})
    assert found.passed().tolist() == passed
    judged = found.orders()
    assert (judged["n"][judged["sets"] == "filtered"] == sum(passed)).all()
    assert set(by_hand([1], [0], [2]).orders()["sets"]) == {"all"}, "without a filter"


@pytest.mark.parametrize(
    ("held", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_are_those_of_newcombe_1998(held, n, low, high):
    """The score method in table I, doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E."""
    share = _share(np.repeat([1.0, 0.0], [held, n - held]))
    assert (share["low"], share["high"]) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_a_judgement_follows_from_the_interval():
    assert Judgement.of(0.7, 0.9) == "robust"
    assert Judgement.of(0.4, 0.79) == "fragile"
    assert Judgement.of(0.69, 0.8) == "undecided"
    assert Judgement.of(0.71, 0.79) == "borderline"
    none = _share(np.zeros(0))
    assert (none["n"], none["low"], none["high"], none["judgement"]) == (0, 0.0, 1.0, "undecided")


def test_the_numbers_that_an_order_depends_on_stand_out_of_the_noise():
    rng = np.random.default_rng(1)
    n, others = 24, [f"rules.r{i}.rate" for i in range(150)]
    left = rng.permutation(n).astype(float)
    found = by_hand(
        left, left - 1, np.where(left < 12, left - 1, 99.0)
    )  # the first order holds if `left` is 12 or more
    noise = pd.DataFrame(rng.random((n, len(others))), columns=others)
    table = found.table.merge(noise.assign(set=range(n)), on="set")
    first, *rest = Robustness(found.scenario, table).influences()
    assert [(path, correlation > 0.8) for path, correlation in first[1]] == [(DEATH, True)]
    assert 0.6 < first[2] < 0.75
    assert [each[1] for each in rest] == [[], []], "they hold always, or never"


def test_few_orders_seem_to_depend_on_numbers_without_effect():
    """In at most 5% of tables: more than 6 of 40 with a probability of 0.3%."""
    rng = np.random.default_rng(2)
    found = by_hand(rng.random(24), rng.random(24), np.full(24, 2.0))
    others, chance = [f"rules.r{i}.rate" for i in range(20)], 0
    for _ in range(40):
        noise = pd.DataFrame(rng.random((24, len(others))), columns=others).assign(set=range(24))
        table = found.table.drop(columns=DEATH).merge(noise, on="set")
        chance += bool(next(Robustness(found.scenario, table).influences())[1])
    assert chance <= 6


def invoke(folder, *arguments, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(folder)
    return CliRunner().invoke(app, ["robustness", *arguments], catch_exceptions=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, connect):
    """The sets of the trial in a folder, run at once."""
    folder = tmp_path_factory.mktemp("robust") / "out"
    return carried_out(folder, Sets.of(scenario()), connect), folder


def carried_out(folder, sets, connect):
    folder.mkdir(exist_ok=True)
    note_study(folder, sets.scenario.to_yaml())
    setting = Setting(folder, "numpy", 1)
    found = Robustness(sets.scenario, sets.table(lambda study, points: sweep(study, points, setting, connect)))
    found.save(folder)
    return found


def test_a_table_holds_numbers_and_outcomes_by_set_and_arm(finished):
    found, folder = finished
    outcomes = ["left", "lost@20 min", "lost@60 min", "other"]
    assert list(found.table.columns) == ["set", "arm", "seed", DEATH, OTHERS, *outcomes, "failure"]
    assert list(found.table["arm"]) == ["slow", "fast", "none"] * 4
    row = found.table.iloc[3]
    rate, share = f"{float(row[DEATH])!r} /min", float(row[OTHERS])
    alone = scenario({"trial": None, "time": {"at": ["20 min"]}, "seed": int(row["seed"])}).with_(
        rules={"death": {"rate": rate}, "twin": {"rate": rate}},
        tissue={"shapes": {"others": {"fraction": share}}},
    )
    with gpusim.Simulation(alone, "numpy") as simulation:
        simulation.run()
        assert (simulation.count("cell"), simulation.count("other")) == (row["left"], row["other"])
    again = Robustness.open(folder)
    pd.testing.assert_frame_equal(again.orders(), found.orders())
    pd.testing.assert_frame_equal(pd.read_csv(folder / "orders.csv"), found.orders(), check_exact=False)
    assert len(list(found.rows())) == 3
    (folder / "sets.csv").write_text((folder / "sets.csv").read_text() + " ")
    with pytest.raises(gpusim.ResultError, match="sets.csv"):
        Robustness.open(folder)
    found.save(folder)


def test_a_run_in_pieces_equals_an_unbroken_one(finished, tmp_path, connect):
    first = carried_out(tmp_path / "out", varied(sets=2), connect)
    assert len(first.table) == 6
    both = carried_out(tmp_path / "out", varied(sets=4), connect)
    pd.testing.assert_frame_equal(both.table, finished[0].table, check_exact=True)
    assert (tmp_path / "out" / "sets.csv").read_bytes() == (finished[1] / "sets.csv").read_bytes()
    with (tmp_path / "out" / "log.csv").open(newline="") as file:
        assert Counter(row[2] for row in csv.reader(file)) == {"begun": 12, "finished": 12}


def test_sets_that_the_checks_refuse_are_counted(tmp_path, connect):
    wide = {OTHERS: {"kind": "fitted", "range": "0.1 to 10", "note": "to nothing"}}
    sets = Sets.of(scenario({"sources": wide}))
    wrong = sum(point[OTHERS] > 1 for point in sets.points)
    assert 0 < wrong < 4
    found = carried_out(tmp_path / "out", sets, connect)
    assert (found.orders()["n"] == 4 - wrong).all()
    assert found.table["failure"].str.startswith("refused: ").sum() == 3 * wrong
    told = f"{3 * wrong} of 12 runs have no outcomes ({3 * wrong} refused by the checks of the scenario)"
    assert next(found.remarks()).startswith(told)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sets", "0"], "trial.vary.sets: input should be greater than or equal to 1, found 0"),
        (["--set", "trial.vary.filter={slo: {left: 3}}"], "trial.vary.filter.slo: unknown arm 'slo'; did you mean"),
        (["--set", "trial.vary.filter={slow: {lef: 3}}"], "slow.lef: unknown outcome 'lef'; did you mean 'left'?"),
        (["--set", "trial.vary.filter={slow: {lost: 3}}"], "filter.slow.lost: unknown outcome 'lost'"),
        (["--set", "trial.vary.filter={slow: {left / lost: 3}}"], "slow.left / lost: unknown outcome 'lost'"),
        (["--set", "trial.vary.filter={slow: {left: many}}"], "expected a condition on a number, such as '> 20'"),
        (["--set", "trial.vary.kinds=derived"], "trial.vary: nothing varies"),
        (["--set", "trial.vary.kinds=guessed"], "input should be 'measured', 'fitted', 'derived' or 'assumed'"),
        (["--set", "trial.vary.posterior=none.csv"], "trial.vary.posterior: none.csv: No such file or directory"),
        (["--set", "trial.expected=[]"], "expected a 'trial' with one 'expected' order or more"),
        (["--set", "trial=null"], "expected a 'trial' with one 'expected' order or more"),
        (
            ["--set", f"sources={{{DEATH}: {{kind: assumed, note: a guess}}}}"],
            "a number that is assumed needs a 'range'",
        ),
    ],
)
def test_a_mistake_is_told_in_a_line_and_leaves_nothing(tmp_path, monkeypatch, options, message):
    (tmp_path / "decay.yaml").write_text(TEXT)
    refused = invoke(tmp_path, "decay.yaml", "-o", "out", *options, monkeypatch=monkeypatch)
    assert message in f"{refused.exception or ''}{refused.output}"
    assert not (tmp_path / "out").exists()


def test_the_command_prints_shares(finished, connect, monkeypatch, tmp_path):
    monkeypatch.setattr(execution, "workers", lambda *_: contextlib.nullcontext(connect()))
    (tmp_path / "decay.yaml").write_text(TEXT)
    done = invoke(tmp_path, "decay.yaml", "--backend", "numpy", "--sets", "1", monkeypatch=monkeypatch)
    assert done.exit_code == 0, done.output
    assert "numbers  2 vary, 1 equal one of these, 0 have a range of one value, 0 have no source" in done.output
    assert re.search(r"fast < slow < none in left +all +\d of 1", done.output)
    assert not CliRunner().invoke(app, ["check", "results/decay-robustness"]).exit_code


def test_a_report_shows_the_shares_beside_the_trial(finished, tmp_path, connect):
    save_report = pytest.importorskip("gpusim.viz.report").save_report
    robust, folder = finished
    run_trial(scenario({"trial": {"replicates": 1}}), tmp_path / "out", backend="numpy", connect=connect)
    save_report([tmp_path / "out", folder], tmp_path / "report.html", pictures=False)
    page = (tmp_path / "report.html").read_text()
    assert "<h2>Robustness of decay</h2>" in page
    for row in robust.rows():
        assert "".join(f"<td>{html.escape(cell)}</td>" for cell in row) in page
    with pytest.raises(gpusim.ResultError, match="expected one result of 'gpusim run' or 'gpusim sweep' or more"):
        save_report([folder], tmp_path / "report.html")
