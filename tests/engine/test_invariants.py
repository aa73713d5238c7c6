"""What holds of traits and clones in every model: ranges, sums, births of clones."""

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gpusim
from gpusim.backends import availability
from gpusim.engine.traits import states_with
from gpusim.model.tables import members
from gpusim.verification.models import randomised

BACKEND = "cpu" if availability("cpu").available else "numpy"
ANY = settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))


def with_traits(random):
    """A randomised model that has traits, and mostly clones."""
    while not (data := randomised(random)).get("traits"):
        pass
    return data


@st.composite
def runs(draw):
    """A simulation of a randomised model; None where chance brings together what no run can have."""
    text = yaml.safe_dump(with_traits(draw(st.randoms(use_true_random=False))))
    try:
        return gpusim.Simulation(gpusim.Scenario.parse(text), BACKEND, threads=1)
    except gpusim.ScenarioError:
        return None


def require_ranges(run):
    """Each trait lies between 0 and its greatest value, and is 0 where no cell has it."""
    layers = run.tissue, run.immune
    for number, name in enumerate(run.model.traits.names):
        values, most = run.trait(name), run.model.traits.rows["most"][number]
        has = states_with(run.model, number)[layers[number >= run.model.traits.of_tissue]]
        assert ((values >= 0) & (values <= most)).all()
        assert (values[~has] == 0).all()


def require_births(run):
    """Each clone but those of the start has been born once, of an older one or of none, and cells belong to these."""
    labels, parents = run.site.lineage.births.T
    founders, _ = run.site.founders()
    known = [*founders.tolist(), *labels.tolist()]
    assert len(known) == len(set(known))
    assert set(parents.tolist()) <= {0, *known}
    assert (parents < labels).all()
    clones, layer = run.site.clones(), run.immune if run.model.clones.immune else run.tissue
    assert np.array_equal(clones > 0, members(run.model.clones.rows["states"][0])[layer] > 0)
    assert set(np.unique(clones[clones > 0]).tolist()) <= set(known)
    newborn, most = run.site.lineage.newborn, run.model.traits.rows["most"]
    assert not ((newborn < 0) | (newborn > most)).any()


@ANY
@given(run=runs())
def test_traits_stay_in_their_range_and_clones_have_one_birth_each(run):
    if run is None:
        return
    with run:
        for _ in run.stretches():
            require_ranges(run)
            if len(run.model.clones):
                require_births(run)


@ANY
@given(run=runs(), steps=st.integers(1, 5))
def test_a_resumed_run_has_the_births_of_one_that_went_on(run, steps):
    if run is None:
        return
    with run:
        run.step(steps)
        numbers, arrays = run.numbers, dict(run.arrays())
        run.step(6 - steps)
        expected = run.digest(), run.body, [each.tobytes() for each in vars(run.site.lineage).values()]
        run.restore(numbers, arrays)
        require_ranges(run)
        run.step(6 - steps)
        if len(run.model.clones):
            require_births(run)
        assert (run.digest(), run.body, [each.tobytes() for each in vars(run.site.lineage).values()]) == expected


SHARED = """
grid: {{shape: [14, 13, 12]}}
seed: {seed}
time: {{until: 10 day, step: {{field: 6 min, rules: 6 min}}}}
states: {{one: {{}}, two: {{}}, out: {{layer: immune}}}}
traits: {{load: {{of: [one, two], initial: {{lognormal: {{median: {median}, fold: {fold}}}}}, at_division: share}}}}
rules:
  division: {{transition: one -> {mother} + {daughter}, rate: {rate} /hour, reach: {reach} um}}
  back: {{transition: two -> one, rate: 0.1 /hour}}
  loss: {{transition: one -> empty, rate: {loss} /hour, to_body: {{gone: {{trait: load, each: 1}}}}}}
body: {{quantities: {{gone: {{unit: dimensionless}}}}}}
tissue: {{shapes: {{ball: {{kind: sphere, radius: 70 um, state: one}}}}}}
"""


@ANY
@given(
    seed=st.integers(0, 2**64 - 1),
    median=st.floats(1e-6, 1e6),
    fold=st.floats(1, 9),
    mother=st.sampled_from(["one", "two"]),
    daughter=st.sampled_from(["one", "two"]),
    rate=st.floats(0.01, 2),
    reach=st.integers(20, 100),
    loss=st.sampled_from([0, 0.05]),
)
def test_shares_and_what_the_body_gets_sum_to_what_there_was(**chosen):
    with gpusim.Simulation(gpusim.Scenario.parse(SHARED.format(**chosen)), BACKEND, threads=1) as run:
        start = run.trait("load").astype(float).sum()
        run.step(60)
        assert run.fired["division"] > 0
        assert run.trait("load").astype(float).sum() + run.body["gone"] == pytest.approx(start, rel=1e-12)
