"""Times to events: against lifelines' own worked examples, and paired effects against what is known."""

import numpy as np
import pytest

import gpusim
from gpusim.analysis import survival
from gpusim.analysis.response import Reading
from gpusim.analysis.survival import Event, Times, effects, eradication, kaplan_meier, logrank, median, progression
from gpusim.record import Recorder, Result


def times(minutes, happened, first_seed):
    return Times(
        np.array(minutes, float), np.array(happened, bool), tuple(range(first_seed, first_seed + len(minutes)))
    )


def test_the_logrank_test_of_lifelines_example():
    """The example in the documentation of `logrank_test`: p = 0.7676."""
    first = times([1, 4, 10, 12, 12, 3, 5.4], [1, 0, 1, 0, 1, 1, 1], 0)
    second = times([4, 5, 7, 11, 14, 20, 8, 8], [1] * 8, 100)
    assert logrank(first, second) == pytest.approx(0.7676, abs=1e-4)
    (effect,) = effects({"a": first, "b": second})
    assert (effect.p, effect.shared) == (logrank(first, second), False)
    assert "log-rank p = 0.77" in str(effect)


def test_a_curve_by_hand():
    """7 runs: 6/7, 5/7, then one is censored, 5/7 * 3/4, and so on."""
    curve = kaplan_meier(times([1, 4, 10, 12, 12, 3, 5.4], [1, 0, 1, 0, 1, 1, 1], 0))
    assert curve["share"].tolist() == pytest.approx(
        [1, 6 / 7, 5 / 7, 5 / 7, 15 / 28, 15 / 28 * 2 / 3, 15 / 28 * 2 / 3 / 2]
    )
    assert curve["at_risk"].tolist() == [7, 7, 6, 5, 4, 3, 2]
    assert curve["censored"].sum() == 2
    # Intervals of lifelines 0.30's KaplanMeierFitter.
    assert curve["low"].tolist()[1:] == pytest.approx(
        [0.334054, 0.258154, 0.258154, 0.131988, 0.051977, 0.008332], abs=1e-6
    )
    assert curve["high"].tolist()[1:] == pytest.approx(
        [0.978561, 0.919797, 0.919797, 0.824997, 0.698713, 0.537991], abs=1e-6
    )
    assert median(times([1, 2, 3], [0, 0, 0], 0)) == np.inf


def test_arms_with_the_same_seeds_are_compared_in_pairs():
    """Each run lives two days longer in the second arm, up to the earliest end of a run without an event."""
    rng = np.random.default_rng(1)
    first = rng.uniform(1, 8, 12) * 1440
    second = first + 2880
    arms = {
        "control": times(first, [True] * 12, 0),
        "virus": times(np.minimum(second, 20 * 1440), second < 20 * 1440, 0),
    }
    (effect,) = effects(arms)
    assert effect.p is None
    assert effect.difference == pytest.approx(2880)
    assert effect.interval == pytest.approx((2880, 2880))
    assert "virus - control: same seeds; event-free time" in str(effect)
    assert "+2 days [+2 to +2]" in str(effect)
    with pytest.raises(gpusim.ResultError, match="both have seed 0; compare them in pairs"):
        logrank(*arms.values())


def test_pairs_are_made_by_seed_and_not_by_order():
    one = Times(np.array([10.0, 20.0, 30.0]), np.array([True] * 3), (1, 2, 3))
    other = Times(np.array([31.0, 21.0, 11.0]), np.array([True] * 3), (3, 2, 1))
    (effect,) = effects({"one": one, "other": other})
    assert effect.interval == pytest.approx((effect.difference, effect.difference))


def test_time_after_the_earliest_end_does_not_count():
    one = Times(np.array([10.0, 40.0]), np.array([True, False]), (1, 2))
    other = Times(np.array([100.0, 100.0]), np.array([False, False]), (1, 2))
    (effect,) = effects({"one": one, "other": other})
    assert (effect.until, effect.difference) == (40.0, 15.0)


def test_arms_that_share_some_seeds_are_not_compared():
    one, other = times([1, 2, 3], [1] * 3, 0), times([1, 2, 3], [1] * 3, 2)
    (effect,) = effects({"one": one, "other": other})
    assert (effect.p, effect.difference) == (None, None)
    assert "neither" in str(effect)


def test_the_interval_of_a_paired_effect_contains_the_truth():
    """In 95% of 200 data sets of 20 pairs, whose difference has a mean of 0.5 days; a percentile bootstrap of a mean
    of 20 covers 92 to 94%."""
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(200):
        common = rng.uniform(2, 6, 20)
        gained = rng.exponential(0.5, 20)
        arms = {"a": times(common, [True] * 20, 0), "b": times(common + gained, [True] * 20, 0)}
        (effect,) = effects(arms)
        hits += effect.interval[0] <= 0.5 <= effect.interval[1]
    assert 170 <= hits <= 198


def reading(day, diameter):
    return Reading(day * 1440.0, {"primary": diameter}, {}, 0.0)


def test_progression_that_stays_is_an_event_and_other_runs_are_censored():
    grows = [reading(day, 100.0 * 1.3**day) for day in range(4)]
    stable = [reading(day, 100.0) for day in range(4)]
    found = progression([grows, stable], [5, 6])
    assert found.minutes.tolist() == [1440, 3 * 1440]
    assert found.happened.tolist() == [True, False]
    assert found.seeds == (5, 6)


def test_eradication_is_the_time_after_which_no_tumour_cell_is_left(tmp_path):
    text = """
      name: decay
      seed: {seed}
      grid: {{shape: [4, 4, 4]}}
      time: {{until: 40 hour, step: {{rules: 10 min}}}}
      record: {{every: 40 hour}}
      states: {{tumour: {{role: tumour}}}}
      tissue: {{background: tumour}}
      rules: {{death: {{transition: tumour -> empty, rate: {rate} /hour}}}}
    """
    results = []
    for seed, rate in ((1, 0.5), (2, 1e-6)):
        scenario = gpusim.Scenario.parse(text.format(seed=seed, rate=rate).replace("\n      ", "\n"))
        folder = tmp_path / str(seed)
        with gpusim.Simulation(scenario, "numpy") as simulation, Recorder(simulation, folder) as recorder:
            for _ in simulation.stretches():
                recorder.record()
            recorder.finish()
        results.append(Result(folder))
    found = eradication(results)
    assert found.happened.tolist() == [True, False]
    assert found.minutes[1] == 40 * 60
    counts = results[0].counts
    at = counts["minutes"] >= found.minutes[0]
    assert (counts["cells.tumour"][at] == 0).all()
    assert (counts["cells.tumour"][~at] > 0).all()
    assert found.seeds == (1, 2)


def test_what_is_no_time_to_an_event_is_refused():
    with pytest.raises(gpusim.ResultError, match="a time, whether it happened, and a seed"):
        Times(np.empty(0), np.empty(0, bool), ())
    assert str(Event.PROGRESSION) == "progression"
    assert survival.RESAMPLES >= 1000
