from functools import cache

import pytest
from machines import backend_parameters

import gpusim
from gpusim import Scenario
from gpusim.scenario import presets

# tissue-core needs a table; the tests of tissue/cells run it.
STANDALONE = [name for name in presets() if Scenario.load(name).document.tissue.cells is None]
UNTIL = {"needle": "20 min"}
"""Until when a scenario runs, instead of 1 h: with a hundred passes of advection a step, it takes minutes in NumPy."""


def describe(name):
    return Scenario.load(name).document.description


@cache
def expected(name):
    """Digest of a shipped scenario on the NumPy backend."""
    with gpusim.Simulation(name, "numpy") as simulation:
        simulation.run(until=UNTIL.get(name, "1 h"))
        return simulation.digest()


@pytest.mark.slow
@pytest.mark.parametrize("backend", backend_parameters()[1:])
@pytest.mark.parametrize("name", STANDALONE)
def test_shipped_scenarios_end_in_the_same_bits_on_every_backend(name, backend):
    with gpusim.Simulation(name, backend[0], threads=backend[1]) as simulation:
        simulation.run(until=UNTIL.get(name, "1 h"))
        assert simulation.digest() == expected(name)


@pytest.mark.slow
def test_another_seed_is_another_tumour():
    with gpusim.Simulation("cold-to-hot", "numpy", seed=2) as simulation:
        simulation.run(until="1 h")
        assert simulation.digest() != expected("cold-to-hot")


@pytest.mark.parametrize("name", presets())
def test_a_scenario_says_what_it_is(name):
    assert describe(name)


@pytest.mark.parametrize("immunity", ["desert", "excluded", "inflamed"])
@pytest.mark.parametrize("tumour", ["melanoma", "glioblastoma-dense", "pancreatic", "lung", "nodule"])
def test_a_tumour_needs_no_virus(tumour, immunity, tmp_path):
    file = tmp_path / "alone.yaml"
    file.write_text(f"extends: [{tumour}, {immunity}]\nname: alone\ntime: {{until: 1 day}}\nrecord: {{every: 1 day}}")
    assert Scenario.load(file).document.therapies == {}


def test_the_stroma_of_a_tumour_stays_its_own_under_any_virus(tmp_path):
    uptake = {}
    for virus in ("hsv1", "adenovirus", "vaccinia", "vsv"):
        file = tmp_path / f"{virus}.yaml"
        file.write_text(f"extends: [glioblastoma-dense, desert, {virus}]\nname: own")
        uptake[virus] = Scenario.load(file).document.states["stroma"].uptake["virus"].rate
    assert set(uptake.values()) == {"1 /min"}


@pytest.mark.parametrize(
    ("parts", "primed"),
    [
        ("nodule, hsv1, desert", True),
        ("nodule, hsv1, immunodeficient", False),
        ("immunodeficient, nodule, hsv1", False),
    ],
)
def test_an_immunodeficient_host_primes_no_t_cells_and_makes_no_antibodies(parts, primed, tmp_path):
    file = tmp_path / "host.yaml"
    file.write_text(f"extends: [{parts}]\nname: host\nbody: {{quantities: {{dc_node: {{initial: 1000}}}}}}")
    with gpusim.Simulation(file, "numpy") as simulation:
        simulation.run(until="2 h")
        made = {name: simulation.body[name] > 0 for name in ("activated", "ctl", "helper", "plasma", "antibody")}
    assert set(made.values()) == {primed}, made


@pytest.mark.parametrize("name", [name for name in STANDALONE if "without T cells" in describe(name)])
def test_a_scenario_that_says_so_has_no_t_cells(name):
    document = Scenario.load(name).document
    assert not {"priming", "seeding_of_plasma"} & document.body.processes.keys()
    assert "treg_recruitment" not in document.rules
    assert not any(shape.state in ("ctl", "helper", "treg") for shape in document.tissue.shapes.values())
