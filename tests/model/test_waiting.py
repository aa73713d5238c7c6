"""Rules that wait for more steps than a clock of 16 bits counts."""

import numpy as np
import pytest

import gpusim
from gpusim import ScenarioError
from gpusim.model import build, waiting
from gpusim.record import Result

TEXT = """
grid: {shape: [24, 20, 3], sides: {x: open}}
time: {until: 2 h, step: {field: 1 min, rules: 1 min, motion: 1 min}}
record: {every: 1 h}
tissue:
  background: stem
  shapes: {gap: {kind: sphere, radius: 90 um, state: empty}, few: {kind: sphere, radius: 60 um, state: ctl}}
states:
  stem: {}
  young: {motility: {speed: 3 um/min}}
  ctl: {layer: immune, motility: {speed: 4 um/min, persistence: 5 min}}
  tired: {layer: immune}
traits: {age: {of: [stem, young], at_division: share, changes: {time: {gain: 1 /min}}}}
clones: {of: [stem, young], founders: each}
rules:
  division: {transition: stem -> stem + young, rate: 0.05 /min, after: 9 min, reach: 60 um}
  ageing: {transition: young|stem -> stem, rate: 0.1 /min, after: 5 min, partner: ctl}
  death: {transition: young -> empty, rate: 0.01 /min, after: 20 min}
  pause: {transition: ctl -> ctl, rate: 0.2 /min, after: 4 min, partner: stem, add: {age: 1}}
  tiring: {transition: ctl -> tired, rate: 0.05 /min}
  rest: {transition: tired -> ctl, rate: 0.1 /min, after: 12 min}
"""


@pytest.mark.parametrize("backend", ["numpy", "cpu"])
def test_counters_wait_as_clocks_do(backend, monkeypatch):
    def run():
        with gpusim.Simulation(gpusim.Scenario.parse(TEXT), backend=backend, seed=3) as simulation:
            simulation.step(60)
            return simulation.digest(), simulation.fired

    digest, fired = run()
    monkeypatch.setattr(waiting, "MOST_OF_CLOCK", 4)
    monkeypatch.setattr("gpusim.model.cells.MOST_OF_CLOCK", 4)
    counted, fired_counted = run()
    assert all(fired.values())
    assert fired_counted == fired
    assert counted == digest


def test_no_output_shows_a_counter(monkeypatch, tmp_path):
    monkeypatch.setattr(waiting, "MOST_OF_CLOCK", 4)
    monkeypatch.setattr("gpusim.model.cells.MOST_OF_CLOCK", 4)
    gpusim.run(gpusim.Scenario.parse(TEXT), tmp_path / "out", backend="numpy", until="10 min")
    result = Result(tmp_path / "out")
    with gpusim.Simulation(gpusim.Scenario.parse(TEXT), backend="numpy") as simulation:
        assert list(simulation.means()) == ["age"]
        assert {name for name in simulation.dataset() if name not in simulation.site.model.fields.names} >= {"age"}
        assert not [name for name in simulation.dataset() if waiting.is_counter(str(name))]
        assert len(simulation.model.traits) == 4  # age, and of stem, young, tired; ctl waits for 4 steps
        with pytest.raises(KeyError, match="known: age"):
            simulation.trait("steps in stem")
    assert list(result.summary["traits"]) == ["age"]
    assert not [column for column in result.counts if "steps in" in column]
    births = (tmp_path / "out" / "births.csv").read_text().splitlines()[0]
    assert births.count("trait.") == 1


def test_a_wait_beyond_16_bits_ends_at_its_step():
    text = """
    grid: {shape: [4, 4, 4]}
    time: {until: 12 day, step: {field: 1 min, rules: 0.25 min}}
    record: {every: 12 day}
    tissue: {background: one}
    states: {one: {}, two: {}}
    rules: {change: {transition: one -> two, rate: 10 /min, after: 16400 min}}
    """
    model = build(gpusim.Scenario.parse(text.replace("1 min, rules: 0.25", "0.25 min, rules: 0.25")))
    assert model.traits.names == ()
    assert model.cells.rules["after"].tolist() == [0]
    row = model.cells.modulators[-1]
    assert row["scale"] == 65_601  # 65,600 steps of 0.25 min, and the step in which the clock is 0


def test_the_count_of_a_state_is_exact_to_its_most():
    assert np.float32(waiting.MOST_STEPS) + np.float32(1) == waiting.MOST_STEPS + 1
    assert np.float32(waiting.MOST_STEPS + 1) + np.float32(1) == waiting.MOST_STEPS + 2
    rule = build(gpusim.Scenario.parse(TEXT)).cells.rules
    assert rule["after"].max() == 20
    with pytest.raises(
        ScenarioError, match=r"rules.rest.after: .* is 16777215 steps of 1 min; expected at most 16777214"
    ):
        build(gpusim.Scenario.parse(TEXT).with_(rules={"rest": {"after": "16777215 min"}}))
