"""Traits: what cells begin with, take along, pass on, and how it changes."""

import math

import numpy as np
import pytest

import gpusim

HEAD = "grid: {shape: [10, 9, 8], sides: {SIDES}}\ntime: {until: 1 day, step: {field: 6 min, rules: 6 min}}\n"
EVERYWHERE = "tissue: {background: one}\n"


def scenario_of(text, sides=""):
    return gpusim.Scenario.parse(HEAD.replace("SIDES", sides) + text)


@pytest.fixture(params=["numpy", "cpu"])
def run(request):
    """Runs a scenario for some steps."""
    opened = []

    def to(text, steps, sides="x: open", **changes):
        scenario = scenario_of(text, sides)
        opened.append(gpusim.Simulation(scenario.with_(**changes) if changes else scenario, request.param))
        opened[-1].step(steps)
        return opened[-1]

    yield to
    for each in opened:
        each.close()


def of_cells(simulation, trait, state):
    number = simulation.model.states.number(state)
    layer = simulation.tissue if number < simulation.model.states.none else simulation.immune
    return simulation.trait(trait)[layer == number].astype(float)


@pytest.mark.parametrize(
    ("initial", "quantile"),
    [
        ("7", lambda p: np.full_like(p, 7.0)),
        ("{uniform: {low: 2, high: 6}}", lambda p: 2 + 4 * p),
        ("{lognormal: {median: 5, fold: 2}}", None),
        ("{normal: {mean: 5, sd: 2}}", None),
    ],
)
def test_initial_values_have_their_distribution(run, initial, quantile):
    text = f"states: {{one: {{}}}}\ntraits: {{t: {{of: one, most: 100, initial: {initial}}}}}\n" + EVERYWHERE
    values = np.sort(of_cells(run(text, 0, grid={"shape": [20, 20, 20]}), "t", "one"))
    assert values.size == 8000
    if quantile:
        expected = quantile((np.arange(8000) + 0.5) / 8000)
    else:
        standard = np.array([_normal((i + 0.5) / 8000) for i in range(8000)])
        expected = 5 * 2**standard if "lognormal" in initial else np.maximum(5 + 2 * standard, 0)
    # Kolmogorov and Smirnov's distance is below 1.95 / sqrt(n) in 99.9% of samples.
    assert np.abs(np.searchsorted(values, expected, side="left") / 8000 - (np.arange(8000) + 0.5) / 8000).max() < (
        1.95 / math.sqrt(8000) if len(np.unique(values)) > 1 else 1
    )
    assert values.mean() == pytest.approx(expected.mean(), rel=0.03)


def _normal(p):
    from statistics import NormalDist

    return NormalDist().inv_cdf(p)


LAWS = """
states: {{one: {{}}}}
traits:
  t: {{of: one, most: 1e6, initial: 10, changes: {{{laws}}}}}
"""


@pytest.mark.parametrize(
    ("laws", "after"),
    [
        ("a: {gain: 3 /hour}", lambda t: 10 + 3 * t),
        ("a: {growth: 0.5 /hour}", lambda t: 10 * math.exp(0.5 * t)),
        ("a: {towards: 4, rate: 0.8 /hour}", lambda t: 4 + 6 * math.exp(-0.8 * t)),
        (
            "a: {gain: 3 /hour}, b: {towards: 0, rate: 0.5 /hour}, c: {growth: 0.2 /hour}",
            lambda t: 10 + (10 - 10) * t,  # 3 / (0.5 - 0.2) = 10, where it begins
        ),
        ("a: {gain: 3 /hour, modulators: [{trait: t, below: 1}]}", lambda t: 10),
    ],
)
def test_laws_have_their_solutions(run, laws, after):
    simulation = run(LAWS.format(laws=laws) + EVERYWHERE, 100)  # h is at most 0.08: an error of 5e-9 a step
    assert of_cells(simulation, "t", "one") == pytest.approx(after(10.0), rel=2e-5)


def test_a_law_that_depends_on_its_own_trait_is_right_to_first_order(run):
    law = "a: {growth: 0.5 /hour, modulators: [{trait: t, half: 100, effect: inhibits}]}"
    simulation = run(LAWS.format(laws=law) + EVERYWHERE, 200)
    value = float(of_cells(simulation, "t", "one")[0])
    # dv/dt = k v / (1 + v / h): ln v + v / h grows by k t.
    assert math.log(value) + value / 100 == pytest.approx(math.log(10) + 0.1 + 0.5 * 20, rel=0.05 / 2)


def test_values_are_held_between_0_and_the_greatest(run):
    laws = "a: {gain: 1000 /hour}"
    text = LAWS.format(laws=laws).replace("1e6", "50") + EVERYWHERE
    assert (of_cells(run(text, 20), "t", "one") == 50).all()


DIVIDING = """
states: {one: {}, two: {}}
rules:
  division: {transition: one -> one + one, rate: 0.2 /hour, reach: 100 um}
traits:
  t: {of: one, initial: {lognormal: {median: 5, fold: 2}}, at_division: DIVIDES}
tissue: {shapes: {ball: {kind: sphere, radius: 40 um, state: one}}}
"""


def test_shares_of_a_division_sum_to_what_the_mother_had(run):
    text = DIVIDING.replace("DIVIDES", "share")
    start = run(text, 0, grid={"shape": [30, 30, 30]}).trait("t").astype(float).sum()
    simulation = run(text, 200, grid={"shape": [30, 30, 30]})
    assert simulation.fired["division"] > 1000
    assert sum(simulation.left.values()) == 0
    assert simulation.trait("t").astype(float).sum() == pytest.approx(start, rel=1e-9)  # halves are exact


@pytest.mark.parametrize(("how", "born"), [("copy", False), ("reset", True)])
def test_copies_are_of_the_values_at_the_start_and_resets_are_new(run, how, born):
    simulation = run(DIVIDING.replace("DIVIDES", how), 20)
    before = set(of_cells(run(DIVIDING.replace("DIVIDES", how), 0), "t", "one").tolist())
    assert simulation.fired["division"] > 10
    new = set(of_cells(simulation, "t", "one").tolist()) - before
    assert bool(new) == born


def test_a_division_changes_a_trait_of_both_before_it_is_passed_on(run):
    text = DIVIDING.replace("DIVIDES", "copy").replace("{lognormal: {median: 5, fold: 2}}", "0")
    text = text.replace("reach: 100 um", "reach: 100 um, add: {t: 1}")
    simulation = run(text, 40)
    generations = of_cells(simulation, "t", "one")
    # Each cell has 2^-(generation) of its ancestor's descendants, however they have divided.
    ancestors = run(text, 0).count("one")
    assert (2.0**-generations).sum() == pytest.approx(ancestors, rel=1e-12)


@pytest.mark.parametrize(
    ("mutation", "factor"), [("fold: 2", None), ("becomes: 9", 9), ("spread: 1", None)], ids=lambda v: str(v)[:6]
)
def test_the_daughter_alone_mutates(run, mutation, factor):
    text = DIVIDING.replace("DIVIDES", f"copy, mutation: {{probability: 0.25, {mutation}}}")
    text = text.replace("{lognormal: {median: 5, fold: 2}}", "5")
    text = (
        text.replace("one -> one + one", "one -> one + two")
        .replace("of: one", "of: [one, two]")
        .replace("radius: 40 um", "radius: 110 um")
    )
    simulation = run(text, 60, grid={"shape": [16, 16, 16]})
    assert (of_cells(simulation, "t", "one") == 5).all()
    daughters = of_cells(simulation, "t", "two")
    changed = daughters[daughters != 5]
    assert daughters.size > 100
    assert abs(changed.size - daughters.size / 4) < 4 * math.sqrt(daughters.size * 3 / 16)
    if factor:
        assert (changed == factor).all()


def test_cells_take_their_values_along(run):
    """Moves, swaps, closing and pushing carry all values, and each once."""
    text = """
states:
  {one: {}, dead: {}, two: {}, edge: {outside: true}, t: {layer: immune, motility: {speed: 9 um/min}}}
traits:
  own: {of: one, initial: {uniform: {low: 1, high: 2}}}
  others: {of: t, initial: {uniform: {low: 1, high: 2}}}
rules:
  division: {transition: two -> two + two, rate: 0.6 /hour, reach: 100 um}
  closing: {transition: dead -> outside, rate: 0.1 /hour, reach: 200 um}
adhesion: {rate: 1 /hour, energies: {one: {one: 0, dead: -0.2, empty: 0}, dead: {dead: 0, empty: 0}, empty: {empty: 0}}}
tissue:
  shapes:
    box: {kind: box, state: one, lower: [60 um, 0 um, 0 um], upper: [140 um, 180 um, 160 um]}
    some: {kind: everywhere, state: dead, into: one, fraction: 0.2}
    edge: {kind: box, state: edge, lower: [0 um, 0 um, 0 um], upper: [20 um, 180 um, 160 um]}
    few: {kind: everywhere, state: two, into: one, fraction: 0.05}
    killers: {kind: everywhere, state: t, fraction: 0.3}
"""
    start, end = run(text, 0, sides=""), run(text, 30, sides="")
    assert min(end.fired["division"], end.fired["closing"]) > 10
    for trait, state in (("own", "one"), ("others", "t")):
        before, after = (np.sort(of_cells(each, trait, state)) for each in (start, end))
        assert np.array_equal(before, after)
        assert (end.trait(trait) > 0).sum() == after.size  # no other voxel has it
        assert not np.array_equal(start.trait(trait), end.trait(trait))


def test_a_state_without_the_trait_loses_it_and_one_with_it_begins(run):
    text = """
states: {one: {}, two: {}, three: {}}
traits:
  kept: {of: [one, two], initial: {uniform: {low: 1, high: 2}}}
  begun: {of: [two, three], initial: 3}
rules:
  a: {transition: one -> two, rate: 0.5 /hour}
  b: {transition: two -> three, rate: 0.5 /hour, set: {begun: 7}}
tissue: {background: one}
"""
    start, end = run(text, 0), run(text, 20)
    states = end.tissue
    kept = states != end.model.states.number("three")
    assert 10 < kept.sum() < kept.size - 10
    assert np.array_equal(end.trait("kept"), np.where(kept, start.trait("kept"), 0))
    expected = {"empty": 0, "one": 0, "two": 3, "three": 7}
    assert np.array_equal(end.trait("begun"), np.array(list(expected.values()))[states])


PARTNERS = """
states: {one: {}, dead: {}, t: {layer: immune}}
traits:
  hits: {of: one, most: 10}
  kills: {of: t}
rules:
  hit: {transition: t -> t, rate: 30 /hour, after: 1 hour, partner: one -> one, add: {hits: 1}}
  kill:
    {transition: t -> t, rate: 1000 /hour, partner: one -> dead, add: {kills: 1}, modulators: [{trait: hits, above: 3}]}
tissue: {background: one, shapes: {all: {kind: everywhere, state: t, fraction: 0.5}}}
"""


def test_a_partner_dies_of_several_hits_each_after_a_time(run):
    simulation = run(PARTNERS, 29)  # the third hit is after 3 hours at the earliest
    assert simulation.fired["kill"] == 0
    simulation.step(60)
    dead, killers = simulation.count("dead"), simulation.count("t")
    assert dead == killers == simulation.fired["kill"] == of_cells(simulation, "kills", "t").sum()
    assert simulation.fired["hit"] == 3 * dead
    assert dead == (simulation.tissue == simulation.model.states.number("dead")).sum()
    assert simulation.trait("hits").sum() == 0  # the dead do not have it
    assert simulation.count("one") + dead == simulation.tissue.size


def test_a_release_in_proportion_to_a_trait_gives_it_all(run):
    text = """
fields: {virus: {unit: PFU/voxel}}
states: {one: {}, dead: {}}
traits: {load: {of: one, unit: PFU, initial: {uniform: {low: 10 PFU, high: 20 PFU}}}}
rules: {lysis: {transition: one -> dead, rate: 1000 /hour, releases: {virus: {trait: load, each: 0.5}}}}
tissue: {background: one}
"""
    start, end = run(text, 0), run(text, 3)
    assert end.count("dead") == end.tissue.size
    assert end.field("virus") == pytest.approx(start.trait("load") / 2, rel=1e-6)


TAKING = """
fields: {virus: {unit: PFU/voxel, diffusion: 30 um^2/min, decay: 0 /min, initial: 3, solver: SOLVER}}
states: {one: {}, t: {layer: immune}}
traits:
  load: {of: one, unit: vp, initial: 40 vp, uptake: {virus: {rate: 0.01 /min, ratio: 20 vp/PFU}}}
  freight: {of: t, unit: PFU, initial: 2 PFU, secretion: {virus: {rate: 0.005 /min}}}
tissue:
  shapes:
    some: {kind: everywhere, state: one, fraction: 0.3}
    few: {kind: everywhere, state: t, fraction: 0.1}
"""


@pytest.mark.parametrize(("solver", "within"), [("explicit", 1e-6), ("implicit", 1e-4)])
def test_what_cells_take_up_the_field_loses(run, solver, within):
    text = TAKING.replace("SOLVER", solver)
    start, end = run(text, 0), run(text, 400)

    def amounts(simulation):
        load, freight = (simulation.trait(name).astype(float).sum() for name in ("load", "freight"))
        return np.array([simulation.totals()["virus"], load / 20, freight])

    before, after = amounts(start), amounts(end)
    assert after.sum() == pytest.approx(before.sum(), rel=within)
    assert after[1] > 1.5 * before[1]
    assert after[2] < 0.01 * before[2]


def test_an_uptake_alone_is_exponential_and_ends_at_the_greatest_value(run):
    text = (
        TAKING.replace("SOLVER", "explicit")
        .replace("30 um^2/min", "0 um^2/min")
        .replace("fraction: 0.3", "fraction: 1.0")
    )
    text = text.replace("secretion: {virus: {rate: 0.005 /min}}", "initial: 0 PFU").replace("initial: 2 PFU, ", "")
    simulation = run(text, 50)
    left = 3 * math.exp(-0.01 * 300)
    assert simulation.field("virus") == pytest.approx(left, rel=1e-5)
    assert simulation.trait("load") == pytest.approx(40 + 20 * (3 - left), rel=1e-5)
    full = run(text.replace("initial: 40 vp", "initial: 40 vp, most: 60 vp"), 50)
    assert full.trait("load") == pytest.approx(60, rel=1e-6)
    assert full.field("virus") == pytest.approx(2, rel=1e-6)


def test_a_substance_covers_the_distance_of_theory_until_it_is_taken_up(run):
    """From a point on a line, the mean square distance is 2 D / k, at the longest step."""
    text = """
fields:
  virus:
    unit: PFU/voxel
    diffusion: 60 um^2/min
    initial: {expression: "1000 PFU/voxel * exp(-(r / (4 um))^2)"}
    solver: explicit
states: {one: {}}
traits: {load: {of: one, unit: PFU, uptake: {virus: {rate: 2.5 /hour}}}}
tissue: {background: one}
"""
    simulation = run(text, 120, sides="", grid={"shape": [101, 1, 1]})
    taken = simulation.trait("load").ravel().astype(float)
    assert taken.sum() == pytest.approx(1000, rel=1e-5)
    squares = (20 * (np.arange(101) - 50)) ** 2
    assert (taken * squares).sum() / taken.sum() == pytest.approx(2 * 60 / (2.5 / 60), rel=0.25**2 / 12 + 1e-3)


def test_a_steady_field_gives_nothing_to_cells():
    with pytest.raises(
        gpusim.ScenarioError, match=r"fields.virus.solver: found steady, which discards a sudden change"
    ):
        scenario_of(TAKING.replace("SOLVER", "steady").replace("decay: 0", "decay: 1"))


def test_grafts_begin_and_what_is_cut_out_has_nothing(run):
    text = """
states: {one: {}, two: {}}
traits: {t: {of: [one, two], initial: {uniform: {low: 1, high: 2}}}}
tissue: {background: one}
therapies:
  cut: {resect: one, radius: 60 um, start: 6 min}
  graft: {inject: two, amount: 20 cell, radius: 60 um, start: 12 min}
"""
    cut = run(text, 2)
    assert ((cut.trait("t") > 0) == (cut.tissue > 0)).all()
    assert (cut.tissue == 0).sum() > 20
    grafted = run(text, 3)
    assert grafted.count("two") == 20
    assert len(set(of_cells(grafted, "t", "two").tolist())) > 15
    assert ((grafted.trait("t") > 0) == (grafted.tissue > 0)).all()


def test_a_column_of_the_table_of_cells_holds_values(tmp_path, run):
    rows = [
        f"{20 * i},{20 * j},0,{'a' if (i + j) % 2 else 'b'},{i + j / 10 if (i + j) % 2 else ''}"
        for i in range(8)
        for j in range(8)
    ]
    (tmp_path / "cells.csv").write_text("\n".join(["x,y,z,type,load", *rows]))
    text = f"""
states: {{one: {{}}, two: {{}}}}
traits: {{load: {{of: one, most: 7, initial: {{column: load, otherwise: 3}}}}}}
tissue:
  cells: {tmp_path / "cells.csv"}
  types: [{{where: {{type: a}}, state: one}}, {{where: {{type: b}}, state: two}}]
  shapes: {{corner: {{kind: box, state: one, lower: [0 um, 0 um, 0 um], upper: [20 um, 20 um, 500 um]}}}}
"""
    simulation = run(
        text, 0, sides="", grid={"shape": None}, tissue={"depth": {"thickness": "20 um"}, "margin": "0 um"}
    )
    found, tissue = simulation.trait("load")[0], simulation.tissue[0]
    assert found[0, 0] == 3
    expected = [[min(i + j / 10, 7) if (i + j) % 2 else 0 for i in range(8)] for j in range(8)]
    expected[0][0] = 3
    assert found == pytest.approx(np.array(expected), rel=1e-6)
    assert (tissue == simulation.model.states.number("one")).sum() == 33


ALL = """
fields: {virus: {unit: PFU/voxel, diffusion: 20 um^2/min, initial: 5}}
states:
  one: {}
  two: {secretion: {virus: {rate: 0.1 PFU/min, modulators: [{trait: load, per: 10}]}}}
  dead: {}
  t: {layer: immune, motility: {speed: 4 um/min, modulators: [{trait: kills, below: 3, at_saturation: 0.2}]}}
traits:
  load: {of: two, most: 1000, initial: {lognormal: {median: 5, fold: 2}}, changes: {a: {growth: 0.3 /hour}}}
  antigen: {of: [one, two], most: 10, initial: 5, mutation: {probability: 0.3, fold: 1.5}}
  kills: {of: t, most: 20, changes: {rest: {gain: 0.1 /hour}}}
rules:
  division: {transition: one -> one + one, rate: 0.1 /hour, reach: 60 um}
  infection: {transition: one -> two, rate: 0.2 /hour, modulators: [{field: virus, half: 5}]}
  lysis:
    transition: two -> dead
    rate: 0.5 /hour
    modulators: [{trait: load, per: 50}]
    releases: {virus: {trait: load, each: 0.5 PFU}}
  hit:
    transition: t -> t
    rate: 1 /hour
    partner: one|two -> dead
    add: {kills: 1}
    modulators: [{trait: antigen, half: 3}]
tissue: {shapes: {ball: {kind: sphere, radius: 60 um, state: one}, few: {kind: everywhere, state: t, fraction: 0.2}}}
"""


def test_all_backends_replicates_and_a_resumed_run_agree(tmp_path):
    scenario = scenario_of(ALL, "x: open, y: periodic")
    with gpusim.Simulation(scenario, "numpy") as simulation:
        simulation.step(24)
        digest, counts = simulation.digest(), simulation.counts
        assert min(simulation.fired.values()) > 0
    for threads in (1, 2):
        with gpusim.Simulation(scenario, "cpu", threads=threads) as simulation:
            simulation.step(24)
            assert (simulation.digest(), simulation.counts) == (digest, counts)
    with gpusim.Simulation(scenario, "cpu") as simulation:
        simulation.step(10)
        numbers, arrays = simulation.numbers, dict(simulation.arrays())
    with gpusim.Simulation(scenario, "cpu") as simulation:
        simulation.restore(numbers, arrays)
        simulation.step(14)
        assert simulation.digest() == digest


def test_replicates_have_the_values_of_single_runs():
    scenario = scenario_of(ALL, "x: open, y: periodic")
    with gpusim.Simulation(scenario, "cpu", seed=[3, 4]) as both:
        both.step(12)
        digests = [each.digest() for each in both.replicates]
    for seed, digest in zip((3, 4), digests, strict=True):
        with gpusim.Simulation(scenario.with_(seed=seed), "cpu") as simulation:
            simulation.step(12)
            assert simulation.digest() == digest


def test_a_trait_is_asked_for_by_name():
    with gpusim.Simulation(scenario_of(ALL, "x: open, y: periodic"), "numpy") as simulation:
        assert simulation.trait("kills").dtype == np.float32
        with pytest.raises(KeyError, match=r"no trait 'lod' \(known: load, antigen, kills\)"):
            simulation.trait("lod")


LEAVING = """
states: {vessel: {}, dc: {layer: immune}, ripe: {layer: immune}}
body: {quantities: {node: {}, taken: {unit: ug, initial: 1 ug}, fluid: {unit: mL}}}
traits:
  antigen: {of: [dc, ripe], unit: ng, MOST initial: {lognormal: {median: 3, fold: 4}}}
  oil: {of: vessel, unit: mL, initial: {uniform: {low: 1, high: 2}}}
rules:
  egress:
    transition: dc|ripe -> none
    rate: 0.2 /hour
    to_body: {node: 1 cell, taken: {trait: antigen, each: 1 ng}, fluid: {trait: oil, each: 0.25}}
  ripening: {transition: dc -> ripe, rate: 0.3 /hour, to_body: {fluid: 3 mL}}
tissue:
  shapes:
    all: {kind: everywhere, state: dc, fraction: 0.7}
    some: {kind: everywhere, state: vessel, fraction: 0.5}
"""


@pytest.mark.parametrize("most", ["", "most: 40 ng,", "most: 1e9 ng,"])
def test_the_body_gets_of_a_trait_what_the_cells_that_leave_have(run, most):
    text = LEAVING.replace("MOST", most)
    start, end = run(text, 0), run(text, 30)
    gone = (start.immune > start.model.states.none) & (end.immune == end.model.states.none)
    fired = end.fired
    assert 200 < fired["egress"] == gone.sum()
    carried = start.trait("antigen")[gone].astype(float).sum() / 1000
    assert end.body["taken"] == pytest.approx(1 + carried, rel=1e-14)
    beside = 0.25 * start.trait("oil")[gone].astype(float).sum()  # of the cell beside it, which stays
    assert end.body["fluid"] == pytest.approx(3 * fired["ripening"] + beside, rel=1e-14)
    assert end.body["node"] == fired["egress"]


def test_what_goes_to_the_body_is_the_value_before_the_transition(run):
    text = LEAVING.replace("MOST", "").replace("{lognormal: {median: 3, fold: 4}}", "2 ng")
    end = run(text.replace("dc|ripe -> none", "dc -> ripe\n    set: {antigen: 7 ng}"), 30)
    assert end.fired["egress"] > 100
    assert end.body["taken"] == pytest.approx(1 + 0.002 * end.fired["egress"], rel=1e-14)


def test_a_change_of_what_goes_to_the_body_counts_from_then_on(run):
    simulation = run(LEAVING.replace("MOST", ""), 10)
    before = simulation.body["taken"]
    assert before > 1.1
    simulation.change({"rules.egress.to_body.taken.each": 0, "traits.antigen.most": "50 ng"})
    simulation.step(10)
    assert simulation.body["taken"] == before
    with pytest.raises(gpusim.ScenarioError, match="the traits that rules give to the body cannot be changed"):
        simulation.change({"rules.egress.to_body": "node"})


KEEPING = """
groups: {cancer: [one, two]}
states: {one: {}, two: {}, t: {layer: immune}}
traits: {hits: {of: cancer, most: 1000}}
rules:
  ageing: {transition: one -> two, rate: 1000 /hour, after: 5 hour}
  hit: {transition: t -> t, rate: 6 /hour, partner: cancer, add: {hits: 1}}
tissue: {background: one, shapes: {all: {kind: everywhere, state: t, fraction: 0.5}}}
"""


def test_a_partner_of_a_group_keeps_its_state_and_its_time_in_it(run):
    simulation = run(KEEPING, 49)
    killers = simulation.count("t")
    assert simulation.fired["hit"] > 10 * killers
    assert simulation.fired["ageing"] == 0
    simulation.step(5)  # hits do not begin the time of the cells that are hit anew
    assert simulation.count("two") == simulation.tissue.size
    simulation.step(40)
    hits = simulation.trait("hits")
    assert hits.sum() == simulation.fired["hit"] > 20 * killers
    assert ((hits > 0) <= (simulation.immune > simulation.model.states.none)).all()


def test_a_lower_greatest_value_lowers_what_cells_have(run):
    text = LEAVING.replace("MOST", "most: 40 ng,")
    simulation = run(text, 2)
    before = simulation.trait("antigen")
    assert before.max() > 20
    simulation.change({"traits.antigen.most": "5 ng"})
    assert np.array_equal(simulation.trait("antigen"), np.minimum(before, 5))
    here = simulation.immune > simulation.model.states.none
    left, body = simulation.trait("antigen").astype(float).sum(), simulation.body["taken"]
    simulation.step(20)
    gone = here & (simulation.immune == simulation.model.states.none)
    assert gone.sum() > 100
    after = simulation.trait("antigen").astype(float).sum()
    assert 1000 * (simulation.body["taken"] - body) == pytest.approx(left - after, rel=1e-9)


def test_values_of_no_state_are_refused(run):
    with pytest.raises(KeyError, match=r"no state 'dcs' \(known: empty, vessel, none, dc, ripe\)"):
        run(LEAVING.replace("MOST", ""), 0).site.values("antigen", of=["dcs"])
