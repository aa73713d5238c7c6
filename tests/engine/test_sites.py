"""Several lattices in one body."""

import numpy as np
import pytest

import gpusim
from gpusim.record import Recorder, Result

SITES = """
name: two
seed: 3
grid: {shape: [7, 6, 5]}
time: {until: 60 min, step: {field: 2 min, rules: 4 min}}
record: {every: 20 min}
fields:
  c: {unit: ng/mL, diffusion: 60 um^2/min, decay: 0.01 /min}
states:
  source: {secretion: {c: 1 ng/mL/min}}
  t: {layer: immune, motility: {speed: 4 um/min}}
rules:
  leave: {transition: t -> none, rate: 0.03 /min, to_body: blood}
  enter: {transition: none -> t, rate: 0.002 /min, modulators: [{body: blood, half: 10}], from_body: blood}
body:
  quantities: {blood: {initial: 5}}
tissue:
  shapes:
    source: {kind: everywhere, state: source, fraction: 0.2}
    t: {kind: everywhere, state: t, fraction: 0.3}
sites:
  lung: {}
  liver: {grid: {shape: [4, 9, 3], spacing: 30 um}, tissue: {shapes: {source: {fraction: 0.5}, t: null}}}
therapies:
  one: {inject: c, amount: 5 fg, site: liver, start: 10 min}
"""


def scenario(text=SITES):
    return gpusim.Scenario.parse(text)


def test_a_site_has_its_own_lattice_and_what_it_leaves_out_is_shared(one_backend_each):
    simulation = gpusim.Simulation(scenario(), *one_backend_each[:1])
    lung, liver = simulation.sites["lung"], simulation.sites["liver"]
    assert (lung.tissue.shape, liver.tissue.shape) == ((5, 6, 7), (3, 9, 4))
    assert (lung.model.spacing, liver.model.spacing) == (20, 30)
    assert lung.counts["t"] == pytest.approx(63, abs=25)
    assert liver.counts["t"] == 0
    simulation.close()


def test_the_order_of_the_sites_changes_nothing(one_backend_each):
    head, sites, tail = SITES.partition("  lung: {}\n")
    liver, newline, tail = tail.partition("\n")
    turned = head + liver + newline + sites + tail
    digests = []
    for text in (SITES, turned):
        with gpusim.Simulation(scenario(text), *one_backend_each[:1]) as simulation:
            simulation.run()
            digests.append(simulation.digest())
    assert digests[0] == digests[1]


def test_backends_agree_to_the_bit():
    digests = set()
    for backend in ("numpy", "cpu"):
        with gpusim.Simulation(scenario(), backend) as simulation:
            simulation.run()
            digests.add(simulation.digest())
    assert len(digests) == 1


def test_sites_of_equal_tissue_draw_other_numbers():
    text = SITES.replace("  liver: {grid", "  liver: {}\n  other: {grid").replace("site: liver", "site: other")
    with gpusim.Simulation(scenario(text), "numpy") as simulation:
        assert not np.array_equal(simulation.sites["lung"].tissue, simulation.sites["liver"].tissue)


def test_a_site_without_a_body_runs_as_alone():
    text = SITES.replace(", to_body: blood", "").replace(", from_body: blood", "")
    alone = scenario(text).site("liver")
    with gpusim.Simulation(scenario(text), "numpy") as both, gpusim.Simulation(alone, "numpy") as one:
        both.run()
        one.run()
        assert np.array_equal(both.sites["liver"].field("c"), one.field("c"))
        assert one.field("c").max() > 0
        assert both.sites["lung"].fired["leave"] > 0


def test_what_leaves_a_site_is_in_the_body_or_at_another():
    with gpusim.Simulation(scenario(), "numpy") as simulation:
        start = simulation.counts["t"] + simulation.body["blood"]
        simulation.run()
        assert simulation.sites["liver"].counts["t"] > 0
        assert simulation.counts["t"] + simulation.body["blood"] == start
        for site in simulation.sites.values():
            assert site.counts["t"] == (site.immune == site.model.states.number("t")).sum()


def test_a_dose_goes_to_its_site():
    with gpusim.Simulation(scenario(SITES.replace("{fraction: 0.5}", "null")), "numpy") as simulation:
        simulation.run("12 min")
        liver = simulation.sites["liver"].field("c")
        # 5 fg in a voxel of 27 pL is 185 ng/mL at first; it has begun to spread.
        assert 50 < liver[1, 4, 2] < 185


def test_a_result_holds_every_site_and_goes_on(tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    with gpusim.Simulation(scenario(), "numpy") as simulation, Recorder(simulation, whole) as recorder:
        for _ in simulation.stretches():
            recorder.record()
        summary = recorder.finish()
    with gpusim.Simulation(scenario(), "numpy") as simulation, Recorder(simulation, stopped) as recorder:
        simulation.step(10)
        recorder.record()
        recorder.checkpoint()
    with (
        gpusim.Simulation(scenario(), "numpy") as simulation,
        Recorder(simulation, stopped, resume=True) as recorder,
    ):
        assert simulation.steps == 10
        for _ in simulation.stretches():
            recorder.record()
        assert recorder.finish()["digest"] == summary["digest"]
    for folder in (whole, stopped):
        result = Result(folder, "liver")
        assert result.sites == ("lung", "liver")
        assert result.array("c").shape == (3, 9, 4)
        assert result.spacing == 30
        assert result.document.grid.spacing == "30 um"
        assert result.digest() == summary["digest"]
        assert result.dataset().sizes["time"] == len(result.times) == 4
        counts = result.counts
        assert (counts["lung.cells.t"] + counts["liver.cells.t"] == counts["cells.t"]).all()
    with pytest.raises(gpusim.ResultError, match="no site 'brain'"):
        Result(whole, "brain")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("site: liver", "site: livr"), "therapies.one.site: unknown site 'livr'; did you mean 'liver'?"),
        (("  lung: {}", "  body: {}"), "sites.body: 'body' is already in use"),
        (("spacing: 30 um", "spacing: 30 min"), "sites.liver.grid.spacing: expected a quantity"),
        (("state: source, fraction: 0.2", "state: sauce, fraction: 0.2"), "unknown state 'sauce'"),
        (("grid: {shape: [7, 6, 5]}\n", ""), "sites.lung.grid.shape: is missing"),
    ],
)
def test_a_mistake_in_a_site_is_named(change, message):
    with pytest.raises(gpusim.ScenarioError) as caught:
        scenario(SITES.replace(*change))
    assert message in str(caught.value)
