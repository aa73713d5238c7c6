"""Reactions in a simulation: where they take place, beside what, and that a run can be cut and joined."""

import numpy as np
import pytest

import gpusim
from gpusim.backends import cpu

TEXT = """
grid: {shape: [5, 4, 3], spacing: 20 um}
time: {until: 12 min, step: {field: 1 min, rules: 2 min}}
record: {every: 12 min}
fields:
  a: {unit: ng/mL, diffusion: 60 um^2/min, initial: 2}
  b: {unit: ng/mL, initial: 1}
  c: {unit: ng/mL, diffusion: 1e5 um^2/min, solver: implicit}
states: {tumour: {secretion: {b: 0.1 ng/mL/min}}, stroma: {}, ctl: {layer: immune}}
rules: {death: {transition: tumour -> empty, rate: 0.01 /min}}
tissue:
  shapes:
    left: {kind: box, state: tumour, lower: [0 um, 0 um, 0 um], upper: [40 um, 80 um, 60 um]}
    top: {kind: box, state: ctl, lower: [0 um, 0 um, 0 um], upper: [100 um, 20 um, 60 um]}
body: {quantities: {drug: {unit: mg, initial: 0.5}}}
reactions:
  first: {consumes: {a: 1, b: 0.3}, makes: {c: 1}, rate: 0.05 mL/ng/min}
  second: {consumes: {c: 1}, makes: {a: 0.7}, rate: 0.1 /min}
"""


def react_once(**first):
    """What is made of c where everything is alike, float32 [z, y, x], by one reaction and no transport."""
    alike = {name: {"diffusion": "0 um^2/min", "solver": "auto"} for name in "ac"}
    changes = {"fields": alike, "states": {"tumour": {"secretion": None}}, "rules": None}
    with gpusim.Simulation(
        gpusim.Scenario.parse(TEXT).with_(reactions={"first": first, "second": None}, **changes), "numpy"
    ) as simulation:
        simulation.step()
        return simulation.field("c")


@pytest.mark.parametrize(
    ("modulator", "where"),
    [
        ({"contact": "tumour"}, np.s_[:, :, :2]),
        ({"contact": "ctl"}, np.s_[:, :1, :]),
        ({"contact": ["empty", "stroma"]}, np.s_[:, :, 2:]),
        ({"neighbours": "tumour", "neighbourhood": 6, "above": 1}, np.s_[:, :, :3]),
        ({"body": "drug", "above": "0.4 mg"}, np.s_[:]),
        ({"field": "b", "above": 2}, np.s_[:0]),
    ],
)
def test_a_reaction_takes_place_where_its_modulators_let_it(modulator, where):
    allowed = np.zeros((3, 4, 5), bool)
    allowed[where] = True
    assert np.array_equal(react_once(modulators=[modulator]) > 0, allowed)


def test_both_cells_of_a_voxel_may_be_asked_for():
    both = react_once(modulators=[{"contact": "tumour"}, {"contact": "ctl"}]) > 0
    assert both.sum() == 3 * 2
    assert both[:, 0, :2].all()


def test_reactions_follow_each_other_in_the_order_of_the_scenario():
    # Everything that the first makes is gone by the second.
    text = TEXT.replace("rate: 0.1 /min", "rate: 1e6 /min")
    scenario = gpusim.Scenario.parse(text)
    with gpusim.Simulation(scenario, "numpy") as simulation:
        simulation.step()
        assert not simulation.field("c").any()
    data = scenario.data
    data["reactions"] = dict(reversed(data["reactions"].items()))
    with gpusim.Simulation(scenario.with_(reactions=None).with_(reactions=data["reactions"]), "numpy") as simulation:
        simulation.step()
        assert simulation.field("c").min() > 0


def test_a_run_that_is_cut_and_joined_ends_in_the_same_bits(simulate):
    whole, first, second = simulate(TEXT), simulate(TEXT), simulate(TEXT)
    whole.step(8)
    first.step(3)
    second.restore(first.numbers, dict(first.arrays()))
    second.step(5)
    assert second.digest() == whole.digest()


def test_each_of_several_replicates_is_what_it_is_by_itself(backend):
    scenario = gpusim.Scenario.parse(TEXT)
    with gpusim.Simulation(scenario, backend[0], threads=backend[1], seed=[5, 6]) as both:
        both.step(6)
        digests = [each.digest() for each in both.replicates]
    alone = []
    for seed in (5, 6):
        with gpusim.Simulation(scenario, backend[0], threads=backend[1], seed=seed) as one:
            one.step(6)
            alone.append(one.digest())
    assert digests == alone
    assert alone[0] != alone[1]


@pytest.mark.skipif(not gpusim.backends.availability("cpu").available, reason="it launches nothing elsewhere")
def test_a_scenario_without_reactions_launches_none(monkeypatch):
    launched = []
    launch = cpu.CpuBackend.launch
    monkeypatch.setattr(
        cpu.CpuBackend, "launch", lambda self, kernel, *a, **k: (launched.append(kernel), launch(self, kernel, *a, **k))
    )
    for reactions, expected in (({}, 2), (None, 0)):
        launched.clear()
        with gpusim.Simulation(gpusim.Scenario.parse(TEXT).with_(reactions=reactions), "cpu", threads=1) as simulation:
            simulation.step(2)
        assert launched.count("react") == expected


def test_a_runaway_by_a_reaction_names_it(simulate):
    simulation = simulate(TEXT, reactions={"first": {"makes": {"c": 1e30}}, "second": None}, record={"every": "4 min"})
    with pytest.raises(gpusim.NumericalError, match=r"field 'c' .* reaction 'first', which makes 2e\+30 ng/mL"):
        simulation.run()
