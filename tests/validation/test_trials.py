"""Shipped trials, all arms and eight seeds: what medicine sees must come out of the mechanisms.

The figures of all stand in docs/trials. These six take a quarter of the time of all; the others are run by name.
"""

import pytest

import gpusim
from gpusim.analysis.phenotype import Phenotype, phenotype
from gpusim.backends import availability
from gpusim.trial import run_trial, verdicts

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not availability("cpu").available, reason="no C++ compiler: too slow on the numpy backend"),
]


def trial_that_holds(name, folder):
    trial = run_trial(gpusim.Scenario.load(name), folder / name, backend="cpu")
    found = verdicts(trial)
    assert found
    assert all(verdict.held for verdict in found), "\n".join(map(str, found))
    return trial


@pytest.mark.parametrize("name", ["combination", "delivery", "stroma", "safety"])
def test_what_a_trial_expects_holds(name, tmp_path):
    trial_that_holds(name, tmp_path)


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
