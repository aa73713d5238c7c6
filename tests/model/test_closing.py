"""What is refused of closing, each in one line that names its place; and the lines along which cells follow."""

import numpy as np
import pytest
import yaml

import gpusim
from gpusim.errors import ScenarioError
from gpusim.model import build
from gpusim.model.division import lines
from gpusim.scenario import usage

CLOSES = "rules: {r: {transition: empty -> outside, rate: 0.01 /min, reach: 60 um}}"
OPEN = "grid: {shape: [4, 4, 4], sides: {x: open}}"


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        (CLOSES, "rules.r.transition", "nothing is outside; expected an open side"),
        (CLOSES + "\ngrid: {shape: [4, 4, 4], sides: {x: periodic}}", "rules.r.transition", "nothing is outside"),
        (OPEN + "\nrules: {r: {transition: w -> outside, rate: 1 /min, reach: 60 um}}", "rules.r.transition", "rigid"),
        (
            "rules: {r: {transition: l -> outside, rate: 1 /min, reach: 60 um}}",
            "rules.r.transition",
            "'l' is outside itself",
        ),
        (OPEN + "\nrules: {r: {transition: empty -> outside, rate: 1 /min}}", "rules.r.reach", "is missing"),
        (
            OPEN + "\nrules: {r: {transition: empty -> outside, rate: 1 /min, reach: 6 mm}}",
            "rules.r.reach",
            "20 um to 5000 um",
        ),
        (OPEN + "\nrules: {r: {transition: t -> outside, rate: 1 /min, reach: 60 um}}", "rules.r.transition", "layer"),
        (
            OPEN + "\nfields: {f: {unit: ng/mL}}\n" + CLOSES.replace("60 um", "60 um, releases: {f: 1}"),
            "rules.r.releases",
            "cannot release a field",
        ),
        (OPEN + "\nstates: {outside: {}}", "states.outside", "is reserved"),
        (OPEN + "\nrules: {r: {transition: a -> outside + a, rate: 1 /min}}", "rules.r.transition", "outside"),
        ("states: {b: {outside: true}}", "states.b.outside", "no rule closes"),
        (CLOSES + "\nstates: {t: {layer: immune, outside: true}}", "states.t.outside", "only the tissue closes"),
        ("therapies: {c: {resect: [a], leaves: t, radius: 20 um}}", "therapies.c.leaves", "of the immune layer"),
        ("therapies: {c: {resect: [t], leaves: a, radius: 20 um}}", "therapies.c.leaves", "no tissue cell is removed"),
        ("therapies: {c: {resect: [a], leaves: nobody, radius: 20 um}}", "therapies.c.leaves", "nobody"),
        ("therapies: {c: {inject: a, amount: 3 cell, leaves: b}}", "therapies.c", "'leaves' applies only to 'resect'"),
    ],
)
def test_bad_closing_is_refused_where_it_stands(text, place, reason):
    states = "states: {a: {}, b: {}, t: {layer: immune}"
    states += ", w: {yields: rigid}" if "w ->" in text else ""
    states += ", l: {outside: true}" if "l ->" in text else ""
    base = gpusim.Scenario.parse("{grid: {shape: [4, 4, 4]}}")
    document = yaml.safe_load(text)
    document["states"] = yaml.safe_load(states + "}")["states"] | document.get("states", {})
    with pytest.raises(ScenarioError) as caught:
        build(base.with_(**document))
    assert place in str(caught.value)
    assert reason in str(caught.value)


def test_lines_are_straight_and_evenly_spread():
    """Each step goes to a neighbour; no voxel is farther than half a voxel's edge from the line, along each axis."""
    found = lines(249).astype(float)
    places = np.concatenate([np.zeros((len(found), 1, 3)), found[..., :3]], axis=1)
    assert np.abs(np.diff(places, axis=1)).max() == 1
    assert (np.abs(np.diff(places, axis=1)).max(axis=2) == 1).all()
    ends = places[:, -1] / np.linalg.norm(places[:, -1], axis=1, keepdims=True)
    assert np.abs(ends.mean(axis=0)).max() < 0.01
    assert np.cov(ends.T) == pytest.approx(np.eye(3) / 3, abs=0.01)
    assert found[:, -1, 3] == pytest.approx(10 * np.linalg.norm(places[:, -1], axis=1), abs=10)


def test_closing_shortens_the_step_of_the_rules():
    """To a hazard of 0.02, as few voxels as possible are to want the same line."""
    base = gpusim.Scenario.parse("{grid: {shape: [4, 4, 4], sides: {x: open}}, states: {a: {}, b: {}}}")
    rule = {"rate": "0.02 /min"}
    for closing, step in (({"transition": "a -> outside", "reach": "60 um"}, 1.0), ({"transition": "a -> b"}, 5.0)):
        model = build(base.with_(rules={"r": rule | closing}))
        assert model.step * model.rules_every == step


def test_what_surgery_alone_leaves_is_placed():
    text = """
    grid: {shape: [4, 4, 4], sides: {x: open}}
    states: {a: {}, cavity: {outside: true}}
    rules: {r: {transition: empty -> outside, rate: 0.01 /min, reach: 60 um}}
    tissue: {background: a}
    therapies: {cut: {resect: [a], leaves: cavity, radius: 30 um}}
    """
    assert usage.notes(gpusim.Scenario.parse(text).document) == []
