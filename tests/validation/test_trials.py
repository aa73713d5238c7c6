"""Shipped trials, all arms and eight seeds: what medicine sees must come out of the mechanisms."""

import pytest

import gpusim
from gpusim.analysis.phenotype import Phenotype, phenotype
from gpusim.backends import availability
from gpusim.scenario import presets
from gpusim.trial import run_trial, verdicts

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler: too slow on the numpy backend"),
]

LOOKED_INTO = ("turning-hot", "checkpoint")
"""Trials of which more is held than their own orders."""
TRIALS = [name for name in presets() if gpusim.Scenario.load(name).document.trial is not None]


def trial_that_holds(name, folder):
    trial = run_trial(gpusim.Scenario.load(name), folder / name, backend="cpu")
    found = verdicts(trial)
    assert found
    assert all(verdict.held for verdict in found), "\n".join(map(str, found))
    return trial


@pytest.mark.parametrize("name", [name for name in TRIALS if name not in LOOKED_INTO])
def test_what_a_trial_expects_holds(name, tmp_path):
    trial_that_holds(name, tmp_path)


def test_all_that_medicine_sees_is_a_trial():
    assert set(TRIALS) >= {*LOOKED_INTO, "combination", "abscopal", "delivery", "paradox", "stroma", "memory", "safety"}
    assert set(TRIALS) >= {"chemo-versus-virus", "spread", "natural", "lysis"}
    assert all(gpusim.Scenario.load(name).document.trial.replicates >= 8 for name in TRIALS)


def test_a_desert_turns_inflamed_under_the_virus_but_not_without_dendritic_cells(tmp_path):
    table = trial_that_holds("turning-hot", tmp_path).table
    medians = table.groupby("arm")[["core", "margin"]].median()
    found = {arm: phenotype(row.core, row.margin) for arm, row in medians.iterrows()}
    assert found == {
        "untreated": Phenotype.DESERT,
        "virus": Phenotype.INFLAMED,
        "virus without dendritic cells": Phenotype.DESERT,
    }
    assert (table[table["arm"] == "untreated"]["core"] == 0).all()


def test_anti_pd1_alone_does_little_in_a_desert_and_much_in_an_inflamed_tumour(tmp_path):
    tumour = trial_that_holds("checkpoint", tmp_path).table.groupby("arm")["tumour"].median()
    assert tumour["desert and anti-PD-1"] == pytest.approx(tumour["desert"], rel=0.05)
    assert tumour["inflamed and anti-PD-1"] < tumour["inflamed"] / 2
