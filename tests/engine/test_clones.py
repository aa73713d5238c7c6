"""Clones: labels that are inherited, and the table of those that were born."""

import numpy as np
import pytest

import gpusim

TEXT = """
grid: {shape: [12, 11, 10], sides: {x: open}}
time: {until: 2 day, step: {field: 6 min, rules: 6 min}}
states: {one: {}, two: {}, other: {}, t: {layer: immune}}
traits:
  antigen: {of: [one, two], initial: 1, mutation: {probability: 0.1, becomes: 0, clone: new}}
clones: {of: [one, two], founders: FOUNDERS}
rules:
  division: {transition: one -> one + one, rate: 0.2 /hour, reach: 80 um}
  change: {transition: one -> two, rate: 0.01 /hour}
  entry: {transition: other -> two, rate: 0.02 /hour}
  loss: {transition: two -> other, rate: 0.05 /hour}
tissue:
  shapes:
    ball: {kind: sphere, radius: 40 um, state: one}
    others: {kind: box, state: other, lower: [0 um, 0 um, 0 um], upper: [40 um, 220 um, 200 um]}
"""


def simulation(founders="one", backend="cpu", text=TEXT, **options):
    return gpusim.Simulation(gpusim.Scenario.parse(text.replace("FOUNDERS", founders)), backend, **options)


@pytest.mark.parametrize("backend", ["numpy", "cpu"])
def test_labels_tell_of_step_and_voxel_and_parents_are_older(backend):
    with simulation(backend=backend) as run:
        run.step(60)
        births, newborn, clones = run.site.lineage.births, run.site.lineage.newborn, run.site.clones()
        tissue, antigen = run.tissue, run.trait("antigen")
        numbers = {name: run.model.states.number(name) for name in ("one", "two")}
    assert len(births) > 20
    labels, parents = births.T
    assert (np.diff(labels) > 0).all()
    assert (parents < labels).all()
    assert set(parents) <= {0, 1, *labels}
    assert (labels >> np.uint64(32)).max() <= 60
    assert (labels & np.uint64(2**32 - 1)).max() < tissue.size
    # Each cell of these states belongs to a clone that was there or born, and no other does.
    assert np.array_equal(clones > 0, np.isin(tissue, list(numbers.values())))
    assert set(clones[clones > 0]) <= {1, *labels}
    # A clone without a parent entered by a rule, with the initial value; the others lost the antigen.
    assert (newborn[:, 0] == np.where(parents == 0, 1, 0)).all()
    mutants = np.isin(clones, labels[parents > 0])
    assert (antigen[mutants] == 0).all()
    assert (antigen[(clones > 0) & ~mutants] == 1).all()


def test_each_founder_may_be_of_its_own_clone():
    with simulation("each") as run:
        clones = run.site.clones()
        founders = clones[clones > 0]
        assert founders.size == np.unique(founders).size == run.count("one")
        run.step(40)
        later = run.site.clones()
        born = run.site.lineage.births[:, 0]
    assert set(later[later > 0]) <= {*founders, *born}


def test_a_rule_founds_a_clone_and_neutral_mutations_have_their_probability():
    text = TEXT.replace("rate: 0.01 /hour}", "rate: 0.05 /hour, clone: new}").replace(", clone: new}}", "}}")
    text = text.replace("founders: FOUNDERS", "mutation: 0.25").replace("  entry:", "  # entry:")
    with simulation(text=text) as run:
        run.step(200)
        changes, divisions = run.fired["change"], run.fired["division"]
        born = len(run.site.lineage.births)
    assert divisions > 200
    assert abs(born - changes - divisions / 4) < 4 * np.sqrt(divisions * 3 / 16)


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("backend", ["numpy", "cpu"])
def test_a_mother_who_enters_a_clone_founds_one_before_her_daughter(backend, both):
    clone = ", clone: new" if both else ""
    text = TEXT.replace("one -> one + one, rate: 0.2 /hour", "other -> one + two, rate: 0.2 /hour" + clone)
    text = text.replace("probability: 0.1, becomes: 0, clone: new", "probability: 0.5, becomes: 0")
    text = text.replace(", sides: {x: open}", "")
    text = (
        text.replace("  change:", "  # change:").replace("  entry:", "  # entry:").replace("    ball:", "    # ball:")
    )
    with simulation(text=text, backend=backend) as run:
        run.step(5)
        births, newborn, clones = run.site.lineage.births, run.site.lineage.newborn, run.site.clones()
        divisions, antigen, tissue, model = run.fired["division"], run.trait("antigen"), run.tissue, run.model
    assert divisions > 10
    labels, parents = births.T
    assert len(set(labels.tolist())) == labels.size == (2 if both else 1) * divisions
    assert (parents[parents > 0] == labels[parents > 0] - np.uint64(2**31)).all()
    assert np.count_nonzero(parents) == (divisions if both else 0)
    ones, twos = (clones[tissue == model.states.number(name)] for name in ("one", "two"))
    assert set(ones) == set(labels[parents == 0])
    assert np.unique(ones).size == ones.size
    assert set(twos) <= set(labels[(parents > 0) == both])
    # The traits in the table are those of the cells.
    known = dict(zip(labels.tolist(), newborn[:, 0].tolist(), strict=True))
    first = np.isin(tissue, model.states.number("one"))
    assert antigen[first].tolist() == [known[label] for label in clones[first].tolist()]


@pytest.mark.parametrize("backend", ["numpy", "cpu"])
def test_a_division_and_a_hit_in_one_voxel_found_two_clones(backend):
    text = TEXT.replace("one -> one + one, rate: 0.2 /hour", "other -> other + two, rate: 0.2 /hour")
    text = text.replace("  change:", "  hit: {transition: t -> t, partner: other -> one, rate: 20 /hour}\n  # change:")
    text = text.replace("ball: {kind: sphere, radius: 40 um, state: one}", "all: {kind: everywhere, state: t}")
    text = text.replace("probability: 0.1, becomes: 0, clone: new", "probability: 0.1, becomes: 0")
    text = text.replace(", sides: {x: open}", "")
    with simulation(text=text, backend=backend) as run:
        run.step(1)
        labels = run.site.lineage.births[:, 0]
        fired = run.fired
    voxels = labels & np.uint64(2**30 - 1)
    assert fired["division"] > 3
    assert fired["hit"] > 100
    assert np.unique(labels).size == labels.size == fired["division"] + fired["hit"] + fired["entry"]
    assert np.unique(voxels).size < labels.size  # of mothers who were hit


def test_a_graft_founds_a_clone():
    with simulation() as run:
        run.step(3)
        run.inject("two", "5 cell", at=["200 um", "110 um", "100 um"], radius="50 um")
        clones = run.site.clones()[run.tissue == run.model.states.number("two")]
        new = clones[clones >= 2**63]
        assert new.size == 5
        assert np.unique(new).size == 1
        assert [new[0], 0] in run.site.lineage.births.tolist()


def test_backends_threads_replicates_and_a_resumed_run_have_one_lineage():
    def told(run):
        return run.digest(), run.site.lineage.births.tobytes(), run.site.lineage.newborn.tobytes()

    with simulation(backend="numpy", seed=5) as run:
        run.step(40)
        expected = told(run)
    with simulation(threads=2, seed=5) as run:
        run.step(25)
        numbers, arrays = run.numbers, dict(run.arrays())
        run.step(15)
        assert told(run) == expected
    with simulation(seed=5) as run:
        run.restore(numbers, arrays)
        run.step(15)
        assert told(run) == expected
    with simulation(seed=[4, 5]) as runs:
        runs.step(40)
        assert told(runs.replicates[1]) == expected


def test_more_births_than_are_noted_at_once_end_the_run(monkeypatch):
    monkeypatch.setattr("gpusim.engine.state.MOST_BORN", -325)
    text = TEXT.replace("rate: 0.02 /hour", "rate: 100 /hour")
    with (
        simulation(text=text) as run,
        pytest.raises(gpusim.GpusimError, match="clones were founded in one application"),
    ):
        run.step(2)


@pytest.mark.parametrize(
    ("found", "changed", "message"),
    [
        ("of: [one, two], f", "of: [one, t], f", "clones.of: expected states of one layer, found 'one' of 'tissue'"),
        ("of: [one, two], f", "of: [empty], f", "clones.of: 'empty' is not a cell"),
        ("of: [one, two], f", "of: [tow], f", "clones.of: unknown state 'tow'; did you mean 'two'?"),
        ("of: [one, two], f", "of: [t], mutation: 0.1, f", "clones.mutation: has no effect, because no rule makes"),
        ("rate: 0.05 /hour", "rate: 0.05 /hour, clone: new", "rules.loss.clone: has no effect, because cells in state"),
        ("clones: {of: [one, two], founders: FOUNDERS}", "", "traits.antigen.mutation.clone: has no effect"),
    ],
)
def test_what_has_no_effect_is_refused(found, changed, message):
    assert found in TEXT
    with pytest.raises(gpusim.ScenarioError, match=rf"(?m)^.*{message.replace('.', '[.]').replace('?', '[?]')}"):
        gpusim.Scenario.parse(TEXT.replace(found, changed).replace("FOUNDERS", "one"))


def test_a_scenario_without_clones_has_no_labels():
    text = TEXT.replace(", clone: new}}", "}}").replace("clones:", "# clones:")
    with simulation(text=text) as run, pytest.raises(KeyError, match="no clones"):
        run.site.clones()
