"""What is refused of divisions, each in one line that names its place."""

import pytest
import yaml

import gpusim
from gpusim.errors import ScenarioError
from gpusim.model import build

DIVIDES = "rules: {division: {transition: a -> a + b, rate: 0.01 /min, reach: 60 um}}"


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("rules: {r: {transition: a -> a + a + b, rate: 1 /min}}", "rules.r.transition", "state -> state + state"),
        ("rules: {r: {transition: a -> b, rate: 1 /min, reach: 60 um}}", "rules.r.reach", "applies only to a division"),
        ("rules: {r: {transition: a -> a + t, rate: 1 /min}}", "rules.r.transition", "of 'immune'"),
        ("rules: {r: {transition: empty -> a + a, rate: 1 /min}}", "rules.r.transition", "is not a cell"),
        ("rules: {r: {transition: a -> a + empty, rate: 1 /min}}", "rules.r.transition", "is not a cell"),
        ("rules: {r: {transition: w -> a + a, rate: 1 /min}}", "rules.r.transition", "'w' yields 'rigid'"),
        ("rules: {r: {transition: t -> t + t, rate: 1 /min, reach: 60 um}}", "rules.r.reach", "do not displace"),
        (
            "rules: {r: {transition: a -> a + a, rate: 1 /min, reach: 9 um}}",
            "rules.r.reach",
            "20 um to 5000 um",
        ),
        (
            "rules: {r: {transition: a -> a + a, rate: 1 /min, reach: 6 mm}}",
            "rules.r.reach",
            "20 um to 5000 um",
        ),
        (
            "rules: {r: {transition: a -> a + a, rate: 1 /min, releases: {f: 1}}}\nfields: {f: {unit: ng/mL}}",
            "rules.r.releases",
            "cannot release a field",
        ),
        (DIVIDES + "\nstates: {t: {layer: immune, yields: rigid}}", "states.t.yields", "do not displace"),
        (DIVIDES + "\nstates: {b: {yields: soft}}", "states.b.yields", "soft"),
        (
            DIVIDES + "\nstates: {b: {yields: {how: rigid, resistance: 3 um}}}",
            "states.b.yields",
            "'resistance' applies only to 'crushed'",
        ),
        (
            DIVIDES + "\nstates: {b: {yields: {how: crushed, resistance: 49 um}}}",
            "states.b.yields.resistance",
            "beyond the reach of every division, so that the cell is never crushed; expected at most 48 um",
        ),
        ("states: {b: {yields: crushed}}", "states.b.yields", "no cell of the tissue layer divides, so that none is"),
        (
            "states: {b: {yields: {how: crushed, resistance: 9 um}}}",
            "states.b.yields",
            "no cell of the tissue layer divides, so that none is",
        ),
        (
            "rules: {r: {transition: a -> b, rate: 1 /min, modulators: [{room: true, half: 30 um}]}}",
            "rules.r.modulators[0].room",
            "no tissue cell divides",
        ),
        (
            DIVIDES
            + "\nfields: {f: {unit: ng/mL, clearance: {c: {rate: 1 /min, modulators: [{room: true, per: 9 um}]}}}}",
            "clearance.c.modulators[0].room",
            "only rules can depend on",
        ),
        ("grid: {sides: {x: shut}}", "grid.sides.x", "shut"),
        (
            "trial: {arms: {all: {}}, outcomes: {o: {left: a}}}",
            "trial.outcomes.o.left",
            "no side of the grid is open",
        ),
    ],
)
def test_bad_divisions_are_refused_where_they_stand(text, place, reason):
    states = "{grid: {shape: [4, 4, 4]}, states: {a: {}, b: {}, w: {}, t: {layer: immune}}}"
    base = gpusim.Scenario.parse(states)
    document = yaml.safe_load(text)
    if "w ->" in text:
        document["states"] = {"w": {"yields": "rigid"}}
    with pytest.raises(ScenarioError) as caught:
        build(base.with_(**document))
    assert place in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("transition", "rate", "reaches"), [("a -> a + b", "0.021 /min", "0.021"), ("a -> b", "0.12 /min", "0.12")]
)
def test_a_step_that_is_too_long_for_a_rule_is_noted_with_its_limit(transition, rate, reaches):
    base = gpusim.Scenario.parse("{grid: {shape: [4, 4, 4]}, states: {a: {}, b: {}}}").with_(
        time={"step": {"rules": "1 min"}}
    )
    limit = {"a -> a + b": "0.02", "a -> b": "0.1"}[transition]
    (note,) = build(base.with_(rules={"r": {"transition": transition, "rate": rate}})).notes
    assert f"too large for rule 'r': its hazard reaches {reaches} per step; above {limit}" in note
    assert build(base.with_(rules={"r": {"transition": transition, "rate": f"{limit} /min"}})).notes == ()


def test_a_division_shortens_the_step_of_the_rules():
    """To a hazard of 0.02; 0.1 is enough for other rules."""
    base = gpusim.Scenario.parse("{grid: {shape: [4, 4, 4]}, states: {a: {}, b: {}}}")
    for transition, step in (("a -> a + b", 1.0), ("a -> b", 5.0)):
        model = build(base.with_(rules={"r": {"transition": transition, "rate": "0.02 /min"}}))
        assert model.step * model.rules_every == step
