"""Shipped trials, all arms and eight seeds: what medicine sees must come out of the mechanisms.

The tables of the last full runs stand beside this file (trials.py). Here each is held to be that of the present
code, by its digest, and to show the expected orders; three seeds of one trial, another with each commit, are run anew.
"""

import os

import pytest
from validation import trials

import gpusim
from gpusim.backends import availability
from gpusim.study.folder import TABLE
from gpusim.study.robustness import Sets
from gpusim.study.sweep import column
from gpusim.study.trial import run_trial
from gpusim.study.verdict import verdicts


@pytest.mark.parametrize("name", trials.NAMES)
def test_a_kept_table_is_of_the_present_code_and_scenario(name):
    assert trials.digest(name) == trials.stored()[name], "run: python tests/validation/trials.py --update"


@pytest.mark.parametrize("name", trials.NAMES)
def test_what_a_trial_expects_holds(name):
    trial = trials.kept(name)
    spec = trial.scenario.document.trial
    rows = [(arm, seed) for arm in trial.scenario.arms for seed in trial.scenario.seeds(spec.replicates)]
    assert list(trial.table[["arm", "seed"]].itertuples(index=False, name=None)) == rows
    found = verdicts(trial)
    assert found
    assert all(verdict.as_required for verdict in found), "\n".join(map(str, found))


@pytest.mark.parametrize("name", sorted(trials.stored(trials.SETS)))
def test_the_kept_sets_of_a_trial_are_those_that_it_draws(name):
    """The same sets on every machine; those of another version of the scenario are marked so in the documentation."""
    found = trials.robust(name)
    assert (found.orders()["n"] > 0).any()
    if not trials.up_to_date(name):
        pytest.skip("of an earlier version of the scenario")
    sets = Sets.of(found.scenario.with_(trial={"vary": {"sets": found.table["set"].nunique()}}))
    parameters = sets.study.document.parameters
    for point, (_, values) in zip(sets.points, found.drawn.sort_index().iterrows(), strict=True):
        drawn = {path: column(parameters[path])(point[path]) for path in values.index}
        assert values.to_dict() == pytest.approx(drawn, rel=1e-5)


def test_there_is_no_table_without_its_trial():
    assert (
        {path.stem for path in trials.ROBUSTNESS.glob("*.csv")}
        == trials.stored(trials.SETS).keys()
        <= set(trials.NAMES)
    )
    assert trials.stored().keys() == set(trials.NAMES)
    assert {path.stem for path in trials.TABLES.iterdir()} == set(trials.NAMES)


@pytest.mark.slow
@pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler: too slow on the numpy backend")
@pytest.mark.parametrize("name", trials.chosen())
def test_a_trial_comes_out_as_kept(name, tmp_path):
    scenario = gpusim.Scenario.load(name)
    seeds = scenario.seeds(scenario.document.trial.replicates if os.environ.get(trials.CHOICE) else 3)
    run_trial(scenario.with_(trial={"replicates": len(seeds)}), tmp_path / name, backend="cpu")
    kept = (trials.TABLES / f"{name}.csv").read_text().splitlines()
    rows = [line for line in kept if line.split(",")[1] in {"seed", *map(str, seeds)}]
    assert len(rows) == 1 + len(scenario.arms) * len(seeds)
    assert (tmp_path / name / TABLE).read_text().splitlines() == rows


def test_the_trial_that_is_run_changes_with_the_commit_alone(monkeypatch):
    monkeypatch.delenv(trials.CHOICE, raising=False)
    assert trials.chosen() == trials.chosen()
    assert set(trials.chosen()) < set(trials.NAMES)
    monkeypatch.setenv(trials.CHOICE, "all")
    assert trials.chosen() == trials.NAMES


def test_a_digest_sees_each_number_of_each_arm(monkeypatch):
    """Also what acts late or rarely, and the outcomes that are asked for."""
    before = gpusim.Scenario.load("memory")
    changes = [
        {"rules": {"starvation": {"rate": "1/(11 hour)"}}},
        {"trial": {"outcomes": {name: {"at": "1 day"} for name in list(before.document.trial.outcomes)[:1]}}},
    ]
    seen = {trials.digest("memory")}
    for change in changes:
        changed = before.with_(**change)
        monkeypatch.setattr(trials.gpusim.Scenario, "load", lambda name, changed=changed: changed)
        seen.add(trials.digest("memory"))
    assert len(seen) == 1 + len(changes)


def test_all_that_medicine_sees_is_a_trial():
    wanted = {"turning-hot", "checkpoint", "combination", "abscopal", "delivery", "paradox", "stroma", "memory"}
    assert set(trials.NAMES) >= wanted | {"safety", "chemo-versus-virus", "spread", "natural", "lysis"}
    assert all(gpusim.Scenario.load(name).document.trial.replicates >= 8 for name in trials.NAMES)


def test_no_t_cells_arrive_without_the_virus_or_without_dendritic_cells():
    t_cells = trials.kept("turning-hot").table.pivot(index="seed", columns="arm", values="t_cells")
    assert (t_cells["virus"] > 0).all()
    assert (t_cells[["untreated", "virus without dendritic cells"]] == 0).all(axis=None)


def test_anti_pd1_alone_has_no_effect_in_a_desert_but_slows_an_inflamed_tumour():
    tumour = trials.kept("checkpoint").table.pivot(index="seed", columns="arm", values="tumour")
    assert (tumour["desert and anti-PD-1"] == tumour["desert"]).all()
    assert (tumour["inflamed and anti-PD-1"] < tumour["inflamed"]).all()
